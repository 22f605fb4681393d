//! CREATE and DROP of functions and procedures.

use std::sync::Arc;

use chronolith_catalog::{
    ArgMode, Change, Database, Privilege, Promises, Rights, Routine, RoutineArg, RoutineResult,
    Volatility,
};
use chronolith_sql::{
    AlterRoutine, CreateRoutine, Name, ObjectKind, RoutineAction, RoutineMarks, SqlText,
};
use chronolith_types::{RoutineId, SqlState, SqlType};

use super::declared::{declared, domain_of, row_type, tell_like};
use super::dependents::{Dependents, calls};
use super::named::{missing, routine_named};
use super::run::owner;
use super::table::check_name;
use crate::bind::{bind_arguments, castable, deparse};
use crate::catalogs::quoted;
use crate::error::Error;
use crate::functions::CastContext;
use crate::session::{Ready, SessionNames, Shared, ready, refuse, row_of};
use crate::settings::{self, Scope};

const INVALID_FUNCTION_DEFINITION: SqlState = SqlState::new(b"42P13");

pub(super) fn create(shared: &Arc<Shared>, create: &CreateRoutine) -> Result<(), Error> {
    let name = create.name.name();
    check_name(name)?;
    let language = match create.language.as_deref() {
        Some(known @ ("sql" | "plpgsql")) => known,
        None => return Err(wrong("no language specified")),
        Some(known @ ("c" | "internal")) => {
            return Err(Error::unsupported(format!("language {known}")));
        }
        Some(other) => {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("language \"{other}\" does not exist"),
            ));
        }
    };
    shared.check_language(language)?;
    let body = create
        .body
        .clone()
        .ok_or_else(|| wrong("no function body specified"))?;
    if create.plain_body && language != "sql" {
        return Err(wrong(
            "inline SQL function body only valid for language SQL",
        ));
    }
    let home = shared.home()?;
    let args = arguments(shared, &home, create)?;
    let schema = shared.creation_schema(create.name.schema())?;
    let mut routine = Routine {
        id: RoutineId(0),
        schema,
        name: name.to_owned(),
        owner: owner(shared)?,
        result: result_of(shared, &home, create, &args)?,
        args,
        language: language.to_owned(),
        body,
        strict: false,
        volatility: Volatility::Volatile,
        security_definer: false,
        comment: None,
        settings: Vec::new(),
        plain_body: create.plain_body,
        promises: Promises::default(),
    };
    mark(shared, &mut routine, &create.marks)?;
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
            routine.comment.clone_from(&known.comment);
        }
        Some(_) => {
            return Err(Error::new(
                SqlState::DUPLICATE_FUNCTION,
                format!("function \"{name}\" already exists with same argument types"),
            ));
        }
    }
    shared.change(Change::CreateRoutine {
        database: shared.database,
        routine: Box::new(routine.clone()),
        replace: known.is_some(),
    })?;
    // It may call itself.
    check_body(shared, &Arc::new(routine)).map_err(|error| match error.context {
        None if language == "sql" => error.context(format!("SQL function \"{name}\"")),
        _ => error,
    })
}

/// The arguments as they are kept.
fn arguments(
    shared: &Arc<Shared>,
    home: &Database,
    create: &CreateRoutine,
) -> Result<Vec<RoutineArg>, Error> {
    let mut args: Vec<RoutineArg> = Vec::with_capacity(create.args.len());
    for arg in &create.args {
        let mode = match arg.mode {
            Some("out") => ArgMode::Out,
            Some("inout") => ArgMode::InOut,
            Some("variadic") => ArgMode::Variadic,
            Some("table") => ArgMode::Table,
            _ => ArgMode::In,
        };
        if mode != ArgMode::Table
            && args.iter().any(|known| known.mode == ArgMode::Variadic)
            && mode.goes_in()
        {
            return Err(wrong("VARIADIC parameter must be the last input parameter"));
        }
        let (mut ty, relation) = declared(shared, home, &arg.ty)?;
        tell_like(shared, &arg.ty, &ty);
        if let Some(relation) = relation {
            ty = row_type(shared, home, relation)?;
        }
        if mode == ArgMode::Variadic && !matches!(ty, SqlType::Array(_) | SqlType::AnyArray) {
            return Err(wrong("VARIADIC parameter must be an array"));
        }
        if ty == SqlType::Void || ty == SqlType::Trigger {
            return Err(wrong(&match create.procedure {
                true => format!("procedures cannot accept type {ty}"),
                false => format!("SQL functions cannot have arguments of type {ty}"),
            }));
        }
        if mode.goes_in()
            && arg.default.is_none()
            && args.iter().any(|known| known.default.is_some())
        {
            return Err(wrong(
                "input parameters after one with a default value must also have defaults",
            ));
        }
        if !mode.goes_in() && arg.default.is_some() {
            return Err(wrong("only input parameters can have default values"));
        }
        let clashes = |known: &&RoutineArg| {
            // A column of the result may be called as an argument is only where the two are one.
            known.name == arg.name
        };
        if arg.name.as_deref().is_some_and(|name| !name.is_empty())
            && args.iter().any(|known| clashes(&known))
        {
            let name = arg.name.as_deref().unwrap_or_default();
            return Err(wrong(&format!(
                "parameter name \"{name}\" used more than once"
            )));
        }
        let default = match &arg.default {
            Some(default) => Some(default_of(shared, default, &ty)?),
            None => None,
        };
        args.push(RoutineArg {
            name: arg.name.clone().filter(|name| !name.is_empty()),
            ty,
            default,
            mode,
            domain: domain_of(shared, &arg.ty)?,
        });
    }
    Ok(args)
}

/// The text of a default, which must be a value of its argument's type.
fn default_of(shared: &Arc<Shared>, default: &SqlText, ty: &SqlType) -> Result<String, Error> {
    let names = SessionNames::new(shared)?;
    if ty.is_pseudo() {
        return Ok(default.text.clone());
    }
    let bound = bind_arguments(&names, &[(default.expr.clone(), ty.clone())], &[]);
    bound.map_err(|mut error| {
        if error.code == SqlState::DATATYPE_MISMATCH {
            error.message = format!("argument of DEFAULT must be type {ty}");
        }
        error
    })?;
    // As it is shown, and so that later settings make nothing else of it.
    let shown = deparse(&names, &default.text, &[], Some(ty), false);
    Ok(shown.unwrap_or_else(|| default.text.clone()))
}

/// What a function gives; None for a procedure.
fn result_of(
    shared: &Arc<Shared>,
    home: &Database,
    create: &CreateRoutine,
    args: &[RoutineArg],
) -> Result<Option<RoutineResult>, Error> {
    if create.procedure {
        return Ok(None);
    }
    let outputs: Vec<_> = args.iter().filter(|arg| arg.mode.comes_out()).collect();
    let implied = match outputs.as_slice() {
        [] => None,
        [only] => Some(only.ty.clone()),
        _ => Some(SqlType::Record),
    };
    let Some(returns) = &create.returns else {
        return match implied {
            Some(ty) => Ok(Some(RoutineResult {
                ty,
                set: false,
                relation: None,
                domain: None,
            })),
            None => Err(wrong("function result type must be specified")),
        };
    };
    let Some(ty) = &returns.ty else {
        if outputs.iter().any(|arg| arg.mode != ArgMode::Table) {
            return Err(wrong(
                "OUT and INOUT arguments aren't allowed in TABLE functions",
            ));
        }
        return Ok(implied.map(|ty| RoutineResult {
            ty,
            set: true,
            relation: None,
            domain: None,
        }));
    };
    let domain = domain_of(shared, ty)?;
    let like = ty;
    let (ty, relation) = declared(shared, home, ty)?;
    tell_like(shared, like, &ty);
    if let Some(implied) = implied
        && implied != ty
    {
        return Err(wrong(&format!(
            "function result type must be {implied} because of OUT parameters"
        )));
    }
    Ok(Some(RoutineResult {
        ty,
        set: returns.set,
        relation,
        domain,
    }))
}

/// What CREATE and ALTER FUNCTION say beside.
fn mark(shared: &Arc<Shared>, routine: &mut Routine, marks: &RoutineMarks) -> Result<(), Error> {
    let said = marks.volatility.is_some() || marks.strict.is_some();
    if routine.is_procedure() && said {
        return Err(wrong("invalid attribute in procedure definition"));
    }
    match marks.volatility {
        Some("immutable") => routine.volatility = Volatility::Immutable,
        Some("stable") => routine.volatility = Volatility::Stable,
        Some(_) => routine.volatility = Volatility::Volatile,
        None => {}
    }
    routine.strict = marks.strict.unwrap_or(routine.strict);
    routine.security_definer = marks.security_definer.unwrap_or(routine.security_definer);
    if let Some(leakproof) = marks.leakproof {
        let catalog = shared.catalog();
        let role = catalog.roles.get(&shared.role(&catalog)?);
        let superuser = role.is_some_and(|role| role.privileges.contains(&Privilege::Superuser));
        if leakproof && !superuser {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "only superuser can define a leakproof function",
            ));
        }
        routine.promises.leakproof = leakproof;
    }
    if let Some(cost) = &marks.cost {
        if cost.parse::<f64>().is_ok_and(|cost| cost <= 0.0) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "COST must be positive",
            ));
        }
        routine.promises.cost = Some(cost.clone());
    }
    if let Some(rows) = &marks.rows {
        if !routine.result.as_ref().is_some_and(|result| result.set) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "ROWS is not applicable when function does not return a set",
            ));
        }
        routine.promises.rows = Some(rows.clone());
    }
    if let Some(parallel) = marks.parallel {
        routine.promises.parallel = Some(parallel).filter(|letter| *letter != 'u');
    }
    for change in &marks.settings {
        if change.name == "all" {
            routine.settings.clear();
            continue;
        }
        let shown = known(&change.name).to_owned();
        routine.settings.retain(|(name, _)| *name != shown);
        if let Some(value) = &change.value {
            // A value that cannot be is refused now.
            shared.may_set(&change.name)?;
            shared.with(|state| {
                let mut trial = state.settings.clone();
                trial.set(&change.name, value, Scope::Local)
            })?;
            routine.settings.push((shown, value.clone()));
        }
    }
    Ok(())
}

/// A setting as it is spelled in the list of settings.
fn known(name: &str) -> &str {
    let found = settings::known()
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(name));
    found.map_or(name, |known| known.name)
}

/// ALTER FUNCTION and its kin.
pub(super) fn alter(shared: &Arc<Shared>, alter: &AlterRoutine) -> Result<(), Error> {
    let types = alter.signature.as_deref();
    let found = routine_named(shared, alter.kind, &alter.name, types)?;
    let found = found.ok_or_else(|| missing(alter.kind, &alter.name, types))?;
    let mut routine = Routine::clone(&found);
    match &alter.action {
        RoutineAction::Rename(to) => {
            check_name(&to.value)?;
            shared.check_schema(routine.schema, Rights::CREATE)?;
            routine.name.clone_from(&to.value);
        }
        RoutineAction::Owner(to) => {
            routine.owner = super::alter::role_of(shared, &to.value)?;
        }
        RoutineAction::Schema(to) => {
            routine.schema = shared.creation_schema(Some(&to.value))?;
        }
        RoutineAction::Marks(marks) => mark(shared, &mut routine, marks)?,
    }
    let home = shared.home()?;
    let taken = home
        .routines_named(routine.schema, &routine.name)
        .any(|other| other.id != routine.id && other.types().eq(routine.types()));
    if taken {
        let schema = home.schemas.get(&routine.schema);
        return Err(Error::new(
            SqlState::DUPLICATE_FUNCTION,
            format!(
                "function {} already exists in schema \"{}\"",
                signature(&routine),
                schema.map_or("", |schema| schema.name.as_str())
            ),
        ));
    }
    shared.change(Change::CreateRoutine {
        database: shared.database,
        routine: Box::new(routine),
        replace: true,
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
    let lost = known
        .args
        .iter()
        .zip(&new.args)
        .any(|(old, new)| old.default.is_some() && new.default.is_none());
    if lost {
        return Err(
            wrong("cannot remove parameter defaults from existing function").hint(format!(
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
    let check = shared.with(|state| state.settings.get("check_function_bodies") != Some("off"));
    if routine.language != "sql" {
        return crate::routines::check(shared, routine);
    }
    if routine.is_trigger() {
        return Err(wrong("SQL functions cannot return type trigger"));
    }
    let statements = chronolith_sql::parse(&routine.body)?;
    let types: Vec<Option<SqlType>> = routine.types().cloned().map(Some).collect();
    let polymorphic = types.iter().flatten().any(SqlType::is_pseudo);
    let result = routine.result.as_ref().filter(|_| !polymorphic);
    if !check || polymorphic {
        return Ok(());
    }
    let mut last = None;
    for parsed in &statements {
        refuse(&parsed.statement, &parsed.tag)?;
        let names = SessionNames::of_routine(shared, routine)?;
        let bound = ready(shared, &names, &parsed.statement, &types);
        last = Some(bound.map_err(|mut error| {
            error.position = None;
            error
        })?);
    }
    let Some(result) = result.filter(|result| result.ty != SqlType::Void) else {
        return Ok(());
    };
    let mismatch = |detail: String| {
        let rows = result.relation.and_then(|relation| {
            let home = shared.home().ok()?;
            row_type(shared, &home, relation).ok()
        });
        wrong(&format!(
            "return type mismatch in function declared to return {}",
            rows.as_ref().unwrap_or(&result.ty)
        ))
        .detail(detail)
    };
    let given = last.as_ref().and_then(Ready::columns);
    let Some(given) = given else {
        return Err(mismatch(
            "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."
                .to_owned(),
        ));
    };
    let fits = |from: &SqlType, to: &SqlType| {
        *from == SqlType::Unknown || castable(from, to, CastContext::Assignment)
    };
    let home = shared.home()?;
    let outputs: Vec<SqlType> = match result.relation {
        Some(relation) => row_of(shared, &home, relation)
            .unwrap_or_default()
            .into_iter()
            .map(|(_, ty)| ty)
            .collect(),
        None => routine.outputs().map(|arg| arg.ty.clone()).collect(),
    };
    if result.ty != SqlType::Record {
        return match given.as_slice() {
            [only] if fits(only, &result.ty) => Ok(()),
            [only] => Err(mismatch(format!("Actual return type is {only}."))),
            _ => Err(mismatch(
                "Final statement must return exactly one column.".to_owned(),
            )),
        };
    }
    let row = |ty: &SqlType| {
        let fields = ty.fields().map(<[_]>::len);
        *ty == SqlType::Record || fields == Some(outputs.len())
    };
    if outputs.is_empty() || matches!(given.as_slice(), [only] if row(only)) {
        return Ok(());
    }
    let pairs = given.iter().zip(&outputs).enumerate();
    for (place, (from, to)) in pairs {
        if !fits(from, to) {
            return Err(mismatch(format!(
                "Final statement returns {from} instead of {to} at column {}.",
                place + 1
            )));
        }
    }
    match given.len().cmp(&outputs.len()) {
        std::cmp::Ordering::Less => Err(mismatch(
            "Final statement returns too few columns.".to_owned(),
        )),
        std::cmp::Ordering::Greater => Err(mismatch(
            "Final statement returns too many columns.".to_owned(),
        )),
        std::cmp::Ordering::Equal => Ok(()),
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
    types: Option<&[SqlType]>,
    cascade: bool,
) -> Result<(), Error> {
    let found = routine_named(shared, kind, name, types)?;
    if let Some(found) = found.as_ref().filter(|_| cascade) {
        let readers = readers_of(shared, found)?;
        let lines = readers.iter();
        let lines: Vec<String> = lines
            .map(|(trigger, table)| format!("drop cascades to trigger {trigger} on {table}"))
            .collect();
        super::trigger::drop_of(shared, found.id)?;
        super::drop::tell_dropped(shared, lines);
    }
    match found {
        Some(found) if !readers_of(shared, &found)?.is_empty() => Err(depended(shared, &found)?),
        Some(found) => {
            let home = shared.home()?;
            let callers = Dependents::of(shared, &home, calls(shared, &home, &found));
            let dropped = format!("{} {}", kind_of(&found), signature(&found));
            // First: who may not drop it is told so, and not who calls it.
            shared.change(Change::DropRoutine {
                database: shared.database,
                id: found.id,
            })?;
            callers.settle(shared, &dropped, cascade)?;
            callers.drop(shared)
        }
        None => Err(missing(kind, name, types)),
    }
}

/// The triggers that call a function, with what they are on.
fn readers_of(shared: &Arc<Shared>, routine: &Routine) -> Result<Vec<(String, String)>, Error> {
    let home = shared.home()?;
    let mut found = Vec::new();
    for (table, triggers) in &home.triggers {
        for trigger in triggers.iter().filter(|known| known.function == routine.id) {
            let name = match (home.tables.get(table), home.views.get(table)) {
                (Some(table), _) => format!("table {}", table.name),
                (None, Some(view)) => format!("view {}", view.name),
                (None, None) => String::new(),
            };
            found.push((trigger.name.clone(), name));
        }
    }
    Ok(found)
}

/// 2BP01 for a function that triggers call.
fn depended(shared: &Arc<Shared>, routine: &Routine) -> Result<Error, Error> {
    let called = signature(routine);
    let lines: Vec<String> = readers_of(shared, routine)?
        .into_iter()
        .map(|(trigger, table)| {
            format!("trigger {trigger} on {table} depends on function {called}")
        })
        .collect();
    Ok(Error::new(
        SqlState::new(b"2BP01"),
        format!("cannot drop function {called} because other objects depend on it"),
    )
    .detail(lines.join("\n"))
    .hint("Use DROP ... CASCADE to drop the dependent objects too."))
}
