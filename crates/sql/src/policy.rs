//! CREATE, ALTER and DROP POLICY.

use sqlparser::tokenizer::Token;

use crate::create::role_name;
use crate::cursor::Cursor;
use crate::{Name, Spelled, SqlError, SqlText, Statement};

/// CREATE POLICY, and ALTER POLICY.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyStatement {
    /// ALTER.
    pub alter: bool,
    /// Its name.
    pub name: Spelled,
    /// Its table.
    pub table: Name,
    /// RENAME TO.
    pub rename: Option<Spelled>,
    /// AS RESTRICTIVE.
    pub restrictive: bool,
    /// FOR: in lower case, `all` where nothing is said.
    pub command: String,
    /// TO; none where nothing is said.
    pub roles: Option<Vec<Spelled>>,
    /// USING.
    pub using: Option<SqlText>,
    /// WITH CHECK.
    pub check: Option<SqlText>,
}

/// The statement behind CREATE POLICY and ALTER POLICY.
pub(crate) fn policy(c: &mut Cursor<'_>, alter: bool) -> Result<Statement, SqlError> {
    let name = c.ident()?;
    c.expect(&["on"])?;
    let table = c.name()?;
    let mut made = PolicyStatement {
        alter,
        name,
        table,
        rename: None,
        restrictive: false,
        command: "all".to_owned(),
        roles: None,
        using: None,
        check: None,
    };
    if alter && c.accept(&["rename", "to"]) {
        made.rename = Some(c.ident()?);
        return Ok(Statement::Policy(Box::new(made)));
    }
    if !alter && c.accept(&["as"]) {
        made.restrictive = match c.accept_any(&["permissive", "restrictive"]) {
            Some(word) => word == "restrictive",
            None => return Err(c.unexpected()),
        };
    }
    if !alter && c.accept(&["for"]) {
        let word = c.accept_any(&["all", "select", "insert", "update", "delete"]);
        word.ok_or_else(|| c.unexpected())?
            .clone_into(&mut made.command);
    }
    if c.accept(&["to"]) {
        made.roles = Some(c.list(role_name)?);
    }
    if c.accept(&["using"]) {
        made.using = Some(condition(c)?);
    }
    if c.accept(&["with", "check"]) {
        made.check = Some(condition(c)?);
    }
    Ok(Statement::Policy(Box::new(made)))
}

fn condition(c: &mut Cursor<'_>) -> Result<SqlText, SqlError> {
    c.need(&Token::LParen)?;
    let condition = c.sql()?;
    c.need(&Token::RParen)?;
    Ok(condition)
}

/// The statement behind DROP POLICY.
pub(crate) fn drop(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_exists = c.accept(&["if", "exists"]);
    let name = c.ident()?;
    c.expect(&["on"])?;
    let table = c.name()?;
    c.accept_any(&["cascade", "restrict"]);
    Ok(Statement::DropPolicy {
        name,
        table,
        if_exists,
    })
}
