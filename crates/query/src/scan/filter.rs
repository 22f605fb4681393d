//! What a scan can make of a filter.

use std::ops::Range;

use chronolith_chunk::{Layout, ScanRequest};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

/// What one filter, of those that must all hold, asks of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Rows of some times, exactly.
    Time(Range<i64>),
    /// Rows with one of some values in a text column, and perhaps others.
    Equals(usize, Vec<String>),
    /// Nothing that a scan knows of.
    Nothing,
}

/// Reads a filter over a table's columns.
pub(super) fn read(layout: &Layout, filter: &Expr) -> Pushed {
    match filter {
        Expr::BinaryExpr(binary) if binary.op == Operator::And => {
            let both = (read(layout, &binary.left), read(layout, &binary.right));
            match both {
                (Pushed::Time(one), Pushed::Time(other)) => Pushed::Time(meet(&one, &other)),
                _ => Pushed::Nothing,
            }
        }
        Expr::BinaryExpr(binary) if binary.op == Operator::Or => {
            match (read(layout, &binary.left), read(layout, &binary.right)) {
                (Pushed::Equals(one, mut values), Pushed::Equals(other, more)) if one == other => {
                    values.extend(more);
                    Pushed::Equals(one, values)
                }
                _ => Pushed::Nothing,
            }
        }
        Expr::BinaryExpr(binary) => comparison(layout, binary),
        Expr::Between(between) if !between.negated => {
            let place = column(layout, &between.expr);
            let ends = (value(&between.low), value(&between.high));
            match (place, ends) {
                (Some(place), (Some(low), Some(high))) if Some(place) == layout.time => {
                    Pushed::Time(low..high.saturating_add(1))
                }
                _ => Pushed::Nothing,
            }
        }
        Expr::InList(list) if !list.negated => {
            let texts: Option<Vec<String>> = list.list.iter().map(text).collect();
            match (column(layout, &list.expr), texts) {
                (Some(place), Some(texts)) => Pushed::Equals(place, texts),
                _ => Pushed::Nothing,
            }
        }
        _ => Pushed::Nothing,
    }
}

/// Puts what a filter asks for into a request; false where it asks for more than the request says.
pub(crate) fn asks_for(layout: &Layout, filter: &Expr, request: &mut ScanRequest) -> bool {
    match read(layout, filter) {
        Pushed::Time(range) => request.time = meet(&request.time, &range),
        Pushed::Equals(column, values) => request.equals.push((column, values)),
        Pushed::Nothing => return false,
    }
    true
}

/// Puts what some filters ask for into a request.
pub(super) fn apply(layout: &Layout, filters: &[Expr], request: &mut ScanRequest) {
    for filter in filters {
        asks_for(layout, filter, request);
    }
}

fn meet(one: &Range<i64>, other: &Range<i64>) -> Range<i64> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
}

fn comparison(layout: &Layout, binary: &BinaryExpr) -> Pushed {
    let (place, literal, op) = match (column(layout, &binary.left), column(layout, &binary.right)) {
        (Some(place), None) => (place, &binary.right, binary.op),
        (None, Some(place)) => match binary.op.swap() {
            Some(op) => (place, &binary.left, op),
            None => return Pushed::Nothing,
        },
        _ => return Pushed::Nothing,
    };
    if Some(place) == layout.time {
        let Some(value) = value(literal) else {
            return Pushed::Nothing;
        };
        let next = value.saturating_add(1);
        // The last time there is has no time after it, and a half-open range cannot hold it.
        if value == i64::MAX {
            return Pushed::Nothing;
        }
        return match op {
            Operator::Eq => Pushed::Time(value..next),
            Operator::Lt => Pushed::Time(i64::MIN..value),
            Operator::LtEq => Pushed::Time(i64::MIN..next),
            Operator::Gt => Pushed::Time(next..i64::MAX),
            Operator::GtEq => Pushed::Time(value..i64::MAX),
            _ => Pushed::Nothing,
        };
    }
    match (op, text(literal)) {
        (Operator::Eq, Some(text)) => Pushed::Equals(place, vec![text]),
        _ => Pushed::Nothing,
    }
}

fn column(layout: &Layout, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(column) => layout.columns.iter().position(|c| c.name == column.name),
        _ => None,
    }
}

/// A time or a whole number that is a constant.
fn value(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(value, _) => match value {
            ScalarValue::TimestampMicrosecond(value, _) | ScalarValue::Int64(value) => *value,
            ScalarValue::Int32(value) => value.map(i64::from),
            // Chunks count the times of all types in µs.
            ScalarValue::Date32(value) => {
                value.map(|days| i64::from(days).saturating_mul(86_400_000_000))
            }
            ScalarValue::Int16(value) => value.map(i64::from),
            _ => None,
        },
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(ScalarValue::Utf8View(value) | ScalarValue::Utf8(value), _) => value.clone(),
        _ => None,
    }
}
