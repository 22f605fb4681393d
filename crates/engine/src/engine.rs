//! An open engine, and what all its users share.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use chronolith_catalog::Catalog;
use chronolith_platform::{Clock, Lock, OpenMode, Platform, RelPath};
use chronolith_types::{DatabaseId, Lsn, PartId, TableId};
use parking_lot::{Mutex, RwLock};

use crate::audit::AuditLog;
use crate::background::Background;
use crate::coldkeys::ColdKeys;
use crate::commit::Writer;
use crate::config::EngineConfig;
use crate::error::EngineError;
use crate::files;
use crate::keys::KeyCache;
use crate::locks::LockManager;
use crate::moves::Moves;
use crate::queue::Queue;
use crate::record::Place;
use crate::rollups::Rollups;
use crate::sequences::Sequences;
use crate::state::State;
use crate::transaction::{Isolation, Transaction};

/// An open data directory.
pub struct Engine {
    pub(crate) platform: Platform,
    pub(crate) config: EngineConfig,
    /// What is committed. Readers take the `Arc` and let go of the lock.
    pub(crate) state: RwLock<Arc<State>>,
    pub(crate) queue: Queue,
    pub(crate) writer: Mutex<Writer>,
    /// One flush, merge or checkpoint at a time: each takes rows that no other may take.
    pub(crate) maintenance: Mutex<()>,
    pub(crate) keys: Mutex<KeyCache>,
    /// Keys of cold parts.
    pub(crate) cold_keys: Mutex<ColdKeys>,
    /// Rows that were moved while somebody might look for them.
    pub(crate) moves: Mutex<Moves>,
    /// Chunks whose parts have many deleted rows.
    pub(crate) worn: Mutex<BTreeSet<(Place, PartId)>>,
    pub(crate) is_worn: AtomicBool,
    /// Bytes that the keys take.
    pub(crate) key_bytes: AtomicUsize,
    /// Loads that run, and bytes of the rows that they hold.
    pub(crate) loads: AtomicUsize,
    pub(crate) load_bytes: AtomicUsize,
    /// Chunks of stores with more rows in memory than the configuration says.
    pub(crate) crowded: Mutex<BTreeSet<Place>>,
    pub(crate) is_crowded: AtomicBool,
    /// Who computes what continuous aggregates get.
    pub(crate) rollups: OnceLock<Arc<dyn Rollups>>,
    /// The thread that flushes and checkpoints.
    pub(crate) background: OnceLock<Background>,
    /// Whether the log takes nothing more.
    pub(crate) poisoned: AtomicBool,
    /// The last record that is safe.
    pub(crate) durable: AtomicU64,
    /// Bytes logged since the last checkpoint.
    pub(crate) log_bytes: AtomicU64,
    pub(crate) next_oid: AtomicU32,
    pub(crate) next_part: AtomicU64,
    pub(crate) sequences: Sequences,
    pub(crate) lock: Box<dyn Lock>,
    pub(crate) locks: Arc<LockManager>,
    pub(crate) audit: AuditLog,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .field("state", &self.state.read())
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.rest();
    }
}

impl Engine {
    /// What exists, as last committed.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.state().catalog)
    }

    /// What was done to what exists, and who came in.
    #[must_use]
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// The machine's clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.platform.clock)
    }

    /// Says who computes what continuous aggregates get of the rows that their sources get. Once,
    /// and before anything is written.
    pub fn set_rollups(&self, rollups: Arc<dyn Rollups>) {
        // Another one would compute the same: the first stays.
        drop(self.rollups.set(rollups));
    }

    /// Who holds which locks.
    #[must_use]
    pub fn locks(&self) -> &Arc<LockManager> {
        &self.locks
    }

    /// Begins a transaction in a database.
    #[must_use]
    pub fn begin(self: &Arc<Self>, database: DatabaseId, isolation: Isolation) -> Transaction {
        Transaction::new(Arc::clone(self), database, isolation)
    }

    /// Whether an earlier failure refuses all writes until the engine is reopened.
    #[must_use]
    pub fn poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// The last record of the log that is safe.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// Bytes of rows in memory, with those of their keys.
    #[must_use]
    pub fn hot_bytes(&self) -> usize {
        self.state.read().hot_bytes + self.key_bytes.load(Ordering::Relaxed)
    }

    /// Whether threads of its own may work beside those that call it.
    #[must_use]
    pub fn works_behind(&self) -> bool {
        self.config.background
    }

    /// Bytes of rows that a statement may well leave in memory: with more of them, a
    /// [`BulkLoader`](crate::BulkLoader) is what they are for.
    #[must_use]
    pub fn load_bytes_min(&self) -> usize {
        self.config.hot_bytes_max / 16
    }

    /// Threads that one load packs with; none where a seed is to tell all that happens.
    pub(crate) fn load_threads(&self) -> usize {
        match self.config.background {
            true => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            false => 0,
        }
    }

    /// Checks every byte of every cold part; the failures found.
    #[must_use]
    pub fn verify(&self) -> Vec<EngineError> {
        let state = self.state();
        let tables = state.tables.values();
        let mut parts: Vec<_> = tables.flat_map(|rows| rows.cold.values()).collect();
        parts.sort_by_key(|part| part.id);
        let damage = parts
            .into_iter()
            .filter_map(|part| part.part.verify().err());
        damage.map(EngineError::from).collect()
    }

    /// Bytes of what all databases share on disk: the log and the checkpoints of the catalog. A file
    /// that goes away while they are summed up counts for nothing.
    #[must_use]
    pub fn shared_bytes(&self) -> u64 {
        let disk = &self.platform.disk;
        let length = |dir: &str, name: &str| {
            let path = RelPath::new(&format!("{dir}/{name}")).ok()?;
            let file = disk.open(&path, OpenMode::Read).ok()?;
            file.len().ok()
        };
        let mut bytes = 0;
        for dir in [files::LOG_DIR, files::CHECKPOINTS_DIR] {
            let names = RelPath::new(dir).map(|path| disk.list(&path).unwrap_or_default());
            let names = names.unwrap_or_default();
            bytes += names
                .iter()
                .filter_map(|name| length(dir, name))
                .sum::<u64>();
        }
        bytes
    }

    /// Bytes that the disk has left; None when the system does not say.
    #[must_use]
    pub fn disk_free_bytes(&self) -> Option<u64> {
        self.platform.disk.free_bytes().ok()
    }

    /// How often a table's cold parts were read, by file and from memory, since they were opened:
    /// see [`ColdPart::reads`](chronolith_chunk::ColdPart::reads).
    #[must_use]
    pub fn reads(&self) -> HashMap<(DatabaseId, TableId), (u64, u64)> {
        let state = self.state();
        let tables = state.tables.iter();
        tables
            .map(|(key, rows)| {
                let parts = rows.cold.values().map(|part| part.part.reads());
                let sum = parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
                ((key.database, key.table), sum)
            })
            .collect()
    }

    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    pub(crate) fn allocate_oid(&self) -> u32 {
        self.next_oid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn allocate_part(&self) -> PartId {
        PartId(self.next_part.fetch_add(1, Ordering::Relaxed))
    }
}
