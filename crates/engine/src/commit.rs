//! Group commit: whoever has the log writes what all who wait have gathered, with one sync.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronolith_catalog::{Change, Table};
use chronolith_chunk::HotPart;
use chronolith_types::{ChunkId, Lsn, PartId};
use chronolith_wal::{Log, WalError};
use roaring::RoaringBitmap;

use crate::amend::Amendment;
use crate::check::{Checked, Rule};
use crate::clash::LoadClaim;
use crate::dependants::Kept;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::layout::same_shape;
use crate::locks::Locker;
use crate::maintain::is_worn;
use crate::moves::{Deletion, Moved, Source};
use crate::queue::Pending;
use crate::record::{Place, Record, TableKey};
use crate::route::Claim;
use crate::state::{Loaded, OpenPart, Parts, State};
use crate::streams::Streams;
use crate::watch::{Watch, moved_rows};

/// The log, and how much of it a restart would replay.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: Log,
    /// Up to where the checkpoint before the last one holds: the log is kept from there on.
    pub(crate) checkpoint: Lsn,
    pub(crate) streams: Streams,
}

/// What a transaction wants to be committed, and what it took for granted.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) record: Record,
    pub(crate) claims: Vec<Arc<Claim>>,
    /// Parts that the record adds and that are open.
    pub(crate) loaded: Loaded,
    /// Keys of those parts.
    pub(crate) loads: Vec<Arc<LoadClaim>>,
    /// Tables as the rows were made for.
    pub(crate) shapes: Vec<(TableKey, Arc<Table>)>,
    /// Rules that were held against all rows.
    pub(crate) checked: Vec<Checked>,
    /// What a flush, merge or rewrite packed.
    pub(crate) packed: Vec<Packed>,
    /// For which stores its rows were computed; None of what changes no rows.
    pub(crate) kept: Option<Kept>,
    /// What of stores was computed anew: it must still be marked.
    pub(crate) rewritten: Vec<(TableKey, Range<i64>)>,
    /// What must still be so of other tables, and the transaction's own rows.
    pub(crate) watches: Vec<Watch>,
    pub(crate) own: BTreeMap<Place, HotPart>,
    /// Committed rows that it deletes.
    pub(crate) deletions: Vec<Arc<Deletion>>,
    /// One row that is changed, and nothing else.
    pub(crate) amendment: Option<Arc<Amendment>>,
    /// Whose locks end with it: whoever writes it gives them back at once, so that nobody who waits
    /// for one waits for its session as well.
    pub(crate) locker: Option<Arc<Locker>>,
}

/// Rows that have been packed, and must be the ones that are there when their part takes their
/// place.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) place: Place,
    /// Of the hot part whose first rows were packed, where there were any, and how many they are.
    pub(crate) generation: Option<u64>,
    pub(crate) hot_rows: usize,
    pub(crate) parts: Vec<PartId>,
    /// How many rows of all these were deleted.
    pub(crate) gone: u64,
    /// Where each row went; what is deleted meanwhile is deleted there. None where nothing may be.
    pub(crate) moved: Option<Arc<Moved>>,
}

/// A group that is being written.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Parts that its records name for the first time.
    named: Vec<Arc<OpenPart>>,
    /// Parts that its records name no more.
    dropped: Vec<Arc<OpenPart>>,
    /// Rows that its records move.
    moved: Vec<(Place, Arc<Moved>)>,
    /// Rows that its records delete.
    pub(crate) deleted: Vec<Arc<Deletion>>,
    /// Whose locks end with it.
    pub(crate) lockers: Vec<Arc<Locker>>,
    bytes: u64,
}

impl Group {
    /// Whether its records move rows.
    pub(crate) fn moves_rows(&self) -> bool {
        !self.moved.is_empty()
    }
}

impl Engine {
    /// Commits; returns when the record is safe and visible, or refused. With a locker, waiting for
    /// those who commit is done aside.
    pub(crate) fn commit(
        &self,
        pending: &Arc<Pending>,
        locker: Option<&Locker>,
    ) -> Result<Lsn, EngineError> {
        self.enqueue(pending);
        let wait = || self.writing();
        let mut writer = match (self.try_writing(), locker) {
            (Some(writer), _) => writer,
            (None, Some(locker)) => locker.aside(wait),
            (None, None) => wait(),
        };
        // Whoever had the writer before may have written this one with its own.
        self.write_waiting(&mut writer, pending);
        drop(writer);
        pending.result()
    }

    /// Writes a group of transactions: one sync, then visible in the log's order.
    pub(crate) fn write(&self, writer: &mut Writer, pendings: &[Arc<Pending>]) {
        let mut state = State::clone(&self.state());
        let mut group = Group::default();
        let mut written = Vec::new();
        for pending in pendings {
            let Some(work) = pending.take() else {
                continue;
            };
            let put = match &work.amendment {
                // Where nothing is to be done, what says so may not be safe yet: it waits as well.
                Some(amendment) => self
                    .amend(writer, &mut state, amendment, &mut group)
                    .map(|lsn| lsn.unwrap_or(Lsn(self.durable.load(Ordering::Acquire)))),
                None => self.prepare(writer, &mut state, work, &mut group),
            };
            match put {
                Ok(lsn) => written.push((pending, lsn)),
                Err(error) => pending.finish(Err(error)),
            }
        }
        if written.is_empty() {
            return;
        }
        let synced = writer.log.sync();
        self.note(&writer.log);
        match synced {
            Ok(_) => {
                self.log_bytes.fetch_add(group.bytes, Ordering::Relaxed);
                for part in &group.named {
                    part.set_named(true);
                }
                self.publish(state, std::mem::take(&mut group.moved), &group.deleted);
                for locker in &group.lockers {
                    locker.end_transaction();
                }
                for part in &group.dropped {
                    self.cold_keys.lock().forget(part.id);
                    // The record that drops it is safe: the files go with their last reader.
                    part.set_named(false);
                }
                for (pending, lsn) in written {
                    pending.finish(Ok(lsn));
                }
            }
            Err(error) => {
                if !matches!(error, WalError::NoSpace { .. }) {
                    // The records may be safe for all we know, and then name these files.
                    for part in &group.named {
                        part.set_named(true);
                    }
                }
                // It may know rows that are not there.
                self.keys.lock().clear();
                // One failure, as many errors as there are transactions that waited for it.
                let mut first = Some(error);
                for (pending, _) in written {
                    let error = first.take().unwrap_or(WalError::Poisoned);
                    pending.finish(Err(error.into()));
                }
            }
        }
    }

    /// Makes a state the one that is read.
    fn publish(&self, state: State, moved: Vec<(Place, Arc<Moved>)>, deleted: &[Arc<Deletion>]) {
        // Who pins between would know rows by where they were, and never learn that they moved; who
        // locks a row between would have one that is gone.
        let busy = !moved.is_empty() || !deleted.is_empty();
        let mut moves = busy.then(|| self.moves.lock());
        if let Some(moves) = &mut moves {
            self.follow_keys(moves, &state, deleted);
            for (place, moved) in moved {
                moved.move_locks(place, &self.locks);
                moves.add(moved, self.config.hot_bytes_max / 8);
            }
        }
        *self.state.write() = Arc::new(state);
    }

    /// Puts a transaction into the log's group and into the state; or refuses it, and leaves both
    /// as they were.
    fn prepare(
        &self,
        writer: &mut Writer,
        state: &mut State,
        mut work: Work,
        group: &mut Group,
    ) -> Result<Lsn, EngineError> {
        if let Some(kept) = &work.kept
            && kept.forget_gone(state, &mut work.record)
        {
            work.forget_loaded();
        }
        let moved = settle_chunks(state, &mut work.record, || self.allocate_oid())?.moved;
        for packed in &work.packed {
            packed.check(state)?;
        }
        for (key, range) in &work.rewritten {
            check_rewritten(state, *key, range)?;
        }
        let record = &mut work.record;
        let mut next = state.clone();
        let mut dropped = Vec::new();
        let parts = Parts::Now(&self.platform.disk, &work.loaded);
        for change in &record.changes {
            next.change(change, parts, &mut dropped)?;
        }
        for packed in &work.packed {
            packed.catch_up(state, &mut next, record)?;
        }
        self.delete(&mut next, &work.deletions, &group.moved, record)?;
        if let Some(kept) = &work.kept {
            kept.check_frozen(state)?;
            self.settle_stores(state, &mut next, kept, record)?;
        }
        for checked in &work.checked {
            if state.print(checked.key) != checked.print {
                // Others wrote to the table since it was looked at.
                next.check_rule(checked.key, &BTreeMap::new(), &checked.rule)?;
            }
        }
        for (key, table) in &work.shapes {
            if next.table(*key).is_some_and(|now| !same_shape(now, table)) {
                return Err(EngineError::Overtaken(table.name.clone()));
            }
        }
        if !work.watches.is_empty() {
            let own = moved_rows(&work.own, &moved);
            for watch in &work.watches {
                watch.check(state, &next, &own)?;
            }
        }
        next.check_rows(&record.rows)?;
        next.check_boundaries(&work.shapes, record, &moved)?;
        self.check_claims(&next, &work.claims, &moved)?;
        for load in &work.loads {
            load.check(&next)?;
        }
        let lsn = self.put(writer, state, next, record, group)?;
        if work
            .kept
            .as_ref()
            .is_some_and(|kept| !kept.stores.is_empty())
        {
            self.note_crowded(state, record);
        }
        let moved = work
            .packed
            .into_iter()
            .filter_map(|packed| Some((packed.place, packed.moved?)));
        group.moved.extend(moved);
        group.deleted.append(&mut work.deletions);
        group.lockers.extend(work.locker);
        group.named.extend(work.loaded.into_values());
        group.dropped.append(&mut dropped);
        Ok(lsn)
    }

    /// Puts a record into the group, and makes its state the one that comes after it: `next`, with the
    /// record's rows.
    pub(crate) fn put(
        &self,
        writer: &mut Writer,
        state: &mut State,
        next: State,
        record: &Record,
        group: &mut Group,
    ) -> Result<Lsn, EngineError> {
        let pieces = record.encode(&mut writer.streams)?;
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let length: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let lsn = writer.log.append_parts(&pieces)?;
        // Nothing refuses from here on. Unless there were changes, the maps that rows go into are
        // shared with nobody but the readers' state: one copy a group.
        *state = next;
        let applied = state.apply_rows(record);
        // A log that says more than the state would, replayed, give other rows.
        assert!(applied.is_ok(), "rows that were checked do not fit");
        self.note_worn(state, record);
        group.bytes += length;
        Ok(lsn)
    }

    /// Deletes rows where they are by now.
    fn delete(
        &self,
        next: &mut State,
        deletions: &[Arc<Deletion>],
        moved: &[(Place, Arc<Moved>)],
        record: &mut Record,
    ) -> Result<(), EngineError> {
        if deletions.is_empty() {
            return Ok(());
        }
        let moves = self.moves.lock();
        for deletion in deletions {
            // Rows that a commit before this one in the group moves are where it puts them.
            for (place, source, rows) in deletion.locate_after(&moves, moved, next)? {
                if !next.deleted_among(place, source, &rows).is_empty() {
                    return Err(EngineError::Conflict("update"));
                }
                next.delete(place, source, &rows, record)?;
            }
        }
        Ok(())
    }

    /// Notes parts that ought to be packed anew for what is deleted of them.
    fn note_worn(&self, state: &State, record: &Record) {
        for change in &record.changes {
            let Change::DeleteRows {
                database,
                table,
                chunk,
                part,
                ..
            } = change
            else {
                continue;
            };
            let place = TableKey::new(*database, *table).place(*chunk);
            if state.part_entry(place, *part).is_some_and(is_worn) {
                self.worn.lock().insert((place, *part));
                self.is_worn.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Notes chunks of stores that ought to be flushed.
    fn note_crowded(&self, state: &State, record: &Record) {
        for (place, _) in &record.rows {
            let crowded = state
                .hot(*place)
                .is_some_and(|hot| hot.rows() > self.config.partial_rows_max);
            if crowded && state.rollup(place.table_key()).is_some() {
                self.crowded.lock().insert(*place);
                self.is_crowded.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Notes for those who do not hold the log how it is.
    pub(crate) fn note(&self, log: &Log) {
        self.poisoned.store(log.poisoned(), Ordering::Release);
        self.durable.store(log.durable_lsn().0, Ordering::Release);
    }
}

/// Rows computed from what is gone by now, or known to be right, are worth nothing: somebody
/// truncated the source, or was faster.
fn check_rewritten(state: &State, key: TableKey, range: &Range<i64>) -> Result<(), EngineError> {
    match state.rollup(key) {
        Some(rollup) if rollup.is_invalid(range) => Ok(()),
        _ => Err(EngineError::Overtaken(key.table.to_string())),
    }
}

impl Work {
    /// Files of parts that its record does not name go.
    fn forget_loaded(&mut self) {
        let mut named = HashSet::new();
        for change in &self.record.changes {
            if let Change::ReplaceParts { added, .. } = change {
                named.extend(added.iter().map(|part| part.id));
            }
        }
        self.loaded.retain(|id, _| named.contains(id));
    }
}

impl Packed {
    fn check(&self, state: &State) -> Result<(), EngineError> {
        let overtaken = || EngineError::Overtaken(self.place.table.to_string());
        let table = state.table(self.place.table_key()).ok_or_else(overtaken)?;
        let chunk = table.chunks.get(&self.place.chunk).ok_or_else(overtaken)?;
        let named = |id: &PartId| chunk.parts.iter().any(|part| part.id == *id);
        let hot = match self.generation {
            Some(generation) => state
                .hot(self.place)
                .is_some_and(|hot| hot.generation() == generation),
            None => true,
        };
        match hot && self.parts.iter().all(named) {
            true => Ok(()),
            false => Err(overtaken()),
        }
    }

    /// What was deleted of the rows while they were packed is deleted of their part.
    fn catch_up(
        &self,
        state: &State,
        next: &mut State,
        record: &mut Record,
    ) -> Result<(), EngineError> {
        let hot = state.hot(self.place).filter(|_| self.hot_rows > 0);
        let hot = hot.map(|hot| {
            let mut deleted = hot.deleted();
            // Later rows stay where they are.
            deleted.remove_range(u32::try_from(self.hot_rows).unwrap_or(u32::MAX)..);
            deleted
        });
        let parts = self.parts.iter().map(|id| {
            let part = state.part_entry(self.place, *id);
            part.map(|part| (*part.deleted.0).clone())
                .unwrap_or_default()
        });
        let now: Vec<RoaringBitmap> = parts.chain(hot).collect();
        if now.iter().map(RoaringBitmap::len).sum::<u64>() == self.gone {
            return Ok(());
        }
        let overtaken = || EngineError::Overtaken(self.place.table.to_string());
        let moved = self.moved.as_ref().ok_or_else(overtaken)?;
        let mut gone = RoaringBitmap::new();
        for (input, (of, mut now)) in moved.inputs.iter().zip(now).enumerate() {
            now -= &of.deleted;
            gone |= moved.rows_of(input, &now).ok_or_else(overtaken)?;
        }
        next.delete(self.place, Source::Part(moved.to), &gone, record)
    }
}

/// What became of chunks that a transaction meant to make.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The new number of each that has another.
    pub(crate) moved: BTreeMap<Place, ChunkId>,
    /// Which of the changes went, since another made the chunk.
    pub(crate) gone: Vec<usize>,
}

/// Chunks that the transaction meant to make may have been made since by another, or their numbers
/// given away: rows and parts then go to the chunk that is there.
pub(crate) fn settle_chunks(
    state: &State,
    record: &mut Record,
    mut oid: impl FnMut() -> u32,
) -> Result<Settled, EngineError> {
    let mut settled = Settled::default();
    let mut next_chunks = BTreeMap::new();
    let mut index = 0;
    let mut truncated: Vec<TableKey> = Vec::new();
    let mut dropped: Vec<Place> = Vec::new();
    let mut misfit: Option<EngineError> = None;
    let moved = &mut settled.moved;
    record.changes.retain_mut(|change| {
        index += 1;
        match change {
            Change::AddChunk {
                database,
                table,
                chunk,
                range,
                oid: own_oid,
                ..
            } => {
                let key = TableKey::new(*database, *table);
                let there = state
                    .table(key)
                    .filter(|_| !truncated.contains(&key))
                    .and_then(|table| table.chunk_at(range.start))
                    .filter(|there| !dropped.contains(&key.place(there.id)))
                    // A plain table's is gone with what makes it a hypertable.
                    .filter(|there| there.id != Table::PLAIN_CHUNK);
                if let Some(there) = there {
                    if there.range.start > range.start || there.range.end < range.end {
                        // Cut by another width: not all rows lie within it.
                        misfit = Some(EngineError::Overtaken(table.to_string()));
                    }
                    moved.insert(key.place(*chunk), there.id);
                    settled.gone.push(index - 1);
                    return false;
                }
                let next = next_chunks.entry(*database).or_insert_with(|| {
                    let database = state.catalog.databases.get(database);
                    database.map_or(1, |database| database.next_chunk)
                });
                if chunk.0 != *next {
                    moved.insert(key.place(*chunk), ChunkId(*next));
                    *chunk = ChunkId(*next);
                    *own_oid = oid();
                }
                *next += 1;
            }
            Change::MergeChunks {
                database,
                table,
                chunks,
            } => {
                let key = TableKey::new(*database, *table);
                for chunk in chunks {
                    if let Some(now) = moved.get(&key.place(*chunk)) {
                        *chunk = *now;
                    }
                }
            }
            Change::SplitChunk {
                database,
                table,
                chunk,
                new,
                oid: own_oid,
                ..
            } => {
                let key = TableKey::new(*database, *table);
                if let Some(now) = moved.get(&key.place(*chunk)) {
                    *chunk = *now;
                }
                let next = next_chunks.entry(*database).or_insert_with(|| {
                    let database = state.catalog.databases.get(database);
                    database.map_or(1, |database| database.next_chunk)
                });
                if new.0 != *next {
                    moved.insert(key.place(*new), ChunkId(*next));
                    *new = ChunkId(*next);
                    *own_oid = oid();
                }
                *next += 1;
            }
            Change::ReplaceParts {
                database,
                table,
                chunk,
                ..
            }
            | Change::DropChunk {
                database,
                table,
                chunk,
            }
            | Change::DetachChunk {
                database,
                table,
                chunk,
            } => {
                let key = TableKey::new(*database, *table);
                if let Some(now) = moved.get(&key.place(*chunk)) {
                    *chunk = *now;
                }
                if let Change::DropChunk { chunk, .. } | Change::DetachChunk { chunk, .. } = change
                {
                    dropped.push(key.place(*chunk));
                }
            }
            Change::Truncate { database, table } => {
                truncated.push(TableKey::new(*database, *table));
            }
            _ => {}
        }
        true
    });
    if let Some(misfit) = misfit {
        return Err(misfit);
    }
    for (place, _) in &mut record.rows {
        if let Some(chunk) = settled.moved.get(place) {
            place.chunk = *chunk;
        }
    }
    Ok(settled)
}

/// The rules that a change asks of the rows that are there.
pub(crate) fn rules(before: &State, change: &Change) -> Vec<(TableKey, Rule)> {
    let (Change::AddColumn {
        database, table, ..
    }
    | Change::ChangeColumn {
        database, table, ..
    }
    | Change::AddConstraint {
        database, table, ..
    }) = change
    else {
        return Vec::new();
    };
    let key = TableKey::new(*database, *table);
    let table = before.table(key).map(|table| &**table);
    let rules = Rule::of(table, change).into_iter();
    rules.map(|rule| (key, rule)).collect()
}
