//! RAISE, ASSERT, and blocks that handle errors.

use std::collections::HashMap;
use std::sync::LazyLock;

use chronolith_sql::plpgsql::{Block, Level, Raise, Sql};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::exec::Flow;
use super::frame::{Datum, Names, Slot};
use super::machine::Machine;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Before;
use crate::value::write_text;

/// The conditions of PostgreSQL by their names.
static CONDITIONS: LazyLock<HashMap<&'static str, SqlState>> = LazyLock::new(|| {
    let lines = include_str!("conditions.tsv").lines();
    lines
        .filter_map(|line| {
            let (name, code) = line.split_once('\t')?;
            Some((name, state(code)?))
        })
        .collect()
});

fn state(code: &str) -> Option<SqlState> {
    let bytes: [u8; 5] = code.as_bytes().try_into().ok()?;
    let fits = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    bytes.iter().all(fits).then(|| SqlState::new(&bytes))
}

/// The SQLSTATE of a condition: its name, or itself behind a `#`.
///
/// # Errors
/// 42704 for a name that is none.
pub(crate) fn condition(name: &str) -> Result<SqlState, Error> {
    if let Some(code) = name.strip_prefix('#') {
        return state(code)
            .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, "invalid SQLSTATE code"));
    }
    CONDITIONS.get(name).copied().ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized exception condition \"{name}\""),
        )
    })
}

/// The name of an SQLSTATE, if it has one.
fn name_of(code: SqlState) -> Option<&'static str> {
    let mut lines = include_str!("conditions.tsv").lines();
    lines.find_map(|line| {
        let (name, known) = line.split_once('\t')?;
        (known == code.as_str()).then_some(name)
    })
}

impl Machine<'_> {
    /// A value as its type prints it.
    pub(super) fn text(&self, value: &ScalarValue, ty: &SqlType) -> Result<String, Error> {
        if value.is_null() {
            return Ok("<NULL>".to_owned());
        }
        let mut out = Vec::new();
        let zone = self.session.shared.time_zone();
        if let SqlType::Record | SqlType::Reg(_) = ty {
            return match self.cast(value.clone(), ty, &SqlType::Text) {
                Ok(ScalarValue::Utf8View(Some(text))) => Ok(text),
                _ => crate::session::record_text(value, &zone),
            };
        }
        write_text(value.to_array()?.as_ref(), 0, ty, &zone, &mut out)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    pub(super) async fn raise(&mut self, raise: &Raise) -> Result<(), Error> {
        if raise.again {
            return Err(match self.handled.last() {
                Some(error) => error.copied(),
                None => Error::new(
                    SqlState::new(b"0Z002"),
                    "RAISE without parameters cannot be used outside an exception handler",
                ),
            });
        }
        let mut code = None;
        let mut message = None;
        if let Some(name) = &raise.condition {
            code = Some(condition(name)?);
            message = Some(match name.strip_prefix('#') {
                Some(code) => code.to_owned(),
                None => name.clone(),
            });
        }
        if let Some(format) = &raise.format {
            message = Some(self.formatted(format, &raise.args).await?);
        }
        let mut error = Error::default();
        let mut said = false;
        for (name, value) in &raise.options {
            let (value, ty) = self.value(value, None).await?;
            if value.is_null() {
                return Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "RAISE statement option cannot be null",
                ));
            }
            let text = self.text(&value, &ty)?;
            match name.as_str() {
                "errcode" => {
                    if raise.condition.is_some() {
                        return Err(twice("ERRCODE"));
                    }
                    code = Some(match state(&text) {
                        Some(code) => code,
                        None => condition(&text)?,
                    });
                    if message.is_none() && !said {
                        message = None;
                    }
                }
                "message" => {
                    if raise.format.is_some() {
                        return Err(twice("MESSAGE"));
                    }
                    said = true;
                    message = Some(text);
                }
                "detail" => error.detail = Some(text),
                "hint" => error.hint = Some(text),
                "column" => error.column = Some(text),
                "constraint" => error.constraint = Some(text),
                "table" => error.table = Some(text),
                "schema" => error.schema = Some(text),
                "datatype" => error.datatype = Some(text),
                _ => {}
            }
        }
        error.message = match (message, code) {
            (Some(message), _) => message,
            (None, Some(code)) => {
                name_of(code).map_or_else(|| code.as_str().to_owned(), str::to_owned)
            }
            (None, None) => "P0001".to_owned(),
        };
        let severity = match raise.level {
            Level::Exception => {
                error.code = code.unwrap_or(SqlState::new(b"P0001"));
                return Err(error);
            }
            // Nobody but the log's reader asks for the latter.
            Level::Debug | Level::Log => Severity::Debug,
            Level::Info => Severity::Info,
            Level::Notice => Severity::Notice,
            Level::Warning => Severity::Warning,
        };
        error.code = code.unwrap_or(match raise.level {
            Level::Warning => SqlState::new(b"01000"),
            _ => SqlState::new(b"00000"),
        });
        self.session.shared.notice(severity, error);
        Ok(())
    }

    async fn formatted(&mut self, format: &str, args: &[Sql]) -> Result<String, Error> {
        let mut out = String::new();
        let mut args = args.iter();
        let mut characters = format.chars().peekable();
        while let Some(character) = characters.next() {
            if character != '%' {
                out.push(character);
            } else if characters.peek() == Some(&'%') {
                characters.next();
                out.push('%');
            } else if let Some(arg) = args.next() {
                // A row that is not there is no row of NULLs.
                if self.row_named(arg).is_some_and(|row| row.absent) {
                    out.push_str("<NULL>");
                    continue;
                }
                let (value, ty) = self.value(arg, None).await?;
                out.push_str(&self.text(&value, &ty)?);
            }
        }
        Ok(out)
    }

    pub(super) async fn assert(
        &mut self,
        condition: &Sql,
        message: Option<&Sql>,
    ) -> Result<(), Error> {
        let on = |setting: Option<&str>| setting != Some("off");
        let checked = self
            .session
            .shared
            .with(|state| on(state.settings.get("plpgsql.check_asserts")));
        if !checked || self.truth(condition).await? {
            return Ok(());
        }
        let text = match message {
            Some(message) => {
                let (value, ty) = self.value(message, None).await?;
                (!value.is_null())
                    .then(|| self.text(&value, &ty))
                    .transpose()?
            }
            None => None,
        };
        Err(Error::new(
            SqlState::new(b"P0004"),
            text.unwrap_or_else(|| "assertion failed".to_owned()),
        ))
    }

    /// A block with EXCEPTION: what fails in it leaves nothing, and is handled.
    pub(super) async fn guarded(&mut self, block: &Block) -> Result<Flow, Error> {
        let data = self.frame.data.len();
        let scopes = self.frame.scopes.len();
        self.savepoints += 1;
        let depth = self.session.shared.with(|state| state.depth);
        let point = format!("plpgsql {depth}.{}", self.savepoints);
        let shared = std::sync::Arc::clone(&self.session.shared);
        shared.transact(|transaction| {
            transaction.savepoint(&point);
            Ok::<_, Error>(())
        })?;
        let before = Before::of(&shared);
        let open = self.open_cursors();
        self.session.between.guards += 1;
        let done = self.inner(block).await;
        self.session.between.guards -= 1;
        let mut error = match done {
            Ok(flow) => {
                shared.transact(|transaction| transaction.release(&point))?;
                self.savepoints -= 1;
                return Ok(flow);
            }
            Err(error) => error,
        };
        let mut handler = None;
        for found in &block.handlers {
            for name in &found.conditions {
                if catches(name, error.code)? {
                    handler = Some(found);
                    break;
                }
            }
            if handler.is_some() {
                break;
            }
        }
        let Some(handler) = handler else {
            self.savepoints -= 1;
            return Err(error);
        };
        self.session.name_schema(&mut error);
        self.close_since(&open);
        shared.transact(|transaction| {
            transaction.rollback_to(&point)?;
            transaction.release(&point)
        })?;
        before.restore(&shared);
        self.savepoints -= 1;
        self.told = false;
        self.refresh();
        // What was declared keeps its values; what blocks within declared is gone.
        let declared = block
            .declarations
            .iter()
            .filter(|found| !matches!(found.ty, chronolith_sql::plpgsql::DeclaredType::Alias(_)))
            .count();
        self.frame.data.truncate(data + declared);
        self.frame.scopes.truncate(scopes);
        self.frame.scopes.push(Names::default());
        for (name, text) in [
            ("sqlstate", error.code.as_str().to_owned()),
            ("sqlerrm", error.message.clone()),
        ] {
            let mut slot = Slot::null(name, SqlType::Text)?;
            slot.value = ScalarValue::Utf8View(Some(text));
            slot.constant = true;
            self.frame.declare(name, Datum::Value(slot));
        }
        self.handled.push(error);
        let flow = self.statements(&handler.body).await;
        self.handled.pop();
        self.frame.scopes.truncate(scopes);
        flow
    }
}

/// Whether a WHEN is for an error.
fn catches(name: &str, code: SqlState) -> Result<bool, Error> {
    if name == "others" {
        // A cancelled statement and a failed assertion are caught by their names alone.
        return Ok(!matches!(code.as_str(), "57014" | "P0004"));
    }
    let wanted = condition(name)?;
    if wanted == code {
        return Ok(true);
    }
    // A class stands for all of its conditions.
    let wanted = wanted.as_str();
    Ok(wanted.ends_with("000") && wanted.get(..2) == code.as_str().get(..2))
}

fn twice(option: &str) -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        format!("RAISE option already specified: {option}"),
    )
}
