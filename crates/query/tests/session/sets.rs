//! Functions that return sets: in FROM, beside tables, in select lists.

use super::Db;

#[test]
fn a_series_is_not_held_whole() {
    let mut db = Db::new();
    // As a list either of these would take more memory than there is.
    assert_eq!(
        db.query("SELECT count(*), max(g) FROM generate_series(1, 20000000) g"),
        ["20000000|20000000"]
    );
    assert_eq!(
        db.query("SELECT g FROM generate_series(1::bigint, 9223372036854775807) g LIMIT 2"),
        ["1", "2"]
    );
    let plan = db.query("EXPLAIN SELECT * FROM generate_series(1, 1000000) g");
    assert!(
        plan.iter()
            .any(|line| line.contains("generate_series(1, 1000000)")),
        "{plan:?}"
    );
}

#[test]
fn series_end_where_they_should() {
    let mut db = Db::new();
    for (sql, rows) in [
        ("generate_series(3, 1)", vec![]),
        ("generate_series(3, 1, -2)", vec!["3", "1"]),
        ("generate_series(NULL, 3)", vec![]),
        (
            "generate_series(9223372036854775806, 9223372036854775807)",
            vec!["9223372036854775806", "9223372036854775807"],
        ),
        ("generate_series(1.5, 3, 0.75)", vec!["1.5", "2.25", "3.00"]),
        (
            "generate_series(timestamp '2026-01-31', '2026-04-30', '1 month')",
            vec![
                "2026-01-31 00:00:00",
                "2026-02-28 00:00:00",
                "2026-03-28 00:00:00",
                "2026-04-28 00:00:00",
            ],
        ),
    ] {
        assert_eq!(
            db.query(&format!("SELECT g::text FROM {sql} g")),
            rows,
            "{sql}"
        );
    }
    assert_eq!(db.fails("SELECT generate_series(1, 2, 0)").0, "22023");
    // A day has as many hours as the zone gives it.
    db.run("SET TimeZone = 'Europe/Berlin'");
    assert_eq!(
        db.query(
            "SELECT (max(g) - min(g))::text FROM generate_series(
                timestamptz '2026-03-28 12:00', '2026-03-30 12:00', '1 day') g"
        ),
        ["1 day 23:00:00"]
    );
}

#[test]
fn sets_stand_side_by_side() {
    let mut db = Db::new();
    assert_eq!(
        db.query("SELECT generate_series(1, 3), unnest(ARRAY['a', 'b'])"),
        ["1|a", "2|b", "3|NULL"]
    );
    assert_eq!(
        db.query("SELECT * FROM unnest(ARRAY[1, 2], ARRAY['x']) WITH ORDINALITY AS u (a, b, n)"),
        ["1|x|1", "2|NULL|2"]
    );
    assert_eq!(
        db.query("SELECT generate_series(1, generate_series(1, 3))"),
        ["1", "1", "2", "1", "2", "3"]
    );
}

#[test]
fn sets_follow_the_rows_of_tables() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (a int, tags text[])");
    db.run("INSERT INTO t VALUES (2, '{x,y}'), (0, '{}'), (1, NULL)");
    assert_eq!(
        db.query("SELECT a, g FROM t, generate_series(1, a) g ORDER BY a, g"),
        ["1|1", "2|1", "2|2"]
    );
    assert_eq!(
        db.query(
            "SELECT a, g FROM t LEFT JOIN LATERAL generate_series(1, a) g ON true ORDER BY a, g"
        ),
        ["0|NULL", "1|1", "2|1", "2|2"]
    );
    assert_eq!(
        db.query(
            "SELECT a, tag, n FROM t LEFT JOIN LATERAL unnest(tags) WITH ORDINALITY u (tag, n) ON true
             ORDER BY a, n"
        ),
        ["0|NULL|NULL", "1|NULL|NULL", "2|x|1", "2|y|2"]
    );
    assert_eq!(
        db.query("SELECT count(*) FROM t, generate_series(1, 10000) g WHERE a = 2 AND g > 9000"),
        ["1000"]
    );
    assert_eq!(db.query("SELECT a, unnest(tags) FROM t"), ["2|x", "2|y"]);
}
