//! CREATE, ALTER and DROP TRIGGER.

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{Name, Spelled, SqlError, SqlText, Statement, Timing};

/// CREATE TRIGGER.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTrigger {
    /// OR REPLACE.
    pub or_replace: bool,
    /// Its name.
    pub name: Spelled,
    /// BEFORE, and not AFTER.
    pub before: bool,
    /// INSTEAD OF.
    pub instead: bool,
    /// INSERT, UPDATE, DELETE and TRUNCATE.
    pub events: [bool; 4],
    /// UPDATE OF.
    pub columns: Vec<Spelled>,
    /// Its table.
    pub table: Name,
    /// CONSTRAINT, and when it fires then.
    pub constraint: Option<Timing>,
    /// FROM of a constraint trigger.
    pub from: Option<Name>,
    /// REFERENCING OLD TABLE.
    pub old_table: Option<Spelled>,
    /// REFERENCING NEW TABLE.
    pub new_table: Option<Spelled>,
    /// FOR EACH ROW.
    pub row: bool,
    /// WHEN.
    pub condition: Option<SqlText>,
    /// What it calls.
    pub function: Name,
    /// What it hands over.
    pub args: Vec<String>,
}

/// The statement behind CREATE [OR REPLACE] [CONSTRAINT] TRIGGER.
pub(crate) fn create(
    c: &mut Cursor<'_>,
    or_replace: bool,
    constraint: bool,
) -> Result<Statement, SqlError> {
    if constraint && or_replace {
        return Err(unsupported(c, "CREATE OR REPLACE CONSTRAINT TRIGGER"));
    }
    let name = c.ident()?;
    let (before, instead) = if constraint {
        c.expect(&["after"])?;
        (false, false)
    } else {
        match c.accept_any(&["before", "after", "instead"]) {
            Some("before") => (true, false),
            Some("after") => (false, false),
            Some(_) => {
                c.expect(&["of"])?;
                (false, true)
            }
            None => return Err(c.unexpected()),
        }
    };
    let mut events = [false; 4];
    let mut columns = Vec::new();
    loop {
        let event = match c.accept_any(&["insert", "update", "delete", "truncate"]) {
            Some("insert") => 0,
            Some("update") => 1,
            Some("delete") => 2,
            Some(_) => 3,
            None => return Err(c.unexpected()),
        };
        if let Some(known) = events.get_mut(event) {
            if *known {
                return Err(SqlError::syntax(
                    "duplicate trigger events specified",
                    c.position(),
                ));
            }
            *known = true;
        }
        if event == 1 && c.accept(&["of"]) {
            columns = c.list(Cursor::ident)?;
        }
        if !c.accept(&["or"]) {
            break;
        }
    }
    c.expect(&["on"])?;
    let table = c.name()?;
    let mut from = None;
    let mut timing = None;
    if constraint {
        if c.accept(&["from"]) {
            from = Some(c.name()?);
        }
        timing = Some(crate::create::timing(c)?);
    }
    let (mut old_table, mut new_table) = (None, None);
    if c.accept(&["referencing"]) {
        while let Some(which) = c.accept_any(&["old", "new"]) {
            if !c.accept(&["table"]) {
                c.accept(&["row"]);
                return Err(unsupported(
                    c,
                    "ROW variable naming in the REFERENCING clause",
                ));
            }
            c.accept(&["as"]);
            let place = match which {
                "old" => &mut old_table,
                _ => &mut new_table,
            };
            if place.is_some() {
                return Err(SqlError::new(
                    SqlState::INVALID_OBJECT_DEFINITION,
                    format!(
                        "{} TABLE cannot be specified multiple times",
                        which.to_uppercase()
                    ),
                    c.position(),
                ));
            }
            *place = Some(c.ident()?);
        }
    }
    let mut row = false;
    if constraint {
        c.expect(&["for"])?;
        c.accept(&["each"]);
        c.expect(&["row"])?;
        row = true;
    } else if c.accept(&["for"]) {
        c.accept(&["each"]);
        row = match c.accept_any(&["row", "statement"]) {
            Some(word) => word == "row",
            None => return Err(c.unexpected()),
        };
    }
    let condition = match c.accept(&["when"]) {
        true => {
            c.need(&Token::LParen)?;
            let condition = c.sql()?;
            c.need(&Token::RParen)?;
            Some(condition)
        }
        false => None,
    };
    c.expect(&["execute"])?;
    if c.accept_any(&["function", "procedure"]).is_none() {
        return Err(c.unexpected());
    }
    let function = c.name()?;
    c.need(&Token::LParen)?;
    let mut args = Vec::new();
    if !c.take(&Token::RParen) {
        args = c.list(Cursor::value)?;
        c.need(&Token::RParen)?;
    }
    Ok(Statement::CreateTrigger(Box::new(CreateTrigger {
        or_replace,
        name,
        before,
        instead,
        events,
        columns,
        table,
        constraint: timing,
        from,
        old_table,
        new_table,
        row,
        condition,
        function,
        args,
    })))
}

/// The statement behind DROP TRIGGER.
pub(crate) fn drop(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_exists = c.accept(&["if", "exists"]);
    let name = c.ident()?;
    c.expect(&["on"])?;
    let table = c.name()?;
    c.accept_any(&["cascade", "restrict"]);
    Ok(Statement::DropTrigger {
        name,
        table,
        if_exists,
    })
}

/// The statement behind ALTER TRIGGER.
pub(crate) fn alter(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.ident()?;
    c.expect(&["on"])?;
    let table = c.name()?;
    if !c.accept(&["rename", "to"]) {
        return Err(unsupported(c, "this form of ALTER TRIGGER"));
    }
    Ok(Statement::AlterTrigger {
        name,
        table,
        to: c.ident()?,
    })
}

fn unsupported(c: &Cursor<'_>, what: &str) -> SqlError {
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{what} is not supported"),
        c.position(),
    )
}
