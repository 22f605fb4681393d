#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::array::{
    ArrayRef, Decimal128Array, Decimal256Array, Int64Array, IntervalMonthDayNanoArray,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, i256};
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Disk, RelPath, SimRandom};
use chronolith_types::{ColumnId, NUMERIC_ANY, Numeric, SqlType};

use super::*;
use crate::cold::{self, Written};
use crate::facts::Facts;
use crate::{HotPart, LayoutColumn, SortColumn};

fn layout() -> Arc<Layout> {
    let column = |id: u32, name: &str, ty: SqlType| LayoutColumn {
        id: ColumnId(id),
        name: name.to_owned(),
        ty,
    };
    Arc::new(Layout::new(
        vec![
            column(1, "time", SqlType::Timestamptz(None)),
            column(2, "symbol", SqlType::Text),
            column(3, "price", SqlType::Numeric(Some((20, 8)))),
            column(4, "size", SqlType::Numeric(None)),
            column(5, "id", SqlType::Int8),
            column(6, "span", SqlType::Interval(None)),
        ],
        Some(0),
        vec![1],
        vec![SortColumn {
            column: 0,
            descending: false,
            nulls_first: false,
        }],
    ))
}

/// Rows of random times and symbols; `id` counts their arrival.
fn rows(layout: &Layout, random: &SimRandom, first: i64, count: usize) -> RecordBatch {
    let ids: Vec<i64> = (first..).take(count).collect();
    let below = |n: u64| i64::try_from(random.below(n)).unwrap();
    let times: Vec<i64> = ids.iter().map(|_| below(50)).collect();
    let symbols: Vec<Option<String>> = ids
        .iter()
        .map(|_| Some(format!("S{}", below(4))).filter(|_| !random.one_in(9)))
        .collect();
    let prices: Decimal128Array = ids
        .iter()
        .map(|_| Some(i128::from(below(1000)) * 1_000_000).filter(|_| !random.one_in(7)))
        .collect();
    let sizes: Vec<Option<i256>> = ids
        .iter()
        .map(|_| {
            let text = ["1.50", "NaN", "2", "0.000001", "Infinity"]
                [usize::try_from(random.below(5)).unwrap()];
            Some(Numeric::parse(text.as_bytes()).unwrap().to_any()).filter(|_| !random.one_in(5))
        })
        .collect();
    let spans: IntervalMonthDayNanoArray = ids
        .iter()
        .map(|id| Some(IntervalMonthDayNanoType::make_value(1, -2, id * 1000)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        Arc::new(StringViewArray::from_iter(symbols)),
        Arc::new(prices.with_precision_and_scale(20, 8).unwrap()),
        Arc::new(Decimal256Array::from(sizes).with_data_type(NUMERIC_ANY)),
        Arc::new(Int64Array::from(ids)),
        Arc::new(spans),
    ];
    RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap()
}

fn path(name: &str) -> RelPath {
    RelPath::new(name).unwrap()
}

fn part(disk: &SimDisk, layout: &Layout, name: &str, batches: &[RecordBatch]) -> Arc<ColdPart> {
    let (data, directory) = (
        path(&format!("{name}.parquet")),
        path(&format!("{name}.series")),
    );
    let written = cold::write(disk, &data, &directory, layout, batches).unwrap();
    Arc::new(ColdPart::open(disk, &data, &directory, written).unwrap())
}

/// All rows of a scan as text, in order of arrival.
fn lines(layout: &Arc<Layout>, view: &ChunkView, request: &ScanRequest) -> Vec<String> {
    let schema = layout.projected(&request.projection);
    let batches: Vec<RecordBatch> = view
        .scan(layout, request)
        .collect::<Result<_, _>>()
        .unwrap();
    text(&concat_batches(&schema, &batches).unwrap())
}

fn text(batch: &RecordBatch) -> Vec<String> {
    let columns: Vec<ArrayRef> = batch.columns().to_vec();
    let mut lines: Vec<String> = (0..batch.num_rows())
        .map(|row| {
            let values = columns
                .iter()
                .map(|column| format!("{:?}", column.slice(row, 1)));
            values.collect::<Vec<_>>().join("|")
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn hot_and_cold_rows_answer_as_the_rows_themselves_do() {
    let layout = layout();
    for seed in 0..12 {
        let random = SimRandom::new(seed);
        let disk = SimDisk::new(seed);
        let mut all = Vec::new();
        let mut cold = Vec::new();
        let mut hot = HotPart::default();
        let mut next = 0;
        for piece in 0..6 {
            let count = usize::try_from(random.below(40)).unwrap() + 1;
            let batch = rows(&layout, &random, next, count);
            next += i64::try_from(count).unwrap();
            all.push(batch.clone());
            if random.one_in(2) {
                cold.push(part(&disk, &layout, &format!("p{piece}"), &[batch]));
            } else {
                hot.append(batch).unwrap();
            }
        }
        let view = ChunkView {
            chunk: 0,
            range: 0..50,
            hot: vec![hot.snapshot()],
            cold,
        };
        let all = concat_batches(layout.schema(), &all).unwrap();
        assert_eq!(view.rows(), all.num_rows() as u64);
        for (start, end) in [(i64::MIN, i64::MAX), (10, 20), (0, 1), (49, 50), (60, 70)] {
            let request = ScanRequest {
                locators: false,
                projection: vec![4, 2, 3, 5, 1],
                time: start..end,
                equals: Vec::new(),
                batch_rows: 7,
            };
            let times = time_array(all.column(0)).unwrap();
            let expected = filter_record_batch(&all, &keep(&request.time, &times)).unwrap();
            let expected = text(&expected.project(&request.projection).unwrap());
            assert_eq!(
                lines(&layout, &view, &request),
                expected,
                "seed {seed} {start}..{end}"
            );
        }
    }
}

#[test]
fn a_series_is_found_without_reading_the_others() {
    let layout = layout();
    let disk = SimDisk::new(1);
    let random = SimRandom::new(1);
    let part = part(&disk, &layout, "p", &[rows(&layout, &random, 0, 500)]);
    assert_eq!(part.directory().series.len(), 5, "four symbols and NULL");
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: vec![Arc::clone(&part)],
    };
    let request = ScanRequest {
        equals: vec![(1, vec!["S2".to_owned()])],
        ..ScanRequest::all(vec![1])
    };
    let found = lines(&layout, &view, &request);
    let series = part
        .directory()
        .series
        .iter()
        .find(|s| s.values == [Some("S2".to_owned())]);
    assert_eq!(found.len() as u64, series.unwrap().rows);
}

#[test]
fn a_series_in_memory_is_found_without_a_look_at_the_others() {
    let layout = layout();
    let random = SimRandom::new(7);
    let mut hot = HotPart::default();
    hot.append(rows(&layout, &random, 0, 900)).unwrap();
    hot.append(rows(&layout, &random, 900, 40)).unwrap();
    hot.delete(&(0..950).step_by(7).collect());
    let ask = |wanted: &[&str], time: std::ops::Range<i64>| {
        let view = ChunkView {
            chunk: 0,
            range: 0..50,
            hot: vec![hot.snapshot()],
            cold: Vec::new(),
        };
        let request = ScanRequest {
            equals: vec![(1, wanted.iter().map(|&text| text.to_owned()).collect())],
            time,
            ..ScanRequest::all(vec![4, 1, 0])
        };
        lines(&layout, &view, &request)
    };
    for time in [i64::MIN..i64::MAX, 10..30] {
        let all = {
            let view = ChunkView {
                chunk: 0,
                range: 0..50,
                hot: vec![hot.snapshot()],
                cold: Vec::new(),
            };
            let request = ScanRequest {
                time: time.clone(),
                ..ScanRequest::all(vec![4, 1, 0])
            };
            lines(&layout, &view, &request)
        };
        let of = |lines: &[String], symbols: &[&str]| -> Vec<String> {
            let has = |line: &&String| symbols.iter().any(|symbol| line.contains(symbol));
            lines.iter().filter(has).cloned().collect()
        };
        for wanted in [vec!["S2"], vec!["S3", "S0"], vec!["none"]] {
            let found = ask(&wanted, time.clone());
            // Of a small batch all rows may come.
            assert_eq!(of(&found, &wanted), of(&all, &wanted));
            assert!(found.len() < of(&all, &wanted).len() + 41);
        }
    }
}

#[test]
fn a_part_sorted_by_other_columns_than_its_table_says_now_loses_no_row() {
    let layout = layout();
    let disk = SimDisk::new(4);
    let all = rows(&layout, &SimRandom::new(4), 0, 300);
    let mut other = Layout::clone(&layout);
    other.segment_by = vec![5, 1];
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: vec![part(&disk, &other, "p", std::slice::from_ref(&all))],
    };
    assert!(!view.cold[0].directory().is_sorted_as(&layout));
    assert!(view.cold[0].directory().is_sorted_as(&other));
    let request = ScanRequest {
        equals: vec![(1, vec!["S2".to_owned()])],
        ..ScanRequest::all(vec![1])
    };
    let found = lines(&layout, &view, &request);
    let wanted = |batch: &RecordBatch| -> Vec<String> {
        let lines = text(&batch.project(&[1]).unwrap()).into_iter();
        lines.filter(|line| line.contains("\"S2\"")).collect()
    };
    assert!(wanted(&all).len() > 30);
    assert_eq!(found, wanted(&all));
}

#[test]
fn equal_keys_keep_their_order_of_arrival() {
    let layout = layout();
    let disk = SimDisk::new(2);
    let part = part(
        &disk,
        &layout,
        "p",
        &[rows(&layout, &SimRandom::new(2), 0, 2000)],
    );
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: vec![part],
    };
    let mut last: Option<(String, i64, i64)> = None;
    for batch in view.scan(&layout, &ScanRequest::all(vec![1, 0, 4])) {
        let batch = batch.unwrap();
        let times = time_array(batch.column(1)).unwrap();
        let ids = time_array(batch.column(2)).unwrap();
        for row in 0..batch.num_rows() {
            let symbol = format!("{:?}", batch.column(0).slice(row, 1));
            let this = (symbol, times[row], ids[row]);
            if let Some(last) = &last
                && last.0 == this.0
            {
                assert!(
                    (last.1, last.2) < (this.1, this.2),
                    "{last:?} before {this:?}"
                );
            }
            last = Some(this);
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_and_never_a_wrong_row() {
    let layout = layout();
    let disk = SimDisk::new(3);
    let (data, directory) = (path("p.parquet"), path("p.series"));
    let batch = rows(&layout, &SimRandom::new(3), 0, 300);
    let written: Written = cold::write(&disk, &data, &directory, &layout, &[batch]).unwrap();
    for file in [&data, &directory] {
        let length = disk.map(file).unwrap().len();
        for offset in (0..length).step_by(29) {
            let damaged = disk.fork();
            damaged.flip_bit(file, offset, 5).unwrap();
            let outcome =
                ColdPart::open(&damaged, &data, &directory, written.clone()).and_then(|part| {
                    let part = Arc::new(part);
                    let view = ChunkView {
                        chunk: 0,
                        range: 0..50,
                        hot: Vec::new(),
                        cold: vec![Arc::clone(&part)],
                    };
                    let rows: Result<Vec<_>, _> = view
                        .scan(&layout, &ScanRequest::all(vec![0, 1, 2, 3, 4, 5]))
                        .collect();
                    rows.and_then(|_| part.verify())
                });
            assert!(
                matches!(outcome, Err(ChunkError::Corrupt { .. })),
                "{file} byte {offset}: {outcome:?}"
            );
        }
    }
}

#[test]
fn rows_read_alone_are_those_of_the_whole_part() {
    let layout = layout();
    let disk = SimDisk::new(6);
    let random = SimRandom::new(6);
    // Two parts whose pages have the same places, and more pages than a thread keeps.
    const ROWS: usize = 60_000;
    let parts = [0, 1_000_000].map(|first| {
        let batch = rows(&layout, &random, first, ROWS);
        part(&disk, &layout, &format!("p{first}"), &[batch])
    });
    let all: Vec<usize> = (0..layout.columns.len()).collect();
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: parts.to_vec(),
    };
    let read = |source: u32, projection: &[usize], rows: RoaringBitmap| {
        let source = Locator::COLD + source;
        let read = view.rows_at(&layout, projection, source, &rows).unwrap();
        concat_batches(&read[0].schema(), &read).unwrap()
    };
    let whole = [0, 1].map(|source| {
        read(
            source,
            &all,
            RoaringBitmap::from_sorted_iter(0..60_000).unwrap(),
        )
    });
    for _ in 0..400 {
        let (source, row) = (random.below(2), random.below(ROWS as u64));
        let rows = [row, row + random.below(20_000)].map(|row| row.min(ROWS as u64 - 1));
        let rows: RoaringBitmap = rows
            .iter()
            .map(|row| u32::try_from(*row).unwrap())
            .collect();
        let projection: Vec<usize> = all.iter().copied().filter(|_| random.one_in(2)).collect();
        let alone = read(u32::try_from(source).unwrap(), &projection, rows.clone());
        let mut kept = projection.clone();
        kept.push(all.len());
        let whole = &whole[usize::try_from(source).unwrap()];
        let places: UInt32Array = rows.iter().collect();
        let expected = take_record_batch(&whole.project(&kept).unwrap(), &places).unwrap();
        assert_eq!(alone.columns(), expected.columns());
    }
}

#[test]
fn rows_read_one_by_one_are_those_of_the_whole_part() {
    let layout = layout();
    let disk = SimDisk::new(9);
    let random = SimRandom::new(9);
    const ROWS: u32 = 40_000;
    let batch = rows(&layout, &random, 0, ROWS as usize);
    let first = part(&disk, &layout, "p", &[batch]);
    let gone: RoaringBitmap = (0..ROWS).filter(|row| row % 7 == 3).collect();
    let second = Arc::new(first.with_deleted(&Arc::new(gone.clone())));
    let all: Vec<usize> = (0..layout.columns.len()).collect();
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: vec![Arc::clone(&first), second],
    };
    let whole = RoaringBitmap::from_sorted_iter(0..ROWS).unwrap();
    let whole = view.rows_at(&layout, &all, Locator::COLD, &whole).unwrap();
    let whole = concat_batches(&whole[0].schema(), &whole).unwrap();
    // Few blocks, so that most are asked for again, and too many bytes for all to be kept.
    for _ in 0..600 {
        let row = u32::try_from(random.below(u64::from(ROWS))).unwrap();
        let projection: Vec<usize> = all.iter().copied().filter(|_| random.one_in(2)).collect();
        let mut kept = projection.clone();
        kept.push(all.len());
        let expected = whole.project(&kept).unwrap().slice(row as usize, 1);
        let alone = RoaringBitmap::from_iter([row]);
        let read = view.rows_at(&layout, &projection, Locator::COLD, &alone);
        assert_eq!(read.unwrap()[0].columns(), expected.columns());
        let live = view
            .rows_at(&layout, &projection, Locator::COLD + 1, &alone)
            .unwrap();
        let count: usize = live.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(count, usize::from(!gone.contains(row)));
    }
    let file = first.file();
    assert!(blocks::bytes_of(file) > 100_000);
    assert!(blocks::bytes_of(file) <= 2 << 20);
    drop((view, first));
    assert_eq!(blocks::bytes_of(file), 0);
}

#[test]
fn a_column_read_as_another_type_is_not_taken_for_the_one_that_it_was() {
    let old = layout();
    let disk = SimDisk::new(10);
    let batch = rows(&old, &SimRandom::new(10), 0, 500);
    let cold = part(&disk, &old, "p", &[batch]);
    let place = 2;
    let mut columns = old.columns.clone();
    columns[place].ty = SqlType::Numeric(Some((30, 10)));
    let new = Layout::new(
        columns,
        old.time,
        old.segment_by.clone(),
        old.order_by.clone(),
    );
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: vec![cold],
    };
    let row = RoaringBitmap::from_iter([17]);
    let forms = [&old, &new, &old, &new, &old, &new].map(|layout| {
        let read = view.rows_at(layout, &[place], Locator::COLD, &row).unwrap();
        read[0].column(0).data_type().clone()
    });
    let (before, after) = (&DataType::Decimal128(20, 8), &DataType::Decimal128(30, 10));
    assert_eq!(
        forms.each_ref(),
        [before, after, before, after, before, after]
    );
}

#[test]
fn columns_are_known_by_their_number_whatever_their_name() {
    let old = layout();
    let disk = SimDisk::new(4);
    let batch = rows(&old, &SimRandom::new(4), 0, 50);
    let part = part(&disk, &old, "p", &[batch]);
    let mut columns = old.columns.clone();
    columns.remove(2);
    columns[3].name = "number".to_owned();
    columns.push(LayoutColumn {
        id: ColumnId(9),
        name: "price".to_owned(),
        ty: SqlType::Int4,
    });
    let new = Arc::new(Layout::new(columns, Some(0), vec![1], Vec::new()));
    let view = ChunkView {
        chunk: 0,
        range: 0..50,
        hot: Vec::new(),
        cold: vec![part],
    };
    let batches: Vec<RecordBatch> = view
        .scan(&new, &ScanRequest::all(vec![3, 5]))
        .collect::<Result<_, _>>()
        .unwrap();
    let batch = concat_batches(&new.projected(&[3, 5]), &batches).unwrap();
    let mut ids = time_array(batch.column(0)).unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (0..50).collect::<Vec<i64>>());
    assert_eq!(arrow::array::Array::null_count(batch.column(1)), 50);
}

#[test]
fn one_row_commits_leave_few_batches_and_a_snapshot_stays() {
    let layout = layout();
    let random = SimRandom::new(5);
    let mut hot = HotPart::default();
    let mut snapshot = hot.snapshot();
    for row in 0..1000 {
        hot.append(rows(&layout, &random, row, 1)).unwrap();
        if row == 499 {
            snapshot = hot.snapshot();
        }
    }
    assert_eq!((hot.rows(), snapshot.rows()), (1000, 500));
    assert!(hot.batches().len() <= 16, "{}", hot.batches().len());
    let rest = hot.without_first(500);
    let ids = |part: &HotPart| -> Vec<i64> {
        part.batches()
            .flat_map(|batch| time_array(batch.column(4)).unwrap())
            .collect()
    };
    assert_eq!(ids(&snapshot), (0..500).collect::<Vec<i64>>());
    assert_eq!(ids(&rest), (500..1000).collect::<Vec<i64>>());
}

#[test]
fn what_was_known_of_batches_is_known_of_what_they_are_joined_to() {
    let layout = layout();
    for seed in 0..20 {
        let random = SimRandom::new(seed);
        let mut hot = HotPart::default();
        let mut id = 0;
        for _ in 0..120 {
            let count = 1 + usize::try_from(random.below(40)).unwrap();
            hot.append(rows(&layout, &random, id, count)).unwrap();
            id += i64::try_from(count).unwrap();
            if random.below(3) == 0 {
                let found = hot.facts(&layout);
                for (facts, batch) in found.iter().zip(hot.batches()) {
                    assert_eq!(**facts, Facts::of(&layout, batch), "seed {seed}");
                }
            }
        }
    }
}
