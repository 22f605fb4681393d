//! Foreign keys between transactions that run beside each other: who refers to a row keeps others
//! from taking it away, as long as that is open.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith::{Connection, Database};

use crate::isolation::waiting;
use crate::sessions::{code, open};

/// Two parents, the rows in memory, in parts, or both; and those who refer to them.
fn family(layout: &str) -> (tempfile::TempDir, Database) {
    let (dir, db) = open();
    let mut one = db.connect().unwrap();
    for sql in [
        "CREATE TABLE parent (name text, id bigint, note int, PRIMARY KEY (id, name))",
        "CREATE TABLE child (at int, name text, of int, \
         FOREIGN KEY (of, name) REFERENCES parent (id, name))",
        "INSERT INTO parent SELECT 'p', g, 0 FROM generate_series(1, 1000) g",
    ] {
        one.execute(sql).unwrap();
    }
    if layout != "hot" {
        one.execute("CHECKPOINT").unwrap();
    }
    if layout == "both" {
        one.execute("UPDATE parent SET note = 1 WHERE id % 2 = 1")
            .unwrap();
    }
    (dir, db)
}

fn on_all<const N: usize>(run: impl Fn([Connection; N])) {
    for layout in ["hot", "flushed", "both"] {
        let (_dir, db) = family(layout);
        run(std::array::from_fn(|_| db.connect().unwrap()));
    }
}

fn children(connection: &mut Connection) -> i64 {
    let counted = connection.query("SELECT count(*) FROM child").unwrap();
    counted.single::<i64>().unwrap()
}

#[test]
fn a_parent_that_is_referred_to_waits_to_be_deleted() {
    on_all(|[mut one, two, mut three]| {
        one.execute("BEGIN").unwrap();
        one.execute("INSERT INTO child VALUES (1, 'p', 7), (2, NULL, 8), (3, 'p', 6)")
            .unwrap();
        // What leaves the key alone does not wait, and what nobody refers to neither.
        three.execute("SET lock_timeout = '100ms'").unwrap();
        three
            .execute("UPDATE parent SET note = 5 WHERE id = 6 AND name = 'p'")
            .unwrap();
        three.execute("DELETE FROM parent WHERE id = 8").unwrap();
        let late = three.execute("DELETE FROM parent WHERE id = 7");
        assert_eq!(code(late), "55P03");
        let late = three.execute("UPDATE parent SET id = -7 WHERE id = 7");
        assert_eq!(code(late), "55P03");
        let waiter = waiting(two, &mut three, "DELETE FROM parent WHERE id = 7");
        one.execute("COMMIT").unwrap();
        let (mut two, done) = waiter.join().unwrap();
        let refused = done.unwrap_err();
        assert_eq!(refused.code.to_string(), "23503");
        assert_eq!(
            refused.detail.as_deref(),
            Some("Key (id, name)=(7, p) is still referenced from table \"child\".")
        );
        assert_eq!(children(&mut two), 3);
    });
}

#[test]
fn a_parent_that_was_updated_meanwhile_waits_to_be_deleted() {
    on_all(|[mut one, mut two, mut three]| {
        one.execute("BEGIN").unwrap();
        one.execute("INSERT INTO child VALUES (1, 'p', 7), (2, 'p', 8)")
            .unwrap();
        // By one statement, by several of one transaction, and beside others that go.
        two.execute("UPDATE parent SET note = 5 WHERE id = 7")
            .unwrap();
        two.execute("BEGIN; UPDATE parent SET note = note + 1 WHERE id < 100")
            .unwrap();
        two.execute("UPDATE parent SET note = note + 1 WHERE id < 50")
            .unwrap();
        two.execute("DELETE FROM parent WHERE id = 200; COMMIT")
            .unwrap();
        two.execute("SET lock_timeout = '100ms'").unwrap();
        for sql in [
            "DELETE FROM parent WHERE id = 7",
            "UPDATE parent SET id = -8 WHERE id = 8",
            "SELECT FROM parent WHERE id = 7 FOR UPDATE",
        ] {
            assert_eq!(code(two.execute(sql)), "55P03", "{sql}");
        }
        // Locks move with the rows, and rows of others' are free.
        three.execute("CHECKPOINT").unwrap();
        let late = two.execute("DELETE FROM parent WHERE id = 8");
        assert_eq!(code(late), "55P03");
        two.execute("DELETE FROM parent WHERE id IN (6, 10)")
            .unwrap();
        two.execute("SET lock_timeout = 0").unwrap();
        let waiter = waiting(two, &mut three, "DELETE FROM parent WHERE id = 7");
        three
            .execute("UPDATE parent SET note = 0 WHERE id = 7")
            .unwrap();
        one.execute("COMMIT").unwrap();
        let (mut two, done) = waiter.join().unwrap();
        assert_eq!(done.unwrap_err().code.to_string(), "23503");
        assert_eq!(children(&mut two), 2);
    });
}

#[test]
fn a_parent_that_was_updated_meanwhile_goes_when_who_referred_to_it_goes_back() {
    on_all(|[mut one, mut two, mut three]| {
        one.execute("BEGIN; SAVEPOINT s").unwrap();
        one.execute("INSERT INTO child VALUES (1, 'p', 7)").unwrap();
        two.execute("UPDATE parent SET note = 5 WHERE id = 7")
            .unwrap();
        let waiter = waiting(two, &mut three, "DELETE FROM parent WHERE id = 7");
        one.execute("ROLLBACK TO s").unwrap();
        let (_, done) = waiter.join().unwrap();
        assert_eq!(done.unwrap(), 1);
    });
}

#[test]
fn keys_that_were_locked_by_name_stay_locked() {
    on_all(|[mut one, mut two, _]| {
        one.execute("BEGIN").unwrap();
        let locked = "SELECT note FROM parent WHERE id IN (3, 4) FOR KEY SHARE";
        assert_eq!(one.query(locked).unwrap().len(), 2);
        two.execute("BEGIN; UPDATE parent SET note = 9 WHERE id IN (3, 5)")
            .unwrap();
        two.execute("ROLLBACK").unwrap();
        two.execute("UPDATE parent SET note = 5 WHERE id IN (3, 4)")
            .unwrap();
        for id in [3, 4] {
            let sql = format!("SELECT FROM parent WHERE id = {id} FOR UPDATE NOWAIT");
            assert_eq!(code(two.query(&sql)), "55P03");
            let sql = format!("SELECT FROM parent WHERE id = {id} FOR NO KEY UPDATE NOWAIT");
            two.query(&sql).unwrap();
        }
        one.execute("COMMIT").unwrap();
        let all = "SELECT FROM parent WHERE id < 10 FOR UPDATE NOWAIT";
        assert_eq!(two.query(all).unwrap().len(), 9);
    });
}

#[test]
fn a_parent_goes_when_who_referred_to_it_goes_back() {
    on_all(|[mut one, two, mut three]| {
        one.execute("BEGIN").unwrap();
        one.execute("SAVEPOINT s").unwrap();
        one.execute("INSERT INTO child VALUES (1, 'p', 7)").unwrap();
        let waiter = waiting(two, &mut three, "DELETE FROM parent WHERE id = 7");
        one.execute("ROLLBACK TO s").unwrap();
        let (_, done) = waiter.join().unwrap();
        assert_eq!(done.unwrap(), 1);
        let gone = one.execute("INSERT INTO child VALUES (1, 'p', 7)");
        assert_eq!(code(gone), "23503");
    });
}

#[test]
fn who_refers_to_a_row_that_goes_waits() {
    on_all(|[mut one, two, mut three]| {
        one.execute("BEGIN").unwrap();
        one.execute("DELETE FROM parent WHERE id IN (7, 9)")
            .unwrap();
        one.execute("UPDATE parent SET note = 3 WHERE id = 11")
            .unwrap();
        three
            .execute("INSERT INTO child VALUES (1, 'p', 11)")
            .unwrap();
        let sql = "INSERT INTO child VALUES (1, 'p', 7)";
        let waiter = waiting(two, &mut three, sql);
        one.execute("COMMIT").unwrap();
        let (two, done) = waiter.join().unwrap();
        let refused = done.unwrap_err();
        assert_eq!(refused.code.to_string(), "23503");
        assert_eq!(
            refused.detail.as_deref(),
            Some("Key (of, name)=(7, p) is not present in table \"parent\".")
        );
        one.execute("BEGIN").unwrap();
        one.execute("DELETE FROM parent WHERE id = 13").unwrap();
        let sql = "INSERT INTO child VALUES (1, 'p', 13)";
        let waiter = waiting(two, &mut three, sql);
        one.execute("ROLLBACK").unwrap();
        let (_, done) = waiter.join().unwrap();
        assert_eq!(done.unwrap(), 1);
    });
}

#[test]
fn rows_of_the_transaction_are_referred_to() {
    on_all(|[mut one, _, mut three]| {
        one.execute("BEGIN").unwrap();
        one.execute("INSERT INTO parent VALUES ('n', 7), ('n', 2000)")
            .unwrap();
        three
            .execute("INSERT INTO parent VALUES ('n', 3000)")
            .unwrap();
        one.execute("INSERT INTO child VALUES (1, 'n', 7), (2, 'n', 2000), (3, 'n', 3000)")
            .unwrap();
        let gone = one.execute("DELETE FROM parent WHERE name = 'n'");
        assert_eq!(code(gone), "23503");
        one.execute("ROLLBACK").unwrap();
        assert_eq!(children(&mut one), 0);
    });
}
