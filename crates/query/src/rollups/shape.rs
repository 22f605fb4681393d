//! Plans of the kind that a continuous aggregate is: an aggregate over rows, and what is made of it.

use std::collections::HashMap;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};

use crate::error::Error;
use crate::shape::{Above, above};

pub(super) fn aggregate_below(plan: &LogicalPlan) -> Option<(Above<'_>, &Aggregate)> {
    let found = above(plan, &|node| matches!(node, LogicalPlan::Aggregate(_)))?;
    let LogicalPlan::Aggregate(aggregate) = found.node else {
        return None;
    };
    Some((found, aggregate))
}

/// The scans in a plan.
pub(super) fn scans(plan: &LogicalPlan) -> DfResult<Vec<TableScan>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.push(scan.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// What the columns of a tree of joins are over those of its scans. The binder gives every column a
/// name of its own, so that one table of names serves the whole tree.
pub(super) fn names_in(plan: &LogicalPlan) -> DfResult<HashMap<String, Expr>> {
    let mut names = HashMap::new();
    plan.apply(|node| {
        if let LogicalPlan::Projection(projection) = node {
            for expr in &projection.expr {
                if let Expr::Alias(alias) = expr {
                    names.insert(alias.name.clone(), alias.expr.as_ref().clone());
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(names)
}

/// An expression with the names of a tree resolved down to its scans.
pub(super) fn resolve_names(expr: &Expr, names: &HashMap<String, Expr>) -> DfResult<Expr> {
    let mut expr = expr.clone();
    // Each round goes one projection down; no plan has more of them than names.
    for _ in 0..=names.len() {
        let mut changed = false;
        expr = expr
            .transform_up(|node| {
                let Expr::Column(found) = &node else {
                    return Ok(Transformed::no(node));
                };
                let known = names.get(&found.name).filter(|_| found.relation.is_none());
                Ok(match known {
                    Some(known) if *known != node => {
                        changed = true;
                        Transformed::yes(known.clone())
                    }
                    _ => Transformed::no(node),
                })
            })?
            .data;
        if !changed {
            break;
        }
    }
    Ok(expr)
}

/// Whether an expression always says the same of the same row.
pub(super) fn immutable(expr: &Expr) -> Result<bool, Error> {
    let mut immutable = true;
    expr.apply(|node| {
        if let Expr::ScalarFunction(call) = node
            && call.func.signature().volatility != Volatility::Immutable
        {
            immutable = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(immutable)
}
