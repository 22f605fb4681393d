//! One row or none, of a table by its key or of no table, straight from the bound plan: planning takes
//! ten times as long as finding it.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use chronolith_chunk::Layout;
use chronolith_types::TableId;
use datafusion::common::ScalarValue;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, SkipType};

use super::SETTING;
use crate::error::Error;
use crate::evaluate::{Planned, has_query};
use crate::insert::is_volatile;
use crate::keyed::Key;
use crate::scan::ChunkTable;
use crate::session::Shared;
use crate::shape::above;

/// `SELECT expressions FROM table WHERE key = …`, or `SELECT expressions`.
#[derive(Debug)]
pub(crate) struct Point {
    row: Option<KeyedRow>,
    /// Of what is found.
    filter: Option<Expr>,
    exprs: Vec<Expr>,
    planned: Planned,
    schema: SchemaRef,
}

/// The row that has a key.
#[derive(Debug)]
struct KeyedRow {
    table: TableId,
    layout: Arc<Layout>,
    key: Key,
    /// The places of the columns that expressions name.
    columns: Vec<usize>,
    input: SchemaRef,
}

impl Point {
    /// None for any other plan; `table` knows the tables there are.
    pub(crate) fn of(
        plan: &LogicalPlan,
        table: impl FnOnce(TableId) -> Option<Arc<Table>>,
    ) -> Option<Self> {
        let is_leaf = |node: &LogicalPlan| {
            matches!(
                node,
                LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_)
            )
        };
        let found = above(unlimited(plan)?, &is_leaf)?;
        let all = || found.outputs.iter().chain(&found.filters);
        let may_differ = |expr: &Expr| has_query(expr) || is_volatile(expr).unwrap_or(true);
        if all().any(may_differ) {
            return None;
        }
        let mut filter = found.filters.iter().cloned().reduce(Expr::and);
        let row = match found.node {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => None,
            LogicalPlan::TableScan(scan) => {
                if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
                    return None;
                }
                let provider = source_as_provider(&scan.source).ok()?;
                let provider = provider.downcast_ref::<ChunkTable>()?;
                let table = table(provider.id())?;
                let layout = provider.layout();
                let place = |name: &str| layout.columns.iter().position(|of| of.name == name);
                let (key, rest) = Key::of(&table, filter.as_ref()?, place)?;
                filter = rest;
                let mut columns = Vec::new();
                let named = found.outputs.iter().chain(&filter);
                for name in named.flat_map(|expr| expr.column_refs()) {
                    // What a scan adds is no column of the table.
                    columns.push(place(&name.name)?);
                }
                if columns.is_empty() {
                    // Rows are cut from columns.
                    columns.push(0);
                }
                columns.sort_unstable();
                columns.dedup();
                let fields = columns
                    .iter()
                    .filter_map(|place| layout.schema().fields().get(*place));
                let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
                Some(KeyedRow {
                    table: table.id,
                    key,
                    input: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
                    columns,
                    layout: Arc::clone(layout),
                })
            }
            _ => return None,
        };
        Some(Self {
            row,
            filter,
            exprs: found.outputs,
            planned: Planned::default(),
            schema: Arc::clone(plan.schema().inner()),
        })
    }

    /// The rows; None where they are to be planned for after all, which is also for whoever tells of
    /// what an expression meets.
    ///
    /// # Errors
    /// What the disk gives, and what an expression of the key meets.
    pub(crate) fn rows(
        &self,
        shared: &Arc<Shared>,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>, Error> {
        if shared.with(|state| state.settings.get(SETTING) == Some("off")) {
            return Ok(None);
        }
        let nothing = Schema::empty();
        let input = self.row.as_ref().map_or(&nothing, |row| &*row.input);
        let (filter, exprs) = (self.filter.as_ref(), self.exprs.iter());
        let Some(formula) = self.planned.formula(input, filter, exprs, params) else {
            return Ok(None);
        };
        let vars = Arc::new(shared.vars());
        let (columns, rows) = match &self.row {
            None => (Vec::new(), 1),
            Some(row) => {
                let Some(view) = shared.table_seen(row.table) else {
                    return Ok(None);
                };
                if view.layout.schema() != row.layout.schema() {
                    return Ok(None);
                }
                let found = row.key.find(shared, || Arc::clone(&vars), params, &view)?;
                let Some(locator) = found else {
                    return Ok(Some(RecordBatch::new_empty(Arc::clone(&self.schema))));
                };
                let found = view.rows_at(&row.columns, &[locator])?;
                let columns = found.columns().iter().take(row.columns.len());
                (columns.cloned().collect(), found.num_rows())
            }
        };
        let Ok((columns, rows)) = formula.evaluate(&vars, columns, rows, params) else {
            return Ok(None);
        };
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options).ok())
    }
}

/// What is below a LIMIT that lets a row pass.
fn unlimited(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    let LogicalPlan::Limit(limit) = plan else {
        return Some(plan);
    };
    match (limit.get_skip_type(), limit.get_fetch_type()) {
        (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(1..)))) => Some(&limit.input),
        _ => None,
    }
}
