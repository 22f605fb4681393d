//! Trees of SQL to DataFusion's logical plans, by PostgreSQL's rules.
//!
//! Knows names, types and scopes; what relations there are it asks of [`Names`], what functions,
//! operators and casts there are it reads from [`crate::functions`]. It runs nothing. Start at
//! [`bind_query`].
//!
//! # Invariants
//! - Every column of a plan has a unique internal name (`c1`, `c2`, …); the user's names are in
//!   [`Bound::columns`], in the order of the plan's output.
//! - Every cast is explicit: no expression depends on DataFusion's coercion.
//! - A comparison of a column with a constant stays `column operator literal` whenever the literal
//!   has a value of the column's type.

#![allow(
    clippy::result_large_err,
    reason = "an error is made once per failed statement and carries what the client is told"
)]

mod aggregate;
mod array;
mod call;
mod cast;
mod change;
mod coerce;
mod cte;
mod deparse;
mod dependent;
mod documents;
mod embedded;
mod entry;
mod expr;
mod fields;
mod following;
mod frame;
mod from;
mod function_parts;
mod gapfill;
mod group;
mod hypothetical;
mod inline;
mod insert;
mod lateral;
mod literal;
mod locked;
mod mistaken;
mod names;
mod operate;
mod overload;
mod params;
mod part;
mod query;
mod recursion;
mod reference;
mod resolve;
mod routine;
mod row_query;
mod rows_from;
mod scope;
mod select;
mod sets;
mod special;
mod state;
mod steps;
mod subquery;
mod system;
mod uses;
mod values;
mod window;
mod within;

pub(crate) use change::{
    Action, Broken, ByKey, Change, Conflict, CurrentOf, Over, Program, Subject, What, Writes,
    bind_change, bind_changing_query, changes, unwritable,
};
pub use change::{ChangeTarget, WrittenView};
pub(crate) use coerce::assignable;
pub(crate) use coerce::castable;
pub use deparse::{deparse, deparse_condition, deparse_query};
pub(crate) use embedded::{Embedded, with_leftover};
pub use entry::{
    Bound, bind_alone, bind_among_variables, bind_arguments, bind_assigned, bind_call, bind_cast,
    bind_kept, bind_over, bind_query, bind_scalar, bind_value,
};
pub(crate) use entry::{bind_held, bind_part, bind_policy};
pub(crate) use following::named_in;
pub(crate) use gapfill::{End, limit_of};
pub(crate) use insert::bind_inserted;
pub(crate) use insert::bind_returned;
pub use insert::{Target, bind_insert_source};
pub(crate) use locked::locks_within;
pub use names::{Names, OwnType, Relation, Table, TableColumn, Variable, ViewQuery};
pub(crate) use names::{no_target, of_this_database};
pub(crate) use params::number_of;
pub use params::set_parameters;
pub(crate) use params::set_parameters_in;
pub(crate) use select::name_of;
pub(crate) use state::name_position;
pub use state::{Alone, Use};
pub(crate) use within::asked_within;
