//! COPY: rows in and out as text, CSV or PostgreSQL's binary form.
//!
//! Start at [`parse_block`] for the way in.

mod lines;
mod options;

pub use lines::{Fields, LineError, Splitter, parse_block};
pub use options::{CopyOptions, Header};
