//! Role × statement × object × path: who may do what, with no cell left out.
//!
//! What is expected follows from [`rights`], the table from which the grants are made too, by the
//! rules that PostgreSQL's manual states; nothing is copied from what a server answered. With
//! `CHRONOLITH_POSTGRES` set to a superuser's connection string of PostgreSQL 15, the cells that
//! exist there are held against it.

mod paths;
mod rights;
mod statements;

use std::collections::BTreeSet;

use chronolith::Database;
use paths::{Door, PATHS, PLAIN};
use rights::{OBJECTS, ROLES, allowed, setup};
use statements::STATEMENTS;

use crate::program::Serving;

/// Every cell of a door's paths: those that differ, and how many there were.
async fn differing(door: &mut Door, paths: &[paths::Path]) -> (Vec<String>, usize) {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for object in OBJECTS {
        for statement in STATEMENTS.iter().filter(|s| s.on.contains(object)) {
            if door.is_postgres() && !object.in_postgres() {
                continue;
            }
            for role in ROLES {
                for path in paths {
                    if !path.takes(statement) || !door.has(*path) {
                        continue;
                    }
                    let sql = statement.sql.replace("{o}", &door.name_of(*object));
                    let answer = door.run(role, *path, statement, &sql).await;
                    // What another role has prepared is bound anew for who runs it, where PostgreSQL
                    // keeps the names that were found.
                    let found = door.is_postgres() && *path == paths::Path::Handed;
                    let expected = match allowed(role, *object, statement, found) {
                        true => "ok",
                        false => "42501",
                    };
                    let cell = format!("{role} {path:?} {object:?}: {sql}");
                    if answer != expected {
                        wrong.push(format!("{cell}: {answer}, not {expected}"));
                    }
                    assert!(seen.insert(cell), "a cell comes twice");
                    count += 1;
                }
            }
        }
    }
    (wrong, count)
}

fn told(wrong: &[String]) -> String {
    format!("{} cells differ:\n{}", wrong.len(), wrong.join("\n"))
}

/// How many cells there are for paths.
fn cells(has: impl Fn(paths::Path) -> bool) -> usize {
    let mut count = 0;
    for object in OBJECTS {
        for statement in STATEMENTS.iter().filter(|s| s.on.contains(object)) {
            let paths = PATHS.iter().filter(|path| path.takes(statement));
            count += ROLES.len() * paths.filter(|path| has(**path)).count();
        }
    }
    count
}

/// Makes what the cells are about. The roles have no passwords, so that a rule lets them in.
async fn prepared(serving: &Serving, dir: &std::path::Path) -> tokio_postgres::Client {
    let client = serving.connect().await;
    for sql in setup(true) {
        let done = client.batch_execute(&sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    std::fs::write(dir.join("pg_hba.conf"), "host all all samehost trust\n").unwrap();
    client
        .execute("SELECT pg_reload_conf()", &[])
        .await
        .unwrap();
    client
}

/// Asserts the cells of some paths of a server.
async fn by_the_wire(paths: &[paths::Path]) {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = prepared(&serving, dir.path()).await;
    let mut door = Door::of_server(&serving, &client).await;
    let (wrong, count) = differing(&mut door, paths).await;
    assert!(wrong.is_empty(), "{}", told(&wrong));
    assert_eq!(count, cells(|path| paths.contains(&path)));
    assert!(count > 5000, "{count}");
}

#[tokio::test]
async fn every_role_may_do_by_the_wire_what_it_was_granted_and_no_more() {
    by_the_wire(&PATHS[..PLAIN]).await;
}

/// The other half, which takes as long.
#[tokio::test]
async fn every_role_may_do_in_other_statements_what_it_was_granted_and_no_more() {
    by_the_wire(&PATHS[PLAIN..PATHS.len() - 1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_within_a_program_what_it_was_granted_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let own = db.clone();
    let made = std::thread::spawn(move || {
        let mut connection = own.connect().unwrap();
        for sql in setup(true) {
            let done = connection.run(&sql);
            done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    });
    made.join().unwrap();
    let mut door = Door::of_program(&db);
    let (wrong, count) = differing(&mut door, PATHS).await;
    assert!(wrong.is_empty(), "{}", told(&wrong));
    assert_eq!(count, cells(|path| path == paths::Path::Embedded));
}

#[tokio::test]
async fn the_cells_that_postgresql_has_are_the_same_there() {
    let Ok(place) = std::env::var("CHRONOLITH_POSTGRES") else {
        return;
    };
    let mut door = Door::of_postgres(&place).await;
    let (wrong, count) = differing(&mut door, PATHS).await;
    door.drop_all().await;
    assert!(wrong.is_empty(), "{}", told(&wrong));
    assert!(count > 3000, "{count}");
}

/// What was prepared while it was allowed is looked at again when it runs.
#[tokio::test]
async fn a_prepared_statement_and_a_cursor_end_with_the_right_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = prepared(&serving, dir.path()).await;
    let reader = serving.connect_as("reader").await.unwrap();
    let kept = reader.prepare("SELECT v FROM m.t").await.unwrap();
    assert_eq!(reader.query(&kept, &[]).await.unwrap().len(), 1);
    let sql = "PREPARE p AS SELECT v FROM m.h; EXECUTE p";
    reader.batch_execute(sql).await.unwrap();
    let revoke = "REVOKE SELECT ON m.t, m.h FROM reader";
    client.batch_execute(revoke).await.unwrap();
    let code = |error: tokio_postgres::Error| error.code().unwrap().code().to_owned();
    assert_eq!(code(reader.query(&kept, &[]).await.unwrap_err()), "42501");
    let again = reader.batch_execute("EXECUTE p").await.unwrap_err();
    assert_eq!(code(again), "42501");
}
