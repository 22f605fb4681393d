//! Wrong statements that users are known to write: each is told where to look instead.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::sessions::open;

#[test]
fn known_mistakes_get_a_hint() {
    let (_dir, db) = open();
    let mut connection = db.connect().unwrap();
    connection
        .run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .unwrap();
    connection.run("CREATE SCHEMA trading").unwrap();
    connection
        .run("CREATE TABLE price_data (time timestamptz NOT NULL, symbol text)")
        .unwrap();
    connection
        .run("SELECT create_hypertable('price_data', 'time')")
        .unwrap();
    connection
        .run("CREATE TABLE reports (report_date date NOT NULL, status text)")
        .unwrap();
    for (sql, code, hint) in [
        (
            "SELECT view_name FROM timescaledb_information.job_stats
             JOIN timescaledb_information.continuous_aggregates ON job_id = view_owner",
            "42883",
            "explicit type casts",
        ),
        (
            "SELECT pg_size_pretty(before_compression_total_bytes) FROM timescaledb_information.compression_settings",
            "42703",
            "hypertable_columnstore_stats",
        ),
        (
            "SELECT s.after_compression_total_bytes FROM timescaledb_information.compression_settings s",
            "42703",
            "hypertable_columnstore_stats",
        ),
        (
            "SELECT symbl FROM price_data",
            "42703",
            "Perhaps you meant to reference the column \"price_data.symbol\".",
        ),
        (
            "SELECT p.stats FROM price_data p, reports r WHERE r.status = p.symbol",
            "42703",
            "Perhaps you meant to reference the column \"r.status\".",
        ),
        (
            "SELECT add_compression_policy('price_data', INTERVAL '7 days')",
            "55000",
            "Enable columnstore",
        ),
        (
            "INSERT INTO price_data SELECT price_data.time, status FROM reports",
            "42P01",
            "There is an entry for table \"price_data\", but it cannot be referenced from this part of the query.",
        ),
        (
            "INSERT INTO price_data VALUES (now(), symbol)",
            "42703",
            "There is a column named \"symbol\" in table \"price_data\", but it cannot be referenced from this part of the query.",
        ),
        (
            "SELECT * FROM price_data p, (SELECT price_data.symbol) s",
            "42P01",
            "Perhaps you meant to reference the table alias \"p\".",
        ),
        (
            "INSERT INTO price_data VALUES (now(), 'a') ON CONFLICT (symbol, time) DO NOTHING",
            "42P10",
            "unique index",
        ),
        (
            "SELECT create_hypertable('reports', 'timestamp')",
            "42703",
            "report_date",
        ),
        (
            "CREATE PUBLICATION p FOR ALL TABLES IN SCHEMA trading",
            "42601",
            "FOR TABLES IN SCHEMA",
        ),
        (
            "SELECT * FROM pg_stat_statements ORDER BY total_time DESC LIMIT 10",
            "42703",
            "total_exec_time",
        ),
        (
            "SELECT query, mean_time, calls FROM pg_stat_statements",
            "42703",
            "mean_exec_time",
        ),
        (
            "SELECT hypertable_name, compressed_chunks FROM timescaledb_information.hypertables",
            "42703",
            "is_compressed",
        ),
    ] {
        let error = connection.query(sql).unwrap_err();
        assert_eq!(error.code.as_str(), code, "{sql}");
        let told = error.hint.unwrap_or_default();
        assert!(told.contains(hint), "{sql}: {told}");
    }
    // A hint is for the view alone that is known by it.
    connection.run("CREATE TABLE hypertables (a int)").unwrap();
    let error = connection.query("SELECT b FROM hypertables").unwrap_err();
    assert_eq!(error.hint, None);
}

/// The places are PostgreSQL 15's.
#[test]
fn an_error_points_at_its_operator_or_value() {
    let (_dir, db) = open();
    let mut connection = db.connect().unwrap();
    connection
        .run("CREATE TABLE t (a int, b text, d timestamptz)")
        .unwrap();
    for (sql, code, position) in [
        ("SELECT 1 + true", "42883", Some(10)),
        ("SELECT 1 +\n\n -- +\n true", "42883", Some(10)),
        ("SELECT 'é', 1 + true", "42883", Some(15)),
        ("SELECT - true", "42883", Some(8)),
        ("SELECT * FROM t WHERE b = 1", "42883", Some(25)),
        ("SELECT * FROM t WHERE a = -(d)", "42883", Some(27)),
        ("SELECT * FROM t WHERE a NOT LIKE 'x'", "42883", Some(25)),
        ("SELECT * FROM t WHERE a NOT IN (true)", "42883", Some(25)),
        ("SELECT * FROM t WHERE a BETWEEN b AND 2", "42883", Some(25)),
        ("SELECT a IS DISTINCT FROM b FROM t", "42883", Some(10)),
        ("SELECT 1 = ANY (1)", "42809", Some(10)),
        ("SELECT (1, 2) = (1, 2, 3)", "42601", Some(15)),
        ("SELECT (1, 2) IN (SELECT 1)", "42601", Some(15)),
        ("CREATE VIEW v AS SELECT 1 + true", "42883", Some(27)),
        ("PREPARE p AS SELECT 1 + true", "42883", Some(23)),
        ("EXPLAIN SELECT 1 + true", "42883", Some(18)),
        ("UPDATE t SET a = a + true", "42883", Some(20)),
        ("DELETE FROM t WHERE a = d", "42883", Some(23)),
        ("SELECT 1 UNION SELECT 1, 2", "42601", Some(23)),
        ("SELECT 1 UNION SELECT true", "42804", Some(23)),
        ("SELECT 1 UNION SELECT 2 ORDER BY x", "42703", Some(34)),
        ("VALUES (1), (true)", "42804", Some(14)),
        ("SELECT COALESCE(1, true)", "42804", Some(20)),
        (
            "SELECT CASE WHEN true THEN 1 ELSE true END",
            "42804",
            Some(28),
        ),
        ("SELECT ARRAY[1, true]", "42804", Some(17)),
        ("INSERT INTO t (a, b) VALUES (1)", "42601", Some(19)),
        ("INSERT INTO t (a, b) SELECT 1", "42601", Some(19)),
        ("INSERT INTO t (a) SELECT 1, 2", "42601", Some(29)),
        ("INSERT INTO t (a, b) SELECT b, a FROM t", "42804", Some(29)),
        ("SELECT a FROM t LIMIT -1", "2201W", None),
        ("SELECT * FROM t JOIN t u USING (q)", "42703", None),
    ] {
        let error = connection.query(sql).unwrap_err();
        assert_eq!(error.code.as_str(), code, "{sql}: {error}");
        assert_eq!(error.position, position, "{sql}");
    }
}
