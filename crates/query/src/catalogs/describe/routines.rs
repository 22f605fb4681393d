//! Functions and procedures of users in words: `pg_get_functiondef` and its kin.

use chronolith_catalog::{Routine, Volatility};
use chronolith_types::RoutineId;

use super::definitions;
use super::names::quoted;
use crate::catalogs::context::Context;
use crate::error::Error;

fn own(context: &Context, oid: u32) -> Result<Option<&Routine>, Error> {
    let found = context.home()?.routines.get(&RoutineId(oid));
    Ok(found.map(AsRef::as_ref))
}

/// `pg_get_function_result(oid)`; None for a procedure.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn function_result(context: &Context, oid: u32) -> Result<Option<String>, Error> {
    Ok(match own(context, oid)? {
        Some(routine) => result_of(routine),
        None => definitions::function_result(oid),
    })
}

fn result_of(routine: &Routine) -> Option<String> {
    let result = routine.result.as_ref()?;
    let set = if result.set { "SETOF " } else { "" };
    Some(format!("{set}{}", result.ty))
}

/// `pg_get_function_arguments(oid)`; of the identity, without defaults.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn function_arguments(
    context: &Context,
    oid: u32,
    identity: bool,
) -> Result<Option<String>, Error> {
    Ok(match own(context, oid)? {
        Some(routine) => Some(arguments_of(routine, identity)),
        None => definitions::function_arguments(oid),
    })
}

fn arguments_of(routine: &Routine, identity: bool) -> String {
    let args = routine.args.iter().map(|arg| {
        // A procedure's are shown with their mode.
        let mode = if routine.result.is_none() { "IN " } else { "" };
        let name = arg.name.as_ref();
        let name = name.map_or_else(String::new, |name| format!("{} ", quoted(name)));
        let default = arg.default.as_ref().filter(|_| !identity);
        let default = default.map_or_else(String::new, |text| format!(" DEFAULT {text}"));
        format!("{mode}{name}{}{default}", arg.ty)
    });
    args.collect::<Vec<_>>().join(", ")
}

/// `pg_get_functiondef(oid)`.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn functiondef(context: &Context, oid: u32) -> Result<Option<String>, Error> {
    let Some(routine) = own(context, oid)? else {
        return Ok(definitions::functiondef(oid));
    };
    let schema = context.home()?.schemas.get(&routine.schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    let (kind, mark) = match routine.result {
        Some(_) => ("FUNCTION", "function"),
        None => ("PROCEDURE", "procedure"),
    };
    let returns = result_of(routine);
    let returns = returns.map_or_else(String::new, |ty| format!(" RETURNS {ty}\n"));
    let mut marks = String::new();
    marks.push_str(match routine.volatility {
        Volatility::Immutable => " IMMUTABLE",
        Volatility::Stable => " STABLE",
        Volatility::Volatile => "",
    });
    if routine.strict {
        marks.push_str(" STRICT");
    }
    if routine.security_definer {
        marks.push_str(" SECURITY DEFINER");
    }
    if !marks.is_empty() {
        marks.push('\n');
    }
    // The body must not end its own quotes.
    let mut quote = mark.to_owned();
    while routine.body.contains(&format!("${quote}$")) {
        quote.push('x');
    }
    Ok(Some(format!(
        "CREATE OR REPLACE {kind} {}.{}({})\n{returns} LANGUAGE {}\n{marks}AS ${quote}${}${quote}$\n",
        quoted(schema),
        quoted(&routine.name),
        arguments_of(routine, false),
        routine.language,
        routine.body,
    )))
}
