//! How a hypertable's chunks are compressed, as options set and reset it.

use std::sync::Arc;

use chronolith_catalog::{Change, Compression, OrderBy, SparseIndex, Table};
use chronolith_types::{ColumnId, SqlState, TableId};

use super::hypertable::{not_hypertable, table_of, width_from_text, width_of};
use super::options::{Reset, StorageOptions};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

/// Does what options ask of a hypertable's chunks.
///
/// # Errors
/// TS001 for a table that is none; 42601 and 22023 for values that do not fit its columns; 0A000
/// where compression is to end while there are compressed chunks.
pub(crate) fn set(
    shared: &Arc<Shared>,
    id: TableId,
    options: &StorageOptions,
) -> Result<(), Error> {
    let table = table_of(shared, id)?;
    if *options == StorageOptions::default() {
        return Ok(());
    }
    let Some(hypertable) = &table.hypertable else {
        return Err(not_hypertable(&table.name));
    };
    if let (Some(width), Some(time)) = (&options.chunk_interval, table.column(hypertable.time)) {
        let interval = width_of(&time.name, &time.ty, Some(width_from_text(width)?))?;
        shared.change(Change::SetChunkInterval {
            database: shared.database,
            table: id,
            interval,
        })?;
    }
    if !options.compresses() {
        return Ok(());
    }
    if options.compress == Some(false) {
        return disable(shared, &table);
    }
    let table = table_of(shared, id)?;
    let compression = compression(shared, &table, options)?;
    store(shared, &table, Some(compression))
}

/// Gives settings back to what nobody named.
///
/// # Errors
/// As [`set`].
pub(crate) fn reset(shared: &Arc<Shared>, id: TableId, which: Reset) -> Result<(), Error> {
    let table = table_of(shared, id)?;
    if which == Reset::default() {
        return Ok(());
    }
    let Some(hypertable) = &table.hypertable else {
        return Err(not_hypertable(&table.name));
    };
    if which.compress {
        return disable(shared, &table);
    }
    let Some(mut compression) = hypertable.compression.clone() else {
        return Ok(());
    };
    if which.segment_by {
        compression.segment_by.clear();
        compression.automatic_segments = true;
    }
    if which.order_by {
        compression.order_by.clear();
    }
    if which.compressed_interval {
        compression.chunk_interval = None;
    }
    if which.index {
        compression.indexes = None;
    }
    store(shared, &table, Some(compression))
}

/// Compression as it is where nobody names anything.
pub(crate) fn automatic() -> Compression {
    Compression {
        automatic_segments: true,
        ..Compression::default()
    }
}

fn store(
    shared: &Arc<Shared>,
    table: &Table,
    compression: Option<Compression>,
) -> Result<(), Error> {
    shared.change(Change::SetCompression {
        database: shared.database,
        table: table.id,
        compression,
    })
}

fn disable(shared: &Arc<Shared>, table: &Table) -> Result<(), Error> {
    if table.chunks.values().any(|chunk| chunk.compressed) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot disable columnstore on hypertable with columnstore chunks",
        )
        .hint("Convert the chunks to rowstore first, with convert_to_rowstore."));
    }
    store(shared, table, None)
}

/// The settings that options ask for, over those a table has.
fn compression(
    shared: &Arc<Shared>,
    table: &Table,
    options: &StorageOptions,
) -> Result<Compression, Error> {
    let known = table
        .hypertable
        .as_ref()
        .and_then(|hypertable| hypertable.compression.clone());
    let mut compression = known.unwrap_or_else(automatic);
    if let Some(list) = &options.segment_by {
        compression.segment_by = segments(table, list)?;
        compression.automatic_segments = false;
    }
    if let Some(list) = &options.order_by {
        compression.order_by = orders(table, list)?;
    }
    for order in &compression.order_by {
        if compression.segment_by.contains(&order.column) {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "cannot use column \"{}\" for both ordering and segmenting",
                    name_of(table, order.column)
                ),
            )
            .hint("Use separate columns for the timescaledb.compress_orderby and timescaledb.compress_segmentby options."));
        }
    }
    if let Some(list) = &options.index {
        compression.indexes = Some(sparse_indexes(table, list)?);
    }
    if let Some(width) = &options.compressed_interval {
        compression.chunk_interval = Some(compressed_width(shared, table, width)?);
    }
    if options.order_by.is_some() {
        warn_of_keys(shared, table, &compression);
    }
    Ok(compression)
}

/// A key whose columns do not order its rows is dear to hold.
fn warn_of_keys(shared: &Arc<Shared>, table: &Table, compression: &Compression) {
    for (_, places) in table.all_keys() {
        let columns = places.iter().filter_map(|place| table.columns.get(*place));
        for column in columns {
            let used = compression.segment_by.contains(&column.id)
                || compression.order_by.iter().any(|o| o.column == column.id)
                || (compression.automatic_segments && table.segment_by().contains(&column.id));
            if !used {
                let message = format!(
                    "column \"{}\" should be used for segmenting or ordering",
                    column.name
                );
                shared.notice(
                    Severity::Warning,
                    Error::new(SqlState::new(b"01000"), message),
                );
            }
        }
    }
}

/// What compressed chunks grow to, in the time column's unit.
fn compressed_width(shared: &Arc<Shared>, table: &Table, width: &str) -> Result<i64, Error> {
    let hypertable = table.hypertable.as_ref();
    let time = hypertable.and_then(|h| Some((table.column(h.time)?, h.interval)));
    let Some((time, interval)) = time else {
        return Err(not_hypertable(&table.name));
    };
    let width = width_of(&time.name, &time.ty, Some(width_from_text(width)?))?;
    if width % interval != 0 {
        shared.notice(
            Severity::Warning,
            Error::new(
                SqlState::new(b"01000"),
                "compress chunk interval is not a multiple of chunk interval, you should use a \
                 factor of chunk interval to merge as much as possible",
            ),
        );
    }
    Ok(width)
}

fn name_of(table: &Table, column: ColumnId) -> &str {
    table.column(column).map_or("", |c| c.name.as_str())
}

/// The items between commas, outside of quotes and parentheses; none of a blank text.
fn split(list: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let (mut quoted, mut depth) = (false, 0_i32);
    for letter in list.chars() {
        match letter {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        match (letter, items.last_mut()) {
            (',', _) if !quoted && depth == 0 => items.push(String::new()),
            (_, Some(item)) => item.push(letter),
            _ => {}
        }
    }
    if items.len() == 1 {
        items.retain(|item| !item.trim().is_empty());
    }
    items.iter().map(|item| item.trim().to_owned()).collect()
}

/// A name as SQL spells it, folded unless quoted; None for what is no name.
fn folded(name: &str) -> Option<String> {
    if let Some(inner) = name.strip_prefix('"') {
        let inner = inner.strip_suffix('"')?.replace("\"\"", "\u{0}");
        let whole = !inner.is_empty() && !inner.contains('"');
        return whole.then(|| inner.replace('\u{0}', "\""));
    }
    let plain = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
    let starts = name.chars().next().is_some_and(|c| !c.is_numeric());
    (starts && name.chars().all(plain)).then(|| name.to_lowercase())
}

fn column(table: &Table, name: &str, hint: &str) -> Result<ColumnId, Error> {
    match table.column_named(name) {
        Some((_, column)) => Ok(column.id),
        None => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("column \"{name}\" does not exist"),
        )
        .hint(hint)),
    }
}

fn distinct(table: &Table, found: &[ColumnId], id: ColumnId, option: &str) -> Result<(), Error> {
    if !found.contains(&id) {
        return Ok(());
    }
    Err(Error::new(
        SqlState::SYNTAX_ERROR,
        format!("duplicate column name \"{}\"", name_of(table, id)),
    )
    .hint(format!(
        "The {option} option must reference distinct column."
    )))
}

fn segments(table: &Table, list: &str) -> Result<Vec<ColumnId>, Error> {
    let time = table.hypertable.as_ref().map(|hypertable| hypertable.time);
    let mut found = Vec::new();
    for item in split(list) {
        let name = folded(&item).ok_or_else(|| {
            Error::new(
                SqlState::SYNTAX_ERROR,
                format!("unable to parse segmenting option \"{list}\""),
            )
            .hint("The option timescaledb.compress_segmentby must be a set of columns separated by commas.")
        })?;
        let hint = "The timescaledb.compress_segmentby option must reference a valid column.";
        let id = column(table, &name, hint)?;
        distinct(table, &found, id, "timescaledb.compress_segmentby")?;
        if time == Some(id) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot use column \"{name}\" for both partitioning and segmenting"),
            )
            .hint("The time column orders the rows of a series."));
        }
        found.push(id);
    }
    Ok(found)
}

fn orders(table: &Table, list: &str) -> Result<Vec<OrderBy>, Error> {
    if list.trim().is_empty() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "ordering column can not be empty",
        )
        .hint("timescaledb.compress_orderby option must reference a valid column or be removed to use default settings."));
    }
    let mut found: Vec<OrderBy> = Vec::new();
    for item in split(list) {
        let order = order(table, list, &item)?;
        let known: Vec<ColumnId> = found.iter().map(|order| order.column).collect();
        distinct(table, &known, order.column, "timescaledb.compress_orderby")?;
        found.push(order);
    }
    Ok(found)
}

fn order(table: &Table, list: &str, item: &str) -> Result<OrderBy, Error> {
    let unreadable = || {
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("unable to parse ordering option \"{list}\""),
        )
        .hint("The timescaledb.compress_orderby option must be a set of column names with sort options, separated by commas. It is the same format as an ORDER BY clause.")
    };
    let (name, rest) = match item.rfind('"').filter(|_| item.starts_with('"')) {
        Some(end) => item.split_at(end + 1),
        None => item.split_once(char::is_whitespace).unwrap_or((item, "")),
    };
    let name = folded(name).ok_or_else(unreadable)?;
    let words: Vec<String> = rest.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (descending, rest) = match words.as_slice() {
        ["asc", rest @ ..] => (false, rest),
        ["desc", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let nulls_first = match rest {
        [] => descending,
        ["nulls", "first"] => true,
        ["nulls", "last"] => false,
        _ => return Err(unreadable()),
    };
    let hint = "The timescaledb.compress_orderby option must reference a valid column.";
    Ok(OrderBy {
        column: column(table, &name, hint)?,
        descending,
        nulls_first,
    })
}

/// `bloom('a'), minmax(b)`: columns are named with quotes or without.
fn sparse_indexes(table: &Table, list: &str) -> Result<Vec<SparseIndex>, Error> {
    let unreadable = || {
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("unable to parse sparse index option \"{list}\""),
        )
    };
    let mut found: Vec<SparseIndex> = Vec::new();
    for item in split(list) {
        let (kind, rest) = item.split_once('(').ok_or_else(unreadable)?;
        let inner = rest.trim().strip_suffix(')').ok_or_else(unreadable)?;
        let kind = match kind.trim().to_lowercase().as_str() {
            "bloom" | "compress_bloom" => "bloom",
            "minmax" | "min_max" | "compress_minmax" | "compress_min_max" => "minmax",
            "firstlast" | "first_last" => "firstlast",
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized sparse index type \"{other}\""),
                ));
            }
        };
        let mut columns = Vec::new();
        for name in split(inner) {
            let bare = name.strip_prefix('\'').and_then(|n| n.strip_suffix('\''));
            let name = folded(bare.unwrap_or(&name)).ok_or_else(unreadable)?;
            let hint = format!("The sparse index {kind} option must reference a valid column.");
            let id = column(table, &name, &hint)?;
            distinct(table, &columns, id, "sparse index")?;
            columns.push(id);
        }
        if columns.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("sparse index {kind}'s first option must reference a valid column."),
            ));
        }
        let index = SparseIndex {
            kind: kind.to_owned(),
            columns,
        };
        if found.contains(&index) {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("duplicate column name \"{inner}\""),
            )
            .hint("The sparse index option must reference distinct column."));
        }
        found.push(index);
    }
    Ok(found)
}
