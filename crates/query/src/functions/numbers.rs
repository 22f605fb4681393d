//! Numeric columns: arithmetic, comparison, rounding and casts without a value per row.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, Float64Array,
    Int16Array, Int32Array, Int64Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, i256};
use chronolith_types::{NUMERIC_ANY, NUMERIC_ANY_SCALE, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::error::FunctionError;
use super::num::{self, Numeric};
use super::operators::fixed;
use super::table::Typed;
use super::udf::{self, ColumnFn};

/// A numeric argument in whatever form it came.
struct Numbers {
    form: Form,
    nulls: Option<NullBuffer>,
    /// One value for all rows.
    constant: bool,
}

enum Form {
    Small(ScalarBuffer<i128>, u8),
    Wide(ScalarBuffer<i256>, u8),
    Plain(ScalarBuffer<i256>),
}

impl Numbers {
    fn of(args: &ScalarFunctionArgs, index: usize) -> Result<Self, FunctionError> {
        let arg = args
            .args
            .get(index)
            .ok_or_else(|| FunctionError::internal("a numeric function has too few arguments"))?;
        let constant = matches!(arg, ColumnarValue::Scalar(_));
        let mut array = arg.to_array(if constant { 1 } else { args.number_rows })?;
        if array.data_type().is_integer() {
            array = arrow::compute::cast(&array, &DataType::Decimal128(20, 0))?;
        }
        let nulls = array.nulls().cloned();
        let form = match array.data_type() {
            DataType::Decimal128(_, scale) => Form::Small(
                array.as_primitive::<Decimal128Type>().values().clone(),
                scale.unsigned_abs(),
            ),
            form if *form == NUMERIC_ANY => {
                Form::Plain(array.as_primitive::<Decimal256Type>().values().clone())
            }
            DataType::Decimal256(_, scale) => Form::Wide(
                array.as_primitive::<Decimal256Type>().values().clone(),
                scale.unsigned_abs(),
            ),
            other => {
                return Err(FunctionError::internal(format!("{other} is no numeric")));
            }
        };
        Ok(Self {
            form,
            nulls,
            constant,
        })
    }

    fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    fn get(&self, row: usize) -> Numeric {
        let row = self.at(row);
        match &self.form {
            Form::Small(values, scale) => Numeric::Finite {
                unscaled: i256::from_i128(values[row]),
                scale: *scale,
            },
            Form::Wide(values, scale) => Numeric::Finite {
                unscaled: values[row],
                scale: *scale,
            },
            Form::Plain(codes) => num::from_any(codes[row]),
        }
    }

    /// The value in the digits of the plain form, and the scale it shows; none where that form
    /// does not have it.
    fn digits(&self, row: usize) -> Option<(i256, u8)> {
        let row = self.at(row);
        let up = |value: i256, scale: u8| {
            let more = NUMERIC_ANY_SCALE.checked_sub(scale)?;
            Some((value.checked_mul(num::ten_to(more))?, scale))
        };
        match &self.form {
            Form::Small(values, scale) => up(i256::from_i128(values[row]), *scale),
            Form::Wide(values, scale) => up(values[row], *scale),
            Form::Plain(codes) => num::any_digits(codes[row]),
        }
    }
}

/// How many rows to compute, and which of them have values.
fn extent(args: &ScalarFunctionArgs, numbers: &[&Numbers]) -> (usize, Option<NullBuffer>) {
    let constant = numbers.iter().all(|numbers| numbers.constant);
    let rows = if constant { 1 } else { args.number_rows };
    let mut valid = None;
    for numbers in numbers {
        let nulls = match &numbers.nulls {
            Some(nulls) if numbers.constant && rows != 1 => {
                (nulls.null_count() > 0).then(|| NullBuffer::new_null(rows))
            }
            other => other.clone(),
        };
        valid = NullBuffer::union(valid.as_ref(), nulls.as_ref());
    }
    (rows, valid.filter(|valid| valid.null_count() > 0))
}

/// A value for each row that has one.
fn each<T: Copy>(
    rows: usize,
    valid: Option<&NullBuffer>,
    none: T,
    mut compute: impl FnMut(usize) -> Result<T, FunctionError>,
) -> Result<Vec<T>, FunctionError> {
    match valid {
        None => (0..rows).map(compute).collect(),
        Some(valid) => {
            let mut values = vec![none; rows];
            for row in valid.valid_indices() {
                if let Some(slot) = values.get_mut(row) {
                    *slot = compute(row)?;
                }
            }
            Ok(values)
        }
    }
}

fn finished(array: ArrayRef, constant: bool) -> Result<ColumnarValue, FunctionError> {
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}

fn plain(
    codes: Vec<i256>,
    valid: Option<NullBuffer>,
    constant: bool,
) -> Result<ColumnarValue, FunctionError> {
    let array = Decimal256Array::try_new(codes.into(), valid)?.with_data_type(NUMERIC_ANY);
    finished(Arc::new(array), constant)
}

// ----------------------------------------------------------------------------------- arithmetic

type Two = fn(&Numeric, &Numeric) -> Result<Numeric, FunctionError>;

/// Two numerics of any forms to a plain one.
fn two(args: &ScalarFunctionArgs, function: Two) -> Result<ColumnarValue, FunctionError> {
    let (left, right) = (Numbers::of(args, 0)?, Numbers::of(args, 1)?);
    let (rows, valid) = extent(args, &[&left, &right]);
    let codes = each(rows, valid.as_ref(), i256::ZERO, |row| {
        num::to_any(&function(&left.get(row), &right.get(row))?)
    })?;
    plain(codes, valid, left.constant && right.constant)
}

/// A sum or a difference: the digits of the plain form add up as they are.
fn sum(args: &ScalarFunctionArgs, negative: bool) -> Result<ColumnarValue, FunctionError> {
    let (left, right) = (Numbers::of(args, 0)?, Numbers::of(args, 1)?);
    let (rows, valid) = extent(args, &[&left, &right]);
    let codes = each(rows, valid.as_ref(), i256::ZERO, |row| {
        if let (Some((a, s)), Some((b, t))) = (left.digits(row), right.digits(row)) {
            let sum = if negative {
                a.checked_sub(b)
            } else {
                a.checked_add(b)
            };
            return num::any_of_digits(sum.ok_or_else(num::overflow)?, s.max(t));
        }
        let (a, b) = (left.get(row), right.get(row));
        num::to_any(&if negative {
            num::sub(&a, &b)?
        } else {
            num::add(&a, &b)?
        })
    })?;
    plain(codes, valid, left.constant && right.constant)
}

pub(super) fn add(args: &ScalarFunctionArgs, _: &DataType) -> Result<ColumnarValue, FunctionError> {
    sum(args, false)
}

pub(super) fn subtract(
    args: &ScalarFunctionArgs,
    _: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    sum(args, true)
}

pub(super) fn multiply(
    args: &ScalarFunctionArgs,
    _: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    two(args, num::mul)
}

pub(super) fn divide(
    args: &ScalarFunctionArgs,
    _: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    two(args, num::div)
}

pub(super) fn modulo(
    args: &ScalarFunctionArgs,
    _: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    two(args, num::rem)
}

/// A product of fixed scales that may need 256 bits; most factors need 64.
pub(super) fn multiply_wide(
    args: &ScalarFunctionArgs,
    form: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    let (left, right) = (Numbers::of(args, 0)?, Numbers::of(args, 1)?);
    let (rows, valid) = extent(args, &[&left, &right]);
    let product = |a: i256, b: i256| a.checked_mul(b).ok_or_else(num::overflow);
    let small = |a: i128, b: i128| match (i64::try_from(a), i64::try_from(b)) {
        (Ok(a), Ok(b)) => Ok(i256::from_i128(i128::from(a) * i128::from(b))),
        _ => product(i256::from_i128(a), i256::from_i128(b)),
    };
    let values = match (&left.form, &right.form) {
        (Form::Small(a, _), Form::Small(b, _)) => each(rows, valid.as_ref(), i256::ZERO, |row| {
            small(a[left.at(row)], b[right.at(row)])
        })?,
        (a, b) => {
            let unscaled = |form: &Form, row: usize| match form {
                Form::Small(values, _) => i256::from_i128(values[row]),
                Form::Wide(values, _) | Form::Plain(values) => values[row],
            };
            each(rows, valid.as_ref(), i256::ZERO, |row| {
                product(unscaled(a, left.at(row)), unscaled(b, right.at(row)))
            })?
        }
    };
    let array = Decimal256Array::try_new(values.into(), valid)?.with_data_type(form.clone());
    finished(Arc::new(array), left.constant && right.constant)
}

/// `-x` of a fixed or plain numeric.
pub(super) fn negate(
    args: &ScalarFunctionArgs,
    form: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    let (rows, valid) = extent(args, &[&numbers]);
    let array: ArrayRef = match &numbers.form {
        Form::Small(values, _) => {
            let values: Vec<i128> = values.iter().map(|value| value.wrapping_neg()).collect();
            Arc::new(Decimal128Array::try_new(values.into(), valid)?.with_data_type(form.clone()))
        }
        Form::Wide(values, _) => {
            let values: Vec<i256> = values.iter().map(|value| value.wrapping_neg()).collect();
            Arc::new(Decimal256Array::try_new(values.into(), valid)?.with_data_type(form.clone()))
        }
        Form::Plain(_) => {
            let codes = each(rows, valid.as_ref(), i256::ZERO, |row| {
                num::to_any(&num::neg(&numbers.get(row)))
            })?;
            return plain(codes, valid, numbers.constant);
        }
    };
    finished(array, numbers.constant)
}

// ---------------------------------------------------------------------------------- comparisons

/// A comparison of numerics of any forms, by the test of their order.
fn ordered(
    args: &ScalarFunctionArgs,
    test: fn(Ordering) -> bool,
) -> Result<ColumnarValue, FunctionError> {
    let (left, right) = (Numbers::of(args, 0)?, Numbers::of(args, 1)?);
    let (rows, valid) = extent(args, &[&left, &right]);
    let answers = BooleanBuffer::collect_bool(rows, |row| {
        if valid.as_ref().is_some_and(|valid| valid.is_null(row)) {
            return false;
        }
        test(match (left.digits(row), right.digits(row)) {
            (Some((a, _)), Some((b, _))) => a.cmp(&b),
            _ => num::compare(&left.get(row), &right.get(row)),
        })
    });
    finished(
        Arc::new(BooleanArray::new(answers, valid)),
        left.constant && right.constant,
    )
}

/// The comparison of a symbol's function name.
pub(super) fn comparison(name: &str) -> Option<(&'static str, ColumnFn)> {
    Some(match name {
        "equal" => ("numeric_eq", |args, _| ordered(args, Ordering::is_eq)),
        "not_equal" => ("numeric_ne", |args, _| ordered(args, Ordering::is_ne)),
        "less" => ("numeric_lt", |args, _| ordered(args, Ordering::is_lt)),
        "less_or_equal" => ("numeric_le", |args, _| ordered(args, Ordering::is_le)),
        "greater" => ("numeric_gt", |args, _| ordered(args, Ordering::is_gt)),
        "greater_or_equal" => ("numeric_ge", |args, _| ordered(args, Ordering::is_ge)),
        _ => return None,
    })
}

// ------------------------------------------------------------------------------------- rounding

/// `round(x)`, `round(x, digits)` and the same of trunc, of numerics.
pub(super) fn rounded(cut: bool, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    let digits = match args.get(1) {
        None => Some(0),
        Some(arg) => match arg.as_literal() {
            Some(ScalarValue::Int32(Some(digits))) => Some(*digits),
            _ => None,
        },
    };
    let form = args.first().and_then(|arg| fixed(&arg.arrow)).zip(digits);
    let form = form.and_then(|((precision, scale), digits)| {
        let digits = i8::try_from(digits)
            .ok()
            .filter(|digits| (0..=36).contains(digits))?;
        let whole = i16::from(precision) - i16::from(scale) + 1;
        let precision = u8::try_from(whole + i16::from(digits)).ok()?;
        match args.first().map(|arg| &arg.arrow) {
            Some(DataType::Decimal128(..)) if precision <= 38 => {
                Some(DataType::Decimal128(precision, digits))
            }
            _ if precision <= 76 || scale >= digits => Some(DataType::Decimal256(76, digits)),
            _ => None,
        }
    });
    let ty = SqlType::Numeric(None);
    Ok(match form {
        Some(form) => {
            let (name, function): (_, ColumnFn) = if cut {
                ("trunc", |args, form| shift(args, form, true))
            } else {
                ("round", |args, form| shift(args, form, false))
            };
            let value = args.into_iter().take(1).collect();
            udf::column_call(name, function, value, ty, form)
        }
        None => {
            let (name, function): (_, ColumnFn) = if cut {
                ("trunc", |args, _| any_round(args, num::trunc))
            } else {
                ("round", |args, _| any_round(args, num::round))
            };
            udf::column_call(name, function, args, ty, NUMERIC_ANY)
        }
    })
}

fn any_round(
    args: &ScalarFunctionArgs,
    function: fn(&Numeric, i32) -> Result<Numeric, FunctionError>,
) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    if args.args.len() == 1 {
        let (rows, valid) = extent(args, &[&numbers]);
        let codes = each(rows, valid.as_ref(), i256::ZERO, |row| {
            num::to_any(&function(&numbers.get(row), 0)?)
        })?;
        return plain(codes, valid, numbers.constant);
    }
    let digits = Numbers::of(args, 1)?;
    let (rows, valid) = extent(args, &[&numbers, &digits]);
    let codes = each(rows, valid.as_ref(), i256::ZERO, |row| {
        let digits = num::to_i64(&digits.get(row), "integer")?.clamp(-2000, 2000);
        let digits = i32::try_from(digits).unwrap_or(0);
        num::to_any(&function(&numbers.get(row), digits)?)
    })?;
    plain(codes, valid, numbers.constant && digits.constant)
}

/// A fixed numeric at another scale, cut or rounded half away from zero.
fn shift(
    args: &ScalarFunctionArgs,
    form: &DataType,
    cut: bool,
) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    let (rows, valid) = extent(args, &[&numbers]);
    let to = fixed(form).map_or(0, |(_, scale)| scale.unsigned_abs());
    let wide = |value: i256, from: u8| {
        if cut && from > to {
            let kept = value.checked_div(num::ten_to(from - to));
            return kept.ok_or_else(num::overflow);
        }
        num::rescaled(value, from, to)
    };
    let array: ArrayRef =
        if let (DataType::Decimal128(..), Form::Small(values, from)) = (form, &numbers.form) {
            let values = each(rows, valid.as_ref(), 0, |row| {
                let value = values[row];
                if cut && *from > to {
                    return Ok(value / 10_i128.pow(u32::from(from - to)));
                }
                small_rescaled(value, *from, to).ok_or_else(num::overflow)
            })?;
            Arc::new(Decimal128Array::try_new(values.into(), valid)?.with_data_type(form.clone()))
        } else {
            let values = each(rows, valid.as_ref(), i256::ZERO, |row| {
                match (&numbers.form, numbers.get(row)) {
                    (Form::Small(..) | Form::Wide(..), Numeric::Finite { unscaled, scale }) => {
                        wide(unscaled, scale)
                    }
                    _ => Err(FunctionError::internal("a fixed numeric is finite")),
                }
            })?;
            Arc::new(Decimal256Array::try_new(values.into(), valid)?.with_data_type(form.clone()))
        };
    finished(array, numbers.constant)
}

/// At another scale, halves away from zero.
fn small_rescaled(value: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return value.checked_mul(10_i128.checked_pow((to - from).into())?);
    }
    let divisor = 10_i128.checked_pow((from - to).into())?;
    let (quotient, rest) = (value / divisor, value % divisor);
    Some(
        if rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs() {
            quotient + value.signum()
        } else {
            quotient
        },
    )
}

// ---------------------------------------------------------------------------------------- casts

/// The cast between two forms by whole columns, where there is one.
pub(super) fn cast(from: &Typed, to: &SqlType) -> Option<ColumnFn> {
    let number = matches!(
        from.arrow,
        DataType::Decimal128(..) | DataType::Decimal256(..)
    );
    let whole = matches!(from.ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8);
    if !number && !whole {
        return None;
    }
    Some(match to {
        SqlType::Numeric(None) => |args, _| reformed(args),
        SqlType::Numeric(Some(_)) => limited,
        SqlType::Float8 if number => |args, _| floats(args),
        SqlType::Int2 if number => |args, _| {
            integers(args, "smallint", |values, valid| {
                let values = values
                    .into_iter()
                    .map(i16::try_from)
                    .collect::<Result<Vec<_>, _>>();
                let values = values.map_err(|_| FunctionError::out_of_range("smallint"))?;
                Ok(Arc::new(Int16Array::try_new(values.into(), valid)?))
            })
        },
        SqlType::Int4 if number => |args, _| {
            integers(args, "integer", |values, valid| {
                let values = values
                    .into_iter()
                    .map(i32::try_from)
                    .collect::<Result<Vec<_>, _>>();
                let values = values.map_err(|_| FunctionError::out_of_range("integer"))?;
                Ok(Arc::new(Int32Array::try_new(values.into(), valid)?))
            })
        },
        SqlType::Int8 if number => |args, _| {
            integers(args, "bigint", |values, valid| {
                Ok(Arc::new(Int64Array::try_new(values.into(), valid)?))
            })
        },
        _ => return None,
    })
}

fn reformed(args: &ScalarFunctionArgs) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    let (rows, valid) = extent(args, &[&numbers]);
    let codes = each(rows, valid.as_ref(), i256::ZERO, |row| {
        match numbers.digits(row) {
            Some((digits, shown)) => num::any_of_digits(digits, shown),
            None => num::to_any(&numbers.get(row)),
        }
    })?;
    plain(codes, valid, numbers.constant)
}

/// Within a precision at a scale.
fn limited(args: &ScalarFunctionArgs, form: &DataType) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    let (rows, valid) = extent(args, &[&numbers]);
    let DataType::Decimal128(precision, scale) = *form else {
        return Err(FunctionError::internal("a limited numeric has 128 bits"));
    };
    let to = u8::try_from(scale)
        .map_err(|_| FunctionError::unsupported("numerics of negative scale are not supported"))?;
    let bound = 10_i128.pow(u32::from(precision.min(38)));
    let values = each(rows, valid.as_ref(), 0, |row| {
        if let Form::Small(values, from) = &numbers.form
            && let Some(value) = small_rescaled(values[numbers.at(row)], *from, to)
            && value.abs() < bound
        {
            return Ok(value);
        }
        let value = num::limit(&numbers.get(row), precision, scale)?;
        num::to_fixed128(&value, precision, scale)
    })?;
    let array = Decimal128Array::try_new(values.into(), valid)?.with_data_type(form.clone());
    finished(Arc::new(array), numbers.constant)
}

fn floats(args: &ScalarFunctionArgs) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    let (rows, valid) = extent(args, &[&numbers]);
    let values = if let Form::Small(values, scale) = &numbers.form {
        each(rows, valid.as_ref(), 0.0, |row| {
            Ok(num::small_to_f64(values[row], *scale))
        })?
    } else {
        each(rows, valid.as_ref(), 0.0, |row| {
            Ok(num::to_f64(&numbers.get(row)))
        })?
    };
    finished(
        Arc::new(Float64Array::try_new(values.into(), valid)?),
        numbers.constant,
    )
}

fn integers(
    args: &ScalarFunctionArgs,
    name: &str,
    array: fn(Vec<i64>, Option<NullBuffer>) -> Result<ArrayRef, FunctionError>,
) -> Result<ColumnarValue, FunctionError> {
    let numbers = Numbers::of(args, 0)?;
    let (rows, valid) = extent(args, &[&numbers]);
    let values = each(rows, valid.as_ref(), 0, |row| {
        if let Form::Small(values, scale) = &numbers.form {
            return small_rescaled(values[row], *scale, 0)
                .and_then(|value| i64::try_from(value).ok())
                .ok_or_else(|| FunctionError::out_of_range(name));
        }
        num::to_i64(&numbers.get(row), name)
    })?;
    finished(array(values, valid)?, numbers.constant)
}
