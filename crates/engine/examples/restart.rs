//! How long a restart takes with rows that are only in the log.
//!
//! `cargo run --release -p chronolith-engine --example restart -- DIR ROWS [BATCH]` commits ticks,
//! lets the engine go without closing it, as a kill does, and opens it again.

#![allow(clippy::print_stdout, reason = "it is for its output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Column, Compression, Constraint, ConstraintKind};
use chronolith_catalog::{Hypertable, OrderBy, Table};
use chronolith_chunk::ScanRequest;
use chronolith_engine::{Engine, EngineConfig, Isolation};
use chronolith_platform::Platform;
use chronolith_types::{ColumnId, DatabaseId, HypertableId, RoleId, SchemaId, SqlType, TableId};

const DB: DatabaseId = DatabaseId(5);
const TICKS: TableId = TableId(20_000);
const DAY_US: i64 = 86_400_000_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("which directory?")?;
    let rows: i64 = args.next().ok_or("how many rows?")?.parse()?;
    let batch: i64 = args.next().map_or(Ok(10_000), |text| text.parse())?;
    let platform = Platform::real(Path::new(&dir))?;
    let clock = Arc::clone(&platform.clock);
    let seconds = |from: u64| Duration(clock.monotonic_ns() - from);

    let config = EngineConfig {
        hot_bytes_max: 16 << 30,
        log_bytes_max: 16 << 30,
        ..EngineConfig::default()
    };
    let engine = Engine::open(platform.clone(), config.clone())?;
    create(&engine)?;
    let start = clock.monotonic_ns();
    let mut at = 0;
    while at < rows {
        let end = (at + batch).min(rows);
        let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
        transaction.insert(TICKS, &ticks(at..end, rows)?)?;
        transaction.commit()?;
        at = end;
    }
    println!("{rows} rows committed by {batch} in {}", seconds(start));
    println!("{} MiB hot, with keys", engine.hot_bytes() >> 20);
    drop(engine);

    let start = clock.monotonic_ns();
    let engine = Engine::open(platform.clone(), config)?;
    println!("opened in {}", seconds(start));
    let transaction = engine.begin(DB, Isolation::ReadCommitted);
    let view = transaction.table(TICKS).ok_or("no table")?;
    let mut sum = 0;
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![6])) {
            let batch = batch?;
            sum += batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .sum::<i64>();
        }
    }
    println!("{} rows, sum {sum}, in {}", view.rows(), seconds(start));
    assert_eq!(sum, rows * (rows - 1) / 2, "rows were lost");
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.insert(TICKS, &ticks(rows..rows + 1, rows + 1)?)?;
    transaction.commit()?;
    println!("first commit, which makes the keys, by {}", seconds(start));
    Ok(())
}

struct Duration(u64);

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}.{:03} s",
            self.0 / 1_000_000_000,
            self.0 / 1_000_000 % 1000
        )
    }
}

fn create(engine: &Arc<Engine>) -> Outcome<()> {
    let column = |id: u32, name: &str, ty: SqlType| Column {
        id: ColumnId(id),
        name: name.to_owned(),
        ty,
        domain: None,
        not_null: id != 6,
        default: None,
        missing: None,
        identity: None,
        generated: None,
        comment: None,
    };
    let number = SqlType::Numeric(Some((20, 8)));
    let table = Table {
        id: TICKS,
        schema: SchemaId(2200),
        name: "ticks".to_owned(),
        owner: RoleId(10),
        columns: vec![
            column(1, "time", SqlType::Timestamptz(None)),
            column(2, "exchange", SqlType::Text),
            column(3, "symbol", SqlType::Text),
            column(4, "price", number.clone()),
            column(5, "volume", number),
            column(6, "side", SqlType::Char(Some(1))),
            column(7, "trade_id", SqlType::Int8),
        ],
        next_column: ColumnId(8),
        constraints: vec![Constraint {
            id: 20_001,
            name: "ticks_pkey".to_owned(),
            kind: ConstraintKind::PrimaryKey {
                columns: [1, 2, 3, 7].map(ColumnId).to_vec(),
            },
            marks: chronolith_catalog::ConstraintMarks::default(),
        }],
        indexes: Vec::new(),
        hypertable: None,
        chunks: BTreeMap::new(),
        comment: None,
        acl: None,
        rollup: None,
        persistence: chronolith_catalog::Persistence::default(),
    };
    let hypertable = Hypertable {
        id: HypertableId(1),
        time: ColumnId(1),
        interval: DAY_US,
        compression: Some(Compression {
            segment_by: vec![ColumnId(2), ColumnId(3)],
            order_by: vec![OrderBy {
                column: ColumnId(1),
                descending: false,
                nulls_first: false,
            }],
            ..Compression::default()
        }),
        ..Hypertable::default()
    };
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.change(Change::CreateTable {
        database: DB,
        table: Box::new(table),
    })?;
    transaction.change(Change::MakeHypertable {
        database: DB,
        table: TICKS,
        hypertable,
    })?;
    transaction.commit()?;
    Ok(())
}

/// Ticks of ten days in their order.
fn ticks(numbers: Range<i64>, all: i64) -> Outcome<RecordBatch> {
    let each = || numbers.clone();
    let times = each().map(|n| 1_740_960_000_000_000 + 10 * DAY_US / all.max(1) * n);
    let venues = ["binance", "coinbase", "kraken", "bybit", "okx"];
    let venue = |n: i64| venues.get(usize::try_from(n * 7 % 5).unwrap_or(0));
    let decimal = |of: fn(i64) -> i128| -> Outcome<ArrayRef> {
        let values = Decimal128Array::from_iter_values(each().map(of));
        Ok(Arc::new(values.with_precision_and_scale(20, 8)?))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ),
        (
            "exchange",
            Arc::new(each().map(venue).collect::<StringViewArray>()),
        ),
        (
            "symbol",
            Arc::new(StringViewArray::from_iter_values(
                each().map(|n| format!("SYM{:03}USDT", n * 13 % 40)),
            )),
        ),
        ("price", decimal(|n| i128::from(n % 1000) * 1_000_000)?),
        ("volume", decimal(|n| i128::from(n % 977) * 10_000)?),
        (
            "side",
            Arc::new(StringViewArray::from_iter_values(
                each().map(|n| if n % 2 == 0 { "B" } else { "S" }),
            )),
        ),
        ("trade_id", Arc::new(Int64Array::from_iter_values(each()))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
