//! Numeric values between their three physical forms.

use std::cmp::Ordering;

use arrow::datatypes::i256;

use super::error::FunctionError;

/// Stands in until the types' own arrives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numeric(f64);

pub(super) fn from_i64(value: i64) -> Numeric {
    Numeric(value as f64)
}
pub(super) fn from_f64(value: f64) -> Result<Numeric, FunctionError> {
    Ok(Numeric(value))
}
pub(super) fn to_f64(value: &Numeric) -> f64 {
    value.0
}
pub(super) fn compare(a: &Numeric, b: &Numeric) -> Ordering {
    super::value::compare_floats(a.0, b.0)
}
fn later<T>() -> Result<T, FunctionError> {
    Err(FunctionError::unsupported("numeric is not there yet"))
}
pub(super) fn from_any(_: i256) -> Numeric {
    Numeric(0.0)
}
pub(super) fn to_any(_: &Numeric) -> Result<i256, FunctionError> {
    later()
}
pub(super) fn from_fixed128(value: i128, scale: i8) -> Numeric {
    Numeric(value as f64 / 10f64.powi(scale.into()))
}
pub(super) fn to_fixed128(_: &Numeric, _precision: u8, _scale: i8) -> Result<i128, FunctionError> {
    later()
}
pub(super) fn from_fixed256(_: i256, _scale: i8) -> Result<Numeric, FunctionError> {
    later()
}
pub(super) fn to_fixed256(_: &Numeric, _scale: i8) -> Result<i256, FunctionError> {
    later()
}
