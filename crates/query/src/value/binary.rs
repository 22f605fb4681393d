//! PostgreSQL's binary form of values in Arrow columns.

use arrow::array::Array;
use arrow::array::cast::AsArray;
use arrow::array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
    UInt32Type,
};
use arrow::datatypes::DataType;
use chronolith_types::binary::write_array_head;
use chronolith_types::{NUMERIC_ANY, Numeric, SqlType, packed, row as rows, type_of_form};

use super::write::{is_null, shape_of};
use crate::error::Error;

/// PostgreSQL counts from 2000.
const EPOCH_US: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

/// Appends the binary form of a value that is not NULL.
///
/// # Errors
/// XX000 when the column has not the physical form of its type.
pub fn write_binary(
    array: &dyn Array,
    row: usize,
    ty: &SqlType,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match array.data_type() {
        DataType::Boolean => out.push(u8::from(array.as_boolean().value(row))),
        DataType::Int16 => put(
            out,
            array.as_primitive::<Int16Type>().value(row).to_be_bytes(),
        ),
        DataType::Int32 => put(
            out,
            array.as_primitive::<Int32Type>().value(row).to_be_bytes(),
        ),
        DataType::Int64 => put(
            out,
            array.as_primitive::<Int64Type>().value(row).to_be_bytes(),
        ),
        DataType::UInt32 => put(
            out,
            array.as_primitive::<UInt32Type>().value(row).to_be_bytes(),
        ),
        DataType::Float32 => {
            put(
                out,
                array.as_primitive::<Float32Type>().value(row).to_be_bytes(),
            );
        }
        DataType::Float64 => {
            put(
                out,
                array.as_primitive::<Float64Type>().value(row).to_be_bytes(),
            );
        }
        DataType::Decimal128(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            write_numeric(&Numeric::from_i128(value, scale.unsigned_abs()), out);
        }
        DataType::Decimal256(_, scale) => {
            let code = array.as_primitive::<Decimal256Type>().value(row);
            let value = if array.data_type() == &NUMERIC_ANY {
                Numeric::from_any(code)
            } else {
                Numeric::finite(code, u32::from(scale.unsigned_abs()))?
            };
            write_numeric(&value, out);
        }
        DataType::Utf8View if crate::functions::is_composite(ty) => {
            let kept = array.as_string_view().value(row).as_bytes();
            rows::to_binary(kept, ty, out)?;
        }
        DataType::Utf8View => {
            if *ty == SqlType::Jsonb {
                // The version of jsonb's binary form.
                out.push(1);
            }
            let value = array.as_string_view().value(row);
            out.extend_from_slice(value.as_bytes());
            if value.is_empty() && *ty == SqlType::InternalChar {
                // Always one byte; zero is shown as nothing.
                out.push(0);
            }
            if let SqlType::Char(Some(length)) = ty {
                let length = usize::try_from(*length).unwrap_or(0);
                let missing = length.saturating_sub(value.chars().count());
                out.extend(std::iter::repeat_n(b' ', missing));
            }
        }
        DataType::BinaryView => packed::send(ty, array.as_binary_view().value(row), out),
        DataType::FixedSizeBinary(_) => {
            out.extend_from_slice(array.as_fixed_size_binary().value(row));
        }
        DataType::Date32 => {
            let value = array.as_primitive::<Date32Type>().value(row);
            let shifted = match value {
                i32::MAX | i32::MIN => value,
                value => value.saturating_sub(EPOCH_DAYS),
            };
            put(out, shifted.to_be_bytes());
        }
        DataType::Time64(_) => {
            let value = array.as_primitive::<Time64MicrosecondType>().value(row);
            put(out, value.to_be_bytes());
        }
        DataType::Timestamp(..) => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let shifted = match value {
                i64::MAX | i64::MIN => value,
                value => value.saturating_sub(EPOCH_US),
            };
            put(out, shifted.to_be_bytes());
        }
        DataType::Interval(_) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            put(out, (value.nanoseconds / 1000).to_be_bytes());
            put(out, value.days.to_be_bytes());
            put(out, value.months.to_be_bytes());
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let item = match ty {
                SqlType::Array(item) => item.as_ref().clone(),
                SqlType::Int2Vector => SqlType::Int2,
                _ => SqlType::Oid,
            };
            write_list(&items, &item, ty, out)?;
        }
        DataType::Struct(_) => {
            let columns = array.as_struct().columns();
            if let (SqlType::Reg(_), [number, _]) = (ty, columns) {
                return write_binary(number, row, &SqlType::Oid, out);
            }
            let count = i32::try_from(columns.len()).unwrap_or(i32::MAX);
            put(out, count.to_be_bytes());
            let mut value = Vec::new();
            for column in columns {
                let ty = type_of_form(column.data_type());
                put(out, ty.oid().to_be_bytes());
                if is_null(column, row) {
                    put(out, (-1_i32).to_be_bytes());
                    continue;
                }
                value.clear();
                write_binary(column, row, &ty, &mut value)?;
                let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
                put(out, length.to_be_bytes());
                out.extend_from_slice(&value);
            }
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

fn write_list(
    items: &dyn Array,
    item: &SqlType,
    ty: &SqlType,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    // The catalogs' vectors count from 0 and have a dimension also when empty.
    let vector = matches!(ty, SqlType::Int2Vector | SqlType::OidVector);
    let shape = shape_of(items);
    let count = shape.count();
    if vector {
        put(out, 1_i32.to_be_bytes());
        put(out, i32::from(items.null_count() > 0).to_be_bytes());
        put(out, item.oid().to_be_bytes());
        let length = i32::try_from(items.len()).unwrap_or(i32::MAX);
        put(out, length.to_be_bytes());
        put(out, 0_i32.to_be_bytes());
    } else {
        let nulls = (0..count).any(|row| is_null(items, row));
        write_array_head(&shape, nulls, item.oid(), out);
    }
    let mut value = Vec::new();
    for row in 0..count {
        if is_null(items, row) {
            put(out, (-1_i32).to_be_bytes());
            continue;
        }
        value.clear();
        write_binary(items, row, item.base(), &mut value)?;
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        put(out, length.to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

/// Groups of four decimal digits, the weight of the first, sign and scale.
fn write_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    value.write(&mut text);
    let special = |out: &mut Vec<u8>, sign: u16| {
        put(out, [0; 4]);
        put(out, sign.to_be_bytes());
        put(out, [0; 2]);
    };
    let (negative, digits) = match text.as_slice() {
        b"NaN" => return special(out, 0xC000),
        b"Infinity" => return special(out, 0xD000),
        b"-Infinity" => return special(out, 0xF000),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match point {
        Some(point) => (
            digits.get(..point).unwrap_or_default(),
            digits.get(point + 1..).unwrap_or_default(),
        ),
        None => (digits, &[][..]),
    };
    let digit = |byte: &u8| i16::from(byte.wrapping_sub(b'0'));
    let mut groups: Vec<i16> = Vec::with_capacity(digits.len() / 4 + 2);
    let lead = whole.len() % 4;
    let (head, rest) = whole.split_at(lead);
    if !head.is_empty() {
        groups.push(head.iter().fold(0, |sum, byte| sum * 10 + digit(byte)));
    }
    for group in rest.chunks(4) {
        groups.push(group.iter().fold(0, |sum, byte| sum * 10 + digit(byte)));
    }
    let mut weight = i16::try_from(groups.len()).unwrap_or(0) - 1;
    for group in fraction.chunks(4) {
        let sum = group.iter().fold(0, |sum, byte| sum * 10 + digit(byte));
        let missing = u32::try_from(4 - group.len()).unwrap_or(0);
        groups.push(sum * 10_i16.pow(missing));
    }
    let zeros = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..zeros);
    weight -= i16::try_from(zeros).unwrap_or(0);
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    put(out, i16::try_from(groups.len()).unwrap_or(0).to_be_bytes());
    put(out, weight.to_be_bytes());
    let sign: u16 = if negative && !groups.is_empty() {
        0x4000
    } else {
        0
    };
    put(out, sign.to_be_bytes());
    let scale = i16::try_from(fraction.len()).unwrap_or(0);
    put(out, scale.to_be_bytes());
    for group in groups {
        put(out, group.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use chronolith_types::TimeZone;

    use super::*;
    use crate::value::{ColumnBuilder, value_from_text, write_text};

    #[test]
    fn every_type_reads_the_binary_form_it_writes() {
        let zone = TimeZone::parse("UTC").unwrap();
        for (ty, text) in [
            ("boolean", "t"),
            ("smallint", "-2"),
            ("integer", "7"),
            ("bigint", "-9223372036854775808"),
            ("real", "0.1"),
            ("double precision", "1e+300"),
            ("numeric(20,8)", "187.15000000"),
            ("numeric(20,8)", "-0.00000005"),
            ("numeric", "120000.10"),
            ("numeric", "0"),
            ("numeric", "NaN"),
            ("text", "süß"),
            ("char(3)", "a  "),
            ("\"char\"", "p"),
            ("\"char\"", ""),
            ("bytea", "\\x00ff"),
            ("date", "1999-12-31"),
            ("date", "infinity"),
            ("time", "23:59:59.5"),
            ("timestamp", "0044-03-15 12:00:00 BC"),
            ("timestamptz", "2026-01-02 01:04:05+00"),
            ("timestamptz", "-infinity"),
            ("interval", "1 mon -1 days +02:00:00"),
            ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("jsonb", "{\"a\": 2}"),
            ("integer[]", "{1,NULL,3}"),
            ("text[]", "{}"),
        ] {
            let ty = SqlType::parse_name(ty).unwrap();
            let array = value_from_text(&ty, Some(text)).unwrap();
            let mut bytes = Vec::new();
            write_binary(&array, 0, &ty, &mut bytes).unwrap();
            let mut builder = ColumnBuilder::new(&ty, &zone);
            builder.push_binary(&bytes).unwrap();
            let mut again = Vec::new();
            write_text(&builder.finish(), 0, &ty, &zone, &mut again).unwrap();
            assert_eq!(String::from_utf8(again).unwrap(), text, "{ty}");
        }
    }
}
