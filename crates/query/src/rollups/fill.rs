//! Writing invalid ranges of stores anew: what readers would compute, once for all of them.

use std::ops::Range;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Database, Mark, Table};
use chronolith_engine::{EngineError, Isolation, layout_of};
use chronolith_types::{DatabaseId, SqlState, TableId};
use parking_lot::{Condvar, Mutex};

use super::plan::Planning;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::instance::{Activity, Instance};
use crate::notify::Mailbox;
use crate::session::{Shared, collect};
use crate::settings::Settings;

/// How often a range is computed again because others changed the store meanwhile.
const ATTEMPTS: usize = 8;
/// So often is that tried by who must not leave anything.
const ROUNDS: usize = 100;
/// How long ranges may stay invalid that nobody told of.
const PAUSE: Duration = Duration::from_millis(500);

/// The thread that fills, and how it is told.
#[derive(Debug, Default)]
pub(crate) struct Filler {
    wanted: Mutex<Wanted>,
    wake: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Wanted {
    stop: bool,
}

impl Filler {
    /// Ends the thread, and waits for it to end what it is at.
    pub(crate) fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // The thread itself may be the last to have held the instance.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the thread that fills continuous aggregates ended in a panic");
        }
    }

    /// Starts the thread; it has no hold on the instance while it waits.
    pub(crate) fn start(instance: &Arc<Instance>) -> Result<(), Error> {
        let (filler, weak) = (Arc::clone(&instance.filler), Arc::downgrade(instance));
        let thread = std::thread::Builder::new()
            .name("chronolith-fill".to_owned())
            .spawn(move || filler.run(&weak))
            .map_err(|error| Error::internal(error.to_string()))?;
        *instance.filler.thread.lock() = Some(thread);
        Ok(())
    }

    fn run(&self, weak: &Weak<Instance>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            tracing::error!("no runtime to fill continuous aggregates with");
            return;
        };
        let mut seen = 0;
        loop {
            {
                let mut wanted = self.wanted.lock();
                if !wanted.stop {
                    self.wake.wait_for(&mut wanted, PAUSE);
                }
                if wanted.stop {
                    return;
                }
            }
            let Some(instance) = weak.upgrade() else {
                return;
            };
            let version = instance.engine.catalog().version;
            if version == seen {
                continue;
            }
            seen = version;
            if let Err(error) = runtime.block_on(fill_all(&instance, || self.wanted.lock().stop)) {
                tracing::error!(%error, "could not fill a continuous aggregate");
            }
        }
    }
}

/// A store's ranges that are owed, with how to get at it.
struct Owed {
    database: DatabaseId,
    store: TableId,
}

fn owing(database: &Database) -> impl Iterator<Item = &Arc<Table>> {
    database.tables.values().filter(|table| {
        let rollup = table.rollup.as_ref();
        rollup.is_some_and(|rollup| !rollup.invalid.is_empty())
    })
}

/// Fills what is owed now, parents before those that read them.
pub(crate) async fn fill_all(
    instance: &Arc<Instance>,
    stop: impl Fn() -> bool,
) -> Result<(), Error> {
    let catalog = instance.engine.catalog();
    let mut owed = Vec::new();
    for database in catalog.databases.values() {
        // A child's table is made after its parent's.
        owed.extend(owing(database).map(|table| Owed {
            database: database.id,
            store: table.id,
        }));
    }
    for one in owed {
        if stop() {
            return Ok(());
        }
        let all = i64::MIN..i64::MAX;
        fill(instance, one.database, one.store, &all, &stop).await?;
    }
    Ok(())
}

/// Fills what is owed of a store within some times; whether anything was.
///
/// # Errors
/// What computing it meets, and the disk.
pub(crate) async fn fill(
    instance: &Arc<Instance>,
    database: DatabaseId,
    store: TableId,
    within: &Range<i64>,
    stop: &impl Fn() -> bool,
) -> Result<bool, Error> {
    let catalog = instance.engine.catalog();
    let Some(home) = catalog.databases.get(&database) else {
        return Ok(false);
    };
    let shared = internal(instance, home);
    let mut any = false;
    for _ in 0..ATTEMPTS {
        let ranges = pieces(instance, database, store, within)?;
        if ranges.is_empty() {
            return Ok(any);
        }
        any = true;
        for range in ranges {
            if stop() {
                return Ok(any);
            }
            // Whatever came between is seen by the next round.
            match fill_range(&shared, store, &range).await {
                Err(error) if error.code == SqlState::SERIALIZATION_FAILURE => {}
                done => done?,
            }
        }
    }
    Ok(any)
}

/// The same until nothing is owed, as it has to be before raw rows go: others fill too, and who comes
/// second begins anew.
///
/// # Errors
/// As [`fill`]; 40001 when others write to the raw rows over and over.
pub(crate) async fn fill_wholly(
    instance: &Arc<Instance>,
    database: DatabaseId,
    store: TableId,
    within: &Range<i64>,
    stop: &impl Fn() -> bool,
) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        fill(instance, database, store, within, stop).await?;
        if stop() || pieces(instance, database, store, within)?.is_empty() {
            return Ok(());
        }
    }
    Err(Error::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not compute what is owed of a continuous aggregate due to concurrent changes",
    ))
}

/// What is owed of a store, in pieces of about a chunk, the newest first.
fn pieces(
    instance: &Arc<Instance>,
    database: DatabaseId,
    store: TableId,
    within: &Range<i64>,
) -> Result<Vec<Range<i64>>, Error> {
    let catalog = instance.engine.catalog();
    let Some(home) = catalog.databases.get(&database) else {
        return Ok(Vec::new());
    };
    let Some(table) = home.tables.get(&store) else {
        return Ok(Vec::new());
    };
    let Some(rollup) = &table.rollup else {
        return Ok(Vec::new());
    };
    let definition = instance.registry.definition(home, rollup.view)?;
    let width = table
        .hypertable
        .as_ref()
        .map_or(i64::MAX, |known| known.interval);
    let source = home.tables.get(&rollup.source);
    // Between chunks of the source there is nothing to compute: one piece each.
    let chunks = source.into_iter().flat_map(|source| source.chunks.values());
    let chunks = chunks.map(|chunk| definition.buckets.cover(&chunk.range));
    let mut chunks: Vec<Range<i64>> = chunks.collect();
    chunks.sort_by_key(|chunk| chunk.end);
    let mut found = Vec::new();
    for Mark { range, .. } in &rollup.invalid {
        let end = range.end.min(within.end);
        let mut at = range.start.max(within.start);
        while at < end {
            let next = match chunks.get(chunks.partition_point(|chunk| chunk.end <= at)) {
                None => end,
                Some(chunk) if at < chunk.start => chunk.start.min(end),
                Some(_) => {
                    let next = at.saturating_add(width);
                    definition.buckets.cover(&(at..next)).end.min(end)
                }
            };
            found.push(at..next);
            at = next;
        }
    }
    found.reverse();
    Ok(found)
}

/// A session of nobody's.
fn internal(instance: &Arc<Instance>, home: &Database) -> Arc<Shared> {
    let cancel = Arc::new(Cancel::default());
    let mailbox = Arc::new(Mailbox::default());
    let started_us = instance.engine.clock().wall_us();
    let pid = instance.enter(Activity {
        pid: 0,
        database: home.name.clone(),
        user: "postgres".to_owned(),
        application_name: "continuous aggregates".to_owned(),
        client: None,
        server: None,
        started_us,
        transaction_us: None,
        statement_us: None,
        state: "idle",
        query: String::new(),
        changed_us: started_us,
        background: true,
        cancel: Arc::clone(&cancel),
        mailbox: Arc::clone(&mailbox),
    });
    let settings = Settings::new(Default::default());
    Arc::new(Shared::new(
        Arc::clone(instance),
        pid,
        home,
        cancel,
        &mailbox,
        "postgres",
        settings,
    ))
}

/// Computes a range of whole buckets as of now and puts it in the place of what the store has.
async fn fill_range(shared: &Arc<Shared>, store: TableId, range: &Range<i64>) -> Result<(), Error> {
    let engine = &shared.instance.engine;
    let transaction = engine.begin(shared.database, Isolation::RepeatableRead);
    shared.with(|state| state.transaction = Some(transaction));
    let done = computed(shared, store, range).await;
    let transaction = shared.with(|state| state.transaction.take());
    let (Some(mut transaction), Some(rows)) = (transaction, done?) else {
        return Ok(());
    };
    transaction
        .rewrite(store, range.clone(), &rows)
        .and_then(|()| transaction.commit())
        .map(|_| ())
        .map_err(|error: EngineError| Error::from(error))
}

async fn computed(
    shared: &Arc<Shared>,
    store: TableId,
    range: &Range<i64>,
) -> Result<Option<Vec<RecordBatch>>, Error> {
    let home = shared.home()?;
    let Some(rollup) = home
        .tables
        .get(&store)
        .and_then(|table| table.rollup.as_ref())
    else {
        return Ok(None);
    };
    let planning = Planning {
        database: &home,
        registry: &shared.instance.registry,
    };
    let plan = planning.computed(rollup.view, std::slice::from_ref(range))?;
    // DataFusion may have called columns never null.
    let schema = home.tables.get(&store).map(|table| layout_of(table));
    let schema = schema.map(|layout| Arc::clone(layout.schema()));
    let mut rows = Vec::new();
    for batch in collect(shared, &plan).await? {
        if let Some(schema) = &schema {
            rows.push(RecordBatch::try_new(
                Arc::clone(schema),
                batch.columns().to_vec(),
            )?);
        }
    }
    Ok(Some(rows))
}
