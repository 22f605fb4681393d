//! Who may do what: rights are looked up before anything is read or changed.
//!
//! Knows the catalog's grants and the session's role; knows no rows. A query is held to what the
//! binder says it reads ([`crate::bind::Use`]), a change of the catalog to [`guard`] on its way into
//! the transaction, whatever statement or function makes it.
//!
//! # Invariants
//! - What a view reads is read with the rights of its owner, all else with those of the current role.
//! - No change reaches a transaction unguarded but by [`Shared::change_unguarded`], whose callers have
//!   looked themselves.
//!
//! [`Shared::change_unguarded`]: crate::session::Shared::change_unguarded

mod check;
mod functions;
mod guard;
mod rows;
mod words;

pub(crate) use functions::{changes_what_exists, guard_call};
pub(crate) use guard::guard;
pub(crate) use rows::RowPolicies;
pub(crate) use words::{denied, not_owner};
