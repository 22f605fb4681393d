//! Expressions that are computed over columns without a plan around them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Case, Expr};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

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

/// COALESCE as the CASE that it stands for: as a function it is never called.
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
        other => Transformed::no(other),
    }
}
