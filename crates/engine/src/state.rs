//! What is committed, at one moment: readers hold it, the writer replaces it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Catalog, CatalogError, Change, Part, PartFile, Region, Table};
use chronolith_chunk::cold::{Checked, Written};
use chronolith_chunk::{ChunkView, ColdPart, HotPart, Layout, LayoutColumn, SortColumn};
use chronolith_platform::{Disk, PathError};
use chronolith_types::{ChunkId, DatabaseId, PartId, SqlType, TableId};

use crate::error::{EngineError, io_error};
use crate::files;
use crate::record::{Place, Record};

/// All that is committed.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) hot: Arc<BTreeMap<Place, HotPart>>,
    pub(crate) cold: Arc<HashMap<PartId, Arc<OpenPart>>>,
}

/// An open part, whose files go with it once it is dropped from the catalog.
#[derive(Debug)]
pub(crate) struct OpenPart {
    pub(crate) id: PartId,
    pub(crate) part: Arc<ColdPart>,
    disk: Arc<dyn Disk>,
    /// Set when no catalog names it any more.
    pub(crate) dropped: std::sync::atomic::AtomicBool,
}

impl Drop for OpenPart {
    fn drop(&mut self) {
        if self.dropped.load(std::sync::atomic::Ordering::Acquire) {
            // A file that stays is removed when the engine is opened next.
            for path in [files::data(self.id), files::directory(self.id)]
                .into_iter()
                .flatten()
            {
                drop(self.disk.remove(&path));
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("version", &self.catalog.version)
            .field("hot", &self.hot.len())
            .field("cold", &self.cold.len())
            .finish()
    }
}

pub(crate) fn path_error(error: PathError) -> EngineError {
    io_error("name a file")(std::io::Error::other(error))
}

/// A part's catalog entry from what writing it gave.
pub(crate) fn entry(id: PartId, written: &Written) -> Part {
    let file = |checked: &Checked| PartFile {
        bytes: checked.bytes,
        regions: checked
            .regions
            .iter()
            .map(|(offset, length, crc32c)| Region {
                offset: *offset,
                length: *length,
                crc32c: *crc32c,
            })
            .collect(),
    };
    Part {
        id,
        rows: written.rows,
        times: written.times,
        data: file(&written.data),
        directory: file(&written.directory),
        deleted: Vec::new(),
    }
}

fn written(part: &Part) -> Written {
    let checked = |file: &PartFile| Checked {
        bytes: file.bytes,
        regions: file
            .regions
            .iter()
            .map(|region| (region.offset, region.length, region.crc32c))
            .collect(),
    };
    Written {
        rows: part.rows,
        times: part.times,
        data: checked(&part.data),
        directory: checked(&part.directory),
    }
}

/// What a chunk must know of a table.
pub(crate) fn layout_of(table: &Table) -> Layout {
    let column = |column: &chronolith_catalog::Column| LayoutColumn {
        id: column.id,
        name: column.name.clone(),
        ty: column.ty.clone(),
    };
    let place = |id| table.columns.iter().position(|column| column.id == id);
    let time = table
        .hypertable
        .as_ref()
        .and_then(|hypertable| place(hypertable.time));
    let compression = table
        .hypertable
        .as_ref()
        .and_then(|h| h.compression.as_ref());
    let (segment_by, mut order_by) = match compression {
        Some(compression) => (
            compression
                .segment_by
                .iter()
                .filter_map(|id| place(*id))
                .collect(),
            compression
                .order_by
                .iter()
                .filter_map(|order| {
                    Some(SortColumn {
                        column: place(order.column)?,
                        descending: order.descending,
                        nulls_first: order.nulls_first,
                    })
                })
                .collect(),
        ),
        // Nobody said: the key's text columns are what a series is called by.
        None => (automatic_segments(table), Vec::new()),
    };
    if let (Some(time), true) = (time, order_by.is_empty()) {
        order_by.push(SortColumn {
            column: time,
            descending: false,
            nulls_first: false,
        });
    }
    let columns = table.columns.iter().map(column).collect();
    let segment_by = if time.is_some() {
        segment_by
    } else {
        Vec::new()
    };
    Layout::new(columns, time, segment_by, order_by)
}

fn automatic_segments(table: &Table) -> Vec<usize> {
    let keys = table.unique_keys();
    let Some((_, places)) = keys.first() else {
        return Vec::new();
    };
    let text = |place: &usize| {
        table.columns.get(*place).is_some_and(|column| {
            matches!(
                column.ty,
                SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)
            )
        })
    };
    places.iter().copied().filter(text).collect()
}

/// A table at one moment, with a transaction's own rows.
#[derive(Debug, Clone)]
pub struct TableView {
    /// The table.
    pub table: Arc<Table>,
    /// What its chunks know of it.
    pub layout: Arc<Layout>,
    /// Its chunks, by their ranges.
    pub chunks: Vec<(ChunkId, ChunkView)>,
    /// Keeps files from being removed while they may be read.
    pub(crate) held: Vec<Arc<OpenPart>>,
}

impl TableView {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunks.iter().map(|(_, chunk)| chunk.rows()).sum()
    }

    /// Bytes of its cold parts.
    #[must_use]
    pub fn cold_bytes(&self) -> u64 {
        self.held.iter().map(|part| part.part.bytes()).sum()
    }
}

impl State {
    /// A table, with rows that are not committed yet put behind those that are.
    pub(crate) fn view(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        table: TableId,
        own: &BTreeMap<Place, HotPart>,
    ) -> Option<TableView> {
        let table = catalog.table(database, table)?;
        let mut held = Vec::new();
        let mut chunks: Vec<(ChunkId, ChunkView)> = Vec::with_capacity(table.chunks.len());
        for chunk in table.chunks.values() {
            let place = Place {
                database,
                table: table.id,
                chunk: chunk.id,
            };
            let mut cold = Vec::with_capacity(chunk.parts.len());
            for part in &chunk.parts {
                let open = self.cold.get(&part.id)?;
                cold.push(Arc::clone(&open.part));
                held.push(Arc::clone(open));
            }
            let hot = [self.hot.get(&place), own.get(&place)];
            let view = ChunkView {
                range: chunk.range.clone(),
                hot: hot.into_iter().flatten().map(HotPart::snapshot).collect(),
                cold,
            };
            chunks.push((chunk.id, view));
        }
        chunks.sort_by_key(|(_, view)| view.range.start);
        Some(TableView {
            table: Arc::clone(table),
            layout: Arc::new(layout_of(table)),
            chunks,
            held,
        })
    }

    /// The state after a record. Parts that the record adds are opened and checked.
    pub(crate) fn after(&self, record: &Record, disk: &Arc<dyn Disk>) -> Result<Self, EngineError> {
        let mut next = self.replayed(record)?;
        if !record.changes.is_empty() {
            next.open_parts(disk)?;
        }
        Ok(next)
    }

    /// The same without opening parts: a replay passes states whose parts are gone since.
    pub(crate) fn replayed(&self, record: &Record) -> Result<Self, EngineError> {
        let mut next = self.clone();
        if !record.changes.is_empty() {
            for change in &record.changes {
                next.check_change(change)?;
                let before = Arc::clone(&next.catalog);
                Arc::make_mut(&mut next.catalog).apply(change)?;
                next.fit_columns(&before, change)?;
            }
        }
        for (place, batches) in &record.rows {
            let table = next.catalog.table(place.database, place.table);
            let Some(table) = table.filter(|table| table.chunks.contains_key(&place.chunk)) else {
                // Rows of a table that went meanwhile would be nobody's.
                return Err(CatalogError::NoRelation(place.table.to_string()).into());
            };
            let fits = |batch: &RecordBatch| {
                let types = batch.schema();
                let types = types.fields().iter().map(|field| field.data_type().clone());
                types.eq(table.columns.iter().map(|column| column.ty.arrow()))
            };
            if !batches.iter().all(fits) {
                // Another transaction changed the columns since the rows were made.
                return Err(EngineError::ColumnsChanged(table.name.clone()));
            }
            next.append(*place, batches)?;
        }
        for (place, rows) in &record.flushed {
            let hot = Arc::make_mut(&mut next.hot);
            if let Some(part) = hot.get_mut(place) {
                *part = part.without_first((*rows).min(part.rows()));
                if part.rows() == 0 {
                    hot.remove(place);
                }
            }
        }
        if !record.changes.is_empty() {
            next.forget_dropped();
        }
        Ok(next)
    }

    /// Refuses what the catalog alone cannot see to be wrong.
    fn check_change(&self, change: &Change) -> Result<(), EngineError> {
        let Change::MakeHypertable {
            database, table, ..
        } = change
        else {
            return Ok(());
        };
        let hot = self
            .hot
            .keys()
            .any(|place| place.database == *database && place.table == *table);
        let found = self.catalog.table(*database, *table);
        let cold =
            found.is_some_and(|table| table.chunks.values().any(|chunk| !chunk.parts.is_empty()));
        if hot || cold {
            let table = found.map(|table| table.name.clone()).unwrap_or_default();
            return Err(EngineError::TableNotEmpty(table));
        }
        Ok(())
    }

    /// Gives hot rows the columns that the table has after a change.
    fn fit_columns(&mut self, before: &Catalog, change: &Change) -> Result<(), EngineError> {
        let (Change::AddColumn {
            database, table, ..
        }
        | Change::DropColumn {
            database, table, ..
        }) = change
        else {
            return Ok(());
        };
        let places: Vec<Place> = self
            .hot
            .keys()
            .filter(|place| place.database == *database && place.table == *table)
            .copied()
            .collect();
        let old = before.table(*database, *table);
        let new = self.catalog.table(*database, *table);
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(());
        };
        let layout = layout_of(new);
        for place in places {
            let Some(part) = self.hot.get(&place) else {
                continue;
            };
            let mut fitted = HotPart::default();
            for batch in part.batches() {
                let column = |column: &chronolith_catalog::Column| {
                    let place = old.columns.iter().position(|known| known.id == column.id);
                    match place.and_then(|place| batch.columns().get(place)) {
                        Some(values) => Arc::clone(values),
                        None => new_null_array(&column.ty.arrow(), batch.num_rows()),
                    }
                };
                let columns = new.columns.iter().map(column).collect();
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let schema = Arc::clone(layout.schema());
                let batch = RecordBatch::try_new_with_options(schema, columns, &options)
                    .map_err(chronolith_chunk::ChunkError::from)?;
                fitted.append(batch)?;
            }
            Arc::make_mut(&mut self.hot).insert(place, fitted);
        }
        Ok(())
    }

    fn append(&mut self, place: Place, batches: &[RecordBatch]) -> Result<(), EngineError> {
        let hot = Arc::make_mut(&mut self.hot).entry(place).or_default();
        for batch in batches {
            hot.append(batch.clone())?;
        }
        Ok(())
    }

    /// Hot rows go with their table or chunk.
    fn forget_dropped(&mut self) {
        let catalog = Arc::clone(&self.catalog);
        let there = |place: &Place| {
            catalog
                .table(place.database, place.table)
                .is_some_and(|table| table.chunks.contains_key(&place.chunk))
        };
        if self.hot.keys().any(|place| !there(place)) {
            Arc::make_mut(&mut self.hot).retain(|place, _| there(place));
        }
    }

    /// Opens parts that the catalog names and lets go of those that it names no more.
    pub(crate) fn open_parts(&mut self, disk: &Arc<dyn Disk>) -> Result<(), EngineError> {
        let mut named = HashMap::new();
        let mut changed = false;
        for part in self.catalog.parts() {
            let open = match self.cold.get(&part.id) {
                Some(open) => Arc::clone(open),
                None => {
                    changed = true;
                    let data = files::data(part.id).map_err(path_error)?;
                    let directory = files::directory(part.id).map_err(path_error)?;
                    let cold = ColdPart::open(&**disk, &data, &directory, written(part))?;
                    Arc::new(OpenPart {
                        id: part.id,
                        part: Arc::new(cold),
                        disk: Arc::clone(disk),
                        dropped: std::sync::atomic::AtomicBool::new(false),
                    })
                }
            };
            named.insert(part.id, open);
        }
        if changed || named.len() != self.cold.len() {
            self.cold = Arc::new(named);
        }
        Ok(())
    }

    /// Bytes of hot rows.
    pub(crate) fn hot_bytes(&self) -> usize {
        self.hot.values().map(HotPart::bytes).sum()
    }
}
