//! Rows and keys that a transaction keeps others from changing.

use std::sync::Arc;

use chronolith_chunk::{KeyEncoder, Locator, RowSet, hash};
use chronolith_types::{ChunkId, TableId};
use roaring::RoaringBitmap;

use super::delete::source_of;
use super::{Isolation, Transaction};
use crate::error::EngineError;
use crate::locks::{KeySpace, LockMark, Locker, RowMode, Wait};
use crate::moves::{Source, lock_space, locked_as};
use crate::record::TableKey;
use crate::route::Claim;
use crate::view::TableView;

/// What locking rows gave.
#[derive(Debug, Clone, PartialEq)]
pub enum RowsLocked {
    /// All of them are locked, and as they were read.
    All,
    /// Somebody changed one of them since it was read. What was locked stays so: the statement is to
    /// be undone, and to begin again ([`Transaction::begin_change`]).
    Again,
    /// All but these are locked: others have them.
    Without(RowSet),
}

/// What claiming keys gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// Nobody has them, and until the transaction ends nobody else gets them.
    Free,
    /// Somebody committed one since the snapshot: the statement is to begin again.
    Again,
}

impl Transaction {
    /// Who holds its locks. Without this it holds them itself, until it ends.
    pub fn set_locker(&mut self, locker: Arc<Locker>) {
        self.locker = Some(locker);
    }

    /// Who holds its locks.
    pub fn locker(&mut self) -> Arc<Locker> {
        let locks = self.engine.locks();
        let locker = self.locker.get_or_insert_with(|| locks.locker(0));
        Arc::clone(locker)
    }

    /// Locks rows of a table by where they lie in a view of it, which was taken since
    /// [`Transaction::begin_change`]. Rows of its own need no lock.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ for rows that others changed since the snapshot, 55P03, 57014, 40P01.
    pub fn lock_rows(
        &mut self,
        view: &TableView,
        rows: &RowSet,
        mode: RowMode,
        wait: Wait,
    ) -> Result<RowsLocked, EngineError> {
        let key = TableKey::new(self.database, view.table.id);
        let locker = self.locker();
        let engine = Arc::clone(&self.engine);
        let mut without = RowSet::default();
        for ((chunk, number), rows) in rows.sources() {
            let place = key.place(ChunkId(i32::try_from(chunk).unwrap_or(i32::MAX)));
            let source = source_of(view, place, number)
                .ok_or_else(|| EngineError::Overtaken(view.table.name.clone()))?;
            if source == Source::Own || self.is_own(source) {
                continue;
            }
            loop {
                // Who moves rows holds the moves until locks and state are those of the new places.
                let moves = engine.moves.lock();
                let state = engine.state();
                let located = match moves.locate(&state, place, source, rows) {
                    Ok(located) => located,
                    // Somebody deleted one, and by now it is packed without it; or the chunk went.
                    Err(EngineError::Overtaken(_)) => return self.changed(),
                    Err(error) => return Err(error),
                };
                let mut left = None;
                for (place, source, rows) in located {
                    let mine = self.state.all_deleted(place, source);
                    let gone = state.all_deleted(place, source);
                    if !(&rows & &gone).is_subset(&mine) || !rows.is_disjoint(&gone) {
                        return self.changed();
                    }
                    let space = lock_space(place, source);
                    let numbers = locked_as(source, &rows);
                    let gained = locker.lock_rows(space, &numbers, mode, Wait::Skip)?;
                    if !gained.skipped.is_empty() {
                        left = Some((space, source, rows.len(), gained.skipped));
                        break;
                    }
                }
                drop(moves);
                let Some((space, of, all, skipped)) = left else {
                    break;
                };
                match wait {
                    Wait::Skip => {
                        // Where nothing moved, the numbers are those of the view.
                        if of == source && all == rows.len() {
                            let numbers = unlocked(source, &skipped);
                            without.insert_rows(chunk, number, &numbers);
                        } else {
                            without.insert_rows(chunk, number, rows);
                        }
                        break;
                    }
                    wait => {
                        let gained = locker.lock_rows(space, &skipped, mode, wait);
                        gained.map_err(|error| error.of_relation(&view.table.name))?;
                    }
                }
            }
        }
        match without.is_empty() {
            true => Ok(RowsLocked::All),
            false => Ok(RowsLocked::Without(without)),
        }
    }

    fn is_own(&self, source: Source) -> bool {
        matches!(source, Source::Part(id) if self.loaded.contains_key(&id))
    }

    fn changed(&self) -> Result<RowsLocked, EngineError> {
        match self.isolation {
            Isolation::ReadCommitted => Ok(RowsLocked::Again),
            Isolation::RepeatableRead => Err(EngineError::Conflict("update")),
        }
    }

    /// Keeps others from giving a table the keys that rows have, once none of those that have done so
    /// is open any more; the mark that gives the keys back.
    pub(super) fn lock_keys(&mut self, claim: &Claim) -> Result<LockMark, EngineError> {
        let locker = self.locker();
        let mark = locker.mark();
        if claim.keys.is_empty() {
            return Ok(mark);
        }
        let space = KeySpace {
            database: claim.place.database,
            table: claim.place.table,
            constraint: claim.constraint,
        };
        let hashes = claim.keys.iter().map(|key| hash(key)).collect();
        locker.lock_keys(space, hashes, Wait::Block)?;
        Ok(mark)
    }

    /// Claims the keys of rows, of one constraint, that [`Transaction::find`] did not find; `rows` has
    /// the table's columns. Waits for those who have claimed one before.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ when somebody has committed one, 55P03, 57014, 40P01; 42P01.
    pub fn claim(
        &mut self,
        table: TableId,
        constraint: u32,
        rows: &arrow::record_batch::RecordBatch,
    ) -> Result<Claimed, EngineError> {
        let table = self.found(table)?;
        let layout = crate::layout::layout_of(&table);
        let batch = crate::route::fitting(&table, &layout, rows)?;
        let key = TableKey::new(self.database, table.id);
        for (range, rows) in crate::route::split(&table, &layout, &batch)? {
            let chunk = match table.hypertable {
                Some(_) => table.chunk_at(range.start).map(|chunk| chunk.id),
                None => Some(chronolith_catalog::Table::PLAIN_CHUNK),
            };
            // A chunk that is not there yet has no rows, but its keys may be claimed.
            let place = key.place(chunk.unwrap_or(ChunkId(i32::MAX)));
            for mut claim in Claim::of(&table, &layout, place, &rows, &[])? {
                if claim.constraint != constraint {
                    continue;
                }
                self.lock_keys(&claim)?;
                let held = match chunk {
                    Some(_) => self.hold(&mut claim),
                    None => self.hold_new(&mut claim, range.start),
                };
                match (held, self.isolation) {
                    (Ok(()), _) => {}
                    (Err(EngineError::Unique { .. }), Isolation::ReadCommitted) => {
                        return Ok(Claimed::Again);
                    }
                    (Err(EngineError::Unique { .. }), Isolation::RepeatableRead) => {
                        return Err(EngineError::Conflict("update"));
                    }
                    (Err(error), _) => return Err(error),
                }
            }
        }
        Ok(Claimed::Free)
    }

    /// Holds a claim against a chunk that this transaction does not see.
    fn hold_new(&self, claim: &mut Claim, start: i64) -> Result<(), EngineError> {
        let latest = self.latest()?;
        let key = claim.place.table_key();
        let chunk = latest.table(key).and_then(|table| table.chunk_at(start));
        match chunk {
            Some(chunk) => self.engine.check_claim(&latest, claim, key.place(chunk.id)),
            None => Ok(()),
        }
    }
}

/// Numbers of locked rows as a view counts them.
fn unlocked(source: Source, rows: &RoaringBitmap) -> RoaringBitmap {
    let Source::Hot { left, .. } = source else {
        return rows.clone();
    };
    let left = u32::try_from(left & u64::from(u32::MAX)).unwrap_or(0);
    rows.iter().map(|row| row.wrapping_sub(left)).collect()
}

/// Finds rows by their keys.
impl Transaction {
    /// Of each row of a batch, which has the table's columns, the locator of the row in a view that
    /// has the same key; None where there is none, or a column of the key is NULL.
    ///
    /// # Errors
    /// What the disk gives; 42704 for a constraint that is not there.
    pub fn find(
        &mut self,
        view: &TableView,
        constraint: u32,
        rows: &arrow::record_batch::RecordBatch,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let layout = &view.layout;
        let mut found = vec![None; rows.num_rows()];
        let mut keys = view.table.unique_keys().into_iter();
        let Some((_, columns)) = keys.find(|(known, _)| known.id == constraint) else {
            return Ok(found);
        };
        let encoder = KeyEncoder::new(layout, &columns)?;
        let keys = encoder.keys(rows)?;
        let by_time = layout.time.filter(|time| columns.contains(time));
        let times = match by_time {
            Some(time) => Some(crate::route::time_values(rows.column(time))?),
            None => None,
        };
        for (id, chunk) in view.chunks.iter() {
            let in_chunk = |row: &usize| match &times {
                Some(times) => times
                    .get(*row)
                    .is_some_and(|time| chunk.range.contains(time)),
                None => true,
            };
            let mut wanted: Vec<usize> = (0..rows.num_rows())
                .filter(in_chunk)
                .filter(|row| keys.get(*row).is_some() && found.get(*row) == Some(&None))
                .collect();
            let number = chunk.chunk;
            let place = TableKey::new(self.database, view.table.id).place(*id);
            let mut note = |wanted: &mut Vec<usize>, source: u32, rows: Vec<Option<u32>>| {
                let mut left = Vec::new();
                for (row, there) in wanted.iter().zip(rows) {
                    match (there, found.get_mut(*row)) {
                        (Some(at), Some(found)) => {
                            let chunk = number;
                            let row = at;
                            *found = Some(Locator { chunk, source, row }.into());
                        }
                        _ => left.push(*row),
                    }
                }
                *wanted = left;
            };
            for (at, hot) in chunk.hot.iter().enumerate() {
                if wanted.is_empty() || hot.rows() == 0 {
                    continue;
                }
                let source = u32::try_from(at).unwrap_or(0);
                let asked = wanted.iter().filter_map(|row| keys.get(*row));
                let old = self.isolation == Isolation::RepeatableRead;
                let rows: Vec<Option<u32>> = match (source, old) {
                    (Locator::HOT, false) => {
                        let mut cache = self.engine.keys.lock();
                        let rows = cache.rows(place, constraint, hot, &encoder, asked)?;
                        rows.collect()
                    }
                    // The engine's cache knows newer rows than those of an old snapshot.
                    (Locator::HOT, true) => {
                        let cache = &mut self.old_cache;
                        cache
                            .rows(place, constraint, hot, &encoder, asked)?
                            .collect()
                    }
                    _ => {
                        let cache = &mut self.own_cache;
                        cache
                            .rows(place, constraint, hot, &encoder, asked)?
                            .collect()
                    }
                };
                note(&mut wanted, source, rows);
            }
            let parts = view.table.chunks.get(id).map(|chunk| &chunk.parts);
            for ((part, known), source) in chunk
                .cold
                .iter()
                .zip(parts.into_iter().flatten())
                .zip(Locator::COLD..)
            {
                if wanted.is_empty() {
                    break;
                }
                let asked: Vec<&[u8]> = wanted.iter().filter_map(|row| keys.get(*row)).collect();
                let sought = crate::coldkeys::Sought {
                    layout,
                    columns: &columns,
                    encoder: &encoder,
                    constraint,
                    keys: &asked,
                    rows,
                    key_rows: &wanted,
                };
                let rows = self.engine.cold_rows(known.id, part, &sought)?;
                note(&mut wanted, source, rows);
            }
        }
        Ok(found)
    }
}
