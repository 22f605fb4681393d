#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use arrow::array::{Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::{concat_batches, take_record_batch};
use chronolith_platform::SimRandom;
use chronolith_types::{ColumnId, SqlType};

use super::*;
use crate::layout::{LayoutColumn, SortColumn};

fn layout(order_by: Vec<SortColumn>, segment_by: Vec<usize>) -> Layout {
    let column = |id: u32, name: &str, ty: SqlType| LayoutColumn {
        id: ColumnId(id),
        name: name.to_owned(),
        ty,
    };
    Layout::new(
        vec![
            column(1, "time", SqlType::Timestamptz(None)),
            column(2, "venue", SqlType::Text),
            column(3, "lot", SqlType::Int8),
            column(4, "id", SqlType::Int8),
        ],
        Some(0),
        segment_by,
        order_by,
    )
}

fn by(column: usize, descending: bool) -> SortColumn {
    SortColumn {
        column,
        descending,
        nulls_first: column == 2,
    }
}

fn rows(layout: &Layout, random: &SimRandom, first: i64, count: usize) -> RecordBatch {
    let below = |n: u64| i64::try_from(random.below(n)).unwrap();
    let names = ["A", "B", "a name that is longer than a view", "", "B2"];
    let venues: Vec<Option<&str>> = (0..count)
        .map(|_| Some(names[usize::try_from(random.below(5)).unwrap()]))
        .map(|name| name.filter(|_| !random.one_in(6)))
        .collect();
    let times: Vec<i64> = (0..count).map(|_| below(30)).collect();
    let lots: Int64Array = (0..count)
        .map(|_| Some(below(3)).filter(|_| !random.one_in(5)))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        Arc::new(StringViewArray::from_iter(venues)),
        Arc::new(lots),
        Arc::new(Int64Array::from_iter_values((first..).take(count))),
    ];
    RecordBatch::try_new(Arc::clone(layout.schema()), columns).unwrap()
}

/// The same by Arrow's own sort, with the arrival as last key.
fn plainly(layout: &Layout, batches: &[RecordBatch]) -> RecordBatch {
    let rows = concat_batches(layout.schema(), batches).unwrap();
    let mut keys: Vec<ArrowSortColumn> = Vec::new();
    for column in &layout.segment_by {
        keys.push(ArrowSortColumn {
            values: Arc::clone(rows.column(*column)),
            options: Some(SortOptions {
                descending: false,
                nulls_first: false,
            }),
        });
    }
    for order in &layout.order_by {
        keys.push(ArrowSortColumn {
            values: Arc::clone(rows.column(order.column)),
            options: Some(SortOptions {
                descending: order.descending,
                nulls_first: order.nulls_first,
            }),
        });
    }
    keys.push(ArrowSortColumn {
        values: Arc::clone(rows.column(3)),
        options: None,
    });
    take_record_batch(&rows, &lexsort_to_indices(&keys, None).unwrap()).unwrap()
}

#[test]
fn rows_are_sorted_as_by_comparing_them_all() {
    for seed in 0..20 {
        let random = SimRandom::new(seed);
        for order in [
            vec![by(0, false)],
            vec![by(0, true)],
            vec![by(2, true), by(0, false)],
            vec![],
        ] {
            for segments in [vec![], vec![1], vec![1, 2], vec![2]] {
                if order.is_empty() && segments.is_empty() {
                    continue;
                }
                let layout = layout(order.clone(), segments);
                let batches: Vec<RecordBatch> =
                    (0..4).map(|n| rows(&layout, &random, n * 50, 50)).collect();
                let Sorted::Rows { rows: sorted, .. } =
                    sort(&layout, batches.clone(), &[]).unwrap()
                else {
                    panic!("no keys were asked for");
                };
                assert_eq!(sorted, plainly(&layout, &batches));
            }
        }
    }
    let layout = layout(vec![by(0, false)], vec![1]);
    let Sorted::Rows { rows: none, .. } = sort(&layout, Vec::new(), &[vec![0]]).unwrap() else {
        panic!("there are no rows");
    };
    assert_eq!(none.num_rows(), 0);
}

#[test]
fn two_rows_of_one_key_are_found_wherever_they_lie() {
    let mut found = [0, 0];
    for seed in 0..300 {
        let random = SimRandom::new(seed);
        // Of the first key rows lie beside each other, of the second they may be anywhere.
        let layout = layout(vec![by(0, false)], vec![1]);
        let batches: Vec<RecordBatch> = (0..2).map(|n| rows(&layout, &random, n * 9, 9)).collect();
        for key in [vec![0, 1, 2], vec![2, 0]] {
            let all = concat_batches(layout.schema(), &batches).unwrap();
            let keys = layout.encoder(&key).unwrap().keys(&all).unwrap();
            let mut seen = std::collections::HashSet::new();
            let twice = keys.iter().flatten().any(|key| !seen.insert(key.to_vec()));
            match sort(&layout, batches.clone(), std::slice::from_ref(&key)).unwrap() {
                Sorted::Rows { .. } => assert!(!twice, "seed {seed}"),
                Sorted::Twice { key: 0, row } => {
                    assert!(twice, "seed {seed}");
                    let of_row = layout.encoder(&key).unwrap().keys(&row).unwrap();
                    let alike = keys.iter().filter(|key| *key == of_row.get(0)).count();
                    assert!(alike > 1);
                    found[key.len() - 2] += 1;
                }
                Sorted::Twice { key, .. } => panic!("key {key}"),
            }
        }
    }
    assert!(found[0] > 20 && found[1] > 20, "{found:?}");
    assert!(found[0] < 280 && found[1] < 280, "{found:?}");
}
