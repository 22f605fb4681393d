//! CREATE and ALTER of types and domains.

use sqlparser::tokenizer::Token;

use crate::create::{default_of, role_name};
use crate::cursor::Cursor;
use crate::{
    AlterType, AttributeAction, CreateDomain, CreateType, DeclaredType, DomainCheck, Spelled,
    SqlError, Statement, TypeAction,
};

/// What follows CREATE TYPE.
pub(crate) fn create_type(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let other = |c: &mut Cursor<'_>, what: &str| {
        c.rest();
        Ok(Statement::Other(what.to_owned()))
    };
    let name = c.name()?;
    if c.accept(&["as", "range"]) {
        return other(c, "CREATE TYPE AS RANGE");
    }
    if !c.accept(&["as"]) {
        return other(c, "CREATE TYPE of a new base type");
    }
    let body = if c.accept(&["enum"]) {
        c.need(&Token::LParen)?;
        let labels = match c.peek().token {
            Token::RParen => Vec::new(),
            _ => c.list(Cursor::string)?,
        };
        c.need(&Token::RParen)?;
        DeclaredType::Enum(labels)
    } else {
        c.need(&Token::LParen)?;
        let fields = match c.peek().token {
            Token::RParen => Vec::new(),
            _ => c.list(|c| {
                let name = c.ident()?;
                let ty = c.data_type()?;
                if c.accept(&["collate"]) {
                    c.name()?;
                }
                Ok((name, ty))
            })?,
        };
        c.need(&Token::RParen)?;
        DeclaredType::Composite(fields)
    };
    Ok(Statement::CreateType(Box::new(CreateType { name, body })))
}

/// What follows CREATE DOMAIN.
pub(crate) fn create_domain(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.name()?;
    c.accept(&["as"]);
    let mut domain = CreateDomain {
        name,
        ty: c.data_type()?,
        default: None,
        not_null: false,
        checks: Vec::new(),
    };
    let mut null = None;
    while !c.at_end() {
        if c.accept(&["collate"]) {
            c.name()?;
        } else if c.accept(&["default"]) {
            let mut not_null = false;
            domain.default = Some(default_of(c.sql()?, &mut not_null));
            null = not_null.then_some(false).or(null);
        } else {
            let position = c.position();
            let name = match c.accept(&["constraint"]) {
                true => Some(c.ident()?),
                false => None,
            };
            let says = match () {
                () if c.accept(&["not", "null"]) => false,
                () if c.accept(&["null"]) => true,
                () => {
                    domain.checks.push(check(c, name)?);
                    continue;
                }
            };
            if null.is_some_and(|before| before != says) {
                return Err(SqlError::syntax(
                    "conflicting NULL/NOT NULL constraints",
                    position,
                ));
            }
            null = Some(says);
        }
    }
    domain.not_null = null == Some(false);
    Ok(Statement::CreateDomain(Box::new(domain)))
}

/// `CHECK (…)`.
fn check(c: &mut Cursor<'_>, name: Option<Spelled>) -> Result<DomainCheck, SqlError> {
    c.expect(&["check"])?;
    c.need(&Token::LParen)?;
    let check = c.sql()?;
    c.need(&Token::RParen)?;
    Ok(DomainCheck { name, check })
}

/// What follows ALTER TYPE and ALTER DOMAIN.
pub(crate) fn alter(c: &mut Cursor<'_>, domain: bool) -> Result<Statement, SqlError> {
    let name = c.name()?;
    let action = match domain {
        true => domain_action(c)?,
        false => type_action(c)?,
    };
    Ok(Statement::AlterType(Box::new(AlterType {
        name,
        domain,
        action,
    })))
}

fn type_action(c: &mut Cursor<'_>) -> Result<TypeAction, SqlError> {
    if c.accept(&["add", "value"]) {
        let if_not_exists = c.accept(&["if", "not", "exists"]);
        let label = c.string()?;
        let place = match c.accept_any(&["before", "after"]) {
            Some(word) => Some((word == "before", c.string()?)),
            None => None,
        };
        return Ok(TypeAction::AddValue {
            if_not_exists,
            label,
            place,
        });
    }
    if c.accept(&["rename", "value"]) {
        let from = c.string()?;
        c.expect(&["to"])?;
        let to = c.string()?;
        return Ok(TypeAction::RenameValue { from, to });
    }
    if c.accept(&["rename", "attribute"]) {
        let from = c.ident()?;
        c.expect(&["to"])?;
        let to = c.ident()?;
        c.accept_any(&["cascade", "restrict"]);
        return Ok(TypeAction::RenameAttribute { from, to });
    }
    if let Some(action) = moved(c)? {
        return Ok(action);
    }
    if c.sees(&["set"]) {
        return Ok(TypeAction::Other(c.rest()));
    }
    c.list(attribute_action).map(TypeAction::Attributes)
}

/// ADD, DROP and ALTER ATTRIBUTE.
fn attribute_action(c: &mut Cursor<'_>) -> Result<AttributeAction, SqlError> {
    let declared = |c: &mut Cursor<'_>| {
        let ty = c.data_type()?;
        if c.accept(&["collate"]) {
            c.name()?;
        }
        Ok::<_, SqlError>(ty)
    };
    let action = match () {
        () if c.accept(&["add", "attribute"]) => AttributeAction::Add {
            name: c.ident()?,
            ty: declared(c)?,
        },
        () if c.accept(&["drop", "attribute"]) => {
            let if_exists = c.accept(&["if", "exists"]);
            let name = c.ident()?;
            AttributeAction::Drop { name, if_exists }
        }
        () if c.accept(&["alter", "attribute"]) => {
            let name = c.ident()?;
            c.accept(&["set", "data"]);
            c.expect(&["type"])?;
            let ty = declared(c)?;
            AttributeAction::Alter { name, ty }
        }
        () => return Err(c.unexpected()),
    };
    c.accept_any(&["cascade", "restrict"]);
    Ok(action)
}

fn domain_action(c: &mut Cursor<'_>) -> Result<TypeAction, SqlError> {
    if c.accept(&["set", "default"]) {
        return Ok(TypeAction::SetDefault(Some(c.sql()?)));
    }
    if c.accept(&["drop", "default"]) {
        return Ok(TypeAction::SetDefault(None));
    }
    if c.accept(&["set", "not", "null"]) {
        return Ok(TypeAction::SetNotNull(true));
    }
    if c.accept(&["drop", "not", "null"]) {
        return Ok(TypeAction::SetNotNull(false));
    }
    if c.accept(&["add"]) {
        let name = match c.accept(&["constraint"]) {
            true => Some(c.ident()?),
            false => None,
        };
        let check = check(c, name)?;
        let valid = !c.accept(&["not", "valid"]);
        return Ok(TypeAction::AddCheck { check, valid });
    }
    if c.accept(&["drop", "constraint"]) {
        let if_exists = c.accept(&["if", "exists"]);
        let name = c.ident()?;
        c.accept_any(&["cascade", "restrict"]);
        return Ok(TypeAction::DropCheck { name, if_exists });
    }
    if c.accept(&["rename", "constraint"]) {
        let from = c.ident()?;
        c.expect(&["to"])?;
        let to = c.ident()?;
        return Ok(TypeAction::RenameCheck { from, to });
    }
    if c.accept(&["validate", "constraint"]) {
        return Ok(TypeAction::Validate(c.ident()?));
    }
    match moved(c)? {
        Some(action) => Ok(action),
        None => Err(c.unexpected()),
    }
}

/// RENAME TO, OWNER TO, SET SCHEMA.
fn moved(c: &mut Cursor<'_>) -> Result<Option<TypeAction>, SqlError> {
    if c.accept(&["rename", "to"]) {
        return Ok(Some(TypeAction::RenameTo(c.ident()?)));
    }
    if c.accept(&["owner", "to"]) {
        return Ok(Some(TypeAction::OwnerTo(role_name(c)?)));
    }
    if c.accept(&["set", "schema"]) {
        return Ok(Some(TypeAction::SetSchema(c.ident()?)));
    }
    Ok(None)
}
