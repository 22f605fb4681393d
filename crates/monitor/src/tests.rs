//! The pages as a scraper and a probe see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use chronolith::Database;
use tokio::runtime::Runtime;

use crate::Monitor;

/// Status line and body.
fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default().to_owned();
    (status, body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    ask(address, &request)
}

fn value<'p>(page: &'p str, sample: &str) -> Option<&'p str> {
    page.lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
}

#[test]
fn a_database_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(dir.path()).unwrap();
    let mut connection = db.connect().unwrap();
    for sql in [
        "CREATE TABLE t (ts timestamptz NOT NULL, s text NOT NULL, v float8, PRIMARY KEY (ts, s))",
        "SELECT create_hypertable('t', 'ts')",
        "INSERT INTO t SELECT '2025-01-01 00:00:00+00'::timestamptz + i * interval '1 hour', 'a', i \
         FROM generate_series(0, 999) i",
        "SELECT compress_chunk(c) FROM show_chunks('t') c",
        "CREATE MATERIALIZED VIEW m WITH (timescaledb.continuous) AS \
         SELECT time_bucket('1 day', ts) AS day, s, sum(v) FROM t GROUP BY 1, 2",
        "SELECT add_retention_policy('t', interval '100 years')",
    ] {
        connection.run(sql).unwrap();
    }
    let runtime = Runtime::new().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let monitor = runtime.block_on(Monitor::bind(db, address)).unwrap();
    let address = monitor.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(monitor.run(async { drop(stopped.await) }));

    let (status, page) = get(address, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(page.contains("public.t"), "{page}");
    let of_t = |name: &str| format!("{name}{{datname=\"postgres\",hypertable=\"public.t\"}}");
    assert_eq!(value(&page, "pg_up"), Some("1"));
    assert_eq!(
        value(&page, &of_t("timescaledb_hypertable_rows")),
        Some("1000")
    );
    let newest = value(&page, &of_t("timescaledb_hypertable_newest_time_seconds"));
    assert_eq!(
        newest.unwrap().parse::<f64>().unwrap(),
        1_735_689_600.0 + 999.0 * 3600.0
    );
    let number = |sample: &str| value(&page, sample).expect(sample).parse::<f64>().unwrap();
    let chunks = number(&of_t("timescaledb_hypertable_chunks"));
    assert!(chunks >= 6.0);
    assert_eq!(
        number(&of_t("timescaledb_hypertable_compressed_chunks")),
        chunks
    );
    assert!(number("pg_database_size_bytes{datname=\"postgres\"}") > 0.0);
    assert!(number("pg_stat_database_tup_inserted{datname=\"postgres\"}") >= 1000.0);
    assert!(number("chronolith_hot_rows_bytes_max") > 0.0);
    let view =
        "timescaledb_continuous_aggregate_pending_ranges{datname=\"postgres\",view=\"public.m\"}";
    assert!(number(view) >= 0.0);
    assert!(page.contains("timescaledb_job_runs_total{datname=\"postgres\",job_id=\"1000\""));
    // Every family is told of once, and every line is a comment or a sample.
    let mut families: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
        .collect();
    let count = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), count);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').expect(line);
        assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{line}");
    }

    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            get(address, path),
            ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned())
        );
    }
    assert_eq!(get(address, "/sql?q=DROP").0, "HTTP/1.1 404 Not Found");
    let post =
        "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(ask(address, post).0, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(
        ask(address, "no HTTP at all\r\n\r\n").0,
        "HTTP/1.1 400 Bad Request"
    );
    // A table that is dropped leaves the page, and the page stays.
    connection.run("DROP TABLE t CASCADE").unwrap();
    let (_, page) = get(address, "/metrics");
    assert_eq!(value(&page, "pg_up"), Some("1"));
    assert!(!page.contains("public.t"));

    drop(stop);
    runtime.block_on(running).unwrap();
    assert!(TcpStream::connect(address).is_err());
}
