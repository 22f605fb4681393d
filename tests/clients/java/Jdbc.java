import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.sql.*;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.jdbc.PreferQueryMode;

/** What JDBC's driver asks of a server: metadata, batches, COPY, prepared statements, cursors. */
public final class Jdbc {
    interface Check {
        void run() throws Exception;
    }

    static String url;
    static boolean failed;

    static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("ok - " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("not ok - " + name);
            error.printStackTrace(System.out);
        }
    }

    static void equal(Object ours, Object expected) {
        // Numbers of the driver come in several widths.
        if (!String.valueOf(ours).equals(String.valueOf(expected))) throw new AssertionError(ours + " is not " + expected);
    }

    static Connection connect(String... options) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("socketTimeout", "60");
        for (int i = 0; i < options.length; i += 2) properties.setProperty(options[i], options[i + 1]);
        return DriverManager.getConnection(url, properties);
    }

    static void run(Connection connection, String... texts) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String text : texts) statement.execute(text);
        }
    }

    static List<List<Object>> rows(ResultSet result, String... columns) throws SQLException {
        List<List<Object>> rows = new ArrayList<>();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (String column : columns) row.add(result.getObject(column));
            rows.add(row);
        }
        return rows;
    }

    static Object one(Connection connection, String text) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(text)) {
            result.next();
            return result.getObject(1);
        }
    }

    static void metadata() throws Exception {
        try (Connection connection = connect()) {
            run(connection, "CREATE SCHEMA j",
                "CREATE TYPE j.side AS ENUM ('buy', 'sell')",
                "CREATE TABLE j.owner (id serial PRIMARY KEY, name varchar(40) NOT NULL UNIQUE)",
                "CREATE TABLE j.item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner int REFERENCES j.owner (id) ON DELETE CASCADE,"
                    + " price numeric(20, 8) DEFAULT 1.5, side j.side, tags text[], made timestamptz NOT NULL, twice numeric GENERATED ALWAYS AS (price * 2) STORED)",
                "COMMENT ON TABLE j.item IS 'things'", "COMMENT ON COLUMN j.item.price IS 'in coins'",
                "CREATE INDEX item_made ON j.item (made DESC, owner)",
                "CREATE VIEW j.dear AS SELECT id FROM j.item WHERE price > 100",
                "CREATE FUNCTION j.gross(cost numeric, rate float8) RETURNS numeric LANGUAGE sql AS 'SELECT cost * 2'",
                "CREATE PROCEDURE j.work(a int) LANGUAGE plpgsql AS 'BEGIN END'",
                "GRANT SELECT ON j.item TO PUBLIC", "GRANT UPDATE (price) ON j.item TO PUBLIC");
            DatabaseMetaData data = connection.getMetaData();
            equal(data.getDatabaseProductName(), "PostgreSQL");
            equal(data.getDatabaseMajorVersion(), 15);
            equal(rows(data.getTables(null, "j", "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
                List.of(Arrays.asList("item", "TABLE", "things"), Arrays.asList("owner", "TABLE", null), Arrays.asList("dear", "VIEW", null)));
            equal(rows(data.getColumns(null, "j", "item", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "IS_NULLABLE", "IS_AUTOINCREMENT", "IS_GENERATEDCOLUMN"),
                List.of(Arrays.asList("id", "int8", 19, 0, "NO", "YES", "NO"), Arrays.asList("owner", "int4", 10, 0, "YES", "NO", "NO"),
                    Arrays.asList("price", "numeric", 20, 8, "YES", "NO", "NO"), Arrays.asList("side", "\"j\".\"side\"", 2147483647, 0, "YES", "NO", "NO"),
                    Arrays.asList("tags", "_text", 2147483647, 0, "YES", "NO", "NO"), Arrays.asList("made", "timestamptz", 35, 6, "NO", "NO", "NO"),
                    Arrays.asList("twice", "numeric", 0, null, "YES", "NO", "YES")));
            equal(rows(data.getPrimaryKeys(null, "j", "item"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"), List.of(List.of("id", 1, "item_pkey")));
            equal(rows(data.getImportedKeys(null, "j", "item"), "PKTABLE_NAME", "FKCOLUMN_NAME", "DELETE_RULE", "FK_NAME"),
                List.of(List.of("owner", "owner", (short) DatabaseMetaData.importedKeyCascade, "item_owner_fkey")));
            equal(rows(data.getExportedKeys(null, "j", "owner"), "FKTABLE_NAME"), List.of(List.of("item")));
            equal(rows(data.getCrossReference(null, "j", "owner", null, "j", "item"), "FKTABLE_NAME"), List.of(List.of("item")));
            equal(rows(data.getIndexInfo(null, "j", "item", false, false), "INDEX_NAME", "NON_UNIQUE", "ORDINAL_POSITION", "COLUMN_NAME", "ASC_OR_DESC"),
                List.of(List.of("item_pkey", false, (short) 1, "id", "A"), List.of("item_made", true, (short) 1, "made", "D"), List.of("item_made", true, (short) 2, "owner", "A")));
            equal(rows(data.getSchemas(null, "j"), "TABLE_SCHEM"), List.of(List.of("j")));
            equal(rows(data.getFunctions(null, "j", "%"), "FUNCTION_NAME", "FUNCTION_TYPE"), List.of(List.of("gross", (short) 1)));
            equal(rows(data.getProcedures(null, "j", "%"), "PROCEDURE_NAME"), List.of(List.of("work")));
            equal(rows(data.getProcedureColumns(null, "j", "work", "%"), "COLUMN_NAME", "TYPE_NAME"), List.of(List.of("returnValue", "void"), List.of("a", "int4")));
            equal(rows(data.getFunctionColumns(null, "j", "gross", "%"), "COLUMN_NAME", "TYPE_NAME"),
                List.of(List.of("returnValue", "numeric"), List.of("cost", "numeric"), List.of("rate", "float8")));
            equal(rows(data.getBestRowIdentifier(null, "j", "item", DatabaseMetaData.bestRowSession, false), "COLUMN_NAME"), List.of(List.of("id")));
            rows(data.getUDTs(null, "j", "%", null), "TYPE_NAME");
            if (rows(data.getTablePrivileges(null, "j", "item"), "GRANTEE", "PRIVILEGE").isEmpty()) throw new AssertionError("no privileges");
            if (rows(data.getColumnPrivileges(null, "j", "item", "price"), "GRANTEE", "PRIVILEGE").isEmpty()) throw new AssertionError("no privileges");
            rows(data.getVersionColumns(null, "j", "item"), "COLUMN_NAME");
            if (!rows(data.getTypeInfo(), "TYPE_NAME", "DATA_TYPE").contains(List.of("int8", Types.BIGINT))) throw new AssertionError("no int8");
            if (!rows(data.getCatalogs(), "TABLE_CAT").contains(List.of(System.getenv("PGDATABASE")))) throw new AssertionError("no catalog");
            rows(data.getTableTypes(), "TABLE_TYPE");
            rows(data.getClientInfoProperties(), "NAME");
            if (data.getSQLKeywords().isEmpty() || data.getNumericFunctions().isEmpty() || data.getMaxColumnNameLength() != 63) throw new AssertionError("keywords");
            equal(data.getDefaultTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
            try (PreparedStatement statement = connection.prepareStatement("SELECT i.price AS p, made, count(*) OVER () FROM j.item i WHERE owner = ? AND tags = ?")) {
                ResultSetMetaData columns = statement.getMetaData();
                equal(List.of(columns.getColumnName(1), columns.getPrecision(1), columns.getScale(1), columns.isNullable(2), columns.getColumnTypeName(3)), List.of("p", 20, 8, ResultSetMetaData.columnNoNulls, "int8"));
                equal(columns.isAutoIncrement(1), false);
                equal(((org.postgresql.PGResultSetMetaData) columns).getBaseTableName(1), "item");
                equal(((org.postgresql.PGResultSetMetaData) columns).getBaseColumnName(1), "price");
                ParameterMetaData parameters = statement.getParameterMetaData();
                equal(List.of(parameters.getParameterTypeName(1), parameters.getParameterTypeName(2)), List.of("int4", "_text"));
            }
            run(connection, "DROP SCHEMA j CASCADE");
        }
    }

    static void values(String... options) throws Exception {
        try (Connection connection = connect(options)) {
            run(connection, "CREATE TABLE j_values (a int, b bigint, n numeric, t text, f float8, o boolean, d date, z timestamptz, l timestamp, c time, y bytea, u uuid, r text[], i int[], j jsonb)");
            UUID key = UUID.randomUUID();
            OffsetDateTime time = OffsetDateTime.of(2024, 1, 2, 3, 4, 5, 6000, ZoneOffset.UTC);
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO j_values VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?::jsonb)");
                 PreparedStatement read = connection.prepareStatement("SELECT * FROM j_values WHERE a = ?")) {
                for (int round = 0; round < 8; round++) {
                    statement.setInt(1, round);
                    statement.setLong(2, 1L << 60);
                    statement.setBigDecimal(3, new BigDecimal("-12345678901234.567890"));
                    statement.setString(4, "é ☃ '");
                    statement.setDouble(5, 0.1);
                    statement.setBoolean(6, true);
                    statement.setObject(7, LocalDate.of(2024, 2, 29));
                    statement.setObject(8, time);
                    statement.setTimestamp(9, Timestamp.valueOf("2024-01-02 03:04:05.000006"));
                    statement.setObject(10, java.time.LocalTime.of(1, 2, 3));
                    // By simple queries this driver has no bytes to send.
                    boolean simple = Arrays.asList(options).contains("simple");
                    if (simple) statement.setNull(11, Types.BINARY);
                    else statement.setBytes(11, new byte[] {0, (byte) 255});
                    statement.setObject(12, key);
                    statement.setArray(13, connection.createArrayOf("text", new String[] {"a", null, "b,c"}));
                    statement.setArray(14, connection.createArrayOf("int4", new Integer[] {1, 2}));
                    statement.setString(15, "{\"a\": 1}");
                    equal(statement.executeUpdate(), 1);
                    read.setInt(1, round);
                    try (ResultSet row = read.executeQuery()) {
                        equal(row.next(), true);
                        equal(List.of(row.getLong(2), row.getBigDecimal(3), row.getString(4), row.getDouble(5), row.getBoolean(6), row.getObject(7, LocalDate.class)),
                            List.of(1L << 60, new BigDecimal("-12345678901234.567890"), "é ☃ '", 0.1, true, LocalDate.of(2024, 2, 29)));
                        equal(List.of(row.getObject(8, OffsetDateTime.class).toInstant(), row.getTimestamp(9), row.getObject(10, java.time.LocalTime.class), row.getObject(12)),
                            List.of(time.toInstant(), Timestamp.valueOf("2024-01-02 03:04:05.000006"), java.time.LocalTime.of(1, 2, 3), key));
                        equal(Arrays.toString(row.getBytes(11)), simple ? "null" : "[0, -1]");
                        equal(Arrays.toString((Object[]) row.getArray(13).getArray()), "[a, null, b,c]");
                        equal(Arrays.toString((Object[]) row.getArray(14).getArray()), "[1, 2]");
                        equal(row.getString(15), "{\"a\": 1}");
                    }
                }
            }
            run(connection, "DROP TABLE j_values");
        }
    }

    static void batches(String... options) throws Exception {
        try (Connection connection = connect(options)) {
            run(connection, "CREATE TABLE j_batch (t timestamptz NOT NULL, s text, v float8)", "SELECT create_hypertable('j_batch', 't')");
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO j_batch (t, s, v) VALUES (?, ?, ?)")) {
                for (int i = 0; i < 3000; i++) {
                    statement.setObject(1, OffsetDateTime.of(2024, 1, 1, 0, 0, 0, 0, ZoneOffset.UTC).plusMinutes(i));
                    statement.setString(2, "s" + i % 3);
                    statement.setDouble(3, i);
                    statement.addBatch();
                }
                equal(statement.executeBatch().length, 3000);
            }
            connection.commit();
            connection.setAutoCommit(true);
            equal(one(connection, "SELECT count(*) FROM j_batch"), 3000L);
            run(connection, "CREATE TABLE j_keys (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text NOT NULL)");
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO j_keys (v) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
                for (String v : List.of("a", "b", "c")) {
                    statement.setString(1, v);
                    statement.addBatch();
                }
                statement.executeBatch();
                equal(rows(statement.getGeneratedKeys(), "id"), List.of(List.of(1), List.of(2), List.of(3)));
            }
            try (PreparedStatement statement = connection.prepareStatement("INSERT INTO j_keys (v) VALUES (?)")) {
                for (String v : Arrays.asList("d", null, "e")) {
                    statement.setString(1, v);
                    statement.addBatch();
                }
                statement.executeBatch();
                throw new AssertionError("no error");
            } catch (BatchUpdateException error) {
                equal(error.getSQLState(), "23502");
            }
            equal(one(connection, "SELECT count(*) FROM j_keys"), 3L);
            run(connection, "DROP TABLE j_keys", "DROP TABLE j_batch");
        }
    }

    static void copies() throws Exception {
        try (Connection connection = connect()) {
            run(connection, "CREATE TABLE j_copy (a int, b text)");
            CopyManager manager = connection.unwrap(PGConnection.class).getCopyAPI();
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < 10000; i++) text.append(i).append(",row ").append(i).append('\n');
            equal(manager.copyIn("COPY j_copy FROM STDIN WITH (FORMAT csv)", new StringReader(text.toString())), 10000L);
            StringWriter out = new StringWriter();
            equal(manager.copyOut("COPY (SELECT * FROM j_copy ORDER BY a) TO STDOUT WITH (FORMAT csv)", out), 10000L);
            equal(out.toString(), text.toString());
            try {
                manager.copyIn("COPY j_copy FROM STDIN", new StringReader("x\ty\n"));
                throw new AssertionError("no error");
            } catch (SQLException error) {
                equal(error.getSQLState(), "22P02");
            }
            equal(one(connection, "SELECT count(*) FROM j_copy"), 10000L);
            run(connection, "DROP TABLE j_copy");
        }
    }

    static void prepared() throws Exception {
        try (Connection connection = connect("prepareThreshold", "3")) {
            run(connection, "CREATE TABLE j_prep (a int PRIMARY KEY, b text)", "INSERT INTO j_prep VALUES (1, 'x')");
            try (PreparedStatement statement = connection.prepareStatement("SELECT * FROM j_prep WHERE a = ?")) {
                for (int i = 0; i < 10; i++) {
                    statement.setInt(1, 1);
                    try (ResultSet row = statement.executeQuery()) {
                        row.next();
                        equal(row.getString(2), "x");
                    }
                }
                equal(((org.postgresql.PGStatement) statement).isUseServerPrepare(), true);
                equal(one(connection, "SELECT count(*) > 0 FROM pg_prepared_statements"), true);
                run(connection, "ALTER TABLE j_prep ADD COLUMN c int DEFAULT 7");
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    equal(row.getInt("c"), 7);
                }
                run(connection, "DEALLOCATE ALL");
                try (ResultSet row = statement.executeQuery()) {
                    equal(row.next(), true);
                }
            }
            run(connection, "DROP TABLE j_prep");
        }
    }

    static void cursors() throws Exception {
        try (Connection connection = connect()) {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(100);
                long sum = 0;
                try (ResultSet result = statement.executeQuery("SELECT generate_series(1, 5050) AS n")) {
                    while (result.next()) sum += result.getInt(1);
                }
                equal(sum, 12753775L);
                statement.setMaxRows(5);
                try (ResultSet result = statement.executeQuery("SELECT generate_series(1, 100)")) {
                    equal(rows(result).size(), 5);
                }
            }
            connection.commit();
            connection.setAutoCommit(true);
            run(connection, "CREATE TABLE j_edit (a int PRIMARY KEY, b text)", "INSERT INTO j_edit VALUES (1, 'x'), (2, 'y')");
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
                 ResultSet result = statement.executeQuery("SELECT a, b FROM j_edit ORDER BY a")) {
                result.last();
                equal(result.getRow(), 2);
                result.updateString("b", "z");
                result.updateRow();
                result.moveToInsertRow();
                result.updateInt(1, 3);
                result.updateString(2, "w");
                result.insertRow();
                result.absolute(1);
                result.deleteRow();
            }
            equal(one(connection, "SELECT string_agg(a || b, ',' ORDER BY a) FROM j_edit"), "2z,3w");
            run(connection, "DROP TABLE j_edit");
        }
    }

    static void transactions() throws Exception {
        try (Connection connection = connect()) {
            run(connection, "CREATE TABLE j_tx (a int PRIMARY KEY)");
            connection.setAutoCommit(false);
            connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
            run(connection, "INSERT INTO j_tx VALUES (1)");
            Savepoint savepoint = connection.setSavepoint("here");
            try {
                run(connection, "INSERT INTO j_tx VALUES (1)");
            } catch (SQLException error) {
                equal(error.getSQLState(), "23505");
                connection.rollback(savepoint);
            }
            run(connection, "INSERT INTO j_tx VALUES (2)");
            connection.commit();
            connection.setReadOnly(true);
            try {
                run(connection, "INSERT INTO j_tx VALUES (3)");
                throw new AssertionError("no error");
            } catch (SQLException error) {
                equal(error.getSQLState(), "25006");
            }
            connection.rollback();
            connection.setReadOnly(false);
            equal(one(connection, "SELECT count(*) FROM j_tx"), 2L);
            connection.commit();
            connection.setAutoCommit(true);
            run(connection, "DROP TABLE j_tx");
        }
        try (Connection connection = connect("autosave", "always")) {
            connection.setAutoCommit(false);
            try {
                run(connection, "SELECT nothing");
            } catch (SQLException error) {
                equal(error.getSQLState(), "42703");
            }
            equal(one(connection, "SELECT 1"), 1);
        }
    }

    static void calls() throws Exception {
        try (Connection connection = connect("escapeSyntaxCallMode", "callIfNoReturn")) {
            run(connection, "CREATE FUNCTION j_add(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT a + b'",
                "CREATE TABLE j_called (a int)",
                "CREATE PROCEDURE j_call(a int) LANGUAGE plpgsql AS 'BEGIN INSERT INTO j_called VALUES (a); END'");
            try (CallableStatement statement = connection.prepareCall("{? = call j_add(?, ?)}")) {
                statement.registerOutParameter(1, Types.INTEGER);
                statement.setInt(2, 2);
                statement.setInt(3, 3);
                statement.execute();
                equal(statement.getInt(1), 5);
            }
            try (CallableStatement statement = connection.prepareCall("{call j_call(?)}")) {
                statement.setInt(1, 4);
                statement.execute();
            }
            equal(one(connection, "SELECT a FROM j_called"), 4);
            equal(one(connection, "SELECT {fn concat('a', 'b')} || {fn ucase('c')} || extract(year FROM {d '2024-01-02'})"), "abC2024");
            run(connection, "DROP PROCEDURE j_call(int)", "DROP FUNCTION j_add(int, int)", "DROP TABLE j_called");
        }
    }

    static void cancelling() throws Exception {
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            try {
                statement.execute("SELECT pg_sleep(30)");
                throw new AssertionError("no error");
            } catch (SQLException error) {
                equal(error.getSQLState(), "57014");
            }
            equal(connection.isValid(5), true);
            connection.setNetworkTimeout(Runnable::run, 5000);
            connection.setClientInfo("ApplicationName", "jdbc check");
            equal(one(connection, "SHOW application_name"), "jdbc check");
            connection.setSchema("pg_catalog");
            equal(connection.getSchema(), "pg_catalog");
            Statement notes = connection.createStatement();
            notes.execute("DO $$ BEGIN RAISE NOTICE 'well'; END $$");
            equal(notes.getWarnings().getMessage(), "well");
            notes.execute("LISTEN j_news");
            notes.execute("NOTIFY j_news, 'x'");
            equal(connection.unwrap(PGConnection.class).getNotifications(5000)[0].getParameter(), "x");
        }
    }

    public static void main(String[] arguments) throws Exception {
        url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        check("metadata of all kinds", Jdbc::metadata);
        check("values go there and back", Jdbc::values);
        check("values go there and back in text alone", () -> values("binaryTransfer", "false"));
        check("values go there and back by simple queries", () -> values("preferQueryMode", PreferQueryMode.SIMPLE.value()));
        check("batches are inserted, their keys returned", Jdbc::batches);
        check("batches rewritten as lists of rows", () -> batches("reWriteBatchedInserts", "true"));
        check("COPY in and out", Jdbc::copies);
        check("statements prepared on the server follow the schema", Jdbc::prepared);
        check("cursors by fetch size, results that are edited", Jdbc::cursors);
        check("transactions, savepoints, autosave", Jdbc::transactions);
        check("functions and procedures are called", Jdbc::calls);
        check("time limits, notices, notifications", Jdbc::cancelling);
        System.exit(failed ? 1 : 0);
    }
}
