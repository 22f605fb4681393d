//! CREATE INDEX.

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::constraint::nulls_alike;
use super::tablespace;
use crate::cursor::Cursor;
use crate::{CreateIndex, IndexKey, Name, Spelled, SqlError, SqlText, Statement};

/// What may follow the columns of a key.
pub(super) fn index_tail(c: &mut Cursor<'_>) -> Result<Vec<Spelled>, SqlError> {
    let include = match c.accept(&["include"]) {
        true => c.columns()?,
        false => Vec::new(),
    };
    if c.sees(&["with"]) && c.nth(1) == Token::LParen {
        c.next();
        c.options()?;
    }
    if c.accept(&["using", "index", "tablespace"]) {
        tablespace(c)?;
    }
    Ok(include)
}

pub(super) fn index(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let unique = c.accept(&["unique"]);
    c.expect(&["index"])?;
    let concurrently = c.accept(&["concurrently"]);
    let if_not_exists = c.accept(&["if", "not", "exists"]);
    let name = if c.sees(&["on"]) {
        None
    } else {
        Some(c.ident()?)
    };
    c.expect(&["on"])?;
    c.accept(&["only"]);
    let table = c.name()?;
    let method = if c.accept(&["using"]) {
        c.ident()?.value
    } else {
        "btree".to_owned()
    };
    c.need(&Token::LParen)?;
    let keys = c.list(index_key)?;
    c.need(&Token::RParen)?;
    let include = if c.accept(&["include"]) {
        c.columns()?
    } else {
        Vec::new()
    };
    let nulls_alike = nulls_alike(c);
    let options = if c.accept(&["with"]) {
        c.options()?
    } else {
        Vec::new()
    };
    if c.accept(&["tablespace"]) {
        tablespace(c)?;
    }
    let predicate = if c.accept(&["where"]) {
        Some(c.sql()?)
    } else {
        None
    };
    Ok(Statement::CreateIndex(Box::new(CreateIndex {
        name,
        table,
        if_not_exists,
        unique,
        concurrently,
        method,
        keys,
        nulls_alike,
        include,
        predicate,
        options,
    })))
}

pub(super) fn index_key(c: &mut Cursor<'_>) -> Result<IndexKey, SqlError> {
    let ends = |token: &Token| match token {
        Token::Comma | Token::RParen => true,
        Token::Word(word) => word.quote_style.is_none(),
        _ => false,
    };
    // A bare column may be followed by a class of operators, which no expression is.
    let (expr, column) = if matches!(c.nth(0), Token::Word(_)) && ends(&c.nth(1)) {
        let name = c.ident()?;
        let text = if crate::cursor::plain(&name.value) {
            name.value.clone()
        } else {
            format!("\"{}\"", name.value.replace('"', "\"\""))
        };
        let sql = SqlText {
            expr: crate::expression(&text)?,
            text,
        };
        (sql, Some(name))
    } else {
        (c.sql()?, None)
    };
    let (expr, mut collation) = collated(expr);
    if c.accept(&["collate"]) {
        collation = Some(c.name()?);
    }
    let class = match c.word().as_deref() {
        // Behind WITH stands the operator of EXCLUDE.
        None | Some("asc" | "desc" | "nulls" | "with") => None,
        Some(_) => Some(c.name()?),
    };
    let desc = c.accept_any(&["asc", "desc"]) == Some("desc");
    let nulls_first = if c.accept(&["nulls"]) {
        match c.accept_any(&["first", "last"]) {
            Some(word) => word == "first",
            None => return Err(c.unexpected()),
        }
    } else {
        desc
    };
    Ok(IndexKey {
        expr,
        column,
        collation,
        class,
        desc,
        nulls_first,
    })
}

/// `f(x) COLLATE c` as the expression and its collation, which are two things in an index.
fn collated(of: SqlText) -> (SqlText, Option<Name>) {
    let ast::Expr::Collate { expr, collation } = &of.expr else {
        return (of, None);
    };
    let text = of.text.to_lowercase();
    let end = text.rfind("collate").unwrap_or(of.text.len());
    let text = of.text.get(..end).unwrap_or(&of.text).trim_end().to_owned();
    let collation = crate::parse::name_of(collation);
    let expr = (**expr).clone();
    (SqlText { expr, text }, Some(collation))
}
