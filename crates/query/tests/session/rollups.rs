//! Queries over raw rows in other units than a continuous aggregate has are answered from it, and
//! alike.

use super::Db;

fn same(db: &mut Db, sql: &str) -> Option<String> {
    let on = db.try_run(sql);
    let plan = db.query(&format!("EXPLAIN {sql}"));
    db.run("SET timescaledb.enable_cagg_rewrites = off");
    let off = db.try_run(sql);
    db.run("SET timescaledb.enable_cagg_rewrites = on");
    let sorted = |lines: Result<Vec<String>, _>| {
        let mut lines = lines.unwrap();
        lines.sort();
        lines
    };
    let (on, off) = (sorted(on), sorted(off));
    assert!(off.len() > 1, "{sql} finds {off:?}");
    assert_eq!(on, off, "{sql}");
    let used = plan
        .iter()
        .find_map(|line| line.split_once("Answered from continuous aggregate: "));
    used.map(|(_, name)| name.to_owned())
}

#[track_caller]
fn answered(db: &mut Db, view: Option<&str>, queries: &[&str]) {
    for sql in queries {
        assert_eq!(same(db, sql).as_deref(), view, "{sql}");
    }
}

fn made() -> Db {
    let mut db = Db::new();
    for sql in [
        "SET timezone = 'UTC'",
        "CREATE TABLE t (ts timestamptz NOT NULL, sym text, x int)",
        "SELECT create_hypertable('t', 'ts', chunk_time_interval => interval '1 day')",
        // Over the change of clocks of Europe and that of Lord Howe, which is of half an hour.
        "INSERT INTO t SELECT timestamptz '2025-03-28 00:07:00+00' + i * interval '11 minutes', 's' || i % 3, i FROM generate_series(1, 2000) AS i",
        "CREATE MATERIALIZED VIEW m15 WITH (timescaledb.continuous) AS SELECT time_bucket('15 minutes', ts) AS b, sym, sum(x) AS x, count(*) AS c FROM t GROUP BY 1, 2",
        "CALL refresh_continuous_aggregate('m15', NULL, NULL)",
    ] {
        db.run(sql);
    }
    db
}

#[test]
fn coarser_steps_of_time_are_answered_from_a_finer_view() {
    let mut db = made();
    for zone in [
        "UTC",
        "Europe/Zurich",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "America/St_Johns",
    ] {
        db.run(&format!("SET timezone = '{zone}'"));
        answered(
            &mut db,
            Some("m15"),
            &[
                "SELECT time_bucket('1 day', ts, 'Europe/Zurich'), sum(x) FROM t GROUP BY 1",
                "SELECT time_bucket('1 hour', ts, 'Australia/Lord_Howe'), sym, count(*) FROM t GROUP BY 1, 2",
                "SELECT time_bucket('1 month', ts, 'Asia/Kolkata'), count(*) FROM t GROUP BY 1",
                "SELECT time_bucket('1 week', ts), count(*) FROM t GROUP BY 1",
                "SELECT time_bucket('1 hour', ts, interval '15 minutes'), count(*) FROM t GROUP BY 1",
                "SELECT time_bucket('1 hour', ts, timestamptz '2025-03-01 00:45:00+00'), count(*) FROM t GROUP BY 1",
                "SELECT time_bucket('1 month', ts, timestamptz '2025-03-01 09:30:00+00'), count(*) FROM t GROUP BY 1",
                "SELECT date_trunc('hour', ts), sum(x) FROM t GROUP BY 1",
                "SELECT date_trunc('day', ts) + interval '1 day', sum(x) FROM t GROUP BY 1",
                "SELECT date_trunc('week', ts, 'America/New_York'), sym, sum(x) FROM t GROUP BY 1, 2",
                "SELECT ts::date, sum(x) FROM t GROUP BY 1",
                "SELECT extract(hour FROM ts), extract(dow FROM ts), count(*) FROM t GROUP BY 1, 2",
                "SELECT date_part('day', ts), sum(x) FROM t WHERE sym <> 's1' GROUP BY 1",
                "SELECT sym, count(*) FROM t WHERE extract(hour FROM ts) BETWEEN 8 AND 16 GROUP BY 1",
                "SELECT sym, count(*) FROM t WHERE ts::date >= date '2025-03-30' GROUP BY 1",
                "SELECT sym, count(*) FROM t WHERE ts > now() - interval '90 years' GROUP BY 1",
                "SELECT sym, count(*) FROM t WHERE ts >= date_trunc('day', timestamptz '2025-04-01 12:00:00+00') AND ts < current_timestamp + interval '90 years' GROUP BY 1",
                "SELECT time_bucket_gapfill('1 day', ts), sum(x) FROM t WHERE ts >= '2025-03-30 00:03:00+00' AND ts < '2025-04-05 00:00:00+00' GROUP BY 1",
            ],
        );
    }
}

#[test]
fn steps_that_cut_buckets_are_answered_from_rows() {
    let mut db = made();
    // Five and a half hours, and a change of clocks by half of one, are too fine for hours.
    for sql in [
        "DROP MATERIALIZED VIEW m15",
        "CREATE MATERIALIZED VIEW h1 WITH (timescaledb.continuous) AS SELECT time_bucket('1 hour', ts) AS b, sym, sum(x) AS x, count(*) AS c FROM t GROUP BY 1, 2",
        "CALL refresh_continuous_aggregate('h1', NULL, NULL)",
    ] {
        db.run(sql);
    }
    answered(
        &mut db,
        None,
        &[
            "SELECT time_bucket('1 day', ts, 'Asia/Kolkata'), sum(x) FROM t GROUP BY 1",
            "SELECT time_bucket('1 day', ts, 'Australia/Lord_Howe'), sum(x) FROM t GROUP BY 1",
            "SELECT time_bucket('1 day', ts, interval '30 minutes'), sum(x) FROM t GROUP BY 1",
            "SELECT time_bucket('90 minutes', ts), sum(x) FROM t GROUP BY 1",
            "SELECT date_trunc('minute', ts), sum(x) FROM t GROUP BY 1",
            "SELECT extract(minute FROM ts), sum(x) FROM t GROUP BY 1",
            "SELECT sym, sum(x) FROM t WHERE extract(epoch FROM ts) > 0 GROUP BY 1",
            "SELECT sym, sum(x) FROM t WHERE ts > '2025-03-30' OR sym = 's1' GROUP BY 1",
        ],
    );
    db.run("SET timezone = 'Asia/Kolkata'");
    answered(
        &mut db,
        None,
        &[
            "SELECT date_trunc('day', ts), sum(x) FROM t GROUP BY 1",
            "SELECT ts::date, sum(x) FROM t GROUP BY 1",
        ],
    );
    // Where a zone was behind or ahead by whole hours all the time that there are rows of.
    answered(
        &mut db,
        Some("h1"),
        &["SELECT time_bucket('1 day', ts, 'Europe/Zurich'), sum(x) FROM t GROUP BY 1"],
    );
    // In 1890 by 29 minutes and 46 seconds.
    db.run("INSERT INTO t VALUES ('1890-05-05 12:00:00+00', 's1', 1)");
    answered(
        &mut db,
        None,
        &["SELECT time_bucket('1 day', ts, 'Europe/Zurich'), sum(x) FROM t GROUP BY 1"],
    );
    answered(
        &mut db,
        Some("h1"),
        &[
            "SELECT time_bucket('1 day', ts, 'Europe/Zurich'), sum(x) FROM t WHERE ts > '2025-01-01' GROUP BY 1",
        ],
    );
}

#[test]
fn views_in_a_zone_answer_for_longer_ones_of_it() {
    let mut db = made();
    for sql in [
        "DROP MATERIALIZED VIEW m15",
        "CREATE MATERIALIZED VIEW d WITH (timescaledb.continuous) AS SELECT time_bucket('1 day', ts, 'Europe/Zurich') AS b, sum(x) AS x, count(*) AS c FROM t GROUP BY 1",
        "CALL refresh_continuous_aggregate('d', NULL, NULL)",
        "SET timezone = 'Europe/Zurich'",
    ] {
        db.run(sql);
    }
    answered(
        &mut db,
        Some("d"),
        &[
            "SELECT time_bucket('1 week', ts, 'Europe/Zurich'), sum(x) FROM t GROUP BY 1",
            "SELECT time_bucket('1 month', ts, 'Europe/Zurich'), sum(x) FROM t GROUP BY 1",
            "SELECT date_trunc('month', ts), sum(x) FROM t GROUP BY 1",
            "SELECT date_trunc('day', ts), sum(x) FROM t GROUP BY 1",
            "SELECT ts::date, sum(x) FROM t GROUP BY 1",
        ],
    );
    answered(
        &mut db,
        None,
        &[
            "SELECT time_bucket('1 week', ts), sum(x) FROM t GROUP BY 1",
            "SELECT time_bucket('1 day', ts, 'Europe/London'), sum(x) FROM t GROUP BY 1",
            "SELECT time_bucket('36 hours', ts, 'Europe/Zurich'), sum(x) FROM t GROUP BY 1",
        ],
    );
}

#[test]
fn calls_are_answered_from_the_states_of_others() {
    let mut db = Db::new();
    for sql in [
        "CREATE TABLE t (ts timestamptz NOT NULL, s text, p numeric(18,4), n int, w float8)",
        "SELECT create_hypertable('t', 'ts')",
        "CREATE MATERIALIZED VIEW v WITH (timescaledb.continuous) AS
             SELECT time_bucket('1 hour', ts) AS h, s, avg(p) AS p, sum(n) AS n, count(n) AS c, avg(w) AS w, count(ts) AS every_row,
                 sum(n) FILTER (WHERE n > 20) AS large
             FROM t GROUP BY 1, 2",
        "CREATE MATERIALIZED VIEW d WITH (timescaledb.continuous) AS
             SELECT time_bucket('1 day', h) AS d, s, avg(p) AS p, sum(n) AS n, sum(c) AS c, sum(every_row) AS every_row FROM v GROUP BY 1, 2",
        "INSERT INTO t SELECT '2024-01-01'::timestamptz + i * interval '7 minutes', 's' || i % 3, i / 4.0,
             CASE WHEN i % 5 > 0 THEN i END, i * 0.5 FROM generate_series(1, 900) i",
    ] {
        db.run(sql);
    }
    answered(
        &mut db,
        Some("v"),
        &[
            "SELECT time_bucket('1 hour', ts), avg(n) FROM t GROUP BY 1",
            "SELECT time_bucket('2 hours', ts), s, count(*), count(p), count(w), sum(w) FROM t GROUP BY 1, 2",
            "SELECT time_bucket('1 hour', ts), count(*), avg(n), sum(n) / count(*) FROM t GROUP BY 1 HAVING avg(n) > 30 ORDER BY 1 LIMIT 10",
            "WITH q AS (SELECT time_bucket('1 hour', ts) AS h, avg(n) AS a, count(*) AS c FROM t WHERE s <> 's1' GROUP BY 1)
                 SELECT q.h, q.a, other.c FROM q JOIN q other ON other.h = q.h + interval '1 hour'",
        ],
    );
    answered(
        &mut db,
        None,
        &[
            // Of the rows that a filter lets through nothing is known beside their sum.
            "SELECT time_bucket('1 hour', ts), avg(n) FILTER (WHERE n > 20) FROM t GROUP BY 1",
            "SELECT time_bucket('1 hour', ts), count(s) FROM t GROUP BY 1",
            "SELECT time_bucket('1 hour', ts), sum(DISTINCT n) FROM t GROUP BY 1",
        ],
    );
}
