//! What functions tell of objects: definitions, names, sizes and comments, as plain functions.
//!
//! An oid that names nothing gives None, which is SQL's NULL.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use chronolith_catalog::{ConstraintKind, Database, Index, Table, View};
use chronolith_types::{DatabaseId, RoleId, SqlState, SqlType, TimeZone, datetime};

use super::constraints::{self, Shown, class_oid};
use super::context::{Context, Size};
use super::objects::{self, IndexKey, Relation, index_keys};
use super::routines;
use crate::error::Error;
use crate::functions::ProcKind;

// ------------------------------------------------------------------------------------------ names

/// An identifier with the quotes it needs.
pub(crate) fn quoted(name: &str) -> Cow<'_, str> {
    static KEYWORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        include_str!("recorded/keywords.txt")
            .split_ascii_whitespace()
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
    let found = objects::by_oid(home, oid);
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
    let Some(relation) = objects::by_oid(home, oid) else {
        return Ok(oid.to_string());
    };
    Ok(shown_name(context, home, relation))
}

fn shown_name(context: &Context, home: &Database, relation: Relation<'_>) -> String {
    if is_visible(context, home, relation) {
        quoted(&relation.name()).into_owned()
    } else {
        full_name(home, relation)
    }
}

fn full_name(home: &Database, relation: Relation<'_>) -> String {
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

/// The type that a text names, of a relation's rows too (`to_regtype`).
pub(crate) fn to_regtype(context: &Context, text: &str) -> Result<Option<u32>, Error> {
    if let Some(ty) = SqlType::parse_name(text) {
        return Ok(Some(ty.oid()));
    }
    let (bare, array) = match text.trim().strip_suffix("[]") {
        Some(bare) => (bare, true),
        None => (text, false),
    };
    let Some(oid) = to_regclass(context, bare)? else {
        return Ok(None);
    };
    let found = objects::by_oid(context.home()?, oid);
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
pub(crate) fn regproc_out(oid: u32) -> String {
    match routines::proc_name(oid) {
        Some(name) => quoted(name).into_owned(),
        None if oid == 0 => "-".to_owned(),
        None => oid.to_string(),
    }
}

/// A `regprocedure` as text.
pub(crate) fn regprocedure_out(oid: u32) -> String {
    match routines::proc(oid) {
        Some(proc) => {
            let args: Vec<String> = proc.args.iter().map(SqlType::name).collect();
            format!("{}({})", quoted(proc.name), args.join(","))
        }
        None => regproc_out(oid),
    }
}

/// Text as a `regproc`.
///
/// # Errors
/// 42883 for no function of the name, 42725 for several.
pub(crate) fn regproc_in(context: &Context, text: &str) -> Result<u32, Error> {
    if let Some(oid) = number(text) {
        return Ok(oid);
    }
    let (_, name) = schema_and_name(context, text)?;
    match routines::procs_named(&name).as_slice() {
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

// ------------------------------------------------------------------------------------ definitions

/// Whether an expression in parentheses is a call, which an index shows without them.
fn is_call(expression: &str) -> bool {
    let name = expression.split('(').next().unwrap_or_default();
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    // The first parenthesis must be closed by the last one.
    let mut depth = 0;
    let mut quote = false;
    let mut closed = 0;
    for c in expression.chars() {
        match c {
            '\'' => quote = !quote,
            '(' if !quote => depth += 1,
            ')' if !quote => {
                depth -= 1;
                closed += usize::from(depth == 0);
            }
            _ => {}
        }
    }
    plain && closed == 1 && expression.ends_with(')')
}

fn key_text<'a>(key: &IndexKey<'a>) -> Cow<'a, str> {
    if key.attribute != 0 {
        return quoted(key.text);
    }
    let inner = key.text.strip_prefix('(').and_then(|s| s.strip_suffix(')'));
    match inner {
        Some(call) if is_call(call) => Cow::Borrowed(call),
        _ => Cow::Borrowed(key.text),
    }
}

/// CREATE INDEX as it could be said; with the table's schema, or only where it is needed.
pub(super) fn index_text(
    context: &Context,
    table: &Table,
    index: &Index,
    qualified: bool,
) -> String {
    let keys: Vec<String> = index_keys(table, index)
        .iter()
        .map(|key| {
            let order = match (key.descending, key.nulls_first) {
                (false, false) => "",
                (false, true) => " NULLS FIRST",
                (true, true) => " DESC",
                (true, false) => " DESC NULLS LAST",
            };
            format!("{}{order}", key_text(key))
        })
        .collect();
    let relation = Relation::Table(table);
    let on = match context.home() {
        Ok(home) if qualified => full_name(home, relation),
        Ok(home) => shown_name(context, home, relation),
        Err(_) => quoted(&table.name).into_owned(),
    };
    let unique = if index.unique { "UNIQUE " } else { "" };
    let predicate = match &index.predicate {
        Some(predicate) if qualified => format!(" WHERE ({predicate})"),
        Some(predicate) => format!(" WHERE {predicate}"),
        None => String::new(),
    };
    format!(
        "CREATE {unique}INDEX {} ON {on} USING {} ({}){predicate}",
        quoted(&index.name),
        index.method,
        keys.join(", ")
    )
}

/// `pg_get_indexdef(oid, column, pretty)`; column 0 is the whole definition.
pub(crate) fn indexdef(
    context: &Context,
    oid: u32,
    column: i32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let Some(Relation::Index(table, index)) = objects::by_oid(context.home()?, oid) else {
        return Ok(None);
    };
    if column == 0 {
        return Ok(Some(index_text(context, table, index, !pretty)));
    }
    let place = usize::try_from(column - 1).ok();
    let keys = index_keys(table, index);
    let key = place.and_then(|place| keys.get(place));
    Ok(Some(
        key.map_or_else(String::new, |key| key_text(key).into_owned()),
    ))
}

/// `pg_get_constraintdef(oid, pretty)`.
pub(crate) fn constraintdef(
    context: &Context,
    oid: u32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let found = constraints::shown(context)?.find(|shown| shown.oid() == oid);
    let check = |expression: &str| {
        if pretty {
            format!("CHECK ({expression})")
        } else {
            format!("CHECK (({expression}))")
        }
    };
    Ok(found.map(|shown| match shown {
        Shown::Range(..) => check(&range_text(context, shown.relation())),
        Shown::Declared(table, constraint) => match &constraint.kind {
            ConstraintKind::PrimaryKey { columns } => {
                format!("PRIMARY KEY ({})", column_list(table, columns))
            }
            ConstraintKind::Unique { columns } => {
                format!("UNIQUE ({})", column_list(table, columns))
            }
            ConstraintKind::Check { expression } => check(expression),
        },
    }))
}

fn column_list(table: &Table, columns: &[chronolith_types::ColumnId]) -> String {
    let names: Vec<_> = columns
        .iter()
        .filter_map(|id| Some(quoted(&table.column(*id)?.name)))
        .collect();
    names.join(", ")
}

/// What the times of a chunk's rows satisfy.
pub(super) fn range_text(context: &Context, relation: Relation<'_>) -> String {
    let Relation::Chunk(table, hypertable, chunk) = relation else {
        return String::new();
    };
    let Some(time) = table.column(hypertable.time) else {
        return String::new();
    };
    let zone = context.settings.get("TimeZone").and_then(TimeZone::parse);
    let bound = |value: i64| {
        let mut text = Vec::new();
        match time.ty {
            SqlType::Timestamptz => {
                datetime::write_timestamptz(value, &zone.unwrap_or_default(), &mut text);
            }
            SqlType::Timestamp => datetime::write_timestamp(value, &mut text),
            SqlType::Date => datetime::write_date(i32::try_from(value).unwrap_or(0), &mut text),
            SqlType::Int4 => return value.to_string(),
            _ => text.extend(value.to_string().into_bytes()),
        }
        format!("'{}'::{}", String::from_utf8_lossy(&text), time.ty)
    };
    let name = quoted(&time.name);
    let mut ends = Vec::new();
    if chunk.range.start != i64::MIN {
        ends.push(format!("({name} >= {})", bound(chunk.range.start)));
    }
    if chunk.range.end != i64::MAX {
        ends.push(format!("({name} < {})", bound(chunk.range.end)));
    }
    if ends.is_empty() {
        return "true".to_owned();
    }
    ends.join(" AND ")
}

/// The query of a view, with its semicolon.
pub(super) fn view_text(view: &View) -> String {
    let query = view.query.trim().trim_end_matches(';').trim_end();
    format!(" {query};")
}

/// `pg_get_viewdef(oid)`: the query as it was written.
pub(crate) fn viewdef(context: &Context, oid: u32) -> Result<Option<String>, Error> {
    match objects::by_oid(context.home()?, oid) {
        Some(Relation::View(view)) => Ok(Some(view_text(view))),
        _ => Ok(None),
    }
}

/// `pg_get_ruledef(oid)`.
pub(crate) fn ruledef(context: &Context, oid: u32) -> Result<Option<String>, Error> {
    let home = context.home()?;
    let views = &home.views;
    let view = views.values().find(|view| objects::rule(view.id.0) == oid);
    Ok(view.map(|view| {
        let name = full_name(home, Relation::View(view));
        format!(
            "CREATE RULE \"_RETURN\" AS ON SELECT TO {name} DO INSTEAD {}",
            view_text(view)
        )
    }))
}

/// `pg_get_function_result(oid)`; None for a procedure.
pub(crate) fn function_result(oid: u32) -> Option<String> {
    let proc = routines::proc(oid)?;
    if proc.kind == ProcKind::Procedure {
        return None;
    }
    if !proc.columns.is_empty() && proc.kind == ProcKind::SetReturning {
        let columns: Vec<String> = proc
            .columns
            .iter()
            .map(|(name, ty)| format!("{} {ty}", quoted(name)))
            .collect();
        return Some(format!("TABLE({})", columns.join(", ")));
    }
    let set = if proc.kind == ProcKind::SetReturning {
        "SETOF "
    } else {
        ""
    };
    Some(format!("{set}{}", proc.result))
}

/// `pg_get_function_arguments(oid)`, and of the identity: which are the same, as the text of a default
/// is not kept.
pub(crate) fn function_arguments(oid: u32) -> Option<String> {
    let proc = routines::proc(oid)?;
    let words: Vec<String> = proc
        .args
        .iter()
        .enumerate()
        .map(|(place, ty)| {
            let variadic = proc.variadic.is_some() && place + 1 == proc.args.len();
            let mode = if variadic { "VARIADIC " } else { "" };
            let name = proc.arg_names.get(place).filter(|name| !name.is_empty());
            let name = name.map_or_else(String::new, |name| format!("{} ", quoted(name)));
            format!("{mode}{name}{ty}")
        })
        .collect();
    Some(words.join(", "))
}

// --------------------------------------------------------------------------------------- comments

/// `obj_description(oid, catalog)`.
pub(crate) fn object_comment(
    context: &Context,
    oid: u32,
    catalog: &str,
) -> Result<Option<String>, Error> {
    if catalog != "pg_class" {
        return Ok(None);
    }
    Ok(match objects::by_oid(context.home()?, oid) {
        Some(Relation::Table(table)) => table.comment.clone(),
        _ => None,
    })
}

/// `col_description(oid, column)`.
pub(crate) fn column_comment(
    context: &Context,
    oid: u32,
    column: i32,
) -> Result<Option<String>, Error> {
    let Some(Relation::Table(table)) = objects::by_oid(context.home()?, oid) else {
        return Ok(None);
    };
    let column = table.columns.iter().find(|own| i64::from(own.id.0) == i64::from(column));
    Ok(column.and_then(|column| column.comment.clone()))
}

// ------------------------------------------------------------------------------------------ sizes

/// Rows and bytes of a relation, of a hypertable with its chunks: `pg_table_size` and its kin.
///
/// Keys and indexes take no room of their own, so an index has none.
pub(crate) fn relation_size(context: &Context, oid: u32) -> Result<Option<Size>, Error> {
    let found = objects::by_oid(context.home()?, oid);
    Ok(found.map(|relation| relation.size(context)))
}

/// `pg_database_size`; None for a database that does not exist.
pub(crate) fn database_size(context: &Context, oid: u32) -> Option<Size> {
    let database = context.catalog.databases.get(&DatabaseId(oid))?;
    let mut total = Size::default();
    for table in database.tables.values() {
        total += Relation::Table(table).size(context);
    }
    Some(total)
}

/// The oid of a catalog by its name, for `obj_description` and its kin.
pub(crate) fn catalog_oid(name: &str) -> u32 {
    class_oid(name)
}
