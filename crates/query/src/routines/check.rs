//! Bodies read when a routine is made.

use std::sync::Arc;

use chronolith_catalog::Routine;

use crate::error::Error;
use crate::session::Shared;

/// Looks whether a body can be run.
///
/// # Errors
/// 42601 for what is none, 0A000 for what is outside.
pub(crate) fn check(_shared: &Arc<Shared>, routine: &Arc<Routine>) -> Result<(), Error> {
    Err(Error::unsupported(format!("language {}", routine.language)))
}
