#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{RelPath, SimRandom};
use chronolith_types::{ColumnId, SqlType};

use super::*;
use crate::{HotPart, LayoutColumn, SortColumn, cold};

fn layout(descending: bool) -> Arc<Layout> {
    let column = |id: u32, name: &str, ty: SqlType| LayoutColumn {
        id: ColumnId(id),
        name: name.to_owned(),
        ty,
    };
    let columns = vec![
        column(1, "time", SqlType::Timestamptz(None)),
        column(2, "venue", SqlType::Text),
        column(3, "symbol", SqlType::Text),
        column(4, "arrival", SqlType::Int8),
    ];
    let order = vec![SortColumn {
        column: 0,
        descending,
        nulls_first: false,
    }];
    Arc::new(Layout::new(columns, Some(0), vec![1, 2], order))
}

/// Rows of some times; `arrival` counts them.
fn rows(
    layout: &Layout,
    random: &SimRandom,
    times: Range<i64>,
    count: usize,
    at: &mut i64,
) -> RecordBatch {
    let width = u64::try_from(times.end - times.start).unwrap();
    let time = || times.start + i64::try_from(random.below(width)).unwrap();
    let text = |prefix: &str, n: u64| -> ArrayRef {
        let values: Vec<Option<String>> = (0..count)
            .map(|_| Some(format!("{prefix}{}", random.below(n))).filter(|_| !random.one_in(12)))
            .collect();
        Arc::new(StringViewArray::from_iter(values))
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMicrosecondArray::from((0..count).map(|_| time()).collect::<Vec<_>>())
                .with_timezone("UTC"),
        ),
        text("v", 2),
        text("s", 4),
        Arc::new(Int64Array::from_iter_values((0..count).map(|_| {
            *at += 1;
            *at
        }))),
    ];
    RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap()
}

fn chunks(layout: &Arc<Layout>, random: &SimRandom, disk: &SimDisk) -> Vec<ChunkView> {
    let mut arrival = 0;
    let mut chunks = Vec::new();
    for number in 0..4i64 {
        let range = number * 50..(number + 1) * 50;
        let mut cold = Vec::new();
        for part in 0..random.below(3) {
            let count = usize::try_from(1 + random.below(150)).unwrap();
            let batch = rows(layout, random, range.clone(), count, &mut arrival);
            let (data, directory) = (
                RelPath::new(&format!("{number}.{part}.parquet")).unwrap(),
                RelPath::new(&format!("{number}.{part}.series")).unwrap(),
            );
            let written = cold::write(disk, &data, &directory, layout, &[batch]).unwrap();
            let part = ColdPart::open(disk, &data, &directory, written).unwrap();
            cold.push(Arc::new(part));
        }
        let mut hot = HotPart::default();
        for _ in 0..random.below(3) {
            hot.append(rows(layout, random, range.clone(), 20, &mut arrival))
                .unwrap();
        }
        chunks.push(ChunkView {
            chunk: 0,
            range,
            hot: vec![hot],
            cold,
        });
    }
    chunks
}

/// Time, venue, symbol and arrival of each row that is asked for, in the order of a scan.
fn all(layout: &Arc<Layout>, chunks: &[ChunkView], request: &LatestRequest) -> Vec<Row> {
    let everything = ScanRequest::all(vec![0, 1, 2, 3]);
    let batches = chunks
        .iter()
        .flat_map(|chunk| chunk.scan(layout, &everything));
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>().unwrap();
    let rows = listed(&concat_batches(layout.schema(), &batches).unwrap());
    let wanted = |row: &Row| {
        request.time.contains(&row.0)
            && request.equals.iter().all(|(place, allowed)| {
                let value = if *place == 1 { &row.1 } else { &row.2 };
                value.as_ref().is_some_and(|value| allowed.contains(value))
            })
    };
    rows.into_iter().filter(wanted).collect()
}

fn refs(chunks: &[ChunkView]) -> Vec<&ChunkView> {
    chunks.iter().collect()
}

type Row = (i64, Option<String>, Option<String>, i64);

fn listed(batch: &RecordBatch) -> Vec<Row> {
    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
    let (venues, symbols) = (
        batch.column(1).as_string_view(),
        batch.column(2).as_string_view(),
    );
    let arrivals = batch.column(3).as_primitive::<Int64Type>();
    let text =
        |of: &StringViewArray, row: usize| of.is_valid(row).then(|| of.value(row).to_owned());
    (0..batch.num_rows())
        .map(|row| {
            (
                times.value(row),
                text(venues, row),
                text(symbols, row),
                arrivals.value(row),
            )
        })
        .collect()
}

fn request(random: &SimRandom, of: Latest) -> LatestRequest {
    let time = match (of, random.below(3)) {
        (Latest::Rows { .. }, 0) => 20..130,
        (_, 1) => 50..150,
        _ => i64::MIN..i64::MAX,
    };
    let equals = match random.below(4) {
        0 => vec![(1, vec!["v1".to_owned()]), (2, vec!["s2".to_owned()])],
        1 => vec![(2, vec!["s0".to_owned(), "s3".to_owned()])],
        2 => vec![(2, vec!["nothing".to_owned()])],
        _ => Vec::new(),
    };
    LatestRequest {
        projection: vec![0, 1, 2, 3],
        time,
        equals,
        newest: random.one_in(2),
        of,
    }
}

#[test]
fn so_many_rows_of_the_newest_times_are_found() {
    for seed in 0..300 {
        let random = SimRandom::new(seed);
        let disk = SimDisk::new(seed);
        let layout = layout(random.one_in(3));
        let chunks = chunks(&layout, &random, &disk);
        let count = usize::try_from(1 + random.below(40)).unwrap();
        let ties = random.one_in(2);
        let request = request(&random, Latest::Rows { count, ties });
        assert!(request.is_supported(&layout, &refs(&chunks)));
        let found = latest_rows(&layout, &refs(&chunks), &request).unwrap();
        let found: Vec<Row> = found.iter().flat_map(listed).collect();
        let mut rows = all(&layout, &chunks, &request);
        rows.sort_by_key(|row| if request.newest { -row.0 } else { row.0 });
        let mut times: Vec<i64> = found.iter().map(|row| row.0).collect();
        times.sort_by_key(|time| if request.newest { -*time } else { *time });
        let last = rows.get(count - 1).map(|row| row.0);
        let wanted = match (last, ties) {
            (Some(last), true) => rows
                .iter()
                .take_while(|row| {
                    if request.newest {
                        row.0 >= last
                    } else {
                        row.0 <= last
                    }
                })
                .count(),
            _ => count.min(rows.len()),
        };
        let expected: Vec<i64> = rows.iter().take(wanted).map(|row| row.0).collect();
        assert_eq!(times, expected, "seed {seed}: {request:?}");
        // Each is a row, and none comes twice.
        let mut arrivals: Vec<i64> = found.iter().map(|row| row.3).collect();
        arrivals.sort_unstable();
        arrivals.dedup();
        assert_eq!(arrivals.len(), found.len());
        assert!(found.iter().all(|row| rows.contains(row)));
    }
}

#[test]
fn the_newest_row_of_each_series_is_the_one_that_a_scan_gives_last() {
    for seed in 0..300 {
        let random = SimRandom::new(seed);
        let disk = SimDisk::new(seed);
        let layout = layout(false);
        let chunks = chunks(&layout, &random, &disk);
        let request = request(&random, Latest::Series);
        assert!(request.is_supported(&layout, &refs(&chunks)));
        let found = latest_rows(&layout, &refs(&chunks), &request).unwrap();
        let found: Vec<Row> = found.iter().flat_map(listed).collect();
        let mut best: Vec<Row> = Vec::new();
        for row in all(&layout, &chunks, &request) {
            match best
                .iter_mut()
                .find(|known| (&known.1, &known.2) == (&row.1, &row.2))
            {
                None => best.push(row),
                Some(known) => {
                    let wins = match request.newest {
                        true => row.0 >= known.0,
                        false => row.0 < known.0,
                    };
                    if wins {
                        *known = row;
                    }
                }
            }
        }
        let sorted = |mut rows: Vec<Row>| {
            rows.sort();
            rows
        };
        assert_eq!(sorted(found), sorted(best), "seed {seed}: {request:?}");
    }
}

#[test]
fn parts_of_chunks_that_are_too_old_stay_unread() {
    let layout = layout(false);
    let random = SimRandom::new(1);
    let disk = SimDisk::new(1);
    let mut at = 0;
    let mut chunks = Vec::new();
    for number in 0..2i64 {
        let range = number * 50..(number + 1) * 50;
        let batch = rows(&layout, &random, range.clone(), 2000, &mut at);
        let (data, directory) = (
            RelPath::new(&format!("{number}.parquet")).unwrap(),
            RelPath::new(&format!("{number}.series")).unwrap(),
        );
        let written = cold::write(&disk, &data, &directory, &layout, &[batch]).unwrap();
        let part = ColdPart::open(&disk, &data, &directory, written).unwrap();
        chunks.push(ChunkView {
            chunk: 0,
            range,
            hot: Vec::new(),
            cold: vec![Arc::new(part)],
        });
    }
    for of in [
        Latest::Rows {
            count: 5,
            ties: false,
        },
        Latest::Series,
    ] {
        let request = LatestRequest {
            projection: vec![0, 1, 2, 3],
            time: i64::MIN..i64::MAX,
            equals: Vec::new(),
            newest: true,
            of,
        };
        assert_eq!(
            latest_rows(&layout, &refs(&chunks), &request)
                .unwrap()
                .len(),
            1
        );
        assert!(!chunks[0].cold[0].was_read(), "{of:?}");
        assert!(chunks[1].cold[0].was_read(), "{of:?}");
    }
}
