//! Statements become plans, and plans become rows.
//!
//! Alone names DataFusion. Knows PostgreSQL's types, functions and settings, and what COPY's data
//! looks like; knows no sockets and no files. Start at [`functions`] for what can be computed and at
//! [`settings::Settings`] for what a session has set.
//!
//! # Invariants
//! - Every error that leaves has a SQLSTATE and PostgreSQL's words.
//! - Functions and operators bind by the very tables that `pg_catalog` shows.

pub mod bind;
pub mod cancel;
pub mod copy;
mod error;
pub mod functions;
pub mod instance;
pub mod outcome;
pub mod password;
pub mod settings;

pub use error::Error;
