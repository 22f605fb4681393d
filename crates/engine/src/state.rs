//! What is committed, at one moment: readers hold it, the writer replaces it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, CatalogError, Change, Part, PartFile, Region, RowBits, Table};
use chronolith_chunk::cold::{Checked, Written};
use chronolith_chunk::{ColdPart, HotPart, constant};
use chronolith_platform::{Disk, PathError};
use chronolith_types::{ChunkId, DatabaseId, PartId, TableId};
use roaring::RoaringBitmap;

use crate::error::{EngineError, io_error};
use crate::files;
use crate::layout::{fit_part, widens};
use crate::record::{Place, Record, TableKey};
use crate::view::Cached;

/// All that is committed. Copies share what neither changes, a table at a time.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) catalog: Arc<Catalog>,
    /// Of tables that have rows.
    pub(crate) tables: Arc<HashMap<TableKey, Arc<TableRows>>>,
    /// Bytes of all hot rows.
    pub(crate) hot_bytes: usize,
}

/// A table's rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableRows {
    pub(crate) hot: BTreeMap<ChunkId, HotPart>,
    pub(crate) cold: HashMap<PartId, Arc<OpenPart>>,
    pub(crate) view: Cached,
}

/// An open part, whose files go with it while no catalog names it.
#[derive(Debug)]
pub(crate) struct OpenPart {
    pub(crate) id: PartId,
    pub(crate) part: Arc<ColdPart>,
    disk: Arc<dyn Disk>,
    /// No catalog names it: not yet, or not any more.
    unnamed: AtomicBool,
}

impl OpenPart {
    /// Opens a part; `named` when a catalog names it.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        part: &Part,
        named: bool,
    ) -> Result<Arc<Self>, EngineError> {
        let data = files::data(part.id).map_err(path_error)?;
        let directory = files::directory(part.id).map_err(path_error)?;
        let cold = ColdPart::open(&**disk, &data, &directory, written(part))?;
        Ok(Arc::new(Self {
            id: part.id,
            part: Arc::new(cold),
            disk: Arc::clone(disk),
            unnamed: AtomicBool::new(!named),
        }))
    }

    /// Whether a catalog that is safe names it, or may do so.
    pub(crate) fn set_named(&self, named: bool) {
        self.unnamed.store(!named, Ordering::Release);
    }
}

impl Drop for OpenPart {
    fn drop(&mut self) {
        if self.unnamed.load(Ordering::Acquire) {
            files::remove_part(&*self.disk, self.id);
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("version", &self.catalog.version)
            .field("tables", &self.tables.len())
            .finish()
    }
}

pub(crate) fn path_error(error: PathError) -> EngineError {
    io_error("name a file")(std::io::Error::other(error))
}

/// A part's catalog entry from what writing it gave.
pub(crate) fn entry(id: PartId, written: &Written, unpacked: u64) -> Part {
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
        unpacked,
        deleted: RowBits::default(),
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

/// Parts that somebody opened already, by their numbers.
pub(crate) type Loaded = HashMap<PartId, Arc<OpenPart>>;

/// Where the parts come from that a change adds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parts<'a> {
    /// Nobody opens them yet: a replay passes states whose parts are gone since.
    Later,
    /// From those that are open, else from the disk.
    Now(&'a Arc<dyn Disk>, &'a Loaded),
}

impl State {
    /// A chunk's rows in memory.
    pub(crate) fn hot(&self, place: Place) -> Option<&HotPart> {
        self.tables.get(&place.table_key())?.hot.get(&place.chunk)
    }

    /// A part of a table, where it is open.
    pub(crate) fn part(&self, key: TableKey, id: PartId) -> Option<&Arc<OpenPart>> {
        self.tables.get(&key)?.cold.get(&id)
    }

    /// A part of a table without its deleted rows, where it is open.
    pub(crate) fn cold(&self, key: TableKey, part: &Part) -> Option<Arc<ColdPart>> {
        let open = self.part(key, part.id)?;
        Some(match part.deleted.is_empty() {
            true => Arc::clone(&open.part),
            false => Arc::new(open.part.with_deleted(&part.deleted.0)),
        })
    }

    /// Every chunk with rows in memory.
    pub(crate) fn hot_places(&self) -> impl Iterator<Item = (Place, &HotPart)> {
        self.tables.iter().flat_map(|(key, rows)| {
            let hot = rows.hot.iter();
            hot.map(|(chunk, part)| (key.place(*chunk), part))
        })
    }

    fn count_hot_bytes(&mut self) {
        self.hot_bytes = self.hot_places().map(|(_, part)| part.bytes()).sum();
    }

    pub(crate) fn rows_mut(&mut self, key: TableKey) -> &mut TableRows {
        let tables = Arc::make_mut(&mut self.tables);
        let rows = Arc::make_mut(tables.entry(key).or_default());
        // Rows that nobody else holds are changed in place.
        rows.view = Cached::default();
        rows
    }

    /// Applies a change. Parts that it takes away are put into `dropped`.
    ///
    /// On an error the state is worth nothing: change a copy.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        parts: Parts<'_>,
        dropped: &mut Vec<Arc<OpenPart>>,
    ) -> Result<(), EngineError> {
        self.check(change)?;
        let before = Arc::clone(&self.catalog);
        Arc::make_mut(&mut self.catalog).apply(change)?;
        match change {
            Change::AddColumn {
                database, table, ..
            }
            | Change::DropColumn {
                database, table, ..
            }
            | Change::ChangeColumn {
                database, table, ..
            } => self.fit_columns(&before, TableKey::new(*database, *table))?,
            Change::ReplaceParts {
                database,
                table,
                removed,
                added,
                ..
            } => {
                let key = TableKey::new(*database, *table);
                let Parts::Now(disk, loaded) = parts else {
                    return Ok(());
                };
                for part in added {
                    let open = match loaded.get(&part.id) {
                        Some(open) => Arc::clone(open),
                        None => OpenPart::open(disk, part, true)?,
                    };
                    self.rows_mut(key).cold.insert(part.id, open);
                }
                for id in removed {
                    dropped.extend(self.rows_mut(key).cold.remove(id));
                }
                self.forget_empty(key);
            }
            Change::MergeChunks {
                database, table, ..
            }
            | Change::SplitChunk {
                database, table, ..
            } => self.follow_boundaries(before.table(*database, *table), change)?,
            Change::DropChunk {
                database,
                table,
                chunk,
            }
            | Change::DetachChunk {
                database,
                table,
                chunk,
            } => {
                let key = TableKey::new(*database, *table);
                if self.tables.contains_key(&key) {
                    let gone = before.table(*database, *table);
                    let gone = gone.and_then(|table| table.chunks.get(chunk));
                    let rows = self.rows_mut(key);
                    rows.hot.remove(chunk);
                    for part in gone.map(|chunk| &chunk.parts).into_iter().flatten() {
                        dropped.extend(rows.cold.remove(&part.id));
                    }
                    self.forget_empty(key);
                }
            }
            Change::DropView { database, id } => {
                let views = before.databases.get(database).map(|known| &known.views);
                let view = views.and_then(|views| views.get(id));
                let Some(kept) = view.and_then(|view| view.materialized.as_ref()) else {
                    return Ok(());
                };
                self.forget(dropped, |key| *key == TableKey::new(*database, kept.table));
            }
            Change::Truncate { database, table }
            | Change::DropTable {
                database,
                id: table,
            } => self.forget(dropped, |key| *key == TableKey::new(*database, *table)),
            Change::DropDatabase { id } => self.forget(dropped, |key| key.database == *id),
            _ => return Ok(()),
        }
        self.count_hot_bytes();
        Ok(())
    }

    fn forget(&mut self, dropped: &mut Vec<Arc<OpenPart>>, gone: impl Fn(&TableKey) -> bool) {
        if !self.tables.keys().any(&gone) {
            return;
        }
        Arc::make_mut(&mut self.tables).retain(|key, rows| {
            let gone = gone(key);
            if gone {
                dropped.extend(rows.cold.values().cloned());
            }
            !gone
        });
    }

    fn forget_empty(&mut self, key: TableKey) {
        let rows = self.tables.get(&key);
        if rows.is_some_and(|rows| rows.hot.is_empty() && rows.cold.is_empty()) {
            Arc::make_mut(&mut self.tables).remove(&key);
        }
    }

    /// Refuses what the catalog alone cannot see to be wrong.
    fn check(&self, change: &Change) -> Result<(), EngineError> {
        match change {
            Change::MakeHypertable {
                database, table, ..
            } => {
                let key = TableKey::new(*database, *table);
                let (found, rows) = (self.table(key), self.has_rows(key));
                match found {
                    Some(table) if rows => Err(EngineError::TableNotEmpty(table.name.clone())),
                    _ => Ok(()),
                }
            }
            Change::AddColumn { column, .. } => match &column.missing {
                Some(missing) => match constant(missing, &column.ty) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(EngineError::Value(error)),
                },
                None => Ok(()),
            },
            Change::ChangeColumn {
                database,
                table,
                column,
            } => {
                let key = TableKey::new(*database, *table);
                let known = self.table(key).and_then(|table| table.column(column.id));
                let fits = known.is_none_or(|known| {
                    known.ty == column.ty || widens(&known.ty.arrow(), &column.ty.arrow())
                });
                match fits || !self.has_rows(key) {
                    true => Ok(()),
                    false => Err(EngineError::ColumnHasRows(column.name.clone())),
                }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn table(&self, key: TableKey) -> Option<&Arc<Table>> {
        self.catalog.table(key.database, key.table)
    }

    pub(crate) fn has_rows(&self, key: TableKey) -> bool {
        let hot = |rows: &Arc<TableRows>| rows.hot.values().any(|part| part.rows() > 0);
        // Of parts the catalog knows also while a replay opens none.
        let cold = |table: &Arc<Table>| table.chunks.values().any(|chunk| !chunk.parts.is_empty());
        self.tables.get(&key).is_some_and(hot) || self.table(key).is_some_and(cold)
    }

    /// Gives hot rows the columns that the table has after a change.
    fn fit_columns(&mut self, before: &Catalog, key: TableKey) -> Result<(), EngineError> {
        let old = before.table(key.database, key.table);
        let new = self.catalog.table(key.database, key.table);
        let (Some(old), Some(new)) = (old.cloned(), new.cloned()) else {
            return Ok(());
        };
        let Some(rows) = self.tables.get(&key).filter(|rows| !rows.hot.is_empty()) else {
            return Ok(());
        };
        let fitted = rows
            .hot
            .iter()
            .map(|(chunk, part)| Ok((*chunk, fit_part(&old, &new, part)?)))
            .collect::<Result<BTreeMap<_, _>, EngineError>>()?;
        self.rows_mut(key).hot = fitted;
        Ok(())
    }

    /// Refuses rows that the tables cannot take as they are.
    pub(crate) fn check_rows(&self, rows: &[(Place, Vec<RecordBatch>)]) -> Result<(), EngineError> {
        for (place, batches) in rows {
            let Some(table) = self.table(place.table_key()) else {
                return Err(CatalogError::NoRelation(place.table.to_string()).into());
            };
            let fits = |batch: &RecordBatch| {
                let types = batch.schema();
                let types = types.fields().iter().map(|field| field.data_type().clone());
                types.eq(table.columns.iter().map(|column| column.ty.arrow()))
            };
            // Rows of a chunk that went meanwhile would be nobody's.
            if !table.chunks.contains_key(&place.chunk) || !batches.iter().all(fits) {
                return Err(EngineError::Overtaken(table.name.clone()));
            }
        }
        Ok(())
    }

    /// Deletes hot rows; how many of them were there.
    pub(crate) fn delete_hot(&mut self, place: Place, rows: &RoaringBitmap) -> u64 {
        if self.hot(place).is_none() {
            return 0;
        }
        let of_table = self.rows_mut(place.table_key());
        let hot = of_table.hot.get_mut(&place.chunk);
        hot.map_or(0, |hot| hot.delete(rows))
    }

    /// Adds and takes away hot rows.
    pub(crate) fn apply_rows(&mut self, record: &Record) -> Result<(), EngineError> {
        for (place, rows) in &record.deleted {
            self.delete_hot(*place, &rows.0);
        }
        for (place, batches) in &record.rows {
            let rows = self.rows_mut(place.table_key());
            let part = rows.hot.entry(place.chunk).or_default();
            let before = part.bytes();
            for batch in batches {
                part.append(batch.clone())?;
            }
            let added = part.bytes() - before;
            self.hot_bytes += added;
        }
        for (place, count) in &record.flushed {
            if self.hot(*place).is_none() {
                continue;
            }
            let rows = self.rows_mut(place.table_key());
            if let Some(part) = rows.hot.get_mut(&place.chunk) {
                *part = part.without_first((*count).min(part.all_rows()));
                if part.all_rows() == 0 {
                    rows.hot.remove(&place.chunk);
                }
            }
            self.forget_empty(place.table_key());
            self.count_hot_bytes();
        }
        Ok(())
    }

    /// Applies a record of the log.
    pub(crate) fn replay(&mut self, record: &Record) -> Result<(), EngineError> {
        for change in &record.changes {
            self.change(change, Parts::Later, &mut Vec::new())?;
        }
        self.check_rows(&record.rows)?;
        self.apply_rows(record)
    }

    /// Opens all parts that the catalog names.
    pub(crate) fn open_parts(&mut self, disk: &Arc<dyn Disk>) -> Result<(), EngineError> {
        let mut opened: Vec<(TableKey, Arc<OpenPart>)> = Vec::new();
        for database in self.catalog.databases.values() {
            for table in database.tables.values() {
                let key = TableKey::new(database.id, table.id);
                for part in table.chunks.values().flat_map(|chunk| chunk.parts.iter()) {
                    opened.push((key, OpenPart::open(disk, part, true)?));
                }
            }
        }
        for (key, part) in opened {
            self.rows_mut(key).cold.insert(part.id, part);
        }
        Ok(())
    }
}

impl TableKey {
    pub(crate) fn new(database: DatabaseId, table: TableId) -> Self {
        Self { database, table }
    }

    pub(crate) fn place(self, chunk: ChunkId) -> Place {
        Place {
            database: self.database,
            table: self.table,
            chunk,
        }
    }
}
