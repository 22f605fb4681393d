//! Plans of the kind that a continuous aggregate is: an aggregate over rows, and what is made of it.

use std::collections::HashMap;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};

use crate::error::Error;

/// Projections and filters over one node.
pub(super) struct Above<'p> {
    /// What each output column is, over the node's columns.
    pub(super) outputs: Vec<Expr>,
    /// What rows must be, over the same.
    pub(super) filters: Vec<Expr>,
    /// Whether a sort is among them, which is passed over.
    pub(super) sorted: bool,
    pub(super) node: &'p LogicalPlan,
}

/// What is above a node, which is the first one of which `is` holds; None when there is more than
/// projections, filters and sorts above it.
pub(super) fn above<'p>(
    plan: &'p LogicalPlan,
    is: &dyn Fn(&LogicalPlan) -> bool,
) -> Option<Above<'p>> {
    if is(plan) {
        let fields = plan.schema().iter();
        let outputs = fields.map(|(_, field)| column(field.name()));
        return Some(Above {
            outputs: outputs.collect(),
            filters: Vec::new(),
            sorted: false,
            node: plan,
        });
    }
    match plan {
        LogicalPlan::Projection(projection) => {
            let mut found = above(&projection.input, is)?;
            let exprs = projection.expr.iter();
            let exprs = exprs.map(|expr| {
                resolve(
                    &expr.clone().unalias_nested().data,
                    &projection.input,
                    &found.outputs,
                )
            });
            found.outputs = exprs.collect::<Option<_>>()?;
            Some(found)
        }
        LogicalPlan::Filter(filter) => {
            let mut found = above(&filter.input, is)?;
            let predicate = resolve(&filter.predicate, &filter.input, &found.outputs)?;
            found.filters.push(predicate);
            Some(found)
        }
        LogicalPlan::SubqueryAlias(alias) => above(&alias.input, is),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            let mut found = above(&sort.input, is)?;
            found.sorted = true;
            Some(found)
        }
        _ => None,
    }
}

/// An expression over a plan's columns with what those are in their places.
pub(super) fn resolve(expr: &Expr, input: &LogicalPlan, outputs: &[Expr]) -> Option<Expr> {
    let mut lost = false;
    let resolved = expr.clone().transform_up(|node| {
        if matches!(
            node,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::OuterReferenceColumn(..)
        ) {
            lost = true;
            return Ok(Transformed::no(node));
        }
        let Expr::Column(found) = &node else {
            return Ok(Transformed::no(node));
        };
        let place = input.schema().index_of_column(found).ok();
        match place.and_then(|place| outputs.get(place)) {
            Some(known) => Ok(Transformed::yes(known.clone())),
            None => {
                lost = true;
                Ok(Transformed::no(node))
            }
        }
    });
    resolved.ok().filter(|_| !lost).map(|found| found.data)
}

/// A column by its bare name.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

pub(super) fn aggregate_below(plan: &LogicalPlan) -> Option<(Above<'_>, &Aggregate)> {
    let found = above(plan, &|node| matches!(node, LogicalPlan::Aggregate(_)))?;
    let LogicalPlan::Aggregate(aggregate) = found.node else {
        return None;
    };
    Some((found, aggregate))
}

/// What is above the scan of one relation.
pub(super) fn over_scan(plan: &LogicalPlan) -> Option<(Above<'_>, &TableScan)> {
    let found = above(plan, &|node| matches!(node, LogicalPlan::TableScan(_)))?;
    let LogicalPlan::TableScan(scan) = found.node else {
        return None;
    };
    (scan.filters.is_empty() && scan.fetch.is_none() && scan.projection.is_none())
        .then_some((found, scan))
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
