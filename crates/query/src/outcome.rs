//! What a statement gives back.

use std::fmt;
use std::pin::Pin;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chronolith_types::SqlType;
use futures::Stream;

use crate::error::Error;

/// One column of a result, as `RowDescription` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// The user's name; names may repeat.
    pub name: String,
    /// The type, with its modifier.
    pub ty: SqlType,
    /// Oid of the table it is a plain column of, or 0.
    pub table_oid: u32,
    /// Its attribute number there, or 0.
    pub attribute: i16,
}

/// Result rows, batch by batch; the columns of each batch are in the physical form of their types.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, Error>> + Send>>;

/// COPY's output, in pieces of whole rows.
pub type CopyStream = Pin<Box<dyn Stream<Item = Result<CopyRows, Error>> + Send>>;

/// Rows as COPY writes them, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyRows {
    /// Their bytes.
    pub data: Bytes,
    /// Where each ends; the last is the length of the data. Clients take a message of the protocol
    /// for one row.
    pub ends: Vec<usize>,
}

/// A parameter's value: one element in the physical form of the parameter's type.
pub type ParamValue = ArrayRef;

/// How COPY's data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's text format.
    Text,
    /// Comma-separated values.
    Csv,
    /// PostgreSQL's binary format.
    Binary,
}

/// What executing a statement gives.
pub enum Outcome {
    /// Rows to read; the tag is made from `verb` and, for most, the count of rows sent.
    Rows {
        /// The result's columns.
        columns: Vec<OutputColumn>,
        /// The rows.
        stream: RowStream,
        /// The command tag's verb: `SELECT`, `EXPLAIN`, `SHOW`, `INSERT 0`, `FETCH` …
        verb: String,
        /// Whether the tag ends with the number of rows.
        counted: bool,
    },
    /// It is done; nothing to read.
    Command {
        /// The command tag, whole.
        tag: String,
    },
    /// The statement was empty.
    Empty,
    /// COPY FROM STDIN has begun: feed `Session::copy_data`, then `copy_done` or `copy_fail`.
    CopyIn {
        /// The data's format.
        format: CopyFormat,
        /// How many columns the data has.
        columns: usize,
    },
    /// COPY TO STDOUT.
    CopyOut {
        /// The data's format.
        format: CopyFormat,
        /// How many columns the data has.
        columns: usize,
        /// The data; the count of rows is known at its end.
        stream: CopyStream,
        /// Rows written so far.
        rows: std::sync::Arc<std::sync::atomic::AtomicU64>,
    },
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows { columns, verb, .. } => f
                .debug_struct("Rows")
                .field("columns", columns)
                .field("verb", verb)
                .finish_non_exhaustive(),
            Self::Command { tag } => f.debug_struct("Command").field("tag", tag).finish(),
            Self::Empty => f.write_str("Empty"),
            Self::CopyIn { format, columns } => f
                .debug_struct("CopyIn")
                .field("format", format)
                .field("columns", columns)
                .finish(),
            Self::CopyOut {
                format, columns, ..
            } => f
                .debug_struct("CopyOut")
                .field("format", format)
                .field("columns", columns)
                .finish_non_exhaustive(),
        }
    }
}

/// How loud a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For people who debug.
    Debug,
    /// For the log of the client.
    Info,
    /// Worth knowing.
    Notice,
    /// Something may be wrong.
    Warning,
}

impl Severity {
    /// Whether a client hears of it that asks for a level of `client_min_messages` and above.
    pub(crate) fn is_told(self, least: &str) -> bool {
        match self {
            Self::Debug => least.starts_with("debug"),
            Self::Info => true,
            Self::Notice => !matches!(least, "warning" | "error"),
            Self::Warning => least != "error",
        }
    }
}

/// A message beside the result.
#[derive(Debug, Clone)]
pub struct Notice {
    /// How loud.
    pub severity: Severity,
    /// Its code, message, detail and hint.
    pub body: std::sync::Arc<Error>,
}

/// Where a session's transaction stands, as `ReadyForQuery` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// None is open (`I`).
    Idle,
    /// In a block (`T`).
    InBlock,
    /// In a block that has failed (`E`).
    Failed,
}
