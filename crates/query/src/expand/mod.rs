//! Rows made of rows: what functions that return sets add beside each row of their input.
//!
//! Knows lists and series, not what the functions are called for. A set is never held whole: it
//! comes in blocks, so that `generate_series` of any length takes the memory of one. Start at
//! [`Expand`], the plan's node; `exec` runs it and `planner` leads from one to the other.

mod exec;
mod node;
mod planner;
mod rows;

pub(crate) use node::{Expand, SetCall};
pub(crate) use planner::Planner;
