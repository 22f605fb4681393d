//! Continuous aggregates that fill gaps.
//!
//! Their stores know nothing of it: buckets that are missing are filled in when they are read, over
//! all rows of a group, so that a row says the same whatever else is asked for. Gaps reach from the
//! first bucket of the data to the last, or as far as the reader's conditions on the bucket do.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_types::TableId;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, Spans};
use datafusion::datasource::source_as_provider;
use datafusion::functions_aggregate::min_max::{max, min};
use datafusion::logical_expr::logical_plan::{Aggregate, SubqueryAlias};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Subquery};

use super::definition::{Definition, Group, check_immutable, refused, substituted};
use super::plan::Planning;
use super::relation::CaggTable;
use crate::bind::{End, limit_of};
use crate::error::Error;
use crate::nodes::{Filling, GapFill, Limit};
use crate::shape::{Above, above, column, resolve};

/// What one level of a plan needs at most; with less left the next get a stack of their own.
const STACK_LEFT_BYTES: usize = 1 << 20;
const STACK_MORE_BYTES: usize = 8 << 20;

/// What of a definition fills gaps.
#[derive(Debug)]
pub(crate) struct Gaps {
    /// The columns that are filled, by name, over groups and the values of merged aggregates.
    columns: Vec<(String, Expr)>,
    /// What the binder's names of these are here.
    pub(super) names: HashMap<String, Expr>,
    filling: Filling,
}

fn gap_of(plan: &LogicalPlan) -> Option<&GapFill> {
    match plan {
        LogicalPlan::Extension(node) => node.node.as_any().downcast_ref::<GapFill>(),
        _ => None,
    }
}

/// The filling of gaps in a plan, and what is made of it.
pub(super) fn filled_below(plan: &LogicalPlan) -> Option<(Above<'_>, &GapFill)> {
    let found = above(plan, &|node| gap_of(node).is_some())?;
    let gap = gap_of(found.node)?;
    found.filters.is_empty().then_some((found, gap))
}

impl Gaps {
    /// `values` are what the columns of the aggregate below are.
    pub(super) fn of(
        gap: &GapFill,
        values: &HashMap<String, Expr>,
        groups: &[Group],
    ) -> Result<Self, Error> {
        let below = above(gap.input(), &|node| {
            matches!(node, LogicalPlan::Aggregate(_))
        });
        let Some(below) = below else {
            return Err(Error::internal("gaps of no groups"));
        };
        let mut names = HashMap::new();
        let mut columns = Vec::with_capacity(below.outputs.len());
        let fields = gap.input().schema().fields().iter();
        for (field, expr) in fields.zip(&below.outputs) {
            check_immutable(expr)?;
            let expr = substituted(expr, values)?;
            let group = groups.iter().find(|group| expr == column(&group.name));
            let name = match group {
                // Keys are called as in the store.
                Some(group) if columns.iter().all(|(name, _)| *name != group.name) => {
                    group.name.clone()
                }
                _ => format!("{}#filled", columns.len()),
            };
            names.insert(field.name().clone(), column(&name));
            columns.push((name, expr));
        }
        let mut exprs = Vec::new();
        for expr in gap.filling().exprs() {
            check_immutable(expr)?;
            if expr.exists(|node| Ok(matches!(node, Expr::ScalarSubquery(_))))? {
                return Err(refused("invalid continuous aggregate view")
                    .detail("Subqueries are not supported by continuous aggregates."));
            }
            exprs.push(substituted(expr, &names)?);
        }
        Ok(Self {
            columns,
            names,
            filling: gap.filling().with(exprs)?,
        })
    }

    /// Rows with those that are missing between them.
    pub(super) fn filled(
        &self,
        rows: LogicalPlan,
        start: Option<Limit>,
        finish: Option<Limit>,
    ) -> Result<LogicalPlan, Error> {
        let columns = self.columns.iter();
        let columns = columns.map(|(name, expr)| expr.clone().alias(name));
        let rows = LogicalPlanBuilder::from(rows).project(columns)?.build()?;
        let mut filling = self.filling.clone();
        for (limit, given) in [(&mut filling.start, start), (&mut filling.finish, finish)] {
            if let (Some(given), true) = (given, limit.open) {
                *limit = given;
            }
        }
        Ok(GapFill::plan(rows, filling)?)
    }

    fn limit(&self, end: End) -> &Limit {
        match end {
            End::Start => &self.filling.start,
            End::Finish => &self.filling.finish,
        }
    }
}

impl Planning<'_> {
    /// Where the gaps of a view begin or end for a reader with some conditions on what it shows; None
    /// where its definition says so.
    pub(super) fn gap_limit(
        &self,
        view: TableId,
        definition: &Definition,
        end: End,
        conditions: &[Expr],
    ) -> Result<Option<Limit>, Error> {
        let Some(gaps) = &definition.gaps else {
            return Ok(None);
        };
        if !gaps.limit(end).open {
            return Ok(None);
        }
        let bucket = definition.groups.get(definition.bucket);
        let form = bucket.map_or(DataType::Null, |group| group.ty.arrow());
        if let Some(shown) = definition.shown_bucket() {
            let conditions = conditions.iter();
            if let Some(limit) = limit_of(end, &column(shown), &form, conditions)? {
                return Ok(Some(limit));
            }
        }
        let bucket = column(definition.bucket_name());
        let of_data = match end {
            End::Start => min(bucket),
            End::Finish => max(bucket),
        };
        let rows = Arc::new(self.fresh(view)?);
        let plan = Aggregate::try_new(rows, Vec::new(), vec![of_data])?;
        Ok(Some(Limit {
            at: Expr::ScalarSubquery(Subquery {
                subquery: Arc::new(LogicalPlan::Aggregate(plan)),
                outer_ref_columns: Vec::new(),
                spans: Spans::new(),
            }),
            // The last bucket is one of them.
            after: end == End::Finish,
            open: true,
        }))
    }

    /// A plan with what readers see in the place of each continuous aggregate, `conditions` being
    /// those that its rows are to meet.
    pub(super) fn bounded(
        &self,
        plan: LogicalPlan,
        conditions: &[Expr],
    ) -> Result<LogicalPlan, Error> {
        stacker::maybe_grow(STACK_LEFT_BYTES, STACK_MORE_BYTES, || {
            self.bounded_here(plan, conditions)
        })
    }

    fn bounded_here(&self, plan: LogicalPlan, conditions: &[Expr]) -> Result<LogicalPlan, Error> {
        let outputs = |plan: &LogicalPlan| -> Vec<Expr> {
            let columns = plan.schema().columns().into_iter();
            columns.map(Expr::Column).collect()
        };
        let over = |conditions: &[Expr], outputs: &[Expr]| -> Vec<Expr> {
            let conditions = conditions.iter();
            conditions
                .filter_map(|condition| resolve(condition, &plan, outputs))
                .collect()
        };
        let below: Vec<Expr> = match &plan {
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source)?;
                let Some(cagg) = provider.downcast_ref::<CaggTable>() else {
                    return Ok(plan);
                };
                let fields = plan.schema().fields().iter();
                let bare: Vec<Expr> = fields.map(|field| column(field.name())).collect();
                let read = self.read_where(cagg.view(), &over(conditions, &bare))?;
                let alias = SubqueryAlias::try_new(Arc::new(read), scan.table_name.clone())?;
                return Ok(LogicalPlan::SubqueryAlias(alias));
            }
            LogicalPlan::Filter(filter) => {
                let own = split_conjunction(&filter.predicate).into_iter().cloned();
                conditions.iter().cloned().chain(own).collect()
            }
            LogicalPlan::Projection(projection) => {
                let exprs = projection.expr.iter();
                let exprs = exprs.map(|expr| expr.clone().unalias_nested().data);
                over(conditions, &exprs.collect::<Vec<_>>())
            }
            LogicalPlan::SubqueryAlias(alias) => over(conditions, &outputs(&alias.input)),
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => conditions.to_vec(),
            // What the other side of a join knows finds no column here.
            LogicalPlan::Join(join) if join.join_type == JoinType::Inner => conditions.to_vec(),
            _ => Vec::new(),
        };
        let plan = plan.map_subqueries(|query| {
            Ok(Transformed::yes(match query {
                LogicalPlan::Subquery(inner) => {
                    let plan = self.bounded(inner.subquery.as_ref().clone(), &[])?;
                    LogicalPlan::Subquery(inner.with_plan(Arc::new(plan)))
                }
                other => self.bounded(other, &[])?,
            }))
        })?;
        let plan = plan
            .data
            .map_children(|child| Ok(Transformed::yes(self.bounded(child, &below)?)))?;
        Ok(plan.data)
    }
}
