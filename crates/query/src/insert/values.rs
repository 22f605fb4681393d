//! INSERT … VALUES without a planner: each cell is a constant, a parameter or a small expression.
//!
//! What can be prepared of a cell is prepared when the statement is bound: a prepared INSERT that
//! runs once a row must not plan its casts once a row.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use chronolith_types::SqlType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_expr::PhysicalExpr;

use crate::error::Error;
use crate::evaluate::{computable, has_query, props_of};
use crate::routines::is_routine;
use crate::session::Shared;

/// The rows of VALUES, as near to values as they come before parameters are known.
pub(crate) struct Cells {
    rows: Vec<Vec<Cell>>,
    /// One column for each parameter.
    params: DFSchema,
    /// Parameters that are not the client's, and differ from row to row: there is one row of cells
    /// for all of them.
    many: Option<RecordBatch>,
}

enum Cell {
    Value(ScalarValue),
    /// A parameter, as it was given.
    Param(usize),
    /// Of parameters and constants alone.
    Fixed(Arc<dyn PhysicalExpr>),
    /// It asks for the session or the time, and is planned each time.
    Each(Expr),
}

impl Cells {
    /// The cells of a plan that is VALUES under projections; None for any other plan.
    ///
    /// # Errors
    /// When a cell cannot be planned.
    pub(crate) fn of(plan: &LogicalPlan, params: &[SqlType]) -> Result<Option<Self>, Error> {
        let Some(rows) = cells(plan) else {
            return Ok(None);
        };
        if rows.iter().flatten().any(has_query) {
            return Ok(None);
        }
        let fields: Vec<Field> = (1..)
            .zip(params)
            .map(|(number, ty)| Field::new(format!("${number}"), ty.arrow(), true))
            .collect();
        let params = DFSchema::try_from(Schema::new(fields))?;
        let rows = rows
            .into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|cell| Cell::of(cell, &params))
                    .collect()
            })
            .collect::<Result<_, Error>>()?;
        Ok(Some(Self {
            rows,
            params,
            many: None,
        }))
    }

    /// The one row is many, with these values of the parameters.
    ///
    /// # Errors
    /// When the values are of other types.
    pub(crate) fn repeat(&mut self, values: Vec<ArrayRef>, rows: usize) -> Result<(), Error> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::new(self.params.as_arrow().clone());
        let many = RecordBatch::try_new_with_options(schema, values, &options)?;
        self.many = Some(many);
        Ok(())
    }

    /// Whether so many runs with other parameters, one after the other, give what one run gives that
    /// has all of them: no cell asks for what a run before it may have changed.
    pub(crate) fn repeats(&self) -> bool {
        let asks = |cell: &Cell| match cell {
            Cell::Each(expr) => expr
                .exists(|node| Ok(changes_between_runs(node) && !is_drawn(node)))
                .unwrap_or(true),
            Cell::Value(_) | Cell::Param(_) | Cell::Fixed(_) => false,
        };
        match self.rows.as_slice() {
            [row] => self.many.is_none() && !row.iter().any(asks),
            _ => false,
        }
    }

    /// The types of its parameters.
    pub(crate) fn params(&self) -> SchemaRef {
        Arc::clone(self.params.inner())
    }

    /// The rows of one row of cells, each with its values of the parameters.
    ///
    /// # Errors
    /// Whatever computing a cell meets.
    pub(crate) fn repeated(
        &self,
        many: &RecordBatch,
        shared: &Arc<Shared>,
        table: &Arc<Table>,
    ) -> Result<RecordBatch, Error> {
        let rows = many.num_rows();
        let cells = self.rows.first().map_or(&[][..], Vec::as_slice);
        let mut columns = Vec::with_capacity(cells.len());
        for cell in cells {
            columns.push(match cell {
                Cell::Value(value) => value.to_array_of_size(rows)?,
                Cell::Param(index) => {
                    let column = many.columns().get(*index).cloned();
                    column.ok_or_else(|| Error::internal("a parameter without values"))?
                }
                Cell::Fixed(expr) => expr.evaluate(many)?.into_array(rows)?,
                Cell::Each(expr) => {
                    let expr = computable(expr, &self.params, &props_of(shared.vars()))?;
                    expr.evaluate(many)?.into_array(rows)?
                }
            });
        }
        let layout = chronolith_engine::layout_for(table);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(layout.schema());
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }

    /// The rows under the table's columns.
    ///
    /// # Errors
    /// Whatever computing a cell meets.
    pub(crate) fn batch(
        &self,
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        params: &[ScalarValue],
    ) -> Result<RecordBatch, Error> {
        if let Some(many) = &self.many {
            return self.repeated(many, shared, table);
        }
        let layout = chronolith_engine::layout_for(table);
        let mut run = Run {
            shared,
            params: &self.params,
            given: params,
            row: None,
            props: None,
        };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(table.columns.len());
        for (place, field) in layout.schema().fields().iter().enumerate() {
            let column = self.rows.iter().map(|row| row.get(place));
            if let Some(values) = run.alike(column.clone())? {
                arrays.push(values);
                continue;
            }
            let mut values = Vec::with_capacity(self.rows.len());
            for cell in column {
                let cell = cell.ok_or_else(|| Error::internal("a row with too few cells"))?;
                values.push(run.value(cell)?);
            }
            let array = ScalarValue::iter_to_array(values)?;
            if array.data_type() != field.data_type() {
                return Err(Error::internal(format!(
                    "a value of {} for column \"{}\"",
                    array.data_type(),
                    field.name()
                )));
            }
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let schema = Arc::clone(layout.schema());
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

impl Cell {
    fn of(cell: Expr, params: &DFSchema) -> Result<Self, Error> {
        match cell {
            Expr::Literal(value, _) => return Ok(Self::Value(value)),
            Expr::Placeholder(placeholder) => {
                let number = placeholder.id.strip_prefix('$');
                let number = number.and_then(|number| number.parse::<usize>().ok());
                let index = number.and_then(|number| number.checked_sub(1));
                return Ok(Self::Param(index.unwrap_or(usize::MAX)));
            }
            _ => {}
        }
        let over = cell
            .transform_up(|node| match node {
                Expr::Placeholder(placeholder) => Ok(Transformed::yes(Expr::Column(
                    Column::new_unqualified(placeholder.id),
                ))),
                node => Ok(Transformed::no(node)),
            })?
            .data;
        if !fixed(&over)? {
            return Ok(Self::Each(over));
        }
        let expr = computable(&over, params, &ExecutionProps::new())?;
        Ok(Self::Fixed(expr))
    }
}

/// Whether a call may give something else in the next run of a statement.
pub(crate) fn changes_between_runs(node: &Expr) -> bool {
    match node {
        Expr::ScalarFunction(call) => {
            call.func.signature().volatility == Volatility::Volatile || is_routine(&call.func)
        }
        _ => false,
    }
}

/// Whether a call gives each row something of its own, however many rows ask for it at once: the next
/// number of a sequence that each row draws from, or a number nobody else has.
fn is_drawn(node: &Expr) -> bool {
    let Expr::ScalarFunction(call) = node else {
        return false;
    };
    match call.func.name() {
        "nextval" => call.args.iter().all(|arg| arg.column_refs().is_empty()),
        "gen_random_uuid" => true,
        _ => false,
    }
}

/// Whether an expression depends on its parameters alone.
pub(crate) fn fixed(expr: &Expr) -> Result<bool, Error> {
    let mut fixed = true;
    expr.apply(|node| {
        if let Expr::ScalarFunction(call) = node
            && call.func.signature().volatility != Volatility::Immutable
            && !names_object(call)
        {
            fixed = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(fixed)
}

/// `'name'::regclass` and its kin: PostgreSQL reads such a constant once, with the statement.
pub(crate) fn names_object(call: &ScalarFunction) -> bool {
    let kind = call.func.name();
    kind.starts_with("reg")
        && kind.ends_with("_in")
        && call.args.iter().all(|arg| arg.as_literal().is_some())
}

/// Whether an expression may give another value each time.
///
/// # Errors
/// None of its own.
pub(crate) fn is_volatile(expr: &Expr) -> Result<bool, Error> {
    let volatile = |node: &Expr| match node {
        Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Volatile,
        _ => false,
    };
    Ok(expr.exists(|node| Ok(volatile(node)))?)
}

/// What the cells of one run share.
struct Run<'a> {
    shared: &'a Arc<Shared>,
    params: &'a DFSchema,
    given: &'a [ScalarValue],
    /// The parameters as a row, made when first asked for.
    row: Option<RecordBatch>,
    /// The session as functions see it, made when first asked for.
    props: Option<ExecutionProps>,
}

impl Run<'_> {
    /// The values of a column whose cells are all the same expression that names no parameter: a
    /// default, of which there is one for each row.
    fn alike<'c>(
        &mut self,
        mut cells: impl ExactSizeIterator<Item = Option<&'c Cell>>,
    ) -> Result<Option<ArrayRef>, Error> {
        let rows = cells.len();
        let Some(Some(Cell::Each(first))) = cells.next() else {
            return Ok(None);
        };
        let same = |cell: Option<&Cell>| matches!(cell, Some(Cell::Each(expr)) if expr == first);
        if rows < 2 || !first.column_refs().is_empty() || !cells.all(same) {
            return Ok(None);
        }
        let shared = self.shared;
        let props = self.props.get_or_insert_with(|| props_of(shared.vars()));
        let expr = computable(first, self.params, props)?;
        let nothing = Arc::new(Schema::empty());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(nothing, Vec::new(), &options)?;
        Ok(Some(expr.evaluate(&batch)?.into_array(rows)?))
    }

    fn value(&mut self, cell: &Cell) -> Result<ScalarValue, Error> {
        match cell {
            Cell::Value(value) => Ok(value.clone()),
            Cell::Param(index) => {
                let value = self.given.get(*index).cloned();
                value.ok_or_else(|| Error::no_parameter(index.saturating_add(1)))
            }
            Cell::Fixed(expr) => self.evaluated(expr.as_ref()),
            Cell::Each(expr) => {
                let shared = self.shared;
                let props = self.props.get_or_insert_with(|| props_of(shared.vars()));
                let expr = computable(expr, self.params, props)?;
                self.evaluated(expr.as_ref())
            }
        }
    }

    fn evaluated(&mut self, expr: &dyn PhysicalExpr) -> Result<ScalarValue, Error> {
        let row = match self.row.take() {
            Some(row) => row,
            None => self.row_of_params()?,
        };
        let value = expr.evaluate(&row)?.into_array(1)?;
        self.row = Some(row);
        Ok(ScalarValue::try_from_array(&value, 0)?)
    }

    fn row_of_params(&self) -> Result<RecordBatch, Error> {
        let columns = self
            .given
            .iter()
            .map(|value| Ok(value.to_array()?))
            .collect::<Result<Vec<_>, Error>>()?;
        if columns.len() < self.params.fields().len() {
            return Err(Error::no_parameter(columns.len() + 1));
        }
        let one = RecordBatchOptions::new().with_row_count(Some(1));
        let schema = Arc::new(self.params.as_arrow().clone());
        Ok(RecordBatch::try_new_with_options(schema, columns, &one)?)
    }
}

fn cells(plan: &LogicalPlan) -> Option<Vec<Vec<Expr>>> {
    let rows = match plan {
        LogicalPlan::Values(values) => values.values.clone(),
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => vec![Vec::new()],
        LogicalPlan::Projection(projection) => {
            let rows = cells(&projection.input)?;
            let input = projection.input.schema();
            let mut projected = Vec::with_capacity(rows.len());
            for row in rows {
                let mut made = Vec::with_capacity(projection.expr.len());
                for expr in &projection.expr {
                    made.push(with_cells(expr, input, &row)?);
                }
                projected.push(made);
            }
            projected
        }
        _ => return None,
    };
    Some(rows)
}

/// An expression over a row's columns as one over its cells.
fn with_cells(expr: &Expr, schema: &DFSchema, row: &[Expr]) -> Option<Expr> {
    let bare = expr.clone().unalias();
    if let Expr::Column(column) = &bare {
        let place = schema.maybe_index_of_column(column)?;
        return row.get(place).cloned();
    }
    let mut plain = true;
    let replaced = bare
        .transform_up(|node| match &node {
            Expr::Column(column) => match schema
                .maybe_index_of_column(column)
                .and_then(|place| row.get(place))
            {
                Some(cell) => Ok(Transformed::yes(cell.clone())),
                None => {
                    plain = false;
                    Ok(Transformed::no(node))
                }
            },
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => {
                plain = false;
                Ok(Transformed::no(node))
            }
            _ => Ok(Transformed::no(node)),
        })
        .ok()?;
    plain.then_some(replaced.data)
}
