//! Functions that reach the database: hypertables and chunks, names of objects, sizes, settings.
//!
//! The binder calls them like any function; they run in the session's transaction. Start at
//! [`SessionEffects`].

mod advisory;
mod args;
mod attach;
mod boundaries;
mod call;
mod chunks;
mod compress;
mod describe;
mod dimensions;
mod hypertables;
mod names;
mod privileges;
mod refresh;
mod sequences;
mod sizes;
mod system;
mod tablespaces;

pub(crate) use args::{Args, integer, list, records, text};
pub(crate) use call::SessionEffects;
pub(crate) use chunks::{drop_chunks, point};
pub(crate) use compress::after_commit;
pub(crate) use names::{object_name, object_number, procedure_of};
pub(crate) use refresh::refresh;
pub(crate) use sequences::{SessionSequences, Watched};
