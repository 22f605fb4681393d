//! What the types of arguments, results and variables stand for.

use std::sync::Arc;

use chronolith_catalog::Database;
use chronolith_sql::{Name, TypeRef};
use chronolith_types::{SqlState, SqlType, TableId, TypeId, UserKind, UserType};

use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, row_of};

/// What a type stands for: itself, or the rows of a relation.
pub(crate) fn declared(
    shared: &Arc<Shared>,
    home: &Database,
    ty: &TypeRef,
) -> Result<(SqlType, Option<TableId>), Error> {
    let missing = |name: &Name| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{name}\" does not exist"),
        )
    };
    match ty {
        TypeRef::Known(ty) => Ok((shared.declared_type(ty)?.without_typmod(), None)),
        TypeRef::Named(name) if let Some(own) = own_type(shared, name)? => Ok(own),
        TypeRef::Named(name) => match relation(shared, name.schema(), name.name())? {
            Some(found) => Ok((SqlType::Record, Some(found))),
            None => Err(missing(name)),
        },
        TypeRef::Like(name) => {
            let (column, of) = match name.parts.as_slice() {
                [of @ .., column] if !of.is_empty() => (column, of),
                _ => return Err(missing(name)),
            };
            let (schema, table) = match of {
                [.., schema, table] => (Some(schema.as_str()), table),
                [table] => (None, table),
                [] => return Err(missing(name)),
            };
            let found = relation(shared, schema, table)?.ok_or_else(|| {
                Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{}\" does not exist", of.join(".")),
                )
            })?;
            let columns = row_of(shared, home, found).unwrap_or_default();
            let found = columns.into_iter().find(|(name, _)| name == column);
            match found {
                Some((_, ty)) => Ok((ty.without_typmod(), None)),
                None => Err(Error::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{column}\" of relation \"{table}\" does not exist"),
                )),
            }
        }
    }
}

/// A notice of what `%TYPE` is: it does not follow the column.
pub(super) fn tell_like(shared: &Arc<Shared>, ty: &TypeRef, found: &SqlType) {
    if let TypeRef::Like(name) = ty {
        let message = format!(
            "type reference {}%TYPE converted to {found}",
            name.parts.join(".")
        );
        let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
        shared.notice(Severity::Notice, notice);
    }
}

/// A type of a user by its name; of a domain the type of its values.
fn own_type(
    shared: &Arc<Shared>,
    name: &Name,
) -> Result<Option<(SqlType, Option<TableId>)>, Error> {
    match shared.find_type(name.schema(), name.name())? {
        // A row is known by its fields, as that of a table is.
        Some(found) if let Some(relation) = found.relation() => {
            Ok(Some((SqlType::Record, Some(TableId(relation)))))
        }
        Some(found) => Ok(Some((found.sql_type(), None))),
        None => Ok(None),
    }
}

/// The domain that a type is.
pub(crate) fn domain_of(shared: &Arc<Shared>, ty: &TypeRef) -> Result<Option<TypeId>, Error> {
    let TypeRef::Named(name) = ty else {
        return Ok(None);
    };
    let found = shared.find_type(name.schema(), name.name())?;
    Ok(found.filter(|ty| ty.domain().is_some()).map(|ty| ty.id))
}

/// The type of the rows of a relation, or the composite type that one is listed for.
pub(crate) fn row_type(
    shared: &Arc<Shared>,
    home: &Database,
    relation: TableId,
) -> Result<SqlType, Error> {
    let mut types = home.types.values();
    if let Some(found) = types.find(|ty| ty.relation() == Some(relation.0)) {
        return Ok(found.sql_type());
    }
    let gone = || Error::internal("the rows of a relation that is gone");
    let mut fields = row_of(shared, home, relation).ok_or_else(gone)?;
    let columns = home.tables.get(&relation).map_or(&[][..], |of| &of.columns);
    for ((_, field), column) in fields.iter_mut().zip(columns) {
        if let Some(domain) = column.domain.and_then(|domain| home.types.get(&domain)) {
            *field = domain.item_type();
        }
    }
    let table = home.tables.get(&relation).map(|table| table.name.clone());
    let view = || home.views.get(&relation).map(|view| view.name.clone());
    let (oid, array) = crate::catalogs::row_types_of(relation.0);
    Ok(SqlType::User(Arc::new(UserType {
        oid,
        array,
        name: table.or_else(view).ok_or_else(gone)?,
        kind: UserKind::Composite(fields),
    })))
}

/// A table or view by its name.
fn relation(
    shared: &Arc<Shared>,
    schema: Option<&str>,
    name: &str,
) -> Result<Option<TableId>, Error> {
    if let Some(table) = shared.find_table(schema, name)? {
        return Ok(Some(table.id));
    }
    Ok(shared.find_view(schema, name)?.map(|view| view.id))
}
