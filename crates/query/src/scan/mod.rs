//! Tables as DataFusion sees them: chunks, read in parallel, with what a query asks for cut out early.
//!
//! Knows no SQL and no sessions: what a scan may see comes as a [`Snapshot`]. Start at [`ChunkTable`].
//!
//! # Invariants
//! - A scan reads the snapshot of its statement, however long it runs.
//! - A filter reported as exact leaves no row behind that it refuses.

mod exec;
mod filter;
mod provider;
mod slot;
mod system;
mod unpopulated;

pub(crate) use exec::ChunkScan;
pub(crate) use filter::asks_for;
pub(crate) use provider::{ChunkTable, OneChunk, Snapshot, SystemRows, SystemTable, Wanted};
pub(crate) use slot::{SlotTable, Slots};
pub(crate) use unpopulated::Unpopulated;
