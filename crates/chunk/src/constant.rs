//! One value many times over: what rows older than a column have in it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, StringViewArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, UInt32Array, make_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type,
    Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType, UInt32Type,
};
use chronolith_types::array::{self, Shape};
use chronolith_types::{
    Interval, NUMERIC_ANY, Numeric, SqlState, SqlType, TimeZone, ValueError, datetime, numeric,
    packed, precision, text,
};

/// The one-row column of a value's text, in its type's physical form; times without a zone are UTC.
///
/// # Errors
/// For text that is no value of the type.
pub fn constant(value: &str, ty: &SqlType) -> Result<ArrayRef, ValueError> {
    let bytes = value.as_bytes();
    let integer = |name: &str, min: i64, max: i64| text::parse_integer(bytes, name, min, max);
    let misfit = |name: &str| ValueError::range(name, bytes);
    Ok(match ty {
        SqlType::Bool => Arc::new(BooleanArray::from(vec![text::parse_bool(bytes)?])),
        SqlType::Int2 => {
            let wide = integer("smallint", i16::MIN.into(), i16::MAX.into())?;
            let value = i16::try_from(wide).map_err(|_| misfit("smallint"))?;
            Arc::new(Int16Array::from(vec![value]))
        }
        SqlType::Int4 => {
            let wide = integer("integer", i32::MIN.into(), i32::MAX.into())?;
            let value = i32::try_from(wide).map_err(|_| misfit("integer"))?;
            Arc::new(Int32Array::from(vec![value]))
        }
        SqlType::Int8 => Arc::new(Int64Array::from(vec![integer(
            "bigint",
            i64::MIN,
            i64::MAX,
        )?])),
        SqlType::Oid | SqlType::Xid | SqlType::Reg(_) => {
            let wide = integer("oid", 0, u32::MAX.into())?;
            let value = u32::try_from(wide).map_err(|_| misfit("oid"))?;
            Arc::new(UInt32Array::from(vec![value]))
        }
        SqlType::Float4 => Arc::new(Float32Array::from(vec![text::parse_float4(bytes)?])),
        SqlType::Float8 => Arc::new(Float64Array::from(vec![text::parse_float8(bytes)?])),
        SqlType::Numeric(limits) => {
            let value = Numeric::parse(bytes)?;
            match (limits, ty.arrow()) {
                (Some((precision, scale)), DataType::Decimal128(..)) => {
                    let places = u8::try_from(*scale).map_err(|_| misfit("numeric"))?;
                    let unscaled = numeric::fit(&value, *precision, places)?;
                    let column = Decimal128Array::from(vec![unscaled]);
                    Arc::new(column.with_data_type(DataType::Decimal128(*precision, *scale)))
                }
                _ => {
                    let column = Decimal256Array::from(vec![value.to_any()]);
                    Arc::new(column.with_data_type(NUMERIC_ANY))
                }
            }
        }
        ty if packed::is_packed(ty) => {
            let value = packed::parse(ty, bytes, &TimeZone::Utc)?;
            Arc::new(BinaryViewArray::from_iter_values([value]))
        }
        SqlType::Date => Arc::new(Date32Array::from(vec![datetime::parse_date(bytes)?])),
        SqlType::Time(digits) => {
            let value = precision::time(datetime::parse_time(bytes)?, *digits);
            Arc::new(Time64MicrosecondArray::from(vec![value]))
        }
        SqlType::Timestamp(digits) => {
            let value = precision::timestamp(datetime::parse_timestamp(bytes)?, *digits);
            Arc::new(TimestampMicrosecondArray::from(vec![value]))
        }
        SqlType::Timestamptz(digits) => {
            let value = datetime::parse_timestamptz(bytes, &TimeZone::Utc)?;
            let value = precision::timestamp(value, *digits);
            Arc::new(TimestampMicrosecondArray::from(vec![value]).with_timezone("UTC"))
        }
        SqlType::Interval(limit) => {
            let span = Interval::parse_within(bytes, *limit)?;
            let value =
                IntervalMonthDayNanoType::make_value(span.months, span.days, span.nanoseconds()?);
            Arc::new(IntervalMonthDayNanoArray::from(vec![value]))
        }
        SqlType::Uuid => {
            let value = text::parse_uuid(bytes)?;
            let column = FixedSizeBinaryArray::try_from_iter([value].into_iter());
            Arc::new(column.map_err(|_| ValueError::syntax("uuid", bytes))?)
        }
        SqlType::Array(element) => list(bytes, element.base())?,
        // All that is left is kept as its text.
        _ if ty.arrow() == DataType::Utf8View => {
            Arc::new(StringViewArray::from_iter_values([value]))
        }
        _ => {
            return Err(ValueError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("a column of type {} takes no default", ty.name()),
            ));
        }
    })
}

fn list(bytes: &[u8], element: &SqlType) -> Result<ArrayRef, ValueError> {
    let malformed = |_| ValueError::syntax("array", bytes);
    let (shape, given) = array::parse(bytes)?;
    let mut items: Vec<ArrayRef> = Vec::with_capacity(given.len());
    for item in &given {
        items.push(match item {
            None => new_null_array(&element.arrow(), 1),
            Some(item) => constant(&String::from_utf8_lossy(item), element)?,
        });
    }
    let null = new_null_array(&element.arrow(), 1);
    for bit in shape.tail(|place| given.get(place).is_some_and(Option::is_some)) {
        items.push(match bit {
            false => Arc::clone(&null),
            // What lies below a NULL is a zero.
            true => {
                let zero = null.to_data().into_builder().nulls(None).build();
                make_array(zero.map_err(malformed)?)
            }
        });
    }
    let count = items.len();
    let parts: Vec<&dyn Array> = items.iter().map(AsRef::as_ref).collect();
    let values = match parts.is_empty() {
        true => new_null_array(&element.arrow(), 0),
        false => concat(&parts).map_err(malformed)?,
    };
    let field = Arc::new(Field::new("item", element.arrow(), true));
    let offsets = OffsetBuffer::from_lengths([count]);
    let list = ListArray::try_new(field, offsets, values, None).map_err(malformed)?;
    Ok(Arc::new(list))
}

/// A value's text as PostgreSQL shows it, times in UTC; None for NULL.
#[must_use]
pub fn text_of(column: &ArrayRef, row: usize) -> Option<String> {
    if column.is_null(row) {
        return None;
    }
    let mut out = Vec::new();
    match column.data_type() {
        DataType::Boolean => out.push(if column.as_boolean().value(row) {
            b't'
        } else {
            b'f'
        }),
        DataType::Int16 => text::write_integer(number::<Int16Type>(column, row).into(), &mut out),
        DataType::Int32 => text::write_integer(number::<Int32Type>(column, row).into(), &mut out),
        DataType::Int64 => text::write_integer(number::<Int64Type>(column, row), &mut out),
        DataType::UInt32 => text::write_integer(number::<UInt32Type>(column, row).into(), &mut out),
        DataType::Float32 => text::write_float4(number::<Float32Type>(column, row), &mut out),
        DataType::Float64 => text::write_float8(number::<Float64Type>(column, row), &mut out),
        DataType::Decimal128(_, scale) => {
            let value = number::<Decimal128Type>(column, row);
            numeric::write_decimal(value, scale.unsigned_abs(), &mut out);
        }
        DataType::Decimal256(..) => {
            Numeric::from_any(number::<Decimal256Type>(column, row)).write(&mut out);
        }
        DataType::Date32 => datetime::write_date(number::<Date32Type>(column, row), &mut out),
        DataType::Time64(_) => {
            datetime::write_time(number::<Time64MicrosecondType>(column, row), &mut out);
        }
        DataType::Timestamp(_, zone) => {
            let value = number::<TimestampMicrosecondType>(column, row);
            match zone {
                Some(_) => datetime::write_timestamptz(value, &TimeZone::Utc, &mut out),
                None => datetime::write_timestamp(value, &mut out),
            }
        }
        DataType::Interval(_) => {
            let value = number::<IntervalMonthDayNanoType>(column, row);
            let span = Interval {
                months: value.months,
                days: value.days,
                us: value.nanoseconds / 1000,
            };
            span.write(&mut out);
        }
        DataType::FixedSizeBinary(_) => {
            text::write_uuid(column.as_fixed_size_binary().value(row), &mut out);
        }
        DataType::BinaryView => text::write_bytea(column.as_binary_view().value(row), &mut out),
        DataType::Utf8View => out.extend_from_slice(column.as_string_view().value(row).as_bytes()),
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            let shape = Shape::kept(items.nulls(), 0, items.len());
            let shape = shape.unwrap_or_else(|| Shape::plain(items.len()));
            let written = shape.write(&mut out, |place, out| {
                let item = text_of(&items, place);
                text::write_array_item(item.as_ref().map(String::as_bytes), out);
                Ok::<_, std::convert::Infallible>(())
            });
            let Ok(()) = written;
        }
        _ => {}
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn number<T: ArrowPrimitiveType>(column: &ArrayRef, row: usize) -> T::Native {
    column.as_primitive::<T>().value(row)
}

/// A column of `rows` rows that all have a value; NULLs without one.
pub(crate) fn repeated(value: Option<&ArrayRef>, ty: &DataType, rows: usize) -> ArrayRef {
    let places = UInt32Array::from(vec![0; rows]);
    match value.map(|value| take(value.as_ref(), &places, None)) {
        Some(Ok(column)) => column,
        _ => new_null_array(ty, rows),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn each_type_reads_its_own_text_in_its_physical_form() {
        let of = |name: &str| SqlType::parse_name(name).unwrap();
        for (name, value, shown) in [
            ("boolean", "t", "t"),
            ("smallint", "-3", "-3"),
            ("integer", "7", "7"),
            ("bigint", "9007199254740993", "9007199254740993"),
            ("real", "1.5", "1.5"),
            ("double precision", "2.25", "2.25"),
            ("numeric(20,8)", "1.5", "1.50000000"),
            ("numeric", "1.50", "1.50"),
            ("text", "hello", "hello"),
            ("jsonb", "{}", "{}"),
            ("bytea", "\\x00ff", "\\x00ff"),
            ("date", "2025-03-03", "2025-03-03"),
            ("time", "01:02:03", "01:02:03"),
            ("timestamp", "2025-03-03 01:02:03", "2025-03-03 01:02:03"),
            (
                "timestamptz",
                "2025-03-03 01:02:03+01",
                "2025-03-03 00:02:03+00",
            ),
            ("interval", "1 mon 2 days", "1 mon 2 days"),
            (
                "uuid",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ),
            ("integer[]", "{1,NULL,3}", "{1,NULL,3}"),
            ("oid", "7", "7"),
        ] {
            let ty = of(name);
            let column = constant(value, &ty).unwrap();
            assert_eq!(*column.data_type(), ty.arrow(), "{name}");
            let column = repeated(Some(&column), &ty.arrow(), 3);
            assert_eq!(column.len(), 3);
            assert_eq!(text_of(&column, 2).unwrap(), shown, "{name}");
        }
        assert!(constant("x", &SqlType::Int4).is_err());
        assert_eq!(repeated(None, &DataType::Int64, 2).null_count(), 2);
    }
}
