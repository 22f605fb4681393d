//! Objects by name and names by object: `regclass` and its kin.

use std::sync::Arc;

use chronolith_catalog::{Database, Table};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::args::{Args, text};
use crate::catalogs;
use crate::error::Error;
use crate::functions::{all_procs, procs};
use crate::insert::undefined_table;
use crate::session::{Shared, no_schema};

pub(super) fn call(shared: &Arc<Shared>, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
    let given = args.text(0).unwrap_or_default();
    let (kind, lenient) = match name.strip_prefix("to_") {
        Some(kind) => (kind, true),
        None => (name, false),
    };
    if let Some(kind) = kind.strip_suffix("_out") {
        let Some(oid) = args.oid(0) else {
            return Ok(ScalarValue::Null);
        };
        return Ok(text(object_name(shared, kind, oid)?));
    }
    let kind = kind.strip_suffix("_in").unwrap_or(kind);
    if let Ok(oid) = given.parse::<u32>()
        && !lenient
    {
        return Ok(ScalarValue::UInt32(Some(oid)));
    }
    match find(shared, kind, given) {
        Ok(oid) => Ok(ScalarValue::UInt32(Some(oid))),
        Err(_) if lenient => Ok(ScalarValue::Null),
        Err(error) => Err(error),
    }
}

fn find(shared: &Arc<Shared>, kind: &str, given: &str) -> Result<u32, Error> {
    let parts = parse_name(given)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name.as_str()),
        [.., schema, name] => (Some(schema.as_str()), name.as_str()),
        [] => (None, ""),
    };
    let missing =
        |what: &str, code: SqlState| Error::new(code, format!("{what} \"{given}\" does not exist"));
    match kind {
        "regclass" => relation(shared, schema, name),
        "regtype" => SqlType::parse_name(given)
            .map(|ty| ty.oid())
            .ok_or_else(|| missing("type", SqlState::UNDEFINED_OBJECT)),
        "regnamespace" => {
            let home = shared.home()?;
            match home.schema_named(name) {
                Some(schema) => Ok(schema.id.0),
                None => catalogs::system_schema_oid(name)
                    .ok_or_else(|| missing("schema", SqlState::INVALID_SCHEMA_NAME)),
            }
        }
        "regrole" => shared
            .catalog()
            .role_named(name)
            .map(|role| role.id.0)
            .ok_or_else(|| missing("role", SqlState::UNDEFINED_OBJECT)),
        "regproc" | "regprocedure" => {
            let name = name.split('(').next().unwrap_or(name);
            procs(name)
                .first()
                .map(|found| found.oid)
                .ok_or_else(|| missing("function", SqlState::UNDEFINED_FUNCTION))
        }
        other => Err(Error::unsupported(format!("type {other}"))),
    }
}

fn relation(shared: &Arc<Shared>, schema: Option<&str>, name: &str) -> Result<u32, Error> {
    let home = shared.home()?;
    let found = match schema {
        Some(schema) if catalogs::is_system_schema(schema) => {
            catalogs::find(schema, name).map(|found| found.oid())
        }
        Some(schema) => {
            let found = home.schema_named(schema).ok_or_else(|| no_schema(schema))?;
            in_schema(&home, found.id, &found.name, name)
        }
        None => catalogs::find("pg_catalog", name)
            .map(|found| found.oid())
            .or_else(|| {
                shared.search_path().iter().find_map(|path| {
                    let schema = home.schema_named(path)?;
                    in_schema(&home, schema.id, &schema.name, name)
                })
            }),
    };
    found.ok_or_else(|| undefined_table(schema, name))
}

fn in_schema(
    home: &Database,
    schema: chronolith_types::SchemaId,
    schema_name: &str,
    name: &str,
) -> Option<u32> {
    if let Some(table) = home.table_named(schema, name) {
        return Some(table.id.0);
    }
    if let Some(view) = home.view_named(schema, name) {
        return Some(view.id.0);
    }
    if schema_name == Database::INTERNAL_SCHEMA {
        return chunks(home)
            .find(|(found, _)| found == name)
            .map(|(_, oid)| oid);
    }
    let tables = home.tables.values().filter(|table| table.schema == schema);
    tables
        .flat_map(|table| table.indexes.iter())
        .find(|index| index.name == name)
        .map(|index| index.id.0)
}

/// The chunks of all hypertables: name and oid.
fn chunks(home: &Database) -> impl Iterator<Item = (String, u32)> {
    home.tables.values().flat_map(|table| {
        let id = table.hypertable.as_ref().map(|h| h.id).unwrap_or_default();
        table
            .chunks
            .values()
            .filter(|chunk| chunk.id != Table::PLAIN_CHUNK)
            .map(move |chunk| (chunk.name(id), chunk.oid))
    })
}

/// The name of an object as `regclass` and its kin print it; its number when there is none.
pub(crate) fn object_name(shared: &Arc<Shared>, kind: &str, oid: u32) -> Result<String, Error> {
    if oid == 0 {
        return Ok("-".to_owned());
    }
    let found = match kind {
        "regclass" => {
            let home = shared.home()?;
            relation_name(&home, oid).map(|(schema, name)| {
                let visible = shared.search_path().contains(&schema) || schema == "pg_catalog";
                if visible {
                    quoted(&name)
                } else {
                    format!("{}.{}", quoted(&schema), quoted(&name))
                }
            })
        }
        "regtype" => SqlType::from_oid(oid).map(|ty| ty.name()),
        "regnamespace" => {
            let home = shared.home()?;
            let found = home.schemas.values().find(|schema| schema.id.0 == oid);
            found.map(|schema| quoted(&schema.name))
        }
        "regrole" => {
            let catalog = shared.catalog();
            let found = catalog.roles.values().find(|role| role.id.0 == oid);
            found.map(|role| quoted(&role.name))
        }
        "regproc" | "regprocedure" => all_procs()
            .find(|found| found.oid == oid)
            .map(|found| found.name.to_owned()),
        _ => None,
    };
    Ok(found.unwrap_or_else(|| oid.to_string()))
}

fn relation_name(home: &Database, oid: u32) -> Option<(String, String)> {
    let of_schema = |id: &chronolith_types::SchemaId| {
        home.schemas
            .get(id)
            .map_or_else(String::new, |schema| schema.name.clone())
    };
    for table in home.tables.values() {
        if table.id.0 == oid {
            return Some((of_schema(&table.schema), table.name.clone()));
        }
        if let Some(index) = table.indexes.iter().find(|index| index.id.0 == oid) {
            return Some((of_schema(&table.schema), index.name.clone()));
        }
    }
    if let Some(view) = home.views.values().find(|view| view.id.0 == oid) {
        return Some((of_schema(&view.schema), view.name.clone()));
    }
    if let Some((name, _)) = chunks(home).find(|(_, found)| *found == oid) {
        return Some((Database::INTERNAL_SCHEMA.to_owned(), name));
    }
    catalogs::name_of(oid).map(|(schema, name)| (schema.to_owned(), name.to_owned()))
}

/// A name as SQL spells it.
pub(super) fn quoted(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// The parts of a possibly qualified and quoted name, folded.
///
/// # Errors
/// 42602 for what is no name.
pub(crate) fn parse_name(given: &str) -> Result<Vec<String>, Error> {
    let invalid = || Error::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = given.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut letters = quoted.char_indices().peekable();
            let mut end = None;
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' if letters.peek().is_some_and(|(_, next)| *next == '"') => {
                        name.push('"');
                        letters.next();
                    }
                    '"' => {
                        end = Some(at + 1);
                        break;
                    }
                    letter => name.push(letter),
                }
            }
            parts.push(name);
            rest = quoted.get(end.ok_or_else(invalid)?..).unwrap_or_default();
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() {
                return Err(invalid());
            }
            parts.push(name.to_lowercase());
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}
