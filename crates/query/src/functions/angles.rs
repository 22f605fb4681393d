//! Trigonometry, in radians and in degrees.
//!
//! Functions of degrees are exact where the answer is: the parts of a quadrant are scaled by what
//! the machine's own sine and cosine say of 30, 45 and 60 degrees.

use chronolith_types::SqlState;

use super::error::FunctionError;
use super::math::checked;
use super::udf::RowFn;
use super::value::Value;

const RADIANS: f64 = 0.017_453_292_519_943_295;

fn out_of_range() -> FunctionError {
    FunctionError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "input is out of range",
    )
}

fn number(args: &[Value], index: usize) -> f64 {
    args.get(index).map_or(0.0, Value::as_float)
}

/// A function that is refused where it has no answer.
fn of(args: &[Value], function: fn(f64) -> f64) -> Result<Value, FunctionError> {
    let v = number(args, 0);
    let answer = function(v);
    if answer.is_nan() && !v.is_nan() {
        return Err(out_of_range());
    }
    checked(answer, &[v])
}

/// A function of which infinity is an answer.
fn open(args: &[Value], function: fn(f64) -> f64) -> Result<Value, FunctionError> {
    let v = number(args, 0);
    let answer = function(v);
    if answer.is_nan() && !v.is_nan() {
        return Err(out_of_range());
    }
    Ok(Value::Float(answer))
}

/// Sine of up to 30 degrees.
fn low_sine(degrees: f64) -> f64 {
    (degrees * RADIANS).sin() / (30.0 * RADIANS).sin() / 2.0
}

/// Cosine of up to 60 degrees.
fn low_cosine(degrees: f64) -> f64 {
    1.0 - ((1.0 - (degrees * RADIANS).cos()) / (1.0 - (60.0 * RADIANS).cos())) / 2.0
}

/// Sine within the first quadrant.
fn sine(degrees: f64) -> f64 {
    if degrees <= 30.0 {
        low_sine(degrees)
    } else {
        low_cosine(90.0 - degrees)
    }
}

fn cosine(degrees: f64) -> f64 {
    if degrees <= 60.0 {
        low_cosine(degrees)
    } else {
        low_sine(90.0 - degrees)
    }
}

/// An angle brought into the first quadrant, and the signs of its sine, cosine and tangent there.
fn quadrant(degrees: f64) -> (f64, f64, f64, f64) {
    let mut angle = degrees % 360.0;
    let (mut sine, mut cosine) = (1.0, 1.0);
    if angle < 0.0 {
        angle = -angle;
        sine = -sine;
    }
    if angle > 180.0 {
        angle = 360.0 - angle;
        sine = -sine;
    }
    if angle > 90.0 {
        angle = 180.0 - angle;
        cosine = -cosine;
    }
    (angle, sine, cosine, sine * cosine)
}

/// There is one zero.
fn unsigned_zero(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value }
}

fn sind(degrees: f64) -> f64 {
    let (angle, sign, _, _) = quadrant(degrees);
    sign * sine(angle)
}

fn cosd(degrees: f64) -> f64 {
    let (angle, _, sign, _) = quadrant(degrees);
    unsigned_zero(sign * cosine(angle))
}

fn tand(degrees: f64) -> f64 {
    let (angle, _, _, sign) = quadrant(degrees);
    let unit = sine(45.0) / cosine(45.0);
    unsigned_zero(sign * (sine(angle) / cosine(angle) / unit))
}

fn cotd(degrees: f64) -> f64 {
    let (angle, _, _, sign) = quadrant(degrees);
    let unit = cosine(45.0) / sine(45.0);
    unsigned_zero(sign * (cosine(angle) / sine(angle) / unit))
}

fn arc_sine(value: f64) -> f64 {
    if value <= 0.5 {
        value.asin() / 0.5_f64.asin() * 30.0
    } else {
        90.0 - value.acos() / 0.5_f64.acos() * 60.0
    }
}

fn arc_cosine(value: f64) -> f64 {
    if value <= 0.5 {
        90.0 - value.asin() / 0.5_f64.asin() * 30.0
    } else {
        value.acos() / 0.5_f64.acos() * 60.0
    }
}

fn asind(value: f64) -> f64 {
    if value >= 0.0 {
        arc_sine(value)
    } else {
        -arc_sine(-value)
    }
}

fn acosd(value: f64) -> f64 {
    if value >= 0.0 {
        arc_cosine(value)
    } else {
        90.0 + arc_sine(-value)
    }
}

fn both(args: &[Value], scale: f64) -> Value {
    Value::Float(number(args, 0).atan2(number(args, 1)) * scale)
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str) -> Option<RowFn> {
    let function: RowFn = match name {
        "pi" => |_, _| Ok(Value::Float(std::f64::consts::PI)),
        "sin" => |_, a| of(a, f64::sin),
        "cos" => |_, a| of(a, f64::cos),
        "tan" => |_, a| open(a, f64::tan),
        "cot" => |_, a| open(a, |v| 1.0 / v.tan()),
        "asin" => |_, a| of(a, f64::asin),
        "acos" => |_, a| of(a, f64::acos),
        "atan" => |_, a| of(a, f64::atan),
        "atan2" => |_, a| Ok(both(a, 1.0)),
        "sinh" => |_, a| open(a, f64::sinh),
        "cosh" => |_, a| open(a, f64::cosh),
        "tanh" => |_, a| of(a, f64::tanh),
        "asinh" => |_, a| of(a, f64::asinh),
        "acosh" => |_, a| of(a, f64::acosh),
        "atanh" => |_, a| open(a, f64::atanh),
        "degrees" => |_, a| of(a, f64::to_degrees),
        "radians" => |_, a| of(a, f64::to_radians),
        "sind" => |_, a| of(a, sind),
        "cosd" => |_, a| of(a, cosd),
        "tand" => |_, a| open(a, tand),
        "cotd" => |_, a| open(a, cotd),
        "asind" => |_, a| of(a, asind),
        "acosd" => |_, a| of(a, acosd),
        "atand" => |_, a| of(a, |v| v.atan() / 1.0_f64.atan() * 45.0),
        "atan2d" => |_, a| Ok(both(a, 45.0 / 1.0_f64.atan())),
        _ => return None,
    };
    Some(function)
}
