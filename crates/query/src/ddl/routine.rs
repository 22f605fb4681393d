//! CREATE and DROP of functions and procedures.

use std::sync::Arc;

use chronolith_catalog::{Change, Routine, RoutineArg, RoutineResult, Volatility};
use chronolith_sql::{CreateRoutine, Name, ObjectKind};
use chronolith_types::{RoutineId, SqlState, SqlType};

use super::drop::schemas;
use super::run::owner;
use super::table::check_name;
use crate::catalogs::quoted;
use crate::error::Error;
use crate::session::{Ready, SessionNames, Shared, ready, refuse};

const INVALID_FUNCTION_DEFINITION: SqlState = SqlState::new(b"42P13");

pub(super) fn create(shared: &Arc<Shared>, create: &CreateRoutine) -> Result<(), Error> {
    let name = create.name.name();
    check_name(name)?;
    match create.language.as_deref() {
        Some("sql") => {}
        None => return Err(wrong("no language specified")),
        Some(known @ ("plpgsql" | "c" | "internal")) => {
            return Err(Error::unsupported(format!("language {known}")));
        }
        Some(other) => {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("language \"{other}\" does not exist"),
            ));
        }
    }
    let body = create
        .body
        .clone()
        .ok_or_else(|| wrong("no function body specified"))?;
    if !create.procedure && create.returns.is_none() {
        return Err(wrong("function result type must be specified"));
    }
    let mut args = Vec::with_capacity(create.args.len());
    for arg in &create.args {
        if let Some(mode) = arg.mode {
            return Err(Error::unsupported(format!(
                "{} as the mode of an argument",
                mode.to_uppercase()
            )));
        }
        if arg.default.is_none() && args.iter().any(|arg: &RoutineArg| arg.default.is_some()) {
            return Err(wrong(
                "input parameters after one with a default value must also have defaults",
            ));
        }
        if arg.name.is_some() && args.iter().any(|known| known.name == arg.name) {
            let name = arg.name.as_deref().unwrap_or_default();
            return Err(wrong(&format!(
                "parameter name \"{name}\" used more than once"
            )));
        }
        args.push(RoutineArg {
            name: arg.name.clone(),
            ty: shared.declared_type(&arg.ty)?.without_typmod(),
            default: arg.default.as_ref().map(|default| default.text.clone()),
        });
    }
    let schema = shared.creation_schema(create.name.schema())?;
    let mut routine = Routine {
        id: RoutineId(0),
        schema,
        name: name.to_owned(),
        owner: owner(shared)?,
        result: match &create.returns {
            Some(returns) => Some(RoutineResult {
                ty: shared.declared_type(&returns.ty)?.without_typmod(),
                set: returns.set,
            }),
            None => None,
        },
        args,
        language: "sql".to_owned(),
        body,
        strict: create.strict,
        volatility: match create.volatility {
            Some("immutable") => Volatility::Immutable,
            Some("stable") => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        security_definer: create.security_definer,
        comment: None,
    };
    let home = shared.home()?;
    let known = home
        .routines_named(schema, name)
        .find(|known| known.types().eq(routine.types()))
        .cloned();
    match &known {
        None => {
            let oid = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
            routine.id = RoutineId(oid);
        }
        Some(known) if create.or_replace => {
            replaceable(known, &routine)?;
            routine.id = known.id;
            routine.owner = known.owner;
        }
        Some(_) => {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!("function \"{name}\" already exists with same argument types"),
            ));
        }
    }
    check_body(shared, &Arc::new(routine.clone()))?;
    shared.change(Change::CreateRoutine {
        database: shared.database,
        routine: Box::new(routine),
        replace: known.is_some(),
    })
}

fn wrong(message: &str) -> Error {
    Error::new(INVALID_FUNCTION_DEFINITION, message)
}

fn replaceable(known: &Routine, new: &Routine) -> Result<(), Error> {
    if known.result.is_some() != new.result.is_some() {
        return Err(
            Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot change routine kind").detail(format!(
                "\"{}\" is a {}.",
                known.name,
                kind_of(known)
            )),
        );
    }
    if known.result != new.result {
        return Err(wrong("cannot change return type of existing function")
            .hint(format!("Use DROP FUNCTION {} first.", signature(known))));
    }
    let renamed = known
        .args
        .iter()
        .zip(&new.args)
        .find(|(old, new)| old.name.is_some() && old.name != new.name);
    if let Some((old, _)) = renamed {
        let name = old.name.as_deref().unwrap_or_default();
        return Err(
            wrong(&format!("cannot change name of input parameter \"{name}\"")).hint(format!(
                "Use DROP {} {} first.",
                kind_of(known).to_uppercase(),
                signature(known)
            )),
        );
    }
    Ok(())
}

/// Binds each statement, as PostgreSQL does unless told otherwise.
fn check_body(shared: &Arc<Shared>, routine: &Arc<Routine>) -> Result<(), Error> {
    let statements = chronolith_sql::parse(&routine.body)?;
    let check = shared.with(|state| state.settings.get("check_function_bodies") != Some("off"));
    let types: Vec<Option<SqlType>> = routine.types().cloned().map(Some).collect();
    let mut last = None;
    for parsed in &statements {
        refuse(&parsed.statement, &parsed.tag)?;
        if check {
            let names = SessionNames::of_routine(shared, routine)?;
            let bound = ready(shared, &names, &parsed.statement, &types);
            last = Some(bound.map_err(|mut error| {
                error.position = None;
                error
            })?);
        }
    }
    let Some(result) = routine.result.as_ref().filter(|_| check) else {
        return Ok(());
    };
    if result.ty == SqlType::Void {
        return Ok(());
    }
    let mismatch = |detail: String| {
        wrong(&format!(
            "return type mismatch in function declared to return {}",
            result.ty
        ))
        .detail(detail)
    };
    let Some(Ready::Query(bound)) = last else {
        return Err(mismatch(
            "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."
                .to_owned(),
        ));
    };
    match bound.columns.as_slice() {
        [only] if only.ty.without_typmod() == result.ty => Ok(()),
        [only] => Err(mismatch(format!("Actual return type is {}.", only.ty))),
        _ => Err(mismatch(
            "Final statement must return exactly one column.".to_owned(),
        )),
    }
}

/// `function` or `procedure`.
pub(super) fn kind_of(routine: &Routine) -> &'static str {
    match routine.result {
        Some(_) => "function",
        None => "procedure",
    }
}

/// Its name with the types of its arguments.
pub(super) fn signature(routine: &Routine) -> String {
    let types: Vec<String> = routine.types().map(SqlType::name).collect();
    format!("{}({})", quoted(&routine.name), types.join(","))
}

pub(super) fn drop(
    shared: &Arc<Shared>,
    kind: ObjectKind,
    name: &Name,
    types: Option<&Vec<SqlType>>,
) -> Result<(), Error> {
    let home = shared.home()?;
    let types = match types {
        Some(types) => {
            let known = types.iter().map(|ty| shared.declared_type(ty));
            Some(known.collect::<Result<Vec<_>, _>>()?)
        }
        None => None,
    };
    let types = types.as_ref();
    let word = match kind {
        ObjectKind::Procedure => "procedure",
        _ => "function",
    };
    let shown = match types {
        Some(types) => {
            let types: Vec<String> = types.iter().map(SqlType::name).collect();
            format!("{word} {name}({}) does not exist", types.join(","))
        }
        None => format!("could not find a {word} named \"{name}\""),
    };
    let missing = || Error::new(SqlState::UNDEFINED_FUNCTION, shown.clone());
    for schema in schemas(shared, &home, name.schema())? {
        let fits = |known: &&Arc<Routine>| {
            types.is_none_or(|types| {
                known.types().eq(types
                    .iter()
                    .map(SqlType::without_typmod)
                    .collect::<Vec<_>>()
                    .iter())
            })
        };
        let found: Vec<_> = home
            .routines_named(schema, name.name())
            .filter(fits)
            .collect();
        let [only] = found.as_slice() else {
            if found.is_empty() {
                continue;
            }
            return Err(Error::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("{word} name \"{name}\" is not unique"),
            )
            .hint(format!(
                "Specify the argument list to select the {word} unambiguously."
            )));
        };
        if kind_of(only) != word {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is not a {word}", signature(only)),
            ));
        }
        return shared.change(Change::DropRoutine {
            database: shared.database,
            id: only.id,
        });
    }
    Err(missing())
}
