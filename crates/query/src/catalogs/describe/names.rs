//! Objects by name and names by object: `regclass` and its kin.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use chronolith_catalog::{Database, Type};
use chronolith_types::{RoleId, RoutineId, SqlState, SqlType};

use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, Relation};
use crate::catalogs::{recorded, routines};
use crate::error::Error;

/// An identifier with the quotes it needs.
pub(crate) fn quoted(name: &str) -> Cow<'_, str> {
    static KEYWORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        recorded::lines(include_str!("../recorded/pg_get_keywords.tsv"))
            .filter(|fields| fields.get(1) != Some(&"U"))
            .filter_map(|fields| fields.first().copied())
            .collect()
    });
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.contains(name);
    if plain {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}

/// The parts of a possibly quoted and qualified name.
fn parts(text: &str) -> Result<Vec<String>, Error> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim().chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        let mut part = String::new();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next() {
                    Some('"') if rest.next_if_eq(&'"').is_some() => part.push('"'),
                    Some('"') => break,
                    Some(c) => part.push(c),
                    None => return Err(invalid()),
                }
            }
        } else {
            while let Some(c) = rest.next_if(|c| *c != '.' && *c != '"' && !c.is_whitespace()) {
                part.extend(c.to_lowercase());
            }
        }
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(invalid()),
        }
    }
}

/// Schema, if one is given, and name; a database in front must be the session's.
fn schema_and_name(context: &Context, text: &str) -> Result<(Option<String>, String), Error> {
    let mut parts = parts(text)?;
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop();
    if let Some(database) = parts.pop()
        && (database != context.home()?.name || !parts.is_empty())
    {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: {text}"),
        ));
    }
    Ok((schema, name))
}

/// The schemas that a bare name is looked for in, in order.
fn path(context: &Context) -> impl Iterator<Item = &str> {
    let path = context.search_path.iter().map(String::as_str);
    let implicit = !context.search_path.iter().any(|name| name == "pg_catalog");
    implicit.then_some("pg_catalog").into_iter().chain(path)
}

/// `pg_table_is_visible`: whether the bare name means this relation.
pub(crate) fn table_is_visible(context: &Context, oid: u32) -> Result<Option<bool>, Error> {
    let home = context.home()?;
    let found = objects::by_oid(context, oid)?;
    Ok(found.map(|relation| is_visible(context, home, relation)))
}

fn is_visible(context: &Context, home: &Database, relation: Relation<'_>) -> bool {
    let schema = relation.schema(home).1;
    let name = relation.name();
    for candidate in path(context) {
        if candidate == schema {
            return true;
        }
        if objects::by_name(home, candidate, &name).is_some() {
            return false;
        }
    }
    false
}

/// A `regclass` as text: qualified when the bare name means another relation.
pub(crate) fn regclass_out(context: &Context, oid: u32) -> Result<String, Error> {
    if oid == 0 {
        return Ok("-".to_owned());
    }
    let home = context.home()?;
    let Some(relation) = objects::by_oid(context, oid)? else {
        return Ok(oid.to_string());
    };
    Ok(shown_name(context, home, relation))
}

pub(super) fn shown_name(context: &Context, home: &Database, relation: Relation<'_>) -> String {
    if is_visible(context, home, relation) {
        quoted(&relation.name()).into_owned()
    } else {
        full_name(home, relation)
    }
}

pub(super) fn full_name(home: &Database, relation: Relation<'_>) -> String {
    let schema = relation.schema(home).1;
    format!("{}.{}", quoted(schema), quoted(&relation.name()))
}

/// Text as a number, which every `reg…` type reads as the oid.
fn number(text: &str) -> Option<u32> {
    match text.trim() {
        "-" => Some(0),
        text => text.parse().ok(),
    }
}

/// The relation that a text names; None when there is none (`to_regclass`).
///
/// # Errors
/// 42602 for what is no name.
pub(crate) fn to_regclass(context: &Context, text: &str) -> Result<Option<u32>, Error> {
    let (schema, name) = schema_and_name(context, text)?;
    let home = context.home()?;
    let find = |schema: &str| objects::by_name(home, schema, &name).map(Relation::oid);
    Ok(match schema {
        Some(schema) => find(&schema),
        None => path(context).find_map(find),
    })
}

/// Text as a `regclass`.
///
/// # Errors
/// 42P01 or 3F000 for what does not exist, 42602 for what is no name.
pub(crate) fn regclass_in(context: &Context, text: &str) -> Result<u32, Error> {
    if let Some(oid) = number(text) {
        return Ok(oid);
    }
    if let Some(oid) = to_regclass(context, text)? {
        return Ok(oid);
    }
    let (schema, name) = schema_and_name(context, text)?;
    let home = context.home()?;
    match schema {
        Some(schema) if !objects::schemas(home).any(|(_, name, _)| name == schema) => {
            Err(Error::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{schema}\" does not exist"),
            ))
        }
        Some(schema) => Err(no_relation(&format!("{schema}.{name}"))),
        None => Err(no_relation(&name)),
    }
}

fn no_relation(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_TABLE,
        format!("relation \"{name}\" does not exist"),
    )
}

/// A `regnamespace` as text.
pub(crate) fn regnamespace_out(context: &Context, oid: u32) -> Result<String, Error> {
    if oid == 0 {
        return Ok("-".to_owned());
    }
    let found = objects::schemas(context.home()?).find(|(id, ..)| *id == oid);
    Ok(found.map_or_else(|| oid.to_string(), |(_, name, _)| quoted(name).into_owned()))
}

/// The schema that a text names (`to_regnamespace`).
pub(crate) fn to_regnamespace(context: &Context, text: &str) -> Result<Option<u32>, Error> {
    let name = parts(text)?.join(".");
    let found = objects::schemas(context.home()?).find(|(_, schema, _)| *schema == name);
    Ok(found.map(|(oid, ..)| oid))
}

/// Text as a `regnamespace`.
///
/// # Errors
/// 3F000 for a schema that does not exist.
pub(crate) fn regnamespace_in(context: &Context, text: &str) -> Result<u32, Error> {
    match number(text) {
        Some(oid) => Ok(oid),
        None => to_regnamespace(context, text)?.ok_or_else(|| {
            Error::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{}\" does not exist", text.trim()),
            )
        }),
    }
}

/// A `regrole` as text.
pub(crate) fn regrole_out(context: &Context, oid: u32) -> String {
    match context.catalog.roles.get(&RoleId(oid)) {
        Some(role) => quoted(&role.name).into_owned(),
        None if oid == 0 => "-".to_owned(),
        None => oid.to_string(),
    }
}

/// The role that a text names (`to_regrole`).
pub(crate) fn to_regrole(context: &Context, text: &str) -> Result<Option<u32>, Error> {
    let name = parts(text)?.join(".");
    Ok(context.catalog.role_named(&name).map(|role| role.id.0))
}

/// Text as a `regrole`.
///
/// # Errors
/// 42704 for a role that does not exist.
pub(crate) fn regrole_in(context: &Context, text: &str) -> Result<u32, Error> {
    match number(text) {
        Some(oid) => Ok(oid),
        None => to_regrole(context, text)?.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("role \"{}\" does not exist", text.trim()),
            )
        }),
    }
}

/// `pg_get_userbyid`.
pub(crate) fn user_by_id(context: &Context, oid: u32) -> String {
    context.role_name(RoleId(oid))
}

/// The name of a type, of a relation's rows too: `format_type` and `regtype` as text.
pub(crate) fn regtype_out(context: &Context, oid: u32) -> Result<String, Error> {
    if let Some(ty) = SqlType::from_oid(oid) {
        return Ok(ty.name());
    }
    if oid == 0 {
        return Ok("-".to_owned());
    }
    let home = context.home()?;
    for ty in home.types.values() {
        if ty.id.0 == oid {
            return Ok(shown_type(context, home, ty));
        }
        if ty.array == oid {
            return Ok(format!("{}[]", shown_type(context, home, ty)));
        }
    }
    for relation in objects::relations(home) {
        let (row, array) = relation.row_types();
        if row == oid {
            return Ok(shown_name(context, home, relation));
        }
        if array == oid && array != 0 {
            return Ok(format!("{}[]", shown_name(context, home, relation)));
        }
    }
    Ok(oid.to_string())
}

/// The name of a type of a user, with its schema where the search path does not find it.
fn shown_type(context: &Context, home: &Database, ty: &Type) -> String {
    let name = quoted(&ty.name);
    let found = path(context).find_map(|schema| {
        let schema = home.schema_named(schema)?;
        home.type_named(schema.id, &ty.name)
    });
    if found.is_some_and(|found| found.id == ty.id) {
        return name.into_owned();
    }
    let schema = home.schemas.get(&ty.schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    format!("{}.{name}", quoted(schema))
}

/// The type of a user that a text names: its oid and that of its array.
fn user_type(context: &Context, text: &str) -> Result<Option<(u32, u32)>, Error> {
    let home = context.home()?;
    let (schema, name) = schema_and_name(context, text)?;
    let find = |schema: &str| {
        let schema = home.schema_named(schema)?;
        let found = home.type_named(schema.id, &name)?;
        Some((found.id.0, found.array))
    };
    Ok(match schema {
        Some(schema) => find(&schema),
        None => path(context).find_map(find),
    })
}

/// `pg_type_is_visible`: whether the bare name means this type.
pub(crate) fn type_is_visible(context: &Context, oid: u32) -> Result<bool, Error> {
    let home = context.home()?;
    let mut known = home.types.values();
    let known = known.find(|ty| ty.id.0 == oid || ty.array == oid);
    Ok(known.is_none_or(|ty| shown_type(context, home, ty) == quoted(&ty.name)))
}

/// The type that a text names, of a relation's rows too (`to_regtype`).
pub(crate) fn to_regtype(context: &Context, text: &str) -> Result<Option<u32>, Error> {
    if let Some(ty) = SqlType::parse_name(text) {
        return Ok(Some(ty.oid()));
    }
    let (bare, array) = match text.trim().strip_suffix("[]") {
        Some(bare) => (bare, true),
        None => (text, false),
    };
    if let Some((own, of_array)) = user_type(context, bare)? {
        return Ok(Some(if array { of_array } else { own }));
    }
    let Some(oid) = to_regclass(context, bare)? else {
        return Ok(None);
    };
    let found = objects::by_oid(context, oid)?;
    let types = found.map_or((0, 0), Relation::row_types);
    let oid = if array { types.1 } else { types.0 };
    Ok((oid != 0).then_some(oid))
}

/// Text as a `regtype`.
///
/// # Errors
/// 42704 for a type that does not exist.
pub(crate) fn regtype_in(context: &Context, text: &str) -> Result<u32, Error> {
    match number(text) {
        Some(oid) => Ok(oid),
        None => to_regtype(context, text)?.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{}\" does not exist", text.trim()),
            )
        }),
    }
}

/// A `regproc` as text.
pub(crate) fn regproc_out(context: &Context, oid: u32) -> Result<String, Error> {
    if oid == 0 {
        return Ok("-".to_owned());
    }
    let Some((schema, name)) = procedure_of(context, oid)? else {
        return Ok(oid.to_string());
    };
    // The bare name must find it again, and nothing else.
    Ok(if procs_along(context, None, &name)? == [oid] {
        quoted(&name).into_owned()
    } else {
        format!("{}.{}", quoted(&schema), quoted(&name))
    })
}

/// Schema and name of a function or procedure.
pub(crate) fn procedure_of(context: &Context, oid: u32) -> Result<Option<(String, String)>, Error> {
    if let Some(name) = routines::proc_name(oid) {
        let schema = routines::proc(oid).map_or("pg_catalog", |proc| proc.schema);
        return Ok(Some((schema.to_owned(), name.to_owned())));
    }
    let home = context.home()?;
    let found = home.routines.get(&RoutineId(oid));
    Ok(found.and_then(|routine| {
        let schema = home.schemas.get(&routine.schema)?;
        Some((schema.name.clone(), routine.name.clone()))
    }))
}

/// The functions and procedures that a name means: those of a schema, or along the search path.
fn procs_along(context: &Context, schema: Option<&str>, name: &str) -> Result<Vec<u32>, Error> {
    let home = context.home()?;
    let schema_of = |oid: u32| routines::proc(oid).map_or("pg_catalog", |proc| proc.schema);
    let mut found = routines::procs_named(name);
    // Without a schema, those of the system are found wherever they are.
    found.retain(|oid| schema.is_none_or(|schema| schema_of(*oid) == schema));
    let path: Vec<&str> = match schema {
        Some(schema) => vec![schema],
        None => context.search_path.iter().map(String::as_str).collect(),
    };
    for schema in path {
        if let Some(schema) = home.schema_named(schema) {
            let own = home.routines_named(schema.id, name);
            found.extend(own.map(|routine| routine.id.0));
        }
    }
    Ok(found)
}

/// A `regprocedure` as text.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn regprocedure_out(context: &Context, oid: u32) -> Result<String, Error> {
    let home = context.home()?;
    let (name, args): (String, Vec<String>) = if let Some(proc) = routines::proc(oid) {
        let args = proc.args.iter().map(SqlType::name);
        (quoted(proc.name).into_owned(), args.collect())
    } else if let Some(own) = home.routines.get(&RoutineId(oid)) {
        let schema = home.schemas.get(&own.schema);
        let hidden = schema.filter(|schema| !context.search_path.contains(&schema.name));
        let name = match hidden {
            Some(schema) => format!("{}.{}", quoted(&schema.name), quoted(&own.name)),
            None => quoted(&own.name).into_owned(),
        };
        (name, own.types().map(SqlType::name).collect())
    } else {
        return regproc_out(context, oid);
    };
    Ok(format!("{name}({})", args.join(",")))
}

/// Text as a `regproc`.
///
/// # Errors
/// 42883 for no function of the name, 42725 for several.
pub(crate) fn regproc_in(context: &Context, text: &str) -> Result<u32, Error> {
    if let Some(oid) = number(text) {
        return Ok(oid);
    }
    let (schema, name) = schema_and_name(context, text)?;
    match procs_along(context, schema.as_deref(), &name)?.as_slice() {
        [oid] => Ok(*oid),
        [] => Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function \"{}\" does not exist", text.trim()),
        )),
        _ => Err(Error::new(
            SqlState::AMBIGUOUS_FUNCTION,
            format!("more than one function named \"{}\"", text.trim()),
        )),
    }
}

/// Text as a `regprocedure`: a name with the types of its arguments.
///
/// # Errors
/// 42883 for no such function.
pub(crate) fn regprocedure_in(context: &Context, text: &str) -> Result<u32, Error> {
    if let Some(oid) = number(text) {
        return Ok(oid);
    }
    let missing = || {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function \"{}\" does not exist", text.trim()),
        )
    };
    let Some((name, types)) = text.trim().split_once('(') else {
        return Err(Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "expected a left parenthesis",
        ));
    };
    let types = types.strip_suffix(')').ok_or_else(|| {
        Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "expected a right parenthesis",
        )
    })?;
    let words = types
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let types: Option<Vec<SqlType>> = words.map(SqlType::parse_name).collect();
    let types = types.ok_or_else(missing)?;
    let (schema, name) = schema_and_name(context, name)?;
    let home = context.home()?;
    let takes = |oid: &u32| match routines::proc(*oid) {
        Some(proc) => proc.args == types,
        None => home
            .routines
            .get(&RoutineId(*oid))
            .is_some_and(|own| own.types().eq(&types)),
    };
    let found = procs_along(context, schema.as_deref(), &name)?;
    found.into_iter().find(takes).ok_or_else(missing)
}
