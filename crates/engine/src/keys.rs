//! The keys of hot rows, to find out whether one is there already.

use std::collections::HashMap;

use arrow::record_batch::RecordBatch;
use chronolith_chunk::{HotPart, KeyEncoder, hash};
use hashbrown::HashTable;

use crate::error::EngineError;
use crate::record::Place;

/// Keys of hot rows, by chunk and constraint; catches up with the rows when it is asked.
#[derive(Debug, Default)]
pub(crate) struct KeyCache {
    sets: HashMap<(Place, u32), KeySet>,
    bytes: usize,
}

/// Half of each key's hash, with the row that has it: the keys themselves lie in the rows.
#[derive(Debug, Default)]
struct KeySet {
    rows: HashTable<(u32, u32)>,
    /// Of a row that took the place of another of its key, that other one: a reader's older part may
    /// have it still, and not the new one.
    older: HashMap<u32, u32>,
    covered: usize,
    /// Of the hot part whose rows are covered.
    generation: u64,
}

/// Of the 64 bits the low half is kept; the table wants all of them spread.
fn short(key: &[u8]) -> u32 {
    u32::try_from(hash(key) & 0xffff_ffff).unwrap_or_default()
}

fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl KeySet {
    fn bytes(&self) -> usize {
        // An entry, and a byte of the table's own, for an eighth more than it can take.
        (self.rows.capacity() + self.older.capacity()) * 9 * 8 / 7
    }

    /// The newest version of a row that a part of so many rows has: where that one is deleted, so are
    /// those before it.
    fn version(&self, newest: u32, rows: usize) -> Option<u32> {
        let mut versions = std::iter::successors(Some(newest), |row| self.older.get(row).copied());
        versions.find(|row| usize::try_from(*row).is_ok_and(|row| row < rows))
    }

    fn catch_up(&mut self, hot: &HotPart, encoder: &KeyEncoder) -> Result<(), EngineError> {
        if self.generation != hot.generation() {
            *self = Self {
                generation: hot.generation(),
                ..Self::default()
            };
        }
        let mut first = 0;
        for batch in hot.all_batches() {
            let next = first + batch.num_rows();
            if next > self.covered {
                let skip = self.covered.saturating_sub(first);
                let keys = encoder.keys(&batch.slice(skip, batch.num_rows() - skip))?;
                self.rows.reserve(keys.len(), |(short, _)| spread(*short));
                for (at, key) in keys.iter().enumerate() {
                    let row = u32::try_from(first + skip + at);
                    if let (Some(key), Ok(row)) = (key, row) {
                        self.put(hot, encoder, key, row);
                    }
                }
                self.covered = next;
            }
            first = next;
        }
        Ok(())
    }
}

impl KeySet {
    /// Adds a key's row, in the place of one that is deleted where there is one: a key that is
    /// updated over and over has one entry.
    fn put(&mut self, hot: &HotPart, encoder: &KeyEncoder, key: &[u8], row: u32) {
        let short = short(key);
        let place = spread(short);
        let known = self.rows.find_mut(place, |(of, row)| {
            *of == short && hot.is_deleted(*row) && has_key(hot, encoder, *row, key)
        });
        match known {
            Some(known) => {
                self.older.insert(row, known.1);
                known.1 = row;
            }
            None => {
                self.rows
                    .insert_unique(place, (short, row), |(short, _)| spread(*short));
            }
        }
    }
}

fn has_key(hot: &HotPart, encoder: &KeyEncoder, row: u32, key: &[u8]) -> bool {
    let keys = row_of(hot, row).and_then(|row| encoder.keys(&row).ok());
    keys.is_some_and(|keys| keys.get(0) == Some(key))
}

/// The one row of a number.
fn row_of(hot: &HotPart, row: u32) -> Option<RecordBatch> {
    let mut row = usize::try_from(row).ok()?;
    for batch in hot.all_batches() {
        if row < batch.num_rows() {
            return Some(batch.slice(row, 1));
        }
        row -= batch.num_rows();
    }
    None
}

impl KeyCache {
    /// All of it is void.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Rows left the chunk's hot part: what is known of it is void.
    pub(crate) fn forget(&mut self, place: Place) {
        self.sets.retain(|(of, _), _| *of != place);
        self.bytes = self.sets.values().map(KeySet::bytes).sum();
    }

    /// Bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first of some keys that a row of a hot part has.
    pub(crate) fn find<'a>(
        &mut self,
        place: Place,
        constraint: u32,
        hot: &HotPart,
        encoder: &KeyEncoder,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<usize>, EngineError> {
        let mut found = self.rows(place, constraint, hot, encoder, keys)?;
        Ok(found.position(|row| row.is_some()))
    }

    /// The row of a hot part that has each of some keys and is not deleted.
    pub(crate) fn rows<'a>(
        &mut self,
        place: Place,
        constraint: u32,
        hot: &HotPart,
        encoder: &KeyEncoder,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<impl Iterator<Item = Option<u32>>, EngineError> {
        let set = self.sets.entry((place, constraint)).or_default();
        let before = set.bytes();
        set.catch_up(hot, encoder)?;
        self.bytes = (self.bytes + set.bytes()).saturating_sub(before);
        let rows = hot.all_rows();
        Ok(keys.map(move |key| {
            let short = short(key);
            let mut alike = set.rows.iter_hash(spread(short));
            alike.find_map(|(of, newest)| {
                // A set may know rows that a reader's older part has not.
                let row = set.version(*newest, rows).filter(|_| *of == short)?;
                (!hot.is_deleted(row) && has_key(hot, encoder, row, key)).then_some(row)
            })
        }))
    }
}
