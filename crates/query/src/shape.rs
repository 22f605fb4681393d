//! Plans as projections and filters over one node.

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

/// Projections and filters over one node.
pub(crate) struct Above<'p> {
    /// What each output column is, over the node's columns.
    pub(crate) outputs: Vec<Expr>,
    /// What rows must be, over the same.
    pub(crate) filters: Vec<Expr>,
    /// Whether a sort is among them, which is passed over.
    pub(crate) sorted: bool,
    pub(crate) node: &'p LogicalPlan,
}

/// What is above a node, which is the first one of which `is` holds; None when there is more than
/// projections, filters and sorts above it.
pub(crate) fn above<'p>(
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
pub(crate) fn resolve(expr: &Expr, input: &LogicalPlan, outputs: &[Expr]) -> Option<Expr> {
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
pub(crate) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// What is above the scan of one relation.
pub(crate) fn over_scan(plan: &LogicalPlan) -> Option<(Above<'_>, &TableScan)> {
    let found = above(plan, &|node| matches!(node, LogicalPlan::TableScan(_)))?;
    let LogicalPlan::TableScan(scan) = found.node else {
        return None;
    };
    (scan.filters.is_empty() && scan.fetch.is_none() && scan.projection.is_none())
        .then_some((found, scan))
}
