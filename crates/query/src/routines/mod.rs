//! Functions, procedures and triggers that users made, as they run.
//!
//! A function in SQL whose body is one query is bound where it is called (see `bind`). What is left
//! is run here: by statements of the session's own, in its transaction. Start at [`RoutineCall`].

mod call;
mod check;
mod deferred;
mod plpgsql;
mod run;
mod transitions;
mod triggers;

pub use call::RoutineCall;
pub(crate) use call::is_routine;
pub(crate) use check::check;
pub(crate) use deferred::{Deferred, hold_later, is_deferred, settle as settle_deferred};
pub(crate) use plpgsql::{Compiled, Locals};
pub(crate) use run::{DEPTH_MAX, run};
pub(crate) use transitions::Transitions;
pub(crate) use triggers::{Event, Fires, Triggers, has_triggers, left, timing};
