//! Candles as TimescaleDB keeps them, finished, as the states that a store keeps.
//!
//! A state is made that gives the finished value again: a count, sum or extreme is its own state; a
//! first or last value stands at its bucket's start; an average is its own sum, of one row, or for
//! exact numbers of as many as keep its digits. What else a store keeps says more than its value.

use chronolith_catalog::Table;
use chronolith_sql::quoted;
use chronolith_types::SqlType;
use datafusion::logical_expr::Expr;

use crate::functions::aggregate_name;
use crate::rollups::Definition;

/// Digits behind the point that an average has.
const AVERAGE_DIGITS: i8 = 16;

/// What of a store's columns is asked of the table of finished candles, whose columns are named in
/// the order of the view's; or what cannot be.
pub(super) fn states(
    definition: &Definition,
    store: &Table,
    columns: &[String],
) -> Result<Vec<String>, String> {
    let of = |place: usize| columns.get(place).map(|name| quoted(name));
    let shown = |wanted: &Expr| {
        let mut outputs = definition.outputs.iter();
        outputs.position(|output| stripped(&output.expr) == stripped(wanted))
    };
    let bucket_name = definition.bucket_name();
    let grouped = |name: &str| {
        let mut outputs = definition.outputs.iter();
        let place = outputs.position(
            |output| matches!(stripped(&output.expr), Expr::Column(column) if column.name == *name),
        );
        let column = place.and_then(of);
        column.ok_or_else(|| format!("group \"{name}\", which it does not show"))
    };
    let bucket = grouped(bucket_name)?;
    let mut all: Vec<(String, String)> = Vec::new();
    for group in &definition.groups {
        all.push((group.name.clone(), grouped(&group.name)?));
    }
    for agg in &definition.aggs {
        let name = aggregate_name(&agg.call.func);
        let place = shown(&agg.parts.value);
        let missing = || format!("{name}(), which it does not show by itself");
        let value = place.and_then(of).ok_or_else(missing)?;
        let states = agg.parts.states.as_slice();
        let kept = |at: usize| states.get(at).map(|state| state.name.clone());
        match (name, states) {
            ("first" | "last", [_, at]) if time_like(&at.ty) => {
                all.extend(kept(0).map(|state| (state, value.clone())));
                all.extend(kept(1).map(|state| (state, bucket.clone())));
            }
            ("avg", [sum, _]) => {
                let digits = match &sum.ty {
                    SqlType::Numeric(Some((_, scale))) => {
                        u32::try_from(AVERAGE_DIGITS.saturating_sub(*scale)).unwrap_or(0)
                    }
                    _ => 0,
                };
                let rows = 10_i64.pow(digits);
                let times = match digits {
                    0 => value.clone(),
                    _ => format!("({value}) * {rows}"),
                };
                all.extend(kept(0).map(|state| (state, times)));
                let count = format!("CASE WHEN ({value}) IS NULL THEN 0 ELSE {rows} END");
                all.extend(kept(1).map(|state| (state, count)));
            }
            (
                "count" | "sum" | "min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or"
                | "bit_xor",
                [state],
            ) if state.ty != SqlType::Bytea => {
                all.push((state.name.clone(), value));
            }
            _ => return Err(format!("{name}(), of which the source keeps no state")),
        }
    }
    let mut asked = Vec::new();
    for column in &store.columns {
        let found = all.iter().find(|(name, _)| *name == column.name);
        let (_, text) = found.ok_or_else(|| format!("column \"{}\"", column.name))?;
        asked.push(format!("({text})::{}", column.ty));
    }
    Ok(asked)
}

/// Types that a bucket's start can be.
fn time_like(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Timestamptz(_) | SqlType::Timestamp(_) | SqlType::Date
    )
}

/// A value without what shows it in another form.
fn stripped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => stripped(&alias.expr),
        Expr::ScalarFunction(call) if call.func.name() == "reform" => {
            call.args.first().map_or(expr, stripped)
        }
        _ => expr,
    }
}
