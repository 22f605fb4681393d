//! Jobs: policies and procedures that run by themselves.
//!
//! [`call`] is what SQL's functions about jobs do; [`schedule`] decides, purely, when a job runs;
//! [`Scheduler`] runs those that are due, each in a session of its own as its owner. What a policy
//! does when it runs is in [`act`].
//!
//! # Invariants
//! - A run that began is in the log before it does anything, and how it ended before the next begins.
//! - No job waits for another.
//! - Everything here goes by the platform's clock.

mod act;
mod call;
mod config;
mod define;
mod integer_now;
mod policy;
mod run;
mod schedule;
mod scheduler;
mod target;

pub(crate) use act::{POLICIES, act};
pub(crate) use call::call;
pub(crate) use config::Config;
pub(crate) use define::no_job;
pub(crate) use schedule::regular;
pub use scheduler::Scheduler;
pub(crate) use target::{POLICY_SCHEMA, Target, belongs};
