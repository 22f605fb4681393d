//! Functions, procedures and triggers that users made, as they run.
//!
//! A function in SQL whose body is one query is bound where it is called (see `bind`). What is left
//! is run here: by statements of the session's own, in its transaction. Start at [`RoutineCall`].

mod call;
mod check;
mod plpgsql;
mod run;
mod triggers;

pub use call::RoutineCall;
pub(crate) use check::check;
pub(crate) use plpgsql::{Compiled, Locals};
pub(crate) use run::{DEPTH_MAX, run};
pub(crate) use triggers::{Event, Triggers, has_triggers, left};
