//! Triggers.

use chronolith_catalog::{Database, Table, Trigger};

use super::context::Context;
use super::describe::quoted;
use super::relation::Fill;
use super::rows::{NULL, Rows, count, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    (name == "pg_trigger").then_some(triggers as Fill)
}

fn all(home: &Database) -> impl Iterator<Item = (&Table, &Trigger)> {
    home.triggers.iter().flat_map(|(table, triggers)| {
        let table = home.tables.get(table);
        let of = move |trigger| Some((table?.as_ref(), trigger));
        triggers.iter().filter_map(of)
    })
}

fn triggers<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (table, trigger) in all(context.home()?) {
        let columns: Vec<i64> = trigger
            .columns
            .iter()
            .map(|column| i64::from(column.0))
            .collect();
        rows.push(row![
            trigger.id,
            table.id.0,
            0,
            &trigger.name,
            trigger.function.0,
            i32::from(trigger.bits()),
            trigger.enabled,
            false,
            0,
            0,
            0,
            false,
            false,
            count(trigger.args.len()),
            columns,
            NULL,
            trigger.condition.as_deref(),
            NULL,
            NULL,
        ]);
    }
    Ok(())
}

/// `pg_get_triggerdef(oid, pretty)`.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn triggerdef(
    context: &Context,
    oid: u32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let home = context.home()?;
    let Some((table, trigger)) = all(home).find(|(_, trigger)| trigger.id == oid) else {
        return Ok(None);
    };
    let mut events = Vec::new();
    if trigger.insert {
        events.push("INSERT".to_owned());
    }
    if trigger.delete {
        events.push("DELETE".to_owned());
    }
    if trigger.update {
        let named: Vec<String> = table
            .columns
            .iter()
            .filter(|column| trigger.columns.contains(&column.id))
            .map(|column| quoted(&column.name).into_owned())
            .collect();
        events.push(match named.is_empty() {
            true => "UPDATE".to_owned(),
            false => format!("UPDATE OF {}", named.join(", ")),
        });
    }
    let schema = |id| {
        home.schemas
            .get(&id)
            .map_or("", |schema| schema.name.as_str())
    };
    let seen = |id| context.search_path.iter().any(|name| name == schema(id));
    let spelled = |id, name: &str, bare: bool| match bare {
        true => quoted(name).into_owned(),
        false => format!("{}.{}", quoted(schema(id)), quoted(name)),
    };
    let of = spelled(table.schema, &table.name, pretty && seen(table.schema));
    let called = home.routines.get(&trigger.function);
    let called = called.map_or_else(String::new, |routine| {
        spelled(routine.schema, &routine.name, seen(routine.schema))
    });
    let condition = trigger.condition.as_ref();
    let condition = condition.map_or_else(String::new, |text| format!("WHEN ({text}) "));
    let args: Vec<String> = trigger
        .args
        .iter()
        .map(|arg| format!("'{}'", arg.replace('\'', "''")))
        .collect();
    Ok(Some(format!(
        "CREATE TRIGGER {} {} {} ON {of} FOR EACH {} {condition}EXECUTE FUNCTION {called}({})",
        quoted(&trigger.name),
        if trigger.before { "BEFORE" } else { "AFTER" },
        events.join(" OR "),
        if trigger.row { "ROW" } else { "STATEMENT" },
        args.join(", ")
    )))
}
