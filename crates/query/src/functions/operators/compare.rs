//! Comparisons: DataFusion's own where they mean the same, and how two operands are brought to one
//! form.

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use chronolith_types::{NUMERIC_ANY, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Cast as DfCast, Expr, Operator as Op};

use super::super::error::FunctionError;
use super::super::table::Typed;
use super::super::udf::{self, RowFn};
use super::super::value::Value;
use super::super::{casts, composites, enums, num, numbers};
use super::call;

pub(super) fn comparison(name: &str) -> Option<(Op, RowFn)> {
    let order: (Op, RowFn) = match name {
        "=" => (Op::Eq, |_, a| ordered(a, |o| o == Ordering::Equal)),
        "<>" => (Op::NotEq, |_, a| ordered(a, |o| o != Ordering::Equal)),
        "<" => (Op::Lt, |_, a| ordered(a, |o| o == Ordering::Less)),
        "<=" => (Op::LtEq, |_, a| ordered(a, |o| o != Ordering::Greater)),
        ">" => (Op::Gt, |_, a| ordered(a, |o| o == Ordering::Greater)),
        ">=" => (Op::GtEq, |_, a| ordered(a, |o| o != Ordering::Less)),
        _ => return None,
    };
    Some(order)
}

fn ordered(args: &[Value], test: fn(Ordering) -> bool) -> Result<Value, FunctionError> {
    match args {
        [a, b] => Ok(Value::Bool(test(a.compare(b)))),
        _ => Ok(Value::Null),
    }
}

pub(super) fn compare(op: Op, function: RowFn, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    let [left, right]: [Typed; 2] = args
        .try_into()
        .map_err(|_| FunctionError::internal("a comparison has two operands"))?;
    let (mut left, mut right) = meet(left, right)?;
    let rows = |ty: &SqlType| composites::is_composite(ty.element().unwrap_or(ty));
    if (rows(&left.ty) && rows(&right.ty))
        || (!matches!(op, Op::Eq | Op::NotEq) && enums::ordered(&left.ty) && left.ty == right.ty)
    {
        (left, right) = (enums::rank(left)?, enums::rank(right)?);
    }
    if left.arrow == right.arrow && orders_natively(&left.ty, &left.arrow) {
        return Ok(Typed::new(
            Expr::BinaryExpr(BinaryExpr::new(
                Box::new(left.expr),
                op,
                Box::new(right.expr),
            )),
            SqlType::Bool,
        ));
    }
    let name = match op {
        Op::Eq => "equal",
        Op::NotEq => "not_equal",
        Op::Lt => "less",
        Op::LtEq => "less_or_equal",
        Op::Gt => "greater",
        _ => "greater_or_equal",
    };
    if matches!(left.ty, SqlType::Numeric(_))
        && matches!(right.ty, SqlType::Numeric(_))
        && let Some((name, function)) = numbers::comparison(name)
    {
        return Ok(udf::column_call(
            name,
            function,
            vec![left, right],
            SqlType::Bool,
            DataType::Boolean,
        ));
    }
    call(name, function, vec![left, right], &SqlType::Bool)
}

fn orders_natively(ty: &SqlType, arrow: &DataType) -> bool {
    !matches!(ty, SqlType::Jsonb)
        && *arrow != NUMERIC_ANY
        && !matches!(
            arrow,
            DataType::Interval(_) | DataType::List(_) | DataType::Struct(_) | DataType::Null
        )
}

/// Brings two operands of a comparison to one Arrow type, where that is exact.
fn meet(left: Typed, right: Typed) -> Result<(Typed, Typed), FunctionError> {
    if left.arrow == right.arrow && left.arrow != NUMERIC_ANY {
        return Ok((left, right));
    }
    if let (Some(a), Some(b)) = (width(&left.arrow), width(&right.arrow)) {
        let wide = if a >= b {
            left.arrow.clone()
        } else {
            right.arrow.clone()
        };
        return Ok((widen(left, &wide)?, widen(right, &wide)?));
    }
    if matches!(left.ty, SqlType::Numeric(_)) && matches!(right.ty, SqlType::Numeric(_)) {
        return numerics(left, right);
    }
    let local = |ty: &SqlType| matches!(ty, SqlType::Date | SqlType::Timestamp(_));
    let zoned = |ty: &SqlType| matches!(ty, SqlType::Timestamptz(_));
    if zoned(&left.ty) && local(&right.ty) {
        let right = casts::apply(right, &SqlType::Timestamptz(None), true)?;
        return Ok((left, right));
    }
    if zoned(&right.ty) && local(&left.ty) {
        let left = casts::apply(left, &SqlType::Timestamptz(None), true)?;
        return Ok((left, right));
    }
    if matches!(left.ty, SqlType::Timestamp(_)) && right.ty == SqlType::Date {
        return Ok((left, casts::apply(right, &SqlType::Timestamp(None), true)?));
    }
    if left.ty == SqlType::Date && matches!(right.ty, SqlType::Timestamp(_)) {
        return Ok((casts::apply(left, &SqlType::Timestamp(None), true)?, right));
    }
    Ok((left, right))
}

/// Rank among integers (up to 8) and floats (above).
fn width(arrow: &DataType) -> Option<u8> {
    Some(match arrow {
        DataType::Int16 => 2,
        DataType::Int32 => 4,
        DataType::Int64 => 8,
        DataType::Float32 => 14,
        DataType::Float64 => 18,
        _ => return None,
    })
}

/// A lossless cast by DataFusion; of a literal, done at once.
pub(in super::super) fn widen(value: Typed, arrow: &DataType) -> Result<Typed, FunctionError> {
    if value.arrow == *arrow {
        return Ok(value);
    }
    let expr = match value.as_literal() {
        Some(literal) => Expr::Literal(literal.cast_to(arrow)?, None),
        None => Expr::Cast(DfCast::new(Box::new(value.expr), arrow.clone())),
    };
    Ok(Typed {
        expr,
        ty: value.ty,
        arrow: arrow.clone(),
    })
}

pub(super) fn numerics(left: Typed, right: Typed) -> Result<(Typed, Typed), FunctionError> {
    let (left, right) = (fixed_literal(left), fixed_literal(right));
    let (Some((p1, s1)), Some((p2, s2))) = (fixed(&left.arrow), fixed(&right.arrow)) else {
        return Ok((left, right));
    };
    // A literal that the column's own type holds leaves the column bare, for pruning.
    if let Some(same) = literal_as(&left, &right) {
        return Ok((same, right));
    }
    if let Some(same) = literal_as(&right, &left) {
        return Ok((left, same));
    }
    let scale = s1.max(s2);
    let digits =
        (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2)) + i16::from(scale);
    let form = match u8::try_from(digits) {
        Ok(digits) if digits <= 38 && is128(&left) && is128(&right) => {
            DataType::Decimal128(digits, scale)
        }
        _ => DataType::Decimal256(76, scale),
    };
    Ok((widen(left, &form)?, widen(right, &form)?))
}

/// A literal in the form of a column, when that form holds it exactly.
fn literal_as(literal: &Typed, column: &Typed) -> Option<Typed> {
    let DataType::Decimal128(precision, scale) = column.arrow else {
        return None;
    };
    let value = literal.as_literal()?;
    if column.as_literal().is_some() {
        return None;
    }
    let Ok(Value::Numeric(value)) = udf::read_scalar(value) else {
        return None;
    };
    let unscaled = num::exactly(&value, precision, scale)?;
    Some(Typed {
        expr: Expr::Literal(
            ScalarValue::Decimal128(Some(unscaled), precision, scale),
            None,
        ),
        ty: literal.ty.clone(),
        arrow: column.arrow.clone(),
    })
}

pub(super) fn is128(value: &Typed) -> bool {
    matches!(value.arrow, DataType::Decimal128(..))
}

/// Precision and scale of a numeric all of whose values have one scale.
pub(in super::super) fn fixed(arrow: &DataType) -> Option<(u8, i8)> {
    match arrow {
        form if *form == NUMERIC_ANY => None,
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// A plain numeric literal in the narrowest fixed form that shows the same digits.
pub(in super::super) fn fixed_literal(value: Typed) -> Typed {
    if value.arrow != NUMERIC_ANY {
        return value;
    }
    let Some(literal) = value.as_literal() else {
        return value;
    };
    let Ok(Value::Numeric(number)) = udf::read_scalar(literal) else {
        return value;
    };
    match num::narrowest(&number) {
        Some((unscaled, precision, scale)) => Typed {
            expr: Expr::Literal(
                ScalarValue::Decimal128(Some(unscaled), precision, scale),
                None,
            ),
            ty: value.ty,
            arrow: DataType::Decimal128(precision, scale),
        },
        None => value,
    }
}
