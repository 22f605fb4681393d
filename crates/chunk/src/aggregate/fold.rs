//! Runs of a column's numbers, as the file has them: their sums and extremes, and what those are in
//! the table's types.

use std::ops::Range;

use arrow::datatypes::{DataType, i256};
use chronolith_types::{NUMERIC_ANY, Numeric, SqlType};

use super::AggKind;
use super::cells::{Domain, Scalar, compare_floats, wide_product};
use crate::cold::US_PER_DAY;
use crate::error::ChunkError;
use crate::numbers::{NumberColumn, Numbers};

/// How a file's number becomes a value of the table's type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Convert {
    Int,
    /// Times a power of ten.
    Decimal(i128),
    Float,
    /// Of a scale.
    Any(u8),
}

/// None when the file's values are no numbers.
pub(super) fn conversion(stored: &DataType, ty: &SqlType) -> Option<Convert> {
    let to = ty.arrow();
    match (stored, Domain::of(ty)?) {
        (DataType::Decimal128(_, from), Domain::Decimal) => {
            let DataType::Decimal128(_, scale) = to else {
                return None;
            };
            let up = u32::try_from(i16::from(scale) - i16::from(*from)).ok()?;
            Some(Convert::Decimal(10i128.checked_pow(up)?))
        }
        (DataType::Decimal128(_, scale), Domain::Any) if to == NUMERIC_ANY => {
            Some(Convert::Any(scale.unsigned_abs()))
        }
        (DataType::Float32 | DataType::Float64, Domain::Float) => Some(Convert::Float),
        (stored, Domain::Int) if *stored == to => Some(Convert::Int),
        _ => None,
    }
}

/// The row of the least or greatest time that is not NULL, by arrival where times are equal.
pub(super) fn choose(
    kind: AggKind,
    column: &NumberColumn,
    date: bool,
    rows: Range<usize>,
) -> Option<(usize, i64)> {
    let mut best: Option<(usize, i64)> = None;
    let unit = if date { US_PER_DAY } else { 1 };
    for row in rows {
        let Some(Raw::Int(time)) = value_at(column, row) else {
            continue;
        };
        let time = i64::try_from(time).ok()?.saturating_mul(unit);
        let wins = best.is_none_or(|(_, known)| match kind {
            AggKind::First => time < known,
            _ => time >= known,
        });
        if wins {
            best = Some((row, time));
        }
    }
    best
}

/// A number as the file has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw {
    Int(i128),
    Float(f64),
    /// A sum of wide decimals.
    Big(i256),
}

impl Raw {
    pub(super) fn converted(self, convert: Convert) -> Result<Scalar<'static>, ChunkError> {
        Ok(match (self, convert) {
            (Self::Float(value), _) => Scalar::Float(value),
            (Self::Int(value), Convert::Decimal(factor)) => Scalar::Int(value * factor),
            (Self::Int(value), Convert::Any(scale)) => {
                Scalar::Big(Numeric::from_i128(value, scale).to_any())
            }
            (Self::Int(value), _) => Scalar::Int(value),
            (Self::Big(value), _) => Scalar::Big(value),
        })
    }

    pub(super) fn sum_converted(self, convert: Convert) -> Result<Scalar<'static>, ChunkError> {
        let wide = match self {
            Self::Float(value) => return Ok(Scalar::Float(value)),
            Self::Int(value) => i256::from_i128(value),
            Self::Big(value) => value,
        };
        Ok(match (self, convert) {
            (_, Convert::Decimal(factor)) => {
                Scalar::Big(wide.wrapping_mul(i256::from_i128(factor)))
            }
            (_, Convert::Any(scale)) => {
                Scalar::Big(Numeric::finite(wide, u32::from(scale))?.to_any())
            }
            (Self::Int(value), _) => Scalar::Int(value),
            (_, _) => Scalar::Big(wide),
        })
    }
}

pub(super) fn value_at(column: &NumberColumn, row: usize) -> Option<Raw> {
    if let Some(valid) = &column.valid
        && !valid.get(row).copied().unwrap_or(false)
    {
        return None;
    }
    match &column.values {
        Numbers::Bool(values) => values.get(row).map(|value| Raw::Int(i128::from(*value))),
        Numbers::I32(values) => values.get(row).map(|value| Raw::Int(i128::from(*value))),
        Numbers::I64(values) => values.get(row).map(|value| Raw::Int(i128::from(*value))),
        Numbers::F32(values) => values.get(row).map(|value| Raw::Float(f64::from(*value))),
        Numbers::F64(values) => values.get(row).map(|value| Raw::Float(*value)),
        Numbers::Wide(values) => values.get(row).map(|value| Raw::Int(*value)),
    }
}

/// Folds the values of some rows that are not NULL.
fn fold<T: Copy, S>(
    values: &[T],
    valid: Option<&[bool]>,
    start: S,
    mut step: impl FnMut(S, T) -> S,
) -> Option<S> {
    match valid {
        None if values.is_empty() => None,
        None => Some(
            values
                .iter()
                .fold(start, |state, value| step(state, *value)),
        ),
        Some(valid) => {
            let mut any = false;
            let mut state = start;
            for (value, valid) in values.iter().zip(valid) {
                if *valid {
                    any = true;
                    state = step(state, *value);
                }
            }
            any.then_some(state)
        }
    }
}

macro_rules! extreme {
    ($name:ident, $pick:ident, $start:ident, $wins:expr, $float:expr) => {
        pub(super) fn $name(column: &NumberColumn, rows: Range<usize>) -> Option<Raw> {
            let valid = column.valid.as_ref().and_then(|v| v.get(rows.clone()));
            Some(match &column.values {
                Numbers::Bool(_) => return None,
                Numbers::I32(values) => {
                    let values = values.get(rows)?;
                    Raw::Int(i128::from(fold(values, valid, i32::$start, |a, b| {
                        a.$pick(b)
                    })?))
                }
                Numbers::I64(values) => {
                    let values = values.get(rows)?;
                    Raw::Int(i128::from(fold(values, valid, i64::$start, |a, b| {
                        a.$pick(b)
                    })?))
                }
                Numbers::Wide(values) => {
                    let values = values.get(rows)?;
                    Raw::Int(fold(values, valid, i128::$start, |a, b| a.$pick(b))?)
                }
                Numbers::F32(values) => Raw::Float(extreme_float(
                    values.get(rows)?.iter().map(|value| f64::from(*value)),
                    valid,
                    $wins,
                )?),
                Numbers::F64(values) => Raw::Float(extreme_float(
                    values.get(rows)?.iter().copied(),
                    valid,
                    $wins,
                )?),
            })
        }
    };
}

extreme!(least, min, MAX, std::cmp::Ordering::Less, f64::min);
extreme!(greatest, max, MIN, std::cmp::Ordering::Greater, f64::max);

fn extreme_float(
    values: impl Iterator<Item = f64>,
    valid: Option<&[bool]>,
    wins: std::cmp::Ordering,
) -> Option<f64> {
    let mut best: Option<f64> = None;
    for (row, value) in values.enumerate() {
        if valid.is_some_and(|valid| !valid.get(row).copied().unwrap_or(false)) {
            continue;
        }
        if best.is_none_or(|best| compare_floats(value, best) == wins) {
            best = Some(value);
        }
    }
    best
}

/// The sum of the products of two columns where neither is NULL, as the file has the numbers.
pub(super) fn sum_of_products(
    one: &NumberColumn,
    other: &NumberColumn,
    rows: Range<usize>,
) -> Option<i256> {
    if let (None, None, Numbers::I64(a), Numbers::I64(b)) =
        (&one.valid, &other.valid, &one.values, &other.values)
    {
        let (a, b) = (a.get(rows.clone())?, b.get(rows)?);
        let mut total = i256::ZERO;
        let mut sum = 0i128;
        for (a, b) in a.iter().zip(b) {
            let product = i128::from(*a) * i128::from(*b);
            sum = sum.checked_add(product).unwrap_or_else(|| {
                total = total.wrapping_add(i256::from_i128(sum));
                product
            });
        }
        return (!a.is_empty()).then(|| total.wrapping_add(i256::from_i128(sum)));
    }
    let mut total = None;
    for row in rows {
        if let (Some(Raw::Int(a)), Some(Raw::Int(b))) = (value_at(one, row), value_at(other, row)) {
            let known = total.unwrap_or(i256::ZERO);
            total = Some(known.wrapping_add(wide_product(a, b)));
        }
    }
    total
}

/// Whether an infinity is among some rows that are not NULL.
pub(super) fn any_infinite(column: &NumberColumn, mut rows: Range<usize>) -> bool {
    rows.any(|row| matches!(value_at(column, row), Some(Raw::Float(value)) if value.is_infinite()))
}

pub(super) fn sum(column: &NumberColumn, rows: Range<usize>) -> Option<Raw> {
    let valid = column.valid.as_ref().and_then(|v| v.get(rows.clone()));
    Some(match &column.values {
        Numbers::Bool(_) => return None,
        // A step's rows of 32 bits cannot outgrow 64.
        Numbers::I32(values) => Raw::Int(i128::from(fold(
            values.get(rows)?,
            valid,
            0i64,
            |sum, value| sum + i64::from(value),
        )?)),
        Numbers::I64(values) => {
            let values = values.get(rows)?;
            Raw::Int(fold(values, valid, 0i128, |sum, value| {
                sum + i128::from(value)
            })?)
        }
        Numbers::Wide(values) => {
            let values = values.get(rows)?;
            Raw::Big(fold(values, valid, i256::ZERO, |sum, value| {
                sum.wrapping_add(i256::from_i128(value))
            })?)
        }
        Numbers::F32(values) => {
            Raw::Float(fold(values.get(rows)?, valid, 0.0, |sum: f64, value| {
                sum + f64::from(value)
            })?)
        }
        Numbers::F64(values) => {
            Raw::Float(fold(values.get(rows)?, valid, 0.0, |sum: f64, value| {
                sum + value
            })?)
        }
    })
}
