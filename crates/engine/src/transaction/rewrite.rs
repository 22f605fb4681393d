//! Rows of a store computed anew, in the place of those that are there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Part, Table};
use chronolith_chunk::{ChunkError, ChunkView, HotPart, Layout, ScanRequest};
use chronolith_types::{PartId, TableId};

use super::Transaction;
use crate::check::ALL_TIMES;
use crate::commit::Packed;
use crate::error::EngineError;
use crate::layout::layout_of;
use crate::record::{Place, Record, TableKey};
use crate::route;

/// What a transaction computed anew of a store.
#[derive(Debug)]
pub(super) struct Rewrite {
    pub(super) key: TableKey,
    pub(super) range: Range<i64>,
    /// Hot rows that are in its parts now, or gone.
    pub(super) flushed: Vec<(Place, usize)>,
    /// What it took rows of.
    pub(super) packed: Vec<Packed>,
}

/// What of a chunk a rewrite takes away.
struct Taken {
    parts: Vec<PartId>,
    /// The hot rows, if any of them is within the range; and then all.
    hot: Option<HotPart>,
    /// Rows of both that are not within the range, in the order of their arrival.
    kept: Vec<RecordBatch>,
}

impl Rewrite {
    pub(super) fn flushed(&self) -> Record {
        Record {
            flushed: self.flushed.clone(),
            ..Record::default()
        }
    }
}

impl Transaction {
    /// Puts rows in the place of those that a store has within a range, which is marked as invalid
    /// and by the commit is no more: as of the transaction's snapshot, at which the rows were
    /// computed and which it keeps from now on. Rows that others add meanwhile stay, and so does
    /// what they mark. Stores that are computed from this one have nothing to follow: it gets the
    /// rows that its source says it has.
    ///
    /// # Errors
    /// 40001 when the range is not marked any more, or others moved the rows meanwhile, here or at
    /// the commit: to be tried again, on a new snapshot.
    pub fn rewrite(
        &mut self,
        store: TableId,
        range: Range<i64>,
        rows: &[RecordBatch],
    ) -> Result<(), EngineError> {
        let table = self.found(store)?;
        let key = TableKey::new(self.database, store);
        let rollup = self.snapshot.rollup(key);
        let Some(rollup) = rollup.filter(|rollup| rollup.is_invalid(&range)) else {
            return Err(EngineError::Overtaken(table.name.clone()));
        };
        let upto = rollup.next_mark;
        let point = self.point();
        let done = self.rewrite_chunks(&table, &range, rows).and_then(|()| {
            self.apply(Change::Revalidate {
                database: self.database,
                table: store,
                range,
                upto,
            })
        });
        if done.is_err() {
            self.undo_to(point)?;
        }
        done
    }

    fn rewrite_chunks(
        &mut self,
        table: &Arc<Table>,
        range: &Range<i64>,
        rows: &[RecordBatch],
    ) -> Result<(), EngineError> {
        let key = TableKey::new(self.database, table.id);
        let layout = Arc::new(layout_of(table));
        let mut chunks: BTreeMap<i64, (Range<i64>, Vec<RecordBatch>)> = BTreeMap::new();
        let there = table.chunks.values();
        for chunk in there.filter(|of| of.range.start < range.end && range.start < of.range.end) {
            chunks.insert(chunk.range.start, (chunk.range.clone(), Vec::new()));
        }
        for batch in rows {
            let batch = route::fitting(table, &layout, batch)?;
            for (chunk, rows) in route::split(table, &layout, &batch)? {
                let entry = chunks.entry(chunk.start);
                entry.or_insert_with(|| (chunk, Vec::new())).1.push(rows);
            }
        }
        self.rewrites.push(Rewrite {
            key,
            range: range.clone(),
            flushed: Vec::new(),
            packed: Vec::new(),
        });
        for (_, (chunk, fresh)) in chunks {
            self.rewrite_chunk(table, &layout, range, chunk, fresh)?;
        }
        Ok(())
    }

    fn rewrite_chunk(
        &mut self,
        table: &Arc<Table>,
        layout: &Arc<Layout>,
        range: &Range<i64>,
        chunk: Range<i64>,
        fresh: Vec<RecordBatch>,
    ) -> Result<(), EngineError> {
        let place = self.place(table, chunk)?;
        let count: usize = fresh.iter().map(RecordBatch::num_rows).sum();
        let Taken {
            parts,
            hot,
            mut kept,
        } = self.take(place, layout, range, count as u64)?;
        kept.extend(fresh);
        if parts.is_empty() && hot.is_none() && kept.is_empty() {
            return Ok(());
        }
        let mut added = Vec::new();
        if !kept.is_empty() {
            let catalog = Arc::clone(&self.state.catalog);
            let key = place.table_key();
            let (part, open) = self.engine.pack_partials(&catalog, key, layout, kept)?;
            self.loaded.insert(part.id, open);
            added.push(Arc::new(part));
        }
        // Parts of the transaction's own are nobody else's to take.
        let theirs = parts.iter().copied();
        let theirs: Vec<PartId> = theirs.filter(|id| !self.loaded.contains_key(id)).collect();
        self.apply(Change::ReplaceParts {
            database: place.database,
            table: place.table,
            chunk: place.chunk,
            removed: parts,
            added,
            compressed: None,
        })?;
        let Some(rewrite) = self.rewrites.last_mut() else {
            return Ok(());
        };
        if hot.is_some() || !theirs.is_empty() {
            rewrite.packed.push(Packed {
                place,
                generation: hot.as_ref().map(HotPart::generation),
                parts: theirs,
            });
        }
        if let Some(hot) = hot {
            rewrite.flushed.push((place, hot.rows()));
            let flushed = Record {
                flushed: vec![(place, hot.rows())],
                ..Record::default()
            };
            let mut state = (*self.state).clone();
            state.apply_rows(&flushed)?;
            self.state = Arc::new(state);
        }
        Ok(())
    }

    /// What a rewrite of a range takes of a chunk that gets `fresh` rows for it. Parts and rows
    /// behind one that is taken are taken with it, so that what stays remains in the order of its
    /// arrival.
    fn take(
        &self,
        place: Place,
        layout: &Arc<Layout>,
        range: &Range<i64>,
        fresh: u64,
    ) -> Result<Taken, EngineError> {
        let key = place.table_key();
        let table = self.state.table(key);
        let parts = table.and_then(|table| table.chunks.get(&place.chunk));
        let parts: &[Arc<Part>] = parts.map_or(&[], |chunk| &chunk.parts);
        let hot = self.state.hot(place);
        let meets = |part: &Arc<Part>| {
            let times = part.times;
            times.is_some_and(|(first, last)| first < range.end && range.start <= last)
        };
        let mut hot_meets = false;
        for batch in hot.map_or(&[][..], HotPart::batches) {
            let times = times_of(layout, batch)?;
            hot_meets |= times.iter().any(|time| range.contains(time));
        }
        let hot = hot.filter(|_| hot_meets);
        let behind = fresh + hot.map_or(0, |hot| hot.rows() as u64);
        let small = parts.len() - self.engine.joined(parts, behind);
        let from = match parts.iter().position(meets) {
            Some(first) => first.min(small),
            None if behind > 0 => small,
            None => parts.len(),
        };
        let mut cold = Vec::new();
        let mut taken = Vec::new();
        for part in parts.iter().skip(from) {
            let open = self.state.part(key, part.id);
            let missing = || EngineError::Overtaken(place.table.to_string());
            cold.push(Arc::clone(&open.ok_or_else(missing)?.part));
            taken.push(part.id);
        }
        let view = ChunkView {
            range: ALL_TIMES,
            hot: hot.into_iter().map(HotPart::snapshot).collect(),
            cold,
        };
        let all: Vec<usize> = (0..layout.columns.len()).collect();
        let mut kept = Vec::new();
        for batch in view.scan(layout, &ScanRequest::all(all)) {
            let batch = batch?;
            let times = times_of(layout, &batch)?;
            let outside = times.iter().map(|time| !range.contains(time));
            let outside: BooleanArray = outside.collect::<Vec<bool>>().into();
            let batch = filter_record_batch(&batch, &outside).map_err(ChunkError::from)?;
            if batch.num_rows() > 0 {
                kept.push(batch);
            }
        }
        Ok(Taken {
            parts: taken,
            hot: hot.map(HotPart::snapshot),
            kept,
        })
    }
}

fn times_of(layout: &Layout, batch: &RecordBatch) -> Result<Vec<i64>, EngineError> {
    match layout.time.and_then(|place| batch.columns().get(place)) {
        Some(column) => route::time_values(column),
        None => Ok(Vec::new()),
    }
}
