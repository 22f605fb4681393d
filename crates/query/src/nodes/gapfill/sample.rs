//! Places of buckets and values at them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::common::{Result as DfResult, ScalarValue};

use crate::functions::FunctionError;

pub(super) const DAY_US: i64 = 86_400_000_000;

/// What a column of buckets holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Int16,
    Int32,
    Int64,
    Date,
    Time(Option<Arc<str>>),
}

impl Form {
    pub(super) fn of(form: &DataType) -> DfResult<Self> {
        Ok(match form {
            DataType::Int16 => Self::Int16,
            DataType::Int32 => Self::Int32,
            DataType::Int64 => Self::Int64,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Self::Time(zone.clone()),
            other => return datafusion::common::internal_err!("buckets of {other}"),
        })
    }

    pub(super) fn is_time(&self) -> bool {
        matches!(self, Self::Time(_) | Self::Date)
    }

    /// Where the values of a column are: numbers as they are, times in µs since 1970, dates by their
    /// midnight.
    pub(super) fn places(&self, array: &ArrayRef) -> DfResult<Vec<Option<i64>>> {
        let lost = || FunctionError::internal("a column of buckets has another form");
        Ok(match self {
            Self::Int16 => {
                let values = array.as_primitive_opt::<Int16Type>().ok_or_else(lost)?;
                values.iter().map(|value| value.map(i64::from)).collect()
            }
            Self::Int32 => {
                let values = array.as_primitive_opt::<Int32Type>().ok_or_else(lost)?;
                values.iter().map(|value| value.map(i64::from)).collect()
            }
            Self::Int64 => {
                let values = array.as_primitive_opt::<Int64Type>().ok_or_else(lost)?;
                values.iter().collect()
            }
            Self::Date => {
                let values = array.as_primitive_opt::<Date32Type>().ok_or_else(lost)?;
                values.iter().map(|day| day.map(midnight)).collect()
            }
            Self::Time(_) => {
                let values = array.as_primitive_opt::<TimestampMicrosecondType>();
                values.ok_or_else(lost)?.iter().collect()
            }
        })
    }

    /// A column of the values at some places.
    pub(super) fn column(&self, places: &[i64]) -> DfResult<ArrayRef> {
        let lost = || FunctionError::out_of_range("bucket");
        Ok(match self {
            Self::Int16 => {
                let values = places
                    .iter()
                    .map(|at| i16::try_from(*at).map_err(|_| lost()));
                Arc::new(Int16Array::from(values.collect::<Result<Vec<_>, _>>()?))
            }
            Self::Int32 => {
                let values = places
                    .iter()
                    .map(|at| i32::try_from(*at).map_err(|_| lost()));
                Arc::new(Int32Array::from(values.collect::<Result<Vec<_>, _>>()?))
            }
            Self::Int64 => Arc::new(Int64Array::from(places.to_vec())),
            Self::Date => {
                let days = places
                    .iter()
                    .map(|at| i32::try_from(at.div_euclid(DAY_US)).map_err(|_| lost()));
                Arc::new(Date32Array::from(days.collect::<Result<Vec<_>, _>>()?))
            }
            Self::Time(zone) => {
                let times = TimestampMicrosecondArray::from(places.to_vec());
                Arc::new(times.with_timezone_opt(zone.clone()))
            }
        })
    }

    /// The place of a limit, or of the instant after it; `None` for NULL.
    pub(super) fn limit(&self, value: &ScalarValue, after: bool) -> DfResult<Option<i64>> {
        let at = match value {
            ScalarValue::Int16(at) => at.map(i64::from),
            ScalarValue::Int32(at) => at.map(i64::from),
            ScalarValue::Int64(at) => *at,
            ScalarValue::Date32(day) => day.map(midnight),
            ScalarValue::TimestampMicrosecond(at, _) => *at,
            other => {
                return datafusion::common::internal_err!("a limit of {}", other.data_type());
            }
        };
        let Some(at) = at else {
            return Ok(None);
        };
        if self.is_time() && (at == i64::MAX || at == i64::MIN) {
            return Err(FunctionError::new(
                chronolith_types::SqlState::DATETIME_FIELD_OVERFLOW,
                "timestamp out of range",
            )
            .into());
        }
        Ok(Some(match (self, after) {
            // Of dates, those from an instant on begin with the next midnight.
            (Self::Date, false) => at.saturating_add(DAY_US - 1).div_euclid(DAY_US) * DAY_US,
            (Self::Date, true) => at.div_euclid(DAY_US) * DAY_US + DAY_US,
            (_, true) => at.saturating_add(1),
            (_, false) => at,
        }))
    }
}

fn midnight(day: i32) -> i64 {
    match day {
        i32::MAX => i64::MAX,
        i32::MIN => i64::MIN,
        day => i64::from(day) * DAY_US,
    }
}

/// A value that lies between others.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Whole(i64),
    Float(f64),
}

/// A value at a place.
pub(super) type Sample = (i64, Number);

impl Number {
    /// The value of a row; `None` for NULL.
    pub(super) fn read(array: &ArrayRef, row: usize) -> DfResult<Option<Self>> {
        if array.is_null(row) {
            return Ok(None);
        }
        Ok(Some(match array.data_type() {
            DataType::Int16 => Self::Whole(array.as_primitive::<Int16Type>().value(row).into()),
            DataType::Int32 => Self::Whole(array.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => Self::Whole(array.as_primitive::<Int64Type>().value(row)),
            DataType::Float32 => Self::Float(array.as_primitive::<Float32Type>().value(row).into()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().value(row)),
            other => return datafusion::common::internal_err!("interpolation of {other}"),
        }))
    }

    /// What is on the line through two samples. Whole numbers are rounded, halves away from zero.
    pub(super) fn between(before: Sample, after: Sample, at: i64) -> DfResult<Self> {
        let ((x0, y0), (x1, y1)) = (before, after);
        Ok(match (y0, y1) {
            _ if x0 == x1 => y0,
            (Self::Whole(y0), Self::Whole(y1)) => {
                let rise = i128::from(y1) - i128::from(y0);
                let run = i128::from(x1) - i128::from(x0);
                let over = i128::from(at) - i128::from(x0);
                let lost = || FunctionError::out_of_range("bigint");
                let product = rise.checked_mul(over).ok_or_else(lost)?;
                // The remainder is less than the run, which is far from the ends of its type.
                let (whole, rest) = (product.div_euclid(run), product.rem_euclid(run));
                let sum = i128::from(y0) + whole;
                let (rest, run) = (rest.abs(), run.abs());
                let up = match (2 * rest).cmp(&run) {
                    std::cmp::Ordering::Less => false,
                    std::cmp::Ordering::Equal => sum >= 0,
                    std::cmp::Ordering::Greater => true,
                };
                Self::Whole(i64::try_from(sum + i128::from(up)).map_err(|_| lost())?)
            }
            (y0, y1) => {
                let (y0, y1) = (y0.float(), y1.float());
                #[expect(clippy::cast_precision_loss, reason = "floats interpolate as floats")]
                let (run, over, left) = (
                    x1.wrapping_sub(x0) as f64,
                    at.wrapping_sub(x0) as f64,
                    x1.wrapping_sub(at) as f64,
                );
                Self::Float((y0 * left + y1 * over) / run)
            }
        })
    }

    fn float(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "floats interpolate as floats")]
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// A column of values.
    pub(super) fn column(form: &DataType, values: &[Option<Self>]) -> DfResult<ArrayRef> {
        let whole = |value: &Option<Self>| match value {
            Some(Self::Whole(value)) => Some(*value),
            _ => None,
        };
        let float = |value: &Option<Self>| value.map(Self::float);
        let lost = |name| FunctionError::out_of_range(name);
        Ok(match form {
            DataType::Int16 => {
                let narrow = |value| whole(value).map(i16::try_from).transpose();
                let values = values.iter().map(narrow).collect::<Result<Vec<_>, _>>();
                Arc::new(Int16Array::from(values.map_err(|_| lost("smallint"))?))
            }
            DataType::Int32 => {
                let narrow = |value| whole(value).map(i32::try_from).transpose();
                let values = values.iter().map(narrow).collect::<Result<Vec<_>, _>>();
                Arc::new(Int32Array::from(values.map_err(|_| lost("integer"))?))
            }
            DataType::Int64 => Arc::new(values.iter().map(whole).collect::<Int64Array>()),
            DataType::Float32 => {
                #[expect(clippy::cast_possible_truncation, reason = "real has fewer digits")]
                let narrow = |value| float(value).map(|value| value as f32);
                Arc::new(values.iter().map(narrow).collect::<Float32Array>())
            }
            _ => Arc::new(values.iter().map(float).collect::<Float64Array>()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    fn whole(before: (i64, i64), after: (i64, i64), at: i64) -> i64 {
        let sample = |(x, y)| (x, Number::Whole(y));
        match Number::between(sample(before), sample(after), at).unwrap() {
            Number::Whole(value) => value,
            Number::Float(_) => unreachable!("whole numbers lie between whole numbers"),
        }
    }

    #[test]
    fn whole_numbers_are_rounded_away_from_zero_at_halves() {
        assert_eq!(whole((0, 0), (10, 5), 1), 1);
        assert_eq!(whole((0, 0), (10, 4), 1), 0);
        assert_eq!(whole((0, 0), (10, -5), 1), -1);
        assert_eq!(whole((0, 0), (10, -4), 1), 0);
        assert_eq!(whole((0, 7), (10, -7), 5), 0);
        assert_eq!(whole((0, 10), (4, 0), 1), 8);
    }

    #[test]
    fn far_apart_samples_do_not_overflow() {
        let us = 1_000_000_000_000;
        assert_eq!(whole((0, i64::MIN), (2 * us, i64::MAX), us), -1);
        assert_eq!(whole((0, 65_873_944), (us, 65_913_905), us / 4), 65_883_934);
    }

    #[test]
    fn floats_are_those_that_timescaledb_shows() {
        // Recorded: a gap of three buckets of five minutes.
        let sample = |minute: i64, value| (minute * 60_000_000, Number::Float(value));
        let (before, after) = (sample(5, 94_425.86), sample(25, 94_414.98));
        let shown: Vec<String> = [10, 15, 20]
            .into_iter()
            .map(|minute| {
                let at = minute * 60_000_000;
                Number::between(before, after, at)
                    .unwrap()
                    .float()
                    .to_string()
            })
            .collect();
        assert_eq!(shown, ["94423.14", "94420.42", "94417.7"]);
    }

    #[test]
    fn dates_from_an_instant_on_begin_with_the_next_midnight() {
        let noon = ScalarValue::TimestampMicrosecond(Some(DAY_US / 2), None);
        assert_eq!(Form::Date.limit(&noon, false).unwrap(), Some(DAY_US));
        assert_eq!(Form::Date.limit(&noon, true).unwrap(), Some(DAY_US));
        let day = ScalarValue::Date32(Some(1));
        assert_eq!(Form::Date.limit(&day, false).unwrap(), Some(DAY_US));
        assert_eq!(Form::Date.limit(&day, true).unwrap(), Some(2 * DAY_US));
    }
}
