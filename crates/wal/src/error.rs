//! What can go wrong with the log.

use std::fmt;
use std::io;

use chronolith_types::{Lsn, SqlState};

/// Why bytes are no record, or no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Corruption {
    /// A segment does not begin as segments do.
    BadHeader,
    /// A segment of a format newer than this program.
    NewerFormat,
    /// A record's bytes do not match its checksum, but whole records follow.
    BadChecksum,
    /// A record does not follow the one before it.
    BrokenChain,
    /// A segment is missing between others.
    MissingSegment,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadHeader => "the segment header is damaged",
            Self::NewerFormat => "the segment is of a newer format",
            Self::BadChecksum => "a checksum does not match, and whole records follow",
            Self::BrokenChain => "a record does not follow the one before it",
            Self::MissingSegment => "a segment is missing",
        })
    }
}

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalError {
    /// What was read is not what was written.
    #[error("wal segment {segment} is corrupt at byte {offset}: {reason}")]
    Corrupt {
        /// The number of the segment.
        segment: u64,
        /// Where in its file.
        offset: u64,
        /// What is wrong.
        reason: Corruption,
    },
    /// The disk is full; the log is as it was before.
    #[error("could not extend wal segment {segment}: the disk is full")]
    NoSpace {
        /// The number of the segment.
        segment: u64,
        /// What the disk said.
        source: io::Error,
    },
    /// The disk failed. After a failed write or sync the log is poisoned.
    #[error("could not {action} wal segment {segment}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The number of the segment.
        segment: u64,
        /// What the disk said.
        source: io::Error,
    },
    /// An earlier failure left unknown what the disk holds.
    #[error("the write-ahead log failed before and takes no more records until it is reopened")]
    Poisoned,
    /// A payload larger than a record can be.
    #[error("a log record of {bytes} bytes is too large")]
    TooLarge {
        /// The payload's length.
        bytes: usize,
    },
    /// The caller refused a record during replay.
    #[error("could not apply the log record at {lsn}")]
    Apply {
        /// The record.
        lsn: Lsn,
        /// What the caller said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl WalError {
    /// The SQLSTATE a client gets.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Corrupt { .. } | Self::Apply { .. } => SqlState::DATA_CORRUPTED,
            Self::NoSpace { .. } => SqlState::DISK_FULL,
            Self::Io { .. } | Self::Poisoned => SqlState::IO_ERROR,
            Self::TooLarge { .. } => SqlState::PROGRAM_LIMIT_EXCEEDED,
        }
    }
}

pub(crate) fn corrupt(segment: u64, offset: u64, reason: Corruption) -> WalError {
    WalError::Corrupt {
        segment,
        offset,
        reason,
    }
}

pub(crate) fn failed(action: &'static str, segment: u64) -> impl Fn(io::Error) -> WalError {
    move |source| WalError::Io {
        action,
        segment,
        source,
    }
}
