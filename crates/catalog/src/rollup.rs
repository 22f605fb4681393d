//! Continuous aggregates: where their rows are kept, and which of those are right.

use std::ops::Range;

use chronolith_types::{ColumnId, TableId};
use serde::{Deserialize, Serialize};

/// With more marks than this, neighbours are joined.
const MARKS_MAX: usize = 256;

/// Where the rows of a view are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Materialized {
    /// The table that has them.
    pub table: TableId,
    /// Whether it was filled; a view WITH NO DATA cannot be read before.
    pub populated: bool,
    /// What makes it a continuous aggregate.
    #[serde(default)]
    pub continuous: Option<Continuous>,
}

/// What makes a view a continuous aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuous {
    /// Whose rows it is computed from: a hypertable, or the store of `parent`.
    pub source: TableId,
    /// The continuous aggregate that it is defined over.
    #[serde(default)]
    pub parent: Option<TableId>,
    /// The option of that name, remembered and shown.
    #[serde(default)]
    pub materialized_only: bool,
    /// The time zone that its maker's times without a zone are of; UTC where it is not told.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// What makes a hypertable the store of a continuous aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rollup {
    /// The view whose rows they are.
    pub view: TableId,
    /// The table that they are computed from.
    pub source: TableId,
    /// Other tables whose rows it says something of: when those change, it is to be computed anew.
    #[serde(default)]
    pub reads: Vec<TableId>,
    /// The columns that rows are grouped by, but for the bucket: they make a series.
    #[serde(default)]
    pub groups: Vec<ColumnId>,
    /// The number the next mark gets.
    #[serde(default)]
    pub next_mark: u64,
    /// Where rows are not what the source gives: sorted, none meets another.
    #[serde(default)]
    pub invalid: Vec<Mark>,
    /// Where the source's rows are gone, and the rows stay as they are: sorted, none meets another.
    #[serde(default)]
    pub frozen: Vec<Range<i64>>,
    /// What is to be frozen once its rows are back from a dump.
    #[serde(default)]
    pub restoring: Option<Restoring>,
}

/// Rows of a store that come from a dump, and are not there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    /// The plain table that gets them.
    pub table: TableId,
    /// Where they take the place of the store's own.
    pub ranges: Vec<Range<i64>>,
    /// How many indexes that table has when all rows of the dump are there.
    pub indexes: usize,
}

/// A range of times, whole buckets, and when it was last marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Times of the source and of the store alike.
    pub range: Range<i64>,
    /// Greater than that of all marks before it.
    pub seq: u64,
}

impl Rollup {
    /// Of a store that has no rows yet.
    #[must_use]
    pub fn new(view: TableId, source: TableId) -> Self {
        Self {
            view,
            source,
            ..Self::default()
        }
    }

    /// The tables whose changes it follows: its source, and what else it reads.
    pub fn followed(&self) -> impl Iterator<Item = TableId> {
        std::iter::once(self.source).chain(self.reads.iter().copied())
    }

    /// Whether all of a range is marked.
    #[must_use]
    pub fn is_invalid(&self, range: &Range<i64>) -> bool {
        let marks = self.invalid.iter().map(|mark| mark.range.clone());
        let mut left = vec![range.clone()];
        marks.for_each(|mark| left = without(&left, &mark));
        left.iter().all(Range::is_empty)
    }

    /// Marks a range but for what is frozen of it.
    pub(crate) fn invalidate(&mut self, range: &Range<i64>) {
        let mut fresh = vec![range.clone()];
        for frozen in &self.frozen {
            fresh = without(&fresh, frozen);
        }
        fresh.retain(|range| !range.is_empty());
        if fresh.is_empty() {
            return;
        }
        // Older marks lose what is marked anew: so a rewrite of the rest is not in vain.
        for range in &fresh {
            self.unmark(range, u64::MAX);
        }
        let seq = self.next_mark;
        self.next_mark += 1;
        let fresh = fresh.into_iter().map(|range| Mark { range, seq });
        self.invalid.extend(fresh);
        self.invalid.sort_by_key(|mark| mark.range.start);
        self.join();
    }

    /// Takes a range out of the marks with numbers below `upto`.
    pub(crate) fn revalidate(&mut self, range: &Range<i64>, upto: u64) {
        self.unmark(range, upto);
        self.join();
    }

    /// Keeps what is there within a range, right or not: nobody could compute it again.
    pub(crate) fn freeze(&mut self, range: &Range<i64>) {
        if range.is_empty() {
            return;
        }
        self.unmark(range, u64::MAX);
        if let Some(restoring) = &mut self.restoring {
            restoring.ranges.retain(|of| of != range);
            if restoring.ranges.is_empty() {
                self.restoring = None;
            }
        }
        let mut merged = range.clone();
        self.frozen.retain(|known| {
            let meets = known.start <= merged.end && merged.start <= known.end;
            if meets {
                merged = known.start.min(merged.start)..known.end.max(merged.end);
            }
            !meets
        });
        self.frozen.push(merged);
        self.frozen.sort_by_key(|range| range.start);
    }

    fn unmark(&mut self, range: &Range<i64>, upto: u64) {
        let left = |mark: Mark| -> Vec<Mark> {
            if mark.seq >= upto {
                return vec![mark];
            }
            let left = without(std::slice::from_ref(&mark.range), range).into_iter();
            let seq = mark.seq;
            left.map(|range| Mark { range, seq }).collect()
        };
        let marks = std::mem::take(&mut self.invalid);
        self.invalid = marks.into_iter().flat_map(left).collect();
    }

    /// Joins neighbours that are one, and the nearest ones while there are too many.
    fn join(&mut self) {
        let mut joined: Vec<Mark> = Vec::with_capacity(self.invalid.len());
        for mark in self.invalid.drain(..) {
            match joined.last_mut() {
                Some(last) if last.range.end == mark.range.start && last.seq == mark.seq => {
                    last.range.end = mark.range.end;
                }
                _ => joined.push(mark),
            }
        }
        while joined.len() > MARKS_MAX {
            let gap = |pair: &[Mark]| match pair {
                [a, b] => (
                    i128::from(b.range.start) - i128::from(a.range.end),
                    a.seq.abs_diff(b.seq),
                ),
                _ => (i128::MAX, u64::MAX),
            };
            let nearest = joined.windows(2).enumerate();
            let nearest = nearest.min_by_key(|(_, pair)| gap(pair));
            let Some(at) = nearest.map(|(at, _)| at) else {
                break;
            };
            let behind = joined.remove(at + 1);
            if let Some(mark) = joined.get_mut(at) {
                mark.range.end = behind.range.end;
                mark.seq = mark.seq.max(behind.seq);
            }
        }
        self.invalid = joined;
    }
}

/// Ranges without one.
fn without(ranges: &[Range<i64>], gone: &Range<i64>) -> Vec<Range<i64>> {
    let mut left = Vec::with_capacity(ranges.len() + 1);
    for range in ranges {
        if gone.is_empty() || gone.end <= range.start || range.end <= gone.start {
            left.push(range.clone());
            continue;
        }
        if range.start < gone.start {
            left.push(range.start..gone.start);
        }
        if gone.end < range.end {
            left.push(gone.end..range.end);
        }
    }
    left
}

#[cfg(test)]
mod tests;
