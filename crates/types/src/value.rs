//! Why a text or some bytes are no value of a type.

use crate::sqlstate::SqlState;

/// A value that was refused, as PostgreSQL words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// The SQLSTATE.
    pub code: SqlState,
    /// One line.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// Where in the value it is wrong.
    pub context: Option<String>,
}

impl ValueError {
    /// An error with a code and a message.
    #[must_use]
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            context: None,
        }
    }

    /// 22P02 for text that is no value of `ty`.
    #[must_use]
    pub fn syntax(ty: &str, text: &[u8]) -> Self {
        Self::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!(
                "invalid input syntax for type {ty}: \"{}\"",
                String::from_utf8_lossy(text)
            ),
        )
    }

    /// 22003 for text that is a number, but none that `ty` holds.
    #[must_use]
    pub fn range(ty: &str, text: &[u8]) -> Self {
        Self::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!(
                "value \"{}\" is out of range for type {ty}",
                String::from_utf8_lossy(text)
            ),
        )
    }

    /// 22007 for text that is no date or time of type `ty`.
    #[must_use]
    pub fn datetime(ty: &str, text: &[u8]) -> Self {
        Self {
            code: SqlState::INVALID_DATETIME_FORMAT,
            ..Self::syntax(ty, text)
        }
    }

    /// 22008 for a date or time that cannot be.
    #[must_use]
    pub fn field(text: &[u8]) -> Self {
        Self::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!(
                "date/time field value out of range: \"{}\"",
                String::from_utf8_lossy(text)
            ),
        )
    }

    /// The same with DETAIL.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}
