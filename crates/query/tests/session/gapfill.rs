//! Gaps of random data are filled as a plain model of them says.

use std::collections::BTreeMap;

use chronolith_platform::SimRandom;

use super::Db;

/// What the rows of a bucket came to: how many, and their greatest value.
type Bucket = (i64, Option<i64>);

/// The rows of one group, by bucket.
type Group = BTreeMap<i64, Bucket>;

struct Case {
    width: i64,
    start: i64,
    finish: i64,
    groups: BTreeMap<String, Group>,
}

fn shown(value: Option<i64>) -> String {
    value.map_or("NULL".to_owned(), |value| value.to_string())
}

/// On the line between two samples, halves away from zero.
fn between((x0, y0): (i64, i64), (x1, y1): (i64, i64), x: i64) -> i64 {
    let (over, run) = ((y1 - y0) * (x - x0) + y0 * (x1 - x0), x1 - x0);
    let twice = 2 * over.abs() + run;
    over.signum() * (twice / (2 * run))
}

impl Case {
    fn model(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, rows) in &self.groups {
            let mut buckets: Vec<i64> = rows.keys().copied().collect();
            let mut at = self.start.div_euclid(self.width) * self.width;
            while at < self.finish {
                buckets.push(at);
                at += self.width;
            }
            buckets.sort_unstable();
            buckets.dedup();
            let (mut last, mut some) = (None, None);
            for at in buckets {
                let row = rows.get(&at);
                let line = match row {
                    Some((_, value)) => {
                        last = *value;
                        some = value.or(some);
                        *value
                    }
                    None => {
                        // Rows beside a gap whose value is NULL are no samples.
                        let before = rows.range(..at).next_back();
                        let after = rows.range(at..).next();
                        let sample = |found: Option<(&i64, &Bucket)>| {
                            found.and_then(|(at, (_, value))| value.map(|value| (*at, value)))
                        };
                        sample(before)
                            .zip(sample(after))
                            .map(|(before, after)| between(before, after, at))
                    }
                };
                let count = shown(row.map(|(count, _)| *count));
                let (last, some) = (shown(last), shown(some));
                let line = shown(line);
                lines.push(format!("{name}|{at}|{count}|{last}|{some}|{line}"));
            }
        }
        lines
    }
}

fn check(db: &mut Db, random: &SimRandom, what: &str) {
    let below = |n: u64| i64::try_from(random.below(n)).unwrap();
    let width = 1 + below(40);
    let start = below(2000) - 500;
    let finish = start + 1 + below(3000);
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for line in db.query("SELECT name, at, value FROM t") {
        let cells: Vec<&str> = line.split('|').collect();
        let at: i64 = cells[1].parse().unwrap();
        let group = groups.entry(cells[0].to_owned()).or_default();
        let bucket = group.entry(at.div_euclid(width) * width).or_default();
        bucket.0 += 1;
        bucket.1 = bucket.1.max(cells[2].parse().ok());
    }
    let case = Case {
        width,
        start,
        finish,
        groups,
    };
    let found = db.query(&format!(
        "SELECT name, time_bucket_gapfill({width}, at, {start}, {finish}) AS b, count(*), \
         locf(max(value)), locf(max(value), treat_null_as_missing => true), \
         interpolate(max(value)) FROM t GROUP BY name, b ORDER BY name, b"
    ));
    assert_eq!(
        found,
        case.model(),
        "{what}: width {width}, {start} to {finish}"
    );
}

#[test]
fn gaps_of_random_rows_are_filled_as_the_model_fills_them() {
    for seed in 0..4 {
        let random = SimRandom::new(seed);
        let mut db = Db::new();
        db.run("CREATE TABLE t (at bigint NOT NULL, name text NOT NULL, value bigint)");
        db.run("SELECT create_hypertable('t', 'at', chunk_time_interval => 500)");
        check(&mut db, &random, "no rows");
        for round in 0..6 {
            let rows: Vec<String> = (0..1 + random.below(120))
                .map(|_| {
                    let value = match random.one_in(5) {
                        true => "NULL".to_owned(),
                        false => format!("{}", random.below(2000) as i64 - 1000),
                    };
                    let at = random.below(3000) as i64 - 800;
                    format!("({at}, 'g{}', {value})", random.below(6))
                })
                .collect();
            db.run(&format!("INSERT INTO t VALUES {}", rows.join(", ")));
            for _ in 0..4 {
                check(&mut db, &random, &format!("seed {seed}, round {round}"));
            }
        }
    }
}

#[test]
fn groups_longer_than_a_batch_are_filled_across_it() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (at bigint NOT NULL, name text NOT NULL, value bigint)");
    // Every third bucket has a row: both batches and blocks end in the middle of a group.
    db.run(
        "INSERT INTO t SELECT 3 * i, name, 6 * i FROM generate_series(0, 19999) i, \
         (VALUES ('a'), ('b')) n(name)",
    );
    let filled = "SELECT name, time_bucket_gapfill(1, at, 0, 60000) AS b, count(*) AS n, \
                  locf(max(value), 0 - max(max(value)) OVER ()) AS x FROM t GROUP BY name, b";
    assert_eq!(db.fails(filled).0, "0A000");
    let found = db.query(
        "SELECT name, count(*), count(n), sum(x), sum(y), count(*) FILTER (WHERE y = 2 * b) \
         FROM (SELECT name, time_bucket_gapfill(1, at, 0, 60000) AS b, count(*) AS n, \
         locf(max(value)) AS x, interpolate(max(value)) AS y FROM t GROUP BY name, b) f \
         GROUP BY name ORDER BY name",
    );
    // The last two buckets have no sample behind them.
    let steps = 3 * 6_i64 * (19_999 * 20_000 / 2);
    let line: i64 = (0..59_998).map(|b| 2 * b).sum();
    let expected = |name| format!("{name}|60000|20000|{steps}|{line}|59998");
    assert_eq!(found, [expected("a"), expected("b")]);
}

#[test]
fn sorted_groups_of_chunks_need_no_sort_and_no_general_aggregate() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (time timestamptz NOT NULL, symbol text, price numeric(20,8))");
    db.run("SELECT create_hypertable('t', 'time')");
    db.run("INSERT INTO t VALUES ('2026-01-05 00:00:30+00', 'A', 1)");
    let plan = db.query(
        "EXPLAIN SELECT time_bucket_gapfill('1 minute', time) AS b, locf(last(price, time)) \
         FROM t WHERE symbol = 'A' AND time >= '2026-01-05' AND time < '2026-01-06' \
         GROUP BY b ORDER BY b",
    );
    let plan = plan.join("\n");
    for (name, there) in [
        ("GapFillExec", true),
        ("BucketAggregate", true),
        ("SortExec", false),
        ("AggregateExec", false),
    ] {
        assert_eq!(plan.contains(name), there, "{name}\n{plan}");
    }
}

#[test]
fn bounds_that_are_not_there_are_told_of_with_a_hint() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (time timestamptz NOT NULL, v int)");
    let error = db
        .try_run("SELECT time_bucket_gapfill('1 minute', time), count(*) FROM t GROUP BY 1")
        .unwrap_err();
    // Recorded on TimescaleDB.
    assert_eq!(
        error.message,
        "missing time_bucket_gapfill argument: could not infer start from WHERE clause"
    );
    assert_eq!(
        error.hint.as_deref(),
        Some("Specify start and finish as arguments or in the WHERE clause.")
    );
}
