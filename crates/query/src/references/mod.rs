//! Foreign keys: what rows refer to must be there, and what is referred to must not go unnoticed.
//!
//! New rows are noted while a statement runs and looked up when all of them are in
//! ([`Outgoing`]); of rows that go or get another key, those who refer to them are told
//! ([`Incoming`]), by statements within the statement. What was found is looked at again at the
//! commit where others have changed it since.
//!
//! # Invariants
//! - A key is looked up once a statement, however many rows have it.
//! - At every commit, each row that refers to something refers to a row that is there.

mod child;
mod define;
mod keys;
mod parent;

pub(crate) use child::{Outgoing, hold_all};
pub(crate) use define::{actions_text, of_declared, referring};
pub(crate) use parent::{Behind, Incoming};
