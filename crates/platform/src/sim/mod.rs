//! A simulated disk, as unkind as real ones.
//!
//! What is written but not synced may be lost, kept in part, or torn inside a sector when the power
//! goes; names of files are synced apart from their contents; a failed sync drops what it was to
//! write and still shows it, as Linux does. All of it follows from a seed. Start at [`SimDisk`].
//!
//! `tests/planted` keeps the simulator honest: a small store with bugs planted one by one, each of
//! which the simulator must find.

mod disk;
mod state;

pub use disk::{Fault, SimDisk};
