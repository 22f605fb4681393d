//! PostgreSQL's wire protocol in front of a Chronolith database.
//!
//! Knows sockets, messages, authentication and the wire's forms of values; not SQL, tables or
//! files. Start at [`Server::bind`] and [`Backend`]; one connection's life is in `startup` and then
//! `connection`.
//!
//! # Invariants
//! - No byte of a socket reaches pgwire's decoder before the frame guard has checked it.
//! - Before authentication a connection holds at most [`PREAUTH_FRAME_BYTES_MAX`] of a frame, and
//!   ends after [`ServerConfig::auth_timeout`].
//! - Every message that a client sends is answered as the protocol says, or the connection ends
//!   with a FATAL error; a panic ends one session only.

mod admit;
mod backend;
mod connection;
mod crowd;
mod encode;
mod failure;
mod gate;
mod guard;
mod local;
mod out;
mod scram;
mod server;
mod session;
mod startup;
mod subject;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

pub use backend::{
    Backend, Canceller, Column, CopyStream, Described, Failed, News, Notice, Notification, Outcome,
    Parameter, Plan, Reported, RoleAuth, RowStream, Session, Startup, Status,
};
pub use encode::OutputStyle;
pub use failure::{Failure, ServerError, Severity};
pub use guard::{Budget, Limits, PREAUTH_FRAME_BYTES_MAX};
pub use local::LocalSockets;
pub use server::{Server, ServerConfig};
pub use session::backend;
pub use tls::TlsFiles;
