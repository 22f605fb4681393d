//! What is written down of sessions: the audit log's records, statements in the server's log, and no
//! secret in any text.

mod failed;
mod mask;
mod slow;
mod tell;

pub use failed::Failed;
pub(crate) use failed::parameters;
pub(crate) use mask::masked;
pub(crate) use slow::{Logging, Slow, Speaker, Spoken};
