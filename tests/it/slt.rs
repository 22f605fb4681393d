//! Runs `slt/**/*.slt`, each four ways: hot, flushed, compressed and reopened must answer alike.
//!
//! The format is sqllogictest's: `statement ok`, `statement count N`, `statement error (SQLSTATE)`
//! and `query TYPES [rowsort]`, whose rows follow `----`, one a line, values separated by tabs,
//! `NULL` for null and `(empty)` for the empty text. What PostgreSQL answers is what stands there.
//! An error's message may follow its SQLSTATE, and then has to be the same.
//! A script with the line `# never compressed` or `# never reopened` runs the other three ways, one
//! with `# without tables` runs hot alone.
//!
//! Where `CHRONOLITH_POSTGRES` says how to reach a PostgreSQL 15, the scripts run against it too.
//! What only one of the two answers so is marked, with the reason: a line `onlyif chronolith: REASON`
//! or `onlyif postgres: REASON` before a statement, `# onlyif chronolith: REASON` for a whole script.
//! Those under `hypertable` and `rollups` are Chronolith's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use chronolith::{Connection, Database, Error};

mod client;
mod postgres;

#[test]
fn scripts_answer_alike_hot() {
    run_all(Way::Hot);
}

#[test]
fn scripts_answer_alike_flushed() {
    run_all(Way::Flushed);
}

#[test]
fn scripts_answer_alike_compressed() {
    run_all(Way::Compressed);
}

#[test]
fn scripts_answer_alike_reopened() {
    run_all(Way::Reopened);
}

/// What happens to the data before each query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nothing.
    Hot,
    /// Hot rows become cold parts.
    Flushed,
    /// All chunks of all hypertables are compressed.
    Compressed,
    /// The database is closed and opened again.
    Reopened,
}

#[derive(Debug)]
enum Expect {
    Ok,
    Count(u64),
    Error(String, String),
    Rows { sorted: bool, rows: Vec<String> },
}

#[derive(Debug)]
struct Record {
    line: usize,
    /// The one that answers so, if the other does not.
    only: Option<String>,
    sql: String,
    expect: Expect,
}

impl Record {
    fn is_for(&self, who: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == who)
    }
}

/// What a statement answered: the last number of its tag and its rows.
#[derive(Debug)]
struct Answer {
    count: Option<u64>,
    rows: Vec<String>,
}

/// SQLSTATE and message.
type Refusal = (String, String);

fn run_all(way: Way) {
    let mut failures = String::new();
    for (name, text) in scripts() {
        run_file(&text, &name, way, &mut failures);
    }
    assert!(failures.is_empty(), "{way:?}:\n{failures}");
}

/// The names and texts of all scripts, or of those that `SLT` chooses.
fn scripts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(!files.is_empty(), "no scripts in {}", root.display());
    let only = std::env::var("SLT").unwrap_or_default();
    files
        .into_iter()
        .map(|file| {
            (
                file.strip_prefix(&root).unwrap().display().to_string(),
                file,
            )
        })
        .filter(|(name, _)| name.contains(&only))
        .map(|(name, file)| (name, fs::read_to_string(file).unwrap()))
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            files.push(path);
        }
    }
}

/// Whether another block follows the one that ends.
fn chains(sql: &str) -> bool {
    sql.to_uppercase().ends_with(" AND CHAIN")
}

/// A database in a directory of its own, which may be closed and opened below a script.
struct Bench {
    dir: tempfile::TempDir,
    open: Option<(Database, Connection)>,
    /// SET statements to repeat in a new session.
    session: Vec<String>,
    in_block: bool,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self {
            dir: tempfile::tempdir().unwrap(),
            open: None,
            session: vec!["SET timezone = 'UTC'".to_owned()],
            in_block: false,
        };
        bench.reopen();
        bench
    }

    fn reopen(&mut self) {
        if let Some((db, connection)) = self.open.take() {
            drop(connection);
            db.close().unwrap();
        }
        // Jobs run when a script says so.
        let db = Database::builder().jobs(false);
        let db = db.open(self.dir.path()).unwrap();
        let mut connection = db.connect().unwrap();
        for statement in &self.session {
            connection.execute(statement).unwrap();
        }
        self.open = Some((db, connection));
    }

    fn connection(&mut self) -> &mut Connection {
        &mut self.open.as_mut().unwrap().1
    }

    fn run(&mut self, sql: &str) -> Result<chronolith::Rows, Error> {
        let result = self.connection().query(sql);
        let word = sql.split_whitespace().next().unwrap_or_default();
        match word.to_uppercase().as_str() {
            "BEGIN" | "START" => self.in_block = true,
            "COMMIT" | "END" => self.in_block = chains(sql) && result.is_ok(),
            "ROLLBACK" if !sql.to_uppercase().contains(" TO ") => {
                self.in_block = chains(sql) && result.is_ok();
            }
            "SET" | "RESET" if result.is_ok() => self.session.push(sql.to_owned()),
            _ => {}
        }
        result
    }

    fn prepare(&mut self, way: Way) -> Result<(), Error> {
        if self.in_block {
            return Ok(());
        }
        match way {
            Way::Hot => {}
            Way::Flushed => self.open.as_ref().unwrap().0.flush()?,
            Way::Compressed => self.compress()?,
            Way::Reopened => self.reopen(),
        }
        Ok(())
    }

    /// In a session of its own, so that the script's settings do not matter.
    fn compress(&mut self) -> Result<(), Error> {
        let mut connection = self.open.as_ref().unwrap().0.connect()?;
        let tables = connection.query(
            "SELECT format('%I.%I', hypertable_schema, hypertable_name), compression_enabled
             FROM timescaledb_information.hypertables",
        )?;
        for row in tables.iter() {
            let table: String = row.get(0)?;
            if !row.get::<bool>(1)? {
                connection.execute(&format!("ALTER TABLE {table} SET (timescaledb.compress)"))?;
            }
            connection.query(&format!(
                "SELECT compress_chunk(c, true) FROM show_chunks('{table}') c"
            ))?;
        }
        Ok(())
    }
}

fn run_file(text: &str, name: &str, way: Way, failures: &mut String) {
    // A script about compression itself says when each chunk is compressed.
    let never = |word: &str| text.lines().any(|line| line == format!("# never {word}"));
    // What a session leaves behind is another one's to find out.
    if (way == Way::Compressed && never("compressed"))
        || (way == Way::Reopened && never("reopened"))
        || (way != Way::Hot && text.lines().any(|line| line == "# without tables"))
    {
        return;
    }
    let mut bench = Bench::new();
    for record in parse(text, name) {
        if !record.is_for("chronolith") {
            continue;
        }
        if matches!(record.expect, Expect::Rows { .. })
            && let Err(error) = bench.prepare(way)
        {
            let _ = writeln!(
                failures,
                "{name}:{}: {way:?}: {} {error}",
                record.line, error.code
            );
        }
        let result = bench.run(&record.sql).and_then(answer);
        let result = result.map_err(|error| (error.code.to_string(), error.to_string()));
        if let Err(reason) = check(&record.expect, result) {
            let _ = writeln!(
                failures,
                "{name}:{}: {reason}\n    {}",
                record.line, record.sql
            );
        }
    }
}

fn check(expect: &Expect, result: Result<Answer, Refusal>) -> Result<(), String> {
    match (expect, result) {
        (Expect::Error(code, words), Err((got, message)))
            if got == *code && (words.is_empty() || message == *words) =>
        {
            Ok(())
        }
        (Expect::Error(code, _), Err((got, message))) => {
            Err(format!("expected error {code}, got {got}: {message}"))
        }
        (Expect::Error(code, _), Ok(_)) => Err(format!("expected error {code}, but it succeeded")),
        (_, Err((code, message))) => Err(format!("{code}: {message}")),
        (Expect::Ok, Ok(_)) => Ok(()),
        (Expect::Count(count), Ok(answer)) if answer.count == Some(*count) => Ok(()),
        (Expect::Count(count), Ok(answer)) => {
            Err(format!("expected {count} rows, got {:?}", answer.count))
        }
        (Expect::Rows { sorted, rows }, Ok(Answer { rows: mut got, .. })) => {
            let mut want = rows.clone();
            if *sorted {
                got.sort();
                want.sort();
            }
            if got == want {
                Ok(())
            } else {
                Err(format!(
                    "expected\n{}\n  got\n{}",
                    want.join("\n"),
                    got.join("\n")
                ))
            }
        }
    }
}

fn answer(result: chronolith::Rows) -> Result<Answer, Error> {
    let mut rows = Vec::new();
    for row in result.iter() {
        let values: Result<Vec<_>, Error> =
            (0..row.len()).map(|i| Ok(cell(row.text(i)?))).collect();
        rows.push(values?.join("\t"));
    }
    let count = result.tag().rsplit(' ').next();
    Ok(Answer {
        count: count.and_then(|n| n.parse().ok()),
        rows,
    })
}

fn cell(text: Option<String>) -> String {
    match text {
        None => "NULL".to_owned(),
        Some(text) if text.is_empty() => "(empty)".to_owned(),
        Some(text) => text,
    }
}

fn parse(text: &str, name: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, head)) = lines.next() {
        if head.trim().is_empty() || head.starts_with('#') {
            continue;
        }
        let (only, head) = match head.strip_prefix("onlyif ") {
            None => (None, head),
            Some(who) => {
                let who = owner(who).unwrap_or_else(|| {
                    panic!("{name}:{}: who answers so, and why? \"{head}\"", index + 1)
                });
                let (_, head) = lines.next().unwrap();
                (Some(who), head)
            }
        };
        let words: Vec<&str> = head.split_whitespace().collect();
        let mut expect = match words.as_slice() {
            ["statement", "ok"] => Expect::Ok,
            ["statement", "count", n] => Expect::Count(n.parse().unwrap()),
            ["statement", "error", code, ..] => {
                // As it stands there, with its blanks.
                let message = head.split_once(code).map_or("", |(_, message)| message);
                let code = code.trim_matches(['(', ')']).to_owned();
                Expect::Error(code, message.trim().to_owned())
            }
            ["query", ..] => Expect::Rows {
                sorted: words.contains(&"rowsort"),
                rows: Vec::new(),
            },
            _ => panic!("{name}:{}: cannot read \"{head}\"", index + 1),
        };
        let mut sql = Vec::new();
        let mut results = false;
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            match &mut expect {
                _ if line == "----" && !results => results = true,
                Expect::Rows { rows, .. } if results => rows.push(line.to_owned()),
                _ => sql.push(line),
            }
        }
        records.push(Record {
            line: index + 1,
            only,
            sql: sql.join("\n"),
            expect,
        });
    }
    records
}

/// Who is meant by `WHO: REASON`.
fn owner(text: &str) -> Option<String> {
    let (who, reason) = text.split_once(": ")?;
    (matches!(who, "chronolith" | "postgres") && !reason.trim().is_empty()).then(|| who.to_owned())
}
