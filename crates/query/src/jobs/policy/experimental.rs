//! `timescaledb_experimental`: the policies of a continuous aggregate by one call.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::{Job, JobChange};
use chronolith_types::SqlState;
use datafusion::common::ScalarValue;
use serde_json::{Map, Value};

use super::super::config::{Config, Lag, span_text};
use super::super::define::{When, change};
use super::super::target::Target;
use super::refresh::Window;
use super::{compression, refresh, retention};
use crate::effects::{Args, list, text};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

/// What is asked for; each if it was given.
struct Asked {
    refresh: Option<Window>,
    compress: Option<Lag>,
    drop: Option<Lag>,
}

impl Asked {
    fn read(target: &Target, args: Args<'_>) -> Result<Self, Error> {
        let start = refresh::offset(target, args, 2, "start_offset")?;
        let end = refresh::offset(target, args, 3, "end_offset")?;
        let given = start.is_some() || end.is_some();
        Ok(Self {
            refresh: given.then_some(Window { start, end }),
            compress: refresh::offset(target, args, 4, "compress_after")?,
            drop: refresh::offset(target, args, 5, "drop_after")?,
        })
    }

    /// 22023 for policies that would undo each other's work.
    fn check(&self) -> Result<(), Error> {
        let overlap = |what: &str| {
            Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("{what} policies overlap"),
            ))
        };
        let reach = |window: &Window| window.start.map_or(i128::MAX, Lag::length);
        let refresh = self.refresh.as_ref().map(reach);
        let (compress, drop) = (self.compress.map(Lag::length), self.drop.map(Lag::length));
        if refresh.is_some_and(|reach| compress.is_some_and(|after| after < reach)) {
            return overlap("refresh and compression");
        }
        if refresh.is_some_and(|reach| drop.is_some_and(|after| after < reach)) {
            return overlap("refresh and retention");
        }
        if compress.is_some_and(|compress| drop.is_some_and(|drop| drop <= compress)) {
            return overlap("compression and retention");
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.refresh.is_none() && self.compress.is_none() && self.drop.is_none()
    }
}

fn at_defaults() -> When {
    When {
        schedule_interval: None,
        initial_start: None,
        timezone: None,
    }
}

pub(in crate::jobs) fn add(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "relation")?;
    let if_not_exists = args.bool(1) == Some(true);
    let asked = Asked::read(&target, args)?;
    if asked.is_empty() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "need to specify at least one policy",
        ));
    }
    asked.check()?;
    if let Some(window) = asked.refresh {
        let options = Config::default();
        refresh::add_to(
            shared,
            &target,
            window,
            options,
            if_not_exists,
            at_defaults(),
        )?;
    }
    if asked.compress.is_some() {
        let after = asked.compress;
        compression::add_to(shared, &target, after, None, if_not_exists, at_defaults())?;
    }
    if asked.drop.is_some() {
        retention::add_to(
            shared,
            &target,
            asked.drop,
            None,
            if_not_exists,
            at_defaults(),
        )?;
    }
    Ok(ScalarValue::Boolean(Some(true)))
}

pub(in crate::jobs) fn alter(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "relation")?;
    let if_exists = args.bool(1) == Some(true);
    let given = Asked::read(&target, args)?;
    let known = |proc: &str| target.policy(shared, proc);
    let (refresh_job, compress_job, drop_job) = (
        known(refresh::PROC)?,
        known(compression::PROC)?,
        known(retention::PROC)?,
    );
    let config_of = |job: &Option<Arc<Job>>| {
        let text = job.as_ref().and_then(|job| job.config.as_deref());
        Config::read(text)
    };
    let (refresh_config, compress_config, drop_config) = (
        config_of(&refresh_job)?,
        config_of(&compress_job)?,
        config_of(&drop_job)?,
    );
    let old = refresh_job
        .as_ref()
        .map(|_| Window::of(&refresh_config))
        .transpose()?;
    // An end that is not given stays as it is.
    let window = given.refresh.map(|new| Window {
        start: new.start.or(old.and_then(|old| old.start)),
        end: new.end.or(old.and_then(|old| old.end)),
    });
    let all = Asked {
        refresh: window.or(old),
        compress: match given.compress {
            None => compress_config.lag("compress_after")?,
            given => given,
        },
        drop: match given.drop {
            None => drop_config.lag("drop_after")?,
            given => given,
        },
    };
    all.check()?;
    let mut altered = false;
    if let Some(window) = window {
        refresh::check_window(shared, &target, window)?;
        let config = refresh_config
            .with_lag("start_offset", window.start)
            .with_lag("end_offset", window.end);
        altered |= set(shared, refresh_job, "refresh", &config, if_exists)?;
    }
    if given.compress.is_some() {
        let config = compress_config.with_lag("compress_after", given.compress);
        altered |= set(shared, compress_job, "compression", &config, if_exists)?;
    }
    if given.drop.is_some() {
        let config = drop_config.with_lag("drop_after", given.drop);
        altered |= set(shared, drop_job, "retention", &config, if_exists)?;
    }
    Ok(ScalarValue::Boolean(Some(altered)))
}

fn set(
    shared: &Shared,
    job: Option<Arc<Job>>,
    kind: &str,
    config: &Config,
    if_exists: bool,
) -> Result<bool, Error> {
    let Some(job) = job else {
        let message = format!("{kind} policy does not exist");
        if !if_exists {
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::UNDEFINED_OBJECT, format!("{message}, skipping")),
        );
        return Ok(false);
    };
    let mut job = Job::clone(&job);
    job.config = Some(config.text()?);
    change(shared, JobChange::Set(Box::new(job)))?;
    Ok(true)
}

pub(in crate::jobs) fn remove(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "relation")?;
    let if_exists = args.bool(1) == Some(true);
    let names: Vec<&str> = (2..args.0.len())
        .filter_map(|place| args.text(place))
        .collect();
    let mut removed = !names.is_empty();
    for name in names {
        removed &= match name {
            refresh::PROC => refresh::remove_from(shared, &target, if_exists)?,
            compression::PROC => compression::remove_from(shared, &target, if_exists)?,
            retention::PROC => retention::remove_from(shared, &target, if_exists)?,
            _ => {
                shared.notice(
                    Severity::Notice,
                    Error::new(SqlState::SUCCESSFUL_COMPLETION, "No relevant policy found"),
                );
                false
            }
        };
    }
    Ok(ScalarValue::Boolean(Some(removed)))
}

pub(in crate::jobs) fn remove_all(
    shared: &Arc<Shared>,
    args: Args<'_>,
) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "relation")?;
    let if_exists = args.bool(1) == Some(true);
    let mut removed = false;
    for proc in [refresh::PROC, compression::PROC, retention::PROC] {
        for job in target.policies(shared, proc)? {
            change(shared, JobChange::Drop(job.id))?;
            removed = true;
        }
    }
    if !removed {
        let message = format!("no policies found for \"{}\"", target.name);
        if !if_exists {
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::UNDEFINED_OBJECT, format!("{message}, skipping")),
        );
    }
    Ok(ScalarValue::Boolean(Some(removed)))
}

pub(in crate::jobs) fn show(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let target = Target::aggregate_of(shared, args, "relation")?;
    let kinds = [
        (
            compression::PROC,
            "compress_interval",
            &["compress_after"][..],
            &["compress_after"][..],
        ),
        (
            refresh::PROC,
            "refresh_interval",
            &["start_offset", "end_offset"][..],
            &["refresh_start_offset", "refresh_end_offset"][..],
        ),
        (
            retention::PROC,
            "retention_interval",
            &["drop_after"][..],
            &["drop_after"][..],
        ),
    ];
    let mut shown = Vec::new();
    for (proc, interval, fields, names) in kinds {
        for job in target.policies(shared, proc)? {
            let config: Map<String, Value> = job
                .config
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            let mut row = Config::default()
                .with("policy_name", proc)
                .with(interval, span_text(job.schedule_interval));
            for (field, name) in fields.iter().zip(names) {
                row = row.with(name, config.get(*field).cloned().unwrap_or_default());
            }
            shown.push(text(row.text()?));
        }
    }
    Ok(list(&shown, &DataType::Utf8View))
}
