//! CREATE FUNCTION and CREATE PROCEDURE, and how DROP names them.

use chronolith_types::{SqlState, SqlType};
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{Name, ObjectKind, SettingChange, Spelled, SqlError, SqlText, Statement};

/// CREATE [OR REPLACE] FUNCTION or PROCEDURE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRoutine {
    /// It is a procedure.
    pub procedure: bool,
    /// OR REPLACE.
    pub or_replace: bool,
    /// Its name.
    pub name: Name,
    /// What it takes and gives; not read when its language is neither SQL nor PL/pgSQL.
    pub args: Vec<RoutineArg>,
    /// RETURNS.
    pub returns: Option<Returns>,
    /// LANGUAGE.
    pub language: Option<String>,
    /// AS, or the statements that stand in its place.
    pub body: Option<String>,
    /// The body stood in the statement itself: RETURN, or BEGIN ATOMIC.
    pub plain_body: bool,
    /// What else is said of it.
    pub marks: RoutineMarks,
}

/// Options of a routine that may be changed later.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RoutineMarks {
    /// IMMUTABLE, STABLE or VOLATILE.
    pub volatility: Option<&'static str>,
    /// STRICT, or its contrary.
    pub strict: Option<bool>,
    /// SECURITY DEFINER, or INVOKER.
    pub security_definer: Option<bool>,
    /// LEAKPROOF, or its contrary.
    pub leakproof: Option<bool>,
    /// COST.
    pub cost: Option<String>,
    /// ROWS.
    pub rows: Option<String>,
    /// PARALLEL: its first letter.
    pub parallel: Option<char>,
    /// SET and RESET.
    pub settings: Vec<SettingChange>,
}

/// A type where a routine or a variable is declared.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeRef {
    /// A type.
    Known(SqlType),
    /// A name that is none of the system's: the rows of a relation, perhaps, and also `%ROWTYPE`.
    Named(Name),
    /// The type of a column, or of a variable: `%TYPE`.
    Like(Name),
}

/// An argument of a routine.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutineArg {
    /// IN when none was written.
    pub mode: Option<&'static str>,
    /// Its name.
    pub name: Option<String>,
    /// Its type.
    pub ty: TypeRef,
    /// What it is when it is left out.
    pub default: Option<SqlText>,
}

/// RETURNS.
#[derive(Debug, Clone, PartialEq)]
pub struct Returns {
    /// The type; None for TABLE, whose columns are arguments.
    pub ty: Option<TypeRef>,
    /// SETOF, and TABLE.
    pub set: bool,
}

/// ALTER FUNCTION, PROCEDURE or ROUTINE.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterRoutine {
    /// The word after ALTER.
    pub kind: ObjectKind,
    /// Which one.
    pub name: Name,
    /// The types of its arguments; None where they are left out.
    pub signature: Option<Vec<SqlType>>,
    /// What to do.
    pub action: RoutineAction,
}

/// What ALTER FUNCTION does.
#[derive(Debug, Clone, PartialEq)]
pub enum RoutineAction {
    /// RENAME TO.
    Rename(Spelled),
    /// OWNER TO.
    Owner(Spelled),
    /// SET SCHEMA.
    Schema(Spelled),
    /// Other options.
    Marks(Box<RoutineMarks>),
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
        plain_body: false,
        marks: RoutineMarks::default(),
    };
    let known = |name: &str| matches!(name, "sql" | "plpgsql");
    if made.language.as_deref().is_some_and(|name| !known(name)) {
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
        if c.accept(&["table"]) {
            c.need(&Token::LParen)?;
            made.args.extend(c.list(column)?);
            c.need(&Token::RParen)?;
            made.returns = Some(Returns {
                ty: None,
                set: true,
            });
        } else {
            let set = c.accept(&["setof"]);
            made.returns = Some(Returns {
                ty: Some(type_ref(c)?),
                set,
            });
        }
    }
    while !c.at_end() {
        option(c, &mut made)?;
    }
    if made.language.is_none() && made.plain_body {
        made.language = Some("sql".to_owned());
    }
    Ok(Statement::CreateRoutine(Box::new(made)))
}

/// ALTER FUNCTION from its name on.
pub(crate) fn alter(c: &mut Cursor<'_>, kind: ObjectKind) -> Result<Statement, SqlError> {
    let name = c.name()?;
    let signature = signature(c)?;
    let action = if c.accept(&["rename", "to"]) {
        RoutineAction::Rename(c.ident()?)
    } else if c.accept(&["owner", "to"]) {
        RoutineAction::Owner(crate::create::role_name(c)?)
    } else if c.accept(&["set", "schema"]) {
        RoutineAction::Schema(c.ident()?)
    } else if c.sees(&["depends"]) || c.sees(&["no", "depends"]) {
        return Err(unsupported(c, "DEPENDS ON EXTENSION"));
    } else {
        let mut marks = RoutineMarks::default();
        if c.at_end() {
            return Err(c.unexpected());
        }
        while !c.at_end() && !c.accept(&["restrict"]) {
            if !mark(c, &mut marks)? {
                return Err(c.unexpected());
            }
        }
        RoutineAction::Marks(Box::new(marks))
    };
    Ok(Statement::AlterRoutine(Box::new(AlterRoutine {
        kind,
        name,
        signature,
        action,
    })))
}

/// A type, which may be that of a column or of a relation's rows.
pub(crate) fn type_ref(c: &mut Cursor<'_>) -> Result<TypeRef, SqlError> {
    let mut parts = 1;
    while c.nth(2 * parts - 1) == Token::Period {
        parts += 1;
    }
    let behind = 2 * parts - 1;
    let words = |c: &Cursor<'_>, word: &str| match c.nth(behind + 1) {
        Token::Word(found) => found.quote_style.is_none() && found.value == word,
        _ => false,
    };
    if c.nth(behind) == Token::Mod && (words(c, "type") || words(c, "rowtype")) {
        let row = words(c, "rowtype");
        let name = c.name()?;
        c.next();
        c.next();
        return Ok(match row {
            true => TypeRef::Named(name),
            false => TypeRef::Like(name),
        });
    }
    if let Token::Word(first) = c.nth(0) {
        let last = match c.nth(behind - 1) {
            Token::Word(word) => word.value,
            _ => return Err(c.unexpected()),
        };
        let home = parts == 1 || matches!(first.value.as_str(), "pg_catalog" | "public");
        let known = SqlType::parse_name(&last).is_some()
            || matches!(
                last.as_str(),
                "double" | "character" | "national" | "bit" | "interval" | "dec" | "float"
            );
        if !(home && known) && c.nth(behind) != Token::LBracket {
            return c.name().map(TypeRef::Named);
        }
    }
    c.data_type().map(TypeRef::Known)
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
    let mode = match mode {
        Some("in") if c.accept(&["out"]) => Some("inout"),
        other => other,
    };
    if mode == Some("variadic") {
        // The tokens have it as the name of an argument, as it stands in a call.
        c.take(&Token::RArrow);
    }
    let name = match names_type(c) {
        true => None,
        false => Some(c.ident()?.value),
    };
    // The mode may also stand behind the name.
    let behind = match (&mode, &name) {
        (None, Some(_)) => c.accept_any(&["in", "out", "inout", "variadic"]),
        _ => None,
    };
    let ty = type_ref(c)?;
    let default = if c.accept(&["default"]) || c.take(&Token::Eq) {
        Some(c.sql()?)
    } else {
        None
    };
    Ok(RoutineArg {
        mode: mode.or(behind).filter(|mode| *mode != "in"),
        name,
        ty,
        default,
    })
}

/// A column of RETURNS TABLE.
fn column(c: &mut Cursor<'_>) -> Result<RoutineArg, SqlError> {
    Ok(RoutineArg {
        mode: Some("table"),
        name: Some(c.ident()?.value),
        ty: type_ref(c)?,
        default: None,
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
    if mark(c, &mut made.marks)? {
        return Ok(());
    }
    if c.accept(&["language"]) {
        c.value()?;
    } else if c.accept(&["as"]) {
        made.body = Some(c.string()?);
        if c.peek().token == Token::Comma {
            return Err(unsupported(c, "a function in an object file"));
        }
    } else if c.accept(&["return"]) {
        made.body = Some(format!("SELECT {}", c.sql()?.text));
        made.plain_body = true;
    } else if c.accept(&["begin", "atomic"]) {
        made.body = Some(atomic(c)?);
        made.plain_body = true;
    } else if c.accept(&["window"]) {
        return Err(unsupported(c, "WINDOW of a function"));
    } else if c.sees(&["transform"]) || c.sees(&["support"]) {
        let word = c.word().unwrap_or_default().to_uppercase();
        return Err(unsupported(c, &format!("{word} of a function")));
    } else {
        return Err(c.unexpected());
    }
    Ok(())
}

/// The statements behind BEGIN ATOMIC, up to its END.
fn atomic(c: &mut Cursor<'_>) -> Result<String, SqlError> {
    let start = c.position();
    let mut cases = 0_usize;
    let mut text = String::new();
    loop {
        if c.peek().token == Token::EOF {
            return Err(c.unexpected());
        }
        if c.sees(&["end"]) {
            if cases == 0 {
                c.next();
                return Ok(text);
            }
            cases -= 1;
        } else if c.sees(&["case"]) {
            cases += 1;
        }
        c.next();
        text = c.since(start);
    }
}

/// One of the options that ALTER FUNCTION has too, if it is next.
fn mark(c: &mut Cursor<'_>, marks: &mut RoutineMarks) -> Result<bool, SqlError> {
    if let Some(word) = c.accept_any(&["immutable", "stable", "volatile"]) {
        marks.volatility = match word {
            "immutable" => Some("immutable"),
            "stable" => Some("stable"),
            _ => Some("volatile"),
        };
    } else if c.accept(&["strict"]) || c.accept(&["returns", "null", "on", "null", "input"]) {
        marks.strict = Some(true);
    } else if c.accept(&["called", "on", "null", "input"]) {
        marks.strict = Some(false);
    } else if c.accept(&["security", "definer"]) || c.accept(&["external", "security", "definer"]) {
        marks.security_definer = Some(true);
    } else if c.accept(&["security", "invoker"]) || c.accept(&["external", "security", "invoker"]) {
        marks.security_definer = Some(false);
    } else if c.accept(&["cost"]) {
        marks.cost = Some(c.value()?);
    } else if c.accept(&["rows"]) {
        marks.rows = Some(c.value()?);
    } else if c.accept(&["parallel"]) {
        let word = c.ident()?.value;
        marks.parallel = match word.as_str() {
            "safe" | "restricted" | "unsafe" => word.chars().next(),
            _ => {
                return Err(SqlError::syntax(
                    "parameter \"parallel\" must be SAFE, RESTRICTED, or UNSAFE",
                    c.position(),
                ));
            }
        };
    } else if c.accept(&["leakproof"]) {
        marks.leakproof = Some(true);
    } else if c.accept(&["not", "leakproof"]) {
        marks.leakproof = Some(false);
    } else if c.sees(&["set"]) || c.sees(&["reset"]) {
        match crate::alter::set_or_reset(c)? {
            Some(change) => marks.settings.push(change),
            None => return Err(c.unexpected()),
        }
    } else {
        return Ok(false);
    }
    Ok(true)
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
    let known = |arg: RoutineArg| match arg.ty {
        TypeRef::Known(ty) => Ok(ty),
        TypeRef::Named(name) | TypeRef::Like(name) => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{name}\" does not exist"),
            name.position,
        )),
    };
    Ok(Some(ins.map(known).collect::<Result<_, _>>()?))
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
            .map(|arg| match &arg.ty {
                TypeRef::Known(ty) => (arg.name.as_deref(), ty.name()),
                other => panic!("{other:?}"),
            })
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
        assert_eq!(
            made.returns.unwrap().ty,
            Some(TypeRef::Known(SqlType::Int8))
        );
        assert_eq!(
            (made.marks.volatility, made.marks.strict, made.procedure),
            (Some("stable"), Some(true), false)
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
