//! The audit log, for superusers.

use chronolith_types::TimeZone;
use chronolith_types::datetime::parse_timestamptz;

use super::context::Context;
use super::relation::Fill;
use super::rows::{Cell, Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    (name == "chronolith_audit_log").then_some(records as Fill)
}

fn records<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    context.superuser_only("view", "chronolith_audit_log")?;
    for line in context.instance.engine.audit().lines()? {
        let Ok(fields) = serde_json::from_str::<serde_json::Value>(&line) else {
            continue;
        };
        let text = |name: &str| fields.get(name)?.as_str().map(str::to_owned);
        let number = |name: &str| fields.get(name)?.as_i64();
        let time = text("time")
            .and_then(|time| parse_timestamptz(time.as_bytes(), &TimeZone::default()).ok());
        rows.push(row![
            number("number"),
            time.map_or(Cell::Null, Cell::Int),
            text("kind"),
            text("user"),
            text("database"),
            text("client"),
            number("pid"),
            text("outcome"),
            text("action"),
            text("text"),
            text("hash"),
        ]);
    }
    Ok(())
}
