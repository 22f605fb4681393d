//! Each statement to the file that knows what it means, and what these share.

use std::sync::Arc;

use chronolith_catalog::{ArrivalChange, Change, Database, Table};
use chronolith_engine::LockMode;
use chronolith_sql::{Name, Statement};
use chronolith_types::{SqlState, TableId};

use super::{chunks, pass, views};
use crate::error::Error;
use crate::session::Shared;

/// Does what a statement of such a dump means; whether it is one, and done.
///
/// # Errors
/// 0A000 for what cannot be restored, and those of what is made.
pub(crate) fn run(shared: &Arc<Shared>, statement: &Statement) -> Result<bool, Error> {
    match statement {
        Statement::CreateTable(create) => chunks::create(shared, create),
        Statement::CreateView(create) if !create.materialized => views::create(shared, create),
        other => pass::passes(shared, other),
    }
}

/// The table that gets the rows which a dump has in a table of a name.
///
/// # Errors
/// 3D000 for a database that was dropped.
pub(crate) fn part(shared: &Shared, name: &Name) -> Result<Option<Arc<Table>>, Error> {
    let home = shared.home()?;
    let part = name
        .schema()
        .and_then(|schema| home.arrival.parts.get(&key(schema, name.name())));
    Ok(part.and_then(|part| home.tables.get(&part.table).cloned()))
}

/// What a thing of a dump is called in what is kept of it.
pub(super) fn key(schema: &str, name: &str) -> String {
    format!("{schema}.{name}")
}

/// The number in a name of TimescaleDB's, as `_direct_view_3`.
pub(super) fn numbered(name: &str, prefix: &str) -> Option<i32> {
    name.strip_prefix(prefix)?.parse().ok()
}

/// The number of a continuous aggregate whose rows a table is made for.
pub(super) fn candles(schema: Option<&str>, name: &str) -> Option<i32> {
    let internal = schema == Some(Database::INTERNAL_SCHEMA);
    numbered(name, "_materialized_hypertable_").filter(|_| internal)
}

pub(super) fn change(shared: &Shared, change: ArrivalChange) -> Result<(), Error> {
    shared.change_unguarded(Change::Arrival {
        database: shared.database,
        change,
    })
}

/// All of a dump has come: statements about its chunks are about what is there from now on.
///
/// # Errors
/// 42501 for who does not own the database.
pub(crate) fn end(shared: &Shared) -> Result<(), Error> {
    if shared.home()?.arrival.is_empty() {
        return Ok(());
    }
    let catalog = shared.catalog();
    let owner = shared.home()?.owner;
    if !catalog.acts_as(shared.role(&catalog)?, owner) {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("must be owner of database {}", shared.home()?.name),
        ));
    }
    alone(shared)?;
    change(shared, ArrivalChange::Ended)
}

/// Waits until nobody else brings in a dump, and sees what has come by then. Whoever comes later
/// waits until this transaction ends, so that one of both sees that all is there.
pub(super) fn alone(shared: &Shared) -> Result<(), Error> {
    let home = shared.home()?;
    let Some(internal) = home.schema_named(Database::INTERNAL_SCHEMA) else {
        return Ok(());
    };
    shared.lock_waiting(TableId(internal.id.0), LockMode::AccessExclusive)?;
    shared.transact(|transaction| transaction.begin_statement())
}
