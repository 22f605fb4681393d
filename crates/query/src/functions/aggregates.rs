//! Aggregates.
use super::error::FunctionError;
use super::table::{AggregateUse, Typed};
use chronolith_types::SqlType;
pub(super) type Build = fn(&[Typed], &SqlType) -> Result<AggregateUse, FunctionError>;
pub(super) fn imp(_name: &str, _args: &[SqlType]) -> Option<Build> {
    None
}
pub(super) fn ordered_set(name: &str) -> bool {
    matches!(name, "percentile_cont" | "percentile_disc" | "mode")
}
