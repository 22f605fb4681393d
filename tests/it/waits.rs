//! What waits for others, and what does not wait for itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::thread;

use crate::sessions::{code, open, pid, until_waits};

#[test]
fn a_statement_that_is_planned_for_long_ends_in_time() {
    let (_dir, db) = open();
    let mut session = db.connect().unwrap();
    session.execute("CREATE TABLE t (a int, b int)").unwrap();
    let mut sql = String::from("SELECT count(*) FROM t t0");
    for at in 1..70 {
        let before = at - 1;
        let _ = write!(
            sql,
            " JOIN t t{at} ON t{at}.a = t{before}.b AND t{at}.b > {at}"
        );
    }
    session.execute("SET statement_timeout = '20ms'").unwrap();
    assert_eq!(code(session.query(&sql)), "57014");
    session.execute("SET statement_timeout = 0").unwrap();
    assert_eq!(session.query(&sql).unwrap().single::<i64>().unwrap(), 0);
}

#[test]
fn a_hypertable_is_made_when_writers_are_done() {
    let (_dir, db) = open();
    let mut writer = db.connect().unwrap();
    let mut maker = db.connect().unwrap();
    let mut watcher = db.connect().unwrap();
    writer
        .execute("CREATE TABLE t (ts timestamptz NOT NULL, v int)")
        .unwrap();
    writer
        .execute("BEGIN; INSERT INTO t VALUES ('2026-01-01', 1)")
        .unwrap();
    let make = "SELECT create_hypertable('t', 'ts', migrate_data => true)";
    maker.execute("SET lock_timeout = '50ms'").unwrap();
    assert_eq!(code(maker.query(make)), "55P03");
    maker.execute("SET lock_timeout = 0").unwrap();
    let waits = pid(&mut maker);
    let made = thread::spawn(move || maker.query(make).map(|_| ()));
    until_waits(&mut watcher, waits);
    writer.execute("COMMIT").unwrap();
    made.join().unwrap().unwrap();
    let rows = watcher.query("SELECT count(*) FROM show_chunks('t')");
    assert_eq!(rows.unwrap().single::<i64>().unwrap(), 1);
}

#[test]
fn a_refresh_waits_for_readers_unless_concurrently() {
    let (_dir, db) = open();
    let mut reader = db.connect().unwrap();
    let mut other = db.connect().unwrap();
    reader
        .execute(
            "CREATE TABLE t (a int); INSERT INTO t VALUES (1);
             CREATE MATERIALIZED VIEW v AS SELECT a FROM t; CREATE UNIQUE INDEX ON v (a)",
        )
        .unwrap();
    reader.execute("BEGIN").unwrap();
    reader.query("SELECT * FROM v").unwrap();
    other.execute("SET lock_timeout = '50ms'").unwrap();
    assert_eq!(code(other.execute("REFRESH MATERIALIZED VIEW v")), "55P03");
    other
        .execute("REFRESH MATERIALIZED VIEW CONCURRENTLY v")
        .unwrap();
    other
        .execute("BEGIN; REFRESH MATERIALIZED VIEW CONCURRENTLY v")
        .unwrap();
    reader.query("SELECT * FROM v").unwrap();
    reader.execute("COMMIT").unwrap();
    other.execute("COMMIT").unwrap();
    other.execute("REFRESH MATERIALIZED VIEW v").unwrap();
}

#[test]
fn a_statement_of_wrong_names_waits_for_who_may_make_them_right() {
    let (_dir, db) = open();
    let mut maker = db.connect().unwrap();
    let mut watcher = db.connect().unwrap();
    maker
        .execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        .unwrap();
    for (at, block) in ["", "BEGIN"].into_iter().enumerate() {
        let mut reader = db.connect().unwrap();
        let column = format!("c{at}");
        maker
            .execute(&format!("BEGIN; ALTER TABLE t ADD COLUMN {column} int"))
            .unwrap();
        let read = format!("SELECT count({column}) FROM t");
        let write = format!("INSERT INTO t (a, {column}) VALUES (2, 2)");
        reader.execute("SET lock_timeout = '50ms'").unwrap();
        assert_eq!(code(reader.query(&read)), "55P03");
        assert_eq!(code(reader.execute(&write)), "55P03");
        let other = "SELECT c9 FROM t";
        assert_eq!(code(reader.query(other)), "55P03");
        reader.execute("SET lock_timeout = 0").unwrap();
        let waits = pid(&mut reader);
        let text = format!("{block}; {write}; SELECT 1 / a FROM t LIMIT 0");
        let waiting = thread::spawn(move || {
            reader.execute(&text).unwrap();
            let counted = reader.query(&read).unwrap().single::<i64>().unwrap();
            assert_eq!(code(reader.query(other)), "42703");
            counted
        });
        until_waits(&mut watcher, waits);
        maker.execute("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap(), 1);
        // Whoever met an error holds nothing.
        maker.execute("SET lock_timeout = '50ms'").unwrap();
        maker.execute("ALTER TABLE t ADD COLUMN z int").unwrap();
        maker.execute("ALTER TABLE t DROP COLUMN z").unwrap();
        maker.execute("SET lock_timeout = 0").unwrap();
    }
}

#[test]
fn rows_are_locked_through_the_views_that_show_them() {
    let (_dir, db) = open();
    let mut one = db.connect().unwrap();
    let mut other = db.connect().unwrap();
    let mut watcher = db.connect().unwrap();
    one.execute("CREATE TABLE t (a int PRIMARY KEY, b int)")
        .unwrap();
    one.execute("INSERT INTO t SELECT g, 0 FROM generate_series(1, 5) g")
        .unwrap();
    one.execute("CREATE VIEW v AS SELECT x.b AS shown, x.a AS key FROM t x WHERE x.a < 4")
        .unwrap();
    one.execute("CREATE VIEW w (k, twice) AS SELECT key, shown * 2 FROM v WHERE key > 1")
        .unwrap();
    one.execute("BEGIN").unwrap();
    let rows = one.query("SELECT k FROM w WHERE twice = 0 FOR UPDATE");
    assert_eq!(rows.unwrap().len(), 2);
    // What the views do not show is free.
    other
        .execute("UPDATE t SET b = 0 WHERE a IN (1, 4, 5)")
        .unwrap();
    let refused = other.query("SELECT * FROM t WHERE a = 2 FOR SHARE NOWAIT");
    assert_eq!(code(refused), "55P03");
    let refused = other.query("SELECT * FROM v WHERE key = 3 FOR SHARE NOWAIT");
    assert_eq!(code(refused), "55P03");
    let queue = "SELECT key FROM v ORDER BY key DESC LIMIT 1 FOR UPDATE SKIP LOCKED";
    assert_eq!(other.query(queue).unwrap().single::<i32>().unwrap(), 1);
    // Who waits sees what was committed meanwhile, and whether the views still show it.
    let number = pid(&mut other);
    let waiter = thread::spawn(move || {
        let rows = other.query("SELECT k, twice FROM w ORDER BY k FOR NO KEY UPDATE");
        rows.unwrap().len()
    });
    until_waits(&mut watcher, number);
    one.execute("UPDATE t SET a = 10 WHERE a = 2; COMMIT")
        .unwrap();
    assert_eq!(waiter.join().unwrap(), 1);
}

#[test]
fn chunks_are_rewritten_under_readers_and_writers() {
    let (_dir, db) = open();
    let mut owner = db.connect().unwrap();
    let mut reader = db.connect().unwrap();
    let mut writer = db.connect().unwrap();
    owner
        .execute("CREATE TABLE h (ts timestamptz NOT NULL, v int, UNIQUE (ts))")
        .unwrap();
    owner
        .query("SELECT create_hypertable('h', 'ts', chunk_time_interval => interval '1 day')")
        .unwrap();
    owner
        .execute("ALTER TABLE h SET (timescaledb.compress)")
        .unwrap();
    owner
        .execute("INSERT INTO h SELECT '2026-01-05'::timestamptz + g * interval '1 hour', g FROM generate_series(0, 71) g")
        .unwrap();
    // Nobody waits here: who would, is told 55P03.
    for session in [&mut owner, &mut reader, &mut writer] {
        session.execute("SET lock_timeout = '2s'").unwrap();
    }
    let sum = "SELECT sum(v) FROM h";
    let changes = [
        "SELECT compress_chunk(c) FROM show_chunks('h') c",
        "SELECT decompress_chunk(c) FROM show_chunks('h') c",
        "CALL split_chunk('_timescaledb_internal._hyper_1_1_chunk')",
        "CALL merge_chunks('{_timescaledb_internal._hyper_1_2_chunk,_timescaledb_internal._hyper_1_3_chunk}'::regclass[])",
        "SELECT compress_chunk(c) FROM show_chunks('h') c",
    ];
    let mut expected = (0..72).sum::<i64>();
    for (round, change) in (1_i64..).zip(changes) {
        reader
            .execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            .unwrap();
        assert_eq!(
            reader.query(sum).unwrap().single::<i64>().unwrap(),
            expected
        );
        writer.execute("BEGIN").unwrap();
        let hour = round;
        writer
            .execute(&format!(
                "UPDATE h SET v = v + 1000 WHERE v % 1000 = {hour}"
            ))
            .unwrap();
        writer
            .execute(&format!("INSERT INTO h VALUES ('2026-01-05 00:30'::timestamptz + {round} * interval '1 hour', 0)"))
            .unwrap();
        let done = match change.starts_with("CALL") {
            true => owner.execute(change).map(|_| ()),
            false => owner.query(change).map(|_| ()),
        };
        done.unwrap_or_else(|error| panic!("{change}: {error:?}"));
        // Both go on, each with what it saw and did.
        assert_eq!(
            reader.query(sum).unwrap().single::<i64>().unwrap(),
            expected
        );
        reader.execute("COMMIT").unwrap();
        match writer.execute("COMMIT") {
            Ok(_) => expected += 1000,
            // What a merge or split takes from under new rows is told of, and nothing is done; the
            // transaction is over.
            Err(error) => assert_eq!(error.code.to_string(), "40001", "{change}"),
        }
        assert_eq!(
            owner.query(sum).unwrap().single::<i64>().unwrap(),
            expected,
            "{change}"
        );
    }
    // A chunk that is dropped is there for who reads it, and not for who writes to it.
    reader
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    assert_eq!(
        reader.query(sum).unwrap().single::<i64>().unwrap(),
        expected
    );
    writer
        .execute("BEGIN; INSERT INTO h VALUES ('2026-01-05 00:15', 5)")
        .unwrap();
    owner
        .query("SELECT drop_chunks('h', older_than => '2027-01-01'::timestamptz)")
        .unwrap();
    assert_eq!(
        reader.query(sum).unwrap().single::<i64>().unwrap(),
        expected
    );
    reader.execute("COMMIT").unwrap();
    assert_eq!(code(writer.execute("COMMIT")), "40001");
    let left = owner.query("SELECT count(*) FROM h").unwrap();
    assert_eq!(left.single::<i64>().unwrap(), 0);
}
