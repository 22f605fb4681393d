//! What several sessions do to each other: messages, locks, ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;
use std::time::Duration;

use chronolith::{Config, Connection, Database, Error};

const SOON: Duration = Duration::from_secs(10);

pub(crate) fn open() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    (dir, db)
}

pub(crate) fn pid(connection: &mut Connection) -> i32 {
    let rows = connection.query("SELECT pg_backend_pid()").unwrap();
    rows.single::<i32>().unwrap()
}

/// Until the session of that number waits for a lock.
pub(crate) fn until_waits(watcher: &mut Connection, pid: i32) {
    let sql = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
    for _ in 0..1000 {
        if watcher.query(&sql).unwrap().single::<i64>().unwrap() > 0 {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("session {pid} does not wait");
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code.to_string()
}

#[test]
fn a_database_that_is_dropped_leaves_its_directory_at_once() {
    for _ in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.set("hot_memory", "16MB").unwrap();
        let db = Database::builder().config(config).open(dir.path()).unwrap();
        let mut connection = db.connect().unwrap();
        connection
            .execute("CREATE TABLE t (a int, b text)")
            .unwrap();
        let parts = dir.path().join("parts");
        let begun = || std::fs::read_dir(&parts).is_ok_and(|mut files| files.next().is_some());
        let mut rows = 0_i64;
        // No statement of these is a load: a thread flushes behind them.
        while !begun() {
            assert!(rows < 2_000_000, "nothing is flushed");
            let some =
                "INSERT INTO t SELECT g, 'a longer text: ' || g FROM generate_series(1, 15000) g";
            connection.execute(some).unwrap();
            rows += 15_000;
        }
        drop(connection);
        drop(db);
        // Nobody holds its lock, and nobody writes to it.
        let db = Database::open(dir.path()).unwrap();
        let count = db.connect().unwrap().query("SELECT count(*) FROM t");
        assert_eq!(count.unwrap().single::<i64>().unwrap(), rows);
        drop(db);
        dir.close().unwrap();
    }
}

#[test]
fn a_notification_comes_with_the_commit_and_once() {
    let (_dir, db) = open();
    let (mut listener, mut speaker) = (db.connect().unwrap(), db.connect().unwrap());
    let news = listener.listen("a").unwrap();
    speaker.execute("BEGIN").unwrap();
    speaker.execute("NOTIFY a, '1'").unwrap();
    speaker.execute("NOTIFY a, '1'").unwrap();
    speaker.execute("SAVEPOINT s").unwrap();
    speaker.execute("NOTIFY a, 'undone'").unwrap();
    speaker.execute("ROLLBACK TO s").unwrap();
    speaker.execute("SELECT pg_notify('a', '2')").unwrap();
    speaker.execute("NOTIFY b, 'unheard'").unwrap();
    assert_eq!(news.try_recv(), None);
    speaker.execute("COMMIT").unwrap();
    let payloads: Vec<String> = (0..2).map(|_| news.recv(SOON).unwrap().payload).collect();
    assert_eq!(payloads, ["1", "2"]);
    assert_eq!(news.try_recv(), None);
    speaker.execute("BEGIN; NOTIFY a; ROLLBACK").unwrap();
    listener.execute("UNLISTEN a").unwrap();
    speaker.execute("NOTIFY a").unwrap();
    assert_eq!(news.try_recv(), None);
}

#[test]
fn a_listener_on_another_thread_is_woken() {
    let (_dir, db) = open();
    let mut listener = db.connect().unwrap();
    let news = listener.listen("Ticks \"x\"").unwrap();
    let waiter = thread::spawn(move || news.recv(SOON));
    thread::sleep(Duration::from_millis(20));
    let mut speaker = db.connect().unwrap();
    let number = pid(&mut speaker);
    speaker.execute("NOTIFY \"Ticks \"\"x\"\"\", 'p'").unwrap();
    let heard = waiter.join().unwrap().unwrap();
    assert_eq!((heard.pid, heard.payload.as_str()), (number, "p"));
}

#[test]
fn many_speakers_are_heard_in_the_order_of_their_commits() {
    let (_dir, db) = open();
    let mut listener = db.connect().unwrap();
    listener.execute("CREATE TABLE t (a int)").unwrap();
    let news = listener.listen("a").unwrap();
    let other = db.connect().unwrap().listen("a").unwrap();
    drop(other);
    let speakers: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            thread::spawn(move || {
                let mut connection = db.connect().unwrap();
                for _ in 0..25 {
                    connection
                        .execute("INSERT INTO t VALUES (1); SELECT pg_notify('a', count(*)::text) FROM t")
                        .unwrap();
                }
            })
        })
        .collect();
    for speaker in speakers {
        speaker.join().unwrap();
    }
    for _ in 0..100 {
        assert!(news.recv(SOON).is_some());
    }
    assert_eq!(news.try_recv(), None);
}

#[test]
fn an_advisory_lock_is_waited_for_and_handed_over() {
    let (_dir, db) = open();
    let (mut one, mut other) = (db.connect().unwrap(), db.connect().unwrap());
    one.execute("SELECT pg_advisory_lock(7)").unwrap();
    let tried = other.query("SELECT pg_try_advisory_lock(7)").unwrap();
    assert!(!tried.single::<bool>().unwrap());
    other.execute("SET lock_timeout = '30ms'").unwrap();
    assert_eq!(code(other.execute("SELECT pg_advisory_lock(7)")), "55P03");
    other
        .execute("RESET lock_timeout; SET statement_timeout = '30ms'")
        .unwrap();
    let error = other.execute("SELECT pg_advisory_lock(7)").unwrap_err();
    assert_eq!(
        error.message,
        "canceling statement due to statement timeout"
    );
    other.execute("RESET statement_timeout").unwrap();
    let number = pid(&mut other);
    let waiter = thread::spawn(move || {
        other.execute("SELECT pg_advisory_lock(7)").unwrap();
        other.execute("SELECT pg_advisory_unlock(7)").unwrap();
    });
    until_waits(&mut one, number);
    let blocked = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {number}");
    let rows = one.query(&blocked).unwrap();
    assert_eq!(rows.single::<String>().unwrap(), "advisory");
    let own = pid(&mut one);
    let blocking = format!("SELECT {own} = ANY (pg_blocking_pids({number}))");
    assert!(one.query(&blocking).unwrap().single::<bool>().unwrap());
    one.execute("SELECT pg_advisory_unlock(7)").unwrap();
    waiter.join().unwrap();
}

#[test]
fn tables_locked_crosswise_are_a_deadlock() {
    let (_dir, db) = open();
    let (mut one, mut other) = (db.connect().unwrap(), db.connect().unwrap());
    let mut watcher = db.connect().unwrap();
    one.execute("CREATE TABLE a (x int); CREATE TABLE b (x int)")
        .unwrap();
    one.execute("BEGIN; LOCK TABLE a").unwrap();
    other.execute("BEGIN; LOCK TABLE b").unwrap();
    assert_eq!(
        code(watcher.execute("BEGIN; LOCK a IN SHARE MODE NOWAIT")),
        "55P03"
    );
    watcher.execute("ROLLBACK").unwrap();
    let number = pid(&mut one);
    let waiter = thread::spawn(move || {
        one.execute("LOCK TABLE b").unwrap();
        one.execute("COMMIT").unwrap();
    });
    until_waits(&mut watcher, number);
    let error = other.execute("LOCK TABLE a").unwrap_err();
    assert_eq!(error.code.to_string(), "40P01");
    let detail = error.detail.unwrap();
    assert!(
        detail.contains("waits for AccessExclusiveLock on relation"),
        "{detail}"
    );
    other.execute("ROLLBACK").unwrap();
    waiter.join().unwrap();
}

#[test]
fn a_session_is_stopped_and_ended_by_another() {
    let (_dir, db) = open();
    let (mut one, mut other) = (db.connect().unwrap(), db.connect().unwrap());
    let number = pid(&mut other);
    let sleeper = thread::spawn(move || {
        let cancelled = code(other.execute("SELECT pg_sleep(60)"));
        let ended = code(other.execute("SELECT pg_sleep(60)"));
        let after = code(other.execute("SELECT 1"));
        (cancelled, ended, after)
    });
    let sleeps = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {number} AND state = 'active' \
         AND query = 'SELECT pg_sleep(60)'"
    );
    for call in ["pg_cancel_backend", "pg_terminate_backend"] {
        while one.query(&sleeps).unwrap().single::<i64>().unwrap() == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(50));
        one.execute(&format!("SELECT {call}({number})")).unwrap();
    }
    let codes = sleeper.join().unwrap();
    let codes = (codes.0.as_str(), codes.1.as_str(), codes.2.as_str());
    assert_eq!(codes, ("57014", "57P01", "57P01"));
}

#[test]
fn repeatable_read_sees_what_was_there_at_its_first_query() {
    let (_dir, db) = open();
    let (mut one, mut other) = (db.connect().unwrap(), db.connect().unwrap());
    one.execute("CREATE TABLE t (a int)").unwrap();
    let count = |connection: &mut Connection| {
        let rows = connection.query("SELECT count(*) FROM t").unwrap();
        rows.single::<i64>().unwrap()
    };
    one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    other.execute("INSERT INTO t VALUES (1)").unwrap();
    one.execute("LOCK TABLE t IN ACCESS SHARE MODE").unwrap();
    other.execute("INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(count(&mut one), 2);
    other.execute("INSERT INTO t VALUES (3)").unwrap();
    assert_eq!(count(&mut one), 2);
    one.execute("COMMIT").unwrap();
    one.execute("BEGIN").unwrap();
    one.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    assert_eq!(count(&mut one), 3);
    other.execute("INSERT INTO t VALUES (4)").unwrap();
    assert_eq!(count(&mut one), 3);
    one.execute("COMMIT").unwrap();
}

#[test]
fn a_cursor_reads_far_more_than_it_keeps() {
    let (_dir, db) = open();
    let mut connection = db.connect().unwrap();
    connection.execute("BEGIN").unwrap();
    connection
        .execute("DECLARE c NO SCROLL CURSOR FOR SELECT repeat('x', 100) || g FROM generate_series(1, 300000) g")
        .unwrap();
    let mut rows = 0;
    loop {
        let got = connection.query("FETCH 10000 FROM c").unwrap().len();
        if got == 0 {
            break;
        }
        rows += got;
    }
    assert_eq!(rows, 300_000);
    connection.execute("COMMIT").unwrap();
}

#[test]
fn a_prepared_statement_outside_a_block_is_committed_by_itself() {
    let (_dir, db) = open();
    let (mut one, mut other) = (db.connect().unwrap(), db.connect().unwrap());
    one.execute("CREATE TABLE t (a int)").unwrap();
    let insert = one.prepare("INSERT INTO t VALUES ($1)").unwrap();
    one.execute_prepared(&insert, &[&1]).unwrap();
    let seen = other.query("SELECT count(*) FROM t").unwrap();
    assert_eq!(seen.single::<i64>().unwrap(), 1);
}

#[test]
fn locked_rows_are_refused_skipped_or_waited_for() {
    let (_dir, db) = open();
    let (mut one, mut other) = (db.connect().unwrap(), db.connect().unwrap());
    let mut watcher = db.connect().unwrap();
    one.execute("CREATE TABLE t (a int PRIMARY KEY, b int)")
        .unwrap();
    one.execute("INSERT INTO t SELECT g, 0 FROM generate_series(1, 5) g")
        .unwrap();
    one.execute("BEGIN").unwrap();
    let rows = one.query("SELECT a FROM t WHERE a < 3 FOR UPDATE");
    assert_eq!(rows.unwrap().len(), 2);
    let refused = other.query("SELECT * FROM t WHERE a = 1 FOR SHARE NOWAIT");
    let error = refused.unwrap_err();
    assert_eq!(error.code.to_string(), "55P03");
    assert_eq!(
        error.message,
        "could not obtain lock on row in relation \"t\""
    );
    // A queue: each takes the first that nobody has.
    let queue = "SELECT a FROM t ORDER BY a LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED";
    other.execute("BEGIN").unwrap();
    assert_eq!(other.query(queue).unwrap().single::<i32>().unwrap(), 3);
    watcher.execute("BEGIN").unwrap();
    assert_eq!(watcher.query(queue).unwrap().single::<i32>().unwrap(), 4);
    watcher.execute("COMMIT").unwrap();
    other.execute("COMMIT").unwrap();
    // Who waits sees what was committed meanwhile.
    let number = pid(&mut other);
    let waiter = thread::spawn(move || {
        let rows = other.query("SELECT b FROM t WHERE a = 1 FOR UPDATE");
        rows.unwrap().single::<i32>().unwrap()
    });
    until_waits(&mut watcher, number);
    one.execute("UPDATE t SET b = 7 WHERE a = 1").unwrap();
    one.execute("COMMIT").unwrap();
    assert_eq!(waiter.join().unwrap(), 7);
}

#[test]
fn nobody_loses_an_update_under_row_locks() {
    let (_dir, db) = open();
    let mut watcher = db.connect().unwrap();
    watcher
        .execute("CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 0)")
        .unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let db = db.clone();
            thread::spawn(move || {
                let mut connection = db.connect().unwrap();
                for _ in 0..20 {
                    connection.execute("BEGIN").unwrap();
                    let rows = connection.query("SELECT b FROM t WHERE a = 1 FOR UPDATE");
                    let b = rows.unwrap().single::<i32>().unwrap();
                    connection
                        .execute(&format!("UPDATE t SET b = {} WHERE a = 1", b + 1))
                        .unwrap();
                    connection.execute("COMMIT").unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let sum = watcher.query("SELECT b FROM t").unwrap();
    assert_eq!(sum.single::<i32>().unwrap(), 80);
}

/// What a session keeps of routines does not keep the session: its memory, and the database open.
#[test]
fn a_session_that_ran_a_routine_goes_when_it_is_dropped() {
    let (dir, db) = open();
    let mut connection = db.connect().unwrap();
    for sql in [
        "CREATE TABLE t (id int)",
        "CREATE FUNCTION named(t regclass) RETURNS text LANGUAGE plpgsql AS \
         $$ DECLARE name text; BEGIN name := t::text; RETURN name; END $$",
        "SELECT named('t')",
    ] {
        connection.query(sql).unwrap();
    }
    drop(connection);
    db.close().unwrap();
    Database::open(dir.path()).unwrap();
}
