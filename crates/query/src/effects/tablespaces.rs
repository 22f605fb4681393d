//! Tablespaces of hypertables, of which a server of one directory has one; and columns that chunks
//! are skipped by, which here is done for all.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::{Change, Hypertable, Skipping, Table};
use chronolith_engine::LockMode;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, list, records, text};
use super::chunks::{chunk_of, locked_chunk};
use crate::ddl::hypertable::hypertable_of;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, blocking};

/// Where all files lie.
const DEFAULT: &str = "pg_default";

fn no_tablespace(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("tablespace \"{name}\" does not exist"),
    )
}

fn hypertable(table: &Table) -> Result<&Hypertable, Error> {
    let found = table.hypertable.as_ref();
    found.ok_or_else(|| Error::internal("a hypertable that is none"))
}

fn store(shared: &Shared, table: TableId, hypertable: Hypertable) -> Result<(), Error> {
    shared.change(Change::ChangeHypertable {
        database: shared.database,
        table,
        hypertable,
    })
}

/// An error, or a notice that it was passed over.
fn refuse(shared: &Shared, lenient: bool, code: SqlState, message: String) -> Result<(), Error> {
    if !lenient {
        return Err(Error::new(code, message));
    }
    shared.notice(
        Severity::Notice,
        Error::new(code, format!("{message}, skipping")),
    );
    Ok(())
}

pub(super) fn attach(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let name = args
        .text(0)
        .ok_or_else(|| Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid tablespace name"))?;
    let id = TableId(args.need(args.oid(1), "hypertable")?);
    if name != DEFAULT {
        return Err(no_tablespace(name)
            .hint("The tablespace needs to be created before attaching it to a hypertable."));
    }
    let table = hypertable_of(shared, id)?;
    let mut changed = hypertable(&table)?.clone();
    if changed.tablespaces.iter().any(|known| known == name) {
        let message = format!(
            "tablespace \"{name}\" is already attached to hypertable \"{}\"",
            table.name
        );
        let code = SqlState::new(b"TS140");
        refuse(shared, args.bool(2) == Some(true), code, message)?;
        return Ok(ScalarValue::Null);
    }
    changed.tablespaces.push(name.to_owned());
    store(shared, table.id, changed)?;
    Ok(ScalarValue::Null)
}

/// How many were taken off.
pub(super) fn detach(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let name = args
        .text(0)
        .ok_or_else(|| Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid tablespace name"))?;
    if name != DEFAULT {
        return Err(no_tablespace(name));
    }
    let Some(oid) = args.oid(1) else {
        let home = shared.home()?;
        let mut count = 0;
        for table in home.tables.values() {
            let attached = table.hypertable.as_ref().map(|h| &h.tablespaces);
            if attached.is_some_and(|attached| attached.iter().any(|known| known == name)) {
                count += take_off(shared, table, Some(name))?;
            }
        }
        return Ok(ScalarValue::Int32(Some(count)));
    };
    let table = hypertable_of(shared, TableId(oid))?;
    let count = take_off(shared, &table, Some(name))?;
    if count == 0 {
        let message = format!(
            "tablespace \"{name}\" is not attached to hypertable \"{}\"",
            table.name
        );
        let code = SqlState::new(b"TS150");
        refuse(shared, args.bool(2) == Some(true), code, message)?;
    }
    Ok(ScalarValue::Int32(Some(count)))
}

pub(super) fn detach_all(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let id = TableId(args.need(args.oid(0), "hypertable")?);
    let table = hypertable_of(shared, id)?;
    let count = take_off(shared, &table, None)?;
    Ok(ScalarValue::Int32(Some(count)))
}

fn take_off(shared: &Shared, table: &Table, name: Option<&str>) -> Result<i32, Error> {
    let mut changed = hypertable(table)?.clone();
    let before = changed.tablespaces.len();
    changed
        .tablespaces
        .retain(|known| name.is_some_and(|name| known != name));
    let count = before - changed.tablespaces.len();
    if count > 0 {
        store(shared, table.id, changed)?;
    }
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

pub(super) fn show(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let id = TableId(args.need(args.oid(0), "hypertable")?);
    let table = hypertable_of(shared, id)?;
    let attached = hypertable(&table)?.tablespaces.iter();
    let attached: Vec<ScalarValue> = attached.map(text).collect();
    Ok(list(&attached, &DataType::Utf8View))
}

/// Where a chunk is moved to it is already; an index to order it by orders it.
pub(super) fn move_chunk(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let missing = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "valid chunk, destination_tablespace, and index_destination_tablespaces are required",
        )
    };
    let oid = args.oid(0).ok_or_else(missing)?;
    let (to, index_to) = (args.text(1), args.text(2));
    let (to, index_to) = (to.ok_or_else(missing)?, index_to.ok_or_else(missing)?);
    chunk_of(shared, oid)?;
    for name in [to, index_to] {
        if name != DEFAULT {
            return Err(no_tablespace(name));
        }
    }
    if args.get(3).is_some() {
        return order(shared, oid, args.oid(3));
    }
    Ok(ScalarValue::Null)
}

pub(super) fn reorder(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let oid = args.need(args.oid(0), "chunk")?;
    order(shared, oid, args.oid(1))
}

/// Rows in memory become a part, whose order is that of series and time: no index orders better.
fn order(shared: &Arc<Shared>, oid: u32, index: Option<u32>) -> Result<ScalarValue, Error> {
    let (table, chunk) = locked_chunk(shared, oid, LockMode::ShareUpdateExclusive)?;
    if let Some(index) = index
        && !table.indexes.iter().any(|known| known.id.0 == index)
    {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("the index is none of hypertable \"{}\"", table.name),
        ));
    }
    let committed = shared.instance.engine.catalog();
    let known = committed.table(shared.database, table.id);
    if known.is_some_and(|known| known.chunks.contains_key(&chunk.id)) {
        let engine = Arc::clone(&shared.instance.engine);
        blocking(|| engine.flush_chunk_of(shared.database, table.id, chunk.id))?;
    }
    Ok(ScalarValue::Null)
}

/// Chunk skipping has to be turned on first.
fn column_to_skip<'a>(shared: &Shared, args: Args<'a>) -> Result<(TableId, &'a str), Error> {
    let invalid = |message: &str| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    if !shared.with(|state| state.settings.on("timescaledb.enable_chunk_skipping")) {
        return Err(invalid(
            "chunk skipping functionality disabled, enable it by first setting \
             timescaledb.enable_chunk_skipping to on",
        ));
    }
    let id = args.oid(0);
    let id = id.ok_or_else(|| invalid("hypertable cannot be NULL"))?;
    let name = args.text(1);
    let name = name.ok_or_else(|| invalid("column name cannot be NULL"))?;
    Ok((TableId(id), name))
}

pub(super) fn skip(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let (id, name) = column_to_skip(shared, args)?;
    let table = hypertable_of(shared, id)?;
    let missing = || {
        let message = format!("column \"{name}\" does not exist");
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    };
    let (_, column) = table.column_named(name).ok_or_else(missing)?;
    let ranged = matches!(
        column.ty,
        SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
            | SqlType::Timestamp(_)
            | SqlType::Timestamptz(_)
            | SqlType::Date
    );
    if !ranged {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "data type \"{}\" unsupported for range calculation",
                column.ty
            ),
        )
        .hint("Integer-like, timestamp-like data types supported currently"));
    }
    let mut changed = hypertable(&table)?.clone();
    let known = changed.skipping.iter().find(|s| s.column == column.id);
    let number = match known.map(|known| known.id) {
        Some(number) => {
            let message = format!("already enabled for column \"{name}\"");
            let lenient = args.bool(2) == Some(true);
            refuse(shared, lenient, SqlState::DUPLICATE_OBJECT, message)?;
            number
        }
        None => {
            let number = changed.skipping.iter().map(|s| s.id).max().unwrap_or(0) + 1;
            changed.skipping.push(Skipping {
                id: number,
                column: column.id,
            });
            store(shared, table.id, changed)?;
            number
        }
    };
    records(
        &[
            ("column_stats_id", DataType::Int32),
            ("enabled", DataType::Boolean),
        ],
        &[vec![
            ScalarValue::Int32(Some(number)),
            ScalarValue::Boolean(Some(true)),
        ]],
    )
}

pub(super) fn unskip(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let (id, name) = column_to_skip(shared, args)?;
    let table = hypertable_of(shared, id)?;
    let mut changed = hypertable(&table)?.clone();
    let column = table.column_named(name).map(|(_, column)| column.id);
    let before = changed.skipping.len();
    changed.skipping.retain(|s| Some(s.column) != column);
    let disabled = changed.skipping.len() < before;
    let number = changed.id.0;
    if disabled {
        store(shared, table.id, changed)?;
    } else {
        let message = format!("statistics not enabled for column \"{name}\"");
        let lenient = args.bool(2) == Some(true);
        refuse(shared, lenient, SqlState::DUPLICATE_OBJECT, message)?;
    }
    records(
        &[
            ("hypertable_id", DataType::Int32),
            ("column_name", DataType::Utf8View),
            ("disabled", DataType::Boolean),
        ],
        &[vec![
            ScalarValue::Int32(Some(number)),
            text(name),
            ScalarValue::Boolean(Some(disabled)),
        ]],
    )
}
