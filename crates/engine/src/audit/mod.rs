//! The audit log: what was done to what exists, and who came in, in a file that only grows.
//!
//! Each record holds the hash of the one before it, so that none can be changed, taken out or put
//! in between without breaking the chain behind it. [`AuditLog::write`] returns when the record is
//! on the disk; whoever asks for it does so before what it tells of is committed.
//!
//! Bytes: `docs/formats/audit.md`.

mod log;
mod record;
mod verify;

#[cfg(test)]
mod tests;

pub use log::AuditLog;
pub use record::{AuditKind, AuditRecord};
pub use verify::{AuditProblem, AuditReport};

/// The file's name in a data directory.
pub(crate) const FILE: &str = "audit.log";
