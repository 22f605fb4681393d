//! What can go wrong below SQL.

use std::io;

use chronolith_catalog::{CatalogError, CheckpointError};
use chronolith_chunk::ChunkError;
use chronolith_types::{SchemaId, SqlState, ValueError};
use chronolith_wal::WalError;

use crate::locks::LockError;
use crate::rollups::RollupError;

/// Why the engine refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Another process has the data directory.
    #[error("the data directory is in use by another process")]
    InUse,
    /// The log failed.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// A chunk failed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A change does not fit.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No checkpoint can be read, though there are some.
    #[error("no checkpoint can be read: {reason}")]
    Checkpoint {
        /// Why not the newest.
        reason: CheckpointError,
    },
    /// The disk failed.
    #[error("could not {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// A column that takes no NULL was given one.
    #[error(
        "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
    )]
    NotNull {
        /// The column.
        column: String,
        /// Its table.
        table: String,
        /// That table's schema.
        schema: SchemaId,
    },
    /// A key is there already.
    #[error("duplicate key value violates unique constraint \"{constraint}\"")]
    Unique {
        /// The constraint.
        constraint: String,
        /// Its table.
        table: String,
        /// That table's schema.
        schema: SchemaId,
        /// "Key (a, b)=(1, 2) already exists."
        detail: String,
    },
    /// A time that is in no chunk's range.
    #[error("{name} out of range")]
    TimeOutOfRange {
        /// Its type's name.
        name: &'static str,
        /// Whether it is a whole number.
        whole: bool,
    },
    /// Rows of other columns than the table's: a fault of the caller's.
    #[error("rows do not have the columns of relation \"{0}\"")]
    Columns(String),
    /// A log record that cannot be read, though its checksum matched.
    #[error("a log record cannot be read: {0}")]
    Record(String),
    /// A table with rows cannot become a hypertable in place.
    #[error("table \"{0}\" is not empty")]
    TableNotEmpty(String),
    /// Rows that are there have NULL in a column that is to take none.
    #[error("column \"{column}\" of relation \"{table}\" contains null values")]
    NullsThere {
        /// The column.
        column: String,
        /// Its table.
        table: String,
        /// That table's schema.
        schema: SchemaId,
    },
    /// Rows that are there are alike in columns that are to be unique.
    #[error("could not create unique index \"{constraint}\"")]
    Duplicates {
        /// The constraint.
        constraint: String,
        /// Its table.
        table: String,
        /// That table's schema.
        schema: SchemaId,
        /// "Key (a, b)=(1, 2) is duplicated."
        detail: String,
    },
    /// A column's type changes to one that its values would have to be computed for.
    #[error("cannot change the type of column \"{0}\" while its table has rows")]
    ColumnHasRows(String),
    /// A value's text is none of its type.
    #[error(transparent)]
    Value(ValueError),
    /// Columns, keys or chunks are no longer those that the transaction's rows were made for.
    #[error("could not serialize access to relation \"{0}\" due to a concurrent change")]
    Overtaken(String),
    /// A row that is to be changed was changed by another transaction.
    #[error("could not serialize access due to concurrent {0}")]
    Conflict(&'static str),
    /// What a continuous aggregate gets cannot be computed.
    #[error(transparent)]
    Rollup(#[from] RollupError),
    /// A lock was not to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Chunks that are to be merged or split have rows that are not committed yet.
    #[error("cannot merge or split chunks that the transaction itself wrote to")]
    OwnRows,
    /// What somebody watched is not so any more, in the words of who asked for it.
    #[error("{0}")]
    Refused(Box<Refused>),
    /// A sequence has no numbers left.
    #[error("nextval: reached {reached} value of sequence \"{sequence}\" ({value})")]
    SequenceEnd {
        /// The sequence.
        sequence: String,
        /// `maximum` or `minimum`.
        reached: &'static str,
        /// That value.
        value: i64,
    },
    /// A sequence cannot have this number.
    #[error("setval: value {value} is out of bounds for sequence \"{sequence}\" ({min}..{max})")]
    SequenceBounds {
        /// The sequence.
        sequence: String,
        /// The number.
        value: i64,
        /// Its least one.
        min: i64,
        /// Its greatest one.
        max: i64,
    },
    /// A savepoint that is not there.
    #[error("savepoint \"{0}\" does not exist")]
    NoSavepoint(String),
}

/// What is said of rows that a constraint refuses at the commit.
#[derive(Debug, Clone, Default)]
pub struct Refused {
    /// The SQLSTATE.
    pub sqlstate: SqlState,
    /// One line.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// The schema of the table.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The constraint.
    pub constraint: Option<String>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl EngineError {
    /// The SQLSTATE a client gets.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::InUse => SqlState::LOCK_FILE_EXISTS,
            Self::Wal(error) => error.sqlstate(),
            Self::Chunk(error) => error.sqlstate(),
            Self::Catalog(error) => error.sqlstate(),
            Self::Checkpoint { .. } | Self::Record(_) => SqlState::DATA_CORRUPTED,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                SqlState::DISK_FULL
            }
            Self::Io { .. } => SqlState::IO_ERROR,
            Self::TimeOutOfRange { whole: false, .. } => SqlState::DATETIME_FIELD_OVERFLOW,
            Self::TimeOutOfRange { whole: true, .. } => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            Self::NotNull { .. } => SqlState::NOT_NULL_VIOLATION,
            Self::Unique { .. } => SqlState::UNIQUE_VIOLATION,
            Self::Columns(_) => SqlState::INTERNAL_ERROR,
            Self::NullsThere { .. } => SqlState::NOT_NULL_VIOLATION,
            Self::Duplicates { .. } => SqlState::UNIQUE_VIOLATION,
            Self::TableNotEmpty(_) | Self::ColumnHasRows(_) | Self::OwnRows => {
                SqlState::FEATURE_NOT_SUPPORTED
            }
            Self::Value(error) => error.code,
            Self::Rollup(error) => error.sqlstate,
            Self::Lock(error) => error.sqlstate(),
            Self::Refused(refused) => refused.sqlstate,
            Self::SequenceEnd { .. } => SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
            Self::SequenceBounds { .. } => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            Self::Overtaken(_) | Self::Conflict(_) => SqlState::SERIALIZATION_FAILURE,
            Self::NoSavepoint(_) => SqlState::INVALID_SAVEPOINT_SPECIFICATION,
        }
    }
}

pub(crate) fn io_error(action: &'static str) -> impl Fn(io::Error) -> EngineError {
    move |source| EngineError::Io { action, source }
}
