//! Queries inside expressions that depend on the row around: those a join can stand for, and those
//! that have to be run for each of its values.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    ColumnarValue, Distinct, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, SortExpr, Volatility,
    lit,
};

use super::params::number_of;
use super::state::{Binder, Place, field};
use super::subquery::subquery;
use crate::error::Error;
use crate::evaluate::has_query;
use crate::functions::{FunctionError, SessionVars};

/// What DataFusion can make of a query that depends on the row around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One row of aggregates over rows that equal the outer ones: a left join.
    Aggregated,
    /// Such rows themselves.
    Plain,
    /// Anything else.
    Other,
}

/// The shape of a query's plan.
pub(super) fn shape(plan: &LogicalPlan) -> Shape {
    match plan {
        LogicalPlan::Projection(projection) if !projection.expr.iter().any(is_outer) => {
            shape(&projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) => shape(&alias.input),
        LogicalPlan::Aggregate(aggregate)
            if aggregate.group_expr.is_empty()
                && !aggregate.aggr_expr.iter().any(is_outer)
                && is_flat(&aggregate.input, true) =>
        {
            Shape::Aggregated
        }
        other if is_flat(other, true) => Shape::Plain,
        _ => Shape::Other,
    }
}

/// Whether a semi join can stand for EXISTS or IN over a plan.
pub(super) fn semi_joins(plan: &LogicalPlan) -> bool {
    is_flat(plan, false)
}

/// A query without what makes no difference to which values it has: their order and number.
pub(super) fn as_set(plan: LogicalPlan) -> LogicalPlan {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => as_set(Arc::unwrap_or_clone(sort.input)),
        LogicalPlan::Distinct(Distinct::All(input)) => as_set(Arc::unwrap_or_clone(input)),
        other => other,
    }
}

/// A query without what makes no difference to whether it has rows: a limit above zero besides.
pub(super) fn as_existence(plan: LogicalPlan) -> LogicalPlan {
    let some = |fetch: &Expr| match fetch {
        Expr::Literal(ScalarValue::Int64(Some(rows)), _) => *rows > 0,
        _ => false,
    };
    match as_set(plan) {
        LogicalPlan::Limit(limit)
            if limit.skip.is_none() && limit.fetch.as_deref().is_some_and(some) =>
        {
            as_existence(Arc::unwrap_or_clone(limit.input))
        }
        // Nobody sees what is selected.
        LogicalPlan::Projection(projection) => as_existence(Arc::unwrap_or_clone(projection.input)),
        other => other,
    }
}

/// Whether the outer row is named in conditions alone, and in those of `equal`ity alone.
pub(super) fn is_flat(plan: &LogicalPlan, equal: bool) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            !projection.expr.iter().any(is_outer) && is_flat(&projection.input, equal)
        }
        LogicalPlan::SubqueryAlias(alias) => is_flat(&alias.input, equal),
        LogicalPlan::Filter(filter) => {
            let fits = |conjunct: &&Expr| {
                !is_outer(conjunct) || (!equal && !has_query(conjunct)) || equals_outer(conjunct)
            };
            split_conjunction(&filter.predicate).iter().all(fits) && is_flat(&filter.input, equal)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let on = join.on.iter().flat_map(|(left, right)| [left, right]);
            !on.chain(&join.filter).any(is_outer)
                && is_flat(&join.left, equal)
                && is_flat(&join.right, equal)
        }
        other => !names_outer(other),
    }
}

/// `inner = outer`, either way round.
fn equals_outer(expr: &Expr) -> bool {
    let Expr::BinaryExpr(binary) = expr else {
        return false;
    };
    binary.op == Operator::Eq
        && ((is_bare_outer(&binary.left) && !is_outer(&binary.right))
            || (is_bare_outer(&binary.right) && !is_outer(&binary.left)))
}

/// Whether an expression names the outer row, in a query within it too.
pub(super) fn is_outer(expr: &Expr) -> bool {
    let found = expr.exists(|node| {
        Ok(match node {
            Expr::OuterReferenceColumn(..) => true,
            other => query_of(other).is_some_and(names_outer),
        })
    });
    found.unwrap_or(true)
}

fn names_outer(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..))))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found || walked.is_err()
}

fn query_of(expr: &Expr) -> Option<&LogicalPlan> {
    match expr {
        Expr::ScalarSubquery(query) => Some(&query.subquery),
        Expr::Exists(exists) => Some(&exists.subquery.subquery),
        Expr::InSubquery(within) => Some(&within.subquery.subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery.subquery),
        _ => None,
    }
}

/// A query whose conditions name the row around as seldom as they can.
///
/// Where a condition says that a column equals an outer one, the other conditions mean that column;
/// and an outer Boolean is compared with a column that is always true. So most conditions that no
/// join could stand for become equalities or none of the outer row's.
pub(super) fn normalised(
    plan: LogicalPlan,
    fresh: &mut impl FnMut() -> String,
) -> DfResult<LogicalPlan> {
    let rewritten = plan.transform_up(|node| match node {
        LogicalPlan::Filter(filter) if is_outer(&filter.predicate) => {
            normalised_filter(filter, fresh).map(Transformed::yes)
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn normalised_filter(filter: Filter, fresh: &mut impl FnMut() -> String) -> DfResult<LogicalPlan> {
    let conjuncts = split_conjunction(&filter.predicate);
    let equal: Vec<(&Expr, &Expr)> = conjuncts
        .iter()
        .filter(|conjunct| equals_outer(conjunct))
        .filter_map(|conjunct| match conjunct {
            Expr::BinaryExpr(binary) if is_bare_outer(&binary.left) => {
                Some((binary.left.as_ref(), binary.right.as_ref()))
            }
            Expr::BinaryExpr(binary) => Some((binary.right.as_ref(), binary.left.as_ref())),
            _ => None,
        })
        .filter(|(outer, _)| is_same_when_equal(outer))
        .collect();
    let mut kept = Vec::with_capacity(conjuncts.len());
    let mut truth: Option<String> = None;
    for conjunct in &conjuncts {
        let conjunct = Expr::clone(conjunct);
        if !is_outer(&conjunct) || equals_outer(&conjunct) || has_query(&conjunct) {
            kept.push(conjunct);
        } else if is_bare_outer(&conjunct) {
            let name = truth.get_or_insert_with(&mut *fresh);
            kept.push(Expr::Column(Column::new_unqualified(name.as_str())).eq(conjunct));
        } else {
            let within = |part: Expr| {
                let known = equal.iter().find(|(outer, _)| **outer == part);
                Ok(match known {
                    Some((_, inner)) => Transformed::yes(Expr::clone(inner)),
                    None => Transformed::no(part),
                })
            };
            kept.push(conjunct.transform_up(within)?.data);
        }
    }
    let columns = filter.input.schema().columns();
    let predicate = kept
        .into_iter()
        .reduce(Expr::and)
        .unwrap_or(filter.predicate);
    let Some(name) = truth else {
        return Ok(LogicalPlan::Filter(Filter::try_new(
            predicate,
            filter.input,
        )?));
    };
    let columns: Vec<Expr> = columns.into_iter().map(Expr::Column).collect();
    let always = lit(true).alias(name);
    LogicalPlanBuilder::from(LogicalPlan::clone(&filter.input))
        .project(columns.iter().cloned().chain([always]))?
        .filter(predicate)?
        .project(columns)?
        .build()
}

fn is_bare_outer(expr: &Expr) -> bool {
    matches!(expr, Expr::OuterReferenceColumn(..))
}

/// Whether equal values of a column's form are the same in every way: 1.0 and 1.00 are not.
fn is_same_when_equal(expr: &Expr) -> bool {
    match expr {
        Expr::OuterReferenceColumn(field, _) => !matches!(
            field.data_type(),
            DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Float32
                | DataType::Float64
                | DataType::Interval(_)
                | DataType::List(_)
                | DataType::Struct(_)
        ),
        _ => false,
    }
}

/// A query without the order of its rows, and that order.
pub(super) fn unordered(plan: LogicalPlan) -> (LogicalPlan, Vec<SortExpr>) {
    match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            (LogicalPlan::clone(&sort.input), sort.expr)
        }
        // One that takes away what was sorted by.
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Sort(sort)
                if sort.fetch.is_none()
                    && projection
                        .expr
                        .iter()
                        .all(|expr| matches!(expr, Expr::Column(_))) =>
            {
                (LogicalPlan::clone(&sort.input), sort.expr.clone())
            }
            _ => (LogicalPlan::Projection(projection), Vec::new()),
        },
        other => (other, Vec::new()),
    }
}

impl Binder<'_> {
    /// What a query within a place names of the rows around, and the parameters in it.
    pub(super) fn free(&self, place: Place<'_>, plan: &LogicalPlan) -> Vec<Expr> {
        let mut free: Vec<Expr> = Vec::new();
        let known = |name: &str| {
            place.scope.internal(name).is_some()
                || self
                    .outer
                    .iter()
                    .any(|scope| scope.internal(name).is_some())
        };
        // Walking fails only when the closure does.
        let _ = plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    let found = match part {
                        Expr::OuterReferenceColumn(_, column) => known(&column.name),
                        other => number_of(other).is_some(),
                    };
                    if found && !free.contains(part) {
                        free.push(part.clone());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        free
    }

    /// Whether a query within a place depends on the row around it.
    pub(super) fn depends(&self, place: Place<'_>, plan: &LogicalPlan) -> bool {
        self.free(place, plan)
            .iter()
            .any(|expr| matches!(expr, Expr::OuterReferenceColumn(..)))
    }

    /// The one value of a query, run for each value of what it depends on.
    pub(super) fn dependent(&self, place: Place<'_>, plan: LogicalPlan, form: &DataType) -> Expr {
        self.dependent_on(place, plan, form, &[])
    }

    /// The same of a query in which names stand for values of expressions.
    pub(super) fn dependent_on(
        &self,
        place: Place<'_>,
        plan: LogicalPlan,
        form: &DataType,
        named: &[(Expr, Expr)],
    ) -> Expr {
        let mut free = self.free(place, &plan);
        let mut args: Vec<Expr> = free
            .iter()
            .map(|expr| match expr {
                Expr::OuterReferenceColumn(_, column)
                    if place.scope.internal(&column.name).is_some() =>
                {
                    Expr::Column(column.clone())
                }
                other => other.clone(),
            })
            .collect();
        for (name, value) in named {
            free.push(name.clone());
            args.push(value.clone());
        }
        dependent(plan, free, args, form)
    }
}

/// The one value of a query, run for each row of values for what it names of the rows around.
pub(super) fn dependent(
    plan: LogicalPlan,
    free: Vec<Expr>,
    args: Vec<Expr>,
    form: &DataType,
) -> Expr {
    let call = Dependent {
        plan: Arc::new(plan),
        free,
        form: form.clone(),
        signature: Signature::user_defined(Volatility::Volatile),
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(call)),
        args,
    ))
}

/// Runs a query for each row of its arguments.
#[derive(Debug)]
struct Dependent {
    plan: Arc<LogicalPlan>,
    /// What is replaced by the arguments.
    free: Vec<Expr>,
    form: DataType,
    signature: Signature,
}

impl PartialEq for Dependent {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan && self.free == other.free && self.form == other.form
    }
}

impl Eq for Dependent {}

impl Hash for Dependent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.plan.hash(state);
        self.free.hash(state);
        self.form.hash(state);
    }
}

impl ScalarUDFImpl for Dependent {
    fn name(&self) -> &'static str {
        "subquery"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.form.clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        Ok(Arc::new(field("subquery", &self.form)))
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let vars = SessionVars::of(&args.config_options);
        let effects = vars
            .effects
            .as_ref()
            .ok_or_else(|| FunctionError::unsupported("a query cannot be run here"))?;
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let mut values = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let given = args
                .args
                .iter()
                .map(|arg| match arg {
                    ColumnarValue::Scalar(value) => Ok(value.clone()),
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row),
                })
                .collect::<DfResult<Vec<_>>>()?;
            if let Some(value) = known.get(&given) {
                values.push(value.clone());
                continue;
            }
            let plan = self.put(&given)?;
            let value = self.one(&effects.rows(&plan)?)?;
            known.insert(given, value.clone());
            values.push(value);
        }
        if values.is_empty() {
            let nothing = arrow::array::new_empty_array(&self.form);
            return Ok(ColumnarValue::Array(nothing));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?))
    }
}

impl Dependent {
    /// The query with values in the place of what it depends on.
    fn put(&self, values: &[ScalarValue]) -> DfResult<LogicalPlan> {
        let replace = |expr: Expr| -> DfResult<Transformed<Expr>> {
            if let Some(place) = self.free.iter().position(|free| *free == expr)
                && let Some(value) = values.get(place)
            {
                return Ok(Transformed::yes(Expr::Literal(value.clone(), None)));
            }
            Ok(again(expr))
        };
        let plan = LogicalPlan::clone(&self.plan).transform_up_with_subqueries(|node| {
            // A lateral query, told anew what it depends on.
            if let LogicalPlan::Subquery(query) = &node {
                let plan = LogicalPlan::clone(&query.subquery);
                return Ok(Transformed::yes(LogicalPlan::Subquery(subquery(plan))));
            }
            let changed = node.map_expressions(|expr| expr.transform_up(replace))?;
            if changed.transformed {
                Ok(Transformed::yes(changed.data.recompute_schema()?))
            } else {
                Ok(changed)
            }
        })?;
        Ok(plan.data)
    }

    /// The value of one row; NULL without a row.
    fn one(&self, batches: &[arrow::record_batch::RecordBatch]) -> DfResult<ScalarValue> {
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        if rows > 1 {
            return Err(Error::several_rows().into());
        }
        let found = batches.iter().find(|batch| batch.num_rows() == 1);
        match found.and_then(|batch| batch.columns().first()) {
            Some(column) => ScalarValue::try_from_array(column, 0),
            None => ScalarValue::try_from(&self.form),
        }
    }
}

/// A query within, told anew what it depends on.
fn again(expr: Expr) -> Transformed<Expr> {
    let anew =
        |query: &datafusion::logical_expr::Subquery| subquery(LogicalPlan::clone(&query.subquery));
    match expr {
        Expr::ScalarSubquery(query) => Transformed::yes(Expr::ScalarSubquery(anew(&query))),
        Expr::Exists(exists) => Transformed::yes(Expr::Exists(Exists::new(
            anew(&exists.subquery),
            exists.negated,
        ))),
        Expr::InSubquery(within) => Transformed::yes(Expr::InSubquery(InSubquery::new(
            within.expr,
            anew(&within.subquery),
            within.negated,
        ))),
        Expr::SetComparison(comparison) => {
            Transformed::yes(Expr::SetComparison(SetComparison::new(
                comparison.expr,
                anew(&comparison.subquery),
                comparison.op,
                comparison.quantifier,
            )))
        }
        other => Transformed::no(other),
    }
}

/// Fails when a query that stands for a value gave several rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Single {
    signature: Signature,
}

/// The value itself, which may be NULL: that of a query without a row.
pub(super) fn maybe(value: Expr) -> Expr {
    // Volatile, so that no constant is put in its place that could not be NULL.
    let call = Single {
        signature: Signature::user_defined(Volatility::Volatile),
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(call)),
        vec![value],
    ))
}

/// `value`, if `count` is at most one.
pub(super) fn single(value: Expr, count: Expr) -> Expr {
    let call = Single {
        signature: Signature::user_defined(Volatility::Immutable),
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(call)),
        vec![value, count],
    ))
}

impl ScalarUDFImpl for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        Ok(args.first().cloned().unwrap_or(DataType::Null))
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        use arrow::array::AsArray;
        use arrow::datatypes::Int64Type;
        let several = args.args.get(1).is_some_and(|count| match count {
            ColumnarValue::Scalar(ScalarValue::Int64(Some(count))) => *count > 1,
            ColumnarValue::Array(counts) => counts
                .as_primitive_opt::<Int64Type>()
                .is_some_and(|counts| counts.iter().flatten().any(|count| count > 1)),
            ColumnarValue::Scalar(_) => false,
        });
        if several {
            return Err(Error::several_rows().into());
        }
        let value = args.args.into_iter().next();
        value.ok_or_else(|| FunctionError::internal("single without a value").into())
    }
}
