//! Chunks that become one, and one that becomes two.
//!
//! A merge moves no row: the chunk that stays takes over parts and hot rows as they are. Before a
//! split, parts that lie across the cut are written anew as two, which changes nobody's answer; the
//! split itself then moves parts whole, and cuts hot rows. Both are changes of a transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Part, Table};
use chronolith_chunk::{ChunkError, ChunkView, HotPart, Layout, ScanRequest, cold};
use chronolith_types::ChunkId;

use crate::commit::{Packed, Work};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::layout::layout_of;
use crate::queue::Pending;
use crate::record::{Place, Record, TableKey};
use crate::state::{Loaded, OpenPart, State};

/// A part that no record names yet.
pub(crate) type LoadedPart = (Part, Arc<OpenPart>);

/// How often a chunk is cut anew because another transaction changed it meanwhile.
const ATTEMPTS: usize = 4;

/// The rows of a batch before a time, and those from there on.
fn halves(
    batch: &RecordBatch,
    time: usize,
    at: i64,
) -> Result<(RecordBatch, RecordBatch), EngineError> {
    let times = cold::times(batch.column(time))?;
    let before: BooleanArray = times.iter().map(|time| Some(*time < at)).collect();
    let behind: BooleanArray = times.iter().map(|time| Some(*time >= at)).collect();
    let take = |mask| filter_record_batch(batch, mask).map_err(ChunkError::from);
    Ok((take(&before)?, take(&behind)?))
}

impl State {
    /// Hot rows follow a change of their chunks' boundaries; `before` is the table as it was.
    pub(crate) fn follow_boundaries(
        &mut self,
        before: Option<&Arc<Table>>,
        change: &Change,
    ) -> Result<(), EngineError> {
        match change {
            Change::MergeChunks {
                database,
                table,
                chunks,
            } => {
                let key = TableKey::new(*database, *table);
                self.merge_hot(key, before, chunks)
            }
            Change::SplitChunk {
                database,
                table,
                chunk,
                at,
                new,
                ..
            } => {
                let key = TableKey::new(*database, *table);
                self.split_hot(key.place(*chunk), key.place(*new), *at)
            }
            _ => Ok(()),
        }
    }

    fn merge_hot(
        &mut self,
        key: TableKey,
        before: Option<&Arc<Table>>,
        chunks: &[ChunkId],
    ) -> Result<(), EngineError> {
        let Some(stays) = chunks.first() else {
            return Ok(());
        };
        // In the order of their times, so that a replay gives the same rows in the same order.
        let mut sources = chunks.to_vec();
        let start = |id: &ChunkId| {
            let chunk = before.and_then(|table| table.chunks.get(id));
            chunk.map_or(i64::MAX, |chunk| chunk.range.start)
        };
        sources.sort_by_key(start);
        sources.retain(|id| self.hot(key.place(*id)).is_some());
        if sources.is_empty() || sources == [*stays] {
            return Ok(());
        }
        let mut merged = HotPart::default();
        let rows = self.rows_mut(key);
        for id in &sources {
            if let Some(part) = rows.hot.remove(id) {
                for batch in part.batches() {
                    merged.append(batch.clone())?;
                }
            }
        }
        // Of rows that were all deleted nothing is left: a part without any would never be packed.
        if merged.all_rows() > 0 {
            rows.hot.insert(*stays, merged);
        }
        Ok(())
    }

    fn split_hot(&mut self, from: Place, to: Place, at: i64) -> Result<(), EngineError> {
        let Some(hot) = self.hot(from).map(HotPart::snapshot) else {
            return Ok(());
        };
        let table = self.table(from.table_key());
        let Some(time) = table.and_then(|table| layout_of(table).time) else {
            return Ok(());
        };
        let (mut before, mut behind) = (HotPart::default(), HotPart::default());
        for batch in hot.batches() {
            let (early, late) = halves(batch, time, at)?;
            before.append(early)?;
            behind.append(late)?;
        }
        let rows = self.rows_mut(from.table_key());
        if behind.rows() == 0 {
            return Ok(());
        }
        rows.hot.remove(&from.chunk);
        if before.rows() > 0 {
            rows.hot.insert(from.chunk, before);
        }
        rows.hot.insert(to.chunk, behind);
        Ok(())
    }

    /// Refuses rows and parts of a commit for chunks that are narrower than when the transaction
    /// looked: not all of them need lie within. `self` is what the commit is to make, `moved` the
    /// numbers that its own chunks got.
    pub(crate) fn check_boundaries(
        &self,
        made_for: &[(TableKey, Arc<Table>)],
        record: &Record,
        moved: &BTreeMap<Place, ChunkId>,
    ) -> Result<(), EngineError> {
        for (key, table) in made_for {
            let rows = record.rows.iter().map(|(place, _)| *place);
            let parts = record.changes.iter().filter_map(added_to);
            for place in rows.chain(parts).filter(|place| place.table_key() == *key) {
                let mut before = moved
                    .iter()
                    .filter(|(then, now)| then.table_key() == *key && **now == place.chunk);
                let then = before.next().map_or(place.chunk, |(then, _)| then.chunk);
                if !self.holds(table, then, place) {
                    return Err(EngineError::Overtaken(table.name.clone()));
                }
            }
        }
        Ok(())
    }

    /// Whether a chunk, where it is there, has the range that a table has for it, or more.
    pub(crate) fn holds(&self, table: &Table, then: ChunkId, now: Place) -> bool {
        let chunk = self.table(now.table_key());
        let chunk = chunk.and_then(|table| table.chunks.get(&now.chunk));
        match (table.chunks.get(&then), chunk) {
            (Some(then), Some(now)) => {
                now.range.start <= then.range.start && now.range.end >= then.range.end
            }
            _ => true,
        }
    }
}

/// The chunk that a change adds parts to.
fn added_to(change: &Change) -> Option<Place> {
    match change {
        Change::ReplaceParts {
            database,
            table,
            chunk,
            added,
            ..
        } if !added.is_empty() => Some(TableKey::new(*database, *table).place(*chunk)),
        _ => None,
    }
}

impl Engine {
    /// Writes parts that have rows on both sides of a time anew, as two each. Their rows and
    /// answers stay as they are.
    pub(crate) fn cut_parts(&self, place: Place, at: i64) -> Result<(), EngineError> {
        let _one = self.maintenance.lock();
        for _ in 0..ATTEMPTS {
            let state = self.state();
            let Some(work) = self.cut(&state, place, at)? else {
                return Ok(());
            };
            match self.commit(&Pending::new(work), None) {
                Err(EngineError::Overtaken(_)) => {}
                other => return other.map(|_| ()),
            }
        }
        // While nobody else writes nobody comes first.
        let mut writing = self.writing();
        if let Some(work) = self.cut(&self.state(), place, at)? {
            let pending = Pending::new(work);
            self.write(&mut writing, &[Arc::clone(&pending)]);
            pending.result()?;
        }
        Ok(())
    }

    /// The rows of some parts before a time, and those from there on: each a part where there are any.
    pub(crate) fn halve(
        &self,
        layout: &Arc<Layout>,
        view: &ChunkView,
        time: usize,
        at: i64,
    ) -> Result<[Option<LoadedPart>; 2], EngineError> {
        let all = ScanRequest::all((0..layout.columns.len()).collect());
        let mut sides = [Vec::new(), Vec::new()];
        for batch in view.scan(layout, &all) {
            let (before, behind) = halves(&batch?, time, at)?;
            let [early, late] = &mut sides;
            early.push(before);
            late.push(behind);
        }
        let mut rows = 0;
        let mut made = [None, None];
        for (side, made) in sides.into_iter().zip(&mut made) {
            let count: usize = side.iter().map(RecordBatch::num_rows).sum();
            if count > 0 {
                rows += count as u64;
                let (part, open, _) = self.pack_part(layout, side)?;
                *made = Some((part, open));
            }
        }
        // A row lost or doubled here would be lost or doubled for ever.
        assert_eq!(rows, view.rows(), "rows that were cut at {at}");
        Ok(made)
    }

    fn cut(&self, state: &State, place: Place, at: i64) -> Result<Option<Work>, EngineError> {
        let Some(table) = state.table(place.table_key()) else {
            return Ok(None);
        };
        let Some(chunk) = table.chunks.get(&place.chunk) else {
            return Ok(None);
        };
        let across = |part: &Part| {
            let times = part.times;
            times.is_some_and(|(first, last)| first < at && last >= at)
        };
        let Some(first) = chunk.parts.iter().position(|part| across(part)) else {
            return Ok(None);
        };
        let layout = Arc::new(layout_of(table));
        let Some(time) = layout.time else {
            return Ok(None);
        };
        // New parts come last: all from the first that is cut go with it, so that rows which are
        // alike in time stay in the order of their arrival.
        let removed: Vec<_> = chunk.parts.iter().skip(first).collect();
        let mut added = Vec::new();
        let mut loaded = Loaded::new();
        for part in &removed {
            let Some(cold) = state.cold(place.table_key(), part) else {
                return Ok(None);
            };
            let view = ChunkView {
                chunk: 0,
                range: i64::MIN..i64::MAX,
                hot: Vec::new(),
                cold: vec![cold],
            };
            for (part, open) in self.halve(&layout, &view, time, at)?.into_iter().flatten() {
                loaded.insert(part.id, open);
                added.push(Arc::new(part));
            }
        }
        let removed: Vec<_> = removed.iter().map(|part| part.id).collect();
        Ok(Some(Work {
            record: Record {
                changes: vec![Change::ReplaceParts {
                    database: place.database,
                    table: place.table,
                    chunk: place.chunk,
                    removed: removed.clone(),
                    added,
                    compressed: None,
                }],
                ..Record::default()
            },
            loaded,
            packed: vec![Packed {
                place,
                generation: None,
                hot_rows: 0,
                gone: chunk
                    .parts
                    .iter()
                    .skip(first)
                    .map(|part| part.deleted.len())
                    .sum(),
                parts: removed,
                moved: None,
            }],
            ..Work::default()
        }))
    }
}
