//! Aggregates with a small state: intervals, booleans, bits, percentiles and histograms.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
};

use super::super::dates;
use super::super::error::FunctionError;
use super::super::value::{self, Value};
use super::lanes::{Lanes, column, each};
use super::list_of;
use super::rows::{Kind, percentile_of};

/// Sums and averages of intervals.
#[derive(Debug)]
pub(super) struct Intervals {
    average: bool,
    groups: Vec<(i64, Value)>,
}

impl Intervals {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            average: kind == Kind::Avg,
            groups: Vec::new(),
        }
    }

    pub(super) fn forms() -> Vec<DataType> {
        vec![
            DataType::Int64,
            DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano),
        ]
    }

    fn add(
        &mut self,
        group: usize,
        count: i64,
        span: Value,
        sign: i32,
    ) -> Result<(), FunctionError> {
        let (seen, sum) = &mut self.groups[group];
        *seen += i64::from(sign) * count;
        *sum = dates::add_intervals(&[sum.clone(), span], sign)?;
        Ok(())
    }
}

impl Lanes for Intervals {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, (0, dates::interval(0, 0, 0)));
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let spans = values.as_primitive::<IntervalMonthDayNanoType>().values();
        each(groups, values.nulls(), keep, |row, group| {
            self.add(group, 1, Value::Interval(spans[row]), 1)
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        let counts = column(states, 0)?.as_primitive::<Int64Type>().values();
        let spans = column(states, 1)?
            .as_primitive::<IntervalMonthDayNanoType>()
            .values();
        each(groups, None, None, |row, group| {
            self.add(group, counts[row], Value::Interval(spans[row]), 1)
        })
    }

    fn invertible(&self) -> bool {
        true
    }

    fn retract(&mut self, values: &[ArrayRef]) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let spans = values.as_primitive::<IntervalMonthDayNanoType>().values();
        each(&vec![0; spans.len()], values.nulls(), None, |row, group| {
            self.add(group, 1, Value::Interval(spans[row]), -1)
        })
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        let [_, span] = Self::forms()
            .try_into()
            .map_err(|_| FunctionError::internal("an interval's state has two columns"))?;
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(
                groups.iter().map(|(count, _)| *count),
            )),
            value::write(&span, groups.iter().map(|(_, sum)| sum.clone()).collect())?,
        ])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        let answers = groups.iter().map(|(count, sum)| match count {
            0 => Ok(Value::Null),
            count if self.average => {
                dates::scale_interval(&[sum.clone(), Value::Int(*count)], true)
            }
            _ => Ok(sum.clone()),
        });
        let form = Self::forms().pop().unwrap_or(DataType::Null);
        value::write(&form, answers.collect::<Result<_, _>>()?)
    }

    fn forget(&mut self, count: usize) {
        self.groups.drain(..count.min(self.groups.len()));
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<(i64, Value)>()
    }
}

/// bool_and, bool_or, bit_and, bit_or and bit_xor.
#[derive(Debug)]
pub(super) struct Bits {
    kind: Kind,
    form: DataType,
    groups: Vec<Option<i64>>,
}

impl Bits {
    pub(super) fn new(kind: Kind, form: DataType) -> Self {
        Self {
            kind,
            form,
            groups: Vec::new(),
        }
    }
}

impl Lanes for Bits {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, None);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let kind = self.kind;
        let mut take = |group: usize, value: i64| {
            let slot = &mut self.groups[group];
            *slot = Some(match (*slot, kind) {
                (None, _) => value,
                (Some(known), Kind::BitAnd | Kind::BoolAnd) => known & value,
                (Some(known), Kind::BitXor) => known ^ value,
                (Some(known), _) => known | value,
            });
            Ok(())
        };
        macro_rules! whole {
            ($ty:ty) => {{
                let column = values.as_primitive::<$ty>().values();
                each(groups, values.nulls(), keep, |row, group| {
                    take(group, i64::from(column[row]))
                })
            }};
        }
        match values.data_type() {
            DataType::Boolean => {
                let column = values.as_boolean().values();
                each(groups, values.nulls(), keep, |row, group| {
                    take(group, i64::from(column.value(row)))
                })
            }
            DataType::Int16 => whole!(Int16Type),
            DataType::Int32 => whole!(Int32Type),
            _ => whole!(Int64Type),
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        self.update(states, groups, None)
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        Ok(vec![self.answers(count)?])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let truth = self.form == DataType::Boolean;
        let answers = self.groups.iter().take(count).map(|state| match state {
            None => Value::Null,
            Some(bits) if truth => Value::Bool(*bits != 0),
            Some(bits) => Value::Int(*bits),
        });
        value::write(&self.form, answers.collect())
    }

    fn forget(&mut self, count: usize) {
        self.groups.drain(..count.min(self.groups.len()));
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Option<i64>>()
    }
}

/// percentile_cont and percentile_disc of doubles.
#[derive(Debug)]
pub(super) struct Percentiles {
    kind: Kind,
    /// The form of the fraction or fractions.
    fraction_form: DataType,
    answer: DataType,
    fraction: Value,
    groups: Vec<Vec<f64>>,
}

impl Percentiles {
    pub(super) fn new(kind: Kind, fraction_form: DataType, answer: DataType) -> Self {
        Self {
            kind,
            fraction_form,
            answer,
            fraction: Value::Null,
            groups: Vec::new(),
        }
    }

    pub(super) fn forms(fraction_form: &DataType) -> Vec<DataType> {
        vec![fraction_form.clone(), list_of(DataType::Float64)]
    }

    fn fraction(&mut self, fractions: &ArrayRef) -> Result<(), FunctionError> {
        if self.fraction.is_null() && !fractions.is_empty() {
            self.fraction = value::read(fractions, 0)?;
        }
        Ok(())
    }
}

impl Lanes for Percentiles {
    fn grow(&mut self, groups: usize) {
        self.groups.resize(groups, Vec::new());
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        self.fraction(column(values, 0)?)?;
        let values = column(values, 1)?;
        let floats = values.as_primitive::<Float64Type>().values();
        each(groups, values.nulls(), keep, |row, group| {
            self.groups[group].push(floats[row]);
            Ok(())
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        self.fraction(column(states, 0)?)?;
        let lists = column(states, 1)?.as_list::<i32>();
        each(groups, lists.nulls(), None, |row, group| {
            let list = lists.value(row);
            let floats = list.as_primitive::<Float64Type>().values();
            self.groups[group].extend_from_slice(floats);
            Ok(())
        })
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let groups = self.groups.get(..count).unwrap_or_default();
        let floats: Vec<f64> = groups.iter().flatten().copied().collect();
        let lists = ListArray::try_new(
            Arc::new(arrow::datatypes::Field::new(
                "item",
                DataType::Float64,
                true,
            )),
            OffsetBuffer::from_lengths(groups.iter().map(Vec::len)),
            Arc::new(Float64Array::from(floats)),
            None,
        )?;
        Ok(vec![
            value::write(&self.fraction_form, vec![self.fraction.clone(); count])?,
            Arc::new(lists),
        ])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let mut answers = Vec::with_capacity(count);
        for group in self.groups.iter().take(count) {
            if group.is_empty() {
                answers.push(Value::Null);
                continue;
            }
            let mut sorted = group.clone();
            sorted.sort_unstable_by(|a, b| value::compare_floats(*a, *b));
            let at = |index: usize| sorted.get(index).map_or(Value::Null, |v| Value::Float(*v));
            let one = |fraction: &Value| percentile_of(self.kind, fraction, sorted.len(), &at);
            answers.push(match &self.fraction {
                Value::List(fractions) => {
                    Value::List(fractions.iter().map(one).collect::<Result<_, _>>()?)
                }
                fraction => one(fraction)?,
            });
        }
        value::write(&self.answer, answers)
    }

    fn forget(&mut self, count: usize) {
        self.groups.drain(..count.min(self.groups.len()));
    }

    fn bytes(&self) -> usize {
        self.groups
            .iter()
            .map(|group| 24 + group.capacity() * 8)
            .sum()
    }
}
