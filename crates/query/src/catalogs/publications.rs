//! Publications.

use chronolith_catalog::{Database, Publication, PublishedTable, Table};

use super::context::Context;
use super::relation::Fill;
use super::rows::{Cell, NULL, Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_publication" => publications,
        "pg_publication_rel" => tables,
        "pg_publication_namespace" => schemas,
        "pg_publication_tables" => published,
        _ => return None,
    })
}

fn publications<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for known in context.home()?.publications.values() {
        let [insert, update, delete, truncate] = known.operations;
        rows.push(row![
            known.id,
            &known.name,
            known.owner.0,
            known.all,
            insert,
            update,
            delete,
            truncate,
            known.via_root,
        ]);
    }
    Ok(())
}

/// The tables that were named, those that are still there.
fn named<'a>(
    home: &'a Database,
    publication: &'a Publication,
) -> impl Iterator<Item = (&'a PublishedTable, &'a Table)> {
    publication.tables.iter().filter_map(|published| {
        let table = home.tables.get(&published.table)?;
        Some((published, table.as_ref()))
    })
}

fn tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for known in home.publications.values() {
        for (published, table) in named(home, known) {
            let columns = published.columns.iter();
            let columns: Vec<i64> = columns.map(|column| i64::from(column.0)).collect();
            let columns: Cell<'_> = match columns.is_empty() {
                true => Cell::Null,
                false => columns.into(),
            };
            rows.push(row![published.id, known.id, table.id.0, NULL, columns]);
        }
    }
    Ok(())
}

fn schemas<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for known in home.publications.values() {
        for (id, schema) in &known.schemas {
            if home.schemas.contains_key(schema) {
                rows.push(row![*id, known.id, schema.0]);
            }
        }
    }
    Ok(())
}

/// Every table that a publication has, however it came to it.
fn published<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for known in home.publications.values() {
        let whole = |table: &&Table| {
            let schemas = || {
                known
                    .schemas
                    .iter()
                    .any(|(_, schema)| *schema == table.schema)
            };
            table.rollup.is_none() && (known.all || schemas())
        };
        let of_schemas = home.tables.values().map(AsRef::as_ref).filter(whole);
        let of_schemas = of_schemas.map(|table| (None, table));
        let by_name = named(home, known).filter(|(_, table)| !whole(table));
        let by_name = by_name.map(|(published, table)| (Some(published), table));
        for (published, table) in of_schemas.chain(by_name) {
            let only = published.map_or(&[][..], |published| &published.columns);
            let columns = table.columns.iter();
            let columns = columns.filter(|column| only.is_empty() || only.contains(&column.id));
            let columns: Vec<Cell<'_>> = columns.map(|column| (&column.name).into()).collect();
            let schema = home.schemas.get(&table.schema);
            rows.push(row![
                &known.name,
                schema.map(|schema| &schema.name),
                &table.name,
                columns,
                NULL,
            ]);
        }
    }
    Ok(())
}
