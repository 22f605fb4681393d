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
