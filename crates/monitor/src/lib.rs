//! What watches a running database over HTTP: `/metrics`, `/healthz` and `/readyz`.
//!
//! Knows HTTP and the embedding API: figures are read by SQL from the views that every client sees, so
//! that a dashboard and psql say the same. Start at [`Monitor::bind`].
//!
//! # Invariants
//! - It answers GET and HEAD of three paths, changes nothing and shows no rows and no texts of
//!   statements.
//! - One scrape runs at a time; others wait for it, and none waits for a client that reads slowly.

mod collect;
mod http;
mod process;
mod text;

#[cfg(test)]
mod tests;

pub use http::{Monitor, MonitorError};
