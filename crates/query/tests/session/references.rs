//! Foreign keys and unique expressions, held against what others commit meanwhile.

use chronolith_query::Session;

use super::{Db, connect, message};

fn other(db: &Db) -> Session {
    connect(&db.instance)
}

fn run(db: &Db, session: &mut Session, sql: &str) -> Result<Vec<String>, String> {
    let done = db.wait(message(session, sql, None));
    done.map_err(|error| error.code.as_str().to_owned())
}

#[test]
fn no_commit_leaves_a_reference_to_a_row_that_another_deleted() {
    let mut db = Db::new();
    db.run("CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (2)");
    db.run("CREATE TABLE c (p int REFERENCES p)");
    let mut second = other(&db);
    // The child commits last.
    db.run("BEGIN; INSERT INTO c VALUES (1)");
    run(&db, &mut second, "DELETE FROM p WHERE id = 1").unwrap();
    assert_eq!(db.fails("COMMIT").0, "23503");
    assert_eq!(db.query("SELECT count(*) FROM c"), ["0"]);
    // The parent commits last.
    run(&db, &mut second, "BEGIN; DELETE FROM p WHERE id = 2").unwrap();
    db.run("INSERT INTO c VALUES (2)");
    assert_eq!(run(&db, &mut second, "COMMIT").unwrap_err(), "23503");
    assert_eq!(db.query("SELECT id FROM p"), ["2"]);
    assert_eq!(
        db.query("SELECT count(*) FROM c LEFT JOIN p ON p.id = c.p WHERE p.id IS NULL"),
        ["0"]
    );
}

#[test]
fn two_transactions_cannot_both_take_a_key_of_an_expression() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (name text); CREATE UNIQUE INDEX ON t (lower(name))");
    let mut second = other(&db);
    db.run("BEGIN; INSERT INTO t VALUES ('Ann')");
    run(&db, &mut second, "INSERT INTO t VALUES ('ANN')").unwrap();
    assert_eq!(db.fails("COMMIT").0, "23505");
    assert_eq!(db.query("SELECT name FROM t"), ["ANN"]);
}
