//! The one error that leaves this crate, with everything a Postgres client shows of it.

use std::error::Error as StdError;
use std::fmt;

use chronolith_chunk::ChunkError;
use chronolith_engine::{EngineError, LockError};
use chronolith_types::{SqlState, ValueError};
use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use crate::functions::FunctionError;

/// What DataFusion says of a scalar query that gave several rows.
const SEVERAL_ROWS: &str = "Scalar subquery returned more than one row";

/// Why a statement failed, as a client sees it.
///
/// `message`, `detail` and `hint` follow PostgreSQL's style; `position` counts characters of the
/// statement's text from 1.
#[derive(Debug, Default)]
pub struct Error {
    /// The SQLSTATE.
    pub code: SqlState,
    /// One line, lower case, no full stop.
    pub message: String,
    /// More about what was found.
    pub detail: Option<String>,
    /// A sentence that says what to do.
    pub hint: Option<String>,
    /// The character of the statement the error points at, from 1.
    pub position: Option<u32>,
    /// Where it happened: a COPY's line and column, for one.
    pub context: Option<String>,
    /// The schema of the object that is named below.
    pub schema: Option<String>,
    /// The table concerned.
    pub table: Option<String>,
    /// The column concerned.
    pub column: Option<String>,
    /// The constraint concerned.
    pub constraint: Option<String>,
    /// The type concerned.
    pub datatype: Option<String>,
    /// It points at the operator before an operand: this, until the statement's text is asked where
    /// that is.
    pub operand: Option<Box<Operand>>,
    /// What caused it, for the log.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A right operand: trees tell its place, and not its operator's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// The character, from 1, that it begins with, but for its signs.
    pub at: u32,
    /// How many signs stand before that.
    pub signs: u32,
}

impl Error {
    /// 0A000: what a prepared statement gives is of other types than it was.
    pub(crate) fn changed_plan() -> Self {
        Self::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cached plan must not change result type",
        )
    }

    /// An error with a code and a message alone.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            ..Self::default()
        }
    }

    /// 0A000 for `what`, which exists in PostgreSQL or TimescaleDB but not here.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{what} is not supported"),
        )
    }

    /// XX000: a fault of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, message)
    }

    /// 42P02: a parameter, counted from 1, has no value.
    pub(crate) fn no_parameter(number: usize) -> Self {
        Self::new(
            SqlState::UNDEFINED_PARAMETER,
            format!("there is no parameter ${number}"),
        )
    }

    /// 21000: a query that stands for one value gave several rows.
    pub(crate) fn several_rows() -> Self {
        Self::new(
            SqlState::new(b"21000"),
            "more than one row returned by a subquery used as an expression",
        )
    }

    /// The same with DETAIL.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with HINT.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same pointing at character `position` (from 1), unless it points closer already.
    #[must_use]
    pub fn at(mut self, position: Option<u32>) -> Self {
        self.position = self.position.or(position);
        self
    }

    /// The same pointing at the operator before an operand, unless it points closer already; at
    /// `position` where the statement's text is not at hand.
    #[must_use]
    pub(crate) fn behind(mut self, operand: Option<Operand>, position: Option<u32>) -> Self {
        if self.position.is_none() {
            self.operand = operand.map(Box::new);
            self.position = position;
        }
        self
    }

    /// The same with its operator looked up in the text, which is that of a message from its
    /// `skipped`th character on.
    #[must_use]
    pub(crate) fn placed(mut self, text: &str, skipped: u32) -> Self {
        if let Some(operand) = self.operand.take()
            && let Some(within) = operand.at.checked_sub(skipped)
            && let Some(at) = chronolith_sql::operator_before(text, within, operand.signs)
        {
            self.position = Some(at + skipped);
        }
        self
    }

    /// The same with CONTEXT.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        let context = context.into();
        // The innermost comes first.
        self.context = Some(match self.context {
            Some(known) => format!("{known}\n{context}"),
            None => context,
        });
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self {
            detail: error.detail,
            context: error.context,
            ..Self::new(error.code, error.message)
        }
    }
}

impl From<chronolith_sql::SqlError> for Error {
    fn from(error: chronolith_sql::SqlError) -> Self {
        Self {
            hint: error.hint,
            position: error.position.and_then(|at| u32::try_from(at).ok()),
            ..Self::new(error.sqlstate, error.message)
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        let mut told = Self::new(error.sqlstate(), error.to_string());
        match &error {
            EngineError::NotNull { column, table, .. }
            | EngineError::NullsThere { column, table, .. } => {
                told.column = Some(column.clone());
                told.table = Some(table.clone());
            }
            EngineError::Refused(refused) => {
                told.detail.clone_from(&refused.detail);
                told.schema.clone_from(&refused.schema);
                told.table.clone_from(&refused.table);
                told.constraint.clone_from(&refused.constraint);
            }
            EngineError::Unique {
                constraint,
                table,
                detail,
                ..
            }
            | EngineError::Duplicates {
                constraint,
                table,
                detail,
                ..
            } => {
                told.constraint = Some(constraint.clone());
                told.table = Some(table.clone());
                told.detail = Some(detail.clone());
            }
            EngineError::Lock(lock) => {
                told.detail = lock.detail().map(str::to_owned);
                if told.detail.is_some() {
                    told.hint = Some("See server log for query details.".to_owned());
                }
            }
            _ => {}
        }
        told.source = Some(Box::new(error));
        told
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        Self::from(EngineError::from(error))
    }
}

impl From<ChunkError> for Error {
    fn from(error: ChunkError) -> Self {
        Self::from(EngineError::from(error))
    }
}

impl From<FunctionError> for Error {
    fn from(error: FunctionError) -> Self {
        let mut told = Self::new(error.code, error.message);
        told.detail = error.detail;
        told.hint = error.hint;
        told.context = error.context;
        if let Some(of) = error.domain {
            told.schema = of.schema;
            told.datatype = Some(of.name);
            told.constraint = of.check;
        }
        told
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => from_external(inner),
            DataFusionError::ArrowError(inner, _) => Self::from(*inner),
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::from(*inner)
            }
            DataFusionError::Shared(inner) => from_shared(&inner),
            DataFusionError::Collection(mut inner) if !inner.is_empty() => {
                Self::from(inner.swap_remove(0))
            }
            DataFusionError::ResourcesExhausted(message) => {
                Self::new(SqlState::OUT_OF_MEMORY, message)
                    .hint("Raise the memory budget of queries, or ask for less at once.")
            }
            DataFusionError::NotImplemented(message) => {
                Self::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            }
            DataFusionError::Plan(message) => unplanned(message),
            DataFusionError::Execution(message) if message.starts_with(SEVERAL_ROWS) => {
                Self::several_rows()
            }
            other => {
                let message = other.strip_backtrace();
                Self {
                    source: Some(Box::new(other)),
                    ..Self::internal(message)
                }
            }
        }
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => from_external(inner),
            ArrowError::DivideByZero => Self::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            ArrowError::ArithmeticOverflow(message) => {
                Self::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
            }
            other => Self::internal(other.to_string()),
        }
    }
}

/// An error that travelled through DataFusion boxed: ours comes out as it went in.
fn from_external(inner: Box<dyn StdError + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(own) => return *own,
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<FunctionError>() {
        Ok(own) => return Error::from(*own),
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<EngineError>() {
        Ok(own) => return Error::from(*own),
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<DataFusionError>() {
        Ok(nested) => return Error::from(*nested),
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<ArrowError>() {
        Ok(nested) => return Error::from(*nested),
        Err(inner) => inner,
    };
    Error::internal(inner.to_string())
}

/// A shared error cannot be taken apart, so its facts are copied.
fn from_shared(inner: &DataFusionError) -> Error {
    match inner {
        DataFusionError::External(boxed) => from_borrowed(boxed.as_ref()),
        DataFusionError::Shared(inner) => from_shared(inner),
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_shared(inner)
        }
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(boxed) => from_borrowed(boxed.as_ref()),
            ArrowError::DivideByZero => Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            ArrowError::ArithmeticOverflow(message) => {
                Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message.clone())
            }
            other => Error::internal(other.to_string()),
        },
        DataFusionError::Execution(message) if message.starts_with(SEVERAL_ROWS) => {
            Error::several_rows()
        }
        DataFusionError::Plan(message) => unplanned(message.clone()),
        other => Error::internal(other.strip_backtrace()),
    }
}

/// What was bound and cannot be planned is a query that nothing here runs, unless a parameter says how
/// many rows are wanted.
fn unplanned(message: String) -> Error {
    let negative = [
        ("LIMIT", SqlState::INVALID_ROW_COUNT_IN_LIMIT),
        ("OFFSET", SqlState::INVALID_ROW_COUNT_IN_OFFSET),
    ];
    for (clause, state) in negative {
        if message.starts_with(&format!("{clause} must be >=")) {
            return Error::new(state, format!("{clause} must not be negative"));
        }
    }
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn from_borrowed(inner: &(dyn StdError + Send + Sync + 'static)) -> Error {
    if let Some(own) = inner.downcast_ref::<Error>() {
        return own.copied();
    }
    if let Some(own) = inner.downcast_ref::<FunctionError>() {
        return Error::from(own.clone());
    }
    if let Some(own) = inner.downcast_ref::<EngineError>() {
        return Error::new(own.sqlstate(), own.to_string());
    }
    match inner.downcast_ref::<DataFusionError>() {
        Some(nested) => from_shared(nested),
        None => Error::internal(inner.to_string()),
    }
}

impl Error {
    /// A copy without its source, which cannot be cloned.
    #[must_use]
    pub fn copied(&self) -> Self {
        Self {
            code: self.code,
            message: self.message.clone(),
            detail: self.detail.clone(),
            hint: self.hint.clone(),
            position: self.position,
            operand: self.operand.clone(),
            context: self.context.clone(),
            schema: self.schema.clone(),
            table: self.table.clone(),
            column: self.column.clone(),
            constraint: self.constraint.clone(),
            datatype: self.datatype.clone(),
            source: None,
        }
    }
}
