//! The commands that need no server.

use std::fs;

use crate::program::{program, run, stderr, stdout};

#[test]
fn sql_runs_commands_and_keeps_what_they_did() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let made = run(&[
        "sql",
        "--data-dir",
        &data,
        "-c",
        "CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'one'), (2, NULL)",
    ]);
    assert!(made.status.success(), "{}", stderr(&made));
    let asked = run(&[
        "sql",
        "--data-dir",
        &data,
        "-c",
        "SELECT * FROM t ORDER BY a",
    ]);
    assert_eq!(
        stdout(&asked),
        " a |  b  \n---+-----\n 1 | one\n 2 | \n(2 rows)\n\n",
        "{}",
        stderr(&asked)
    );
}

#[test]
fn a_data_directory_may_be_named_relative_to_the_working_directory() {
    let dir = tempfile::tempdir().unwrap();
    let asked = program()
        .current_dir(dir.path())
        .args(["sql", "--data-dir", "db", "-A", "-c", "SELECT 1"])
        .output()
        .unwrap();
    assert_eq!(stdout(&asked), "1\n", "{}", stderr(&asked));
    assert!(dir.path().join("db").is_dir());
}

#[test]
fn sql_stops_at_an_error_and_shows_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let file = dir.path().join("script.sql");
    fs::write(&file, "SELECT 1;\nSELECT\n  nonsense;\nSELECT 2;").unwrap();
    let failed = run(&[
        "sql",
        "--data-dir",
        &format!("{data}/db"),
        "-A",
        "-f",
        &file.display().to_string(),
    ]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(stdout(&failed), "1\n");
    let text = stderr(&failed);
    assert!(text.contains("42703"), "{text}");
    assert!(text.contains("LINE 2:   nonsense\n          ^"), "{text}");
}

#[test]
fn an_unknown_option_is_a_usage_error_that_helps() {
    let output = run(&["serve", "--data", "x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--data-dir"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().display().to_string();
    let output = run(&["serve", "--data-dir", &data, "-c", "hot_memry=1GB"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("hot_memry") && text.contains("hot_memory"),
        "{text}"
    );
}

#[test]
fn commands_that_look_make_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("none").display().to_string();
    for command in ["inspect", "verify"] {
        let output = run(&[command, "--data-dir", &data]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(
            stderr(&output).contains("no data directory"),
            "{}",
            stderr(&output)
        );
    }
    assert!(!dir.path().join("none").exists());
}

#[test]
fn the_demo_ends_its_way_and_finds_its_data_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("demo").display().to_string();
    let args = [
        "demo",
        "--once",
        "--rows",
        "20000",
        "--symbols",
        "5",
        "--dir",
        &data,
    ];
    let first = run(&args);
    let text = stdout(&first);
    assert!(first.status.success(), "{text}{}", stderr(&first));
    for part in [
        "Loaded 20,000 ticks",
        "ticks/s",
        "Hourly candles",
        "Compressed 2 of 3 chunks",
        " bytes a row",
        "█",
    ] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
    let second = run(&args);
    let text = stdout(&second);
    assert!(second.status.success(), "{text}{}", stderr(&second));
    assert!(text.contains("earlier run"), "{text}");

    let counted = run(&[
        "sql",
        "--data-dir",
        &data,
        "-A",
        "-c",
        "SELECT count(*), count(DISTINCT symbol) FROM ticks",
    ]);
    assert_eq!(stdout(&counted), "20000|5\n", "{}", stderr(&counted));
    let inspected = run(&["inspect", "--data-dir", &data]);
    assert!(
        stdout(&inspected).contains("hypertable public.ticks"),
        "{}",
        stdout(&inspected)
    );
}

#[test]
fn verify_finds_a_flipped_bit_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("demo").display().to_string();
    let made = run(&["demo", "--once", "--rows", "20000", "--dir", &data]);
    assert!(made.status.success(), "{}", stderr(&made));
    let sound = run(&["verify", "--data-dir", &data]);
    assert_eq!(
        sound.status.code(),
        Some(0),
        "{}{}",
        stdout(&sound),
        stderr(&sound)
    );

    let mut parts = Vec::new();
    find(dir.path(), "parquet", &mut parts);
    let part = parts.first().expect("the demo compresses chunks");
    let mut bytes = fs::read(part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(part, bytes).unwrap();

    let damaged = run(&["verify", "--data-dir", &data]);
    assert_eq!(damaged.status.code(), Some(1));
    let name = part.file_name().unwrap().to_str().unwrap();
    let text = stdout(&damaged);
    assert!(text.contains(name) && text.contains("at byte"), "{text}");
}

fn find(dir: &std::path::Path, extension: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}
