//! What an index computes of a table's rows, and of which of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Index, Table};
use chronolith_chunk::{ChunkError, ScanRequest};
use chronolith_engine::{EngineError, Refused, TableView};
use chronolith_types::{SqlType, TimeZone};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::checks::columns_of;
use crate::bind::{bind_over, deparse};
use crate::catalogs::describe::is_call;
use crate::error::Error;
use crate::evaluate::{computable, props_of};
use crate::session::{SessionNames, Shared};
use crate::value::write_text;

/// The keys of an index, bound.
pub(super) struct Keyed {
    pub(super) table: Arc<Table>,
    pub(super) schema: String,
    /// The keys as messages show them, and their types.
    texts: Vec<String>,
    pub(super) types: Vec<SqlType>,
    pub(super) forms: Vec<DataType>,
    /// Places of the columns that they are computed from.
    pub(super) places: Vec<usize>,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    predicate: Option<Arc<dyn PhysicalExpr>>,
}

/// The keys of some rows.
pub(super) struct Values {
    pub(super) columns: Vec<ArrayRef>,
    /// How many they are.
    pub(super) count: usize,
    /// Which rows they are of, where the index is not of all.
    rows: Option<Vec<usize>>,
}

impl Values {
    /// Those of some rows.
    pub(super) fn of(columns: Vec<ArrayRef>, rows: Vec<usize>) -> Self {
        Self {
            columns,
            count: rows.len(),
            rows: Some(rows),
        }
    }

    /// Which row the keys at some place are of.
    pub(super) fn row(&self, place: usize) -> usize {
        match &self.rows {
            None => place,
            Some(rows) => rows.get(place).copied().unwrap_or(place),
        }
    }
}

impl Keyed {
    pub(super) fn of(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        index: &Index,
    ) -> Result<Self, Error> {
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
            texts.push(match bare {
                None => text,
                Some(bare) => match deparse(&names, bare, &columns, None, true) {
                    Some(shown) if is_call(&shown) => shown,
                    Some(shown) => format!("({shown})"),
                    None => bare.to_owned(),
                },
            });
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
        let home = shared.home()?;
        let found = home.schemas.get(&table.schema);
        Ok(Self {
            table: Arc::clone(table),
            schema: found.map_or_else(String::new, |schema| schema.name.clone()),
            texts,
            types: typed.iter().map(|typed| typed.ty.clone()).collect(),
            forms: typed.iter().map(|typed| typed.arrow.clone()).collect(),
            predicate: predicate.as_ref().map(physical).transpose()?,
            places,
            exprs,
        })
    }

    /// What the keys of rows with some columns depend on.
    pub(super) fn print(&self) -> String {
        let Self {
            exprs,
            predicate,
            places,
            ..
        } = self;
        format!("{exprs:?} {predicate:?} {places:?}")
    }

    /// The keys of rows, which have the columns at [`Self::places`].
    pub(super) fn values(&self, batch: &RecordBatch) -> Result<Values, EngineError> {
        let mut rows: Option<Vec<usize>> = None;
        let chosen = match &self.predicate {
            None => batch.clone(),
            Some(predicate) => {
                let count = batch.num_rows();
                let answer = predicate.evaluate(batch);
                let answer = answer.and_then(|of| of.into_array(count)).map_err(lift)?;
                let keep = answer.as_boolean_opt().cloned();
                let keep = keep.unwrap_or_else(|| BooleanArray::from(vec![true; count]));
                let kept = keep.iter().enumerate();
                let kept = kept.filter(|(_, keep)| *keep == Some(true));
                rows = Some(kept.map(|(row, _)| row).collect());
                filter_record_batch(batch, &keep).map_err(ChunkError::from)?
            }
        };
        let count = chosen.num_rows();
        let columns = self
            .exprs
            .iter()
            .map(|expr| expr.evaluate(&chosen)?.into_array(count));
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>();
        Ok(Values {
            columns: columns.map_err(lift)?,
            count,
            rows,
        })
    }

    /// `(lower(a), b)=(x, 1)`
    pub(super) fn shown(&self, values: &[ArrayRef], row: usize) -> String {
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

    /// The column that a key is, as it is.
    pub(super) fn column_of(&self, key: usize) -> Option<usize> {
        let column = self.exprs.get(key)?.downcast_ref::<Column>()?;
        self.places.get(column.index()).copied()
    }

    /// Calls `take` with the rows of a view and their locators, a batch at a time.
    pub(super) fn scan(
        &self,
        view: &TableView,
        take: impl FnMut(&RecordBatch, &[i128]) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        self.scan_asked(view, ScanRequest::all(self.places.clone()), take)
    }

    /// The same of those rows alone that are asked for, and maybe others.
    pub(super) fn scan_asked(
        &self,
        view: &TableView,
        mut request: ScanRequest,
        mut take: impl FnMut(&RecordBatch, &[i128]) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        request.locators = true;
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, &request) {
                let batch = batch?;
                if !take(&self.bare(view, &batch)?, &locators(&batch))? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A batch's columns under the names of those that keys are computed from.
    pub(super) fn bare(
        &self,
        view: &TableView,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, EngineError> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let schema = view.layout.projected(&self.places);
        let columns = batch.columns().iter().take(self.places.len());
        let columns = columns.cloned().collect();
        let batch = RecordBatch::try_new_with_options(schema, columns, &options);
        Ok(batch.map_err(ChunkError::from)?)
    }
}

/// The locators in a batch's last column.
pub(super) fn locators(batch: &RecordBatch) -> Vec<i128> {
    let last = batch.columns().last();
    let known = last.and_then(|column| column.as_primitive_opt::<Decimal128Type>());
    known.map_or_else(Vec::new, |known| known.values().to_vec())
}

/// What an expression meets, as the engine tells it on.
pub(super) fn lift(error: DataFusionError) -> EngineError {
    let error = Error::from(error);
    EngineError::Refused(Box::new(Refused {
        sqlstate: error.code,
        message: error.message,
        detail: error.detail,
        ..Refused::default()
    }))
}
