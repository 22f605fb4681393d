//! Views whose INSTEAD OF triggers take what is done to their rows: each stands as a table, which
//! has columns and defaults but no rows of its own.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use chronolith_catalog::{Database, Table, View};
use chronolith_types::TableId;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;

use super::Shared;
use super::names::attribute_of;
use crate::bind::{self, ChangeTarget, TableColumn};
use crate::error::Error;
use crate::routines::Event;

/// What an INSTEAD OF trigger may be of, as statements spell it.
const EVENTS: [(&str, Event); 3] = [
    ("INSERT", Event::Insert),
    ("UPDATE", Event::Update),
    ("DELETE", Event::Delete),
];

/// What triggers of a view are called instead of, by its verb.
pub(crate) fn taken(home: &Database, view: TableId) -> Vec<&'static str> {
    let triggers = home.triggers.get(&view);
    let triggers = triggers.map_or(&[][..], |triggers| triggers.as_slice());
    let of = |event: Event| {
        let mut triggers = triggers.iter();
        triggers.any(|trigger| trigger.instead && event.is_of(trigger))
    };
    let taken = EVENTS.into_iter().filter(|(_, event)| of(*event));
    taken.map(|(verb, _)| verb).collect()
}

/// A view as the table that triggers see.
///
/// # Errors
/// When its query cannot be bound.
pub(crate) fn as_table(shared: &Arc<Shared>, view: &View) -> Result<Arc<Table>, Error> {
    let columns = shared.columns_of(view).ok_or_else(|| {
        Error::internal(format!(
            "the query of view \"{}\" cannot be read",
            view.name
        ))
    })?;
    Ok(Arc::new(view.as_table(columns)))
}

/// The same as what a statement changes.
pub(super) fn target(
    shared: &Arc<Shared>,
    home: &Database,
    view: &View,
) -> Result<ChangeTarget, Error> {
    let catalog = as_table(shared, view)?;
    let schema = home.schemas.get(&view.schema);
    let columns = catalog.columns.iter();
    let fields = columns.clone();
    let fields = fields.map(|column| Field::new(&column.name, column.ty.arrow(), true));
    let fields = Schema::new(fields.collect::<Vec<_>>());
    let table = bind::Table {
        oid: view.id.0,
        schema: schema.map_or_else(String::new, |schema| schema.name.clone()),
        name: view.name.clone(),
        columns: columns
            .map(|column| TableColumn {
                name: column.name.clone(),
                ty: column.ty.clone(),
                attribute: attribute_of(column.id.0),
            })
            .collect(),
        primary_key: Vec::new(),
        chunk: None,
        source: provider_as_source(Arc::new(EmptyTable::new(Arc::new(fields)))),
    };
    Ok(ChangeTarget {
        table,
        catalog,
        instead: true,
        views: Vec::new(),
    })
}
