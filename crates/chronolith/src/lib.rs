//! Chronolith inside your program: the same engine that serves Postgres clients, without a server.
//!
//! [`Database::open`] opens or creates a data directory, which one process at a time may hold.
//! [`Connection`]s run SQL on it; an [`Appender`] takes rows at full speed. All calls block; from
//! asynchronous code use [`Database::session`], which is what the server does.
//!
//! Knows nothing of sockets, messages or terminals. Start at [`Database`].
//!
//! ```
//! use chronolith::{Database, Timestamp};
//!
//! let dir = tempfile::tempdir().expect("a temporary directory");
//! let db = Database::open(dir.path())?;
//! let mut connection = db.connect()?;
//! connection.execute(
//!     "CREATE TABLE ticks (ts timestamptz NOT NULL, symbol text NOT NULL, price numeric(20,8))",
//! )?;
//! connection.execute("SELECT create_hypertable('ticks', by_range('ts'))")?;
//! connection.execute("INSERT INTO ticks VALUES ('2026-01-02 09:30:00+00', 'AAPL', 187.15)")?;
//!
//! let rows = connection.query("SELECT ts, symbol, price FROM ticks")?;
//! for row in rows.iter() {
//!     let ts: Timestamp = row.get(0)?;
//!     let symbol: String = row.get(1)?;
//!     let price: Option<rust_decimal::Decimal> = row.get(2)?;
//!     println!("{ts:?} {symbol} {price:?}");
//! }
//! # Ok::<(), chronolith::Error>(())
//! ```
//!
//! # Invariants
//! - A commit that a call has returned from survives power loss.
//! - Every error carries PostgreSQL's SQLSTATE; no input panics.
//! - Dropping a [`Transaction`] or an [`Appender`] half-way leaves nothing of what it had not committed.

mod append;
mod appender;
mod config;
mod connection;
mod database;
mod error;
mod inspect;
mod outside;
mod params;
mod roles;
mod row;
mod usage;
mod value;
mod verify;

/// The pieces that a [`Session`] is driven with, for servers.
pub mod session {
    pub use chronolith_query::Statement;
}

pub use append::Append;
pub use appender::Appender;
pub use chronolith_engine::{AuditProblem, AuditReport};
pub use chronolith_query::hosts;
pub use chronolith_query::value::ColumnBuilder;
pub use chronolith_query::{
    CopyFormat, CopyRows, Failed, Mailbox, Notice, Notification, Outcome, OutputColumn, Prepared,
    RowStream, Session, SessionOptions, Severity, TransactionStatus, cancel::Cancel, password,
};
pub use chronolith_types::{SqlState, SqlType, TimeZone};
pub use config::Config;
pub use connection::{Batches, Connection, Notifications, Statement, Transaction};
pub use database::{Builder, Database};
pub use error::Error;
pub use inspect::{ChunkSummary, DatabaseSummary, TableSummary};
pub use outside::file_settings;
pub use params::ToParam;
pub use roles::RoleSummary;
pub use row::{Row, Rows};
pub use usage::Usage;
pub use value::{Cell, FromValue, Timestamp};
pub use verify::{Verification, verify, verify_audit};
