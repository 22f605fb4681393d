//! Constraints of tables and columns.

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use super::index::{index_key, index_tail};
use super::tablespace;
use crate::cursor::Cursor;
use crate::{Constraint, ConstraintKind, Exclude, ReferenceAction, Spelled, SqlError, Timing};

/// NULLS NOT DISTINCT.
pub(super) fn nulls_alike(c: &mut Cursor<'_>) -> bool {
    let alike = c.accept(&["nulls", "not", "distinct"]);
    if !alike {
        c.accept(&["nulls", "distinct"]);
    }
    alike
}

/// When a constraint is held.
pub(crate) fn timing(c: &mut Cursor<'_>) -> Result<Timing, SqlError> {
    let mut timing = Timing::default();
    let mut never = false;
    loop {
        let position = c.position();
        if c.accept(&["not", "deferrable"]) {
            never = true;
        } else if c.accept(&["deferrable"]) {
            timing.deferrable = true;
        } else if c.accept(&["initially", "deferred"]) {
            timing.deferrable = true;
            timing.deferred = true;
        } else if c.accept(&["initially", "immediate"]) {
        } else if c.accept(&["not", "valid"]) {
            timing.not_valid = true;
        } else if c.accept(&["no", "inherit"]) {
            timing.no_inherit = true;
        } else {
            return Ok(timing);
        }
        if never && timing.deferrable {
            let words = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
            return Err(SqlError::syntax(words.to_owned(), position));
        }
    }
}

pub(super) fn check(c: &mut Cursor<'_>) -> Result<ConstraintKind, SqlError> {
    c.need(&Token::LParen)?;
    let sql = c.sql()?;
    c.need(&Token::RParen)?;
    Ok(ConstraintKind::Check(sql))
}

pub(super) fn references(
    c: &mut Cursor<'_>,
    columns: Vec<Spelled>,
) -> Result<ConstraintKind, SqlError> {
    let table = c.name()?;
    let referred = c.optional_columns()?;
    let (mut full, mut set) = (false, Vec::new());
    let (mut on_delete, mut on_update) = (ReferenceAction::NoAction, ReferenceAction::NoAction);
    loop {
        let position = c.position();
        if c.accept(&["match"]) {
            match c.accept_any(&["full", "partial", "simple"]) {
                Some("full") => full = true,
                Some("partial") => {
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "MATCH PARTIAL not yet implemented",
                        position,
                    ));
                }
                Some(_) => {}
                None => return Err(c.unexpected()),
            }
        } else if c.accept(&["on", "delete"]) {
            on_delete = action(c)?;
            let sets = matches!(
                on_delete,
                ReferenceAction::SetNull | ReferenceAction::SetDefault
            );
            if sets {
                set = c.optional_columns()?;
            }
        } else if c.accept(&["on", "update"]) {
            on_update = action(c)?;
        } else {
            break;
        }
    }
    Ok(ConstraintKind::ForeignKey {
        columns,
        table,
        referred,
        full,
        on_delete,
        on_update,
        set,
    })
}

pub(super) fn action(c: &mut Cursor<'_>) -> Result<ReferenceAction, SqlError> {
    Ok(if c.accept(&["no", "action"]) {
        ReferenceAction::NoAction
    } else if c.accept(&["set", "null"]) {
        ReferenceAction::SetNull
    } else if c.accept(&["set", "default"]) {
        ReferenceAction::SetDefault
    } else if c.accept(&["restrict"]) {
        ReferenceAction::Restrict
    } else if c.accept(&["cascade"]) {
        ReferenceAction::Cascade
    } else {
        return Err(c.unexpected());
    })
}

/// A constraint of the table, if one starts here.
pub(crate) fn constraint(c: &mut Cursor<'_>) -> Result<Option<Constraint>, SqlError> {
    let position = c.position();
    let name = if c.accept(&["constraint"]) {
        Some(c.ident()?)
    } else {
        None
    };
    let mut include = Vec::new();
    let kind = if c.accept(&["primary", "key"]) {
        key(c, true, &mut include)?
    } else if c.accept(&["unique"]) {
        let alike = nulls_alike(c);
        match key(c, false, &mut include)? {
            ConstraintKind::Unique { columns, .. } => ConstraintKind::Unique {
                columns,
                nulls_alike: alike,
            },
            other => other,
        }
    } else if c.accept(&["check"]) {
        check(c)?
    } else if c.accept(&["foreign", "key"]) {
        let columns = c.columns()?;
        c.expect(&["references"])?;
        references(c, columns)?
    } else if c.accept(&["exclude"]) {
        exclude(c, &mut include)?
    } else if name.is_some() {
        return Err(c.unexpected());
    } else {
        return Ok(None);
    };
    let timing = timing(c)?;
    Ok(Some(Constraint {
        name,
        kind,
        timing,
        include,
        position,
    }))
}

/// What follows EXCLUDE.
fn exclude(c: &mut Cursor<'_>, include: &mut Vec<Spelled>) -> Result<ConstraintKind, SqlError> {
    let method = match c.accept(&["using"]) {
        true => c.ident()?.value,
        false => "btree".to_owned(),
    };
    c.need(&Token::LParen)?;
    let keys = c.list(|c| {
        let key = index_key(c)?;
        c.expect(&["with"])?;
        Ok((key, operator(c)?))
    })?;
    c.need(&Token::RParen)?;
    if c.accept(&["include"]) {
        *include = c.columns()?;
    }
    let mut options = Vec::new();
    if c.sees(&["with"]) && c.nth(1) == Token::LParen {
        c.next();
        options = c.options()?;
    }
    if c.accept(&["using", "index", "tablespace"]) {
        tablespace(c)?;
    }
    let mut predicate = None;
    if c.accept(&["where"]) {
        c.need(&Token::LParen)?;
        predicate = Some(c.sql()?);
        c.need(&Token::RParen)?;
    }
    Ok(ConstraintKind::Exclude(Box::new(Exclude {
        method,
        keys,
        options,
        predicate,
    })))
}

/// An operator up to the end of its key.
fn operator(c: &mut Cursor<'_>) -> Result<String, SqlError> {
    let qualified = c.sees(&["operator"]) && c.nth(1) == Token::LParen;
    if qualified {
        c.next();
        c.next();
        if c.nth(1) == Token::Period {
            c.ident()?;
            c.next();
        }
    }
    let start = c.position();
    let ends = |token: &Token| matches!(token, Token::Comma | Token::RParen | Token::EOF);
    let mut text = String::new();
    while !ends(&c.nth(0)) {
        c.next();
        text = c.since(start);
    }
    let sign = |sign: char| "+-*/<>=~!@#%^&|`?".contains(sign);
    if text.is_empty() || !text.chars().all(sign) {
        return Err(c.unexpected());
    }
    if qualified {
        c.need(&Token::RParen)?;
    }
    Ok(text)
}

pub(super) fn key(
    c: &mut Cursor<'_>,
    primary: bool,
    include: &mut Vec<Spelled>,
) -> Result<ConstraintKind, SqlError> {
    if c.accept(&["using", "index"]) {
        let index = c.ident()?;
        return Ok(ConstraintKind::UsingIndex { primary, index });
    }
    let columns = c.columns()?;
    *include = index_tail(c)?;
    Ok(if primary {
        ConstraintKind::PrimaryKey(columns)
    } else {
        ConstraintKind::Unique {
            columns,
            nulls_alike: false,
        }
    })
}
