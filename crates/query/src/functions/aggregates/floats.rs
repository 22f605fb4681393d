//! Sums, averages, moments and regressions of floats, by PostgreSQL's own recurrences.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int64Array,
};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use chronolith_types::SqlState;

use super::super::error::FunctionError;
use super::super::value::{self, Value};
use super::lanes::{Lanes, column, each};
use super::rows::Kind;

#[cold]
fn overflow() -> FunctionError {
    FunctionError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "value out of range: overflow",
    )
}

/// Count, sum, and sum of squared differences from the mean (Youngs and Cramer).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: i64,
    sum: f64,
    squares: f64,
}

/// Moments of floats.
#[derive(Debug)]
pub(super) struct Floats {
    kind: Kind,
    answer: DataType,
    groups: Vec<Moments>,
}

impl Floats {
    pub(super) fn new(kind: Kind, answer: DataType) -> Self {
        Self {
            kind,
            answer,
            groups: Vec::new(),
        }
    }

    pub(super) fn forms() -> Vec<DataType> {
        vec![DataType::Int64, DataType::Float64, DataType::Float64]
    }

    #[inline]
    fn take(&mut self, group: usize, value: f64) -> Result<(), FunctionError> {
        let spread = self.kind.spread();
        let state = &mut self.groups[group];
        let (before, known) = (state.count as f64, state.sum);
        state.count += 1;
        state.sum += value;
        if state.sum.is_infinite() && !known.is_infinite() && !value.is_infinite() {
            return Err(overflow());
        }
        if !spread {
            return Ok(());
        }
        if before > 0.0 {
            let n = before + 1.0;
            let gap = value * n - state.sum;
            state.squares += gap * gap / (n * before);
            if state.sum.is_infinite() || state.squares.is_infinite() {
                if !known.is_infinite() && !value.is_infinite() {
                    return Err(overflow());
                }
                state.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            state.squares = f64::NAN;
        }
        Ok(())
    }

    /// A sum of reals is a real at every step.
    #[inline]
    fn take_real(&mut self, group: usize, value: f32) -> Result<(), FunctionError> {
        let state = &mut self.groups[group];
        state.count += 1;
        #[expect(clippy::cast_possible_truncation, reason = "it was a real before")]
        let known = state.sum as f32;
        let sum = known + value;
        if sum.is_infinite() && !known.is_infinite() && !value.is_infinite() {
            return Err(overflow());
        }
        state.sum = sum.into();
        Ok(())
    }
}

impl Lanes for Floats {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Moments::default());
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let nulls = values.nulls();
        if let Some(reals) = values.as_primitive_opt::<Float32Type>() {
            let reals = reals.values();
            if self.kind == Kind::Sum {
                return each(groups, nulls, keep, |row, group| {
                    self.take_real(group, reals[row])
                });
            }
            return each(groups, nulls, keep, |row, group| {
                self.take(group, reals[row].into())
            });
        }
        let values = values.as_primitive::<Float64Type>().values();
        each(groups, nulls, keep, |row, group| {
            self.take(group, values[row])
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        let counts = column(states, 0)?.as_primitive::<Int64Type>().values();
        let sums = column(states, 1)?.as_primitive::<Float64Type>().values();
        let squares = column(states, 2)?.as_primitive::<Float64Type>().values();
        let real = self.answer == DataType::Float32;
        each(groups, None, None, |row, group| {
            let state = &mut self.groups[group];
            let (n1, n2) = (state.count as f64, counts[row] as f64);
            if counts[row] == 0 {
                return Ok(());
            }
            if state.count == 0 {
                state.squares = squares[row];
            } else {
                let gap = state.sum / n1 - sums[row] / n2;
                state.squares += squares[row] + n1 * n2 * gap * gap / (n1 + n2);
            }
            state.count += counts[row];
            let known = state.sum;
            state.sum += sums[row];
            if real {
                #[expect(clippy::cast_possible_truncation, reason = "a sum of two reals")]
                let sum = state.sum as f32;
                state.sum = sum.into();
            }
            if state.sum.is_infinite() && !known.is_infinite() && !sums[row].is_infinite() {
                return Err(overflow());
            }
            Ok(())
        })
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        let floats = |of: fn(&Moments) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(groups.iter().map(of)))
        };
        let counts = Int64Array::from_iter_values(groups.iter().map(|state| state.count));
        Ok(vec![
            Arc::new(counts),
            floats(|state| state.sum),
            floats(|state| state.squares),
        ])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        let answers = groups.iter().map(|state| moment(self.kind, state));
        Ok(if self.answer == DataType::Float32 {
            let reals = answers.map(|answer| answer.map(value::narrow).transpose());
            Arc::new(Float32Array::from(reals.collect::<Result<Vec<_>, _>>()?))
        } else {
            Arc::new(Float64Array::from_iter(answers))
        })
    }

    fn forget(&mut self, count: usize) {
        self.groups.drain(..count.min(self.groups.len()));
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Moments>()
    }
}

fn moment(kind: Kind, state: &Moments) -> Option<f64> {
    let n = state.count as f64;
    let below = n - 1.0;
    match kind {
        _ if state.count == 0 => None,
        Kind::Sum => Some(state.sum),
        Kind::Avg => Some(state.sum / n),
        Kind::VarPop => Some(state.squares / n),
        Kind::StddevPop => Some((state.squares / n).sqrt()),
        _ if state.count == 1 => None,
        Kind::VarSamp => Some(state.squares / below),
        _ => Some((state.squares / below).sqrt()),
    }
}

/// n, Sx, Sxx, Sy, Syy, Sxy of pairs of floats.
#[derive(Debug)]
pub(super) struct Pairs {
    kind: Kind,
    answer: DataType,
    groups: Vec<[f64; 6]>,
}

impl Pairs {
    pub(super) fn new(kind: Kind, answer: DataType) -> Self {
        Self {
            kind,
            answer,
            groups: Vec::new(),
        }
    }

    #[inline]
    fn take(&mut self, group: usize, y: f64, x: f64) -> Result<(), FunctionError> {
        let [n, sx, sxx, sy, syy, sxy] = &mut self.groups[group];
        let (before, known_x, known_y) = (*n, *sx, *sy);
        *n += 1.0;
        *sx += x;
        *sy += y;
        if before > 0.0 {
            let (dx, dy) = (x * *n - *sx, y * *n - *sy);
            let scale = 1.0 / (*n * before);
            *sxx += dx * dx * scale;
            *syy += dy * dy * scale;
            *sxy += dx * dy * scale;
            let endless = [*sx, *sxx, *sy, *syy, *sxy].iter().any(|v| v.is_infinite());
            if endless {
                let finite_x = !known_x.is_infinite() && !x.is_infinite();
                let finite_y = !known_y.is_infinite() && !y.is_infinite();
                if ((sx.is_infinite() || sxx.is_infinite()) && finite_x)
                    || ((sy.is_infinite() || syy.is_infinite()) && finite_y)
                    || (sxy.is_infinite() && finite_x && finite_y)
                {
                    return Err(overflow());
                }
                for sum in [sxx, syy, sxy] {
                    if sum.is_infinite() {
                        *sum = f64::NAN;
                    }
                }
            }
        } else {
            if !x.is_finite() {
                (*sxx, *sxy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (*syy, *sxy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }
}

impl Lanes for Pairs {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, [0.0; 6]);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let (ys, xs) = (column(values, 0)?, column(values, 1)?);
        let nulls = arrow::buffer::NullBuffer::union(ys.nulls(), xs.nulls());
        let ys = ys.as_primitive::<Float64Type>().values();
        let xs = xs.as_primitive::<Float64Type>().values();
        each(groups, nulls.as_ref(), keep, |row, group| {
            self.take(group, ys[row], xs[row])
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        let mut columns = Vec::with_capacity(6);
        for index in 0..6 {
            columns.push(
                column(states, index)?
                    .as_primitive::<Float64Type>()
                    .values(),
            );
        }
        each(groups, None, None, |row, group| {
            let mut more = [0.0; 6];
            for (slot, column) in more.iter_mut().zip(&columns) {
                *slot = column[row];
            }
            let state = &mut self.groups[group];
            let [n1, sx1, sxx1, sy1, syy1, sxy1] = *state;
            let [n2, sx2, sxx2, sy2, syy2, sxy2] = more;
            if n1 == 0.0 {
                *state = more;
            } else if n2 > 0.0 {
                let n = n1 + n2;
                let (dx, dy) = (sx1 / n1 - sx2 / n2, sy1 / n1 - sy2 / n2);
                let scale = n1 * n2 / n;
                *state = [
                    n,
                    sx1 + sx2,
                    sxx1 + sxx2 + scale * dx * dx,
                    sy1 + sy2,
                    syy1 + syy2 + scale * dy * dy,
                    sxy1 + sxy2 + scale * dx * dy,
                ];
            }
            Ok::<_, FunctionError>(())
        })
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        Ok((0..6)
            .map(|index| {
                let values = groups.iter().map(|state| state[index]);
                Arc::new(Float64Array::from_iter_values(values)) as ArrayRef
            })
            .collect())
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        let answers = groups.iter().map(|state| pair(self.kind, state));
        value::write(&self.answer, answers.collect())
    }

    fn forget(&mut self, count: usize) {
        self.groups.drain(..count.min(self.groups.len()));
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<[f64; 6]>()
    }
}

fn pair(kind: Kind, [n, sx, sxx, sy, syy, sxy]: &[f64; 6]) -> Value {
    if kind == Kind::RegrCount {
        #[expect(clippy::cast_possible_truncation, reason = "a count of rows")]
        return Value::Int(*n as i64);
    }
    if *n < 1.0 {
        return Value::Null;
    }
    let flat = *sxx == 0.0;
    Value::Float(match kind {
        Kind::RegrAvgX => sx / n,
        Kind::RegrAvgY => sy / n,
        Kind::RegrSxx => *sxx,
        Kind::RegrSyy => *syy,
        Kind::RegrSxy => *sxy,
        Kind::CovarPop => sxy / n,
        Kind::CovarSamp if *n < 2.0 => return Value::Null,
        Kind::CovarSamp => sxy / (n - 1.0),
        _ if flat => return Value::Null,
        Kind::Corr if *syy == 0.0 => return Value::Null,
        Kind::Corr => sxy / (sxx * syy).sqrt(),
        Kind::RegrSlope => sxy / sxx,
        Kind::RegrIntercept => (sy - sx * sxy / sxx) / n,
        _ if *syy == 0.0 => 1.0,
        _ => sxy * sxy / (sxx * syy),
    })
}
