//! What stores of continuous aggregates get with what a transaction does to their sources.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Change;
use chronolith_types::TableId;

use super::{Point, Transaction};
use crate::check::ALL_TIMES;
use crate::dependants::{Kept, Stores, computed_from, invalidate, rows_of};
use crate::error::EngineError;
use crate::record::TableKey;
use crate::rollups::Derived;
use crate::state::State;

impl Transaction {
    /// Gives the stores of continuous aggregates what they get of the rows that were added since
    /// this was last called, so that the transaction reads them as they will be. A commit does so
    /// by itself. Costs nothing where there are no stores.
    ///
    /// # Errors
    /// When a value cannot be computed; the stores then have nothing of the rows.
    pub fn derive(&mut self) -> Result<(), EngineError> {
        let stores = self.state.stores(self.database);
        if stores.is_empty() {
            self.derived = self.rows.len();
            self.stores = stores;
            return Ok(());
        }
        let (point, before) = (self.point(), Arc::clone(&self.stores));
        let outcome = self.derive_for(stores);
        if outcome.is_err() {
            self.stores = before;
            self.undo_to(point)?;
        }
        outcome
    }

    fn derive_for(&mut self, stores: Stores) -> Result<(), EngineError> {
        self.catch_up(&stores)?;
        let engine = Arc::clone(&self.engine);
        while self.derived < self.rows.len() {
            let mut fresh: BTreeMap<TableId, Vec<RecordBatch>> = BTreeMap::new();
            for (place, batch) in self.rows.iter().skip(self.derived) {
                if stores.contains_key(&place.table) {
                    fresh.entry(place.table).or_default().push(batch.clone());
                }
            }
            // Rows of stores come behind these, for the stores of these stores.
            self.derived = self.rows.len();
            for (source, rows) in fresh {
                let catalog = Arc::clone(&self.state.catalog);
                let rollups = engine.rollups()?;
                let derived = rollups.derive(&catalog, self.database, source, &rows)?;
                for Derived {
                    store,
                    rows,
                    invalid,
                } in derived
                {
                    self.given.insert(store);
                    if let Some(rows) = rows.filter(|rows| rows.num_rows() > 0) {
                        self.insert(store, &rows)?;
                    }
                    if let Some(range) = invalid {
                        self.mark(store, range)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Marks what stores that came meanwhile have missed of what was done so far.
    fn catch_up(&mut self, stores: &Stores) -> Result<(), EngineError> {
        let before = std::mem::replace(&mut self.stores, Arc::clone(stores));
        let rows = self.rows.iter().take(self.derived);
        let marks = self.engine.missed(
            &before,
            &self.state,
            self.database,
            rows.map(|(place, batch)| (place, batch)),
            &self.changes,
            &[&self.state, &self.snapshot],
        )?;
        self.apply_all(marks)
    }

    /// The same for parts of a load that knew of some stores, added since a point.
    pub(crate) fn catch_up_load(
        &mut self,
        stores: &Stores,
        since: Point,
    ) -> Result<(), EngineError> {
        let added = self.changes.get(since.changes..).unwrap_or_default();
        let marks = self.engine.missed(
            stores,
            &self.state,
            self.database,
            std::iter::empty(),
            added,
            &[],
        )?;
        self.apply_all(marks)
    }

    /// A store gets something of the transaction's rows.
    pub(crate) fn gives(&mut self, store: TableId) {
        self.given.insert(store);
    }

    /// Applies marks of stores.
    fn apply_all(&mut self, marks: Vec<Change>) -> Result<(), EngineError> {
        self.given.extend(marks.iter().filter_map(rows_of));
        marks.into_iter().try_for_each(|one| self.apply(one))
    }

    /// Whether a change is for a store that others have dropped: a commit leaves it out.
    pub(super) fn is_for_nobody(&self, state: &State, change: &Change) -> bool {
        let store = rows_of(change).filter(|store| self.given.contains(store));
        store.is_some_and(|store| state.table(TableKey::new(self.database, store)).is_none())
    }

    /// Marks whole buckets of a store, and what is computed from them.
    pub(crate) fn mark(&mut self, store: TableId, range: Range<i64>) -> Result<(), EngineError> {
        if range.is_empty() {
            return Ok(());
        }
        let key = TableKey::new(self.database, store);
        let catalog = Arc::clone(&self.state.catalog);
        let engine = &self.engine;
        let below = engine.marks(&catalog, key, &range)?;
        let mut marks = vec![invalidate(self.database, store, range)];
        marks.extend(below);
        self.apply_all(marks)
    }

    /// Has the stores that are computed from a table, and those that are computed from them, taken
    /// for wrong at some times of it until they are computed anew.
    ///
    /// # Errors
    /// When there are no buckets at these times.
    pub fn invalidate(&mut self, source: TableId, range: &Range<i64>) -> Result<(), EngineError> {
        if range.is_empty() {
            return Ok(());
        }
        let key = TableKey::new(self.database, source);
        let catalog = Arc::clone(&self.state.catalog);
        let marks = self.engine.marks(&catalog, key, range)?;
        self.apply_all(marks)
    }

    /// Rows went with a change: the stores that had something of them follow.
    pub(super) fn follow(&mut self, before: &State, change: &Change) -> Result<(), EngineError> {
        match change {
            Change::Truncate { table, .. } => self.follow_truncate(*table),
            Change::DropChunk { table, chunk, .. } => {
                let key = TableKey::new(self.database, *table);
                match before.chunk_range(key, *chunk) {
                    Some(range) => self.follow_drop(key, &range),
                    None => Ok(()),
                }
            }
            Change::DetachChunk { table, chunk, .. } => {
                let key = TableKey::new(self.database, *table);
                match before.chunk_range(key, *chunk) {
                    Some(range) => self.invalidate(*table, &range),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// A table has no rows any more, and so have its stores; but for what has to outlive its
    /// source, which nobody could tell from the rest.
    fn follow_truncate(&mut self, source: TableId) -> Result<(), EngineError> {
        let database = self.database;
        let stores = self.state.stores(database);
        for store in stores.get(&source).into_iter().flatten() {
            let key = TableKey::new(database, *store);
            let rollup = self.state.rollup(key);
            let read = TableKey::new(database, source);
            if !computed_from(&self.state.catalog, read, *store)
                || rollup.is_some_and(|rollup| !rollup.frozen.is_empty())
            {
                self.mark(*store, ALL_TIMES)?;
                continue;
            }
            self.truncated.push(*store);
            self.given.insert(*store);
            self.change(Change::Truncate {
                database,
                table: *store,
            })?;
            // By the commit others may have marked what is gone then.
            self.apply(Change::Revalidate {
                database,
                table: *store,
                range: ALL_TIMES,
                upto: u64::MAX,
            })?;
        }
        Ok(())
    }

    /// The rows of a chunk are gone; what was computed from them stays.
    fn follow_drop(&mut self, key: TableKey, range: &Range<i64>) -> Result<(), EngineError> {
        let catalog = Arc::clone(&self.state.catalog);
        let engine = Arc::clone(&self.engine);
        let frozen = engine.frozen(&catalog, key, range)?;
        self.apply_all(frozen)?;
        if self.state.rollup(key).is_none() {
            return Ok(());
        }
        // Who drops rows of a continuous aggregate does not want them computed again. A bucket's
        // row lies where it begins.
        let bucket = |time: i64| {
            let time = time..time.saturating_add(1);
            engine.buckets(&catalog, key.database, key.table, &time)
        };
        let first = bucket(range.start)?;
        let start = match first.start == range.start {
            true => first.start,
            false => first.end,
        };
        let end = bucket(range.end.saturating_sub(1))?.end;
        self.apply(Change::Revalidate {
            database: key.database,
            table: key.table,
            range: start..end,
            upto: u64::MAX,
        })
    }

    /// For which stores all that was done is computed.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            database: self.database,
            stores: Arc::clone(&self.stores),
            given: self.given.clone(),
            truncated: self.truncated.clone(),
        }
    }
}
