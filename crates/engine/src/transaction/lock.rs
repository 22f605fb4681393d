//! Rows and keys that a transaction keeps others from changing.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::{RowSet, hash};
use chronolith_types::{ChunkId, TableId};

use super::delete::source_of;
use super::{Isolation, Transaction};
use crate::error::EngineError;
use crate::layout::layout_for;
use crate::locks::{KeySpace, LockMark, Locker, RowMode, Wait};
use crate::moves::{Source, lock_space, locked_as, unlocked};
use crate::record::TableKey;
use crate::route::{self, Claim};
use crate::state::State;
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

/// What became of a row that has a key which is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// It was waited for, or somebody changed it meanwhile.
    Changed,
    /// It is there, and nobody is about to change it.
    Stays,
    /// It is not there any more.
    Gone,
}

/// What a statement saw of others: equal to that of another when nobody committed between.
#[derive(Debug, Clone, Default)]
pub struct Seen(Weak<State>);

impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.0, &other.0)
    }
}

impl Transaction {
    /// What it sees now of others. Keeps nothing of it in memory.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(Arc::downgrade(&self.snapshot))
    }

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
        self.keep_chunks_of(view, rows, mode)?;
        let key = TableKey::new(self.database, view.table.id);
        let locker = self.locker();
        let engine = Arc::clone(&self.engine);
        let mut without = RowSet::default();
        let mut own = false;
        for ((chunk, number), rows) in rows.sources() {
            let place = key.place(ChunkId(i32::try_from(chunk).unwrap_or(i32::MAX)));
            let source = source_of(view, place, number)
                .ok_or_else(|| EngineError::Overtaken(view.table.name.clone()))?;
            if source == Source::Own || self.is_own(source) {
                own = true;
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
                    if !state.deleted_among(place, source, &rows).is_empty() {
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
        if own && mode == RowMode::Gone {
            self.raise(view, wait)?;
        }
        match without.is_empty() {
            true => Ok(RowsLocked::All),
            false => Ok(RowsLocked::Without(without)),
        }
    }

    /// Rows of its own go, and what they were before may have been others' rows, whose keys then go
    /// as well. Which of them nobody knows any more: all that it changed are locked as those that go.
    fn raise(&mut self, view: &TableView, wait: Wait) -> Result<(), EngineError> {
        let locker = self.locker();
        loop {
            let moves = self.engine.moves.lock();
            let mut left = None;
            for (space, rows) in locker.rows_of(view.table.id, RowMode::Changed) {
                let gained = locker.lock_rows(space, &rows, RowMode::Gone, Wait::Skip)?;
                if !gained.skipped.is_empty() {
                    left = Some((space, gained.skipped));
                    break;
                }
            }
            drop(moves);
            match (left, wait) {
                (None, _) | (_, Wait::Skip) => return Ok(()),
                (Some((space, skipped)), wait) => {
                    let gained = locker.lock_rows(space, &skipped, RowMode::Gone, wait);
                    gained.map_err(|error| error.of_relation(&view.table.name))?;
                }
            }
        }
    }

    pub(super) fn is_own(&self, source: Source) -> bool {
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

    /// Waits for who is about to change the first of some rows whose key is there. Who holds keys here
    /// would keep that one from using them again.
    pub(super) fn settled(
        &mut self,
        key: TableKey,
        constraint: u32,
        rows: &RecordBatch,
        wanted: &[usize],
    ) -> Result<Settled, EngineError> {
        // Rows of what is read from now on can be found again.
        let (_pin, _) = self.engine.pin();
        let latest = self.latest()?;
        let all = i64::MIN..i64::MAX;
        let Some(view) = latest.view(key, &BTreeMap::new(), &all) else {
            return Ok(Settled::Gone);
        };
        let found = self.find_in(&view, constraint, rows, false)?;
        let met = wanted.iter();
        let met = met
            .copied()
            .find_map(|row| found.get(row).copied().flatten());
        let Some(met) = met else {
            return Ok(Settled::Gone);
        };
        let mut rows = RowSet::default();
        rows.insert(met);
        for wait in [Wait::Skip, Wait::Block] {
            match self.lock_rows(&view, &rows, RowMode::Settled, wait) {
                Ok(RowsLocked::All) if wait == Wait::Skip => return Ok(Settled::Stays),
                Ok(RowsLocked::Without(_)) => {}
                Ok(_) | Err(EngineError::Conflict(_)) => return Ok(Settled::Changed),
                Err(error) => return Err(error),
            }
        }
        Ok(Settled::Changed)
    }

    /// Whether a key that was met in a state or a later one may be free by now: a row that was met and
    /// is not there any more was taken away between the two looks.
    pub(super) fn may_have_changed(&self, found: Settled, looked: &Arc<State>) -> bool {
        match found {
            Settled::Changed => true,
            Settled::Stays => false,
            Settled::Gone => !Arc::ptr_eq(looked, &self.engine.state()),
        }
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
        rows: &RecordBatch,
    ) -> Result<Claimed, EngineError> {
        let table = self.found(table)?;
        let layout = layout_for(&table);
        let batch = route::fitting(&table, &layout, rows)?;
        let key = TableKey::new(self.database, table.id);
        for (range, rows) in route::split(&table, &layout, &batch)? {
            let chunk = match table.hypertable {
                Some(_) => table.chunk_at(range.start).map(|chunk| chunk.id),
                None => Some(Table::PLAIN_CHUNK),
            };
            // A chunk that is not there yet has no rows, but its keys may be claimed.
            let place = key.place(chunk.unwrap_or(ChunkId(i32::MAX)));
            for mut claim in Claim::of(&table, &layout, place, &rows, &[])? {
                if claim.constraint != constraint {
                    continue;
                }
                let mark = self.lock_keys(&claim)?;
                let held = match chunk {
                    Some(_) => self.hold(&mut claim),
                    None => self.hold_new(&mut claim, range.start),
                };
                match (held, self.isolation) {
                    (Ok(()), _) => {}
                    (Err(EngineError::Unique { .. }), Isolation::ReadCommitted) => {
                        self.locker().release_to(mark);
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
