//! What turns raw rows into bars: so far the arithmetic of time buckets.
//!
//! Knows no tables and no SQL; start at [`bucket::Bucketer`].
//!
//! # Invariants
//! - Without a zone a bucket's start is never later than the times in it, and [`bucket::Bucketer::next`] is its end.
//! - Infinite times are their own bucket.

pub mod bucket;
