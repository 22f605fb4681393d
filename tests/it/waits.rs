//! What waits for others, and what does not wait for itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::thread;

use chronolith::Database;

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
fn a_view_of_several_tables_locks_the_rows_of_all() {
    for layout in ["hot", "compressed"] {
        let (_dir, db) = open();
        let mut one = db.connect().unwrap();
        let mut other = db.connect().unwrap();
        let mut watcher = db.connect().unwrap();
        for sql in [
            "CREATE TABLE h (ts timestamptz, k int, v int, PRIMARY KEY (ts, k))",
            "SELECT create_hypertable('h', 'ts')",
            "ALTER TABLE h SET (timescaledb.compress)",
            "INSERT INTO h SELECT '2026-01-05', g, 0 FROM generate_series(1, 4) g",
            "CREATE TABLE r (k int PRIMARY KEY, name text)",
            "INSERT INTO r SELECT g, 'n' || g FROM generate_series(1, 4) g",
            "CREATE VIEW b AS SELECT h.ts, h.k AS key, h.v, r.name FROM h JOIN r ON r.k = h.k",
            "CREATE VIEW c AS SELECT b.name, b.v, x.name AS again FROM b, r x WHERE x.k = b.key + 1",
        ] {
            one.query(sql).unwrap();
        }
        if layout == "compressed" {
            one.query("SELECT compress_chunk(c) FROM show_chunks('h') c")
                .unwrap();
        }
        one.execute("BEGIN").unwrap();
        let rows = one.query("SELECT v FROM c WHERE name = 'n1' FOR UPDATE");
        assert_eq!(rows.unwrap().len(), 1);
        for (sql, free) in [
            ("SELECT FROM h WHERE k = 1 FOR SHARE NOWAIT", false),
            ("SELECT FROM r WHERE k = 1 FOR SHARE NOWAIT", false),
            ("SELECT FROM r WHERE k = 2 FOR SHARE NOWAIT", false),
            ("SELECT FROM b WHERE key = 2 FOR SHARE NOWAIT", false),
            ("SELECT FROM h WHERE k = 2 FOR SHARE NOWAIT", true),
            ("SELECT FROM b WHERE key = 3 FOR SHARE NOWAIT", true),
        ] {
            let found = other.query(sql);
            match free {
                true => assert_eq!(found.unwrap().len(), 1, "{layout}: {sql}"),
                false => assert_eq!(code(found), "55P03", "{layout}: {sql}"),
            }
        }
        let skipped = other.query("SELECT name FROM b ORDER BY key FOR UPDATE SKIP LOCKED");
        assert_eq!(skipped.unwrap().len(), 2);
        // Who waits sees what was committed meanwhile, in whichever of the tables.
        let number = pid(&mut other);
        let waiter = thread::spawn(move || {
            let rows = other.query("SELECT name || v FROM b WHERE key = 1 FOR UPDATE");
            rows.unwrap().single::<String>().unwrap()
        });
        until_waits(&mut watcher, number);
        one.execute("UPDATE h SET v = 7 WHERE k = 1; UPDATE r SET name = 'z' WHERE k = 1; COMMIT")
            .unwrap();
        assert_eq!(waiter.join().unwrap(), "z7", "{layout}");
    }
}

#[test]
fn a_view_of_subqueries_locks_the_rows_that_it_gives() {
    let (_dir, db) = open();
    let mut one = db.connect().unwrap();
    let mut other = db.connect().unwrap();
    let mut watcher = db.connect().unwrap();
    for sql in [
        "CREATE TABLE t (a int PRIMARY KEY, b int)",
        "INSERT INTO t SELECT g, g FROM generate_series(1, 6) g",
        "CREATE TABLE u (a int PRIMARY KEY, name text)",
        "INSERT INTO u SELECT g, 'n' || g FROM generate_series(1, 6) g",
        "CREATE VIEW top AS SELECT a, b FROM t ORDER BY b DESC LIMIT 2",
        "CREATE VIEW w AS WITH some AS (SELECT 2 AS one FROM u) SELECT s.a, s.b, u.name
         FROM (SELECT a, b FROM t WHERE b > 0) s JOIN u USING (a) WHERE a = (SELECT min(one) FROM some)",
    ] {
        one.query(sql).unwrap();
    }
    one.execute("BEGIN").unwrap();
    assert_eq!(one.query("SELECT * FROM top FOR UPDATE").unwrap().len(), 2);
    assert_eq!(one.query("SELECT * FROM w FOR UPDATE").unwrap().len(), 1);
    for (sql, free) in [
        ("SELECT FROM t WHERE a = 6 FOR SHARE NOWAIT", false),
        ("SELECT FROM t WHERE a = 5 FOR SHARE NOWAIT", false),
        ("SELECT FROM t WHERE a = 4 FOR SHARE NOWAIT", true),
        ("SELECT FROM t WHERE a = 2 FOR SHARE NOWAIT", false),
        ("SELECT FROM u WHERE a = 2 FOR SHARE NOWAIT", false),
        ("SELECT FROM u WHERE a = 6 FOR SHARE NOWAIT", true),
    ] {
        let found = other.query(sql);
        match free {
            true => assert_eq!(found.unwrap().len(), 1, "{sql}"),
            false => assert_eq!(code(found), "55P03", "{sql}"),
        }
    }
    // What is locked makes room for what is not, below the LIMIT of the view.
    let free = other.query("SELECT a FROM top LIMIT 1 FOR UPDATE SKIP LOCKED");
    assert_eq!(free.unwrap().single::<i32>().unwrap(), 4);
    // Who waits sees what was committed meanwhile.
    let number = pid(&mut other);
    let waiter = thread::spawn(move || {
        let rows = other.query("SELECT name || b FROM w FOR NO KEY UPDATE");
        rows.unwrap().single::<String>().unwrap()
    });
    until_waits(&mut watcher, number);
    one.execute("UPDATE t SET b = 7 WHERE a = 2; UPDATE u SET name = 'z' WHERE a = 2; COMMIT")
        .unwrap();
    assert_eq!(waiter.join().unwrap(), "z7");
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
    // Who would wait here is told 55P03.
    for session in [&mut owner, &mut reader, &mut writer] {
        session.execute("SET lock_timeout = '300ms'").unwrap();
    }
    let sum = "SELECT sum(v) FROM h";
    let changes = [
        "SELECT compress_chunk(c) FROM show_chunks('h') c",
        "SELECT decompress_chunk(c) FROM show_chunks('h') c",
        "CALL split_chunk('_timescaledb_internal._hyper_1_1_chunk')",
        "CALL merge_chunks('{_timescaledb_internal._hyper_1_1_chunk,_timescaledb_internal._hyper_1_4_chunk}'::regclass[])",
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
        let mut run = |change: &str| match change.starts_with("CALL") {
            true => owner.execute(change).map(|_| ()),
            false => owner.query(change).map(|_| ()),
        };
        // What leaves rows in their chunks lets writers go on; what does not waits for them.
        let waits = change.starts_with("CALL");
        match waits {
            true => assert_eq!(code(run(change)), "55P03", "{change}"),
            false => run(change).unwrap_or_else(|error| panic!("{change}: {error:?}")),
        }
        // All go on, each with what it saw and did.
        assert_eq!(
            reader.query(sum).unwrap().single::<i64>().unwrap(),
            expected
        );
        writer.execute("COMMIT").unwrap();
        if waits {
            run(change).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        }
        assert_eq!(
            reader.query(sum).unwrap().single::<i64>().unwrap(),
            expected
        );
        reader.execute("COMMIT").unwrap();
        expected += 1000;
        assert_eq!(
            owner.query(sum).unwrap().single::<i64>().unwrap(),
            expected,
            "{change}"
        );
    }
    // A chunk that is dropped is there for who reads it.
    reader
        .execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    assert_eq!(
        reader.query(sum).unwrap().single::<i64>().unwrap(),
        expected
    );
    owner.query(DROP).unwrap();
    assert_eq!(
        reader.query(sum).unwrap().single::<i64>().unwrap(),
        expected
    );
    reader.execute("COMMIT").unwrap();
    let left = owner.query("SELECT count(*) FROM h").unwrap();
    assert_eq!(left.single::<i64>().unwrap(), 0);
}

const DROP: &str = "SELECT drop_chunks('h', older_than => '2027-01-01'::timestamptz)";

/// Two days of hours in two chunks.
fn two_days(layout: &str) -> (tempfile::TempDir, Database) {
    let (dir, db) = open();
    let mut owner = db.connect().unwrap();
    for sql in [
        "CREATE TABLE h (ts timestamptz NOT NULL, v int, UNIQUE (ts))",
        "SELECT create_hypertable('h', 'ts', chunk_time_interval => interval '1 day')",
        "ALTER TABLE h SET (timescaledb.compress)",
        "INSERT INTO h SELECT '2026-01-05'::timestamptz + g * interval '1 hour', g FROM generate_series(0, 47) g",
    ] {
        owner.query(sql).unwrap();
    }
    if layout == "compressed" {
        let compress = "SELECT compress_chunk(c) FROM show_chunks('h') c";
        owner.query(compress).unwrap();
    }
    (dir, db)
}

#[test]
fn chunks_that_have_writers_are_dropped_when_these_are_done() {
    for layout in ["hot", "compressed"] {
        for write in [
            "INSERT INTO h VALUES ('2026-01-05 00:15', 5)",
            "UPDATE h SET v = 100 WHERE ts = '2026-01-05 01:00'",
            "UPDATE h SET v = 100 WHERE v < 10",
            "DELETE FROM h WHERE v = 3",
            "SELECT FROM h WHERE v = 3 FOR KEY SHARE",
            "INSERT INTO h VALUES ('2026-01-05 01:00', 5) ON CONFLICT (ts) DO UPDATE SET v = 5",
        ] {
            let (_dir, db) = two_days(layout);
            let mut writer = db.connect().unwrap();
            let mut owner = db.connect().unwrap();
            let mut watcher = db.connect().unwrap();
            writer.execute("BEGIN; SAVEPOINT s").unwrap();
            writer.query(write).unwrap();
            owner.execute("SET lock_timeout = '50ms'").unwrap();
            let split = "CALL split_chunk('_timescaledb_internal._hyper_1_1_chunk')";
            for change in [DROP, split] {
                assert_eq!(code(owner.query(change)), "55P03", "{write}: {change}");
            }
            // Other chunks are free, and others may write to this one too.
            owner
                .query("SELECT drop_chunks('h', newer_than => '2026-01-06'::timestamptz)")
                .unwrap();
            let other = "INSERT INTO h VALUES ('2026-01-05 00:45', 7)";
            owner.execute(other).unwrap();
            owner.execute("SET lock_timeout = 0").unwrap();
            let number = pid(&mut owner);
            let dropping = thread::spawn(move || owner.query(DROP).map(|rows| rows.len()));
            until_waits(&mut watcher, number);
            // Who goes back does not keep it.
            writer.execute("ROLLBACK TO s").unwrap();
            assert_eq!(dropping.join().unwrap().unwrap(), 1, "{write}");
            writer.execute("COMMIT").unwrap();
            let left = watcher.query("SELECT count(*) FROM h").unwrap();
            assert_eq!(left.single::<i64>().unwrap(), 0);
        }
    }
}

#[test]
fn who_writes_to_a_chunk_that_is_dropped_waits() {
    for layout in ["hot", "compressed"] {
        let (_dir, db) = two_days(layout);
        let mut owner = db.connect().unwrap();
        let mut watcher = db.connect().unwrap();
        owner.execute("BEGIN").unwrap();
        owner.query(DROP).unwrap();
        let begins = ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"];
        let writes = [
            "INSERT INTO h VALUES ('2026-01-05 00:15', 5)",
            "INSERT INTO h SELECT '2026-01-05'::timestamptz + g * interval '1 hour', g FROM generate_series(1, 30) g",
            "UPDATE h SET v = 100 WHERE v < 10",
            "UPDATE h SET v = 100 WHERE ts = '2026-01-05 01:00'",
            "DELETE FROM h",
        ];
        let mut waiting = Vec::new();
        for begin in begins {
            for write in writes {
                let mut writer = db.connect().unwrap();
                writer.execute(begin).unwrap();
                // The snapshot is of before.
                writer.query("SELECT count(*) FROM h").unwrap();
                writer
                    .execute("SET lock_timeout = '50ms'; SAVEPOINT s")
                    .unwrap();
                assert_eq!(code(writer.execute(write)), "55P03", "{write}");
                writer
                    .execute("ROLLBACK TO s; SET lock_timeout = 0")
                    .unwrap();
                let number = pid(&mut writer);
                let thread = thread::spawn(move || {
                    let done = writer.execute(write);
                    let done = done.map_err(|error| error.code.to_string());
                    drop(writer.execute("ROLLBACK"));
                    (begin, write, done)
                });
                until_waits(&mut watcher, number);
                waiting.push(thread);
            }
        }
        owner.execute("COMMIT").unwrap();
        for thread in waiting {
            let (begin, write, done) = thread.join().unwrap();
            let expected = match (begin, write) {
                ("BEGIN", write) if write.contains("generate_series") => Ok(30),
                ("BEGIN", write) if write.starts_with("INSERT") => Ok(1),
                ("BEGIN", _) => Ok(0),
                _ => Err("40001".to_owned()),
            };
            assert_eq!(done, expected, "{begin}: {write}");
        }
    }
}

#[test]
fn who_drops_chunks_and_who_writes_to_them_may_wait_for_each_other() {
    let (_dir, db) = two_days("hot");
    let mut owner = db.connect().unwrap();
    let mut writer = db.connect().unwrap();
    let mut watcher = db.connect().unwrap();
    writer
        .execute("BEGIN; INSERT INTO h VALUES ('2026-01-05 00:15', 5)")
        .unwrap();
    owner.execute("BEGIN").unwrap();
    owner
        .query("SELECT drop_chunks('h', newer_than => '2026-01-06'::timestamptz)")
        .unwrap();
    let number = pid(&mut writer);
    let waiting = thread::spawn(move || {
        let done = writer.execute("INSERT INTO h VALUES ('2026-01-06 00:15', 5)");
        done.and_then(|_| writer.execute("COMMIT"))
    });
    until_waits(&mut watcher, number);
    assert_eq!(code(owner.query(DROP)), "40P01");
    owner.execute("ROLLBACK").unwrap();
    waiting.join().unwrap().unwrap();
    let left = watcher.query("SELECT count(*) FROM h").unwrap();
    assert_eq!(left.single::<i64>().unwrap(), 50);
}
