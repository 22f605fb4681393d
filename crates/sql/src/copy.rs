//! COPY and EXPLAIN.

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, string_of};
use crate::parse::statement;
use crate::{Copy, CopySource, CopyTarget, Explain, Opt, SqlError, Statement};

pub(crate) fn copy(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["copy"])?;
    let mut options = Vec::new();
    flag(c, &mut options, "binary");
    let source = if c.take(&Token::LParen) {
        let inner = statement(c)?;
        c.need(&Token::RParen)?;
        CopySource::Query(Box::new(inner))
    } else {
        let name = c.name()?;
        let columns = c.optional_columns()?;
        CopySource::Table { name, columns }
    };
    let from = match c.accept_any(&["from", "to"]) {
        Some("from") if matches!(source, CopySource::Table { .. }) => true,
        Some("to") => false,
        _ => return Err(c.unexpected()),
    };
    let target = if c.accept(&["program"]) {
        CopyTarget::Program(c.string()?)
    } else if c.accept_any(&["stdin", "stdout"]).is_some() {
        CopyTarget::Client
    } else {
        CopyTarget::File(c.string()?)
    };
    if c.sees(&["delimiters"]) || c.sees(&["using", "delimiters"]) {
        c.accept(&["using"]);
        c.next();
        push(c, &mut options, "delimiter", |c| c.string())?;
    }
    c.accept(&["with"]);
    if c.peek().token == Token::LParen {
        options.extend(c.options()?);
    } else {
        old_options(c, &mut options)?;
    }
    let filter = if from && c.accept(&["where"]) {
        Some(Box::new(c.expr()?))
    } else {
        None
    };
    Ok(Statement::Copy(Box::new(Copy {
        source,
        from,
        target,
        options,
        filter,
    })))
}

fn flag(c: &mut Cursor<'_>, options: &mut Vec<Opt>, word: &str) -> bool {
    let position = c.position();
    let found = c.accept(&[word]);
    if found {
        let (name, value) = match word {
            "binary" | "csv" => ("format", Some(word.to_owned())),
            _ => (word, None),
        };
        options.push(Opt {
            name: name.to_owned(),
            value,
            position,
        });
    }
    found
}

fn push(
    c: &mut Cursor<'_>,
    options: &mut Vec<Opt>,
    name: &str,
    value: impl FnOnce(&mut Cursor<'_>) -> Result<String, SqlError>,
) -> Result<(), SqlError> {
    let position = c.position();
    let value = value(c)?;
    options.push(Opt {
        name: name.to_owned(),
        value: Some(value),
        position,
    });
    Ok(())
}

/// The options of before PostgreSQL 9: `CSV HEADER DELIMITER AS ',' …`.
fn old_options(c: &mut Cursor<'_>, options: &mut Vec<Opt>) -> Result<(), SqlError> {
    loop {
        if flag(c, options, "binary")
            || flag(c, options, "csv")
            || flag(c, options, "header")
            || flag(c, options, "freeze")
        {
            continue;
        }
        if let Some(word) = c.accept_any(&["delimiter", "null", "quote", "escape", "encoding"]) {
            c.accept(&["as"]);
            push(c, options, word, |c| c.string())?;
        } else if c.accept(&["force"]) {
            let name = if c.accept(&["quote"]) {
                "force_quote"
            } else if c.accept(&["not", "null"]) {
                "force_not_null"
            } else if c.accept(&["null"]) {
                "force_null"
            } else {
                return Err(c.unexpected());
            };
            push(c, options, name, |c| {
                if c.take(&Token::Mul) {
                    return Ok("*".to_owned());
                }
                let names = c.list(Cursor::ident)?;
                Ok(names
                    .into_iter()
                    .map(|name| name.value)
                    .collect::<Vec<_>>()
                    .join(", "))
            })?;
        } else {
            return Ok(());
        }
    }
}

pub(crate) fn explain(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["explain"])?;
    let mut options = Vec::new();
    // `(SELECT …)` is what is explained, `(ANALYZE, …)` are options.
    let list = c.peek().token == Token::LParen
        && !matches!(c.nth(1), Token::LParen)
        && !matches!(c.nth(1), Token::Word(word) if word.quote_style.is_none()
            && matches!(word.value.as_str(), "select" | "values" | "with" | "table"));
    if list {
        options = c.options()?;
    } else {
        while flag(c, &mut options, "analyze")
            || flag(c, &mut options, "analyse")
            || flag(c, &mut options, "verbose")
        {}
    }
    const KNOWN: &[&str] = &[
        "analyze", "analyse", "verbose", "costs", "settings", "buffers", "wal", "timing",
        "summary", "format",
    ];
    if let Some(unknown) = options
        .iter()
        .find(|option| !KNOWN.contains(&option.name.as_str()))
    {
        return Err(SqlError::syntax(
            format!("unrecognized EXPLAIN option \"{}\"", unknown.name),
            unknown.position,
        ));
    }
    let inner = Box::new(statement(c)?);
    let on = |names: &[&str], unless: bool| -> Result<bool, SqlError> {
        let found = options
            .iter()
            .rev()
            .find(|option| names.contains(&option.name.as_str()));
        match found {
            None => Ok(unless),
            Some(option) => option.bool().ok_or_else(|| {
                SqlError::syntax(
                    format!("{} requires a Boolean value", option.name),
                    option.position,
                )
            }),
        }
    };
    let format = options
        .iter()
        .rev()
        .find(|option| option.name == "format")
        .and_then(|option| option.value.as_deref())
        .unwrap_or("text")
        .to_lowercase();
    for option in options.iter().filter(|option| option.name != "format") {
        on(&[option.name.as_str()], false)?;
    }
    let analyze = on(&["analyze", "analyse"], false)?;
    for name in ["wal", "timing"] {
        if !analyze && on(&[name], false)? {
            let name = name.to_uppercase();
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("EXPLAIN option {name} requires ANALYZE"),
                options.first().map_or(0, |option| option.position),
            ));
        }
    }
    Ok(Statement::Explain(Box::new(Explain {
        analyze,
        verbose: on(&["verbose"], false)?,
        costs: on(&["costs"], true)?,
        format,
        inner,
        options,
    })))
}

/// Whether a string is next.
pub(crate) fn string_next(c: &Cursor<'_>) -> bool {
    string_of(&c.peek().token).is_some()
}
