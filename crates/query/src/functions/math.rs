//! Functions of numbers.

use chronolith_types::{SqlState, SqlType};

use super::error::FunctionError;
use super::num::{self, Numeric};
use super::udf::{Context, RowFn};
use super::value::Value;

fn range(ty: Option<&SqlType>) -> FunctionError {
    FunctionError::out_of_range(match ty {
        Some(SqlType::Int2) => "smallint",
        Some(SqlType::Int4) => "integer",
        _ => "bigint",
    })
}

pub(super) fn negate(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Int(v)] => Value::Int(v.checked_neg().ok_or_else(|| range(context.args.first()))?),
        [Value::Float(v)] => Value::Float(-v),
        [Value::Numeric(v)] => Value::Numeric(num::neg(v)),
        _ => Value::Null,
    })
}

pub(super) fn abs(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Int(v)] => Value::Int(v.checked_abs().ok_or_else(|| range(context.args.first()))?),
        [Value::Float(v)] => Value::Float(v.abs()),
        [Value::Numeric(v)] => Value::Numeric(num::abs(v)),
        _ => Value::Null,
    })
}

pub(super) fn sign(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Float(v)] => Value::Float(if *v > 0.0 {
            1.0
        } else if *v < 0.0 {
            -1.0
        } else {
            0.0
        }),
        [Value::Numeric(Numeric::NaN)] => Value::Numeric(Numeric::NaN),
        [value] => {
            let zero = Value::Numeric(num::from_i64(0));
            let order = Value::Numeric(value.as_numeric()?).compare(&zero);
            Value::Numeric(num::from_i64(order as i64))
        }
        _ => Value::Null,
    })
}

/// What PostgreSQL allows a float function to answer.
pub(super) fn checked(answer: f64, args: &[f64]) -> Result<Value, FunctionError> {
    if answer.is_infinite() && args.iter().all(|v| v.is_finite()) {
        return Err(FunctionError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value out of range: overflow",
        ));
    }
    Ok(Value::Float(answer))
}

fn floats(
    args: &[Value],
    function: fn(f64) -> f64,
    name: fn(&Numeric) -> Result<Numeric, FunctionError>,
) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Numeric(v)] => Value::Numeric(name(v)?),
        [Value::Float(v)] => checked(function(*v), &[*v])?,
        _ => Value::Null,
    })
}

pub(super) fn ceil(args: &[Value]) -> Result<Value, FunctionError> {
    floats(args, f64::ceil, num::ceil)
}

pub(super) fn floor(args: &[Value]) -> Result<Value, FunctionError> {
    floats(args, f64::floor, num::floor)
}

pub(super) fn round(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Float(v)] => Value::Float(v.round_ties_even()),
        [Value::Numeric(v)] => Value::Numeric(num::round(v, 0)?),
        [Value::Numeric(v), Value::Int(digits)] => Value::Numeric(num::round(v, clip(*digits))?),
        _ => Value::Null,
    })
}

pub(super) fn trunc(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Float(v)] => Value::Float(v.trunc()),
        [Value::Numeric(v)] => Value::Numeric(num::trunc(v, 0)?),
        [Value::Numeric(v), Value::Int(digits)] => Value::Numeric(num::trunc(v, clip(*digits))?),
        _ => Value::Null,
    })
}

fn clip(digits: i64) -> i32 {
    i32::try_from(digits.clamp(-2000, 2000)).unwrap_or(0)
}

pub(super) fn sqrt(_context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if args.first().is_some_and(|v| v.as_float() < 0.0) {
        return Err(FunctionError::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            "cannot take square root of a negative number",
        ));
    }
    floats(args, f64::sqrt, num::sqrt)
}

pub(super) fn exp(args: &[Value]) -> Result<Value, FunctionError> {
    floats(args, f64::exp, num::exp)
}

fn log_check(value: &Value) -> Result<(), FunctionError> {
    let v = value.as_float();
    let what = if v == 0.0 {
        "cannot take logarithm of zero"
    } else if v < 0.0 {
        "cannot take logarithm of a negative number"
    } else {
        return Ok(());
    };
    Err(FunctionError::new(
        SqlState::INVALID_ARGUMENT_FOR_LOGARITHM,
        what,
    ))
}

pub(super) fn ln(args: &[Value]) -> Result<Value, FunctionError> {
    args.iter().try_for_each(log_check)?;
    floats(args, f64::ln, num::ln)
}

pub(super) fn log(args: &[Value]) -> Result<Value, FunctionError> {
    args.iter().try_for_each(log_check)?;
    match args {
        [Value::Numeric(base), Value::Numeric(v)] => Ok(Value::Numeric(num::log(base, v)?)),
        [Value::Numeric(v)] => Ok(Value::Numeric(num::log(&num::from_i64(10), v)?)),
        [Value::Float(v)] => checked(v.log10(), &[*v]),
        _ => Ok(Value::Null),
    }
}

pub(super) fn power(_context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let refused = |message| {
        Err(FunctionError::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            message,
        ))
    };
    match args {
        [Value::Numeric(a), Value::Numeric(b)] => Ok(Value::Numeric(num::pow(a, b)?)),
        [Value::Float(a), Value::Float(b)] => {
            if *a == 0.0 && *b < 0.0 {
                return refused("zero raised to a negative power is undefined");
            }
            if *a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
                return refused(
                    "a negative number raised to a non-integer power yields a complex result",
                );
            }
            checked(a.powf(*b), &[*a, *b])
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn modulo(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [Value::Int(_), Value::Int(0)] => Err(FunctionError::division_by_zero()),
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(a.wrapping_rem(*b))),
        [Value::Numeric(a), Value::Numeric(b)] => Ok(Value::Numeric(num::rem(a, b)?)),
        _ => Ok(Value::Null),
    }
}

pub(super) fn div(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [Value::Numeric(a), Value::Numeric(b)] => {
            Ok(Value::Numeric(num::trunc(&num::div(a, b)?, 0)?))
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn gcd(args: &[Value], least_multiple: bool) -> Result<Value, FunctionError> {
    if let [Value::Numeric(a), Value::Numeric(b)] = args {
        return numeric_gcd(a, b, least_multiple).map(Value::Numeric);
    }
    let [Value::Int(a), Value::Int(b)] = args else {
        return Ok(Value::Null);
    };
    let (mut x, mut y) = (a.unsigned_abs(), b.unsigned_abs());
    while y != 0 {
        (x, y) = (y, x % y);
    }
    let answer = if least_multiple {
        // Both zero: so is their multiple.
        let times = a.unsigned_abs().checked_div(x).unwrap_or(0);
        times
            .checked_mul(b.unsigned_abs())
            .ok_or_else(|| FunctionError::out_of_range("bigint"))?
    } else {
        x
    };
    Ok(Value::Int(
        i64::try_from(answer).map_err(|_| FunctionError::out_of_range("bigint"))?,
    ))
}

fn numeric_gcd(a: &Numeric, b: &Numeric, least_multiple: bool) -> Result<Numeric, FunctionError> {
    let finite = |v: &Numeric| matches!(v, Numeric::Finite { .. });
    if !finite(a) || !finite(b) {
        return Ok(Numeric::NaN);
    }
    let digits = num::scale(a).max(num::scale(b));
    let zero = num::from_i64(0);
    let (mut x, mut y) = (num::abs(a), num::abs(b));
    while num::compare(&y, &zero).is_ne() {
        (x, y) = (y, num::rem(&x, &y)?);
    }
    let answer = if !least_multiple {
        x
    } else if num::compare(&x, &zero).is_eq() {
        zero
    } else {
        num::abs(&num::mul(&num::trunc(&num::div(a, &x)?, 0)?, b)?)
    };
    num::round(&answer, digits.into())
}

pub(super) fn factorial(args: &[Value]) -> Result<Value, FunctionError> {
    let n = args.first().map_or(0, Value::as_int);
    if n < 0 {
        return Err(FunctionError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "factorial of a negative number is undefined",
        ));
    }
    let mut answer = num::from_i64(1);
    for i in 2..=n {
        answer = num::mul(&answer, &num::from_i64(i))?;
    }
    Ok(Value::Numeric(answer))
}

pub(super) fn scale(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args {
        [Value::Numeric(v @ Numeric::Finite { .. })] => Value::Int(num::scale(v).into()),
        _ => Value::Null,
    })
}

/// Without the zeros at its end.
pub(super) fn trim_scale(args: &[Value]) -> Value {
    match args {
        [Value::Numeric(v)] => Value::Numeric(v.trimmed()),
        _ => Value::Null,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a bucket lies between 0 and count + 1"
)]
pub(super) fn width_bucket(args: &[Value]) -> Result<Value, FunctionError> {
    let refused = |message| {
        Err(FunctionError::new(
            SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET,
            message,
        ))
    };
    match args {
        [_, Value::Shaped(shape, _)] if shape.dimensions().len() > 1 => Err(FunctionError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "thresholds must be one-dimensional array",
        )),
        [
            operand,
            Value::List(thresholds) | Value::Shaped(_, thresholds),
        ] => {
            let below = thresholds
                .iter()
                .filter(|threshold| threshold.compare(operand).is_le())
                .count();
            Ok(Value::Int(i64::try_from(below).unwrap_or(0)))
        }
        [operand, low, high, count] => {
            let (value, low, high, count) = (
                operand.as_float(),
                low.as_float(),
                high.as_float(),
                count.as_int(),
            );
            if count <= 0 {
                return refused("count must be greater than zero");
            }
            if value.is_nan() || low.is_nan() || high.is_nan() {
                return refused("operand, lower bound, and upper bound cannot be NaN");
            }
            if low.is_infinite() || high.is_infinite() {
                return refused("lower and upper bounds must be finite");
            }
            if low == high {
                return refused("lower bound cannot equal upper bound");
            }
            let (inside, outside) = if low < high {
                (value < low, value >= high)
            } else {
                (value > low, value <= high)
            };
            Ok(Value::Int(if inside {
                0
            } else if outside {
                count + 1
            } else {
                ((value - low) / (high - low) * count as f64).floor() as i64 + 1
            }))
        }
        _ => Ok(Value::Null),
    }
}

fn cbrt(args: &[Value]) -> Result<Value, FunctionError> {
    let v = args.first().map_or(0.0, Value::as_float);
    checked(v.cbrt(), &[v])
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str) -> Option<RowFn> {
    let function: RowFn = match name {
        "abs" => |c, a| abs(c, a),
        "sign" => |_, a| sign(a),
        "ceil" | "ceiling" => |_, a| ceil(a),
        "floor" => |_, a| floor(a),
        "round" => |_, a| round(a),
        "trunc" => |_, a| trunc(a),
        "sqrt" => |c, a| sqrt(c, a),
        "cbrt" => |_, a| cbrt(a),
        "exp" => |_, a| exp(a),
        "ln" => |_, a| ln(a),
        "log" | "log10" => |_, a| log(a),
        "power" | "pow" => |c, a| power(c, a),
        "mod" => |_, a| modulo(a),
        "div" => |_, a| div(a),
        "gcd" => |_, a| gcd(a, false),
        "lcm" => |_, a| gcd(a, true),
        "factorial" => |_, a| factorial(a),
        "scale" => |_, a| scale(a),
        "trim_scale" => |_, a| Ok(trim_scale(a)),
        "min_scale" => |_, a| scale(&[trim_scale(a)]),
        "width_bucket" => |_, a| width_bucket(a),
        _ => return None,
    };
    Some(function)
}
