//! Casts.
use super::error::FunctionError;
use super::table::Typed;
use super::vars::SessionVars;
use chronolith_types::SqlType;
use datafusion::common::ScalarValue;
pub(super) fn apply(
    value: Typed,
    target: &SqlType,
    _explicit: bool,
) -> Result<Typed, FunctionError> {
    if value.ty.without_typmod() == target.without_typmod() {
        return Ok(value);
    }
    Err(FunctionError::unsupported(format!("cast to {target}")))
}
pub(super) fn from_text(
    _text: &str,
    ty: &SqlType,
    _vars: &SessionVars,
) -> Result<ScalarValue, FunctionError> {
    Err(FunctionError::unsupported(format!("literal of {ty}")))
}
