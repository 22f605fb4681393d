//! Locks on keys follow rows that are updated: the next version of a row has its key, and whoever
//! refers to that key keeps others from taking it away. So do those who wait for the row: it is the
//! next version that they will change.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use chronolith_chunk::{Locator, RowSet};
use chronolith_types::ChunkId;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::locks::RowSpace;
use crate::moves::{Deletion, Moves, lock_space, locked_as, unlocked};
use crate::record::TableKey;
use crate::state::State;
use crate::transaction::{OwnCaches, called, source_of};
use crate::view::TableView;

impl Engine {
    /// Rows are deleted in a state that is about to be read; locks on their keys, and those who wait
    /// for them, go to the rows of those keys that it has instead. Who holds the moves lets nobody lock rows meanwhile.
    ///
    /// A lock that finds no such row, since its table has no key or the disk fails, stays on a row
    /// that is gone: what asked for it looks again when it commits.
    pub(crate) fn follow_keys(&self, moves: &Moves, next: &State, deletions: &[Arc<Deletion>]) {
        if deletions.is_empty() || !self.locks.has_followers() {
            return;
        }
        let before = self.state();
        let mut tables: BTreeMap<TableKey, Vec<&Deletion>> = BTreeMap::new();
        for deletion in deletions {
            let of = tables.entry(deletion.place.table_key()).or_default();
            of.push(deletion);
        }
        for (key, deletions) in tables {
            if let Err(error) = self.follow_table(moves, (&before, next), key, &deletions) {
                tracing::warn!(%error, table = %key.table, "a lock on a row's key was left behind");
            }
        }
    }

    fn follow_table(
        &self,
        moves: &Moves,
        (before, next): (&State, &State),
        key: TableKey,
        deletions: &[&Deletion],
    ) -> Result<(), EngineError> {
        let view = |state: &State| state.view(key, &BTreeMap::new(), &(i64::MIN..i64::MAX));
        let (Some(before_view), Some(next_view)) = (view(before), view(next)) else {
            return Ok(());
        };
        let mut left = RowSet::default();
        for deletion in deletions {
            for (place, source, rows) in deletion.locate(moves, before)? {
                let space = lock_space(place, source);
                let wanted = self.locks.followed(space, &locked_as(source, &rows));
                if let Ok(chunk) = u32::try_from(place.chunk.0)
                    && let Some(called) = called(&before_view, place, source)
                    && !wanted.is_empty()
                {
                    left.insert_rows(chunk, called, &unlocked(source, &wanted));
                }
            }
        }
        let columns: Vec<usize> = (0..before_view.layout.columns.len()).collect();
        for (constraint, _) in before_view.table.unique_keys() {
            if left.is_empty() {
                break;
            }
            let mut missing = RowSet::default();
            for rows in before_view.rows_of(&columns, &left)? {
                let locators = rows.columns().last();
                let locators = locators.and_then(|of| of.as_primitive_opt::<Decimal128Type>());
                let caches = OwnCaches::default();
                let found = self.find_in(key.database, &next_view, constraint.id, &rows, caches)?;
                let locators = locators.into_iter().flat_map(|of| of.values().iter());
                for (from, to) in locators.zip(found) {
                    let at = |view: &TableView, locator| lock_of(key, view, locator);
                    match (
                        at(&before_view, *from),
                        to.and_then(|to| at(&next_view, to)),
                    ) {
                        (Some(from), Some(to)) => self.locks.follow(from, to),
                        _ => drop(missing.insert(*from)),
                    }
                }
            }
            left = missing;
        }
        Ok(())
    }
}

/// By what a row of a view is locked.
fn lock_of(key: TableKey, view: &TableView, locator: i128) -> Option<(RowSpace, u32)> {
    let Locator { chunk, source, row } = locator.into();
    let place = key.place(ChunkId(i32::try_from(chunk).ok()?));
    let source = source_of(view, place, source)?;
    let number = locked_as(source, &std::iter::once(row).collect()).min()?;
    Some((lock_space(place, source), number))
}
