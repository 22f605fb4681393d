//! Rows by their keys, wherever they lie.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_chunk::Locator;
use chronolith_types::{ChunkId, DatabaseId};

use super::delete::{called, source_of};
use super::{Isolation, Transaction};
use crate::coldkeys::Sought;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::keys::KeyCache;
use crate::record::TableKey;
use crate::route;
use crate::view::TableView;

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
        rows: &RecordBatch,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let old = self.isolation == Isolation::RepeatableRead;
        self.find_in(view, constraint, rows, old)
    }

    /// Where a row of an earlier view, which was taken since [`Transaction::begin_change`], lies in a
    /// view of now; None where it is deleted. Rows of the transaction's own stay where they are.
    #[must_use]
    pub fn relocate(&self, from: &TableView, locator: i128, to: &TableView) -> Option<i128> {
        let Locator { chunk, source, row } = locator.into();
        let chunk = ChunkId(i32::try_from(chunk).ok()?);
        let place = TableKey::new(self.database, from.table.id).place(chunk);
        let source = source_of(from, place, source)?;
        let moves = self.engine.moves.lock();
        let rows = std::iter::once(row).collect();
        // What is packed without the row is as good as deleted.
        let located = moves.locate(&self.state, place, source, &rows).ok()?;
        let (place, source, rows) = located.into_iter().next()?;
        if !self.state.deleted_among(place, source, &rows).is_empty() {
            return None;
        }
        let source = called(to, place, source)?;
        let chunk = u32::try_from(place.chunk.0).ok()?;
        let row = rows.min()?;
        Some(Locator { chunk, source, row }.into())
    }

    /// The same; `old` says that the view may be of an old snapshot.
    pub(super) fn find_in(
        &mut self,
        view: &TableView,
        constraint: u32,
        rows: &RecordBatch,
        old: bool,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let engine = Arc::clone(&self.engine);
        let caches = OwnCaches {
            // The engine's cache knows newer rows than those of an old snapshot.
            hot: old.then_some(&mut self.old_cache),
            own: Some(&mut self.own_cache),
        };
        engine.find_in(self.database, view, constraint, rows, caches)
    }
}

/// What knows the keys of rows in memory where the engine's own does not.
#[derive(Debug, Default)]
pub(crate) struct OwnCaches<'c> {
    /// Of committed rows.
    hot: Option<&'c mut KeyCache>,
    /// Of the transaction's.
    own: Option<&'c mut KeyCache>,
}

impl Engine {
    /// Of each row of a batch the locator of the row in a view that has the same key.
    pub(crate) fn find_in(
        &self,
        database: DatabaseId,
        view: &TableView,
        constraint: u32,
        rows: &RecordBatch,
        mut caches: OwnCaches<'_>,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let layout = &view.layout;
        let mut found = vec![None; rows.num_rows()];
        let mut keys = view.table.unique_keys().into_iter();
        let Some((_, columns)) = keys.find(|(known, _)| known.id == constraint) else {
            return Ok(found);
        };
        let encoder = layout.encoder(&columns)?;
        let keys = encoder.keys(rows)?;
        let by_time = layout.time.filter(|time| columns.contains(time));
        let times = match by_time {
            Some(time) => Some(route::time_values(rows.column(time))?),
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
            let place = TableKey::new(database, view.table.id).place(*id);
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
                let cache = match source {
                    Locator::HOT => &mut caches.hot,
                    _ => &mut caches.own,
                };
                let rows = match cache {
                    Some(cache) => cache.rows(place, constraint, hot, &encoder, asked)?,
                    None => {
                        let mut cache = self.keys.lock();
                        cache.rows(place, constraint, hot, &encoder, asked)?
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
                let sought = Sought {
                    layout,
                    columns: &columns,
                    encoder: &encoder,
                    constraint,
                    keys: &asked,
                    rows,
                    key_rows: &wanted,
                };
                let rows = self.cold_rows(known.id, part, &sought)?;
                note(&mut wanted, source, rows);
            }
        }
        Ok(found)
    }
}
