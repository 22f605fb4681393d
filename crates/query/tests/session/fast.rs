//! Fast paths give what the general operators give, whatever lies in the chunks.

use chronolith_platform::SimRandom;

use super::Db;

/// What every query here is asked with: filters, groups and aggregates that fit, and some that do not.
const QUERIES: &[&str] = &[
    "SELECT time_bucket('1 hour', time) AS b, venue, symbol, first(price, time), max(price), min(price), last(price, time), sum(price), max(size), first(size, time), count(*) FROM t GROUP BY b, venue, symbol ORDER BY b, venue, symbol",
    "SELECT venue, time_bucket('15 minutes', time) AS b, symbol, avg(price), avg(n), sum(n), sum(small), avg(small) FROM t GROUP BY venue, b, symbol ORDER BY venue, b, symbol",
    "SELECT time_bucket('1 day', time) AS b, count(*), count(price), sum(price) FROM t GROUP BY b",
    "SELECT time_bucket('1 month', time) AS b, symbol, max(rate), min(rate), sum(rate), avg(rate) FROM t GROUP BY 1, 2",
    "SELECT time_bucket('3 hours', time, TIMESTAMPTZ '2025-03-03 01:00:00+00') AS b, min(time), max(time) FROM t GROUP BY b",
    "SELECT time_bucket('1 hour', time, INTERVAL '5 minutes') AS b, last(n, time) FROM t WHERE venue = 'v1' GROUP BY b",
    "SELECT symbol, last(price, time), min(time) FROM t GROUP BY symbol ORDER BY symbol",
    "SELECT venue, symbol, first(label, time), last(live, time), min(label), max(day) FROM t GROUP BY venue, symbol",
    "SELECT symbol, stddev(price), var_pop(lot), stddev_pop(price), variance(lot), avg(price) FROM t GROUP BY symbol",
    "SELECT count(*), sum(price), max(n) FROM t",
    "SELECT time_bucket('1 day', time) AS d, symbol, sum(price * lot) / sum(lot) AS vwap, sum(lot) FROM t GROUP BY d, symbol ORDER BY d, symbol",
    "SELECT count(*), min(price) FROM t WHERE symbol = 'nothing'",
    "SELECT count(label), first(price, seen), last(price, seen) FROM t WHERE symbol IN ('s0', 's2') AND venue = 'v0'",
    "SELECT symbol, sum(price) FROM t WHERE time >= '2025-03-04 03:10:00+00' AND time < '2025-03-05 07:00:00+00' GROUP BY symbol",
    "SELECT time_bucket('10 minutes', time) AS b, sum(price) FROM t WHERE symbol = 's1' OR symbol = 's0' GROUP BY b",
    "SELECT DISTINCT symbol FROM t ORDER BY symbol",
    "SELECT DISTINCT venue, symbol FROM t",
    "SELECT max(h) FROM (SELECT time_bucket('1 hour', time) AS b, max(price) AS h FROM t GROUP BY b) x",
    "SELECT time_bucket('1 hour', time) AS b, sum(price) FROM t GROUP BY b HAVING count(*) > 3 ORDER BY b DESC LIMIT 5",
    "SELECT time_bucket_gapfill('20 minutes', time) AS b, symbol, locf(last(price, time)), sum(price), interpolate(avg(rate)) FROM t WHERE time >= '2025-03-03 02:30:00+00' AND time < '2025-03-04 07:00:00+00' GROUP BY b, symbol ORDER BY symbol, b",
];

/// What the newest or oldest rows answer.
const LATEST: &[&str] = &[
    "SELECT time FROM t WHERE venue = 'v1' AND symbol = 's1' ORDER BY time DESC LIMIT 1",
    "SELECT time FROM t WHERE symbol = 's0' ORDER BY time DESC LIMIT 20",
    "SELECT time FROM t ORDER BY time LIMIT 7",
    "SELECT time, symbol, n, price FROM t WHERE venue = 'v0' ORDER BY time DESC, n, price, symbol LIMIT 25",
    "SELECT time, n FROM t WHERE time < '2025-03-04 12:00:00+00' AND symbol = 's2' ORDER BY time DESC, n LIMIT 5",
    "SELECT time, n FROM t WHERE time > '2025-03-04 12:00:00+00' ORDER BY time, n OFFSET 3 LIMIT 5",
    "SELECT symbol, last(price, time), max(time) FROM t GROUP BY symbol ORDER BY symbol",
    "SELECT venue, symbol, first(label, time), first(price, time) FROM t GROUP BY venue, symbol",
    "SELECT last(price, time) FROM t",
    "SELECT DISTINCT ON (symbol) symbol, time FROM t ORDER BY symbol, time DESC",
    "SELECT DISTINCT ON (venue, symbol) venue, symbol, time FROM t WHERE venue = 'v1' ORDER BY venue, symbol, time",
];

/// Those that no chunk answers alone.
const OTHERS: &[&str] = &[
    "SELECT day, count(*) FROM t GROUP BY day",
    "SELECT symbol, count(DISTINCT price) FROM t GROUP BY symbol",
    "SELECT symbol, sum(price) FILTER (WHERE n > 0) FROM t GROUP BY symbol",
    "SELECT symbol, sum(price * 2) FROM t GROUP BY symbol",
    "SELECT symbol, sum(price) FROM t WHERE n > 0 GROUP BY symbol",
    "SELECT symbol, sum(price) FROM t WHERE symbol <> 's1' GROUP BY symbol",
    "SELECT symbol, stddev(n) FROM t GROUP BY symbol",
    "SELECT symbol, sum(size) FROM t GROUP BY symbol",
    "SELECT time_bucket('1 hour', seen) AS b, count(*) FROM t GROUP BY b",
    "SELECT time FROM t WHERE n > 0 ORDER BY time DESC LIMIT 5",
    "SELECT seen FROM t ORDER BY seen DESC LIMIT 5",
    "SELECT DISTINCT ON (day) day, time FROM t ORDER BY day, time DESC",
];

fn insert(db: &mut Db, random: &SimRandom, count: usize, days: u64) {
    let below = |n: u64| random.below(n);
    let mut rows = Vec::new();
    for _ in 0..count {
        let or_null = |value: String, odds: u64| match random.one_in(odds) {
            true => "NULL".to_owned(),
            false => value,
        };
        let time = |minutes: u64| {
            let (day, minutes) = (3 + minutes / 1440, minutes % 1440);
            format!(
                "'2025-03-{day:02} {:02}:{:02}:00+00'",
                minutes / 60,
                minutes % 60
            )
        };
        rows.push(format!(
            "({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})",
            time(below(days * 1440)),
            or_null(format!("'v{}'", below(2)), 9),
            or_null(format!("'s{}'", below(3)), 9),
            or_null(format!("{}.{:02}", below(90), below(100)), 7),
            or_null(format!("{}.{}", 1 + below(2000), below(10)), 11),
            or_null(format!("{}.{}", below(1000), below(10)), 7),
            or_null(
                format!("{}", i64::try_from(below(1 << 40)).unwrap() - (1 << 39)),
                7
            ),
            or_null(format!("{}", below(200)), 7),
            or_null(
                ["0.25", "'NaN'", "-3.5", "12", "8.75"][usize::try_from(below(5)).unwrap()]
                    .to_owned(),
                7
            ),
            or_null(format!("'label {}'", below(50)), 7),
            or_null(format!("'2025-01-{:02}'", 1 + below(28)), 7),
            or_null(
                ["true", "false"][usize::try_from(below(2)).unwrap()].to_owned(),
                7
            ),
            or_null(time(below(1440)), 7),
        ));
    }
    db.run(&format!("INSERT INTO t (time, venue, symbol, price, lot, size, n, small, rate, label, day, live, seen) VALUES {}", rows.join(", ")));
}

fn compare(db: &mut Db, what: &str) {
    let aggregates = QUERIES.iter().map(|sql| (sql, "BucketAggregate"));
    let latest = LATEST.iter().map(|sql| (sql, "LatestRows"));
    let others = OTHERS.iter().map(|sql| (sql, ""));
    for (sql, fast) in aggregates.chain(latest).chain(others) {
        let mut found = db.query(sql);
        let plan = db.query(&format!("EXPLAIN {sql}")).join("\n");
        // Of no rows much is known without any of this.
        if what != "no rows" {
            for name in ["BucketAggregate", "LatestRows"] {
                assert_eq!(plan.contains(name), name == fast, "{what}: {sql}\n{plan}");
            }
        }
        db.run("SET chronolith.enable_fast_paths = off");
        let mut expected = db.query(sql);
        let plan = db.query(&format!("EXPLAIN {sql}")).join("\n");
        for name in ["BucketAggregate", "LatestRows"] {
            assert!(!plan.contains(name), "{what}: {sql}\n{plan}");
        }
        db.run("SET chronolith.enable_fast_paths = on");
        if !sql.contains("ORDER BY") {
            found.sort();
            expected.sort();
        }
        assert_eq!(found, expected, "{what}: {sql}");
    }
}

#[test]
fn aggregates_of_chunks_are_those_of_the_general_operators() {
    for seed in 0..1 {
        let random = SimRandom::new(seed);
        let mut db = Db::new();
        db.run(
            "CREATE TABLE t (time timestamptz NOT NULL, venue text, symbol text, price numeric(20,8), lot numeric(18,4), \
             size numeric, n bigint, small int, rate float8, label text, day date, live bool, \
             seen timestamptz)",
        );
        db.run("SELECT create_hypertable('t', 'time', chunk_time_interval => INTERVAL '1 day')");
        db.run(
            "ALTER TABLE t SET (timescaledb.compress, \
             timescaledb.compress_segmentby = 'venue, symbol', timescaledb.compress_orderby = 'time')",
        );
        compare(&mut db, "no rows");
        insert(&mut db, &random, 300, 3);
        compare(&mut db, "hot rows");
        db.run("SELECT compress_chunk(c) FROM show_chunks('t') c");
        compare(&mut db, "packed rows");
        insert(&mut db, &random, 60, 4);
        compare(&mut db, "packed rows and late ones");
        db.run("CHECKPOINT");
        insert(&mut db, &random, 30, 4);
        compare(&mut db, "several parts");
        db.run("ALTER TABLE t ADD COLUMN more numeric(20,8) DEFAULT 1.5");
        db.run("ALTER TABLE t DROP COLUMN live");
        db.run("ALTER TABLE t ADD COLUMN live bool");
        compare(&mut db, "parts older than a column");
        db.run("BEGIN");
        insert(&mut db, &random, 20, 2);
        compare(&mut db, "rows of an open transaction");
        db.run("ROLLBACK");
    }
}

#[test]
fn buckets_of_integers_are_those_of_the_general_operators() {
    let mut db = Db::new();
    db.run("CREATE TABLE t (at bigint NOT NULL, name text, value int)");
    db.run("SELECT create_hypertable('t', 'at', chunk_time_interval => 100)");
    db.run("ALTER TABLE t SET (timescaledb.compress, timescaledb.compress_segmentby = 'name')");
    db.run("INSERT INTO t SELECT i * 7 - 500, 'n' || i % 3, i FROM generate_series(1, 300) i");
    for round in ["hot", "packed"] {
        for sql in [
            "SELECT time_bucket(10, at) AS b, name, sum(value), last(value, at) FROM t GROUP BY b, name ORDER BY b, name",
            "SELECT time_bucket(64, at, 5) AS b, count(*) FROM t GROUP BY b ORDER BY b",
        ] {
            let found = db.query(sql);
            db.run("SET chronolith.enable_fast_paths = off");
            assert_eq!(found, db.query(sql), "{round}: {sql}");
            db.run("SET chronolith.enable_fast_paths = on");
            assert!(
                db.query(&format!("EXPLAIN {sql}"))
                    .join("\n")
                    .contains("BucketAggregate")
            );
        }
        db.run("SELECT compress_chunk(c) FROM show_chunks('t') c");
    }
}
