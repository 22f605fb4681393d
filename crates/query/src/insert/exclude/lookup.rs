//! Rows by what they may meet others by, and the pairs that do.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::record_batch::RecordBatch;
use chronolith_chunk::ChunkError;
use chronolith_engine::EngineError;
use chronolith_types::range::{self, Bound, Range};

use super::super::keyed::{Values, lift};
use super::bound::Exclusion;

/// Rows none of whose keys is NULL.
pub(super) struct Asked {
    pub(super) values: Values,
    pub(super) keys: Vec<Box<[u8]>>,
    /// What `=` compares.
    pub(super) groups: Vec<Box<[u8]>>,
    /// What `&&` compares; an empty range meets nothing.
    pub(super) ranges: Option<Vec<Range>>,
}

/// Rows by what they may meet others by.
pub(super) struct Lookup {
    pub(super) asked: Asked,
    /// By what `=` compares; ordered by where the ranges begin.
    pub(super) groups: HashMap<Box<[u8]>, Group>,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) rows: Vec<u32>,
    /// Where the ranges up to each end at the latest.
    pub(super) ends: Vec<Bound>,
}

/// Pairs that the operators are asked of at a time.
const PAIRS: usize = 8192;

impl Exclusion {
    /// The keys of rows that have the columns it is computed from.
    pub(super) fn asked(&self, rows: &RecordBatch) -> Result<Asked, EngineError> {
        let mut values = self.keyed.values(rows)?;
        let mut keys = self.all.keys_of(&values.columns)?;
        if keys.iter().any(|key| key.is_none()) {
            let known = (0_u32..).zip(keys.iter());
            let known = known.filter_map(|(row, key)| key.map(|_| row));
            values = self.part(&values, &UInt32Array::from_iter_values(known))?;
            keys = self.all.keys_of(&values.columns)?;
        }
        let groups = match &self.equal {
            None => vec![Box::default(); values.count],
            Some((places, encoder)) => {
                let compared = places.iter().filter_map(|place| values.columns.get(*place));
                let compared: Vec<ArrayRef> = compared.cloned().collect();
                let groups = encoder.keys_of(&compared)?;
                groups
                    .iter()
                    .map(|of| of.unwrap_or_default().into())
                    .collect()
            }
        };
        let ranges = self.shared.and_then(|(place, kind)| {
            let column = values.columns.get(place)?.as_binary_view_opt()?;
            let each = (0..column.len()).map(|row| range::of_kept(kind, column.value(row)));
            Some(each.collect())
        });
        let keys = keys.iter().map(|key| key.unwrap_or_default().into());
        Ok(Asked {
            keys: keys.collect(),
            values,
            groups,
            ranges,
        })
    }

    /// The keys of some of the rows.
    fn part(&self, values: &Values, rows: &UInt32Array) -> Result<Values, EngineError> {
        let columns = values.columns.iter().map(|column| take(column, rows, None));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let places = rows.values().iter().map(|row| values.row(*row as usize));
        Ok(Values::of(
            columns.map_err(ChunkError::from)?,
            places.collect(),
        ))
    }

    /// Calls `take` with pairs of rows that meet, a row of a lookup first, until it has enough; pairs
    /// that `skip` says nobody asks for are left out.
    pub(super) fn pairs(
        &self,
        lookup: &Lookup,
        others: &Asked,
        skip: impl Fn(u32) -> bool,
        mut take: impl FnMut(u32, u32),
    ) -> Result<(), EngineError> {
        let (mut these, mut those) = (Vec::new(), Vec::new());
        for (other, group) in (0_u32..).zip(&others.groups) {
            let ranges = others.ranges.as_ref();
            let range = ranges.map(|ranges| ranges.get(other as usize).copied().flatten());
            lookup.candidates(group, range, |row| {
                if !skip(row) {
                    these.push(row);
                    those.push(other);
                }
            });
            if these.len() >= PAIRS {
                self.ask(lookup, others, (&mut these, &mut those), &mut take)?;
            }
        }
        self.ask(lookup, others, (&mut these, &mut those), &mut take)
    }

    fn ask(
        &self,
        lookup: &Lookup,
        others: &Asked,
        (these, those): (&mut Vec<u32>, &mut Vec<u32>),
        hit: &mut impl FnMut(u32, u32),
    ) -> Result<(), EngineError> {
        let (these, those) = (std::mem::take(these), std::mem::take(those));
        for (these, those) in these.chunks(PAIRS).zip(those.chunks(PAIRS)) {
            let mut columns = Vec::with_capacity(self.both.fields().len());
            for (values, rows) in [(&lookup.asked.values, these), (&others.values, those)] {
                let rows = UInt32Array::from(rows.to_vec());
                for column in &values.columns {
                    columns.push(take(column, &rows, None).map_err(ChunkError::from)?);
                }
            }
            let batch = RecordBatch::try_new(Arc::clone(&self.both), columns);
            let batch = batch.map_err(ChunkError::from)?;
            let answer = self.meet.evaluate(&batch);
            let answer = answer.and_then(|of| of.into_array(these.len()));
            let answer = answer.map_err(lift)?;
            let Some(answer) = answer.as_boolean_opt() else {
                continue;
            };
            for (place, (one, other)) in these.iter().zip(those).enumerate() {
                if answer.is_valid(place) && answer.value(place) {
                    hit(*one, *other);
                }
            }
        }
        Ok(())
    }
}

impl Lookup {
    pub(super) fn all(asked: Asked) -> Self {
        let rows = (0_u32..).zip(&asked.keys).map(|(row, _)| row);
        let rows = rows.collect();
        Self::new(asked, rows)
    }

    pub(super) fn new(asked: Asked, rows: Vec<u32>) -> Self {
        let mut groups: HashMap<Box<[u8]>, Group> = HashMap::new();
        for row in rows {
            if let Some(group) = asked.groups.get(row as usize) {
                groups.entry(group.clone()).or_default().rows.push(row);
            }
        }
        if let Some(ranges) = &asked.ranges {
            let range = |row: &u32| ranges.get(*row as usize).copied().flatten();
            for group in groups.values_mut() {
                group.rows.retain(|row| range(row).is_some());
                group
                    .rows
                    .sort_by_key(|row| range(row).map(|(from, _)| from));
                let mut end: Option<Bound> = None;
                for (_, to) in group.rows.iter().filter_map(range) {
                    end = end.max(Some(to));
                    group.ends.extend(end);
                }
            }
        }
        Self { asked, groups }
    }

    /// Calls `take` with the rows that another may meet, by what it is alike by and its range.
    fn candidates(&self, group: &[u8], range: Option<Range>, mut take: impl FnMut(u32)) {
        let Some(group) = self.groups.get(group) else {
            return;
        };
        let (Some(ranges), Some(range)) = (&self.asked.ranges, range) else {
            group.rows.iter().copied().for_each(take);
            return;
        };
        let Some((from, to)) = range else {
            return;
        };
        let own = |row: &u32| ranges.get(*row as usize).copied().flatten();
        let begins = |row: &u32| own(row).is_some_and(|(begin, _)| begin <= to);
        let first = group.rows.partition_point(begins);
        for (row, end) in group.rows.iter().zip(&group.ends).take(first).rev() {
            if *end < from {
                break;
            }
            if own(row).is_some_and(|(_, end)| end >= from) {
                take(*row);
            }
        }
    }
}
