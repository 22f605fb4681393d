//! What is made of rows that are there: RETURNING, and SET of ON CONFLICT.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;

use super::run::Run;
use crate::bind::{Over, set_parameters, set_parameters_in};
use crate::error::Error;
use crate::evaluate::{Formula, computable, kept};
use crate::functions::SessionVars;
use crate::insert::fixed;
use crate::session::{Shared, physical, stream};

/// An [`Over`] with its parameters.
pub(super) struct Maker {
    slot: usize,
    input: SchemaRef,
    output: SchemaRef,
    how: How,
}

enum How {
    /// The same, planned when the statement ran first.
    Planned(Arc<Formula>, Arc<SessionVars>, Vec<ScalarValue>),
    /// Expressions over the rows.
    Direct {
        filter: Option<Arc<dyn PhysicalExpr>>,
        exprs: Vec<Arc<dyn PhysicalExpr>>,
    },
    /// A plan that reads them.
    Plan(Box<LogicalPlan>),
}

impl Maker {
    pub(super) fn new(run: &Run<'_>, over: &Over, params: &[ScalarValue]) -> Result<Self, Error> {
        let shared = run.shared;
        if let Some(direct) = &over.direct {
            let (filter, exprs) = (direct.filter.as_ref(), direct.exprs.iter());
            let formula = direct.planned.formula(&over.input, filter, exprs, params);
            if let Some(formula) = formula {
                return Ok(Self {
                    slot: over.slot,
                    input: Arc::clone(&over.input),
                    output: Arc::clone(&direct.output),
                    how: How::Planned(formula, run.vars(), params.to_vec()),
                });
            }
        }
        let (how, output) = match &over.direct {
            None => {
                let plan = set_parameters(&over.plan, params)?;
                let output = nullable(plan.schema().as_arrow());
                (How::Plan(Box::new(plan)), output)
            }
            Some(direct) => {
                let given = |expr: &Expr| set_parameters_in(expr.clone(), params);
                let exprs = direct.exprs.iter().map(given);
                let exprs = exprs.collect::<Result<Vec<_>, _>>()?;
                let filter = direct.filter.as_ref().map(given).transpose()?;
                let schema = DFSchema::try_from(over.input.as_ref().clone())?;
                let props = props_for(shared, exprs.iter().chain(&filter))?;
                let physical = |expr: &Expr| computable(expr, &schema, &props);
                let how = How::Direct {
                    filter: filter.as_ref().map(physical).transpose()?,
                    exprs: exprs.iter().map(physical).collect::<Result<_, _>>()?,
                };
                (how, Arc::clone(&direct.output))
            }
        };
        Ok(Self {
            slot: over.slot,
            input: Arc::clone(&over.input),
            output,
            how,
        })
    }

    /// What is made of the rows whose columns these are.
    pub(super) async fn make(
        &self,
        run: &Run<'_>,
        columns: Vec<ArrayRef>,
        rows: usize,
    ) -> Result<RecordBatch, Error> {
        if let How::Planned(formula, vars, params) = &self.how {
            let (columns, rows) = formula.evaluate(vars, columns, rows, params)?;
            return self.batch(columns, rows);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.input), columns, &options)?;
        match &self.how {
            How::Planned(..) => Err(Error::internal("an expression that was planned")),
            How::Direct { filter, exprs } => {
                let batch = match filter {
                    None => batch,
                    Some(filter) => kept(filter.as_ref(), &batch)?,
                };
                let rows = batch.num_rows();
                let columns = exprs.iter().map(|expr| {
                    let made = expr.evaluate(&batch)?;
                    Ok(made.into_array(rows)?)
                });
                let columns = columns.collect::<Result<Vec<_>, Error>>()?;
                self.batch(columns, rows)
            }
            How::Plan(plan) => {
                run.sight.slots.put(self.slot, vec![batch]);
                let physical = physical(run.shared, run.planner(), plan).await?;
                let mut made = stream(run.shared, run.planner(), physical)?;
                let mut batches = Vec::new();
                while let Some(batch) = made.next().await {
                    let batch = batch?;
                    batches.push(self.batch(batch.columns().to_vec(), batch.num_rows())?);
                }
                Ok(concat_batches(&self.output, &batches)?)
            }
        }
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, Error> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.output);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// What expressions see of the session, if one of them asks for it.
fn props_for<'e>(
    shared: &Arc<Shared>,
    exprs: impl Iterator<Item = &'e Expr>,
) -> Result<ExecutionProps, Error> {
    let mut props = ExecutionProps::new();
    for expr in exprs {
        if !fixed(expr)? {
            let mut options = ConfigOptions::new();
            options.extensions.insert(shared.vars());
            props.config_options = Some(Arc::new(options));
            break;
        }
    }
    Ok(props)
}

/// What an expression gives that names no column and has no query in it.
pub(crate) fn value_of(
    shared: &Arc<Shared>,
    expr: &Expr,
    params: &[ScalarValue],
) -> Result<ScalarValue, Error> {
    let expr = set_parameters_in(expr.clone(), params)?;
    let props = props_for(shared, std::iter::once(&expr))?;
    let physical = computable(&expr, &DFSchema::empty(), &props)?;
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)?;
    let value = physical.evaluate(&row)?.into_array(1)?;
    Ok(ScalarValue::try_from_array(&value, 0)?)
}

/// The columns, any of which may be NULL.
pub(crate) fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
