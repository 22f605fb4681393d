//! Rows of cold parts by their keys.
//!
//! A few keys are looked for in the series and times that they have; a part that is asked over and
//! over gets an index: of each row the key's hash, sorted, eight bytes a row, as long as there is
//! room for it.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use chronolith_chunk::{ChunkView, ColdPart, KeyEncoder, Layout, Locator, ScanRequest, hash};
use chronolith_types::PartId;
use roaring::RoaringBitmap;

use crate::check::ALL_TIMES;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::route;

/// Keys that are looked for.
pub(crate) struct Sought<'a> {
    pub(crate) layout: &'a Arc<Layout>,
    /// Places of the key's columns.
    pub(crate) columns: &'a [usize],
    pub(crate) encoder: &'a KeyEncoder,
    pub(crate) constraint: u32,
    pub(crate) keys: &'a [&'a [u8]],
    /// The rows that have them, and of each key its row.
    pub(crate) rows: &'a RecordBatch,
    pub(crate) key_rows: &'a [usize],
}

/// The part, the constraint, and a print of its columns' types.
type Name = (PartId, u32, u64);

/// Hashes and rows, sorted.
type Index = Arc<Vec<(u32, u32)>>;

/// Indexes of parts, the youngest last.
#[derive(Debug, Default)]
pub(crate) struct ColdKeys {
    indexes: HashMap<Name, Index>,
    order: VecDeque<Name>,
    bytes: usize,
    /// How often a part without one was asked.
    asked: HashMap<Name, u32>,
}

/// So often a part is searched before it gets an index.
const ASKED_MAX: u32 = 3;
/// Parts that were asked are forgotten past so many.
const PARTS_MAX: usize = 10_000;

/// Eight bytes an entry.
fn bytes_of(rows: u64) -> usize {
    usize::try_from(rows)
        .unwrap_or(usize::MAX)
        .saturating_mul(8)
}

fn short(key: &[u8]) -> u32 {
    u32::try_from(hash(key) & 0xffff_ffff).unwrap_or_default()
}

impl ColdKeys {
    /// The index of a part, or whether it is time to make one.
    fn ask(&mut self, name: Name, bytes: usize, bytes_max: usize) -> (Option<Index>, bool) {
        if let Some(index) = self.indexes.get(&name) {
            return (Some(Arc::clone(index)), false);
        }
        if self.asked.len() >= PARTS_MAX {
            self.asked.clear();
        }
        let asked = self.asked.entry(name).or_default();
        *asked += 1;
        (None, *asked > ASKED_MAX && bytes <= bytes_max / 2)
    }

    fn put(&mut self, name: Name, index: &Index, bytes_max: usize) {
        if self.indexes.insert(name, Arc::clone(index)).is_none() {
            self.order.push_back(name);
            self.bytes += index.len() * 8;
        }
        self.asked.remove(&name);
        while self.bytes > bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(index) = self.indexes.remove(&oldest) {
                self.bytes -= index.len() * 8;
            }
        }
    }

    /// A part is gone.
    pub(crate) fn forget(&mut self, id: PartId) {
        let gone: Vec<Name> = self
            .order
            .iter()
            .copied()
            .filter(|name| name.0 == id)
            .collect();
        for name in gone {
            self.order.retain(|known| *known != name);
            if let Some(index) = self.indexes.remove(&name) {
                self.bytes -= index.len() * 8;
            }
        }
    }
}

fn view(part: &Arc<ColdPart>) -> ChunkView {
    ChunkView {
        chunk: 0,
        range: ALL_TIMES,
        hot: Vec::new(),
        cold: vec![Arc::clone(part)],
    }
}

impl Engine {
    /// Of each key the row of a part that has it and is not deleted.
    pub(crate) fn cold_rows(
        &self,
        id: PartId,
        part: &Arc<ColdPart>,
        sought: &Sought<'_>,
    ) -> Result<Vec<Option<u32>>, EngineError> {
        let times = sought.times()?;
        let outside = |(first, last): (i64, i64)| first >= times.end || last < times.start;
        if part.times().is_some_and(outside) {
            return Ok(vec![None; sought.keys.len()]);
        }
        let few = (sought.keys.len() as u64) < part.all_rows() / 8;
        let bytes_max = self.config.hot_bytes_max / 8;
        let name = (id, sought.constraint, sought.print());
        let (index, worth) = match few {
            true => {
                let bytes = bytes_of(part.all_rows());
                self.cold_keys.lock().ask(name, bytes, bytes_max)
            }
            // As good as reading all of it once.
            false => (None, false),
        };
        let index = match (index, worth) {
            (None, true) => {
                let index = Arc::new(sought.index(part)?);
                self.cold_keys.lock().put(name, &index, bytes_max);
                Some(index)
            }
            (index, _) => index,
        };
        match index {
            Some(index) => sought.by_index(part, &index),
            None => sought.by_scan(part, times),
        }
    }
}

/// Rows by halves of their keys' hashes, those of one in the order of the rows, in which they come: by
/// their digits, which takes a part of what comparisons take.
fn sorted(mut index: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    const BITS: u32 = 11;
    const DIGITS: usize = 1 << BITS;
    /// So few are compared sooner.
    const FEW: usize = 4 * DIGITS;
    if index.len() < FEW {
        index.sort_unstable();
        return index;
    }
    let mut from = index;
    let mut to = vec![(0, 0); from.len()];
    for shift in [0, BITS, 2 * BITS] {
        let digit = |short: u32| (short >> shift) as usize % DIGITS;
        let mut places = vec![0_usize; DIGITS];
        for (short, _) in &from {
            if let Some(count) = places.get_mut(digit(*short)) {
                *count += 1;
            }
        }
        let mut first = 0;
        for place in &mut places {
            (*place, first) = (first, first + *place);
        }
        for entry in &from {
            if let Some(place) = places.get_mut(digit(entry.0)) {
                if let Some(slot) = to.get_mut(*place) {
                    *slot = *entry;
                }
                *place += 1;
            }
        }
        std::mem::swap(&mut from, &mut to);
    }
    from
}

impl Sought<'_> {
    /// Equal ones are of columns of equal types.
    fn print(&self) -> u64 {
        let mut print = DefaultHasher::new();
        let columns = self.columns.iter();
        for column in columns.filter_map(|place| self.layout.columns.get(*place)) {
            (column.id, column.ty.arrow()).hash(&mut print);
        }
        print.finish()
    }

    /// The times that the rows of the keys have, where the key has the time.
    fn times(&self) -> Result<Range<i64>, EngineError> {
        let Some(time) = self.layout.time.filter(|time| self.columns.contains(time)) else {
            return Ok(ALL_TIMES);
        };
        let times = route::time_values(self.rows.column(time))?;
        let of_keys = || self.key_rows.iter().filter_map(|row| times.get(*row));
        match (of_keys().min(), of_keys().max()) {
            (Some(first), Some(last)) => Ok(*first..last.saturating_add(1)),
            _ => Ok(0..0),
        }
    }

    fn by_scan(
        &self,
        part: &Arc<ColdPart>,
        time: Range<i64>,
    ) -> Result<Vec<Option<u32>>, EngineError> {
        let mut wanted: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (at, key) in self.keys.iter().enumerate() {
            wanted.entry(key).or_default().push(at);
        }
        let mut found = vec![None; self.keys.len()];
        let request = ScanRequest {
            time,
            equals: route::series_of(self.rows, self.key_rows, self.layout, self.columns),
            locators: true,
            ..ScanRequest::all(self.columns.to_vec())
        };
        for batch in view(part).scan(self.layout, &request) {
            self.matches(&batch?, &wanted, &mut found)?;
        }
        Ok(found)
    }

    /// Notes the rows of a batch, by the key's columns and locators, that have a key.
    fn matches(
        &self,
        batch: &RecordBatch,
        wanted: &HashMap<&[u8], Vec<usize>>,
        found: &mut [Option<u32>],
    ) -> Result<(), EngineError> {
        let (key, locators) = batch.columns().split_at(self.columns.len());
        let Some(locators) = locators.first() else {
            return Ok(());
        };
        let locators = locators.as_primitive::<Decimal128Type>();
        for (row, key) in self.encoder.keys_of(key)?.iter().enumerate() {
            for at in key.and_then(|key| wanted.get(key)).into_iter().flatten() {
                if let Some(found) = found.get_mut(*at) {
                    *found = Some(Locator::from(locators.value(row)).row);
                }
            }
        }
        Ok(())
    }

    /// Of all rows of a part's file.
    fn index(&self, part: &Arc<ColdPart>) -> Result<Vec<(u32, u32)>, EngineError> {
        let none = Arc::new(RoaringBitmap::new());
        let whole = Arc::new(part.with_deleted(&none));
        let mut index = Vec::new();
        let request = ScanRequest::all(self.columns.to_vec());
        let mut row = 0u32;
        for batch in view(&whole).scan(self.layout, &request) {
            let batch = batch?;
            for key in self.encoder.keys_of(batch.columns())?.iter() {
                index.extend(key.map(|key| (short(key), row)));
                row += 1;
            }
        }
        Ok(sorted(index))
    }

    fn by_index(
        &self,
        part: &Arc<ColdPart>,
        index: &[(u32, u32)],
    ) -> Result<Vec<Option<u32>>, EngineError> {
        let gone = part.deleted();
        let mut rows = RoaringBitmap::new();
        let mut wanted: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (at, key) in self.keys.iter().enumerate() {
            let short = short(key);
            let first = index.partition_point(|(known, _)| *known < short);
            // A row that is deleted need not be read.
            let mut alike = index
                .iter()
                .skip(first)
                .take_while(|(known, _)| *known == short)
                .filter(|(_, row)| !gone.is_some_and(|gone| gone.contains(*row)))
                .peekable();
            // Several may ask for one key, so that rows which are there already count as well.
            if alike.peek().is_some() {
                wanted.entry(key).or_default().push(at);
            }
            rows.extend(alike.map(|(_, row)| *row));
        }
        let mut found = vec![None; self.keys.len()];
        if rows.is_empty() {
            return Ok(found);
        }
        let view = view(part);
        for batch in view.rows_at(self.layout, self.columns, Locator::COLD, &rows)? {
            self.matches(&batch, &wanted, &mut found)?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_digits_as_by_comparison() {
        for count in [0_u32, 1, 100, 8_191, 8_192, 50_000] {
            let short = |row: u32| match row % 5 {
                0 => u32::MAX - row % 3,
                _ => row.wrapping_mul(0x9e37_79b9) >> (row % 20),
            };
            let index: Vec<(u32, u32)> = (0..count).map(|row| (short(row), row)).collect();
            let mut compared = index.clone();
            compared.sort_unstable();
            assert_eq!(sorted(index), compared);
        }
    }
}
