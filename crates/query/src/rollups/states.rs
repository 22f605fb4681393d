//! Calls made of the states that continuous aggregates keep for other calls: an average of a sum and
//! a count, a sum of an average's, `count(*)` where a column that is never null was counted.

use arrow::datatypes::DataType;
use chronolith_catalog::Table;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, cast};

use super::definition::{Definition, Source};
use super::plan::Planning;
use super::rewrite::replaced;
use crate::error::Error;
use crate::functions::{aggregate_name, parts_of};
use crate::shape::column;

/// A column of a store, by what it says of a hypertable's rows.
#[derive(Debug, Clone)]
pub(super) struct RowState {
    /// An aggregate over the rows.
    of: Expr,
    /// The column.
    name: String,
    form: DataType,
}

/// What answers a call: aggregates over a store's columns, and the value over their names.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) merged: Vec<(String, Expr)>,
    pub(super) value: Expr,
}

impl Planning<'_> {
    /// The states that a store keeps of a hypertable's rows, however many stores are between.
    pub(super) fn row_states(&self, definition: &Definition) -> Result<Vec<RowState>, Error> {
        let own = definition.aggs.iter().flat_map(|agg| &agg.parts.states);
        let below = match definition.source {
            Source::Table(_) => None,
            Source::View(_) => return Ok(Vec::new()),
            Source::Partials(parent) => Some(self.registry.definition(self.database, parent)?),
        };
        let known = match &below {
            Some(below) => self.row_states(below)?,
            None => Vec::new(),
        };
        let mut states = Vec::new();
        for state in own {
            let of = match &below {
                None => Some(state.partial.clone()),
                // What it merges says what it is of.
                Some(below) => {
                    let mut folded = below.aggs.iter().flat_map(|agg| &agg.parts.states);
                    let folded = folded.find(|folded| folded.fold == state.partial);
                    folded.and_then(|folded| {
                        let of = known.iter().find(|known| known.name == folded.name);
                        of.map(|known| known.of.clone())
                    })
                }
            };
            states.extend(of.map(|of| RowState {
                of,
                name: state.name.clone(),
                form: state.ty.arrow(),
            }));
        }
        Ok(states)
    }
}

/// A call by states of other calls; None where there are none. `place` makes the names its own.
pub(super) fn answer_of(
    call: &AggregateFunction,
    schema: &DFSchema,
    states: &[RowState],
    table: &Table,
    place: usize,
) -> DfResult<Option<Answer>> {
    let params = &call.params;
    let plain = !params.distinct && params.order_by.is_empty() && params.null_treatment.is_none();
    if !plain || !matches!(aggregate_name(&call.func), "count" | "sum" | "avg") {
        return Ok(None);
    }
    let parts = parts_of(call, schema, &format!("asked_{place}"))?;
    let mut known = Vec::with_capacity(parts.states.len());
    for state in &parts.states {
        let form = state.ty.arrow();
        let Some(found) = kept(&state.partial, &form, states, table) else {
            return Ok(None);
        };
        let mut kept = column(&found.name);
        if found.form != form {
            kept = cast(kept, form);
        }
        known.push((column(&state.name), kept));
    }
    let mut merged = Vec::with_capacity(parts.merged.len());
    for (name, expr) in parts.merged {
        merged.push((name, replaced(&expr, &known)?));
    }
    Ok(Some(Answer {
        merged,
        value: parts.value,
    }))
}

/// The column that keeps an aggregate over rows.
fn kept<'s>(
    wanted: &Expr,
    form: &DataType,
    states: &'s [RowState],
    table: &Table,
) -> Option<&'s RowState> {
    let counted = count_of(wanted, table);
    states.iter().find(|state| {
        let same =
            state.of == *wanted || (counted.is_some() && counted == count_of(&state.of, table));
        (same && state.form == *form) || (exact(form, &state.form) && same_sum(wanted, &state.of))
    })
}

/// Whether two forms keep the same numbers.
fn exact(one: &DataType, other: &DataType) -> bool {
    let scale = |form: &DataType| match form {
        DataType::Int64 => Some(0),
        DataType::Decimal128(_, scale) => Some(*scale),
        _ => None,
    };
    scale(one).is_some() && scale(one) == scale(other)
}

/// Of a count: what must not be null, nothing where that never is; and its filter.
fn count_of(expr: &Expr, table: &Table) -> Option<(Option<Expr>, Option<Expr>)> {
    let Expr::AggregateFunction(call) = expr else {
        return None;
    };
    let params = &call.params;
    if aggregate_name(&call.func) != "count" || params.distinct {
        return None;
    }
    let [arg] = params.args.as_slice() else {
        return None;
    };
    let arg = uncast(arg);
    let never_null = match arg {
        Expr::Literal(value, _) => !value.is_null(),
        Expr::Column(found) => {
            let column = table.column_named(&found.name);
            column.is_some_and(|(_, column)| column.not_null)
        }
        _ => false,
    };
    let counted = (!never_null).then(|| arg.clone());
    Some((counted, params.filter.as_deref().cloned()))
}

/// Whether both are sums of the same numbers, in whatever form: that of an average is wider.
fn same_sum(one: &Expr, other: &Expr) -> bool {
    let parts = |expr: &Expr| {
        let Expr::AggregateFunction(call) = expr else {
            return None;
        };
        let [arg] = call.params.args.as_slice() else {
            return None;
        };
        let plain = aggregate_name(&call.func) == "sum"
            && !call.params.distinct
            && call.params.order_by.is_empty();
        let filter = call.params.filter.as_deref().cloned();
        plain.then(|| (uncast(arg).clone(), filter))
    };
    let (one, other) = (parts(one), parts(other));
    one.is_some() && one == other
}

/// A value without what makes a whole number a wider one.
fn uncast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Int64 => &cast.expr,
        other => other,
    }
}
