//! Statements about the session: settings, transactions, prepared statements, cursors, channels.

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use crate::copy::string_next;
use crate::cursor::{Cursor, plain};
use crate::parse::statement;
use crate::{
    Declare, Discard, FetchDirection, SettingChange, SqlError, Statement, TransactionModes,
};

/// The statement, when its first word is one of these.
pub(crate) fn session(c: &mut Cursor<'_>) -> Result<Option<Statement>, SqlError> {
    let Some(first) = c.accept_any(&[
        "set",
        "reset",
        "show",
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "prepare",
        "execute",
        "deallocate",
        "declare",
        "fetch",
        "move",
        "close",
        "discard",
        "listen",
        "unlisten",
        "notify",
    ]) else {
        return Ok(None);
    };
    Ok(Some(match first {
        "set" => set(c)?,
        "reset" => Statement::Reset(setting_name_or_all(c)?),
        "show" => Statement::Show(setting_name_or_all(c)?),
        "begin" => {
            c.accept_any(&["work", "transaction"]);
            Statement::Begin(modes(c)?)
        }
        "start" => {
            c.expect(&["transaction"])?;
            Statement::Start(modes(c)?)
        }
        "commit" | "rollback" if c.accept(&["prepared"]) => Statement::EndPrepared {
            commit: first == "commit",
            name: c.string()?,
        },
        "commit" | "end" => Statement::Commit { chain: chain(c)? },
        "rollback" | "abort" => rollback(c)?,
        "savepoint" => Statement::Savepoint(c.ident()?.value),
        "release" => {
            c.accept(&["savepoint"]);
            Statement::ReleaseSavepoint(c.ident()?.value)
        }
        "prepare" => prepare(c)?,
        "execute" => execute(c)?,
        "deallocate" => {
            c.accept(&["prepare"]);
            Statement::Deallocate(name_or_all(c)?)
        }
        "declare" => declare(c)?,
        "fetch" => fetch(c, false)?,
        "move" => fetch(c, true)?,
        "close" => Statement::Close(name_or_all(c)?),
        "discard" => Statement::Discard(
            match c.accept_any(&["all", "plans", "sequences", "temp", "temporary"]) {
                Some("all") => Discard::All,
                Some("plans") => Discard::Plans,
                Some("sequences") => Discard::Sequences,
                Some(_) => Discard::Temp,
                None => return Err(c.unexpected()),
            },
        ),
        "listen" => Statement::Listen(c.ident()?.value),
        "unlisten" => Statement::Unlisten(if c.take(&Token::Mul) {
            None
        } else {
            Some(c.ident()?.value)
        }),
        _ => {
            let channel = c.ident()?.value;
            let payload = if c.take(&Token::Comma) {
                Some(c.string()?)
            } else {
                None
            };
            Statement::Notify { channel, payload }
        }
    }))
}

fn name_or_all(c: &mut Cursor<'_>) -> Result<Option<String>, SqlError> {
    if c.accept(&["all"]) {
        Ok(None)
    } else {
        Ok(Some(c.ident()?.value))
    }
}

fn setting_name_or_all(c: &mut Cursor<'_>) -> Result<Option<String>, SqlError> {
    if c.accept(&["all"]) {
        return Ok(None);
    }
    if c.accept(&["time", "zone"]) {
        return Ok(Some("timezone".to_owned()));
    }
    if c.accept(&["transaction", "isolation", "level"]) {
        return Ok(Some("transaction_isolation".to_owned()));
    }
    if c.accept(&["session", "authorization"]) {
        return Ok(Some("session_authorization".to_owned()));
    }
    Ok(Some(c.name()?.parts.join(".").to_lowercase()))
}

fn set(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    if c.accept(&["constraints"]) {
        let names = match c.accept(&["all"]) {
            true => Vec::new(),
            false => c.names()?,
        };
        let deferred = match c.accept_any(&["deferred", "immediate"]) {
            Some(word) => word == "deferred",
            None => return Err(c.unexpected()),
        };
        return Ok(Statement::SetConstraints { names, deferred });
    }
    if c.accept(&["session", "characteristics"]) {
        c.expect(&["as", "transaction"])?;
        return Ok(Statement::SetTransaction {
            session: true,
            modes: modes(c)?,
        });
    }
    if c.accept(&["transaction", "snapshot"]) {
        return Ok(Statement::SetSnapshot(c.string()?));
    }
    if c.accept(&["transaction"]) || c.accept(&["local", "transaction"]) {
        return Ok(Statement::SetTransaction {
            session: false,
            modes: modes(c)?,
        });
    }
    let scoped = |c: &Cursor<'_>| !matches!(c.nth(1), Token::Eq) && c.nth(1) != Token::Period;
    let mut local = false;
    if c.sees(&["local"]) && scoped(c) {
        c.next();
        local = true;
    } else if c.sees(&["session"]) && scoped(c) && !c.sees(&["session", "authorization"]) {
        c.next();
    }
    let change = setting(c)?;
    Ok(Statement::Set { local, change })
}

/// What follows SET.
pub(crate) fn setting(c: &mut Cursor<'_>) -> Result<SettingChange, SqlError> {
    let position = c.position();
    let change = |name: &str, value| SettingChange {
        name: name.to_owned(),
        value,
        position,
    };
    if c.accept(&["time", "zone"]) {
        let value = if c.accept_any(&["local", "default"]).is_some() {
            None
        } else if c.accept(&["interval"]) {
            let value = c.string()?;
            if !c.at_end() {
                c.rest();
            }
            Some(value)
        } else {
            Some(c.value()?)
        };
        return Ok(change("timezone", value));
    }
    if c.accept(&["names"]) {
        let value = if c.at_end() || c.accept(&["default"]) {
            None
        } else {
            Some(c.value()?)
        };
        return Ok(change("client_encoding", value));
    }
    if c.accept(&["session", "authorization"]) {
        let value = if c.accept(&["default"]) {
            None
        } else {
            Some(c.value()?)
        };
        return Ok(change("session_authorization", value));
    }
    if c.accept(&["xml", "option"]) {
        return Ok(change("xmloption", Some(c.value()?)));
    }
    if c.sees(&["schema"]) && matches!(c.nth(1), Token::SingleQuotedString(_)) {
        c.next();
        return Ok(change("search_path", Some(c.string()?)));
    }
    if c.sees(&["role"]) && !matches!(c.nth(1), Token::Eq) && !c.sees(&["role", "to"]) {
        c.next();
        let value = match c.accept(&["none"]) {
            true => None,
            false => Some(c.value()?),
        };
        return Ok(change("role", value));
    }
    let name = c.name()?.parts.join(".").to_lowercase();
    if !c.take(&Token::Eq) {
        c.expect(&["to"])?;
    }
    if c.accept(&["default"]) || c.accept(&["from", "current"]) {
        return Ok(change(&name, None));
    }
    let values = c.list(|c| {
        let quoted = string_next(c);
        Ok((quoted, c.value()?))
    })?;
    let value = if let [(_, one)] = values.as_slice() {
        // One value is taken as it is; a schema is written as an identifier.
        if name == "search_path" && !plain(one) && !one.contains(',') && !one.starts_with('"') {
            quote(one)
        } else {
            one.clone()
        }
    } else {
        values
            .iter()
            .map(|(_, part)| {
                if plain(part) {
                    part.clone()
                } else {
                    quote(part)
                }
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    Ok(change(&name, Some(value)))
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `ISOLATION LEVEL …, READ ONLY, [NOT] DEFERRABLE`.
fn modes(c: &mut Cursor<'_>) -> Result<TransactionModes, SqlError> {
    let mut modes = TransactionModes::default();
    loop {
        if c.accept(&["isolation", "level"]) {
            let levels: [&[&str]; 4] = [
                &["read", "committed"],
                &["read", "uncommitted"],
                &["repeatable", "read"],
                &["serializable"],
            ];
            let level = levels.into_iter().find(|words| c.accept(words));
            match level {
                Some(words) => modes.isolation = Some(words.join(" ")),
                None => return Err(c.unexpected()),
            }
        } else if c.accept(&["read", "only"]) {
            modes.read_only = Some(true);
        } else if c.accept(&["read", "write"]) {
            modes.read_only = Some(false);
        } else if c.accept(&["not", "deferrable"]) {
            modes.deferrable = Some(false);
        } else if c.accept(&["deferrable"]) {
            modes.deferrable = Some(true);
        } else if c.at_end() {
            return Ok(modes);
        } else {
            return Err(c.unexpected());
        }
        c.take(&Token::Comma);
    }
}

fn chain(c: &mut Cursor<'_>) -> Result<bool, SqlError> {
    c.accept_any(&["work", "transaction"]);
    if c.accept(&["and", "no", "chain"]) {
        return Ok(false);
    }
    Ok(c.accept(&["and", "chain"]))
}

fn rollback(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.accept_any(&["work", "transaction"]);
    if c.accept(&["to"]) {
        c.accept(&["savepoint"]);
        return Ok(Statement::RollbackTo(c.ident()?.value));
    }
    Ok(Statement::Rollback { chain: chain(c)? })
}

fn prepare(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    if c.accept(&["transaction"]) {
        return Ok(Statement::PrepareTransaction(c.string()?));
    }
    let name = c.ident()?.value;
    let mut types = Vec::new();
    if c.take(&Token::LParen) {
        types = c.list(Cursor::data_type)?;
        c.need(&Token::RParen)?;
    }
    c.expect(&["as"])?;
    let start = c.position();
    let words = [
        "select", "with", "values", "table", "insert", "update", "delete", "merge",
    ];
    if !words.iter().any(|word| c.sees(&[word])) && c.peek().token != Token::LParen {
        return Err(c.unexpected());
    }
    let inner = Box::new(statement(c)?);
    let text = c.since(start);
    Ok(Statement::Prepare {
        name,
        types,
        inner,
        text,
    })
}

fn execute(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.ident()?.value;
    let args = arguments(c)?;
    Ok(Statement::Execute { name, args })
}

/// What EXECUTE gives a prepared statement.
pub(crate) fn arguments(c: &mut Cursor<'_>) -> Result<Vec<ast::Expr>, SqlError> {
    let mut args = Vec::new();
    if c.take(&Token::LParen) && !c.take(&Token::RParen) {
        args = c.list(Cursor::expr)?;
        c.need(&Token::RParen)?;
    }
    Ok(args)
}

fn declare(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.ident()?.value;
    let (mut binary, mut scroll) = (false, None);
    while !c.accept(&["cursor"]) {
        if c.accept(&["binary"]) {
            binary = true;
        } else if c.accept(&["no", "scroll"]) {
            scroll = Some(false);
        } else if c.accept(&["scroll"]) {
            scroll = Some(true);
        } else if c.accept_any(&["insensitive", "asensitive"]).is_none() {
            return Err(c.unexpected());
        }
    }
    let hold = c.accept(&["with", "hold"]);
    if !hold {
        c.accept(&["without", "hold"]);
    }
    c.expect(&["for"])?;
    let start = c.position();
    let words = ["select", "with", "values", "table"];
    if !words.iter().any(|word| c.sees(&[word])) && c.peek().token != Token::LParen {
        return Err(c.unexpected());
    }
    let query = c.query()?;
    let text = c.since(start);
    Ok(Statement::Declare(Box::new(Declare {
        name,
        binary,
        hold,
        scroll,
        query,
        text,
    })))
}

fn fetch(c: &mut Cursor<'_>, only_move: bool) -> Result<Statement, SqlError> {
    let number = |c: &Cursor<'_>| {
        matches!(
            c.peek().token,
            Token::Number(..) | Token::Minus | Token::Plus
        )
    };
    let direction = match c.accept_any(&[
        "next", "prior", "first", "last", "absolute", "relative", "all", "forward", "backward",
    ]) {
        Some("prior") => FetchDirection::Forward(-1),
        Some("first") => FetchDirection::First,
        Some("last") => FetchDirection::Last,
        Some("absolute") => FetchDirection::Absolute(c.integer()?),
        Some("relative") => FetchDirection::Relative(c.integer()?),
        Some("all") => FetchDirection::ForwardAll,
        Some("forward") if c.accept(&["all"]) => FetchDirection::ForwardAll,
        Some("forward") if number(c) => FetchDirection::Forward(c.integer()?),
        Some("backward") if c.accept(&["all"]) => FetchDirection::BackwardAll,
        Some("backward") if number(c) => FetchDirection::Forward(c.integer()?.saturating_neg()),
        Some("backward") => FetchDirection::Forward(-1),
        None if number(c) => FetchDirection::Forward(c.integer()?),
        _ => FetchDirection::Forward(1),
    };
    c.accept_any(&["from", "in"]);
    let cursor = c.ident()?.value;
    Ok(Statement::Fetch {
        cursor,
        direction,
        only_move,
    })
}
