//! COALESCE where no optimiser sees it.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Case;

/// An expression with the CASE that each COALESCE in it stands for: as a function it is never called.
///
/// # Errors
/// None is known.
pub(crate) fn unfolded(expr: Expr) -> Result<Expr> {
    Ok(expr.transform_up(|node| Ok(chosen(node)))?.data)
}

/// A COALESCE as a CASE.
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
