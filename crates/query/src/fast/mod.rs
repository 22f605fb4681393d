//! Physical plans that chunks answer better than the general operators: aggregates by time bucket and
//! series, the newest rows, the newest row of each series, and the row that has a key.
//!
//! Each rule here replaces what it wholly understands and leaves everything else as it is; the answers
//! are the same, which `tests/session/fast.rs` holds against each other. `SET
//! chronolith.enable_fast_paths = off` turns them off. Start at [`rules`].

mod aggregate;
mod direct;
mod latest;
mod point;
mod read;
mod recognise;

pub(crate) use direct::NewestRows;
pub(crate) use point::Point;
pub(crate) use recognise::{SETTING, is_fast, rules};

#[cfg(test)]
mod tests;
