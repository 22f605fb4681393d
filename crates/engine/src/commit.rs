//! Group commit: whoever has the log writes what all who wait have gathered, with one sync.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronolith_catalog::{Change, Table};
use chronolith_types::{ChunkId, Lsn};
use chronolith_wal::Log;
use parking_lot::Mutex;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::record::{Place, Record};
use crate::route::Claim;
use crate::state::State;

/// The log, and how much of it a restart would replay.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: Log,
    /// Bytes logged since the last checkpoint.
    pub(crate) log_bytes: u64,
    /// Up to where the checkpoint before the last one holds: the log is kept from there on.
    pub(crate) checkpoint: Lsn,
}

/// A transaction that waits to be committed.
#[derive(Debug)]
pub(crate) struct Pending {
    work: Mutex<Option<(Record, Vec<Claim>)>>,
    outcome: Mutex<Option<Result<Lsn, EngineError>>>,
}

impl Pending {
    pub(crate) fn new(record: Record, claims: Vec<Claim>) -> Arc<Self> {
        Arc::new(Self {
            work: Mutex::new(Some((record, claims))),
            outcome: Mutex::new(None),
        })
    }

    /// What became of it, once it was written.
    pub(crate) fn result(&self) -> Result<Lsn, EngineError> {
        match self.outcome.lock().take() {
            Some(outcome) => outcome,
            None => Err(EngineError::Record(
                "a transaction was lost on its way to the log".into(),
            )),
        }
    }
}

impl Engine {
    /// Commits; returns when the record is safe and visible, or refused.
    pub(crate) fn commit(&self, pending: &Arc<Pending>) -> Result<Lsn, EngineError> {
        self.queue.lock().push(Arc::clone(pending));
        let mut writer = self.writer.lock();
        // Whoever had the writer before may have written this one with its own.
        if pending.outcome.lock().is_none() {
            let group = std::mem::take(&mut *self.queue.lock());
            self.write(&mut writer, &group);
        }
        drop(writer);
        pending.result()
    }

    /// Writes a group of transactions: one sync, then visible in the log's order.
    pub(crate) fn write(&self, writer: &mut Writer, group: &[Arc<Pending>]) {
        let mut state = self.state();
        let mut written = Vec::new();
        let mut bytes = 0;
        for pending in group {
            let Some((record, claims)) = pending.work.lock().take() else {
                continue;
            };
            match self.prepare(writer, &state, record, &claims) {
                Ok((next, lsn, length)) => {
                    state = Arc::new(next);
                    bytes += length;
                    written.push((pending, lsn));
                }
                Err(error) => *pending.outcome.lock() = Some(Err(error)),
            }
        }
        if written.is_empty() {
            return;
        }
        match writer.log.sync() {
            Ok(_) => {
                writer.log_bytes += bytes;
                self.publish(state);
                for (pending, lsn) in written {
                    *pending.outcome.lock() = Some(Ok(lsn));
                }
            }
            Err(error) => {
                // One failure, as many errors as there are transactions that waited for it.
                let mut first = Some(error);
                for (pending, _) in written {
                    let error = first.take().unwrap_or(chronolith_wal::WalError::Poisoned);
                    *pending.outcome.lock() = Some(Err(error.into()));
                }
            }
        }
    }

    fn publish(&self, next: Arc<State>) {
        let before = std::mem::replace(&mut *self.state.write(), Arc::clone(&next));
        for (id, part) in before.cold.iter() {
            if !next.cold.contains_key(id) {
                // The record that drops it is safe: the files go with their last reader.
                part.dropped.store(true, Ordering::Release);
            }
        }
    }

    fn prepare(
        &self,
        writer: &mut Writer,
        state: &State,
        mut record: Record,
        claims: &[Claim],
    ) -> Result<(State, Lsn, u64), EngineError> {
        let moved = settle_chunks(state, &mut record, || self.allocate_oid());
        self.check_claims(state, claims, &moved)?;
        let next = state.after(&record, &self.platform.disk)?;
        let parts = record.encode()?;
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let length = parts.iter().map(|part| part.len() as u64).sum();
        let lsn = writer.log.append_parts(&parts)?;
        Ok((next, lsn, length))
    }
}

/// Chunks that the transaction meant to make may have been made since by another, or their numbers
/// given away: rows then go to the chunk that is there. Gives the new number of each old one.
pub(crate) fn settle_chunks(
    state: &State,
    record: &mut Record,
    mut oid: impl FnMut() -> u32,
) -> BTreeMap<Place, ChunkId> {
    let mut moved = BTreeMap::new();
    let mut next_chunks = BTreeMap::new();
    record.changes.retain_mut(|change| {
        let Change::AddChunk {
            database,
            table,
            chunk,
            range,
            oid: own_oid,
            ..
        } = change
        else {
            return true;
        };
        let place = Place {
            database: *database,
            table: *table,
            chunk: *chunk,
        };
        let there = state
            .catalog
            .table(*database, *table)
            .and_then(|table: &Arc<Table>| table.chunk_at(range.start));
        if let Some(there) = there {
            moved.insert(place, there.id);
            return false;
        }
        let next = next_chunks.entry(*database).or_insert_with(|| {
            state
                .catalog
                .databases
                .get(database)
                .map_or(1, |database| database.next_chunk)
        });
        if chunk.0 != *next {
            moved.insert(place, ChunkId(*next));
            *chunk = ChunkId(*next);
            *own_oid = oid();
        }
        *next += 1;
        true
    });
    for (place, _) in &mut record.rows {
        if let Some(chunk) = moved.get(place) {
            place.chunk = *chunk;
        }
    }
    moved
}
