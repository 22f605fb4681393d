//! CREATE FUNCTION and CREATE PROCEDURE, and how DROP names them.

use chronolith_types::{SqlState, SqlType};
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{Name, SqlError, SqlText, Statement};

/// CREATE [OR REPLACE] FUNCTION or PROCEDURE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRoutine {
    /// It is a procedure.
    pub procedure: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// Its name.
    pub name: Name,
    /// What it takes; not read when its language is not SQL.
    pub args: Vec<RoutineArg>,
    /// RETURNS.
    pub returns: Option<Returns>,
    /// LANGUAGE.
    pub language: Option<String>,
    /// AS, or the expression of RETURN as a query.
    pub body: Option<String>,
    /// IMMUTABLE, STABLE or VOLATILE.
    pub volatility: Option<&'static str>,
    /// STRICT.
    pub strict: bool,
    /// SECURITY DEFINER.
    pub security_definer: bool,
}

/// An argument of a routine.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutineArg {
    /// IN when none was written.
    pub mode: Option<&'static str>,
    /// Its name.
    pub name: Option<String>,
    /// Its type.
    pub ty: SqlType,
    /// What it is when it is left out.
    pub default: Option<SqlText>,
}

/// RETURNS.
#[derive(Debug, Clone, PartialEq)]
pub struct Returns {
    /// The type.
    pub ty: SqlType,
    /// SETOF.
    pub set: bool,
}

/// The statement from its FUNCTION or PROCEDURE on.
pub(crate) fn create(c: &mut Cursor<'_>, or_replace: bool) -> Result<Statement, SqlError> {
    let procedure = c.accept_any(&["function", "procedure"]) == Some("procedure");
    let mut made = CreateRoutine {
        procedure,
        or_replace,
        name: c.name()?,
        args: Vec::new(),
        returns: None,
        language: language(c),
        body: None,
        volatility: None,
        strict: false,
        security_definer: false,
    };
    if made.language.as_deref().is_some_and(|name| name != "sql") {
        // Its arguments may be of types that only it knows.
        c.rest();
        return Ok(Statement::CreateRoutine(Box::new(made)));
    }
    c.need(&Token::LParen)?;
    if !c.take(&Token::RParen) {
        made.args = c.list(argument)?;
        c.need(&Token::RParen)?;
    }
    if !procedure && c.accept(&["returns"]) {
        if c.sees(&["table"]) {
            return Err(unsupported(c, "RETURNS TABLE"));
        }
        let set = c.accept(&["setof"]);
        made.returns = Some(Returns {
            ty: c.data_type()?,
            set,
        });
    }
    while !c.at_end() {
        option(c, &mut made)?;
    }
    Ok(Statement::CreateRoutine(Box::new(made)))
}

/// The language, which stands anywhere behind the arguments.
fn language(c: &Cursor<'_>) -> Option<String> {
    let mut place = 0;
    loop {
        match (c.nth(place), c.nth(place + 1)) {
            (Token::EOF | Token::SemiColon, _) => return None,
            (Token::Word(word), Token::Word(name))
                if word.value == "language" && word.quote_style.is_none() =>
            {
                return Some(name.value);
            }
            (Token::Word(word), Token::SingleQuotedString(name))
                if word.value == "language" && word.quote_style.is_none() =>
            {
                return Some(name.to_lowercase());
            }
            _ => place += 1,
        }
    }
}

fn argument(c: &mut Cursor<'_>) -> Result<RoutineArg, SqlError> {
    let mode = c.accept_any(&["in", "out", "inout", "variadic"]);
    let name = match names_type(c) {
        true => None,
        false => Some(c.ident()?.value),
    };
    let ty = c.data_type()?;
    let default = if c.accept(&["default"]) || c.take(&Token::Eq) {
        Some(c.sql()?)
    } else {
        None
    };
    Ok(RoutineArg {
        mode: mode.filter(|mode| *mode != "in"),
        name,
        ty,
        default,
    })
}

/// Whether the next word begins a type, and is not an argument's name before one.
fn names_type(c: &Cursor<'_>) -> bool {
    const LONG: &[&[&str]] = &[
        &["double", "precision"],
        &["timestamp", "with"],
        &["timestamp", "without"],
        &["time", "with"],
        &["time", "without"],
        &["character", "varying"],
        &["bit", "varying"],
    ];
    if LONG.iter().any(|words| c.sees(words)) {
        return true;
    }
    match c.nth(1) {
        Token::Word(word) => word.quote_style.is_none() && word.value == "default",
        Token::Comma
        | Token::RParen
        | Token::LParen
        | Token::LBracket
        | Token::Eq
        | Token::Period => true,
        _ => false,
    }
}

fn option(c: &mut Cursor<'_>, made: &mut CreateRoutine) -> Result<(), SqlError> {
    if c.accept(&["language"]) {
        c.value()?;
    } else if let Some(word) = c.accept_any(&["immutable", "stable", "volatile"]) {
        made.volatility = match word {
            "immutable" => Some("immutable"),
            "stable" => Some("stable"),
            _ => Some("volatile"),
        };
    } else if c.accept(&["strict"]) || c.accept(&["returns", "null", "on", "null", "input"]) {
        made.strict = true;
    } else if c.accept(&["called", "on", "null", "input"]) {
        made.strict = false;
    } else if c.accept(&["security", "definer"]) || c.accept(&["external", "security", "definer"]) {
        made.security_definer = true;
    } else if c.accept(&["security", "invoker"]) || c.accept(&["external", "security", "invoker"]) {
        made.security_definer = false;
    } else if c.accept(&["as"]) {
        made.body = Some(c.string()?);
    } else if c.accept(&["return"]) {
        made.body = Some(format!("SELECT {}", c.sql()?.text));
    } else if c.accept_any(&["cost", "rows"]).is_some() {
        c.value()?;
    } else if c.accept(&["parallel"]) {
        c.ident()?;
    } else if c.accept(&["leakproof"]) || c.accept(&["not", "leakproof"]) || c.accept(&["window"]) {
        // What they promise is of no use here.
    } else if c.sees(&["set"]) {
        return Err(unsupported(c, "SET of a function"));
    } else if c.sees(&["begin", "atomic"]) {
        return Err(unsupported(c, "BEGIN ATOMIC"));
    } else {
        return Err(c.unexpected());
    }
    Ok(())
}

fn unsupported(c: &Cursor<'_>, what: &str) -> SqlError {
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{what} is not supported"),
        c.position(),
    )
}

/// The argument types behind a routine's name, if there are parentheses.
pub(crate) fn signature(c: &mut Cursor<'_>) -> Result<Option<Vec<SqlType>>, SqlError> {
    if !c.take(&Token::LParen) {
        return Ok(None);
    }
    if c.take(&Token::RParen) {
        return Ok(Some(Vec::new()));
    }
    let args = c.list(argument)?;
    c.need(&Token::RParen)?;
    let ins = args.into_iter().filter(|arg| arg.mode != Some("out"));
    Ok(Some(ins.map(|arg| arg.ty).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn read(text: &str) -> CreateRoutine {
        let parsed = crate::parse(text).unwrap();
        match parsed.into_iter().next().unwrap().statement {
            Statement::CreateRoutine(made) => *made,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_procedure_has_arguments_with_and_without_names() {
        let made = read(
            "CREATE OR REPLACE PROCEDURE app.tidy(job_id int, jsonb, n numeric(10,2) DEFAULT 1 + 1, \
             double precision, since timestamp with time zone = now()) LANGUAGE SQL \
             AS $$ DELETE FROM a; INSERT INTO b VALUES (1); $$",
        );
        assert!(made.procedure && made.or_replace);
        assert_eq!(made.name.to_string(), "app.tidy");
        let args: Vec<_> = made
            .args
            .iter()
            .map(|arg| (arg.name.as_deref(), arg.ty.name()))
            .collect();
        assert_eq!(
            args,
            [
                (Some("job_id"), "integer".to_owned()),
                (None, "jsonb".to_owned()),
                (Some("n"), "numeric(10,2)".to_owned()),
                (None, "double precision".to_owned()),
                (Some("since"), "timestamp with time zone".to_owned()),
            ]
        );
        assert_eq!(made.args[2].default.as_ref().unwrap().text, "1 + 1");
        assert_eq!(
            made.body.as_deref(),
            Some(" DELETE FROM a; INSERT INTO b VALUES (1); ")
        );
    }

    #[test]
    fn a_function_has_a_result_and_options_in_any_order() {
        let made = read(
            "CREATE FUNCTION now_ms() RETURNS bigint AS 'SELECT 5::bigint' STABLE LANGUAGE 'sql' \
             STRICT PARALLEL SAFE COST 10",
        );
        assert_eq!(made.returns.unwrap().ty, SqlType::Int8);
        assert_eq!(
            (made.volatility, made.strict, made.procedure),
            (Some("stable"), true, false)
        );
        let made = read("CREATE FUNCTION two() RETURNS int LANGUAGE sql RETURN 1 + 1");
        assert_eq!(made.body.as_deref(), Some("SELECT 1 + 1"));
    }

    #[test]
    fn another_language_is_named_whatever_stands_before_it() {
        let made = read(
            "CREATE FUNCTION f(a some_enum) RETURNS trigger AS $$ BEGIN RETURN NEW; END $$ \
             LANGUAGE plpgsql",
        );
        assert_eq!(made.language.as_deref(), Some("plpgsql"));
    }

    #[test]
    fn drop_names_the_types() {
        let parsed = crate::parse("DROP FUNCTION IF EXISTS a(int, b text), c CASCADE").unwrap();
        let Statement::Drop(of) = &parsed[0].statement else {
            panic!("no DROP");
        };
        assert_eq!(
            of.signatures,
            [Some(vec![SqlType::Int4, SqlType::Text]), None]
        );
        assert!(of.cascade && of.if_exists);
    }
}
