//! A table as a queue of jobs: who asks with FOR UPDATE SKIP LOCKED gets what nobody else has.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;

use crate::sessions::open;

const WORKERS: usize = 6;
const JOBS: i32 = 240;

/// Each in another of the forms that people write.
const TAKES: [&str; 6] = [
    "UPDATE q SET state = 'run' WHERE id = (SELECT id FROM q WHERE state = 'new' ORDER BY id
     LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
    "WITH c AS (SELECT id FROM q WHERE state = 'new' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 3)
     UPDATE q SET state = 'run' FROM c WHERE c.id = q.id RETURNING q.id",
    "WITH c AS (SELECT id FROM q WHERE state = 'new' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)
     DELETE FROM q USING c WHERE c.id = q.id RETURNING q.id",
    "DELETE FROM q WHERE id IN (SELECT id FROM q WHERE state = 'new' FOR UPDATE SKIP LOCKED
     LIMIT 2) RETURNING id",
    "SELECT id FROM take(2)",
    "UPDATE q SET state = 'run' WHERE ctid = (SELECT ctid FROM q WHERE state = 'new'
     ORDER BY id DESC FOR NO KEY UPDATE SKIP LOCKED LIMIT 1) RETURNING id",
];

#[test]
fn no_job_is_taken_twice_and_none_is_left() {
    let (_dir, db) = open();
    let mut watcher = db.connect().unwrap();
    watcher
        .execute(&format!(
            "CREATE TABLE q (id int PRIMARY KEY, state text NOT NULL);
             INSERT INTO q SELECT i, 'new' FROM generate_series(1, {JOBS}) i;
             CREATE FUNCTION take(n int) RETURNS SETOF q LANGUAGE sql AS $$
               UPDATE q SET state = 'run' WHERE id IN (SELECT id FROM q WHERE state = 'new'
               ORDER BY id LIMIT n FOR UPDATE SKIP LOCKED) RETURNING * $$"
        ))
        .unwrap();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let db = db.clone();
            thread::spawn(move || {
                let mut connection = db.connect().unwrap();
                let mut taken: Vec<i32> = Vec::new();
                loop {
                    connection.execute("BEGIN").unwrap();
                    let rows = connection.query(TAKES[worker]).unwrap();
                    let some: Vec<i32> = rows.iter().map(|row| row.get(0).unwrap()).collect();
                    // Some of them are given back.
                    let back = taken.len() % 7 == 3;
                    let end = if back { "ROLLBACK" } else { "COMMIT" };
                    connection.execute(end).unwrap();
                    if some.is_empty() {
                        return taken;
                    }
                    if back {
                        let rows = connection.query(TAKES[worker]).unwrap();
                        taken.extend(rows.iter().map(|row| row.get::<i32>(0).unwrap()));
                    } else {
                        taken.extend(some);
                    }
                }
            })
        })
        .collect();
    let mut all: Vec<i32> = Vec::new();
    for worker in workers {
        all.extend(worker.join().unwrap());
    }
    // Those that others had in their hands when the last asked.
    let left = watcher
        .query("UPDATE q SET state = 'run' WHERE state = 'new' RETURNING id")
        .unwrap();
    all.extend(left.iter().map(|row| row.get::<i32>(0).unwrap()));
    all.sort_unstable();
    assert_eq!(all, (1..=JOBS).collect::<Vec<_>>());
}
