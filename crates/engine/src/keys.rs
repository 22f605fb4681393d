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
        self.rows.capacity() * 9 * 8 / 7
    }

    fn catch_up(&mut self, hot: &HotPart, encoder: &KeyEncoder) -> Result<(), EngineError> {
        if self.generation != hot.generation() {
            *self = Self {
                generation: hot.generation(),
                ..Self::default()
            };
        }
        let mut first = 0;
        for batch in hot.batches() {
            let next = first + batch.num_rows();
            if next > self.covered {
                let skip = self.covered.saturating_sub(first);
                let keys = encoder.keys(&batch.slice(skip, batch.num_rows() - skip))?;
                self.rows.reserve(keys.len(), |(short, _)| spread(*short));
                for (at, key) in keys.iter().enumerate() {
                    let row = u32::try_from(first + skip + at);
                    if let (Some(key), Ok(row)) = (key, row) {
                        let short = short(key);
                        let place = spread(short);
                        self.rows
                            .insert_unique(place, (short, row), |(short, _)| spread(*short));
                    }
                }
                self.covered = next;
            }
            first = next;
        }
        Ok(())
    }
}

/// The one row of a number.
fn row_of(hot: &HotPart, row: u32) -> Option<RecordBatch> {
    let mut row = usize::try_from(row).ok()?;
    for batch in hot.batches() {
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
        mut keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<usize>, EngineError> {
        let set = self.sets.entry((place, constraint)).or_default();
        let before = set.bytes();
        set.catch_up(hot, encoder)?;
        self.bytes = (self.bytes + set.bytes()).saturating_sub(before);
        let is = |row: u32, key: &[u8]| -> Option<bool> {
            let row = encoder.keys(&row_of(hot, row)?).ok()?;
            Some(row.get(0) == Some(key))
        };
        Ok(keys.position(|key| {
            let short = short(key);
            let found = set.rows.find(spread(short), |(of, row)| {
                // A set may know rows that a reader's older part has not.
                *of == short && is(*row, key) == Some(true)
            });
            found.is_some()
        }))
    }
}
