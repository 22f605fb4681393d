//! A transaction goes on with what others have committed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronolith_catalog::Change;
use chronolith_types::ChunkId;

use super::points::{Claims, Rows};
use super::{Isolation, Transaction};
use crate::commit::settle_chunks;
use crate::error::EngineError;
use crate::layout::same_shape;
use crate::moves::Deletion;
use crate::record::{Place, Record, TableKey};
use crate::state::{Parts, State};

impl Transaction {
    /// A statement begins: at READ COMMITTED it sees what is committed now.
    ///
    /// # Errors
    /// When the transaction's own changes or rows no longer fit what others did.
    pub fn begin_statement(&mut self) -> Result<(), EngineError> {
        // What is rewritten was read at this snapshot.
        if self.isolation == Isolation::RepeatableRead || !self.rewrites.is_empty() {
            return Ok(());
        }
        let snapshot = self.engine.state();
        self.move_to(snapshot)
    }

    /// Goes on with a younger snapshot.
    pub(super) fn move_to(&mut self, snapshot: Arc<State>) -> Result<(), EngineError> {
        if Arc::ptr_eq(&snapshot, &self.snapshot) {
            return Ok(());
        }
        let same_catalog = Arc::ptr_eq(&snapshot.catalog, &self.snapshot.catalog);
        let moved = match !same_catalog && !self.changes.is_empty() {
            true => self.settle(&snapshot)?,
            false => BTreeMap::new(),
        };
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let state = std::mem::replace(&mut self.state, Arc::clone(&self.snapshot));
        let applied = self.reapply();
        let applied = applied.and_then(|()| self.check_shapes(&state, &moved));
        if let Err(error) = applied {
            self.snapshot = before;
            self.state = state;
            return Err(error);
        }
        Ok(())
    }

    /// Puts the transaction's own changes upon the snapshot.
    pub(super) fn reapply(&mut self) -> Result<(), EngineError> {
        if self.changes.is_empty() && self.deletions.is_empty() {
            self.state = Arc::clone(&self.snapshot);
            return Ok(());
        }
        let mut state = State::clone(&self.snapshot);
        let parts = Parts::Now(&self.engine.platform.disk, &self.loaded);
        for change in &self.changes {
            if self.is_for_nobody(&state, change) {
                continue;
            }
            state.change(change, parts, &mut Vec::new())?;
        }
        for rewrite in &self.rewrites {
            state.apply_rows(&rewrite.flushed())?;
        }
        self.delete_in(&mut state)?;
        self.state = Arc::new(state);
        Ok(())
    }

    /// Refuses when others changed a table that the transaction has rows for.
    pub(super) fn check_shapes(
        &self,
        before: &State,
        moved: &BTreeMap<Place, ChunkId>,
    ) -> Result<(), EngineError> {
        for key in self.written() {
            let (Some(made_for), Some(now)) = (before.table(key), self.state.table(key)) else {
                continue;
            };
            if !same_shape(made_for, now) {
                return Err(EngineError::Overtaken(now.name.clone()));
            }
        }
        self.check_own_chunks(before, moved)
    }

    /// The tables that it has rows for.
    pub(super) fn written(&self) -> BTreeSet<TableKey> {
        let rows = self.rows.iter().map(|(place, _)| place.table_key());
        let changes = self.changes.iter().filter_map(|change| match change {
            Change::ReplaceParts {
                database, table, ..
            } => Some(TableKey::new(*database, *table)),
            _ => None,
        });
        rows.chain(changes).collect()
    }

    /// Chunks that others made meanwhile take the place of the transaction's own: their new numbers.
    pub(super) fn settle(
        &mut self,
        snapshot: &State,
    ) -> Result<BTreeMap<Place, ChunkId>, EngineError> {
        let mut record = Record {
            changes: self.changes.clone(),
            ..Record::default()
        };
        let engine = &self.engine;
        let settled = settle_chunks(snapshot, &mut record, || engine.allocate_oid())?;
        if settled.moved.is_empty() {
            return Ok(settled.moved);
        }
        self.changes = record.changes;
        let moved = |place: Place| match settled.moved.get(&place) {
            Some(chunk) => place.table_key().place(*chunk),
            None => place,
        };
        let move_rows = |rows: &mut Rows| {
            for (place, _) in rows {
                *place = moved(*place);
            }
        };
        let move_claims = |claims: &mut Claims| {
            for claim in claims {
                if settled.moved.contains_key(&claim.place) {
                    let claim = Arc::make_mut(claim);
                    claim.place = moved(claim.place);
                    // Its parts are others than those that were looked into.
                    claim.parts.clear();
                }
            }
        };
        let move_deletions = |deletions: &mut Vec<Arc<Deletion>>| {
            for deletion in deletions {
                if settled.moved.contains_key(&deletion.place) {
                    let deletion = Arc::make_mut(deletion);
                    deletion.place = moved(deletion.place);
                }
            }
        };
        move_rows(&mut self.rows);
        move_claims(&mut self.claims);
        move_deletions(&mut self.deletions);
        for savepoint in &mut self.savepoints {
            let count = savepoint.point.changes;
            let gone = settled.gone.iter().filter(|index| **index < count).count();
            savepoint.point.changes -= gone;
            if let Some(before) = &mut savepoint.before {
                let before = Arc::make_mut(before);
                move_rows(&mut before.rows);
                move_claims(&mut before.claims);
                move_deletions(&mut before.deletions);
            }
        }
        self.rebuild_own()?;
        Ok(settled.moved)
    }
}
