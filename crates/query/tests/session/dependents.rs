//! What is told of things that go with what is dropped, or keep it.

use super::Db;

/// Statements, each behind `> `, and what PostgreSQL 15 says: a message and its detail.
const RECORDED: &str = include_str!("dependents/recorded.txt");

#[test]
fn dependents_are_told_in_the_order_of_postgresql() {
    let mut db = Db::new();
    let (mut wrong, mut told) = (Vec::new(), 0);
    let recorded = format!("\n{}", RECORDED.trim_end());
    for record in recorded.split("\n> ").skip(1) {
        let (sql, expected) = record.split_once('\n').unwrap_or((record, ""));
        let mut said: Vec<String> = Vec::new();
        let mut say = |message: &str, detail: Option<&str>| {
            said.extend(
                [Some(message), detail]
                    .into_iter()
                    .flatten()
                    .map(str::to_owned),
            );
        };
        let outcome = db.try_run(sql);
        for notice in db.session.take_notices() {
            say(&notice.body.message, notice.body.detail.as_deref());
        }
        if let Err(error) = outcome {
            say(&error.message, error.detail.as_deref());
        }
        told += usize::from(!said.is_empty());
        if said.join("\n") != expected {
            let said = said.join("\n");
            wrong.push(format!("{sql}\n{said}\n-- PostgreSQL:\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(told, 19);
}
