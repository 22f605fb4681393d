//! How hypertables and their chunks are compressed.

use chronolith_catalog::{Chunk, Compression, OrderBy, Table};
use chronolith_types::text::write_json_string;
use chronolith_types::{ColumnId, Interval};

use super::{Entry, entries};
use crate::catalogs::context::{Context, Sorting};
use crate::catalogs::describe::quoted;
use crate::catalogs::objects::{self, dimension_us};
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;

const DAY_US: i64 = 86_400_000_000;

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

/// How a hypertable's chunks will be sorted.
fn sorting_of(table: &Table) -> Sorting {
    Sorting {
        segment_by: table.segment_by(),
        order_by: table.order_by(),
    }
}

/// How a compressed chunk is sorted: its table may have got other settings since.
fn chunk_sorting(context: &Context, table: &Table, chunk: &Chunk) -> Sorting {
    let packing = (context.packing)(table.id, chunk.id);
    let sorting = packing.and_then(|packing| packing.sorting);
    sorting.unwrap_or_else(|| sorting_of(table))
}

/// The columns that make a series, as they are called.
fn segment_by(table: &Table, sorting: &Sorting) -> Option<String> {
    let columns = sorting.segment_by.iter();
    let names: Vec<&str> = columns
        .filter_map(|column| Some(table.column(*column)?.name.as_str()))
        .collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// The order within a series, as ORDER BY would say it.
fn order_by(table: &Table, sorting: &Sorting) -> Option<String> {
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
    let keys: Vec<String> = sorting.order_by.iter().filter_map(key).collect();
    (!keys.is_empty()).then(|| keys.join(","))
}

/// What a series directory knows of the columns that chunks are ordered by, and what else was
/// asked for.
fn sparse_index(table: &Table, sorting: &Sorting, compression: &Compression) -> Option<String> {
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
    let ordered = sorting.order_by.iter().flat_map(|order| {
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

/// One row a column that somebody named: by hypertables' names, the columns of series first.
fn columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let mut all = Vec::new();
    for (entry, compression) in compressed(context)? {
        let name = |column| Some(entry.table.column(column)?.name.as_str());
        let sorting = Sorting {
            segment_by: match compression.automatic_segments {
                true => Vec::new(),
                false => compression.segment_by.clone(),
            },
            order_by: compression.order_by.clone(),
        };
        let segments = (1_i16..).zip(sorting.segment_by);
        all.extend(segments.filter_map(|(place, column)| {
            let key = (&entry.table.name, false, place);
            Some((key, entry.schema, name(column)?, None))
        }));
        let orders = (1_i16..).zip(sorting.order_by);
        all.extend(orders.filter_map(|(place, order)| {
            let key = (&entry.table.name, true, place);
            Some((key, entry.schema, name(order.column)?, Some(order)))
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
        let Some(compression) = &entry.hypertable.compression else {
            rows.push(row![entry.table.id.0, NULL, NULL, NULL, NULL]);
            continue;
        };
        let sorting = sorting_of(entry.table);
        rows.push(row![
            entry.table.id.0,
            segment_by(entry.table, &sorting),
            order_by(entry.table, &sorting),
            compressed_interval(&entry, compression),
            sparse_index(entry.table, &sorting, compression),
        ]);
    }
    Ok(())
}

fn chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, compression) in compressed(context)? {
        let chunks = entry.table.chunks.values();
        for chunk in chunks.filter(|chunk| chunk.compressed) {
            let sorting = chunk_sorting(context, entry.table, chunk);
            rows.push(row![
                entry.table.id.0,
                chunk.oid,
                segment_by(entry.table, &sorting),
                order_by(entry.table, &sorting),
                sparse_index(entry.table, &sorting, compression),
            ]);
        }
    }
    Ok(())
}

/// The settings of a hypertable, or of a chunk, which is its own compressed chunk.
fn setting<'a>(
    table: &'a Table,
    (oid, compressed): (u32, Option<u32>),
    sorting: &Sorting,
    compression: &Compression,
) -> Vec<Cell<'a>> {
    let name = |column: ColumnId| {
        let column = table.column(column);
        column.map_or(Cell::Null, |column| Cell::from(&column.name))
    };
    let or_null = |cells: Vec<Cell<'a>>| match cells.is_empty() {
        true => Cell::Null,
        false => Cell::List(cells),
    };
    let orders = || sorting.order_by.iter();
    vec![
        oid.into(),
        compressed.into(),
        or_null(sorting.segment_by.iter().map(|id| name(*id)).collect()),
        or_null(orders().map(|order| name(order.column)).collect()),
        or_null(orders().map(|order| order.descending.into()).collect()),
        or_null(orders().map(|order| order.nulls_first.into()).collect()),
        sparse_index(table, sorting, compression).into(),
    ]
}

fn settings<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (entry, compression) in compressed(context)? {
        let table = entry.table;
        let own = (table.id.0, None);
        rows.push(setting(table, own, &sorting_of(table), compression));
        for chunk in table.chunks.values().filter(|chunk| chunk.compressed) {
            let sorting = chunk_sorting(context, table, chunk);
            let own = (chunk.oid, Some(chunk.oid));
            rows.push(setting(table, own, &sorting, compression));
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
