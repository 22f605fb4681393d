//! Queries over raw rows that views may answer.

use chronolith_platform::SimRandom;

use super::history::moment;
use super::views::columns;

fn pick<'a>(random: &SimRandom, of: &[&'a str]) -> &'a str {
    of[usize::try_from(random.below(of.len() as u64)).unwrap()]
}

/// Some of them, in their order.
fn some<'a>(random: &SimRandom, of: &[&'a str], most: u64) -> Vec<&'a str> {
    let chance = of.len() as u64;
    of.iter()
        .copied()
        .filter(|_| random.below(chance) < most)
        .collect()
}

/// A query over a hypertable, mostly one that views of the family of `first` may answer.
pub(crate) fn query(random: &SimRandom, raw: &str, first: &str) -> String {
    let known = KNOWN.iter().find(|known| known.first == first);
    if let Some(known) = known
        && random.below(8) > 0
    {
        return known.query(random, raw);
    }
    match raw {
        "bars" => known.map_or_else(String::new, |known| known.query(random, raw)),
        "ticks" => over_ticks(random, first),
        "counts" => over_counts(random),
        _ => over_days(random),
    }
}

/// What views of a family have, so that queries of it are answered from them unless edges, marks or
/// views that are not there are in the way.
struct Known {
    /// The first view of the family.
    first: &'static str,
    aggregates: &'static [&'static str],
    buckets: &'static [&'static str],
    groups: &'static [&'static str],
    /// What rows must be in all views of it.
    always: &'static [&'static str],
    /// Conditions on groups.
    filters: &'static [&'static str],
}

const KNOWN: &[Known] = &[
    Known {
        first: "m5",
        aggregates: &[
            "count(*)",
            "sum(volume)",
            "max(price)",
            "min(price)",
            "avg(price)",
            "first(price, time)",
            "last(price, time)",
            "sum(weight)",
            "sum(size)",
            "count(size)",
            "min(note)",
            "max(note)",
            "avg(weight)",
            "avg(size)",
            "count(time)",
        ],
        buckets: &[
            "time_bucket('5 minutes', time)",
            "time_bucket('15 minutes', time)",
            "time_bucket('1 hour', time)",
            "time_bucket('4 hours', time)",
            "time_bucket('1 day', time)",
            "time_bucket('1 week', time)",
            "time_bucket('1 day', time, 'Asia/Kolkata')",
            "date_trunc('hour', time)",
            "date_trunc('day', time)",
            "extract(hour FROM time)",
            "time::date",
        ],
        groups: &["symbol", "exchange", "coalesce(symbol, '?')"],
        always: &[],
        filters: &[
            "symbol = 's1'",
            "symbol IN ('s0', 's2')",
            "exchange <> 'x0'",
            "symbol IS NOT NULL",
            "(symbol = 's1' OR exchange = 'x1')",
        ],
    },
    Known {
        first: "picked",
        aggregates: &[
            "sum(size)",
            "count(*) FILTER (WHERE flag)",
            "sum(volume) FILTER (WHERE exchange = 'x1')",
            "max(price) FILTER (WHERE size > 5)",
            "bool_and(flag)",
            "bool_or(flag)",
            "bit_xor(size)",
        ],
        buckets: &[
            "time_bucket('30 minutes', time)",
            "time_bucket('1 hour', time)",
            "time_bucket('6 hours', time)",
            "time_bucket('1 day', time)",
        ],
        groups: &["symbol", "upper(symbol)"],
        always: &["size > 2"],
        filters: &["symbol = 's1'", "symbol <> 's3'", "symbol IS NULL"],
    },
    Known {
        first: "hard",
        aggregates: &[
            "stddev(price)",
            "var_pop(weight)",
            "count(DISTINCT size)",
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY weight)",
            "percentile_disc(0.25) WITHIN GROUP (ORDER BY price)",
            "array_agg(size) AS list",
            "string_agg(note, ',' ORDER BY note)",
            "corr(weight, size)",
            "covar_samp(weight, size)",
            "histogram(weight, 0, 20, 4)",
            "sum(DISTINCT size)",
        ],
        buckets: &[
            "time_bucket('1 hour', time)",
            "time_bucket('3 hours', time)",
            "time_bucket('1 day', time)",
            "date_trunc('day', time)",
        ],
        groups: &["exchange"],
        always: &[],
        filters: &["exchange = 'x1'", "exchange IS NOT NULL"],
    },
    Known {
        first: "months",
        aggregates: &["count(*)", "sum(volume)", "avg(price)", "last(price, time)"],
        buckets: &[
            "time_bucket('1 month', time, 'Europe/Zurich')",
            "time_bucket('3 months', time, 'Europe/Zurich')",
            "time_bucket('1 year', time, 'Europe/Zurich')",
            "date_trunc('month', time, 'Europe/Zurich')",
        ],
        groups: &["symbol"],
        always: &[],
        filters: &["symbol = 's1'", "symbol IS NOT NULL"],
    },
    Known {
        first: "tens",
        aggregates: &["sum(v)", "count(v)", "max(v)", "avg(v)", "min(at)"],
        buckets: &[
            "time_bucket(10, at)",
            "time_bucket(20, at)",
            "time_bucket(50, at)",
            "time_bucket(200, at)",
        ],
        groups: &["k", "k + 1"],
        always: &[],
        filters: &["k = 1", "k IS NOT NULL", "k <> 2"],
    },
    Known {
        first: "by_month",
        aggregates: &["sum(v)", "avg(v)", "count(*)", "count(v)"],
        buckets: &[
            "time_bucket('1 month', day)",
            "time_bucket('2 months', day)",
            "time_bucket('1 year', day)",
        ],
        groups: &["k"],
        always: &[],
        filters: &["k = 'a'", "k <> 'b'"],
    },
    Known {
        first: "keyed",
        aggregates: &[
            "first(v, ts)",
            "max(v)",
            "min(v)",
            "last(v, ts)",
            "sum(v)",
            "sum(n)",
            "count(*)",
            "avg(v)",
        ],
        buckets: &[
            "time_bucket('15 minutes', ts)",
            "time_bucket('30 minutes', ts)",
            "time_bucket('1 hour', ts)",
            "time_bucket('4 hours', ts)",
            "time_bucket('1 day', ts)",
            "date_trunc('hour', ts)",
            "time_bucket('7 minutes', ts)",
        ],
        groups: &["k", "upper(k)"],
        always: &[],
        filters: &["k = 'a'", "k IN ('b', 'c')", "k <> 'd'", "n > 5"],
    },
];

impl Known {
    fn query(&self, random: &SimRandom, raw: &str) -> String {
        let (_, time) = columns(raw);
        let mut conditions: Vec<String> = self.always.iter().map(|&all| all.to_owned()).collect();
        if random.below(3) == 0 {
            conditions.push(pick(random, self.filters).to_owned());
        }
        let edge = || match raw {
            "counts" => (i64::try_from(random.below(700)).unwrap() - 50).to_string(),
            "days" => format!("date '2025-01-01' + {}", random.below(200)),
            _ => format!("'{}'", moment(random)),
        };
        match random.below(6) {
            0 => conditions.push(format!("{time} >= {}", edge())),
            1 => conditions.push(format!("{time} < {}", edge())),
            2 => conditions.push(format!("{time} BETWEEN {} AND {}", edge(), edge())),
            _ => {}
        }
        let parts = Parts {
            bucket: (random.below(5) > 0).then(|| pick(random, self.buckets).to_owned()),
            groups: some(random, self.groups, 1),
            aggregates: match some(random, self.aggregates, 3) {
                none if none.is_empty() => self.aggregates.iter().take(1).copied().collect(),
                some => some,
            },
            conditions,
            having: None,
        };
        parts.text(raw)
    }
}

struct Parts {
    bucket: Option<String>,
    groups: Vec<&'static str>,
    aggregates: Vec<&'static str>,
    conditions: Vec<String>,
    having: Option<&'static str>,
}

impl Parts {
    fn text(&self, raw: &str) -> String {
        let mut keys: Vec<String> = self.bucket.iter().cloned().collect();
        keys.extend(self.groups.iter().map(|group| (*group).to_owned()));
        let mut outputs = keys.clone();
        outputs.extend(self.aggregates.iter().map(|agg| (*agg).to_owned()));
        let mut sql = format!("SELECT {} FROM {raw}", outputs.join(", "));
        if !self.conditions.is_empty() {
            sql += &format!(" WHERE {}", self.conditions.join(" AND "));
        }
        if !keys.is_empty() {
            let places: Vec<String> = (1..=keys.len()).map(|n| n.to_string()).collect();
            sql += &format!(" GROUP BY {}", places.join(", "));
        }
        if let Some(having) = self.having {
            sql += &format!(" HAVING {having}");
        }
        sql
    }
}

fn over_ticks(random: &SimRandom, first: &str) -> String {
    let plain = [
        "count(*)",
        "sum(volume)",
        "max(price)",
        "min(price)",
        "avg(price)",
        "avg(size)",
        "first(price, time)",
        "last(price, time)",
        "sum(weight)",
        "sum(size)",
        "count(size)",
        "min(note)",
        "max(note)",
        "avg(weight)",
        "sum(price * volume) / nullif(sum(volume), 0) AS vwap",
        "count(time)",
        "count(price)",
        "sum(price)",
        "count(weight)",
        "avg(volume)",
    ];
    let picked = [
        "sum(size)",
        "count(*) FILTER (WHERE flag)",
        "sum(volume) FILTER (WHERE exchange = 'x1')",
        "bool_and(flag)",
        "bool_or(flag)",
        "bit_xor(size)",
        "count(*)",
    ];
    let hard = [
        "stddev(price)",
        "var_pop(weight)",
        "count(DISTINCT size)",
        "array_agg(size) AS list",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY weight)",
        "string_agg(note, ',' ORDER BY note)",
        "histogram(weight, 0, 20, 4)",
        "corr(weight, size)",
        "sum(DISTINCT size)",
    ];
    let kind = match first {
        _ if random.below(5) == 0 => random.below(5),
        "picked" => random.below(2) * 3,
        "hard" => 1,
        "months" => 2,
        _ => 4,
    };
    let (aggregates, buckets, groups, mut conditions): (&[&str], &[&str], &[&str], Vec<String>) =
        match kind {
            0 => (
                &picked,
                &[
                    "time_bucket('30 minutes', time)",
                    "time_bucket('1 hour', time)",
                    "time_bucket('2 hours', time)",
                    "time_bucket('1 day', time)",
                ],
                &["symbol", "upper(symbol)"],
                vec!["size > 2".to_owned()],
            ),
            1 => (
                &hard,
                &[
                    "time_bucket('1 hour', time)",
                    "time_bucket('3 hours', time)",
                    "time_bucket('1 day', time)",
                    "time_bucket('1 month', time)",
                ],
                &["exchange"],
                Vec::new(),
            ),
            2 => (
                &[
                    "count(*)",
                    "sum(volume)",
                    "avg(price)",
                    "last(price, time)",
                    "max(price)",
                    "stddev(size)",
                ],
                &[
                    "time_bucket('1 month', time, 'Europe/Zurich')",
                    "time_bucket('1 day', time, 'Europe/Zurich')",
                    "time_bucket('1 year', time, 'Europe/Zurich')",
                    "time_bucket('1 month', time)",
                    "time_bucket('1 day', time)",
                    "time_bucket('3 months', time, 'Europe/Zurich')",
                    "time_bucket('1 week', time, 'Europe/Zurich')",
                    "date_trunc('month', time, 'Europe/Zurich')",
                    "date_trunc('day', time, 'Europe/Zurich')",
                    "date_trunc('year', time)",
                ],
                &["symbol", "exchange"],
                Vec::new(),
            ),
            3 => (
                &[
                    "count(*)",
                    "sum(price)",
                    "avg(volume)",
                    "sum(volume)",
                    "count(volume)",
                    "avg(price)",
                ],
                &[
                    "time_bucket('1 hour', time, interval '15 minutes')",
                    "time_bucket('1 hour', time)",
                    "time_bucket('2 hours', time, interval '15 minutes')",
                    "time_bucket('15 minutes', time)",
                    "time_bucket('1 day', time, interval '15 minutes')",
                ],
                &["lower(exchange)", "size % 2", "exchange"],
                Vec::new(),
            ),
            _ => (
                &plain,
                &[
                    "time_bucket('5 minutes', time)",
                    "time_bucket('10 minutes', time)",
                    "time_bucket('1 hour', time)",
                    "time_bucket('4 hours', time)",
                    "time_bucket('1 day', time)",
                    "time_bucket('1 week', time)",
                    "time_bucket('1 month', time)",
                    "time_bucket('7 minutes', time)",
                    "time_bucket('1 hour', time, interval '5 minutes')",
                    "time_bucket('1 hour', time, timestamptz '2025-03-01 00:05:00+00')",
                    "time_bucket('1 day', time, 'Asia/Kolkata')",
                    "time_bucket('1 day', time, 'Europe/Zurich')",
                    "time_bucket('2 hours', time, 'Australia/Lord_Howe')",
                    "time_bucket('1 month', time, 'America/St_Johns')",
                    "date_trunc('hour', time)",
                    "date_trunc('day', time)",
                    "date_trunc('week', time, 'America/New_York')",
                    "time::date",
                    "extract(hour FROM time)",
                    "extract(dow FROM time)",
                    "(time_bucket('1 hour', time) + interval '30 minutes')",
                ],
                &["symbol", "exchange", "symbol || '!'", "symbol IS NULL"],
                Vec::new(),
            ),
        };
    let aggregates = match some(random, aggregates, 2) {
        none if none.is_empty() => vec!["count(*)"],
        some => some,
    };
    let filters = [
        "symbol = 's1'",
        "symbol IN ('s0', 's2')",
        "exchange <> 'x0'",
        "symbol IS NOT NULL",
        "symbol LIKE 's%'",
        "symbol <> 's3'",
        "(symbol = 's1' OR exchange = 'x1')",
        "size > 5",
        "coalesce(symbol, 'none') < 's2'",
        "extract(hour FROM time) BETWEEN 2 AND 9",
        "time::date <> '2025-03-30'",
        "time < now()",
        "time >= date_trunc('day', timestamptz '2025-03-29 17:00:00+00')",
    ];
    if random.below(2) == 0 {
        conditions.push(pick(random, &filters).to_owned());
    }
    match random.below(6) {
        0 => conditions.push(format!("time >= '{}'", moment(random))),
        1 => conditions.push(format!("time < '{}'", moment(random))),
        2 => conditions.push(format!(
            "time >= '{}' AND time < '{}'",
            moment(random),
            moment(random)
        )),
        3 => conditions.push(format!(
            "time BETWEEN '{}' AND '{}'",
            moment(random),
            moment(random)
        )),
        _ => {}
    }
    if random.below(12) == 0 {
        conditions.push(format!("time > '{}'", moment(random)));
    }
    let parts = Parts {
        bucket: (random.below(4) > 0).then(|| pick(random, buckets).to_owned()),
        groups: some(random, groups, 1),
        aggregates,
        conditions,
        having: match random.below(6) {
            0 => Some("count(*) > 2"),
            1 => Some("max(price) > 50"),
            _ => None,
        },
    };
    parts.text("ticks")
}

fn over_counts(random: &SimRandom) -> String {
    let aggregates = [
        "sum(v)", "count(v)", "max(v)", "avg(v)", "min(at)", "count(*)", "sum(k)",
    ];
    let at = |random: &SimRandom| (i64::try_from(random.below(700)).unwrap() - 50).to_string();
    let parts = Parts {
        bucket: (random.below(4) > 0).then(|| {
            pick(
                random,
                &[
                    "time_bucket(10, at)",
                    "time_bucket(20, at)",
                    "time_bucket(50, at)",
                    "time_bucket(100, at)",
                    "time_bucket(7, at, 3)",
                    "time_bucket(14, at, 3)",
                    "time_bucket(15, at)",
                    "time_bucket(5, at)",
                    "time_bucket(70, at, 3)",
                ],
            )
            .to_owned()
        }),
        groups: some(random, &["k", "k + 1"], 1),
        aggregates: match some(random, &aggregates, 2) {
            none if none.is_empty() => vec!["sum(v)"],
            some => some,
        },
        conditions: match random.below(5) {
            0 => vec![format!("at >= {}", at(random)), "k = 1".to_owned()],
            1 => vec![format!("at < {}", at(random))],
            2 => vec![format!("at BETWEEN {} AND {}", at(random), at(random))],
            3 => vec!["k <> 2".to_owned()],
            _ => Vec::new(),
        },
        having: None,
    };
    parts.text("counts")
}

fn over_days(random: &SimRandom) -> String {
    let aggregates = [
        "sum(v)",
        "avg(v)",
        "count(*)",
        "max(v)",
        "count(DISTINCT k)",
        "min(v)",
    ];
    let day = |random: &SimRandom| format!("date '2025-01-01' + {}", random.below(200));
    let parts = Parts {
        bucket: (random.below(4) > 0).then(|| {
            pick(
                random,
                &[
                    "time_bucket('1 month', day)",
                    "time_bucket('2 months', day)",
                    "time_bucket('1 year', day)",
                    "time_bucket('7 days', day)",
                    "time_bucket('14 days', day)",
                    "time_bucket('1 day', day)",
                ],
            )
            .to_owned()
        }),
        groups: some(random, &["k"], 1),
        aggregates: match some(random, &aggregates, 2) {
            none if none.is_empty() => vec!["sum(v)"],
            some => some,
        },
        conditions: match random.below(5) {
            0 => vec![format!("day >= {}", day(random))],
            1 => vec![format!("day < {}", day(random)), "k = 'a'".to_owned()],
            2 => vec![format!("day BETWEEN {} AND {}", day(random), day(random))],
            3 => vec!["k <> 'b'".to_owned()],
            _ => Vec::new(),
        },
        having: None,
    };
    parts.text("days")
}
