//! Single values, between Arrow columns and the functions that work row by row.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    Decimal256Builder, FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, ListArray, NullArray,
    StringViewBuilder, StructArray, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    UInt32Builder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use chronolith_types::NUMERIC_ANY;
use chronolith_types::array::{Dimension, Shape};

use super::error::FunctionError;
use super::num::{self, Numeric};

/// One value of any type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// smallint, integer, bigint, oid and its kin.
    Int(i64),
    /// real and double precision.
    Float(f64),
    Numeric(Numeric),
    Text(String),
    Bytes(Vec<u8>),
    Date(i32),
    Time(i64),
    /// timestamp and timestamptz.
    Timestamp(i64),
    Interval(IntervalMonthDayNano),
    Uuid([u8; 16]),
    /// An array of one dimension that counts from 1, or an empty one.
    List(Vec<Value>),
    /// Any other array; made by [`Value::shaped`].
    Shaped(Shape, Vec<Value>),
    Record(Vec<Value>),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub(super) fn as_int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            _ => 0,
        }
    }

    pub(super) fn as_bool(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(super) fn as_float(&self) -> f64 {
        match self {
            Self::Float(value) => *value,
            Self::Int(value) => *value as f64,
            Self::Numeric(value) => num::to_f64(value),
            _ => 0.0,
        }
    }

    pub(super) fn as_list(&self) -> &[Value] {
        match self {
            Self::List(items) | Self::Shaped(_, items) | Self::Record(items) => items,
            _ => &[],
        }
    }

    /// An array of some dimensions.
    pub(super) fn shaped(shape: Shape, items: Vec<Self>) -> Self {
        if shape.is_plain() {
            Self::List(items)
        } else {
            Self::Shaped(shape, items)
        }
    }

    /// The dimensions of an array.
    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Shaped(shape, _) => shape.clone(),
            other => Shape::plain(other.as_list().len()),
        }
    }

    pub(super) fn as_micros(&self) -> i64 {
        match self {
            Self::Timestamp(us) | Self::Time(us) => *us,
            _ => 0,
        }
    }

    pub(super) fn as_interval(&self) -> IntervalMonthDayNano {
        match self {
            Self::Interval(value) => *value,
            _ => IntervalMonthDayNano::new(0, 0, 0),
        }
    }

    pub(super) fn as_numeric(&self) -> Result<Numeric, FunctionError> {
        match self {
            Self::Numeric(value) => Ok(*value),
            Self::Int(value) => Ok(num::from_i64(*value)),
            Self::Float(value) => num::from_f64(*value),
            _ => Ok(num::from_i64(0)),
        }
    }

    /// PostgreSQL's order of two values of one type; nulls last.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Greater,
            (_, Self::Null) => Ordering::Less,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => compare_floats(*a, *b),
            (Self::Numeric(a), Self::Numeric(b)) => num::compare(a, b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Interval(a), Self::Interval(b)) => interval_micros(a).cmp(&interval_micros(b)),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::List(_) | Self::Shaped(..), Self::List(_) | Self::Shaped(..))
            | (Self::Record(_), Self::Record(_)) => {
                let (a, b) = (self.as_list(), other.as_list());
                for (a, b) in a.iter().zip(b) {
                    let order = a.compare(b);
                    if order != Ordering::Equal {
                        return order;
                    }
                }
                a.len()
                    .cmp(&b.len())
                    .then_with(|| compare_shapes(self, other))
            }
            (Self::Int(_) | Self::Float(_) | Self::Numeric(_), _) => {
                compare_floats(self.as_float(), other.as_float())
            }
            _ => Ordering::Equal,
        }
    }
}

/// Arrays of equal items: those of fewer dimensions first, then by lengths, then by first subscripts.
fn compare_shapes(a: &Value, b: &Value) -> Ordering {
    if let (Value::List(_), Value::List(_)) | (Value::Record(_), _) = (a, b) {
        return Ordering::Equal;
    }
    let (a, b) = (a.shape(), b.shape());
    let (a, b) = (a.dimensions(), b.dimensions());
    let lengths = |of: &[Dimension]| of.iter().map(|one| one.length).collect::<Vec<_>>();
    let lowers = |of: &[Dimension]| of.iter().map(|one| one.lower).collect::<Vec<_>>();
    a.len()
        .cmp(&b.len())
        .then_with(|| lengths(a).cmp(&lengths(b)))
        .then_with(|| lowers(a).cmp(&lowers(b)))
}

/// NaN is equal to itself and greater than all else; zeros are equal.
pub(super) fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// An interval on one line: months of 30 days, days of 24 hours.
pub(super) fn interval_micros(value: &IntervalMonthDayNano) -> i128 {
    (i128::from(value.months) * 30 + i128::from(value.days)) * 86_400_000_000
        + i128::from(value.nanoseconds / 1000)
}

/// The value of a row.
pub(super) fn read(array: &dyn Array, row: usize) -> Result<Value, FunctionError> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int16 => Value::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Value::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt32 => Value::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Value::Int(
            i64::try_from(array.as_primitive::<UInt64Type>().value(row)).unwrap_or(i64::MAX),
        ),
        DataType::Float32 => Value::Float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Value::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(_, scale) => Value::Numeric(num::from_fixed128(
            array.as_primitive::<Decimal128Type>().value(row),
            *scale,
        )),
        form if *form == NUMERIC_ANY => Value::Numeric(num::from_any(
            array.as_primitive::<Decimal256Type>().value(row),
        )),
        DataType::Decimal256(_, scale) => Value::Numeric(num::from_fixed256(
            array.as_primitive::<Decimal256Type>().value(row),
            *scale,
        )?),
        DataType::Utf8View => Value::Text(array.as_string_view().value(row).to_owned()),
        DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Value::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::BinaryView => Value::Bytes(array.as_binary_view().value(row).to_owned()),
        DataType::Binary => Value::Bytes(array.as_binary::<i32>().value(row).to_owned()),
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time64(TimeUnit::Microsecond) => {
            Value::Time(array.as_primitive::<Time64MicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Value::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Interval(_) => {
            Value::Interval(array.as_primitive::<IntervalMonthDayNanoType>().value(row))
        }
        DataType::FixedSizeBinary(16) => {
            let bytes = array.as_fixed_size_binary().value(row);
            Value::Uuid(bytes.try_into().unwrap_or_default())
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let shape = Shape::kept(items.nulls(), 0, items.len());
            let count = shape.as_ref().map_or(items.len(), Shape::count);
            let items = (0..count).map(|i| read(&items, i));
            let items = items.collect::<Result<_, _>>()?;
            match shape {
                Some(shape) => Value::shaped(shape, items),
                None => Value::List(items),
            }
        }
        DataType::Struct(_) => {
            let columns = array.as_struct();
            let fields = columns.columns().iter().map(|column| read(column, row));
            Value::Record(fields.collect::<Result<_, _>>()?)
        }
        DataType::Dictionary(_, _) => {
            let plain = arrow::compute::cast(
                &array.slice(row, 1),
                &match array.data_type() {
                    DataType::Dictionary(_, value) => value.as_ref().clone(),
                    other => other.clone(),
                },
            )?;
            return read(&plain, 0);
        }
        other => {
            return Err(FunctionError::internal(format!(
                "no function reads columns of {other}"
            )));
        }
    })
}

fn there(value: &Value) -> bool {
    !value.is_null()
}

/// What is not NULL in a tail of an array whose items have a form.
fn filler(form: &DataType) -> Result<Value, FunctionError> {
    Ok(match form {
        DataType::Boolean => Value::Bool(false),
        DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt32 => Value::Int(0),
        DataType::Float32 | DataType::Float64 => Value::Float(0.0),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Value::Numeric(num::from_i64(0)),
        DataType::Utf8View => Value::text(""),
        DataType::BinaryView => Value::Bytes(Vec::new()),
        DataType::Date32 => Value::Date(0),
        DataType::Time64(_) => Value::Time(0),
        DataType::Timestamp(..) => Value::Timestamp(0),
        DataType::Interval(_) => Value::Interval(IntervalMonthDayNano::new(0, 0, 0)),
        DataType::FixedSizeBinary(16) => Value::Uuid([0; 16]),
        DataType::Struct(_) => Value::Record(Vec::new()),
        other => {
            return Err(FunctionError::unsupported(format!(
                "an array of several dimensions of {other}"
            )));
        }
    })
}

macro_rules! build {
    ($builder:expr, $values:expr, $pattern:pat => $convert:expr) => {{
        let mut builder = $builder;
        for value in $values {
            match value {
                Value::Null => builder.append_null(),
                $pattern => builder.append_value($convert),
                other => return Err(wrong(&other)),
            }
        }
        Arc::new(builder.finish()) as ArrayRef
    }};
}

fn wrong(value: &Value) -> FunctionError {
    FunctionError::internal(format!("a function answered {value:?} of another type"))
}

/// A column of values, in the Arrow type that they must have.
///
/// Numbers that do not fit are `22003`.
pub(super) fn write(form: &DataType, values: Vec<Value>) -> Result<ArrayRef, FunctionError> {
    let rows = values.len();
    Ok(match form {
        DataType::Null => Arc::new(NullArray::new(rows)),
        DataType::Boolean => {
            build!(BooleanBuilder::with_capacity(rows), values, Value::Bool(v) => v)
        }
        DataType::Int16 => build!(Int16Builder::with_capacity(rows), values, Value::Int(v) =>
            i16::try_from(v).map_err(|_| FunctionError::out_of_range("smallint"))?),
        DataType::Int32 => build!(Int32Builder::with_capacity(rows), values, Value::Int(v) =>
            i32::try_from(v).map_err(|_| FunctionError::out_of_range("integer"))?),
        DataType::Int64 => {
            build!(Int64Builder::with_capacity(rows), values, Value::Int(v) => v)
        }
        DataType::UInt32 => build!(UInt32Builder::with_capacity(rows), values, Value::Int(v) =>
            u32::try_from(v).map_err(|_| FunctionError::out_of_range("OID"))?),
        DataType::Float32 => build!(Float32Builder::with_capacity(rows), values, Value::Float(v) =>
            narrow(v)?),
        DataType::Float64 => {
            build!(Float64Builder::with_capacity(rows), values, Value::Float(v) => v)
        }
        form if *form == NUMERIC_ANY => {
            build!(Decimal256Builder::with_capacity(rows).with_data_type(form.clone()), values,
                Value::Numeric(v) => num::to_any(&v)?)
        }
        DataType::Decimal128(precision, scale) => {
            build!(Decimal128Builder::with_capacity(rows).with_data_type(form.clone()), values,
                Value::Numeric(v) => num::to_fixed128(&v, *precision, *scale)?)
        }
        DataType::Decimal256(_, scale) => {
            build!(Decimal256Builder::with_capacity(rows).with_data_type(form.clone()), values,
                Value::Numeric(v) => num::to_fixed256(&v, *scale)?)
        }
        DataType::Utf8View => {
            build!(StringViewBuilder::with_capacity(rows), values, Value::Text(v) => v)
        }
        DataType::BinaryView => {
            build!(BinaryViewBuilder::with_capacity(rows), values, Value::Bytes(v) => v)
        }
        DataType::Date32 => build!(Date32Builder::with_capacity(rows), values, Value::Date(v) => v),
        DataType::Time64(_) => {
            build!(Time64MicrosecondBuilder::with_capacity(rows), values, Value::Time(v) => v)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => build!(
            TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(form.clone()),
            values, Value::Timestamp(v) => v),
        DataType::Interval(_) => {
            build!(IntervalMonthDayNanoBuilder::with_capacity(rows), values, Value::Interval(v) => v)
        }
        DataType::FixedSizeBinary(16) => {
            let mut builder = FixedSizeBinaryBuilder::with_capacity(rows, 16);
            for value in values {
                match value {
                    Value::Null => builder.append_null(),
                    Value::Uuid(bytes) => builder.append_value(bytes)?,
                    other => return Err(wrong(&other)),
                }
            }
            Arc::new(builder.finish())
        }
        DataType::List(item) => {
            let mut lengths = Vec::with_capacity(rows);
            let mut valid = Vec::with_capacity(rows);
            let mut items = Vec::new();
            for value in values {
                valid.push(!value.is_null());
                let tail = match &value {
                    Value::Null => Vec::new(),
                    Value::List(list) => {
                        Shape::plain(list.len()).tail(|at| list.get(at).is_some_and(there))
                    }
                    Value::Shaped(shape, _) => shape.tail(|_| true),
                    other => return Err(wrong(other)),
                };
                if let Value::List(list) | Value::Shaped(_, list) = value {
                    lengths.push(list.len() + tail.len());
                    items.extend(list);
                } else {
                    lengths.push(0);
                }
                if !tail.is_empty() {
                    let filler = filler(item.data_type())?;
                    let tail = tail.into_iter();
                    items.extend(tail.map(|bit| if bit { filler.clone() } else { Value::Null }));
                }
            }
            let items = write(item.data_type(), items)?;
            Arc::new(ListArray::try_new(
                Arc::clone(item),
                OffsetBuffer::from_lengths(lengths),
                items,
                Some(NullBuffer::from(valid)),
            )?)
        }
        DataType::Struct(fields) => {
            let mut columns = vec![Vec::with_capacity(rows); fields.len()];
            let mut valid = Vec::with_capacity(rows);
            for value in values {
                valid.push(!value.is_null());
                let mut row = match value {
                    Value::Record(row) => row.into_iter(),
                    _ => Vec::new().into_iter(),
                };
                for column in &mut columns {
                    column.push(row.next().unwrap_or(Value::Null));
                }
            }
            let columns = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| write(field.data_type(), column))
                .collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new(
                fields.clone(),
                columns,
                Some(NullBuffer::from(valid)),
            )?)
        }
        other => {
            return Err(FunctionError::internal(format!(
                "no function writes columns of {other}"
            )));
        }
    })
}

/// A double as a real; `22003` when it overflows or underflows.
pub(super) fn narrow(value: f64) -> Result<f32, FunctionError> {
    #[expect(clippy::cast_possible_truncation, reason = "checked right below")]
    let narrowed = value as f32;
    if narrowed.is_infinite() && value.is_finite() {
        return Err(FunctionError::new(
            chronolith_types::SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value out of range: overflow",
        ));
    }
    if narrowed == 0.0 && value != 0.0 {
        return Err(FunctionError::new(
            chronolith_types::SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "value out of range: underflow",
        ));
    }
    Ok(narrowed)
}
