//! CREATE, ALTER and DROP TRIGGER, and ALTER TABLE ENABLE and DISABLE TRIGGER.

use std::sync::Arc;

use chronolith_catalog::{Change, Database, Rights, Table, Trigger, TriggerTiming};
use chronolith_sql::{CreateTrigger, Name, Spelled};
use chronolith_types::{RoutineId, SqlState, SqlType};

use super::named::named;
use super::table::check_name;
use crate::bind::{Alone, bind_alone};
use crate::error::Error;
use crate::insert::{undefined_column, undefined_table};
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared, view_as_table};

/// The table of a name, or the view as one; and whether it is a view.
fn table_of(shared: &Arc<Shared>, name: &Name) -> Result<(Arc<Table>, bool), Error> {
    if let Some(table) = shared.find_table(name.schema(), name.name())? {
        return Ok((table, false));
    }
    match shared.find_view(name.schema(), name.name())? {
        Some(view) if view.materialized.is_some() => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("relation \"{}\" cannot have triggers", view.name),
        )
        .detail("This operation is not supported for materialized views.")),
        Some(view) => Ok((view_as_table(shared, &view)?, true)),
        None => Err(undefined_table(name.schema(), name.name())),
    }
}

fn of(home: &Database, table: &Table) -> Vec<Trigger> {
    let known = home.triggers.get(&table.id);
    known.map_or_else(Vec::new, |known| known.to_vec())
}

fn set(shared: &Arc<Shared>, table: &Table, mut triggers: Vec<Trigger>) -> Result<(), Error> {
    triggers.sort_by(|one, other| one.name.cmp(&other.name));
    shared.change(Change::SetTriggers {
        database: shared.database,
        table: table.id,
        triggers,
    })
}

/// A function goes, and the triggers that call it.
pub(super) fn drop_of(shared: &Arc<Shared>, function: RoutineId) -> Result<(), Error> {
    let home = shared.home()?;
    for (table, triggers) in &home.triggers {
        let calls = |trigger: &&Trigger| trigger.function == function;
        if triggers.iter().any(|trigger| calls(&trigger)) {
            let left = triggers.iter().filter(|trigger| !calls(trigger));
            shared.change(Change::SetTriggers {
                database: shared.database,
                table: *table,
                triggers: left.cloned().collect(),
            })?;
        }
    }
    Ok(())
}

pub(super) fn create(shared: &Arc<Shared>, create: &CreateTrigger) -> Result<(), Error> {
    let name = &create.name.value;
    check_name(name)?;
    let (table, view) = table_of(shared, &create.table)?;
    check_kind(create, &table.name, view)?;
    shared.check_relation(table.id, Rights::TRIGGER)?;
    let routine = named(shared, &create.function)?.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {}() does not exist", create.function),
        )
    })?;
    if !routine.is_trigger() {
        return Err(Error::new(
            SqlState::new(b"42P17"),
            format!("function {} must return type trigger", create.function),
        ));
    }
    shared.check_execute(&routine)?;
    let mut columns = Vec::with_capacity(create.columns.len());
    for column in &create.columns {
        let found = table
            .columns
            .iter()
            .find(|known| known.name == column.value);
        let found = found.ok_or_else(|| undefined_column(&column.value, &table.name))?;
        columns.push(found.id);
    }
    check_instead(create)?;
    check_transitions(create, &table.name, view)?;
    if let Some(condition) = &create.condition {
        let [insert, _, delete, _] = create.events;
        match create.row {
            true => check_condition(shared, &table, condition, insert, delete)?,
            false => check_statement_condition(shared, condition)?,
        }
    }
    let from = match &create.from {
        Some(name) => Some(table_of(shared, name)?.0.id),
        None => None,
    };
    let home = shared.home()?;
    let mut triggers = of(&home, &table);
    let known = triggers.iter().position(|trigger| trigger.name == *name);
    let constraints = table.constraints.iter();
    let names = constraints.map(|constraint| &constraint.name);
    if create.constraint.is_some() && names.into_iter().any(|known| known == name) {
        return Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!(
                "constraint \"{name}\" for relation \"{}\" already exists",
                table.name
            ),
        ));
    }
    let id = match known {
        Some(place)
            if create.or_replace
                && triggers
                    .get(place)
                    .is_some_and(|known| known.constraint.is_some()) =>
        {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!(
                    "trigger \"{name}\" for relation \"{}\" is a constraint trigger",
                    table.name
                ),
            ));
        }
        Some(place) if create.or_replace => triggers.remove(place).id,
        Some(_) => {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!(
                    "trigger \"{name}\" for relation \"{}\" already exists",
                    table.name
                ),
            ));
        }
        None => shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?,
    };
    let [insert, update, delete, truncate] = create.events;
    let named = |name: &Option<Spelled>| name.as_ref().map(|name| name.value.clone());
    triggers.push(Trigger {
        id,
        name: name.clone(),
        function: routine.id,
        before: create.before,
        instead: create.instead,
        row: create.row,
        insert,
        update,
        delete,
        truncate,
        constraint: create.constraint.map(|timing| TriggerTiming {
            deferrable: timing.deferrable,
            deferred: timing.deferred,
            from,
        }),
        old_table: named(&create.old_table),
        new_table: named(&create.new_table),
        columns,
        condition: create.condition.as_ref().map(|found| found.text.clone()),
        args: create.args.clone(),
        enabled: 'O',
    });
    set(shared, &table, triggers)
}

/// Tables and views have triggers of different kinds.
fn check_kind(create: &CreateTrigger, name: &str, view: bool) -> Result<(), Error> {
    let [.., truncate] = create.events;
    let why = match view {
        false if create.instead => "Tables cannot have INSTEAD OF triggers.",
        true if create.row && !create.instead => {
            "Views cannot have row-level BEFORE or AFTER triggers."
        }
        true if truncate => "Views cannot have TRUNCATE triggers.",
        _ => return Ok(()),
    };
    Err(wrong_kind(name, view, why))
}

fn wrong_kind(name: &str, view: bool, why: &str) -> Error {
    let kind = if view { "view" } else { "table" };
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is a {kind}"),
    )
    .detail(why)
}

/// What an INSTEAD OF trigger may not say.
fn check_instead(create: &CreateTrigger) -> Result<(), Error> {
    let why = match create {
        CreateTrigger { instead: false, .. } => return Ok(()),
        CreateTrigger { row: false, .. } => "must be FOR EACH ROW",
        CreateTrigger {
            condition: Some(_), ..
        } => "cannot have WHEN conditions",
        _ if !create.columns.is_empty() => "cannot have column lists",
        _ => return Ok(()),
    };
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("INSTEAD OF triggers {why}"),
    ))
}

/// What may not be said of transition tables, and of TRUNCATE.
fn check_transitions(create: &CreateTrigger, name: &str, view: bool) -> Result<(), Error> {
    let [insert, update, delete, truncate] = create.events;
    let refused = |text: &str| Error::new(SqlState::FEATURE_NOT_SUPPORTED, text);
    let wrong = |text: &str| Error::new(SqlState::INVALID_OBJECT_DEFINITION, text);
    if truncate && create.row {
        return Err(refused("TRUNCATE FOR EACH ROW triggers are not supported"));
    }
    if create.old_table.is_none() && create.new_table.is_none() {
        return Ok(());
    }
    if view {
        let why = "Triggers on views cannot have transition tables.";
        return Err(wrong_kind(name, view, why));
    }
    if create.before {
        return Err(wrong(
            "transition table name can only be specified for an AFTER trigger",
        ));
    }
    if truncate {
        return Err(refused(
            "TRUNCATE triggers with transition tables are not supported",
        ));
    }
    if [insert, update, delete].iter().filter(|of| **of).count() > 1 {
        return Err(refused(
            "transition tables cannot be specified for triggers with more than one event",
        ));
    }
    if !create.columns.is_empty() {
        return Err(refused(
            "transition tables cannot be specified for triggers with column lists",
        ));
    }
    if create.new_table.is_some() && !insert && !update {
        return Err(wrong(
            "NEW TABLE can only be specified for an INSERT or UPDATE trigger",
        ));
    }
    if create.old_table.is_some() && !delete && !update {
        return Err(wrong(
            "OLD TABLE can only be specified for a DELETE or UPDATE trigger",
        ));
    }
    let name = |name: &Option<Spelled>| name.as_ref().map(|name| name.value.clone());
    match name(&create.old_table) == name(&create.new_table) {
        true => Err(wrong(
            "OLD TABLE name and NEW TABLE name cannot be the same",
        )),
        false => Ok(()),
    }
}

/// The condition of a statement's trigger has no rows to look at.
fn check_statement_condition(
    shared: &Arc<Shared>,
    condition: &chronolith_sql::SqlText,
) -> Result<(), Error> {
    let text = condition.text.to_lowercase();
    if text.contains("old.") || text.contains("new.") {
        return Err(Error::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            "statement trigger's WHEN condition cannot reference column values",
        ));
    }
    let names = SessionNames::new(shared)?;
    let bound = bind_alone(&names, &condition.expr, "new", &[], Alone::TriggerWhen)?;
    boolean(&bound.ty)
}

fn boolean(ty: &SqlType) -> Result<(), Error> {
    match ty {
        SqlType::Bool => Ok(()),
        other => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("argument of WHEN must be type boolean, not type {other}"),
        )),
    }
}

/// A condition must be one over OLD and NEW.
fn check_condition(
    shared: &Arc<Shared>,
    table: &Table,
    condition: &chronolith_sql::SqlText,
    insert: bool,
    delete: bool,
) -> Result<(), Error> {
    let uses = |row: &str| {
        let text = condition.text.to_lowercase();
        text.contains(&format!("{row}."))
    };
    if insert && uses("old") {
        return Err(Error::new(
            SqlState::new(b"42P17"),
            "INSERT trigger's WHEN condition cannot reference OLD values",
        ));
    }
    if delete && uses("new") {
        return Err(Error::new(
            SqlState::new(b"42P17"),
            "DELETE trigger's WHEN condition cannot reference NEW values",
        ));
    }
    // What names both is looked at when it is met.
    if uses("old") && uses("new") || condition.text.contains('*') {
        return Ok(());
    }
    let names = SessionNames::new(shared)?;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect();
    let row = if uses("old") { "old" } else { "new" };
    let bound = bind_alone(&names, &condition.expr, row, &columns, Alone::TriggerWhen)?;
    boolean(&bound.ty)
}

fn missing(name: &str, table: &Table) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!(
            "trigger \"{name}\" for table \"{}\" does not exist",
            table.name
        ),
    )
}

pub(super) fn drop(
    shared: &Arc<Shared>,
    name: &Spelled,
    table: &Name,
    if_exists: bool,
) -> Result<(), Error> {
    let done = (|| {
        let (table, _) = table_of(shared, table)?;
        let home = shared.home()?;
        let mut triggers = of(&home, &table);
        let place = triggers.iter().position(|known| known.name == name.value);
        let place = place.ok_or_else(|| missing(&name.value, &table))?;
        triggers.remove(place);
        set(shared, &table, triggers)
    })();
    match done {
        Err(error)
            if if_exists
                && matches!(
                    error.code,
                    SqlState::UNDEFINED_OBJECT | SqlState::UNDEFINED_TABLE
                ) =>
        {
            let message = match error.code {
                SqlState::UNDEFINED_TABLE => error.message,
                _ => format!(
                    "trigger \"{}\" for relation \"{table}\" does not exist",
                    name.value
                ),
            };
            let told = Error::new(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("{message}, skipping"),
            );
            shared.notice(Severity::Notice, told);
            Ok(())
        }
        done => done,
    }
}

pub(super) fn rename(
    shared: &Arc<Shared>,
    name: &Spelled,
    table: &Name,
    to: &Spelled,
) -> Result<(), Error> {
    check_name(&to.value)?;
    let (table, _) = table_of(shared, table)?;
    let home = shared.home()?;
    let mut triggers = of(&home, &table);
    if triggers.iter().any(|known| known.name == to.value) {
        return Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!(
                "trigger \"{}\" for relation \"{}\" already exists",
                to.value, table.name
            ),
        ));
    }
    let found = triggers.iter_mut().find(|known| known.name == name.value);
    let found = found.ok_or_else(|| missing(&name.value, &table))?;
    found.name.clone_from(&to.value);
    set(shared, &table, triggers)
}

/// ALTER TABLE ENABLE and DISABLE TRIGGER.
pub(super) fn enable(
    shared: &Arc<Shared>,
    table: &Table,
    enabled: char,
    name: Option<&Spelled>,
) -> Result<(), Error> {
    // Also where there is no trigger, and so nothing to change.
    shared.check_owner(table.id)?;
    let home = shared.home()?;
    let mut triggers = of(&home, table);
    let mut any = name.is_none();
    for trigger in &mut triggers {
        if name.is_none_or(|name| name.value == trigger.name) {
            trigger.enabled = enabled;
            any = true;
        }
    }
    match (any, name) {
        (false, Some(name)) => Err(missing(&name.value, table)),
        _ => set(shared, table, triggers),
    }
}
