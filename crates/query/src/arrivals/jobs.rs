//! The jobs of a dump.

use std::sync::Arc;

use chronolith_catalog::{ArrivalChange, ArrivedRow};
use chronolith_chunk::cold;
use chronolith_types::{Interval, SqlState, SqlType};
use serde_json::{Map, Value};

use super::change;
use super::told::{hypertable_numbered, is, number, text};
use crate::error::Error;
use crate::jobs::POLICY_SCHEMA;
use crate::labels::{self, Of};
use crate::outcome::Severity;
use crate::session::Shared;
use crate::value::ColumnBuilder;

/// Makes the jobs whose hypertables are there; the others wait for theirs.
pub(super) fn settle(shared: &Arc<Shared>) -> Result<(), Error> {
    let home = shared.home()?;
    let Some(told) = home.arrival.told.get("bgw_job") else {
        return Ok(());
    };
    let mut left = Vec::new();
    for row in told {
        let policy = is_policy(row);
        let of = match text(row, "hypertable_id") {
            Some(number) => match hypertable_numbered(shared, &home, number)? {
                Some(table) if policy => Of::Relation(table),
                Some(_) => routine(row),
                None => {
                    left.push(row.clone());
                    continue;
                }
            },
            None => routine(row),
        };
        if policy && matches!(of, Of::Routine(_)) {
            // What TimescaleDB does for itself alone.
            continue;
        }
        labels::add_jobs(shared, &[job(shared, row, policy)?], of)?;
    }
    change(
        shared,
        ArrivalChange::Left {
            table: "bgw_job".to_owned(),
            rows: left,
        },
    )
}

/// Whether TimescaleDB itself does it. Its functions had another schema once.
fn is_policy(row: &ArrivedRow) -> bool {
    let own = [POLICY_SCHEMA, "_timescaledb_internal"];
    text(row, "proc_schema").is_some_and(|schema| own.contains(&schema))
        && text(row, "proc_name").is_some_and(|name| name.starts_with("policy_"))
}

fn routine(row: &ArrivedRow) -> Of {
    let value = |column: &str| text(row, column).unwrap_or_default().to_owned();
    Of::Routine((value("proc_schema"), value("proc_name")))
}

/// A job as labels tell it.
fn job(shared: &Shared, row: &ArrivedRow, policy: bool) -> Result<Value, Error> {
    let invalid = |what: &str| {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid {what} of job {}", text(row, "id").unwrap_or("?")),
        )
    };
    let span = |column: &str| -> Result<Value, Error> {
        let text = text(row, column).unwrap_or("0");
        let span = Interval::parse(text.as_bytes())?;
        serde_json::to_value(span).map_err(|_| invalid(column))
    };
    let schema = |of: &str| match policy {
        true => POLICY_SCHEMA.to_owned(),
        false => of.to_owned(),
    };
    let id: i32 = number(row, "id").ok_or_else(|| invalid("number"))?;
    let value = |column: &str| text(row, column).unwrap_or_default().to_owned();
    let owner = value("owner");
    let owner = owner
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    let owner = owner.map_or_else(|| value("owner"), |name| name.replace("\"\"", "\""));
    if shared.catalog().role_named(&owner).is_none() {
        let message = format!("job {id} gets another owner: role \"{owner}\" does not exist");
        let warning = Error::new(SqlState::UNDEFINED_OBJECT, message);
        shared.notice(Severity::Warning, warning);
    }
    let mut job = Map::new();
    let mut set = |name: &str, value: Value| job.insert(name.to_owned(), value);
    set("id", id.into());
    set("application_name", value("application_name").into());
    set("schedule_interval", span("schedule_interval")?);
    set("max_runtime", span("max_runtime")?);
    set(
        "max_retries",
        number::<i32>(row, "max_retries").unwrap_or(-1).into(),
    );
    set("retry_period", span("retry_period")?);
    set("proc_schema", schema(&value("proc_schema")).into());
    set("proc_name", value("proc_name").into());
    set("owner", owner.into());
    set("scheduled", is(row, "scheduled").into());
    set("fixed_schedule", is(row, "fixed_schedule").into());
    if let Some(start) = text(row, "initial_start") {
        let zone = shared.time_zone();
        let mut builder = ColumnBuilder::new(&SqlType::Timestamptz(None), &zone);
        builder.push_text(start.as_bytes())?;
        let at = cold::times(&builder.finish())?;
        set("initial_start", at.first().copied().into());
    }
    if let Some(zone) = text(row, "timezone") {
        set("timezone", zone.into());
    }
    if let Some(config) = text(row, "config") {
        let config = serde_json::from_str(config).map_err(|_| invalid("config"))?;
        set("config", config);
    }
    if let (Some(of), Some(name)) = (text(row, "check_schema"), text(row, "check_name")) {
        set("check", vec![schema(of), name.to_owned()].into());
    }
    Ok(Value::Object(job))
}
