//! Single values out of Arrow arrays, as Rust types.

use arrow::array::cast::AsArray;
use arrow::array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, TimeUnit};
use chronolith_query::value::{is_null, write_text};
use chronolith_types::{SqlState, SqlType, TimeZone, datetime};
use rust_decimal::Decimal;

use crate::error::Error;

/// A point in time: microseconds since 1970-01-01 00:00 UTC, as `timestamptz` keeps it; for a
/// `timestamp`, of the wall clock it shows.
///
/// `i64::MAX` and `i64::MIN` are PostgreSQL's `infinity` and `-infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// One value of a result, where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    pub(crate) array: &'a ArrayRef,
    pub(crate) row: usize,
    pub(crate) ty: &'a SqlType,
    pub(crate) zone: &'a TimeZone,
}

impl<'a> Cell<'a> {
    /// The Arrow column.
    #[must_use]
    pub fn array(&self) -> &'a ArrayRef {
        self.array
    }

    /// The place in the column.
    #[must_use]
    pub fn index(&self) -> usize {
        self.row
    }

    /// The SQL type.
    #[must_use]
    pub fn ty(&self) -> &'a SqlType {
        self.ty
    }

    /// Whether it is NULL.
    #[must_use]
    pub fn is_null(&self) -> bool {
        is_null(self.array, self.row)
    }

    /// PostgreSQL's text of it, in the time zone of its session; None for NULL.
    ///
    /// # Errors
    /// XX000 when the column is not in the physical form of its type.
    pub fn text(&self) -> Result<Option<String>, Error> {
        if self.is_null() {
            return Ok(None);
        }
        text_of(*self).map(Some)
    }

    /// 22004 when it is NULL.
    fn present(self) -> Result<Self, Error> {
        if self.is_null() {
            return Err(
                Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "unexpected null value")
                    .hint("Read a column that may be null as an Option."),
            );
        }
        Ok(self)
    }

    fn mismatch(&self, rust: &str) -> Error {
        Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("type {} cannot be read as {rust}", self.ty.name()),
        )
    }

    /// Any integer column's value.
    fn integer(self, rust: &str) -> Result<i64, Error> {
        let Self { array, row, .. } = self.present()?;
        match array.data_type() {
            DataType::Int16 => Ok(array.as_primitive::<Int16Type>().value(row).into()),
            DataType::Int32 => Ok(array.as_primitive::<Int32Type>().value(row).into()),
            DataType::Int64 => Ok(array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt32 => Ok(array.as_primitive::<UInt32Type>().value(row).into()),
            _ => Err(self.mismatch(rust)),
        }
    }
}

/// The text of a value that is not NULL.
fn text_of(cell: Cell<'_>) -> Result<String, Error> {
    let mut out = Vec::new();
    write_text(cell.array, cell.row, cell.ty, cell.zone, &mut out)?;
    String::from_utf8(out).map_err(|_| Error::internal("a value's text is not UTF-8"))
}

/// A Rust type that a column's values can be read as.
///
/// Integers and floats read every narrower type of their kind; `String` reads text of any type.
pub trait FromValue: Sized {
    /// The value.
    ///
    /// # Errors
    /// 42804 for a type that does not fit, 22004 for NULL, 22003 for a number out of range.
    fn from_value(cell: Cell<'_>) -> Result<Self, Error>;
}

fn out_of_range(what: &str) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value out of range for {what}"),
    )
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        if cell.is_null() {
            Ok(None)
        } else {
            T::from_value(cell).map(Some)
        }
    }
}

impl FromValue for bool {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        match cell.present()?.array.as_boolean_opt() {
            Some(array) => Ok(array.value(cell.row)),
            None => Err(cell.mismatch("bool")),
        }
    }
}

macro_rules! integers {
    ($($rust:ident)*) => {$(
        impl FromValue for $rust {
            fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
                let value = cell.integer(stringify!($rust))?;
                $rust::try_from(value).map_err(|_| out_of_range(stringify!($rust)))
            }
        }
    )*};
}
integers!(i16 i32 i64 u16 u32 u64 usize);

impl FromValue for f32 {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        match cell.present()?.array.as_primitive_opt::<Float32Type>() {
            Some(array) => Ok(array.value(cell.row)),
            None => Err(cell.mismatch("f32")),
        }
    }
}

impl FromValue for f64 {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        let Cell { array, row, .. } = cell.present()?;
        match array.data_type() {
            DataType::Float32 => Ok(array.as_primitive::<Float32Type>().value(row).into()),
            DataType::Float64 => Ok(array.as_primitive::<Float64Type>().value(row)),
            _ => Err(cell.mismatch("f64")),
        }
    }
}

impl FromValue for String {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        text_of(cell.present()?)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        match cell.present()?.array.as_binary_view_opt() {
            Some(array) => Ok(array.value(cell.row).to_vec()),
            None => Err(cell.mismatch("Vec<u8>")),
        }
    }
}

/// A uuid's bytes.
impl FromValue for [u8; 16] {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        let array = cell.present()?.array.as_fixed_size_binary_opt();
        array
            .and_then(|array| array.value(cell.row).try_into().ok())
            .ok_or_else(|| cell.mismatch("[u8; 16]"))
    }
}

impl FromValue for Timestamp {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        let Cell { array, row, .. } = cell.present()?;
        match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(Self(
                array.as_primitive::<TimestampMicrosecondType>().value(row),
            )),
            DataType::Date32 => match array.as_primitive::<Date32Type>().value(row) {
                datetime::DATE_INFINITY => Ok(Self(datetime::INFINITY)),
                datetime::DATE_NEGATIVE_INFINITY => Ok(Self(datetime::NEGATIVE_INFINITY)),
                days => Ok(Self(i64::from(days) * datetime::US_PER_DAY)),
            },
            DataType::Time64(TimeUnit::Microsecond) => Ok(Self(
                array.as_primitive::<Time64MicrosecondType>().value(row),
            )),
            _ => Err(cell.mismatch("Timestamp")),
        }
    }
}

impl FromValue for Decimal {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        let Cell { array, row, .. } = cell.present()?;
        match array.data_type() {
            DataType::Decimal128(_, scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(row);
                u32::try_from(*scale)
                    .ok()
                    .and_then(|scale| Self::try_from_i128_with_scale(value, scale).ok())
                    .map_or_else(|| decimal_of_text(cell), Ok)
            }
            DataType::Decimal256(..) => decimal_of_text(cell),
            _ => cell.integer("Decimal").map(Self::from),
        }
    }
}

/// A NUMERIC of more digits than a `Decimal` holds keeps its first 28; one that is too large, and
/// NaN, are refused.
fn decimal_of_text(cell: Cell<'_>) -> Result<Decimal, Error> {
    let text = String::from_value(cell)?;
    text.parse()
        .map_err(|_| out_of_range("Decimal").detail(format!("The value is {text}.")))
}

/// The value as an Arrow array of one element.
impl FromValue for ArrayRef {
    fn from_value(cell: Cell<'_>) -> Result<Self, Error> {
        Ok(cell.array.slice(cell.row, 1))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use arrow::array::{Decimal128Array, Decimal256Array, Int32Array, StringViewArray};
    use chronolith_types::Numeric;
    use std::sync::Arc;

    fn read<T: FromValue>(array: ArrayRef, ty: &SqlType) -> Result<T, Error> {
        T::from_value(Cell {
            array: &array,
            row: 0,
            ty,
            zone: &TimeZone::Utc,
        })
    }

    #[test]
    fn a_numeric_keeps_its_digits_as_a_decimal() {
        let ty = SqlType::Numeric(Some((12, 4)));
        let array = Decimal128Array::from(vec![-1_871_500]).with_data_type(ty.arrow());
        let value: Decimal = read(Arc::new(array), &ty).unwrap();
        assert_eq!(value.to_string(), "-187.1500");

        let ty = SqlType::Numeric(None);
        let code = Numeric::parse(b"1.10").unwrap().to_any();
        let array: ArrayRef =
            Arc::new(Decimal256Array::from(vec![code]).with_data_type(ty.arrow()));
        assert_eq!(
            read::<Decimal>(Arc::clone(&array), &ty)
                .unwrap()
                .to_string(),
            "1.10"
        );
        assert_eq!(read::<String>(array, &ty).unwrap(), "1.10");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_code() {
        let int: ArrayRef = Arc::new(Int32Array::from(vec![70_000]));
        let code = |error: Error| error.code;
        let range = read::<i16>(Arc::clone(&int), &SqlType::Int4).map_err(code);
        assert_eq!(range, Err(SqlState::NUMERIC_VALUE_OUT_OF_RANGE));
        let kind = read::<bool>(int, &SqlType::Int4).map_err(code);
        assert_eq!(kind, Err(SqlState::DATATYPE_MISMATCH));
        let null: ArrayRef = Arc::new(Int32Array::from(vec![None]));
        assert_eq!(
            read::<Option<i32>>(Arc::clone(&null), &SqlType::Int4).map_err(code),
            Ok(None)
        );
        let null = read::<i32>(null, &SqlType::Int4).map_err(code);
        assert_eq!(null, Err(SqlState::NULL_VALUE_NOT_ALLOWED));
    }

    #[test]
    fn char_is_shown_with_the_blanks_it_is_kept_without() {
        let array: ArrayRef = Arc::new(StringViewArray::from(vec!["ab"]));
        assert_eq!(
            read::<String>(array, &SqlType::Char(Some(4))).unwrap(),
            "ab  "
        );
    }
}
