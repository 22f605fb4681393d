//! Sums, averages and moments of integers and numerics, exact.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Decimal256Array, Int64Array,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Int16Type, Int32Type, Int64Type, i256,
};
use chronolith_types::{NUMERIC_ANY, NUMERIC_ANY_SCALE};

use super::super::error::FunctionError;
use super::super::num::{self, Numeric};
use super::super::value::{self, Value};
use super::lanes::{Lanes, column, each};
use super::rows::Kind;

/// A total left 256 bits.
#[derive(Debug, Clone, Copy)]
struct Overflow;

impl From<Overflow> for FunctionError {
    fn from(_: Overflow) -> Self {
        num::overflow()
    }
}

/// Totals in 128 bits; what does not fit there is added up beside them.
#[derive(Debug, Default)]
struct Totals {
    small: Vec<i128>,
    large: HashMap<usize, i256>,
}

impl Totals {
    fn grow(&mut self, groups: usize) {
        self.small.resize(groups, 0);
    }

    #[inline]
    fn add(&mut self, group: usize, value: i128) -> Result<(), Overflow> {
        let Some(slot) = self.small.get_mut(group) else {
            return Ok(());
        };
        match slot.checked_add(value) {
            Some(sum) => {
                *slot = sum;
                Ok(())
            }
            None => self.add_large(group, i256::from_i128(value)),
        }
    }

    #[inline]
    fn add_wide(&mut self, group: usize, value: i256) -> Result<(), Overflow> {
        match value.to_i128() {
            Some(value) => self.add(group, value),
            None => self.add_large(group, value),
        }
    }

    #[cold]
    fn add_large(&mut self, group: usize, value: i256) -> Result<(), Overflow> {
        let slot = self.large.entry(group).or_insert(i256::ZERO);
        *slot = slot.checked_add(value).ok_or(Overflow)?;
        Ok(())
    }

    fn total(&self, group: usize) -> Result<i256, Overflow> {
        let small = i256::from_i128(self.small.get(group).copied().unwrap_or(0));
        match self.large.get(&group) {
            Some(large) => large.checked_add(small).ok_or(Overflow),
            None => Ok(small),
        }
    }

    fn forget(&mut self, count: usize) {
        self.small.drain(..count.min(self.small.len()));
        if !self.large.is_empty() {
            let large = std::mem::take(&mut self.large).into_iter();
            self.large = large
                .filter_map(|(group, value)| Some((group.checked_sub(count)?, value)))
                .collect();
        }
    }

    fn bytes(&self) -> usize {
        self.small.capacity() * size_of::<i128>() + self.large.capacity() * 64
    }
}

/// Integers and numerics of one scale.
#[derive(Debug)]
pub(super) struct Exact {
    kind: Kind,
    scale: i8,
    answer: DataType,
    counts: Vec<i64>,
    sums: Totals,
    /// Of variances alone.
    squares: Option<Totals>,
}

impl Exact {
    pub(super) fn new(kind: Kind, scale: i8, answer: DataType) -> Self {
        Self {
            kind,
            scale,
            answer,
            counts: Vec::new(),
            sums: Totals::default(),
            squares: kind.spread().then(Totals::default),
        }
    }

    /// The forms of its states: count, sum, sum of squares.
    pub(super) fn forms(kind: Kind, scale: i8) -> Vec<DataType> {
        let mut forms = vec![DataType::Int64, DataType::Decimal256(76, scale)];
        if kind.spread() {
            forms.push(DataType::Decimal256(76, scale.saturating_mul(2)));
        }
        forms
    }

    #[inline]
    fn take(&mut self, group: usize, value: i128, sign: i64) -> Result<(), Overflow> {
        if let Some(count) = self.counts.get_mut(group) {
            *count += sign;
        }
        let sign = i128::from(sign);
        self.sums.add(group, sign * value)?;
        if let Some(squares) = &mut self.squares {
            match i64::try_from(value) {
                Ok(value) => {
                    squares.add(group, sign * i128::from(value) * i128::from(value))?;
                }
                Err(_) => {
                    let wide = i256::from_i128(value);
                    let square = wide.checked_mul(wide).ok_or(Overflow)?;
                    squares.add_wide(group, square.wrapping_mul(i256::from_i128(sign)))?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn take_wide(&mut self, group: usize, value: i256, sign: i64) -> Result<(), Overflow> {
        // The least of 128 bits has no negative there.
        match value.to_i128().filter(|value| *value != i128::MIN) {
            Some(value) => self.take(group, value, sign),
            None => {
                if let Some(count) = self.counts.get_mut(group) {
                    *count += sign;
                }
                let sign = i256::from_i128(sign.into());
                self.sums.add_wide(group, value.wrapping_mul(sign))?;
                if let Some(squares) = &mut self.squares {
                    let square = value.checked_mul(value).ok_or(Overflow)?;
                    squares.add_wide(group, square.wrapping_mul(sign))?;
                }
                Ok(())
            }
        }
    }

    fn rows(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
        sign: i64,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let nulls = values.nulls();
        macro_rules! whole {
            ($ty:ty) => {{
                let values = values.as_primitive::<$ty>().values();
                each(groups, nulls, keep, |row, group| {
                    self.take(group, i128::from(values[row]), sign)
                })?;
            }};
        }
        match values.data_type() {
            DataType::Int16 => whole!(Int16Type),
            DataType::Int32 => whole!(Int32Type),
            DataType::Int64 => whole!(Int64Type),
            DataType::Decimal128(..) => whole!(Decimal128Type),
            DataType::Decimal256(..) => {
                let values = values.as_primitive::<Decimal256Type>().values();
                each(groups, nulls, keep, |row, group| {
                    self.take_wide(group, values[row], sign)
                })?;
            }
            other => {
                return Err(FunctionError::internal(format!("no exact sum of {other}")));
            }
        }
        Ok(())
    }

    fn number(&self, totals: &Totals, scale: i8, group: usize) -> Result<Numeric, FunctionError> {
        num::from_fixed256(totals.total(group)?, scale)
    }
}

impl Lanes for Exact {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
        self.sums.grow(groups);
        if let Some(squares) = &mut self.squares {
            squares.grow(groups);
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        self.rows(values, groups, keep, 1)
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        let counts = column(states, 0)?.as_primitive::<Int64Type>().values();
        let sums = column(states, 1)?.as_primitive::<Decimal256Type>().values();
        each(groups, None, None, |row, group| {
            self.counts[group] += counts[row];
            self.sums.add_wide(group, sums[row])
        })?;
        if let Some(totals) = &mut self.squares {
            let squares = column(states, 2)?.as_primitive::<Decimal256Type>().values();
            each(groups, None, None, |row, group| {
                totals.add_wide(group, squares[row])
            })?;
        }
        Ok(())
    }

    fn invertible(&self) -> bool {
        true
    }

    fn retract(&mut self, values: &[ArrayRef]) -> Result<(), FunctionError> {
        let groups = vec![0; column(values, 0)?.len()];
        self.rows(values, &groups, None, -1)
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let totals = |totals: &Totals, scale: i8| -> Result<ArrayRef, FunctionError> {
            let values = (0..count)
                .map(|group| totals.total(group))
                .collect::<Result<Vec<_>, _>>()?;
            let array = Decimal256Array::from(values);
            Ok(Arc::new(
                array.with_data_type(DataType::Decimal256(76, scale)),
            ))
        };
        let counts = self.counts.get(..count).unwrap_or_default().to_vec();
        let mut states: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(counts)),
            totals(&self.sums, self.scale)?,
        ];
        if let Some(squares) = &self.squares {
            states.push(totals(squares, self.scale.saturating_mul(2))?);
        }
        Ok(states)
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let seen = |group: usize| self.counts.get(group).is_some_and(|count| *count > 0);
        let mut sums = Vec::with_capacity(count);
        if self.kind == Kind::Sum {
            for group in 0..count {
                let sum = self.sums.total(group)?;
                sums.push(seen(group).then_some(sum));
            }
            let narrow = |ty: &str| {
                let ty = ty.to_owned();
                sums.iter()
                    .map(|sum| {
                        sum.map(|sum| {
                            sum.to_i128()
                                .ok_or_else(|| FunctionError::out_of_range(&ty))
                        })
                        .transpose()
                    })
                    .collect::<Result<Vec<Option<i128>>, _>>()
            };
            return Ok(match &self.answer {
                DataType::Int64 => {
                    let sums = narrow("bigint")?.into_iter().map(|sum| {
                        sum.map(|sum| {
                            i64::try_from(sum).map_err(|_| FunctionError::out_of_range("bigint"))
                        })
                        .transpose()
                    });
                    Arc::new(Int64Array::from(sums.collect::<Result<Vec<_>, _>>()?))
                }
                DataType::Decimal128(..) => Arc::new(
                    Decimal128Array::from(narrow("numeric")?).with_data_type(self.answer.clone()),
                ),
                _ => Arc::new(Decimal256Array::from(sums).with_data_type(self.answer.clone())),
            });
        }
        let mut answers = Vec::with_capacity(count);
        for group in 0..count {
            let seen = self.counts.get(group).copied().unwrap_or(0);
            let sum = self.number(&self.sums, self.scale, group)?;
            let squares = match &self.squares {
                Some(squares) => self.number(squares, self.scale.saturating_mul(2), group)?,
                None => num::from_i64(0),
            };
            answers.push(answer(self.kind, seen, &sum, &squares)?);
        }
        value::write(&self.answer, answers)
    }

    fn forget(&mut self, count: usize) {
        self.counts.drain(..count.min(self.counts.len()));
        self.sums.forget(count);
        if let Some(squares) = &mut self.squares {
            squares.forget(count);
        }
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
            + self.sums.bytes()
            + self.squares.as_ref().map_or(0, Totals::bytes)
    }
}

/// An average or a spread.
fn answer(
    kind: Kind,
    count: i64,
    sum: &Numeric,
    squares: &Numeric,
) -> Result<Value, FunctionError> {
    let sample = matches!(kind, Kind::StddevSamp | Kind::VarSamp);
    if count == 0 || (sample && count == 1) {
        return Ok(Value::Null);
    }
    let n = num::from_i64(count);
    match kind {
        Kind::Sum => return Ok(Value::Numeric(*sum)),
        Kind::Avg => return Ok(Value::Numeric(num::div(sum, &n)?)),
        _ => {}
    }
    let spread = spread(count, sum, squares)?;
    if num::compare(&spread, &num::from_i64(0)).is_le() {
        return Ok(Value::Numeric(num::from_i64(0)));
    }
    let below = if sample { count - 1 } else { count };
    let pairs = num::from_fixed128(i128::from(count) * i128::from(below), 0);
    let variance = num::div(&spread, &pairs)?;
    Ok(Value::Numeric(
        if matches!(kind, Kind::StddevSamp | Kind::StddevPop) {
            // PostgreSQL shows the root with the digits of the variance.
            num::sqrt_at(&variance, num::scale(&variance))?
        } else {
            variance
        },
    ))
}

/// `count · squares - sum²`, which may have more digits than a numeric.
fn spread(count: i64, sum: &Numeric, squares: &Numeric) -> Result<Numeric, FunctionError> {
    let (
        Numeric::Finite {
            unscaled: sum,
            scale: s,
        },
        Numeric::Finite {
            unscaled: squares,
            scale: t,
        },
    ) = (sum, squares)
    else {
        return Ok(Numeric::NaN);
    };
    let all = squares
        .checked_mul(i256::from_i128(count.into()))
        .ok_or(Overflow)?;
    let square = sum.checked_mul(*sum).ok_or(Overflow)?;
    let scale = (2 * s).max(*t);
    let unscaled = num::rescaled(all, *t, scale)?
        .checked_sub(num::rescaled(square, 2 * s, scale)?)
        .ok_or(Overflow)?;
    Ok(Numeric::Finite { unscaled, scale })
}

/// Numerics each of which has its own scale.
#[derive(Debug)]
pub(super) struct Plain {
    kind: Kind,
    counts: Vec<i64>,
    /// Sums of the finite values, in the digits of the plain form.
    sums: Vec<i256>,
    /// The largest scale seen.
    scales: Vec<u8>,
    /// What the values that are not finite add up to.
    specials: Vec<Option<Numeric>>,
    /// Of variances alone.
    squares: Vec<Numeric>,
}

impl Plain {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            counts: Vec::new(),
            sums: Vec::new(),
            scales: Vec::new(),
            specials: Vec::new(),
            squares: Vec::new(),
        }
    }

    pub(super) fn forms(kind: Kind) -> Vec<DataType> {
        let mut forms = vec![DataType::Int64, NUMERIC_ANY];
        if kind.spread() {
            forms.push(NUMERIC_ANY);
        }
        forms
    }

    #[inline]
    fn take(&mut self, group: usize, code: i256) -> Result<(), FunctionError> {
        let Some((digits, shown)) = num::any_digits(code) else {
            let special = num::from_any(code);
            let slot = &mut self.specials[group];
            *slot = Some(match slot {
                Some(known) => num::add(known, &special)?,
                None => special,
            });
            return Ok(());
        };
        let slot = &mut self.sums[group];
        *slot = slot.checked_add(digits).ok_or(Overflow)?;
        let scale = &mut self.scales[group];
        *scale = (*scale).max(shown);
        Ok(())
    }

    fn sum(&self, group: usize) -> Result<Numeric, FunctionError> {
        if let Some(special) = self.specials.get(group).copied().flatten() {
            return Ok(special);
        }
        let sum = Numeric::Finite {
            unscaled: self.sums.get(group).copied().unwrap_or(i256::ZERO),
            scale: NUMERIC_ANY_SCALE,
        };
        let scale = self.scales.get(group).copied().unwrap_or(0);
        num::round(&sum, scale.into())
    }
}

impl Lanes for Plain {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
        self.sums.resize(groups, i256::ZERO);
        self.scales.resize(groups, 0);
        self.specials.resize(groups, None);
        if self.kind.spread() {
            self.squares.resize(groups, num::from_i64(0));
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let codes = values.as_primitive::<Decimal256Type>().values();
        each(groups, values.nulls(), keep, |row, group| {
            self.counts[group] += 1;
            self.take(group, codes[row])?;
            if let Some(squares) = self.squares.get_mut(group) {
                let value = num::from_any(codes[row]);
                *squares = num::add(squares, &num::mul(&value, &value)?)?;
            }
            Ok::<_, FunctionError>(())
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        let counts = column(states, 0)?.as_primitive::<Int64Type>().values();
        let sums = column(states, 1)?.as_primitive::<Decimal256Type>().values();
        each(groups, None, None, |row, group| {
            self.counts[group] += counts[row];
            self.take(group, sums[row])
        })?;
        if self.kind.spread() {
            let more = column(states, 2)?.as_primitive::<Decimal256Type>().values();
            each(groups, None, None, |row, group| {
                let squares = &mut self.squares[group];
                *squares = num::add(squares, &num::from_any(more[row]))?;
                Ok::<_, FunctionError>(())
            })?;
        }
        Ok(())
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let counts = self.counts.get(..count).unwrap_or_default().to_vec();
        let plain = |codes: Vec<i256>| -> ArrayRef {
            Arc::new(Decimal256Array::from(codes).with_data_type(NUMERIC_ANY))
        };
        let sums = (0..count)
            .map(|group| num::to_any(&self.sum(group)?))
            .collect::<Result<Vec<_>, _>>()?;
        let mut states: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(counts)), plain(sums)];
        if self.kind.spread() {
            let squares = self.squares.iter().take(count).map(num::to_any);
            states.push(plain(squares.collect::<Result<_, _>>()?));
        }
        Ok(states)
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let answers = (0..count)
            .map(|group| {
                let seen = self.counts.get(group).copied().unwrap_or(0);
                let zero = num::from_i64(0);
                let squares = self.squares.get(group).unwrap_or(&zero);
                answer(self.kind, seen, &self.sum(group)?, squares)
            })
            .collect::<Result<_, _>>()?;
        value::write(&NUMERIC_ANY, answers)
    }

    fn forget(&mut self, count: usize) {
        self.counts.drain(..count.min(self.counts.len()));
        self.sums.drain(..count.min(self.sums.len()));
        self.scales.drain(..count.min(self.scales.len()));
        self.specials.drain(..count.min(self.specials.len()));
        self.squares.drain(..count.min(self.squares.len()));
    }

    fn bytes(&self) -> usize {
        let group = size_of::<i64>() + 1 + size_of::<i256>() + size_of::<Option<Numeric>>();
        self.counts.capacity() * group + self.squares.capacity() * size_of::<Numeric>()
    }
}
