//! CREATE.

mod constraint;
mod index;
mod schema;
mod table;

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{CreateView, Opt, Spelled, SqlError, Statement};

pub(crate) use constraint::{constraint, timing};
use index::index;
use schema::schema;
use table::table;
pub(crate) use table::{column, default_of};

pub(crate) fn create(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["create"])?;
    let or_replace = c.accept(&["or", "replace"]);
    if !or_replace {
        if c.sees(&["unique", "index"]) || c.sees(&["index"]) {
            return index(c);
        }
        if c.accept(&["schema"]) {
            return schema(c);
        }
        if c.accept(&["database"]) {
            let name = c.ident()?;
            c.accept(&["with"]);
            let options = database_options(c)?;
            return Ok(Statement::CreateDatabase { name, options });
        }
        if c.accept(&["type"]) {
            return crate::user_types::create_type(c);
        }
        if c.accept(&["domain"]) {
            return crate::user_types::create_domain(c);
        }
        if c.accept(&["extension"]) {
            return extension(c);
        }
        if let Some(word) = c.accept_any(&["role", "user", "group"]) {
            if word == "user" && c.sees(&["mapping"]) {
                c.rest();
                return Ok(Statement::Other("CREATE USER MAPPING".to_owned()));
            }
            let name = role_name(c)?;
            let options = role_options(c)?;
            return Ok(Statement::CreateRole {
                name,
                user: word == "user",
                options,
            });
        }
    }
    c.accept_any(&["global", "local"]);
    let temporary = c.accept_any(&["temporary", "temp"]).is_some();
    let unlogged = !temporary && c.accept(&["unlogged"]);
    if !or_replace && c.accept(&["table"]) {
        return table(c, temporary, unlogged);
    }
    if !or_replace && c.accept(&["sequence"]) {
        return crate::sequence::create(c, temporary, unlogged);
    }
    let recursive = c.accept(&["recursive"]);
    if !recursive && !or_replace && !temporary && c.accept(&["materialized", "view"]) {
        let verb = ViewVerb {
            materialized: true,
            unlogged,
            ..ViewVerb::default()
        };
        return view(c, verb);
    }
    let constraint = c.sees(&["constraint", "trigger"]);
    if constraint {
        c.next();
    }
    if !temporary && !recursive && !unlogged && c.accept(&["trigger"]) {
        return crate::trigger::create(c, or_replace, constraint);
    }
    if !or_replace && !temporary && !recursive && !unlogged && c.accept(&["policy"]) {
        return crate::policy::policy(c, false);
    }
    if !temporary && !recursive && !unlogged && c.accept(&["publication"]) {
        return crate::publication::create(c);
    }
    if !temporary && !recursive && (c.sees(&["function"]) || c.sees(&["procedure"])) {
        return crate::routine::create(c, or_replace);
    }
    if !recursive && !unlogged && c.accept(&["view"]) {
        let verb = ViewVerb {
            or_replace,
            temporary,
            ..ViewVerb::default()
        };
        return view(c, verb);
    }
    other(c)
}

/// A CREATE that is recognised and not served.
fn other(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    const KINDS: &[&[&str]] = &[
        &["access", "method"],
        &["aggregate"],
        &["cast"],
        &["collation"],
        &["conversion"],
        &["event", "trigger"],
        &["foreign", "data", "wrapper"],
        &["foreign", "table"],
        &["language"],
        &["operator", "class"],
        &["operator", "family"],
        &["operator"],
        &["rule"],
        &["server"],
        &["statistics"],
        &["subscription"],
        &["tablespace"],
        &["text", "search", "configuration"],
        &["text", "search", "dictionary"],
        &["transform"],
        &["trigger"],
        &["view"],
    ];
    c.accept_any(&["trusted", "constraint"]);
    for kind in KINDS {
        if c.accept(kind) {
            c.rest();
            let kind = kind.join(" ").to_uppercase();
            return Ok(Statement::Other(format!("CREATE {kind}")));
        }
    }
    Err(c.unexpected())
}

fn extension(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = c.accept(&["if", "not", "exists"]);
    let name = c.ident()?;
    c.accept(&["with"]);
    let mut options = Vec::new();
    loop {
        let position = c.position();
        let Some(word) = c.accept_any(&["schema", "version", "cascade", "from"]) else {
            break;
        };
        let value = if word == "cascade" {
            None
        } else {
            Some(c.value()?)
        };
        options.push(Opt {
            name: word.to_owned(),
            value,
            position,
        });
    }
    Ok(Statement::CreateExtension {
        name,
        if_not_exists,
        options,
    })
}

/// `OWNER [=] x ENCODING [=] 'y' …` up to the end.
pub(crate) fn database_options(c: &mut Cursor<'_>) -> Result<Vec<Opt>, SqlError> {
    let mut options = Vec::new();
    while !c.at_end() {
        let position = c.position();
        let name = if c.accept(&["connection", "limit"]) {
            "connection limit".to_owned()
        } else {
            c.word().ok_or_else(|| c.unexpected()).inspect(|_| {
                c.next();
            })?
        };
        c.take(&Token::Eq);
        let value = Some(c.value()?);
        options.push(Opt {
            name,
            value,
            position,
        });
    }
    Ok(options)
}

/// A role; `current_user` and its kin too.
pub(crate) fn role_name(c: &mut Cursor<'_>) -> Result<Spelled, SqlError> {
    let position = c.position();
    if let Some(word) = c.accept_any(&["current_user", "current_role", "session_user", "all"]) {
        return Ok(Spelled {
            value: word.to_owned(),
            position,
        });
    }
    c.ident()
}

/// `[WITH] LOGIN PASSWORD 'x' …` up to the end.
pub(crate) fn role_options(c: &mut Cursor<'_>) -> Result<Vec<Opt>, SqlError> {
    c.accept(&["with"]);
    let mut options = Vec::new();
    while !c.at_end() {
        let position = c.position();
        let mut add = |name: &str, value| {
            options.push(Opt {
                name: name.to_owned(),
                value,
                position,
            });
        };
        if let Some(word) = c.accept_any(&[
            "superuser",
            "nosuperuser",
            "createdb",
            "nocreatedb",
            "createrole",
            "nocreaterole",
            "inherit",
            "noinherit",
            "login",
            "nologin",
            "replication",
            "noreplication",
            "bypassrls",
            "nobypassrls",
        ]) {
            add(word, None);
        } else if c.accept(&["connection", "limit"]) {
            let limit = c.integer()?;
            add("connection limit", Some(limit.to_string()));
        } else if c.accept_any(&["encrypted", "unencrypted"]).is_some() || c.sees(&["password"]) {
            c.expect(&["password"])?;
            let password = if c.accept(&["null"]) {
                None
            } else {
                Some(c.string()?)
            };
            add("password", password);
        } else if c.accept(&["valid", "until"]) {
            let until = c.string()?;
            add("valid until", Some(until));
        } else if c.accept(&["sysid"]) {
            c.integer()?;
        } else if c.accept(&["in", "role"]) || c.accept(&["in", "group"]) {
            let roles = c.list(role_name)?;
            add("in role", Some(joined(&roles)));
        } else if let Some(word) = c.accept_any(&["role", "admin", "user"]) {
            let roles = c.list(role_name)?;
            add(word, Some(joined(&roles)));
        } else {
            return Err(c.unexpected());
        }
    }
    Ok(options)
}

fn joined(names: &[Spelled]) -> String {
    names
        .iter()
        .map(|name| name.value.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// WITH [NO] DATA.
fn with_data(c: &mut Cursor<'_>) -> bool {
    if c.accept(&["with", "no", "data"]) {
        return false;
    }
    c.accept(&["with", "data"]);
    true
}

/// A tablespace's name: there is one.
fn tablespace(c: &mut Cursor<'_>) -> Result<(), SqlError> {
    let position = c.position();
    let name = c.ident()?.value;
    match name.as_str() {
        "pg_default" => Ok(()),
        _ => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("tablespace \"{name}\" does not exist"),
            position,
        )),
    }
}

/// The name of how a table's rows are kept: there is one.
fn access_method(c: &mut Cursor<'_>) -> Result<(), SqlError> {
    let position = c.position();
    let name = c.ident()?.value;
    match name.as_str() {
        "heap" => Ok(()),
        _ => Err(SqlError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{name}\" does not exist"),
            position,
        )),
    }
}

/// What stands between CREATE and VIEW.
#[derive(Default)]
struct ViewVerb {
    or_replace: bool,
    temporary: bool,
    unlogged: bool,
    materialized: bool,
}

fn view(c: &mut Cursor<'_>, verb: ViewVerb) -> Result<Statement, SqlError> {
    let if_not_exists = verb.materialized && c.accept(&["if", "not", "exists"]);
    let name = c.name()?;
    let columns = c.optional_columns()?;
    let method = if verb.materialized && c.accept(&["using"]) {
        Some(c.ident()?)
    } else {
        None
    };
    let mut options = if c.accept(&["with"]) {
        c.options()?
    } else {
        Vec::new()
    };
    if verb.materialized && c.accept(&["tablespace"]) {
        tablespace(c)?;
    }
    c.expect(&["as"])?;
    let (query, text, with_data) = if verb.materialized {
        c.query_with_data()?
    } else {
        let start = c.position();
        let mut query = c.query()?;
        if crate::parse::into(&mut query.body).is_some_and(|into| into.is_some()) {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "views must not contain SELECT INTO",
                start,
            ));
        }
        let text = c.since(start);
        let position = c.position();
        if c.accept(&["with"]) {
            let word = c.accept_any(&["local", "cascaded"]);
            c.expect(&["check", "option"])?;
            // An option like those behind the name.
            options.push(Opt {
                name: "check_option".to_owned(),
                value: Some(word.map_or("cascaded", |word| word).to_owned()),
                position,
            });
        }
        (query, text, true)
    };
    Ok(Statement::CreateView(Box::new(CreateView {
        name,
        columns,
        or_replace: verb.or_replace,
        if_not_exists,
        temporary: verb.temporary,
        materialized: verb.materialized,
        unlogged: verb.unlogged,
        method,
        options,
        query,
        text: crate::tokens::spelled_out(&text),
        with_data,
    })))
}

/// REFRESH MATERIALIZED VIEW.
pub(crate) fn refresh(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["refresh", "materialized", "view"])?;
    let concurrently = c.accept(&["concurrently"]);
    let name = c.name()?;
    let with_data = with_data(c);
    Ok(Statement::Refresh {
        name,
        concurrently,
        with_data,
    })
}
