//! Numeric values between their three physical forms, and their arithmetic in 256 bits.

use std::cmp::Ordering;
use std::sync::LazyLock;

use arrow::datatypes::i256;
pub(super) use chronolith_types::Numeric;
use chronolith_types::{NUMERIC_ANY_SCALE, SqlState};

mod roots;

pub(super) use roots::{exp, ln, log, pow, sqrt, sqrt_at};

use super::error::FunctionError;

use Numeric::{Finite, Infinity, NaN, NegativeInfinity};

type Answer = Result<Numeric, FunctionError>;

pub(super) fn overflow() -> FunctionError {
    FunctionError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

fn power_of_ten(digits: u32) -> Option<i256> {
    i256::from_i128(10).checked_pow(digits)
}

/// Powers of ten up to what 256 bits hold.
static POWERS: LazyLock<[i256; 77]> = LazyLock::new(|| {
    let mut powers = [i256::ONE; 77];
    for index in 1..powers.len() {
        powers[index] = powers[index - 1].wrapping_mul(i256::from_i128(10));
    }
    powers
});

/// Ten to a power of at most 76.
pub(super) fn ten_to(digits: u8) -> i256 {
    POWERS
        .get(usize::from(digits))
        .copied()
        .unwrap_or(i256::MAX)
}

/// Bits of the plain form that tell how many digits a value shows.
const SHOWN_BITS: u8 = 6;

/// All digits of a plain numeric and how many fraction digits it shows; none when not finite.
pub(super) fn any_digits(code: i256) -> Option<(i256, u8)> {
    if code >= i256::MAX.wrapping_sub(i256::ONE) || code == i256::MIN {
        return None;
    }
    let (low, _) = code.to_parts();
    Some((code >> SHOWN_BITS, u8::try_from(low & 0x3f).unwrap_or(0)))
}

/// A plain numeric of all its digits; `22003` when there are more than 38 before the point.
pub(super) fn any_of_digits(digits: i256, shown: u8) -> Result<i256, FunctionError> {
    let limit = ten_to(38 + NUMERIC_ANY_SCALE);
    if digits >= limit || digits <= limit.wrapping_neg() {
        return Err(overflow());
    }
    Ok((digits << SHOWN_BITS).wrapping_add(i256::from_i128(shown.into())))
}

/// A fixed numeric as the nearest double.
pub(super) fn small_to_f64(unscaled: i128, scale: u8) -> f64 {
    const EXACT: i128 = 1 << 53;
    // Both exact, so their quotient is rounded once.
    if (-EXACT..=EXACT).contains(&unscaled) && scale <= 22 {
        return unscaled as f64 / 10_f64.powi(scale.into());
    }
    let value = Finite {
        unscaled: i256::from_i128(unscaled),
        scale,
    };
    value.to_f64()
}

pub(super) fn from_i64(value: i64) -> Numeric {
    Finite {
        unscaled: i256::from_i128(value.into()),
        scale: 0,
    }
}

/// A double with the 15 digits it is sure of, as PostgreSQL casts it.
pub(super) fn from_f64(value: f64) -> Answer {
    Ok(Numeric::from_f64(value)?)
}

/// A real with the 6 digits it is sure of.
pub(super) fn from_f32(value: f32) -> Answer {
    if !value.is_finite() {
        return from_f64(value.into());
    }
    significant(&format!("{value:.5e}"))
}

fn significant(text: &str) -> Answer {
    Ok(parse(text)?.trimmed())
}

pub(super) fn parse(text: &str) -> Answer {
    Ok(Numeric::parse(text.as_bytes())?)
}

/// Through a power of ten, halves away from zero.
fn divided(unscaled: i256, digits: u32) -> i256 {
    let Some(divisor) = power_of_ten(digits) else {
        return i256::ZERO;
    };
    let quotient = unscaled.checked_div(divisor).unwrap_or(i256::ZERO);
    let rest = unscaled.checked_rem(divisor).unwrap_or(i256::ZERO);
    let twice = rest.wrapping_add(rest);
    if twice >= divisor {
        quotient.wrapping_add(i256::ONE)
    } else if twice <= divisor.wrapping_neg() {
        quotient.wrapping_sub(i256::ONE)
    } else {
        quotient
    }
}

pub(super) fn to_f64(value: &Numeric) -> f64 {
    match value {
        Finite { unscaled, scale } => match unscaled.to_i128() {
            Some(unscaled) => small_to_f64(unscaled, *scale),
            None => value.to_f64(),
        },
        special => special.to_f64(),
    }
}

pub(super) fn scale(value: &Numeric) -> u8 {
    match value {
        Finite { scale, .. } => *scale,
        _ => 0,
    }
}

/// With another number of fraction digits, rounded.
pub(super) fn rescaled(unscaled: i256, from: u8, to: u8) -> Result<i256, FunctionError> {
    match from.cmp(&to) {
        Ordering::Equal => Ok(unscaled),
        Ordering::Less => power_of_ten((to - from).into())
            .and_then(|more| unscaled.checked_mul(more))
            .ok_or_else(overflow),
        Ordering::Greater => Ok(divided(unscaled, (from - to).into())),
    }
}

fn rank(value: &Numeric) -> u8 {
    match value {
        NegativeInfinity => 0,
        Finite { .. } => 1,
        Infinity => 2,
        NaN => 3,
    }
}

pub(super) fn compare(a: &Numeric, b: &Numeric) -> Ordering {
    match (a, b) {
        (
            Finite {
                unscaled: a,
                scale: s,
            },
            Finite {
                unscaled: b,
                scale: t,
            },
        ) => {
            let scale = *s.max(t);
            match (rescaled(*a, *s, scale), rescaled(*b, *t, scale)) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                // Only a value far larger than the other overflows.
                (Err(_), _) => a.cmp(&i256::ZERO),
                (_, Err(_)) => i256::ZERO.cmp(b),
            }
        }
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

pub(super) fn from_any(code: i256) -> Numeric {
    Numeric::from_any(code)
}

pub(super) fn to_any(value: &Numeric) -> Result<i256, FunctionError> {
    // A product may show more digits than the form keeps.
    match value {
        Finite { unscaled, scale } if *scale <= NUMERIC_ANY_SCALE => {
            match unscaled.checked_mul(ten_to(NUMERIC_ANY_SCALE - scale)) {
                Some(digits) => any_of_digits(digits, *scale),
                None => Err(overflow()),
            }
        }
        Finite { unscaled, scale } => Ok(Numeric::finite(*unscaled, (*scale).into())?.to_any()),
        special => Ok(special.to_any()),
    }
}

pub(super) fn from_fixed128(value: i128, scale: i8) -> Numeric {
    Finite {
        unscaled: i256::from_i128(value),
        scale: scale.unsigned_abs(),
    }
}

pub(super) fn from_fixed256(unscaled: i256, scale: i8) -> Answer {
    Ok(Finite {
        unscaled,
        scale: scale.unsigned_abs(),
    })
}

/// The unscaled value in a fixed form; `22003` when it does not fit.
pub(super) fn to_fixed128(
    value: &Numeric,
    precision: u8,
    scale: i8,
) -> Result<i128, FunctionError> {
    let unscaled = to_fixed256(value, scale)?;
    let limit = power_of_ten(precision.into()).ok_or_else(overflow)?;
    if unscaled.wrapping_abs() >= limit {
        return Err(field_overflow(precision, scale));
    }
    unscaled.to_i128().ok_or_else(overflow)
}

pub(super) fn to_fixed256(value: &Numeric, scale: i8) -> Result<i256, FunctionError> {
    match value {
        Finite {
            unscaled,
            scale: from,
        } => rescaled(*unscaled, *from, scale.unsigned_abs()),
        _ => Err(FunctionError::unsupported(
            "NaN and infinity are kept only in plain numeric columns",
        )),
    }
}

fn field_overflow(precision: u8, scale: i8) -> FunctionError {
    let whole = i16::from(precision) - i16::from(scale);
    let bound = if whole == 0 {
        "1".to_owned()
    } else {
        format!("10^{whole}")
    };
    FunctionError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").with_detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
    ))
}

/// Rounded to a declared precision and scale.
pub(super) fn limit(value: &Numeric, precision: u8, scale: i8) -> Answer {
    let Finite { unscaled, .. } = round(value, scale.into())? else {
        return match value {
            NaN => Ok(NaN),
            _ => Err(FunctionError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "numeric field overflow",
            )
            .with_detail(format!(
                "A field with precision {precision}, scale {scale} cannot hold an infinite value."
            ))),
        };
    };
    let digits = if scale < 0 {
        u32::from(precision) + u32::from(scale.unsigned_abs())
    } else {
        u32::from(precision)
    };
    match power_of_ten(digits) {
        Some(limit) if unscaled.wrapping_abs() >= limit => Err(field_overflow(precision, scale)),
        _ => Ok(Finite {
            unscaled,
            scale: u8::try_from(scale).unwrap_or(0),
        }),
    }
}

/// The unscaled value when a form holds it without rounding.
pub(super) fn exactly(value: &Numeric, precision: u8, scale: i8) -> Option<i128> {
    let unscaled = to_fixed128(value, precision, scale).ok()?;
    compare(&from_fixed128(unscaled, scale), value)
        .is_eq()
        .then_some(unscaled)
}

/// The narrowest 128-bit form that shows the same digits: unscaled, precision, scale.
pub(super) fn narrowest(value: &Numeric) -> Option<(i128, u8, i8)> {
    let Finite { unscaled, scale } = value else {
        return None;
    };
    let unscaled = unscaled.to_i128()?;
    let digits = u8::try_from(unscaled.unsigned_abs().to_string().len()).ok()?;
    let precision = digits.max(*scale).max(1);
    (precision <= 38).then_some((unscaled, precision, i8::try_from(*scale).ok()?))
}

pub(super) fn to_i64(value: &Numeric, name: &str) -> Result<i64, FunctionError> {
    match round(value, 0)? {
        Finite { unscaled, .. } => unscaled
            .to_i128()
            .and_then(|value| i64::try_from(value).ok())
            .ok_or_else(|| FunctionError::out_of_range(name)),
        NaN => Err(FunctionError::unsupported(format!(
            "cannot convert NaN to {name}"
        ))),
        _ => Err(FunctionError::unsupported(format!(
            "cannot convert infinity to {name}"
        ))),
    }
}

pub(super) fn neg(value: &Numeric) -> Numeric {
    match value {
        NaN => NaN,
        Infinity => NegativeInfinity,
        NegativeInfinity => Infinity,
        Finite { unscaled, scale } => Finite {
            unscaled: unscaled.wrapping_neg(),
            scale: *scale,
        },
    }
}

pub(super) fn abs(value: &Numeric) -> Numeric {
    if compare(value, &from_i64(0)).is_lt() {
        neg(value)
    } else {
        *value
    }
}

pub(super) fn add(a: &Numeric, b: &Numeric) -> Answer {
    Ok(a.add(b)?)
}

pub(super) fn sub(a: &Numeric, b: &Numeric) -> Answer {
    add(a, &neg(b))
}

fn sign(value: &Numeric) -> Ordering {
    compare(value, &from_i64(0))
}

pub(super) fn mul(a: &Numeric, b: &Numeric) -> Answer {
    Ok(a.mul(b)?)
}

/// Weight of the first base-10000 digit, and that digit.
fn leading(unscaled: i256, scale: u8) -> (i32, i32) {
    let text = unscaled.wrapping_abs().to_string();
    if text == "0" {
        return (0, 0);
    }
    let whole = i32::try_from(text.len()).unwrap_or(0) - i32::from(scale);
    let weight = (whole - 1).div_euclid(4);
    let digits = usize::try_from(whole - weight * 4).unwrap_or(1);
    let padded = format!("{text:0<4}");
    (
        weight,
        padded
            .get(..digits)
            .and_then(|head| head.parse().ok())
            .unwrap_or(0),
    )
}

/// A quotient at a scale; the divisor is not zero.
fn quotient(a: (i256, u8), b: (i256, u8), scale: u8) -> Answer {
    // a / 10^s1 * 10^scale = q * b / 10^s2
    let shift = i32::from(scale) + i32::from(b.1) - i32::from(a.1);
    let (mut top, mut bottom) = (a.0, b.0);
    let mut scale = scale;
    if shift >= 0 {
        let mut shift = shift.unsigned_abs();
        // Digits that do not fit 256 bits are not shown.
        loop {
            match power_of_ten(shift).and_then(|more| top.checked_mul(more)) {
                Some(shifted) => {
                    top = shifted;
                    break;
                }
                None if shift > 0 && scale > 0 => {
                    shift -= 1;
                    scale -= 1;
                }
                None => return Err(overflow()),
            }
        }
    } else {
        bottom = power_of_ten(shift.unsigned_abs())
            .and_then(|more| bottom.checked_mul(more))
            .ok_or_else(overflow)?;
    }
    let whole = top.checked_div(bottom).ok_or_else(overflow)?;
    let rest = top.checked_rem(bottom).ok_or_else(overflow)?;
    let up = rest.wrapping_abs() >= bottom.wrapping_abs().wrapping_sub(rest.wrapping_abs());
    let unscaled = if !up {
        whole
    } else if (top < i256::ZERO) == (bottom < i256::ZERO) {
        whole.wrapping_add(i256::ONE)
    } else {
        whole.wrapping_sub(i256::ONE)
    };
    Ok(Finite { unscaled, scale })
}

pub(super) fn div(a: &Numeric, b: &Numeric) -> Answer {
    if let (
        Finite {
            unscaled: a,
            scale: s,
        },
        Finite {
            unscaled: b,
            scale: t,
        },
    ) = (a, b)
        && let (Some(a), Some(b)) = (a.to_i128(), b.to_i128())
        && let Some(quotient) = small_div((a, *s), (b, *t))
    {
        return Ok(quotient);
    }
    Ok(a.div(b)?)
}

/// Weight of the first base-10000 digit, and that digit.
fn small_leading(unscaled: i128, scale: u8) -> (i32, u128) {
    let digits = unscaled.unsigned_abs();
    let Some(last) = digits.checked_ilog10() else {
        return (0, 0);
    };
    let exponent = last.cast_signed() - i32::from(scale);
    let in_group = exponent.rem_euclid(4).cast_unsigned();
    let first = if last >= in_group {
        digits / 10_u128.pow(last - in_group)
    } else {
        digits * 10_u128.pow(in_group - last)
    };
    (exponent.div_euclid(4), first)
}

/// A quotient with the digits that PostgreSQL shows, where 128 bits are enough.
fn small_div((a, s): (i128, u8), (b, t): (i128, u8)) -> Option<Numeric> {
    let ((a_weight, a_first), (b_weight, b_first)) = (small_leading(a, s), small_leading(b, t));
    let weight = a_weight - b_weight - i32::from(a_first <= b_first);
    let scale = (16 - weight * 4)
        .max(s.into())
        .max(t.into())
        .clamp(0, NUMERIC_ANY_SCALE.into());
    let shift = scale + i32::from(t) - i32::from(s);
    let top = a.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    let (whole, rest) = (top.checked_div(b)?, top.checked_rem(b)?);
    let up = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
    let quotient = match (up, (top < 0) == (b < 0)) {
        (false, _) => whole,
        (true, true) => whole + 1,
        (true, false) => whole - 1,
    };
    Some(Finite {
        unscaled: i256::from_i128(quotient),
        scale: u8::try_from(scale).ok()?,
    })
}

pub(super) fn rem(a: &Numeric, b: &Numeric) -> Answer {
    if !matches!(a, NaN) && sign(b).is_eq() {
        return Err(FunctionError::division_by_zero());
    }
    Ok(a.rem(b)?)
}

pub(super) fn round(value: &Numeric, digits: i32) -> Answer {
    Ok(value.round(digits)?)
}

pub(super) fn trunc(value: &Numeric, digits: i32) -> Answer {
    Ok(value.trunc(digits)?)
}

pub(super) fn floor(value: &Numeric) -> Answer {
    let whole = trunc(value, 0)?;
    if compare(value, &whole).is_lt() {
        sub(&whole, &from_i64(1))
    } else {
        Ok(whole)
    }
}

pub(super) fn ceil(value: &Numeric) -> Answer {
    let whole = trunc(value, 0)?;
    if compare(value, &whole).is_gt() {
        add(&whole, &from_i64(1))
    } else {
        Ok(whole)
    }
}
