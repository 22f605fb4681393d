//! What statements and transactions have done since the engine was opened, as the `pg_stat_…` views
//! show it.
//!
//! Counts are kept in memory and begin at nought with every start, as PostgreSQL's do after a crash.
//! Counting takes no lock that statements of other texts or databases wait for.

mod databases;
mod statements;
mod timed;

pub(crate) use databases::{Counters, Databases};
pub(crate) use statements::{Reset, Statements};
pub(crate) use timed::Timed;

/// All counters of an open engine.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// By statement.
    pub(crate) statements: Statements,
    /// By database.
    pub(crate) databases: Databases,
}
