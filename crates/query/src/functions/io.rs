//! Text forms of values, and the session's time zone.

use super::vars::SessionVars;

/// A time zone with what conversions need of it.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) name: String,
}

impl Zone {
    pub(super) fn of(vars: &SessionVars) -> Self {
        Self {
            name: vars.time_zone.clone(),
        }
    }
}
