//! DROP and TRUNCATE.

use std::sync::Arc;

use chronolith_catalog::{Change, Constraint, Database, Privilege, Rights, Table, View};
use chronolith_engine::{LockMode, Wait};
use chronolith_sql::{Drop, Name, ObjectKind};
use chronolith_types::{SchemaId, SqlState};

use super::dependents::{self, Dependents};
use super::drop_schema;
use super::hypertable::table_of;
use super::named::passed_over;
use super::role::superuser_only;
use super::routine;
use super::run::demand;
use super::schema::no_role;
use super::sequence;
use super::view::kind_of;
use crate::effects::object_name;
use crate::error::Error;
use crate::insert::undefined_table;
use crate::outcome::Severity;
use crate::references::referring;
use crate::routines::{Event, Triggers};
use crate::session::{Shared, changes_chunk, no_schema};

pub(super) fn run(shared: &Arc<Shared>, of: &Drop) -> Result<(), Error> {
    let mut left: Vec<usize> = (0..of.names.len()).collect();
    while !left.is_empty() {
        let mut kept = Vec::new();
        let mut refused = None;
        for place in &left {
            match one(shared, of, *place) {
                // What depends on it may be among the names that follow.
                Err(error)
                    if left.len() > 1 && error.code == SqlState::DEPENDENT_OBJECTS_STILL_EXIST =>
                {
                    kept.push(*place);
                    refused.get_or_insert(error);
                }
                other => other?,
            }
        }
        if kept.len() == left.len()
            && let Some(error) = refused
        {
            return Err(error);
        }
        left = kept;
    }
    Ok(())
}

/// Drops the thing of one of the names.
fn one(shared: &Arc<Shared>, of: &Drop, place: usize) -> Result<(), Error> {
    let Some(name) = of.names.get(place) else {
        return Ok(());
    };
    let signature = of.signatures.get(place).and_then(Option::as_deref);
    let dropped = match of.kind {
        ObjectKind::Table => table(shared, name, of.cascade),
        ObjectKind::View | ObjectKind::MaterializedView => view(shared, name, of.kind, of.cascade),
        ObjectKind::Index => index(shared, name),
        ObjectKind::Schema => drop_schema::drop(shared, name.name(), of.cascade),
        ObjectKind::Database => database(shared, name.name()),
        ObjectKind::Role => role(shared, name.name()),
        ObjectKind::Extension => super::extension::drop(shared, name, of.cascade),
        ObjectKind::Sequence => sequence::drop(shared, name, of),
        ObjectKind::Publication => super::publication::drop(shared, name),
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
            routine::drop(shared, of.kind, name, signature, of.cascade)
        }
        ObjectKind::Aggregate => Err(missing("aggregate", name, SqlState::UNDEFINED_FUNCTION)),
        ObjectKind::Type | ObjectKind::Domain => {
            super::drop_type::drop(shared, of.kind, name, of.cascade)
        }
        _ => Err(Error::unsupported("this form of DROP")),
    };
    match dropped {
        Err(error) if of.if_exists && absent(&error) => {
            let message = match (of.kind, error.code) {
                (
                    ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine,
                    SqlState::UNDEFINED_FUNCTION,
                ) => passed_over(of.kind, name, signature),
                _ => format!("{}, skipping", error.message),
            };
            let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
            shared.notice(Severity::Notice, notice);
            Ok(())
        }
        other => other,
    }
}

fn absent(error: &Error) -> bool {
    [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_OBJECT,
        SqlState::UNDEFINED_FUNCTION,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::INVALID_CATALOG_NAME,
    ]
    .contains(&error.code)
}

fn missing(kind: &str, name: &Name, code: SqlState) -> Error {
    Error::new(code, format!("{kind} \"{name}\" does not exist"))
}

/// What a name is of, in PostgreSQL's words: the kind with its article, and what drops it.
fn kind_named(home: &Database, schema: SchemaId, name: &str) -> Option<&'static str> {
    let index = |table: &Arc<Table>| {
        table.schema == schema && table.indexes.iter().any(|index| index.name == name)
    };
    if home.table_named(schema, name).is_some() {
        return Some("table");
    }
    match home.view_named(schema, name) {
        // A continuous aggregate is made and dropped as a materialized view.
        Some(view) if view.materialized.is_some() => Some("materialized view"),
        Some(_) => Some("view"),
        None if home.sequence_named(schema, name).is_some() => Some("sequence"),
        None => home.tables.values().any(index).then_some("index"),
    }
}

/// 42809 when the name is of another kind than the statement says.
pub(super) fn check_kind(
    home: &Database,
    schema: SchemaId,
    name: &str,
    wanted: &str,
) -> Result<(), Error> {
    let Some(kind) = kind_named(home, schema, name).filter(|kind| *kind != wanted) else {
        return Ok(());
    };
    let article = |kind: &str| if kind == "index" { "an" } else { "a" };
    Err(Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not {} {wanted}", article(wanted)),
    )
    .hint(format!(
        "Use DROP {} to remove {} {kind}.",
        kind.to_uppercase(),
        article(kind)
    )))
}

/// The schemas in which a name is looked for.
pub(super) fn schemas(
    shared: &Shared,
    home: &Database,
    schema: Option<&str>,
) -> Result<Vec<SchemaId>, Error> {
    match schema {
        Some(schema) => {
            let schema = shared.schema_meant(schema);
            let found = home.schema_named(&schema);
            let found = found.ok_or_else(|| no_schema(&schema))?;
            Ok(vec![found.id])
        }
        None => Ok(shared
            .search_path()
            .iter()
            .filter_map(|name| Some(home.schema_named(name)?.id))
            .collect()),
    }
}

fn table(shared: &Arc<Shared>, name: &Name, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    if shared.chunk_named(name.schema(), name.name())?.is_some() {
        return Err(changes_chunk(name.name()));
    }
    for schema in schemas(shared, &home, name.schema())? {
        check_kind(&home, schema, name.name(), "table")?;
        if let Some(table) = home.table_named(schema, name.name()) {
            shared.check_drop(table.id)?;
            return drop_table(shared, table, cascade);
        }
    }
    Err(missing("table", name, SqlState::UNDEFINED_TABLE))
}

pub(crate) fn drop_table(shared: &Arc<Shared>, table: &Table, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    let shown = label(shared, "table", &table.name, table.id.0);
    let mut direct = dependents::views(shared, &home, (table.schema, &table.name), &shown);
    direct.extend(dependents::references(shared, &home, table, None, &shown));
    direct.extend(dependents::defaults(shared, &home, table, None)?);
    direct.extend(dependents::rows(shared, &home, (table.id, &table.name)));
    let dependents = Dependents::of(shared, &home, direct);
    dependents.settle(shared, &shown, cascade)?;
    dependents.drop(shared)?;
    shared.change(Change::DropTable {
        database: shared.database,
        id: table.id,
    })
}

/// Foreign keys that refer to one of a table's keys go with it, or keep it.
pub(super) fn drop_references(
    shared: &Arc<Shared>,
    table: &Table,
    key: &Constraint,
    shown: &str,
    cascade: bool,
) -> Result<(), Error> {
    let home = shared.home()?;
    let on = format!("index {}", key.name);
    let direct = dependents::references(shared, &home, table, Some(key.id), &on);
    let dependents = Dependents::of(shared, &home, direct);
    dependents.settle(shared, shown, cascade)?;
    dependents.drop(shared)
}

/// A kind and a name, with its schema when it is not found without.
pub(super) fn label(shared: &Arc<Shared>, kind: &str, name: &str, oid: u32) -> String {
    let shown = object_name(&shared.catalog_context(), "regclass", oid);
    format!("{kind} {}", shown.as_deref().unwrap_or(name))
}

/// The notice of what goes with what is dropped.
pub(super) fn tell_dropped(shared: &Shared, mut gone: Vec<String>) {
    let notice = |message: String| Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
    let body = match gone.len() {
        0 => return,
        1 => notice(gone.remove(0)),
        many => notice(format!("drop cascades to {many} other objects")).detail(gone.join("\n")),
    };
    shared.notice(Severity::Notice, body);
}

fn view(shared: &Arc<Shared>, name: &Name, kind: ObjectKind, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    let wanted = match kind {
        ObjectKind::MaterializedView => "materialized view",
        _ => "view",
    };
    for schema in schemas(shared, &home, name.schema())? {
        check_kind(&home, schema, name.name(), wanted)?;
        if let Some(view) = home.view_named(schema, name.name()) {
            shared.check_drop(view.id)?;
            super::extension::refuse_part(&home, view)?;
            return drop_view(shared, view, cascade);
        }
    }
    Err(missing(wanted, name, SqlState::UNDEFINED_TABLE))
}

pub(super) fn drop_view(shared: &Arc<Shared>, view: &View, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    let shown = label(shared, kind_of(view), &view.name, view.id.0);
    let mut direct = dependents::views(shared, &home, (view.schema, &view.name), &shown);
    direct.extend(dependents::rows(shared, &home, (view.id, &view.name)));
    let dependents = Dependents::of(shared, &home, direct);
    dependents.settle(shared, &shown, cascade)?;
    dependents.drop(shared)?;
    shared.change(Change::DropView {
        database: shared.database,
        id: view.id,
    })
}

fn index(shared: &Arc<Shared>, name: &Name) -> Result<(), Error> {
    let home = shared.home()?;
    for schema in schemas(shared, &home, name.schema())? {
        check_kind(&home, schema, name.name(), "index")?;
        let tables = home.tables.values().filter(|table| table.schema == schema);
        for table in tables {
            let Some(index) = table.indexes.iter().find(|i| i.name == name.name()) else {
                continue;
            };
            if index.constraint {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop index {} because constraint {} on table {} requires it",
                        index.name, index.name, table.name
                    ),
                )
                .hint(format!(
                    "You can drop constraint {} on table {} instead.",
                    index.name, table.name
                )));
            }
            if index.unique && table.constraints.iter().any(|of| of.name == index.name) {
                shared.change(Change::DropConstraint {
                    database: shared.database,
                    table: table.id,
                    name: index.name.clone(),
                })?;
            }
            return shared.change(Change::DropIndex {
                database: shared.database,
                table: table.id,
                id: index.id,
            });
        }
    }
    Err(missing("index", name, SqlState::UNDEFINED_OBJECT))
}

fn database(shared: &Arc<Shared>, name: &str) -> Result<(), Error> {
    let catalog = shared.catalog();
    let found = catalog.database_named(name).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_CATALOG_NAME,
            format!("database \"{name}\" does not exist"),
        )
    })?;
    if found.id == shared.database {
        return Err(Error::new(
            SqlState::OBJECT_IN_USE,
            "cannot drop the currently open database",
        ));
    }
    let others = shared
        .instance
        .activity()
        .iter()
        .filter(|activity| activity.database == name)
        .count();
    if others > 0 {
        return Err(Error::new(
            SqlState::OBJECT_IN_USE,
            format!("database \"{name}\" is being accessed by other users"),
        )
        .detail(match others {
            1 => "There is 1 other session using the database.".to_owned(),
            others => format!("There are {others} other sessions using the database."),
        }));
    }
    shared.change(Change::DropDatabase { id: found.id })
}

fn role(shared: &Arc<Shared>, name: &str) -> Result<(), Error> {
    demand(shared, Privilege::CreateRole, "drop role")?;
    let catalog = shared.catalog();
    let found = catalog.role_named(name).ok_or_else(|| no_role(name))?;
    let user = shared.with(|state| state.session_user.clone());
    if user == name {
        return Err(Error::new(
            SqlState::OBJECT_IN_USE,
            "current user cannot be dropped",
        ));
    }
    if found.name.starts_with("pg_") || found.id == chronolith_types::RoleId(10) {
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop role {name} because it is required by the database system"),
        ));
    }
    if found.may(Privilege::Superuser) {
        superuser_only(shared, "must be superuser to drop superusers")?;
    }
    let depend = super::owned::dependents(shared, &catalog, found.id);
    if !depend.is_empty() {
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("role \"{name}\" cannot be dropped because some objects depend on it"),
        )
        .detail(depend.join("\n")));
    }
    shared.change_unguarded(Change::DropRole { id: found.id })
}

/// The rows of a continuous aggregate: those that can be computed again are, the others go.
fn store_of(shared: &Arc<Shared>, name: &Name) -> Result<Arc<Table>, Error> {
    let view = shared.find_view(name.schema(), name.name())?;
    let view = view.ok_or_else(|| undefined_table(name.schema(), name.name()))?;
    let kept = view.materialized.as_ref();
    let kept = kept.filter(|kept| kept.continuous.is_some());
    let kept = kept.ok_or_else(|| {
        Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a table", name.name()),
        )
    })?;
    shared.check_relation(view.id, Rights::TRUNCATE)?;
    table_of(shared, kept.table)
}

pub(super) async fn truncate(
    shared: &Arc<Shared>,
    tables: &[Name],
    cascade: bool,
    restart_identity: bool,
) -> Result<(), Error> {
    let mut all: Vec<Arc<Table>> = Vec::new();
    for name in tables {
        let table = match shared.find_table(name.schema(), name.name())? {
            Some(table) => {
                shared.check_relation(table.id, Rights::TRUNCATE)?;
                table
            }
            None => store_of(shared, name)?,
        };
        if all.iter().all(|known| known.id != table.id) {
            all.push(table);
        }
    }
    let home = shared.home()?;
    let mut at = 0;
    while let Some(table) = all.get(at).cloned() {
        at += 1;
        for (child, _) in referring(&home, table.id) {
            if all.iter().any(|known| known.id == child.id) {
                continue;
            }
            if !cascade {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot truncate a table referenced in a foreign key constraint",
                )
                .detail(format!(
                    "Table \"{}\" references \"{}\".",
                    child.name, table.name
                ))
                .hint(format!(
                    "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                    child.name
                )));
            }
            let message = format!("truncate cascades to table \"{}\"", child.name);
            shared.notice(
                Severity::Notice,
                Error::new(SqlState::SUCCESSFUL_COMPLETION, message),
            );
            shared.check_relation(child.id, Rights::TRUNCATE)?;
            all.push(child);
        }
    }
    for table in &all {
        // Whoever reads it or writes to it is waited for.
        let mode = LockMode::AccessExclusive;
        shared.lock_table(table.id, &table.name, mode, Wait::Block)?;
    }
    let mut fired = Vec::new();
    for table in &all {
        fired.extend(Triggers::of(shared, table, None)?);
    }
    for triggers in &fired {
        triggers.statement(Event::Truncate, true).await?;
    }
    shared.transact(|transaction| transaction.begin_statement())?;
    for table in all {
        shared.transact(|transaction| transaction.truncate(table.id))?;
        if restart_identity {
            sequence::restart_of(shared, table.id)?;
        }
    }
    for triggers in &fired {
        triggers.statement(Event::Truncate, false).await?;
    }
    Ok(())
}
