//! Scalar functions.
use super::table::Imp;
use chronolith_types::SqlType;
pub(super) fn imp(_name: &str, _args: &[SqlType], _result: &SqlType) -> Option<Imp> {
    None
}
pub(super) fn columns(_name: &str) -> Vec<(&'static str, SqlType)> {
    Vec::new()
}
