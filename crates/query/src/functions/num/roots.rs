//! Roots, exponentials, logarithms and powers of numerics.

use arrow::datatypes::i256;
use chronolith_types::{NUMERIC_ANY_SCALE, SqlState};

use super::super::error::FunctionError;
use super::Numeric::{self, Finite, Infinity, NaN, NegativeInfinity};
use super::{
    Answer, compare, divided, from_i64, leading, mul, overflow, parse, power_of_ten, quotient,
    rescaled, round, sign, to_f64, to_i64, trunc,
};

/// PostgreSQL's choice of fraction digits where a result has 16 significant ones.
fn significant_scale(weight: i32, least: u8) -> u8 {
    let scale = (16 - weight).max(i32::from(least)).max(0);
    u8::try_from(scale)
        .unwrap_or(NUMERIC_ANY_SCALE)
        .min(NUMERIC_ANY_SCALE)
}

pub(in super::super) fn sqrt(value: &Numeric) -> Answer {
    let Finite { unscaled, scale } = value else {
        return Ok(*value);
    };
    if *unscaled == i256::ZERO {
        return Ok(Finite {
            unscaled: i256::ZERO,
            scale: significant_scale(1, *scale),
        });
    }
    let (weight, _) = leading(*unscaled, *scale);
    // The root has half the digits.
    sqrt_at(value, significant_scale((weight + 1) * 2 - 1, *scale))
}

/// The root with so many fraction digits, or fewer where more do not fit.
pub(in super::super) fn sqrt_at(value: &Numeric, digits: u8) -> Answer {
    let Finite { unscaled, scale } = value else {
        return Ok(*value);
    };
    let mut result = digits;
    let radicand = loop {
        let shift = 2 * u32::from(result);
        let shifted = if shift >= u32::from(*scale) {
            power_of_ten(shift - u32::from(*scale)).and_then(|more| unscaled.checked_mul(more))
        } else {
            Some(divided(*unscaled, u32::from(*scale) - shift))
        };
        match shifted {
            Some(radicand) => break radicand,
            None if result > 0 => result -= 1,
            None => return Err(overflow()),
        }
    };
    // Newton from a close start above.
    let estimate = radicand.to_string().parse::<f64>().unwrap_or(1.0).sqrt();
    let mut root =
        i256::from_string(&format!("{:.0}", estimate * 1.000_000_1 + 1.0)).unwrap_or(i256::ONE);
    loop {
        let next = root
            .wrapping_add(radicand.checked_div(root).unwrap_or(i256::ZERO))
            .checked_div(i256::from_i128(2))
            .unwrap_or(root);
        if next >= root {
            break;
        }
        root = next;
    }
    let rest = radicand.wrapping_sub(root.wrapping_mul(root));
    if rest > root {
        root = root.wrapping_add(i256::ONE);
    }
    Ok(Finite {
        unscaled: root,
        scale: result,
    })
}

/// By doubles: 15 digits are right.
fn through_floats(answer: f64, least: u8) -> Answer {
    if !answer.is_finite() {
        return if answer.is_nan() {
            Ok(NaN)
        } else {
            Err(overflow())
        };
    }
    #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent")]
    let weight = if answer == 0.0 {
        0
    } else {
        answer.abs().log10() as i32
    };
    let scale = significant_scale(weight, least);
    round(
        &parse(&format!("{answer:.*}", usize::from(scale)))?,
        scale.into(),
    )
}

/// Fraction digits of the fixed point that `exp` and `ln` work in.
const WORK: u8 = 32;

fn times(a: i256, b: i256) -> Option<i256> {
    Some(divided(a.checked_mul(b)?, WORK.into()))
}

/// e to a power of at most 16 either way, in fixed point.
fn exp_fixed(x: i256) -> Option<i256> {
    let one = power_of_ten(WORK.into())?;
    let small = x.checked_div(i256::from_i128(256))?;
    let (mut sum, mut term) = (one, one);
    for n in 1..40 {
        term = times(term, small)?.checked_div(i256::from_i128(n))?;
        sum = sum.checked_add(term)?;
    }
    for _ in 0..8 {
        sum = times(sum, sum)?;
    }
    Some(sum)
}

fn ln_fixed(x: i256) -> Option<i256> {
    let value = Finite {
        unscaled: x,
        scale: WORK,
    };
    let start = parse(&format!("{:.17}", value.to_f64().ln())).ok()?;
    let start = start.unscaled_at(WORK)?;
    // One step of Halley's method makes 16 digits 48.
    let power = exp_fixed(start)?;
    let one = power_of_ten(WORK.into())?;
    let gap = x.checked_sub(power)?.checked_mul(i256::from_i128(2))?;
    let step = gap.checked_mul(one)?.checked_div(x.checked_add(power)?)?;
    start.checked_add(step)
}

/// A fixed-point result, or the double of it where it does not fit.
fn shown(exact: Option<i256>, rough: f64, least: u8) -> Answer {
    let Some(unscaled) = exact.filter(|_| rough.abs() < 1e15 && rough.abs() > 1e-12) else {
        return through_floats(rough, least);
    };
    #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent")]
    let scale = significant_scale(rough.abs().log10() as i32, least);
    let unscaled = rescaled(unscaled, WORK, scale.min(WORK))?;
    Ok(Finite {
        unscaled,
        scale: scale.min(WORK),
    })
}

fn work(value: &Numeric, limit: f64) -> Option<i256> {
    (value.to_f64().abs() <= limit)
        .then(|| value.unscaled_at(WORK))
        .flatten()
}

pub(in super::super) fn exp(value: &Numeric) -> Answer {
    match value {
        NegativeInfinity => Ok(from_i64(0)),
        Infinity | NaN => Ok(*value),
        Finite { .. } => {
            let exact = work(value, 16.0).and_then(exp_fixed);
            shown(exact, to_f64(value).exp(), super::scale(value))
        }
    }
}

pub(in super::super) fn ln(value: &Numeric) -> Answer {
    match value {
        Finite { .. } => {
            let exact = work(value, 8e6).and_then(ln_fixed);
            shown(exact, to_f64(value).ln(), super::scale(value))
        }
        special => Ok(*special),
    }
}

pub(in super::super) fn log(base: &Numeric, value: &Numeric) -> Answer {
    let denominator = to_f64(base).ln();
    if denominator == 0.0 {
        return Err(FunctionError::division_by_zero());
    }
    let exact = work(base, 8e6)
        .and_then(ln_fixed)
        .zip(work(value, 8e6).and_then(ln_fixed));
    let exact = exact.and_then(|(base, value)| {
        value
            .checked_mul(power_of_ten(WORK.into())?)?
            .checked_div(base)
    });
    shown(exact, to_f64(value).ln() / denominator, super::scale(value))
}

pub(in super::super) fn pow(base: &Numeric, exponent: &Numeric) -> Answer {
    let refused = |message: &str| {
        Err(FunctionError::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            message,
        ))
    };
    let whole = compare(&trunc(exponent, 0)?, exponent).is_eq();
    if sign(base).is_eq() && sign(exponent).is_lt() {
        return refused("zero raised to a negative power is undefined");
    }
    if sign(base).is_lt() && !whole {
        return refused("a negative number raised to a non-integer power yields a complex result");
    }
    if let (Finite { scale, .. }, true) = (base, whole)
        && let Ok(power) = to_i64(exponent, "bigint")
        && power.unsigned_abs() <= 256
    {
        // Exact where it fits, then shown with 16 fraction digits or the operands' scale.
        let mut product = Some(from_i64(1));
        for _ in 0..power.unsigned_abs() {
            product = product
                .and_then(|value| mul(&value, base).ok())
                .filter(|value| super::scale(value) <= 70);
        }
        if let Some(
            product @ Finite {
                unscaled: p,
                scale: s,
            },
        ) = product
        {
            let result = (*scale).max(super::scale(exponent)).max(16);
            return if power < 0 {
                quotient((i256::ONE, 0), (p, s), result)
            } else {
                round(&product, result.into())
            };
        }
    }
    if let (Finite { scale, .. }, true) = (base, whole)
        && let Ok(power) = to_i64(exponent, "bigint")
    {
        let result = (*scale).max(super::scale(exponent)).max(16);
        if let Some(answer) = long_power(base, power, result) {
            return answer;
        }
    }
    let exact = work(base, 8e6)
        .filter(|base| *base > i256::ZERO)
        .and_then(ln_fixed);
    let exact = exact
        .zip(work(exponent, 16.0))
        .and_then(|(ln, exponent)| times(ln, exponent))
        .filter(|x| {
            Finite {
                unscaled: *x,
                scale: WORK,
            }
            .to_f64()
            .abs()
                <= 16.0
        })
        .and_then(exp_fixed);
    shown(
        exact,
        to_f64(base).powf(to_f64(exponent)),
        super::scale(base).max(super::scale(exponent)),
    )
}

/// A whole power by 38 digits at each step; none where the answer has more before its point.
fn long_power(base: &Numeric, power: i64, scale: u8) -> Option<Answer> {
    /// Digits and the power of ten that they are multiplied by.
    fn cut((mut digits, mut exponent): (i256, i32)) -> (i256, i32) {
        let most = power_of_ten(38).unwrap_or(i256::MAX);
        while digits >= most || digits <= most.wrapping_neg() {
            digits = divided(digits, 1);
            exponent += 1;
        }
        (digits, exponent)
    }
    let product = |a: (i256, i32), b: (i256, i32)| -> Option<(i256, i32)> {
        Some(cut((a.0.checked_mul(b.0)?, a.1.checked_add(b.1)?)))
    };
    let Finite {
        unscaled,
        scale: digits,
    } = base
    else {
        return None;
    };
    let mut square = cut((*unscaled, -i32::from(*digits)));
    let mut answer = (i256::ONE, 0);
    let mut left = power.unsigned_abs();
    while left > 0 {
        if left & 1 == 1 {
            answer = product(answer, square)?;
        }
        left >>= 1;
        if left > 0 {
            square = product(square, square)?;
        }
    }
    if power < 0 {
        if answer.0 == i256::ZERO {
            return None;
        }
        let one = power_of_ten(76)?;
        answer = cut((one.checked_div(answer.0)?, -76 - answer.1));
    }
    let text = format!("{}e{}", answer.0, answer.1);
    // What is too small to show is zero.
    let length = i32::try_from(answer.0.to_string().len()).ok()?;
    if length.checked_add(answer.1)? < -i32::from(scale) {
        return Some(round(&from_i64(0), scale.into()));
    }
    let value = Numeric::parse(text.as_bytes()).ok()?;
    Some(round(&value, scale.into()))
}
