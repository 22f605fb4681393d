//! Functions about the session, its settings and its fellows.

use std::sync::Arc;

use chronolith_types::{RoleId, SqlState};
use datafusion::common::ScalarValue;

use super::args::{Args, integer, text};
use crate::catalogs::describe;
use crate::error::Error;
use crate::session::{Shared, blocking};
use crate::settings::Scope;

pub(super) fn call(shared: &Arc<Shared>, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
    match name {
        "set_config" => {
            let setting = args.need(args.text(0), "setting name")?;
            let scope = match args.bool(2) {
                Some(true) => Scope::Local,
                _ => Scope::Session,
            };
            let shown = shared.with(|state| {
                match args.text(1) {
                    Some(value) => state.settings.set(setting, value, scope)?,
                    None => state.settings.reset(setting)?,
                }
                state.settings.show(setting)
            })?;
            shared.tell_name();
            Ok(text(shown))
        }
        "pg_sleep" => {
            let seconds = match args.get(0) {
                Some(ScalarValue::Float64(Some(seconds))) => *seconds,
                Some(other) => integer(other).unwrap_or(0) as f64,
                None => return Ok(ScalarValue::Null),
            };
            sleep(shared, seconds)?;
            Ok(ScalarValue::Null)
        }
        "pg_cancel_backend" => {
            let pid = args.integer(0).and_then(|pid| i32::try_from(pid).ok());
            if let Some(pid) = pid {
                may_signal(shared, pid)?;
            }
            let found = pid.is_some_and(|pid| shared.instance.cancel(pid));
            Ok(ScalarValue::Boolean(Some(found)))
        }
        "pg_postmaster_start_time" => Ok(ScalarValue::TimestampMicrosecond(
            Some(shared.instance.started_us),
            Some("UTC".into()),
        )),
        // Locks that nobody can take are all given back.
        "pg_advisory_unlock_all" => Ok(ScalarValue::Null),
        _ => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("function {} is not supported", describe::quoted(name)),
        )),
    }
}

/// 42501 for a session of a role that the current one has nothing to say to.
fn may_signal(shared: &Shared, pid: i32) -> Result<(), Error> {
    const SIGNAL_BACKEND: RoleId = RoleId(4200);
    let sessions = shared.instance.activity();
    let Some(session) = sessions.iter().find(|session| session.pid == pid) else {
        return Ok(());
    };
    let catalog = shared.catalog();
    let role = shared.role(&catalog)?;
    let Some(target) = catalog.role_named(&session.user) else {
        return Ok(());
    };
    let words = match catalog.is_superuser(target.id) {
        true if !catalog.is_superuser(role) => "must be a superuser to cancel superuser query",
        false if !catalog.acts_as(role, target.id) && !catalog.acts_as(role, SIGNAL_BACKEND) => {
            "must be a member of the role whose query is being canceled or member of \
             pg_signal_backend"
        }
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, words))
}

/// Waits, and looks now and then whether it was told to stop.
fn sleep(shared: &Arc<Shared>, seconds: f64) -> Result<(), Error> {
    const STEP_MS: u64 = 10;
    let clock = shared.instance.engine.clock();
    // Past a year nobody waits any more; a NaN is no wait.
    let us = (seconds.clamp(0.0, 31_536_000.0) * 1e6).round();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number is at most that of a year's microseconds"
    )]
    let end = clock.wall_us() + us as i64;
    blocking(|| {
        while clock.wall_us() < end {
            shared.cancel.check()?;
            let left = u64::try_from(end - clock.wall_us()).unwrap_or(0);
            let step = std::time::Duration::from_micros(left.min(STEP_MS * 1000));
            std::thread::sleep(step);
        }
        Ok(())
    })
}
