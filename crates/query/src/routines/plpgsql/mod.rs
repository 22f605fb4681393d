//! PL/pgSQL as it runs: variables, statements, errors that are handled.
//!
//! Expressions and queries are bound with the variables they name as parameters. Start at
//! [`Machine`].

mod bind;
mod cursors;
mod diagnose;
mod exec;
mod fields;
mod frame;
mod loops;
mod machine;
mod raise;

pub(crate) use frame::Locals;
pub(crate) use machine::{Compiled, Machine, Outputs};
pub(crate) use raise::condition;
