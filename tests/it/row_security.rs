//! Row-level security: what plans skip, and what functions get to see.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith::{Connection, Database};

use crate::sessions::open;

struct Db {
    _dir: tempfile::TempDir,
    _db: Database,
    connection: Connection,
}

impl Db {
    fn run(&mut self, sql: &str) {
        self.connection.execute(sql).unwrap();
    }

    fn query(&mut self, sql: &str) -> Vec<String> {
        let rows = self.connection.query(sql);
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(|row| row.get(0).unwrap()).collect()
    }
}

/// Ten days of ten desks, a chunk a day; `who` sees the rows of one desk.
fn db() -> Db {
    let (dir, db) = open();
    let connection = db.connect().unwrap();
    let mut db = Db {
        _dir: dir,
        _db: db,
        connection,
    };
    db.run("CREATE TABLE fills (time timestamptz NOT NULL, desk text, n int)");
    db.run("SELECT create_hypertable('fills', 'time', chunk_time_interval => interval '1 day')");
    db.run("ALTER TABLE fills SET (timescaledb.compress, timescaledb.compress_segmentby = 'desk')");
    db.run(
        "INSERT INTO fills SELECT timestamptz '2026-01-01' + n * interval '1 minute', 'desk' || n % 10, n
         FROM generate_series(0, 14399) n",
    );
    db.run("CREATE ROLE who");
    db.run("GRANT SELECT ON fills TO who");
    db.run("CREATE POLICY own ON fills USING (desk = 'desk3')");
    db.run(
        "CREATE FUNCTION leaky(int, text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS
         'BEGIN RAISE EXCEPTION ''saw % of %'', $1, $2; END'",
    );
    db
}

const CONDITIONS: [&str; 5] = [
    "time >= '2026-01-04' AND time < '2026-01-05'",
    "time BETWEEN '2026-01-04' AND '2026-01-04 23:59'",
    "time >= timestamptz '2026-01-05' - interval '1 day' AND time < '2026-01-05' AND n > 5",
    "(time >= '2026-01-04' AND time < '2026-01-05') AND desk IN ('desk3', 'desk4')",
    "time >= '2026-01-04' AND time < '2026-01-05' AND n / 2 > 1",
];

#[test]
fn conditions_that_tell_nothing_skip_chunks_beneath_policies() {
    let mut db = db();
    for compressed in [false, true] {
        if compressed {
            db.run("SELECT compress_chunk(c) FROM show_chunks('fills') c");
        }
        for condition in CONDITIONS {
            let sql = format!("SELECT n::text FROM fills WHERE {condition} ORDER BY fills.n");
            db.run("ALTER TABLE fills DISABLE ROW LEVEL SECURITY");
            let without = db.query(&format!("EXPLAIN {sql}")).join("\n");
            assert!(without.contains("chunks=1 of 10"), "{condition}\n{without}");
            let expected = db.query(&format!(
                "SELECT n::text FROM fills WHERE {condition} AND desk = 'desk3' ORDER BY fills.n"
            ));
            db.run("ALTER TABLE fills ENABLE ROW LEVEL SECURITY");
            db.run("SET ROLE who");
            let plan = db.query(&format!("EXPLAIN {sql}")).join("\n");
            assert!(plan.contains("chunks=1 of 10"), "{condition}\n{plan}");
            assert!(plan.contains("desk in (desk3"), "{condition}\n{plan}");
            assert_eq!(db.query(&sql), expected, "{condition}");
            assert!(!expected.is_empty());
            db.run("RESET ROLE");
        }
    }
}

#[test]
fn what_may_fail_or_calls_a_user_sees_no_hidden_row() {
    let mut db = db();
    db.run("ALTER TABLE fills ENABLE ROW LEVEL SECURITY");
    for compressed in [false, true] {
        if compressed {
            db.run("SELECT compress_chunk(c) FROM show_chunks('fills') c");
        }
        db.run("SET ROLE who");
        for sql in [
            "SELECT n::text FROM fills WHERE leaky(n, desk) AND desk = 'desk4'",
            "SELECT n::text FROM fills WHERE leaky(n, desk) AND time < '2025-01-01'",
            "SELECT n::text FROM fills WHERE 1 / (n - 4) > 100 AND n < 5",
            "SELECT n::text FROM fills WHERE (1 / (n - 4))::int IN (100, 200)",
            "SELECT f.n::text FROM fills f JOIN (VALUES (9)) v(n) ON f.n < v.n AND 1 / (f.n - 4) = 100",
            "SELECT count(*)::text FROM fills WHERE CASE WHEN desk = 'desk4' THEN leaky(n, desk) END HAVING count(*) > 0",
        ] {
            assert!(db.query(sql).is_empty(), "{sql}");
        }
        // What it may see it does see: the function fails for its own rows.
        let error = db
            .connection
            .query("SELECT n FROM fills WHERE leaky(n, desk)");
        let message = error.unwrap_err().message;
        assert!(message.ends_with("of desk3"), "{message}");
        db.run("RESET ROLE");
    }
}
