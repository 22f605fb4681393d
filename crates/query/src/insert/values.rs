//! INSERT … VALUES without a planner: each cell is a constant, a parameter or a small expression.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use chronolith_types::SqlState;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::Error;
use crate::session::Shared;

/// The cells of a plan that is VALUES under projections; None for any other plan.
pub(super) fn cells(plan: &LogicalPlan) -> Option<Vec<Vec<Expr>>> {
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

/// The rows of some cells, under the table's columns.
///
/// # Errors
/// Whatever computing a cell meets.
pub(super) fn batch(
    shared: &Arc<Shared>,
    table: &Table,
    rows: &[Vec<Expr>],
    params: &[ScalarValue],
) -> Result<RecordBatch, Error> {
    let layout = chronolith_engine::layout_of(table);
    let mut planner = None;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(table.columns.len());
    for (place, field) in layout.schema().fields().iter().enumerate() {
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            let cell = row
                .get(place)
                .ok_or_else(|| Error::internal("a row with too few cells"))?;
            let value = match cell {
                Expr::Literal(value, _) => value.clone(),
                cell => {
                    let planner = planner.get_or_insert_with(|| shared.planner(shared.vars()));
                    computed(planner, cell, params)?
                }
            };
            values.push(value);
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
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = Arc::clone(layout.schema());
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

fn computed(
    planner: &SessionState,
    cell: &Expr,
    params: &[ScalarValue],
) -> Result<ScalarValue, Error> {
    let given = with_params(cell, params)?;
    if let Expr::Literal(value, _) = given {
        return Ok(value);
    }
    let expr = planner.create_physical_expr(given, &DFSchema::empty())?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)?;
    let value = expr.evaluate(&row)?.into_array(1)?;
    Ok(ScalarValue::try_from_array(&value, 0)?)
}

fn with_params(cell: &Expr, params: &[ScalarValue]) -> Result<Expr, Error> {
    let value = |id: &str| -> Result<ScalarValue, Error> {
        let number = id.strip_prefix('$').and_then(|id| id.parse::<usize>().ok());
        let value = number.and_then(|number| params.get(number.checked_sub(1)?));
        value.cloned().ok_or_else(|| {
            Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!("there is no value for parameter {id}"),
            )
        })
    };
    if let Expr::Placeholder(placeholder) = cell {
        return Ok(Expr::Literal(value(&placeholder.id)?, None));
    }
    let replaced = cell.clone().transform_up(|node| match &node {
        Expr::Placeholder(placeholder) => Ok(Transformed::yes(Expr::Literal(
            value(&placeholder.id)?,
            None,
        ))),
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(replaced.data)
}
