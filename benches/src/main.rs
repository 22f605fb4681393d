//! Figures of the measured workload that need a program: queries embedded, look-ups over the wire.
//!
//! `benches/measure.sh` calls it, after a load. Times go to stdout, one line a figure.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a stopwatch that prints what it measured"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chronolith::Database;
use tokio_postgres::NoTls;

const T06: &str = "SELECT time_bucket('1 hour', time) AS bucket, exchange, symbol, first(price, time) AS open, max(price) AS high, min(price) AS low, last(price, time) AS close, sum(volume) AS volume FROM ticks GROUP BY bucket, exchange, symbol ORDER BY bucket, exchange, symbol";
const T01: &str = "SELECT time, price, volume FROM ticks WHERE exchange = $1 AND symbol = $2 ORDER BY time DESC LIMIT 1";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["t06", directory] => embedded("T06 embedded", directory, T06),
        ["query", directory, sql] => embedded("query", directory, sql),
        ["t01", host, port] => over_the_wire(host, port.parse().context("a port")?),
        _ => bail!("usage: measure t06 DIR | query DIR SQL | t01 HOST PORT"),
    }
}

/// A query on an open directory, to Arrow batches.
fn embedded(name: &str, directory: &str, sql: &str) -> Result<()> {
    const RUNS: usize = 9;
    let db = Database::open(directory)?;
    let mut connection = db.connect()?;
    let rows = connection.query(sql)?.len();
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        connection.query(sql)?;
        times.push(start.elapsed());
    }
    report(name, rows, &mut times);
    drop(connection);
    db.close()?;
    Ok(())
}

/// A prepared look-up by a client on the same machine.
#[tokio::main]
async fn over_the_wire(host: &str, port: u16) -> Result<()> {
    const RUNS: usize = 2_000;
    let address = format!("host={host} port={port} user=postgres dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await?;
    tokio::spawn(connection);
    let statement = client.prepare(T01).await?;
    let mut times = Vec::with_capacity(RUNS);
    let mut rows = 0;
    for run in 0..RUNS {
        let symbol = format!("SYM{:03}USDT", 1 + run % 39);
        let start = Instant::now();
        rows = client
            .query(&statement, &[&"binance", &symbol])
            .await?
            .len();
        times.push(start.elapsed());
    }
    report("T01 over the wire, prepared", rows, &mut times);
    Ok(())
}

fn report(name: &str, rows: usize, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| {
        let index = times.len() * part / 100;
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    println!(
        "{name}: {rows} rows, median {:.3} ms, best {:.3} ms, p99 {:.3} ms, {} runs",
        at(50),
        at(0),
        at(99),
        times.len()
    );
}
