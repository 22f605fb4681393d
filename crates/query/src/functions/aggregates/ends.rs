//! The first and last value by time, and the least and greatest where Arrow orders otherwise than
//! PostgreSQL.

use std::cmp::Ordering;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNanoType, TimeUnit, TimestampMicrosecondType,
};

use super::super::error::FunctionError;
use super::super::value::{self, Value};
use super::lanes::{Lanes, column, each};

/// One value of a group each, by group.
trait Kept: Debug + Send + Sync {
    fn grow(&mut self, groups: usize);
    /// Keeps the value of a row.
    fn set(&mut self, group: usize, array: &dyn Array, row: usize) -> Result<(), FunctionError>;
    fn array(&self, count: usize, form: &DataType) -> Result<ArrayRef, FunctionError>;
    fn forget(&mut self, count: usize);
    fn bytes(&self) -> usize;
}

#[derive(Debug)]
struct Primitives<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: Vec<bool>,
}

impl<T: ArrowPrimitiveType + Debug> Kept for Primitives<T> {
    fn grow(&mut self, groups: usize) {
        self.values.resize(groups, T::Native::default());
        self.valid.resize(groups, false);
    }

    fn set(&mut self, group: usize, array: &dyn Array, row: usize) -> Result<(), FunctionError> {
        let array = array.as_primitive::<T>();
        self.valid[group] = array.is_valid(row);
        self.values[group] = array.value(row);
        Ok(())
    }

    fn array(&self, count: usize, form: &DataType) -> Result<ArrayRef, FunctionError> {
        let values = self.values.get(..count).unwrap_or_default().to_vec();
        let valid = NullBuffer::from(self.valid.get(..count).unwrap_or_default());
        let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), Some(valid))?;
        Ok(Arc::new(array.with_data_type(form.clone())))
    }

    fn forget(&mut self, count: usize) {
        self.values.drain(..count.min(self.values.len()));
        self.valid.drain(..count.min(self.valid.len()));
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * (size_of::<T::Native>() + 1)
    }
}

impl Kept for Vec<Value> {
    fn grow(&mut self, groups: usize) {
        self.resize(groups, Value::Null);
    }

    fn set(&mut self, group: usize, array: &dyn Array, row: usize) -> Result<(), FunctionError> {
        self[group] = value::read(array, row)?;
        Ok(())
    }

    fn array(&self, count: usize, form: &DataType) -> Result<ArrayRef, FunctionError> {
        value::write(form, self.get(..count).unwrap_or_default().to_vec())
    }

    fn forget(&mut self, count: usize) {
        self.drain(..count.min(self.len()));
    }

    fn bytes(&self) -> usize {
        self.capacity() * (size_of::<Value>() + 16)
    }
}

fn kept(form: &DataType) -> Box<dyn Kept> {
    fn of<T: ArrowPrimitiveType + Debug>() -> Box<dyn Kept> {
        Box::new(Primitives::<T> {
            values: Vec::new(),
            valid: Vec::new(),
        })
    }
    match form {
        DataType::Int16 => of::<Int16Type>(),
        DataType::Int32 => of::<Int32Type>(),
        DataType::Int64 => of::<Int64Type>(),
        DataType::Float32 => of::<Float32Type>(),
        DataType::Float64 => of::<Float64Type>(),
        DataType::Decimal128(..) => of::<Decimal128Type>(),
        DataType::Decimal256(..) => of::<Decimal256Type>(),
        DataType::Date32 => of::<Date32Type>(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => of::<TimestampMicrosecondType>(),
        DataType::Interval(_) => of::<IntervalMonthDayNanoType>(),
        _ => Box::new(Vec::<Value>::new()),
    }
}

/// No row of a batch.
const NONE: u32 = u32::MAX;

/// TimescaleDB's first and last: the value at the least or greatest time. Of equal times the
/// earlier arrival is first and the later one last; rows without a time do not count, values that
/// are null do.
#[derive(Debug)]
pub(super) struct Ends {
    last: bool,
    value: DataType,
    time: DataType,
    values: Box<dyn Kept>,
    times: Times,
    /// The row of the batch at hand that each group keeps.
    rows: Vec<u32>,
}

/// What the rows are ordered by.
#[derive(Debug)]
enum Times {
    Numbers { times: Vec<i64>, seen: Vec<bool> },
    Values(Vec<Value>),
}

impl Ends {
    pub(super) fn new(last: bool, value: DataType, time: DataType) -> Self {
        let times = if numbers(&time) {
            Times::Numbers {
                times: Vec::new(),
                seen: Vec::new(),
            }
        } else {
            Times::Values(Vec::new())
        };
        Self {
            last,
            values: kept(&value),
            value,
            time,
            times,
            rows: Vec::new(),
        }
    }
}

fn numbers(time: &DataType) -> bool {
    matches!(
        time,
        DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

impl Lanes for Ends {
    fn grow(&mut self, groups: usize) {
        self.values.grow(groups);
        self.rows.resize(groups, NONE);
        match &mut self.times {
            Times::Numbers { times, seen } => {
                times.resize(groups, 0);
                seen.resize(groups, false);
            }
            Times::Values(times) => times.resize(groups, Value::Null),
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let (values, by) = (column(values, 0)?, column(values, 1)?);
        let rows = &mut self.rows;
        let last = self.last;
        let mut touched = Vec::new();
        let mut chosen = |row: usize, group: usize| {
            let slot = &mut rows[group];
            if *slot == NONE {
                touched.push(group);
            }
            *slot = u32::try_from(row).unwrap_or(NONE);
        };
        match &mut self.times {
            Times::Numbers { times, seen } => {
                macro_rules! scan {
                    ($ty:ty) => {{
                        let column = by.as_primitive::<$ty>().values();
                        each(groups, by.nulls(), keep, |row, group| {
                            let at = i64::from(column[row]);
                            let known = times[group];
                            if !seen[group] || if last { at >= known } else { at < known } {
                                seen[group] = true;
                                times[group] = at;
                                chosen(row, group);
                            }
                            Ok::<_, FunctionError>(())
                        })?;
                    }};
                }
                match by.data_type() {
                    DataType::Int16 => scan!(Int16Type),
                    DataType::Int32 => scan!(Int32Type),
                    DataType::Int64 => scan!(Int64Type),
                    DataType::Date32 => scan!(Date32Type),
                    _ => scan!(TimestampMicrosecondType),
                }
            }
            Times::Values(times) => each(groups, by.nulls(), keep, |row, group| {
                let at = value::read(by, row)?;
                if at.is_null() {
                    return Ok(());
                }
                let known = &mut times[group];
                let order = at.compare(known);
                if known.is_null() || if last { order.is_ge() } else { order.is_lt() } {
                    *known = at;
                    chosen(row, group);
                }
                Ok::<_, FunctionError>(())
            })?,
        }
        for group in touched {
            let row = std::mem::replace(&mut self.rows[group], NONE);
            self.values.set(group, values, row as usize)?;
        }
        Ok(())
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        self.update(states, groups, None)
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let times = match &self.times {
            Times::Numbers { times, seen } => {
                let times = times.iter().zip(seen).take(count);
                value::write(
                    &DataType::Int64,
                    times
                        .map(|(time, seen)| {
                            if *seen {
                                Value::Int(*time)
                            } else {
                                Value::Null
                            }
                        })
                        .collect(),
                )
                .and_then(|array| reinterpreted(&array, &self.time))?
            }
            Times::Values(times) => {
                value::write(&self.time, times.get(..count).unwrap_or_default().to_vec())?
            }
        };
        Ok(vec![self.values.array(count, &self.value)?, times])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        self.values.array(count, &self.value)
    }

    fn forget(&mut self, count: usize) {
        self.values.forget(count);
        self.rows.drain(..count.min(self.rows.len()));
        match &mut self.times {
            Times::Numbers { times, seen } => {
                times.drain(..count.min(times.len()));
                seen.drain(..count.min(seen.len()));
            }
            Times::Values(times) => {
                times.drain(..count.min(times.len()));
            }
        }
    }

    fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Numbers { times, .. } => times.capacity() * 9,
            Times::Values(times) => times.capacity() * size_of::<Value>(),
        };
        self.values.bytes() + times + self.rows.capacity() * 4
    }
}

/// Numbers that were read from a form, in that form again.
fn reinterpreted(numbers: &ArrayRef, form: &DataType) -> Result<ArrayRef, FunctionError> {
    if numbers.data_type() == form {
        return Ok(Arc::clone(numbers));
    }
    if *form == DataType::Date32 {
        let days = arrow::compute::cast(numbers, &DataType::Int32)?;
        return Ok(arrow::compute::cast(&days, form)?);
    }
    Ok(arrow::compute::cast(numbers, form)?)
}

/// The least or greatest value by PostgreSQL's order.
#[derive(Debug)]
pub(super) struct Extreme {
    greatest: bool,
    form: DataType,
    values: Vec<Value>,
    floats: Vec<Option<f64>>,
}

impl Extreme {
    pub(super) fn new(greatest: bool, form: DataType) -> Self {
        Self {
            greatest,
            form,
            values: Vec::new(),
            floats: Vec::new(),
        }
    }

    fn wanted(&self) -> Ordering {
        if self.greatest {
            Ordering::Greater
        } else {
            Ordering::Less
        }
    }
}

impl Lanes for Extreme {
    fn grow(&mut self, groups: usize) {
        if self.form.is_floating() {
            self.floats.resize(groups, None);
        } else {
            self.values.resize(groups, Value::Null);
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let wanted = self.wanted();
        macro_rules! floats {
            ($ty:ty) => {{
                let column = values.as_primitive::<$ty>().values();
                each(groups, values.nulls(), keep, |row, group| {
                    let value = f64::from(column[row]);
                    let slot = &mut self.floats[group];
                    if slot.is_none_or(|known| value::compare_floats(value, known) == wanted) {
                        *slot = Some(value);
                    }
                    Ok(())
                })
            }};
        }
        match values.data_type() {
            DataType::Float32 => floats!(Float32Type),
            DataType::Float64 => floats!(Float64Type),
            _ => each(groups, values.nulls(), keep, |row, group| {
                let value = value::read(values, row)?;
                let slot = &mut self.values[group];
                if slot.is_null() || value.compare(slot) == wanted {
                    *slot = value;
                }
                Ok(())
            }),
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        self.update(states, groups, None)
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        Ok(vec![self.answers(count)?])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let values = if self.form.is_floating() {
            let floats = self.floats.iter().take(count);
            floats
                .map(|value| value.map_or(Value::Null, Value::Float))
                .collect()
        } else {
            self.values.get(..count).unwrap_or_default().to_vec()
        };
        value::write(&self.form, values)
    }

    fn forget(&mut self, count: usize) {
        self.values.drain(..count.min(self.values.len()));
        self.floats.drain(..count.min(self.floats.len()));
    }

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<Value>() + self.floats.capacity() * 16
    }
}
