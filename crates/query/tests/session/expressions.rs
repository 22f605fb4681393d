//! Expressions of every function and type, against what PostgreSQL 15 answered.
//!
//! A line of `expressions/*.tsv` is a statement and its answer: the rows one under the other, or
//! `!` and a SQLSTATE. Backslash, newline and tab are escaped as COPY does. A file is one session;
//! `record.py` beside them asks PostgreSQL anew.

use super::Db;

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// What a statement of ours answers, with a message behind an error's SQLSTATE.
fn answered(db: &mut Db, statement: &str) -> (String, String) {
    match db.try_run(statement) {
        Ok(mut lines) => {
            lines.pop();
            (lines.join("\n"), String::new())
        }
        Err(error) => (format!("!{}", error.code.as_str()), error.message),
    }
}

fn check(recorded: &str) {
    let mut db = Db::new();
    let mut wrong = Vec::new();
    for line in recorded.lines() {
        let (statement, answer) = line.split_once('\t').expect(line);
        let want = unescaped(answer);
        let (have, message) = answered(&mut db, statement);
        if have != want {
            wrong.push(format!(
                "{statement}\n  PostgreSQL {want:?}\n  have       {have:?} {message}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! recorded {
    ($($test:ident: $file:literal,)*) => {$(
        #[test]
        fn $test() {
            check(include_str!(concat!("expressions/", $file)));
        }
    )*};
}

recorded! {
    formats_answer_as_in_postgresql: "formats.tsv",
    guarded_expressions_are_not_evaluated: "guards.tsv",
    columns_answer_as_in_postgresql: "columns.tsv",
    strings_answer_as_in_postgresql: "strings.tsv",
    math_answer_as_in_postgresql: "math.tsv",
    times_answer_as_in_postgresql: "times.tsv",
    json_answer_as_in_postgresql: "json.tsv",
    arrays_answer_as_in_postgresql: "arrays.tsv",
    aggregates_answer_as_in_postgresql: "aggregates.tsv",
    windows_answer_as_in_postgresql: "windows.tsv",
}

/// TimescaleDB's documentation has these.
#[test]
fn histograms_count_what_lies_outside_too() {
    let mut db = Db::new();
    assert_eq!(
        db.query("SELECT histogram(x, 0, 10, 5) FROM generate_series(-1, 11) x"),
        ["{1,2,2,2,2,2,2}"]
    );
    assert_eq!(
        db.query(
            "SELECT x % 2, histogram(x, 0, 4, 2) FROM generate_series(0, 5) x GROUP BY 1 ORDER BY 1"
        ),
        ["0|{0,1,1,1}", "1|{0,1,1,1}"]
    );
    assert_eq!(
        db.query("SELECT histogram(x, 0, 4, 2) FROM generate_series(0, 5) x WHERE x > 9"),
        ["NULL"]
    );
    assert_eq!(
        db.fails("SELECT histogram(x, 4, 4, 2) FROM generate_series(0, 5) x")
            .0,
        "2201G"
    );
}
