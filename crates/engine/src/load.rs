//! A load: more rows than memory is for, packed into cold parts as they come.
//!
//! Rows gather by chunk until there are enough for a part, or until none came for a while; then
//! they are sorted and written beside those that gather next. No catalog names the parts until the
//! transaction commits, and files that nobody will name go with the loader.
//!
//! Whoever packs rows of a source derives from them what stores of continuous aggregates get, which
//! goes into loaders of theirs.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, Part, Table};
use chronolith_chunk::load::{Sorted, sort};
use chronolith_chunk::{Layout, bytes_of};
use chronolith_types::{DatabaseId, PartId, TableId};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::record::TableKey;
use crate::rollups::Derived;
use crate::route;
use crate::state::OpenPart;
use crate::transaction::Transaction;
use crate::view::TableView;

/// Rows of fewer bytes are not worth a file of their own.
const PART_BYTES_MIN: usize = 1 << 20;
/// After so many batches without a row for a chunk, rows arrive for later ones.
const IDLE_BATCHES: u64 = 4;
/// How long whoever loads waits before it looks again whether there is room.
const WAIT: Duration = Duration::from_micros(500);
/// What packing takes for each byte of the rows: themselves, sorted, and narrowed to be encoded.
const PACKING_COST: usize = 3;

/// Rows on their way into cold parts. Dropped without [`BulkLoader::finish`], it leaves no trace.
#[derive(Debug)]
pub struct BulkLoader {
    engine: Arc<Engine>,
    database: DatabaseId,
    /// What there was when it began.
    catalog: Arc<Catalog>,
    table: Arc<Table>,
    layout: Arc<Layout>,
    /// Places of the columns of each key.
    keys: Vec<Vec<usize>>,
    /// Of stores that are computed from the rows.
    stores: BTreeMap<TableId, BulkLoader>,
    /// What of stores is to be computed anew.
    invalid: Vec<(TableId, Range<i64>)>,
    /// Whether it is itself for a store of another's rows.
    nested: bool,
    /// By the start of their chunk's range.
    gathered: BTreeMap<i64, Gathered>,
    packing: VecDeque<Packing>,
    packed: Vec<Packed>,
    batches: u64,
    rows: u64,
    /// Bytes that the engine counts as this load's.
    counted: usize,
}

/// Rows of a chunk that wait to be packed.
#[derive(Debug)]
struct Gathered {
    range: Range<i64>,
    batches: Vec<RecordBatch>,
    bytes: usize,
    /// The number of the last batch that had rows for it.
    last: u64,
}

/// Rows that a thread packs.
#[derive(Debug)]
struct Packing {
    /// Bytes that it holds by now.
    bytes: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Packed, EngineError>>,
}

/// Rows that lie in a part.
#[derive(Debug)]
struct Packed {
    range: Range<i64>,
    part: Part,
    open: Arc<OpenPart>,
    /// What stores get of them.
    derived: Vec<Derived>,
}

/// Bytes that a load may hold, and when it packs.
#[derive(Debug, Clone, Copy)]
struct Limits {
    bytes_max: usize,
}

impl Limits {
    /// The rows that ought to be packed now, if any: by the start of their range.
    fn due(self, gathered: &BTreeMap<i64, Gathered>, batches: u64) -> Option<i64> {
        let of = |found: Option<(&i64, &Gathered)>| found.map(|(start, _)| *start);
        let full = |of: &Gathered| of.bytes >= self.bytes_max / 4;
        let done = |of: &Gathered| {
            of.bytes >= self.bytes_max / 32 && batches.saturating_sub(of.last) >= IDLE_BATCHES
        };
        if let Some(start) = of(gathered.iter().find(|(_, of)| full(of) || done(of))) {
            return Some(start);
        }
        let total: usize = gathered.values().map(|of| of.bytes).sum();
        if total < self.bytes_max / 2 {
            return None;
        }
        // The one that waits longest will hardly grow; but a part should be worth its file.
        let worth = |of: &Gathered| of.bytes >= self.bytes_max / 32;
        let oldest = gathered.iter().filter(|(_, of)| worth(of));
        let oldest = oldest.min_by_key(|(_, of)| of.last);
        of(oldest.or_else(|| gathered.iter().max_by_key(|(_, of)| of.bytes)))
    }
}

impl BulkLoader {
    /// A load into a table of a catalog.
    pub(crate) fn new(
        engine: Arc<Engine>,
        database: DatabaseId,
        catalog: Arc<Catalog>,
        table: Arc<Table>,
    ) -> Self {
        engine.loads.fetch_add(1, Ordering::Relaxed);
        Self::made(engine, database, catalog, table, false)
    }

    fn made(
        engine: Arc<Engine>,
        database: DatabaseId,
        catalog: Arc<Catalog>,
        table: Arc<Table>,
        nested: bool,
    ) -> Self {
        let layout = crate::layout::layout_for(&table);
        let keys = table.unique_keys().into_iter();
        let keys = keys.map(|(_, places)| places).collect();
        Self {
            engine,
            database,
            catalog,
            table,
            layout,
            keys,
            stores: BTreeMap::new(),
            invalid: Vec::new(),
            nested,
            gathered: BTreeMap::new(),
            packing: VecDeque::new(),
            packed: Vec::new(),
            batches: 0,
            rows: 0,
            counted: 0,
        }
    }

    /// Takes rows; `batch` has the table's columns in their order and physical types. Waits while
    /// more rows are being packed than there is memory for.
    ///
    /// # Errors
    /// 23502 and 23505 for rows that the table refuses, 53100 and 58030 when parts cannot be
    /// written; then the load has failed, and is to be dropped.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        let batch = route::fitting(&self.table, &self.layout, batch)?;
        self.batches += 1;
        self.rows += batch.num_rows() as u64;
        for (range, rows) in route::split(&self.table, &self.layout, &batch)? {
            let start = range.start;
            let gathered = self.gathered.entry(start).or_insert_with(|| Gathered {
                range,
                batches: Vec::new(),
                bytes: 0,
                last: 0,
            });
            gathered.bytes += bytes_of(&rows);
            gathered.batches.push(rows);
            gathered.last = self.batches;
        }
        loop {
            let limits = self.limits();
            let Some(start) = limits.due(&self.gathered, self.batches) else {
                break;
            };
            if let Some(gathered) = self.gathered.remove(&start) {
                self.pack(gathered, limits)?;
            }
        }
        self.count();
        Ok(())
    }

    /// How many rows it was given.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn limits(&self) -> Limits {
        let loads = self.engine.loads.load(Ordering::Relaxed).max(1);
        let bytes_max = self.engine.config.hot_bytes_max / 2 / loads;
        if !self.nested {
            return Limits { bytes_max };
        }
        // Rows of stores are fewer than those they come from, and of each store over another fewer
        // still: eight of them hold little more than two of the first would.
        let database = self.catalog.databases.get(&self.database);
        let stores = database.map_or(1, |known| known.stores.values().map(Vec::len).sum());
        Limits {
            bytes_max: bytes_max / stores.max(8),
        }
    }

    fn held(&self) -> usize {
        let gathered: usize = self.gathered.values().map(|of| of.bytes).sum();
        let packing = self.packing.iter();
        let packing: usize = packing.map(|of| of.bytes.load(Ordering::Relaxed)).sum();
        gathered + packing
    }

    /// Tells the engine what the load holds, so that hot rows make room for it.
    fn count(&mut self) {
        let held = self.held();
        let bytes = &self.engine.load_bytes;
        if held >= self.counted {
            bytes.fetch_add(held - self.counted, Ordering::Relaxed);
        } else {
            bytes.fetch_sub(self.counted - held, Ordering::Relaxed);
        }
        self.counted = held;
    }

    /// Has rows packed, once there is room for that.
    fn pack(&mut self, gathered: Gathered, limits: Limits) -> Result<(), EngineError> {
        let job = Job {
            // Parts are numbered in the order of their rows, whichever thread ends first.
            id: self.engine.allocate_part(),
            engine: Arc::clone(&self.engine),
            database: self.database,
            catalog: Arc::clone(&self.catalog),
            table: Arc::clone(&self.table),
            layout: Arc::clone(&self.layout),
            keys: self.keys.clone(),
        };
        let mut threads = self.engine.load_threads();
        if self.nested {
            // The source's rows are what takes its time.
            threads = threads.min(1);
        }
        if threads == 0 {
            let packed = job.run(gathered, &AtomicUsize::new(0))?;
            return self.take(packed);
        }
        let held = Arc::new(AtomicUsize::new(gathered.bytes * PACKING_COST));
        loop {
            let finished = self.packing.iter().position(|of| of.thread.is_finished());
            if let Some(place) = finished {
                self.collect(place)?;
                continue;
            }
            let all = self.held() + gathered.bytes * PACKING_COST;
            // Whoever loads waits for the packing of a store as little as may be: a second piece of
            // it may be packed beside the first.
            let full = all > limits.bytes_max && (!self.nested || self.packing.len() > 1);
            let crowded = self.packing.len() >= threads || full;
            if !crowded || self.packing.is_empty() {
                break;
            }
            // A thread gives back most of what it holds before it ends.
            std::thread::sleep(WAIT);
        }
        let bytes = Arc::clone(&held);
        let thread = std::thread::Builder::new()
            .name("chronolith-load".to_owned())
            .spawn(move || job.run(gathered, &held))
            .map_err(crate::error::io_error("start a thread"))?;
        self.packing.push_back(Packing { bytes, thread });
        Ok(())
    }

    /// Waits for a thread, and takes its part.
    fn collect(&mut self, place: usize) -> Result<(), EngineError> {
        let Some(packing) = self.packing.remove(place) else {
            return Ok(());
        };
        let outcome = packing.thread.join();
        let lost = || {
            Err(EngineError::Record(
                "a thread that packed rows failed".into(),
            ))
        };
        self.take(outcome.unwrap_or_else(|_| lost())?)
    }

    /// Takes a part, and gives stores what they get of it.
    fn take(&mut self, mut packed: Packed) -> Result<(), EngineError> {
        for derived in std::mem::take(&mut packed.derived) {
            let store = derived.store;
            if let Some(range) = derived.invalid.filter(|range| !range.is_empty()) {
                self.invalid.push((store, range));
            }
            let Some(rows) = derived.rows.filter(|rows| rows.num_rows() > 0) else {
                continue;
            };
            if !self.stores.contains_key(&store) {
                let table = self.catalog.table(self.database, store).cloned();
                let missing = || EngineError::Overtaken(store.to_string());
                let loader = Self::made(
                    Arc::clone(&self.engine),
                    self.database,
                    Arc::clone(&self.catalog),
                    table.ok_or_else(missing)?,
                    true,
                );
                self.stores.insert(store, loader);
            }
            if let Some(loader) = self.stores.get_mut(&store) {
                loader.push(&rows)?;
            }
        }
        self.packed.push(packed);
        Ok(())
    }

    /// Adds all its rows to the transaction that it was begun in; how many they are. Few rows that
    /// are left over wait in memory, as those of an INSERT do.
    ///
    /// # Errors
    /// 23505 for rows that the table has already, 40001 when the table has changed meanwhile, and
    /// those of [`BulkLoader::push`].
    pub fn finish(mut self, transaction: &mut Transaction) -> Result<u64, EngineError> {
        // So that it knows of all stores that this load knows of.
        transaction.derive()?;
        // A statement is whole or not at all.
        transaction.whole(|transaction| {
            let point = transaction.point();
            self.finish_into(transaction)?;
            let stores = self.catalog.databases.get(&self.database);
            let stores = stores.map_or_else(Default::default, |known| Arc::clone(&known.stores));
            transaction.catch_up_load(&stores, point)
        })?;
        Ok(self.rows)
    }

    fn finish_into(&mut self, transaction: &mut Transaction) -> Result<(), EngineError> {
        let limits = self.limits();
        let mut room = self.engine.load_bytes_min();
        let mut few = Vec::new();
        for (_, gathered) in std::mem::take(&mut self.gathered) {
            if gathered.bytes < PART_BYTES_MIN.min(room) {
                room -= gathered.bytes;
                few.push(gathered);
            } else {
                self.pack(gathered, limits)?;
                self.count();
            }
        }
        while !self.packing.is_empty() {
            self.collect(0)?;
        }
        self.count();
        let mut chunks: BTreeMap<i64, Vec<Packed>> = BTreeMap::new();
        for packed in std::mem::take(&mut self.packed) {
            chunks.entry(packed.range.start).or_default().push(packed);
        }
        self.add(transaction, chunks, few)?;
        for (store, mut loader) in std::mem::take(&mut self.stores) {
            // Dropped meanwhile, it gets nothing.
            if transaction.catalog().table(self.database, store).is_some() {
                transaction.gives(store);
                loader.finish_into(transaction)?;
            }
        }
        for (store, range) in joined(std::mem::take(&mut self.invalid)) {
            if transaction.catalog().table(self.database, store).is_some() {
                transaction.mark(store, range)?;
            }
        }
        Ok(())
    }

    fn add(
        &self,
        transaction: &mut Transaction,
        chunks: BTreeMap<i64, Vec<Packed>>,
        few: Vec<Gathered>,
    ) -> Result<(), EngineError> {
        for (_, mut packed) in chunks {
            packed.sort_by_key(|packed| packed.part.id);
            let Some(range) = packed.first().map(|packed| packed.range.clone()) else {
                continue;
            };
            let parts = packed.into_iter().map(|of| (of.part, of.open)).collect();
            transaction.add_parts(&self.table, &range, parts)?;
        }
        for batch in few.iter().flat_map(|gathered| &gathered.batches) {
            transaction.insert(self.table.id, batch)?;
        }
        Ok(())
    }
}

impl Drop for BulkLoader {
    fn drop(&mut self) {
        for packing in std::mem::take(&mut self.packing) {
            // The part goes with the outcome that holds it.
            drop(packing.thread.join());
        }
        if !self.nested {
            self.engine.loads.fetch_sub(1, Ordering::Relaxed);
        }
        self.engine
            .load_bytes
            .fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Ranges that meet or touch as one.
fn joined(mut ranges: Vec<(TableId, Range<i64>)>) -> Vec<(TableId, Range<i64>)> {
    ranges.sort_by_key(|(store, range)| (*store, range.start));
    let mut joined: Vec<(TableId, Range<i64>)> = Vec::new();
    for (store, range) in ranges {
        match joined.last_mut() {
            Some((of, last)) if *of == store && range.start <= last.end => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push((store, range)),
        }
    }
    joined
}

/// What packing must know.
struct Job {
    id: PartId,
    engine: Arc<Engine>,
    database: DatabaseId,
    catalog: Arc<Catalog>,
    table: Arc<Table>,
    layout: Arc<Layout>,
    keys: Vec<Vec<usize>>,
}

impl Job {
    /// `held` is told how many bytes it holds by now.
    fn run(self, gathered: Gathered, held: &AtomicUsize) -> Result<Packed, EngineError> {
        let unpacked = gathered.bytes as u64;
        match sort(&self.layout, gathered.batches, &self.keys)? {
            Sorted::Rows { mut rows, .. } => {
                let key = TableKey::new(self.database, self.table.id);
                if self.table.rollup.is_some() {
                    rows = self.engine.folded(&self.catalog, key, &self.layout, rows);
                }
                let (part, open) =
                    self.engine
                        .write_part(self.id, &self.layout, &rows, unpacked)?;
                held.store(gathered.bytes, Ordering::Relaxed);
                let derived = self.derived(&rows, &open)?;
                Ok(Packed {
                    range: gathered.range,
                    part,
                    open,
                    derived,
                })
            }
            Sorted::Twice { key, row } => {
                let keys = self.table.unique_keys();
                Err(match keys.get(key) {
                    Some((constraint, places)) => {
                        route::exists(&self.table, &constraint.name, places, places, &row, 0)
                    }
                    None => EngineError::Columns(self.table.name.clone()),
                })
            }
        }
    }
    /// What stores get of rows.
    fn derived(
        &self,
        rows: &RecordBatch,
        open: &Arc<OpenPart>,
    ) -> Result<Vec<Derived>, EngineError> {
        let database = self.catalog.databases.get(&self.database);
        if database.is_none_or(|known| known.stores_of(self.table.id).is_empty()) {
            return Ok(Vec::new());
        }
        let rollups = self.engine.rollups()?;
        let part = TableView::of_part(&self.table, &self.layout, open);
        Ok(rollups.derive_part(&self.catalog, self.database, &part, rows)?)
    }
}
