//! Window functions.
use super::error::FunctionError;
use super::table::{Typed, WindowUse};
use chronolith_types::SqlType;
pub(super) type Build = fn(&[Typed], &SqlType) -> Result<WindowUse, FunctionError>;
pub(super) fn imp(_name: &str) -> Option<Build> {
    None
}
