//! Portals of the protocol that have names are cursors to SQL.

use super::Db;

fn bind(db: &mut Db, name: &str, sql: &str) -> bool {
    let statements = db.session.parse(sql).unwrap();
    let prepared = db.session.prepare(&statements[0], &[]);
    let prepared = futures::executor::block_on(prepared).unwrap();
    db.session.portal(name, &prepared, &[])
}

#[test]
fn sql_fetches_from_a_portal_and_closes_it() {
    let mut db = Db::new();
    db.run("BEGIN");
    assert!(bind(&mut db, "p", "SELECT i FROM generate_series(1, 9) i"));
    assert_eq!(db.run("MOVE FORWARD 2 FROM p"), ["MOVE 2"]);
    assert_eq!(db.query("FETCH 2 FROM p"), ["3", "4"]);
    let rest = db.session.cursor_rows("p", 3);
    assert!(futures::executor::block_on(rest).is_ok());
    let (code, message) = db.fails("SAVEPOINT s; FETCH BACKWARD 1 FROM p");
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("55000", "cursor can only scan forward")
    );
    db.run("ROLLBACK TO s; CLOSE p");
    assert_eq!(db.fails("FETCH 1 FROM p").0, "34000");
    db.run("ROLLBACK");
}

#[test]
fn a_portal_ends_with_what_it_was_bound_in() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (i int); BEGIN; SAVEPOINT s");
    assert!(bind(&mut db, "p", "SELECT 1"));
    assert!(!bind(&mut db, "q", "INSERT INTO t VALUES (1) RETURNING i"));
    assert!(db.session.cursor_columns("p").is_some());
    db.run("ROLLBACK TO s");
    assert!(db.session.cursor_columns("p").is_none());
    assert!(bind(&mut db, "p", "SELECT 1"));
    assert_eq!(db.fails("DECLARE p CURSOR FOR SELECT 2").0, "42P03");
    db.run("ROLLBACK");
    assert!(db.session.cursor_columns("p").is_none());
}
