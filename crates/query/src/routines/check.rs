//! Bodies in PL/pgSQL read: when a routine is made, and when it runs.

use std::sync::{Arc, LazyLock};

use chronolith_catalog::Routine;
use chronolith_sql::plpgsql::{Block, Stmt, StmtKind, body};
use chronolith_types::{SqlState, SqlType};
use regex::Regex;

use super::plpgsql::condition;
use crate::error::Error;
use crate::session::Shared;

/// Looks whether a body can be run.
///
/// # Errors
/// 42601 for what is none, 0A000 for what is outside, 42704 for conditions that are none.
pub(crate) fn check(shared: &Arc<Shared>, routine: &Arc<Routine>) -> Result<(), Error> {
    let on = shared.with(|state| state.settings.get("check_function_bodies") != Some("off"));
    if !on {
        return Ok(());
    }
    let pseudo = |ty: &SqlType| {
        ty.is_pseudo() && !matches!(ty, SqlType::Record | SqlType::Void | SqlType::Trigger)
    };
    if routine.is_trigger() && !routine.args.is_empty() {
        return Err(Error::new(
            SqlState::new(b"42P13"),
            "trigger functions cannot have declared arguments",
        )
        .hint(
            "The arguments of the trigger can be accessed through TG_NARGS and TG_ARGV instead.",
        ));
    }
    let result = routine.result.iter().map(|result| &result.ty);
    let poly = |ty: &SqlType| {
        matches!(
            ty,
            SqlType::AnyElement
                | SqlType::AnyArray
                | SqlType::AnyRange
                | SqlType::AnyNonArray
                | SqlType::AnyCompatible
                | SqlType::AnyCompatibleArray
        )
    };
    if let Some(ty) = result.clone().find(|ty| pseudo(ty) && !poly(ty)) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("PL/pgSQL functions cannot return type {ty}"),
        ));
    }
    let read = read(&routine.body).map_err(|error| {
        let name = &routine.name;
        error.context(format!("compilation of PL/pgSQL function \"{name}\""))
    })?;
    conditions(&read)
}

/// The block that a body is.
///
/// # Errors
/// 42601 and 0A000.
pub(crate) fn read(text: &str) -> Result<Block, Error> {
    body(text).map_err(|error| {
        let mut error = Error::from(error);
        error.position = None;
        error
    })
}

/// The block of a routine, read once.
///
/// # Errors
/// As [`read`].
pub(crate) fn body_of(shared: &Shared, routine: &Routine) -> Result<Arc<Block>, Error> {
    let mut known = shared.bodies.lock();
    if let Some((text, block)) = known.get(&routine.id)
        && *text == routine.body
    {
        return Ok(Arc::clone(block));
    }
    let block = Arc::new(match routine.is_trigger() {
        true => read(&counted_from_one(&routine.body))?,
        false => read(&routine.body)?,
    });
    known.insert(routine.id, (routine.body.clone(), Arc::clone(&block)));
    Ok(block)
}

/// TG_ARGV counts from 0, and arrays here from 1: its subscripts are moved by one.
fn counted_from_one(body: &str) -> String {
    const NAME: &str = "tg_argv[";
    let folded = body.to_ascii_lowercase();
    let mut moved = String::with_capacity(body.len());
    let mut last = 0;
    for (at, name) in folded.match_indices(NAME) {
        let end = at + name.len();
        moved.push_str(body.get(last..end).unwrap_or_default());
        moved.push_str("1 + ");
        last = end;
    }
    moved.push_str(body.get(last..).unwrap_or_default());
    compared(&moved)
}

/// `OLD.* IS DISTINCT FROM NEW.*` by documents of the rows, which are equal when the rows are.
pub(super) fn compared(text: &str) -> String {
    static ROWS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?i)\b(old|new)(?:\.\*)?(\s+is\s+(?:not\s+)?distinct\s+from\s+)(old|new)(\.\*|[\s);]|$)",
        )
        .ok()
    });
    let Some(rows) = ROWS.as_ref() else {
        return text.to_owned();
    };
    let told = rows.replace_all(text, |found: &regex::Captures<'_>| {
        let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
        let end = Some(part(4)).filter(|end| *end != ".*").unwrap_or("");
        format!("to_jsonb({}){}to_jsonb({}){end}", part(1), part(2), part(3))
    });
    told.into_owned()
}

/// Every condition that a body names.
fn conditions(block: &Block) -> Result<(), Error> {
    for handler in &block.handlers {
        for name in handler.conditions.iter().filter(|name| *name != "others") {
            condition(name)?;
        }
        each(&handler.body)?;
    }
    each(&block.body)
}

fn each(body: &[Stmt]) -> Result<(), Error> {
    for statement in body {
        match &statement.kind {
            StmtKind::Block(block) => conditions(block)?,
            StmtKind::If { arms, otherwise } => {
                arms.iter().try_for_each(|arm| each(&arm.then))?;
                each(otherwise)?;
            }
            StmtKind::Case {
                arms, otherwise, ..
            } => {
                arms.iter().try_for_each(|arm| each(&arm.then))?;
                otherwise.iter().try_for_each(|body| each(body))?;
            }
            StmtKind::Loop { body, .. }
            | StmtKind::While { body, .. }
            | StmtKind::ForRange { body, .. }
            | StmtKind::ForQuery { body, .. }
            | StmtKind::ForCursor { body, .. }
            | StmtKind::ForEach { body, .. } => each(body)?,
            StmtKind::Raise(raise) => {
                if let Some(name) = &raise.condition {
                    condition(name)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
