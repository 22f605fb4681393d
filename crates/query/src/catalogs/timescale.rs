//! Hypertables, their chunks and how they are compressed, as TimescaleDB's views show them.

use chronolith_catalog::{Column, Compression, Hypertable, OrderBy, Table};
use chronolith_types::text::write_json_string;
use chronolith_types::{ColumnId, Interval};

use super::context::Context;
use super::describe::quoted;
use super::objects::{self, Relation, dimension_us};
use super::relation::Fill;
use super::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;

pub(super) fn fill(schema: &str, name: &str) -> Option<Fill> {
    Some(match (schema, name) {
        ("timescaledb_information", "hypertables") => hypertables,
        ("timescaledb_information", "chunks") => chunks,
        ("timescaledb_information", "dimensions") => dimensions,
        ("timescaledb_information", "compression_settings") => compression,
        (
            "timescaledb_information",
            "hypertable_compression_settings" | "hypertable_columnstore_settings",
        ) => hypertable_compression,
        (
            "timescaledb_information",
            "chunk_compression_settings" | "chunk_columnstore_settings",
        ) => chunk_compression,
        ("_timescaledb_catalog", "hypertable") => catalog_hypertables,
        ("_timescaledb_catalog", "chunk") => catalog_chunks,
        ("_timescaledb_catalog", "dimension") => catalog_dimensions,
        ("_timescaledb_catalog", "dimension_slice") => catalog_slices,
        ("_timescaledb_catalog", "compression_settings") => catalog_compression,
        ("_timescaledb_catalog", "compression_chunk_size") => catalog_sizes,
        _ => return None,
    })
}

const DAY_US: i64 = 86_400_000_000;

/// A hypertable with what every view tells of it.
struct Entry<'a> {
    table: &'a Table,
    hypertable: &'a Hypertable,
    schema: &'a str,
    time: &'a Column,
}

fn entries(context: &Context) -> Result<impl Iterator<Item = Entry<'_>>, Error> {
    let home = context.home()?;
    let mut all: Vec<_> = home
        .tables
        .values()
        .filter_map(|table| {
            let hypertable = table.hypertable.as_ref()?;
            Some(Entry {
                table,
                hypertable,
                schema: Relation::Table(table).schema(home).1,
                time: table.column(hypertable.time)?,
            })
        })
        .collect();
    all.sort_by_key(|entry| entry.hypertable.id);
    Ok(all.into_iter())
}

fn internal<'a>() -> Cell<'a> {
    chronolith_catalog::Database::INTERNAL_SCHEMA.into()
}

fn hypertables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        rows.push(row![
            entry.schema,
            &entry.table.name,
            context.role_name(entry.table.owner),
            1,
            count(entry.table.chunks.len()),
            entry.hypertable.compression.is_some(),
            NULL,
            &entry.time.name,
            entry.time.ty.oid(),
        ]);
    }
    Ok(())
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
            NULL,
            NULL,
        ]);
    }
    Ok(())
}

/// The columns of a compressed chunk's sort key, as the settings name them.
fn segment_by(table: &Table) -> Option<String> {
    let names: Vec<String> = table
        .segment_by()
        .into_iter()
        .filter_map(|column| Some(quoted(&table.column(column)?.name).into_owned()))
        .collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn order_by(table: &Table) -> Option<String> {
    let key = |order: OrderBy| {
        let name = quoted(&table.column(order.column)?.name);
        let direction = if order.descending { " DESC" } else { "" };
        let nulls = match (order.descending, order.nulls_first) {
            (false, true) => " NULLS FIRST",
            (true, false) => " NULLS LAST",
            _ => "",
        };
        Some(format!("{name}{direction}{nulls}"))
    };
    let keys: Vec<String> = table.order_by().into_iter().filter_map(key).collect();
    (!keys.is_empty()).then(|| keys.join(","))
}

/// What a series directory knows of the columns that chunks are ordered by, and what else was
/// asked for.
fn sparse_index(table: &Table, compression: &Compression) -> Option<String> {
    let entry = |kind: &str, columns: &[ColumnId], source: &str| {
        let mut names = Vec::new();
        for column in columns {
            let mut name = String::new();
            write_json_string(&table.column(*column)?.name, &mut name);
            names.push(name);
        }
        let columns = match names.as_slice() {
            [name] => name.clone(),
            _ => format!("[{}]", names.join(", ")),
        };
        Some(format!(
            "{{\"type\": \"{kind}\", \"column\": {columns}, \"source\": \"{source}\"}}"
        ))
    };
    let ordered = table.order_by().into_iter().flat_map(|order| {
        ["minmax", "firstlast"].map(|kind| entry(kind, &[order.column], "orderby"))
    });
    let asked = compression.indexes.iter().flatten();
    let asked = asked.map(|index| entry(&index.kind, &index.columns, "config"));
    let entries: Vec<String> = ordered.chain(asked).flatten().collect();
    (!entries.is_empty()).then(|| format!("[{}]", entries.join(", ")))
}

/// The width that compressed chunks grow to.
fn compressed_interval(entry: &Entry<'_>, compression: &Compression) -> Option<String> {
    let width = compression.chunk_interval?;
    Some(match dimension_us(&entry.time.ty, width) {
        None => width.to_string(),
        Some(us) => {
            let mut text = Vec::new();
            let span = Interval {
                months: 0,
                days: i32::try_from(us / DAY_US).unwrap_or(i32::MAX),
                us: us % DAY_US,
            };
            span.write(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        }
    })
}

fn compressed(context: &Context) -> Result<impl Iterator<Item = (Entry<'_>, &Compression)>, Error> {
    Ok(entries(context)?.filter_map(|entry| {
        let compression = entry.hypertable.compression.as_ref()?;
        Some((entry, compression))
    }))
}

fn compression<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, _) in compressed(context)? {
        let name = |column| entry.table.column(column).map(|column| &column.name);
        for (place, column) in (1..).zip(entry.table.segment_by()) {
            rows.push(row![
                entry.schema,
                &entry.table.name,
                name(column),
                place,
                NULL,
                NULL,
                NULL
            ]);
        }
        for (place, order) in (1..).zip(entry.table.order_by()) {
            rows.push(row![
                entry.schema,
                &entry.table.name,
                name(order.column),
                NULL,
                place,
                !order.descending,
                order.nulls_first,
            ]);
        }
    }
    Ok(())
}

fn hypertable_compression<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, compression) in compressed(context)? {
        rows.push(row![
            entry.table.id.0,
            segment_by(entry.table),
            order_by(entry.table),
            compressed_interval(&entry, compression),
            sparse_index(entry.table, compression),
        ]);
    }
    Ok(())
}

fn chunk_compression<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, compression) in compressed(context)? {
        let chunks = entry.table.chunks.values();
        for chunk in chunks.filter(|chunk| chunk.compressed) {
            rows.push(row![
                entry.table.id.0,
                chunk.oid,
                segment_by(entry.table),
                order_by(entry.table),
                sparse_index(entry.table, compression),
            ]);
        }
    }
    Ok(())
}

// -------------------------------------------------------------------------- _timescaledb_catalog

fn catalog_hypertables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let id = entry.hypertable.id;
        rows.push(vec![
            id.0.into(),
            entry.schema.into(),
            (&entry.table.name).into(),
            internal(),
            format!("_hyper_{id}").into(),
            1.into(),
            "_timescaledb_functions".into(),
            "calculate_chunk_interval".into(),
            0.into(),
            i32::from(entry.hypertable.compression.is_some()).into(),
            Cell::Null,
            0.into(),
        ]);
    }
    Ok(())
}

fn catalog_chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            rows.push(vec![
                chunk.id.0.into(),
                hypertable.id.0.into(),
                internal(),
                chunk.name(hypertable.id).into(),
                Cell::Null,
                i32::from(chunk.compressed).into(),
                false.into(),
                chunk.created_us.into(),
            ]);
        }
    }
    Ok(())
}

/// A hypertable has one dimension, so its number is the hypertable's.
fn catalog_dimensions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let interval = entry.hypertable.interval;
        rows.push(row![
            entry.hypertable.id.0,
            entry.hypertable.id.0,
            &entry.time.name,
            entry.time.ty.oid(),
            true,
            NULL,
            NULL,
            NULL,
            dimension_us(&entry.time.ty, interval).unwrap_or(interval),
            NULL,
            NULL,
            NULL,
        ]);
    }
    Ok(())
}

/// A chunk has one slice, so its number is the chunk's.
fn catalog_slices<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            let us = |value| dimension_us(&entry.time.ty, value).unwrap_or(value);
            rows.push(row![
                chunk.id.0,
                chunk.id.0,
                hypertable.id.0,
                us(chunk.range.start),
                us(chunk.range.end),
            ]);
        }
    }
    Ok(())
}

fn catalog_compression<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, _) in compressed(context)? {
        let name = |column| {
            let column = entry.table.column(column);
            column.map_or(Cell::Null, |column| Cell::from(&column.name))
        };
        let or_null = |cells: Vec<Cell<'a>>| {
            if cells.is_empty() {
                Cell::Null
            } else {
                Cell::List(cells)
            }
        };
        let orders = entry.table.order_by();
        rows.push(vec![
            entry.table.id.0.into(),
            Cell::Null,
            or_null(entry.table.segment_by().into_iter().map(name).collect()),
            or_null(orders.iter().map(|order| name(order.column)).collect()),
            or_null(orders.iter().map(|order| order.descending.into()).collect()),
            or_null(
                orders
                    .iter()
                    .map(|order| order.nulls_first.into())
                    .collect(),
            ),
            Cell::Null,
        ]);
    }
    Ok(())
}

/// Bytes of compressed chunks: their rows as columns in memory, and their parts on disk. The
/// compressed chunk is the chunk itself.
fn catalog_sizes<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
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
                count(parts_rows),
                NULL,
            ]);
        }
    }
    Ok(())
}
