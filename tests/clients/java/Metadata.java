import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;

/** Everything that DatabaseMetaData answers of a schema, here and in PostgreSQL, held against each other. */
public final class Metadata {
    interface Call {
        ResultSet get() throws SQLException;
    }

    /** What is of a server's own: numbers of objects, sizes, its exact release. */
    static final Set<String> OWN = Set.of("SPECIFIC_NAME", "PAGES", "CARDINALITY");
    static final Set<String> OWN_METHODS =
        Set.of("getConnection", "getURL", "getDatabaseMinorVersion", "getDatabaseProductVersion", "getRowIdLifetime");

    final Map<String, String> answers = new LinkedHashMap<>();

    void ask(String name, Call call) throws SQLException {
        StringBuilder told = new StringBuilder();
        try (ResultSet result = call.get()) {
            ResultSetMetaData columns = result.getMetaData();
            for (int i = 1; i <= columns.getColumnCount(); i++)
                told.append(columns.getColumnLabel(i)).append(' ').append(columns.getColumnTypeName(i)).append(", ");
            while (result.next()) {
                told.append('\n');
                for (int i = 1; i <= columns.getColumnCount(); i++)
                    if (!OWN.contains(columns.getColumnLabel(i).toUpperCase())) told.append(result.getString(i)).append('|');
            }
        }
        answers.put(name, told.toString());
    }

    Metadata(String url, String schema) throws Exception {
        try (Connection connection = DriverManager.getConnection(url); Statement statement = connection.createStatement()) {
            statement.execute(schema);
            DatabaseMetaData data = connection.getMetaData();
            Method[] methods = DatabaseMetaData.class.getMethods();
            Arrays.sort(methods, Comparator.comparing(Method::getName));
            for (Method method : methods) {
                if (method.getParameterCount() > 0 || method.getReturnType() == ResultSet.class) continue;
                if (OWN_METHODS.contains(method.getName())) continue;
                try {
                    answers.put(method.getName(), String.valueOf(method.invoke(data)));
                } catch (InvocationTargetException error) {
                    answers.put(method.getName(), error.getCause().getMessage());
                }
            }
            String[] kinds = {"TABLE", "VIEW", "INDEX", "SEQUENCE", "TYPE", "MATERIALIZED VIEW", "FOREIGN TABLE", "PARTITIONED TABLE"};
            ask("tables", () -> data.getTables(null, "j", "%", null));
            for (String kind : kinds) ask("tables of kind " + kind, () -> data.getTables(null, "j", "%", new String[] {kind}));
            ask("columns", () -> data.getColumns(null, "j", "%", "%"));
            ask("functions", () -> data.getFunctions(null, "j", "%"));
            ask("columns of functions", () -> data.getFunctionColumns(null, "j", "%", "%"));
            ask("procedures", () -> data.getProcedures(null, "j", "%"));
            ask("columns of procedures", () -> data.getProcedureColumns(null, "j", "%", "%"));
            ask("types of users", () -> data.getUDTs(null, "j", "%", null));
            ask("domains", () -> data.getUDTs(null, "j", "%", new int[] {Types.DISTINCT}));
            ask("composites", () -> data.getUDTs(null, "j", "%", new int[] {Types.STRUCT}));
            ask("rights on tables", () -> data.getTablePrivileges(null, "j", "%"));
            ask("schemas", () -> data.getSchemas(null, "j"));
            ask("catalogs", () -> data.getCatalogs());
            ask("kinds of tables", () -> data.getTableTypes());
            ask("properties of clients", () -> data.getClientInfoProperties());
            for (String table : new String[] {"item", "owner", "dear", "mat", "many", "nothing"}) {
                ask("primary key of " + table, () -> data.getPrimaryKeys(null, "j", table));
                ask("imported keys of " + table, () -> data.getImportedKeys(null, "j", table));
                ask("exported keys of " + table, () -> data.getExportedKeys(null, "j", table));
                ask("keys between owner and " + table, () -> data.getCrossReference(null, "j", "owner", null, "j", table));
                ask("indexes of " + table, () -> data.getIndexInfo(null, "j", table, false, true));
                ask("unique indexes of " + table, () -> data.getIndexInfo(null, "j", table, true, false));
                ask("identifier of rows of " + table, () -> data.getBestRowIdentifier(null, "j", table, DatabaseMetaData.bestRowSession, false));
                ask("version columns of " + table, () -> data.getVersionColumns(null, "j", table));
                ask("rights on columns of " + table, () -> data.getColumnPrivileges(null, "j", table, "%"));
            }
            for (String text : new String[] {"SELECT * FROM j.item", "SELECT * FROM j.many",
                "SELECT id + 1 AS x, price FROM j.item", "SELECT count(*), sum(price), avg(owner) FROM j.item GROUP BY side"}) {
                try (PreparedStatement prepared = connection.prepareStatement(text)) {
                    ResultSetMetaData m = prepared.getMetaData();
                    StringBuilder told = new StringBuilder();
                    for (int i = 1; i <= m.getColumnCount(); i++)
                        told.append('\n').append(List.of(m.getColumnName(i), m.getColumnLabel(i), m.getColumnTypeName(i), m.getColumnType(i),
                            m.getPrecision(i), m.getScale(i), m.isNullable(i), m.isAutoIncrement(i), m.getColumnDisplaySize(i), m.isSigned(i),
                            m.getColumnClassName(i), m.getTableName(i), m.isCaseSensitive(i)));
                    answers.put("described " + text, told.toString());
                }
            }
            statement.execute("DROP SCHEMA j CASCADE");
        }
    }

    public static void main(String[] args) throws Exception {
        String schema = Files.readString(Path.of(args[2]));
        Map<String, String> ours = new Metadata(args[0], schema).answers;
        Map<String, String> theirs = new Metadata(args[1], schema).answers;
        boolean failed = !ours.keySet().equals(theirs.keySet());
        for (String name : theirs.keySet()) {
            if (theirs.get(name).equals(ours.get(name))) {
                System.out.println("ok - " + name);
            } else {
                failed = true;
                System.out.println("not ok - " + name + "\nhere " + ours.get(name) + "\nPostgreSQL " + theirs.get(name));
            }
        }
        System.exit(failed ? 1 : 0);
    }
}
