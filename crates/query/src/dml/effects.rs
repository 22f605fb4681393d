//! What follows from changed rows: the one place where old and new rows of a statement pass by.
//!
//! Foreign keys and row triggers look here. Each batch passes [`before`] when it is known and
//! nothing of the statement is written yet, and [`after`] when all of it is.
