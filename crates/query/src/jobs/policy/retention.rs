//! `add_retention_policy`: chunks that are old enough are dropped.

use std::sync::Arc;

use chronolith_types::{Interval, JobId, SqlState};
use datafusion::common::ScalarValue;

use super::super::config::{Config, Lag};
use super::super::define::{Policy, When, add_policy, exists_already, remove_policy, span};
use super::super::target::Target;
use super::has_now;
use crate::effects::Args;
use crate::error::Error;
use crate::session::Shared;

/// The procedure of the job.
pub(in crate::jobs) const PROC: &str = "policy_retention";

pub(in crate::jobs) fn add(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::of(shared, args, "relation")?;
    let after = target.lag(args, 1, || wrong(&target))?;
    let created = span(args, 6);
    let when = When::read(args, Some(3), 4, 5)?;
    let job = add_to(
        shared,
        &target,
        after,
        created,
        args.bool(2) == Some(true),
        when,
    )?;
    Ok(ScalarValue::Int32(Some(job.0)))
}

pub(in crate::jobs) fn add_to(
    shared: &Arc<Shared>,
    target: &Target,
    after: Option<Lag>,
    created: Option<Interval>,
    if_not_exists: bool,
    when: When,
) -> Result<JobId, Error> {
    let name = if after.is_some() {
        "drop_after"
    } else {
        "drop_created_before"
    };
    let lag = match (after, created) {
        (Some(after), None) => after,
        (None, Some(created)) => Lag::Span(created),
        _ => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "need to specify one of \"drop_after\" or \"drop_created_before\"",
            ));
        }
    };
    has_now(shared, target, after.is_some())?;
    if let Some(known) = target.policy(shared, PROC)? {
        let same = Config::read(known.config.as_deref())?.lag(name)? == Some(lag);
        return exists_already(
            shared,
            format!(
                "retention policy already exists for hypertable \"{}\"",
                target.name
            ),
            if_not_exists,
            same,
        );
    }
    let day = Interval {
        days: 1,
        ..Interval::default()
    };
    let schedule_interval = when.schedule_interval.unwrap_or(day);
    add_policy(
        shared,
        target,
        when,
        Policy {
            name: "Retention Policy",
            proc: PROC,
            schedule_interval,
            max_runtime: Interval::from_us(5 * 60 * 1_000_000),
            retry_period: Interval::from_us(5 * 60 * 1_000_000),
            config: Config::default()
                .with("hypertable_id", target.hypertable.id.0)
                .with_lag(name, Some(lag)),
        },
    )
}

pub(in crate::jobs) fn remove(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    if args.get(0).is_none() {
        return Ok(ScalarValue::Null);
    }
    let target = Target::of(shared, args, "relation")?;
    remove_from(shared, &target, args.bool(1) == Some(true))?;
    Ok(ScalarValue::Null)
}

pub(in crate::jobs) fn remove_from(
    shared: &Arc<Shared>,
    target: &Target,
    if_exists: bool,
) -> Result<bool, Error> {
    let missing = format!(
        "retention policy not found for hypertable \"{}\"",
        target.name
    );
    remove_policy(shared, target, PROC, if_exists, &missing)
}

fn wrong(target: &Target) -> Error {
    let error = Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "invalid value for parameter drop_after",
    );
    if target.whole() {
        error.hint(
            "Integer duration in \"drop_after\" or interval time duration in \
             \"drop_created_before\" is required for hypertables with integer time dimension.",
        )
    } else {
        error.hint("Interval duration in \"drop_after\" is required for hypertables with timestamp-based time dimension.")
    }
}
