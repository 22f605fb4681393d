//! DROP and TRUNCATE.

use std::sync::Arc;

use chronolith_catalog::{Change, Database, Privilege, Rights, Table};
use chronolith_sql::{Drop, Name, ObjectKind};
use chronolith_types::{SchemaId, SqlState};

use super::run::demand;
use super::schema::no_role;
use crate::effects::object_name;
use crate::error::Error;
use crate::insert::undefined_table;
use crate::outcome::Severity;
use crate::session::{Shared, no_schema};

pub(super) fn run(shared: &Arc<Shared>, of: &Drop) -> Result<(), Error> {
    for name in &of.names {
        let dropped = match of.kind {
            ObjectKind::Table => table(shared, name, of.cascade),
            ObjectKind::View => view(shared, name, of.cascade),
            ObjectKind::Index => index(shared, name),
            ObjectKind::Schema => schema(shared, name.name(), of.cascade),
            ObjectKind::Database => database(shared, name.name()),
            ObjectKind::Role => role(shared, name.name()),
            ObjectKind::Extension => Err(Error::unsupported("DROP EXTENSION")),
            ObjectKind::MaterializedView => Err(missing(
                "materialized view",
                name,
                SqlState::UNDEFINED_TABLE,
            )),
            ObjectKind::Sequence => Err(missing("sequence", name, SqlState::UNDEFINED_TABLE)),
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Aggregate => {
                Err(missing("function", name, SqlState::UNDEFINED_FUNCTION))
            }
            ObjectKind::Type | ObjectKind::Domain => {
                Err(missing("type", name, SqlState::UNDEFINED_OBJECT))
            }
            _ => Err(Error::unsupported("this form of DROP")),
        };
        match dropped {
            Err(error) if of.if_exists && absent(&error) => {
                let message = format!("{}, skipping", error.message);
                shared.notice(Severity::Notice, Error::new(error.code, message));
            }
            other => other?,
        }
    }
    Ok(())
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

fn wrong_kind(name: &str, kind: &str, hint: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not {kind}"),
    )
    .hint(hint.to_owned())
}

/// The schemas in which a name is looked for.
pub(super) fn schemas(
    shared: &Shared,
    home: &Database,
    schema: Option<&str>,
) -> Result<Vec<SchemaId>, Error> {
    match schema {
        Some(schema) => {
            let found = home.schema_named(schema).ok_or_else(|| no_schema(schema))?;
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
    for schema in schemas(shared, &home, name.schema())? {
        if home.view_named(schema, name.name()).is_some() {
            return Err(wrong_kind(
                name.name(),
                "a table",
                "Use DROP VIEW to remove a view.",
            ));
        }
        if let Some(table) = home.table_named(schema, name.name()) {
            shared.check_drop(table.id)?;
            return drop_table(shared, &home, table, cascade);
        }
    }
    Err(missing("table", name, SqlState::UNDEFINED_TABLE))
}

fn drop_table(
    shared: &Arc<Shared>,
    home: &Database,
    table: &Table,
    cascade: bool,
) -> Result<(), Error> {
    drop_views_over(shared, home, &table.name, cascade, "table")
        .map_err(|error| named_apart(shared, error, &table.name, table.id.0))?;
    shared.change(Change::DropTable {
        database: shared.database,
        id: table.id,
    })
}

/// A message that names a table, with its schema when it is not found without.
pub(super) fn named_apart(shared: &Arc<Shared>, mut error: Error, name: &str, oid: u32) -> Error {
    if let Ok(shown) = object_name(&shared.catalog_context(), "regclass", oid) {
        let (plain, shown) = (format!("table {name}"), format!("table {shown}"));
        error.message = error.message.replace(&plain, &shown);
        error.detail = error.detail.map(|detail| detail.replace(&plain, &shown));
    }
    error
}

/// Views that read a relation go with it, or keep it.
fn drop_views_over(
    shared: &Arc<Shared>,
    home: &Database,
    name: &str,
    cascade: bool,
    kind: &str,
) -> Result<(), Error> {
    let readers: Vec<_> = home
        .views
        .values()
        .filter(|view| view.name != name && reads(&view.query, name))
        .cloned()
        .collect();
    for view in readers {
        if !cascade {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop {kind} {name} because other objects depend on it"),
            )
            .detail(format!("view {} depends on {kind} {name}", view.name))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        // One that was dropped on the way here is gone already.
        if shared.home()?.views.contains_key(&view.id) {
            drop_views_over(shared, home, &view.name, true, "view")?;
            shared.notice(
                Severity::Notice,
                Error::new(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("drop cascades to view {}", view.name),
                ),
            );
            // It goes with what it reads, whoever made it.
            shared.change_unguarded(Change::DropView {
                database: shared.database,
                id: view.id,
            })?;
        }
    }
    Ok(())
}

/// Whether a query's text names a relation.
pub(super) fn reads(query: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    query
        .split(|c: char| !word(c))
        .any(|found| found == name || found.to_lowercase() == name)
}

fn view(shared: &Arc<Shared>, name: &Name, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    for schema in schemas(shared, &home, name.schema())? {
        if home.table_named(schema, name.name()).is_some() {
            return Err(wrong_kind(
                name.name(),
                "a view",
                "Use DROP TABLE to remove a table.",
            ));
        }
        if let Some(view) = home.view_named(schema, name.name()) {
            shared.check_drop(view.id)?;
            drop_views_over(shared, &home, &view.name, cascade, "view")?;
            return shared.change(Change::DropView {
                database: shared.database,
                id: view.id,
            });
        }
    }
    Err(missing("view", name, SqlState::UNDEFINED_TABLE))
}

fn index(shared: &Arc<Shared>, name: &Name) -> Result<(), Error> {
    let home = shared.home()?;
    for schema in schemas(shared, &home, name.schema())? {
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
            if index.unique {
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

fn schema(shared: &Arc<Shared>, name: &str, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    let found = home.schema_named(name).ok_or_else(|| no_schema(name))?;
    if name.starts_with("_timescaledb") {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("cannot drop schema {name}: it belongs to the system"),
        ));
    }
    let tables: Vec<_> = home
        .tables
        .values()
        .filter(|table| table.schema == found.id)
        .cloned()
        .collect();
    let views: Vec<_> = home
        .views
        .values()
        .filter(|view| view.schema == found.id)
        .cloned()
        .collect();
    if !cascade && (!tables.is_empty() || !views.is_empty()) {
        let objects = tables
            .iter()
            .map(|table| format!("table {name}.{} depends on schema {name}", table.name))
            .chain(
                views
                    .iter()
                    .map(|view| format!("view {name}.{} depends on schema {name}", view.name)),
            );
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop schema {name} because other objects depend on it"),
        )
        .detail(objects.collect::<Vec<_>>().join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for view in views {
        shared.change(Change::DropView {
            database: shared.database,
            id: view.id,
        })?;
    }
    for table in tables {
        let home = shared.home()?;
        drop_table(shared, &home, &table, true)?;
    }
    shared.change(Change::DropSchema {
        database: shared.database,
        id: found.id,
    })
}

fn database(shared: &Arc<Shared>, name: &str) -> Result<(), Error> {
    demand(shared, Privilege::CreateDatabase, "drop database")?;
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
    let owns = catalog.databases.values().any(|database| {
        database.owner == found.id
            || database
                .tables
                .values()
                .any(|table| table.owner == found.id)
            || database.views.values().any(|view| view.owner == found.id)
            || database
                .schemas
                .values()
                .any(|schema| schema.owner == found.id)
    });
    if owns {
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("role \"{name}\" cannot be dropped because some objects depend on it"),
        ));
    }
    shared.change(Change::DropRole { id: found.id })
}

pub(super) fn truncate(shared: &Arc<Shared>, tables: &[Name]) -> Result<(), Error> {
    for name in tables {
        let table = shared
            .find_table(name.schema(), name.name())?
            .ok_or_else(|| undefined_table(name.schema(), name.name()))?;
        shared.check_relation(table.id, Rights::TRUNCATE)?;
        shared.transact(|transaction| transaction.truncate(table.id))?;
    }
    Ok(())
}
