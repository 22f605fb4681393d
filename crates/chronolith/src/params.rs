//! Rust values as a statement's parameters.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use chronolith_types::{SqlState, SqlType};
use rust_decimal::Decimal;

use crate::error::Error;
use crate::value::Timestamp;

/// A Rust value that can stand for `$1`.
///
/// Whatever the parameter's SQL type, text is read as that type's text; so a `&str` fits any
/// parameter, and a number fits every numeric one that holds it.
///
/// ```
/// # let dir = tempfile::tempdir().expect("a temporary directory");
/// # let db = chronolith::Database::open(dir.path())?;
/// # let mut connection = db.connect()?;
/// let rows = connection.query_with("SELECT $1::int4 + $2::int8, $3::date", &[&1, &2_i64, &"2026-01-02"])?;
/// assert_eq!(rows.iter().next().expect("a row").get::<i64>(0)?, 3);
/// # Ok::<(), chronolith::Error>(())
/// ```
pub trait ToParam: Sync {
    /// The value as one element in the physical form of `ty`.
    ///
    /// # Errors
    /// 22P02, 22003 and the like for a value that `ty` does not take.
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error>;
}

/// A value of any type from PostgreSQL's text of it; None is NULL.
fn from_text(ty: &SqlType, text: Option<&str>) -> Result<ArrayRef, Error> {
    chronolith_query::value_from_text(ty, text)
}

fn out_of_range(ty: &SqlType) -> Error {
    Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value out of range for type {}", ty.name()),
    )
}

impl<T: ToParam + ?Sized> ToParam for &T {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        (**self).to_param(ty)
    }
}

impl<T: ToParam> ToParam for Option<T> {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        match self {
            Some(value) => value.to_param(ty),
            None => from_text(ty, None),
        }
    }
}

impl ToParam for str {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        match ty {
            SqlType::Text => Ok(Arc::new(StringViewArray::from_iter_values([self]))),
            _ => from_text(ty, Some(self)),
        }
    }
}

impl ToParam for String {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        self.as_str().to_param(ty)
    }
}

impl ToParam for bool {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        match ty {
            SqlType::Bool => Ok(Arc::new(BooleanArray::from(vec![*self]))),
            _ => from_text(ty, Some(if *self { "t" } else { "f" })),
        }
    }
}

macro_rules! integers {
    ($($rust:ident)*) => {$(
        impl ToParam for $rust {
            fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
                let range = || out_of_range(ty);
                Ok(match ty {
                    SqlType::Int2 => Arc::new(Int16Array::from(vec![i16::try_from(*self).ok().ok_or_else(range)?])),
                    SqlType::Int4 => Arc::new(Int32Array::from(vec![i32::try_from(*self).ok().ok_or_else(range)?])),
                    SqlType::Int8 => Arc::new(Int64Array::from(vec![i64::try_from(*self).ok().ok_or_else(range)?])),
                    SqlType::Oid => Arc::new(UInt32Array::from(vec![u32::try_from(*self).ok().ok_or_else(range)?])),
                    _ => return from_text(ty, Some(&self.to_string())),
                })
            }
        }
    )*};
}
integers!(i8 i16 i32 i64 u8 u16 u32 u64 usize);

macro_rules! floats {
    ($($rust:ident)*) => {$(
        impl ToParam for $rust {
            fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
                match ty {
                    SqlType::Float8 => Ok(Arc::new(Float64Array::from(vec![f64::from(*self)]))),
                    _ => from_text(ty, Some(&self.to_string())),
                }
            }
        }
    )*};
}
floats!(f32 f64);

impl ToParam for Decimal {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        from_text(ty, Some(&self.to_string()))
    }
}

impl ToParam for [u8] {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        match ty {
            SqlType::Bytea => Ok(Arc::new(BinaryViewArray::from_iter_values([self]))),
            _ => Err(mismatch(ty, "bytes")),
        }
    }
}

impl ToParam for Vec<u8> {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        self.as_slice().to_param(ty)
    }
}

impl ToParam for Timestamp {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        const DAY_US: i64 = 86_400_000_000;
        let micros = TimestampMicrosecondArray::from(vec![self.0]);
        Ok(match ty {
            SqlType::Timestamp(_) => Arc::new(micros),
            SqlType::Timestamptz(_) => Arc::new(micros.with_timezone("UTC")),
            SqlType::Date => {
                let days = match self.0 {
                    i64::MAX => i32::MAX,
                    i64::MIN => i32::MIN,
                    us => i32::try_from(us.div_euclid(DAY_US)).map_err(|_| out_of_range(ty))?,
                };
                Arc::new(Date32Array::from(vec![days]))
            }
            _ => return Err(mismatch(ty, "a timestamp")),
        })
    }
}

/// Any single Arrow value that already is in the type's physical form.
impl ToParam for ArrayRef {
    fn to_param(&self, ty: &SqlType) -> Result<ArrayRef, Error> {
        if self.len() == 1 && self.data_type() == &ty.arrow() {
            Ok(Self::clone(self))
        } else {
            Err(mismatch(ty, "this array"))
        }
    }
}

fn mismatch(ty: &SqlType, rust: &str) -> Error {
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("a parameter of type {} cannot take {rust}", ty.name()),
    )
}
