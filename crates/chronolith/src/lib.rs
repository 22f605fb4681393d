//! Chronolith in a program: open a data directory and work with its tables.
//!
//! Knows how to put the rooms below together, and nothing of sockets. So far it opens, looks and
//! verifies; SQL comes with the session. Start at [`Database::open`].
//!
//! # Invariants
//! - One process has a data directory; a second is refused.
//! - What [`Database::close`] left behind opens without a replay.

mod database;

pub use chronolith_types::SqlState;
pub use database::{Database, Error, Overview};
