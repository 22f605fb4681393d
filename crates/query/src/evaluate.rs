//! Expressions that are computed over columns without a plan around them.

mod steps;

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Case, Expr};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use crate::error::Error;
use crate::functions::SessionVars;
use steps::{Rows, Step};

/// An expression over columns as it can be computed. What the optimiser of plans would have to do
/// for it is done here.
///
/// # Errors
/// What the library finds wrong with the expression.
pub(crate) fn computable(
    expr: &Expr,
    columns: &DFSchema,
    props: &ExecutionProps,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let expr = expr.clone().transform_up(|node| Ok(chosen(node)))?.data;
    create_physical_expr(&expr, columns, props, &PhysicalPlanningContext::default())
}

/// What expressions that are evaluated without a plan see of the session.
pub(crate) fn props_of(vars: SessionVars) -> ExecutionProps {
    let mut options = ConfigOptions::new();
    options.extensions.insert(vars);
    let mut props = ExecutionProps::new();
    props.config_options = Some(Arc::new(options));
    props
}

/// COALESCE as the CASE that it stands for: as a function it is never called. IN of what is computed
/// as comparisons.
pub(crate) fn chosen(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == "coalesce" => {
            let mut args = call.args;
            let last = args.pop().map(Box::new);
            if args.is_empty() {
                let only = last.map_or(Expr::Literal(ScalarValue::Null, None), |last| *last);
                return Transformed::yes(only);
            }
            let arms = args
                .into_iter()
                .map(|arg| (Box::new(arg.clone().is_not_null()), Box::new(arg)))
                .collect();
            Transformed::yes(Expr::Case(Case::new(None, arms, last)))
        }
        // The library computes the list when the expression is planned, where `current_user` is not
        // that of the statement that runs it.
        Expr::InList(list) if !list.list.iter().all(|of| matches!(of, Expr::Literal(..))) => {
            let InList {
                expr,
                list,
                negated,
            } = list;
            let equal = list.into_iter().map(|of| expr.as_ref().clone().eq(of));
            let any = equal.reduce(Expr::or);
            let any = any.unwrap_or_else(|| Expr::Literal(ScalarValue::Boolean(Some(false)), None));
            Transformed::yes(match negated {
                true => Expr::Not(Box::new(any)),
                false => any,
            })
        }
        other => Transformed::no(other),
    }
}

/// Expressions over columns and parameters, planned once for all runs of a statement.
#[derive(Debug)]
pub(crate) struct Formula {
    filter: Option<Arc<dyn PhysicalExpr>>,
    exprs: Vec<Step>,
    /// The columns, then the parameters that are named.
    schema: SchemaRef,
    /// Those parameters, counted from 0, with their forms.
    params: Vec<(usize, DataType)>,
}

/// A formula, once somebody asked for it; None in it when there cannot be one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Planned(Arc<OnceLock<Option<Arc<Formula>>>>);

impl Planned {
    /// The formula of some expressions, which are the same each time, if parameters of these forms
    /// can be put into it.
    pub(crate) fn formula<'e>(
        &self,
        input: &Schema,
        filter: Option<&Expr>,
        exprs: impl Iterator<Item = &'e Expr>,
        given: &[ScalarValue],
    ) -> Option<Arc<Formula>> {
        let made = || {
            Formula::of(input, filter, exprs)
                .ok()
                .flatten()
                .map(Arc::new)
        };
        let formula = self.0.get_or_init(made).as_ref()?;
        let takes = |(at, form): &(usize, DataType)| {
            given
                .get(*at)
                .is_some_and(|value| value.data_type() == *form)
        };
        let all = formula.params.iter().all(takes);
        all.then(|| Arc::clone(formula))
    }
}

impl Formula {
    fn of<'e>(
        input: &Schema,
        filter: Option<&Expr>,
        exprs: impl Iterator<Item = &'e Expr>,
    ) -> Result<Option<Self>, DataFusionError> {
        let mut fields: Vec<_> = input.fields().iter().cloned().collect();
        let mut params: Vec<(usize, DataType)> = Vec::new();
        let mut known = true;
        let mut opened = |expr: &Expr| {
            let opened = expr.clone().transform_up(|node| {
                let Expr::Placeholder(of) = &node else {
                    return Ok(Transformed::no(node));
                };
                let number = of
                    .id
                    .strip_prefix('$')
                    .and_then(|n| n.parse::<usize>().ok());
                let at = number.and_then(|number| number.checked_sub(1));
                let form = of.field.as_ref().map(|field| field.data_type());
                // A list of values is told to scans and filters as what it holds.
                let form = form.filter(|form| !form.is_nested());
                let (Some(at), Some(form)) = (at, form) else {
                    known = false;
                    return Ok(Transformed::no(node));
                };
                let name = format!("\0{}", of.id);
                match params.iter().find(|(known, _)| *known == at) {
                    Some((_, known_as)) => known &= known_as == form,
                    None => {
                        fields.push(Arc::new(Field::new(&name, form.clone(), true)));
                        params.push((at, form.clone()));
                    }
                }
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
                    name,
                ))))
            });
            opened.map(|opened| opened.data)
        };
        let filter = filter.map(&mut opened).transpose()?;
        let exprs = exprs.map(&mut opened).collect::<Result<Vec<_>, _>>()?;
        if !known {
            return Ok(None);
        }
        let schema = Arc::new(Schema::new(fields));
        let columns = DFSchema::try_from(schema.as_ref().clone())?;
        let mut props = ExecutionProps::new();
        let options = SessionVars::late();
        props.config_options = Some(Arc::clone(&options));
        let physical = |expr: &Expr| computable(expr, &columns, &props);
        let step = |expr: &Expr| Ok(Step::of(&physical(expr)?, &schema, &options));
        Ok(Some(Self {
            filter: filter.as_ref().map(physical).transpose()?,
            exprs: exprs.iter().map(step).collect::<DfResult<_>>()?,
            schema: Arc::clone(&schema),
            params,
        }))
    }

    /// What the expressions are over some rows that the filter keeps, and how many those are.
    ///
    /// # Errors
    /// What an expression meets.
    pub(crate) fn evaluate(
        &self,
        vars: &Arc<SessionVars>,
        mut columns: Vec<ArrayRef>,
        rows: usize,
        given: &[ScalarValue],
    ) -> Result<(Vec<ArrayRef>, usize), Error> {
        for (at, _) in &self.params {
            let value = given.get(*at);
            let value = value.ok_or_else(|| Error::internal("a parameter without a value"))?;
            columns.push(value.to_array_of_size(rows)?);
        }
        vars.calling(|| {
            let all = Rows::new(&self.schema, &columns, rows);
            let some = match &self.filter {
                Some(filter) => Some(kept(filter.as_ref(), all.batch()?)?),
                None => None,
            };
            let given = match &some {
                Some(some) => Rows::new(&self.schema, some.columns(), some.num_rows()),
                None => all,
            };
            let columns = self.exprs.iter().map(|expr| Ok(expr.array(&given)?));
            let columns = columns.collect::<Result<Vec<_>, Error>>()?;
            Ok((columns, some.map_or(rows, |some| some.num_rows())))
        })
    }
}

/// The rows of a batch that a condition is true of.
///
/// # Errors
/// What the condition meets.
pub(crate) fn kept(filter: &dyn PhysicalExpr, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let kept = filter.evaluate(batch)?.into_array(batch.num_rows())?;
    let kept = kept
        .as_boolean_opt()
        .ok_or_else(|| Error::internal("a condition of another type"))?;
    if kept.true_count() == batch.num_rows() {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, kept)?)
}

/// Whether an expression is a query.
pub(crate) fn is_query(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
    )
}

/// Whether a query is within an expression.
pub(crate) fn has_query(expr: &Expr) -> bool {
    expr.exists(|node| Ok(is_query(node))).unwrap_or(true)
}
