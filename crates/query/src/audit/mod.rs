//! What is written down of sessions: the audit log's records, statements in the server's log, and no
//! secret in any text.

mod mask;
mod slow;
mod tell;

pub(crate) use mask::masked;
pub(crate) use slow::{Logging, Slow, Spoken};
