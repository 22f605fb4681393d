#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

mod fake;
mod gate;
mod hostile;
mod limits;
mod pipelines;
mod protocol;
mod scram;
mod shutdown;
mod tls;
