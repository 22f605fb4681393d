//! `add_continuous_aggregate_policy`: what a continuous aggregate is owed is written.

use std::sync::Arc;

use chronolith_catalog::JobChange;
use chronolith_types::{Interval, JobId, SqlState, SqlType};
use datafusion::common::ScalarValue;
use serde_json::Value;

use super::super::config::{Config, Lag, missing};
use super::super::define::{Policy, When, add_policy, change, exists_already};
use super::super::target::Target;
use super::has_now;
use crate::effects::Args;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

/// The procedure of the job.
pub(in crate::jobs) const PROC: &str = "policy_refresh_continuous_aggregate";

/// A policy's options besides its window: the name of each, and its place among the arguments.
const OPTIONS: [(&str, usize); 4] = [
    ("include_tiered_data", 7),
    ("buckets_per_batch", 8),
    ("max_batches_per_execution", 9),
    ("refresh_newest_first", 10),
];

/// From how far back to how far back; None for without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::jobs) struct Window {
    pub(in crate::jobs) start: Option<Lag>,
    pub(in crate::jobs) end: Option<Lag>,
}

impl Window {
    pub(in crate::jobs) fn of(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            start: config.lag("start_offset")?,
            end: config.lag("end_offset")?,
        })
    }

    /// Both ends as distances, the greater first; months count as 30 days.
    fn distances(self) -> (i128, i128) {
        (
            self.start.map_or(i128::MAX, Lag::length),
            self.end.map_or(i128::MIN, Lag::length),
        )
    }

    fn meets(self, other: Self) -> bool {
        let (a, b) = (self.distances(), other.distances());
        a.0 > b.1 && b.0 > a.1
    }
}

pub(in crate::jobs) fn add(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "continuous_aggregate")?;
    let window = Window {
        start: offset(&target, args, 1, "start_offset")?,
        end: offset(&target, args, 2, "end_offset")?,
    };
    let when = When::read(args, Some(3), 5, 6)?;
    if when.schedule_interval.is_none() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "schedule interval cannot be NULL",
        ));
    }
    let mut config = Config::default();
    for (name, place) in OPTIONS {
        if let Some(number) = args.integer(place) {
            at_least_zero(name, number)?;
            config = config.with(name, number);
        } else if let Some(flag) = args.bool(place) {
            config = config.with(name, flag);
        }
    }
    let job = add_to(
        shared,
        &target,
        window,
        config,
        args.bool(4) == Some(true),
        when,
    )?;
    Ok(ScalarValue::Int32(Some(job.0)))
}

fn at_least_zero(name: &str, number: i64) -> Result<(), Error> {
    if number >= 0 {
        return Ok(());
    }
    let words = name.replace('_', " ");
    Err(Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid {words}"),
    )
    .detail(format!(
        "The {words} should be greater than or equal to zero."
    )))
}

/// A window's end as it was given.
pub(in crate::jobs) fn offset(
    target: &Target,
    args: Args<'_>,
    place: usize,
    name: &str,
) -> Result<Option<Lag>, Error> {
    let wanted = if target.whole() {
        target.time.name()
    } else {
        SqlType::Interval(None).name()
    };
    target.lag(args, place, || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid parameter value for {name}"),
        )
        .hint(format!(
            "Use time interval of type {wanted} with the continuous aggregate."
        ))
    })
}

/// 22023 for a window that no two buckets fit in.
pub(in crate::jobs) fn check_window(
    shared: &Shared,
    target: &Target,
    window: Window,
) -> Result<(), Error> {
    let (start, end) = window.distances();
    let bucket = i128::from(target.bucket(shared)?);
    if start.saturating_sub(end) >= bucket.saturating_mul(2) {
        return Ok(());
    }
    Err(Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "policy refresh window too small",
    )
    .detail(format!(
        "The start and end offsets must cover at least two buckets in the valid time range of type \
         \"{}\".",
        target.time
    )))
}

pub(in crate::jobs) fn add_to(
    shared: &Arc<Shared>,
    target: &Target,
    window: Window,
    options: Config,
    if_not_exists: bool,
    when: When,
) -> Result<JobId, Error> {
    has_now(shared, target, true)?;
    check_window(shared, target, window)?;
    for known in target.policies(shared, PROC)? {
        let other = Window::of(&Config::read(known.config.as_deref())?)?;
        if other == window {
            return exists_already(
                shared,
                format!(
                    "continuous aggregate policy already exists for \"{}\"",
                    target.name
                ),
                if_not_exists,
                true,
            );
        }
        if !other.meets(window) {
            continue;
        }
        if if_not_exists {
            return exists_already(
                shared,
                format!(
                    "continuous aggregate policy already exists for \"{}\"",
                    target.name
                ),
                true,
                false,
            );
        }
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "refresh interval overlaps with an existing continuous aggregate policy on \"{}\"",
                target.name
            ),
        )
        .detail(format!(
            "A continuous aggregate policy with job id {} covers part of the interval.",
            known.id
        )));
    }
    let schedule_interval = when.schedule_interval.unwrap_or(Interval {
        us: 3_600_000_000,
        ..Interval::default()
    });
    add_policy(
        shared,
        target,
        when,
        Policy {
            name: "Refresh Continuous Aggregate Policy",
            proc: PROC,
            schedule_interval,
            max_runtime: Interval::default(),
            retry_period: schedule_interval,
            config: options
                .with("mat_hypertable_id", target.hypertable.id.0)
                .with_lag("start_offset", window.start)
                .with_lag("end_offset", window.end),
        },
    )
}

pub(in crate::jobs) fn remove(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "continuous_aggregate")?;
    let if_exists = args.bool(2).or(args.bool(1)) == Some(true);
    remove_from(shared, &target, if_exists)?;
    Ok(ScalarValue::Null)
}

/// Removes all of them: there may be several, of windows apart.
pub(in crate::jobs) fn remove_from(
    shared: &Arc<Shared>,
    target: &Target,
    if_exists: bool,
) -> Result<bool, Error> {
    let found = target.policies(shared, PROC)?;
    if found.is_empty() {
        let message = format!(
            "continuous aggregate policy not found for \"{}\"",
            target.name
        );
        if !if_exists {
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::UNDEFINED_OBJECT, format!("{message}, skipping")),
        );
        return Ok(false);
    }
    for job in found {
        change(shared, JobChange::Drop(job.id))?;
    }
    Ok(true)
}

/// Whether a policy could run with a config.
pub(super) fn check(shared: &Arc<Shared>, config: &Config) -> Result<(), Error> {
    let target = Target::numbered(shared, config.hypertable("mat_hypertable_id")?)?;
    if target.view.is_none() {
        return Err(missing("mat_hypertable_id"));
    }
    check_window(shared, &target, Window::of(config)?)
}

/// The options that `refresh_continuous_aggregate` takes too, as JSON.
pub(in crate::jobs) fn options(config: &Config) -> Option<String> {
    let mut fields = serde_json::Map::new();
    for name in [
        "buckets_per_batch",
        "max_batches_per_execution",
        "refresh_newest_first",
    ] {
        let number = config.number(name).map(Value::from);
        if let Some(value) = number.or_else(|| config.bool(name).map(Value::from)) {
            fields.insert(name.to_owned(), value);
        }
    }
    (!fields.is_empty()).then(|| Value::Object(fields).to_string())
}
