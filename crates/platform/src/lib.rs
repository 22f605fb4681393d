//! The machine, behind a seam: files, clock and randomness, real or simulated.
//!
//! Knows bytes and names of files, not what is in them. Start at [`Platform`]; tests of anything
//! that writes to disk start at [`sim::SimDisk`].
//!
//! # Invariants
//! - Nothing above this crate opens a file, asks the time or draws a random number elsewhere.
//! - A path is relative to the data directory and cannot leave it ([`RelPath`]).
//! - A simulated run depends on its seed alone.

mod clock;
mod disk;
mod path;
mod platform;
mod random;
mod real;
pub mod sim;
mod whole;

pub use clock::{Clock, RealClock, SimClock};
pub use disk::{Disk, File, Lock, OpenMode};
pub use path::{PathError, RelPath};
pub use platform::Platform;
pub use random::{Random, RealRandom, SimRandom};
pub use real::RealDisk;
pub use whole::{read_whole, write_unnamed, write_whole};
