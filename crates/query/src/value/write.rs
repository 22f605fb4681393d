//! PostgreSQL's text of values in Arrow columns.

use arrow::array::Array;
use arrow::array::cast::AsArray;
use arrow::array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    UInt32Type,
};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use chronolith_types::array::Shape;
use chronolith_types::{
    Interval, NUMERIC_ANY, Numeric, SqlType, TimeZone, datetime, numeric, packed, row as rows,
    text, type_of_form,
};

use crate::error::Error;

const NANOSECONDS_PER_US: i64 = 1_000;

/// Whether a value is NULL, also in a column of nothing but NULL.
#[must_use]
pub fn is_null(array: &dyn Array, row: usize) -> bool {
    array.data_type() == &DataType::Null || array.is_null(row)
}

/// The dimensions of an array whose list is these items, with their tail.
pub(crate) fn shape_of(items: &dyn Array) -> Shape {
    let kept = Shape::kept(items.nulls(), 0, items.len());
    kept.unwrap_or_else(|| Shape::plain(items.len()))
}

/// Appends the text of a value that is not NULL, times in `zone`.
///
/// # Errors
/// XX000 when the column has not the physical form of its type.
pub fn write_text(
    array: &dyn Array,
    row: usize,
    ty: &SqlType,
    zone: &TimeZone,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match array.data_type() {
        DataType::Boolean => out.push(if array.as_boolean().value(row) {
            b't'
        } else {
            b'f'
        }),
        DataType::Int16 => {
            text::write_integer(array.as_primitive::<Int16Type>().value(row).into(), out);
        }
        DataType::Int32 => {
            text::write_integer(array.as_primitive::<Int32Type>().value(row).into(), out);
        }
        DataType::Int64 => text::write_integer(array.as_primitive::<Int64Type>().value(row), out),
        DataType::UInt32 => {
            text::write_integer(array.as_primitive::<UInt32Type>().value(row).into(), out);
        }
        DataType::Float32 => {
            text::write_float4(array.as_primitive::<Float32Type>().value(row), out);
        }
        DataType::Float64 => {
            text::write_float8(array.as_primitive::<Float64Type>().value(row), out);
        }
        DataType::Decimal128(_, scale) => numeric::write_decimal(
            array.as_primitive::<Decimal128Type>().value(row),
            scale.unsigned_abs(),
            out,
        ),
        DataType::Decimal256(_, scale) => {
            let code = array.as_primitive::<Decimal256Type>().value(row);
            let value = if array.data_type() == &NUMERIC_ANY {
                Numeric::from_any(code)
            } else {
                Numeric::finite(code, u32::from(scale.unsigned_abs()))?
            };
            value.write(out);
        }
        DataType::Utf8View if crate::functions::is_composite(ty) => {
            let kept = array.as_string_view().value(row).as_bytes();
            out.extend(rows::rewritten(kept, ty, &TimeZone::Utc, zone)?);
        }
        DataType::Utf8View => write_characters(array.as_string_view().value(row), ty, out),
        DataType::BinaryView => packed::write(ty, array.as_binary_view().value(row), zone, out),
        DataType::FixedSizeBinary(_) => {
            text::write_uuid(array.as_fixed_size_binary().value(row), out);
        }
        DataType::Date32 => {
            datetime::write_date(array.as_primitive::<Date32Type>().value(row), out);
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            datetime::write_time(
                array.as_primitive::<Time64MicrosecondType>().value(row),
                out,
            );
        }
        DataType::Timestamp(TimeUnit::Microsecond, of_zone) => {
            let us = array.as_primitive::<TimestampMicrosecondType>().value(row);
            match of_zone {
                Some(_) => datetime::write_timestamptz(us, zone, out),
                None => datetime::write_timestamp(us, out),
            }
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let interval = Interval {
                months: value.months,
                days: value.days,
                us: value.nanoseconds / NANOSECONDS_PER_US,
            };
            interval.write(out);
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let item_ty = match ty {
                SqlType::Array(item) => item.base(),
                other => other,
            };
            // The catalogs' vectors are written without braces.
            let vector = matches!(ty, SqlType::Int2Vector | SqlType::OidVector);
            let write_item = |index: usize, out: &mut Vec<u8>| {
                if is_null(&items, index) {
                    text::write_array_item(None, out);
                } else {
                    let mut item = Vec::new();
                    write_text(&items, index, item_ty, zone, &mut item)?;
                    text::write_array_item(Some(&item), out);
                }
                Ok::<_, Error>(())
            };
            if vector {
                for index in 0..items.len() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    write_item(index, out)?;
                }
            } else {
                shape_of(&items).write(out, write_item)?;
            }
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            if let (SqlType::Reg(_), [_, name]) = (ty, columns) {
                return write_text(name, row, &SqlType::Text, zone, out);
            }
            let mut fields = Vec::with_capacity(columns.len());
            for column in columns {
                if is_null(column, row) {
                    fields.push(None);
                    continue;
                }
                let mut field = Vec::new();
                let ty = type_of_form(column.data_type());
                write_text(column, row, &ty, zone, &mut field)?;
                fields.push(Some(field));
            }
            out.extend(rows::join(&fields));
        }
        other => {
            return Err(Error::internal(format!(
                "a value of type {} lies in an Arrow column of {other}",
                ty.name()
            )));
        }
    }
    Ok(())
}

/// `char(n)` is kept without its trailing blanks, and shown with them.
fn write_characters(value: &str, ty: &SqlType, out: &mut Vec<u8>) {
    out.extend_from_slice(value.as_bytes());
    if let SqlType::Char(Some(length)) = ty {
        let length = usize::try_from(*length).unwrap_or(0);
        let missing = length.saturating_sub(value.chars().count());
        out.extend(std::iter::repeat_n(b' ', missing));
    }
}
