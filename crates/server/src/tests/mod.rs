#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

mod fake;
mod hostile;
mod limits;
mod protocol;
mod shutdown;
mod tls;
