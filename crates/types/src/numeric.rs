//! NUMERIC: exact decimal numbers that remember how many digits they show.
//!
//! Scales follow PostgreSQL 15 (`src/backend/utils/adt/numeric.c` documents them): a sum shows the
//! larger scale of its terms, a product the sum of both, a quotient at least 16 significant digits.

use std::cmp::Ordering;

use arrow_buffer::i256;

use crate::digits::Digits;
use crate::sqlstate::SqlState;
use crate::sqltype::NUMERIC_ANY_SCALE;
use crate::value::ValueError;

/// Digits before the point that a value may have.
pub const INTEGER_DIGITS_MAX: u32 = 38;
const SCALE_MAX: u8 = NUMERIC_ANY_SCALE;
/// A quotient shows at least this many significant digits.
const QUOTIENT_DIGITS_MIN: i32 = 16;

const NAN: i256 = i256::MAX;

/// An exact decimal number, NaN or an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numeric {
    /// `unscaled / 10^scale`, showing `scale` digits behind the point.
    Finite {
        /// All digits.
        unscaled: i256,
        /// How many of them stand behind the point; at most 36.
        scale: u8,
    },
    /// -Infinity
    NegativeInfinity,
    /// Infinity
    Infinity,
    /// Not a number; greater than all, and equal to itself.
    NaN,
}

/// Ten to a power, up to 76.
#[must_use]
pub fn power_of_ten(exponent: u32) -> i256 {
    match 10i128.checked_pow(exponent) {
        Some(power) => i256::from_i128(power),
        None => i256::from_i128(10i128.pow(38)).wrapping_mul(power_of_ten(exponent.min(76) - 38)),
    }
}

/// What five to the power of each number is to be multiplied with to give 1, modulo 2^128.
const INVERSES: [u128; SCALE_MAX as usize + 1] = {
    let mut inverse: u128 = 1;
    // Each round doubles the bits that are right.
    let mut round = 0;
    while round < 8 {
        inverse = inverse.wrapping_mul(2_u128.wrapping_sub(inverse.wrapping_mul(5)));
        round += 1;
    }
    let mut all = [1_u128; SCALE_MAX as usize + 1];
    let mut at = 1;
    while at < all.len() {
        all[at] = all[at - 1].wrapping_mul(inverse);
        at += 1;
    }
    all
};

/// A value divided by ten to the power of `digits`, which is `power`, when that leaves no rest and
/// few digits: by a product, as division of such numbers takes several times as long.
fn quotient(value: i256, digits: u8, power: i256) -> Option<i256> {
    let inverse = INVERSES.get(usize::from(digits))?;
    let (low, _) = (value >> digits).to_parts();
    let quotient = i256::from_i128(low.wrapping_mul(*inverse).cast_signed());
    (quotient.wrapping_mul(power) == value).then_some(quotient)
}

fn overflow() -> ValueError {
    ValueError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value overflows numeric format",
    )
}

/// Division that rounds half away from zero.
fn divide_rounded(value: i256, divisor: i256) -> i256 {
    let quotient = value.wrapping_div(divisor);
    let rest = value.wrapping_rem(divisor);
    let twice = rest.wrapping_abs().wrapping_add(rest.wrapping_abs());
    if twice >= divisor.wrapping_abs() {
        let away = if (value < i256::ZERO) == (divisor < i256::ZERO) {
            i256::ONE
        } else {
            i256::MINUS_ONE
        };
        quotient.wrapping_add(away)
    } else {
        quotient
    }
}

impl Numeric {
    /// Zero.
    pub const ZERO: Self = Self::Finite {
        unscaled: i256::ZERO,
        scale: 0,
    };

    /// A finite number.
    ///
    /// # Errors
    /// 22003 for more than 38 digits before the point.
    pub fn finite(unscaled: i256, scale: u32) -> Result<Self, ValueError> {
        let kept = u8::try_from(scale).unwrap_or(u8::MAX).min(SCALE_MAX);
        let unscaled = if u32::from(kept) < scale {
            let drop = scale - u32::from(kept);
            if drop > 76 {
                i256::ZERO
            } else {
                divide_rounded(unscaled, power_of_ten(drop))
            }
        } else {
            unscaled
        };
        let limit = power_of_ten(INTEGER_DIGITS_MAX + u32::from(kept));
        if unscaled.wrapping_abs() >= limit || unscaled == i256::MIN {
            return Err(overflow());
        }
        Ok(Self::Finite {
            unscaled,
            scale: kept,
        })
    }

    /// From a fixed-scale value.
    #[must_use]
    pub fn from_i128(unscaled: i128, scale: u8) -> Self {
        Self::Finite {
            unscaled: i256::from_i128(unscaled),
            scale: scale.min(38),
        }
    }

    /// A whole number.
    #[must_use]
    pub fn from_i64(value: i64) -> Self {
        Self::from_i128(i128::from(value), 0)
    }

    /// The unscaled value at another scale, rounded half away from zero; None for NaN, infinities
    /// and what does not fit.
    #[must_use]
    pub fn unscaled_at(&self, scale: u8) -> Option<i256> {
        let Self::Finite {
            unscaled,
            scale: own,
        } = *self
        else {
            return None;
        };
        if scale >= own {
            unscaled.checked_mul(power_of_ten(u32::from(scale - own)))
        } else {
            Some(divide_rounded(
                unscaled,
                power_of_ten(u32::from(own - scale)),
            ))
        }
    }

    /// The physical form of plain numeric (see [`crate::NUMERIC_ANY`]).
    #[must_use]
    pub fn to_any(&self) -> i256 {
        match self {
            Self::NaN => NAN,
            Self::Infinity => NAN.wrapping_sub(i256::ONE),
            Self::NegativeInfinity => i256::MIN,
            Self::Finite { scale, .. } => {
                let shown = i256::from_i128(i128::from((*scale).min(SCALE_MAX)));
                match self.unscaled_at(SCALE_MAX) {
                    // 38 + 36 digits and six bits fit 255 bits; `finite` checks the digits.
                    Some(value) => value.wrapping_mul(i256::from_i128(64)).wrapping_add(shown),
                    None => NAN,
                }
            }
        }
    }

    /// The value of a physical form.
    #[must_use]
    pub fn from_any(code: i256) -> Self {
        if code == NAN {
            return Self::NaN;
        }
        if code == NAN.wrapping_sub(i256::ONE) {
            return Self::Infinity;
        }
        if code == i256::MIN {
            return Self::NegativeInfinity;
        }
        // The six bits are never negative: a shift rounds towards minus infinity.
        let (low, _) = code.to_parts();
        let scale = u8::try_from(low & 63).unwrap_or(0).min(SCALE_MAX);
        let value = code >> 6;
        let power = power_of_ten(u32::from(SCALE_MAX - scale));
        Self::Finite {
            unscaled: match quotient(value, SCALE_MAX - scale, power) {
                Some(exact) => exact,
                None => value.wrapping_div(power),
            },
            scale,
        }
    }

    /// A physical form that equal values share, however many digits they show.
    #[must_use]
    pub fn normalised_any(code: i256) -> i256 {
        match Self::from_any(code) {
            finite @ Self::Finite { .. } => finite.trimmed().to_any(),
            _ => code,
        }
    }

    /// The same value with no zero at the end of its fraction.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let Self::Finite {
            mut unscaled,
            mut scale,
        } = *self
        else {
            return *self;
        };
        let ten = i256::from_i128(10);
        while scale > 0 && unscaled.wrapping_rem(ten) == i256::ZERO {
            unscaled = unscaled.wrapping_div(ten);
            scale -= 1;
        }
        Self::Finite { unscaled, scale }
    }

    /// From PostgreSQL's text forms.
    ///
    /// # Errors
    /// 22P02 for what is no number, 22003 for one too large.
    pub fn parse(text: &[u8]) -> Result<Self, ValueError> {
        let refused = || ValueError::syntax("numeric", text);
        let trimmed = text.trim_ascii();
        let (negative, digits) = match trimmed {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        match digits.to_ascii_lowercase().as_slice() {
            b"nan" if digits.len() == trimmed.len() => return Ok(Self::NaN),
            b"inf" | b"infinity" if negative => return Ok(Self::NegativeInfinity),
            b"inf" | b"infinity" => return Ok(Self::Infinity),
            _ => {}
        }
        let mut unscaled = i256::ZERO;
        let mut scale = 0u32;
        let mut seen = false;
        let mut point = false;
        let mut exponent = 0i64;
        for (index, byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    seen = true;
                    if point && scale >= 60 {
                        // Far behind what is kept; only its being there is checked.
                        continue;
                    }
                    unscaled = unscaled
                        .checked_mul(i256::from_i128(10))
                        .and_then(|v| v.checked_add(i256::from_i128(i128::from(byte - b'0'))))
                        .ok_or_else(overflow)?;
                    scale += u32::from(point);
                }
                b'.' if !point => point = true,
                b'e' | b'E' if seen => {
                    let rest = digits.get(index + 1..).unwrap_or_default();
                    exponent = std::str::from_utf8(rest)
                        .ok()
                        .and_then(|rest| rest.parse().ok())
                        .ok_or_else(refused)?;
                    break;
                }
                _ => return Err(refused()),
            }
        }
        if !seen {
            return Err(refused());
        }
        if negative {
            unscaled = unscaled.wrapping_neg();
        }
        let shift = i64::from(scale) - exponent;
        if shift >= 0 {
            return Self::finite(unscaled, u32::try_from(shift).unwrap_or(u32::MAX));
        }
        let factor = u32::try_from(-shift)
            .ok()
            .filter(|power| *power <= 76)
            .map(power_of_ten);
        match factor {
            Some(factor) => Self::finite(unscaled.checked_mul(factor).ok_or_else(overflow)?, 0),
            None if unscaled == i256::ZERO => Ok(Self::ZERO),
            None => Err(overflow()),
        }
    }

    /// Appends the text form.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::NaN => out.extend_from_slice(b"NaN"),
            Self::Infinity => out.extend_from_slice(b"Infinity"),
            Self::NegativeInfinity => out.extend_from_slice(b"-Infinity"),
            Self::Finite { unscaled, scale } => match unscaled.to_i128() {
                Some(small) => write_decimal(small, *scale, out),
                None => write_wide(*unscaled, *scale, out),
            },
        }
    }

    /// From a float, as PostgreSQL converts: 15 significant digits.
    ///
    /// # Errors
    /// 22003 for more than 38 digits before the point.
    pub fn from_f64(value: f64) -> Result<Self, ValueError> {
        if value.is_nan() {
            return Ok(Self::NaN);
        }
        if value.is_infinite() {
            return Ok(if value > 0.0 {
                Self::Infinity
            } else {
                Self::NegativeInfinity
            });
        }
        let text = format!("{value:.14e}");
        Ok(Self::parse(text.as_bytes())?.trimmed())
    }

    /// The nearest float.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::NaN => f64::NAN,
            Self::Infinity => f64::INFINITY,
            Self::NegativeInfinity => f64::NEG_INFINITY,
            Self::Finite { .. } => {
                let mut text = Vec::new();
                self.write(&mut text);
                std::str::from_utf8(&text)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(f64::NAN)
            }
        }
    }

    /// Rounded half away from zero to a number of digits behind the point, which it then shows;
    /// a negative number rounds before the point.
    ///
    /// # Errors
    /// 22003 when rounding up makes it too large.
    pub fn round(&self, digits: i32) -> Result<Self, ValueError> {
        let Self::Finite { unscaled, scale } = *self else {
            return Ok(*self);
        };
        let digits = digits.clamp(-76, i32::from(SCALE_MAX));
        if let Ok(wanted) = u8::try_from(digits) {
            let value = self.unscaled_at(wanted).ok_or_else(overflow)?;
            return Self::finite(value, u32::from(wanted));
        }
        let power = digits.unsigned_abs() + u32::from(scale);
        if power > 76 {
            return Ok(Self::ZERO);
        }
        let whole = divide_rounded(unscaled, power_of_ten(power));
        let back = whole
            .checked_mul(power_of_ten(digits.unsigned_abs()))
            .ok_or_else(overflow)?;
        Self::finite(back, 0)
    }

    /// Cut to a number of digits behind the point.
    ///
    /// # Errors
    /// None in practice: cutting makes no number larger.
    pub fn trunc(&self, digits: i32) -> Result<Self, ValueError> {
        let Self::Finite { unscaled, scale } = *self else {
            return Ok(*self);
        };
        let digits = digits.clamp(-76, i32::from(SCALE_MAX));
        let kept = i32::from(scale).min(digits);
        let drop = (i32::from(scale) - kept).unsigned_abs();
        if drop > 76 {
            return Ok(Self::ZERO);
        }
        let cut = unscaled.wrapping_div(power_of_ten(drop));
        let shown = u8::try_from(digits).unwrap_or(0);
        let up = (i32::from(shown) - kept).unsigned_abs();
        let value = cut.checked_mul(power_of_ten(up)).ok_or_else(overflow)?;
        Self::finite(value, u32::from(shown))
    }

    fn pair(a: &Self, b: &Self) -> Option<(i256, u8, i256, u8)> {
        match (*a, *b) {
            (
                Self::Finite {
                    unscaled: a,
                    scale: s,
                },
                Self::Finite {
                    unscaled: b,
                    scale: t,
                },
            ) => Some((a, s, b, t)),
            _ => None,
        }
    }

    /// The sum.
    ///
    /// # Errors
    /// 22003
    pub fn add(&self, other: &Self) -> Result<Self, ValueError> {
        let Some((_, s, _, t)) = Self::pair(self, other) else {
            return Ok(match (self, other) {
                (Self::NaN, _) | (_, Self::NaN) => Self::NaN,
                (Self::Infinity, Self::NegativeInfinity)
                | (Self::NegativeInfinity, Self::Infinity) => Self::NaN,
                (Self::Finite { .. }, infinite) | (infinite, _) => *infinite,
            });
        };
        let scale = s.max(t);
        let (a, b) = (self.unscaled_at(scale), other.unscaled_at(scale));
        let sum = a.zip(b).and_then(|(a, b)| a.checked_add(b));
        Self::finite(sum.ok_or_else(overflow)?, u32::from(scale))
    }

    /// The negative.
    #[must_use]
    pub fn neg(&self) -> Self {
        match *self {
            Self::Finite { unscaled, scale } => Self::Finite {
                unscaled: unscaled.wrapping_neg(),
                scale,
            },
            Self::Infinity => Self::NegativeInfinity,
            Self::NegativeInfinity => Self::Infinity,
            Self::NaN => Self::NaN,
        }
    }

    /// The difference.
    ///
    /// # Errors
    /// 22003
    pub fn sub(&self, other: &Self) -> Result<Self, ValueError> {
        self.add(&other.neg())
    }

    /// -1, 0 or 1; None for NaN.
    #[must_use]
    pub fn signum(&self) -> Option<i32> {
        match self {
            Self::NaN => None,
            Self::Infinity => Some(1),
            Self::NegativeInfinity => Some(-1),
            Self::Finite { unscaled, .. } => Some(match unscaled.cmp(&i256::ZERO) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            }),
        }
    }

    /// The product.
    ///
    /// # Errors
    /// 22003
    pub fn mul(&self, other: &Self) -> Result<Self, ValueError> {
        let Some((a, s, b, t)) = Self::pair(self, other) else {
            return Ok(match (self.signum(), other.signum()) {
                (None, _) | (_, None) | (Some(0), _) | (_, Some(0)) => Self::NaN,
                (Some(a), Some(b)) if a == b => Self::Infinity,
                _ => Self::NegativeInfinity,
            });
        };
        match a.checked_mul(b) {
            Some(product) => Self::finite(product, u32::from(s) + u32::from(t)),
            // Too many digits for an exact product; those that are dropped anyway go first.
            None => {
                let (a, b) = (self.trimmed(), other.trimmed());
                let Some((a, s, b, t)) = Self::pair(&a, &b) else {
                    return Err(overflow());
                };
                let product = a.checked_mul(b).ok_or_else(overflow)?;
                Self::finite(product, u32::from(s) + u32::from(t))
            }
        }
    }

    /// Weight of the first base-10000 digit, and that digit.
    fn leading(&self) -> (i32, i32) {
        let Self::Finite { unscaled, scale } = *self else {
            return (0, 0);
        };
        if unscaled == i256::ZERO {
            return (0, 0);
        }
        let mut text = Vec::new();
        write_digits(unscaled.wrapping_abs(), &mut text);
        let digits = i32::try_from(text.len()).unwrap_or(0);
        // Decimal exponent of the first digit, then its group of four.
        let exponent = digits - 1 - i32::from(scale);
        let weight = exponent.div_euclid(4);
        let in_group = exponent.rem_euclid(4) + 1;
        let first = (0..in_group).fold(0, |value, index| {
            let digit = usize::try_from(index).ok().and_then(|i| text.get(i));
            value * 10 + digit.map_or(0, |byte| i32::from(byte - b'0'))
        });
        (weight, first)
    }

    /// Digits a quotient shows.
    fn quotient_scale(&self, other: &Self) -> u8 {
        let (a_weight, a_first) = self.leading();
        let (b_weight, b_first) = other.leading();
        let mut weight = a_weight - b_weight;
        if a_first <= b_first {
            weight -= 1;
        }
        let own = |value: &Self| match value {
            Self::Finite { scale, .. } => i32::from(*scale),
            _ => 0,
        };
        let scale = (QUOTIENT_DIGITS_MIN - weight * 4)
            .max(own(self))
            .max(own(other))
            .clamp(0, i32::from(SCALE_MAX));
        u8::try_from(scale).unwrap_or(SCALE_MAX)
    }

    /// The quotient.
    ///
    /// # Errors
    /// 22012 for a divisor of zero, 22003
    pub fn div(&self, other: &Self) -> Result<Self, ValueError> {
        let by_zero = || ValueError::new(SqlState::DIVISION_BY_ZERO, "division by zero");
        let Some((a, s, b, t)) = Self::pair(self, other) else {
            return match (self, other) {
                (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
                (Self::Finite { .. }, _) => Ok(Self::ZERO),
                (_, Self::Finite { .. }) => match other.signum() {
                    Some(0) => Err(by_zero()),
                    Some(-1) => Ok(self.neg()),
                    _ => Ok(*self),
                },
                _ => Ok(Self::NaN),
            };
        };
        if b == i256::ZERO {
            return Err(by_zero());
        }
        let scale = self.quotient_scale(other);
        // a/10^s ÷ b/10^t, at the result's scale: a·10^(scale+t-s) ÷ b.
        let shift = i32::from(scale) + i32::from(t) - i32::from(s);
        let quotient = if let Ok(up) = u32::try_from(shift) {
            match (up <= 76)
                .then(|| a.checked_mul(power_of_ten(up)))
                .flatten()
            {
                Some(dividend) => divide_rounded(dividend, b),
                None => long_division(a, b, up).ok_or_else(overflow)?,
            }
        } else {
            let divisor = b
                .checked_mul(power_of_ten(shift.unsigned_abs()))
                .ok_or_else(overflow)?;
            divide_rounded(a, divisor)
        };
        Self::finite(quotient, u32::from(scale))
    }

    /// The rest of a division, with the sign of the dividend.
    ///
    /// # Errors
    /// 22012 for a divisor of zero
    pub fn rem(&self, other: &Self) -> Result<Self, ValueError> {
        let Some((_, s, b, t)) = Self::pair(self, other) else {
            return match (self, other) {
                (Self::Finite { .. }, Self::Infinity | Self::NegativeInfinity) => Ok(*self),
                _ => Ok(Self::NaN),
            };
        };
        if b == i256::ZERO {
            return Err(ValueError::new(
                SqlState::DIVISION_BY_ZERO,
                "division by zero",
            ));
        }
        let scale = s.max(t);
        let (a, b) = self
            .unscaled_at(scale)
            .zip(other.unscaled_at(scale))
            .ok_or_else(overflow)?;
        Self::finite(a.wrapping_rem(b), u32::from(scale))
    }
}

/// `a · 10^up ÷ b`, rounded, where the product is too large: digit by digit.
fn long_division(a: i256, b: i256, up: u32) -> Option<i256> {
    let negative = (a < i256::ZERO) != (b < i256::ZERO);
    let divisor = b.wrapping_abs();
    let a = a.wrapping_abs();
    let ten = i256::from_i128(10);
    let mut quotient = a.wrapping_div(divisor);
    let mut rest = a.wrapping_rem(divisor);
    for _ in 0..up {
        rest = rest.checked_mul(ten)?;
        quotient = quotient
            .checked_mul(ten)?
            .checked_add(rest.wrapping_div(divisor))?;
        rest = rest.wrapping_rem(divisor);
    }
    if rest.checked_add(rest)? >= divisor {
        quotient = quotient.checked_add(i256::ONE)?;
    }
    Some(if negative {
        quotient.wrapping_neg()
    } else {
        quotient
    })
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    /// NaN is greater than all else. Values that compare equal may show different digits.
    fn cmp(&self, other: &Self) -> Ordering {
        self.trimmed().to_any().cmp(&other.trimmed().to_any())
    }
}

fn write_digits(value: i256, out: &mut Vec<u8>) {
    match value.to_i128() {
        Some(small) => out.extend_from_slice(small.to_string().as_bytes()),
        None => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

fn write_wide(unscaled: i256, scale: u8, out: &mut Vec<u8>) {
    if unscaled < i256::ZERO {
        out.push(b'-');
    }
    let mut digits = Vec::with_capacity(80);
    write_digits(unscaled.wrapping_abs(), &mut digits);
    point(&digits, scale, out);
}

fn point(digits: &[u8], scale: u8, out: &mut Vec<u8>) {
    let scale = usize::from(scale);
    if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        if scale > 0 {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

/// Appends a fixed-scale number's text form.
pub fn write_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let digits = Digits::of(unscaled.unsigned_abs());
    point(digits.as_bytes(), scale, out);
}

/// Reads the usual form of a decimal into a fixed scale; None for any other form, which
/// [`Numeric::parse`] then reads or refuses.
#[must_use]
pub fn parse_decimal_fast(text: &[u8], scale: u8) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 37 {
        return None;
    }
    let mut value: u64 = 0;
    let mut wide: i128 = 0;
    let mut fraction: Option<u8> = None;
    for (index, &byte) in digits.iter().enumerate() {
        if index == 18 {
            wide = i128::from(value);
        }
        match byte {
            b'0'..=b'9' => {
                if index >= 18 {
                    wide = wide * 10 + i128::from(byte - b'0');
                } else {
                    value = value * 10 + u64::from(byte - b'0');
                }
                if let Some(count) = fraction.as_mut() {
                    *count += 1;
                }
            }
            b'.' if fraction.is_none() && index > 0 => fraction = Some(0),
            _ => return None,
        }
    }
    let value = if digits.len() > 18 {
        wide
    } else {
        i128::from(value)
    };
    let missing = scale.checked_sub(fraction.unwrap_or(0))?;
    let value = value.checked_mul(10i128.checked_pow(u32::from(missing))?)?;
    Some(if negative { -value } else { value })
}

/// Rounds a number to a column's precision and scale.
///
/// # Errors
/// 22003 "numeric field overflow", as PostgreSQL words it.
pub fn fit(value: &Numeric, precision: u8, scale: u8) -> Result<i128, ValueError> {
    let refused = || {
        let whole = i32::from(precision) - i32::from(scale);
        let power = match whole {
            0 => "1".to_owned(),
            whole => format!("10^{whole}"),
        };
        let what = match value {
            Numeric::Finite { .. } => format!("must round to an absolute value less than {power}"),
            _ => "cannot hold an infinite value".to_owned(),
        };
        ValueError::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "numeric field overflow",
        )
        .detail(format!(
            "A field with precision {precision}, scale {scale} {what}."
        ))
    };
    let unscaled = value
        .unscaled_at(scale)
        .and_then(i256::to_i128)
        .ok_or_else(refused)?;
    check_precision(unscaled, precision)
        .then_some(unscaled)
        .ok_or_else(refused)
}

/// Whether a fixed-scale number has at most `precision` digits.
#[must_use]
pub fn check_precision(unscaled: i128, precision: u8) -> bool {
    match 10u128.checked_pow(u32::from(precision)) {
        Some(limit) => unscaled.unsigned_abs() < limit,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text.as_bytes()).unwrap()
    }

    fn s(value: Numeric) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_plain_form_gives_its_value_back_by_a_product_as_by_division() {
        let mut state = 7_u128;
        for round in 0..20_000_u32 {
            state = state
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(1);
            let unscaled = (state >> (round % 124)).cast_signed();
            let unscaled = if round % 2 == 0 { unscaled } else { -unscaled };
            let scale = u8::try_from(round / 2 % 37).unwrap();
            let power = power_of_ten(u32::from(SCALE_MAX - scale));
            let value = i256::from_i128(unscaled).wrapping_mul(power);
            let by_product = quotient(value, SCALE_MAX - scale, power);
            assert_eq!(by_product, Some(i256::from_i128(unscaled)));
            // What leaves a rest is divided.
            let other = value.wrapping_add(i256::ONE);
            match quotient(other, SCALE_MAX - scale, power) {
                None => assert!(scale < SCALE_MAX),
                Some(same) => assert_eq!(same.wrapping_mul(power), other),
            }
        }
        let all = "123456789012345678901234567890.123456789012345678901234567890";
        for text in [
            all,
            "-0.5",
            "0",
            "-99999999999999999999999999999999999999",
            "0.00",
        ] {
            let value = n(text);
            assert_eq!(s(Numeric::from_any(value.to_any())), text);
        }
    }

    #[test]
    fn arithmetic_shows_the_digits_that_postgresql_shows() {
        // Recorded on PostgreSQL 15.
        assert_eq!(s(n("1.50").add(&n("2.5")).unwrap()), "4.00");
        assert_eq!(s(n("1.50").mul(&n("2.5")).unwrap()), "3.750");
        assert_eq!(s(n("10").div(&n("4")).unwrap()), "2.5000000000000000");
        assert_eq!(s(n("1").div(&n("3")).unwrap()), "0.33333333333333333333");
        assert_eq!(s(n("100").div(&n("7")).unwrap()), "14.2857142857142857");
        assert_eq!(s(n("-7.5").rem(&n("2")).unwrap()), "-1.5");
        assert_eq!(s(n("2.5").round(0).unwrap()), "3");
        assert_eq!(s(n("-2.5").round(0).unwrap()), "-3");
        assert_eq!(s(n("1234.567").round(-2).unwrap()), "1200");
        assert_eq!(s(n("-1.999").trunc(1).unwrap()), "-1.9");
        assert_eq!(s(n("1e5")), "100000");
        assert_eq!(s(n("1.5e-3")), "0.0015");
        assert_eq!(
            n("1").div(&n("0")).unwrap_err().code,
            SqlState::DIVISION_BY_ZERO
        );
    }

    #[test]
    fn the_physical_form_orders_and_returns_every_value() {
        let ordered = [
            "-Infinity",
            "-99999999999999999999999999999999999999",
            "-1.5",
            "-0.000000000000000000000000000000000001",
            "0",
            "0.5",
            "0.50",
            "1",
            "1.0",
            "99999999999999999999999999999999999999.5",
            "Infinity",
            "NaN",
        ];
        let mut last = None;
        for text in ordered {
            let value = n(text);
            assert_eq!(s(Numeric::from_any(value.to_any())), text);
            if let Some(last) = last {
                assert!(value.to_any() > last, "{text}");
            }
            last = Some(value.to_any());
        }
        assert_eq!(
            Numeric::normalised_any(n("0.50").to_any()),
            Numeric::normalised_any(n("0.5").to_any())
        );
        assert!(n("1.0") == n("1.0") && n("1.0").cmp(&n("1")).is_eq());
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in ["", "abc", "1.2.3", "1e", "--1", ".", "1 2"] {
            assert_eq!(
                Numeric::parse(text.as_bytes()).unwrap_err().code,
                SqlState::INVALID_TEXT_REPRESENTATION,
                "{text}"
            );
        }
        assert_eq!(
            Numeric::parse(b"1e39").unwrap_err().code,
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE
        );
    }

    #[test]
    fn the_fast_reader_agrees_with_the_exact_one() {
        for text in [
            "0",
            "1",
            "-1.5",
            "12345678.12345678",
            "99999999999999999999.12345678",
            "1.123456789",
            "1e3",
            "+1",
            "-0.00000001",
            ".5",
            "5.",
        ] {
            let exact = n(text).unscaled_at(8).unwrap().to_i128();
            if let Some(fast) = parse_decimal_fast(text.as_bytes(), 8) {
                assert_eq!(Some(fast), exact, "{text}");
            }
        }
        assert_eq!(
            parse_decimal_fast(b"12345678.12345678", 8),
            Some(1_234_567_812_345_678)
        );
        assert_eq!(
            fit(&n("999.995"), 5, 2).unwrap_err().detail.unwrap(),
            "A field with precision 5, scale 2 must round to an absolute value less than 10^3."
        );
    }
}
