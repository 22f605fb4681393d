//! What the audit log tells of sessions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith::{Database, verify_audit};

/// Kind, action, outcome and text of each record since a number.
fn told(db: &Database, since: i64) -> Vec<(String, String, String, String)> {
    let mut connection = db.connect().unwrap();
    let sql = format!(
        "SELECT kind, action, outcome, text FROM chronolith_audit_log WHERE number > {since} ORDER BY number"
    );
    let rows = connection.query(&sql).unwrap();
    rows.iter()
        .map(|row| {
            let text = |place: usize| row.get::<String>(place).unwrap();
            (text(0), text(1), text(2), text(3))
        })
        .collect()
}

#[test]
fn definitions_drops_grants_and_refusals_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    connection
        .run("CREATE ROLE anna LOGIN PASSWORD 'canary-1'")
        .unwrap();
    connection
        .run("CREATE TABLE ticks (at timestamptz NOT NULL, price float8)")
        .unwrap();
    connection
        .run("SELECT create_hypertable('ticks', 'at')")
        .unwrap();
    connection.run("GRANT SELECT ON ticks TO anna").unwrap();
    connection
        .run("INSERT INTO ticks VALUES ('2025-01-01', 1)")
        .unwrap();
    connection
        .run("SELECT drop_chunks('ticks', older_than => '2025-06-01'::timestamptz)")
        .unwrap();
    connection.run("BEGIN").unwrap();
    connection.run("DROP TABLE ticks").unwrap();
    connection.run("ROLLBACK").unwrap();
    let mut anna = db.connect_to("postgres", "anna").unwrap();
    assert!(anna.run("DROP TABLE ticks").is_err());
    assert!(anna.run("DROP TABLE nosuch").is_err());
    let rows = told(&db, 0);
    let short: Vec<(&str, &str, &str)> = rows
        .iter()
        .map(|(kind, action, outcome, _)| (kind.as_str(), action.as_str(), outcome.as_str()))
        .collect();
    assert_eq!(
        short,
        [
            ("grant", "CREATE ROLE", "ok"),
            ("ddl", "CREATE TABLE", "ok"),
            ("ddl", "create_hypertable", "ok"),
            ("grant", "GRANT", "ok"),
            ("retention", "drop_chunks", "ok"),
            ("drop", "DROP TABLE", "ok"),
            ("rollback", "ROLLBACK", "ok"),
            ("drop", "DROP TABLE", "42501"),
        ]
    );
    assert_eq!(rows[0].3, "CREATE ROLE anna LOGIN PASSWORD '********'");
    assert_eq!(rows[4].3, "ticks: 1 chunks");
    let refused = anna.query("SELECT * FROM chronolith_audit_log");
    assert_eq!(refused.unwrap_err().code.as_str(), "42501");
    drop((anna, connection));
    db.close().unwrap();
    let report = verify_audit(dir.path(), None).unwrap();
    assert_eq!((report.records, report.problem), (8, None));
    let report = verify_audit(dir.path(), Some("00")).unwrap();
    assert_eq!(report.seen, Some(false));
}

/// What is written anywhere holds no password that a statement was given.
#[test]
fn no_file_and_no_view_holds_a_password() {
    const CANARY: &str = "kanarienvogel-17";
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    for sql in [
        "CREATE ROLE anna LOGIN PASSWORD 'kanarienvogel-17'",
        "ALTER USER anna WITH ENCRYPTED PASSWORD $$kanarienvogel-17$$ CONNECTION LIMIT 3",
        "DO $$ BEGIN EXECUTE 'ALTER ROLE anna PASSWORD ''kanarienvogel-17'''; END $$",
        "ALTER ROLE nosuch PASSWORD 'kanarienvogel-17'",
        "CREATE EXTENSION pg_stat_statements",
    ] {
        let _ = connection.run(sql);
    }
    for view in [
        "pg_stat_statements",
        "pg_stat_activity",
        "chronolith_audit_log",
        "pg_shadow",
        "pg_settings",
    ] {
        let sql = format!("SELECT string_agg(v::text, ' ') FROM {view} v");
        let all: String = connection.query(&sql).unwrap().single().unwrap();
        assert!(!all.contains(CANARY), "{view}: {all}");
    }
    drop(connection);
    db.flush().unwrap();
    db.close().unwrap();
    let mut files = 0;
    let mut open = vec![dir.path().to_owned()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            files += 1;
            let bytes = std::fs::read(&path).unwrap();
            let mut windows = bytes.windows(CANARY.len());
            let found = windows.any(|window| window == CANARY.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    assert!(files > 2);
}
