//! Keys that are unique by more than columns: of expressions, of some rows only, NULLs alike, over
//! all chunks of a hypertable, or only when a statement or transaction ends. A statement's keys are
//! noted while it runs, and looked up when all its rows are in ([`super::sought`]); and again at
//! the commit, where others have changed the table since.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use chronolith_catalog::{ConstraintMarks, Index, Table};
use chronolith_chunk::{ChunkError, KeyEncoder, RowSet, hash};
use chronolith_engine::{EngineError, Met, Refused, TableView, Transaction};
use chronolith_types::{IndexId, SqlState};
use parking_lot::Mutex;

use super::exclude::{Excluding, Exclusion};
use super::keyed::Keyed;
use super::sought::KnownKeys;
use crate::error::Error;
use crate::routines::{hold_later, is_deferred};
use crate::session::Shared;

/// The keys of a table that its chunks do not keep by themselves, and what it excludes.
#[derive(Debug)]
pub(crate) struct Uniques {
    keys: Vec<Noting>,
    exclusions: Vec<Excluding>,
}

/// One of them in a statement.
#[derive(Debug)]
struct Noting {
    unique: Arc<Unique>,
    /// It may be broken until the transaction ends.
    deferred: bool,
    /// Keys of the statement's rows, as messages show them.
    noted: Mutex<HashMap<Vec<u8>, String>>,
}

/// A key as it is computed of rows, and what it is of.
pub(crate) struct Unique {
    pub(super) index: IndexId,
    name: String,
    /// The constraint that it is, and when that is held.
    constraint: Option<(u32, ConstraintMarks)>,
    pub(super) keyed: Keyed,
    encoder: Encoder,
    /// What it is known by where its rows' keys are kept.
    pub(super) print: u64,
    pub(super) known: Arc<KnownKeys>,
}

/// Those of a table, as they were bound for the session last.
pub(crate) struct BoundUniques {
    version: u64,
    search_path: Arc<[String]>,
    all: Vec<Arc<Unique>>,
    exclusions: Vec<Arc<Exclusion>>,
}

enum Encoder {
    /// NULLs are never alike.
    Apart(KeyEncoder),
    Alike(RowConverter),
}

impl std::fmt::Debug for Unique {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unique")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Whether an index is kept here.
pub(crate) fn is_kept(table: &Table, index: &Index) -> bool {
    if !index.unique {
        return false;
    }
    let constraint = table.constraints.iter().find(|of| of.name == index.name);
    if constraint.is_some_and(|of| !of.is_kept_by_chunks()) {
        return true;
    }
    let columns = constraint.and_then(|of| of.kind.unique_columns());
    match (columns, &table.hypertable) {
        (None, _) => true,
        (Some(columns), Some(hypertable)) => !columns.contains(&hypertable.time),
        (Some(_), None) => false,
    }
}

impl Uniques {
    /// Those of a table; None when it has none.
    ///
    /// # Errors
    /// When an expression does not bind any more.
    pub(crate) fn of(shared: &Arc<Shared>, table: &Table) -> Result<Option<Self>, Error> {
        let kept = |index: &&Index| is_kept(table, index);
        if !table.indexes.iter().any(|index| kept(&index)) && table.exclusions().next().is_none() {
            return Ok(None);
        }
        let (version, search_path) = (shared.catalog().version, shared.search_path());
        let bound = shared.with(|state| {
            let bound = state.uniques.get(&table.id)?;
            let same = bound.version == version && bound.search_path == search_path;
            same.then(|| (bound.all.clone(), bound.exclusions.clone()))
        });
        let (all, exclusions) = match bound {
            Some(bound) => bound,
            None => {
                let own = Arc::new(table.clone());
                let all = table.indexes.iter().filter(kept);
                let all = all.map(|index| Ok(Arc::new(Unique::of(shared, &own, index)?)));
                let all = all.collect::<Result<Vec<_>, Error>>()?;
                let exclusions = exclusions_of(shared, &own)?;
                let bound = BoundUniques {
                    version,
                    search_path,
                    all: all.clone(),
                    exclusions: exclusions.clone(),
                };
                shared.with(|state| {
                    const TABLES_MAX: usize = 64;
                    if state.uniques.len() >= TABLES_MAX {
                        state.uniques.clear();
                    }
                    state.uniques.insert(table.id, bound);
                });
                (all, exclusions)
            }
        };
        let keys = all.into_iter().map(|unique| Noting::new(shared, unique));
        let exclusions = exclusions.into_iter();
        Ok(Some(Self {
            keys: keys.collect(),
            exclusions: exclusions.map(|of| Excluding::new(shared, of)).collect(),
        }))
    }

    /// The one of a new index.
    ///
    /// # Errors
    /// When an expression does not bind.
    pub(crate) fn of_one(
        shared: &Arc<Shared>,
        table: &Table,
        index: &Index,
    ) -> Result<Self, Error> {
        let table = Arc::new(table.clone());
        let unique = Arc::new(Unique::of(shared, &table, index)?);
        Ok(Self {
            keys: vec![Noting::new(shared, unique)],
            exclusions: Vec::new(),
        })
    }

    /// Those of rows of which some columns are set.
    pub(crate) fn of_set(mut self, sets: &[usize]) -> Self {
        self.exclusions.retain(|excluding| excluding.is_of(sets));
        self
    }

    /// Those that say which rows conflict: keys of chunks do so by themselves.
    pub(crate) fn arbiters(&self) -> impl Iterator<Item = &Arc<Unique>> {
        let all = self.keys.iter().map(|noting| &noting.unique);
        all.filter(|unique| match &unique.constraint {
            Some((_, marks)) => marks.nulls_alike && !marks.deferrable,
            None => true,
        })
    }

    /// The exclusions that say so.
    pub(crate) fn excluders(&self) -> impl Iterator<Item = &Arc<Exclusion>> {
        let all = self.exclusions.iter().map(|of| &of.exclusion);
        all.filter(|exclusion| exclusion.is_arbiter())
    }

    /// Takes note of new rows.
    ///
    /// # Errors
    /// 23505 for keys that are there twice; what an expression meets.
    pub(crate) fn note(&self, batch: &RecordBatch) -> Result<(), Error> {
        for noting in &self.keys {
            let unique = &noting.unique;
            let mut noted = noting.noted.lock();
            let mut twice = None;
            unique.each(&batch.project(&unique.keyed.places)?, |_, key, shown| {
                if noted.insert(key.to_vec(), shown()).is_some() && twice.is_none() {
                    twice = Some(shown());
                }
                true
            })?;
            if let Some(shown) = twice.filter(|_| !noting.deferred) {
                return Err(unique.refused(&shown).into());
            }
        }
        for excluding in &self.exclusions {
            excluding.note(batch)?;
        }
        Ok(())
    }

    /// All rows are in: looks for others with the same keys, now or when the transaction ends.
    ///
    /// # Errors
    /// 23505, 23P01
    pub(crate) fn settle(&self, shared: &Shared) -> Result<(), Error> {
        for noting in &self.keys {
            let noted = Arc::new(std::mem::take(&mut *noting.noted.lock()));
            if noted.is_empty() {
                continue;
            }
            let unique = Arc::clone(&noting.unique);
            let marks = unique.constraint;
            let hold = move |transaction: &mut Transaction| unique.hold(transaction, &noted);
            match marks {
                Some((id, marks)) if noting.deferred => {
                    hold_later(shared, id, marks, Arc::new(hold));
                }
                _ => shared.away(usize::MAX, hold)?,
            }
        }
        for excluding in &self.exclusions {
            excluding.settle(shared)?;
        }
        Ok(())
    }

    /// Holds the keys against all rows that are there.
    ///
    /// # Errors
    /// 23505
    pub(crate) fn hold_all(&self, shared: &Shared) -> Result<(), Error> {
        for noting in &self.keys {
            let unique = &noting.unique;
            let id = unique.keyed.table.id;
            let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(id)))?;
            if let Some(view) = view {
                unique.look_all(&view)?;
            }
            let unique = Arc::clone(unique);
            let hold = move |view: &TableView| unique.look_all(view);
            shared.transact(|transaction| {
                transaction.watch(id, true, Arc::new(hold));
                Ok::<_, Error>(())
            })?;
        }
        for excluding in &self.exclusions {
            excluding.exclusion.hold_all(shared)?;
        }
        Ok(())
    }
}

/// What a table excludes.
fn exclusions_of(shared: &Arc<Shared>, table: &Arc<Table>) -> Result<Vec<Arc<Exclusion>>, Error> {
    let all = table.exclusions();
    all.map(|(of, index)| Ok(Arc::new(Exclusion::of(shared, table, of, index)?)))
        .collect()
}

/// Holds an exclusion of a table against all rows that it has; all of them without a name.
///
/// # Errors
/// 23P01
pub(crate) fn hold_exclusions(
    shared: &Arc<Shared>,
    table: &Table,
    name: Option<&str>,
) -> Result<(), Error> {
    let table = Arc::new(table.clone());
    for (of, index) in table.exclusions() {
        if name.is_none_or(|name| name == of.name) {
            Exclusion::of(shared, &table, of, index)?.hold_all(shared)?;
        }
    }
    Ok(())
}

impl Noting {
    fn new(shared: &Shared, unique: Arc<Unique>) -> Self {
        let constraint = unique.constraint;
        Self {
            deferred: constraint.is_some_and(|(id, marks)| is_deferred(shared, id, marks)),
            unique,
            noted: Mutex::default(),
        }
    }
}

impl Unique {
    /// Looks for keys now, and has them looked for again at the commit. Waits for those who have
    /// claimed one before, and for those who are about to take one away.
    fn hold(
        self: &Arc<Self>,
        transaction: &mut Transaction,
        noted: &Arc<HashMap<Vec<u8>, String>>,
    ) -> Result<(), EngineError> {
        let id = self.keyed.table.id;
        let hashes = noted.keys().map(|key| hash(key)).collect();
        transaction.lock_computed(id, self.index, hashes)?;
        let shown = RefCell::new(None);
        let look = |view: &TableView| {
            let twice = self.twice(view, noted)?;
            Ok(twice.map(|(key, rows)| {
                shown.replace(Some(key));
                rows
            }))
        };
        let here = match transaction.table(id) {
            Some(view) => look(&view)?.is_some(),
            None => false,
        };
        if here || transaction.is_behind() {
            let met = match transaction.met_now(id, look)? {
                Met::Nothing => false,
                Met::Rows => true,
                Met::Unknown => here,
            };
            if let Some(shown) = shown.take().filter(|_| met) {
                return Err(self.refused(&shown));
            }
        }
        let (unique, noted) = (Arc::clone(self), Arc::clone(noted));
        let hold = move |view: &TableView| unique.look(view, &noted);
        transaction.watch(id, true, Arc::new(hold));
        Ok(())
    }

    fn of(shared: &Arc<Shared>, table: &Arc<Table>, index: &Index) -> Result<Self, Error> {
        let constraint = table.constraints.iter().find(|of| of.name == index.name);
        let keyed = Keyed::of(shared, table, index)?;
        let encoder = match index.nulls_alike {
            true => {
                let fields = keyed.forms.iter().cloned().map(SortField::new).collect();
                Encoder::Alike(RowConverter::new(fields)?)
            }
            false => Encoder::Apart(KeyEncoder::of_types(&keyed.forms)?),
        };
        let print = {
            let mut hasher = DefaultHasher::new();
            (shared.database.0, table.id.0, index.nulls_alike).hash(&mut hasher);
            (&index.predicate, keyed.print()).hash(&mut hasher);
            let layout = chronolith_engine::layout_for(table);
            layout.schema().hash(&mut hasher);
            hasher.finish()
        };
        Ok(Self {
            constraint: constraint.map(|of| (of.id, of.marks)),
            print,
            known: Arc::clone(&shared.instance.known_keys),
            index: index.id,
            name: index.name.clone(),
            keyed,
            encoder,
        })
    }

    /// Calls `take` with each row that has a key, the key and what shows it; until it has enough.
    pub(super) fn each(
        &self,
        batch: &RecordBatch,
        mut take: impl FnMut(usize, &[u8], &dyn Fn() -> String) -> bool,
    ) -> Result<bool, EngineError> {
        let values = self.keyed.values(batch)?;
        let shown = |row: usize| self.keyed.shown(&values.columns, row);
        match &self.encoder {
            Encoder::Apart(encoder) => {
                let keys = encoder.keys_of(&values.columns)?;
                for row in 0..keys.len() {
                    if let Some(key) = keys.get(row)
                        && !take(values.row(row), key, &|| shown(row))
                    {
                        return Ok(false);
                    }
                }
            }
            Encoder::Alike(converter) => {
                let keys = converter
                    .convert_columns(&values.columns)
                    .map_err(ChunkError::from)?;
                for row in 0..keys.num_rows() {
                    if !take(values.row(row), keys.row(row).data(), &|| shown(row)) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn scan(
        &self,
        view: &TableView,
        mut take: impl FnMut(usize, &[u8], &dyn Fn() -> String) -> bool,
    ) -> Result<(), EngineError> {
        self.keyed
            .scan(view, |batch, _| self.each(batch, &mut take))
    }

    /// 23505 for a key of the statement that more than one row has.
    fn look(&self, view: &TableView, noted: &HashMap<Vec<u8>, String>) -> Result<(), EngineError> {
        let twice = self.twice(view, noted)?;
        twice.map_or(Ok(()), |(shown, _)| Err(self.refused(&shown)))
    }

    /// The first key of the statement that more than one row has, and two of them.
    fn twice(
        &self,
        view: &TableView,
        noted: &HashMap<Vec<u8>, String>,
    ) -> Result<Option<(String, RowSet)>, EngineError> {
        let mut met: HashMap<Vec<u8>, i128> = HashMap::new();
        let mut twice = None;
        let keys = || noted.keys().map(Vec::as_slice);
        self.found(view, keys, |row, key| {
            if let Some(shown) = noted.get(key)
                && let Some(first) = met.insert(key.to_vec(), row)
            {
                let mut rows = RowSet::default();
                rows.insert(first);
                rows.insert(row);
                twice = Some((shown.clone(), rows));
            }
            twice.is_none()
        })?;
        Ok(twice)
    }

    /// 23505 for a key that more than one row has.
    fn look_all(&self, view: &TableView) -> Result<(), EngineError> {
        let mut met: std::collections::HashSet<Vec<u8>> = std::collections::HashSet::new();
        let mut twice = None;
        self.scan(view, |_, key, shown| {
            if !met.insert(key.to_vec()) {
                twice = Some(shown());
            }
            twice.is_none()
        })?;
        twice.map_or(Ok(()), |shown| {
            Err(EngineError::Refused(Box::new(Refused {
                message: format!("could not create unique index \"{}\"", self.name),
                detail: Some(format!("Key {shown} is duplicated.")),
                ..self.fields()
            })))
        })
    }

    fn refused(&self, shown: &str) -> EngineError {
        EngineError::Refused(Box::new(Refused {
            message: format!(
                "duplicate key value violates unique constraint \"{}\"",
                self.name
            ),
            detail: Some(format!("Key {shown} already exists.")),
            ..self.fields()
        }))
    }

    fn fields(&self) -> Refused {
        Refused {
            sqlstate: SqlState::UNIQUE_VIOLATION,
            schema: Some(self.keyed.schema.clone()),
            table: Some(self.keyed.table.name.clone()),
            constraint: Some(self.name.clone()),
            ..Refused::default()
        }
    }
}
