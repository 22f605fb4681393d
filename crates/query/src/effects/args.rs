//! Arguments and results of functions with effects.

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use chronolith_types::{Interval, SqlState};
use datafusion::common::ScalarValue;

use super::refresh::shown;
use crate::ddl::hypertable::Width;
use crate::error::Error;

/// The arguments of one call; those left out or NULL are None.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [ScalarValue]);

impl<'a> Args<'a> {
    pub(crate) fn get(&self, place: usize) -> Option<&'a ScalarValue> {
        self.0.get(place).filter(|value| !value.is_null())
    }

    /// How many there are, those that are NULL too.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn text(&self, place: usize) -> Option<&'a str> {
        match self.get(place)? {
            ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, place: usize) -> Option<bool> {
        match self.get(place)? {
            ScalarValue::Boolean(value) => *value,
            _ => None,
        }
    }

    pub(crate) fn oid(&self, place: usize) -> Option<u32> {
        match self.get(place)? {
            ScalarValue::UInt32(value) => *value,
            other => u32::try_from(integer(other)?).ok(),
        }
    }

    pub(crate) fn integer(&self, place: usize) -> Option<i64> {
        integer(self.get(place)?)
    }

    /// An argument that must be there.
    pub(crate) fn need<T>(&self, value: Option<T>, name: &str) -> Result<T, Error> {
        value.ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{name} cannot be NULL"),
            )
        })
    }

    /// A chunk's width.
    pub(crate) fn width(&self, place: usize) -> Result<Option<Width>, Error> {
        let Some(value) = self.get(place) else {
            return Ok(None);
        };
        if let Some(number) = integer(value) {
            return Ok(Some(Width::Number(number)));
        }
        match value {
            ScalarValue::IntervalMonthDayNano(Some(span)) => Ok(Some(Width::Span(Interval {
                months: span.months,
                days: span.days,
                us: span.nanoseconds / 1000,
            }))),
            ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => {
                crate::ddl::hypertable::width_from_text(text).map(Some)
            }
            other => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid interval type {}", shown(other)),
            )),
        }
    }
}

pub(crate) fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(value) => *value,
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int16(value) => value.map(i64::from),
        ScalarValue::UInt32(value) => value.map(i64::from),
        _ => None,
    }
}

pub(crate) fn text(value: impl Into<String>) -> ScalarValue {
    ScalarValue::Utf8View(Some(value.into()))
}

pub(crate) fn bigint(value: u64) -> ScalarValue {
    ScalarValue::Int64(Some(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// A set of values.
pub(crate) fn list(values: &[ScalarValue], form: &DataType) -> ScalarValue {
    ScalarValue::List(ScalarValue::new_list_nullable(values, form))
}

/// A set of records; each row has the values of `columns` in order.
pub(crate) fn records(
    columns: &[(&str, DataType)],
    rows: &[Vec<ScalarValue>],
) -> Result<ScalarValue, Error> {
    let fields: Fields = columns
        .iter()
        .map(|(name, form)| Field::new(*name, form.clone(), true))
        .collect();
    let form = DataType::Struct(fields.clone());
    if rows.is_empty() {
        return Ok(list(&[], &form));
    }
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for place in 0..columns.len() {
        let values = rows.iter().filter_map(|row| row.get(place).cloned());
        arrays.push(ScalarValue::iter_to_array(values)?);
    }
    let records = StructArray::try_new(fields, arrays, None)?;
    let values = (0..rows.len())
        .map(|row| ScalarValue::try_from_array(&records, row))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(list(&values, &form))
}
