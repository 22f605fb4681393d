//! Functions and procedures of users in words: `pg_get_functiondef` and its kin.

use std::fmt::Write as _;

use chronolith_catalog::{ArgMode, Routine, RoutineArg, Volatility};
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
        Some(routine) => result_of(context, routine)?,
        None => definitions::function_result(oid),
    })
}

fn result_of(context: &Context, routine: &Routine) -> Result<Option<String>, Error> {
    let Some(result) = routine.result.as_ref() else {
        return Ok(None);
    };
    let table: Vec<String> = routine
        .args
        .iter()
        .filter(|arg| arg.mode == ArgMode::Table)
        .map(shown)
        .collect();
    if !table.is_empty() {
        return Ok(Some(format!("TABLE({})", table.join(", "))));
    }
    let set = if result.set { "SETOF " } else { "" };
    let home = context.home()?;
    let relation = result.relation.and_then(|id| {
        let table = home.tables.get(&id).map(|table| table.name.as_str());
        let view = || home.views.get(&id).map(|view| view.name.as_str());
        let composite = || {
            let mut types = home.types.values();
            let found = types.find(|ty| ty.relation() == Some(id.0))?;
            Some(found.name.as_str())
        };
        table.or_else(view).or_else(composite)
    });
    Ok(Some(match relation {
        Some(relation) => format!("{set}{}", quoted(relation)),
        None => format!("{set}{}", result.ty),
    }))
}

/// An argument with its name.
fn shown(arg: &RoutineArg) -> String {
    let name = arg.name.as_ref();
    let name = name.map_or_else(String::new, |name| format!("{} ", quoted(name)));
    format!("{name}{}", arg.ty)
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
    let mut args = Vec::with_capacity(routine.args.len());
    for arg in &routine.args {
        if arg.mode == ArgMode::Table {
            continue;
        }
        // A procedure's are shown with their mode.
        let mode = match arg.mode {
            ArgMode::Out => "OUT ",
            ArgMode::InOut => "INOUT ",
            ArgMode::Variadic => "VARIADIC ",
            _ if routine.is_procedure() => "IN ",
            _ => "",
        };
        let default = arg.default.as_ref().filter(|_| !identity);
        let default = default.map_or_else(String::new, |text| format!(" DEFAULT {text}"));
        args.push(format!("{mode}{}{default}", shown(arg)));
    }
    args.join(", ")
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
    let returns = result_of(context, routine)?;
    let returns = returns.map_or_else(String::new, |ty| format!(" RETURNS {ty}\n"));
    let promises = &routine.promises;
    let mut marks = String::new();
    marks.push_str(match routine.volatility {
        Volatility::Immutable => " IMMUTABLE",
        Volatility::Stable => " STABLE",
        Volatility::Volatile => "",
    });
    marks.push_str(match promises.parallel {
        Some('s') => " PARALLEL SAFE",
        Some('r') => " PARALLEL RESTRICTED",
        _ => "",
    });
    if routine.strict {
        marks.push_str(" STRICT");
    }
    if routine.security_definer {
        marks.push_str(" SECURITY DEFINER");
    }
    if promises.leakproof {
        marks.push_str(" LEAKPROOF");
    }
    for (word, value, usual) in [
        ("COST", &promises.cost, "100"),
        ("ROWS", &promises.rows, "1000"),
    ] {
        if let Some(value) = value.as_ref().filter(|value| *value != usual) {
            let _ = write!(marks, " {word} {value}");
        }
    }
    if !marks.is_empty() {
        marks.push('\n');
    }
    for (name, value) in &routine.settings {
        let value = match name.as_str() {
            // A list is shown item by item.
            "search_path" => value
                .split(',')
                .map(|item| literal(item.trim().trim_matches('"')))
                .collect::<Vec<_>>()
                .join(", "),
            _ => literal(value),
        };
        let _ = writeln!(marks, " SET {} TO {value}", quoted(name));
    }
    let head = format!(
        "CREATE OR REPLACE {kind} {}.{}({})\n{returns} LANGUAGE {}\n{marks}",
        quoted(schema),
        quoted(&routine.name),
        arguments_of(routine, false),
        routine.language,
    );
    if routine.plain_body {
        return Ok(Some(format!(
            "{head}BEGIN ATOMIC\n {}\nEND\n",
            routine.body.trim()
        )));
    }
    // The body must not end its own quotes.
    let mut quote = mark.to_owned();
    while routine.body.contains(&format!("${quote}$")) {
        quote.push('x');
    }
    Ok(Some(format!(
        "{head}AS ${quote}${}${quote}$\n",
        routine.body
    )))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
