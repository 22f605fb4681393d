//! The scripts on PostgreSQL 15, so that what they say of it stays true.
//!
//! Each runs in a database of its own, where a hypertable is a plain table: `create_hypertable` is
//! marked as Chronolith's alone. Roles belong to the whole server, so a script's are dropped after it.

use std::fmt::Write as _;

use super::client::Client;
use super::{check, owner, parse, scripts};

const DATABASE: &str = "chronolith_scripts";

#[test]
fn scripts_answer_alike_in_postgres() {
    let Ok(place) = std::env::var("CHRONOLITH_POSTGRES") else {
        return;
    };
    let mut failures = String::new();
    let mut statements = 0;
    let mut server = Client::connect(&place, None);
    for (name, text) in scripts() {
        if is_chronoliths(&text, &name) {
            continue;
        }
        let before = roles(&mut server);
        run(&mut server, &format!("DROP DATABASE IF EXISTS {DATABASE}"));
        run(
            &mut server,
            &format!(
                "CREATE DATABASE {DATABASE} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
            ),
        );
        statements += run_file(&place, &text, &name, &mut failures);
        run(
            &mut server,
            &format!("DROP DATABASE {DATABASE} WITH (FORCE)"),
        );
        for role in roles(&mut server) {
            if !before.contains(&role) {
                run(&mut server, &format!("DROP ROLE {role}"));
            }
        }
    }
    assert!(failures.is_empty(), "PostgreSQL:\n{failures}");
    assert!(statements > 0, "no script is for PostgreSQL");
}

/// Whether the whole script is about what PostgreSQL does not have: its folder says so, or a mark.
fn is_chronoliths(text: &str, name: &str) -> bool {
    if ["hypertable/", "rollups/"]
        .iter()
        .any(|folder| name.starts_with(folder))
    {
        return true;
    }
    let mut marks = text
        .lines()
        .filter_map(|line| line.strip_prefix("# onlyif "));
    marks.any(|mark| match owner(mark).as_deref() {
        Some("chronolith") => true,
        _ => panic!("{name}: who answers so, and why? \"{mark}\""),
    })
}

/// The names of all roles, quoted where they have to be.
fn roles(server: &mut Client) -> Vec<String> {
    run(server, "SELECT quote_ident(rolname) FROM pg_roles")
}

/// The rows of a statement that has to succeed.
fn run(server: &mut Client, sql: &str) -> Vec<String> {
    match server.query(sql) {
        Ok(answer) => answer.rows,
        Err((code, message)) => panic!("{code} {message}\n    {sql}"),
    }
}

/// How many statements the script has for PostgreSQL.
fn run_file(place: &str, text: &str, name: &str, failures: &mut String) -> usize {
    let mut session = Client::connect(place, Some(DATABASE));
    let mut statements = 0;
    for record in parse(text, name) {
        if !record.is_for("postgres") {
            continue;
        }
        statements += 1;
        if let Err(reason) = check(&record.expect, session.query(&record.sql)) {
            let _ = writeln!(
                failures,
                "{name}:{}: {reason}\n    {}",
                record.line, record.sql
            );
        }
    }
    statements
}
