//! What is said of text that is no statement.

use chronolith_types::SqlState;

/// Why a text could not be read as SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// The primary message, as PostgreSQL words it.
    pub message: String,
    /// `42601` for most; `54001` for nesting that is too deep; `0A000` for what is refused.
    pub sqlstate: SqlState,
    /// The 1-based character position in the text.
    pub position: Option<usize>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl SqlError {
    pub(crate) fn syntax(message: impl Into<String>, position: usize) -> Self {
        Self {
            message: message.into(),
            sqlstate: SqlState::SYNTAX_ERROR,
            position: Some(position),
            hint: None,
        }
    }

    pub(crate) fn new(sqlstate: SqlState, message: impl Into<String>, position: usize) -> Self {
        Self {
            sqlstate,
            ..Self::syntax(message, position)
        }
    }

    pub(crate) fn too_deep() -> Self {
        Self {
            message: "stack depth limit exceeded".into(),
            sqlstate: SqlState::new(b"54001"),
            position: None,
            hint: Some("Nest fewer expressions and subqueries in one another.".into()),
        }
    }
}
