//! The routine that a statement names: as FUNCTION, PROCEDURE or ROUTINE, with its types or without.

use std::sync::Arc;

use chronolith_catalog::Routine;
use chronolith_sql::{Name, ObjectKind};
use chronolith_types::{SqlState, SqlType};

use super::drop::schemas;
use super::routine::{kind_of, signature};
use crate::error::Error;
use crate::session::Shared;

fn word_of(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Procedure => "procedure",
        ObjectKind::Routine => "routine",
        _ => "function",
    }
}

/// The routine of a name, and of types where they are given; None where there is none.
///
/// # Errors
/// 42725 for several of a name, 42809 for one of another kind.
pub(crate) fn routine_named(
    shared: &Arc<Shared>,
    kind: ObjectKind,
    name: &Name,
    types: Option<&[SqlType]>,
) -> Result<Option<Arc<Routine>>, Error> {
    let home = shared.home()?;
    let word = word_of(kind);
    let of_kind = |known: &Routine| kind == ObjectKind::Routine || kind_of(known) == word;
    let types = match types {
        Some(types) => {
            let known = types.iter().map(|ty| shared.declared_type(ty));
            let known = known.map(|ty| ty.map(|ty| ty.without_typmod()));
            Some(known.collect::<Result<Vec<_>, _>>()?)
        }
        None => None,
    };
    for schema in schemas(shared, &home, name.schema())? {
        let fits = |known: &&Arc<Routine>| match &types {
            // A procedure may also be named with what comes out of it.
            Some(types) => {
                known.types().eq(types)
                    || (known.is_procedure() && known.args.iter().map(|arg| &arg.ty).eq(types))
            }
            // A name alone means those of the statement's kind.
            None => of_kind(known),
        };
        let mut found = home.routines_named(schema, name.name()).filter(fits);
        let Some(first) = found.next() else {
            continue;
        };
        if found.next().is_some() {
            let message = format!("{word} name \"{name}\" is not unique");
            let hint = format!("Specify the argument list to select the {word} unambiguously.");
            return Err(Error::new(SqlState::AMBIGUOUS_FUNCTION, message).hint(hint));
        }
        if !of_kind(first) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is not a {word}", signature(first)),
            ));
        }
        return Ok(Some(Arc::clone(first)));
    }
    Ok(None)
}

/// The same, which has to be there.
///
/// # Errors
/// 42883 when it is not, and as above.
pub(crate) fn routine_there(
    shared: &Arc<Shared>,
    kind: ObjectKind,
    name: &Name,
    types: Option<&[SqlType]>,
) -> Result<Arc<Routine>, Error> {
    routine_named(shared, kind, name, types)?.ok_or_else(|| missing(kind, name, types))
}

/// The words of a statement for a routine that is not there: one that is no procedure goes for a
/// function.
pub(super) fn missing(kind: ObjectKind, name: &Name, types: Option<&[SqlType]>) -> Error {
    let word = match kind {
        ObjectKind::Procedure => "procedure",
        _ => "function",
    };
    let shown = match types {
        Some(types) => {
            let types: Vec<String> = types.iter().map(SqlType::name).collect();
            format!("{word} {name}({}) does not exist", types.join(", "))
        }
        None => format!("could not find a {word} named \"{name}\""),
    };
    Error::new(SqlState::UNDEFINED_FUNCTION, shown)
}

/// What IF EXISTS says of it, with the types as the statement's words are read.
pub(super) fn passed_over(kind: ObjectKind, name: &Name, types: Option<&[SqlType]>) -> String {
    let types: Vec<String> = types.unwrap_or_default().iter().map(read).collect();
    format!(
        "{} {name}({}) does not exist, skipping",
        word_of(kind),
        types.join(",")
    )
}

/// A type as the grammar makes it of its name: those that have words of their own are the system's.
fn read(ty: &SqlType) -> String {
    let own = match ty.without_typmod() {
        SqlType::Bool => "bool",
        SqlType::Int2 => "int2",
        SqlType::Int4 => "int4",
        SqlType::Int8 => "int8",
        SqlType::Float4 => "float4",
        SqlType::Float8 => "float8",
        SqlType::Numeric(_) => "numeric",
        SqlType::Varchar(_) => "varchar",
        SqlType::Char(_) => "bpchar",
        SqlType::Timestamp(_) => "timestamp",
        SqlType::Timestamptz(_) => "timestamptz",
        SqlType::Time(_) => "time",
        SqlType::Interval(_) => "interval",
        SqlType::Array(item) => return format!("{}[]", read(&item)),
        other => return other.name(),
    };
    format!("pg_catalog.{own}")
}

/// The function without arguments of a name.
pub(super) fn named(shared: &Arc<Shared>, name: &Name) -> Result<Option<Arc<Routine>>, Error> {
    routine_named(shared, ObjectKind::Function, name, Some(&[]))
}
