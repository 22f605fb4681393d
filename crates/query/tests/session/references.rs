//! Foreign keys and unique expressions, held against what others commit meanwhile.

use std::sync::Arc;

use chronolith_engine::EngineConfig;
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Platform, RealClock};
use chronolith_query::Session;

use super::{Db, connect, message};

fn other(db: &Db) -> Session {
    connect(&db.instance)
}

fn run(db: &Db, session: &mut Session, sql: &str) -> Result<Vec<String>, String> {
    let done = db.wait(message(session, sql, None));
    done.map_err(|error| error.code.as_str().to_owned())
}

/// A database whose clock goes on while somebody waits.
fn waiting() -> Db {
    let mut platform = Platform::simulated(SimDisk::new(7), 7);
    platform.clock = Arc::new(RealClock::default());
    Db::on(platform, EngineConfig::default())
}

#[test]
fn no_commit_leaves_a_reference_to_a_row_that_another_deleted() {
    let mut db = waiting();
    db.run("SET lock_timeout = '50ms'");
    db.run("CREATE TABLE p (id int PRIMARY KEY); INSERT INTO p VALUES (1), (2)");
    db.run("CREATE TABLE c (p int REFERENCES p)");
    let mut second = other(&db);
    run(&db, &mut second, "SET lock_timeout = '50ms'").unwrap();
    // The child is there first.
    db.run("BEGIN; INSERT INTO c VALUES (1)");
    let delete = "DELETE FROM p WHERE id = 1";
    assert_eq!(run(&db, &mut second, delete).unwrap_err(), "55P03");
    db.run("COMMIT");
    assert_eq!(run(&db, &mut second, delete).unwrap_err(), "23503");
    // The parent goes first.
    run(&db, &mut second, "BEGIN; DELETE FROM p WHERE id = 2").unwrap();
    assert_eq!(db.fails("INSERT INTO c VALUES (2)").0, "55P03");
    run(&db, &mut second, "COMMIT").unwrap();
    assert_eq!(db.fails("INSERT INTO c VALUES (2)").0, "23503");
    assert_eq!(db.query("SELECT id FROM p"), ["1"]);
    assert_eq!(db.query("SELECT p FROM c"), ["1"]);
}

#[test]
fn two_transactions_cannot_both_take_a_key_of_an_expression() {
    let mut db = waiting();
    db.run("CREATE TABLE t (name text); CREATE UNIQUE INDEX ON t (lower(name))");
    let mut second = other(&db);
    run(&db, &mut second, "SET lock_timeout = '50ms'").unwrap();
    db.run("BEGIN; INSERT INTO t VALUES ('Ann')");
    let insert = "INSERT INTO t VALUES ('ANN')";
    assert_eq!(run(&db, &mut second, insert).unwrap_err(), "55P03");
    db.run("COMMIT");
    assert_eq!(run(&db, &mut second, insert).unwrap_err(), "23505");
    assert_eq!(db.query("SELECT name FROM t"), ["Ann"]);
}

#[test]
fn two_transactions_cannot_both_take_a_key_that_waits_for_the_commit() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)");
    let mut second = other(&db);
    db.run("BEGIN; INSERT INTO t VALUES (1)");
    run(&db, &mut second, "INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(db.fails("COMMIT").0, "23505");
    assert_eq!(db.query("SELECT count(*) FROM t"), ["1"]);
}

#[test]
fn copied_rows_pass_through_triggers() {
    let mut db = Db::new();
    db.run(
        "CREATE TABLE p (id int, x int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF new.id = 2 THEN RETURN null; END IF; new.x := new.id * 10; RETURN new; END $$;
         CREATE TRIGGER b BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION f();
         CREATE TABLE seen (n bigint, s bigint);
         CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO seen SELECT count(*), sum(x) FROM fresh; RETURN null; END $$;
         CREATE TRIGGER a AFTER INSERT ON p REFERENCING NEW TABLE AS fresh
           FOR EACH STATEMENT EXECUTE FUNCTION g()",
    );
    let copied = db.copy("COPY p(id) FROM STDIN", "1\n2\n3\n");
    assert_eq!(copied.unwrap(), ["COPY 2"]);
    assert_eq!(db.query("SELECT id, x FROM p ORDER BY 1"), ["1|10", "3|30"]);
    assert_eq!(db.query("SELECT n, s FROM seen"), ["2|40"]);
}

#[test]
fn few_keys_are_found_among_many_wherever_they_lie() {
    let mut db = Db::new();
    db.run(
        "CREATE TABLE t (id int, live bool);
         CREATE UNIQUE INDEX ON t (id) WHERE live;
         INSERT INTO t SELECT g, true FROM generate_series(1, 1000) g",
    );
    assert_eq!(db.fails("INSERT INTO t VALUES (500, true)").0, "23505");
    db.run("INSERT INTO t VALUES (500, false); DELETE FROM t WHERE id = 700");
    db.run("INSERT INTO t VALUES (700, true)");
    assert_eq!(db.fails("INSERT INTO t VALUES (700, true)").0, "23505");
    db.instance.engine.flush().unwrap();
    assert_eq!(db.fails("INSERT INTO t VALUES (500, true)").0, "23505");
    assert_eq!(db.fails("INSERT INTO t VALUES (700, true)").0, "23505");
    db.run("BEGIN; DELETE FROM t WHERE id = 10; INSERT INTO t VALUES (10, true); ROLLBACK");
    assert_eq!(db.fails("INSERT INTO t VALUES (10, true)").0, "23505");
    db.run("UPDATE t SET live = false WHERE id = 11; INSERT INTO t VALUES (11, true)");
    assert_eq!(db.fails("UPDATE t SET id = 12 WHERE id = 13").0, "23505");
    db.run("BEGIN; INSERT INTO t VALUES (2000, true)");
    assert_eq!(db.fails("INSERT INTO t VALUES (2000, true)").0, "23505");
    db.run("ROLLBACK; INSERT INTO t VALUES (2000, true)");
}
