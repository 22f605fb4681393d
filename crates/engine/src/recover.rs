//! Opening a data directory: the newest checkpoint, and what the log says since.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use chronolith_catalog::{Checkpoint, decode};
use chronolith_platform::{Disk, Platform, RelPath, read_whole};
use chronolith_types::{Lsn, PartId};
use chronolith_wal::Log;
use parking_lot::{Mutex, RwLock};

use crate::audit::AuditLog;
use crate::background::Background;
use crate::commit::Writer;
use crate::config::EngineConfig;
use crate::engine::Engine;
use crate::error::{EngineError, io_error};
use crate::files;
use crate::keys::KeyCache;
use crate::queue::Queue;
use crate::record::Record;
use crate::sequences::Sequences;
use crate::state::{State, path_error};
use crate::streams::Streams;

impl Engine {
    /// Opens a data directory, or makes a new one.
    ///
    /// # Errors
    /// F0001 when another process has it, XX001 when it is damaged beyond what crashes explain.
    pub fn open(platform: Platform, config: EngineConfig) -> Result<Arc<Self>, EngineError> {
        let disk = Arc::clone(&platform.disk);
        let lock_path = RelPath::new(files::LOCK).map_err(path_error)?;
        let lock = disk.lock(&lock_path).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => EngineError::InUse,
            _ => io_error("lock the data directory")(error),
        })?;
        for dir in [files::PARTS_DIR, files::CHECKPOINTS_DIR] {
            let dir = RelPath::new(dir).map_err(path_error)?;
            disk.create_dir(&dir)
                .map_err(io_error("create a directory"))?;
        }
        disk.sync_dir(&RelPath::root())
            .map_err(io_error("create a directory"))?;
        let found = newest_checkpoint(&*disk)?;
        let from = found.as_ref().map_or(Lsn(0), |checkpoint| checkpoint.lsn);
        let mut state = State {
            catalog: Arc::new(
                found
                    .map(|checkpoint| checkpoint.catalog)
                    .unwrap_or_default(),
            ),
            ..State::default()
        };
        let log_dir = RelPath::new(files::LOG_DIR).map_err(path_error)?;
        let (log, replayed) = Log::open(
            &platform,
            &log_dir,
            config.log.clone(),
            from,
            |_, payload| -> Result<(), EngineError> { state.replay(&Record::decode(payload)?) },
        )?;
        if replayed.cut_bytes > 0 {
            tracing::warn!(bytes = replayed.cut_bytes, "cut a torn tail off the log");
        }
        state.open_parts(&disk)?;
        remove_orphans(&*disk, &state)?;
        let next_oid = state.catalog.next_oid;
        let next_part = state.catalog.next_part;
        let engine = Arc::new(Self {
            locks: crate::locks::LockManager::new(Arc::clone(&platform.clock)),
            audit: AuditLog::open(platform.clone())?,
            platform,
            config,
            state: RwLock::new(Arc::new(state)),
            queue: Queue::default(),
            poisoned: AtomicBool::new(log.poisoned()),
            durable: AtomicU64::new(log.durable_lsn().0),
            log_bytes: AtomicU64::new(replayed.bytes),
            writer: Mutex::new(Writer {
                log,
                checkpoint: from,
                streams: Streams::default(),
            }),
            maintenance: Mutex::new(()),
            keys: Mutex::new(KeyCache::default()),
            cold_keys: Mutex::default(),
            moves: Mutex::default(),
            worn: Mutex::default(),
            is_worn: AtomicBool::new(false),
            next_oid: AtomicU32::new(next_oid),
            next_part: AtomicU64::new(next_part),
            key_bytes: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
            load_bytes: AtomicUsize::new(0),
            crowded: Mutex::default(),
            is_crowded: AtomicBool::new(false),
            rollups: OnceLock::new(),
            sequences: Sequences::default(),
            background: OnceLock::new(),
            lock,
        });
        if engine.config.background {
            let background = Background::start(&engine)?;
            if engine.is_untidy() {
                background.wake();
            }
            drop(engine.background.set(background));
        }
        Ok(engine)
    }
}

/// The newest checkpoint that can be read; None in a new directory.
fn newest_checkpoint(disk: &dyn Disk) -> Result<Option<Checkpoint>, EngineError> {
    let dir = RelPath::new(files::CHECKPOINTS_DIR).map_err(path_error)?;
    let names = disk.list(&dir).map_err(io_error("list checkpoints"))?;
    let mut reason = None;
    for name in names.iter().rev() {
        if files::parse_checkpoint(name).is_none() {
            continue;
        }
        let path = dir.join(name).map_err(path_error)?;
        let bytes = read_whole(disk, &path).map_err(io_error("read a checkpoint"))?;
        match decode(&bytes) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => {
                tracing::error!(file = %path, %error, "a checkpoint cannot be read");
                reason.get_or_insert(error);
            }
        }
    }
    match reason {
        Some(reason) => Err(EngineError::Checkpoint { reason }),
        None => Ok(None),
    }
}

/// Files of parts that no record names: written by a transaction that did not come to its commit.
fn remove_orphans(disk: &dyn Disk, state: &State) -> Result<(), EngineError> {
    let named: HashSet<PartId> = state.catalog.parts().map(|part| part.id).collect();
    for dir in [files::PARTS_DIR, files::CHECKPOINTS_DIR] {
        let dir = RelPath::new(dir).map_err(path_error)?;
        for name in disk.list(&dir).map_err(io_error("list files"))? {
            let orphan = match files::parse_part(&name) {
                Some(id) => !named.contains(&id),
                None => name.ends_with(".tmp"),
            };
            if orphan {
                let path = dir.join(&name).map_err(path_error)?;
                disk.remove(&path).map_err(io_error("remove a file"))?;
            }
        }
    }
    Ok(())
}
