//! The first row of each group in an order: DISTINCT ON.
//!
//! A window that numbers the rows and a filter that keeps number one would sort every row; here one
//! row a group is held, and a row that comes later in the order is forgotten at once.

mod best;
mod exec;
mod node;

pub(crate) use exec::FirstOfEachExec;
pub(crate) use node::FirstOfEach;
