//! Tables becoming hypertables.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Column, Hypertable, Index, Table};
use chronolith_chunk::{ChunkError, ScanRequest};
use chronolith_engine::{LockMode, TableView};
use chronolith_types::{HypertableId, IndexId, Interval, SqlState, SqlType, TableId};

use super::columnstore;
use super::options::TableOptions;
use super::table::free_name;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, blocking};

/// TimescaleDB's own codes.
const HYPERTABLE_EXISTS: SqlState = SqlState::new(b"TS110");
const BAD_HYPERTABLE_INDEX: SqlState = SqlState::new(b"TS103");
const NOT_HYPERTABLE: SqlState = SqlState::new(b"TS001");

const DAY_US: i64 = 86_400_000_000;
/// What a chunk spans unless somebody says.
const INTERVAL_DEFAULT_US: i64 = 7 * DAY_US;

/// A width as a function or option gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// A number: µs for times, the column's own unit for whole numbers.
    Number(i64),
    Span(Interval),
}

/// How a table is to become a hypertable.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) table: TableId,
    pub(crate) column: String,
    pub(crate) width: Option<Width>,
    pub(crate) default_indexes: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) migrate_data: bool,
    /// The number that it is to have, where that is free.
    pub(crate) number: Option<HypertableId>,
}

/// Makes it one; its number, and whether it was not one before.
///
/// # Errors
/// TS110 for one that is, 42703, 0A000 and 22023 for columns and widths that cannot be.
pub(crate) fn make(shared: &Arc<Shared>, plan: &Plan) -> Result<(HypertableId, bool), Error> {
    let mut table = table_of(shared, plan.table)?;
    // Who may not make one of it does not lock it.
    if shared.check_owner(table.id).is_ok() {
        while shared.lock_waiting(table.id, LockMode::AccessExclusive)? {
            shared.transact(|transaction| transaction.begin_statement())?;
            table = table_of(shared, plan.table)?;
        }
    }
    if let Some(known) = &table.hypertable {
        let message = format!("table \"{}\" is already a hypertable", table.name);
        if !plan.if_not_exists {
            return Err(Error::new(HYPERTABLE_EXISTS, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(HYPERTABLE_EXISTS, format!("{message}, skipping")),
        );
        return Ok((known.id, false));
    }
    let (_, column) = table
        .column_named(&plan.column)
        .ok_or_else(|| no_column(&table, &plan.column))?;
    let mut column = column.clone();
    let interval = width_of(&column.name, &column.ty, plan.width)?;
    warn_of_width(shared, &column.ty, interval);
    for (_, places) in table.all_keys() {
        let has_time = places
            .iter()
            .filter_map(|place| table.columns.get(*place))
            .any(|c| c.id == column.id);
        if !has_time {
            return Err(key_without(&column.name));
        }
    }
    for (_, index) in table.exclusions() {
        if !index.keys.contains(&column.name) {
            return Err(key_without(&column.name));
        }
    }
    let unique_without = table.indexes.iter().find(|index| {
        index.unique && !index.constraint && !index.keys.iter().any(|key| names(key, &column.name))
    });
    if unique_without.is_some() {
        return Err(key_without(&column.name));
    }
    let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(plan.table)))?;
    let view = view.filter(|view| view.rows() > 0);
    if view.is_some() && !plan.migrate_data {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("table \"{}\" is not empty", table.name),
        )
        .hint(
            "You can migrate data by specifying 'migrate_data => true' when calling this function.",
        ));
    }
    if !column.not_null {
        shared.notice(
            Severity::Notice,
            Error::new(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("adding not-null constraint to column \"{}\"", column.name),
            )
            .detail("Dimensions cannot have NULL values."),
        );
        column.not_null = true;
        shared.change(Change::ChangeColumn {
            database: shared.database,
            table: table.id,
            column: column.clone(),
        })?;
    }
    if view.is_some() {
        shared.transact(|transaction| transaction.truncate(table.id))?;
    }
    let home = shared.home()?;
    let free = |id: &HypertableId| {
        let known = home.tables.values().filter_map(|of| of.hypertable.as_ref());
        known.into_iter().all(|of| of.id != *id)
    };
    let number = plan.number.filter(free);
    let id = number.unwrap_or(HypertableId(home.next_hypertable));
    shared.change(Change::MakeHypertable {
        database: shared.database,
        table: table.id,
        hypertable: Hypertable {
            id,
            time: column.id,
            interval,
            dimension: shared.home()?.next_dimension(),
            ..Hypertable::default()
        },
    })?;
    let mut intake = shared.transact(|transaction| transaction.intake(table.id))?;
    if let Some(view) = &view {
        for batch in all_rows(view) {
            blocking(|| intake.push(batch?))?;
        }
    }
    blocking(|| {
        shared.transact(|transaction| intake.finish(transaction).map_err(|(_, error)| error))
    })?;
    // As in TimescaleDB, only one of the time alone counts.
    let indexed = table
        .indexes
        .iter()
        .any(|index| match index.keys.as_slice() {
            [key] => names(key, &column.name),
            _ => false,
        });
    if plan.default_indexes && !indexed {
        add_time_index(shared, &table, &column.name)?;
    }
    Ok((id, true))
}

/// The rows of a table that is to be cut into chunks.
fn all_rows(view: &TableView) -> impl Iterator<Item = Result<RecordBatch, ChunkError>> {
    let all = ScanRequest::all((0..view.layout.columns.len()).collect());
    let chunks = view.chunks.iter();
    chunks.flat_map(move |(_, chunk)| chunk.scan(&view.layout, &all))
}

/// CREATE TABLE … WITH (tsdb.hypertable, …).
pub(super) fn from_options(
    shared: &Arc<Shared>,
    id: TableId,
    options: &TableOptions,
) -> Result<(), Error> {
    let table = table_of(shared, id)?;
    let column = match &options.partition_column {
        Some(name) => name.clone(),
        None => only_time(&table).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "partition column could not be determined",
            )
            .hint("Use \"timescaledb.partition_column\" to specify the column to use as partitioning column.")
        })?,
    };
    let width = options
        .storage
        .chunk_interval
        .as_deref()
        .map(width_from_text);
    make(
        shared,
        &Plan {
            table: id,
            column,
            width: width.transpose()?,
            default_indexes: options.create_default_indexes,
            if_not_exists: false,
            migrate_data: false,
            number: None,
        },
    )?;
    // A table that is made so has a columnstore unless it is told to have none.
    let mut storage = options.storage.clone();
    storage.chunk_interval = None;
    storage.compress.get_or_insert(true);
    columnstore::set(shared, id, &storage)
}

/// The one column that can only be meant: of times with a zone, else of all times.
fn only_time(table: &Table) -> Option<String> {
    let only = |fits: fn(&SqlType) -> bool| {
        let mut found = table.columns.iter().filter(|column| fits(&column.ty));
        let first = found.next()?;
        found.next().is_none().then(|| first.name.clone())
    };
    let time = |ty: &SqlType| matches!(ty, SqlType::Timestamp(_) | SqlType::Date);
    only(|ty| matches!(ty, SqlType::Timestamptz(_))).or_else(|| {
        let zoned = |column: &Column| matches!(column.ty, SqlType::Timestamptz(_));
        let none = !table.columns.iter().any(zoned);
        only(time).filter(|_| none)
    })
}

pub(crate) fn not_hypertable(name: &str) -> Error {
    Error::new(
        NOT_HYPERTABLE,
        format!("table \"{name}\" is not a hypertable"),
    )
}

/// A table by its number.
///
/// # Errors
/// 42P01
pub(crate) fn table_of(shared: &Shared, id: TableId) -> Result<Arc<Table>, Error> {
    shared
        .catalog()
        .table(shared.database, id)
        .cloned()
        .ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation with OID {id} does not exist"),
            )
        })
}

/// A hypertable by its number, or by that of the continuous aggregate whose rows it has.
///
/// # Errors
/// 42P01, and TS001 for what is none.
pub(crate) fn hypertable_of(shared: &Shared, id: TableId) -> Result<Arc<Table>, Error> {
    let home = shared.home()?;
    let view = home.views.get(&id);
    let kept = view.and_then(|view| view.materialized.as_ref());
    let table = match (view, kept) {
        (Some(_), Some(kept)) if kept.continuous.is_some() => table_of(shared, kept.table)?,
        (Some(view), _) => return Err(not_hypertable(&view.name)),
        _ => table_of(shared, id)?,
    };
    match table.hypertable {
        Some(_) => Ok(table),
        None => Err(not_hypertable(&table.name)),
    }
}

/// A key of a hypertable has the columns of its dimensions: else no chunk could keep it alone.
pub(super) fn check_key(table: &Table, columns: &[String]) -> Result<(), Error> {
    let Some(hypertable) = &table.hypertable else {
        return Ok(());
    };
    let others = hypertable.dimensions.iter().map(|d| d.column);
    for id in std::iter::once(hypertable.time).chain(others) {
        if let Some(column) = table.column(id)
            && !columns.contains(&column.name)
        {
            return Err(key_without(&column.name));
        }
    }
    Ok(())
}

pub(crate) fn key_without(column: &str) -> Error {
    Error::new(
        BAD_HYPERTABLE_INDEX,
        format!(
            "cannot create a unique index without the column \"{column}\" (used in partitioning)"
        ),
    )
    .hint("If you're creating a hypertable on a table with a primary key, ensure the partitioning column is part of the primary or composite key.")
}

/// Whether an index key is a column, whatever its order.
fn names(key: &str, column: &str) -> bool {
    let name = key.split_whitespace().next().unwrap_or_default();
    name.trim_matches('"') == column
}

fn add_time_index(shared: &Arc<Shared>, table: &Table, column: &str) -> Result<(), Error> {
    let home = shared.home()?;
    let name = free_name(&table.name, &[column.to_owned()], "idx", |name| {
        home.relation_exists(table.schema, name)
    });
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    shared.change(Change::CreateIndex {
        database: shared.database,
        table: table.id,
        index: Index {
            id: IndexId(id),
            name,
            method: "btree".to_owned(),
            keys: vec![format!("{column} DESC")],
            unique: false,
            constraint: false,
            predicate: None,
            include: Vec::new(),
            nulls_alike: false,
            options: Vec::new(),
            marks: Vec::new(),
        },
    })
}

/// A chunk's width in the column's unit: µs, or whole numbers.
pub(crate) fn width_of(column: &str, ty: &SqlType, width: Option<Width>) -> Result<i64, Error> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let integer_max = match ty {
        SqlType::Int2 => Some(i64::from(i16::MAX)),
        SqlType::Int4 => Some(i64::from(i32::MAX)),
        SqlType::Int8 => Some(i64::MAX),
        SqlType::Timestamptz(_) | SqlType::Timestamp(_) | SqlType::Date => None,
        other => {
            return Err(invalid(format!("invalid type for dimension \"{column}\""))
                .detail(format!("Its type is {other}."))
                .hint("Use an integer, timestamp, or date type."));
        }
    };
    let span_us = |span: Interval| -> Result<i64, Error> {
        i64::try_from(span.span_us()).map_err(|_| {
            invalid("invalid interval: must be between 1 and 9223372036854775807".into())
        })
    };
    let width = match (integer_max, width) {
        (Some(_), None) => {
            return Err(invalid(
                "integer dimensions require an explicit interval".into(),
            ));
        }
        (Some(_), Some(Width::Span(_))) => {
            return Err(
                invalid("invalid interval type for integer dimension".into())
                    .hint("Use an interval of type integer."),
            );
        }
        (Some(max), Some(Width::Number(width))) => {
            if !(1..=max).contains(&width) {
                return Err(invalid(format!(
                    "invalid interval: must be between 1 and {max}"
                )));
            }
            return Ok(width);
        }
        (None, None) => INTERVAL_DEFAULT_US,
        (None, Some(Width::Number(width))) => width,
        (None, Some(Width::Span(span))) => span_us(span)?,
    };
    if width < 1 {
        return Err(invalid(
            "invalid interval: must be between 1 and 9223372036854775807".into(),
        ));
    }
    // A date's chunks are whole days.
    if *ty == SqlType::Date && width % DAY_US != 0 {
        return Err(invalid(format!(
            "invalid interval for dimension \"{column}\": must be a multiple of one day"
        )));
    }
    Ok(width)
}

/// Whoever gives a number may have meant seconds.
pub(crate) fn warn_of_width(shared: &Shared, ty: &SqlType, width: i64) {
    const SECOND_US: i64 = 1_000_000;
    if matches!(ty, SqlType::Timestamptz(_) | SqlType::Timestamp(_)) && width < SECOND_US {
        shared.notice(
            Severity::Warning,
            Error::new(
                SqlState::AMBIGUOUS_PARAMETER,
                "unexpected interval: smaller than one second",
            )
            .hint("The interval is specified in microseconds."),
        );
    }
}

/// A width as an option writes it: `1 day`, `86400000000`.
pub(crate) fn width_from_text(text: &str) -> Result<Width, Error> {
    match text.trim().parse::<i64>() {
        Ok(number) => Ok(Width::Number(number)),
        Err(_) => Ok(Width::Span(Interval::parse(text.as_bytes())?)),
    }
}

/// 42703 for a table that is to be divided by a column that it has not.
fn no_column(table: &Table, name: &str) -> Error {
    let error = Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{name}\" does not exist"),
    );
    let times = |column: &&Column| {
        matches!(
            column.ty,
            SqlType::Timestamptz(_) | SqlType::Timestamp(_) | SqlType::Date
        )
    };
    let times = table.columns.iter().filter(times);
    let names: Vec<String> = times.map(|column| format!("\"{}\"", column.name)).collect();
    match names.as_slice() {
        [] => error,
        names => error.hint(format!(
            "The table's columns of times are {}.",
            names.join(", ")
        )),
    }
}
