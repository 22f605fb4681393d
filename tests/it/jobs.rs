//! Jobs run by themselves while a database is open.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread::sleep;
use std::time::Duration;

use chronolith::{Connection, Database};

const SETUP: &[&str] = &[
    "CREATE TABLE runs (job int, at timestamptz)",
    "CREATE PROCEDURE note(job_id int, config jsonb) LANGUAGE SQL AS \
     $$ INSERT INTO runs VALUES (job_id, now()) $$",
    "CREATE PROCEDURE broken(job_id int, config jsonb) LANGUAGE SQL AS $$ SELECT 1 / (job_id - 1002) $$",
    "CREATE PROCEDURE slow(job_id int, config jsonb) LANGUAGE SQL AS $$ SELECT pg_sleep(600) $$",
    // 1000, 1001, 1002
    "SELECT add_job('slow', '1 hour')",
    "SELECT add_job('note', '100 milliseconds')",
    "SELECT add_job('broken', '100 milliseconds')",
];

/// Waits until a query of one number gives at least so many.
fn wait_for(connection: &mut Connection, sql: &str, least: i64) -> i64 {
    for _ in 0..600 {
        let count: i64 = connection.query(sql).unwrap().single().unwrap();
        if count >= least {
            return count;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("{sql} stays below {least}");
}

#[test]
fn jobs_run_side_by_side_and_go_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    for statement in SETUP {
        connection.execute(statement).unwrap();
    }
    // One is slow and one fails: the third runs all the same.
    let before = wait_for(&mut connection, "SELECT count(*) FROM runs", 3);
    wait_for(
        &mut connection,
        "SELECT count(*) FROM timescaledb_information.job_errors WHERE job_id = 1002 AND sqlerrcode = '22012'",
        1,
    );
    let status: String = connection
        .query("SELECT job_status FROM timescaledb_information.job_stats WHERE job_id = 1000")
        .unwrap()
        .single()
        .unwrap();
    assert_eq!(status, "Running");
    drop(connection);
    // The slow one does not hold the end up.
    db.close().unwrap();

    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    let broken_off: String = connection
        .query("SELECT sqlerrcode FROM timescaledb_information.job_errors WHERE job_id = 1000")
        .unwrap()
        .single()
        .unwrap();
    assert_eq!(broken_off, "57P01");
    wait_for(&mut connection, "SELECT count(*) FROM runs", before + 2);
    wait_for(
        &mut connection,
        "SELECT count(*) FROM timescaledb_information.job_stats WHERE job_id = 1000 AND job_status = 'Running'",
        1,
    );
    connection
        .execute("SELECT alter_job(job_id, scheduled => false) FROM timescaledb_information.jobs")
        .unwrap();
    drop(connection);
    db.close().unwrap();
}

#[test]
fn a_job_is_stopped_when_its_time_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    for statement in &SETUP[..4] {
        connection.execute(statement).unwrap();
    }
    connection
        .execute("SELECT alter_job(add_job('slow', '1 hour', initial_start => now() + INTERVAL '1 hour'), max_runtime => INTERVAL '200 milliseconds', next_start => now())")
        .unwrap();
    wait_for(
        &mut connection,
        "SELECT count(*) FROM timescaledb_information.job_errors WHERE job_id = 1000 AND sqlerrcode = '57014'",
        1,
    );
    drop(connection);
    db.close().unwrap();
}

#[test]
fn a_database_that_was_told_so_runs_no_jobs_and_lets_its_directory_go() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let db = Database::open(dir.path()).unwrap();
        drop(db);
    }
    let db = Database::builder().jobs(false).open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    for statement in SETUP {
        connection.execute(statement).unwrap();
    }
    sleep(Duration::from_millis(700));
    let runs: i64 = connection
        .query("SELECT count(*) FROM runs")
        .unwrap()
        .single()
        .unwrap();
    assert_eq!(runs, 0);
}
