//! What the `pg_stat_…` views have counted outlives a clean shutdown, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use chronolith::{Connection, Database};

/// Rows inserted, updated, deleted and calls, as the views tell them.
fn counted(connection: &mut Connection) -> (i64, i64, i64, i64) {
    let rows = connection
        .query(
            "SELECT n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE relname = 't'",
        )
        .unwrap();
    let row = rows.iter().next().unwrap();
    let calls = connection
        .query(
            "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query ILIKE 'insert into t %'",
        )
        .unwrap();
    (
        row.get(0).unwrap(),
        row.get(1).unwrap(),
        row.get(2).unwrap(),
        calls.single().unwrap(),
    )
}

/// Transactions of the database that were committed.
fn commits(connection: &mut Connection) -> i64 {
    let rows = connection
        .query("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        .unwrap();
    rows.single().unwrap()
}

/// A directory that was shut down cleanly, with counts.
fn shut_down(dir: &Path) -> i64 {
    let db = Database::open(dir).unwrap();
    let mut connection = db.connect().unwrap();
    connection
        .run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .unwrap();
    connection
        .run("CREATE TABLE t (id int PRIMARY KEY, v int)")
        .unwrap();
    for from in [0, 10, 20] {
        connection
            .run(&format!(
                "INSERT INTO t SELECT {from} + n, n FROM generate_series(1, 10) n"
            ))
            .unwrap();
    }
    connection.run("UPDATE t SET v = 0 WHERE id <= 4").unwrap();
    connection.run("DELETE FROM t WHERE id > 27").unwrap();
    connection
        .run("INSERT INTO t VALUES (1, 1), (40, 4) ON CONFLICT (id) DO UPDATE SET v = excluded.v")
        .unwrap();
    connection
        .run(
            "MERGE INTO t USING (VALUES (2), (3), (41)) s(id) ON t.id = s.id
             WHEN MATCHED AND s.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 9
             WHEN NOT MATCHED THEN INSERT VALUES (s.id, 1)",
        )
        .unwrap();
    let commits = commits(&mut connection);
    drop(connection);
    db.close().unwrap();
    commits
}

#[test]
fn counts_outlive_a_clean_shutdown_and_no_crash() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("statistics");
    let before = shut_down(dir.path());
    assert!(file.exists());

    let db = Database::open(dir.path()).unwrap();
    assert!(!file.exists());
    let mut connection = db.connect().unwrap();
    assert_eq!(counted(&mut connection), (32, 6, 4, 4));
    assert!(commits(&mut connection) >= before);
    connection.run("INSERT INTO t VALUES (50, 5)").unwrap();
    drop(connection);
    db.close().unwrap();

    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    assert_eq!(counted(&mut connection).0, 33);
    connection.run("SELECT pg_stat_reset()").unwrap();
    assert_eq!(counted(&mut connection), (0, 0, 0, 5));
    // Nobody closes it: to the next start that is a crash.
    drop(connection);
    drop(db);
    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    assert_eq!(counted(&mut connection), (0, 0, 0, 0));
    let rows = connection.query("SELECT count(*) FROM t").unwrap();
    assert_eq!(rows.single::<i64>().unwrap(), 29);
}

#[test]
fn a_damaged_file_is_ignored_and_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("statistics");
    shut_down(dir.path());
    let whole = fs::read(&file).unwrap();
    let step = whole.len() / 12;
    for at in (0..whole.len()).step_by(step) {
        let mut bytes = whole.clone();
        bytes[at] ^= 16;
        fs::write(&file, &bytes).unwrap();
        let db = Database::open(dir.path()).unwrap();
        assert!(!file.exists());
        let mut connection = db.connect().unwrap();
        assert_eq!(counted(&mut connection), (0, 0, 0, 0), "byte {at}");
        drop(connection);
        drop(db);
    }
    // Part of it, none of it.
    for length in [0, 7, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let db = Database::open(dir.path()).unwrap();
        let mut connection = db.connect().unwrap();
        assert_eq!(counted(&mut connection), (0, 0, 0, 0), "{length} bytes");
    }
}
