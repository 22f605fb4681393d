//! Rust values into growing columns.

use chronolith_query::value::ColumnBuilder;
use chronolith_types::SqlState;
use rust_decimal::Decimal;

use crate::error::Error;
use crate::value::Timestamp;

/// A Rust value that an [`Appender`](crate::Appender) takes.
///
/// A number fits every numeric column that holds it, a text every column whose text it is.
pub trait Append {
    /// Adds the value to a column.
    ///
    /// # Errors
    /// 22003, 22001, 22P02, 42804 and the like for a value that the column does not take; the
    /// column is then as it was.
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error>;
}

impl<T: Append + ?Sized> Append for &T {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        (**self).append(column)
    }
}

impl<T: Append> Append for Option<T> {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        match self {
            Some(value) => value.append(column),
            None => {
                column.push_null();
                Ok(())
            }
        }
    }
}

impl Append for str {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_str(self)
    }
}

impl Append for String {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_str(self)
    }
}

impl Append for bool {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_bool(*self)
    }
}

macro_rules! integers {
    ($($rust:ident)*) => {$(
        impl Append for $rust {
            fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
                match i64::try_from(*self) {
                    Ok(value) => column.push_i64(value),
                    // Beyond bigint, but a NUMERIC may hold it.
                    Err(_) => column.push_str(&self.to_string()),
                }
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 u8 u16 u32 u64 usize);

impl Append for f64 {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_f64(*self)
    }
}

impl Append for f32 {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_f64(f64::from(*self))
    }
}

impl Append for Decimal {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        let scale = u8::try_from(self.scale()).map_err(|_| {
            Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "numeric field overflow",
            )
        })?;
        column.push_decimal(self.mantissa(), scale)
    }
}

impl Append for [u8] {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_bytes(self)
    }
}

impl Append for Vec<u8> {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_bytes(self)
    }
}

impl Append for Timestamp {
    fn append(&self, column: &mut ColumnBuilder) -> Result<(), Error> {
        column.push_timestamp_us(self.0)
    }
}
