//! Operators: DataFusion's own comparisons where they mean the same, checked arithmetic by whole
//! columns, and the rest value by value.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use chronolith_types::{NUMERIC_ANY, SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{BinaryExpr, Like};
use datafusion::logical_expr::{
    Cast as DfCast, ColumnarValue, Expr, Operator as Op, ScalarFunctionArgs,
};

use super::error::FunctionError;
use super::table::{Operator, Typed, Volatile};
use super::udf::{self, Row, RowFn};
use super::value::Value;
use super::{arrays, casts, dates, json, num, numbers, patterns, text, times};

/// Whether a row of the recorded operators is offered.
pub(super) fn implements(operator: &Operator) -> bool {
    comparison(operator.name).is_some()
        || arithmetic(operator).is_some()
        || matches!(operator.name, "~~" | "!~~" | "~~*" | "!~~*")
        || row(operator.code).is_some()
}

/// The operator over operands of its types.
pub(super) fn apply(
    operator: &Operator,
    args: Vec<Typed>,
    result: &SqlType,
) -> Result<Typed, FunctionError> {
    if args.len() == 2 {
        let documents = operator.left == Some(SqlType::Jsonb);
        if let Some((op, function)) = comparison(operator.name).filter(|_| !documents) {
            return compare(op, function, args);
        }
        if let Some(op) = arithmetic(operator) {
            return compute(op, args, result);
        }
        if matches!(operator.name, "~~" | "!~~" | "~~*" | "!~~*")
            && args.iter().all(|arg| arg.arrow == DataType::Utf8View)
        {
            return like(operator.name, args);
        }
        if operator.code == "textcat" && args.iter().all(|arg| arg.arrow == DataType::Utf8View) {
            let mut args = args.into_iter().map(|arg| Box::new(arg.expr));
            if let (Some(left), Some(right)) = (args.next(), args.next()) {
                let joined = BinaryExpr::new(left, Op::StringConcat, right);
                return Ok(Typed::new(Expr::BinaryExpr(joined), result.clone()));
            }
            return Err(FunctionError::internal("|| has two operands"));
        }
        if let Some((name, function, zoned)) = times::operator(operator.code)
            && args.iter().all(|arg| times::reads(&arg.arrow))
        {
            let form = result.arrow();
            let call = if zoned {
                udf::stable_column_call
            } else {
                udf::column_call
            };
            return Ok(call(name, function, args, result.clone(), form));
        }
    }
    if operator.code == "numeric_uminus"
        && let [arg] = args.as_slice()
    {
        let form = arg.arrow.clone();
        return Ok(udf::column_call(
            "numeric_uminus",
            numbers::negate,
            args,
            SqlType::Numeric(None),
            form,
        ));
    }
    let function = row(operator.code).ok_or_else(|| {
        FunctionError::unsupported(format!("operator {} is not supported yet", operator.name))
    })?;
    call(operator.code, function, args, result)
}

fn call(
    name: &'static str,
    function: RowFn,
    args: Vec<Typed>,
    result: &SqlType,
) -> Result<Typed, FunctionError> {
    let zoned = args.iter().any(|arg| arg.ty == SqlType::Timestamptz);
    let null_aware = matches!(name, "array_append" | "array_prepend" | "array_cat");
    udf::row_call(
        Row {
            name,
            function,
            strict: !null_aware,
            volatility: if zoned {
                Volatile::Stable
            } else {
                Volatile::Immutable
            },
            ty: result.clone(),
            arrow: result.arrow(),
        },
        args,
    )
}

fn like(name: &str, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    if let Some(Some(ScalarValue::Utf8View(Some(pattern)))) = args.get(1).map(Typed::as_literal) {
        let escapes = pattern.bytes().rev().take_while(|c| *c == b'\\').count();
        if escapes % 2 == 1 {
            return Err(FunctionError::new(
                SqlState::INVALID_ESCAPE_SEQUENCE,
                "LIKE pattern must not end with escape character",
            ));
        }
    }
    let mut args = args.into_iter().map(|arg| Box::new(arg.expr));
    let (Some(expr), Some(pattern)) = (args.next(), args.next()) else {
        return Err(FunctionError::internal("LIKE has two operands"));
    };
    Ok(Typed::new(
        Expr::Like(Like {
            negated: name.starts_with('!'),
            expr,
            pattern,
            escape_char: None,
            case_insensitive: name.ends_with('*'),
        }),
        SqlType::Bool,
    ))
}

// ---------------------------------------------------------------------------------- comparisons

fn comparison(name: &str) -> Option<(Op, RowFn)> {
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

fn compare(op: Op, function: RowFn, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    let [left, right]: [Typed; 2] = args
        .try_into()
        .map_err(|_| FunctionError::internal("a comparison has two operands"))?;
    let (left, right) = meet(left, right)?;
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
    let (zoned, date) = (SqlType::Timestamptz, [SqlType::Date, SqlType::Timestamp]);
    if left.ty == zoned && date.contains(&right.ty) {
        return Ok((left, casts::apply(right, &zoned, true)?));
    }
    if right.ty == zoned && date.contains(&left.ty) {
        return Ok((casts::apply(left, &zoned, true)?, right));
    }
    if left.ty == SqlType::Timestamp && right.ty == SqlType::Date {
        return Ok((left, casts::apply(right, &SqlType::Timestamp, true)?));
    }
    if left.ty == SqlType::Date && right.ty == SqlType::Timestamp {
        return Ok((casts::apply(left, &SqlType::Timestamp, true)?, right));
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
pub(super) fn widen(value: Typed, arrow: &DataType) -> Result<Typed, FunctionError> {
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

fn numerics(left: Typed, right: Typed) -> Result<(Typed, Typed), FunctionError> {
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

fn is128(value: &Typed) -> bool {
    matches!(value.arrow, DataType::Decimal128(..))
}

/// Precision and scale of a numeric all of whose values have one scale.
pub(super) fn fixed(arrow: &DataType) -> Option<(u8, i8)> {
    match arrow {
        form if *form == NUMERIC_ANY => None,
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => Some((*p, *s)),
        _ => None,
    }
}

/// A plain numeric literal in the narrowest fixed form that shows the same digits.
pub(super) fn fixed_literal(value: Typed) -> Typed {
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

// ----------------------------------------------------------------------------------- arithmetic

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// The operators that work on numbers alone.
fn arithmetic(operator: &Operator) -> Option<Arithmetic> {
    let number = |ty: &SqlType| {
        ty.category() == 'N' && *ty != SqlType::Oid && !matches!(ty, SqlType::Reg(_))
    };
    if !number(operator.left.as_ref()?) || !number(&operator.right) || !number(&operator.result) {
        return None;
    }
    Some(match operator.name {
        "+" => Arithmetic::Add,
        "-" => Arithmetic::Subtract,
        "*" => Arithmetic::Multiply,
        "/" => Arithmetic::Divide,
        "%" => Arithmetic::Modulo,
        _ => return None,
    })
}

fn compute(op: Arithmetic, args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
    if matches!(result, SqlType::Numeric(_)) {
        return compute_numeric(op, args);
    }
    let form = result.arrow();
    let args = args
        .into_iter()
        .map(|arg| widen(arg, &form))
        .collect::<Result<Vec<_>, _>>()?;
    let (name, function) = columns(op);
    Ok(udf::column_call(name, function, args, result.clone(), form))
}

fn columns(op: Arithmetic) -> (&'static str, udf::ColumnFn) {
    match op {
        Arithmetic::Add => ("plus", |args, form| kernel(Arithmetic::Add, args, form)),
        Arithmetic::Subtract => ("minus", |args, form| {
            kernel(Arithmetic::Subtract, args, form)
        }),
        Arithmetic::Multiply => ("times", |args, form| {
            kernel(Arithmetic::Multiply, args, form)
        }),
        Arithmetic::Divide => ("divide", |args, form| {
            kernel(Arithmetic::Divide, args, form)
        }),
        Arithmetic::Modulo => ("modulo", |args, form| {
            kernel(Arithmetic::Modulo, args, form)
        }),
    }
}

fn compute_numeric(op: Arithmetic, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    let mut args = args.into_iter().map(fixed_literal);
    let (Some(left), Some(right)) = (args.next(), args.next()) else {
        return Err(FunctionError::internal("arithmetic has two operands"));
    };
    if let (Some((p1, s1)), Some((p2, s2))) = (fixed(&left.arrow), fixed(&right.arrow))
        && let Some((precision, scale)) = fixed_result(op, (p1, s1), (p2, s2))
    {
        let form = if precision <= 38 && is128(&left) && is128(&right) {
            DataType::Decimal128(precision, scale)
        } else {
            DataType::Decimal256(76, scale)
        };
        if op == Arithmetic::Multiply && matches!(form, DataType::Decimal256(..)) {
            return Ok(udf::column_call(
                "times_wide",
                numbers::multiply_wide,
                vec![left, right],
                SqlType::Numeric(None),
                form,
            ));
        }
        let (left, right) = if matches!(form, DataType::Decimal256(..)) {
            (
                widen(left, &DataType::Decimal256(76, s1))?,
                widen(right, &DataType::Decimal256(76, s2))?,
            )
        } else {
            (left, right)
        };
        let (name, function) = columns(op);
        return Ok(udf::column_call(
            name,
            function,
            vec![left, right],
            SqlType::Numeric(None),
            form,
        ));
    }
    let (name, function): (&'static str, udf::ColumnFn) = match op {
        Arithmetic::Add => ("numeric_add", numbers::add),
        Arithmetic::Subtract => ("numeric_sub", numbers::subtract),
        Arithmetic::Multiply => ("numeric_mul", numbers::multiply),
        Arithmetic::Divide => ("numeric_div", numbers::divide),
        Arithmetic::Modulo => ("numeric_mod", numbers::modulo),
    };
    Ok(udf::column_call(
        name,
        function,
        vec![left, right],
        SqlType::Numeric(None),
        NUMERIC_ANY,
    ))
}

/// Precision and scale of fixed-scale arithmetic as Arrow's kernels answer it.
fn fixed_result(op: Arithmetic, (p1, s1): (u8, i8), (p2, s2): (u8, i8)) -> Option<(u8, i8)> {
    match op {
        Arithmetic::Add | Arithmetic::Subtract => {
            let scale = s1.max(s2);
            let whole = (i16::from(p1) - i16::from(s1)).max(i16::from(p2) - i16::from(s2));
            Some((u8::try_from(whole + i16::from(scale) + 1).ok()?, scale))
        }
        Arithmetic::Multiply => {
            let scale = s1.checked_add(s2)?;
            (scale <= 36).then_some((p1.checked_add(p2)?.checked_add(1)?, scale))
        }
        Arithmetic::Divide | Arithmetic::Modulo => None,
    }
}

fn kernel(
    op: Arithmetic,
    args: &ScalarFunctionArgs,
    form: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    let [left, right] = args.args.as_slice() else {
        return Err(FunctionError::internal("arithmetic has two operands"));
    };
    let constant = matches!(
        (left, right),
        (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_))
    );
    let datum = |value: &ColumnarValue| -> Result<Box<dyn arrow::array::Datum>, FunctionError> {
        Ok(match value {
            ColumnarValue::Scalar(scalar) => Box::new(scalar.to_scalar()?),
            ColumnarValue::Array(array) => Box::new(array.clone()),
        })
    };
    let (a, b) = (datum(left)?, datum(right)?);
    if form.is_floating()
        && matches!(op, Arithmetic::Divide)
        && has_zero(b.get().0)?
        && has_value(a.get().0)
    {
        divide_check(left, right, args.number_rows)?;
    }
    let answer = match op {
        Arithmetic::Add => numeric::add(a.as_ref(), b.as_ref()),
        Arithmetic::Subtract => numeric::sub(a.as_ref(), b.as_ref()),
        Arithmetic::Multiply => numeric::mul(a.as_ref(), b.as_ref()),
        Arithmetic::Divide => numeric::div(a.as_ref(), b.as_ref()),
        Arithmetic::Modulo => numeric::rem(a.as_ref(), b.as_ref()),
    };
    let answer = answer.map_err(|error| arithmetic_error(&error, form))?;
    check_floats(op, &answer, a.get().0, b.get().0)?;
    let answer = if answer.data_type() == form {
        answer
    } else {
        arrow::array::make_array(
            answer
                .to_data()
                .into_builder()
                .data_type(form.clone())
                .build()?,
        )
    };
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?)
    } else {
        ColumnarValue::Array(answer)
    })
}

fn has_value(array: &dyn arrow::array::Array) -> bool {
    array.null_count() < array.len()
}

fn has_zero(array: &dyn arrow::array::Array) -> Result<bool, FunctionError> {
    use arrow::array::AsArray;
    Ok(match array.data_type() {
        DataType::Float32 => array
            .as_primitive::<Float32Type>()
            .iter()
            .flatten()
            .any(|v| v == 0.0),
        DataType::Float64 => array
            .as_primitive::<Float64Type>()
            .iter()
            .flatten()
            .any(|v| v == 0.0),
        _ => false,
    })
}

/// A zero divisor is an error only beside a dividend that is not null; NaN / 0 is NaN.
fn divide_check(
    left: &ColumnarValue,
    right: &ColumnarValue,
    rows: usize,
) -> Result<(), FunctionError> {
    let (left, right) = (left.to_array(rows)?, right.to_array(rows)?);
    for row in 0..rows {
        let a = super::value::read(&left, row)?;
        let b = super::value::read(&right, row)?;
        if !a.is_null() && !b.is_null() && b.as_float() == 0.0 && !a.as_float().is_nan() {
            return Err(FunctionError::division_by_zero());
        }
    }
    Ok(())
}

/// PostgreSQL refuses infinities that finite operands made, and zeros that others did.
fn check_floats(
    op: Arithmetic,
    answer: &ArrayRef,
    left: &dyn arrow::array::Array,
    right: &dyn arrow::array::Array,
) -> Result<(), FunctionError> {
    match answer.data_type() {
        DataType::Float32 => check_floats_of::<Float32Type>(op, answer, left, right),
        DataType::Float64 => check_floats_of::<Float64Type>(op, answer, left, right),
        _ => Ok(()),
    }
}

fn check_floats_of<T: ArrowPrimitiveType>(
    op: Arithmetic,
    answer: &ArrayRef,
    left: &dyn arrow::array::Array,
    right: &dyn arrow::array::Array,
) -> Result<(), FunctionError>
where
    T::Native: Into<f64>,
{
    use arrow::array::{Array as _, AsArray};
    let answer = answer.as_primitive::<T>();
    let scaled = matches!(op, Arithmetic::Multiply | Arithmetic::Divide);
    let operand = |side: &dyn arrow::array::Array, row: usize| -> f64 {
        let row = if side.len() == 1 { 0 } else { row };
        side.as_primitive::<T>().value(row).into()
    };
    for (row, value) in answer.values().iter().enumerate() {
        let value: f64 = (*value).into();
        let suspect = value.is_infinite() || (scaled && value == 0.0);
        if !suspect || answer.is_null(row) {
            continue;
        }
        let (a, b) = (operand(left, row), operand(right, row));
        let wrong = match (value == 0.0, op) {
            (true, Arithmetic::Multiply) => (a != 0.0 && b != 0.0).then_some("underflow"),
            (true, _) => (a != 0.0 && b.is_finite()).then_some("underflow"),
            (false, _) => (a.is_finite() && b.is_finite()).then_some("overflow"),
        };
        if let Some(wrong) = wrong {
            return Err(FunctionError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("value out of range: {wrong}"),
            ));
        }
    }
    Ok(())
}

fn arithmetic_error(error: &ArrowError, form: &DataType) -> FunctionError {
    match error {
        ArrowError::DivideByZero => FunctionError::division_by_zero(),
        ArrowError::ArithmeticOverflow(_) => match form {
            DataType::Int16 => FunctionError::out_of_range("smallint"),
            DataType::Int32 => FunctionError::out_of_range("integer"),
            DataType::Int64 => FunctionError::out_of_range("bigint"),
            _ => FunctionError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "value overflows numeric format",
            ),
        },
        other => FunctionError::internal(other.to_string()),
    }
}

// ------------------------------------------------------------------------------- value by value

/// The function behind an operator, by `pg_operator.oprcode`.
pub(super) fn row(code: &str) -> Option<RowFn> {
    let function: RowFn = match code {
        "int2up" | "int4up" | "int8up" | "float4up" | "float8up" | "numeric_uplus" => {
            |_, a| Ok(a.first().cloned().unwrap_or(Value::Null))
        }
        "int2um" | "int4um" | "int8um" | "float4um" | "float8um" | "numeric_uminus" => {
            |c, a| super::math::negate(c, a)
        }
        "int2abs" | "int4abs" | "int8abs" | "float4abs" | "float8abs" | "numeric_abs" => {
            |c, a| super::math::abs(c, a)
        }
        "int2and" | "int4and" | "int8and" => |_, a| ints(a, |a, b| a & b),
        "int2or" | "int4or" | "int8or" => |_, a| ints(a, |a, b| a | b),
        "int2xor" | "int4xor" | "int8xor" => |_, a| ints(a, |a, b| a ^ b),
        "int2not" | "int4not" | "int8not" => |_, a| match a {
            [a] => Ok(Value::Int(!a.as_int())),
            _ => Ok(Value::Null),
        },
        "int2shl" => |_, a| shift(a, |a, n| i64::from(low16(a).wrapping_shl(n))),
        "int4shl" => |_, a| shift(a, |a, n| i64::from(low32(a).wrapping_shl(n))),
        "int8shl" => |_, a| shift(a, i64::wrapping_shl),
        "int2shr" => |_, a| shift(a, |a, n| i64::from(low16(a).wrapping_shr(n))),
        "int4shr" => |_, a| shift(a, |a, n| i64::from(low32(a).wrapping_shr(n))),
        "int8shr" => |_, a| shift(a, i64::wrapping_shr),
        "dpow" | "numeric_power" => |c, a| super::math::power(c, a),
        "dsqrt" => |c, a| super::math::sqrt(c, a),
        "dcbrt" => |_, a| Ok(Value::Float(a.first().map_or(0.0, Value::as_float).cbrt())),

        "textcat" | "byteacat" => |_, a| match a {
            [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Bytes([a.as_slice(), b].concat())),
            [a, b] => Ok(Value::Text([a.as_str(), b.as_str()].concat())),
            _ => Ok(Value::Null),
        },
        // Joined as casts write them: true, not t.
        "textanycat" | "anytextcat" => |c, a| {
            let words = a.iter().map(|value| match value {
                Value::Bool(value) => Value::text(if *value { "true" } else { "false" }),
                other => other.clone(),
            });
            text::concat(c, &words.collect::<Vec<_>>())
        },
        "starts_with" => |_, a| match a {
            [a, b] => Ok(Value::Bool(a.as_str().starts_with(b.as_str()))),
            _ => Ok(Value::Null),
        },
        code if code.ends_with("icregexeq") => |c, a| patterns::matches(c, a, true),
        code if code.ends_with("icregexne") => {
            |c, a| patterns::matches(c, a, true).map(patterns::not)
        }
        code if code.ends_with("regexeq") => |c, a| patterns::matches(c, a, false),
        code if code.ends_with("regexne") => {
            |c, a| patterns::matches(c, a, false).map(patterns::not)
        }

        "date_pli" => |_, a| dates::add_days(a, 1),
        "integer_pl_date" => |_, a| match a {
            [days, date] => dates::add_days(&[date.clone(), days.clone()], 1),
            _ => Ok(Value::Null),
        },
        "date_mii" => |_, a| dates::add_days(a, -1),
        "date_mi" => |_, a| dates::between_days(a),
        "date_pl_interval" | "timestamp_pl_interval" => |_, a| dates::plus_interval(a, 1),
        "interval_pl_date" | "interval_pl_timestamp" => |_, a| dates::plus_interval(&swapped(a), 1),
        "date_mi_interval" | "timestamp_mi_interval" => |_, a| dates::plus_interval(a, -1),
        "timestamptz_pl_interval" => |c, a| dates::plus_interval_zoned(c.zone, a, 1),
        "interval_pl_timestamptz" => |c, a| dates::plus_interval_zoned(c.zone, &swapped(a), 1),
        "timestamptz_mi_interval" => |c, a| dates::plus_interval_zoned(c.zone, a, -1),
        "timestamp_mi" | "timestamptz_mi" => |_, a| dates::between(a),
        "time_mi_time" => |_, a| match a {
            [a, b] => Ok(dates::interval(0, 0, a.as_micros() - b.as_micros())),
            _ => Ok(Value::Null),
        },
        "time_pl_interval" => |_, a| dates::time_plus(a, 1),
        "interval_pl_time" => |_, a| dates::time_plus(&swapped(a), 1),
        "time_mi_interval" => |_, a| dates::time_plus(a, -1),
        "datetime_pl" => |_, a| dates::date_and_time(a),
        "timedate_pl" => |_, a| dates::date_and_time(&swapped(a)),
        "interval_pl" => |_, a| dates::add_intervals(a, 1),
        "interval_mi" => |_, a| dates::add_intervals(a, -1),
        "interval_um" => |_, a| match a {
            [a] => dates::add_intervals(&[dates::interval(0, 0, 0), a.clone()], -1),
            _ => Ok(Value::Null),
        },
        "interval_mul" => |_, a| dates::scale_interval(a, false),
        "mul_d_interval" => |_, a| dates::scale_interval(&swapped(a), false),
        "interval_div" => |_, a| dates::scale_interval(a, true),

        "json_array_element"
        | "jsonb_array_element"
        | "json_object_field"
        | "jsonb_object_field" => |c, a| json::get(c, a, false),
        "json_array_element_text"
        | "jsonb_array_element_text"
        | "json_object_field_text"
        | "jsonb_object_field_text" => |c, a| json::get(c, a, true),
        "json_extract_path" | "jsonb_extract_path" => |c, a| json::path(c, a, false),
        "json_extract_path_text" | "jsonb_extract_path_text" => |c, a| json::path(c, a, true),
        "jsonb_contains" => |_, a| json::contains(a),
        "jsonb_contained" => |_, a| json::contains(&swapped(a)),
        "jsonb_exists" | "jsonb_exists_any" => |_, a| json::exists(a, false),
        "jsonb_exists_all" => |_, a| json::exists(a, true),
        "jsonb_eq" => |_, a| json::compare(a, Ordering::is_eq),
        "jsonb_ne" => |_, a| json::compare(a, Ordering::is_ne),
        "jsonb_lt" => |_, a| json::compare(a, Ordering::is_lt),
        "jsonb_le" => |_, a| json::compare(a, Ordering::is_le),
        "jsonb_gt" => |_, a| json::compare(a, Ordering::is_gt),
        "jsonb_ge" => |_, a| json::compare(a, Ordering::is_ge),
        "jsonb_path_exists_opr" => |_, a| json::path_exists(a, true),
        "jsonb_path_match_opr" => |_, a| json::path_matches(a, true),
        "jsonb_concat" => |_, a| json::concat(a),
        "jsonb_delete" | "pg_catalog.jsonb_delete" => |_, a| json::delete(a),
        "jsonb_delete_path" => |_, a| json::delete_path(a),

        "arraycontains" => |_, a| arrays::contains(a),
        "arraycontained" => |_, a| arrays::contains(&swapped(a)),
        "arrayoverlap" => |_, a| arrays::overlaps(a),
        "array_append" => |_, a| arrays::append(a),
        "array_prepend" => |_, a| arrays::prepend(a),
        "array_cat" => |_, a| arrays::cat(a),
        _ => return None,
    };
    Some(function)
}

fn swapped(args: &[Value]) -> Vec<Value> {
    args.iter().rev().cloned().collect()
}

fn ints(args: &[Value], function: fn(i64, i64) -> i64) -> Result<Value, FunctionError> {
    match args {
        [a, b] => Ok(Value::Int(function(a.as_int(), b.as_int()))),
        _ => Ok(Value::Null),
    }
}

fn shift(args: &[Value], function: fn(i64, u32) -> i64) -> Result<Value, FunctionError> {
    match args {
        // Only the low bits of a shift count.
        [a, n] => {
            let by = u32::try_from(n.as_int() & 63).unwrap_or(0);
            Ok(Value::Int(function(a.as_int(), by)))
        }
        _ => Ok(Value::Null),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value came from a smallint"
)]
fn low16(value: i64) -> i16 {
    value as i16
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value came from an integer"
)]
fn low32(value: i64) -> i32 {
    value as i32
}
