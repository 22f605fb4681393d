//! Foreign keys as they are declared and shown.

use std::sync::Arc;

use chronolith_catalog::{
    Column, Constraint, ConstraintKind, Database, Reference, ReferenceAction, Rights, Table,
};
use chronolith_sql::{Constraint as Declared, ConstraintKind as DeclaredKind, Spelled};
use chronolith_types::{ColumnId, SqlState, SqlType, TableId};

use crate::error::Error;
use crate::insert::undefined_table;
use crate::session::Shared;

/// The foreign keys that refer to a table, with the tables that they are of.
pub(crate) fn referring(home: &Database, table: TableId) -> Vec<(Arc<Table>, Constraint)> {
    let mut found = Vec::new();
    for child in home.tables.values() {
        for constraint in &child.constraints {
            if constraint
                .kind
                .reference()
                .is_some_and(|reference| reference.table == table)
            {
                found.push((Arc::clone(child), constraint.clone()));
            }
        }
    }
    found
}

fn action(of: chronolith_sql::ReferenceAction) -> ReferenceAction {
    use chronolith_sql::ReferenceAction as Said;
    match of {
        Said::NoAction => ReferenceAction::NoAction,
        Said::Restrict => ReferenceAction::Restrict,
        Said::Cascade => ReferenceAction::Cascade,
        Said::SetNull => ReferenceAction::SetNull,
        Said::SetDefault => ReferenceAction::SetDefault,
    }
}

/// What a foreign key that is declared for a table refers to; the names of its columns.
///
/// # Errors
/// What PostgreSQL says of it.
pub(crate) fn of_declared(
    shared: &Arc<Shared>,
    table: &Table,
    declared: &Declared,
    name: impl Fn(&[String]) -> String,
) -> Result<(ConstraintKind, Vec<String>), Error> {
    let DeclaredKind::ForeignKey {
        columns,
        table: parent,
        referred,
        full,
        on_delete,
        on_update,
        set,
    } = &declared.kind
    else {
        return Err(Error::internal("no foreign key"));
    };
    let of_itself = parent.name() == table.name
        && shared
            .find_table(parent.schema(), parent.name())?
            .is_none_or(|found| found.id == table.id);
    let found = match of_itself {
        true => Some(Arc::new(table.clone())),
        false => shared.find_table(parent.schema(), parent.name())?,
    };
    let Some(found) = found else {
        return Err(match shared.find_view(parent.schema(), parent.name())? {
            Some(_) => Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("referenced relation \"{}\" is not a table", parent.name()),
            ),
            None => undefined_table(parent.schema(), parent.name()),
        });
    };
    let own = columns_of(table, columns)?;
    let theirs = match referred.is_empty() {
        true => primary_key(&found)?,
        false => columns_of(&found, referred)?,
    };
    if own.len() != theirs.len() {
        return Err(Error::new(
            SqlState::INVALID_FOREIGN_KEY,
            "number of referencing and referenced columns for foreign key disagree",
        ));
    }
    let ids: Vec<ColumnId> = theirs.iter().map(|column| column.id).collect();
    let keys = found.constraints.iter().filter(|constraint| {
        constraint.kind.unique_columns().is_some_and(|columns| {
            columns.len() == ids.len() && columns.iter().all(|column| ids.contains(column))
        })
    });
    let keys: Vec<&Constraint> = keys.collect();
    let mut immediate = keys.iter().copied();
    let key = immediate.find(|key| !key.marks.deferrable);
    if key.is_none() && !keys.is_empty() {
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "cannot use a deferrable unique constraint for referenced table \"{}\"",
                found.name
            ),
        ));
    }
    let Some(key) = key else {
        return Err(Error::new(
            SqlState::INVALID_FOREIGN_KEY,
            format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                found.name
            ),
        ));
    };
    if !of_itself {
        let columns = theirs.iter().map(|column| column.id.0).collect();
        shared.check_columns(found.id, Rights::REFERENCES, &columns)?;
    }
    let names: Vec<String> = own.iter().map(|column| column.name.clone()).collect();
    for (one, other) in own.iter().zip(&theirs) {
        if !comparable(&one.ty, &other.ty) {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "foreign key constraint \"{}\" cannot be implemented",
                    name(&names)
                ),
            )
            .detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                one.name, other.name, one.ty, other.ty
            )));
        }
    }
    let set = columns_of(table, set)?;
    let stranger = set
        .iter()
        .find(|column| !own.iter().any(|own| own.id == column.id));
    if let Some(stranger) = stranger {
        return Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "column \"{}\" referenced in ON DELETE SET action must be part of foreign key",
                stranger.name
            ),
        ));
    }
    let kind = ConstraintKind::ForeignKey(Box::new(Reference {
        columns: own.iter().map(|column| column.id).collect(),
        table: found.id,
        referred: ids,
        key: key.id,
        full: *full,
        on_delete: action(*on_delete),
        on_update: action(*on_update),
        set: set.iter().map(|column| column.id).collect(),
    }));
    Ok((kind, names))
}

fn columns_of<'t>(table: &'t Table, named: &[Spelled]) -> Result<Vec<&'t Column>, Error> {
    let column = |name: &Spelled| {
        let found = table.column_named(&name.value).map(|(_, column)| column);
        found.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" referenced in foreign key constraint does not exist",
                    name.value
                ),
            )
        })
    };
    named.iter().map(column).collect()
}

fn primary_key(table: &Table) -> Result<Vec<&Column>, Error> {
    let mut kinds = table.constraints.iter().map(|constraint| &constraint.kind);
    let found = kinds.find_map(|kind| match kind {
        ConstraintKind::PrimaryKey { columns } => Some(columns),
        _ => None,
    });
    let missing = || {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "there is no primary key for referenced table \"{}\"",
                table.name
            ),
        )
    };
    let columns = found.ok_or_else(missing)?;
    Ok(columns.iter().filter_map(|id| table.column(*id)).collect())
}

/// Whether values of two types may be each other's key.
fn comparable(one: &SqlType, other: &SqlType) -> bool {
    let group = |ty: &SqlType| match ty {
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Numeric(_) => 1,
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Name => 2,
        SqlType::Float4 | SqlType::Float8 => 3,
        SqlType::Date | SqlType::Timestamp(_) | SqlType::Timestamptz(_) => 4,
        _ => 0,
    };
    match (group(one), group(other)) {
        (0, _) | (_, 0) => one.without_typmod() == other.without_typmod(),
        (one, other) => one == other,
    }
}

/// What of a foreign key is said behind REFERENCES.
pub(crate) fn actions_text(reference: &Reference, names: impl Fn(&[ColumnId]) -> String) -> String {
    let mut text = String::new();
    if reference.full {
        text.push_str(" MATCH FULL");
    }
    let words = |action: ReferenceAction| match action {
        ReferenceAction::NoAction => None,
        ReferenceAction::Restrict => Some("RESTRICT"),
        ReferenceAction::Cascade => Some("CASCADE"),
        ReferenceAction::SetNull => Some("SET NULL"),
        ReferenceAction::SetDefault => Some("SET DEFAULT"),
    };
    if let Some(words) = words(reference.on_update) {
        text.push_str(" ON UPDATE ");
        text.push_str(words);
    }
    if let Some(words) = words(reference.on_delete) {
        text.push_str(" ON DELETE ");
        text.push_str(words);
        if !reference.set.is_empty() {
            text.push_str(&format!(" ({})", names(&reference.set)));
        }
    }
    text
}
