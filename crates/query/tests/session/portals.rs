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

#[test]
fn the_row_of_a_cursor_is_found_wherever_it_was_moved() {
    let mut db = Db::new();
    db.run(
        "CREATE TABLE t (ts timestamptz NOT NULL, i int, v int); \
         SELECT create_hypertable('t', 'ts'); \
         INSERT INTO t SELECT '2026-01-01'::timestamptz + n * interval '1 minute', n, 0 \
         FROM generate_series(1, 50) n",
    );
    db.run("BEGIN; DECLARE c CURSOR FOR SELECT i FROM t WHERE i % 2 = 0 ORDER BY i DESC");
    assert_eq!(db.query("FETCH 3 FROM c"), ["50", "48", "46"]);
    db.instance.engine.flush().unwrap();
    let update = "UPDATE t SET v = v + i WHERE CURRENT OF c RETURNING i, v";
    assert_eq!(db.query(update), ["46|46"]);
    let mut other = super::connect(&db.instance);
    let compress = "SELECT count(compress_chunk(c)) FROM show_chunks('t') c";
    db.wait(super::message(&mut other, compress, None)).unwrap();
    assert_eq!(db.query(update), ["46|92"]);
    assert_eq!(db.query("FETCH 1 FROM c"), ["44"]);
    assert_eq!(db.query(update), ["44|44"]);
    assert_eq!(db.run("DELETE FROM t WHERE CURRENT OF c"), ["DELETE 1"]);
    assert_eq!(
        db.run("UPDATE t SET v = 1 WHERE CURRENT OF c"),
        ["UPDATE 0"]
    );
    db.run("COMMIT");
    assert_eq!(db.query("SELECT i, v FROM t WHERE v <> 0"), ["46|92"]);
    assert_eq!(db.query("SELECT count(*) FROM t"), ["49"]);
}
