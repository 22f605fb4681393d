//! Many chunks compressed or decompressed at once: their files are written side by side, and
//! their records go to the log with one sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chronolith_catalog::{CatalogError, Change};
use chronolith_chunk::HotPart;
use chronolith_types::{ChunkId, DatabaseId, TableId};
use parking_lot::Mutex;

use crate::commit::Work;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::maintain::Take;
use crate::queue::Pending;
use crate::record::{Place, Record, TableKey};
use crate::state::State;

/// Chunks whose parts are written before their records are.
const GROUP: usize = 64;
/// Threads that write parts: they wait for the disk more than they pack.
const THREADS: usize = 16;

impl Engine {
    /// Packs the rows of each chunk into one part; for each, whether there was anything to do.
    /// With `again` those are packed anew that are compressed already.
    ///
    /// # Errors
    /// As the disk gives them, and for a chunk that is not there; chunks that came before may be
    /// compressed then.
    pub fn compress_chunks(
        &self,
        database: DatabaseId,
        chunks: &[(TableId, ChunkId)],
        again: bool,
    ) -> Result<Vec<bool>, EngineError> {
        let state = self.state();
        let mut due = Vec::with_capacity(chunks.len());
        let mut todo = Vec::new();
        for (table, chunk) in chunks {
            let place = TableKey::new(database, *table).place(*chunk);
            let is_due = again || state.is_loose(place)?;
            due.push(is_due);
            if is_due && !todo.contains(&place) {
                todo.push(place);
            }
        }
        let mut rest = todo.as_slice();
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(self.group(&state, rest));
            self.compress_group(group)?;
            rest = behind;
        }
        Ok(due)
    }

    /// How many of the first chunks are packed together: as many as there is memory for.
    fn group(&self, state: &State, places: &[Place]) -> usize {
        let mut bytes = 0;
        let fits = places.iter().take(GROUP).take_while(|place| {
            bytes += state.unpacked_bytes(**place);
            bytes <= self.config.hot_bytes_max / 8
        });
        fits.count().max(1).min(places.len())
    }

    fn compress_group(&self, group: &[Place]) -> Result<(), EngineError> {
        let one = self.maintenance.lock();
        let state = self.state();
        let packed = self.pack_group(&state, group);
        let mut pendings = Vec::with_capacity(group.len());
        for (place, work) in packed {
            if let Some(work) = work? {
                pendings.push((place, Pending::new(work)));
            }
        }
        let group: Vec<_> = pendings.iter().map(|(_, p)| Arc::clone(p)).collect();
        self.write(&mut self.writing(), &group);
        let mut overtaken = Vec::new();
        for (place, pending) in pendings {
            match pending.result() {
                Ok(_) => self.forget_keys(place),
                Err(EngineError::Overtaken(_)) => overtaken.push(place),
                Err(error) => return Err(error),
            }
        }
        drop(one);
        for place in overtaken {
            self.compress_chunk(place.database, place.table, place.chunk)?;
        }
        Ok(())
    }

    /// Packs chunks side by side; what each of them gives is in their order.
    fn pack_group(
        &self,
        state: &State,
        group: &[Place],
    ) -> Vec<(Place, Result<Option<Work>, EngineError>)> {
        let threads = match self.load_threads() {
            0 => 1,
            _ => THREADS.min(group.len()),
        };
        if threads <= 1 {
            let pack = |place: &Place| (*place, self.pack(state, *place, Take::All));
            return group.iter().map(pack).collect();
        }
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(group.len()));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(place) = group.get(at) else {
                            break;
                        };
                        let work = self.pack(state, *place, Take::All);
                        done.lock().push((at, *place, work));
                    }
                });
            }
        });
        let mut done = done.into_inner();
        done.sort_by_key(|(at, _, _)| *at);
        done.into_iter()
            .map(|(_, place, work)| (place, work))
            .collect()
    }

    /// Packs a chunk's rows that are in memory, in the order that its parts have.
    ///
    /// # Errors
    /// As the disk gives them; the rows then stay where they are.
    pub fn flush_chunk_of(
        &self,
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
    ) -> Result<(), EngineError> {
        self.flush_hot(TableKey::new(database, table).place(chunk))
    }

    /// Counts chunks' rows as not compressed; they stay where they are. For each, whether it was
    /// compressed.
    ///
    /// # Errors
    /// As the disk gives them, and for a chunk that is not there.
    pub fn decompress_chunks(
        &self,
        database: DatabaseId,
        chunks: &[(TableId, ChunkId)],
    ) -> Result<Vec<bool>, EngineError> {
        let _one = self.maintenance.lock();
        let state = self.state();
        let mut due = Vec::with_capacity(chunks.len());
        let mut pendings = Vec::new();
        for (at, (table, chunk)) in chunks.iter().enumerate() {
            let found = state.catalog.table(database, *table);
            let Some(known) = found.and_then(|table| table.chunks.get(chunk)) else {
                return Err(CatalogError::NoChunk(chunk.to_string()).into());
            };
            let again = chunks.iter().take(at).any(|of| of == &(*table, *chunk));
            due.push(known.compressed && !again);
            if due.last() == Some(&true) {
                pendings.push(Pending::new(Work {
                    record: Record {
                        changes: vec![Change::ReplaceParts {
                            database,
                            table: *table,
                            chunk: *chunk,
                            removed: Vec::new(),
                            added: Vec::new(),
                            compressed: Some(false),
                        }],
                        ..Record::default()
                    },
                    ..Work::default()
                }));
            }
        }
        self.write(&mut self.writing(), &pendings);
        pendings
            .iter()
            .try_for_each(|pending| pending.result().map(|_| ()))?;
        Ok(due)
    }
}

impl State {
    /// Whether a chunk has rows in memory, or in more parts than one, or was never compressed.
    fn is_loose(&self, place: Place) -> Result<bool, EngineError> {
        let table = self.table(place.table_key());
        match table.and_then(|table| table.chunks.get(&place.chunk)) {
            Some(known) => {
                let worn = known.parts.iter().any(|part| !part.deleted.is_empty());
                let apart = known.parts.len() > 1 || worn || self.hot(place).is_some();
                Ok(!known.compressed || apart)
            }
            None => Err(CatalogError::NoChunk(place.chunk.to_string()).into()),
        }
    }

    /// Bytes that a chunk's rows take in memory.
    fn unpacked_bytes(&self, place: Place) -> usize {
        let table = self.table(place.table_key());
        let chunk = table.and_then(|table| table.chunks.get(&place.chunk));
        let parts = chunk.iter().flat_map(|chunk| &chunk.parts);
        let cold: u64 = parts.map(|part| part.unpacked).sum();
        usize::try_from(cold).unwrap_or(usize::MAX) + self.hot(place).map_or(0, HotPart::bytes)
    }
}
