//! DISTINCT ON: the first row of each group.

use super::Db;

fn db() -> Db {
    let mut db = Db::new();
    db.run("CREATE TABLE t (ts timestamptz NOT NULL, s text, v float8)");
    db.run("SELECT create_hypertable('t', 'ts', chunk_time_interval => interval '1 day')");
    // 20 days of 7 series, one of them NULL, in many batches and chunks.
    db.run(
        "INSERT INTO t SELECT timestamptz '2026-01-01' + n * interval '20 seconds',
            CASE n % 7 WHEN 0 THEN NULL ELSE 's' || n % 7 END, (n * 7919) % 100003
         FROM generate_series(0, 86399) n",
    );
    db
}

#[test]
fn the_first_of_each_group_is_what_a_window_would_number_one() {
    let mut db = db();
    let orders = [
        ("s", "ts DESC"),
        ("s", "v, ts"),
        ("s", "v DESC NULLS LAST, ts DESC"),
        ("time_bucket('1 day', ts), s", "v, ts"),
        ("ts", "s"),
    ];
    for compressed in [false, true] {
        if compressed {
            db.run("SELECT compress_chunk(c) FROM show_chunks('t') c");
        }
        for (keys, order) in orders {
            let first = db.query(&format!(
                "SELECT DISTINCT ON ({keys}) ts, s, v FROM t ORDER BY {keys}, {order}"
            ));
            let numbered = db.query(&format!(
                "SELECT ts, s, v FROM (SELECT ts, s, v, row_number() OVER
                    (PARTITION BY {keys} ORDER BY {order}) AS n FROM t) numbered
                 WHERE n = 1 ORDER BY {keys}, {order}"
            ));
            assert!(first == numbered, "{keys}: {order}");
            assert!(!first.is_empty());
        }
    }
}

#[test]
fn filters_and_limits_stay_where_they_mean_the_same() {
    let mut db = db();
    // The filter is on a column that is no key: it may not come first.
    assert_eq!(
        db.query(
            "SELECT s FROM (SELECT DISTINCT ON (s) s, v FROM t ORDER BY s, ts) f WHERE v > 30000"
        ),
        ["s4", "s5", "s6"]
    );
    assert_eq!(
        db.query(
            "SELECT s FROM (SELECT DISTINCT ON (s) s, v FROM t ORDER BY s, ts) f WHERE s = 's3'"
        ),
        ["s3"]
    );
    assert_eq!(
        db.query("SELECT DISTINCT ON (s) s FROM t ORDER BY s DESC LIMIT 2"),
        ["NULL", "s6"]
    );
    assert_eq!(
        db.query("SELECT DISTINCT ON (s) s FROM t WHERE false"),
        [""; 0]
    );
    let plan = db.query("EXPLAIN SELECT DISTINCT ON (s) s, v FROM t ORDER BY s, ts");
    assert!(
        plan.iter().any(|line| line.contains("FirstOfEachExec")),
        "{plan:?}"
    );
}
