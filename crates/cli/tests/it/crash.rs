//! What survives when the process does not.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::program::{Serving, run, stderr};

#[tokio::test]
async fn acknowledged_rows_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    client
        .batch_execute(
            "CREATE TABLE ticks (ts timestamptz NOT NULL, id int NOT NULL);
             SELECT create_hypertable('ticks', by_range('ts', interval '1 day'))",
        )
        .await
        .unwrap();
    let insert = client
        .prepare("INSERT INTO ticks VALUES (timestamptz '2026-01-05 00:00+00' + $1::int * interval '1 hour', $1)")
        .await
        .unwrap();
    for id in 0..100_i32 {
        client.execute(&insert, &[&id]).await.unwrap();
    }
    // Killed with a transaction open, whose rows nobody was promised.
    client
        .batch_execute("BEGIN; INSERT INTO ticks VALUES (now(), 1000)")
        .await
        .unwrap();
    serving.kill();

    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    let row = client
        .query_one("SELECT count(*), min(id), max(id) FROM ticks", &[])
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get(1), row.get(2)), (100, 0, 99));
    // And again, from a log that was replayed once already.
    serving.kill();
    let serving = Serving::start(dir.path(), &[]);
    let count: i64 = serving
        .connect()
        .await
        .query_one("SELECT count(*) FROM ticks", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 100);
}

#[tokio::test]
async fn sigterm_waits_for_no_statement_that_blocks_its_thread() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let (sleeper, watcher) = (serving.connect().await, serving.connect().await);
    let slept = tokio::spawn(async move { sleeper.batch_execute("SELECT pg_sleep(60)").await });
    let asked = "SELECT count(*) FROM pg_stat_activity
        WHERE query LIKE '%sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()";
    while watcher
        .query_one(asked, &[])
        .await
        .unwrap()
        .get::<_, i64>(0)
        == 0
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    serving.signal("-TERM");
    // A container that does not end in ten seconds is killed.
    let ended = tokio::time::timeout(Duration::from_secs(8), slept).await;
    let error = ended.unwrap().unwrap().unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::ADMIN_SHUTDOWN), "{error:?}");
    assert_eq!(serving.terminate(), Some(0));
}

#[tokio::test]
async fn sigterm_ends_the_server_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    client
        .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
        .await
        .unwrap();
    assert_eq!(serving.terminate(), Some(0));
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    let a: i32 = client
        .query_one("SELECT a FROM t", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(a, 7);
}

#[tokio::test]
async fn statistics_outlive_sigterm_and_not_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let count = async |serving: &Serving| -> i64 {
        let client = serving.connect().await;
        let sql = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 't'";
        client.query_one(sql, &[]).await.unwrap().get(0)
    };
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    client
        .batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7), (8)")
        .await
        .unwrap();
    assert_eq!(serving.terminate(), Some(0));
    let serving = Serving::start(dir.path(), &[]);
    assert_eq!(count(&serving).await, 2);
    serving.kill();
    let serving = Serving::start(dir.path(), &[]);
    assert_eq!(count(&serving).await, 0);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _serving = Serving::start(dir.path(), &[]);
    let data = dir.path().display().to_string();
    let second = run(&["sql", "--data-dir", &data, "-c", "SELECT 1"]);
    assert_eq!(second.status.code(), Some(1));
    let text = stderr(&second);
    assert!(text.contains("F0001") || text.contains("55006"), "{text}");
}
