//! Rows of a store computed anew, in the place of those that are there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Part, Table};
use chronolith_chunk::{ChunkError, ChunkView, ColdPart, HotPart, Layout, ScanRequest};
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
        let mut hot = self.state.hot(place).map(HotPart::snapshot);
        let mut tail = Vec::new();
        if let Some(rows) = &hot {
            // They go together, so that what stays of them is behind all parts still.
            match kept_of(layout, range, Vec::new(), Some(rows))? {
                (kept, true) => tail = kept,
                (_, false) => hot = None,
            }
        }
        tail.extend(fresh);
        let rows: usize = tail.iter().map(RecordBatch::num_rows).sum();
        let now = self.state.table(place.table_key());
        let parts = now.and_then(|table| table.chunks.get(&place.chunk));
        let parts: Vec<Arc<Part>> = parts.map_or_else(Vec::new, |chunk| chunk.parts.clone());
        let joined = match rows {
            0 => 0,
            _ => self.engine.joined(&parts, rows as u64),
        };
        let (large, small) = parts.split_at(parts.len() - joined);
        for part in large.iter().filter(|part| meets(part, range)) {
            let open = vec![self.open(place, part)?];
            let (kept, gone) = kept_of(layout, range, open, None)?;
            if gone {
                self.replace(place, layout, vec![part.id], kept)?;
            }
        }
        if !tail.is_empty() || !small.is_empty() {
            let open = small.iter().map(|part| self.open(place, part));
            let open = open.collect::<Result<Vec<_>, _>>()?;
            let (mut kept, _) = kept_of(layout, range, open, None)?;
            kept.extend(tail);
            let removed = small.iter().map(|part| part.id).collect();
            self.replace(place, layout, removed, kept)?;
        }
        match hot {
            Some(hot) => self.take_hot(place, &hot),
            None => Ok(()),
        }
    }

    fn open(&self, place: Place, part: &Part) -> Result<Arc<ColdPart>, EngineError> {
        match self.state.cold(place.table_key(), part) {
            Some(part) => Ok(part),
            None => Err(EngineError::Overtaken(place.table.to_string())),
        }
    }

    /// Puts one part, or none for no rows, in the place of others.
    fn replace(
        &mut self,
        place: Place,
        layout: &Arc<Layout>,
        removed: Vec<PartId>,
        rows: Vec<RecordBatch>,
    ) -> Result<(), EngineError> {
        let mut added = Vec::new();
        if !rows.is_empty() {
            let catalog = Arc::clone(&self.state.catalog);
            let key = place.table_key();
            let (part, open) = self.engine.pack_partials(&catalog, key, layout, rows)?;
            self.loaded.insert(part.id, open);
            added.push(Arc::new(part));
        }
        // Parts of the transaction's own are nobody else's to take.
        let theirs = removed.iter().copied();
        let theirs = theirs.filter(|id| !self.loaded.contains_key(id));
        self.took(place, None, theirs.collect());
        self.apply(Change::ReplaceParts {
            database: place.database,
            table: place.table,
            chunk: place.chunk,
            removed,
            added,
            compressed: None,
        })
    }

    /// All hot rows of a chunk are in its parts now, or gone.
    fn take_hot(&mut self, place: Place, hot: &HotPart) -> Result<(), EngineError> {
        self.took(place, Some(hot.generation()), Vec::new());
        let flushed = Record {
            flushed: vec![(place, hot.rows())],
            ..Record::default()
        };
        if let Some(rewrite) = self.rewrites.last_mut() {
            rewrite.flushed.push((place, hot.rows()));
        }
        let mut state = (*self.state).clone();
        state.apply_rows(&flushed)?;
        self.state = Arc::new(state);
        Ok(())
    }

    /// Notes what must still be there at the commit.
    fn took(&mut self, place: Place, generation: Option<u64>, parts: Vec<PartId>) {
        if let Some(rewrite) = self.rewrites.last_mut()
            && (generation.is_some() || !parts.is_empty())
        {
            rewrite.packed.push(Packed {
                place,
                generation,
                // Nobody deletes rows of stores one by one.
                hot_rows: 0,
                gone: 0,
                parts,
                moved: None,
            });
        }
    }
}

fn meets(part: &Part, range: &Range<i64>) -> bool {
    let times = part.times;
    times.is_some_and(|(first, last)| first < range.end && range.start <= last)
}

/// The rows that are not within a range, in the order of their arrival, and whether others are.
fn kept_of(
    layout: &Arc<Layout>,
    range: &Range<i64>,
    cold: Vec<Arc<ColdPart>>,
    hot: Option<&HotPart>,
) -> Result<(Vec<RecordBatch>, bool), EngineError> {
    let view = ChunkView {
        chunk: 0,
        range: ALL_TIMES,
        hot: hot.into_iter().map(HotPart::snapshot).collect(),
        cold,
    };
    let all: Vec<usize> = (0..layout.columns.len()).collect();
    let (mut kept, mut gone) = (Vec::new(), false);
    for batch in view.scan(layout, &ScanRequest::all(all)) {
        let batch = batch?;
        let outside = outside(layout, range, &batch)?;
        let left = outside.as_ref().map_or(0, RecordBatch::num_rows);
        gone |= left < batch.num_rows();
        kept.extend(outside);
    }
    Ok((kept, gone))
}

/// The rows of a batch that are not within a range, if there are any.
fn outside(
    layout: &Layout,
    range: &Range<i64>,
    batch: &RecordBatch,
) -> Result<Option<RecordBatch>, EngineError> {
    let Some(column) = layout.time.and_then(|place| batch.columns().get(place)) else {
        return Ok(Some(batch.clone()));
    };
    let times = route::time_values(column)?;
    let outside = times.iter().map(|time| !range.contains(time));
    let outside: BooleanArray = outside.collect::<Vec<bool>>().into();
    let kept = filter_record_batch(batch, &outside).map_err(ChunkError::from)?;
    Ok((kept.num_rows() > 0).then_some(kept))
}
