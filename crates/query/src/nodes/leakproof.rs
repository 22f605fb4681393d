//! Conditions that tell nothing of the rows they are asked of: these may pass a [`Barrier`].
//!
//! A comparison of columns with constants never fails and calls nobody, so it may come before the
//! policies of row-level security, and choose chunks, series and row groups with them.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{ExprSchema, Result as DfResult};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Cast, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::sync::Arc;

use super::barrier::Barrier;
use crate::routines::is_routine;

/// Takes what tells nothing from above barriers to below them.
#[derive(Debug, Default)]
pub(crate) struct PassBarrier;

impl OptimizerRule for PassBarrier {
    fn name(&self) -> &'static str {
        "pass_barrier"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(Transformed::no(plan));
        };
        let barrier = match filter.input.as_ref() {
            LogicalPlan::Extension(node) => node.node.as_any().downcast_ref::<Barrier>(),
            _ => None,
        };
        let Some(below) = barrier.map(Barrier::input) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let schema = Arc::clone(below.schema());
        let asked = split_conjunction_owned(filter.predicate.clone());
        let (pass, stay): (Vec<Expr>, Vec<Expr>) = asked.into_iter().partition(|expr| {
            tells_nothing(expr, &|column| {
                let field = schema.field_from_column(column).ok()?;
                Some(field.data_type().clone())
            })
        });
        let Some(pass) = conjunction(pass) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let below = Filter::try_new(pass, Arc::new(below.clone()))?;
        let plan = Barrier::plan(LogicalPlan::Filter(below));
        Ok(Transformed::yes(match conjunction(stay) {
            None => plan,
            Some(stay) => LogicalPlan::Filter(Filter::try_new(stay, Arc::new(plan))?),
        }))
    }
}

/// The type of a column.
type Types<'a> = &'a dyn Fn(&datafusion::common::Column) -> Option<DataType>;

/// Whether an expression can neither fail nor call anybody with the values of a row.
fn tells_nothing(expr: &Expr, types: Types<'_>) -> bool {
    let all = |exprs: &[&Expr]| exprs.iter().all(|expr| tells_nothing(expr, types));
    match expr {
        Expr::Column(column) => types(column).is_some(),
        Expr::BinaryExpr(binary) if compares(binary.op) => all(&[&binary.left, &binary.right]),
        Expr::Not(of)
        | Expr::IsNull(of)
        | Expr::IsNotNull(of)
        | Expr::IsTrue(of)
        | Expr::IsFalse(of)
        | Expr::IsUnknown(of)
        | Expr::IsNotTrue(of)
        | Expr::IsNotFalse(of)
        | Expr::IsNotUnknown(of) => all(&[of]),
        Expr::Between(between) => all(&[&between.expr, &between.low, &between.high]),
        Expr::InList(list) => {
            all(&[&list.expr]) && list.list.iter().all(|expr| tells_nothing(expr, types))
        }
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Column(column) => types(column).is_some_and(|from| widens(&from, cast)),
            _ => is_of_no_row(expr),
        },
        _ => is_of_no_row(expr),
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::And
            | Operator::Or
            | Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether every value of a type has one in the other.
fn widens(from: &DataType, cast: &Cast) -> bool {
    let to = cast.field.data_type();
    let width = |ty: &DataType| match ty {
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        _ => None,
    };
    match (width(from), width(to)) {
        (Some(from), Some(to)) => from <= to,
        (Some(_), None) => matches!(to, DataType::Float64),
        _ => matches!(
            (from, to),
            (DataType::Float32, DataType::Float64)
                | (
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View,
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
                )
        ),
    }
}

/// Whether an expression is the same for every row, and calls no function of a user.
fn is_of_no_row(expr: &Expr) -> bool {
    let mut constant = !expr.is_volatile();
    // Walking fails only when the closure does.
    let _ = expr.apply(|part| {
        constant &= match part {
            Expr::Column(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarSubquery(_)
            | Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::SetComparison(_) => false,
            Expr::ScalarFunction(call) => !is_routine(&call.func),
            _ => true,
        };
        Ok(match constant {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    constant
}

/// The planner's rules with the one of barriers where conditions have come as far as they go.
pub(crate) fn with_barriers(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut all: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::with_capacity(rules.len() + 2);
    for rule in rules {
        let last = (rule.name() == "push_down_filter").then(|| Arc::clone(&rule));
        all.push(rule);
        if let Some(rule) = last {
            // What has passed goes on to where rows are read.
            all.push(Arc::new(PassBarrier));
            all.push(rule);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::{col, lit};

    use super::*;

    #[test]
    fn the_rule_stands_behind_the_one_that_brings_conditions() {
        let names = |rules: &[Arc<dyn OptimizerRule + Send + Sync>]| {
            let names = rules.iter().map(|rule| rule.name().to_owned());
            names.collect::<Vec<_>>()
        };
        let rules = names(&with_barriers(Optimizer::new().rules));
        let at = rules.iter().position(|name| name == "pass_barrier");
        assert_eq!(rules.get(at.unwrap() - 1).unwrap(), "push_down_filter");
    }

    #[test]
    fn comparisons_tell_nothing_and_what_may_fail_does() {
        let types = |_: &datafusion::common::Column| Some(DataType::Int64);
        let safe = [
            col("a").gt(lit(1_i64)),
            col("a").in_list(vec![lit(1_i64), lit(2_i64)], false),
            col("a")
                .between(lit(1_i64), lit(2_i64))
                .or(col("b").is_null()),
        ];
        for expr in safe {
            assert!(tells_nothing(&expr, &types), "{expr}");
        }
        let leaky = [
            (col("a") / lit(0_i64)).gt(lit(1_i64)),
            datafusion::prelude::cast(col("a"), DataType::Int32).gt(lit(1)),
            col("a").like(lit("x")),
        ];
        for expr in leaky {
            assert!(!tells_nothing(&expr, &types), "{expr}");
        }
    }
}
