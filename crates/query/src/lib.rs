//! Statements become plans, and plans become rows.
//!
//! Alone names DataFusion. Knows PostgreSQL's types, functions and settings, and what COPY's data
//! looks like; knows no sockets and no files. Start at [`Session`]; at [`functions`] for what can be
//! computed and at [`settings::Settings`] for what a session has set.
//!
//! # Invariants
//! - Every error that leaves has a SQLSTATE and PostgreSQL's words.
//! - Functions and operators bind by the very tables that `pg_catalog` shows.

mod arrivals;
mod audit;
pub mod bind;
pub mod cancel;
mod catalogs;
pub mod copy;
mod ddl;
mod dml;
mod effects;
mod error;
mod evaluate;
mod explain;
mod fast;
pub mod functions;
mod guard;
pub mod hosts;
mod insert;
pub mod instance;
mod jobs;
mod keyed;
mod labels;
mod nodes;
mod notify;
pub mod outcome;
pub mod outside;
pub mod password;
mod references;
mod rights;
mod rollups;
pub mod routines;
mod scan;
mod session;
pub mod settings;
mod shape;
mod soft_limit;
mod statistics;
pub mod value;

pub use audit::Failed;
pub use error::{Error, Operand};
pub use instance::{Instance, QueryOptions};
pub use jobs::Scheduler;
pub use notify::{Mailbox, Notification};
pub use outcome::{
    CopyFormat, CopyRows, Notice, Outcome, OutputColumn, RowStream, Severity, TransactionStatus,
};
pub use session::{Prepared, Session, SessionOptions, Statement};
pub use value::value_from_text;
