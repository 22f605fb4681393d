//! Physical plans that chunks answer better than the general operators: aggregates by time bucket and
//! series, the newest rows, and the newest row of each series.
//!
//! Each rule here replaces what it wholly understands and leaves everything else as it is; the answers
//! are the same, which `tests/session/fast.rs` holds against each other. `SET
//! chronolith.enable_fast_paths = off` turns them off. Start at [`rules`].

mod aggregate;
mod direct;
mod latest;
mod read;
mod recognise;

pub(crate) use direct::NewestRows;
pub(crate) use recognise::{SETTING, is_fast, rules};
