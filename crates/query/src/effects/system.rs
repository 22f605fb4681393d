//! Functions about the session, its settings and its fellows.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_engine::{AuditKind, Transaction};
use chronolith_types::packed::Address;
use chronolith_types::{DatabaseId, RoleId, SqlState};
use datafusion::common::ScalarValue;

use super::args::{Args, integer, list, text};
use crate::catalogs::describe;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, blocking};
use crate::settings::Scope;
use crate::statistics::Reset;

pub(super) fn call(shared: &Arc<Shared>, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
    match name {
        "set_config" => {
            let setting = args.need(args.text(0), "setting name")?;
            let scope = match args.bool(2) {
                Some(true) => Scope::Local,
                _ => Scope::Session,
            };
            shared.may_set(setting)?;
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
            let Some(pid) = pid else {
                return Ok(ScalarValue::Boolean(None));
            };
            may_signal(
                shared,
                pid,
                "query is being canceled",
                "cancel superuser query",
            )?;
            let found = shared.instance.cancel(pid);
            if !found {
                warn_no_backend(shared, pid);
            }
            Ok(ScalarValue::Boolean(Some(found)))
        }
        "pg_postmaster_start_time" => Ok(ScalarValue::TimestampMicrosecond(
            Some(shared.instance.started_us),
            Some("UTC".into()),
        )),
        "pg_terminate_backend" => {
            let pid = args.integer(0).and_then(|pid| i32::try_from(pid).ok());
            let Some(pid) = pid else {
                return Ok(ScalarValue::Boolean(None));
            };
            terminate(shared, pid, args.integer(1).unwrap_or(0))
        }
        "inet_client_addr" | "inet_client_port" | "inet_server_addr" | "inet_server_port" => {
            let (client, server) = shared.instance.ends_of(shared.pid);
            let socket = if name.starts_with("inet_client") {
                client
            } else {
                server
            };
            let socket = socket.and_then(|text| text.parse::<std::net::SocketAddr>().ok());
            Ok(if name.ends_with("port") {
                ScalarValue::Int32(socket.map(|socket| socket.port().into()))
            } else {
                ScalarValue::BinaryView(socket.map(|socket| Address::of_host(socket.ip()).kept()))
            })
        }
        "pg_current_wal_lsn" | "pg_current_wal_insert_lsn" | "pg_current_wal_flush_lsn" => {
            let lsn = shared.instance.engine.durable_lsn().0;
            Ok(ScalarValue::BinaryView(Some(lsn.to_be_bytes().to_vec())))
        }
        "txid_current" => Ok(ScalarValue::Int64(Some(shared.transaction_number()))),
        "txid_current_if_assigned" => {
            let assigned = shared.with(|state| {
                let writes = state.transaction.as_ref().is_some_and(Transaction::writes);
                state.transaction_number.is_some() || writes
            });
            let number = assigned.then(|| shared.transaction_number());
            Ok(ScalarValue::Int64(number))
        }
        "pg_notify" => {
            let payload = args.text(1).unwrap_or_default();
            shared.note(args.text(0).unwrap_or_default(), payload)?;
            Ok(ScalarValue::Null)
        }
        "pg_listening_channels" => {
            let channels: Vec<_> = shared.channels().into_iter().map(text).collect();
            Ok(list(&channels, &DataType::Utf8View))
        }
        "pg_stat_reset" => {
            superuser(shared, name)?;
            shared.instance.statistics.databases.reset(shared.database);
            shared.instance.statistics.tables.reset(shared.database);
            shared.instance.statistics.chunks.reset(shared.database);
            Ok(ScalarValue::Null)
        }
        "pg_stat_statements_reset" => {
            superuser(shared, name)?;
            let number = |slot| args.integer(slot).filter(|number| *number != 0);
            let oid = |slot| number(slot).and_then(|number| u32::try_from(number).ok());
            let which = Reset {
                role: oid(0).map(RoleId),
                database: oid(1).map(DatabaseId),
                id: number(2),
            };
            let now_us = shared.instance.engine.clock().wall_us();
            shared.instance.statistics.statements.reset(which, now_us);
            Ok(ScalarValue::Null)
        }
        "pg_reload_conf" => {
            superuser(shared, name)?;
            shared.audit(AuditKind::Config, "ok", name, "")?;
            shared.instance.reload();
            Ok(ScalarValue::Boolean(Some(true)))
        }
        "pg_export_snapshot" => Ok(text(shared.export_snapshot()?)),
        "pg_blocking_pids" => {
            let pid = args.integer(0).and_then(|pid| i32::try_from(pid).ok());
            let found = shared.instance.engine.locks().blocking(pid.unwrap_or(0));
            let pids: Vec<_> = found.into_iter().map(ScalarValue::from).collect();
            Ok(list(&pids, &DataType::Int32))
        }
        _ => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("function {} is not supported", describe::quoted(name)),
        )),
    }
}

/// 42501 for all but superusers.
fn superuser(shared: &Shared, function: &str) -> Result<(), Error> {
    let catalog = shared.catalog();
    if catalog.is_superuser(shared.role(&catalog)?) {
        return Ok(());
    }
    let words = format!("permission denied for function {function}");
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, words))
}

/// 42501 for a session of a role that the current one has nothing to say to.
fn may_signal(shared: &Shared, pid: i32, whose: &str, what: &str) -> Result<(), Error> {
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
        true if !catalog.is_superuser(role) => format!("must be a superuser to {what}"),
        false if !catalog.acts_as(role, target.id) && !catalog.acts_as(role, SIGNAL_BACKEND) => {
            format!("must be a member of the role whose {whose} or member of pg_signal_backend")
        }
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, words))
}

fn warn_no_backend(shared: &Shared, pid: i32) {
    let words = format!("PID {pid} is not a PostgreSQL backend process");
    shared.notice(Severity::Warning, Error::new(SqlState::WARNING, words));
}

/// `pg_terminate_backend`: asks a session to end, and waits for it where a time is given.
fn terminate(shared: &Arc<Shared>, pid: i32, timeout_ms: i64) -> Result<ScalarValue, Error> {
    if timeout_ms < 0 {
        return Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            "\"timeout\" must not be negative",
        ));
    }
    let whose = "process is being terminated";
    may_signal(shared, pid, whose, "terminate superuser process")?;
    let instance = &shared.instance;
    if !instance.terminate(pid) {
        warn_no_backend(shared, pid);
        return Ok(ScalarValue::Boolean(Some(false)));
    }
    let clock = instance.engine.clock();
    let end_us = clock.wall_us() + timeout_ms.saturating_mul(1000);
    while timeout_ms > 0 && instance.activity().iter().any(|session| session.pid == pid) {
        if clock.wall_us() >= end_us {
            let words = format!(
                "backend with PID {pid} did not terminate within {timeout_ms} milliseconds"
            );
            shared.notice(Severity::Warning, Error::new(SqlState::WARNING, words));
            return Ok(ScalarValue::Boolean(Some(false)));
        }
        sleep(shared, 0.01)?;
    }
    Ok(ScalarValue::Boolean(Some(true)))
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
