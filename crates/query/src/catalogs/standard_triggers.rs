//! Triggers as the standard's views tell of them: one row for each event.

use std::collections::BTreeMap;

use chronolith_catalog::Trigger;

use super::context::Context;
use super::describe::quoted;
use super::relation::Fill;
use super::rows::{NULL, Rows, row};
use super::triggers::{On, all};
use crate::error::Error;
use crate::routines::timing;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "triggers" => triggers,
        "triggered_update_columns" => columns,
        _ => return None,
    })
}

/// The events of the standard that a trigger is of: it has no TRUNCATE.
fn events(trigger: &Trigger) -> impl Iterator<Item = &'static str> {
    let events = [
        (trigger.insert, "INSERT"),
        (trigger.delete, "DELETE"),
        (trigger.update, "UPDATE"),
    ];
    events
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, word)| word)
}

fn triggers<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    let schema = |id| home.schemas.get(&id).map(|schema| schema.name.as_str());
    // Those of a relation are kept by their names, in which order they fire.
    let mut order: BTreeMap<(u32, &str, bool, &str), i64> = BTreeMap::new();
    for (on, trigger) in all(home) {
        let called = home.routines.get(&trigger.function).map(|routine| {
            let known = schema(routine.schema).unwrap_or_default();
            let args = trigger.args.iter();
            let args: Vec<String> = args
                .map(|arg| format!("'{}'", arg.replace('\'', "''")))
                .collect();
            let name = match context.search_path.iter().any(|name| name == known) {
                true => quoted(&routine.name).into_owned(),
                false => format!("{}.{}", quoted(known), quoted(&routine.name)),
            };
            format!("EXECUTE FUNCTION {name}({})", args.join(", "))
        });
        for event in events(trigger) {
            let when = timing(trigger);
            let place = order
                .entry((on.oid(), event, trigger.row, when))
                .or_default();
            *place += 1;
            rows.push(row![
                &home.name,
                schema(on.schema()),
                &trigger.name,
                event,
                &home.name,
                schema(on.schema()),
                on.name(),
                *place,
                trigger.condition.as_deref(),
                called.clone(),
                if trigger.row { "ROW" } else { "STATEMENT" },
                when,
                trigger.old_table.as_deref(),
                trigger.new_table.as_deref(),
                NULL,
                NULL,
                NULL,
            ]);
        }
    }
    Ok(())
}

fn columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for (on, trigger) in all(home) {
        let On::Table(table) = on else {
            continue;
        };
        let schema = home.schemas.get(&table.schema);
        let schema = schema.map(|schema| schema.name.as_str());
        for id in &trigger.columns {
            let mut columns = table.columns.iter();
            let Some(column) = columns.find(|column| column.id == *id) else {
                continue;
            };
            rows.push(row![
                &home.name,
                schema,
                &trigger.name,
                &home.name,
                schema,
                &table.name,
                &column.name,
            ]);
        }
    }
    Ok(())
}
