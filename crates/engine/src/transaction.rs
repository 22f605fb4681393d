//! A transaction: what it sees, and what it will have done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, CatalogError, Change, Table};
use chronolith_chunk::HotPart;
use chronolith_types::{DatabaseId, Lsn, TableId};

use crate::check::Checked;
use crate::clash::LoadClaim;
use crate::commit::Work;
use crate::dependants::Stores;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::keys::KeyCache;
use crate::locks::Locker;
use crate::moves::{Deletion, Pin, Source};
use crate::queue::{Commit, Pending};
use crate::record::{Place, Record, TableKey};
use crate::route::{Claim, Key};
use crate::state::{Loaded, State};
use crate::view::TableView;
use crate::watch::Watch;

mod arrival;
mod boundaries;
mod change;
mod chunk_locks;
mod computed;
mod delete;
mod derive;
mod export;
mod find;
mod insert;
mod lock;
mod points;
mod rewrite;
mod sequences;
mod share;
mod snapshot;
mod touched;

pub use computed::Met;
pub(crate) use delete::{called, source_of};
pub use export::Exported;
pub(crate) use find::OwnCaches;
pub(crate) use insert::KeysAre;
pub use lock::{Claimed, RowsLocked, Seen};
pub(crate) use points::Point;
use points::{Before, Claims, Rows, Savepoint};
use rewrite::Rewrite;
pub use touched::Touched;
use touched::Touches;

/// What a transaction sees of those that commit beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed when it began.
    ReadCommitted,
    /// The whole transaction sees what was committed when it began.
    RepeatableRead,
}

/// A commit of at most so many rows, new and gone, is done before another thread could take over
/// this one's tasks.
const BRIEF_ROWS: u64 = 256;

/// Keys of a transaction's rows, by chunk and constraint.
type OwnKeys = BTreeMap<(Place, u32), HashSet<Key>>;

/// An open transaction. Dropped without [`Transaction::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Transaction {
    engine: Arc<Engine>,
    database: DatabaseId,
    isolation: Isolation,
    /// What is committed, as of the snapshot.
    snapshot: Arc<State>,
    /// The same with the transaction's own changes.
    state: Arc<State>,
    changes: Vec<Change>,
    /// Rows that wait for the commit, with the columns that their tables have in `state`.
    rows: Vec<(Place, RecordBatch)>,
    claims: Vec<Arc<Claim>>,
    checked: Vec<Checked>,
    /// Parts that it adds, and what their keys were held against.
    loaded: Loaded,
    loads: Vec<Arc<LoadClaim>>,
    /// `rows` again, to read.
    own: BTreeMap<Place, HotPart>,
    /// Keys of `own`, once they were counted: rows that take others' places do not need it.
    own_keys: OwnKeys,
    counted: bool,
    savepoints: Vec<Savepoint>,
    /// How many of `rows` their stores have got something of, and which stores there were then.
    derived: usize,
    stores: Stores,
    /// Stores that got something of them, or were marked.
    given: BTreeSet<TableId>,
    /// Stores that were truncated with their source.
    truncated: Vec<TableId>,
    rewrites: Vec<Rewrite>,
    /// What must still be so of other tables at the commit.
    watches: Vec<Watch>,
    /// Rows that it deletes, and why these can still be found at its commit.
    deletions: Vec<Arc<Deletion>>,
    /// How many were left when they were last joined.
    joined: usize,
    pin: Option<Pin>,
    /// Who holds its locks, once it has any.
    locker: Option<Arc<Locker>>,
    /// Keys of its own rows, and of those in memory that an old snapshot has.
    own_cache: KeyCache,
    old_cache: KeyCache,
    /// What others may begin with, as long as it lasts.
    exported: Vec<Arc<Exported>>,
    touched: Touches,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Engine>, database: DatabaseId, isolation: Isolation) -> Self {
        let (pin, snapshot) = match isolation {
            Isolation::ReadCommitted => (None, engine.state()),
            // It changes rows as they were when it began.
            Isolation::RepeatableRead => {
                let (pin, snapshot) = engine.pin();
                (Some(pin), snapshot)
            }
        };
        Self {
            stores: snapshot.stores(database),
            engine,
            database,
            isolation,
            state: Arc::clone(&snapshot),
            snapshot,
            changes: Vec::new(),
            rows: Vec::new(),
            claims: Vec::new(),
            checked: Vec::new(),
            loaded: Loaded::new(),
            loads: Vec::new(),
            own: BTreeMap::new(),
            own_keys: BTreeMap::new(),
            counted: false,
            savepoints: Vec::new(),
            derived: 0,
            given: BTreeSet::new(),
            truncated: Vec::new(),
            rewrites: Vec::new(),
            watches: Vec::new(),
            deletions: Vec::new(),
            joined: 0,
            pin,
            locker: None,
            own_cache: KeyCache::default(),
            old_cache: KeyCache::default(),
            exported: Vec::new(),
            touched: Touches::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> &State {
        &self.snapshot
    }

    pub(crate) fn add_watch(&mut self, watch: Watch) {
        self.watches.push(watch);
    }

    /// The database it is in.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }

    /// Whether its own changes made another catalog, for plans, than any that is committed: then its
    /// version may be that of one that others commit.
    #[must_use]
    pub fn has_own_catalog(&self) -> bool {
        self.state.catalog.version != self.snapshot.catalog.version
    }

    /// What exists, with the transaction's own changes.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.state.catalog)
    }

    /// A table's rows, with the transaction's own.
    #[must_use]
    pub fn table(&self, table: TableId) -> Option<TableView> {
        self.table_between(table, &(i64::MIN..i64::MAX))
    }

    /// The same with those chunks alone that may have rows between some times.
    #[must_use]
    pub fn table_between(&self, table: TableId, time: &Range<i64>) -> Option<TableView> {
        let key = TableKey::new(self.database, table);
        self.state.view(key, &self.own, time)
    }

    /// A number for a new object.
    #[must_use]
    pub fn allocate_oid(&self) -> u32 {
        self.engine.allocate_oid()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Whether it has done nothing at all that would have to be undone, or kept for others.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.writes() && self.savepoints.is_empty() && self.watches.is_empty()
    }

    pub(crate) fn found(&self, table: TableId) -> Result<Arc<Table>, EngineError> {
        let found = self.state.catalog.table(self.database, table).cloned();
        found.ok_or_else(|| CatalogError::NoRelation(table.to_string()).into())
    }

    /// Whether it has changed anything.
    #[must_use]
    pub fn writes(&self) -> bool {
        !(self.changes.is_empty()
            && self.rows.is_empty()
            && self.deletions.is_empty()
            && self.loads.is_empty()
            && self.rewrites.is_empty())
    }

    /// Makes it so: on return all of it is safe and visible, or, on an error, none of it.
    ///
    /// # Errors
    /// 23505 and the like for what others committed meanwhile; 53100; 58030.
    pub fn commit(self) -> Result<Lsn, EngineError> {
        match self.locker.clone().filter(|_| !self.is_brief()) {
            Some(locker) => locker.aside(|| self.commit_here()),
            None => self.commit_here(),
        }
    }

    /// Whether there is little to commit: a few rows, and no change of what exists.
    fn is_brief(&self) -> bool {
        let added: usize = self.rows.iter().map(|(_, batch)| batch.num_rows()).sum();
        let gone: u64 = self.deletions.iter().map(|known| known.rows.len()).sum();
        let rows = u64::try_from(added)
            .unwrap_or(u64::MAX)
            .saturating_add(gone);
        self.changes.is_empty() && self.loads.is_empty() && rows <= BRIEF_ROWS
    }

    /// The same for who can do something else while others write: with as many who commit as
    /// threads, or more, one sync is that of all of them, and nobody waits for a thread.
    ///
    /// # Errors
    /// Those of [`Transaction::commit`].
    pub async fn commit_beside_others(self) -> Result<Lsn, EngineError> {
        if !self.is_brief() {
            return self.commit();
        }
        let engine = Arc::clone(&self.engine);
        let ends = self.locker.clone();
        let Some(leaving) = self.leave(ends)? else {
            return Ok(Lsn(engine.durable.load(Ordering::Acquire)));
        };
        let commit = Commit::new(Arc::clone(&engine), Arc::clone(&leaving.pending));
        let lsn = commit.await?;
        engine.tidy_after(leaving.locker.as_deref());
        Ok(lsn)
    }

    fn commit_here(self) -> Result<Lsn, EngineError> {
        let engine = Arc::clone(&self.engine);
        let Some(leaving) = self.leave(None)? else {
            return Ok(Lsn(engine.durable.load(Ordering::Acquire)));
        };
        let lsn = engine.commit(&leaving.pending, leaving.locker.as_deref())?;
        engine.tidy_after(leaving.locker.as_deref());
        Ok(lsn)
    }

    /// What it wants to be committed, and whose locks end with it; None when that is nothing.
    fn leave(mut self, locker: Option<Arc<Locker>>) -> Result<Option<Leaving>, EngineError> {
        self.derive()?;
        self.tell_sequences();
        if self.changes.is_empty() && self.rows.is_empty() && self.deletions.is_empty() {
            return Ok(None);
        }
        let table = |key: TableKey| Some((key, Arc::clone(self.state.table(key)?)));
        let shapes = self.written().into_iter().filter_map(table).collect();
        let kept = self.kept();
        let thinned = self
            .deletions
            .iter()
            .filter(|known| known.source == Source::Own);
        let thinned: BTreeSet<Place> = thinned.map(|known| known.place).collect();
        let mut rows: BTreeMap<Place, Vec<RecordBatch>> = BTreeMap::new();
        for (place, batch) in self.rows {
            if !thinned.contains(&place) {
                rows.entry(place).or_default().push(batch);
            }
        }
        for place in thinned {
            let live = self.own.get(&place).into_iter().flat_map(HotPart::batches);
            let live = live.filter(|batch| batch.num_rows() > 0);
            let live: Vec<RecordBatch> = live.cloned().collect();
            if !live.is_empty() {
                rows.insert(place, live);
            }
        }
        let committed = |known: &Arc<Deletion>| known.source != Source::Own;
        self.deletions.retain(committed);
        let (mut flushed, mut packed, mut rewritten) = (Vec::new(), Vec::new(), Vec::new());
        for rewrite in self.rewrites {
            flushed.extend(rewrite.flushed);
            packed.extend(rewrite.packed);
            rewritten.push((rewrite.key, rewrite.range));
        }
        let work = Work {
            record: Record {
                changes: self.changes,
                rows: rows.into_iter().collect(),
                flushed,
                ..Record::default()
            },
            claims: self.claims,
            loaded: self.loaded,
            loads: self.loads,
            shapes,
            checked: self.checked,
            packed,
            kept: Some(kept),
            rewritten,
            own: match self.watches.is_empty() {
                true => BTreeMap::new(),
                false => self.own,
            },
            watches: self.watches,
            deletions: self.deletions,
            amendment: None,
            locker,
        };
        Ok(Some(Leaving {
            pending: Pending::new(work),
            locker: self.locker,
            _pin: self.pin,
        }))
    }
}

/// A transaction that has said what it wants to be committed.
struct Leaving {
    pending: Arc<Pending>,
    locker: Option<Arc<Locker>>,
    /// Where its rows go meanwhile is to be known until it is committed.
    _pin: Option<Pin>,
}
