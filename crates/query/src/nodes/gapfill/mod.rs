//! Buckets without rows, filled in: what `time_bucket_gapfill` makes of groups.
//!
//! Rows come sorted by the other keys of their groups and then by bucket, so that one group is held
//! at a time. Start at [`GapFill`]; `rows` makes the buckets that are missing,
//! `column` what is in them.

mod column;
mod exec;
mod node;
mod rows;
mod sample;

pub(crate) use node::{Filling, GapFill, Limit, Refill};
pub(crate) use rows::LIMITS_HINT;
