//! Statements that change rows, running: UPDATE, DELETE, MERGE, INSERT … ON CONFLICT, RETURNING.
//!
//! What they are to do was said by the binder ([`crate::bind`]) as plans; here the plans' rows
//! become deletes and inserts of the transaction. Start at [`run`].
//!
//! # Invariants
//! - All parts of a statement read one snapshot, taken when it began: none sees what another does.
//! - A row is changed once, however often a plan names it.
//! - Nothing is written before all is read and every row is locked.

mod alone;
mod conflict;
mod current;
mod fired;
mod held;
mod instead;
mod over;
mod plan;
mod program;
mod returned;
mod rows;
mod run;
mod sight;
mod within;

pub(crate) use alone::{computes, run_alone};
pub(crate) use over::{nullable, value_of};
pub(crate) use plan::{Dml, Given, bind, bind_literals, bind_query};
pub(crate) use program::{Ran, run};
pub(crate) use rows::compact;
pub(crate) use sight::{Held, Sight};
pub(crate) use within::{within, within_reference};
