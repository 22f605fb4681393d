//! Errors in the server's log, with the statements that failed.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use chronolith_types::SqlType;

use super::mask::masked;
use super::slow::Speaker;
use crate::error::Error;
use crate::session::{Prepared, Session, State};
use crate::settings::Settings;
use crate::value::{is_null, write_text};

/// What failed.
#[derive(Debug, Clone, Copy)]
pub enum Failed<'a> {
    /// Nothing that has a text.
    Nothing,
    /// A text.
    Text(&'a str),
    /// A statement that was bound, with its parameters, in a portal of a name.
    Statement {
        /// The portal's name.
        portal: &'a str,
        /// The statement.
        statement: &'a Prepared,
        /// Its parameters.
        params: &'a [ArrayRef],
    },
}

/// What the settings say of logging errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Errors {
    /// `log_min_messages` lets errors pass.
    at_all: bool,
    /// `log_min_error_statement` does, with their statements.
    statements: bool,
    /// `log_parameter_max_length_on_error`.
    params: Cut,
}

/// How much of a parameter is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Parameters are not shown.
    #[default]
    Away,
    /// So many bytes of each.
    Bytes(usize),
    /// All of them.
    Whole,
}

impl Cut {
    /// What a setting says.
    pub(super) fn of(settings: &Settings, name: &str) -> Self {
        match settings.integer(name) {
            None | Some(0) => Self::Away,
            Some(bytes) => usize::try_from(bytes).map_or(Self::Whole, Self::Bytes),
        }
    }
}

impl Errors {
    pub(super) fn of(settings: &Settings) -> Self {
        // To the log an error is less than `log`.
        let shows = |name: &str| !matches!(settings.get(name), Some("log" | "fatal" | "panic"));
        Self {
            at_all: shows("log_min_messages"),
            statements: shows("log_min_error_statement"),
            params: Cut::of(settings, "log_parameter_max_length_on_error"),
        }
    }
}

/// `$1 = '7', $2 = NULL`; None without any, or where they are not to be shown.
pub(crate) fn parameters(
    session: &Session,
    types: &[SqlType],
    values: &[ArrayRef],
    cut: Cut,
) -> Option<String> {
    if cut == Cut::Away || values.is_empty() {
        return None;
    }
    let zone = session.time_zone();
    let mut text = String::new();
    for (number, (ty, value)) in (1..).zip(types.iter().zip(values)) {
        if number > 1 {
            text.push_str(", ");
        }
        text.push_str(&format!("${number} = "));
        if is_null(value.as_ref(), 0) {
            text.push_str("NULL");
            continue;
        }
        let mut bytes = Vec::new();
        if write_text(value.as_ref(), 0, ty, &zone, &mut bytes).is_err() {
            text.push('?');
            continue;
        }
        let whole = String::from_utf8_lossy(&bytes);
        let shown = match cut {
            Cut::Bytes(most) if whole.len() > most => {
                let mut end = most;
                while !whole.is_char_boundary(end) {
                    end -= 1;
                }
                Cow::Owned(format!("{}...", whole.get(..end).unwrap_or_default()))
            }
            _ => whole,
        };
        text.push_str(&format!("'{}'", shown.replace('\'', "''")));
    }
    Some(text)
}

/// What an error says of a text with a secret in it: not the words that it quotes.
fn discreet(message: &str) -> Cow<'_, str> {
    const NEAR: &str = " at or near \"";
    match message.split_once(NEAR) {
        Some((before, _)) => Cow::Owned(format!("{before}{NEAR}********\"")),
        None => Cow::Borrowed(message),
    }
}

impl Session {
    /// Writes an error into the server's log that its client is told of.
    pub fn log_failure(&self, error: &Error, failed: Failed<'_>) {
        let say = self.shared.with(State::errors_logged);
        if !say.at_all {
            return;
        }
        let text = match failed {
            Failed::Nothing => None,
            Failed::Text(text) => Some(text),
            Failed::Statement { statement, .. } => Some(statement.statement.text()),
        };
        let shown = text.map(|text| masked(text.trim()));
        let secret = matches!(shown, Some(Cow::Owned(_)));
        let message = match secret {
            true => discreet(&error.message),
            false => Cow::Borrowed(error.message.as_str()),
        };
        let detail = error.detail.as_deref().filter(|_| !secret);
        let mut context = error.context.clone().filter(|_| !secret);
        if let Failed::Statement {
            portal,
            statement,
            params,
        } = failed
            && let Some(given) = parameters(self, &statement.params, params, say.params)
        {
            let portal = match portal {
                "" => "unnamed portal".to_owned(),
                name => format!("portal \"{name}\""),
            };
            let line = format!("{portal} with parameters: {given}");
            context = Some(context.map_or(line.clone(), |context| format!("{context}\n{line}")));
        }
        let by = Speaker::of(&self.shared);
        tracing::error!(
            severity = "ERROR",
            user = by.user,
            dbname = by.database,
            pid = by.pid,
            application_name = by.application,
            remote_host = by.client,
            state_code = error.code.as_str(),
            cursor_position = error.position,
            detail,
            hint = error.hint.as_deref(),
            context,
            statement = shown.filter(|_| say.statements).as_deref(),
            "{message}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_of_a_secret_text_is_not_said() {
        assert_eq!(
            discreet("unterminated quoted string at or near \"'canary\""),
            "unterminated quoted string at or near \"********\""
        );
        assert_eq!(
            discreet("role \"a\" does not exist"),
            "role \"a\" does not exist"
        );
    }
}
