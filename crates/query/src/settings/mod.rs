//! Settings: what each is called, what values it takes, and what it holds in this session.
//!
//! Start at [`Settings`]. The table of names, units, ranges and defaults is `settings.tsv`, one
//! line a setting: name, default, unit, context, type, least, greatest, allowed words.

mod conf;
mod known;
mod layers;

pub(crate) use conf::alter;
pub use conf::{Conf, Line};
pub use known::{Context, Kind, Known, find, known};
pub(crate) use layers::{Base, may_set};
pub use layers::{Reported, Scope, Settings, reported};
