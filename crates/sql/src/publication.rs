//! CREATE and ALTER PUBLICATION.

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use crate::create::role_name;
use crate::cursor::Cursor;
use crate::{Name, Opt, Spelled, SqlError, Statement};

/// CREATE PUBLICATION.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePublication {
    /// Its name.
    pub name: Spelled,
    /// FOR ALL TABLES.
    pub all: bool,
    /// FOR TABLE and TABLES IN SCHEMA.
    pub objects: Vec<PublicationObject>,
    /// WITH.
    pub options: Vec<Opt>,
}

/// What a publication has.
#[derive(Debug, Clone, PartialEq)]
pub enum PublicationObject {
    /// A table, and which of its columns; all of them when empty.
    Table(Name, Vec<Spelled>),
    /// The tables of a schema; None for CURRENT_SCHEMA.
    Schema(Option<Spelled>),
}

/// ALTER PUBLICATION.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterPublication {
    /// Its name.
    pub name: Spelled,
    /// What becomes of it.
    pub action: PublicationAction,
}

/// What ALTER PUBLICATION does.
#[derive(Debug, Clone, PartialEq)]
pub enum PublicationAction {
    /// ADD.
    Add(Vec<PublicationObject>),
    /// SET, in the place of what it has.
    Set(Vec<PublicationObject>),
    /// DROP.
    Drop(Vec<PublicationObject>),
    /// SET of options.
    Options(Vec<Opt>),
    /// RENAME TO.
    Rename(Spelled),
    /// OWNER TO.
    Owner(Spelled),
}

/// The statement behind CREATE PUBLICATION.
pub(crate) fn create(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.ident()?;
    let (mut all, mut found) = (false, Vec::new());
    if c.accept(&["for", "all", "tables"]) {
        if c.sees(&["in", "schema"]) {
            let mut error = c.unexpected();
            error.hint = Some("Write FOR TABLES IN SCHEMA, without ALL.".to_owned());
            return Err(error);
        }
        all = true;
    } else if c.accept(&["for"]) {
        found = objects(c)?;
    }
    let options = match c.accept(&["with"]) {
        true => c.options()?,
        false => Vec::new(),
    };
    Ok(Statement::CreatePublication(Box::new(CreatePublication {
        name,
        all,
        objects: found,
        options,
    })))
}

/// The statement behind ALTER PUBLICATION.
pub(crate) fn alter(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.ident()?;
    let action = if c.accept(&["add"]) {
        PublicationAction::Add(objects(c)?)
    } else if c.accept(&["drop"]) {
        PublicationAction::Drop(objects(c)?)
    } else if c.accept(&["rename", "to"]) {
        PublicationAction::Rename(c.ident()?)
    } else if c.accept(&["owner", "to"]) {
        PublicationAction::Owner(role_name(c)?)
    } else {
        c.expect(&["set"])?;
        match c.peek().token {
            Token::LParen => PublicationAction::Options(c.options()?),
            _ => PublicationAction::Set(objects(c)?),
        }
    };
    Ok(Statement::AlterPublication(Box::new(AlterPublication {
        name,
        action,
    })))
}

/// `TABLE a, b (x), TABLES IN SCHEMA s, …`: a kind holds until the next one.
fn objects(c: &mut Cursor<'_>) -> Result<Vec<PublicationObject>, SqlError> {
    let mut schemas = None;
    c.list(|c| {
        if c.accept(&["tables", "in", "schema"]) {
            schemas = Some(true);
        } else if c.accept(&["table"]) {
            schemas = Some(false);
        }
        match schemas {
            None => Err(c.unexpected()),
            Some(true) if c.accept(&["current_schema"]) => Ok(PublicationObject::Schema(None)),
            Some(true) => Ok(PublicationObject::Schema(Some(c.ident()?))),
            Some(false) => {
                c.accept(&["only"]);
                let name = c.name()?;
                c.take(&Token::Mul);
                let columns = c.optional_columns()?;
                if c.sees(&["where"]) {
                    let position = c.position();
                    return Err(SqlError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "a row filter of a publication is not supported",
                        position,
                    ));
                }
                Ok(PublicationObject::Table(name, columns))
            }
        }
    })
}
