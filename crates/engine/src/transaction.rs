//! A transaction: what it sees, and what it will have done.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, Change, Table};
use chronolith_chunk::HotPart;
use chronolith_types::{ChunkId, DatabaseId, Lsn, PartId, TableId};

use crate::commit::{Pending, settle_chunks};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::record::{Place, Record};
use crate::route::{self, Claim, Key};
use crate::state::{State, TableView, layout_of};

/// What a transaction sees of those that commit beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what was committed when it began.
    ReadCommitted,
    /// The whole transaction sees what was committed when it began.
    RepeatableRead,
}

/// An open transaction. Dropped without [`Transaction::commit`], it leaves no trace.
#[derive(Debug)]
pub struct Transaction {
    engine: Arc<Engine>,
    database: DatabaseId,
    isolation: Isolation,
    snapshot: Arc<State>,
    /// The snapshot's catalog with the transaction's own changes.
    catalog: Arc<Catalog>,
    changes: Vec<Change>,
    rows: Vec<(Place, RecordBatch)>,
    claims: Vec<Claim>,
    /// `rows` again, to read.
    own: BTreeMap<Place, HotPart>,
    own_keys: BTreeMap<(Place, u32), HashSet<Key>>,
    savepoints: Vec<Savepoint>,
}

#[derive(Debug, Clone)]
struct Savepoint {
    name: String,
    changes: usize,
    rows: usize,
    claims: usize,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Engine>, database: DatabaseId, isolation: Isolation) -> Self {
        let snapshot = engine.state();
        Self {
            catalog: Arc::clone(&snapshot.catalog),
            engine,
            database,
            isolation,
            snapshot,
            changes: Vec::new(),
            rows: Vec::new(),
            claims: Vec::new(),
            own: BTreeMap::new(),
            own_keys: BTreeMap::new(),
            savepoints: Vec::new(),
        }
    }

    /// A statement begins: at READ COMMITTED it sees what is committed now.
    ///
    /// # Errors
    /// When the transaction's own changes no longer fit what others did.
    pub fn begin_statement(&mut self) -> Result<(), EngineError> {
        if self.isolation == Isolation::RepeatableRead {
            return Ok(());
        }
        let snapshot = self.engine.state();
        if !self.changes.is_empty() && snapshot.catalog.version != self.snapshot.catalog.version {
            self.settle(&snapshot)?;
        }
        if !self.changes.is_empty() && snapshot.catalog.version != self.snapshot.catalog.version {
            let mut catalog = Catalog::clone(&snapshot.catalog);
            for change in &self.changes {
                catalog.apply(change)?;
            }
            self.catalog = Arc::new(catalog);
        } else if self.changes.is_empty() {
            self.catalog = Arc::clone(&snapshot.catalog);
        }
        self.snapshot = snapshot;
        Ok(())
    }

    /// Chunks that others made meanwhile take the place of the transaction's own.
    fn settle(&mut self, snapshot: &State) -> Result<(), EngineError> {
        let rows = std::mem::take(&mut self.rows);
        let mut record = Record {
            changes: std::mem::take(&mut self.changes),
            rows: rows
                .into_iter()
                .map(|(place, rows)| (place, vec![rows]))
                .collect(),
            flushed: Vec::new(),
        };
        let engine = &self.engine;
        let moved = settle_chunks(snapshot, &mut record, || engine.allocate_oid());
        // A savepoint counts changes: one that is no longer needed would shift them.
        for savepoint in &mut self.savepoints {
            savepoint.changes = savepoint.changes.min(record.changes.len());
        }
        self.changes = record.changes;
        let single = |(place, rows): (Place, Vec<RecordBatch>)| {
            rows.into_iter().map(move |rows| (place, rows))
        };
        self.rows = record.rows.into_iter().flat_map(single).collect();
        for claim in &mut self.claims {
            if let Some(chunk) = moved.get(&claim.place) {
                claim.place.chunk = *chunk;
                // Its parts are others than those that were looked into.
                claim.parts.clear();
            }
        }
        self.rebuild_own()
    }

    /// The database it is in.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }

    /// What exists, with the transaction's own changes.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// A table's rows, with the transaction's own.
    #[must_use]
    pub fn table(&self, table: TableId) -> Option<TableView> {
        self.snapshot
            .view(&self.catalog, self.database, table, &self.own)
    }

    /// A number for a new object.
    #[must_use]
    pub fn allocate_oid(&self) -> u32 {
        self.engine.allocate_oid()
    }

    /// Changes what exists.
    ///
    /// # Errors
    /// When the change does not fit.
    pub fn change(&mut self, change: Change) -> Result<(), EngineError> {
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.apply(&change)?;
        self.catalog = Arc::new(catalog);
        self.changes.push(change);
        Ok(())
    }

    /// Adds rows; `batch` has the table's columns in their order and physical types.
    ///
    /// # Errors
    /// 23502, 23505, and 42P01 for a table that is not there.
    pub fn insert(&mut self, table: TableId, batch: &RecordBatch) -> Result<u64, EngineError> {
        let found = self.catalog.table(self.database, table).map(Arc::clone);
        let table = found.ok_or_else(|| {
            EngineError::Catalog(chronolith_catalog::CatalogError::NoRelation(
                table.to_string(),
            ))
        })?;
        let layout = layout_of(&table);
        let types = |schema: &arrow::datatypes::Schema| -> Vec<arrow::datatypes::DataType> {
            schema
                .fields()
                .iter()
                .map(|field| field.data_type().clone())
                .collect()
        };
        if types(&batch.schema()) != types(layout.schema()) {
            return Err(EngineError::Columns(table.name.clone()));
        }
        let batch = batch
            .clone()
            .with_schema(Arc::clone(layout.schema()))
            .map_err(|_| EngineError::Columns(table.name.clone()))?;
        route::check_not_null(&table, &batch)?;
        let (changes, rows, claims) = (self.changes.len(), self.rows.len(), self.claims.len());
        let inserted = route::split(&table, &layout, &batch)?
            .into_iter()
            .try_for_each(|(range, rows)| self.insert_into(&table, range, rows));
        if let Err(error) = inserted {
            // A statement is whole or not at all.
            self.truncate(changes, rows, claims)?;
            return Err(error);
        }
        Ok(batch.num_rows() as u64)
    }

    fn insert_into(
        &mut self,
        table: &Arc<Table>,
        range: Range<i64>,
        rows: RecordBatch,
    ) -> Result<(), EngineError> {
        let place = self.place(table, range)?;
        let table = self
            .catalog
            .table(self.database, table.id)
            .map_or_else(|| Arc::clone(table), Arc::clone);
        let layout = layout_of(&table);
        let chunk = table.chunks.get(&place.chunk);
        let parts: Vec<PartId> = chunk
            .map(|chunk| chunk.parts.iter().map(|part| part.id).collect())
            .unwrap_or_default();
        for mut claim in Claim::of(&table, &layout, place, &rows, &parts)? {
            let own = self.own_keys.entry((place, claim.constraint)).or_default();
            let mut fresh = HashSet::with_capacity(claim.keys.len());
            for (index, key) in claim.keys.iter().enumerate() {
                if own.contains(key) || !fresh.insert(key.clone()) {
                    return Err(claim.refuse(index));
                }
            }
            own.extend(fresh);
            // Held against all that is there now; at commit only against what came since.
            let state = self.engine.state();
            claim.parts = Vec::new();
            self.engine.check_claim(&state, &claim, place)?;
            claim.parts = state
                .catalog
                .table(place.database, place.table)
                .and_then(|table| table.chunks.get(&place.chunk))
                .map(|chunk| chunk.parts.iter().map(|part| part.id).collect())
                .unwrap_or_default();
            self.claims.push(claim);
        }
        self.own.entry(place).or_default().append(rows.clone())?;
        self.rows.push((place, rows));
        Ok(())
    }

    /// The chunk of a range, made when it is not there.
    fn place(&mut self, table: &Arc<Table>, range: Range<i64>) -> Result<Place, EngineError> {
        let place = |chunk: ChunkId| Place {
            database: self.database,
            table: table.id,
            chunk,
        };
        if table.hypertable.is_none() {
            return Ok(place(Table::PLAIN_CHUNK));
        }
        let now = self.catalog.table(self.database, table.id);
        if let Some(chunk) = now.and_then(|table| table.chunk_at(range.start)) {
            return Ok(place(chunk.id));
        }
        let chunk = ChunkId(
            self.catalog
                .databases
                .get(&self.database)
                .map_or(1, |database| database.next_chunk),
        );
        let place = place(chunk);
        self.change(Change::AddChunk {
            database: self.database,
            table: table.id,
            chunk,
            oid: self.engine.allocate_oid(),
            range,
            created_us: self.engine.platform.clock.wall_us(),
        })?;
        Ok(place)
    }

    /// Marks a point to come back to.
    pub fn savepoint(&mut self, name: &str) {
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            changes: self.changes.len(),
            rows: self.rows.len(),
            claims: self.claims.len(),
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
        let Some(savepoint) = self.savepoints.get(place).cloned() else {
            return Err(EngineError::NoSavepoint(name.to_owned()));
        };
        self.savepoints.truncate(place + 1);
        self.truncate(savepoint.changes, savepoint.rows, savepoint.claims)
    }

    fn truncate(&mut self, changes: usize, rows: usize, claims: usize) -> Result<(), EngineError> {
        if changes != self.changes.len() {
            self.changes.truncate(changes);
            let mut catalog = Catalog::clone(&self.snapshot.catalog);
            for change in &self.changes {
                catalog.apply(change)?;
            }
            self.catalog = Arc::new(catalog);
        }
        self.rows.truncate(rows);
        self.claims.truncate(claims);
        self.rebuild_own()
    }

    /// What is read of the transaction's own rows, made anew from them.
    fn rebuild_own(&mut self) -> Result<(), EngineError> {
        self.own.clear();
        for (place, batch) in &self.rows {
            self.own.entry(*place).or_default().append(batch.clone())?;
        }
        self.own_keys.clear();
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
        if self.changes.is_empty() && self.rows.is_empty() {
            return Ok(self.engine.writer.lock().log.durable_lsn());
        }
        let mut rows: BTreeMap<Place, Vec<RecordBatch>> = BTreeMap::new();
        for (place, batch) in self.rows {
            rows.entry(place).or_default().push(batch);
        }
        let record = Record {
            changes: self.changes,
            rows: rows.into_iter().collect(),
            flushed: Vec::new(),
        };
        let lsn = self.engine.commit(&Pending::new(record, self.claims))?;
        // The transaction is safe: that there was no room to tidy up is no failure of it.
        if let Err(error) = self.engine.after_commit() {
            tracing::error!(%error, "could not flush or checkpoint after a commit");
        }
        Ok(lsn)
    }
}
