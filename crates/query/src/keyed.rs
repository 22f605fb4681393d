//! The one row that has a key: no plan is needed to find it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::Layout;
use chronolith_engine::TableView;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use crate::bind::number_of;
use crate::dml::value_of;
use crate::error::Error;
use crate::evaluate::{Planned, has_query};
use crate::functions::SessionVars;
use crate::insert::is_volatile;
use crate::session::Shared;

/// A value of each column of one of a table's unique keys.
#[derive(Debug)]
pub(crate) struct Key {
    constraint: u32,
    /// The places of its columns in the table, and what they are.
    values: Vec<(usize, KeyValue)>,
}

/// A value that a key's column has.
#[derive(Debug, Clone)]
enum KeyValue {
    Fixed(ScalarValue),
    /// A parameter, counted from 0.
    Param(usize),
    /// What an expression gives that names no column.
    Made(Box<Expr>, Planned),
}

impl Key {
    /// The key of a table that a condition names, and what else the condition says; `place` knows the
    /// places of the columns that the condition names.
    pub(crate) fn of(
        table: &Table,
        condition: &Expr,
        place: impl Fn(&str) -> Option<usize>,
    ) -> Option<(Self, Option<Expr>)> {
        let parts = split_conjunction(condition);
        let known: Vec<(usize, (usize, KeyValue))> = parts
            .iter()
            .enumerate()
            .filter_map(|(at, part)| Some((at, equal(table, &place, part)?)))
            .collect();
        table.unique_keys().into_iter().find_map(|(key, places)| {
            let mut used = Vec::with_capacity(places.len());
            let mut values = Vec::with_capacity(places.len());
            for place in &places {
                let (at, value) = known.iter().find(|(_, (known, _))| known == place)?;
                used.push(*at);
                values.push(value.clone());
            }
            let rest = parts
                .iter()
                .enumerate()
                .filter(|(at, _)| !used.contains(at));
            let rest = rest.map(|(_, part)| (*part).clone()).reduce(Expr::and);
            let constraint = key.id;
            Some((Self { constraint, values }, rest))
        })
    }

    /// The constraint whose key it is.
    pub(crate) fn constraint(&self) -> u32 {
        self.constraint
    }

    /// Where the row lies in a view of its table; None where there is none.
    ///
    /// # Errors
    /// What an expression of the key meets, 42P02 for a parameter without a value, and what the disk
    /// gives.
    pub(crate) fn find(
        &self,
        shared: &Arc<Shared>,
        vars: impl Fn() -> Arc<SessionVars>,
        params: &[ScalarValue],
        view: &TableView,
    ) -> Result<Option<i128>, Error> {
        let row = self.row(shared, vars, params, &view.layout)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let found = shared.transact(|transaction| transaction.find(view, self.constraint, &row))?;
        Ok(found.into_iter().flatten().next())
    }

    /// One row of the table's columns that has the key, NULL elsewhere; None where nothing can have it,
    /// a value of it being NULL.
    ///
    /// # Errors
    /// What an expression of the key meets, 42P02 for a parameter without a value.
    pub(crate) fn row(
        &self,
        shared: &Arc<Shared>,
        vars: impl Fn() -> Arc<SessionVars>,
        params: &[ScalarValue],
        layout: &Layout,
    ) -> Result<Option<RecordBatch>, Error> {
        let mut row = Vec::with_capacity(layout.nothing().len());
        for (place, column) in layout.nothing().iter().enumerate() {
            let value = self.values.iter().find(|(known, _)| *known == place);
            let made;
            let value = match value.map(|(_, value)| value) {
                None => None,
                Some(KeyValue::Fixed(value)) => Some(value),
                Some(KeyValue::Param(index)) => Some(
                    params
                        .get(*index)
                        .ok_or_else(|| Error::no_parameter(index + 1))?,
                ),
                Some(KeyValue::Made(expr, planned)) => {
                    made = value_of_key(shared, &vars, params, expr, planned)?;
                    Some(&made)
                }
            };
            row.push(match value {
                // Nothing equals it.
                Some(value) if value.is_null() => return Ok(None),
                Some(value) => value.to_array()?,
                None => Arc::clone(column),
            });
        }
        let row = RecordBatch::try_new(Arc::clone(layout.schema()), row)?;
        Ok(Some(row))
    }
}

/// What an expression of a key gives, which names no column and has no query in it.
fn value_of_key(
    shared: &Arc<Shared>,
    vars: impl Fn() -> Arc<SessionVars>,
    params: &[ScalarValue],
    expr: &Expr,
    planned: &Planned,
) -> Result<ScalarValue, Error> {
    let nothing = Schema::empty();
    let formula = planned.formula(&nothing, None, std::iter::once(expr), params);
    let Some(formula) = formula else {
        return value_of(shared, expr, params);
    };
    let (made, _) = formula.evaluate(&vars(), Vec::new(), 1, params)?;
    let made = made
        .first()
        .ok_or_else(|| Error::internal("an expression without a value"))?;
    Ok(ScalarValue::try_from_array(made, 0)?)
}

/// The column's place and the value of `column = value`.
fn equal(
    table: &Table,
    place: impl Fn(&str) -> Option<usize>,
    part: &Expr,
) -> Option<(usize, KeyValue)> {
    let Expr::BinaryExpr(equal) = part else {
        return None;
    };
    let (column, value) = match (equal.left.as_ref(), equal.op, equal.right.as_ref()) {
        (Expr::Column(column), Operator::Eq, value)
        | (value, Operator::Eq, Expr::Column(column)) => (column, value),
        _ => return None,
    };
    let place = place(&column.name)?;
    let form = table.columns.get(place)?.ty.arrow();
    if form.is_floating() {
        // Minus zero equals zero, and is another key.
        return None;
    }
    let value = match value {
        Expr::Literal(value, _) if value.data_type() == form => KeyValue::Fixed(value.clone()),
        Expr::Placeholder(of) if of.field.as_ref().is_some_and(|f| *f.data_type() == form) => {
            KeyValue::Param(number_of(value)?.checked_sub(1)?)
        }
        Expr::Literal(..) | Expr::Placeholder(_) => return None,
        made => KeyValue::Made(of_no_row(made, &form)?, Planned::default()),
    };
    match &value {
        // Nothing equals it.
        KeyValue::Fixed(ScalarValue::Null) => None,
        _ => Some((place, value)),
    }
}

/// An expression of a type that has one value for a whole statement, whatever the row.
fn of_no_row(expr: &Expr, form: &DataType) -> Option<Box<Expr>> {
    let of_row = expr
        .exists(|part| {
            Ok(matches!(
                part,
                Expr::Column(_) | Expr::OuterReferenceColumn(..)
            ))
        })
        .ok()?;
    if of_row || has_query(expr) || is_volatile(expr).ok()? {
        return None;
    }
    let ty = expr.get_type(&DFSchema::empty()).ok()?;
    (ty == *form).then(|| Box::new(expr.clone()))
}
