//! Stores of continuous aggregates: what is to be marked in them, and in stores of theirs, for what
//! is done to their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, Change, Rollup};
use chronolith_types::{ChunkId, DatabaseId, TableId};

use crate::check::ALL_TIMES;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::layout::layout_of;
use crate::record::{Place, Record, TableKey};
use crate::rollups::{RollupError, Rollups};
use crate::route;
use crate::state::State;

/// Stores by the tables that they follow.
pub(crate) type Stores = Arc<BTreeMap<TableId, Vec<TableId>>>;

/// Stores for which a transaction's rows were computed, and those that it truncated.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) database: DatabaseId,
    /// The stores that there were.
    pub(crate) stores: Stores,
    /// Those that got something, or were marked.
    pub(crate) given: BTreeSet<TableId>,
    /// Of these nothing was frozen.
    pub(crate) truncated: Vec<TableId>,
}

/// What was done to a table that stores know nothing of.
#[derive(Debug, Default)]
struct Touched {
    /// Rows came, or others went, at these times.
    rows: Option<Range<i64>>,
    /// Chunks of these went.
    dropped: Vec<Range<i64>>,
}

fn wider(one: Option<Range<i64>>, other: Range<i64>) -> Range<i64> {
    match one {
        Some(one) => one.start.min(other.start)..one.end.max(other.end),
        None => other,
    }
}

/// Whether a store's rows are made of a table's, and not only with their help.
pub(crate) fn computed_from(catalog: &Catalog, table: TableKey, store: TableId) -> bool {
    let store = catalog.table(table.database, store);
    let rollup = store.and_then(|store| store.rollup.as_ref());
    rollup.is_some_and(|rollup| rollup.source == table.table)
}

/// The times of rows of a table; all, where it has none.
fn times_of(
    state: &State,
    key: TableKey,
    batch: &RecordBatch,
) -> Result<Option<Range<i64>>, EngineError> {
    let Some(table) = state.table(key) else {
        return Ok(None);
    };
    let Some(column) = layout_of(table).time.map(|place| batch.column(place)) else {
        return Ok(Some(ALL_TIMES));
    };
    let times = route::time_values(column)?;
    let (first, last) = (times.iter().min(), times.iter().max());
    Ok(first.zip(last).map(|(a, b)| *a..b.saturating_add(1)))
}

impl State {
    /// The stores of a database, by the tables that they follow.
    pub(crate) fn stores(&self, database: DatabaseId) -> Stores {
        let database = self.catalog.databases.get(&database);
        database.map_or_else(Stores::default, |known| Arc::clone(&known.stores))
    }

    /// Whether anything is computed from a table.
    pub(crate) fn has_stores(&self, database: DatabaseId, table: TableId) -> bool {
        let database = self.catalog.databases.get(&database);
        database.is_some_and(|known| known.stores.contains_key(&table))
    }

    /// What makes a table a store.
    pub(crate) fn rollup(&self, key: TableKey) -> Option<&Rollup> {
        self.table(key)?.rollup.as_ref()
    }

    pub(crate) fn chunk_range(&self, key: TableKey, chunk: ChunkId) -> Option<Range<i64>> {
        let chunk = self.table(key)?.chunks.get(&chunk)?;
        Some(chunk.range.clone())
    }
}

impl Engine {
    /// Who computes what stores get.
    pub(crate) fn rollups(&self) -> Result<&dyn Rollups, EngineError> {
        match self.rollups.get() {
            Some(rollups) => Ok(&**rollups),
            // Rows that went in without their stores would be missing there for ever.
            None => Err(RollupError::nobody().into()),
        }
    }

    /// The whole buckets of a store that some times lie in.
    pub(crate) fn buckets(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        store: TableId,
        range: &Range<i64>,
    ) -> Result<Range<i64>, EngineError> {
        if *range == ALL_TIMES {
            return Ok(ALL_TIMES);
        }
        let rollups = self.rollups()?;
        Ok(rollups.buckets(catalog, database, store, range.clone())?)
    }

    /// The whole buckets that some times of a table lie in, of each store that follows it. What
    /// else than its source a store reads has no times: all of it is meant.
    fn followers(
        &self,
        catalog: &Catalog,
        source: TableKey,
        range: &Range<i64>,
    ) -> Result<Vec<(TableId, Range<i64>)>, EngineError> {
        let Some(database) = catalog.databases.get(&source.database) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for store in database.stores_of(source.table) {
            let range = match computed_from(catalog, source, *store) {
                true => self.buckets(catalog, source.database, *store, range)?,
                false => ALL_TIMES,
            };
            found.push((*store, range));
        }
        Ok(found)
    }

    /// Marks in each store that follows a table, and in each that follows one of these, of what
    /// is at some times of the table.
    pub(crate) fn marks(
        &self,
        catalog: &Catalog,
        source: TableKey,
        range: &Range<i64>,
    ) -> Result<Vec<Change>, EngineError> {
        let mut changes = Vec::new();
        for (store, range) in self.followers(catalog, source, range)? {
            changes.push(invalidate(source.database, store, range.clone()));
            let store = TableKey::new(source.database, store);
            changes.extend(self.marks(catalog, store, &range)?);
        }
        Ok(changes)
    }

    /// What was computed from dropped rows of a table stays. Stores of these stores need nothing:
    /// what they are computed from is still there.
    pub(crate) fn frozen(
        &self,
        catalog: &Catalog,
        source: TableKey,
        range: &Range<i64>,
    ) -> Result<Vec<Change>, EngineError> {
        let frozen = self.followers(catalog, source, range)?.into_iter();
        let frozen = frozen.filter(|(store, _)| computed_from(catalog, source, *store));
        Ok(frozen
            .map(|(store, range)| freeze(source.database, store, range))
            .collect())
    }

    /// What is to be marked for what a transaction did to tables while stores of theirs, that are
    /// there in `now`, were not among `before`.
    pub(crate) fn missed<'a>(
        &self,
        before: &Stores,
        now: &State,
        database: DatabaseId,
        rows: impl Iterator<Item = (&'a Place, &'a RecordBatch)>,
        changes: &[Change],
        then: &[&State],
    ) -> Result<Vec<Change>, EngineError> {
        let stores = now.stores(database);
        if Arc::ptr_eq(before, &stores) || *before == stores {
            return Ok(Vec::new());
        }
        let known: BTreeSet<TableId> = before.values().flatten().copied().collect();
        let is_new = |stores: &Vec<TableId>| stores.iter().any(|store| !known.contains(store));
        let sources = stores.iter().filter(|(_, stores)| is_new(stores));
        let mut touched: BTreeMap<TableId, Touched> = sources
            .map(|(source, _)| (*source, Touched::default()))
            .collect();
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        for (place, batch) in rows.filter(|(place, _)| place.database == database) {
            if let Some(of) = touched.get_mut(&place.table)
                && let Some(times) = times_of(now, place.table_key(), batch)?
            {
                of.rows = Some(wider(of.rows.take(), times));
            }
        }
        for change in changes {
            match change {
                Change::Truncate { table, .. } => {
                    if let Some(of) = touched.get_mut(table) {
                        of.rows = Some(ALL_TIMES);
                    }
                }
                Change::DropChunk { table, chunk, .. } => {
                    let key = TableKey::new(database, *table);
                    let range = then.iter().find_map(|state| state.chunk_range(key, *chunk));
                    if let Some(of) = touched.get_mut(table) {
                        of.dropped.extend(range);
                    }
                }
                Change::DetachChunk { table, chunk, .. } => {
                    let key = TableKey::new(database, *table);
                    let range = then.iter().find_map(|state| state.chunk_range(key, *chunk));
                    if let (Some(of), Some(range)) = (touched.get_mut(table), range) {
                        of.rows = Some(wider(of.rows.take(), range));
                    }
                }
                Change::ReplaceParts { table, added, .. } => {
                    if let Some(of) = touched.get_mut(table) {
                        for part in added {
                            let times = part.times;
                            let times = times
                                .map_or(ALL_TIMES, |(first, last)| first..last.saturating_add(1));
                            of.rows = Some(wider(of.rows.take(), times));
                        }
                    }
                }
                _ => {}
            }
        }
        let mut marks = Vec::new();
        for (source, of) in touched {
            let key = TableKey::new(database, source);
            let news = stores.get(&source).into_iter().flatten();
            for store in news.filter(|store| !known.contains(store)) {
                let of_it = |found: &(TableId, Range<i64>)| found.0 == *store;
                for range in &of.dropped {
                    let found = self.followers(&now.catalog, key, range)?.into_iter();
                    let found = found.filter(of_it);
                    let found = found.filter(|_| computed_from(&now.catalog, key, *store));
                    marks.extend(found.map(|(store, range)| freeze(database, store, range)));
                }
                if let Some(range) = &of.rows {
                    let found = self.followers(&now.catalog, key, range)?.into_iter();
                    for (store, range) in found.filter(of_it) {
                        marks.push(invalidate(database, store, range.clone()));
                        let store = TableKey::new(database, store);
                        marks.extend(self.marks(&now.catalog, store, &range)?);
                    }
                }
            }
        }
        Ok(marks)
    }

    /// Fits what a transaction did for stores to those that there are by now: what stores get that
    /// are gone goes, and what stores missed that came is marked.
    pub(crate) fn settle_stores(
        &self,
        state: &State,
        next: &mut State,
        kept: &Kept,
        record: &mut Record,
    ) -> Result<(), EngineError> {
        let rows = record.rows.iter();
        let rows =
            rows.flat_map(|(place, batches)| batches.iter().map(move |batch| (place, batch)));
        let database = kept.database;
        let changes = &record.changes;
        let mut marks = self.missed(&kept.stores, next, database, rows, changes, &[next, state])?;
        for store in unseen(state, next, changes) {
            marks.push(invalidate(database, store.table, ALL_TIMES));
            let below = self.marks(&next.catalog, store, &ALL_TIMES)?;
            marks.extend(below);
        }
        for mark in marks {
            Arc::make_mut(&mut next.catalog).apply(&mark)?;
            record.changes.push(mark);
        }
        Ok(())
    }
}

/// Stores that come over rows which their maker may not have seen.
fn unseen(state: &State, next: &State, changes: &[Change]) -> Vec<TableKey> {
    let mut found = Vec::new();
    for change in changes {
        let Change::SetRollup {
            database,
            table,
            rollup: Some(rollup),
        } = change
        else {
            continue;
        };
        let source = TableKey::new(*database, rollup.source);
        let owes = |rollup: &Rollup| !rollup.invalid.is_empty();
        let owed = state.has_rows(source) || state.rollup(source).is_some_and(owes);
        let key = TableKey::new(*database, *table);
        let made = next.rollup(key);
        if owed && made.is_some_and(|made| !made.is_invalid(&ALL_TIMES)) {
            found.push(key);
        }
    }
    found
}

impl Kept {
    /// Takes out of a record what is for stores that others have dropped; whether there was any.
    pub(crate) fn forget_gone(&self, state: &State, record: &mut Record) -> bool {
        let mut gone = self.given.clone();
        gone.retain(|store| state.table(TableKey::new(self.database, *store)).is_none());
        for change in &record.changes {
            if let Change::CreateTable { table, .. } = change {
                gone.remove(&table.id);
            }
        }
        if gone.is_empty() {
            return false;
        }
        record
            .rows
            .retain(|(place, _)| !gone.contains(&place.table));
        record
            .changes
            .retain(|change| rows_of(change).is_none_or(|store| !gone.contains(&store)));
        true
    }

    /// Refuses when something was frozen meanwhile of a store that goes with its source's rows.
    pub(crate) fn check_frozen(&self, state: &State) -> Result<(), EngineError> {
        for store in &self.truncated {
            let table = state.table(TableKey::new(self.database, *store));
            if let Some(table) = table
                && let Some(rollup) = &table.rollup
                && !rollup.frozen.is_empty()
            {
                return Err(EngineError::Overtaken(table.name.clone()));
            }
        }
        Ok(())
    }
}

/// The table whose rows, or what is known of them, a change is about.
pub(crate) fn rows_of(change: &Change) -> Option<TableId> {
    match change {
        Change::AddChunk { table, .. }
        | Change::ReplaceParts { table, .. }
        | Change::Truncate { table, .. }
        | Change::Invalidate { table, .. }
        | Change::Revalidate { table, .. }
        | Change::Freeze { table, .. } => Some(*table),
        _ => None,
    }
}

pub(crate) fn invalidate(database: DatabaseId, table: TableId, range: Range<i64>) -> Change {
    Change::Invalidate {
        database,
        table,
        range,
    }
}

pub(crate) fn freeze(database: DatabaseId, table: TableId, range: Range<i64>) -> Change {
    Change::Freeze {
        database,
        table,
        range,
    }
}
