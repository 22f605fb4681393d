//! TimescaleDB's relations: `timescaledb_information` for people, `_timescaledb_catalog` for tools.
//!
//! What is there has no rows to be changed: each is made from the catalog, as TimescaleDB's views make
//! theirs from its tables.

mod activity;
mod aggregates;
mod catalog;
mod compression;
mod hypertables;
mod sizes;

use chronolith_catalog::{Column, Database, Hypertable, Table};

use super::context::Context;
use super::objects::Relation;
use super::relation::Fill;
use super::rows::Cell;
use crate::error::Error;

pub(super) fn fill(schema: &str, name: &str) -> Option<Fill> {
    match schema {
        "timescaledb_information" => hypertables::fill(name)
            .or_else(|| compression::fill(name))
            .or_else(|| aggregates::fill(name))
            .or_else(|| activity::fill(name)),
        "_timescaledb_catalog" => catalog::fill(name)
            .or_else(|| compression::fill_catalog(name))
            .or_else(|| aggregates::fill_catalog(name)),
        "_timescaledb_internal" => sizes::fill(name),
        _ => None,
    }
}

/// A hypertable with what every view tells of it.
struct Entry<'a> {
    table: &'a Table,
    hypertable: &'a Hypertable,
    schema: &'a str,
    time: &'a Column,
}

impl<'a> Entry<'a> {
    fn of(home: &'a Database, table: &'a Table) -> Option<Self> {
        let hypertable = table.hypertable.as_ref()?;
        Some(Self {
            table,
            hypertable,
            schema: Relation::Table(table).schema(home).1,
            time: table.column(hypertable.time)?,
        })
    }

    /// Whether it keeps the rows of a continuous aggregate.
    fn is_store(&self) -> bool {
        self.table.rollup.is_some()
    }
}

/// All hypertables, the stores of continuous aggregates too, in the order they were made.
fn entries(context: &Context) -> Result<impl Iterator<Item = Entry<'_>>, Error> {
    let home = context.home()?;
    let tables = home.tables.values();
    let mut all: Vec<_> = tables.filter_map(|table| Entry::of(home, table)).collect();
    all.sort_by_key(|entry| entry.hypertable.id);
    Ok(all.into_iter())
}

/// The schema that chunks lie in.
fn internal<'a>() -> Cell<'a> {
    Database::INTERNAL_SCHEMA.into()
}
