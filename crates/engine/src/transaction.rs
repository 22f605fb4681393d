//! A transaction: what it sees, and what it will have done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, CatalogError, Change, Part, Table};
use chronolith_chunk::HotPart;
use chronolith_types::{ChunkId, DatabaseId, Lsn, PartId, TableId};

use crate::check::Checked;
use crate::clash::{Clash, LoadClaim};
use crate::commit::{Pending, Work, rules, settle_chunks};
use crate::dependants::Stores;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::intake::Intake;
use crate::keys::KeyCache;
use crate::layout::{fit, layout_for, layout_of, same_shape};
use crate::load::BulkLoader;
use crate::locks::{LockMark, Locker};
use crate::moves::{Deletion, Pin, Source};
use crate::record::{Place, Record, TableKey};
use crate::route::{self, Claim, Key};
use crate::state::{Loaded, OpenPart, Parts, State};
use crate::view::TableView;
use crate::watch::Watch;

mod arrival;
mod boundaries;
mod computed;
mod delete;
mod derive;
mod export;
mod find;
mod lock;
mod rewrite;
mod sequences;
mod share;

pub use computed::Met;
pub use export::Exported;
pub use lock::{Claimed, RowsLocked, Seen};
use rewrite::Rewrite;

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
    own_keys: BTreeMap<(Place, u32), HashSet<Key>>,
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
}

#[derive(Debug, Clone)]
struct Savepoint {
    name: String,
    point: Point,
    /// What was locked then.
    locks: Option<LockMark>,
    /// The rows and claims that the point counts, where a change has made others of them since.
    before: Option<Arc<Before>>,
}

/// How much a transaction had done at some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    changes: usize,
    rows: usize,
    claims: usize,
    checked: usize,
    loads: usize,
    derived: usize,
    truncated: usize,
    rewrites: usize,
    watches: usize,
    deletions: usize,
}

type Rows = Vec<(Place, RecordBatch)>;
type Claims = Vec<Arc<Claim>>;

#[derive(Debug, Clone)]
struct Before {
    rows: Rows,
    claims: Claims,
    deletions: Vec<Arc<Deletion>>,
    /// How many of the rows have been derived from; a savepoint knows that by itself.
    derived: usize,
}

/// So often a key that somebody has is looked for again, where it was gone by the time that it was
/// looked at.
const SETTLED_MAX: usize = 1000;

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
        }
    }

    /// A statement begins: at READ COMMITTED it sees what is committed now.
    ///
    /// # Errors
    /// When the transaction's own changes or rows no longer fit what others did.
    pub fn begin_statement(&mut self) -> Result<(), EngineError> {
        // What is rewritten was read at this snapshot.
        if self.isolation == Isolation::RepeatableRead || !self.rewrites.is_empty() {
            return Ok(());
        }
        let snapshot = self.engine.state();
        self.move_to(snapshot)
    }

    /// Goes on with a younger snapshot.
    fn move_to(&mut self, snapshot: Arc<State>) -> Result<(), EngineError> {
        if Arc::ptr_eq(&snapshot, &self.snapshot) {
            return Ok(());
        }
        let same_catalog = Arc::ptr_eq(&snapshot.catalog, &self.snapshot.catalog);
        let moved = match !same_catalog && !self.changes.is_empty() {
            true => self.settle(&snapshot)?,
            false => BTreeMap::new(),
        };
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        let state = std::mem::replace(&mut self.state, Arc::clone(&self.snapshot));
        let applied = self.reapply();
        let applied = applied.and_then(|()| self.check_shapes(&state, &moved));
        if let Err(error) = applied {
            self.snapshot = before;
            self.state = state;
            return Err(error);
        }
        Ok(())
    }

    /// Puts the transaction's own changes upon the snapshot.
    fn reapply(&mut self) -> Result<(), EngineError> {
        if self.changes.is_empty() && self.deletions.is_empty() {
            self.state = Arc::clone(&self.snapshot);
            return Ok(());
        }
        let mut state = State::clone(&self.snapshot);
        let parts = Parts::Now(&self.engine.platform.disk, &self.loaded);
        for change in &self.changes {
            if self.is_for_nobody(&state, change) {
                continue;
            }
            state.change(change, parts, &mut Vec::new())?;
        }
        for rewrite in &self.rewrites {
            state.apply_rows(&rewrite.flushed())?;
        }
        self.delete_in(&mut state)?;
        self.state = Arc::new(state);
        Ok(())
    }

    /// Refuses when others changed a table that the transaction has rows for.
    fn check_shapes(
        &self,
        before: &State,
        moved: &BTreeMap<Place, ChunkId>,
    ) -> Result<(), EngineError> {
        for key in self.written() {
            let (Some(made_for), Some(now)) = (before.table(key), self.state.table(key)) else {
                continue;
            };
            if !same_shape(made_for, now) {
                return Err(EngineError::Overtaken(now.name.clone()));
            }
        }
        self.check_own_chunks(before, moved)
    }

    /// The tables that it has rows for.
    fn written(&self) -> BTreeSet<TableKey> {
        let rows = self.rows.iter().map(|(place, _)| place.table_key());
        let changes = self.changes.iter().filter_map(|change| match change {
            Change::ReplaceParts {
                database, table, ..
            } => Some(TableKey::new(*database, *table)),
            _ => None,
        });
        rows.chain(changes).collect()
    }

    /// Chunks that others made meanwhile take the place of the transaction's own: their new numbers.
    fn settle(&mut self, snapshot: &State) -> Result<BTreeMap<Place, ChunkId>, EngineError> {
        let mut record = Record {
            changes: self.changes.clone(),
            ..Record::default()
        };
        let engine = &self.engine;
        let settled = settle_chunks(snapshot, &mut record, || engine.allocate_oid())?;
        if settled.moved.is_empty() {
            return Ok(settled.moved);
        }
        self.changes = record.changes;
        let moved = |place: Place| match settled.moved.get(&place) {
            Some(chunk) => place.table_key().place(*chunk),
            None => place,
        };
        let move_rows = |rows: &mut Rows| {
            for (place, _) in rows {
                *place = moved(*place);
            }
        };
        let move_claims = |claims: &mut Claims| {
            for claim in claims {
                if settled.moved.contains_key(&claim.place) {
                    let claim = Arc::make_mut(claim);
                    claim.place = moved(claim.place);
                    // Its parts are others than those that were looked into.
                    claim.parts.clear();
                }
            }
        };
        let move_deletions = |deletions: &mut Vec<Arc<Deletion>>| {
            for deletion in deletions {
                if settled.moved.contains_key(&deletion.place) {
                    let deletion = Arc::make_mut(deletion);
                    deletion.place = moved(deletion.place);
                }
            }
        };
        move_rows(&mut self.rows);
        move_claims(&mut self.claims);
        move_deletions(&mut self.deletions);
        for savepoint in &mut self.savepoints {
            let count = savepoint.point.changes;
            let gone = settled.gone.iter().filter(|index| **index < count).count();
            savepoint.point.changes -= gone;
            if let Some(before) = &mut savepoint.before {
                let before = Arc::make_mut(before);
                move_rows(&mut before.rows);
                move_claims(&mut before.claims);
                move_deletions(&mut before.deletions);
            }
        }
        self.rebuild_own()?;
        Ok(settled.moved)
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

    /// Changes what exists. Rows follow: those of a dropped chunk go, also the transaction's own,
    /// and those of a changed table get its columns. A column that is to take no NULL, and a key
    /// that is to be unique, are held against all rows that are there. Stores of continuous
    /// aggregates follow when rows of their source go.
    ///
    /// # Errors
    /// When the change does not fit, or rows do not fit it (23502, 23505).
    pub fn change(&mut self, change: Change) -> Result<(), EngineError> {
        if matches!(
            change,
            Change::AddChunk { .. }
                | Change::ReplaceParts { .. }
                | Change::Invalidate { .. }
                | Change::Revalidate { .. }
                | Change::Freeze { .. }
        ) {
            return self.apply(change);
        }
        // Stores get something of rows as they were given, whatever becomes of them.
        self.derive()?;
        let (Change::Truncate { table, .. }
        | Change::DropChunk { table, .. }
        | Change::DetachChunk { table, .. }) = &change
        else {
            return self.apply(change);
        };
        let key = TableKey::new(self.database, *table);
        if !self.stores.contains_key(table) && self.state.rollup(key).is_none() {
            return self.apply(change);
        }
        self.whole(|this| {
            let before = Arc::clone(&this.state);
            this.apply(change.clone())?;
            this.follow(&before, &change)
        })
    }

    fn apply(&mut self, change: Change) -> Result<(), EngineError> {
        let mut next = State::clone(&self.state);
        let parts = Parts::Now(&self.engine.platform.disk, &self.loaded);
        next.change(&change, parts, &mut Vec::new())?;
        let refitted = self.refitted(&next, &change)?;
        let mut checked = Vec::new();
        for (key, rule) in rules(&self.state, &change) {
            let own = match &refitted {
                Some(refitted) => own_of(&refitted.rows)?,
                None => self.own.clone(),
            };
            next.check_rule(key, &own, &rule)?;
            let print = self.snapshot.print(key);
            checked.push(Checked { key, rule, print });
        }
        self.state = Arc::new(next);
        self.changes.push(change);
        self.checked.append(&mut checked);
        if let Some(refitted) = refitted {
            self.derived = refitted.derived;
            let before = Before {
                derived: 0,
                rows: std::mem::replace(&mut self.rows, refitted.rows),
                claims: std::mem::replace(&mut self.claims, refitted.claims),
                deletions: std::mem::replace(&mut self.deletions, refitted.deletions),
            };
            let before = Arc::new(before);
            for savepoint in &mut self.savepoints {
                savepoint.before.get_or_insert_with(|| Arc::clone(&before));
            }
            self.rebuild_own()?;
        }
        Ok(())
    }

    /// The transaction's own rows and claims after a change; None where they stay as they are.
    fn refitted(&self, next: &State, change: &Change) -> Result<Option<Before>, EngineError> {
        let gone = |place: Place| match change {
            Change::Truncate { database, table } => {
                place.table_key() == TableKey::new(*database, *table)
            }
            _ => {
                let table = next.table(place.table_key());
                !table.is_some_and(|table| table.chunks.contains_key(&place.chunk))
            }
        };
        let same = |place: Place| {
            let (now, then) = (place.table_key(), place.table_key());
            match (self.state.table(then), next.table(now)) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new) || same_shape(old, new),
                _ => false,
            }
        };
        let mut places = self.own.keys().copied();
        let deletions = self.deletions.iter();
        let mut kept = Before {
            rows: Rows::new(),
            claims: Claims::new(),
            deletions: deletions
                .filter(|known| !gone(known.place))
                .cloned()
                .collect(),
            derived: 0,
        };
        let same_deletions = kept.deletions.len() == self.deletions.len();
        if same_deletions && !places.any(|place| gone(place) || !same(place)) {
            return Ok(None);
        }
        for claim in &self.claims {
            if !gone(claim.place) && same(claim.place) {
                kept.claims.push(Arc::clone(claim));
            }
        }
        for (index, (place, batch)) in self.rows.iter().enumerate() {
            if index == self.derived {
                kept.derived = kept.rows.len();
            }
            let key = place.table_key();
            let (Some(old), Some(new)) = (self.state.table(key), next.table(key)) else {
                continue;
            };
            if gone(*place) {
                continue;
            }
            if same(*place) {
                kept.rows.push((*place, batch.clone()));
                continue;
            }
            let layout = layout_of(new);
            let batch = fit(old, new, &layout, batch)?;
            let claims = Claim::of(new, &layout, *place, &batch, &[])?;
            kept.claims.extend(claims.into_iter().map(Arc::new));
            kept.rows.push((*place, batch));
        }
        if self.derived >= self.rows.len() {
            kept.derived = kept.rows.len();
        }
        Ok(Some(kept))
    }

    /// Takes away all rows of a table; a hypertable's chunks go with them.
    ///
    /// # Errors
    /// 42P01 for a table that is not there.
    pub fn truncate(&mut self, table: TableId) -> Result<(), EngineError> {
        self.change(Change::Truncate {
            database: self.database,
            table,
        })?;
        let key = TableKey::new(self.database, table);
        match self.state.rollup(key) {
            // Its source still has what it was computed from.
            Some(_) => self.mark(table, i64::MIN..i64::MAX),
            None => Ok(()),
        }
    }

    fn found(&self, table: TableId) -> Result<Arc<Table>, EngineError> {
        let found = self.state.catalog.table(self.database, table).cloned();
        found.ok_or_else(|| CatalogError::NoRelation(table.to_string()).into())
    }

    /// Adds rows; `batch` has the table's columns in their order and physical types.
    ///
    /// # Errors
    /// 23502, 23505, and 42P01 for a table that is not there.
    pub fn insert(&mut self, table: TableId, batch: &RecordBatch) -> Result<u64, EngineError> {
        let table = self.found(table)?;
        let layout = layout_for(&table);
        let batch = route::fitting(&table, &layout, batch)?;
        let point = self.point();
        let inserted = route::split(&table, &layout, &batch)?
            .into_iter()
            .try_for_each(|(range, rows)| self.insert_into(&table, range, rows));
        if let Err(error) = inserted {
            // A statement is whole or not at all.
            self.undo_to(point)?;
            return Err(error);
        }
        Ok(batch.num_rows() as u64)
    }

    /// Begins a load: more rows for a table than memory is for.
    ///
    /// # Errors
    /// 42P01 for a table that is not there.
    pub fn loader(&self, table: TableId) -> Result<BulkLoader, EngineError> {
        let table = self.found(table)?;
        let (engine, catalog) = (Arc::clone(&self.engine), self.catalog());
        Ok(BulkLoader::new(engine, self.database, catalog, table))
    }

    /// Begins to take a statement's rows, be they few or many.
    ///
    /// # Errors
    /// 42P01 for a table that is not there.
    pub fn intake(&self, table: TableId) -> Result<Intake, EngineError> {
        let table = self.found(table)?;
        let (engine, catalog) = (Arc::clone(&self.engine), self.catalog());
        Ok(Intake::new(engine, self.database, catalog, table))
    }

    /// Adds parts to the chunk of a range; they were packed for `made_for`, and are all there is
    /// of a load for that chunk.
    pub(crate) fn add_parts(
        &mut self,
        made_for: &Arc<Table>,
        range: &Range<i64>,
        parts: Vec<(Part, Arc<OpenPart>)>,
    ) -> Result<(), EngineError> {
        let overtaken = || EngineError::Overtaken(made_for.name.clone());
        let table = self.found(made_for.id)?;
        if !same_shape(&table, made_for) {
            return Err(overtaken());
        }
        let place = self.place(&table, range.clone())?;
        let table = self.found(table.id)?;
        let chunk = table.chunks.get(&place.chunk);
        if chunk.is_none_or(|at| at.range.start > range.start || at.range.end < range.end) {
            // Cut by another width meanwhile: not all rows lie within it.
            return Err(overtaken());
        }
        // Rows that are there already arrived before these, and are to be read before them.
        self.engine.flush_hot(place)?;
        let own = self.own_part(&table, place)?;
        let parts: Vec<(Part, Arc<OpenPart>)> = own.into_iter().chain(parts).collect();
        let fresh: Vec<Arc<OpenPart>> = parts.iter().map(|(_, open)| Arc::clone(open)).collect();
        let claim = self.hold_load(&table, place, range, fresh)?;
        let mut added = Vec::with_capacity(parts.len());
        for (part, open) in parts {
            self.loaded.insert(part.id, open);
            added.push(Arc::new(part));
        }
        self.change(Change::ReplaceParts {
            database: self.database,
            table: table.id,
            chunk: place.chunk,
            removed: Vec::new(),
            added,
            compressed: None,
        })?;
        self.loads.push(Arc::new(claim));
        Ok(())
    }

    /// Holds the keys of fresh parts against all that is there now, and waits for who is about to take
    /// a row with one of them away.
    fn hold_load(
        &mut self,
        table: &Arc<Table>,
        place: Place,
        range: &Range<i64>,
        fresh: Vec<Arc<OpenPart>>,
    ) -> Result<LoadClaim, EngineError> {
        let key = place.table_key();
        for _ in 0..SETTLED_MAX {
            let looked = self.engine.state();
            let mut claim = LoadClaim::new(Arc::clone(table), key, range.start, fresh.clone());
            let Some(clash) = self.clash(table, place, &mut claim)? else {
                return Ok(claim);
            };
            let found = self.settled(key, clash.constraint, &clash.row, &[0])?;
            if !self.may_have_changed(found, &looked) {
                return Err(clash.error);
            }
        }
        Err(EngineError::Overtaken(table.name.clone()))
    }

    fn clash(
        &self,
        table: &Arc<Table>,
        place: Place,
        claim: &mut LoadClaim,
    ) -> Result<Option<Clash>, EngineError> {
        let key = place.table_key();
        let latest = self.latest()?;
        let same = latest.table(key).is_some_and(|now| same_shape(now, table));
        // The latest rows, whatever the snapshot, unless the transaction takes them away.
        let state = match same && !self.removes_rows(key) {
            true => &latest,
            false => &self.state,
        };
        // Of its own state the rest may be there twice: merged since, and as it was.
        let table_now = self.state.table(key);
        let chunk = table_now.and_then(|table| table.chunks.get(&place.chunk));
        let parts = chunk.iter().flat_map(|chunk| &chunk.parts);
        let own_parts = parts.filter(|part| self.loaded.contains_key(&part.id));
        let own_parts = own_parts.filter_map(|part| Some((part.id, self.state.cold(key, part)?)));
        claim.hold(state, own_parts, self.own.get(&place))
    }

    fn insert_into(
        &mut self,
        table: &Arc<Table>,
        range: Range<i64>,
        rows: RecordBatch,
    ) -> Result<(), EngineError> {
        let place = self.place(table, range)?;
        let table = self.found(table.id)?;
        let layout = layout_for(&table);
        for mut claim in Claim::of(&table, &layout, place, &rows, &[])? {
            let own = self.own_keys.entry((place, claim.constraint)).or_default();
            let mut fresh = HashSet::with_capacity(claim.keys.len());
            for (index, key) in claim.keys.iter().enumerate() {
                if own.contains(key) || !fresh.insert(key.clone()) {
                    return Err(claim.refuse(index));
                }
            }
            own.extend(fresh);
            let mut tries = 0;
            loop {
                let mark = self.lock_keys(&claim)?;
                let looked = self.engine.state();
                let Err(error) = self.hold(&mut claim) else {
                    break;
                };
                // Others need not wait for what this transaction does not have.
                self.locker().release_to(mark);
                tries += 1;
                if !matches!(error, EngineError::Unique { .. }) || tries > SETTLED_MAX {
                    return Err(error);
                }
                let key = place.table_key();
                let found = self.settled(key, claim.constraint, &claim.rows, &claim.key_rows)?;
                if !self.may_have_changed(found, &looked) {
                    return Err(error);
                }
            }
            self.claims.push(Arc::new(claim));
        }
        self.own.entry(place).or_default().append(rows.clone())?;
        self.rows.push((place, rows));
        Ok(())
    }

    /// Holds a claim against all that is there now; the commit holds it against what came since.
    fn hold(&self, claim: &mut Claim) -> Result<(), EngineError> {
        let place = claim.place;
        let key = place.table_key();
        let latest = self.latest()?;
        let parts = |state: &State| -> Vec<PartId> {
            let chunk = state
                .table(key)
                .and_then(|table| table.chunks.get(&place.chunk));
            let parts = chunk.map(|chunk| chunk.parts.iter().map(|part| part.id));
            parts.into_iter().flatten().collect()
        };
        if latest
            .table(key)
            .is_some_and(|now| same_shape(now, &claim.table))
            && !self.removes_rows(key)
        {
            // The latest rows, whatever the snapshot: what they have cannot be had twice.
            self.engine.check_claim(&latest, claim, place)?;
            claim.parts = parts(&latest);
            let loaded = parts(&self.state);
            if loaded.iter().any(|part| !claim.parts.contains(part)) {
                self.engine.check_cold(&self.state, claim, place)?;
                claim.parts.extend(loaded);
            }
            return Ok(());
        }
        route::check_hot(&mut KeyCache::default(), &self.state, claim, place)?;
        self.engine.check_cold(&self.state, claim, place)?;
        claim.parts = parts(&self.state);
        Ok(())
    }

    /// Whether its own changes take rows of a table away.
    fn removes_rows(&self, key: TableKey) -> bool {
        self.changes.iter().any(|change| match change {
            Change::Truncate { database, table }
            | Change::DropChunk {
                database, table, ..
            }
            | Change::DetachChunk {
                database, table, ..
            } => key == TableKey::new(*database, *table),
            _ => false,
        })
    }

    /// The chunk of a range, made when it is not there.
    fn place(&mut self, table: &Arc<Table>, range: Range<i64>) -> Result<Place, EngineError> {
        let key = TableKey::new(self.database, table.id);
        if table.hypertable.is_none() {
            return Ok(key.place(Table::PLAIN_CHUNK));
        }
        let now = self.state.table(key);
        if let Some(chunk) = now.and_then(|table| table.chunk_at(range.start)) {
            return Ok(key.place(chunk.id));
        }
        let database = self.state.catalog.databases.get(&self.database);
        let chunk = ChunkId(database.map_or(1, |database| database.next_chunk));
        self.change(Change::AddChunk {
            database: self.database,
            table: table.id,
            chunk,
            oid: self.engine.allocate_oid(),
            range,
            created_us: self.engine.platform.clock.wall_us(),
        })?;
        Ok(key.place(chunk))
    }

    /// Marks a point to come back to.
    pub fn savepoint(&mut self, name: &str) {
        self.join_deletions();
        let locks = Some(self.locker().mark());
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            point: self.point(),
            locks,
            before: None,
        });
    }

    fn find_savepoint(&self, name: &str) -> Result<usize, EngineError> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| EngineError::NoSavepoint(name.to_owned()))
    }

    /// Forgets a point, keeping what was done since.
    ///
    /// # Errors
    /// 3B001
    pub fn release(&mut self, name: &str) -> Result<(), EngineError> {
        let place = self.find_savepoint(name)?;
        self.savepoints.truncate(place);
        Ok(())
    }

    /// Undoes what was done since a point, which stays.
    ///
    /// # Errors
    /// 3B001
    pub fn rollback_to(&mut self, name: &str) -> Result<(), EngineError> {
        let place = self.find_savepoint(name)?;
        self.savepoints.truncate(place + 1);
        let Some(savepoint) = self.savepoints.get_mut(place) else {
            return Err(EngineError::NoSavepoint(name.to_owned()));
        };
        let (before, point) = (savepoint.before.take(), savepoint.point);
        if let Some(locks) = savepoint.locks {
            self.locker().release_to(locks);
        }
        self.restore(before);
        self.undo_to(point)
    }

    /// Takes back rows and claims of which a change had made others.
    fn restore(&mut self, before: Option<Arc<Before>>) {
        if let Some(before) = before {
            let before = Arc::unwrap_or_clone(before);
            self.rows = before.rows;
            self.claims = before.claims;
            self.deletions = before.deletions;
        }
    }

    pub(crate) fn point(&self) -> Point {
        Point {
            changes: self.changes.len(),
            rows: self.rows.len(),
            claims: self.claims.len(),
            checked: self.checked.len(),
            loads: self.loads.len(),
            derived: self.derived,
            truncated: self.truncated.len(),
            rewrites: self.rewrites.len(),
            watches: self.watches.len(),
            deletions: self.deletions.len(),
        }
    }

    pub(crate) fn undo_to(&mut self, point: Point) -> Result<(), EngineError> {
        self.rows.truncate(point.rows);
        self.claims.truncate(point.claims);
        self.checked.truncate(point.checked);
        self.loads.truncate(point.loads);
        self.derived = point.derived;
        self.truncated.truncate(point.truncated);
        self.rewrites.truncate(point.rewrites);
        self.watches.truncate(point.watches);
        if point.changes != self.changes.len() || point.deletions != self.deletions.len() {
            self.changes.truncate(point.changes);
            self.deletions.truncate(point.deletions);
            self.reapply()?;
        }
        self.forget_loaded();
        self.rebuild_own()
    }

    /// Files of parts that no change names any more go.
    fn forget_loaded(&mut self) {
        let changes = &self.changes;
        self.loaded.retain(|id, _| {
            changes.iter().any(|change| match change {
                Change::ReplaceParts { added, .. } => added.iter().any(|part| part.id == *id),
                _ => false,
            })
        });
    }

    /// What is read of the transaction's own rows, made anew from them.
    fn rebuild_own(&mut self) -> Result<(), EngineError> {
        self.own = own_of(&self.rows)?;
        self.own_keys.clear();
        if self.delete_own() {
            return self.count_own_keys();
        }
        for claim in &self.claims {
            let keys = self
                .own_keys
                .entry((claim.place, claim.constraint))
                .or_default();
            keys.extend(claim.keys.iter().cloned());
        }
        Ok(())
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

    fn commit_here(mut self) -> Result<Lsn, EngineError> {
        self.derive()?;
        self.tell_sequences();
        if self.changes.is_empty() && self.rows.is_empty() && self.deletions.is_empty() {
            return Ok(Lsn(self.engine.durable.load(Ordering::Acquire)));
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
            let live = self.own.get(&place).map_or(&[][..], HotPart::batches);
            let live = live.iter().filter(|batch| batch.num_rows() > 0);
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
        };
        let lsn = self
            .engine
            .commit(&Pending::new(work), self.locker.as_deref())?;
        // The transaction is safe: that there was no room to tidy up is no failure of it.
        if let Err(error) = self.engine.after_commit(self.locker.as_deref()) {
            tracing::error!(%error, "could not flush or checkpoint after a commit");
        }
        Ok(lsn)
    }
}

/// Rows as they are read.
fn own_of(rows: &[(Place, RecordBatch)]) -> Result<BTreeMap<Place, HotPart>, EngineError> {
    let mut own: BTreeMap<Place, HotPart> = BTreeMap::new();
    for (place, batch) in rows {
        own.entry(*place).or_default().append(batch.clone())?;
    }
    Ok(own)
}
