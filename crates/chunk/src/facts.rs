//! What is known of a batch in memory once somebody asks: its times, and which rows have a value.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, AsArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use parking_lot::Mutex;

use crate::cold::time_array;
use crate::hot::number;
use crate::layout::Layout;

/// What is known of a batch, found out when it is first asked for.
///
/// A batch that others were joined to takes over what was known of them: readers beside a writer would
/// else look at all rows of a table again and again, as its batches grow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lazy(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    facts: OnceLock<Arc<Facts>>,
    /// What the rows were before they were one batch, in order: how many, and what was known of them.
    /// Nothing once the facts are there.
    before: Mutex<Vec<(usize, Option<Arc<Facts>>)>>,
}

impl Lazy {
    /// Of batches that are joined, and so many rows behind them.
    pub(crate) fn joined<'a>(
        batches: impl Iterator<Item = (&'a Self, &'a RecordBatch)>,
        added: usize,
    ) -> Self {
        let mut before: Vec<(usize, Option<Arc<Facts>>)> = Vec::new();
        let mut push = |rows: usize, known: Option<Arc<Facts>>| match (before.last_mut(), &known) {
            (Some((count, None)), None) => *count += rows,
            _ => before.push((rows, known)),
        };
        for (lazy, batch) in batches {
            let pieces = lazy.0.before.lock();
            match (lazy.0.facts.get(), pieces.as_slice()) {
                (Some(facts), _) => push(batch.num_rows(), Some(Arc::clone(facts))),
                (None, []) => push(batch.num_rows(), None),
                (None, pieces) => {
                    for (rows, known) in pieces {
                        push(*rows, known.clone());
                    }
                }
            }
        }
        push(added, None);
        Self(Arc::new(Known {
            facts: OnceLock::new(),
            before: Mutex::new(before),
        }))
    }

    /// What is known of the batch that this stands for.
    pub(crate) fn of(&self, layout: &Layout, batch: &RecordBatch) -> &Arc<Facts> {
        self.0.facts.get_or_init(|| {
            let before = std::mem::take(&mut *self.0.before.lock());
            let rows: usize = before.iter().map(|(rows, _)| rows).sum();
            // Nothing to take over: batches whose parts are not told of, too.
            if rows != batch.num_rows() || before.iter().all(|(_, known)| known.is_none()) {
                return Arc::new(Facts::of(layout, batch));
            }
            let mut start = 0;
            let pieces = before.into_iter().map(|(rows, known)| {
                let of = || Arc::new(Facts::of(layout, &batch.slice(start, rows)));
                let known = known.unwrap_or_else(of);
                start += rows;
                (known, rows)
            });
            Arc::new(Facts::joined(&pieces.collect::<Vec<_>>()))
        })
    }
}

/// What is known of a batch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// First and last time; None of no rows.
    pub(crate) times: Option<(i64, i64)>,
    /// Segment-by columns of text whose values are few, and the rows of each value.
    values: Vec<(usize, Values)>,
}

/// The rows that have a value, in their order.
type Values = HashMap<Box<str>, Vec<u32>, ahash::RandomState>;

/// Fewer rows are looked at one by one.
const INDEXED_ROWS_MIN: usize = 256;

/// Of more values than these it is not worth knowing which.
const VALUES_MAX: usize = 4096;

impl Facts {
    pub(crate) fn of(layout: &Layout, batch: &RecordBatch) -> Self {
        let times = layout.time.and_then(|place| batch.columns().get(place));
        let times = times.and_then(|column| {
            let times = time_array(column).ok()?;
            let there = |(row, _): &(usize, &i64)| column.is_valid(*row);
            let mut times = times
                .iter()
                .enumerate()
                .filter(there)
                .map(|(_, time)| *time);
            let first = times.next()?;
            Some(times.fold((first, first), |(a, b), time| (a.min(time), b.max(time))))
        });
        let mut values = Vec::new();
        for place in &layout.segment_by {
            if let Some(column) = batch.columns().get(*place)
                && *column.data_type() == DataType::Utf8View
            {
                let mut found = Values::default();
                for (row, value) in column.as_string_view().iter().enumerate() {
                    let Some(value) = value else { continue };
                    match found.get_mut(value) {
                        Some(rows) => rows.push(number(row)),
                        None => {
                            found.insert(value.into(), vec![number(row)]);
                        }
                    }
                    if found.len() > VALUES_MAX {
                        break;
                    }
                }
                if found.len() <= VALUES_MAX {
                    values.push((*place, found));
                }
            }
        }
        Self { times, values }
    }

    /// What is known of rows that were known in pieces; a column is known where it is in all of them.
    fn joined(pieces: &[(Arc<Self>, usize)]) -> Self {
        let mut times: Option<(i64, i64)> = None;
        for (facts, _) in pieces {
            times = match (times, facts.times) {
                (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
                (one, other) => one.or(other),
            };
        }
        let mut values = Vec::new();
        let first = pieces.first().map_or(&[][..], |(facts, _)| &facts.values);
        for (place, _) in first {
            let mut all = Values::default();
            let mut start = 0;
            let whole = pieces.iter().all(|(facts, rows)| {
                let from = number(start);
                start += rows;
                let Some(known) = facts.values_at(*place) else {
                    return false;
                };
                for (value, rows) in known {
                    let rows = rows.iter().map(|row| row + from);
                    match all.get_mut(value) {
                        Some(found) => found.extend(rows),
                        None => {
                            all.insert(value.clone(), rows.collect());
                        }
                    }
                }
                all.len() <= VALUES_MAX
            });
            if whole {
                values.push((*place, all));
            }
        }
        Self { times, values }
    }

    fn values_at(&self, place: usize) -> Option<&Values> {
        let known = self.values.iter().find(|(known, _)| *known == place);
        known.map(|(_, values)| values)
    }

    /// Whether a row may have one of some values in a column.
    pub(crate) fn may_have(&self, place: usize, wanted: &[String]) -> bool {
        self.values_at(place)
            .is_none_or(|known| wanted.iter().any(|value| known.contains_key(&**value)))
    }

    /// Rows among which are all that have one of some values in each of some columns, in their
    /// order; None where that is not known of any of the columns.
    fn rows_of(&self, equals: &[(usize, Vec<String>)]) -> Option<Vec<u32>> {
        let lists = equals.iter().filter_map(|(place, wanted)| {
            let known = self.values_at(*place)?;
            let lists = wanted.iter().filter_map(|value| known.get(&**value));
            let lists: Vec<&Vec<u32>> = lists.collect();
            Some((lists.iter().map(|rows| rows.len()).sum::<usize>(), lists))
        });
        let (_, lists) = lists.min_by_key(|(count, _)| *count)?;
        let mut rows: Vec<u32> = lists.into_iter().flatten().copied().collect();
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }
}

/// The rows of a batch among which are all that have some values; None for all of them.
pub(crate) fn rows_among(
    layout: &Layout,
    equals: &[(usize, Vec<String>)],
    batch: &RecordBatch,
    lazy: &Lazy,
) -> Option<Vec<u32>> {
    if equals.is_empty() || batch.num_rows() < INDEXED_ROWS_MIN {
        return None;
    }
    lazy.of(layout, batch).rows_of(equals)
}
