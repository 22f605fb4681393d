//! The states of one aggregate, one a group and bucket.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    StringViewArray, Time64MicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, i256};
use arrow::error::ArrowError;
use chronolith_types::{NUMERIC_ANY, Numeric, SqlState, SqlType, ValueError};

use super::AggKind;
use crate::cold::US_PER_DAY;
use crate::error::ChunkError;

/// Which numbers stand for a type's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Whole numbers, dates, times, booleans.
    Int,
    /// Unscaled decimals of the type's scale.
    Decimal,
    Float,
    /// Plain numeric, in its physical form.
    Any,
    Bytes,
}

impl Domain {
    /// None for a type whose values no state holds.
    pub(crate) fn of(ty: &SqlType) -> Option<Self> {
        match ty {
            SqlType::Array(_) => None,
            other => match other.arrow() {
                DataType::Boolean
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::Date32
                | DataType::Time64(_)
                | DataType::Timestamp(_, _) => Some(Self::Int),
                DataType::Decimal128(_, _) => Some(Self::Decimal),
                DataType::Float32 | DataType::Float64 => Some(Self::Float),
                DataType::Utf8View | DataType::BinaryView | DataType::FixedSizeBinary(16) => {
                    Some(Self::Bytes)
                }
                ty if ty == NUMERIC_ANY => Some(Self::Any),
                _ => None,
            },
        }
    }
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Int(i128),
    Float(f64),
    Big(i256),
    Bytes(&'a [u8]),
}

#[derive(Debug)]
enum Values {
    Int(Vec<i128>),
    Float(Vec<f64>),
    Big(Vec<i256>),
    Bytes(Vec<Box<[u8]>>),
}

/// Nothing seen yet.
const NONE: u8 = 0;
/// `First` or `Last` saw a NULL.
const NULL: u8 = 1;
const SOME: u8 = 2;

/// Digits of a decimal of which 10^18 values add up within 38 digits.
const SUMMED_IN_128: u8 = 20;
const FACTOR_DIGITS_MAX: u8 = 28;

/// One aggregate's states.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) kind: AggKind,
    /// Whether `Big` values are plain numerics.
    any: bool,
    states: Vec<u8>,
    values: Values,
    /// Of `First` and `Last`.
    times: Vec<i64>,
}

/// The type of an aggregate's result.
pub(crate) fn output_type(
    kind: AggKind,
    ty: Option<&SqlType>,
    factor: Option<&SqlType>,
) -> DataType {
    let arrow = ty.map_or(DataType::Null, SqlType::arrow);
    match kind {
        AggKind::CountStar | AggKind::Count => DataType::Int64,
        AggKind::Sum => match arrow {
            DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Decimal128(precision, scale) if precision <= SUMMED_IN_128 => {
                DataType::Decimal128(38, scale)
            }
            DataType::Decimal128(_, scale) => DataType::Decimal256(76, scale),
            DataType::Decimal256(_, _) => NUMERIC_ANY,
            _ => DataType::Decimal128(38, 0),
        },
        AggKind::SumProduct => {
            let scale = |ty: Option<&SqlType>| ty.and_then(factor_scale).unwrap_or(0);
            DataType::Decimal256(76, scale(ty) + scale(factor))
        }
        AggKind::Min | AggKind::Max | AggKind::First | AggKind::Last => arrow,
    }
}

/// The scale of a decimal that is short enough to be a factor: 10^18 products add up within 76 digits.
pub(crate) fn factor_scale(ty: &SqlType) -> Option<i8> {
    match ty.arrow() {
        DataType::Decimal128(precision, scale) if precision <= FACTOR_DIGITS_MAX => Some(scale),
        _ => None,
    }
}

impl Cells {
    pub(crate) fn new(kind: AggKind, ty: Option<&SqlType>, factor: Option<&SqlType>) -> Self {
        let domain = ty.and_then(Domain::of);
        let counts = matches!(kind, AggKind::CountStar | AggKind::Count);
        let values = match domain {
            _ if counts => Values::Int(Vec::new()),
            Some(Domain::Float) => Values::Float(Vec::new()),
            Some(Domain::Any) => Values::Big(Vec::new()),
            // A sum of 38-digit decimals outgrows 128 bits.
            Some(Domain::Decimal)
                if matches!(output_type(kind, ty, factor), DataType::Decimal256(_, _)) =>
            {
                Values::Big(Vec::new())
            }
            Some(Domain::Bytes) => Values::Bytes(Vec::new()),
            Some(Domain::Int | Domain::Decimal) | None => Values::Int(Vec::new()),
        };
        Self {
            kind,
            any: domain == Some(Domain::Any),
            states: Vec::new(),
            values,
            times: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self) {
        let counts = matches!(self.kind, AggKind::CountStar | AggKind::Count);
        self.states.push(if counts { SOME } else { NONE });
        match &mut self.values {
            Values::Int(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Big(values) => values.push(i256::ZERO),
            Values::Bytes(values) => values.push(Box::default()),
        }
        if matches!(self.kind, AggKind::First | AggKind::Last) {
            self.times.push(0);
        }
    }

    /// Counts rows.
    pub(crate) fn count(&mut self, at: usize, rows: usize) {
        if let Values::Int(values) = &mut self.values
            && let Some(value) = values.get_mut(at)
        {
            *value += i128::try_from(rows).unwrap_or(0);
        }
    }

    /// Takes a value in, or a sum of some. For `First` and `Last` None is a NULL and counts.
    pub(crate) fn take(
        &mut self,
        at: usize,
        time: i64,
        value: Option<Scalar<'_>>,
    ) -> Result<(), ChunkError> {
        let Some(state) = self.states.get_mut(at) else {
            return Ok(());
        };
        let seen = *state != NONE;
        match self.kind {
            AggKind::CountStar | AggKind::Count => {}
            AggKind::First | AggKind::Last => {
                let Some(known) = self.times.get_mut(at) else {
                    return Ok(());
                };
                let wins = match self.kind {
                    AggKind::First => time < *known,
                    _ => time >= *known,
                };
                if !seen || wins {
                    *known = time;
                    *state = if value.is_some() { SOME } else { NULL };
                    if let Some(value) = value {
                        self.values.set(at, value);
                    }
                }
            }
            AggKind::Min | AggKind::Max => {
                let Some(value) = value else {
                    return Ok(());
                };
                let order = self.values.compare(at, value, self.any);
                let wins = match self.kind {
                    AggKind::Min => order == Ordering::Greater,
                    _ => order == Ordering::Less,
                };
                // PostgreSQL keeps the later of equal numerics, which may show other digits.
                if !seen || wins || (self.any && order == Ordering::Equal) {
                    *state = SOME;
                    self.values.set(at, value);
                }
            }
            AggKind::Sum | AggKind::SumProduct => {
                let Some(value) = value else {
                    return Ok(());
                };
                let value = match (&self.values, value) {
                    (Values::Big(_), Scalar::Int(value)) => Scalar::Big(i256::from_i128(value)),
                    (Values::Int(_), Scalar::Big(value)) => Scalar::Int(value.as_i128()),
                    (_, value) => value,
                };
                *state = SOME;
                if seen {
                    self.values.add(at, value, self.any)?;
                } else {
                    self.values.set(at, value);
                }
            }
        }
        Ok(())
    }

    /// Takes in whole numbers of which none is NULL, each at its place; false where states are of
    /// another kind, and nothing was taken.
    pub(crate) fn take_ints(&mut self, places: &[usize], value: impl Fn(usize) -> i128) -> bool {
        let Values::Int(values) = &mut self.values else {
            return false;
        };
        let mut each = |step: fn(i128, i128) -> i128| {
            for (row, place) in places.iter().enumerate() {
                let (Some(known), Some(state)) =
                    (values.get_mut(*place), self.states.get_mut(*place))
                else {
                    continue;
                };
                let value = value(row);
                *known = match *state {
                    SOME => step(*known, value),
                    _ => value,
                };
                *state = SOME;
            }
        };
        match self.kind {
            AggKind::Min => each(i128::min),
            AggKind::Max => each(i128::max),
            AggKind::Sum => each(|sum, value| sum + value),
            _ => return false,
        }
        true
    }

    /// The same for `First` and `Last`.
    pub(crate) fn take_ends(
        &mut self,
        places: &[usize],
        times: &[i64],
        value: impl Fn(usize) -> i128,
    ) {
        let Values::Int(values) = &mut self.values else {
            return;
        };
        let last = self.kind == AggKind::Last;
        for (row, (place, time)) in places.iter().zip(times).enumerate() {
            let (Some(known), Some(state), Some(value_of)) = (
                self.times.get_mut(*place),
                self.states.get_mut(*place),
                values.get_mut(*place),
            ) else {
                continue;
            };
            let wins = if last { time >= known } else { time < known };
            if *state == NONE || wins {
                *known = *time;
                *state = SOME;
                *value_of = value(row);
            }
        }
    }

    /// Takes in other states, each at its place.
    pub(crate) fn merge(&mut self, places: &[usize], others: &Self) -> Result<(), ChunkError> {
        let counts = matches!(self.kind, AggKind::CountStar | AggKind::Count);
        for (from, to) in places.iter().enumerate() {
            if others.states.get(from).is_none_or(|state| *state == NONE) {
                continue;
            }
            if counts {
                let rows = match &others.values {
                    Values::Int(values) => values.get(from).copied().unwrap_or(0),
                    _ => 0,
                };
                self.count(*to, usize::try_from(rows).unwrap_or(0));
                continue;
            }
            let null = others.states.get(from) == Some(&NULL);
            let value = others.values.get(from).filter(|_| !null);
            let time = others.times.get(from).copied().unwrap_or(0);
            self.take(*to, time, value)?;
        }
        Ok(())
    }

    pub(crate) fn finish(
        self,
        ty: Option<&SqlType>,
        factor: Option<&SqlType>,
    ) -> Result<ArrayRef, ChunkError> {
        let out = output_type(self.kind, ty, factor);
        let some = self.states.iter().map(|state| *state == SOME);
        let column: ArrayRef = match self.values {
            Values::Int(values) => {
                let values = some.zip(values).map(|(some, value)| some.then_some(value));
                ints(values, &out)?
            }
            Values::Float(values) => {
                let values: Float64Array = some
                    .zip(values)
                    .map(|(some, value)| some.then_some(value))
                    .collect();
                match out {
                    DataType::Float32 => Arc::new(Float32Array::from_iter(
                        // Each is a value of the column, and goes back to what it was.
                        values.iter().map(|value| value.map(narrow_float)),
                    )),
                    _ => Arc::new(values),
                }
            }
            Values::Big(values) => {
                let values: Decimal256Array = some
                    .zip(values)
                    .map(|(some, value)| some.then_some(value))
                    .collect();
                Arc::new(values.with_data_type(out))
            }
            Values::Bytes(values) => {
                let values = some.zip(&values).map(|(some, value)| some.then_some(value));
                bytes(values, &out)?
            }
        };
        Ok(column)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value was a float of this width"
)]
fn narrow_float(value: f64) -> f32 {
    value as f32
}

fn ints(
    values: impl Iterator<Item = Option<i128>>,
    out: &DataType,
) -> Result<ArrayRef, ChunkError> {
    if let DataType::Decimal128(_, _) = out {
        let values: Decimal128Array = values.collect();
        return Ok(Arc::new(values.with_data_type(out.clone())));
    }
    // What is in a column fits its type.
    let small = values.map(|value| value.map(|value| i64::try_from(value).unwrap_or(0)));
    let column: ArrayRef = match out {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(
            small.map(|value| value.map(|v| v != 0)),
        )),
        DataType::Int16 => Arc::new(Int16Array::from_iter(
            small.map(|value| value.map(|v| i16::try_from(v).unwrap_or(0))),
        )),
        DataType::Int32 | DataType::Date32 => {
            let values = Int32Array::from_iter(
                small.map(|value| value.map(|v| i32::try_from(v).unwrap_or(0))),
            );
            match out {
                DataType::Date32 => {
                    Arc::new(values.reinterpret_cast::<arrow::datatypes::Date32Type>())
                }
                _ => Arc::new(values),
            }
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            Arc::new(Time64MicrosecondArray::from_iter(small))
        }
        DataType::Timestamp(_, zone) => Arc::new(
            Int64Array::from_iter(small)
                .reinterpret_cast::<arrow::datatypes::TimestampMicrosecondType>()
                .with_timezone_opt(zone.clone()),
        ),
        _ => Arc::new(Int64Array::from_iter(small)),
    };
    Ok(column)
}

fn bytes<'a>(
    values: impl Iterator<Item = Option<&'a Box<[u8]>>>,
    out: &DataType,
) -> Result<ArrayRef, ChunkError> {
    Ok(match out {
        DataType::Utf8View => {
            let text =
                values.map(|value| value.map(|value| std::str::from_utf8(value)).transpose());
            let text = text
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| ArrowError::ParseError(error.to_string()))?;
            Arc::new(StringViewArray::from_iter(text))
        }
        DataType::FixedSizeBinary(size) => Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, *size)?,
        ),
        _ => Arc::new(BinaryViewArray::from_iter(values)),
    })
}

/// A column of times from µs, or from whole numbers.
pub(crate) fn times(values: Vec<i64>, ty: &SqlType) -> Result<ArrayRef, ChunkError> {
    let ty = ty.arrow();
    let values: Vec<i64> = match ty {
        DataType::Date32 => values
            .into_iter()
            .map(|us| us.div_euclid(US_PER_DAY))
            .collect(),
        _ => values,
    };
    let numbers: ArrayRef = Arc::new(Int64Array::from(values));
    Ok(match ty {
        DataType::Date32 => cast(&cast(&numbers, &DataType::Int32)?, &ty)?,
        _ => cast(&numbers, &ty)?,
    })
}

/// Equal numerics of other digits compare as equal; NaN and the infinities as they are coded.
pub(crate) fn any_key(code: i256) -> i256 {
    if code >= i256::MAX.wrapping_sub(i256::ONE) {
        return code;
    }
    code & i256::from_i128(-64)
}

impl Values {
    fn set(&mut self, at: usize, value: Scalar<'_>) {
        match (self, value) {
            (Self::Int(values), Scalar::Int(value)) => put(values, at, value),
            (Self::Float(values), Scalar::Float(value)) => put(values, at, value),
            (Self::Big(values), Scalar::Big(value)) => put(values, at, value),
            (Self::Bytes(values), Scalar::Bytes(value)) => put(values, at, value.into()),
            // A mix-up of types would be a wrong answer.
            (values, value) => unreachable!("{value:?} for {values:?}"),
        }
    }

    fn get(&self, at: usize) -> Option<Scalar<'_>> {
        match self {
            Self::Int(values) => values.get(at).copied().map(Scalar::Int),
            Self::Float(values) => values.get(at).copied().map(Scalar::Float),
            Self::Big(values) => values.get(at).copied().map(Scalar::Big),
            Self::Bytes(values) => values.get(at).map(|value| Scalar::Bytes(value)),
        }
    }

    /// How the value at a place compares to another.
    fn compare(&self, at: usize, value: Scalar<'_>, any: bool) -> Ordering {
        match (self.get(at), value) {
            (Some(Scalar::Int(known)), Scalar::Int(value)) => known.cmp(&value),
            (Some(Scalar::Float(known)), Scalar::Float(value)) => compare_floats(known, value),
            (Some(Scalar::Big(known)), Scalar::Big(value)) if any => {
                any_key(known).cmp(&any_key(value))
            }
            (Some(Scalar::Big(known)), Scalar::Big(value)) => known.cmp(&value),
            (Some(Scalar::Bytes(known)), Scalar::Bytes(value)) => known.cmp(value),
            _ => Ordering::Equal,
        }
    }

    fn add(&mut self, at: usize, value: Scalar<'_>, any: bool) -> Result<(), ChunkError> {
        match (self, value) {
            (Self::Int(values), Scalar::Int(value)) => {
                if let Some(sum) = values.get_mut(at) {
                    // 2^63 rows of bigint stay within 127 bits.
                    *sum += value;
                }
            }
            (Self::Float(values), Scalar::Float(value)) => {
                if let Some(sum) = values.get_mut(at) {
                    let known = *sum;
                    *sum += value;
                    if sum.is_infinite() && !known.is_infinite() && !value.is_infinite() {
                        return Err(float_overflow());
                    }
                }
            }
            (Self::Big(values), Scalar::Big(value)) => {
                if let Some(sum) = values.get_mut(at) {
                    *sum = if any {
                        let total = Numeric::from_any(*sum).add(&Numeric::from_any(value))?;
                        total.to_any()
                    } else {
                        sum.wrapping_add(value)
                    };
                }
            }
            (values, value) => unreachable!("{value:?} for {values:?}"),
        }
        Ok(())
    }
}

/// A product, which is small mostly.
pub(crate) fn wide_product(one: i128, other: i128) -> i256 {
    match one.checked_mul(other) {
        Some(product) => i256::from_i128(product),
        None => i256::from_i128(one).wrapping_mul(i256::from_i128(other)),
    }
}

/// A sum of finite floats that is not finite any more.
pub(crate) fn float_overflow() -> ChunkError {
    ChunkError::Value(ValueError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value out of range: overflow",
    ))
}

/// NaN is greater than all else and equal to itself.
pub(crate) fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn put<T>(values: &mut [T], at: usize, value: T) {
    if let Some(place) = values.get_mut(at) {
        *place = value;
    }
}
