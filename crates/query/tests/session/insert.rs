//! INSERT by its three ways: literals read straight into columns, cells, and queries.

use super::Db;

const COLUMNS: &str = "id int, i2 int2, i8 int8, n numeric(12,3), p numeric, f4 float4, f8 float8, \
    t text, v varchar(4), c char(3), b bool, y bytea, d date, ti time, ts timestamp, tz timestamptz, \
    iv interval, u uuid, j json, jb jsonb, a int[], ta text[]";

/// Literals for each column, good and bad; the short way must do as the full way does.
const CELLS: [(&str, &[&str]); 21] = [
    (
        "i2",
        &[
            "1", "-7", "'8'", "' 9 '", "40000", "1.5", "1e2", "'x'", "true", "NULL",
        ],
    ),
    (
        "i8",
        &["9223372036854775807", "9223372036854775808", "2.5", "-1"],
    ),
    (
        "n",
        &[
            "1.0005",
            "-1.0005",
            "1e3",
            "123456789012",
            "'NaN'",
            "'1_0'",
            "7",
            ".5",
            "5.",
        ],
    ),
    ("p", &["1.500", "1e-3", "'  12.50 '", "-0.0", "0"]),
    (
        "f4",
        &[
            "1.1",
            "16777217",
            "-0",
            "-0.0",
            "1e39",
            "'-0'",
            "'Infinity'",
        ],
    ),
    ("f8", &["0.1", "-0", "1e400", "'1e-400'", "3"]),
    (
        "t",
        &["'it''s'", "'a\\b'", "1", "1.50", "true", "''", "'ä€'"],
    ),
    ("v", &["'abcd'", "'abcd  '", "'abcde'", "1234", "12345"]),
    ("c", &["'a'", "'abc '", "'abcd'"]),
    (
        "b",
        &["true", "FALSE", "'t'", "'yes'", "'maybe'", "1", "NULL"],
    ),
    ("y", &["'\\x00ff'", "'abc'", "'\\xf'"]),
    (
        "d",
        &[
            "'2026-02-29'",
            "'2026-02-28'",
            "'epoch'",
            "'infinity'",
            "20260228",
        ],
    ),
    ("ti", &["'12:30'", "'24:00:01'", "'04:05 PM'"]),
    (
        "ts",
        &["'2026-01-02 03:04:05.6789012'", "'2026-01-02'", "'x'"],
    ),
    (
        "tz",
        &[
            "'2026-01-02 03:04'",
            "'2026-01-02 03:04+05'",
            "'2026-03-29 02:30'",
            "'2026-01-02 03:04 America/New_York'",
        ],
    ),
    ("iv", &["'1 day 02:03'", "'P1Y'", "5"]),
    (
        "u",
        &[
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
            "'{A0EEBC999C0B4EF8BB6D6BB9BD380A11}'",
            "'a0'",
        ],
    ),
    ("j", &["'{\"b\": 1,  \"a\":2}'", "'{'"]),
    ("jb", &["'{\"b\": 1,  \"a\":2}'", "'[1, 1.50]'", "1"]),
    ("a", &["'{1,2,NULL}'", "'{1,x}'", "'{}'"]),
    ("ta", &["'{\"a b\",c}'", "'{a'"]),
];

#[test]
fn literals_mean_what_they_mean_to_the_full_way() {
    let mut db = Db::new();
    db.run(&format!(
        "CREATE TABLE short ({COLUMNS}); CREATE TABLE full_ ({COLUMNS})"
    ));
    db.run("SET TimeZone = 'Europe/Berlin'");
    let mut id = 0;
    for (column, literals) in CELLS {
        for literal in literals {
            id += 1;
            // A comment is nothing the short way reads.
            let short = db.outcome(&format!(
                "INSERT INTO short (id, {column}) VALUES ({id}, {literal})"
            ));
            let full = db.outcome(&format!(
                "INSERT INTO full_ (id, {column}) VALUES ({id}, {literal}) --"
            ));
            let bare = |told: &Result<Vec<String>, (String, String)>| {
                told.clone()
                    .map_err(|(code, text)| (code, text.replace("full_", "short")))
            };
            assert_eq!(bare(&short), bare(&full), "{column}: {literal}");
        }
    }
    let rows = |db: &mut Db, table: &str| db.query(&format!("SELECT * FROM {table} ORDER BY id"));
    let (short, full) = (rows(&mut db, "short"), rows(&mut db, "full_"));
    assert!(short.len() > 50);
    for (short, full) in short.iter().zip(&full) {
        assert_eq!(short, full);
    }
    assert_eq!(short.len(), full.len());
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL DEFAULT 'x', c numeric(4,2) CHECK (c > 0))");
    assert_eq!(db.run("INSERT INTO t (a) VALUES (1), (2)"), ["INSERT 0 2"]);
    assert_eq!(
        db.run("INSERT INTO t VALUES (3, 'y'), (4, 'z')"),
        ["INSERT 0 2"]
    );
    for (sql, code) in [
        ("INSERT INTO t VALUES (5, 'y', 1, 2)", "42601"),
        ("INSERT INTO t (a, b) VALUES (5)", "42601"),
        ("INSERT INTO t (a, a) VALUES (5, 6)", "42701"),
        ("INSERT INTO t (a, z) VALUES (5, 6)", "42703"),
        ("INSERT INTO nope VALUES (5)", "42P01"),
        ("INSERT INTO nope.t VALUES (5)", "42P01"),
        ("INSERT INTO t VALUES ('five', 'y')", "22P02"),
        ("INSERT INTO t VALUES (5, NULL)", "23502"),
        ("INSERT INTO t VALUES (1, 'y')", "23505"),
        ("INSERT INTO t VALUES (5, 'y'), (5, 'y')", "23505"),
        ("INSERT INTO t VALUES (5, 'y', -1)", "23514"),
        ("INSERT INTO t VALUES (5, 'y', 100)", "22003"),
    ] {
        assert_eq!(db.fails(sql).0, code, "{sql}");
    }
    assert_eq!(
        db.query("SELECT a, b FROM t ORDER BY a"),
        ["1|x", "2|x", "3|y", "4|z"]
    );
}
