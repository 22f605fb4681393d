//! Rows of a system relation on their way to a batch.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, StringViewArray, TimestampMicrosecondArray,
    UInt32Array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_types::packed::Address;
use chronolith_types::{Interval, SqlType};

use crate::error::Error;
use crate::scan::Wanted;

/// One value, before its column's type makes it Arrow's.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Cell<'a> {
    #[default]
    Null,
    Bool(bool),
    /// An integer, an oid or a point in time in µs.
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A time span in µs; whole days are shown as days.
    Span(i64),
    Interval(Interval),
    List(Vec<Cell<'a>>),
    /// A value that is kept as bytes.
    Bytes(Vec<u8>),
}

impl From<std::net::IpAddr> for Cell<'_> {
    fn from(address: std::net::IpAddr) -> Self {
        Self::Bytes(Address::of_host(address).kept())
    }
}

impl From<Interval> for Cell<'_> {
    fn from(value: Interval) -> Self {
        Self::Interval(value)
    }
}

macro_rules! from_integer {
    ($($ty:ty),*) => {
        $(impl From<$ty> for Cell<'_> {
            fn from(value: $ty) -> Self {
                Self::Int(i64::from(value))
            }
        })*
    };
}

from_integer!(i16, i32, i64, u32);

impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Cell<'_> {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Cell<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<Cow<'a, str>> for Cell<'a> {
    fn from(value: Cow<'a, str>) -> Self {
        Self::Text(value)
    }
}

/// A `"char"`.
impl From<char> for Cell<'_> {
    fn from(value: char) -> Self {
        Self::Text(Cow::Owned(value.to_string()))
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<'a, T: Into<Cell<'a>>> From<Vec<T>> for Cell<'a> {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

/// One row, its values in the relation's order.
macro_rules! row {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::catalogs::rows::Cell::from($value)),*]
    };
}
pub(super) use row;

/// NULL, for [`row!`].
pub(super) const NULL: Option<bool> = None;

/// A count or a size, which no catalog of ours makes greater than 2^63.
pub(super) fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

/// The rows gathered so far, by column.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// How many columns the relation has.
    width: usize,
    /// The places of the columns that are asked for, and their cells.
    columns: Vec<(usize, Vec<Cell<'a>>)>,
    /// Columns by their places, and the number that each must have.
    equal: Vec<(usize, i64)>,
    count: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(width: usize, wanted: &Wanted) -> Self {
        let columns = wanted.columns.iter();
        Self {
            width,
            columns: columns.map(|place| (*place, Vec::new())).collect(),
            equal: wanted.equal.clone(),
            count: 0,
        }
    }

    /// How many columns the relation has.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether a column is asked for: what is dear to find and not wanted may be left NULL.
    pub(super) fn wants(&self, place: usize) -> bool {
        self.columns.iter().any(|(wanted, _)| *wanted == place)
    }

    /// Whether no row counts that has this number in a column.
    pub(super) fn misses(&self, place: usize, number: u32) -> bool {
        let number = i64::from(number);
        let mut equal = self.equal.iter();
        equal.any(|(column, value)| *column == place && *value != number)
    }

    /// One more row.
    pub(super) fn push(&mut self, mut row: Vec<Cell<'a>>) {
        debug_assert_eq!(row.len(), self.width, "a row has every column");
        let counts = |(place, number): &(usize, i64)| row.get(*place) == Some(&Cell::Int(*number));
        if !self.equal.iter().all(counts) {
            return;
        }
        self.count += 1;
        for (place, cells) in &mut self.columns {
            let cell = row.get_mut(*place).map(std::mem::take);
            cells.push(cell.unwrap_or_default());
        }
    }

    /// The batch, each column in its type's form.
    pub(super) fn finish(
        self,
        columns: impl Iterator<Item = (&'static str, SqlType)>,
    ) -> Result<RecordBatch, Error> {
        let all: Vec<_> = columns.collect();
        let mut fields = Vec::with_capacity(self.columns.len());
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (place, cells) in &self.columns {
            let Some((name, ty)) = all.get(*place) else {
                return Err(Error::internal("a system relation has no such column"));
            };
            let form = ty.arrow();
            let array = array(cells, &form).ok_or_else(|| {
                Error::internal(format!("a value of catalog column {name} is no {ty}"))
            })?;
            fields.push(Field::new(*name, form, true));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }
}

/// Cells as a column of a form; none when one of them does not fit.
fn array(cells: &[Cell<'_>], form: &DataType) -> Option<ArrayRef> {
    Some(match form {
        DataType::Boolean => Arc::new(BooleanArray::from(each(cells, |cell| match cell {
            Cell::Bool(value) => Some(*value),
            _ => None,
        })?)),
        DataType::Int16 => Arc::new(Int16Array::from(each(cells, integer)?)),
        DataType::Int32 => Arc::new(Int32Array::from(each(cells, integer)?)),
        DataType::Int64 => Arc::new(Int64Array::from(each(cells, integer)?)),
        DataType::UInt32 => Arc::new(UInt32Array::from(each(cells, integer)?)),
        DataType::Float64 => Arc::new(Float64Array::from(each(cells, float)?)),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "statistics that PostgreSQL keeps as reals"
        )]
        DataType::Float32 => Arc::new(Float32Array::from(each(cells, |cell| {
            float(cell).map(|value| value as f32)
        })?)),
        DataType::Utf8View => Arc::new(StringViewArray::from(each(cells, |cell| match cell {
            Cell::Text(value) => Some(value.as_ref()),
            _ => None,
        })?)),
        DataType::BinaryView => Arc::new(BinaryViewArray::from(each(cells, |cell| match cell {
            Cell::Bytes(value) => Some(value.as_slice()),
            _ => None,
        })?)),
        DataType::Timestamp(_, zone) => Arc::new(
            TimestampMicrosecondArray::from(each(cells, integer)?).with_timezone_opt(zone.clone()),
        ),
        DataType::Interval(_) => Arc::new(IntervalMonthDayNanoArray::from(each(cells, span)?)),
        DataType::List(item) => {
            let lists = each(cells, |cell| match cell {
                Cell::List(items) => Some(items.as_slice()),
                _ => None,
            })?;
            let lengths = lists.iter().map(|list| list.map_or(0, <[_]>::len));
            let offsets = OffsetBuffer::from_lengths(lengths);
            let valid: NullBuffer = lists.iter().map(Option::is_some).collect();
            let items: Vec<Cell<'_>> = lists.into_iter().flatten().flatten().cloned().collect();
            let items = array(&items, item.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, items, Some(valid)).ok()?)
        }
        // Forms that only relations without rows have, or columns that are always NULL.
        other => {
            each(cells, |_| None::<bool>)?;
            new_null_array(other, cells.len())
        }
    })
}

fn each<'c, 'a, T>(
    cells: &'c [Cell<'a>],
    read: impl Fn(&'c Cell<'a>) -> Option<T>,
) -> Option<Vec<Option<T>>> {
    cells
        .iter()
        .map(|cell| match cell {
            Cell::Null => Some(None),
            value => read(value).map(Some),
        })
        .collect()
}

fn integer<T: TryFrom<i64>>(cell: &Cell<'_>) -> Option<T> {
    match cell {
        Cell::Int(value) => T::try_from(*value).ok(),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts become PostgreSQL's estimates, which are reals"
)]
fn float(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Float(value) => Some(*value),
        Cell::Int(value) => Some(*value as f64),
        _ => None,
    }
}

fn span(cell: &Cell<'_>) -> Option<IntervalMonthDayNano> {
    const DAY_US: i64 = 86_400_000_000;
    match cell {
        Cell::Span(us) if us % DAY_US == 0 => Some(IntervalMonthDayNano::new(
            0,
            i32::try_from(us / DAY_US).ok()?,
            0,
        )),
        Cell::Interval(span) => Some(IntervalMonthDayNano::new(
            span.months,
            span.days,
            span.us.checked_mul(1000)?,
        )),
        Cell::Span(us) => Some(IntervalMonthDayNano::new(0, 0, us.checked_mul(1000)?)),
        _ => None,
    }
}
