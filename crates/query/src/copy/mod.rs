//! COPY: rows in and out as text, CSV or PostgreSQL's binary form.
//!
//! Start at [`CopyIn`] for the way in, down to [`parse_block`], and at [`begin_out`] for the way
//! out.

mod binary;
mod from;
mod lines;
mod options;
mod statement;
mod to;

pub use lines::{Fields, LineError, Splitter, parse_block};
pub use options::{CopyOptions, Header};

pub(crate) use from::{CopyIn, begin_in};
pub(crate) use statement::parse_options;
pub(crate) use to::{begin_out, bind_out, changed, no_rows, send};
