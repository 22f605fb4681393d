//! `add_compression_policy` and `add_columnstore_policy`: chunks that are old enough are compressed.

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
pub(in crate::jobs) const PROC: &str = "policy_compression";

const HOUR_US: i64 = 3_600_000_000;

pub(in crate::jobs) fn add(
    shared: &Arc<Shared>,
    call: &str,
    args: Args<'_>,
) -> Result<ScalarValue, Error> {
    let target = Target::of(shared, args, "hypertable")?;
    let wanted = if target.whole() { "bigint" } else { "interval" };
    let after = target.lag(args, 1, || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unsupported compress_after argument type, expected type : {wanted}"),
        )
    })?;
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
    Ok(match call {
        "add_compression_policy" => ScalarValue::Int32(Some(job.0)),
        _ => ScalarValue::Null,
    })
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
        "compress_after"
    } else {
        "compress_created_before"
    };
    let lag = match (after, created) {
        (Some(after), None) => after,
        (None, Some(created)) => Lag::Span(created),
        _ => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "need to specify one of \"compress_after\" or \"compress_created_before\"",
            ));
        }
    };
    if target.hypertable.compression.is_none() {
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "columnstore not enabled on {} \"{}\"",
                target.kind(),
                target.name
            ),
        )
        .hint("Enable columnstore before adding a columnstore policy."));
    }
    has_now(shared, target, after.is_some())?;
    if let Some(known) = target.policy(shared, PROC)? {
        let same = Config::read(known.config.as_deref())?.lag(name)? == Some(lag);
        return exists_already(
            shared,
            format!(
                "columnstore policy already exists for hypertable or continuous aggregate \"{}\"",
                target.name
            ),
            if_not_exists,
            same,
        );
    }
    let schedule_interval = when.schedule_interval.unwrap_or_else(|| rhythm(target));
    add_policy(
        shared,
        target,
        when,
        Policy {
            name: "Columnstore Policy",
            proc: PROC,
            schedule_interval,
            max_runtime: Interval::default(),
            retry_period: Interval::from_us(HOUR_US),
            config: Config::default()
                .with("hypertable_id", target.hypertable.id.0)
                .with_lag(name, Some(lag)),
        },
    )
}

/// Half a chunk, and twice a day at least.
fn rhythm(target: &Target) -> Interval {
    let half = target.hypertable.interval / 2;
    let most = 12 * HOUR_US;
    Interval::from_us(if target.whole() { most } else { half.min(most) })
}

pub(in crate::jobs) fn remove(
    shared: &Arc<Shared>,
    call: &str,
    args: Args<'_>,
) -> Result<ScalarValue, Error> {
    if args.get(0).is_none() {
        return Ok(ScalarValue::Null);
    }
    let target = Target::of(shared, args, "hypertable")?;
    let found = remove_from(shared, &target, args.bool(1) == Some(true))?;
    Ok(match call {
        "remove_compression_policy" => ScalarValue::Boolean(Some(found)),
        _ => ScalarValue::Null,
    })
}

pub(in crate::jobs) fn remove_from(
    shared: &Arc<Shared>,
    target: &Target,
    if_exists: bool,
) -> Result<bool, Error> {
    let missing = format!(
        "columnstore policy not found for hypertable or continuous aggregate \"{}\"",
        target.name
    );
    remove_policy(shared, target, PROC, if_exists, &missing)
}
