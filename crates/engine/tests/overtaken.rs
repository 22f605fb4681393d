//! Chunks are packed beside writers that always come first: at last while nobody writes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use chronolith_engine::{Engine, EngineError, Isolation};
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Disk, File, Lock, OpenMode, Platform, RelPath};
use chronolith_types::ChunkId;

mod shared;
use shared::{DB, TICKS, TOTALS, config, create, delete, ids, ticks, time_of, totals};

/// Nobody needs so long to commit, unless the writer's lock is held.
const LONG: Duration = Duration::from_secs(2);

/// A disk on which somebody else commits whenever a part has been written.
#[derive(Debug)]
struct Busy {
    disk: SimDisk,
    engine: OnceLock<Arc<Engine>>,
    /// How many came first, and how many had to wait.
    first: AtomicUsize,
    waited: AtomicUsize,
    number: AtomicI64,
    /// What it commits, with a number that nobody else has.
    commits: fn(&Arc<Engine>, i64),
}

/// The rows of the table are others: what was packed of them is worth nothing.
fn replace(engine: &Arc<Engine>, number: i64) {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.truncate(TOTALS).unwrap();
    transaction.insert(TOTALS, &totals(number)).unwrap();
    transaction.commit().unwrap();
}

/// Ticks so far from each other have the same time.
const EVERY: i64 = 40;

/// A row fewer in the first chunk. No lock keeps the chunk from being cut meanwhile, as those of
/// statements do: it begins anew then.
fn take_away(engine: &Arc<Engine>, number: i64) {
    loop {
        let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
        let gone = delete(&mut transaction, |id| id == number * EVERY).unwrap();
        assert_eq!(gone, [number * EVERY]);
        match transaction.commit() {
            Err(EngineError::Overtaken(_)) => {}
            done => return done.map(|_| ()).unwrap(),
        }
    }
}

impl Busy {
    fn new(disk: &SimDisk, first: i64, commits: fn(&Arc<Engine>, i64)) -> Arc<Self> {
        Arc::new(Self {
            disk: disk.clone(),
            engine: OnceLock::new(),
            first: AtomicUsize::new(0),
            waited: AtomicUsize::new(0),
            number: AtomicI64::new(first),
            commits,
        })
    }

    /// An engine on it, which nobody overtakes yet.
    fn open(self: &Arc<Self>) -> Arc<Engine> {
        let platform = Platform {
            disk: Arc::new(Seen(Arc::clone(self))),
            ..Platform::simulated(self.disk.clone(), 7)
        };
        let engine = Engine::open(platform, config()).unwrap();
        create(&engine).unwrap();
        engine
    }

    fn overtake(&self) {
        let Some(engine) = self.engine.get().cloned() else {
            return;
        };
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (done, wait) = mpsc::channel();
        let commits = self.commits;
        thread::spawn(move || {
            commits(&engine, number);
            let _ = done.send(());
        });
        let count = match wait.recv_timeout(LONG) {
            Ok(()) => &self.first,
            Err(_) => &self.waited,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The disk as the engine sees it.
#[derive(Debug)]
struct Seen(Arc<Busy>);

impl Disk for Seen {
    fn open(&self, path: &RelPath, mode: OpenMode) -> io::Result<Box<dyn File>> {
        self.0.disk.open(path, mode)
    }

    fn rename(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        self.0.disk.rename(from, to)?;
        if to.as_str().starts_with("parts/") && to.as_str().ends_with(".parquet") {
            self.0.overtake();
        }
        Ok(())
    }

    fn remove(&self, path: &RelPath) -> io::Result<()> {
        self.0.disk.remove(path)
    }

    fn list(&self, dir: &RelPath) -> io::Result<Vec<String>> {
        self.0.disk.list(dir)
    }

    fn create_dir(&self, dir: &RelPath) -> io::Result<()> {
        self.0.disk.create_dir(dir)
    }

    fn remove_dir(&self, dir: &RelPath) -> io::Result<()> {
        self.0.disk.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &RelPath) -> io::Result<()> {
        self.0.disk.sync_dir(dir)
    }

    fn lock(&self, path: &RelPath) -> io::Result<Box<dyn Lock>> {
        self.0.disk.lock(path)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.disk.free_bytes()
    }

    fn map(&self, path: &RelPath) -> io::Result<Bytes> {
        self.0.disk.map(path)
    }
}

#[test]
fn a_chunk_that_others_always_change_first_is_compressed() {
    let disk = SimDisk::new(1);
    let busy = Busy::new(&disk, 100, replace);
    let engine = busy.open();
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.insert(TOTALS, &totals(1)).unwrap();
    transaction.commit().unwrap();
    busy.engine.set(Arc::clone(&engine)).unwrap();
    let packed = engine.compress_chunk(DB, TOTALS, ChunkId(0));
    assert!(packed.unwrap(), "nothing was packed");
    let (first, waited) = (
        busy.first.load(Ordering::Relaxed),
        busy.waited.load(Ordering::Relaxed),
    );
    assert!(first > 1, "others came first {first} times");
    assert_eq!(waited, 1, "the last one had to wait");
    // Who waited comes behind: its row is the one that is left.
    let last = busy.number.load(Ordering::Relaxed) - 1;
    for _ in 0..500 {
        let transaction = engine.begin(DB, Isolation::ReadCommitted);
        if ids(&transaction, TOTALS, 0) == [last] {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the row of who waited is not there");
}

#[test]
fn a_chunk_that_others_always_change_first_is_split() {
    let disk = SimDisk::new(2);
    let busy = Busy::new(&disk, 0, take_away);
    let engine = busy.open();
    // All of the first chunk, on both sides of the cut.
    let numbers: Vec<i64> = (0..EVERY * 50)
        .filter(|id| (0..10).contains(&time_of(*id)))
        .collect();
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.insert(TICKS, &ticks(&numbers)).unwrap();
    transaction.commit().unwrap();
    engine.flush().unwrap();
    busy.engine.set(Arc::clone(&engine)).unwrap();
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    let catalog = transaction.catalog();
    let chunk = catalog.table(DB, TICKS).unwrap().chunk_at(0).unwrap().id;
    transaction.split_chunk(TICKS, chunk, 5).unwrap();
    transaction.commit().unwrap();
    let (first, waited) = (
        busy.first.load(Ordering::Relaxed),
        busy.waited.load(Ordering::Relaxed),
    );
    assert!(first > 1, "others came first {first} times");
    assert!(waited > 0, "nobody had to wait");
    let gone = busy.number.load(Ordering::Relaxed);
    let left: Vec<i64> = numbers
        .into_iter()
        .filter(|id| id % EVERY != 0 || *id >= gone * EVERY)
        .collect();
    for _ in 0..500 {
        let transaction = engine.begin(DB, Isolation::ReadCommitted);
        if ids(&transaction, TICKS, 2) == left {
            let catalog = engine.catalog();
            assert_eq!(catalog.table(DB, TICKS).unwrap().chunks.len(), 2);
            assert!(engine.verify().is_empty());
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the rows are others");
}
