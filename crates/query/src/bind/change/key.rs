//! Changes of the one row that has a key: no plan is needed to find it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use chronolith_catalog as catalog;
use chronolith_chunk::locator_type;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use super::super::params::number_of;
use super::super::scope::{Scope, ScopeColumn};
use super::super::state::{Binder, Result, field};
use super::target::{has_query, named};
use super::through::Row;
use super::{ByKey, KeyValue};
use crate::evaluate::Planned;
use crate::insert::is_volatile;

impl Binder<'_> {
    /// The change of a row that is named by a key of its table, if the condition does so; `exprs`
    /// are what is made of it.
    pub(super) fn by_key(
        &mut self,
        table: &catalog::Table,
        row: &Row,
        locator: &str,
        condition: Option<&Expr>,
        exprs: &[Expr],
    ) -> Result<Option<ByKey>> {
        let own = &row.base;
        let Some(condition) = condition.filter(|_| !row.computes()) else {
            return Ok(None);
        };
        // What the views show is wanted too.
        let shown = row.filters().cloned();
        let condition = &shown.fold(condition.clone(), Expr::and);
        let own_alone = |name: &String| self.hidden(name).is_none();
        if !exprs
            .iter()
            .chain([condition])
            .flat_map(named)
            .all(|name| own_alone(&name))
        {
            return Ok(None);
        }
        let known: Vec<(usize, KeyValue)> = split_conjunction(condition)
            .into_iter()
            .filter_map(|part| equal(own, part))
            .collect();
        let key = table.unique_keys().into_iter().find_map(|(key, places)| {
            let value = |place: &usize| {
                let found = known.iter().find(|(known, _)| known == place);
                found.map(|(place, value)| (*place, value.clone()))
            };
            let values = places.iter().map(value).collect::<Option<Vec<_>>>()?;
            Some((key.id, values))
        });
        let Some((constraint, values)) = key else {
            return Ok(None);
        };
        if exprs.iter().chain([condition]).any(has_query) {
            return Ok(None);
        }
        let mut fields: Vec<Field> = vec![field(locator, &locator_type())];
        fields.extend(own.columns.iter().map(|c| field(&c.column, &c.arrow)));
        let input = Arc::new(Schema::new(fields));
        let over = self.over(input, Some(condition.clone()), exprs.to_vec())?;
        Ok(Some(ByKey {
            constraint,
            values,
            over,
        }))
    }
}

/// The column's place and the value of `column = value`.
fn equal(own: &Scope, part: &Expr) -> Option<(usize, KeyValue)> {
    let Expr::BinaryExpr(equal) = part else {
        return None;
    };
    let (column, value) = match (equal.left.as_ref(), equal.op, equal.right.as_ref()) {
        (Expr::Column(column), Operator::Eq, value)
        | (value, Operator::Eq, Expr::Column(column)) => (column, value),
        _ => return None,
    };
    let named = |found: &ScopeColumn| found.column == column.name;
    let place = own.columns.iter().position(named)?;
    let form = &own.columns.get(place)?.arrow;
    let value = match value {
        Expr::Literal(value, _) if value.data_type() == *form => KeyValue::Fixed(value.clone()),
        Expr::Placeholder(of) if of.field.as_ref().is_some_and(|f| f.data_type() == form) => {
            KeyValue::Param(number_of(value)?.checked_sub(1)?)
        }
        Expr::Literal(..) | Expr::Placeholder(_) => return None,
        made => KeyValue::Made(of_no_row(made, form)?, Planned::default()),
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
