//! CREATE SCHEMA, with what is made in it.

use chronolith_types::SqlState;

use super::{create, role_name};
use crate::cursor::Cursor;
use crate::{CreateSchema, SqlError, Statement};

pub(super) fn schema(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = c.accept(&["if", "not", "exists"]);
    let mut owner = None;
    let name = if c.accept(&["authorization"]) {
        let role = role_name(c)?;
        owner = Some(role.clone());
        role
    } else {
        let name = c.ident()?;
        if c.accept(&["authorization"]) {
            owner = Some(role_name(c)?);
        }
        name
    };
    let at = c.position();
    let elements = elements(c, &name.value)?;
    if if_not_exists && !elements.is_empty() {
        let message = "CREATE SCHEMA IF NOT EXISTS cannot include schema elements";
        return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message, at));
    }
    Ok(Statement::CreateSchema(CreateSchema {
        name,
        if_not_exists,
        owner,
        elements,
    }))
}

/// The statements within CREATE SCHEMA: what others are made of comes first.
fn elements(c: &mut Cursor<'_>, schema: &str) -> Result<Vec<Statement>, SqlError> {
    const MADE: &[&str] = &[
        "table",
        "view",
        "unique",
        "index",
        "sequence",
        "trigger",
        "constraint",
        "or",
        "temp",
        "temporary",
        "local",
        "global",
        "unlogged",
        "recursive",
    ];
    let mut found = Vec::new();
    loop {
        if c.sees(&["grant"]) {
            found.push((5, crate::grant::grant(c)?));
            continue;
        }
        if !c.sees(&["create"]) {
            break;
        }
        if !MADE.iter().any(|word| c.sees(&["create", word])) {
            c.next();
            return Err(c.unexpected());
        }
        let at = c.position();
        let made = create(c)?;
        let (place, name) = match &made {
            Statement::CreateSequence(made) => (0, Some(&made.name)),
            Statement::CreateTable(made) => (1, Some(&made.name)),
            Statement::CreateView(made) if !made.materialized => (2, Some(&made.name)),
            Statement::CreateIndex(made) => (3, Some(&made.table)),
            Statement::CreateTrigger(made) => (4, Some(&made.table)),
            _ => return Err(c.unexpected()),
        };
        if let Some([other, _]) = name.map(|name| name.parts.as_slice())
            && other != schema
        {
            let message = format!(
                "CREATE specifies a schema ({other}) different from the one being created ({schema})"
            );
            return Err(SqlError {
                position: None,
                ..SqlError::new(SqlState::new(b"42P15"), message, at)
            });
        }
        found.push((place, made));
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, made)| made).collect())
}
