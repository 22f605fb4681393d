//! Plain tables: made, filled, read, changed, dropped.

use super::Db;

#[test]
fn a_table_gives_back_what_it_was_given() {
    let mut db = Db::new();
    assert_eq!(
        db.run("CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x', c numeric(10,2))"),
        ["CREATE TABLE"]
    );
    assert_eq!(
        db.run("INSERT INTO t VALUES (1, 'one', 1.5), (2, NULL, 2.255)"),
        ["INSERT 0 2"]
    );
    assert_eq!(db.run("INSERT INTO t (a) VALUES (3)"), ["INSERT 0 1"]);
    assert_eq!(
        db.query("SELECT a, b, c FROM t ORDER BY a"),
        ["1|one|1.50", "2|NULL|2.26", "3|x|NULL"]
    );
    assert_eq!(db.query("SELECT count(*), sum(c) FROM t"), ["3|3.76"]);
    assert_eq!(db.fails("INSERT INTO t VALUES (1)").0, "23505");
    assert_eq!(db.fails("INSERT INTO t VALUES (NULL)").0, "23502");
    assert_eq!(db.fails("SELECT nope FROM t").0, "42703");
    assert_eq!(db.fails("SELECT * FROM nope").0, "42P01");
    assert_eq!(db.query("SELECT count(*) FROM t"), ["3"]);
}

#[test]
fn others_see_the_name_of_a_session_however_it_is_set() {
    let mut db = Db::new();
    let mut named = |by: &str, name: &str| {
        db.run(by);
        let seen = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";
        assert_eq!(db.query(seen), [name], "{by}");
    };
    named("SELECT set_config('application_name', 'a', false)", "a");
    named(
        "BEGIN; SELECT set_config('Application_Name', 'b', true)",
        "b",
    );
    named("COMMIT", "a");
    named("BEGIN; SET application_name = 'c'", "c");
    named("ROLLBACK", "a");
    named("RESET application_name", "");
}

#[test]
fn a_copy_names_the_line_whose_key_was_there() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int, b text, UNIQUE (a))");
    db.run("CREATE TABLE h (ts timestamptz NOT NULL, s text, PRIMARY KEY (ts, s))");
    db.run("SELECT create_hypertable('h', 'ts', chunk_time_interval => interval '1 day')");
    db.run("INSERT INTO t VALUES (7, 'seven')");
    let mut refused = |sql: &str, data: &str| {
        let error = db.copy(sql, data).expect_err(sql);
        assert_eq!(error.code.as_str(), "23505", "{sql}");
        error.context.unwrap_or_default()
    };
    let place = refused("COPY t FROM STDIN", "1\tx\n2\ty\n1\tz\n3\tx\n3\tx\n");
    assert_eq!(place, "COPY t, line 3");
    let place = refused("COPY t FROM STDIN", "1\tx\n7\ty\n1\tz\n");
    assert_eq!(place, "COPY t, line 2");
    let csv = "COPY t (b, a) FROM STDIN (FORMAT csv, HEADER)";
    assert_eq!(refused(csv, "b,a\nx,1\ny,7\n"), "COPY t, line 3");
    // Rows that a filter takes away are lines all the same.
    let filtered = "COPY t FROM STDIN WHERE b <> 'no'";
    let data = "7\tno\n1\tx\n7\tno\n1\tno\n2\tx\n2\ty\n";
    assert_eq!(refused(filtered, data), "COPY t, line 6");
    // Of rows in several chunks, the first in the data.
    let days =
        "2024-01-03 00:00Z\ta\n2024-01-01 00:00Z\ta\n2024-01-03 00:00Z\ta\n2024-01-01 00:00Z\ta\n";
    assert_eq!(refused("COPY h FROM STDIN", days), "COPY h, line 3");
    assert_eq!(db.query("SELECT count(*) FROM t"), ["1"]);
}

#[test]
fn blocks_commit_roll_back_and_fail_as_in_postgresql() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int PRIMARY KEY)");
    assert_eq!(
        db.run("BEGIN; INSERT INTO t VALUES (1); ROLLBACK")
            .last()
            .unwrap(),
        "ROLLBACK"
    );
    assert_eq!(db.query("SELECT count(*) FROM t"), ["0"]);
    db.run("BEGIN");
    db.run("INSERT INTO t VALUES (1)");
    db.run("SAVEPOINT s");
    db.run("INSERT INTO t VALUES (2)");
    assert_eq!(db.query("SELECT count(*) FROM t"), ["2"]);
    assert_eq!(db.fails("INSERT INTO t VALUES (2)").0, "23505");
    assert_eq!(db.fails("SELECT 1").0, "25P02");
    db.run("ROLLBACK TO s");
    assert_eq!(db.query("SELECT count(*) FROM t"), ["1"]);
    assert_eq!(db.run("COMMIT"), ["COMMIT"]);
    assert_eq!(db.run("START TRANSACTION"), ["START TRANSACTION"]);
    assert_eq!(db.run("ROLLBACK"), ["ROLLBACK"]);
    assert_eq!(db.query("SELECT a FROM t"), ["1"]);
    // Several statements of one message are one transaction.
    assert_eq!(
        db.fails("INSERT INTO t VALUES (5); INSERT INTO t VALUES (1)")
            .0,
        "23505"
    );
    assert_eq!(db.query("SELECT a FROM t"), ["1"]);
}

#[test]
fn ddl_is_part_of_its_transaction() {
    let mut db = Db::new();
    db.run("BEGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1); ROLLBACK");
    assert_eq!(db.fails("SELECT * FROM t").0, "42P01");
    db.run("BEGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1); COMMIT");
    assert_eq!(db.query("SELECT * FROM t"), ["1"]);
    db.run("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'");
    db.run("INSERT INTO t VALUES (2, 'two')");
    assert_eq!(db.query("SELECT * FROM t ORDER BY a"), ["1|new", "2|two"]);
    db.run("ALTER TABLE t RENAME COLUMN b TO c; ALTER TABLE t DROP COLUMN a");
    assert_eq!(db.query("SELECT c FROM t ORDER BY c"), ["new", "two"]);
    db.run("DROP TABLE t");
    assert_eq!(db.fails("DROP TABLE t").0, "42P01");
    db.run("DROP TABLE IF EXISTS t");
}

#[test]
fn copy_takes_and_gives_rows_and_names_what_is_wrong() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int, b text, c timestamptz)");
    let data = "1,one,2026-01-02 03:04:05+00\n2,\"two, too\",\n";
    let tag = db
        .copy("COPY t FROM STDIN WITH (FORMAT csv)", data)
        .unwrap();
    assert_eq!(tag, ["COPY 2"]);
    assert_eq!(
        db.run("COPY t TO STDOUT WITH (FORMAT csv, HEADER)"),
        [
            "a,b,c\n",
            "1,one,2026-01-02 03:04:05+00\n",
            "2,\"two, too\",\n",
            "COPY 2"
        ]
    );
    let error = db
        .copy("COPY t FROM STDIN", "3\tx\t\\N\nfour\ty\t\\N\n")
        .unwrap_err();
    assert_eq!(error.code.as_str(), "22P02");
    assert_eq!(
        error.context.as_deref(),
        Some("COPY t, line 2, column a: \"four\"")
    );
    assert_eq!(db.query("SELECT count(*) FROM t"), ["2"]);
}

#[test]
fn constraints_refuse_rows() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int CHECK (a > 0), b varchar(3), UNIQUE (b))");
    assert_eq!(db.fails("INSERT INTO t VALUES (0, 'x')").0, "23514");
    assert_eq!(db.fails("INSERT INTO t VALUES (1, 'long')").0, "22001");
    db.run("INSERT INTO t VALUES (1, 'x'), (NULL, NULL), (2, NULL)");
    assert_eq!(db.fails("INSERT INTO t VALUES (1, 'x')").0, "23505");
}

#[test]
fn views_follow_their_tables() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int, b int)");
    db.run("CREATE VIEW v (total) AS SELECT sum(a + b) FROM t");
    db.run("INSERT INTO t VALUES (1, 2), (3, 4)");
    assert_eq!(db.query("SELECT total FROM v"), ["10"]);
    assert_eq!(db.fails("DROP TABLE t").0, "2BP01");
    db.run("DROP TABLE t CASCADE");
    assert_eq!(db.fails("SELECT * FROM v").0, "42P01");
}

#[test]
fn a_table_is_emptied_and_renamed_and_its_keys_are_checked_over_its_rows() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int, b int)");
    db.run("INSERT INTO t VALUES (1, 1), (1, NULL)");
    assert_eq!(db.fails("ALTER TABLE t ADD PRIMARY KEY (a)").0, "23505");
    assert_eq!(
        db.fails("ALTER TABLE t ALTER COLUMN b SET NOT NULL").0,
        "23502"
    );
    assert_eq!(db.fails("ALTER TABLE t ADD CHECK (a > 1)").0, "23514");
    assert_eq!(db.run("TRUNCATE t"), ["TRUNCATE TABLE"]);
    assert_eq!(db.query("SELECT count(*) FROM t"), ["0"]);
    db.run("ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a)");
    db.run("ALTER TABLE t RENAME CONSTRAINT k TO k2");
    db.run("CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s; ALTER TABLE s.t RENAME TO u");
    db.run("INSERT INTO s.u VALUES (1, 1)");
    let (code, message) = db.fails("INSERT INTO s.u VALUES (1, 2)");
    assert_eq!((code.as_str(), message.contains("\"k2\"")), ("23505", true));
    assert_eq!(db.fails("SELECT * FROM t").0, "42P01");
}

#[test]
fn settings_are_spelled_as_drivers_spell_them() {
    let mut db = Db::new();
    for name in ["'utf-8'", "UTF8", "\"'utf-8'\"", "unicode"] {
        db.run(&format!("SET client_encoding = {name}"));
        assert_eq!(db.query("SHOW client_encoding"), ["UTF8"], "{name}");
    }
    assert_eq!(db.fails("SET client_encoding = 'latin1'").0, "0A000");
    db.run("SET datestyle = 'ISO'");
    assert_eq!(db.fails("SET datestyle = 'ISO, DMY'").0, "0A000");
}

#[test]
fn a_copy_to_a_view_is_handed_to_its_triggers() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int, b text)");
    db.run("CREATE VIEW v AS SELECT a, upper(b) AS b FROM t");
    let error = db.copy("COPY v FROM STDIN", "1\tx\n").unwrap_err();
    assert_eq!(error.code.as_str(), "42809");
    db.run(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF new.a < 0 THEN RETURN NULL; END IF; \
         INSERT INTO t VALUES (new.a * 10, new.b); RETURN new; END $$",
    );
    db.run("CREATE TRIGGER i INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f()");
    let tag = db.copy("COPY v (a, b) FROM STDIN", "1\tx\n-1\ty\n2\tz\n");
    assert_eq!(tag.unwrap(), ["COPY 2"]);
    assert_eq!(db.query("SELECT a, b FROM t ORDER BY a"), ["10|x", "20|z"]);
    // What a trigger meets ends the COPY, and nothing of it is left.
    db.run("CREATE UNIQUE INDEX ON t (a)");
    let error = db.copy("COPY v FROM STDIN", "5\tx\n2\ty\n").unwrap_err();
    assert_eq!(error.code.as_str(), "23505");
    assert_eq!(db.query("SELECT count(*) FROM t"), ["2"]);
}
