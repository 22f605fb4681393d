//! Rows held against the rows of a query: `(a, b) IN (SELECT …)`, `(a, b) < (SELECT …)`.

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, BinaryOperator};
use chronolith_types::SqlState;
use datafusion::common::ScalarValue;
use datafusion::functions::core;
use datafusion::logical_expr::expr::{Case, Exists, ScalarFunction};
use datafusion::logical_expr::{Expr, lit};

use super::expr::truth;
use super::scope::ScopeColumn;
use super::state::{
    Binder, Place, Rel, Result, column, field, project, typed, unnamed, unsupported,
};
use super::subquery::{count_of, filtered, is_unfit, outward, subquery};
use crate::error::Error;
use crate::functions::Typed;

impl Binder<'_> {
    /// A query that has as many columns as a row has parts.
    fn rows_as_wide(
        &mut self,
        place: Place<'_>,
        left: &[ast::Expr],
        query: &ast::Query,
        at: Option<u32>,
    ) -> Result<Rel> {
        let rel = self.inner(place, query)?;
        let message = match rel.scope.columns.len().cmp(&left.len()) {
            Ordering::Equal => return Ok(rel),
            Ordering::Greater => "subquery has too many columns",
            Ordering::Less => "subquery has too few columns",
        };
        Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at))
    }

    /// `(a, b) [NOT] IN (query)` by how often it is there. Whether it may be there, as NULLs are, is
    /// only asked where some are: that is counted for each row by itself.
    pub(super) fn row_counted(
        &mut self,
        place: Place<'_>,
        left: &[ast::Expr],
        query: &ast::Query,
        negated: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let rel = self.rows_as_wide(place, left, query, at)?;
        let mut pairs = Vec::with_capacity(left.len());
        let mut nulls = lit(false);
        let mut absent = lit(false);
        for (value, found) in left.iter().zip(&rel.scope.columns) {
            let mut value = self.expr(place, value)?;
            if is_unfit(&value.expr)? {
                return Err(unsupported("a row with a query in it among those of a query").at(at));
            }
            absent = absent.or(value.expr.clone().is_null());
            nulls = nulls.or(typed(found).expr.is_null());
            value.expr = outward(value.expr)?;
            pairs.push((value, typed(found)));
        }
        let same = self.compare_pairs(pairs, &BinaryOperator::Eq, at)?.expr;
        let hits = self.count_in(place, filtered(&rel.plan, same.clone())?)?;
        let nulls = self.count_in(place, filtered(&rel.plan, nulls)?)?;
        let name = self.fresh();
        let maybe = count_of(filtered(&rel.plan, same.is_null())?, &name)?;
        let maybe = self.dependent(place, maybe, &DataType::Int64);
        let chosen = |arms: Vec<(Expr, Expr)>| {
            let arms = arms.into_iter();
            Expr::Case(Case {
                expr: None,
                when_then_expr: arms
                    .map(|(when, then)| (Box::new(when), Box::new(then)))
                    .collect(),
                else_expr: Some(Box::new(lit(negated))),
            })
        };
        let unknown = Expr::Literal(ScalarValue::Boolean(None), None);
        let perhaps = chosen(vec![(maybe.gt(lit(0_i64)), unknown)]);
        Ok(truth(chosen(vec![
            (hits.gt(lit(0_i64)), lit(!negated)),
            (nulls.gt(lit(0_i64)).or(absent), perhaps),
        ])))
    }

    /// `(a, b) IN (SELECT …)` where it has to be TRUE.
    pub(super) fn row_among(
        &mut self,
        place: Place<'_>,
        left: &[ast::Expr],
        query: &ast::Query,
        at: Option<u32>,
    ) -> Result<Typed> {
        let rel = self.rows_as_wide(place, left, query, at)?;
        let mut pairs = Vec::with_capacity(left.len());
        for (value, found) in left.iter().zip(&rel.scope.columns) {
            let mut value = self.expr(place, value)?;
            value.expr = outward(value.expr)?;
            pairs.push((value, typed(found)));
        }
        let same = self.compare_pairs(pairs, &BinaryOperator::Eq, at)?;
        let plan = filtered(&rel.plan, same.expr)?;
        Ok(truth(Expr::Exists(Exists::new(subquery(plan), false))))
    }

    /// `(a, b) = (SELECT …)`, and the other operators: the one row of the query is a value of
    /// so many fields, NULL in all of them where there is no row.
    pub(super) fn row_subquery(
        &mut self,
        place: Place<'_>,
        left: &[ast::Expr],
        op: &BinaryOperator,
        query: &ast::Query,
        at: Option<u32>,
    ) -> Result<Typed> {
        let rel = self.rows_as_wide(place, left, query, at)?;
        let name = |number: usize| format!("f{number}");
        let mut parts = Vec::with_capacity(2 * left.len());
        let mut form = Vec::with_capacity(left.len());
        for (number, found) in rel.scope.columns.iter().enumerate() {
            parts.push(lit(name(number)));
            parts.push(column(&found.column));
            form.push(field(&name(number), &found.arrow));
        }
        let row = ScopeColumn {
            column: self.fresh(),
            arrow: DataType::Struct(form.into()),
            ..unnamed("row")
        };
        let made = ScalarFunction::new_udf(core::named_struct(), parts);
        let made = Expr::ScalarFunction(made).alias(&row.column);
        let plan = project(rel.plan, vec![made])?;
        let row = self.value_of(place, plan, &row)?;
        let mut pairs = Vec::with_capacity(left.len());
        for (number, (value, found)) in left.iter().zip(&rel.scope.columns).enumerate() {
            let part = Typed {
                expr: core::expr_fn::get_field(row.clone(), name(number)),
                ty: found.ty.clone(),
                arrow: found.arrow.clone(),
            };
            pairs.push((self.expr(place, value)?, part));
        }
        self.compare_pairs(pairs, op, at)
    }
}
