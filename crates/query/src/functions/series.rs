//! `generate_series`, as a series that is made as it is read.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, IntervalMonthDayNano};

use super::dates;
use super::error::FunctionError;
use super::io::Zone;
use super::num::{self, Numeric};
use super::value::{self, Value};
use super::vars::SessionVars;

/// The name of the function whose rows are a [`Series`].
pub(crate) const SERIES: &str = "generate_series";

/// The rows of one call that are still to come.
#[derive(Debug, Clone)]
#[expect(private_interfaces, reason = "only this room looks inside")]
pub(crate) enum Series {
    Integers {
        at: Option<i64>,
        last: i64,
        step: i64,
    },
    Numerics {
        at: Numeric,
        last: Numeric,
        step: Numeric,
        up: bool,
    },
    Times {
        at: i64,
        last: i64,
        step: IntervalMonthDayNano,
        up: bool,
        /// Instants step by their zone's calendar.
        zone: Option<Zone>,
    },
}

impl Series {
    /// The series of one row of arguments: first, last and perhaps a step. None where one is NULL.
    ///
    /// # Errors
    /// 22023 for a step of zero.
    pub(crate) fn start(
        args: &[ArrayRef],
        row: usize,
        vars: &SessionVars,
    ) -> Result<Option<Self>, FunctionError> {
        let values = args
            .iter()
            .map(|array| value::read(array, row))
            .collect::<Result<Vec<_>, _>>()?;
        if values.iter().any(Value::is_null) {
            return Ok(None);
        }
        let zoned = args
            .first()
            .is_some_and(|array| matches!(array.data_type(), DataType::Timestamp(_, Some(_))));
        Self::of(zoned.then(|| Zone::of(vars)), &values)
    }

    /// What a series of numbers may not begin at, end at or step by: what is no number.
    fn finite(values: &[Value]) -> Result<(), FunctionError> {
        const PARTS: [&str; 3] = ["start value", "stop value", "step size"];
        for (value, part) in values.iter().zip(PARTS) {
            let odd = match value {
                Value::Numeric(Numeric::NaN) => "NaN",
                Value::Numeric(Numeric::Infinity | Numeric::NegativeInfinity) => "infinity",
                _ => continue,
            };
            let message = format!("{part} cannot be {odd}");
            return Err(FunctionError::invalid_parameter(message));
        }
        Ok(())
    }

    pub(super) fn of(zone: Option<Zone>, args: &[Value]) -> Result<Option<Self>, FunctionError> {
        let zero = || FunctionError::invalid_parameter("step size cannot equal zero");
        Ok(Some(match args {
            [Value::Int(first), Value::Int(last), rest @ ..] => {
                let step = rest.first().map_or(1, Value::as_int);
                if step == 0 {
                    return Err(zero());
                }
                Self::Integers {
                    at: Some(*first),
                    last: *last,
                    step,
                }
            }
            [Value::Numeric(first), Value::Numeric(last), rest @ ..] => {
                Self::finite(args)?;
                let step = match rest.first() {
                    Some(Value::Numeric(step)) => *step,
                    _ => num::from_i64(1),
                };
                let direction = num::compare(&step, &num::from_i64(0));
                if direction.is_eq() {
                    return Err(zero());
                }
                Self::Numerics {
                    at: *first,
                    last: *last,
                    step,
                    up: direction.is_gt(),
                }
            }
            [
                Value::Timestamp(first),
                Value::Timestamp(last),
                Value::Interval(step),
            ] => {
                let direction = value::interval_micros(step);
                if direction == 0 {
                    return Err(zero());
                }
                Self::Times {
                    at: *first,
                    last: *last,
                    step: *step,
                    up: direction > 0,
                    zone,
                }
            }
            _ => return Ok(None),
        }))
    }

    /// Makes at most `count` rows more; fewer mean that the series has ended.
    ///
    /// # Errors
    /// 22003 and 22008 for values beyond their type.
    pub(crate) fn block(
        &mut self,
        count: usize,
        into: &mut SeriesBlock,
    ) -> Result<usize, FunctionError> {
        for made in 0..count {
            if !self.next(into)? {
                return Ok(made);
            }
        }
        Ok(count)
    }

    fn next(&mut self, into: &mut SeriesBlock) -> Result<bool, FunctionError> {
        match self {
            Self::Integers { at, last, step } => {
                let more = |value: &i64| {
                    if *step > 0 {
                        value <= last
                    } else {
                        value >= last
                    }
                };
                let Some(value) = at.filter(more) else {
                    return Ok(false);
                };
                into.whole(value);
                // Beyond the largest integer there is no row.
                *at = value.checked_add(*step);
            }
            Self::Numerics { at, last, step, up } => {
                match (num::compare(at, last), *up) {
                    (Ordering::Greater, true) | (Ordering::Less, false) => return Ok(false),
                    _ => {}
                }
                let next = num::add(at, step)?;
                into.any(Value::Numeric(std::mem::replace(at, next)));
            }
            Self::Times {
                at,
                last,
                step,
                up,
                zone,
            } => {
                if if *up { *at > *last } else { *at < *last } {
                    return Ok(false);
                }
                into.time(*at);
                let operands = [Value::Timestamp(*at), Value::Interval(*step)];
                let next = match zone {
                    Some(zone) => dates::plus_interval_zoned(zone, &operands, 1)?,
                    None => dates::plus_interval(&operands, 1)?,
                };
                *at = next.as_micros();
            }
        }
        Ok(true)
    }
}

/// Rows of series, on the way into a column.
#[derive(Debug)]
#[expect(private_interfaces, reason = "only this room looks inside")]
pub(crate) enum SeriesBlock {
    /// Integers, and microseconds of timestamps.
    Whole(Vec<Option<i64>>),
    Any(Vec<Value>),
}

impl SeriesBlock {
    /// A block for values of that type.
    pub(crate) fn new(item: &DataType) -> Self {
        match item {
            DataType::Int32 | DataType::Int64 | DataType::Timestamp(..) => Self::Whole(Vec::new()),
            _ => Self::Any(Vec::new()),
        }
    }

    fn whole(&mut self, value: i64) {
        match self {
            Self::Whole(values) => values.push(Some(value)),
            Self::Any(values) => values.push(Value::Int(value)),
        }
    }

    fn time(&mut self, value: i64) {
        match self {
            Self::Whole(values) => values.push(Some(value)),
            Self::Any(values) => values.push(Value::Timestamp(value)),
        }
    }

    fn any(&mut self, value: Value) {
        match self {
            Self::Whole(values) => values.push(Some(value.as_int())),
            Self::Any(values) => values.push(value),
        }
    }

    /// Adds that many NULLs.
    pub(crate) fn pad(&mut self, count: usize) {
        match self {
            Self::Whole(values) => values.extend(std::iter::repeat_n(None, count)),
            Self::Any(values) => values.extend(std::iter::repeat_n(Value::Null, count)),
        }
    }

    /// The rows as a column of the type; the block is empty again.
    ///
    /// # Errors
    /// 22003 for a value beyond the type.
    pub(crate) fn finish(&mut self, item: &DataType) -> Result<ArrayRef, FunctionError> {
        match self {
            Self::Whole(values) => {
                let column: ArrayRef = Arc::new(Int64Array::from(std::mem::take(values)));
                Ok(arrow::compute::cast(&column, item)?)
            }
            Self::Any(values) => value::write(item, std::mem::take(values)),
        }
    }
}
