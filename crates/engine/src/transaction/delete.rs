//! Rows that a transaction deletes: of what is committed, and of its own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::{ChunkError, Locator, RowSet};
use chronolith_types::ChunkId;
use roaring::RoaringBitmap;

use super::{Isolation, OwnKeys, Touched, Transaction};
use crate::error::EngineError;
use crate::layout::layout_for;
use crate::moves::{Deletion, Source};
use crate::record::{Place, Record, TableKey};
use crate::route;
use crate::state::State;
use crate::view::TableView;

/// Ranges of times that a statement marks in what is computed from a table: more of them are joined
/// where they lie closest.
const RANGES_MAX: usize = 64;

impl Transaction {
    /// A statement that changes rows begins, as [`Transaction::begin_statement`] says; from now on
    /// rows can be deleted that are read in this transaction.
    ///
    /// # Errors
    /// Those of [`Transaction::begin_statement`].
    pub fn begin_change(&mut self) -> Result<(), EngineError> {
        self.join_deletions();
        if self.pin.is_some() {
            return self.begin_statement();
        }
        let (pin, snapshot) = self.engine.pin();
        self.pin = Some(pin);
        match self.isolation == Isolation::RepeatableRead || !self.rewrites.is_empty() {
            true => Ok(()),
            false => self.move_to(snapshot),
        }
    }

    /// Deletes rows of a table by where they lie in a view of it, which was taken since
    /// [`Transaction::begin_change`]; how many were not deleted yet. What continuous aggregates
    /// have of them is marked.
    ///
    /// # Errors
    /// 40001 when rows cannot be found any more.
    pub fn delete(&mut self, view: &TableView, rows: &RowSet) -> Result<u64, EngineError> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.derive()?;
        let point = self.point();
        let deleted = self.delete_rows(view, rows);
        if deleted.is_err() {
            self.undo_to(point)?;
        }
        deleted
    }

    fn delete_rows(&mut self, view: &TableView, rows: &RowSet) -> Result<u64, EngineError> {
        let key = TableKey::new(self.database, view.table.id);
        if self.found(view.table.id)?.rollup.is_none() {
            self.mark_deleted(view, rows)?;
        }
        let mut fresh = Vec::new();
        for ((chunk, source), rows) in rows.sources() {
            let place = key.place(ChunkId(i32::try_from(chunk).unwrap_or(i32::MAX)));
            let source = source_of(view, place, source)
                .ok_or_else(|| EngineError::Overtaken(view.table.name.clone()))?;
            if source == Source::Own {
                let rows_of_own = self.own.get(&place);
                let known = rows_of_own
                    .map(|own| own.deleted_among(rows))
                    .unwrap_or_default();
                fresh.push((place, source, rows - known));
                continue;
            }
            let moves = self.engine.moves.lock();
            for (place, source, mut rows) in moves.locate(&self.state, place, source, rows)? {
                rows -= self.state.deleted_among(place, source, &rows);
                fresh.push((place, source, rows));
            }
        }
        let mut count = 0;
        let table = self.found(view.table.id)?;
        for (place, source, rows) in fresh.into_iter().filter(|(.., rows)| !rows.is_empty()) {
            count += rows.len();
            let how = Touched {
                inserted: false,
                deleted: true,
            };
            self.touch(&table, place, how);
            let deletion = Deletion {
                place,
                source,
                rows,
            };
            let deletion = Arc::new(deletion);
            // First of all it is noted: who undoes it then makes the state anew.
            self.deletions.push(Arc::clone(&deletion));
            match source {
                Source::Own => {
                    self.forget_own_keys(place, &deletion.rows)?;
                    self.delete_own_rows(place, &deletion.rows);
                }
                // Its own state nobody else has: what a statement deletes is no copy of it.
                _ => Arc::make_mut(&mut self.state).delete(
                    place,
                    source,
                    &deletion.rows,
                    &mut Record::default(),
                )?,
            }
        }
        Ok(count)
    }

    /// Joins deletions of one source, those that no savepoint tells apart: what a statement costs
    /// does not grow with the statements before it. Called when no point is held but those of
    /// savepoints.
    pub(super) fn join_deletions(&mut self) {
        /// Fewer are not worth it.
        const SINGLE_MAX: usize = 16;
        let last = self.savepoints.last();
        let from = last.map_or(0, |savepoint| savepoint.point.deletions);
        let count = self.deletions.len().saturating_sub(from);
        // Half of them came since the last time, so that each is looked at a few times in all.
        if count <= SINGLE_MAX + 2 * self.joined {
            return;
        }
        let mut places: HashMap<(Place, Source), usize> = HashMap::new();
        for deletion in self.deletions.split_off(from) {
            let at = *places
                .entry((deletion.place, deletion.source))
                .or_insert(self.deletions.len());
            match self.deletions.get_mut(at) {
                Some(known) => Arc::make_mut(known).rows |= &deletion.rows,
                None => self.deletions.push(deletion),
            }
        }
        self.joined = self.deletions.len() - from;
    }

    /// Marks what is computed from rows.
    fn mark_deleted(&mut self, view: &TableView, rows: &RowSet) -> Result<(), EngineError> {
        let stores = self.state.stores(self.database);
        if !stores.contains_key(&view.table.id) {
            return Ok(());
        }
        let Some(time) = view.layout.time else {
            return self.invalidate(view.table.id, &(i64::MIN..i64::MAX));
        };
        let mut times = Vec::new();
        for batch in view.rows_of(&[time], rows)? {
            times.extend(route::time_values(batch.column(0))?);
        }
        for range in ranges(times) {
            self.invalidate(view.table.id, &range)?;
        }
        Ok(())
    }

    fn delete_own_rows(&mut self, place: Place, rows: &RoaringBitmap) {
        if let Some(own) = self.own.get_mut(&place) {
            own.delete(rows);
        }
    }

    /// Deletes again what it deleted of its own rows, which were put together anew.
    pub(super) fn delete_own(&mut self) {
        let deletions = self.deletions.clone();
        for deletion in deletions.iter().filter(|known| known.source == Source::Own) {
            self.delete_own_rows(deletion.place, &deletion.rows);
        }
    }

    /// Own rows are about to be deleted: their keys are free.
    fn forget_own_keys(&mut self, place: Place, rows: &RoaringBitmap) -> Result<(), EngineError> {
        if !self.counted {
            return Ok(());
        }
        let table = self.state.table(place.table_key());
        let (Some(table), Some(own)) = (table, self.own.get(&place)) else {
            return Ok(());
        };
        let keys = table.unique_keys();
        if keys.is_empty() {
            return Ok(());
        }
        let layout = layout_for(table);
        for (constraint, columns) in keys {
            let encoder = layout.encoder(&columns)?;
            let Some(known) = self.own_keys.get_mut(&(place, constraint.id)) else {
                continue;
            };
            let mut first = 0u32;
            for batch in own.all_batches() {
                let count = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
                let end = first.saturating_add(count);
                let of = rows.range(first..end).map(|row| row - first);
                let of: UInt32Array = of.collect();
                if !of.is_empty() {
                    let gone = take_record_batch(batch, &of).map_err(ChunkError::from)?;
                    for key in encoder.keys(&gone)?.iter().flatten() {
                        known.remove(key);
                    }
                }
                first = end;
            }
        }
        Ok(())
    }

    /// Counts the keys of its own rows that are not deleted, unless they are counted.
    pub(super) fn count_own_keys(&mut self) -> Result<(), EngineError> {
        if std::mem::replace(&mut self.counted, true) {
            return Ok(());
        }
        self.own_keys.clear();
        for (place, own) in &self.own {
            if let Some(table) = self.state.table(place.table_key()) {
                count_keys(&mut self.own_keys, table, *place, own.batches())?;
            }
        }
        Ok(())
    }

    /// Counts the keys of rows that become its own.
    pub(super) fn count_keys_of(
        &mut self,
        table: &Arc<Table>,
        place: Place,
        rows: &RecordBatch,
    ) -> Result<(), EngineError> {
        count_keys(&mut self.own_keys, table, place, std::iter::once(rows))
    }

    /// Deletes what it deletes of committed rows in a state that has its changes.
    pub(super) fn delete_in(&self, state: &mut State) -> Result<(), EngineError> {
        if self.deletions.is_empty() {
            return Ok(());
        }
        let moves = self.engine.moves.lock();
        for deletion in self.deletions.iter().filter(|of| of.source != Source::Own) {
            for (place, source, rows) in deletion.locate(&moves, state)? {
                state.delete(place, source, &rows, &mut Record::default())?;
            }
        }
        Ok(())
    }

    /// What is committed by now, without the rows that it deletes.
    pub(super) fn latest(&self) -> Result<Arc<State>, EngineError> {
        let latest = self.engine.state();
        if self
            .deletions
            .iter()
            .all(|known| known.source == Source::Own)
        {
            return Ok(latest);
        }
        if Arc::ptr_eq(&latest, &self.snapshot) {
            // Nobody committed since: what the transaction sees is that already, and its own parts.
            return Ok(Arc::clone(&self.state));
        }
        let mut state = State::clone(&latest);
        let moves = self.engine.moves.lock();
        for deletion in self.deletions.iter().filter(|of| of.source != Source::Own) {
            // Rows of a part of its own are not there yet.
            if matches!(deletion.source, Source::Part(id) if self.loaded.contains_key(&id)) {
                continue;
            }
            for (place, source, rows) in deletion.locate(&moves, &state)? {
                state.delete(place, source, &rows, &mut Record::default())?;
            }
        }
        Ok(Arc::new(state))
    }
}

/// Adds the keys of a chunk's rows to those that are known.
fn count_keys<'r>(
    known: &mut OwnKeys,
    table: &Arc<Table>,
    place: Place,
    batches: impl Iterator<Item = &'r RecordBatch> + Clone,
) -> Result<(), EngineError> {
    let layout = layout_for(table);
    for (constraint, columns) in table.unique_keys() {
        let encoder = layout.encoder(&columns)?;
        let known = known.entry((place, constraint.id)).or_default();
        for batch in batches.clone() {
            known.extend(encoder.keys(batch)?.iter().flatten().map(Into::into));
        }
    }
    Ok(())
}

/// What a view calls a source, as it can be found by later.
pub(crate) fn source_of(view: &TableView, place: Place, source: u32) -> Option<Source> {
    let mut chunks = view.chunks.iter();
    let (_, chunk) = chunks.find(|(id, _)| *id == place.chunk)?;
    match source {
        Locator::HOT => Some(Source::of_hot(chunk.hot.first()?)),
        Locator::OWN => Some(Source::Own),
        cold => {
            // Parts and what was opened of them are in the same order.
            let at = usize::try_from(cold - Locator::COLD).ok()?;
            let part = view.table.chunks.get(&place.chunk)?.parts.get(at)?;
            Some(Source::Part(part.id))
        }
    }
}

/// What a view calls a source.
pub(crate) fn called(view: &TableView, place: Place, source: Source) -> Option<u32> {
    match source {
        Source::Hot { .. } => Some(Locator::HOT),
        Source::Own => Some(Locator::OWN),
        Source::Part(id) => {
            let parts = &view.table.chunks.get(&place.chunk)?.parts;
            let at = parts.iter().position(|part| part.id == id)?;
            Some(Locator::COLD + u32::try_from(at).ok()?)
        }
    }
}

/// Ranges that all of some times lie in, not too many, and as narrow as that allows.
fn ranges(mut times: Vec<i64>) -> Vec<std::ops::Range<i64>> {
    times.sort_unstable();
    times.dedup();
    let mut gaps: Vec<(u64, usize)> = times
        .windows(2)
        .zip(1..)
        .filter_map(|(pair, at)| match pair {
            [one, next] => Some((one.abs_diff(*next), at)),
            _ => None,
        })
        .collect();
    let most = gaps.len().min(RANGES_MAX - 1);
    if most < gaps.len() {
        gaps.select_nth_unstable_by_key(most, |(gap, _)| std::cmp::Reverse(*gap));
        gaps.truncate(most);
    }
    let mut cuts: Vec<usize> = gaps.into_iter().map(|(_, at)| at).collect();
    cuts.push(times.len());
    cuts.sort_unstable();
    let mut from = 0;
    let mut found = Vec::new();
    for cut in cuts {
        let of = times.get(from..cut).unwrap_or_default();
        if let (Some(first), Some(last)) = (of.first(), of.last()) {
            found.push(*first..last.saturating_add(1));
        }
        from = cut;
    }
    found
}
