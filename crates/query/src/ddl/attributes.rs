//! Composite types: their fields, made and changed.

use std::sync::Arc;

use chronolith_catalog::{Change, Type, TypeBody};
use chronolith_sql::{AttributeAction, Spelled};
use chronolith_types::{SqlState, SqlType};

use super::rows::reshape;
use super::user_types::{columns_of, oid};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

/// PostgreSQL's `MaxHeapAttributeNumber`.
const FIELDS_MAX: usize = 1600;

pub(super) fn body(
    shared: &Arc<Shared>,
    declared: &[(Spelled, SqlType)],
) -> Result<TypeBody, Error> {
    let mut fields: Vec<(String, SqlType)> = Vec::with_capacity(declared.len());
    if declared.len() > FIELDS_MAX {
        return Err(Error::new(
            SqlState::new(b"54011"),
            "tables can have at most 1600 columns",
        ));
    }
    for (name, ty) in declared {
        let ty = field_type(shared, name, ty)?;
        if fields.iter().any(|(known, _)| *known == name.value) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", name.value),
            ));
        }
        fields.push((name.value.clone(), ty));
    }
    Ok(TypeBody::Composite {
        relation: oid(shared)?,
        fields,
    })
}

fn field_type(shared: &Arc<Shared>, name: &Spelled, ty: &SqlType) -> Result<SqlType, Error> {
    let declared = shared.item_type(ty)?;
    if declared.is_pseudo() {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{}\" has pseudo-type {declared}", name.value),
        ));
    }
    Ok(declared)
}

fn fields_mut(ty: &mut Type) -> Result<&mut Vec<(String, SqlType)>, Error> {
    match &mut ty.body {
        TypeBody::Composite { fields, .. } => Ok(fields),
        _ => Err(Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{}\" does not exist", ty.name),
        )),
    }
}

fn missing(of: &str, name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{name}\" of relation \"{of}\" does not exist"),
    )
}

fn taken(of: &str, name: &str) -> Error {
    Error::new(
        SqlState::DUPLICATE_COLUMN,
        format!("column \"{name}\" of relation \"{of}\" already exists"),
    )
}

pub(super) fn rename(ty: &mut Type, from: &str, to: &str) -> Result<(), Error> {
    let of = ty.name.clone();
    let fields = fields_mut(ty)?;
    let place = fields.iter().position(|(name, _)| name == from);
    let place = place.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{from}\" does not exist"),
        )
    })?;
    if fields.iter().any(|(name, _)| name == to) {
        return Err(taken(&of, to));
    }
    if let Some((name, _)) = fields.get_mut(place) {
        to.clone_into(name);
    }
    Ok(())
}

/// Fields come and go: rows that are there have NULL in the new ones.
pub(super) fn change(
    shared: &Arc<Shared>,
    mut ty: Type,
    actions: &[AttributeAction],
) -> Result<(), Error> {
    let (id, of, home) = (ty.id, ty.name.clone(), shared.home()?);
    let old = ty.sql_type();
    let fields = fields_mut(&mut ty)?;
    let mut places: Vec<Option<usize>> = (0..fields.len()).map(Some).collect();
    for action in actions {
        let find = |fields: &[(String, SqlType)], name: &Spelled| {
            fields.iter().position(|(known, _)| *known == name.value)
        };
        match action {
            AttributeAction::Add { name, ty } => {
                if find(fields, name).is_some() {
                    return Err(taken(&of, &name.value));
                }
                let field = field_type(shared, name, ty)?;
                if field.mentions(id.0) {
                    return Err(Error::new(
                        SqlState::INVALID_TABLE_DEFINITION,
                        format!("composite type {of} cannot be made a member of itself"),
                    ));
                }
                fields.push((name.value.clone(), field));
                places.push(None);
            }
            AttributeAction::Drop { name, if_exists } => match find(fields, name) {
                Some(place) => {
                    fields.remove(place);
                    places.remove(place);
                }
                None if *if_exists => {
                    let error = missing(&of, &name.value);
                    let message = format!("{}, skipping", error.message);
                    let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
                    shared.notice(Severity::Notice, notice);
                }
                None => return Err(missing(&of, &name.value)),
            },
            AttributeAction::Alter { name, ty } => {
                let place = find(fields, name).ok_or_else(|| missing(&of, &name.value))?;
                if let Some((table, column)) = columns_of(&home, id).first() {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "cannot alter type \"{of}\" because column \"{}.{}\" uses it",
                            table.name, column.name
                        ),
                    ));
                }
                let field = field_type(shared, name, ty)?;
                if let Some((_, known)) = fields.get_mut(place) {
                    *known = field;
                }
            }
        }
    }
    let change = || {
        shared.change(Change::ChangeType {
            database: shared.database,
            ty: Box::new(ty.clone()),
        })
    };
    let same = old
        .fields()
        .is_some_and(|fields| fields.len() == places.len())
        && places
            .iter()
            .enumerate()
            .all(|(at, from)| *from == Some(at));
    if same {
        return change();
    }
    reshape(shared, &home, id.0, &places, change)
}
