//! Which unique indexes the target of ON CONFLICT means: those of its columns and expressions, in
//! any order, whose rows its predicate promises.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use chronolith_catalog::{self as catalog, Index};
use chronolith_sql::ast;
use chronolith_types::ColumnId;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::super::scope::Scope;
use super::super::state::{Binder, Clause, Place, Result, lift, position};
use super::Arbiters;
use super::assign::Given;
use super::conflict::{deferrable_arbiter, no_arbiter};
use crate::bind::{Alone, bind_over};

/// What a target says, over the table's columns by their names.
#[derive(Debug, Default)]
pub(super) struct Inferred {
    pub(super) columns: BTreeSet<ColumnId>,
    pub(super) expressions: Vec<Expr>,
    pub(super) predicate: Option<Expr>,
}

impl Binder<'_> {
    /// A target that is written with more than columns. What it says must be right even where no
    /// index is of that kind.
    pub(super) fn inferred(
        &mut self,
        given: &Given<'_>,
        target: &chronolith_sql::ConflictTarget,
    ) -> Result<Inferred> {
        let catalog = given.table;
        let nothing = Scope::default();
        let scope = given.shown.unwrap_or(&nothing);
        let place = Place {
            scope,
            clause: Clause::Alone(Alone::IndexKey),
        };
        let mut inferred = Inferred::default();
        for key in &target.keys {
            let bound = self.expr(place, key)?;
            let mut bare = key;
            while let ast::Expr::Nested(inner) | ast::Expr::Collate { expr: inner, .. } = bare {
                bare = inner;
            }
            let column = match bare {
                ast::Expr::Identifier(name) => {
                    let found = given.place(&name.value).and_then(|found| found.ok());
                    found.and_then(|place| catalog.columns.get(place))
                }
                _ => None,
            };
            match column {
                Some(column) => {
                    inferred.columns.insert(column.id);
                }
                None => inferred.expressions.push(below(given, scope, bound.expr)?),
            }
        }
        if let Some(predicate) = &target.predicate {
            let value = self.expr(place, predicate)?;
            let value = self.condition(value, "WHERE", position(predicate))?;
            inferred.predicate = Some(simple(below(given, scope, value)?)?);
        }
        Ok(inferred)
    }

    /// The keys that fit.
    pub(super) fn fitting(&mut self, given: &Given<'_>, inferred: &Inferred) -> Result<Arbiters> {
        let table = given.table;
        let mut arbiters = Arbiters::default();
        let mut waits = false;
        let plain = inferred.expressions.is_empty() && !inferred.columns.is_empty();
        for constraint in table.constraints.iter().filter(|_| plain) {
            let Some(columns) = constraint.kind.unique_columns() else {
                continue;
            };
            if columns.iter().copied().collect::<BTreeSet<_>>() != inferred.columns {
                continue;
            }
            match constraint.is_kept_by_chunks() {
                // An index without a predicate serves a target with one, as in PostgreSQL.
                true => arbiters.constraints.push(constraint.id),
                false if constraint.marks.deferrable => waits = true,
                false => {
                    let mut indexes = table.indexes.iter();
                    let index = indexes.find(|index| index.name == constraint.name);
                    arbiters.indexes.extend(index.map(|index| index.id));
                }
            }
        }
        let columns = crate::insert::columns_of(table);
        for index in table.indexes.iter().filter(|index| index.unique) {
            let mut constraints = table.constraints.iter();
            if constraints.any(|constraint| constraint.name == index.name) {
                continue;
            }
            if self.fits(table, &columns, index, inferred)? {
                arbiters.indexes.push(index.id);
            }
        }
        match arbiters.constraints.is_empty() && arbiters.indexes.is_empty() {
            true if waits => Err(deferrable_arbiter()),
            true => Err(no_arbiter()),
            false => Ok(arbiters),
        }
    }

    /// Whether an index is of what a target says.
    fn fits(
        &mut self,
        table: &catalog::Table,
        over: &[(
            String,
            chronolith_types::SqlType,
            arrow::datatypes::DataType,
        )],
        index: &Index,
        inferred: &Inferred,
    ) -> Result<bool> {
        let bound = |text: &str| {
            let tree = chronolith_sql::expression(text)?;
            let bound = bind_over(self.names, &tree, &table.name, over)?;
            nameless(bound.expr)
        };
        let mut columns = BTreeSet::new();
        let mut expressions = Vec::new();
        for key in &index.keys {
            let key = bound(&crate::catalogs::key_of_index(table, key))?;
            match &key {
                Expr::Column(column) => {
                    let found = table.column_named(&column.name);
                    columns.extend(found.map(|(_, column)| column.id));
                }
                _ => expressions.push(key),
            }
        }
        let each = |of: &[Expr], others: &[Expr]| of.iter().all(|one| others.contains(one));
        if columns != inferred.columns
            || !each(&expressions, &inferred.expressions)
            || !each(&inferred.expressions, &expressions)
        {
            return Ok(false);
        }
        let Some(predicate) = &index.predicate else {
            return Ok(true);
        };
        let wanted = simple(bound(predicate)?)?;
        let known = inferred.predicate.as_ref();
        Ok(known.is_some_and(|known| promises(known, &wanted)))
    }
}

/// What a statement says of a row, over the table's columns by their names.
fn below(given: &Given<'_>, scope: &Scope, expr: Expr) -> Result<Expr> {
    let renamed = expr.transform(|expr| {
        let Expr::Column(column) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let mut columns = scope.columns.iter();
        let at = columns.position(|known| known.column == column.name);
        let place = at.and_then(|at| given.place_at(at)?.ok());
        let named = place.and_then(|place| given.table.columns.get(place));
        Ok(match named {
            Some(named) => Transformed::yes(Expr::Column(Column::new_unqualified(&named.name))),
            None => Transformed::no(expr),
        })
    });
    renamed.map(|renamed| renamed.data).map_err(lift)
}

/// Columns by their names alone.
fn nameless(expr: Expr) -> Result<Expr> {
    let renamed = expr.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => {
                Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
            }
            other => Transformed::no(other),
        })
    });
    renamed.map(|renamed| renamed.data).map_err(lift)
}

/// `x = true` and `x = false` as `x` and `NOT x`.
fn simple(expr: Expr) -> Result<Expr> {
    let made = expr.transform_up(|expr| {
        let Some((tested, op, ScalarValue::Boolean(Some(value)))) = comparison(&expr) else {
            return Ok(Transformed::no(expr));
        };
        let same = match op {
            Operator::Eq => *value,
            Operator::NotEq => !*value,
            _ => return Ok(Transformed::no(expr)),
        };
        Ok(Transformed::yes(match (same, tested) {
            (true, tested) => tested.clone(),
            (false, Expr::Not(inner)) => inner.as_ref().clone(),
            (false, tested) => Expr::Not(Box::new(tested.clone())),
        }))
    });
    made.map(|made| made.data).map_err(lift)
}

/// Whether rows of which one thing is true are rows of which another is true.
fn promises(known: &Expr, wanted: &Expr) -> bool {
    split_conjunction(wanted)
        .into_iter()
        .all(|wanted| promises_one(known, wanted))
}

fn promises_one(known: &Expr, wanted: &Expr) -> bool {
    // Either of two things promises it, or both do where only one of them is known.
    if let Some((left, right)) = either(known) {
        return promises_one(left, wanted) && promises_one(right, wanted);
    }
    if let Some((left, right)) = either(wanted)
        && (promises(known, left) || promises(known, right))
    {
        return true;
    }
    split_conjunction(known)
        .into_iter()
        .any(|known| known == wanted || follows(known, wanted))
}

fn either(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Or,
            right,
        }) => Some((left, right)),
        _ => None,
    }
}

/// Whether one comparison makes another true.
fn follows(known: &Expr, wanted: &Expr) -> bool {
    let Some((column, op, value)) = comparison(known) else {
        return false;
    };
    // What is compared is not NULL.
    if let Expr::IsNotNull(inner) = wanted {
        return **inner == *column;
    }
    let Some((other, asked, bound)) = comparison(wanted) else {
        return false;
    };
    if other != column {
        return false;
    }
    let Some(order) = value.partial_cmp(bound) else {
        return false;
    };
    match (op, asked) {
        (Operator::Eq, Operator::Eq) => order == Ordering::Equal,
        (Operator::Eq, Operator::NotEq) => order != Ordering::Equal,
        (Operator::Eq | Operator::Gt | Operator::GtEq, Operator::Gt) => {
            order == Ordering::Greater || (order == Ordering::Equal && op == Operator::Gt)
        }
        (Operator::Eq | Operator::Gt | Operator::GtEq, Operator::GtEq) => order != Ordering::Less,
        (Operator::Eq | Operator::Lt | Operator::LtEq, Operator::Lt) => {
            order == Ordering::Less || (order == Ordering::Equal && op == Operator::Lt)
        }
        (Operator::Eq | Operator::Lt | Operator::LtEq, Operator::LtEq) => {
            order != Ordering::Greater
        }
        (Operator::Gt, Operator::NotEq) => order != Ordering::Less,
        (Operator::GtEq, Operator::NotEq) => order == Ordering::Greater,
        (Operator::Lt, Operator::NotEq) => order != Ordering::Greater,
        (Operator::LtEq, Operator::NotEq) => order == Ordering::Less,
        _ => false,
    }
}

/// Something held against a value.
fn comparison(expr: &Expr) -> Option<(&Expr, Operator, &ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return None;
    };
    let compares = matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    );
    match (left.as_ref(), right.as_ref()) {
        _ if !compares => None,
        (_, Expr::Literal(value, _)) if !value.is_null() => Some((left, *op, value)),
        (Expr::Literal(value, _), _) if !value.is_null() => Some((right, op.swap()?, value)),
        _ => None,
    }
}
