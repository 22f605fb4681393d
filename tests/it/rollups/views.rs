//! The continuous aggregates that histories have, and what each is to equal.

/// A family of views, with the hypertable they read.
#[derive(Debug)]
pub(crate) struct Theme {
    /// The hypertable.
    pub(crate) raw: &'static str,
    /// Parents before their children.
    pub(crate) views: &'static [Spec],
}

#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// The view that it reads; None for the hypertable.
    pub(crate) over: Option<&'static str>,
    /// Its query; `{raw}` stands for the hypertable.
    pub(crate) query: &'static str,
    /// The same over the hypertable, for one over another; None where only what the other shows
    /// says it.
    pub(crate) direct: Option<&'static str>,
    /// The bucket of a raw row and its end, where buckets are of one width.
    pub(crate) bucket: Option<(&'static str, &'static str)>,
    /// Whether rows that come have their buckets computed again.
    pub(crate) recomputed: bool,
}

pub(crate) const TABLES: &[&str] = &[
    "CREATE TABLE ticks (time timestamptz NOT NULL, symbol text, exchange text, price numeric(18,4), volume numeric, size int, weight float8, flag bool, note text)",
    "SELECT create_hypertable('ticks', 'time', chunk_time_interval => interval '1 day')",
    "ALTER TABLE ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'time')",
    "CREATE TABLE names (symbol text, sector text)",
    "CREATE TABLE counts (at bigint NOT NULL, k int, v bigint)",
    "SELECT create_hypertable('counts', 'at', chunk_time_interval => 100)",
    "ALTER TABLE counts SET (timescaledb.compress, timescaledb.compress_segmentby = 'k', timescaledb.compress_orderby = 'at')",
    "CREATE TABLE days (day date NOT NULL, k text, v numeric(12,2))",
    "SELECT create_hypertable('days', 'day', chunk_time_interval => interval '30 days')",
    "ALTER TABLE days SET (timescaledb.compress, timescaledb.compress_segmentby = 'k', timescaledb.compress_orderby = 'day')",
    "CREATE TABLE bars (ts timestamptz NOT NULL, k text NOT NULL, v numeric(12,2), n int, PRIMARY KEY (k, ts))",
    "SELECT create_hypertable('bars', 'ts', chunk_time_interval => interval '1 day')",
    "ALTER TABLE bars SET (timescaledb.compress, timescaledb.compress_segmentby = 'k', timescaledb.compress_orderby = 'ts')",
];

pub(crate) const THEMES: &[Theme] = &[
    Theme {
        raw: "ticks",
        views: &[
            Spec {
                name: "m5",
                over: None,
                query: "SELECT time_bucket('5 minutes', time) AS bucket, symbol, exchange,
                    first(price, time) AS open, max(price) AS high, min(price) AS low, last(price, time) AS close,
                    sum(volume) AS volume, count(*) AS trades, avg(price) AS mean, avg(size) AS size,
                    sum(weight) AS weight, min(note) AS least, max(note) AS greatest, sum(size) AS sizes,
                    count(size) AS sized, avg(weight) AS heavy, sum(price * volume) / nullif(sum(volume), 0) AS vwap
                    FROM {raw} GROUP BY 1, 2, 3",
                direct: None,
                bucket: Some(("time_bucket('5 minutes', time)", "interval '5 minutes'")),
                recomputed: false,
            },
            Spec {
                name: "h1",
                over: Some("m5"),
                query: "SELECT time_bucket('1 hour', bucket) AS bucket, symbol, first(open, bucket) AS open,
                    max(high) AS high, min(low) AS low, last(close, bucket) AS close, sum(volume) AS volume,
                    sum(trades) AS trades, sum(weight) AS weight, sum(sizes) AS sizes, max(greatest) AS greatest
                    FROM m5 GROUP BY 1, 2",
                direct: Some(
                    "SELECT time_bucket('1 hour', time) AS bucket, symbol, first(price, time) AS open,
                    max(price) AS high, min(price) AS low, last(price, time) AS close, sum(volume) AS volume,
                    count(*) AS trades, sum(weight) AS weight, sum(size) AS sizes, max(note) AS greatest
                    FROM {raw} GROUP BY 1, 2",
                ),
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "d1",
                over: Some("h1"),
                query: "SELECT time_bucket('1 day', bucket) AS bucket, first(open, bucket) AS open,
                    max(high) AS high, min(low) AS low, last(close, bucket) AS close, sum(volume) AS volume,
                    sum(trades) AS trades, sum(weight) AS weight
                    FROM h1 WHERE symbol <> 's3' GROUP BY 1",
                direct: Some(
                    "SELECT time_bucket('1 day', time) AS bucket, first(price, time) AS open,
                    max(price) AS high, min(price) AS low, last(price, time) AS close, sum(volume) AS volume,
                    count(*) AS trades, sum(weight) AS weight
                    FROM {raw} WHERE symbol <> 's3' GROUP BY 1",
                ),
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "means",
                over: Some("m5"),
                query: "SELECT time_bucket('1 hour', bucket) AS bucket, exchange, avg(mean) AS mean,
                    max(high - low) AS spread, count(*) AS buckets FROM m5 GROUP BY 1, 2",
                direct: None,
                bucket: None,
                recomputed: true,
            },
            Spec {
                name: "meaner",
                over: Some("means"),
                query: "SELECT time_bucket('4 hours', bucket) AS bucket, sum(buckets) AS buckets, max(spread) AS spread
                    FROM means GROUP BY 1",
                direct: None,
                bucket: None,
                recomputed: true,
            },
        ],
    },
    Theme {
        raw: "ticks",
        views: &[
            Spec {
                name: "picked",
                over: None,
                query: "SELECT time_bucket('30 minutes', time) AS bucket, symbol, sum(size) AS sizes,
                    count(*) FILTER (WHERE flag) AS flagged, sum(volume) FILTER (WHERE exchange = 'x1') AS of_x1,
                    max(price) FILTER (WHERE size > 5) AS high, bool_and(flag) AS every, bool_or(flag) AS any,
                    bit_xor(size) AS mixed
                    FROM {raw} WHERE size > 2 GROUP BY bucket, symbol HAVING count(*) > 1",
                direct: None,
                bucket: Some(("time_bucket('30 minutes', time)", "interval '30 minutes'")),
                recomputed: false,
            },
            Spec {
                name: "picked_more",
                over: Some("picked"),
                query: "SELECT time_bucket('2 hours', bucket) AS bucket, sum(sizes) AS sizes, count(*) AS rows,
                    max(high) AS high FROM picked GROUP BY 1",
                direct: None,
                bucket: None,
                recomputed: true,
            },
            Spec {
                name: "filled",
                over: None,
                query: "SELECT time_bucket_gapfill('1 hour', time, timestamptz '2025-03-27 12:00:00+00', timestamptz '2025-04-03 00:00:00+00') AS bucket,
                    symbol, count(*) AS n, locf(last(price, time)) AS close, interpolate(sum(size)) AS sizes,
                    locf(max(note), treat_null_as_missing => true) AS note
                    FROM {raw} WHERE size > 2 GROUP BY 1, 2",
                direct: None,
                bucket: Some(("time_bucket('1 hour', time)", "interval '1 hour'")),
                recomputed: false,
            },
            Spec {
                name: "quarters",
                over: None,
                query: "SELECT time_bucket('1 hour', time, interval '15 minutes') AS bucket, lower(exchange) AS place,
                    size % 2 AS odd, count(*) AS n, sum(price) AS prices, avg(volume) AS volume
                    FROM {raw} GROUP BY 1, 2, 3",
                direct: None,
                bucket: Some(("time_bucket('1 hour', time, interval '15 minutes')", "interval '1 hour'")),
                recomputed: false,
            },
        ],
    },
    Theme {
        raw: "ticks",
        views: &[Spec {
            name: "hard",
            over: None,
            query: "SELECT time_bucket('1 hour', time) AS bucket, exchange, stddev(price) AS spread,
                var_pop(weight) AS wide, count(DISTINCT size) AS sizes,
                percentile_cont(0.5) WITHIN GROUP (ORDER BY weight) AS middle,
                percentile_disc(0.25) WITHIN GROUP (ORDER BY price) AS quarter,
                array_agg(size) AS list, string_agg(note, ',' ORDER BY note) AS notes,
                corr(weight, size) AS related, covar_samp(weight, size) AS along,
                histogram(weight, 0, 20, 4) AS bars, sum(DISTINCT size) AS once
                FROM {raw} GROUP BY 1, 2",
            direct: None,
            bucket: Some(("time_bucket('1 hour', time)", "interval '1 hour'")),
            recomputed: false,
        }],
    },
    Theme {
        raw: "ticks",
        views: &[
            Spec {
                name: "months",
                over: None,
                query: "SELECT time_bucket('1 month', time, 'Europe/Zurich') AS bucket, symbol, sum(volume) AS volume,
                    count(*) AS trades, avg(price) AS mean, last(price, time) AS close FROM {raw} GROUP BY 1, 2",
                direct: None,
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "zoned",
                over: None,
                query: "SELECT time_bucket('1 day', time, 'Europe/Zurich') AS bucket, exchange, max(price) AS high,
                    count(*) AS trades, stddev(size) AS spread FROM {raw} GROUP BY 1, 2",
                direct: None,
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "years",
                over: Some("months"),
                query: "SELECT time_bucket('3 months', bucket, 'Europe/Zurich') AS bucket, sum(volume) AS volume, sum(trades) AS trades,
                    last(close, bucket) AS close FROM months GROUP BY 1",
                direct: Some(
                    "SELECT time_bucket('3 months', time, 'Europe/Zurich') AS bucket, sum(volume) AS volume,
                    count(*) AS trades, last(price, time) AS close FROM {raw} GROUP BY 1",
                ),
                bucket: None,
                recomputed: false,
            },
        ],
    },
    Theme {
        raw: "ticks",
        views: &[
            Spec {
                name: "sectors",
                over: None,
                query: "SELECT time_bucket('1 hour', t.time) AS bucket, n.sector, sum(t.volume) AS volume,
                    count(*) AS trades, max(t.price) AS high
                    FROM {raw} AS t JOIN names AS n ON n.symbol = t.symbol GROUP BY 1, 2",
                direct: None,
                bucket: Some(("time_bucket('1 hour', time)", "interval '1 hour'")),
                recomputed: true,
            },
            Spec {
                name: "all_sectors",
                over: Some("sectors"),
                query: "SELECT time_bucket('1 day', bucket) AS bucket, sum(volume) AS volume, sum(trades) AS trades
                    FROM sectors GROUP BY 1",
                direct: None,
                bucket: None,
                recomputed: true,
            },
        ],
    },
    Theme {
        raw: "counts",
        views: &[
            Spec {
                name: "tens",
                over: None,
                query: "SELECT time_bucket(10, at) AS bucket, k, sum(v) AS total, count(v) AS n, max(v) AS high,
                    avg(v) AS mean, min(at) AS since FROM {raw} GROUP BY 1, 2",
                direct: None,
                bucket: Some(("time_bucket(10, at)", "10")),
                recomputed: false,
            },
            Spec {
                name: "fifties",
                over: Some("tens"),
                query: "SELECT time_bucket(50, bucket) AS bucket, sum(total) AS total, sum(n) AS n, min(since) AS since
                    FROM tens GROUP BY 1",
                direct: Some(
                    "SELECT time_bucket(50, at) AS bucket, sum(v) AS total, count(v) AS n, min(at) AS since
                    FROM {raw} GROUP BY 1",
                ),
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "sevens",
                over: None,
                query: "SELECT time_bucket(7, at, 3) AS bucket, count(*) AS n, sum(k) AS ks FROM {raw} GROUP BY 1",
                direct: None,
                bucket: Some(("time_bucket(7, at, 3)", "7")),
                recomputed: false,
            },
        ],
    },
    Theme {
        raw: "days",
        views: &[
            Spec {
                name: "by_month",
                over: None,
                query: "SELECT time_bucket('1 month', day) AS bucket, k, sum(v) AS total, avg(v) AS mean, count(*) AS n
                    FROM {raw} GROUP BY 1, 2",
                direct: None,
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "by_year",
                over: Some("by_month"),
                query: "SELECT time_bucket('1 year', bucket) AS bucket, sum(total) AS total, sum(n) AS n
                    FROM by_month GROUP BY 1",
                direct: Some(
                    "SELECT time_bucket('1 year', day) AS bucket, sum(v) AS total, count(*) AS n FROM {raw} GROUP BY 1",
                ),
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "by_hours",
                over: None,
                query: "SELECT time_bucket('12 hours', day) AS bucket, sum(v) AS total FROM {raw} GROUP BY 1",
                direct: None,
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "by_week",
                over: None,
                query: "SELECT time_bucket('7 days', day) AS bucket, max(v) AS high, count(DISTINCT k) AS ks,
                    min(v) AS low FROM {raw} GROUP BY 1",
                direct: None,
                bucket: Some(("time_bucket('7 days', day)", "7")),
                recomputed: false,
            },
        ],
    },
    // Of a table with a key: rows take the place of others.
    Theme {
        raw: "bars",
        views: &[
            Spec {
                name: "keyed",
                over: None,
                query: "SELECT time_bucket('15 minutes', ts) AS bucket, k, first(v, ts) AS open, max(v) AS high,
                    min(v) AS low, last(v, ts) AS close, sum(v) AS total, sum(n) AS n, count(*) AS rows, avg(v) AS mean
                    FROM {raw} GROUP BY 1, 2",
                direct: None,
                bucket: Some(("time_bucket('15 minutes', ts)", "interval '15 minutes'")),
                recomputed: false,
            },
            Spec {
                name: "keyed_hours",
                over: Some("keyed"),
                query: "SELECT time_bucket('1 hour', bucket) AS bucket, k, first(open, bucket) AS open, max(high) AS high,
                    min(low) AS low, last(close, bucket) AS close, sum(total) AS total, sum(n) AS n, sum(rows) AS rows
                    FROM keyed GROUP BY 1, 2",
                direct: Some(
                    "SELECT time_bucket('1 hour', ts) AS bucket, k, first(v, ts) AS open, max(v) AS high,
                    min(v) AS low, last(v, ts) AS close, sum(v) AS total, sum(n) AS n, count(*) AS rows
                    FROM {raw} GROUP BY 1, 2",
                ),
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "keyed_days",
                over: Some("keyed_hours"),
                query: "SELECT time_bucket('1 day', bucket) AS bucket, max(high) AS high, sum(total) AS total,
                    sum(rows) AS rows FROM keyed_hours GROUP BY 1",
                direct: Some(
                    "SELECT time_bucket('1 day', ts) AS bucket, max(v) AS high, sum(v) AS total, count(*) AS rows
                    FROM {raw} GROUP BY 1",
                ),
                bucket: None,
                recomputed: false,
            },
            Spec {
                name: "keyed_mean",
                over: Some("keyed"),
                query: "SELECT time_bucket('2 hours', bucket) AS bucket, avg(mean) AS mean, max(high - low) AS spread
                    FROM keyed GROUP BY 1",
                direct: None,
                bucket: None,
                recomputed: true,
            },
            Spec {
                name: "keyed_hard",
                over: None,
                query: "SELECT time_bucket('1 hour', ts) AS bucket, count(DISTINCT n) AS different, stddev(v) AS spread,
                    percentile_disc(0.5) WITHIN GROUP (ORDER BY v) AS middle FROM {raw} WHERE k <> 'd' GROUP BY 1",
                direct: None,
                bucket: Some(("time_bucket('1 hour', ts)", "interval '1 hour'")),
                recomputed: false,
            },
        ],
    },
];

impl Spec {
    /// What makes it.
    pub(crate) fn create(&self, raw: &str, with_data: bool) -> String {
        format!(
            "CREATE MATERIALIZED VIEW {} WITH (timescaledb.continuous) AS {}{}",
            self.name,
            self.query.replace("{raw}", raw),
            if with_data { "" } else { " WITH NO DATA" }
        )
    }
}

/// The columns of a hypertable, and its time column.
pub(crate) fn columns(raw: &str) -> (&'static str, &'static str) {
    match raw {
        "ticks" => (
            "time timestamptz, symbol text, exchange text, price numeric(18,4), volume numeric, size int, weight float8, flag bool, note text",
            "time",
        ),
        "counts" => ("at bigint, k int, v bigint", "at"),
        "bars" => ("ts timestamptz, k text, v numeric(12,2), n int", "ts"),
        _ => ("day date, k text, v numeric(12,2)", "day"),
    }
}
