//! Values between PostgreSQL's text and binary forms and Arrow columns.
//!
//! Start at [`ColumnBuilder`] for values that come in and at [`write_text`] for those that go out.

mod binary;
mod build;
mod write;

pub use binary::write_binary;
pub(crate) use build::reg_text;
pub use build::{ColumnBuilder, value_from_text};
pub use write::{is_null, write_text};
