//! Flush, compress and checkpoint: the same rows in another place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, CatalogError, Change, Part, encode};
use chronolith_chunk::load::{Sorted, sort};
use chronolith_chunk::{ChunkView, HotPart, Layout, ScanRequest, bytes_of, checksum, cold};
use chronolith_platform::{RelPath, write_whole};
use chronolith_types::{ChunkId, DatabaseId, PartId, TableId};

use crate::commit::{Packed, Work, Writer};
use crate::engine::Engine;
use crate::error::{EngineError, io_error};
use crate::files;
use crate::locks::Locker;
use crate::moves::{Input, Moved};
use crate::queue::Pending;
use crate::record::{Place, Record, TableKey};
use crate::state::{Loaded, OpenPart, State, entry, path_error};

/// Which rows of a chunk are packed into one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Those in memory, with parts that are small beside them.
    Hot,
    /// All; the chunk is compressed then.
    All,
    /// Those of one part.
    Part(PartId),
}

/// A part with more deleted rows than one in so many is packed anew.
const WORN: u64 = 8;

/// Whether a part is worth packing anew for what its deleted rows take.
pub(crate) fn is_worn(part: &Part) -> bool {
    part.deleted.len() * WORN > part.rows
}

/// How often a chunk is packed anew because another transaction changed it meanwhile.
const ATTEMPTS: usize = 4;

/// The checksum of the rows that a part gives.
fn read_back(part: &OpenPart, layout: &Arc<Layout>) -> Result<u64, EngineError> {
    let view = ChunkView {
        chunk: 0,
        range: i64::MIN..i64::MAX,
        hot: Vec::new(),
        cold: vec![Arc::clone(&part.part)],
    };
    let all: Vec<usize> = (0..layout.columns.len()).collect();
    let scan = view.scan(layout, &ScanRequest::all(all));
    let batches = scan.collect::<Result<Vec<RecordBatch>, _>>()?;
    Ok(checksum(layout, &batches)?)
}

impl Engine {
    /// Keeps memory and log within their limits; called when a commit is done, so that whoever
    /// writes more than the disk takes waits for it.
    pub(crate) fn tidy_after(&self, locker: Option<&Locker>) {
        // The transaction is safe: that there was no room to tidy up is no failure of it.
        if let Err(error) = self.after_commit(locker) {
            tracing::error!(%error, "could not flush or checkpoint after a commit");
        }
    }

    fn after_commit(&self, locker: Option<&Locker>) -> Result<(), EngineError> {
        let Some(background) = self.background.get() else {
            return self.tidy();
        };
        let works = if self.hot_bytes() > self.hot_bytes_hard() {
            // A failure is told by the thread; the next commit tries again.
            let wait = || while background.wait() && self.hot_bytes() > self.hot_bytes_hard() {};
            match locker {
                Some(locker) => locker.aside(wait),
                None => wait(),
            }
            !background.has_stopped()
        } else {
            !self.is_untidy() || background.wake()
        };
        match works {
            true => Ok(()),
            false => self.tidy(),
        }
    }

    pub(crate) fn is_untidy(&self) -> bool {
        self.is_crowded.load(Ordering::Relaxed)
            || self.is_worn.load(Ordering::Relaxed)
            || self.hot_bytes() > self.hot_bytes_soft()
            || self.log_bytes.load(Ordering::Relaxed) > self.config.log_bytes_max
    }

    /// What hot rows may take; loads, which hold at most half of it, leave less.
    fn hot_bytes_hard(&self) -> usize {
        let most = self.config.hot_bytes_max;
        most - self.load_bytes.load(Ordering::Relaxed).min(most / 2)
    }

    /// What hot rows may take before they are flushed. Where nobody flushes in the background,
    /// commits do, and leave it at that.
    fn hot_bytes_soft(&self) -> usize {
        match self.config.background {
            true => self.hot_bytes_hard() / 4 * 3,
            false => self.hot_bytes_hard(),
        }
    }

    /// Flushes and checkpoints until memory and log are within their limits.
    pub(crate) fn tidy(&self) -> Result<(), EngineError> {
        if self.log_bytes.load(Ordering::Relaxed) > self.config.log_bytes_max {
            self.checkpoint()?;
        }
        self.is_crowded.store(false, Ordering::Relaxed);
        let crowded = std::mem::take(&mut *self.crowded.lock());
        for place in crowded {
            self.flush_hot(place)?;
        }
        self.pack_worn()?;
        while self.hot_bytes() > self.hot_bytes_soft() {
            let state = self.state();
            let largest = state.hot_places().max_by_key(|(_, hot)| hot.bytes());
            let Some((place, _)) = largest else {
                // Keys of rows that went with their tables.
                self.keys.lock().clear();
                self.key_bytes.store(0, Ordering::Relaxed);
                break;
            };
            let _one = self.maintenance.lock();
            self.flush_chunk(place, Take::Hot)?;
        }
        Ok(())
    }

    /// Packs parts with many deleted rows anew, which gives their space back.
    pub(crate) fn pack_worn(&self) -> Result<(), EngineError> {
        self.is_worn.store(false, Ordering::Relaxed);
        let worn = std::mem::take(&mut *self.worn.lock());
        for (place, id) in worn {
            let _one = self.maintenance.lock();
            self.flush_chunk(place, Take::Part(id))?;
        }
        Ok(())
    }

    /// Packs all hot rows into cold parts.
    ///
    /// # Errors
    /// As the disk gives them; the rows then stay where they are.
    pub fn flush(&self) -> Result<(), EngineError> {
        let _one = self.maintenance.lock();
        let places: Vec<Place> = self.state().hot_places().map(|(place, _)| place).collect();
        for place in places {
            self.flush_chunk(place, Take::Hot)?;
        }
        Ok(())
    }

    /// Packs a chunk's rows into one part, as well as they go; false when they are already.
    ///
    /// # Errors
    /// As the disk gives them; the rows then stay where they are.
    pub fn compress_chunk(
        &self,
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
    ) -> Result<bool, EngineError> {
        let _one = self.maintenance.lock();
        let place = TableKey::new(database, table).place(chunk);
        let state = self.state();
        let found = state.catalog.table(database, table);
        let Some(known) = found.and_then(|table| table.chunks.get(&chunk)) else {
            return Err(CatalogError::NoChunk(chunk.to_string()).into());
        };
        let whole = known.parts.iter().all(|part| part.deleted.is_empty());
        if known.compressed && known.parts.len() <= 1 && whole && state.hot(place).is_none() {
            return Ok(false);
        }
        match self.flush_chunk(place, Take::All)? {
            true => Ok(true),
            false => Err(EngineError::Overtaken(
                found.map(|table| table.name.clone()).unwrap_or_default(),
            )),
        }
    }

    /// Turns rows of a chunk into one new part; false when it was always another transaction that
    /// came first, and the rows can wait in memory. The caller has the maintenance lock.
    fn flush_chunk(&self, place: Place, take: Take) -> Result<bool, EngineError> {
        for _ in 0..ATTEMPTS {
            let state = self.state();
            let Some(work) = self.pack(&state, place, take)? else {
                return Ok(true);
            };
            match self.commit(&Pending::new(work), None) {
                Ok(_) => {
                    self.forget_keys(place);
                    return Ok(true);
                }
                Err(EngineError::Overtaken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if take == Take::Hot {
            return Ok(false);
        }
        self.pack_alone(&mut self.writing(), place, take)?;
        Ok(true)
    }

    /// The same while nobody else writes: nobody comes first.
    fn pack_alone(&self, writer: &mut Writer, place: Place, take: Take) -> Result<(), EngineError> {
        if let Some(work) = self.pack(&self.state(), place, take)? {
            let pending = Pending::new(work);
            self.write(writer, &[Arc::clone(&pending)]);
            pending.result()?;
            self.forget_keys(place);
        }
        Ok(())
    }

    /// Packs a chunk's hot rows, if there are any.
    pub(crate) fn flush_hot(&self, place: Place) -> Result<(), EngineError> {
        if self.state().hot(place).is_none() {
            return Ok(());
        }
        let _one = self.maintenance.lock();
        self.flush_chunk(place, Take::Hot)?;
        Ok(())
    }

    pub(crate) fn forget_keys(&self, place: Place) {
        let mut keys = self.keys.lock();
        keys.forget(place);
        self.key_bytes.store(keys.bytes(), Ordering::Relaxed);
    }

    /// How many of a chunk's last parts a flush joins with the hot rows: those that are not twice as
    /// large as what comes behind them, so that n flushes of as many rows leave log n parts, and no
    /// row is packed more than log n times. `rows` come behind all parts.
    pub(crate) fn joined(&self, parts: &[Arc<Part>], mut rows: u64) -> usize {
        let mut bytes = 0;
        let small = parts.iter().rev().take_while(|part| {
            bytes += part.unpacked;
            let joins = part.rows <= 2 * rows && bytes <= self.config.hot_bytes_max as u64 / 4;
            rows += part.rows;
            joins
        });
        small.count()
    }

    /// Writes the part and gives what puts it in the rows' place.
    pub(crate) fn pack(
        &self,
        state: &State,
        place: Place,
        take: Take,
    ) -> Result<Option<Work>, EngineError> {
        let own = std::collections::BTreeMap::new();
        let key = place.table_key();
        let Some(view) = state.view(key, &own, &(i64::MIN..i64::MAX)) else {
            return Ok(None);
        };
        let Some((_, chunk)) = view.chunks.iter().find(|(id, _)| *id == place.chunk) else {
            return Ok(None);
        };
        let parts = view.table.chunks.get(&place.chunk);
        let parts: &[Arc<Part>] = parts.map_or(&[], |chunk| &chunk.parts);
        let mut hot = state.hot(place);
        let taken = match take {
            Take::All => 0..parts.len(),
            Take::Hot => {
                let rows = hot.map_or(0, HotPart::rows);
                parts.len() - self.joined(parts, rows as u64)..parts.len()
            }
            Take::Part(id) => {
                let Some(at) = parts.iter().position(|part| part.id == id) else {
                    return Ok(None);
                };
                hot = None;
                at..at + 1
            }
        };
        let hot_rows = hot.map_or(0, HotPart::all_rows);
        // Parts and what was opened of them are in the same order.
        let source = ChunkView {
            chunk: chunk.chunk,
            range: i64::MIN..i64::MAX,
            hot: hot.into_iter().map(HotPart::snapshot).collect(),
            cold: chunk.cold.get(taken.clone()).unwrap_or_default().to_vec(),
        };
        let removed = parts.get(taken).unwrap_or_default();
        let removed_ids: Vec<PartId> = removed.iter().map(|part| part.id).collect();
        let all: Vec<usize> = (0..view.layout.columns.len()).collect();
        let batches = source
            .scan(&view.layout, &ScanRequest::all(all))
            .collect::<Result<Vec<RecordBatch>, _>>()?;
        let mut added = Vec::new();
        let mut loaded = Loaded::new();
        let mut moved = None;
        if source.rows() > 0 {
            let store = view.table.rollup.is_some();
            let (part, open) = match store {
                true => {
                    let light = take != Take::All;
                    let layout = Arc::new(Layout::clone(&view.layout).packed(light));
                    self.pack_partials(&state.catalog, key, &layout, batches)?
                }
                false => {
                    let (part, open, order) = self.pack_part(&view.layout, batches)?;
                    let inputs = removed.iter().map(|part| Input::of_part(part));
                    let inputs = inputs.chain(hot.map(Input::of_hot)).collect();
                    moved = Some(Arc::new(Moved::new(inputs, part.id, order)));
                    (part, open)
                }
            };
            // A row lost or doubled here would be lost or doubled for ever.
            let conserved = part.rows == source.rows() || store && part.rows < source.rows();
            assert!(conserved, "rows of chunk {}", place.chunk);
            loaded.insert(part.id, open);
            added.push(Arc::new(part));
        } else if removed.is_empty() && hot_rows == 0 && take != Take::All {
            return Ok(None);
        }
        Ok(Some(Work {
            record: Record {
                changes: vec![Change::ReplaceParts {
                    database: place.database,
                    table: place.table,
                    chunk: place.chunk,
                    removed: removed_ids.clone(),
                    added,
                    compressed: (take == Take::All).then_some(true),
                }],
                flushed: match hot_rows {
                    0 => Vec::new(),
                    _ => vec![(place, hot_rows)],
                },
                ..Record::default()
            },
            loaded,
            packed: vec![Packed {
                place,
                generation: hot.filter(|_| hot_rows > 0).map(HotPart::generation),
                hot_rows,
                gone: removed.iter().map(|part| part.deleted.len()).sum::<u64>()
                    + hot.map_or(0, |hot| (hot.all_rows() - hot.rows()) as u64),
                parts: removed_ids,
                moved,
            }],
            ..Work::default()
        }))
    }

    /// Packs rows into a part that no catalog names yet: dropped, its files go. Of each of its rows,
    /// its number among those that were given comes with it.
    pub(crate) fn pack_part(
        &self,
        layout: &Arc<Layout>,
        batches: Vec<RecordBatch>,
    ) -> Result<(Part, Arc<OpenPart>, Vec<u32>), EngineError> {
        let unpacked: usize = batches.iter().map(bytes_of).sum();
        let sum = cfg!(debug_assertions).then(|| checksum(layout, &batches).ok());
        let Sorted::Rows { rows, order } = sort(layout, batches, &[])? else {
            return Err(EngineError::Columns(String::new()));
        };
        let id = self.allocate_part();
        let (part, open) = self.write_part(id, layout, &rows, unpacked as u64)?;
        debug_assert!(
            sum.is_none_or(|sum| sum == read_back(&open, layout).ok()),
            "the rows of part {id} are not those that were packed"
        );
        Ok((part, open, order.values().to_vec()))
    }

    /// Packs rows of a store into a part, with one row a bucket and group.
    pub(crate) fn pack_partials(
        &self,
        catalog: &Catalog,
        key: TableKey,
        layout: &Arc<Layout>,
        batches: Vec<RecordBatch>,
    ) -> Result<(Part, Arc<OpenPart>), EngineError> {
        let Sorted::Rows { rows, .. } = sort(layout, batches, &[])? else {
            return Err(EngineError::Columns(String::new()));
        };
        let rows = self.folded(catalog, key, layout, rows);
        let id = self.allocate_part();
        self.write_part(id, layout, &rows, bytes_of(&rows) as u64)
    }

    /// Sorted rows of a store with one row a bucket and group; as they are where that cannot be:
    /// whoever reads them merges them.
    pub(crate) fn folded(
        &self,
        catalog: &Catalog,
        key: TableKey,
        layout: &Layout,
        rows: RecordBatch,
    ) -> RecordBatch {
        let Some(rollups) = self.rollups.get() else {
            return rows;
        };
        let folded = rollups.fold(catalog, key.database, key.table, rows.clone());
        match folded.map(|folded| folded.with_schema(Arc::clone(layout.schema()))) {
            Ok(Ok(folded)) => folded,
            Ok(Err(error)) => {
                tracing::error!(%error, store = %key.table, "partial rows were folded into others");
                rows
            }
            Err(error) => {
                tracing::warn!(%error, store = %key.table, "partial rows could not be folded");
                rows
            }
        }
    }

    /// Writes rows that are sorted already.
    pub(crate) fn write_part(
        &self,
        id: PartId,
        layout: &Arc<Layout>,
        rows: &RecordBatch,
        unpacked: u64,
    ) -> Result<(Part, Arc<OpenPart>), EngineError> {
        let data = files::data(id).map_err(path_error)?;
        let directory = files::directory(id).map_err(path_error)?;
        let disk = &self.platform.disk;
        let written = cold::write_sorted(&**disk, &data, &directory, layout, rows);
        let opened = written.map_err(EngineError::from).and_then(|written| {
            let part = entry(id, &written, unpacked);
            let open = OpenPart::open(disk, &part, false)?;
            Ok((part, open))
        });
        if opened.is_err() {
            // A full disk must not stay full of what nobody reads.
            files::remove_part(&**disk, id);
        }
        opened
    }

    /// Counts a chunk's rows as not compressed; they stay where they are. False when they are
    /// counted so already.
    ///
    /// # Errors
    /// As the disk gives them, and 42P01 for a chunk that is not there.
    pub fn decompress_chunk(
        &self,
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
    ) -> Result<bool, EngineError> {
        let _one = self.maintenance.lock();
        let state = self.state();
        let found = state.catalog.table(database, table);
        let Some(known) = found.and_then(|table| table.chunks.get(&chunk)) else {
            return Err(CatalogError::NoChunk(chunk.to_string()).into());
        };
        if !known.compressed {
            return Ok(false);
        }
        self.commit(
            &Pending::new(Work {
                record: Record {
                    changes: vec![Change::ReplaceParts {
                        database,
                        table,
                        chunk,
                        removed: Vec::new(),
                        added: Vec::new(),
                        compressed: Some(false),
                    }],
                    ..Record::default()
                },
                ..Work::default()
            }),
            None,
        )?;
        Ok(true)
    }

    /// Packs all hot rows, writes the catalog down, and cuts the log. Writers wait for the last
    /// bit of it alone.
    ///
    /// # Errors
    /// As the disk gives them; the log then stays as long as it is.
    pub fn checkpoint(&self) -> Result<(), EngineError> {
        let _one = self.maintenance.lock();
        // What comes while these are packed is little.
        let places: Vec<Place> = self.state().hot_places().map(|(place, _)| place).collect();
        for place in places {
            self.flush_chunk(place, Take::Hot)?;
        }
        let mut writer = self.writing();
        let places: Vec<Place> = self.state().hot_places().map(|(place, _)| place).collect();
        for place in places {
            self.pack_alone(&mut writer, place, Take::Hot)?;
        }
        self.write_checkpoint(&mut writer)
    }

    fn write_checkpoint(&self, writer: &mut Writer) -> Result<(), EngineError> {
        let state = self.state();
        // Rows that are in no part must stay in the log.
        assert!(
            state.hot_places().next().is_none(),
            "a checkpoint with rows in memory"
        );
        let lsn = writer.log.durable_lsn();
        if lsn == writer.checkpoint {
            return Ok(());
        }
        let bytes =
            encode(&state.catalog, lsn).map_err(|reason| EngineError::Checkpoint { reason })?;
        let disk = &*self.platform.disk;
        let path = files::checkpoint(lsn).map_err(path_error)?;
        write_whole(disk, &path, &bytes).map_err(io_error("write a checkpoint"))?;
        // The checkpoint before this one stays, with the log from there on: should this one be
        // damaged, nothing is lost.
        let before = std::mem::replace(&mut writer.checkpoint, lsn);
        writer.log.cut_before(before)?;
        self.log_bytes.store(0, Ordering::Relaxed);
        let dir = RelPath::new(files::CHECKPOINTS_DIR).map_err(path_error)?;
        for name in disk.list(&dir).map_err(io_error("list checkpoints"))? {
            if files::parse_checkpoint(&name).is_some_and(|old| old < before) {
                let path = dir.join(&name).map_err(path_error)?;
                disk.remove(&path)
                    .map_err(io_error("remove a checkpoint"))?;
            }
        }
        Ok(())
    }

    /// Ends the thread that works behind, and waits for it to end what it is at: it holds the engine
    /// meanwhile, and with it the directory. Who still commits does its work.
    pub fn rest(&self) {
        if let Some(background) = self.background.get() {
            background.stop();
        }
    }

    /// Flushes, checkpoints and lets go. Dropping the engine instead loses nothing; the next start
    /// then replays the log.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn close(&self) -> Result<(), EngineError> {
        self.rest();
        self.settle_sequences()?;
        self.checkpoint()
    }
}
