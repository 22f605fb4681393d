//! Values in PostgreSQL's binary form, as drivers bind them and read them.
//!
//! Every reader takes the whole value: bytes that lack are 08P01, bytes that remain 22P03.

mod read;
mod write;

pub use read::*;
pub use write::{
    write_array_head, write_date, write_decimal, write_interval, write_numeric, write_timestamp,
};

/// Days from 1970 to 2000, PostgreSQL's epoch.
const EPOCH_DAYS: i32 = 10_957;
