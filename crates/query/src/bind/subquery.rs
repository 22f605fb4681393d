//! Queries inside expressions.

use std::sync::Arc;

use chronolith_sql::ast::{self, BinaryOperator};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::{ScalarValue, Spans};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{
    AggregateFunction, Case, Exists, InSubquery, SetComparison, SetQuantifier,
};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, Subquery, lit};

use super::array::native;
use super::dependent::{
    Shape, as_existence, as_set, maybe, normalised, semi_joins, shape, single, unordered,
};
use super::expr::{row_of, symbol_of, truth};
use super::scope::ScopeColumn;
use super::state::{
    Binder, Clause, Place, Rel, Result, column, lift, position, told, typed, unsupported,
};
use crate::error::Error;
use crate::functions::{Typed, of_lists};

impl Binder<'_> {
    /// A query that may name the columns of this place.
    pub(super) fn inner(&mut self, place: Place<'_>, query: &ast::Query) -> Result<Rel> {
        self.outer.push(place.scope.clone());
        let bound = self.query(query, None);
        self.outer.pop();
        let mut rel = bound?;
        for column in &mut rel.scope.columns {
            // In memory both are text.
            if column.ty == SqlType::Unknown {
                column.ty = SqlType::Text;
            }
        }
        Ok(rel)
    }

    fn one_column(&self, rel: &Rel) -> Result<ScopeColumn> {
        match rel.scope.columns.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "subquery must return only one column",
            )),
        }
    }

    pub(super) fn scalar_subquery(
        &mut self,
        place: Place<'_>,
        query: &ast::Query,
    ) -> Result<Typed> {
        let rel = self.inner(place, query)?;
        let found = self.one_column(&rel)?;
        let expr = self.value_of(place, rel.plan, &found)?;
        Ok(Typed {
            expr,
            ty: found.ty,
            arrow: found.arrow,
        })
    }

    /// One column of a query that gives a row of so many; None when it gives another number.
    pub(super) fn one_of_row(
        &mut self,
        place: Place<'_>,
        query: &ast::Query,
        number: usize,
        count: usize,
    ) -> Result<Option<Typed>> {
        let rel = self.inner(place, query)?;
        if rel.scope.columns.len() != count {
            return Ok(None);
        }
        let Some(found) = rel.scope.columns.get(number).cloned() else {
            return Ok(None);
        };
        let plan = super::state::project(rel.plan, vec![column(&found.column)])?;
        Ok(Some(Typed {
            expr: self.value_of(place, plan, &found)?,
            ty: found.ty,
            arrow: found.arrow,
        }))
    }

    /// The value of a query of one column.
    pub(super) fn value_of(
        &mut self,
        place: Place<'_>,
        plan: LogicalPlan,
        found: &ScopeColumn,
    ) -> Result<Expr> {
        if !self.depends(place, &plan) {
            let field = plan.schema().fields().first();
            let plan = if field.is_some_and(|field| field.is_nullable()) {
                plan
            } else {
                self.only(plan, maybe(column(&found.column)))?
            };
            return Ok(Expr::ScalarSubquery(subquery(plan)));
        }
        let plan = normalised(plan, &mut || self.fresh()).map_err(lift)?;
        match shape(&plan) {
            // No join can stand for one within the condition of another.
            _ if place.clause == Clause::On => Ok(self.dependent(place, plan, &found.arrow)),
            Shape::Aggregated => Ok(Expr::ScalarSubquery(subquery(plan))),
            Shape::Plain => {
                let (value, count) = (self.fresh(), self.fresh());
                let first = AggregateFunction::new_udf(
                    datafusion::functions_aggregate::first_last::first_value_udaf(),
                    vec![column(&found.column)],
                    false,
                    None,
                    Vec::new(),
                    None,
                );
                let aggregates = vec![
                    Expr::AggregateFunction(first).alias(&value),
                    count_expr().alias(&count),
                ];
                let aggregated = LogicalPlanBuilder::from(plan)
                    .aggregate(Vec::<Expr>::new(), aggregates)
                    .map_err(lift)?
                    .build()
                    .map_err(lift)?;
                let one = single(column(&value), column(&count));
                let plan = self.only(aggregated, one)?;
                Ok(Expr::ScalarSubquery(subquery(plan)))
            }
            Shape::Other => Ok(self.dependent(place, plan, &found.arrow)),
        }
    }

    /// How many rows a query has.
    pub(super) fn count_in(&mut self, place: Place<'_>, plan: LogicalPlan) -> Result<Expr> {
        let name = self.fresh();
        let count = count_of(plan, &name)?;
        let joins = place.clause != Clause::On && shape(&count) == Shape::Aggregated;
        if self.depends(place, &count) && !joins {
            return Ok(self.dependent(place, count, &arrow::datatypes::DataType::Int64));
        }
        Ok(Expr::ScalarSubquery(subquery(count)))
    }

    pub(super) fn exists(
        &mut self,
        place: Place<'_>,
        query: &ast::Query,
        negated: bool,
    ) -> Result<Typed> {
        let mut rel = self.inner(place, query)?;
        rel.plan = as_existence(rel.plan);
        let joins = !self.depends(place, &rel.plan) || semi_joins(&rel.plan);
        if matches!(place.clause, Clause::Where) && joins {
            return Ok(truth(Expr::Exists(Exists::new(
                subquery(rel.plan),
                negated,
            ))));
        }
        // Elsewhere DataFusion has no EXISTS: it counts.
        let count = self.count_in(place, rel.plan)?;
        Ok(truth(if negated {
            count.eq(lit(0_i64))
        } else {
            count.gt(lit(0_i64))
        }))
    }

    pub(super) fn in_subquery(
        &mut self,
        place: Place<'_>,
        left: &ast::Expr,
        query: &ast::Query,
        negated: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        if let Some(parts) = row_of(left) {
            return self.row_counted(place, parts, query, negated, at);
        }
        let value = self.expr(place, left)?;
        let mut rel = self.inner(place, query)?;
        rel.plan = as_set(rel.plan);
        let found = self.one_column(&rel).map_err(|_| {
            Error::new(SqlState::SYNTAX_ERROR, "subquery has too many columns").at(at)
        })?;
        // The operator says in which type both are compared.
        let equal = self.operate("=", vec![value, typed(&found)], at)?;
        let Expr::BinaryExpr(equal) = equal.expr else {
            return Err(unsupported(format!("IN (SELECT …) of type {}", found.ty)).at(at));
        };
        let plan = self.only(rel.plan, *equal.right)?;
        let joins = !self.depends(place, &plan) || semi_joins(&plan);
        if !matches!(place.clause, Clause::Where) || !joins {
            return self.in_counted(place, *equal.left, plan, negated, at);
        }
        Ok(truth(Expr::InSubquery(InSubquery::new(
            equal.left,
            subquery(plan),
            negated,
        ))))
    }

    /// `value IN (query)` where DataFusion has none: by how often it is there.
    fn in_counted(
        &mut self,
        place: Place<'_>,
        value: Expr,
        plan: LogicalPlan,
        negated: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let unfit = is_unfit(&value)?;
        let Some(field) = plan.schema().fields().first().cloned() else {
            return Err(unsupported("IN (SELECT …) of no column").at(at));
        };
        let item = column(field.name());
        let hits = if unfit {
            // What cannot stand in the inner query is handed in.
            let handed = Expr::OuterReferenceColumn(
                Arc::new(super::state::field(&self.fresh(), field.data_type())),
                datafusion::common::Column::new_unqualified(self.fresh()),
            );
            let name = self.fresh();
            let count = count_of(filtered(&plan, item.clone().eq(handed.clone()))?, &name)?;
            let form = arrow::datatypes::DataType::Int64;
            self.dependent_on(place, count, &form, &[(handed, value.clone())])
        } else {
            // In the inner query the value is the outer query's.
            let outer = outward(value.clone())?;
            self.count_in(place, filtered(&plan, item.clone().eq(outer))?)?
        };
        let nulls = self.count_in(place, filtered(&plan, item.is_null())?)?;
        let all = self.count_in(place, plan)?;
        let unknown = nulls
            .gt(lit(0_i64))
            .or(value.is_null().and(all.gt(lit(0_i64))));
        Ok(truth(Expr::Case(Case {
            expr: None,
            when_then_expr: vec![
                (Box::new(hits.gt(lit(0_i64))), Box::new(lit(!negated))),
                (
                    Box::new(unknown),
                    Box::new(Expr::Literal(ScalarValue::Boolean(None), None)),
                ),
            ],
            else_expr: Some(Box::new(lit(negated))),
        })))
    }

    /// What WHERE says of rows. Where `(a, b) IN (query)` has to be TRUE, as a part that all rows
    /// pass, it makes no difference whether it is FALSE or unknown: a semi join finds that.
    pub(super) fn kept_by(&mut self, place: Place<'_>, condition: &ast::Expr) -> Result<Typed> {
        let parts = parts_of(condition);
        let few = parts.len() <= PARTS_MAX;
        if !few || !parts.iter().any(|part| rows_among(part).is_some()) {
            return self.expr(place, condition);
        }
        let mut all = Vec::with_capacity(parts.len());
        for part in parts {
            let at = position(part);
            let value = match rows_among(part) {
                Some((row, query)) => self.row_among(place, row, query, at)?,
                None => self.expr(place, part)?,
            };
            all.push(self.condition(value, "AND", at)?);
        }
        let all = all.into_iter().reduce(Expr::and);
        Ok(truth(all.unwrap_or_else(|| lit(true))))
    }

    /// `left op ANY (SELECT …)` and `ALL`.
    pub(super) fn quantified_subquery(
        &mut self,
        place: Place<'_>,
        left: &ast::Expr,
        op: &BinaryOperator,
        query: &ast::Query,
        all: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let symbol = symbol_of(op);
        match (symbol.as_str(), all) {
            ("=", false) => return self.in_subquery(place, left, query, false, at),
            ("<>", true) => return self.in_subquery(place, left, query, true, at),
            _ => {}
        }
        let value = self.expr(place, left)?;
        if native(&symbol).is_none() {
            let list = self.array_subquery(place, query)?;
            let SqlType::Array(element) = list.ty.clone() else {
                return Err(Error::internal("a list of another type"));
            };
            return self.over_each(value, &symbol, list, *element, all, at);
        }
        let rel = self.inner(place, query)?;
        let found = self.one_column(&rel).map_err(|error| error.at(at))?;
        let compared = self.operate(&symbol, vec![value, typed(&found)], at)?;
        let Expr::BinaryExpr(compared) = compared.expr else {
            return Err(unsupported(format!("{symbol} ANY (SELECT …) of this type")).at(at));
        };
        let plan = self.only(rel.plan, *compared.right)?;
        let quantifier = if all {
            SetQuantifier::All
        } else {
            SetQuantifier::Any
        };
        Ok(truth(Expr::SetComparison(SetComparison::new(
            compared.left,
            subquery(plan),
            compared.op,
            quantifier,
        ))))
    }

    /// `ARRAY(SELECT …)`.
    pub(super) fn array_subquery(&mut self, place: Place<'_>, query: &ast::Query) -> Result<Typed> {
        let rel = self.inner(place, query)?;
        let found = self.one_column(&rel)?;
        let (expr, arrow) = self.list_of(place, rel.plan, &found)?;
        let list = Typed {
            expr,
            ty: found.ty.clone().array_of(),
            arrow,
        };
        match found.ty {
            SqlType::Array(_) => of_lists(list, found.ty).map_err(told),
            _ => Ok(list),
        }
    }

    /// One column of all rows of a query, as a list and its form.
    pub(super) fn list_of(
        &mut self,
        place: Place<'_>,
        plan: LogicalPlan,
        found: &ScopeColumn,
    ) -> Result<(Expr, arrow::datatypes::DataType)> {
        let (plan, mut order) = unordered(plan);
        let flat = self.depends(place, &plan) && shape(&plan) == Shape::Plain;
        let collected = if flat || !order.is_empty() {
            plan
        } else {
            // The rows are numbered as they come, and collected in that order.
            let number = self.fresh();
            order.push(SortExpr::new(column(&number), true, false));
            super::select::numbered(plan, Vec::new(), Vec::new(), &number)?
        };
        let aggregate = Expr::AggregateFunction(AggregateFunction::new_udf(
            datafusion::functions_aggregate::array_agg::array_agg_udaf(),
            vec![column(&found.column)],
            false,
            None,
            order,
            None,
        ));
        let name = self.fresh();
        let plan = LogicalPlanBuilder::from(collected)
            .aggregate(Vec::<Expr>::new(), vec![aggregate.alias(&name)])
            .map_err(lift)?
            .build()
            .map_err(lift)?;
        let item = Arc::new(arrow::datatypes::Field::new(
            "item",
            found.arrow.clone(),
            true,
        ));
        let form = arrow::datatypes::DataType::List(item);
        let empty = ScalarValue::List(ScalarValue::new_list_nullable(&[], &found.arrow));
        let joins = place.clause != Clause::On && shape(&plan) == Shape::Aggregated;
        let list = if self.depends(place, &plan) && !joins {
            self.dependent(place, plan, &form)
        } else {
            Expr::ScalarSubquery(subquery(plan))
        };
        let empty = Expr::Literal(empty, None);
        let list = datafusion::functions::core::expr_fn::coalesce(vec![list, empty]);
        Ok((list, form))
    }

    /// A plan of one expression alone.
    fn only(&mut self, plan: LogicalPlan, expr: Expr) -> Result<LogicalPlan> {
        if let (Expr::Column(found), [one]) = (&expr, plan.schema().fields().as_ref())
            && found.name == *one.name()
        {
            return Ok(plan);
        }
        let name = self.fresh();
        super::state::project(plan, vec![expr.alias(name)])
    }
}

/// The columns of a place as its subqueries see them.
pub(super) fn outward(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    // The types of the fields are looked up when the plan is built; only the names count here.
    Ok(expr
        .transform_up(|node| match node {
            Expr::Column(found) => {
                let field = super::state::field(&found.name, &arrow::datatypes::DataType::Null);
                Ok(Transformed::yes(Expr::OuterReferenceColumn(
                    Arc::new(field),
                    found,
                )))
            }
            other => Ok(Transformed::no(other)),
        })
        .map_err(lift)?
        .data)
}

fn count_expr() -> Expr {
    Expr::AggregateFunction(AggregateFunction::new_udf(
        count_udaf(),
        vec![lit(1_i64)],
        false,
        None,
        Vec::new(),
        None,
    ))
}

pub(super) fn count_of(plan: LogicalPlan, name: &str) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), vec![count_expr().alias(name)])
        .map_err(lift)?
        .build()
        .map_err(lift)
}

pub(super) fn subquery(plan: LogicalPlan) -> Subquery {
    Subquery {
        outer_ref_columns: plan.all_out_ref_exprs(),
        subquery: Arc::new(plan),
        spans: Spans::new(),
    }
}

/// More parts are taken as they are: what walks them nests as deep as they are many.
const PARTS_MAX: usize = 64;

/// The parts that AND joins, from left to right.
fn parts_of(condition: &ast::Expr) -> Vec<&ast::Expr> {
    let (mut parts, mut open) = (Vec::new(), vec![condition]);
    while let Some(part) = open.pop() {
        match part {
            ast::Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => open.extend([right.as_ref(), left.as_ref()]),
            ast::Expr::Nested(inner) if matches!(**inner, ast::Expr::BinaryOp { .. }) => {
                open.push(inner);
            }
            part => parts.push(part),
        }
    }
    parts
}

/// The row and the query of `(a, b) IN (query)`.
fn rows_among(part: &ast::Expr) -> Option<(&[ast::Expr], &ast::Query)> {
    match part {
        ast::Expr::InSubquery {
            expr,
            subquery,
            negated: false,
        } => Some((row_of(expr)?, subquery)),
        ast::Expr::Nested(inner) => match inner.as_ref() {
            ast::Expr::InSubquery {
                expr,
                subquery,
                negated: false,
            } => Some((row_of(expr)?, subquery)),
            _ => None,
        },
        _ => None,
    }
}

/// The rows of a plan that a condition keeps.
pub(super) fn filtered(plan: &LogicalPlan, condition: Expr) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan.clone())
        .filter(condition)
        .map_err(lift)?
        .build()
        .map_err(lift)
}

/// Whether an expression cannot stand in a query within that which it is of.
pub(super) fn is_unfit(value: &Expr) -> Result<bool> {
    let unfit = |node: &Expr| {
        matches!(
            node,
            Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)
        )
    };
    datafusion::common::tree_node::TreeNode::exists(value, |node| Ok(unfit(node))).map_err(lift)
}
