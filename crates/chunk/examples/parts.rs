//! Packs the measured workload's ticks, a part for each day, and times packing and reading.
//!
//! `cargo run --release -p chronolith-chunk --example parts -- ticks.parquet DIR`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement, not the product"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use chronolith_chunk::cold::{self, ColdPart};
use chronolith_chunk::{
    AggKind, Aggregate, AggregateRequest, Buckets, ChunkView, Layout, LayoutColumn, ScanRequest,
    SortColumn, bucket_aggregate,
};
use chronolith_platform::{RealDisk, RelPath};
use chronolith_types::{ColumnId, SqlType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = 3_600_000_000;

fn layout() -> Arc<Layout> {
    let price = || SqlType::Numeric(Some((20, 8)));
    let columns = [
        ("time", SqlType::Timestamptz(None)),
        ("exchange", SqlType::Text),
        ("symbol", SqlType::Text),
        ("price", price()),
        ("volume", price()),
        ("side", SqlType::Char(Some(1))),
        ("trade_id", SqlType::Int8),
    ];
    let columns = columns
        .into_iter()
        .zip(1..)
        .map(|((name, ty), id)| LayoutColumn {
            id: ColumnId(id),
            name: name.to_owned(),
            ty,
        });
    let by_time = SortColumn {
        column: 0,
        descending: false,
        nulls_first: false,
    };
    Arc::new(Layout::new(
        columns.collect(),
        Some(0),
        vec![1, 2],
        vec![by_time],
    ))
}

fn days(layout: &Layout, file: &str, limit: usize) -> BTreeMap<i64, Vec<RecordBatch>> {
    let file = std::fs::File::open(file).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut days: BTreeMap<i64, Vec<RecordBatch>> = BTreeMap::new();
    let mut rows = 0;
    for batch in reader.with_batch_size(65_536).build().unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        if rows > limit {
            break;
        }
        let columns = batch.columns().iter().zip(layout.schema().fields());
        let columns = columns.map(|(column, field)| cast(column, field.data_type()).unwrap());
        let batch = RecordBatch::try_new(Arc::clone(layout.schema()), columns.collect()).unwrap();
        let of: Vec<i64> = {
            let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            times
                .values()
                .iter()
                .map(|time| time.div_euclid(DAY))
                .collect()
        };
        let (first, last) = (*of.iter().min().unwrap(), *of.iter().max().unwrap());
        for day in first..=last {
            let kept: BooleanArray = of.iter().map(|d| Some(*d == day)).collect();
            days.entry(day)
                .or_default()
                .push(filter_record_batch(&batch, &kept).unwrap());
        }
    }
    days
}

fn time<T>(what: &str, runs: usize, mut work: impl FnMut() -> T) -> T {
    let mut spans = Vec::new();
    let mut result = None;
    for _ in 0..runs {
        let began = Instant::now();
        result = Some(work());
        spans.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    spans.sort_by(f64::total_cmp);
    println!(
        "{what}: median {:.2} ms, least {:.2}",
        spans[runs / 2],
        spans[0]
    );
    result.unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let layout = layout();
    let disk = RealDisk::open(Path::new(&arguments[2])).unwrap();
    let path = |name: &str| RelPath::new(name).unwrap();
    let limit = arguments.get(3).map_or(usize::MAX, |n| n.parse().unwrap());
    let days = days(&layout, &arguments[1], limit);
    let mut chunks = Vec::new();
    let (mut bytes, mut rows) = (0, 0);
    let began = Instant::now();
    for (day, batches) in days {
        let (data, directory) = (
            path(&format!("{day}.parquet")),
            path(&format!("{day}.series")),
        );
        let written = cold::write(&disk, &data, &directory, &layout, &batches).unwrap();
        rows += written.rows;
        bytes += written.data.bytes + written.directory.bytes;
        let part = ColdPart::open(&disk, &data, &directory, written).unwrap();
        chunks.push(ChunkView {
            chunk: 0,
            range: day * DAY..(day + 1) * DAY,
            hot: Vec::new(),
            cold: vec![Arc::new(part)],
        });
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{rows} rows, {bytes} bytes, {:.3} bytes a row, packed in {seconds:.2} s, {:.0} rows/s on one thread",
        bytes as f64 / rows as f64,
        rows as f64 / seconds
    );
    let agg = |kind, column| Aggregate {
        kind,
        column: Some(column),
        time: Some(0),
        factor: None,
    };
    let buckets: Buckets = Arc::new(|at| {
        let start = at.div_euclid(HOUR) * HOUR;
        Ok(start..start + HOUR)
    });
    for threads in [1, 4] {
        let request = AggregateRequest {
            bucket: Some(Arc::clone(&buckets)),
            groups: vec![1, 2],
            aggs: vec![
                agg(AggKind::First, 3),
                agg(AggKind::Max, 3),
                agg(AggKind::Min, 3),
                agg(AggKind::Last, 3),
                agg(AggKind::Sum, 4),
            ],
            time: i64::MIN..i64::MAX,
            equals: Vec::new(),
            threads,
            sorted: Some(0),
            stop: Arc::default(),
        };
        let found = time(&format!("T06 on {threads} threads"), 7, || {
            let batches = bucket_aggregate(&layout, &chunks, &request).unwrap();
            batches
                .map(|batch| batch.unwrap().num_rows())
                .sum::<usize>()
        });
        println!("  {found} candles");
    }
    for place in 0..layout.columns.len() {
        let name = &layout.columns[place].name;
        time(&format!("scan of {name} on one thread"), 3, || {
            chunks
                .iter()
                .flat_map(|chunk| chunk.scan(&layout, &ScanRequest::all(vec![place])))
                .map(|batch| batch.unwrap().num_rows())
                .sum::<usize>()
        });
    }
    let mut of_series = ScanRequest::all(vec![0, 3, 4]);
    of_series.equals = vec![(1, vec!["binance".into()]), (2, vec!["BTCUSDT".into()])];
    time("scan of one series, all days", 7, || {
        chunks
            .iter()
            .flat_map(|chunk| chunk.scan(&layout, &of_series))
            .map(|batch| batch.unwrap().num_rows())
            .sum::<usize>()
    });
    let ids = ScanRequest::all(vec![6]);
    let sum: i64 = chunks
        .iter()
        .flat_map(|chunk| chunk.scan(&layout, &ids))
        .map(|batch| {
            let batch = batch.unwrap();
            batch
                .column(0)
                .as_primitive::<Int64Type>()
                .values()
                .iter()
                .sum::<i64>()
        })
        .sum();
    println!("sum of trade_id {sum}");
}
