//! What transactions that run beside each other see of each other, statement by statement, on rows
//! in memory, in parts and compressed: the anomalies that READ COMMITTED and REPEATABLE READ rule
//! out, and those that PostgreSQL leaves at these levels.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread::{self, JoinHandle};
use std::time::Duration;

use chronolith::{Connection, Database, Error};

use crate::sessions::{code, open, pid, until_waits};

/// Where the rows lie.
const LAYOUTS: [&str; 3] = ["hot", "flushed", "compressed"];
const COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const REPEATABLE: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";

/// Accounts with ten in each, in two chunks.
fn accounts(layout: &str, count: i32) -> (tempfile::TempDir, Database) {
    let (dir, db) = open();
    let mut one = db.connect().unwrap();
    for sql in [
        "CREATE TABLE a (at timestamptz, id int, v int, PRIMARY KEY (at, id))",
        "SELECT create_hypertable('a', 'at', chunk_time_interval => interval '1 day')",
        "ALTER TABLE a SET (timescaledb.compress, timescaledb.compress_orderby = 'at')",
    ] {
        one.execute(sql).unwrap();
    }
    one.execute(&format!(
        "INSERT INTO a SELECT '2026-01-01'::timestamptz + (g % 2) * interval '1 day', g, 10 \
         FROM generate_series(1, {count}) g"
    ))
    .unwrap();
    match layout {
        "flushed" => drop(one.execute("CHECKPOINT").unwrap()),
        "compressed" => {
            let packed = one.query("SELECT compress_chunk(c) FROM show_chunks('a') c");
            assert_eq!(packed.unwrap().len(), 2);
        }
        _ => {}
    }
    (dir, db)
}

/// Runs a test on rows of each layout, with some sessions.
fn on_all<const N: usize>(run: impl Fn([Connection; N], &Database)) {
    for layout in LAYOUTS {
        let (_dir, db) = accounts(layout, 4);
        let sessions = std::array::from_fn(|_| db.connect().unwrap());
        run(sessions, &db);
    }
}

fn number(connection: &mut Connection, sql: &str) -> i64 {
    let sql = format!("SELECT ({sql})::bigint");
    connection.query(&sql).unwrap().single::<i64>().unwrap()
}

fn value(connection: &mut Connection, id: i32) -> i64 {
    number(connection, &format!("SELECT v FROM a WHERE id = {id}"))
}

fn sum(connection: &mut Connection) -> i64 {
    number(connection, "SELECT sum(v) FROM a")
}

fn all(connection: &mut Connection, statements: &[&str]) {
    for sql in statements {
        connection.execute(sql).unwrap();
    }
}

/// A statement on a thread of its own, once it waits.
pub(crate) fn waiting(
    mut connection: Connection,
    watcher: &mut Connection,
    sql: &str,
) -> JoinHandle<(Connection, Result<u64, Error>)> {
    let number = pid(&mut connection);
    let sql = sql.to_owned();
    let waiter = thread::spawn(move || {
        let done = connection.execute(&sql);
        (connection, done)
    });
    until_waits(watcher, number);
    waiter
}

#[test]
fn nobody_sees_what_is_not_committed() {
    on_all(|[mut one, mut other], _| {
        for level in [COMMITTED, REPEATABLE] {
            all(&mut one, &["BEGIN", "UPDATE a SET v = 99 WHERE id = 1"]);
            other.execute(level).unwrap();
            assert_eq!(value(&mut other, 1), 10);
            all(
                &mut one,
                &[
                    "UPDATE a SET v = 11 WHERE id = 1",
                    "DELETE FROM a WHERE id = 2",
                    "INSERT INTO a VALUES ('2026-01-01', 9, 50)",
                ],
            );
            assert_eq!(value(&mut one, 1), 11);
            assert_eq!(sum(&mut other), 40);
            one.execute("ROLLBACK").unwrap();
            assert_eq!(sum(&mut other), 40);
            other.execute("COMMIT").unwrap();
        }
    });
}

#[test]
fn what_was_read_is_read_again_at_repeatable_read_alone() {
    for (level, then, rows) in [(COMMITTED, 11, 4), (REPEATABLE, 10, 4)] {
        on_all(|[mut one, mut other], _| {
            other.execute(level).unwrap();
            assert_eq!(value(&mut other, 1), 10);
            one.execute("UPDATE a SET v = 11 WHERE id = 1").unwrap();
            assert_eq!(value(&mut other, 1), then);
            // Phantoms: a row comes, and one goes.
            let high = "SELECT count(*) FROM a WHERE id > 2";
            assert_eq!(number(&mut other, high), 2);
            one.execute("INSERT INTO a VALUES ('2026-01-03', 7, 10)")
                .unwrap();
            one.execute("DELETE FROM a WHERE id IN (3, 4)").unwrap();
            let seen = if level == COMMITTED { 1 } else { 2 };
            assert_eq!(number(&mut other, high), seen);
            // Where the rows lie now is nothing that a snapshot notices.
            all(
                &mut one,
                &[
                    "CHECKPOINT",
                    "SELECT compress_chunk(c, true) FROM show_chunks('a') c",
                ],
            );
            assert_eq!(number(&mut other, high), seen);
            let total = number(&mut other, "SELECT count(*) FROM a");
            assert_eq!(total, if level == COMMITTED { 3 } else { rows });
            other.execute("COMMIT").unwrap();
            assert_eq!(value(&mut other, 1), 11);
        });
    }
}

#[test]
fn no_update_is_lost() {
    on_all(|[mut one, other, mut watcher], _| {
        // READ COMMITTED looks at the row again that it waited for.
        all(&mut one, &["BEGIN", "UPDATE a SET v = v + 1 WHERE id = 1"]);
        let waiter = waiting(other, &mut watcher, "UPDATE a SET v = v + 5 WHERE id = 1");
        one.execute("COMMIT").unwrap();
        let (mut other, done) = waiter.join().unwrap();
        assert_eq!((done.unwrap(), value(&mut other, 1)), (1, 16));
        // … and leaves it alone where it is no more what was asked for.
        all(&mut one, &["BEGIN", "UPDATE a SET v = 20 WHERE id = 1"]);
        let waiter = waiting(other, &mut watcher, "UPDATE a SET v = 0 WHERE v = 16");
        one.execute("COMMIT").unwrap();
        let (mut other, done) = waiter.join().unwrap();
        assert_eq!((done.unwrap(), value(&mut other, 1)), (0, 20));
        // REPEATABLE READ cannot go on: what it read is not what it would change.
        other.execute(REPEATABLE).unwrap();
        assert_eq!(value(&mut other, 1), 20);
        all(&mut one, &["BEGIN", "UPDATE a SET v = 21 WHERE id = 1"]);
        let waiter = waiting(other, &mut watcher, "UPDATE a SET v = 30 WHERE id = 1");
        one.execute("COMMIT").unwrap();
        let (mut other, done) = waiter.join().unwrap();
        assert_eq!(code(done), "40001");
        all(&mut other, &["ROLLBACK", REPEATABLE]);
        assert_eq!(value(&mut other, 1), 21);
        // Who waited for one that rolls back goes on.
        all(&mut one, &["BEGIN", "DELETE FROM a WHERE id = 1"]);
        let waiter = waiting(other, &mut watcher, "UPDATE a SET v = 30 WHERE id = 1");
        one.execute("ROLLBACK").unwrap();
        let (mut other, done) = waiter.join().unwrap();
        assert_eq!(done.unwrap(), 1);
        other.execute("COMMIT").unwrap();
        assert_eq!(value(&mut one, 1), 30);
    });
}

#[test]
fn who_waits_for_a_row_gets_it_in_the_order_of_arrival() {
    const WAITERS: usize = 6;
    for layout in LAYOUTS {
        let (_dir, db) = open();
        let mut one = db.connect().unwrap();
        let mut watcher = db.connect().unwrap();
        for sql in [
            "CREATE TABLE a (at timestamptz PRIMARY KEY, way text)",
            "SELECT create_hypertable('a', 'at', chunk_time_interval => interval '1 day')",
            "ALTER TABLE a SET (timescaledb.compress)",
            "INSERT INTO a VALUES ('2026-01-01', ''), ('2026-01-01 01:00', '')",
        ] {
            one.execute(sql).unwrap();
        }
        match layout {
            "flushed" => drop(one.execute("CHECKPOINT").unwrap()),
            "compressed" => {
                let packed = one.query("SELECT compress_chunk(c) FROM show_chunks('a') c");
                assert_eq!(packed.unwrap().len(), 1);
            }
            _ => {}
        }
        let row = "WHERE at = '2026-01-01'";
        let all = format!("UPDATE a SET way = way || 'x' {row}");
        one.execute("BEGIN").unwrap();
        one.execute(&all).unwrap();
        let waiters: Vec<_> = (0..WAITERS)
            .map(|number| {
                // By key, and by what a plan finds.
                let sql = match number % 2 {
                    0 => format!("UPDATE a SET way = way || '{number}' {row}"),
                    _ => format!(
                        "UPDATE a SET way = way || '{number}' WHERE at < '2026-01-01 00:30'"
                    ),
                };
                waiting(db.connect().unwrap(), &mut watcher, &sql)
            })
            .collect();
        one.execute("COMMIT").unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().1.unwrap(), 1);
        }
        let way = one.query(&format!("SELECT way FROM a {row}")).unwrap();
        assert_eq!(way.single::<String>().unwrap(), "x012345", "{layout}");
    }
}

#[test]
fn write_skew_is_left_to_row_locks() {
    on_all(|[mut one, mut other, mut watcher], _| {
        // Two rows, each changed for what the other one is: snapshots do not notice.
        all(&mut one, &[REPEATABLE]);
        all(&mut other, &[REPEATABLE]);
        assert_eq!((sum(&mut one), sum(&mut other)), (40, 40));
        one.execute("UPDATE a SET v = -10 WHERE id = 1").unwrap();
        other.execute("UPDATE a SET v = -10 WHERE id = 2").unwrap();
        one.execute("COMMIT").unwrap();
        other.execute("COMMIT").unwrap();
        assert_eq!(sum(&mut one), 0);
        // The level that would notice is not promised, and not pretended.
        let refused = one.execute("BEGIN ISOLATION LEVEL SERIALIZABLE");
        assert_eq!(code(refused), "0A000");
        // Rows that were read under locks stay as they were read.
        let read = "SELECT v FROM a WHERE id IN (1, 2) FOR UPDATE";
        all(&mut one, &["BEGIN", read]);
        other.execute(REPEATABLE).unwrap();
        assert_eq!(sum(&mut other), 0);
        let waiter = waiting(other, &mut watcher, read);
        all(&mut one, &["UPDATE a SET v = 5 WHERE id = 1", "COMMIT"]);
        let (mut other, done) = waiter.join().unwrap();
        assert_eq!(code(done), "40001");
        other.execute("ROLLBACK").unwrap();
    });
}

#[test]
fn a_reader_sees_one_moment() {
    on_all(|[mut deposit, mut withdraw, mut reader], _| {
        // Fekete's three: a withdrawal that saw too little, a deposit, and who looks in between.
        withdraw.execute(REPEATABLE).unwrap();
        assert_eq!(value(&mut withdraw, 1) + value(&mut withdraw, 2), 20);
        deposit
            .execute("UPDATE a SET v = v + 20 WHERE id = 2")
            .unwrap();
        reader
            .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .unwrap();
        assert_eq!(value(&mut reader, 1) + value(&mut reader, 2), 40);
        all(
            &mut withdraw,
            &["UPDATE a SET v = v - 25 WHERE id = 1", "COMMIT"],
        );
        assert_eq!((value(&mut reader, 1), value(&mut reader, 2)), (10, 30));
        assert_eq!(code(reader.execute("DELETE FROM a")), "25006");
        reader.execute("ROLLBACK").unwrap();
        assert_eq!((value(&mut reader, 1), value(&mut reader, 2)), (-15, 30));
    });
}

#[test]
fn transfers_keep_the_sum_for_every_reader() {
    for layout in LAYOUTS {
        let (_dir, db) = accounts(layout, 8);
        let workers: Vec<_> = (0..4)
            .map(|worker: i32| {
                let db = db.clone();
                thread::spawn(move || {
                    let mut connection = db.connect().unwrap();
                    let mut done = 0;
                    for round in 0..20 {
                        let (from, to) =
                            (1 + (worker + round) % 8, 1 + (worker * 3 + round * 5) % 8);
                        let moves = [
                            format!("UPDATE a SET v = v - 1 WHERE id = {from}"),
                            format!("UPDATE a SET v = v + 1 WHERE id = {to}"),
                        ];
                        let level = [COMMITTED, REPEATABLE].get(usize::from(round % 3 == 0));
                        connection.execute(level.unwrap()).unwrap();
                        let moved = moves
                            .iter()
                            .try_for_each(|sql| connection.execute(sql).map(|_| ()));
                        match moved.and_then(|()| connection.execute("COMMIT").map(|_| ())) {
                            Ok(()) => done += 1,
                            Err(error) => {
                                let code = error.code.to_string();
                                assert!(code == "40001" || code == "40P01", "{error:?}");
                                connection.execute("ROLLBACK").unwrap();
                            }
                        }
                    }
                    done
                })
            })
            .collect();
        let mut reader = db.connect().unwrap();
        for round in 0..20 {
            assert_eq!(sum(&mut reader), 80);
            reader.execute(REPEATABLE).unwrap();
            let of = |half: i32| format!("SELECT sum(v) FROM a WHERE id % 2 = {half}");
            let halves = number(&mut reader, &of(0)) + number(&mut reader, &of(1));
            assert_eq!(halves, 80);
            reader.execute("COMMIT").unwrap();
            if round % 5 == 0 {
                reader.execute("CHECKPOINT").unwrap();
            }
        }
        let done: i32 = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum();
        assert!(done > 0);
        assert_eq!(sum(&mut reader), 80);
    }
}

#[test]
fn a_key_that_may_become_free_is_waited_for() {
    let inserts = [
        "INSERT INTO a VALUES ('2026-01-01', 2, 77)",
        "INSERT INTO a SELECT '2026-01-01', 2, 77",
        "MERGE INTO a USING (SELECT 2 AS id) s ON false \
         WHEN NOT MATCHED THEN INSERT VALUES ('2026-01-01', s.id, 77)",
    ];
    let takes = [
        "DELETE FROM a WHERE id = 2",
        "UPDATE a SET id = 102 WHERE id = 2",
    ];
    on_all(|[mut one, mut other, mut watcher], _| {
        for insert in inserts {
            for take in takes {
                all(&mut one, &["BEGIN", take]);
                let waiter = waiting(other, &mut watcher, insert);
                one.execute("ROLLBACK").unwrap();
                let (back, done) = waiter.join().unwrap();
                assert_eq!(code(done), "23505");
                all(&mut one, &["BEGIN", take]);
                let waiter = waiting(back, &mut watcher, insert);
                one.execute("COMMIT").unwrap();
                let (back, done) = waiter.join().unwrap();
                assert_eq!(done.unwrap(), 1);
                other = back;
                assert_eq!(value(&mut other, 2), 77);
                all(&mut one, &["DELETE FROM a WHERE id = 102"]);
            }
        }
        // ON CONFLICT goes by what has become of the row; who holds it alone is not waited for.
        for (end, nothing) in [("ROLLBACK", 0), ("COMMIT", 1)] {
            all(&mut one, &["BEGIN", "DELETE FROM a WHERE id = 2"]);
            let upsert = "INSERT INTO a VALUES ('2026-01-01', 2, 5) ON CONFLICT DO NOTHING";
            let waiter = waiting(other, &mut watcher, upsert);
            one.execute(end).unwrap();
            let (back, done) = waiter.join().unwrap();
            assert_eq!(done.unwrap(), nothing);
            other = back;
        }
        all(
            &mut one,
            &["BEGIN", "SELECT v FROM a WHERE id = 2 FOR UPDATE"],
        );
        assert_eq!(code(other.execute(inserts.first().unwrap())), "23505");
        one.execute("COMMIT").unwrap();
    });
}

#[test]
fn a_key_that_becomes_free_while_it_is_looked_at_is_had() {
    on_all(|[mut one, mut other], _| {
        for round in 0..100 {
            all(&mut one, &["BEGIN", "DELETE FROM a WHERE id = 2"]);
            let insert = format!("INSERT INTO a VALUES ('2026-01-01', 2, {round})");
            let inserts = thread::spawn(move || {
                let done = other.execute(&insert);
                (other, done)
            });
            // Sometimes it waits by then, and sometimes it has just found the row.
            thread::sleep(Duration::from_micros(round * 20));
            one.execute("COMMIT").unwrap();
            let done;
            (other, done) = inserts.join().unwrap();
            assert_eq!(done.unwrap(), 1, "round {round}");
        }
    });
}

#[test]
fn rows_are_locked_as_strongly_as_is_said() {
    let modes = ["KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"];
    let manual = ["...X", "..XX", ".XXX", "XXXX"];
    let changes = [
        ("UPDATE a SET v = 0 WHERE id = 1", 2),
        ("UPDATE a SET id = id WHERE id = 1", 2),
        ("UPDATE a SET id = 101 WHERE id = 1", 3),
        ("DELETE FROM a WHERE id = 1", 3),
    ];
    on_all(|[mut one, mut other], _| {
        let holds = modes.iter().zip(manual);
        let holds =
            holds.map(|(mode, line)| (format!("SELECT id FROM a WHERE id = 1 FOR {mode}"), line));
        let changing = changes
            .iter()
            .filter_map(|(sql, mode)| Some(((*sql).to_owned(), *manual.get(*mode)?)));
        for (hold, line) in holds.chain(changing) {
            all(&mut one, &["BEGIN", &hold]);
            for (mode, sign) in modes.iter().zip(line.chars()) {
                let ask = format!("SELECT id FROM a WHERE id = 1 FOR {mode} NOWAIT");
                match other.query(&ask) {
                    Ok(_) => assert_eq!(sign, '.', "{ask} beside {hold}"),
                    refused => {
                        assert_eq!(code(refused), "55P03");
                        assert_eq!(sign, 'X', "{ask} beside {hold}");
                    }
                }
            }
            one.execute("ROLLBACK").unwrap();
        }
    });
}

#[test]
fn who_changes_a_table_waits_for_its_readers_and_they_for_it() {
    on_all(|[mut one, other, mut watcher], _| {
        // A reader in a block keeps the table as it is.
        all(&mut one, &["BEGIN", "SELECT count(*) FROM a"]);
        let waiter = waiting(other, &mut watcher, "TRUNCATE a");
        // Readers stand in line behind who waits.
        all(&mut watcher, &["SET lock_timeout = '20ms'"]);
        assert_eq!(code(watcher.query("SELECT * FROM a")), "55P03");
        assert_eq!(sum(&mut one), 40);
        one.execute("COMMIT").unwrap();
        let (mut other, done) = waiter.join().unwrap();
        done.unwrap();
        // A reader that waits sees what has become of the table.
        let select = "SELECT at, id, v, w FROM a";
        all(
            &mut other,
            &[
                "BEGIN",
                "ALTER TABLE a ADD COLUMN w int DEFAULT 3",
                "INSERT INTO a VALUES ('2026-01-01', 1, 4, 5)",
            ],
        );
        let reader = waiting(one, &mut watcher, "DELETE FROM a WHERE v = 4");
        other.execute("COMMIT").unwrap();
        let (mut one, done) = reader.join().unwrap();
        assert_eq!(done.unwrap(), 1);
        assert_eq!(one.query(select).unwrap().len(), 0);
        // What was locked after a savepoint is free behind it, what was locked before is not.
        let busy = "LOCK TABLE a IN ACCESS EXCLUSIVE MODE NOWAIT";
        for (read, free) in [
            (
                &["BEGIN", "SAVEPOINT s", "SELECT * FROM a"][..],
                "ROLLBACK TO s",
            ),
            (
                &[
                    "SELECT * FROM a",
                    "SAVEPOINT t",
                    "SELECT * FROM a",
                    "ROLLBACK TO t",
                ],
                "COMMIT",
            ),
        ] {
            all(&mut one, read);
            watcher.execute("BEGIN").unwrap();
            assert_eq!(code(watcher.execute(busy)), "55P03");
            one.execute(free).unwrap();
            all(&mut watcher, &["ROLLBACK", "BEGIN", busy, "ROLLBACK"]);
        }
    });
}

/// Rooms that nobody shares.
const STAYS: [&str; 2] = [
    "CREATE EXTENSION btree_gist",
    "CREATE TABLE stay (room int, during int4range, \
     EXCLUDE USING gist (room WITH =, during WITH &&))",
];

#[test]
fn who_adds_a_row_that_meets_another_waits_for_that() {
    for level in [COMMITTED, REPEATABLE] {
        let (_dir, db) = open();
        let mut one = db.connect().unwrap();
        let mut other = db.connect().unwrap();
        let mut watcher = db.connect().unwrap();
        all(&mut one, &STAYS);
        let late = "INSERT INTO stay VALUES (1, '[4,9)')";
        for (end, taken) in [("ROLLBACK", false), ("COMMIT", true)] {
            all(&mut one, &["BEGIN", "INSERT INTO stay VALUES (1, '[1,5)')"]);
            other.execute(level).unwrap();
            assert_eq!(number(&mut other, "SELECT count(*) FROM stay"), 0);
            // Another room is nobody's business.
            other
                .execute("INSERT INTO stay VALUES (2, '[1,5)')")
                .unwrap();
            let waiter = waiting(other, &mut watcher, late);
            one.execute(end).unwrap();
            let (back, done) = waiter.join().unwrap();
            other = back;
            match taken {
                true => assert_eq!(code(done), "23P01"),
                false => assert_eq!(done.unwrap(), 1),
            }
            other.execute("ROLLBACK").unwrap();
        }
        // A place that somebody gives up.
        for (end, taken) in [("ROLLBACK", true), ("COMMIT", false)] {
            all(&mut one, &["BEGIN", "DELETE FROM stay"]);
            let waiter = waiting(other, &mut watcher, late);
            one.execute(end).unwrap();
            let (back, done) = waiter.join().unwrap();
            other = back;
            match taken {
                true => assert_eq!(code(done), "23P01"),
                false => assert_eq!(done.unwrap(), 1),
            }
        }
        all(
            &mut one,
            &["BEGIN", "INSERT INTO stay VALUES (1, '[20,25)')"],
        );
        let nothing = "INSERT INTO stay VALUES (1, '[21,22)') ON CONFLICT DO NOTHING";
        let waiter = waiting(other, &mut watcher, nothing);
        one.execute("COMMIT").unwrap();
        let (_, done) = waiter.join().unwrap();
        assert_eq!(done.unwrap(), 0);
    }
}

#[test]
fn rows_that_must_not_meet_never_do_however_many_write() {
    const WRITERS: u64 = 4;
    let (_dir, db) = open();
    let mut reader = db.connect().unwrap();
    all(&mut reader, &STAYS);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut connection = db.connect().unwrap();
            thread::spawn(move || {
                let mut state = writer + 1;
                let mut random = |below: u64| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (state >> 33) % below
                };
                let (mut came, mut refused) = (0, 0);
                for round in 0..60 {
                    let (room, from) = (random(2), random(100));
                    let to = from + 1 + random(6);
                    let sql = match round % 3 {
                        0 => format!("INSERT INTO stay VALUES ({room}, '[{from},{to})')"),
                        1 => format!(
                            "INSERT INTO stay VALUES ({room}, '[{from},{to})') \
                             ON CONFLICT DO NOTHING"
                        ),
                        _ => format!(
                            "UPDATE stay SET during = '[{from},{to})' WHERE (room, during) IN \
                             (SELECT room, during FROM stay WHERE room = {room} LIMIT 1)"
                        ),
                    };
                    match connection.execute(&sql) {
                        Ok(rows) => came += rows,
                        // Who updates a row that another waits to see may have to wait for that one: as in
                        // PostgreSQL, one of the two is given up.
                        Err(error) => {
                            let code = error.code.to_string();
                            assert!(["23P01", "40P01"].contains(&code.as_str()), "{error}");
                            refused += 1;
                        }
                    }
                }
                (came, refused)
            })
        })
        .collect();
    let done: Vec<(u64, u64)> = writers.into_iter().map(|of| of.join().unwrap()).collect();
    assert!(done.iter().all(|(came, refused)| *came > 0 && *refused > 0));
    let meeting = "SELECT count(*) FROM stay a JOIN stay b \
                   ON a.room = b.room AND a.during && b.during AND a.during < b.during";
    assert_eq!(number(&mut reader, meeting), 0);
    let twice = "SELECT count(*) - count(DISTINCT (room, during)) FROM stay";
    assert_eq!(number(&mut reader, twice), 0);
}
