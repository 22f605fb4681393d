//! How hypertables and their chunks are compressed.

use std::borrow::Cow;

use chronolith_catalog::{Chunk, Compression, OrderBy, Table};
use chronolith_types::text::write_json_string;
use chronolith_types::{ColumnId, TableId};

use super::{Entry, entries};
use crate::catalogs::context::Context;
use crate::catalogs::describe::quoted;
use crate::catalogs::objects;
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "compression_settings" => columns,
        "hypertable_compression_settings" | "hypertable_columnstore_settings" => hypertables,
        "chunk_compression_settings" | "chunk_columnstore_settings" => chunks,
        _ => return None,
    })
}

pub(super) fn fill_catalog(name: &str) -> Option<Fill> {
    Some(match name {
        "compression_settings" => settings,
        "compression_chunk_size" => sizes,
        _ => return None,
    })
}

/// The columns that make a series, as they are called.
fn segment_by(table: &Table, compression: &Compression) -> Option<String> {
    let columns = compression.segment_by.iter();
    let names: Vec<&str> = columns
        .filter_map(|column| Some(table.column(*column)?.name.as_str()))
        .collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// The order within a series, as ORDER BY would say it.
fn order_by(table: &Table, compression: &Compression) -> Option<String> {
    let key = |order: &OrderBy| {
        let name = quoted(&table.column(order.column)?.name);
        let direction = if order.descending { " DESC" } else { "" };
        let nulls = match (order.descending, order.nulls_first) {
            (false, true) => " NULLS FIRST",
            (true, false) => " NULLS LAST",
            _ => "",
        };
        Some(format!("{name}{direction}{nulls}"))
    };
    let keys: Vec<String> = compression.order_by.iter().filter_map(key).collect();
    (!keys.is_empty()).then(|| keys.join(","))
}

/// What a series directory knows of the columns that chunks are ordered by.
fn sparse_index(table: &Table, compression: &Compression) -> Option<String> {
    let entry = |order: &OrderBy| {
        let mut name = String::new();
        write_json_string(&table.column(order.column)?.name, &mut name);
        Some(format!(
            "{{\"type\": \"minmax\", \"column\": {name}, \"source\": \"orderby\"}}, \
             {{\"type\": \"firstlast\", \"column\": {name}, \"source\": \"orderby\"}}"
        ))
    };
    let entries: Vec<String> = compression.order_by.iter().filter_map(entry).collect();
    (!entries.is_empty()).then(|| format!("[{}]", entries.join(", ")))
}

fn compressed(context: &Context) -> Result<impl Iterator<Item = (Entry<'_>, &Compression)>, Error> {
    Ok(entries(context)?.filter_map(|entry| {
        let compression = entry.hypertable.compression.as_ref()?;
        Some((entry, compression))
    }))
}

/// How a compressed chunk is sorted: its table may have got other settings since.
fn sorted_as<'a>(
    context: &Context,
    table: TableId,
    chunk: &Chunk,
    compression: &'a Compression,
) -> Cow<'a, Compression> {
    match (context.packing)(table, chunk.id).and_then(|packing| packing.sorted_as) {
        Some(sorted_as) => Cow::Owned(sorted_as),
        None => Cow::Borrowed(compression),
    }
}

/// One row a column: by hypertables' names, the columns of series first.
fn columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let mut all = Vec::new();
    for (entry, compression) in compressed(context)? {
        let name = |column| Some(entry.table.column(column)?.name.as_str());
        let segments = (1_i16..).zip(&compression.segment_by);
        all.extend(segments.filter_map(|(place, column)| {
            let key = (&entry.table.name, false, place);
            Some((key, entry.schema, name(*column)?, None))
        }));
        let orders = (1_i16..).zip(&compression.order_by);
        all.extend(orders.filter_map(|(place, order)| {
            let key = (&entry.table.name, true, place);
            Some((key, entry.schema, name(order.column)?, Some(*order)))
        }));
    }
    all.sort_by_key(|(key, ..)| *key);
    for ((table, _, place), schema, column, order) in all {
        rows.push(row![
            schema,
            table,
            column,
            order.is_none().then_some(place),
            order.is_some().then_some(place),
            order.map(|order| !order.descending),
            order.map(|order| order.nulls_first),
        ]);
    }
    Ok(())
}

/// Every hypertable, those without settings too.
fn hypertables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let compression = entry.hypertable.compression.as_ref();
        rows.push(row![
            entry.table.id.0,
            compression.and_then(|compression| segment_by(entry.table, compression)),
            compression.and_then(|compression| order_by(entry.table, compression)),
            NULL,
            compression.and_then(|compression| sparse_index(entry.table, compression)),
        ]);
    }
    Ok(())
}

fn chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, compression) in compressed(context)? {
        let chunks = entry.table.chunks.values();
        for chunk in chunks.filter(|chunk| chunk.compressed) {
            let sorted_as = sorted_as(context, entry.table.id, chunk, compression);
            rows.push(row![
                entry.table.id.0,
                chunk.oid,
                segment_by(entry.table, &sorted_as),
                order_by(entry.table, &sorted_as),
                sparse_index(entry.table, &sorted_as),
            ]);
        }
    }
    Ok(())
}

/// The settings of a hypertable, or of a chunk, which is its own compressed chunk.
fn setting<'a>(
    entry: &Entry<'a>,
    oid: u32,
    chunk: Option<u32>,
    compression: &Compression,
) -> Vec<Cell<'a>> {
    let table = entry.table;
    let name = |column: ColumnId| {
        let column = table.column(column);
        column.map_or(Cell::Null, |column| Cell::from(&column.name))
    };
    let or_null = |cells: Vec<Cell<'a>>| match cells.is_empty() {
        true => Cell::Null,
        false => Cell::List(cells),
    };
    let orders = || compression.order_by.iter();
    row![
        oid,
        chunk,
        or_null(compression.segment_by.iter().map(|id| name(*id)).collect()),
        or_null(orders().map(|order| name(order.column)).collect()),
        or_null(orders().map(|order| order.descending.into()).collect()),
        or_null(orders().map(|order| order.nulls_first.into()).collect()),
        sparse_index(table, compression),
    ]
}

fn settings<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, compression) in compressed(context)? {
        rows.push(setting(&entry, entry.table.id.0, None, compression));
        let chunks = entry.table.chunks.values();
        for chunk in chunks.filter(|chunk| chunk.compressed) {
            let sorted_as = sorted_as(context, entry.table.id, chunk, compression);
            rows.push(setting(&entry, chunk.oid, Some(chunk.oid), &sorted_as));
        }
    }
    Ok(())
}

/// Bytes of compressed chunks: their rows as columns in memory, and their parts on disk. The
/// compressed chunk is the chunk itself.
fn sizes<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let chunks = objects::chunks(entry.table).map(|(_, chunk)| chunk);
        for chunk in chunks.filter(|chunk| chunk.compressed) {
            let unpacked: u64 = chunk.parts.iter().map(|part| part.unpacked).sum();
            let packed: u64 = chunk
                .parts
                .iter()
                .map(|part| part.data.bytes + part.directory.bytes)
                .sum();
            let parts_rows: u64 = chunk.parts.iter().map(|part| part.rows).sum();
            let series = (context.packing)(entry.table.id, chunk.id);
            let series = series.map(|packing| count(packing.series.len()));
            rows.push(row![
                chunk.id.0,
                chunk.id.0,
                count(unpacked),
                0,
                0,
                count(packed),
                0,
                0,
                count(parts_rows),
                series,
                NULL,
            ]);
        }
    }
    Ok(())
}
