//! Placeholder.

pub mod functions;
