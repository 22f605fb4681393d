//! Rows into tables: what INSERT binds to, and the checks that every new row passes.
//!
//! Start at [`bind`] and [`run`].

mod alike;
mod arbiter;
mod bind;
mod checks;
mod domains;
mod exclude;
mod first;
mod keyed;
mod literals;
mod run;
mod sought;
mod unique;
mod values;

pub(crate) use alike::Alike;
pub(crate) use bind::{
    InsertPlan, Overriding, Source, bind, completed, domain_default, find_changed, find_target,
    name_of_column, places_of, provided, refuse_given, target_of, undefined_column,
    undefined_table,
};
pub(crate) use checks::{Checks, Rules, check_expr, columns_of, generated_expr};
pub(crate) use domains::chain as domain_chain;
pub(crate) use exclude::Exclusion;
pub(crate) use literals::bind_literals;
pub(crate) use run::run;
pub(crate) use sought::KnownKeys;
pub(crate) use unique::{BoundUniques, Unique, Uniques, hold_exclusions};
pub(crate) use values::{Cells, changes_between_runs, fixed, is_volatile, names_object};
