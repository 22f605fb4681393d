//! The keys of hot rows, to find out whether one is there already.

use std::collections::HashMap;

use chronolith_chunk::{HotPart, KeyEncoder, Keys, hash};
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
            if next == self.covered + 1 && next == hot.all_rows() {
                // The last commit's only row: mostly the next version of one.
                let mut key = Vec::new();
                let known = encoder.put_key(batch, batch.num_rows() - 1, &mut key)?;
                let row = u32::try_from(self.covered);
                if let (true, Ok(row)) = (known, row) {
                    self.put_one(hot, encoder, &key, row)?;
                }
                self.covered = next;
            } else if next > self.covered {
                let skip = self.covered.saturating_sub(first);
                let keys = encoder.keys_from(batch, skip)?;
                self.put(hot, encoder, &keys, first + skip)?;
                self.covered = next;
            }
            first = next;
        }
        Ok(())
    }
}

impl KeySet {
    /// Adds a row's key, in the place of a deleted row of that key where there is one.
    fn put_one(
        &mut self,
        hot: &HotPart,
        encoder: &KeyEncoder,
        key: &[u8],
        row: u32,
    ) -> Result<(), EngineError> {
        let short = short(key);
        let before = self.with_key(hot, encoder, short, key, |row| {
            Some(row).filter(|row| hot.is_deleted(*row))
        })?;
        self.enter(short, row, before);
        Ok(())
    }

    /// Adds a row, in the place of the row before it that had its key.
    #[inline]
    fn enter(&mut self, short: u32, row: u32, before: Option<u32>) {
        let place = spread(short);
        let known = before.and_then(|before| {
            let known = self.rows.find_mut(place, |known| *known == (short, before));
            Some((before, known?))
        });
        match known {
            Some((before, known)) => {
                self.older.insert(row, before);
                known.1 = row;
            }
            None => {
                self.rows
                    .insert_unique(place, (short, row), |(short, _)| spread(*short));
            }
        }
    }

    /// A row that has a key, among those that `wanted` makes of rows whose keys have the same half of
    /// a hash.
    fn with_key(
        &self,
        hot: &HotPart,
        encoder: &KeyEncoder,
        short: u32,
        key: &[u8],
        wanted: impl Fn(u32) -> Option<u32>,
    ) -> Result<Option<u32>, EngineError> {
        let mut known = Vec::new();
        for (of, row) in self.rows.iter_hash(spread(short)) {
            let Some(row) = wanted(*row).filter(|_| *of == short) else {
                continue;
            };
            let Some((batch, within)) = hot.batch_of(row) else {
                continue;
            };
            known.clear();
            if encoder.put_key(batch, within, &mut known)? && known == key {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Adds the keys of rows, the first of which has a number; each in the place of a deleted row of
    /// its key where there is one: a key that is updated over and over has one entry.
    fn put(
        &mut self,
        hot: &HotPart,
        encoder: &KeyEncoder,
        keys: &Keys,
        first: usize,
    ) -> Result<(), EngineError> {
        let mut alike = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let Some(short) = key.map(short) else {
                continue;
            };
            for (of, row) in self.rows.iter_hash(spread(short)) {
                if *of == short && hot.is_deleted(*row) {
                    alike.push((*row, at));
                }
            }
        }
        let before = same_keys(hot, encoder, alike, keys.len(), |at| keys.get(at))?;
        self.rows.reserve(keys.len(), |(short, _)| spread(*short));
        for ((at, key), before) in keys.iter().enumerate().zip(before) {
            let (Some(key), Ok(row)) = (key, u32::try_from(first + at)) else {
                continue;
            };
            self.enter(short(key), row, before);
        }
        Ok(())
    }
}

/// Of each of some keys, the row that has it, among rows that may have it: their numbers with those of
/// the keys.
fn same_keys<'k>(
    hot: &HotPart,
    encoder: &KeyEncoder,
    mut alike: Vec<(u32, usize)>,
    count: usize,
    key: impl Fn(usize) -> Option<&'k [u8]>,
) -> Result<Vec<Option<u32>>, EngineError> {
    let mut found = vec![None; count];
    alike.sort_unstable();
    let (mut alike, mut first) = (alike.as_slice(), 0);
    for batch in hot.all_batches() {
        let end = first + u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        let (here, later) = alike.split_at(alike.partition_point(|(row, _)| *row < end));
        if !here.is_empty() {
            let places = here.iter().map(|(row, _)| row - first);
            let known = encoder.keys_at(batch, &places.collect())?;
            for ((row, at), known) in here.iter().zip(known.iter()) {
                if let Some(found) = found.get_mut(*at)
                    && known.is_some()
                    && known == key(*at)
                {
                    *found = Some(*row);
                }
            }
        }
        (alike, first) = (later, end);
    }
    Ok(found)
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
        let found = self.rows(place, constraint, hot, encoder, keys)?;
        Ok(found.iter().position(Option::is_some))
    }

    /// The row of a hot part that has a key and is not deleted.
    pub(crate) fn row(
        &mut self,
        place: Place,
        constraint: u32,
        hot: &HotPart,
        encoder: &KeyEncoder,
        key: &[u8],
    ) -> Result<Option<u32>, EngineError> {
        let set = self.sets.entry((place, constraint)).or_default();
        let before = set.bytes();
        set.catch_up(hot, encoder)?;
        self.bytes = (self.bytes + set.bytes()).saturating_sub(before);
        let rows = hot.all_rows();
        // A set may know rows that a reader's older part has not.
        let live = |newest| {
            let row = set.version(newest, rows)?;
            (!hot.is_deleted(row)).then_some(row)
        };
        set.with_key(hot, encoder, short(key), key, live)
    }

    /// The row of a hot part that has each of some keys and is not deleted.
    pub(crate) fn rows<'a>(
        &mut self,
        place: Place,
        constraint: u32,
        hot: &HotPart,
        encoder: &KeyEncoder,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<Option<u32>>, EngineError> {
        let keys: Vec<&[u8]> = keys.collect();
        if let [key] = keys.as_slice() {
            return Ok(vec![self.row(place, constraint, hot, encoder, key)?]);
        }
        let set = self.sets.entry((place, constraint)).or_default();
        let before = set.bytes();
        set.catch_up(hot, encoder)?;
        self.bytes = (self.bytes + set.bytes()).saturating_sub(before);
        let rows = hot.all_rows();
        // Rows whose keys have the same half of a hash: nearly always the only one.
        let mut alike = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let short = short(key);
            for (of, newest) in set.rows.iter_hash(spread(short)) {
                // A set may know rows that a reader's older part has not.
                let row = set.version(*newest, rows).filter(|_| *of == short);
                if let Some(row) = row.filter(|row| !hot.is_deleted(*row)) {
                    alike.push((row, at));
                }
            }
        }
        same_keys(hot, encoder, alike, keys.len(), |at| keys.get(at).copied())
    }
}
