//! The tests that look at Chronolith as its users do: one binary, so that it links once.

mod audit;
mod isolation;
mod jobs;
mod many;
mod mistakes;
mod one_row;
mod queue;
mod references;
mod rollups;
mod row_security;
mod sessions;
mod slt;
mod statistics;
mod tidy;
mod timescaledb;
mod waits;
