//! A column of a batch, looked at once and then written value by value.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array,
    Decimal256Array, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit, i256};
use bytes::BufMut;
use chronolith_types::array::Shape;
use chronolith_types::{
    Interval, Numeric, SqlState, SqlType, TimeZone, ValueError, binary, datetime, numeric, packed,
    row as rows, text, type_of_form,
};

use super::{OutputStyle, patch};
use crate::failure::Failure;

/// The significant digits that a float has for sure.
const FLOAT4_DIGITS: i32 = 6;
const FLOAT8_DIGITS: i32 = 15;

pub(super) struct Cells<'a> {
    array: &'a dyn Array,
    nulls: bool,
    kind: Kind<'a>,
    ty: &'a SqlType,
}

enum Kind<'a> {
    Null,
    Bool(&'a BooleanArray),
    Int2(&'a Int16Array),
    Int4(&'a Int32Array),
    Int8(&'a Int64Array),
    Oid(&'a UInt32Array),
    Float4(&'a Float32Array),
    Float8(&'a Float64Array),
    Decimal(&'a Decimal128Array, u8),
    Wide(&'a Decimal256Array, u8),
    AnyNumeric(&'a Decimal256Array),
    TextView(&'a StringViewArray),
    Text(&'a StringArray),
    Bytea(&'a BinaryViewArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Timestamptz(&'a TimestampMicrosecondArray),
    Interval(&'a IntervalMonthDayNanoArray),
    Uuid(&'a FixedSizeBinaryArray),
    /// Objects: their numbers and their names.
    Named(&'a UInt32Array, &'a StringViewArray),
    Record {
        columns: &'a [ArrayRef],
        types: Vec<SqlType>,
    },
    List {
        list: &'a ListArray,
        element: SqlType,
    },
}

impl<'a> Cells<'a> {
    pub(super) fn new(array: &'a ArrayRef, ty: &'a SqlType) -> Result<Self, Failure> {
        use arrow::datatypes as d;
        let array: &'a dyn Array = array.as_ref();
        let kind = match array.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => Kind::Bool(array.as_boolean()),
            DataType::Int16 => Kind::Int2(array.as_primitive::<d::Int16Type>()),
            DataType::Int32 => Kind::Int4(array.as_primitive::<d::Int32Type>()),
            DataType::Int64 => Kind::Int8(array.as_primitive::<d::Int64Type>()),
            DataType::UInt32 => Kind::Oid(array.as_primitive::<d::UInt32Type>()),
            DataType::Float32 => Kind::Float4(array.as_primitive::<d::Float32Type>()),
            DataType::Float64 => Kind::Float8(array.as_primitive::<d::Float64Type>()),
            DataType::Decimal128(_, scale) => {
                Kind::Decimal(array.as_primitive(), scale.unsigned_abs())
            }
            t if *t == chronolith_types::NUMERIC_ANY => Kind::AnyNumeric(array.as_primitive()),
            DataType::Decimal256(_, scale) => {
                Kind::Wide(array.as_primitive(), scale.unsigned_abs())
            }
            DataType::Utf8View => Kind::TextView(array.as_string_view()),
            DataType::Utf8 => Kind::Text(array.as_string::<i32>()),
            DataType::BinaryView => Kind::Bytea(array.as_binary_view()),
            DataType::Date32 => Kind::Date(array.as_primitive::<d::Date32Type>()),
            DataType::Time64(TimeUnit::Microsecond) => Kind::Time(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Kind::Timestamp(array.as_primitive())
            }
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Kind::Timestamptz(array.as_primitive())
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => Kind::Interval(array.as_primitive()),
            DataType::FixedSizeBinary(16) => Kind::Uuid(array.as_fixed_size_binary()),
            DataType::Struct(_) => match (ty, array.as_struct().columns()) {
                (SqlType::Reg(_), [numbers, names]) => Kind::Named(
                    numbers.as_primitive::<d::UInt32Type>(),
                    names.as_string_view(),
                ),
                (_, columns) => Kind::Record {
                    columns,
                    types: columns
                        .iter()
                        .map(|of| type_of_form(of.data_type()))
                        .collect(),
                },
            },
            DataType::List(_) => Kind::List {
                list: array.as_list::<i32>(),
                element: match ty {
                    SqlType::Int2Vector => SqlType::Int2,
                    SqlType::OidVector => SqlType::Oid,
                    SqlType::Array(element) => element.as_ref().clone(),
                    _ => SqlType::Text,
                },
            },
            other => {
                return Err(Failure::new(
                    SqlState::INTERNAL_ERROR,
                    format!("no wire form for {other} as {ty}"),
                ));
            }
        };
        Ok(Self {
            nulls: array.null_count() > 0 || matches!(kind, Kind::Null),
            array,
            kind,
            ty,
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls && (matches!(self.kind, Kind::Null) || self.array.is_null(row))
    }

    pub(super) fn text(
        &self,
        out: &mut Vec<u8>,
        row: usize,
        style: &OutputStyle,
    ) -> Result<(), Failure> {
        match &self.kind {
            Kind::Null => {}
            Kind::Bool(a) => out.put_u8(if a.value(row) { b't' } else { b'f' }),
            Kind::Int2(a) => text::write_integer(i64::from(a.value(row)), out),
            Kind::Int4(a) => text::write_integer(i64::from(a.value(row)), out),
            Kind::Int8(a) => text::write_integer(a.value(row), out),
            Kind::Oid(a) => text::write_integer(i64::from(a.value(row)), out),
            Kind::Float4(a) if style.extra_float_digits > 0 => {
                text::write_float4(a.value(row), out);
            }
            Kind::Float4(a) => {
                let digits = FLOAT4_DIGITS + style.extra_float_digits;
                text::write_float_rounded(f64::from(a.value(row)), digits, out);
            }
            Kind::Float8(a) if style.extra_float_digits > 0 => {
                text::write_float8(a.value(row), out);
            }
            Kind::Float8(a) => {
                let digits = FLOAT8_DIGITS + style.extra_float_digits;
                text::write_float_rounded(a.value(row), digits, out);
            }
            Kind::Decimal(a, scale) => numeric::write_decimal(a.value(row), *scale, out),
            Kind::Wide(a, scale) => fixed(a.value(row), *scale).write(out),
            Kind::AnyNumeric(a) => Numeric::from_any(a.value(row)).write(out),
            Kind::TextView(a) if self.is_row() => {
                let zones = (&TimeZone::Utc, &style.zone);
                let kept = a.value(row).as_bytes();
                out.put_slice(&rows::rewritten(kept, self.ty, zones.0, zones.1).map_err(spoiled)?);
            }
            Kind::TextView(a) => self.string(out, a.value(row)),
            Kind::Text(a) => self.string(out, a.value(row)),
            Kind::Bytea(a) if style.bytea_escape && *self.ty == SqlType::Bytea => {
                text::write_bytea_escaped(a.value(row), out);
            }
            Kind::Bytea(a) => packed::write(self.ty, a.value(row), &style.zone, out),
            Kind::Date(a) => datetime::write_date(a.value(row), out),
            Kind::Time(a) => datetime::write_time(a.value(row), out),
            Kind::Timestamp(a) => datetime::write_timestamp(a.value(row), out),
            Kind::Timestamptz(a) => {
                datetime::write_timestamptz(a.value(row), &style.zone, out);
            }
            Kind::Interval(a) => interval(a.value(row)).write(out),
            Kind::Uuid(a) => text::write_uuid(a.value(row), out),
            Kind::Named(_, names) => out.put_slice(names.value(row).as_bytes()),
            Kind::Record { columns, types } => {
                let mut fields = Vec::with_capacity(columns.len());
                for (column, ty) in columns.iter().zip(types) {
                    let cells = Cells::new(column, ty)?;
                    if cells.is_null(row) {
                        fields.push(None);
                        continue;
                    }
                    let mut field = Vec::new();
                    cells.text(&mut field, row, style)?;
                    fields.push(Some(field));
                }
                out.put_slice(&rows::join(&fields));
            }
            Kind::List { list, element } => {
                let items = list.value(row);
                let cells = Cells::new(&items, element.base())?;
                let vector = matches!(self.ty, SqlType::Int2Vector | SqlType::OidVector);
                let mut item = Vec::new();
                let mut write_item = |index: usize, out: &mut Vec<u8>| {
                    if cells.is_null(index) {
                        text::write_array_item(None, out);
                        return Ok(());
                    }
                    item.clear();
                    cells.text(&mut item, index, style)?;
                    text::write_array_item(Some(&item), out);
                    Ok::<_, Failure>(())
                };
                if vector {
                    for index in 0..items.len() {
                        if index > 0 {
                            out.put_u8(b' ');
                        }
                        write_item(index, out)?;
                    }
                } else {
                    shape_of(&items).write(out, write_item)?;
                }
            }
        }
        Ok(())
    }

    /// Whether its values are rows.
    fn is_row(&self) -> bool {
        self.ty.fields().is_some()
    }

    /// A text; char(n) gets its blanks back.
    fn string(&self, out: &mut Vec<u8>, value: &str) {
        out.put_slice(value.as_bytes());
        if let SqlType::Char(Some(length)) = self.ty {
            let length = usize::try_from(*length).unwrap_or(0);
            let missing = length.saturating_sub(value.chars().count());
            out.put_bytes(b' ', missing);
        }
    }

    pub(super) fn binary(&self, out: &mut Vec<u8>, row: usize) -> Result<(), Failure> {
        match &self.kind {
            Kind::Null => {}
            Kind::Bool(a) => out.put_u8(u8::from(a.value(row))),
            Kind::Int2(a) => out.put_i16(a.value(row)),
            Kind::Int4(a) => out.put_i32(a.value(row)),
            Kind::Int8(a) => out.put_i64(a.value(row)),
            Kind::Oid(a) => out.put_u32(a.value(row)),
            Kind::Float4(a) => out.put_f32(a.value(row)),
            Kind::Float8(a) => out.put_f64(a.value(row)),
            Kind::Decimal(a, scale) => binary::write_decimal(a.value(row), *scale, out),
            Kind::Wide(a, scale) => binary::write_numeric(&fixed(a.value(row), *scale), out),
            Kind::AnyNumeric(a) => {
                binary::write_numeric(&Numeric::from_any(a.value(row)), out);
            }
            // A record that its function spelled: one of a text.
            Kind::TextView(a) if *self.ty == SqlType::Record => {
                out.put_i32(1);
                out.put_u32(SqlType::Text.oid());
                out.put_i32(i32::try_from(a.value(row).len()).unwrap_or(i32::MAX));
                out.put_slice(a.value(row).as_bytes());
            }
            Kind::TextView(a) if self.is_row() => {
                rows::to_binary(a.value(row).as_bytes(), self.ty, out).map_err(spoiled)?;
            }
            Kind::TextView(a) => self.binary_string(out, a.value(row)),
            Kind::Text(a) => self.binary_string(out, a.value(row)),
            Kind::Bytea(a) => packed::send(self.ty, a.value(row), out),
            Kind::Date(a) => binary::write_date(a.value(row), out),
            Kind::Time(a) => out.put_i64(a.value(row)),
            Kind::Timestamp(a) | Kind::Timestamptz(a) => {
                binary::write_timestamp(a.value(row), out);
            }
            Kind::Interval(a) => binary::write_interval(interval(a.value(row)), out),
            Kind::Uuid(a) => out.put_slice(a.value(row)),
            Kind::Named(numbers, _) => out.put_u32(numbers.value(row)),
            Kind::Record { columns, types } => {
                out.put_i32(i32::try_from(columns.len()).unwrap_or(i32::MAX));
                for (column, ty) in columns.iter().zip(types) {
                    out.put_u32(ty.oid());
                    let cells = Cells::new(column, ty)?;
                    if cells.is_null(row) {
                        out.put_i32(-1);
                        continue;
                    }
                    let at = out.len();
                    out.put_i32(0);
                    cells.binary(out, row)?;
                    let length = out.len() - at - 4;
                    patch(out, at, length);
                }
            }
            Kind::List { list, element } => {
                let items = list.value(row);
                let cells = Cells::new(&items, element.base())?;
                let vector = matches!(self.ty, SqlType::Int2Vector | SqlType::OidVector);
                let shape = shape_of(&items);
                let count = shape.count();
                if vector {
                    // They have a dimension also when they are empty.
                    out.put_i32(1);
                    out.put_i32(i32::from(items.null_count() > 0));
                    out.put_u32(element.oid());
                    out.put_i32(i32::try_from(items.len()).unwrap_or(i32::MAX));
                    out.put_i32(0);
                } else {
                    let nulls = (0..count).any(|index| cells.is_null(index));
                    binary::write_array_head(&shape, nulls, element.oid(), out);
                }
                for index in 0..count {
                    if cells.is_null(index) {
                        out.put_i32(-1);
                        continue;
                    }
                    let at = out.len();
                    out.put_i32(0);
                    cells.binary(out, index)?;
                    let length = out.len() - at - 4;
                    patch(out, at, length);
                }
            }
        }
        Ok(())
    }

    fn binary_string(&self, out: &mut Vec<u8>, value: &str) {
        if matches!(self.ty, SqlType::Jsonb) {
            // The version of jsonb's binary form.
            out.put_u8(1);
        }
        if matches!(self.ty, SqlType::InternalChar) {
            // Always one byte; zero is kept as nothing, one past ASCII as its octal digits.
            return out.put_u8(match value.as_bytes() {
                [b'\\', a, b, c] => {
                    let digit = |byte: &u8| byte.wrapping_sub(b'0') & 7;
                    digit(a) << 6 | digit(b) << 3 | digit(c)
                }
                other => other.first().copied().unwrap_or(0),
            });
        }
        self.string(out, value);
    }
}

/// The dimensions of an array whose list is these items.
fn shape_of(items: &ArrayRef) -> Shape {
    let kept = Shape::kept(items.nulls(), 0, items.len());
    kept.unwrap_or_else(|| Shape::plain(items.len()))
}

/// A row that is kept is one of its type.
fn spoiled(error: ValueError) -> Failure {
    Failure::new(SqlState::INTERNAL_ERROR, error.message)
}

/// A number of a fixed scale; more digits than a numeric of its column may have cannot be there.
fn fixed(unscaled: i256, scale: u8) -> Numeric {
    Numeric::Finite { unscaled, scale }
}

fn interval(value: IntervalMonthDayNano) -> Interval {
    Interval {
        months: value.months,
        days: value.days,
        us: value.nanoseconds / 1000,
    }
}
