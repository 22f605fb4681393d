//! CREATE TABLE, with its columns and its other forms.

use sqlparser::tokenizer::Token;

use super::constraint::{check, constraint, nulls_alike, references, timing};
use super::index::index_tail;
use super::{access_method, tablespace};
use crate::cursor::Cursor;
use crate::{
    AsSource, ColumnDef, Constraint, ConstraintKind, CreateTable, CreateTableAs, Like, OnCommit,
    Spelled, SqlError, Statement,
};

pub(super) fn table(
    c: &mut Cursor<'_>,
    temporary: bool,
    unlogged: bool,
) -> Result<Statement, SqlError> {
    let if_not_exists = c.accept(&["if", "not", "exists"]);
    let name = c.name()?;
    if let Some(names) = names_before_as(c)? {
        return table_as(c, name, names, if_not_exists, (temporary, unlogged));
    }
    let mut table = CreateTable {
        name,
        if_not_exists,
        temporary,
        unlogged,
        columns: Vec::new(),
        constraints: Vec::new(),
        like: Vec::new(),
        inherits: Vec::new(),
        partition_by: None,
        partition_of: None,
        options: Vec::new(),
        on_commit: None,
    };
    if c.accept(&["partition", "of"]) {
        table.partition_of = Some(c.name()?);
        c.rest();
        return Ok(Statement::CreateTable(Box::new(table)));
    }
    c.need(&Token::LParen)?;
    if !c.take(&Token::RParen) {
        loop {
            element(c, &mut table)?;
            if !c.take(&Token::Comma) {
                break;
            }
        }
        c.need(&Token::RParen)?;
    }
    loop {
        if c.accept(&["inherits"]) {
            c.need(&Token::LParen)?;
            table.inherits = c.names()?;
            c.need(&Token::RParen)?;
        } else if c.sees(&["partition", "by"]) {
            table.partition_by = Some(c.rest());
        } else if c.accept(&["using"]) {
            access_method(c)?;
        } else if c.accept(&["without", "oids"]) {
        } else if c.accept(&["with"]) {
            table.options = c.options()?;
        } else if c.sees(&["on", "commit"]) {
            table.on_commit = on_commit(c)?;
        } else if c.accept(&["tablespace"]) {
            tablespace(c)?;
        } else {
            break;
        }
    }
    Ok(Statement::CreateTable(Box::new(table)))
}

/// The column names of CREATE TABLE … AS, when it is one.
pub(super) fn names_before_as(c: &mut Cursor<'_>) -> Result<Option<Vec<Spelled>>, SqlError> {
    if [&["as"], &["with"], &["using"], &["on"], &["tablespace"]]
        .iter()
        .any(|word| c.sees(*word))
    {
        return Ok(Some(Vec::new()));
    }
    // `(a, b) AS`: names only, where a table's columns have types.
    let named = c.nth(0) == Token::LParen
        && matches!(c.nth(1), Token::Word(_))
        && matches!(c.nth(2), Token::Comma | Token::RParen);
    if named {
        c.columns().map(Some)
    } else {
        Ok(None)
    }
}

pub(super) fn table_as(
    c: &mut Cursor<'_>,
    name: crate::Name,
    columns: Vec<Spelled>,
    if_not_exists: bool,
    (temporary, unlogged): (bool, bool),
) -> Result<Statement, SqlError> {
    if c.accept(&["using"]) {
        access_method(c)?;
    }
    let options = if c.accept(&["with"]) {
        c.options()?
    } else {
        Vec::new()
    };
    let on_commit = on_commit(c)?;
    if c.accept(&["tablespace"]) {
        tablespace(c)?;
    }
    c.expect(&["as"])?;
    let (source, with_data) = match c.accept(&["execute"]) {
        true => {
            let prepared = c.ident()?.value;
            let args = crate::session::arguments(c)?;
            let with_data = !c.accept(&["with", "no", "data"]);
            if with_data {
                c.accept(&["with", "data"]);
            }
            (AsSource::Execute(prepared, args), with_data)
        }
        false => {
            let (query, _, with_data) = c.query_with_data()?;
            (AsSource::Query(query), with_data)
        }
    };
    Ok(Statement::CreateTableAs(Box::new(CreateTableAs {
        name,
        columns,
        if_not_exists,
        temporary,
        unlogged,
        on_commit,
        options,
        source,
        with_data,
    })))
}

/// ON COMMIT, if it is next.
pub(super) fn on_commit(c: &mut Cursor<'_>) -> Result<Option<OnCommit>, SqlError> {
    if !c.accept(&["on", "commit"]) {
        return Ok(None);
    }
    if c.accept(&["preserve", "rows"]) {
        Ok(Some(OnCommit::PreserveRows))
    } else if c.accept(&["delete", "rows"]) {
        Ok(Some(OnCommit::DeleteRows))
    } else if c.accept(&["drop"]) {
        Ok(Some(OnCommit::Drop))
    } else {
        Err(c.unexpected())
    }
}

pub(super) fn element(c: &mut Cursor<'_>, table: &mut CreateTable) -> Result<(), SqlError> {
    if c.accept(&["like"]) {
        let of = c.name()?;
        let mut including = Vec::new();
        while let Some(word) = c.accept_any(&["including", "excluding"]) {
            const ALL: &[&str] = &[
                "comments",
                "compression",
                "constraints",
                "defaults",
                "generated",
                "identity",
                "indexes",
                "statistics",
                "storage",
            ];
            let what = c.word().ok_or_else(|| c.unexpected())?;
            let whats = match ALL.iter().find(|known| **known == what) {
                Some(one) => std::slice::from_ref(one),
                None if what == "all" => ALL,
                None => return Err(c.unexpected()),
            };
            c.next();
            including.retain(|kept: &String| !whats.contains(&kept.as_str()));
            if word == "including" {
                including.extend(whats.iter().map(|what| (*what).to_owned()));
            }
        }
        table.like.push(Like {
            table: of,
            place: table.columns.len(),
            including,
        });
    } else if let Some(constraint) = constraint(c)? {
        table.constraints.push(constraint);
    } else {
        let (column, constraints) = column(c)?;
        table.columns.push(column);
        table.constraints.extend(constraints);
    }
    Ok(())
}

/// A column with its constraints.
pub(crate) fn column(c: &mut Cursor<'_>) -> Result<(ColumnDef, Vec<Constraint>), SqlError> {
    let name = c.ident()?;
    let sequence = c.word().is_some_and(|word| {
        matches!(
            word.as_str(),
            "serial" | "serial2" | "serial4" | "serial8" | "bigserial" | "smallserial"
        )
    });
    let ty = c.data_type()?;
    let mut column = ColumnDef {
        name: name.clone(),
        ty,
        sequence,
        identity: None,
        not_null: sequence,
        default: None,
        generated: None,
        collation: None,
        null: false,
        twice: false,
    };
    let mut constraints = Vec::new();
    loop {
        let position = c.position();
        let named = if c.accept(&["constraint"]) {
            Some(c.ident()?)
        } else {
            None
        };
        let mut include = Vec::new();
        let kind = if c.accept(&["not", "null"]) {
            column.not_null = true;
            continue;
        } else if c.accept(&["null"]) {
            column.null = true;
            continue;
        } else if c.accept(&["default"]) {
            column.twice |= column.default.is_some();
            column.default = Some(default_of(c.sql()?, &mut column.not_null));
            continue;
        } else if c.accept(&["collate"]) {
            column.collation = Some(c.name()?.name().to_owned());
            continue;
        } else if c.accept(&["generated"]) {
            generated(c, &mut column)?;
            continue;
        } else if c.accept(&["primary", "key"]) {
            include = index_tail(c)?;
            ConstraintKind::PrimaryKey(vec![name.clone()])
        } else if c.accept(&["unique"]) {
            let nulls_alike = nulls_alike(c);
            include = index_tail(c)?;
            ConstraintKind::Unique {
                columns: vec![name.clone()],
                nulls_alike,
            }
        } else if c.accept(&["check"]) {
            check(c)?
        } else if c.accept(&["references"]) {
            references(c, vec![name.clone()])?
        } else if named.is_some() {
            return Err(c.unexpected());
        } else {
            break;
        };
        let timing = timing(c)?;
        constraints.push(Constraint {
            name: named,
            kind,
            timing,
            include,
            position,
        });
    }
    Ok((column, constraints))
}

/// `DEFAULT 1 NOT NULL` is a default and a constraint, where the parser reads a test.
pub(crate) fn default_of(mut sql: crate::SqlText, not_null: &mut bool) -> crate::SqlText {
    let words = sql.text.to_lowercase();
    let mut words = words.split_whitespace().rev();
    let written = words.next() == Some("null") && words.next() == Some("not");
    let tested = words.next() == Some("is");
    if let sqlparser::ast::Expr::IsNotNull(inner) = &sql.expr
        && written
        && !tested
    {
        *not_null = true;
        sql.expr = inner.as_ref().clone();
        let text = sql.text.trim_end();
        let text = text
            .get(..text.len() - "null".len())
            .unwrap_or(text)
            .trim_end();
        let text = text
            .get(..text.len() - "not".len())
            .unwrap_or(text)
            .trim_end();
        sql.text = text.to_owned();
    }
    sql
}

pub(super) fn generated(c: &mut Cursor<'_>, column: &mut ColumnDef) -> Result<(), SqlError> {
    let position = c.position();
    let always = crate::sequence::always(c)?;
    c.expect(&["as"])?;
    if c.accept(&["identity"]) {
        if column.identity.is_some() {
            return Err(SqlError::syntax(
                format!(
                    "multiple identity specifications for column \"{}\"",
                    column.name.value
                ),
                position,
            ));
        }
        let options = crate::sequence::identity_options(c)?;
        column.identity = Some(crate::IdentityDef { always, options });
        column.not_null = true;
        return Ok(());
    }
    if !always {
        return Err(SqlError::syntax(
            "for a generated column, GENERATED ALWAYS must be specified".to_owned(),
            position,
        ));
    }
    c.need(&Token::LParen)?;
    column.generated = Some(c.sql()?);
    c.need(&Token::RParen)?;
    c.expect(&["stored"])
}
