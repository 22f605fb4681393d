//! Hypertables, their chunks and dimensions, as `timescaledb_information` shows them.

use chronolith_catalog::{DimensionKind, Hypertable};

use super::{entries, internal};
use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, dimension_us};
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "hypertables" => hypertables,
        "chunks" => chunks,
        "dimensions" => dimensions,
        _ => return None,
    })
}

fn hypertables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)?.filter(|entry| !entry.is_store()) {
        rows.push(row![
            entry.schema,
            &entry.table.name,
            context.role_name(entry.table.owner),
            count(entry.hypertable.dimensions.len() + 1),
            count(entry.table.chunks.len()),
            entry.hypertable.compression.is_some(),
            tablespaces(entry.hypertable),
            &entry.time.name,
            entry.time.ty.oid(),
        ]);
    }
    Ok(())
}

/// Those that are attached; NULL for none.
fn tablespaces(hypertable: &Hypertable) -> Cell<'_> {
    match hypertable.tablespaces.as_slice() {
        [] => Cell::Null,
        names => Cell::List(names.iter().map(Cell::from).collect()),
    }
}

fn chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            let (start, end) = (chunk.range.start, chunk.range.end);
            let times = (
                dimension_us(&entry.time.ty, start),
                dimension_us(&entry.time.ty, end),
            );
            let numbers = if times.0.is_some() {
                (None, None)
            } else {
                (Some(start), Some(end))
            };
            rows.push(vec![
                entry.schema.into(),
                (&entry.table.name).into(),
                internal(),
                chunk.name(hypertable.id).into(),
                (&entry.time.name).into(),
                entry.time.ty.oid().into(),
                times.0.into(),
                times.1.into(),
                numbers.0.into(),
                numbers.1.into(),
                chunk.compressed.into(),
                Cell::Null,
                chunk.created_us.into(),
            ]);
        }
    }
    Ok(())
}

fn dimensions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let interval = entry.hypertable.interval;
        let span = dimension_us(&entry.time.ty, interval);
        rows.push(row![
            entry.schema,
            &entry.table.name,
            1,
            &entry.time.name,
            entry.time.ty.oid(),
            "Time",
            span.map_or(Cell::Null, Cell::Span),
            span.is_none().then_some(interval),
            entry.hypertable.integer_now.as_ref().map(|(_, name)| name),
            NULL,
        ]);
        for (number, dimension) in (2..).zip(&entry.hypertable.dimensions) {
            let Some(column) = entry.table.column(dimension.column) else {
                continue;
            };
            let (kind, interval, partitions) = match dimension.kind {
                DimensionKind::Hash { partitions } => ("Space", None, Some(partitions)),
                DimensionKind::Range { interval } => ("Time", Some(interval), None),
            };
            let span = interval.and_then(|interval| dimension_us(&column.ty, interval));
            rows.push(row![
                entry.schema,
                &entry.table.name,
                number,
                &column.name,
                column.ty.oid(),
                kind,
                span.map_or(Cell::Null, Cell::Span),
                interval.filter(|_| span.is_none()),
                NULL,
                partitions,
            ]);
        }
    }
    Ok(())
}
