//! `chronolith sql`: statements on a data directory without a server.
//!
//! Start at [`run`]. [`split`] finds where statements end, [`table`] prints results as psql does,
//! [`meta`] knows the backslash commands.

mod meta;
mod split;
mod table;

pub(crate) use split::statements;
pub(crate) use table::{Format, print_rows};

mod session;
pub(crate) use session::run;
