//! Whether a policy could run with a config.

use std::sync::Arc;

use chronolith_types::SqlState;

use super::super::config::{Config, Lag, missing};
use super::super::target::Target;
use crate::error::Error;
use crate::session::Shared;

/// Whether a policy could run with a config.
///
/// # Errors
/// When something is missing, or does not fit the hypertable.
pub(in crate::jobs) fn check(
    shared: &Arc<Shared>,
    check: &str,
    config: Option<&str>,
) -> Result<(), Error> {
    let Some(text) = config else {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "config must not be NULL",
        ));
    };
    let config = Config::read(Some(text))?;
    match check {
        "policy_retention_check" => one_of(shared, &config, "drop_after", "drop_created_before"),
        "policy_compression_check" => {
            one_of(shared, &config, "compress_after", "compress_created_before")
        }
        "policy_refresh_continuous_aggregate_check" => super::refresh::check(shared, &config),
        "policy_reorder_check" => {
            Target::numbered(shared, config.hypertable("hypertable_id")?)?;
            config
                .text_of("index_name")
                .map(|_| ())
                .ok_or_else(|| missing("index_name"))
        }
        _ => Ok(()),
    }
}

fn one_of(shared: &Arc<Shared>, config: &Config, after: &str, created: &str) -> Result<(), Error> {
    let target = Target::numbered(shared, config.hypertable("hypertable_id")?)?;
    match (config.lag(after)?, config.lag(created)?) {
        (None, None) => Err(missing(after)),
        (Some(Lag::Span(_)), _) if target.whole() => Err(missing(after)),
        (Some(Lag::Number(_)), _) if !target.whole() => Err(missing(after)),
        _ => Ok(()),
    }
}

/// 42883 for a hypertable of whole numbers that nobody can tell the time of.
pub(super) fn has_now(shared: &Shared, target: &Target, needed: bool) -> Result<(), Error> {
    if needed && target.whole() && target.integer_now(shared)?.is_none() {
        return Err(
            Error::new(SqlState::UNDEFINED_FUNCTION, "integer_now function not set").hint(format!(
                "Set it with set_integer_now_func('{}', …).",
                target.name
            )),
        );
    }
    Ok(())
}
