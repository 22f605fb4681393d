//! Rows made of rows: what functions that return sets add beside each row of their input.
//!
//! A set is never held whole: it comes in blocks, so that `generate_series` of any length takes the
//! memory of one.

mod exec;
mod node;
mod rows;

pub(crate) use node::{Expand, SetCall};
