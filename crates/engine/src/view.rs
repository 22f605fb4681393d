//! A table at one moment, to read from.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Decimal128Type, Field, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::{
    ChunkError, ChunkView, HotPart, LOCATOR_COLUMN, Layout, Locator, RowSet, locator_type,
};
use chronolith_types::ChunkId;
use parking_lot::Mutex;

use crate::error::EngineError;
use crate::layout::layout_for;
use crate::record::{Place, TableKey};
use crate::state::{OpenPart, State, TableRows};

/// A table at one moment, with a transaction's own rows. Copies are free of cost.
#[derive(Debug, Clone)]
pub struct TableView {
    /// The table.
    pub table: Arc<Table>,
    /// What its chunks know of it.
    pub layout: Arc<Layout>,
    /// Its chunks, by their ranges.
    pub chunks: Arc<[(ChunkId, ChunkView)]>,
    /// Keeps files from being removed while they may be read.
    #[expect(dead_code, reason = "held, not looked at")]
    held: Arc<[Arc<OpenPart>]>,
}

impl TableView {
    /// A table as if it had one part alone.
    pub(crate) fn of_part(table: &Arc<Table>, layout: &Arc<Layout>, open: &Arc<OpenPart>) -> Self {
        let chunk = ChunkView {
            chunk: 0,
            range: i64::MIN..i64::MAX,
            hot: Vec::new(),
            cold: vec![Arc::clone(&open.part)],
        };
        Self {
            table: Arc::clone(table),
            layout: Arc::clone(layout),
            chunks: Arc::from([(ChunkId(0), chunk)]),
            held: Arc::from([Arc::clone(open)]),
        }
    }

    /// What a source of one of its chunks is called for as long as its rows are there: of which kind
    /// it is (0 for a part, 1 for rows in memory, 2 for the transaction's own), its number, and the
    /// number of its first row.
    #[must_use]
    pub fn source(&self, chunk: u32, source: u32) -> Option<(u8, u64, u64)> {
        let mut chunks = self.chunks.iter();
        let (id, view) = chunks.find(|(_, view)| view.chunk == chunk)?;
        match source {
            Locator::HOT => {
                let hot = view.hot.first()?;
                Some((1, hot.origin(), hot.left()))
            }
            Locator::OWN => Some((2, 0, 0)),
            cold => {
                // Parts and what was opened of them are in the same order.
                let at = usize::try_from(cold - Locator::COLD).ok()?;
                let part = self.table.chunks.get(id)?.parts.get(at)?;
                Some((0, part.id.0, 0))
            }
        }
    }

    /// Where the last row lies that the transaction itself has put into it since an earlier view; None
    /// where it put rows into more chunks than one, or none.
    #[must_use]
    pub fn last_own_since(&self, before: &Self) -> Option<i128> {
        let own = |view: &ChunkView| {
            let own = view.hot.get(Locator::OWN as usize);
            own.map_or(0, chronolith_chunk::HotSnapshot::all_rows)
        };
        let known: HashMap<u32, usize> = before
            .chunks
            .iter()
            .map(|(_, view)| (view.chunk, own(view)))
            .filter(|(_, rows)| *rows > 0)
            .collect();
        let grown = |view: &ChunkView| own(view) > known.get(&view.chunk).copied().unwrap_or(0);
        let mut chunks = self.chunks.iter().filter(|(_, view)| grown(view));
        let (chunk, rows) = chunks.next().map(|(_, view)| (view.chunk, own(view)))?;
        if chunks.next().is_some() {
            return None;
        }
        let row = u32::try_from(rows).ok()?.checked_sub(1)?;
        let source = Locator::OWN;
        Some(Locator { chunk, source, row }.into())
    }

    /// The same table with the rows of one of its chunks alone.
    #[must_use]
    pub fn only(self, chunk: ChunkId) -> Self {
        let chunks = self.chunks.iter().filter(|(id, _)| *id == chunk);
        Self {
            chunks: chunks.cloned().collect(),
            ..self
        }
    }

    /// The last time of its rows, as [`ChunkView::last_time`] tells it.
    #[must_use]
    pub fn last_time(&self) -> Option<i64> {
        let mut chunks = self.chunks.iter().rev();
        chunks.find_map(|(_, chunk)| chunk.last_time(&self.layout))
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunks.iter().map(|(_, chunk)| chunk.rows()).sum()
    }

    /// Rows by their locators, in the order asked for, with those as last column. Rows that are not
    /// in this view, or are deleted in it, are left out.
    ///
    /// # Errors
    /// What the disk gives.
    pub fn rows_at(
        &self,
        projection: &[usize],
        locators: &[i128],
    ) -> Result<RecordBatch, EngineError> {
        let mut rows = RowSet::default();
        for locator in locators {
            rows.insert(*locator);
        }
        let batches = self.rows_of(projection, &rows)?;
        let mut fields: Vec<_> = self.layout.projected(projection).fields().to_vec();
        fields.push(Arc::new(Field::new(LOCATOR_COLUMN, locator_type(), true)));
        let found = concat_batches(&Arc::new(Schema::new(fields)), &batches);
        let found = found.map_err(ChunkError::from)?;
        let last = found.columns().last();
        let known = last.and_then(|column| column.as_primitive_opt::<Decimal128Type>());
        let known = known.map_or(&[][..], |known| known.values());
        let places: HashMap<i128, u32> = known.iter().copied().zip(0..).collect();
        let order = locators.iter().filter_map(|locator| places.get(locator));
        let order: UInt32Array = order.copied().collect();
        Ok(take_record_batch(&found, &order).map_err(ChunkError::from)?)
    }

    /// Rows by their places, in the order of those, with their locators as last column.
    ///
    /// # Errors
    /// What the disk gives.
    pub fn rows_of(
        &self,
        projection: &[usize],
        rows: &RowSet,
    ) -> Result<Vec<RecordBatch>, EngineError> {
        let mut found = Vec::new();
        for ((chunk, source), rows) in rows.sources() {
            let mut chunks = self.chunks.iter();
            if let Some((_, view)) = chunks.find(|(_, view)| view.chunk == chunk) {
                found.extend(view.rows_at(&self.layout, projection, source, rows)?);
            }
        }
        Ok(found)
    }

    /// Bytes of its cold parts.
    #[must_use]
    pub fn cold_bytes(&self) -> u64 {
        let parts = self.chunks.iter().flat_map(|(_, chunk)| &chunk.cold);
        parts.map(|part| part.bytes()).sum()
    }
}

/// What is committed of a table, put together when it is first asked for. Copies of a table's rows
/// are made to be changed, and start without it.
#[derive(Debug, Default)]
pub(crate) struct Cached(Mutex<Option<TableView>>);

impl Clone for Cached {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl State {
    /// A table, with rows that are not committed yet put behind those that are.
    ///
    /// What it costs does not grow with the chunks that lie at other times, as long as nothing is
    /// committed between.
    pub(crate) fn view(
        &self,
        key: TableKey,
        own: &BTreeMap<Place, HotPart>,
        time: &Range<i64>,
    ) -> Option<TableView> {
        let mut view = self.committed(key)?;
        // Chunks do not overlap: their ends are in order too.
        let from = view
            .chunks
            .partition_point(|(_, chunk)| chunk.range.end <= time.start);
        let to = view
            .chunks
            .partition_point(|(_, chunk)| chunk.range.start < time.end);
        let own: Vec<(ChunkId, &HotPart)> = own
            .iter()
            .filter(|(place, _)| place.table_key() == key)
            .map(|(place, part)| (place.chunk, part))
            .collect();
        if own.is_empty() && from == 0 && to == view.chunks.len() {
            return Some(view);
        }
        let mut chunks = view.chunks.get(from..to).unwrap_or_default().to_vec();
        for (chunk, part) in own {
            if let Some((_, view)) = chunks.iter_mut().find(|(id, _)| *id == chunk) {
                if view.hot.is_empty() {
                    // Locators tell committed rows from these by their place.
                    view.hot.push(HotPart::default());
                }
                view.hot.push(part.snapshot());
            }
        }
        view.chunks = chunks.into();
        Some(view)
    }

    /// A table with the rows that are committed.
    fn committed(&self, key: TableKey) -> Option<TableView> {
        let table = self.catalog.table(key.database, key.table)?;
        let rows = self.tables.get(&key);
        let Some(rows) = rows else {
            return view_of(table, None);
        };
        let mut cached = rows.view.0.lock();
        match &*cached {
            Some(view) if Arc::ptr_eq(&view.table, table) => Some(view.clone()),
            _ => {
                let view = view_of(table, Some(rows))?;
                *cached = Some(view.clone());
                Some(view)
            }
        }
    }
}

fn view_of(table: &Arc<Table>, rows: Option<&Arc<TableRows>>) -> Option<TableView> {
    let mut held = Vec::new();
    let mut chunks: Vec<(ChunkId, ChunkView)> = Vec::with_capacity(table.chunks.len());
    for chunk in table.chunks.values() {
        let mut cold = Vec::with_capacity(chunk.parts.len());
        for part in &chunk.parts {
            let open = rows?.cold.get(&part.id)?;
            cold.push(match part.deleted.is_empty() {
                true => Arc::clone(&open.part),
                false => Arc::new(open.part.with_deleted(&part.deleted.0)),
            });
            held.push(Arc::clone(open));
        }
        let hot = rows.and_then(|rows| rows.hot.get(&chunk.id));
        let view = ChunkView {
            chunk: u32::try_from(chunk.id.0).unwrap_or(0),
            range: chunk.range.clone(),
            hot: hot.into_iter().map(HotPart::snapshot).collect(),
            cold,
        };
        chunks.push((chunk.id, view));
    }
    chunks.sort_by_key(|(_, view)| view.range.start);
    Some(TableView {
        table: Arc::clone(table),
        layout: layout_for(table),
        chunks: chunks.into(),
        held: held.into(),
    })
}
