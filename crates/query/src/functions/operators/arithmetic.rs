//! Checked arithmetic by whole columns.

use arrow::array::ArrayRef;
use arrow::compute::kernels::numeric;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use chronolith_types::{NUMERIC_ANY, SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::super::error::FunctionError;
use super::super::numbers;
use super::super::table::{Operator, Typed};
use super::super::udf;
use super::super::value;
use super::compare::{fixed, fixed_literal, is128, widen};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// The operators that work on numbers alone.
pub(super) fn arithmetic(operator: &Operator) -> Option<Arithmetic> {
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

pub(super) fn compute(
    op: Arithmetic,
    args: Vec<Typed>,
    result: &SqlType,
) -> Result<Typed, FunctionError> {
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
        let a = value::read(&left, row)?;
        let b = value::read(&right, row)?;
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
