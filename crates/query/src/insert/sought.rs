//! A few keys among many rows: of each source of rows the keys' hashes are kept, eight bytes a row,
//! so that a statement of one row does not read the table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_chunk::{
    ChunkError, ChunkView, ColdPart, HotPart, Locator, RowSet, ScanRequest, hash,
};
use chronolith_engine::{EngineError, TableView};
use chronolith_types::PartId;
use hashbrown::HashTable;
use parking_lot::Mutex;

use super::keyed::locators;
use super::unique::Unique;

/// Hashes of keys, by what the keys are of.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(Mutex<HashMap<u64, Arc<Mutex<Known>>>>);

/// Those of one index.
#[derive(Debug, Default)]
struct Known {
    /// Of hot parts, by their generations.
    hot: HashMap<u64, HotKeys>,
    /// Of cold parts, deleted rows too: sorted hashes, each with its row.
    cold: HashMap<PartId, Arc<Vec<(u32, u32)>>>,
}

/// Hashes with their rows, as far as somebody looked.
#[derive(Debug, Default)]
struct HotKeys {
    rows: HashTable<(u32, u32)>,
    covered: usize,
}

/// Past so many bytes all is found out anew.
const BYTES_MAX: usize = 128 << 20;
/// Hot parts past so many are forgotten, the oldest first.
const HOT_MAX: usize = 64;
/// Fewer rows than that are read sooner than looked up.
const ROWS_MIN: u64 = 256;

fn short(key: &[u8]) -> u32 {
    u32::try_from(hash(key) & 0xffff_ffff).unwrap_or_default()
}

fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl KnownKeys {
    fn of(&self, print: u64) -> Arc<Mutex<Known>> {
        let mut all = self.0.lock();
        // One that somebody uses is counted by who uses it next.
        let bytes = all
            .values()
            .filter_map(|known| Some(known.try_lock()?.bytes()));
        if bytes.sum::<usize>() > BYTES_MAX {
            all.retain(|known, _| *known == print);
            all.retain(|_, known| {
                known
                    .try_lock()
                    .is_some_and(|known| known.bytes() <= BYTES_MAX)
            });
        }
        Arc::clone(all.entry(print).or_default())
    }
}

impl Known {
    fn bytes(&self) -> usize {
        let hot = self.hot.values().map(|keys| keys.rows.capacity() * 9);
        let cold = self.cold.values().map(|keys| keys.len() * 8);
        hot.sum::<usize>() + cold.sum::<usize>()
    }

    /// Rows of a hot part whose keys have some hashes.
    fn hot_rows(
        &mut self,
        unique: &Unique,
        hot: &HotPart,
        hashes: &[u32],
        rows: &mut Vec<u32>,
    ) -> Result<(), EngineError> {
        let keys = self.hot.entry(hot.generation()).or_default();
        keys.catch_up(unique, hot)?;
        for short in hashes {
            let found = keys.rows.iter_hash(spread(*short));
            rows.extend(found.filter(|(of, _)| of == short).map(|(_, row)| *row));
        }
        while self.hot.len() > HOT_MAX {
            let Some(oldest) = self.hot.keys().min().copied() else {
                break;
            };
            self.hot.remove(&oldest);
        }
        Ok(())
    }

    /// The same of a cold part.
    fn cold_rows(
        &mut self,
        unique: &Unique,
        view: &TableView,
        (id, part): (PartId, &Arc<ColdPart>),
        hashes: &[u32],
        rows: &mut Vec<u32>,
    ) -> Result<(), EngineError> {
        let keys = match self.cold.get(&id) {
            Some(keys) => Arc::clone(keys),
            None => {
                let keys = Arc::new(keys_of(unique, view, part)?);
                self.cold.insert(id, Arc::clone(&keys));
                keys
            }
        };
        for short in hashes {
            let from = keys.partition_point(|(of, _)| of < short);
            let found = keys.iter().skip(from).take_while(|(of, _)| of == short);
            rows.extend(found.map(|(_, row)| *row));
        }
        Ok(())
    }

    /// Parts that are gone are forgotten.
    fn keep(&mut self, view: &TableView) {
        const PARTS_MORE: usize = 64;
        let parts = || view.table.chunks.values().flat_map(|chunk| &chunk.parts);
        if self.cold.len() > parts().count() + PARTS_MORE {
            let there: std::collections::HashSet<PartId> = parts().map(|part| part.id).collect();
            self.cold.retain(|id, _| there.contains(id));
        }
    }
}

impl HotKeys {
    fn catch_up(&mut self, unique: &Unique, hot: &HotPart) -> Result<(), EngineError> {
        let mut first = 0;
        for batch in hot.all_batches() {
            let next = first + batch.num_rows();
            if next > self.covered {
                let skip = self.covered.saturating_sub(first);
                let fresh = batch.slice(skip, batch.num_rows() - skip);
                let fresh = fresh
                    .project(&unique.keyed.places)
                    .map_err(ChunkError::from)?;
                let rows = &mut self.rows;
                unique.each(&fresh, |row, key, _| {
                    if let Ok(row) = u32::try_from(first + skip + row) {
                        let short = short(key);
                        rows.insert_unique(spread(short), (short, row), |(short, _)| {
                            spread(*short)
                        });
                    }
                    true
                })?;
                self.covered = next;
            }
            first = next;
        }
        Ok(())
    }
}

/// The hashes of all rows of a part.
fn keys_of(
    unique: &Unique,
    view: &TableView,
    part: &Arc<ColdPart>,
) -> Result<Vec<(u32, u32)>, EngineError> {
    let chunk = ChunkView {
        chunk: 0,
        range: i64::MIN..i64::MAX,
        hot: Vec::new(),
        cold: vec![Arc::new(part.with_deleted(&Arc::default()))],
    };
    let mut request = ScanRequest::all(unique.keyed.places.clone());
    request.locators = true;
    let mut keys = Vec::new();
    for batch in chunk.scan(&view.layout, &request) {
        let batch = batch?;
        let locators = locators(&batch);
        let batch = unique.keyed.bare(view, &batch)?;
        unique.each(&batch, |row, key, _| {
            if let Some(place) = locators.get(row) {
                keys.push((short(key), Locator::from(*place).row));
            }
            true
        })?;
    }
    keys.sort_unstable();
    Ok(keys)
}

fn insert(candidates: &mut RowSet, chunk: u32, source: u32, rows: &[u32]) {
    for row in rows.iter().copied() {
        candidates.insert(Locator { chunk, source, row }.into());
    }
}

impl Unique {
    /// Calls `take` with where the rows of a view lie that have some keys, perhaps with others, and
    /// their keys; until it has enough.
    pub(super) fn found<'k, I: ExactSizeIterator<Item = &'k [u8]>>(
        &self,
        view: &TableView,
        noted: impl Fn() -> I,
        mut take: impl FnMut(i128, &[u8]) -> bool,
    ) -> Result<(), EngineError> {
        let rows = view.rows();
        if rows < ROWS_MIN || (noted().len() as u64).saturating_mul(4) > rows {
            let mut request = ScanRequest::all(self.keyed.places.clone());
            request.locators = true;
            for (_, chunk) in view.chunks.iter() {
                for batch in chunk.scan(&view.layout, &request) {
                    if !self.located(view, &batch?, &mut take)? {
                        return Ok(());
                    }
                }
            }
            return Ok(());
        }
        let hashes: Vec<u32> = noted().map(short).collect();
        let known = self.known.of(self.print);
        let mut known = known.lock();
        let mut candidates = RowSet::default();
        for (id, chunk) in view.chunks.iter() {
            for (hot, source) in chunk.hot.iter().zip(Locator::HOT..) {
                let mut rows = Vec::new();
                known.hot_rows(self, hot, &hashes, &mut rows)?;
                // Others may have looked at a later state of the same part.
                let all = u32::try_from(hot.all_rows()).unwrap_or(u32::MAX);
                rows.retain(|row| *row < all);
                insert(&mut candidates, chunk.chunk, source, &rows);
            }
            let parts = view.table.chunks.get(id).map(|chunk| &chunk.parts);
            let parts = chunk.cold.iter().zip(parts.into_iter().flatten());
            for ((part, of), source) in parts.zip(Locator::COLD..) {
                let mut rows = Vec::new();
                known.cold_rows(self, view, (of.id, part), &hashes, &mut rows)?;
                if let Some(deleted) = part.deleted() {
                    rows.retain(|row| !deleted.contains(*row));
                }
                insert(&mut candidates, chunk.chunk, source, &rows);
            }
        }
        known.keep(view);
        drop(known);
        if candidates.is_empty() {
            return Ok(());
        }
        for batch in view.rows_of(&self.keyed.places, &candidates)? {
            if !self.located(view, &batch, &mut take)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Calls `take` with the rows of a batch whose last column are locators.
    fn located(
        &self,
        view: &TableView,
        batch: &RecordBatch,
        take: &mut impl FnMut(i128, &[u8]) -> bool,
    ) -> Result<bool, EngineError> {
        let places = locators(batch);
        self.each(&self.keyed.bare(view, batch)?, |row, key, _| {
            places.get(row).is_none_or(|place| take(*place, key))
        })
    }
}
