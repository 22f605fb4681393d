//! Queries within conditions that DataFusion cannot make joins of: counted, or run for each row.
//!
//! DataFusion makes a *mark join* of EXISTS and IN that stand within OR, NOT or CASE. Such a join needs
//! a column of the query's to hold an outer one against, and knows TRUE and FALSE only. [`Embedded`]
//! goes before, and leaves it those alone that it makes well; [`Leftover`] goes behind, and takes what
//! none of its rules could make a join of.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, Result as DfResult, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{
    AggregateFunction, Case, Exists, InSubquery, SetComparison, SetQuantifier,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{
    conjunction, merge_schema, split_conjunction, split_conjunction_owned,
};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, binary_expr,
    lit,
};
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};

use super::dependent::{as_existence, dependent, is_flat, is_outer};
use super::params::number_of;
use super::state::field;
use super::subquery::subquery;
use crate::evaluate::has_query;

/// What stands for a value that is handed to a query.
const HANDED: &str = "value handed in";

/// Before DataFusion looks at a plan: what it would not take, or make wrong joins of.
#[derive(Debug, Default)]
pub(crate) struct Embedded;

/// Behind its rules of queries: what they have left.
#[derive(Debug, Default)]
struct Leftover;

/// Rules of plans with the last of these where it belongs.
pub(crate) fn with_leftover(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut all: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::with_capacity(rules.len() + 1);
    for rule in rules {
        let last = rule.name() == "scalar_subquery_to_join";
        all.push(rule);
        if last {
            all.push(Arc::new(Leftover));
        }
    }
    all
}

impl AnalyzerRule for Embedded {
    fn name(&self) -> &'static str {
        "embedded_queries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        if !any(&plan, &is_condition)? {
            return Ok(plan);
        }
        let settled = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Filter(filter) if has(&filter.predicate, &is_condition) => {
                let schema = filter.input.schema().as_ref().clone();
                let settle = Settle {
                    schema: &schema,
                    joins: true,
                };
                let predicate = settle.within(filter.predicate, Part::Conjunct)?;
                let filter = Filter::try_new(predicate, filter.input)?;
                Ok(Transformed::yes(LogicalPlan::Filter(filter)))
            }
            other => counted(other, &is_condition),
        })?;
        Ok(settled.data)
    }
}

impl OptimizerRule for Leftover {
    fn name(&self) -> &'static str {
        "leftover_queries"
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let left = |expr: &Expr| match expr {
            // One that depends on nothing is run beforehand.
            Expr::ScalarSubquery(query) => !query.outer_ref_columns.is_empty(),
            other => is_condition(other),
        };
        if !any(&plan, &left)? {
            return Ok(Transformed::no(plan));
        }
        plan.transform_up_with_subqueries(|node| counted(node, &left))
    }
}

/// A node whose queries of a kind are counted, or run for each row.
fn counted(node: LogicalPlan, kind: &dyn Fn(&Expr) -> bool) -> DfResult<Transformed<LogicalPlan>> {
    if !node.expressions().iter().any(|expr| has(expr, kind)) {
        return Ok(Transformed::no(node));
    }
    let schema = merge_schema(&node.inputs());
    let settle = Settle {
        schema: &schema,
        joins: false,
    };
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let settled = settle.within(expr, Part::Value)?;
        Ok(Transformed::yes(name.restore(settled)))
    })
}

/// Whether an expression is a query that is TRUE or FALSE.
fn is_condition(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
    )
}

fn has(expr: &Expr, kind: &dyn Fn(&Expr) -> bool) -> bool {
    expr.exists(|part| Ok(kind(part))).unwrap_or(true)
}

/// Whether any expression of a plan, and of the queries within it, is of a kind.
fn any(plan: &LogicalPlan, kind: &dyn Fn(&Expr) -> bool) -> DfResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= has(expr, kind);
            Ok(match found {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })
    })?;
    Ok(found)
}

/// What an expression is of the condition that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// One of those that all have to hold.
    Conjunct,
    /// One that has to hold or another; NULL says no more than FALSE, as above.
    Filter,
    /// Anything else.
    Value,
}

/// How queries within the expressions of one node are made values.
struct Settle<'a> {
    /// The columns of the rows around.
    schema: &'a DFSchema,
    /// Whether a semi, an anti or a mark join may stand for one.
    joins: bool,
}

impl Settle<'_> {
    fn within(&self, expr: Expr, part: Part) -> DfResult<Expr> {
        match expr {
            Expr::BinaryExpr(mut binary)
                if part != Part::Value && matches!(binary.op, Operator::And | Operator::Or) =>
            {
                let part = match binary.op {
                    Operator::And => part,
                    _ => Part::Filter,
                };
                *binary.left = self.within(*binary.left, part)?;
                *binary.right = self.within(*binary.right, part)?;
                Ok(Expr::BinaryExpr(binary))
            }
            Expr::Not(inner) => match *inner {
                Expr::InSubquery(mut within) => {
                    within.negated = !within.negated;
                    self.member(within, part)
                }
                other => Ok(!self.within(other, Part::Value)?),
            },
            Expr::Exists(exists) => {
                let found = self.exists(LogicalPlan::clone(&exists.subquery.subquery))?;
                Ok(match exists.negated {
                    true => !found,
                    false => found,
                })
            }
            Expr::InSubquery(within) => self.member(within, part),
            Expr::SetComparison(comparison) => self.compared(comparison, part),
            Expr::ScalarSubquery(query) if !self.joins && !query.outer_ref_columns.is_empty() => {
                let plan = LogicalPlan::clone(&query.subquery);
                let form = plan.schema().fields().first();
                let form = form.map_or(DataType::Null, |field| field.data_type().clone());
                Ok(self.dependent(plan, &form, None))
            }
            other => Ok(other
                .map_children(|child| Ok(Transformed::yes(self.within(child, Part::Value)?)))?
                .data),
        }
    }

    /// Whether a query has rows.
    fn exists(&self, plan: LogicalPlan) -> DfResult<Expr> {
        let mut outer = Vec::new();
        let plan = hoisted(as_existence(plan), &mut outer)?;
        let found = if self.free(&plan).is_empty() {
            Expr::ScalarSubquery(subquery(first_counted(plan)?)).gt(lit(0_i64))
        } else if self.joins && is_flat(&plan, false) && is_linked(&plan) {
            Expr::Exists(Exists::new(subquery(plan), false))
        } else {
            self.dependent(first_counted(plan)?, &DataType::Int64, None)
                .gt(lit(0_i64))
        };
        let Some(condition) = conjunction(outer) else {
            return Ok(found);
        };
        Ok(self.brought(condition)?.is_true().and(found))
    }

    /// Whether a row of a query passes a test of a value, which `test` is given as that row sees it.
    fn passes(
        &self,
        value: &Expr,
        plan: &LogicalPlan,
        test: impl FnOnce(Expr) -> Expr,
    ) -> DfResult<Expr> {
        let tested = |value: Expr| {
            LogicalPlanBuilder::from(plan.clone())
                .filter(test(value))?
                .build()
        };
        if !has_query(value) && !is_outer(value) {
            return self.exists(tested(outward(self.schema, value.clone())?)?);
        }
        // What cannot stand within the query is handed in.
        let handed = Expr::OuterReferenceColumn(
            Arc::new(field(HANDED, &value.get_type(self.schema)?)),
            Column::new_unqualified(HANDED),
        );
        let count = first_counted(tested(handed.clone())?)?;
        Ok(self
            .dependent(count, &DataType::Int64, Some((handed, value.clone())))
            .gt(lit(0_i64)))
    }

    /// `value IN (query)`.
    fn member(&self, within: InSubquery, part: Part) -> DfResult<Expr> {
        let filters = part != Part::Value;
        let InSubquery {
            expr,
            subquery: query,
            negated,
        } = within;
        let value = self.within(*expr, Part::Value)?;
        let plan = LogicalPlan::clone(&query.subquery);
        let item = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let open = value.nullable(self.schema).unwrap_or(true);
        let known = !open && !plan.schema().field(0).is_nullable();
        let simple = !has_query(&value) && !is_outer(&value) && has_column(&value);
        let joins = match negated {
            // An anti join that knows NULL takes one equality; a mark join knows none.
            true => known || part == Part::Conjunct,
            false => known || filters,
        };
        // One that depends on the row around is as well asked whether it has such a row.
        let joins = joins && self.free(&plan).is_empty();
        if self.joins && simple && joins {
            return Ok(Expr::InSubquery(InSubquery::new(
                Box::new(value),
                subquery(plan),
                negated,
            )));
        }
        let equal = |value: Expr| value.eq(item.clone());
        if filters {
            return match negated {
                true => Ok(!self.passes(&value, &plan, |value| equal(value).is_not_false())?),
                false => self.passes(&value, &plan, equal),
            };
        }
        let hits = self.passes(&value, &plan, equal)?;
        let mut when = vec![(Box::new(hits), Box::new(lit(!negated)))];
        if !known {
            let nulls = LogicalPlanBuilder::from(plan.clone())
                .filter(item.is_null())?
                .build()?;
            let unknown = self
                .exists(nulls)?
                .or(value.is_null().and(self.exists(plan)?));
            when.push((Box::new(unknown), Box::new(null())));
        }
        Ok(either(when, lit(negated)))
    }

    /// `value operator ANY (query)`, and `ALL`.
    fn compared(&self, comparison: SetComparison, part: Part) -> DfResult<Expr> {
        let filters = part != Part::Value;
        let SetComparison {
            expr,
            subquery: query,
            op,
            quantifier,
        } = comparison;
        let value = self.within(*expr, Part::Value)?;
        let plan = LogicalPlan::clone(&query.subquery);
        let item = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let compare = |value: Expr| binary_expr(value, op, item.clone());
        let all = quantifier == SetQuantifier::All;
        if filters {
            return match all {
                true => Ok(!self.passes(&value, &plan, |value| compare(value).is_not_true())?),
                false => self.passes(&value, &plan, compare),
            };
        }
        let decides = self.passes(&value, &plan, |value| match all {
            true => compare(value).is_false(),
            false => compare(value),
        })?;
        let unknown = self.passes(&value, &plan, |value| compare(value).is_null())?;
        let when = vec![
            (Box::new(decides), Box::new(lit(!all))),
            (Box::new(unknown), Box::new(null())),
        ];
        Ok(either(when, lit(all)))
    }

    /// What a query names of the rows around, and the parameters in it.
    fn free(&self, plan: &LogicalPlan) -> Vec<Expr> {
        let mut own = HashSet::new();
        let mut named: Vec<Expr> = Vec::new();
        // Walking fails only when the closures do.
        let _ = plan.apply_with_subqueries(|node| {
            own.extend(node.schema().columns());
            node.apply_expressions(|expr| {
                expr.apply(|part| {
                    let found = match part {
                        Expr::OuterReferenceColumn(..) => true,
                        other => number_of(other).is_some(),
                    };
                    if found && !named.contains(part) {
                        named.push(part.clone());
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        named.retain(|expr| match expr {
            Expr::OuterReferenceColumn(_, column) => {
                self.schema.has_column(column) || !own.contains(column)
            }
            _ => true,
        });
        // Parameters alone make nothing depend on a row.
        let depends = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(..));
        match named.iter().any(depends) {
            true => named,
            false => Vec::new(),
        }
    }

    /// The one value of a query, run for each value of what it depends on.
    fn dependent(&self, plan: LogicalPlan, form: &DataType, handed: Option<(Expr, Expr)>) -> Expr {
        let mut free = self.free(&plan);
        free.retain(|expr| handed.as_ref().is_none_or(|(name, _)| name != expr));
        let mut args: Vec<Expr> = free
            .iter()
            .map(|expr| match expr {
                Expr::OuterReferenceColumn(_, column) if self.schema.has_column(column) => {
                    Expr::Column(column.clone())
                }
                other => other.clone(),
            })
            .collect();
        if let Some((name, value)) = handed {
            free.push(name);
            args.push(value);
        }
        dependent(plan, free, args, form)
    }

    /// A condition of a query on the rows around, where those are.
    fn brought(&self, condition: Expr) -> DfResult<Expr> {
        let brought = condition.transform_up(|part| {
            Ok(match part {
                Expr::OuterReferenceColumn(_, column) if self.schema.has_column(&column) => {
                    Transformed::yes(Expr::Column(column))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(brought.data)
    }
}

/// A query without those conditions that are on the rows around alone.
///
/// As far down as each condition holds for all rows of the query or for none.
fn hoisted(plan: LogicalPlan, outer: &mut Vec<Expr>) -> DfResult<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let input = hoisted(Arc::unwrap_or_clone(filter.input), outer)?;
            let (alone, own): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter.predicate)
                .into_iter()
                .partition(|conjunct| {
                    is_outer(conjunct)
                        && !has_column(conjunct)
                        && !has_query(conjunct)
                        && !conjunct.is_volatile()
                });
            outer.extend(alone);
            match conjunction(own) {
                None => Ok(input),
                Some(own) => Ok(LogicalPlan::Filter(Filter::try_new(own, Arc::new(input))?)),
            }
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => within(plan, outer),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            within(LogicalPlan::Join(join), outer)
        }
        other => Ok(other),
    }
}

/// Whether a condition of a flat query names a column of its own and one of the rows around.
fn is_linked(plan: &LogicalPlan) -> bool {
    let links = |filter: &Filter| {
        let conjuncts = split_conjunction(&filter.predicate);
        conjuncts
            .into_iter()
            .any(|conjunct| is_outer(conjunct) && has_column(conjunct))
    };
    match plan {
        LogicalPlan::Filter(filter) if links(filter) => true,
        LogicalPlan::Filter(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Join(_) => plan.inputs().into_iter().any(is_linked),
        _ => false,
    }
}

fn within(plan: LogicalPlan, outer: &mut Vec<Expr>) -> DfResult<LogicalPlan> {
    let plan = plan.map_children(|child| Ok(Transformed::yes(hoisted(child, outer)?)))?;
    Ok(plan.data)
}

fn null() -> Expr {
    Expr::Literal(ScalarValue::Boolean(None), None)
}

fn either(when_then_expr: Vec<(Box<Expr>, Box<Expr>)>, otherwise: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr,
        else_expr: Some(Box::new(otherwise)),
    })
}

fn has_column(expr: &Expr) -> bool {
    has(expr, &|part| matches!(part, Expr::Column(_)))
}

/// The columns of the rows around as queries see them.
fn outward(schema: &DFSchema, expr: Expr) -> DfResult<Expr> {
    let outward = expr.transform_up(|part| match part {
        Expr::Column(column) => {
            let field = Arc::clone(schema.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(outward.data)
}

/// How many rows a query has: none or one.
fn first_counted(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let count = Expr::AggregateFunction(AggregateFunction::new_udf(
        count_udaf(),
        vec![lit(1_i64)],
        false,
        None,
        Vec::new(),
        None,
    ));
    LogicalPlanBuilder::from(plan)
        .limit(0, Some(1))?
        .aggregate(Vec::<Expr>::new(), vec![count.alias("count")])?
        .build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::table_scan;
    use datafusion::optimizer::Optimizer;
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn what_is_left_is_looked_for_behind_the_last_rule_of_queries() {
        let rules = with_leftover(Optimizer::new().rules);
        let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
        let at = names.iter().position(|name| *name == "leftover_queries");
        assert_eq!(names.get(at.unwrap() - 1), Some(&"scalar_subquery_to_join"));
    }

    #[test]
    fn conditions_on_the_rows_around_alone_leave_a_query() {
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let outer = |name: &str| {
            Expr::OuterReferenceColumn(Arc::new(number(name)), Column::new_unqualified(name))
        };
        let scan = table_scan(Some("t"), &Schema::new(vec![number("a")]), None).unwrap();
        let alone = outer("x").gt(lit(1_i64));
        let linked = col("a").eq(outer("x"));
        let plan = scan
            .filter(alone.clone().and(linked.clone()))
            .unwrap()
            .build()
            .unwrap();
        assert!(is_linked(&plan));
        let mut found = Vec::new();
        let left = hoisted(plan, &mut found).unwrap();
        assert_eq!(found, [alone]);
        let LogicalPlan::Filter(left) = left else {
            panic!("no filter is left: {left}");
        };
        assert!(left.predicate.to_string().contains("outer_ref(x)"));
        let one = left.input.as_ref().clone();
        let below = LogicalPlanBuilder::from(one).limit(0, Some(1)).unwrap();
        let kept = below.filter(outer("x").gt(lit(1_i64))).unwrap();
        assert!(!is_linked(&kept.build().unwrap()));
    }
}
