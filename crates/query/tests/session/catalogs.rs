//! What clients read of what exists: pg_catalog, information_schema, TimescaleDB's views.

use super::Db;

/// A database with one of each thing.
fn full() -> Db {
    let mut db = Db::new();
    db.run(
        "CREATE TABLE symbols (
             symbol text PRIMARY KEY, exchange varchar(12) NOT NULL DEFAULT 'X',
             lot numeric(20,8) CHECK (lot > 0), tags text[], UNIQUE (exchange, symbol))",
    );
    db.run(
        "CREATE TABLE ticks (time timestamptz NOT NULL, symbol text NOT NULL, price float8, size int)",
    );
    db.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => interval '1 day')");
    db.run("CREATE INDEX by_symbol ON ticks (symbol, time DESC)");
    db.run(
        "INSERT INTO ticks VALUES ('2024-01-01 00:00:00+00', 'A', 1, 1), ('2024-01-02 12:00:00+00', 'B', 2, 2)",
    );
    db.run("CREATE VIEW last AS SELECT symbol, max(time) AS at FROM ticks GROUP BY symbol");
    db
}

#[test]
fn every_relation_can_be_read_whole() {
    let mut db = full();
    let all = db.query(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'v')",
    );
    assert!(all.len() > 150, "{}", all.len());
    for line in all {
        let (schema, name) = line.split_once('|').unwrap();
        if schema == "_timescaledb_internal" {
            continue;
        }
        db.query(&format!("SELECT * FROM \"{schema}\".\"{name}\""));
    }
}
