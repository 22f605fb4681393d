//! TimescaleDB's own tables, which tools read.

use chronolith_catalog::DimensionKind;

use super::{entries, internal};
use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, dimension_us};
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{NULL, Rows, row};
use crate::catalogs::server::TIMESCALEDB_VERSION;
use crate::error::Error;

/// Bits of `chunk.status`.
const COMPRESSED: i32 = 1;
const PARTIAL: i32 = 8;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "hypertable" => hypertables,
        "chunk" => chunks,
        "dimension" => dimensions,
        "dimension_slice" => slices,
        "chunk_constraint" => constraints,
        "chunk_column_stats" => skipped,
        "tablespace" => tablespaces,
        "metadata" => metadata,
        _ => return None,
    })
}

/// Compressed rows lie where the others do: a hypertable is its own compressed one.
fn hypertables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let id = entry.hypertable.id;
        let compressed = entry.hypertable.compression.is_some();
        rows.push(vec![
            id.0.into(),
            entry.schema.into(),
            (&entry.table.name).into(),
            internal(),
            format!("_hyper_{id}").into(),
            i16::try_from(entry.hypertable.dimensions.len() + 1)
                .unwrap_or(i16::MAX)
                .into(),
            "_timescaledb_functions".into(),
            "calculate_chunk_interval".into(),
            0.into(),
            i32::from(compressed).into(),
            compressed.then_some(id.0).into(),
            0.into(),
        ]);
    }
    Ok(())
}

fn chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    const STATUS: usize = 5;
    let wanted = rows.wants(STATUS);
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            let packing = || (context.packing)(entry.table.id, chunk.id);
            let status = match chunk.compressed {
                true if wanted && packing().is_some_and(|packing| packing.loose) => {
                    COMPRESSED | PARTIAL
                }
                true => COMPRESSED,
                false => 0,
            };
            rows.push(vec![
                chunk.id.0.into(),
                hypertable.id.0.into(),
                internal(),
                chunk.name(hypertable.id).into(),
                chunk.compressed.then_some(chunk.id.0).into(),
                status.into(),
                false.into(),
                chunk.created_us.into(),
            ]);
        }
    }
    Ok(())
}

/// Dimensions of time, and those beside them.
fn dimensions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        let interval = entry.hypertable.interval;
        let now = entry.hypertable.integer_now.as_ref();
        let us = |value| dimension_us(&entry.time.ty, value).unwrap_or(value);
        let compressed = entry.hypertable.compression.as_ref();
        let compressed = compressed.and_then(|compression| compression.chunk_interval);
        rows.push(row![
            entry.hypertable.time_dimension(),
            entry.hypertable.id.0,
            &entry.time.name,
            entry.time.ty.oid(),
            true,
            NULL,
            NULL,
            NULL,
            us(interval),
            compressed.map(us),
            now.map(|(schema, _)| schema),
            now.map(|(_, name)| name),
        ]);
        for dimension in &entry.hypertable.dimensions {
            let Some(column) = entry.table.column(dimension.column) else {
                continue;
            };
            let (partitions, interval) = match dimension.kind {
                DimensionKind::Hash { partitions } => (Some(partitions), None),
                DimensionKind::Range { interval } => (None, Some(interval)),
            };
            let hash = partitions.map(|_| "_timescaledb_functions");
            rows.push(row![
                dimension.id,
                entry.hypertable.id.0,
                &column.name,
                column.ty.oid(),
                partitions.is_none(),
                partitions,
                hash,
                hash.map(|_| "get_partition_hash"),
                interval.map(|width| dimension_us(&column.ty, width).unwrap_or(width)),
                NULL,
                NULL,
                NULL,
            ]);
        }
    }
    Ok(())
}

/// A chunk has one slice, so its number is the chunk's.
fn slices<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            let us = |value| dimension_us(&entry.time.ty, value).unwrap_or(value);
            rows.push(row![
                chunk.id.0,
                chunk.id.0,
                hypertable.time_dimension(),
                us(chunk.range.start),
                us(chunk.range.end),
            ]);
        }
    }
    Ok(())
}

/// Until 2.28 slices had no chunk of their own, and this table told whose they are: of the time
/// dimension alone, as chunks are cut by nothing else.
fn constraints<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for (_, chunk) in objects::chunks(entry.table) {
            let name = format!("constraint_{}", chunk.id);
            rows.push(row![chunk.id.0, chunk.id.0, name, NULL]);
        }
    }
    Ok(())
}

/// Columns that somebody wants chunks to be skipped by: the row of the hypertable. Ranges are those
/// of the chunks' directories and statistics, so there are no rows of chunks.
fn skipped<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for skipping in &entry.hypertable.skipping {
            let Some(column) = entry.table.column(skipping.column) else {
                continue;
            };
            rows.push(row![
                skipping.id,
                entry.hypertable.id.0,
                NULL,
                &column.name,
                i64::MIN,
                i64::MAX,
                true,
            ]);
        }
    }
    Ok(())
}

/// Those that are attached, numbered anew each time.
fn tablespaces<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let attached = entries(context)?.flat_map(|entry| {
        let names = entry.hypertable.tablespaces.iter();
        names.map(move |name| (entry.hypertable.id.0, name))
    });
    for (number, (hypertable, name)) in (1..).zip(attached) {
        rows.push(row![number, hypertable, name]);
    }
    Ok(())
}

/// What a restored dump is asked about. No telemetry is sent, so nothing else is known here.
fn metadata<'a>(_: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    rows.push(row!["timescaledb_version", TIMESCALEDB_VERSION, false]);
    Ok(())
}
