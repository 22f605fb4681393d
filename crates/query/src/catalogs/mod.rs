//! System catalogs: what exists, told in the relations that PostgreSQL's and TimescaleDB's clients read.
//!
//! Knows the catalog and what a [`Context`] tells of the session; reads no user's rows and parses no
//! SQL. [`find`] gives a relation by its name, [`SystemRelation::rows`] its rows of this moment, and
//! [`describe`] the texts that functions such as `pg_get_indexdef` answer.
//!
//! # Invariants
//! - A relation's columns are PostgreSQL 15's, all of them and in their order.
//! - Rows are made from the catalog, or recorded from PostgreSQL where they tell of the types,
//!   functions and operators that this program really has. A relation without rows is one of a kind of
//!   thing that does not exist here.
//! - An oid names one thing in all relations.
mod activity;
mod attributes;
mod audit;
mod classes;
mod constraints;
mod context;
mod depends;
pub(crate) mod describe;
mod extensions;
mod files;
mod information_schema;
mod jobs;
mod locks;
mod objects;
mod operators;
mod policies;
mod privileges;
mod publications;
mod recorded;
mod relation;
mod routines;
mod rows;
pub(crate) mod sequences;
mod server;
mod standard_triggers;
mod statistics;
mod timescale;
pub(crate) mod triggers;
mod types;
mod user_types;

pub(crate) use constraints::columns_named;
pub(crate) use context::{
    BucketCalls, Conditions, Context, ExpressionTypes, Expressions, LastBucketEnds, Lazy, Packing,
    Packings, PreparedStatement, SequenceValues, Size, Sizes, Sorting, ViewColumns, ViewQueries,
    ViewWrites,
};
pub(crate) use describe::quoted;
pub(crate) use extensions::{BTREE_GIST, OFFERED, STAT_STATEMENTS, extension_version};
pub(crate) use objects::{chunk_of, key_of_index, relation_of_row, row_types_of, shown};
pub(crate) use operators::{btree_gist_family, family_of, is_member, operator_between};
pub(crate) use relation::{find, is_system_schema, of_function};
pub(crate) use routines::{class_named, collation_named, language};
pub(crate) use sequences::sequence_row;
pub(crate) use user_types::domain_check;

#[cfg(test)]
mod tests;
