//! What can go wrong with a chunk.

use std::io;

use arrow::error::ArrowError;
use chronolith_types::{SqlState, ValueError};
use parquet::errors::ParquetError;

/// Why rows could not be packed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// What was read is not what was written.
    #[error("cold part {file} is corrupt at byte {offset}: {reason}")]
    Corrupt {
        /// The file's path below the data directory.
        file: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed.
    #[error("could not {action} {file}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file's path below the data directory.
        file: String,
        /// What the disk said.
        source: io::Error,
    },
    /// Columns are not as the layout says: a fault of ours.
    #[error("columns do not fit the table's layout")]
    Columns(#[source] ArrowError),
    /// Parquet refused: a fault of ours, since the bytes were checked.
    #[error("could not pack or unpack rows")]
    Parquet(#[from] ParquetError),
    /// A value that PostgreSQL refuses, as it words it.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// An aggregate that is not computed here: a fault of the caller's.
    #[error("an aggregate over columns of such types is not computed by chunks")]
    Unsupported,
    /// Whoever asked does not want the answer any more.
    #[error("the result is not wanted any more")]
    Stopped,
    /// The directory could not be packed or unpacked.
    #[error("could not pack or unpack the series directory of {file}")]
    Directory {
        /// The file's path below the data directory.
        file: String,
        /// What serde or zstd said.
        source: io::Error,
    },
}

impl From<ArrowError> for ChunkError {
    fn from(error: ArrowError) -> Self {
        // A damaged file shows itself through the reader as an external error of ours.
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Columns(ArrowError::ExternalError(other)),
            },
            other => Self::Columns(other),
        }
    }
}

impl ChunkError {
    /// The SQLSTATE a client gets.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Corrupt { .. } | Self::Directory { .. } => SqlState::DATA_CORRUPTED,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                SqlState::DISK_FULL
            }
            Self::Io { .. } => SqlState::IO_ERROR,
            Self::Value(error) => error.code,
            Self::Stopped => SqlState::QUERY_CANCELED,
            Self::Columns(_) | Self::Parquet(_) | Self::Unsupported => SqlState::INTERNAL_ERROR,
        }
    }
}
