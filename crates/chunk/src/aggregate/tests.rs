#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use arrow::array::{
    Array, AsArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float64Array,
    Int64Array, StringViewArray, TimestampMicrosecondArray, make_comparator,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Float64Type, Int64Type, TimestampMicrosecondType,
    i256,
};
use chronolith_platform::RelPath;
use chronolith_platform::SimRandom;
use chronolith_platform::sim::SimDisk;
use chronolith_types::{ColumnId, NUMERIC_ANY, Numeric};

use super::*;
use crate::{HotPart, LayoutColumn, ScanRequest, cold, text_of};

const TIME: usize = 0;
const VENUE: usize = 1;
const SYMBOL: usize = 2;
const PRICE: usize = 3;
const SIZE: usize = 4;
const COUNT: usize = 5;
const RATE: usize = 6;
const DAY: usize = 7;
const LIVE: usize = 8;
const SEEN: usize = 9;
const LOT: usize = 10;

fn layout() -> Arc<Layout> {
    let columns = [
        ("time", SqlType::Timestamptz(None)),
        ("venue", SqlType::Text),
        ("symbol", SqlType::Text),
        ("price", SqlType::Numeric(Some((20, 8)))),
        ("size", SqlType::Numeric(None)),
        ("count", SqlType::Int8),
        ("rate", SqlType::Float8),
        ("day", SqlType::Date),
        ("live", SqlType::Bool),
        ("seen", SqlType::Timestamptz(None)),
        ("lot", SqlType::Numeric(Some((12, 3)))),
    ];
    let columns = columns
        .into_iter()
        .zip(1..)
        .map(|((name, ty), id)| LayoutColumn {
            id: ColumnId(id),
            name: name.to_owned(),
            ty,
        });
    let by_time = crate::SortColumn {
        column: TIME,
        descending: false,
        nulls_first: false,
    };
    Arc::new(Layout::new(
        columns.collect(),
        Some(TIME),
        vec![VENUE, SYMBOL],
        vec![by_time],
    ))
}

fn rows(layout: &Layout, random: &SimRandom, count: usize, nulls: bool) -> RecordBatch {
    let below = |n: u64| i64::try_from(random.below(n)).unwrap();
    let null = |odds: u64| nulls && random.one_in(odds);
    let text = |prefix: &str, n: u64| -> StringViewArray {
        let values: Vec<Option<String>> = (0..count)
            .map(|_| Some(format!("{prefix}{}", below(n))).filter(|_| !null(11)))
            .collect();
        values.iter().map(Option::as_deref).collect()
    };
    let numbers = |n: u64, unit: i64| -> Vec<Option<i64>> {
        (0..count)
            .map(|_| Some((below(n) - 20) * unit).filter(|_| !null(7)))
            .collect()
    };
    let times: Vec<i64> = (0..count).map(|_| below(200)).collect();
    let (venues, symbols) = (text("v", 2), text("a symbol of some length ", 3));
    // Wide ones now and then, so that parts are narrowed differently.
    let unit = if random.one_in(3) {
        10_000_000_000
    } else {
        1_000_000
    };
    let prices: Decimal128Array = numbers(900, 1)
        .into_iter()
        .map(|value| value.map(|value| i128::from(value) * unit))
        .collect();
    let texts = if random.one_in(2) {
        ["1.50", "-2.00", "0.01", "3.00"]
    } else {
        ["1.50", "NaN", "2", "-0.000001"]
    };
    let sizes: Decimal256Array = (0..count)
        .map(|_| {
            let text = texts[usize::try_from(random.below(4)).unwrap()];
            Some(Numeric::parse(text.as_bytes()).unwrap().to_any()).filter(|_| !null(5))
        })
        .collect();
    let rates: Float64Array = numbers(400, 1)
        .into_iter()
        .map(|value| {
            value.map(|value| match value {
                300 => f64::NAN,
                301 => f64::INFINITY,
                value => i32::try_from(value).map_or(0.0, f64::from) * 0.25,
            })
        })
        .collect();
    let days: Date32Array = numbers(30, 1)
        .into_iter()
        .map(|value| value.map(|value| i32::try_from(value).unwrap()))
        .collect();
    let live: BooleanArray = numbers(40, 1)
        .into_iter()
        .map(|value| value.map(|value| value > 0))
        .collect();
    let lots: Decimal128Array = numbers(1 << 30, 1)
        .into_iter()
        .map(|value| value.map(i128::from))
        .collect();
    let seen = TimestampMicrosecondArray::from(numbers(40, 3)).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        Arc::new(venues),
        Arc::new(symbols),
        Arc::new(prices.with_precision_and_scale(20, 8).unwrap()),
        Arc::new(sizes.with_data_type(NUMERIC_ANY)),
        Arc::new(Int64Array::from(numbers(1 << 40, 1 << 20))),
        Arc::new(rates),
        Arc::new(days),
        Arc::new(live),
        Arc::new(seen),
        Arc::new(lots.with_precision_and_scale(12, 3).unwrap()),
    ];
    RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap()
}

/// Parts, the last of them hot rows that came late.
fn view(layout: &Layout, random: &SimRandom, disk: &SimDisk) -> ChunkView {
    let mut cold = Vec::new();
    for number in 0..random.below(3) {
        let nulls = random.one_in(2);
        let count = usize::try_from(1 + random.below(400)).unwrap();
        let batch = rows(layout, random, count, nulls);
        let data = RelPath::new(&format!("{number}.parquet")).unwrap();
        let directory = RelPath::new(&format!("{number}.series")).unwrap();
        let written = cold::write(disk, &data, &directory, layout, &[batch]).unwrap();
        let part = ColdPart::open(disk, &data, &directory, written).unwrap();
        cold.push(Arc::new(part));
    }
    let mut hot = HotPart::default();
    for _ in 0..random.below(3) {
        hot.append(rows(layout, random, 30, random.one_in(2)))
            .unwrap();
    }
    ChunkView {
        chunk: 0,
        range: 0..200,
        hot: vec![hot.snapshot()],
        cold,
    }
}

fn buckets(width: i64) -> Buckets {
    Arc::new(move |at| {
        let start = at.div_euclid(width) * width;
        Ok(start..start + width)
    })
}

/// What the rows themselves say: a line for each group.
fn by_hand(rows: &RecordBatch, request: &AggregateRequest, width: Option<i64>) -> Vec<String> {
    let times = rows.column(TIME).as_primitive::<TimestampMicrosecondType>();
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let shown = |place: usize, row: usize| format!("{:?}", text_of(rows.column(place), row));
    for row in 0..rows.num_rows() {
        let mut kept = request.time.contains(&times.value(row));
        for (place, allowed) in &request.equals {
            let value = text_of(rows.column(*place), row);
            kept &= value.is_some_and(|value| allowed.contains(&value));
        }
        if !kept {
            continue;
        }
        let mut key = Vec::new();
        key.extend(width.map(|width| {
            let start = Int64Array::from(vec![times.value(row).div_euclid(width) * width]);
            let start = start.reinterpret_cast::<TimestampMicrosecondType>();
            let start: ArrayRef = Arc::new(start.with_timezone("UTC"));
            format!("{:?}", text_of(&start, 0))
        }));
        key.extend(request.groups.iter().map(|place| shown(*place, row)));
        groups.entry(key.join("|")).or_default().push(row);
    }
    if width.is_none() && request.groups.is_empty() {
        groups.entry(String::new()).or_default();
    }
    let line = |(key, of): (String, Vec<usize>)| {
        let mut line = vec![key];
        line.extend(request.aggs.iter().map(|agg| one_by_hand(rows, agg, &of)));
        line.join("|")
    };
    groups.into_iter().map(line).collect()
}

fn one_by_hand(rows: &RecordBatch, agg: &Aggregate, of: &[usize]) -> String {
    let Some(place) = agg.column else {
        return format!("{:?}", Some(of.len().to_string()));
    };
    let column = rows.column(place);
    let there: Vec<usize> = of
        .iter()
        .copied()
        .filter(|row| column.is_valid(*row))
        .collect();
    let shown = |row: Option<usize>| format!("{:?}", row.and_then(|row| text_of(column, row)));
    let any = *column.data_type() == NUMERIC_ANY;
    let order = |a: usize, b: usize| match any {
        true => {
            let key = |row| {
                let code = column.as_primitive::<Decimal256Type>().value(row);
                Numeric::normalised_any(code)
            };
            cells::any_key(key(a)).cmp(&cells::any_key(key(b)))
        }
        false => make_comparator(column, column, SortOptions::default()).unwrap()(a, b),
    };
    match agg.kind {
        AggKind::CountStar => format!("{:?}", Some(of.len().to_string())),
        AggKind::Count => format!("{:?}", Some(there.len().to_string())),
        AggKind::Min => shown(there.into_iter().reduce(|a, b| match order(b, a) {
            std::cmp::Ordering::Less => b,
            std::cmp::Ordering::Equal if any => b,
            _ => a,
        })),
        AggKind::Max => shown(there.into_iter().reduce(|a, b| match order(b, a) {
            std::cmp::Ordering::Greater => b,
            std::cmp::Ordering::Equal if any => b,
            _ => a,
        })),
        AggKind::First | AggKind::Last => {
            let by = rows.column(agg.time.unwrap());
            let at = |row: usize| cold::times(&by.slice(row, 1)).unwrap()[0];
            let timed = of.iter().copied().filter(|row| by.is_valid(*row));
            shown(timed.reduce(|a, b| match agg.kind {
                AggKind::First if at(b) < at(a) => b,
                AggKind::Last if at(b) >= at(a) => b,
                _ => a,
            }))
        }
        AggKind::SumProduct => {
            let other = rows.column(agg.factor.unwrap());
            let value = |column: &ArrayRef, row: usize| {
                let column = column.as_primitive::<Decimal128Type>();
                column
                    .is_valid(row)
                    .then(|| i256::from_i128(column.value(row)))
            };
            let product =
                |row: &usize| Some(value(column, *row)?.wrapping_mul(value(other, *row)?));
            let sum = of.iter().filter_map(product).reduce(i256::wrapping_add);
            let scale = |column: &ArrayRef| match column.data_type() {
                DataType::Decimal128(_, scale) => *scale,
                _ => 0,
            };
            let sum: ArrayRef = Arc::new(
                Decimal256Array::from(vec![sum])
                    .with_data_type(DataType::Decimal256(76, scale(column) + scale(other))),
            );
            shown_sum(&sum)
        }
        AggKind::Sum => {
            let sum: Option<ArrayRef> = match column.data_type() {
                DataType::Int64 => {
                    let values = column.as_primitive::<Int64Type>();
                    let sum = there.iter().map(|row| i128::from(values.value(*row)));
                    let sum = sum.reduce(|a, b| a + b);
                    Some(Arc::new(
                        Decimal128Array::from(vec![sum])
                            .with_data_type(DataType::Decimal128(38, 0)),
                    ))
                }
                DataType::Decimal128(..) => {
                    let values = column.as_primitive::<Decimal128Type>();
                    let sum = there.iter().map(|row| values.value(*row));
                    let sum = sum.reduce(|a, b| a + b);
                    Some(Arc::new(
                        Decimal128Array::from(vec![sum])
                            .with_data_type(DataType::Decimal128(38, 8)),
                    ))
                }
                DataType::Float64 => {
                    let values = column.as_primitive::<Float64Type>();
                    let sum = there.iter().map(|row| values.value(*row));
                    Some(Arc::new(Float64Array::from(vec![sum.reduce(|a, b| a + b)])))
                }
                _ => {
                    let values = column.as_primitive::<Decimal256Type>();
                    let sum = there
                        .iter()
                        .map(|row| Numeric::from_any(values.value(*row)));
                    let sum = sum.reduce(|a, b| a.add(&b).unwrap());
                    let sum = sum.map(|sum| sum.to_any());
                    Some(Arc::new(
                        Decimal256Array::from(vec![sum]).with_data_type(NUMERIC_ANY),
                    ))
                }
            };
            format!("{:?}", sum.and_then(|sum| text_of(&sum, 0)))
        }
    }
}

/// A sum of 256 bits, which has no text of its own.
fn shown_sum(sum: &ArrayRef) -> String {
    let value = sum.as_primitive::<Decimal256Type>();
    format!(
        "{:?}",
        value
            .is_valid(0)
            .then(|| (value.data_type(), value.value(0).to_string()))
    )
}

fn answered(layout: &Arc<Layout>, chunks: &[ChunkView], request: &AggregateRequest) -> Vec<String> {
    let batches = bucket_aggregate(layout, chunks, request).unwrap();
    let mut lines = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let columns = batch.columns().iter();
            let line = columns.map(|column| match column.data_type() {
                ty @ DataType::Decimal256(..) if *ty != NUMERIC_ANY => {
                    shown_sum(&column.slice(row, 1))
                }
                _ => format!("{:?}", text_of(column, row)),
            });
            let mut line: Vec<String> = line.collect();
            if request.bucket.is_none() && request.groups.is_empty() {
                line.insert(0, String::new());
            }
            lines.push(line.join("|"));
        }
    }
    lines.sort();
    lines
}

#[test]
fn rows_come_in_the_order_of_their_groups() {
    let layout = layout();
    for seed in 0..20 {
        let random = SimRandom::new(seed);
        let disk = SimDisk::new(seed);
        let view = view(&layout, &random, &disk);
        for place in 0..3 {
            let request = AggregateRequest {
                bucket: Some(buckets(20)),
                groups: vec![SYMBOL, VENUE],
                aggs: vec![agg(AggKind::CountStar, TIME)],
                time: i64::MIN..i64::MAX,
                equals: Vec::new(),
                threads: 2,
                sorted: Some(place),
                stop: Arc::default(),
            };
            let batches = bucket_aggregate(&layout, std::slice::from_ref(&view), &request).unwrap();
            let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>().unwrap();
            let rows = concat_batches(&request.schema(&layout), &batches).unwrap();
            let mut keys = vec![1, 2];
            keys.insert(place, 0);
            let by = keys.iter().map(|column| SortColumn {
                values: Arc::clone(rows.column(*column)),
                options: Some(SortOptions {
                    descending: false,
                    nulls_first: false,
                }),
            });
            let by: Vec<SortColumn> = by.collect();
            let order = lexsort_to_indices(&by, None).unwrap();
            let expected: UInt32Array = (0..).take(rows.num_rows()).collect();
            assert_eq!(order, expected, "seed {seed}, bucket at {place}");
        }
    }
}

#[test]
fn what_nobody_wants_any_more_stops() {
    let layout = layout();
    let mut hot = HotPart::default();
    let random = SimRandom::new(1);
    hot.append(rows(&layout, &random, 3, false)).unwrap();
    let view = ChunkView {
        chunk: 0,
        range: 0..200,
        hot: vec![hot],
        cold: Vec::new(),
    };
    let request = AggregateRequest {
        bucket: None,
        groups: Vec::new(),
        aggs: vec![agg(AggKind::CountStar, TIME)],
        time: i64::MIN..i64::MAX,
        equals: Vec::new(),
        threads: 1,
        sorted: None,
        stop: Arc::new(AtomicBool::new(true)),
    };
    let stopped = bucket_aggregate(&layout, &[view], &request);
    assert!(matches!(stopped, Err(ChunkError::Stopped)));
}

fn agg(kind: AggKind, column: usize) -> Aggregate {
    Aggregate {
        kind,
        column: (kind != AggKind::CountStar).then_some(column),
        time: matches!(kind, AggKind::First | AggKind::Last).then_some(TIME),
        factor: None,
    }
}

fn all_aggregates() -> Vec<Aggregate> {
    use AggKind::{Count, CountStar, First, Last, Max, Min, Sum};
    let mut aggs = vec![agg(CountStar, TIME)];
    for column in [PRICE, SIZE, COUNT, RATE] {
        for kind in [Count, Min, Max, Sum, First, Last] {
            aggs.push(agg(kind, column));
        }
    }
    for column in [TIME, DAY] {
        aggs.extend([Count, Min, Max, First, Last].map(|kind| agg(kind, column)));
    }
    aggs.extend([First, Last].map(|kind| agg(kind, LIVE)));
    for factor in [PRICE, LOT] {
        aggs.push(Aggregate {
            kind: AggKind::SumProduct,
            column: Some(PRICE),
            time: None,
            factor: Some(factor),
        });
    }
    // By another time, which may be NULL.
    for kind in [First, Last] {
        aggs.push(Aggregate {
            kind,
            column: Some(PRICE),
            time: Some(SEEN),
            factor: None,
        });
    }
    aggs
}

#[test]
fn aggregates_over_parts_are_those_of_the_rows() {
    let layout = layout();
    for seed in 0..120 {
        let random = SimRandom::new(seed);
        let disk = SimDisk::new(seed);
        let view = view(&layout, &random, &disk);
        let everything = ScanRequest::all((0..layout.columns.len()).collect());
        let batches: Vec<RecordBatch> = view
            .scan(&layout, &everything)
            .collect::<Result<_, _>>()
            .unwrap();
        let rows = concat_batches(layout.schema(), &batches).unwrap();
        let width = [None, Some(7), Some(60)][usize::try_from(random.below(3)).unwrap()];
        let groups = [
            vec![],
            vec![SYMBOL],
            vec![SYMBOL, VENUE],
            vec![DAY],
            vec![VENUE, LIVE],
        ][usize::try_from(random.below(5)).unwrap()]
        .clone();
        let time = match random.below(3) {
            0 => i64::MIN..i64::MAX,
            1 => 20..180,
            _ => 50..51,
        };
        let equals = match random.below(3) {
            0 => vec![(VENUE, vec!["v1".to_owned()])],
            1 => vec![(
                SYMBOL,
                vec!["none".to_owned(), "a symbol of some length 2".to_owned()],
            )],
            _ => Vec::new(),
        };
        let aggs = match random.one_in(2) {
            true => all_aggregates(),
            // Without texts in the part the sorted way is open.
            false => {
                let numbers = |agg: &Aggregate| agg.column != Some(SIZE);
                all_aggregates().into_iter().filter(numbers).collect()
            }
        };
        let sorted = Some(usize::try_from(random.below(3)).unwrap()).filter(|_| random.one_in(2));
        let request = AggregateRequest {
            bucket: width.map(buckets),
            groups,
            aggs,
            time,
            equals,
            threads: 3,
            sorted,
            stop: Arc::default(),
        };
        let expected = by_hand(&rows, &request, width);
        let found = answered(&layout, std::slice::from_ref(&view), &request);
        assert_eq!(found, expected, "seed {seed}: {request:?}");
    }
}

#[test]
fn buckets_go_on_over_steps_pieces_and_row_groups() {
    let layout = layout();
    let random = SimRandom::new(7);
    let disk = SimDisk::new(7);
    let batches: Vec<RecordBatch> = (0..4)
        .map(|_| rows(&layout, &random, 35_000, true))
        .collect();
    let (data, directory) = (
        RelPath::new("a.parquet").unwrap(),
        RelPath::new("a.series").unwrap(),
    );
    let written = cold::write(&disk, &data, &directory, &layout, &batches).unwrap();
    let part = ColdPart::open(&disk, &data, &directory, written).unwrap();
    assert!(part.groups().len() > 1);
    let view = ChunkView {
        chunk: 0,
        range: 0..200,
        hot: Vec::new(),
        cold: vec![Arc::new(part)],
    };
    let everything = ScanRequest::all((0..layout.columns.len()).collect());
    let sorted: Vec<RecordBatch> = view
        .scan(&layout, &everything)
        .collect::<Result<_, _>>()
        .unwrap();
    let rows = concat_batches(layout.schema(), &sorted).unwrap();
    let mut aggs = all_aggregates();
    aggs.retain(|agg| agg.column != Some(SIZE));
    for (width, time) in [(100, i64::MIN..i64::MAX), (30, 31..150)] {
        let request = AggregateRequest {
            bucket: Some(buckets(width)),
            groups: vec![VENUE, SYMBOL],
            aggs: aggs.clone(),
            time,
            equals: Vec::new(),
            threads: 4,
            sorted: None,
            stop: Arc::default(),
        };
        let expected = by_hand(&rows, &request, Some(width));
        assert_eq!(
            answered(&layout, std::slice::from_ref(&view), &request),
            expected
        );
    }
}

#[test]
fn a_bucket_that_is_no_value_is_told() {
    let layout = layout();
    let random = SimRandom::new(1);
    let mut hot = HotPart::default();
    hot.append(rows(&layout, &random, 3, false)).unwrap();
    let view = ChunkView {
        chunk: 0,
        range: 0..200,
        hot: vec![hot],
        cold: Vec::new(),
    };
    let request = AggregateRequest {
        bucket: Some(Arc::new(|_| Err(ValueError::range("bucket", b"x")))),
        groups: Vec::new(),
        aggs: vec![agg(AggKind::CountStar, TIME)],
        time: i64::MIN..i64::MAX,
        equals: Vec::new(),
        threads: 1,
        sorted: None,
        stop: Arc::default(),
    };
    assert!(bucket_aggregate(&layout, &[view], &request).is_err());
}
