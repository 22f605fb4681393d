//! Functions, operators, casts and aggregates: PostgreSQL's tables of them and what they do.
//!
//! Knows values and the session's variables, not names in scope and not storage. The binder reads
//! the tables of [`table`]; `pg_catalog` is made from the same ones. Start at [`procs`] and
//! [`operators`].
//!
//! # Invariants
//! - What an expression built here returns has exactly the Arrow type its [`Typed`] says.
//! - Arithmetic never wraps: it answers or fails with PostgreSQL's SQLSTATE.
//! - Every failure is a [`FunctionError`] inside `DataFusionError::External`.

mod aggregates;
mod angles;
mod arrays;
mod assigned;
mod bytes;
mod calendar;
mod casts;
mod clocks;
mod composites;
mod dates;
mod domains;
mod enums;
mod error;
mod formats;
mod frames;
mod gapfill;
mod io;
mod json;
mod math;
mod network;
mod num;
mod numbers;
mod operators;
mod patterns;
mod policies;
mod quoting;
mod random;
mod ranges;
mod scalars;
mod series;
mod spans;
mod subscripts;
mod system;
mod table;
mod text;
mod times;
mod timescale;
mod udf;
mod uuids;
mod value;
mod vars;
mod windows;
mod within;

pub(crate) use aggregates::counting_distinct;
pub use aggregates::{Parts, StateColumn, aggregate_name, parts_of, stored_type};
pub(crate) use assigned::{
    BYTE as SET_BYTE, ITEM as SET_ITEM, SLICE as SET_SLICE, byte, with_byte, with_item, with_slice,
};
pub use calendar::bucket_zone;
pub(crate) use calendar::unit as time_unit;
pub use casts::{extreme, nullable, sort_key};
pub use composites::{
    field as row_field, is_composite, nulls as row_nulls, part as row_part, row_values,
    with_field as row_with_field,
};
pub use domains::{DOMAIN_CHECK, held};
pub use enums::label;
pub use error::FunctionError;
pub use frames::{Bounds, Edge, Frame, Units, framed};
pub(crate) use gapfill::{GapCall, GapKind, gap_argument, gap_buckets};
pub use json::row_as_json;
pub(crate) use json::{PART as SET_PART, json_part, json_with_part};
pub(crate) use patterns::regular_expression;
pub use random::Random;
pub(crate) use series::{SERIES, Series, SeriesBlock};
pub(crate) use subscripts::{OMITTED, constant_items, item, of_lists, slice, stack};
pub use table::{
    AggregateUse, Cast, CastContext, Imp, Operator, Proc, ProcKind, Typed, Volatile, WindowUse,
    all_casts, all_operators, all_procs, apply_cast, canonical_form, cast, literal_from_text,
    operators, procs,
};
pub use udf::can_fail;
pub(crate) use udf::{arg_types, only_computes};
pub use vars::{Effects, SessionVars};
pub use within::{Asked, VALUE, Within, held_within};

#[cfg(test)]
mod tests;
