//! Operators.
use super::error::FunctionError;
use super::table::{Operator, Typed};
use chronolith_types::SqlType;
pub(super) fn implements(_operator: &Operator) -> bool {
    true
}
pub(super) fn apply(
    operator: &Operator,
    _args: Vec<Typed>,
    _result: &SqlType,
) -> Result<Typed, FunctionError> {
    Err(FunctionError::unsupported(format!(
        "operator {}",
        operator.name
    )))
}
