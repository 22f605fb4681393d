//! Typed values becoming columns: from text, from binary, from nothing.
//!
//! COPY, INSERT … VALUES and literals all build their columns here, so that a value is read by one
//! piece of code however it came in. Start at [`ColumnBuilder`].

mod builder;

pub use builder::{ColumnBuilder, RowsBuilder};
