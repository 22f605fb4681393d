//! `add_reorder_policy`: chunks that are finished are sorted into one part.

use std::sync::Arc;

use chronolith_types::{Interval, SqlState};
use datafusion::common::ScalarValue;

use super::super::config::Config;
use super::super::define::{Policy, When, add_policy, exists_already, remove_policy};
use super::super::target::Target;
use crate::effects::Args;
use crate::error::Error;
use crate::session::Shared;

/// The procedure of the job.
pub(in crate::jobs) const PROC: &str = "policy_reorder";

pub(in crate::jobs) fn add(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::of(shared, args, "hypertable")?;
    let index = args.need(args.text(1), "index_name")?;
    if !target.table.indexes.iter().any(|known| known.name == index) {
        return Err(
            Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid reorder index")
                .hint("The index must by an index on the hypertable."),
        );
    }
    let when = When::read(args, None, 3, 4)?;
    if let Some(known) = target.policy(shared, PROC)? {
        let config = Config::read(known.config.as_deref())?;
        let job = exists_already(
            shared,
            format!(
                "reorder policy already exists for hypertable \"{}\"",
                target.name
            ),
            args.bool(2) == Some(true),
            config.text_of("index_name") == Some(index),
        )?;
        return Ok(ScalarValue::Int32(Some(job.0)));
    }
    let schedule_interval = if target.whole() {
        Interval {
            days: 4,
            ..Interval::default()
        }
    } else {
        Interval::from_us(target.hypertable.interval / 2)
    };
    let job = add_policy(
        shared,
        &target,
        when,
        Policy {
            name: "Reorder Policy",
            proc: PROC,
            schedule_interval,
            max_runtime: Interval::default(),
            retry_period: Interval::from_us(5 * 60 * 1_000_000),
            config: Config::default()
                .with("hypertable_id", target.hypertable.id.0)
                .with("index_name", index),
        },
    )?;
    Ok(ScalarValue::Int32(Some(job.0)))
}

pub(in crate::jobs) fn remove(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    if args.get(0).is_none() {
        return Ok(ScalarValue::Null);
    }
    let target = Target::of(shared, args, "hypertable")?;
    let missing = format!(
        "reorder policy not found for hypertable \"{}\"",
        target.name
    );
    let if_exists = args.bool(1) == Some(true);
    remove_policy(shared, &target, PROC, if_exists, &missing)?;
    Ok(ScalarValue::Null)
}
