//! What is shown of views, beside what PostgreSQL 15 says of the same ones.

use super::Db;

/// A view's query and what PostgreSQL shows of it: plain, pretty, with lines of 60 bytes, and plain
/// once more of a view made from the plain text. `time_bucket` was a SQL function there.
fn recorded() -> impl Iterator<Item = (&'static str, [&'static str; 4])> {
    let all = include_str!("viewdefs/recorded.txt").split("\n=====\n");
    all.filter(|record| !record.trim().is_empty())
        .map(|record| {
            let (query, rest) = record.split_once("\n--- plain\n").unwrap();
            let (plain, rest) = rest.split_once("\n--- pretty\n").unwrap();
            let (pretty, rest) = rest.split_once("\n--- 60\n").unwrap();
            let (wrapped, again) = rest.split_once("\n--- again\n").unwrap();
            (query, [plain, pretty, wrapped, again])
        })
}

fn texts(db: &mut Db, view: &str) -> [String; 3] {
    ["", ", true", ", 60"].map(|how| {
        let shown = db.query(&format!("SELECT pg_get_viewdef('{view}'::regclass{how})"));
        shown.join("\n")
    })
}

#[test]
fn views_are_shown_as_postgresql_shows_them() {
    let mut db = Db::new();
    db.run(include_str!("viewdefs/tables.sql"));
    let (mut wrong, mut all) = (Vec::new(), 0);
    for (query, expected) in recorded() {
        all += 1;
        if let Err(error) = db.try_run(&format!("CREATE VIEW w AS {query}")) {
            wrong.push(format!("{query}\n{}", error.message));
            continue;
        }
        for (shown, expected) in texts(&mut db, "w").iter().zip(expected) {
            if shown != expected {
                wrong.push(format!("{query}\n{shown}\n-- PostgreSQL:\n{expected}"));
            }
        }
        db.run("DROP VIEW w");
    }
    assert!(
        wrong.is_empty(),
        "{} of {all}:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

#[test]
fn what_is_shown_of_a_view_makes_the_same_view() {
    let mut db = Db::new();
    db.run(include_str!("viewdefs/tables.sql"));
    for (query, [.., again]) in recorded() {
        db.run(&format!("CREATE VIEW w AS {query}"));
        let shown = texts(&mut db, "w");
        let sorted = |db: &mut Db, view: &str| {
            let mut rows = db.query(&format!("SELECT * FROM {view}"));
            rows.sort();
            rows
        };
        let rows = sorted(&mut db, "w");
        for text in &shown[..2] {
            db.run(&format!("CREATE VIEW again AS {text}"));
            // PostgreSQL too reads `(a AND b) AND c` and `(ARRAY[…])::text[]` as something simpler.
            assert_eq!(texts(&mut db, "again")[0], again, "{query}");
            let volatile = query.contains("now()") || query.contains("localtimestamp");
            if !volatile {
                assert_eq!(sorted(&mut db, "again"), rows, "{query}\n{text}");
            }
            db.run("DROP VIEW again");
        }
        db.run("DROP VIEW w");
    }
}
