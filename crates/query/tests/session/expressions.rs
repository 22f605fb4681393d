//! Expressions of every function and type, against what PostgreSQL 15 answered.
//!
//! A line of `expressions/*.tsv` is a statement and its answer: the rows one under the other, or
//! `!` and a SQLSTATE. Backslash, newline and tab are escaped as COPY does. A file is one session.

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

fn check(recorded: &str) {
    let mut db = Db::new();
    let mut wrong = Vec::new();
    for line in recorded.lines() {
        let (statement, answer) = line.split_once('\t').expect(line);
        let want = unescaped(answer);
        let have = match db.try_run(statement) {
            Ok(mut lines) => {
                lines.pop();
                lines.join("\n")
            }
            Err(error) if want.starts_with('!') => format!("!{}", error.code.as_str()),
            Err(error) => format!("!{} {}", error.code.as_str(), error.message),
        };
        if have != want {
            wrong.push(format!(
                "{statement}\n  PostgreSQL {want:?}\n  have       {have:?}"
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
}
