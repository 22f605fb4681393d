//! Policies: jobs that look after a hypertable. One file a kind.

mod check;
pub(super) mod compression;
pub(super) mod experimental;
pub(super) mod refresh;
pub(super) mod reorder;
pub(super) mod retention;

pub(super) use check::check;
use check::has_now;
