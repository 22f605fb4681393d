//! The demo, step by step.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chronolith::{Connection, Database};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rust_decimal::Decimal;

use super::Feed;
use super::chart::{self, Candle};
use crate::args::DemoArgs;
use crate::shell::{Format, print_rows};
use crate::{serve, style};

const SCHEMA: &str = "
CREATE TABLE ticks (
    ts       timestamptz   NOT NULL,
    symbol   text          NOT NULL,
    exchange text          NOT NULL,
    price    numeric(12,2) NOT NULL,
    size     integer       NOT NULL
);
SELECT create_hypertable('ticks', by_range('ts', interval '1 day'));
ALTER TABLE ticks SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'symbol',
    timescaledb.compress_orderby = 'ts'
);";

const CANDLES: &str = "
SELECT time_bucket('1 hour', ts) AS hour,
       first(price, ts) AS open, max(price) AS high, min(price) AS low, last(price, ts) AS close,
       sum(size) AS volume
FROM ticks WHERE symbol = $1
GROUP BY hour ORDER BY hour";

const SIZES: &str = "SELECT pg_total_relation_size('ticks')";

/// How many rows the progress bar waits for between two looks at it.
const ROWS_PER_GLANCE: u64 = 8_192;

/// Runs the command.
pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode> {
    say(&format!("Opening a database in {}", args.dir.display()))?;
    let db = Database::open(&args.dir)?;
    let mut connection = db.connect()?;
    if has_data(&mut connection)? {
        say("It holds the ticks of an earlier run; nothing is loaded again.")?;
    } else {
        load(&db, &mut connection, args)?;
    }
    db.flush()?;
    show_candles(&mut connection)?;
    compress(&db, &mut connection)?;
    drop(connection);
    if args.once {
        db.close()?;
        return Ok(ExitCode::SUCCESS);
    }
    serve::demo(db, args.listen)
}

/// Whether an earlier run ended its load: the table is made in the transaction that says so.
fn has_data(connection: &mut Connection) -> Result<bool> {
    let tables: i32 = connection
        .query(
            "SELECT (to_regclass('public.ticks') IS NOT NULL)::int \
                  + (to_regclass('public.demo_loaded') IS NOT NULL)::int",
        )?
        .single()?;
    if tables == 1 {
        say("An earlier run was stopped while it loaded; starting over.")?;
        connection.execute("DROP TABLE ticks")?;
    }
    Ok(tables == 2)
}

fn load(db: &Database, connection: &mut Connection, args: &DemoArgs) -> Result<()> {
    connection.execute(SCHEMA)?;
    say(&format!(
        "Loading {} ticks of {} symbols on {} exchanges over {} days",
        style::thousands(args.rows),
        args.symbols,
        super::feed::EXCHANGES.len(),
        args.days
    ))?;
    let bar = progress(args.rows);
    let mut feed = Feed::new(args.seed, args.rows, args.days, args.symbols);
    let mut appender = db.appender("ticks")?;
    let mut rows = 0;
    while let Some(tick) = feed.next() {
        appender.push(&[
            &tick.ts,
            &feed.name(tick.symbol),
            &tick.exchange,
            &tick.price,
            &tick.size,
        ])?;
        rows += 1;
        if rows % ROWS_PER_GLANCE == 0 {
            bar.set_position(rows);
        }
    }
    let rows = appender.finish()?;
    let took = bar.elapsed();
    bar.finish_and_clear();
    connection.execute("CREATE TABLE demo_loaded (finished timestamptz DEFAULT now())")?;
    say(&format!(
        "Loaded {} ticks, every commit synced to disk, in {:.1} s: {} ticks/s",
        style::thousands(rows),
        took.as_secs_f64(),
        rate(rows, took)
    ))
}

/// A bar on a terminal; nothing elsewhere, where it would only be noise.
fn progress(rows: u64) -> ProgressBar {
    let bar = ProgressBar::new(rows);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template(
        "  {bar:40.cyan/blue} {human_pos}/{human_len} ticks  {per_sec}  {eta} left",
    );
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn rate(rows: u64, took: Duration) -> String {
    let per_second = style::as_f64(rows) / took.as_secs_f64().max(0.001);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive rate, far below 2^64"
    )]
    let whole = per_second as u64;
    style::thousands(whole)
}

/// The bytes of the table on disk, once all its rows are there.
fn show_candles(connection: &mut Connection) -> Result<()> {
    let busiest = connection.query(
        "SELECT symbol, count(*) AS ticks FROM ticks GROUP BY symbol ORDER BY ticks DESC, symbol LIMIT 1",
    )?;
    let Some(row) = busiest.iter().next() else {
        return Ok(());
    };
    let symbol: String = row.get(0)?;
    say(&format!(
        "\nHourly candles of {symbol}, the busiest of them, by time_bucket, first and last:\n"
    ))?;
    let rows = connection.query_with(CANDLES, &[&symbol])?;
    let mut candles = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let price = |column| row.text(column).map(as_float);
        candles.push(Candle {
            open: price(1)?,
            high: price(2)?,
            low: price(3)?,
            close: price(4)?,
        });
    }
    const CANDLES_MAX: usize = 100;
    const LINES: usize = 16;
    let from = candles.len().saturating_sub(CANDLES_MAX);
    let shown = candles.get(from..).unwrap_or_default();
    style::print(&chart::draw(shown, LINES, style::colours()))?;
    say("")?;
    let last = connection.query_with(
        &format!("SELECT * FROM ({CANDLES}) AS candles ORDER BY hour DESC LIMIT 3"),
        &[&symbol],
    )?;
    print_rows(&last, Format::Aligned)
}

fn as_float(text: Option<String>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn compress(db: &Database, connection: &mut Connection) -> Result<()> {
    let chunks = connection.query("SELECT c::text FROM show_chunks('ticks') c ORDER BY 1")?;
    let names: Vec<String> = chunks
        .iter()
        .map(|row| row.get(0))
        .collect::<Result<_, _>>()?;
    // The newest chunk still grows in a live system, so only the older ones are compressed; a
    // demo of one day compresses that.
    let newest = names.len().saturating_sub(1).max(1);
    let older = names.get(..newest).unwrap_or_default();
    let open: i64 = connection
        .query("SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'ticks' AND NOT is_compressed")?
        .single()?;
    if usize::try_from(open).unwrap_or(0) <= names.len() - older.len() {
        return say(&format!(
            "{} of {} chunks are compressed; the table takes {} on disk.",
            older.len(),
            names.len(),
            style::bytes(chunk_bytes(connection)?)
        ));
    }
    for name in older {
        connection.query_with("SELECT compress_chunk($1::regclass, true)", &[name])?;
    }
    db.flush()?;
    let sizes = connection.query(
        "SELECT before, after, round(after / nullif(rows, 0), 1)::text
         FROM (SELECT sum(before_compression_total_bytes)::bigint AS before,
                      sum(after_compression_total_bytes) AS after
               FROM chunk_compression_stats('ticks')) sizes,
              (SELECT count(*) AS rows FROM ticks
               WHERE ts < (SELECT max(range_end) FROM timescaledb_information.chunks
                           WHERE hypertable_name = 'ticks' AND is_compressed)) counted",
    )?;
    let row = sizes.iter().next().context("there are no sizes")?;
    let (before, after, a_row): (u64, Decimal, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    say(&format!(
        "Compressed {} of {} chunks: {} of rows before, {} on disk after, {a_row} bytes a row",
        older.len(),
        names.len(),
        style::bytes(before),
        style::bytes(u64::try_from(after)?),
    ))?;
    say("They are plain Parquet files; any tool that reads Parquet reads them.")
}

fn chunk_bytes(connection: &mut Connection) -> Result<u64> {
    Ok(connection.query(SIZES)?.single()?)
}

fn say(line: &str) -> Result<()> {
    Ok(style::print(&format!("{line}\n"))?)
}
