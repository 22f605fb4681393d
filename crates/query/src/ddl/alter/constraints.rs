//! Constraints and computed columns that ALTER TABLE adds, checks and drops.

use std::sync::Arc;

use chronolith_catalog::{Change, Column, ConstraintKind, Table};
use chronolith_sql::{Constraint, ConstraintKind as DeclaredKind, Spelled};
use chronolith_types::{SqlState, TableId};

use super::super::table::constraint_of;
use super::super::{constraint, drop, hypertable};
use super::change_column;
use crate::error::Error;
use crate::insert::{Checks, Uniques, hold_exclusions};
use crate::references;
use crate::session::Shared;

pub(in crate::ddl) fn add_constraint(
    shared: &Arc<Shared>,
    table: &Table,
    declared: &Constraint,
) -> Result<(), Error> {
    if let DeclaredKind::UsingIndex { primary, index } = &declared.kind {
        return constraint::using_index(shared, table, declared, *primary, index);
    }
    let (constraint, index) = constraint_of(shared, table, declared)?;
    let kind = constraint.kind.clone();
    if let ConstraintKind::PrimaryKey { columns } = &kind {
        for column in table.columns.iter().filter(|c| columns.contains(&c.id)) {
            if !column.not_null {
                let mut column = column.clone();
                column.not_null = true;
                change_column(shared, table.id, column)?;
            }
        }
    }
    let name = constraint.name.clone();
    if let Some(index) = index.as_ref().filter(|index| index.nulls_alike) {
        Uniques::of_one(shared, table, index)?.hold_all(shared)?;
    }
    shared.change(Change::AddConstraint {
        database: shared.database,
        table: table.id,
        constraint,
    })?;
    if let Some(index) = index {
        shared.change(Change::CreateIndex {
            database: shared.database,
            table: table.id,
            index,
        })?;
    }
    if !declared.timing.not_valid {
        hold_all(shared, table.id, &name)?;
    }
    Ok(())
}

/// A new check is held against the rows that are there.
pub(super) fn hold_all(shared: &Arc<Shared>, id: TableId, name: &str) -> Result<(), Error> {
    let table = hypertable::table_of(shared, id)?;
    let found = table.constraints.iter().find(|of| of.name == name);
    match found.map(|found| (found, &found.kind)) {
        Some((_, ConstraintKind::Check { .. })) => {}
        Some((found, ConstraintKind::ForeignKey(_))) => {
            return references::hold_all(shared, &table, found);
        }
        Some((_, ConstraintKind::Exclude { .. })) => {
            return hold_exclusions(shared, &table, Some(name));
        }
        _ => return Ok(()),
    }
    let checks = Checks::of(shared, &table)?;
    checks.hold_all(shared).map_err(|error| {
        let mut told = Error::new(
            error.code,
            format!(
                "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                table.name
            ),
        );
        (told.schema, told.table) = (error.schema, error.table);
        told.constraint = Some(name.to_owned());
        told
    })
}

/// VALIDATE CONSTRAINT: what was not held against the rows that are there now is.
pub(super) fn validate(shared: &Arc<Shared>, table: &Table, name: &Spelled) -> Result<(), Error> {
    let found = table.constraints.iter().find(|c| c.name == name.value);
    let Some(found) = found else {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "constraint \"{}\" of relation \"{}\" does not exist",
                name.value, table.name
            ),
        ));
    };
    if matches!(
        found.kind,
        ConstraintKind::PrimaryKey { .. }
            | ConstraintKind::Unique { .. }
            | ConstraintKind::Exclude { .. }
    ) {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!(
                "constraint \"{}\" of relation \"{}\" is not a foreign key or check constraint",
                name.value, table.name
            ),
        ));
    }
    if !found.marks.not_valid {
        return Ok(());
    }
    let mut valid = found.clone();
    valid.marks.not_valid = false;
    hold_all(shared, table.id, &name.value)?;
    replace_constraint(shared, table.id, valid)
}

/// A constraint in place of the one of its name.
pub(in crate::ddl) fn replace_constraint(
    shared: &Arc<Shared>,
    table: TableId,
    constraint: chronolith_catalog::Constraint,
) -> Result<(), Error> {
    let database = shared.database;
    shared.change(Change::DropConstraint {
        database,
        table,
        name: constraint.name.clone(),
    })?;
    shared.change(Change::AddConstraint {
        database,
        table,
        constraint,
    })
}

/// 42601 where a column's values come from elsewhere than a default.
pub(super) fn refuse_computed(table: &Table, column: &Column, set: bool) -> Result<(), Error> {
    let (what, hint) = if column.identity.is_some() {
        ("an identity column", "DROP IDENTITY")
    } else if column.generated.is_some() {
        ("a generated column", "DROP EXPRESSION")
    } else {
        return Ok(());
    };
    let refused = Error::new(
        SqlState::SYNTAX_ERROR,
        format!(
            "column \"{}\" of relation \"{}\" is {what}",
            column.name, table.name
        ),
    );
    Err(match set {
        true => refused,
        false => refused.hint(format!(
            "Use ALTER TABLE ... ALTER COLUMN ... {hint} instead."
        )),
    })
}

pub(super) fn drop_constraint(
    shared: &Arc<Shared>,
    table: &Table,
    name: &Spelled,
    if_exists: bool,
    cascade: bool,
) -> Result<(), Error> {
    let found = table.constraints.iter().find(|c| c.name == name.value);
    let Some(found) = found else {
        let message = format!(
            "constraint \"{}\" of relation \"{}\" does not exist",
            name.value, table.name
        );
        let missing = Error::new(SqlState::UNDEFINED_OBJECT, message);
        if if_exists {
            shared.skip(&missing);
            return Ok(());
        }
        return Err(missing);
    };
    let on = drop::label(shared, "table", &table.name, table.id.0);
    let shown = format!("constraint {} on {on}", found.name);
    drop::drop_references(shared, table, found, &shown, cascade)?;
    let key = found.kind.unique_columns().is_some();
    let index = table.indexes.iter().find(|i| i.name == name.value);
    if let Some(index) = index.filter(|_| key) {
        shared.change(Change::DropIndex {
            database: shared.database,
            table: table.id,
            id: index.id,
        })?;
    }
    shared.change(Change::DropConstraint {
        database: shared.database,
        table: table.id,
        name: name.value.clone(),
    })
}
