//! UNION, INTERSECT and EXCEPT.

use chronolith_sql::ast::{SelectItem, SetExpr, SetOperator, SetQuantifier};
use chronolith_types::{SqlState, SqlType};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::scope::{Scope, ScopeColumn};
use super::select::numbered;
use super::state::{Binder, Rel, Result, column, lift, position, project, typed, unsupported};
use crate::error::Error;

impl Binder<'_> {
    pub(super) fn set_operation(
        &mut self,
        left: &SetExpr,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
    ) -> Result<Rel> {
        self.deeper(|binder| binder.set_operation_here(left, op, quantifier, right))
    }

    fn set_operation_here(
        &mut self,
        left: &SetExpr,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: &SetExpr,
    ) -> Result<Rel> {
        let all = match quantifier {
            SetQuantifier::All => true,
            SetQuantifier::None | SetQuantifier::Distinct => false,
            _ => return Err(unsupported("BY NAME")),
        };
        let word = match op {
            SetOperator::Union => "UNION",
            SetOperator::Intersect => "INTERSECT",
            SetOperator::Except | SetOperator::Minus => "EXCEPT",
        };
        for side in [left, right] {
            if let Some(verb) = locks(side) {
                let words = format!("{verb} is not allowed with UNION/INTERSECT/EXCEPT");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, words));
            }
        }
        let mut a = self.body(left, &[], None)?;
        let mut b = self.body(right, &[], None)?;
        if a.scope.columns.len() != b.scope.columns.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            )
            .at(place_of_column(right, 0)));
        }
        // Untyped constants take the type of the other side, so their side is bound again.
        let mut wanted = Vec::with_capacity(a.scope.columns.len());
        for (number, (x, y)) in a.scope.columns.iter().zip(&b.scope.columns).enumerate() {
            let common = self.common(&[x.ty.clone(), y.ty.clone()], word);
            let common = common.map_err(|error| error.at(place_of_column(right, number)))?;
            wanted.push(common.without_typmod());
        }
        let untyped = |rel: &Rel| {
            rel.scope
                .columns
                .iter()
                .zip(&wanted)
                .any(|(found, ty)| found.ty == SqlType::Unknown && *ty != SqlType::Text)
        };
        if untyped(&a) {
            a = self.body(left, &[], Some(&wanted))?;
        }
        if untyped(&b) {
            b = self.body(right, &[], Some(&wanted))?;
        }
        let (a, b) = self.alike(a, b, word, !all || op != SetOperator::Union)?;
        self.put_together(a, b, op, all)
    }

    /// Both sides with the same types and forms, under the same names.
    fn alike(&mut self, a: Rel, b: Rel, word: &str, grouped: bool) -> Result<(Rel, Rel)> {
        let mut lefts = Vec::new();
        let mut rights = Vec::new();
        let mut columns = Vec::new();
        for (x, y) in a.scope.columns.iter().zip(&b.scope.columns) {
            let (values, mut ty) = self.unify(vec![typed(x), typed(y)], word)?;
            if x.ty != y.ty {
                ty = ty.without_typmod();
            }
            let mut values = values.into_iter();
            let (Some(mut left), Some(mut right)) = (values.next(), values.next()) else {
                return Err(Error::internal("two values came back as fewer"));
            };
            if grouped {
                left = self.groupable(left)?;
                right = self.groupable(right)?;
            }
            let name = self.fresh();
            columns.push(ScopeColumn {
                table: None,
                schema: None,
                name: x.name.clone(),
                column: name.clone(),
                ty,
                arrow: left.arrow.clone(),
                origin: None,
                visible: true,
            });
            lefts.push(left.expr.alias(&name));
            rights.push(right.expr.alias(&name));
        }
        let rel = |plan: LogicalPlan, exprs| -> Result<Rel> {
            Ok(Rel {
                plan: project(plan, exprs)?,
                scope: Scope {
                    columns: columns.clone(),
                    relations: Vec::new(),
                },
            })
        };
        Ok((rel(a.plan, lefts)?, rel(b.plan, rights)?))
    }

    fn put_together(&mut self, a: Rel, b: Rel, op: SetOperator, all: bool) -> Result<Rel> {
        let scope = a.scope.clone();
        if op == SetOperator::Union {
            let mut builder = LogicalPlanBuilder::from(a.plan)
                .union(b.plan)
                .map_err(lift)?;
            if !all {
                builder = builder.distinct().map_err(lift)?;
            }
            return Ok(Rel {
                plan: builder.build().map_err(lift)?,
                scope,
            });
        }
        let (mut left, mut right) = (a.plan, b.plan);
        if all {
            // With each duplicate numbered, rows of both sides pair off one by one.
            let number = self.fresh();
            let keys = || {
                scope
                    .columns
                    .iter()
                    .map(|found| column(&found.column))
                    .collect::<Vec<_>>()
            };
            left = numbered(left, keys(), Vec::new(), &number)?;
            right = numbered(right, keys(), Vec::new(), &number)?;
        }
        // The sides of a join need names of their own.
        let mut renamed = Vec::new();
        for field in right.schema().fields() {
            let name = self.fresh();
            renamed.push(column(field.name()).alias(name));
        }
        right = project(right, renamed)?;
        let plan = if op == SetOperator::Intersect {
            LogicalPlanBuilder::intersect(left, right, false)
        } else {
            LogicalPlanBuilder::except(left, right, false)
        }
        .map_err(lift)?;
        let outputs = scope
            .columns
            .iter()
            .map(|found| column(&found.column))
            .collect();
        Ok(Rel {
            plan: project(plan, outputs)?,
            scope,
        })
    }
}

/// What the clause is called by which one side, in its parentheses, locks its rows.
fn locks(side: &SetExpr) -> Option<&'static str> {
    match side {
        SetExpr::Query(query) => match query.locks.first() {
            Some(lock) => Some(crate::session::said(lock).0),
            None => locks(&query.body),
        },
        _ => None,
    }
}

/// Where the expression of a column begins.
pub(super) fn place_of_column(body: &SetExpr, number: usize) -> Option<u32> {
    match body {
        SetExpr::Select(select) => {
            let stars = |item: &SelectItem| {
                matches!(
                    item,
                    SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
                )
            };
            match select.projection.get(..=number) {
                Some(items) if !items.iter().any(stars) => match items.last() {
                    Some(
                        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. },
                    ) => position(expr),
                    _ => None,
                },
                _ => None,
            }
        }
        SetExpr::Query(query) => place_of_column(&query.body, number),
        SetExpr::SetOperation { left, .. } => place_of_column(left, number),
        SetExpr::Values(values) => values.rows.first()?.get(number).and_then(position),
        _ => None,
    }
}
