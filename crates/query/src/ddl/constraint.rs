//! ALTER TABLE ALTER CONSTRAINT, and keys that take over an index.

use std::sync::Arc;

use chronolith_catalog::{Change, Index, Persistence, Table};
use chronolith_sql::{Constraint as Declared, ConstraintKind, Spelled, Timing};
use chronolith_types::SqlState;

use super::alter::{add_constraint, replace_constraint};
use super::hypertable;
use crate::error::Error;
use crate::outcome::Severity;
use crate::references::referring;
use crate::session::Shared;

/// When a foreign key is held from now on.
pub(super) fn alter(
    shared: &Arc<Shared>,
    table: &Table,
    name: &Spelled,
    timing: Timing,
) -> Result<(), Error> {
    let found = table.constraints.iter().find(|of| of.name == name.value);
    let found = found.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "constraint \"{}\" of relation \"{}\" does not exist",
                name.value, table.name
            ),
        )
    })?;
    if found.kind.reference().is_none() {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!(
                "constraint \"{}\" of relation \"{}\" is not a foreign key constraint",
                name.value, table.name
            ),
        ));
    }
    let mut changed = found.clone();
    changed.marks.deferrable = timing.deferrable;
    changed.marks.deferred = timing.deferred;
    replace_constraint(shared, table.id, changed)
}

/// The words for an index that no key can have.
fn unfit(message: String, declared: &Declared) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, message)
        .detail("Cannot create a primary key or unique constraint using such an index.")
        .at(u32::try_from(declared.position).ok())
}

/// A key by the index that keeps it already: the index becomes the key's own.
pub(super) fn using_index(
    shared: &Arc<Shared>,
    table: &Table,
    declared: &Declared,
    primary: bool,
    index: &Spelled,
) -> Result<(), Error> {
    let at = u32::try_from(declared.position).ok();
    let found = table.indexes.iter().find(|of| of.name == index.value);
    let found = found.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("index \"{}\" does not exist", index.value),
        )
        .at(at)
    })?;
    if found.constraint {
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "index \"{}\" is already associated with a constraint",
                found.name
            ),
        )
        .at(at));
    }
    if !found.unique {
        return Err(unfit(
            format!("\"{}\" is not a unique index", found.name),
            declared,
        ));
    }
    if found.keys.iter().any(|key| key.starts_with('(')) {
        return Err(unfit(
            format!("index \"{}\" contains expressions", found.name),
            declared,
        ));
    }
    if found.predicate.is_some() {
        return Err(unfit(
            format!("\"{}\" is a partial index", found.name),
            declared,
        ));
    }
    let plain = |key: &String| table.column_named(key).is_some();
    if let Some(place) = found.keys.iter().position(|key| !plain(key)) {
        return Err(unfit(
            format!(
                "index \"{}\" column number {} does not have default sorting behavior",
                found.name,
                place + 1
            ),
            declared,
        ));
    }
    let name = declared
        .name
        .as_ref()
        .map_or(&found.name, |name| &name.value);
    if *name != found.name {
        let message = format!(
            "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{}\" to \"{name}\"",
            found.name
        );
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::SUCCESSFUL_COMPLETION, message),
        );
    }
    let key = key_of(found, declared, primary, name);
    forget(shared, table, found)?;
    let table = hypertable::table_of(shared, table.id)?;
    add_constraint(shared, &table, &key)
}

/// The key as if it had been declared by its columns.
fn key_of(index: &Index, declared: &Declared, primary: bool, name: &str) -> Declared {
    let spelled = |name: &String| Spelled {
        value: name.clone(),
        position: declared.position,
    };
    let columns: Vec<Spelled> = index.keys.iter().map(spelled).collect();
    Declared {
        name: Some(Spelled {
            value: name.to_owned(),
            position: declared.position,
        }),
        kind: match primary {
            true => ConstraintKind::PrimaryKey(columns),
            false => ConstraintKind::Unique {
                columns,
                nulls_alike: index.nulls_alike,
            },
        },
        timing: declared.timing,
        include: index.include.iter().map(spelled).collect(),
        position: declared.position,
    }
}

fn forget(shared: &Arc<Shared>, table: &Table, index: &Index) -> Result<(), Error> {
    shared.change(Change::DropIndex {
        database: shared.database,
        table: table.id,
        id: index.id,
    })?;
    match table.constraints.iter().any(|of| of.name == index.name) {
        false => Ok(()),
        true => shared.change(Change::DropConstraint {
            database: shared.database,
            table: table.id,
            name: index.name.clone(),
        }),
    }
}

/// SET LOGGED and UNLOGGED: what a table was asked to be; rows are logged in any case.
pub(super) fn set_logged(shared: &Arc<Shared>, table: &Table, logged: bool) -> Result<(), Error> {
    let persistence = match (table.persistence, logged) {
        (Persistence::Temporary(_), _) => {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!(
                    "cannot change logged status of table \"{}\" because it is temporary",
                    table.name
                ),
            )
            .detail("This table is temporary."));
        }
        (Persistence::Permanent, true) | (Persistence::Unlogged, false) => return Ok(()),
        (_, true) => Persistence::Permanent,
        (_, false) => Persistence::Unlogged,
    };
    let home = shared.home()?;
    let refused = |what: &str, other: &str| {
        Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!(
                "could not change table \"{}\" to {what} because it references {} table \"{other}\"",
                table.name,
                if logged { "unlogged" } else { "logged" },
            ),
        )
    };
    if logged {
        let references = table.constraints.iter();
        let references = references.filter_map(|of| of.kind.reference());
        for parent in references.filter_map(|of| home.tables.get(&of.table)) {
            if parent.id != table.id && parent.persistence == Persistence::Unlogged {
                return Err(refused("logged", &parent.name));
            }
        }
    } else {
        for (child, _) in referring(&home, table.id) {
            if child.id != table.id && child.persistence == Persistence::Permanent {
                return Err(refused("unlogged", &child.name));
            }
        }
    }
    shared.change(Change::SetPersistence {
        database: shared.database,
        table: table.id,
        persistence,
    })
}
