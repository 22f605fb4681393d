//! The write-ahead log: records in order, surviving power loss.
//!
//! Knows bytes and sequence numbers, not tables. Start at [`Log::open`], [`Log::append`] and
//! [`Log::sync`].
//!
//! # Invariants
//! - A record at or below [`Log::durable_lsn`] is never lost or reordered.
//! - Replay gives the records in order and stops at the first torn one; nothing after it was
//!   acknowledged. Damage before a record that is whole is refused, never skipped.
//! - A failed sync is never retried: the log is poisoned until it is opened anew.
//!
//! Bytes: `docs/formats/wal.md`.

mod error;
#[cfg(test)]
mod fixture;
mod log;
mod record;
mod recover;
mod replay;
mod segment;

pub use error::{Corruption, WalError};
pub use log::{Log, LogOptions, Replayed};
