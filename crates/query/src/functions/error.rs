//! What a function says when it cannot answer.

use std::error::Error;
use std::fmt;

use chronolith_types::SqlState;
use datafusion::common::DataFusionError;

/// A failure with all that a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// PostgreSQL's code for it.
    pub code: SqlState,
    /// The primary message.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in a value it is wrong.
    pub context: Option<String>,
    /// The domain that refuses a value.
    pub domain: Option<Box<OfDomain>>,
}

/// A domain that refuses a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfDomain {
    /// Its schema.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Its check; none where it refuses NULL.
    pub check: Option<String>,
}

impl FunctionError {
    /// An error with a code and a message.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            domain: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// `22003`: a number does not fit its type.
    pub fn out_of_range(what: &str) -> Self {
        Self::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("{what} out of range"),
        )
    }

    /// `22012`.
    pub fn division_by_zero() -> Self {
        Self::new(SqlState::DIVISION_BY_ZERO, "division by zero")
    }

    /// `22023`.
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(SqlState::INVALID_PARAMETER_VALUE, message)
    }

    /// `0A000`.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    }

    /// `XX000`: our own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, message)
    }

    /// The function error that a DataFusion error carries, if one does.
    pub fn find(error: &DataFusionError) -> Option<&Self> {
        let mut source: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = source {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            source = match error.downcast_ref::<DataFusionError>() {
                Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
                Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
                Some(DataFusionError::Context(_, inner)) => Some(inner.as_ref()),
                Some(DataFusionError::ArrowError(inner, _)) => match inner.as_ref() {
                    arrow::error::ArrowError::ExternalError(inner) => Some(inner.as_ref()),
                    _ => None,
                },
                _ => error.source(),
            };
        }
        None
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for FunctionError {}

impl From<FunctionError> for DataFusionError {
    fn from(error: FunctionError) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<DataFusionError> for FunctionError {
    fn from(error: DataFusionError) -> Self {
        match Self::find(&error) {
            Some(found) => found.clone(),
            None => Self::internal(error.strip_backtrace()),
        }
    }
}

impl From<arrow::error::ArrowError> for FunctionError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal(error.to_string())
    }
}
