//! Continuous aggregates: what they compute, how new rows reach them, what their readers see.
//!
//! A continuous aggregate has a *store*, a hypertable of partial states by bucket and group. Rows
//! that its source gets become partials in the same transaction ([`derive`]); readers merge them
//! ([`plan`]). Ranges of buckets whose rows changed otherwise are marked invalid: readers compute
//! those from the source until they have been written anew ([`fill`]).

mod alter;
mod buckets;
mod create;
mod definition;
mod derive;
mod direct;
mod feed;
mod fill;
mod gaps;
mod names;
mod options;
mod plan;
mod registry;
mod relation;
mod rewrite;
mod runs;
mod shape;
mod states;
mod steps;

pub(crate) use alter::{alter, check_kept, indexed};
pub(crate) use buckets::BucketCall;
pub(crate) use create::{convert, create};
pub(crate) use definition::Definition;
pub(crate) use derive::Maintainer;
pub(crate) use direct::CandleRows;
pub(crate) use fill::{Filler, fill, fill_wholly};
pub(crate) use plan::{Planning, reads_any};
pub(crate) use registry::{Registry, continuous};
pub(crate) use relation::CaggTable;
pub(crate) use rewrite::SETTING as REWRITES;
