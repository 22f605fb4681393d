//! The `chronolith` program as its users meet it: its commands, and Postgres clients on its port.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod commands;
mod crash;
mod dump;
mod market;
mod program;
mod wire;
