//! Keys that are unique by more than columns: of expressions, of some rows only, NULLs alike, over
//! all chunks of a hypertable, or only when a statement or transaction ends. A statement's keys are
//! noted while it runs, and looked up when all its rows are in ([`super::sought`]); and again at
//! the commit, where others have changed the table since.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::{RowConverter, SortField};
use chronolith_catalog::{ConstraintMarks, Index, Table};
use chronolith_chunk::{ChunkError, KeyEncoder, RowSet, ScanRequest, hash};
use chronolith_engine::{EngineError, Met, Refused, TableView, Transaction};
use chronolith_types::{IndexId, SqlState, SqlType, TimeZone};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use parking_lot::Mutex;

use super::checks::{columns_of, props_of};
use super::sought::KnownKeys;
use crate::bind::bind_over;
use crate::error::Error;
use crate::evaluate::computable;
use crate::routines::{hold_later, is_deferred};
use crate::session::{SessionNames, Shared};
use crate::value::write_text;

/// The keys of a table that its chunks do not keep by themselves.
#[derive(Debug)]
pub(crate) struct Uniques(Vec<Noting>);

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
    pub(super) table: Arc<Table>,
    schema: String,
    /// The constraint that it is, and when that is held.
    constraint: Option<(u32, ConstraintMarks)>,
    /// The key as it was declared, and its types.
    texts: Vec<String>,
    types: Vec<SqlType>,
    /// Places of the columns that it is computed from.
    pub(super) places: Vec<usize>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
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
        let mut kept = table
            .indexes
            .iter()
            .filter(|index| is_kept(table, index))
            .peekable();
        if kept.peek().is_none() {
            return Ok(None);
        }
        let (version, search_path) = (shared.catalog().version, shared.search_path());
        let bound = shared.with(|state| {
            let bound = state.uniques.get(&table.id)?;
            let same = bound.version == version && bound.search_path == search_path;
            same.then(|| bound.all.clone())
        });
        let all = match bound {
            Some(all) => all,
            None => {
                let table = Arc::new(table.clone());
                let all = kept.map(|index| Ok(Arc::new(Unique::of(shared, &table, index)?)));
                let all = all.collect::<Result<Vec<_>, Error>>()?;
                let bound = BoundUniques {
                    version,
                    search_path,
                    all: all.clone(),
                };
                shared.with(|state| {
                    const TABLES_MAX: usize = 64;
                    if state.uniques.len() >= TABLES_MAX {
                        state.uniques.clear();
                    }
                    state.uniques.insert(table.id, bound);
                });
                all
            }
        };
        let noting = all.into_iter().map(|unique| Noting::new(shared, unique));
        Ok(Some(Self(noting.collect())))
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
        Ok(Self(vec![Noting::new(shared, unique)]))
    }

    /// Those that say which rows conflict: keys of chunks do so by themselves.
    pub(crate) fn arbiters(&self) -> impl Iterator<Item = &Arc<Unique>> {
        let all = self.0.iter().map(|noting| &noting.unique);
        all.filter(|unique| match &unique.constraint {
            Some((_, marks)) => marks.nulls_alike && !marks.deferrable,
            None => true,
        })
    }

    /// Takes note of new rows.
    ///
    /// # Errors
    /// 23505 for keys that are there twice.
    pub(crate) fn note(&self, batch: &RecordBatch) -> Result<(), Error> {
        for noting in &self.0 {
            let unique = &noting.unique;
            let mut noted = noting.noted.lock();
            let mut twice = None;
            unique.each(&batch.project(&unique.places)?, |_, key, shown| {
                if noted.insert(key.to_vec(), shown()).is_some() && twice.is_none() {
                    twice = Some(shown());
                }
                true
            })?;
            if let Some(shown) = twice.filter(|_| !noting.deferred) {
                return Err(unique.refused(&shown).into());
            }
        }
        Ok(())
    }

    /// All rows are in: looks for others with the same keys, now or when the transaction ends.
    ///
    /// # Errors
    /// 23505
    pub(crate) fn settle(&self, shared: &Shared) -> Result<(), Error> {
        for noting in &self.0 {
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
        Ok(())
    }

    /// Holds the keys against all rows that are there.
    ///
    /// # Errors
    /// 23505
    pub(crate) fn hold_all(&self, shared: &Shared) -> Result<(), Error> {
        for noting in &self.0 {
            let unique = &noting.unique;
            let id = unique.table.id;
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
        Ok(())
    }
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
        let id = self.table.id;
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
        let names = SessionNames::new(shared)?;
        let columns = columns_of(table);
        let mut texts = Vec::new();
        let mut typed = Vec::new();
        let constraint = table.constraints.iter().find(|of| of.name == index.name);
        let own = constraint.and_then(|of| of.kind.unique_columns());
        let keys: Vec<String> = match own {
            // An index may have been made before a column of it was renamed.
            Some(columns) => columns
                .iter()
                .filter_map(|id| table.column(*id))
                .map(|column| chronolith_sql::quoted(&column.name))
                .collect(),
            None => {
                let keys = index.keys.iter();
                keys.map(|key| crate::catalogs::key_of_index(table, key))
                    .collect()
            }
        };
        for text in keys {
            let tree = chronolith_sql::expression(&text)?;
            typed.push(bind_over(&names, &tree, &table.name, &columns)?);
            let bare = text
                .strip_prefix('(')
                .and_then(|text| text.strip_suffix(')'));
            texts.push(bare.map_or(text.clone(), str::to_owned));
        }
        let predicate = match &index.predicate {
            Some(text) => {
                let tree = chronolith_sql::expression(text)?;
                Some(bind_over(&names, &tree, &table.name, &columns)?.expr)
            }
            None => None,
        };
        let mut places: Vec<usize> = Vec::new();
        let all = typed.iter().map(|typed| &typed.expr).chain(&predicate);
        for name in all.flat_map(|expr| expr.column_refs()) {
            if let Some((place, _)) = table.column_named(&name.name)
                && !places.contains(&place)
            {
                places.push(place);
            }
        }
        places.sort_unstable();
        let layout = chronolith_engine::layout_for(table);
        let schema = DFSchema::try_from(layout.projected(&places).as_ref().clone())?;
        let props = props_of(shared.vars());
        let physical = |expr: &Expr| computable(expr, &schema, &props);
        let exprs = typed.iter().map(|typed| physical(&typed.expr));
        let exprs = exprs.collect::<Result<Vec<_>, DataFusionError>>()?;
        let forms: Vec<_> = typed.iter().map(|typed| typed.arrow.clone()).collect();
        let home = shared.home()?;
        let encoder = match index.nulls_alike {
            true => {
                let fields = forms.into_iter().map(SortField::new).collect();
                Encoder::Alike(RowConverter::new(fields)?)
            }
            false => Encoder::Apart(KeyEncoder::of_types(&forms)?),
        };
        let found = home.schemas.get(&table.schema);
        let print = {
            let mut hasher = DefaultHasher::new();
            (shared.database.0, table.id.0, index.nulls_alike).hash(&mut hasher);
            format!("{:?} {exprs:?} {predicate:?} {places:?}", index.predicate).hash(&mut hasher);
            layout.schema().hash(&mut hasher);
            hasher.finish()
        };
        Ok(Self {
            constraint: constraint.map(|of| (of.id, of.marks)),
            print,
            known: Arc::clone(&shared.instance.known_keys),
            index: index.id,
            name: index.name.clone(),
            table: Arc::clone(table),
            schema: found.map_or_else(String::new, |schema| schema.name.clone()),
            texts,
            types: typed.iter().map(|typed| typed.ty.clone()).collect(),
            predicate: predicate.as_ref().map(physical).transpose()?,
            places,
            exprs,
            encoder,
        })
    }

    /// Calls `take` with each row that has a key, the key and what shows it; until it has enough.
    pub(super) fn each(
        &self,
        batch: &RecordBatch,
        mut take: impl FnMut(usize, &[u8], &dyn Fn() -> String) -> bool,
    ) -> Result<bool, EngineError> {
        let lift = |error: DataFusionError| {
            let error = Error::from(error);
            EngineError::Refused(Box::new(Refused {
                sqlstate: error.code,
                message: error.message,
                detail: error.detail,
                ..Refused::default()
            }))
        };
        let mut places: Option<Vec<usize>> = None;
        let chosen = match &self.predicate {
            None => batch.clone(),
            Some(predicate) => {
                let rows = batch.num_rows();
                let answer = predicate.evaluate(batch).and_then(|of| of.into_array(rows));
                let answer = answer.map_err(lift)?;
                let keep = answer.as_boolean_opt().cloned();
                let keep = keep.unwrap_or_else(|| BooleanArray::from(vec![true; rows]));
                let kept = keep.iter().enumerate();
                places = Some(
                    kept.filter(|(_, keep)| *keep == Some(true))
                        .map(|(row, _)| row)
                        .collect(),
                );
                filter_record_batch(batch, &keep).map_err(ChunkError::from)?
            }
        };
        let rows = chosen.num_rows();
        let place = |row: usize| match &places {
            None => row,
            Some(places) => places.get(row).copied().unwrap_or(row),
        };
        let values = self
            .exprs
            .iter()
            .map(|expr| expr.evaluate(&chosen)?.into_array(rows));
        let values = values.collect::<Result<Vec<ArrayRef>, _>>().map_err(lift)?;
        match &self.encoder {
            Encoder::Apart(encoder) => {
                let keys = encoder.keys_of(&values)?;
                for row in 0..keys.len() {
                    if let Some(key) = keys.get(row)
                        && !take(place(row), key, &|| self.shown(&values, row))
                    {
                        return Ok(false);
                    }
                }
            }
            Encoder::Alike(converter) => {
                let keys = converter
                    .convert_columns(&values)
                    .map_err(ChunkError::from)?;
                for row in 0..keys.num_rows() {
                    if !take(place(row), keys.row(row).data(), &|| {
                        self.shown(&values, row)
                    }) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    /// `(lower(a), b)=(x, 1)`
    fn shown(&self, values: &[ArrayRef], row: usize) -> String {
        let mut texts = Vec::with_capacity(values.len());
        for (array, ty) in values.iter().zip(&self.types) {
            let mut text = Vec::new();
            if crate::value::is_null(array, row) {
                texts.push("null".to_owned());
                continue;
            }
            let written = write_text(array, row, ty, &TimeZone::default(), &mut text);
            texts.push(match written {
                Ok(()) => String::from_utf8_lossy(&text).into_owned(),
                Err(_) => "?".to_owned(),
            });
        }
        format!("({})=({})", self.texts.join(", "), texts.join(", "))
    }

    pub(super) fn scan(
        &self,
        view: &TableView,
        mut take: impl FnMut(usize, &[u8], &dyn Fn() -> String) -> bool,
    ) -> Result<(), EngineError> {
        let request = ScanRequest::all(self.places.clone());
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, &request) {
                let batch = batch?;
                let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
                let schema = view.layout.projected(&self.places);
                let batch =
                    RecordBatch::try_new_with_options(schema, batch.columns().to_vec(), &options);
                if !self.each(&batch.map_err(ChunkError::from)?, &mut take)? {
                    return Ok(());
                }
            }
        }
        Ok(())
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
            schema: Some(self.schema.clone()),
            table: Some(self.table.name.clone()),
            constraint: Some(self.name.clone()),
            ..Refused::default()
        }
    }
}
