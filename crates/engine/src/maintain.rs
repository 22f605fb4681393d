//! Flush, compress and checkpoint: the same rows in another place.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, encode};
use chronolith_chunk::{HotPart, ScanRequest, cold};
use chronolith_platform::{RelPath, write_whole};
use chronolith_types::{ChunkId, DatabaseId, PartId, TableId};

use crate::commit::{Pending, Writer};
use crate::engine::Engine;
use crate::error::{EngineError, io_error};
use crate::files;
use crate::record::{Place, Record};
use crate::state::{State, entry, path_error};

impl Engine {
    /// Keeps memory and log within their limits; called when a commit is done, so that whoever
    /// writes more than the disk takes waits for it.
    pub(crate) fn after_commit(&self) -> Result<(), EngineError> {
        if self.writer.lock().log_bytes > self.config.log_bytes_max {
            return self.checkpoint();
        }
        while self.state().hot_bytes() > self.config.hot_bytes_max {
            let state = self.state();
            let largest = state.hot.iter().max_by_key(|(_, hot)| hot.bytes());
            let Some((place, _)) = largest else {
                break;
            };
            let place = *place;
            let _one = self.maintenance.lock();
            self.flush_chunk(place, false)?;
        }
        Ok(())
    }

    /// Packs all hot rows into cold parts.
    ///
    /// # Errors
    /// As the disk gives them; the rows then stay where they are.
    pub fn flush(&self) -> Result<(), EngineError> {
        let _one = self.maintenance.lock();
        let places: Vec<Place> = self.state().hot.keys().copied().collect();
        places
            .into_iter()
            .try_for_each(|place| self.flush_chunk(place, false))
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
        let place = Place {
            database,
            table,
            chunk,
        };
        let state = self.state();
        let known = state
            .catalog
            .table(database, table)
            .and_then(|table| table.chunks.get(&chunk))
            .map(|chunk| (chunk.compressed, chunk.parts.len()));
        let hot = state.hot.contains_key(&place);
        if known.is_some_and(|(compressed, parts)| compressed && parts <= 1) && !hot {
            return Ok(false);
        }
        self.flush_chunk(place, true)?;
        Ok(true)
    }

    /// Turns a chunk's hot rows, and with `merge` its parts too, into one new part. The caller has
    /// the maintenance lock.
    fn flush_chunk(&self, place: Place, merge: bool) -> Result<(), EngineError> {
        let state = self.state();
        let Some(record) = self.pack(&state, place, merge)? else {
            return Ok(());
        };
        self.commit(&Pending::new(record, Vec::new()))?;
        self.keys.lock().forget(place);
        Ok(())
    }

    /// Writes the part and gives the record that puts it in the rows' place.
    fn pack(
        &self,
        state: &State,
        place: Place,
        merge: bool,
    ) -> Result<Option<Record>, EngineError> {
        let own = std::collections::BTreeMap::new();
        let Some(view) = state.view(&state.catalog, place.database, place.table, &own) else {
            return Ok(None);
        };
        let Some((_, chunk)) = view.chunks.iter().find(|(id, _)| *id == place.chunk) else {
            return Ok(None);
        };
        let hot_rows = state.hot.get(&place).map_or(0, HotPart::rows);
        let mut source = chunk.clone();
        let mut removed: Vec<PartId> = Vec::new();
        if merge {
            if let Some(chunk) = view.table.chunks.get(&place.chunk) {
                removed.extend(chunk.parts.iter().map(|part| part.id));
            }
        } else {
            source.cold.clear();
        }
        source.range = i64::MIN..i64::MAX;
        let all: Vec<usize> = (0..view.layout.columns.len()).collect();
        let batches = source
            .scan(&view.layout, &ScanRequest::all(all))
            .collect::<Result<Vec<RecordBatch>, _>>()?;
        let compressed = merge.then_some(true);
        let mut added = Vec::new();
        if source.rows() > 0 {
            let id = self.allocate_part();
            let data = files::data(id).map_err(path_error)?;
            let directory = files::directory(id).map_err(path_error)?;
            let disk = &*self.platform.disk;
            let written = cold::write(disk, &data, &directory, &view.layout, &batches)?;
            // A row lost or doubled here would be lost or doubled for ever.
            assert_eq!(written.rows, source.rows(), "rows of chunk {}", place.chunk);
            added.push(Arc::new(entry(id, &written)));
        } else if removed.is_empty() && !merge {
            return Ok(None);
        }
        Ok(Some(Record {
            changes: vec![Change::ReplaceParts {
                database: place.database,
                table: place.table,
                chunk: place.chunk,
                removed,
                added,
                compressed,
            }],
            rows: Vec::new(),
            flushed: vec![(place, hot_rows)],
        }))
    }

    /// Packs all hot rows, writes the catalog down, and cuts the log. Writers wait meanwhile.
    ///
    /// # Errors
    /// As the disk gives them; the log then stays as long as it is.
    pub fn checkpoint(&self) -> Result<(), EngineError> {
        let _one = self.maintenance.lock();
        let mut writer = self.writer.lock();
        let places: Vec<Place> = self.state().hot.keys().copied().collect();
        for place in places {
            let state = self.state();
            if let Some(record) = self.pack(&state, place, false)? {
                let pending = Pending::new(record, Vec::new());
                self.write(&mut writer, &[Arc::clone(&pending)]);
                pending.result()?;
                self.keys.lock().forget(place);
            }
        }
        self.write_checkpoint(&mut writer)
    }

    fn write_checkpoint(&self, writer: &mut Writer) -> Result<(), EngineError> {
        let state = self.state();
        // Rows that are in no part must stay in the log.
        assert!(state.hot.is_empty(), "a checkpoint with rows in memory");
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
        writer.log_bytes = 0;
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

    /// Flushes, checkpoints and lets go. Dropping the engine instead loses nothing; the next start
    /// then replays the log.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn close(&self) -> Result<(), EngineError> {
        self.checkpoint()
    }
}
