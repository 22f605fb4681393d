//! Rows that sessions beside each other update by their keys, each update a transaction of its own: none
//! is lost, whoever has the row locked, and wherever it lies meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chronolith::{Connection, Database, ToParam};

use crate::isolation::waiting;
use crate::sessions::{code, open};

const UPDATE: &str = "UPDATE a SET v = v + 1 WHERE at = '2026-01-01' AND id = ";

fn accounts(db: &Database) -> Connection {
    let mut one = db.connect().unwrap();
    for sql in [
        "CREATE TABLE a (at timestamptz, id int, v int, PRIMARY KEY (at, id))",
        "SELECT create_hypertable('a', 'at', chunk_time_interval => interval '1 day')",
        "ALTER TABLE a SET (timescaledb.compress, timescaledb.compress_orderby = 'at')",
        "INSERT INTO a SELECT '2026-01-01', g, 0 FROM generate_series(1, 5) g",
    ] {
        one.execute(sql).unwrap();
    }
    one
}

fn values(connection: &mut Connection) -> Vec<i32> {
    let rows = connection.query("SELECT v FROM a ORDER BY id").unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

#[test]
fn who_comes_to_a_locked_row_waits_and_changes_what_is_there_then() {
    let (_dir, db) = open();
    let mut one = accounts(&db);
    let mut watcher = db.connect().unwrap();
    for packed in [false, true] {
        if packed {
            one.query("SELECT compress_chunk(c, true) FROM show_chunks('a') c")
                .unwrap();
        }
        let before = values(&mut one);
        for held in [
            "SELECT * FROM a WHERE id = 1 FOR UPDATE",
            "UPDATE a SET v = v + 10 WHERE id = 1",
        ] {
            one.execute("BEGIN").unwrap();
            one.execute(held).unwrap();
            let other = db.connect().unwrap();
            let waiter = waiting(other, &mut watcher, &format!("{UPDATE}1"));
            // Others go on meanwhile.
            assert_eq!(watcher.execute(&format!("{UPDATE}2")).unwrap(), 1);
            one.execute("COMMIT").unwrap();
            assert_eq!(waiter.join().unwrap().1.unwrap(), 1);
        }
        let after = values(&mut one);
        assert_eq!(after[0], before[0] + 12);
        assert_eq!(after[1], before[1] + 2);
        // Who refers to a key keeps nobody from changing the rest of its row.
        one.execute("BEGIN").unwrap();
        one.query("SELECT * FROM a WHERE id = 3 FOR KEY SHARE")
            .unwrap();
        assert_eq!(watcher.execute(&format!("{UPDATE}3")).unwrap(), 1);
        one.execute("COMMIT").unwrap();
        one.execute("BEGIN; SET LOCAL lock_timeout = '50ms'")
            .unwrap();
        let mut other = db.connect().unwrap();
        other.execute("BEGIN").unwrap();
        other.execute(&format!("{UPDATE}4")).unwrap();
        assert_eq!(code(one.execute(&format!("{UPDATE}4"))), "55P03");
        one.execute("ROLLBACK").unwrap();
        one.execute("SET lock_timeout = '50ms'").unwrap();
        assert_eq!(code(one.execute(&format!("{UPDATE}4"))), "55P03");
        one.execute("SET lock_timeout = 0").unwrap();
        other.execute("COMMIT").unwrap();
    }
}

#[test]
fn a_repeatable_read_sees_no_update_of_others_and_refuses_to_follow_one() {
    let (_dir, db) = open();
    let mut one = accounts(&db);
    let mut other = db.connect().unwrap();
    one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .unwrap();
    assert_eq!(values(&mut one), [0; 5]);
    other.execute(&format!("{UPDATE}1")).unwrap();
    assert_eq!(values(&mut one), [0; 5]);
    assert_eq!(code(one.execute(&format!("{UPDATE}1"))), "40001");
    one.execute("ROLLBACK").unwrap();
    // A statement by itself sees what is there when it comes.
    one.execute("SET default_transaction_isolation = 'repeatable read'")
        .unwrap();
    assert_eq!(one.execute(&format!("{UPDATE}1")).unwrap(), 1);
    assert_eq!(values(&mut one)[0], 2);
    one.execute("SET default_transaction_read_only = on")
        .unwrap();
    assert_eq!(code(one.execute(&format!("{UPDATE}1"))), "25006");
}

#[test]
fn updates_beside_each_other_are_all_there() {
    const SESSIONS: usize = 6;
    const ROUNDS: usize = 60;
    let (dir, db) = open();
    let mut one = accounts(&db);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..SESSIONS)
            .map(|session| {
                let mut connection = db.connect().unwrap();
                scope.spawn(move || {
                    let prepared = connection
                        .prepare("UPDATE a SET v = v + $2 WHERE at = '2026-01-01' AND id = $1")
                        .unwrap();
                    for round in 0..ROUNDS {
                        let id = i32::try_from((session + round) % 5 + 1).unwrap();
                        // By a statement, by a prepared one, and within a block.
                        let done = match round % 3 {
                            0 => connection.execute(&format!("{UPDATE}{id}")).unwrap(),
                            1 => {
                                let params: [&dyn ToParam; 2] = [&id, &1_i32];
                                connection.execute_prepared(&prepared, &params).unwrap()
                            }
                            _ => {
                                connection.execute("BEGIN").unwrap();
                                let done = connection.execute(&format!("{UPDATE}{id}"));
                                connection.execute("COMMIT").unwrap();
                                done.unwrap()
                            }
                        };
                        assert_eq!(done, 1);
                    }
                })
            })
            .collect();
        let packer = scope.spawn(|| {
            let mut connection = db.connect().unwrap();
            while !over.load(Ordering::Relaxed) {
                connection
                    .query("SELECT compress_chunk(c, true) FROM show_chunks('a') c")
                    .unwrap();
                connection.execute("CHECKPOINT").unwrap();
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        packer.join().unwrap();
    });
    let there = values(&mut one);
    let all: usize = there.iter().map(|v| usize::try_from(*v).unwrap()).sum();
    assert_eq!(all, SESSIONS * ROUNDS);
    drop((one, db));
    let db = Database::open(dir.path()).unwrap();
    assert_eq!(values(&mut db.connect().unwrap()), there);
}
