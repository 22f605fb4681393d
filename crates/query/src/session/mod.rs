//! Sessions: statements in, outcomes out.
//!
//! Knows transactions, settings and what one client may see; knows no sockets. Start at
//! [`Session`]: `parse`, `prepare`, `execute`, and an end to what was begun.
//!
//! # Invariants
//! - A statement that fails leaves nothing of itself; in a block it fails the block.
//! - What runs outside a block is committed before its success is told.
//! - The state's lock is never held while something is bound, planned or awaited.

mod base;
mod between;
mod block;
mod call;
mod cluster;
mod constraints;
mod context;
mod current;
mod cursor;
mod declare;
mod execute;
mod filled;
mod for_update;
mod handle;
mod limits;
mod locators;
mod lock;
mod lockable;
mod many;
mod modes;
mod names;
mod notify;
mod often;
mod portal;
mod prepared;
mod present;
mod read_only;
mod recent;
mod run;
mod shared;
mod snapshots;
mod stand_in;
mod stops;
mod table_locks;
mod temporary;
mod types;
mod undo;
mod utility;

pub(crate) use handle::BoundTo;
pub use handle::{Prepared, Session, SessionOptions, Statement};
pub(crate) use present::record_text;

pub(crate) use call::refuse;
pub(crate) use cluster::clustered;
pub(crate) use current::CursorRow;
pub(crate) use cursor::Cursor;
pub(crate) use execute::{Ready, ready};
pub(crate) use for_update::{Locking, said};
pub(crate) use names::{SessionNames, relation_in, row_of, table_of};
pub(crate) use run::{collect, collect_now, evaluate, expanded, physical, run, stream, wait_for};
pub(crate) use shared::{
    Shared, State, blocking, blocking_for, changes_chunk, no_schema, others_work,
};
pub(crate) use stand_in::{as_table as view_as_table, taken};
pub(crate) use undo::Before;

pub(crate) use temporary::{TEMPORARY, drop_left_behind};
