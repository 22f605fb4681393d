//! The `chronolith` program as its users meet it: its commands, and Postgres clients on its port.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arrival;
mod bad_input;
mod certificates;
mod commands;
mod container;
mod crash;
mod dump;
mod logs;
mod market;
mod matrix;
mod program;
mod settings;
mod sockets;
mod wire;
