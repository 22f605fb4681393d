//! New rows, and parts of loads: where they go, and what their keys are held against.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Table};
use chronolith_types::{ChunkId, PartId, TableId};

use super::boundaries::cuts;
use super::{Touched, Transaction};
use crate::boundaries::LoadedPart;
use crate::clash::{Clash, LoadClaim};
use crate::error::EngineError;
use crate::intake::Intake;
use crate::keys::KeyCache;
use crate::layout::{layout_for, same_shape};
use crate::load::BulkLoader;
use crate::record::{Place, TableKey};
use crate::route::{self, Claim};
use crate::state::{OpenPart, State};

/// What is known of the keys of rows that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeysAre {
    /// Others may have them.
    New,
    /// Each is that of a row whose place it takes, which the transaction has locked and deleted:
    /// nobody else can have got it meanwhile.
    Kept,
}

/// So often a key that somebody has is looked for again, where it was gone by the time that it was
/// looked at.
const SETTLED_MAX: usize = 1000;

impl Transaction {
    /// Adds rows; `batch` has the table's columns in their order and physical types.
    ///
    /// # Errors
    /// 23502, 23505, and 42P01 for a table that is not there.
    pub fn insert(&mut self, table: TableId, batch: &RecordBatch) -> Result<u64, EngineError> {
        self.insert_with(table, batch, KeysAre::New)
    }

    /// The same, the keys being new or not.
    pub(crate) fn insert_with(
        &mut self,
        table: TableId,
        batch: &RecordBatch,
        keys: KeysAre,
    ) -> Result<u64, EngineError> {
        let (table, routed) = self.route(table, batch)?;
        let point = self.point();
        let inserted = routed
            .into_iter()
            .try_for_each(|(range, rows)| self.insert_into(&table, range, rows, keys));
        if let Err(error) = inserted {
            // A statement is whole or not at all.
            self.undo_to(point)?;
            return Err(error);
        }
        Ok(batch.num_rows() as u64)
    }

    /// Begins a load: more rows for a table than memory is for.
    ///
    /// # Errors
    /// 42P01 for a table that is not there.
    pub fn loader(&self, table: TableId) -> Result<BulkLoader, EngineError> {
        let table = self.found(table)?;
        let (engine, catalog) = (Arc::clone(&self.engine), self.catalog());
        Ok(BulkLoader::new(engine, self.database, catalog, table))
    }

    /// Begins to take a statement's rows, be they few or many.
    ///
    /// # Errors
    /// 42P01 for a table that is not there.
    pub fn intake(&self, table: TableId) -> Result<Intake, EngineError> {
        let table = self.found(table)?;
        let (engine, catalog) = (Arc::clone(&self.engine), self.catalog());
        Ok(Intake::new(engine, self.database, catalog, table))
    }

    /// Adds parts to the chunk of a range, or to those that others have cut it into; they were packed
    /// for `made_for`, and are all there is of a load for that chunk.
    pub(crate) fn add_parts(
        &mut self,
        made_for: &Arc<Table>,
        range: &Range<i64>,
        parts: Vec<LoadedPart>,
    ) -> Result<(), EngineError> {
        let mut table = self.found(made_for.id)?;
        loop {
            let starts = std::iter::once(range.start).chain(cuts(&table, range));
            let kept = self.keep_chunks(&table, starts)?;
            // Chunks that it does not see yet may be narrower than the one that it would make.
            let key = TableKey::new(self.database, table.id);
            let cuts_in = |state: &State| state.table(key).map(|table| cuts(table, range));
            let (seen, now) = (cuts_in(&self.snapshot), cuts_in(&self.engine.state()));
            let seen = seen.unwrap_or_default();
            if kept && now.is_none_or(|now| now.is_subset(&seen)) {
                break;
            }
            self.go_on(&table)?;
            table = self.found(made_for.id)?;
        }
        if !same_shape(&table, made_for) {
            return Err(EngineError::Overtaken(made_for.name.clone()));
        }
        for (range, parts) in self.recut(&table, range, parts)? {
            self.add_parts_to(&table, &range, parts)?;
        }
        Ok(())
    }

    /// The same of parts that lie in one chunk, which is there or to be made.
    fn add_parts_to(
        &mut self,
        table: &Arc<Table>,
        range: &Range<i64>,
        parts: Vec<LoadedPart>,
    ) -> Result<(), EngineError> {
        let place = self.place(table, range.clone())?;
        let table = self.found(table.id)?;
        let chunk = table.chunks.get(&place.chunk);
        if chunk.is_none_or(|at| at.range.start > range.start || at.range.end < range.end) {
            return Err(EngineError::Overtaken(table.name.clone()));
        }
        // Rows that are there already arrived before these, and are to be read before them.
        self.engine.flush_hot(place)?;
        let own = self.own_part(&table, place)?;
        let parts: Vec<LoadedPart> = own.into_iter().chain(parts).collect();
        let fresh: Vec<Arc<OpenPart>> = parts.iter().map(|(_, open)| Arc::clone(open)).collect();
        let claim = self.hold_load(&table, place, range, fresh)?;
        let mut added = Vec::with_capacity(parts.len());
        for (part, open) in parts {
            self.loaded.insert(part.id, open);
            added.push(Arc::new(part));
        }
        self.change(Change::ReplaceParts {
            database: self.database,
            table: table.id,
            chunk: place.chunk,
            removed: Vec::new(),
            added,
            compressed: None,
        })?;
        let how = Touched {
            inserted: true,
            deleted: false,
        };
        self.touch(&table, place, how);
        self.loads.push(Arc::new(claim));
        Ok(())
    }

    /// Holds the keys of fresh parts against all that is there now, and waits for who is about to take
    /// a row with one of them away.
    pub(super) fn hold_load(
        &mut self,
        table: &Arc<Table>,
        place: Place,
        range: &Range<i64>,
        fresh: Vec<Arc<OpenPart>>,
    ) -> Result<LoadClaim, EngineError> {
        let key = place.table_key();
        for _ in 0..SETTLED_MAX {
            let looked = self.engine.state();
            let mut claim = LoadClaim::new(Arc::clone(table), key, range.start, fresh.clone());
            let Some(clash) = self.clash(table, place, &mut claim)? else {
                return Ok(claim);
            };
            let found = self.settled(key, clash.constraint, &clash.row, &[0])?;
            if !self.may_have_changed(found, &looked) {
                return Err(clash.error);
            }
        }
        Err(EngineError::Overtaken(table.name.clone()))
    }

    pub(super) fn clash(
        &self,
        table: &Arc<Table>,
        place: Place,
        claim: &mut LoadClaim,
    ) -> Result<Option<Clash>, EngineError> {
        let key = place.table_key();
        let latest = self.latest()?;
        let same = latest.table(key).is_some_and(|now| same_shape(now, table));
        // The latest rows, whatever the snapshot, unless the transaction takes them away.
        let state = match same && !self.removes_rows(key) {
            true => &latest,
            false => &self.state,
        };
        // Of its own state the rest may be there twice: merged since, and as it was.
        let table_now = self.state.table(key);
        let chunk = table_now.and_then(|table| table.chunks.get(&place.chunk));
        let parts = chunk.iter().flat_map(|chunk| &chunk.parts);
        let own_parts = parts.filter(|part| self.loaded.contains_key(&part.id));
        let own_parts = own_parts.filter_map(|part| Some((part.id, self.state.cold(key, part)?)));
        claim.hold(state, own_parts, self.own.get(&place))
    }

    pub(super) fn insert_into(
        &mut self,
        table: &Arc<Table>,
        range: Range<i64>,
        rows: RecordBatch,
        keys: KeysAre,
    ) -> Result<(), EngineError> {
        let place = self.place(table, range)?;
        let table = self.found(table.id)?;
        match keys {
            KeysAre::New => self.claim_keys(&table, place, &rows)?,
            KeysAre::Kept if self.counted => self.count_keys_of(&table, place, &rows)?,
            KeysAre::Kept => {}
        }
        let how = Touched {
            inserted: true,
            deleted: false,
        };
        self.touch(&table, place, how);
        self.own.entry(place).or_default().append(rows.clone())?;
        self.rows.push((place, rows));
        Ok(())
    }

    /// Claims the keys of rows for a chunk, and holds them against what is there.
    fn claim_keys(
        &mut self,
        table: &Arc<Table>,
        place: Place,
        rows: &RecordBatch,
    ) -> Result<(), EngineError> {
        let layout = layout_for(table);
        for mut claim in Claim::of(table, &layout, place, rows, &[])? {
            self.count_own_keys()?;
            let own = self.own_keys.entry((place, claim.constraint)).or_default();
            let mut fresh = HashSet::with_capacity(claim.keys.len());
            for (index, key) in claim.keys.iter().enumerate() {
                if own.contains(key) || !fresh.insert(key.clone()) {
                    return Err(claim.refuse(index));
                }
            }
            own.extend(fresh);
            let mut tries = 0;
            loop {
                let mark = self.lock_keys(&claim)?;
                let looked = self.engine.state();
                let Err(error) = self.hold(&mut claim) else {
                    break;
                };
                // Others need not wait for what this transaction does not have.
                self.locker().release_to(mark);
                tries += 1;
                if !matches!(error, EngineError::Unique { .. }) || tries > SETTLED_MAX {
                    return Err(error);
                }
                let key = place.table_key();
                let found = self.settled(key, claim.constraint, &claim.rows, &claim.key_rows)?;
                if !self.may_have_changed(found, &looked) {
                    return Err(error);
                }
            }
            self.claims.push(Arc::new(claim));
        }
        Ok(())
    }

    /// Holds a claim against all that is there now; the commit holds it against what came since.
    pub(super) fn hold(&self, claim: &mut Claim) -> Result<(), EngineError> {
        let place = claim.place;
        let key = place.table_key();
        let latest = self.latest()?;
        let parts = |state: &State| -> Vec<PartId> {
            let chunk = state
                .table(key)
                .and_then(|table| table.chunks.get(&place.chunk));
            let parts = chunk.map(|chunk| chunk.parts.iter().map(|part| part.id));
            parts.into_iter().flatten().collect()
        };
        if latest
            .table(key)
            .is_some_and(|now| same_shape(now, &claim.table))
            && !self.removes_rows(key)
        {
            // The latest rows, whatever the snapshot: what they have cannot be had twice.
            self.engine.check_claim(&latest, claim, place)?;
            claim.parts = parts(&latest);
            let loaded = parts(&self.state);
            if loaded.iter().any(|part| !claim.parts.contains(part)) {
                self.engine.check_cold(&self.state, claim, place)?;
                claim.parts.extend(loaded);
            }
            return Ok(());
        }
        route::check_hot(&mut KeyCache::default(), &self.state, claim, place)?;
        self.engine.check_cold(&self.state, claim, place)?;
        claim.parts = parts(&self.state);
        Ok(())
    }

    /// Whether its own changes take rows of a table away.
    pub(super) fn removes_rows(&self, key: TableKey) -> bool {
        self.changes.iter().any(|change| match change {
            Change::Truncate { database, table }
            | Change::DropChunk {
                database, table, ..
            }
            | Change::DetachChunk {
                database, table, ..
            } => key == TableKey::new(*database, *table),
            _ => false,
        })
    }

    /// The chunk of a range, made when it is not there.
    pub(super) fn place(
        &mut self,
        table: &Arc<Table>,
        range: Range<i64>,
    ) -> Result<Place, EngineError> {
        let key = TableKey::new(self.database, table.id);
        if table.hypertable.is_none() {
            return Ok(key.place(Table::PLAIN_CHUNK));
        }
        let now = self.state.table(key);
        if let Some(chunk) = now.and_then(|table| table.chunk_at(range.start)) {
            return Ok(key.place(chunk.id));
        }
        let database = self.state.catalog.databases.get(&self.database);
        let chunk = ChunkId(database.map_or(1, |database| database.next_chunk));
        self.change(Change::AddChunk {
            database: self.database,
            table: table.id,
            chunk,
            oid: self.engine.allocate_oid(),
            range,
            created_us: self.engine.platform.clock.wall_us(),
        })?;
        Ok(key.place(chunk))
    }
}
