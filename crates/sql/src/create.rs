//! CREATE.

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{
    ColumnDef, Constraint, ConstraintKind, CreateIndex, CreateSchema, CreateTable, CreateTableAs,
    CreateView, IndexKey, Like, OnCommit, Opt, ReferenceAction, Spelled, SqlError, Statement,
    Timing,
};

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
        &["policy"],
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

fn schema(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = c.accept(&["if", "not", "exists"]);
    let mut owner = None;
    let name = if c.accept(&["authorization"]) {
        let role = role_name(c)?;
        owner = Some(role.clone());
        role
    } else {
        let name = c.ident()?;
        if c.accept(&["authorization"]) {
            owner = Some(role_name(c)?);
        }
        name
    };
    Ok(Statement::CreateSchema(CreateSchema {
        name,
        if_not_exists,
        owner,
    }))
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

// ----------------------------------------------------------------------- tables

fn table(c: &mut Cursor<'_>, temporary: bool, unlogged: bool) -> Result<Statement, SqlError> {
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
fn names_before_as(c: &mut Cursor<'_>) -> Result<Option<Vec<Spelled>>, SqlError> {
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

fn table_as(
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
    if c.sees(&["execute"]) {
        c.rest();
        return Ok(Statement::Other("CREATE TABLE AS EXECUTE".to_owned()));
    }
    let (query, _, with_data) = c.query_with_data()?;
    Ok(Statement::CreateTableAs(Box::new(CreateTableAs {
        name,
        columns,
        if_not_exists,
        temporary,
        unlogged,
        on_commit,
        options,
        query,
        with_data,
    })))
}

/// ON COMMIT, if it is next.
fn on_commit(c: &mut Cursor<'_>) -> Result<Option<OnCommit>, SqlError> {
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

/// WITH [NO] DATA.
fn with_data(c: &mut Cursor<'_>) -> bool {
    if c.accept(&["with", "no", "data"]) {
        return false;
    }
    c.accept(&["with", "data"]);
    true
}

fn element(c: &mut Cursor<'_>, table: &mut CreateTable) -> Result<(), SqlError> {
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

fn generated(c: &mut Cursor<'_>, column: &mut ColumnDef) -> Result<(), SqlError> {
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

/// NULLS NOT DISTINCT.
fn nulls_alike(c: &mut Cursor<'_>) -> bool {
    let alike = c.accept(&["nulls", "not", "distinct"]);
    if !alike {
        c.accept(&["nulls", "distinct"]);
    }
    alike
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

/// What may follow the columns of a key.
fn index_tail(c: &mut Cursor<'_>) -> Result<Vec<Spelled>, SqlError> {
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

fn check(c: &mut Cursor<'_>) -> Result<ConstraintKind, SqlError> {
    c.need(&Token::LParen)?;
    let sql = c.sql()?;
    c.need(&Token::RParen)?;
    Ok(ConstraintKind::Check(sql))
}

fn references(c: &mut Cursor<'_>, columns: Vec<Spelled>) -> Result<ConstraintKind, SqlError> {
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

fn action(c: &mut Cursor<'_>) -> Result<ReferenceAction, SqlError> {
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
        let mut open = 0_usize;
        while c.peek().token != Token::EOF {
            match c.peek().token {
                Token::LParen => open += 1,
                Token::RParen if open == 0 => break,
                Token::RParen => open -= 1,
                Token::Comma if open == 0 => break,
                _ => {}
            }
            c.next();
        }
        ConstraintKind::Exclude
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

fn key(
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

// ------------------------------------------------------------- views and indexes

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
        text,
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

fn index(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
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

fn index_key(c: &mut Cursor<'_>) -> Result<IndexKey, SqlError> {
    let ends = |token: &Token| match token {
        Token::Comma | Token::RParen => true,
        Token::Word(word) => word.quote_style.is_none() && word.value != "collate",
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
        let sql = crate::SqlText {
            expr: crate::expression(&text)?,
            text,
        };
        (sql, Some(name))
    } else {
        (c.sql()?, None)
    };
    if c.accept(&["collate"]) {
        c.name()?;
    }
    if !matches!(c.word().as_deref(), None | Some("asc" | "desc" | "nulls")) {
        c.name()?;
    }
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
        desc,
        nulls_first,
    })
}
