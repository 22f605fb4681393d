//! EXCLUDE: no two rows of whose keys all operators say yes.
//!
//! A statement's rows are noted while it runs, and held against all rows that are there when all are
//! in. Rows that may meet are found by the keys that `=` compares, and within those by the ranges
//! that `&&` compares; the operators are asked of these pairs alone. Whoever adds rows locks what
//! they are alike by until the transaction ends, so that two transactions never both add rows that
//! meet.
//!
//! Of the table only that is read which may hold such rows: see [`narrow`].

mod arbiter;
mod bound;
mod hold;
mod lookup;
mod narrow;
mod statement;

pub(crate) use bound::Exclusion;
pub(super) use statement::Excluding;
