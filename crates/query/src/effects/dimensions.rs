//! Dimensions of hypertables: what builds them, adds them and changes them.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::{Change, Column, Dimension, DimensionKind, Hypertable, Table};
use chronolith_types::{Interval, SqlState, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, records, text};
use crate::ddl::hypertable::{Width, hypertable_of, key_without, warn_of_width, width_of};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

const NO_DIMENSION: SqlState = SqlState::new(b"TS002");
const DUPLICATE_DIMENSION: SqlState = SqlState::new(b"TS160");

/// What `by_range` and `by_hash` give others: a mark, the column and the width or number.
const RANGE: &str = "by_range";
const HASH: &str = "by_hash";
const SEPARATOR: char = '\u{1f}';

/// A dimension as a builder makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Built {
    pub(super) column: String,
    pub(super) by: By,
}

/// How it is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Range(Option<Width>),
    Hash(i64),
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn refuse_function(given: Option<&ScalarValue>) -> Result<(), Error> {
    match given {
        Some(_) => Err(Error::unsupported("a partitioning function")),
        None => Ok(()),
    }
}

pub(super) fn by_range(args: Args<'_>) -> Result<ScalarValue, Error> {
    let column = args.need(args.text(0), "column_name")?;
    let width = match args.width(1)? {
        None => String::new(),
        Some(Width::Number(number)) => number.to_string(),
        Some(Width::Span(span)) => {
            let mut out = Vec::new();
            span.write(&mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
    };
    refuse_function(args.get(2))?;
    let parts = [RANGE, column, &width];
    Ok(text(parts.join(&SEPARATOR.to_string())))
}

pub(super) fn by_hash(args: Args<'_>) -> Result<ScalarValue, Error> {
    let column = args.need(args.text(0), "column_name")?;
    let partitions = args.need(args.integer(1), "number_partitions")?;
    refuse_function(args.get(2))?;
    let parts = [HASH, column, &partitions.to_string()];
    Ok(text(parts.join(&SEPARATOR.to_string())))
}

/// What a builder made; None for a text that is none's.
pub(super) fn read(given: &str) -> Result<Option<Built>, Error> {
    let mut parts = given.split(SEPARATOR);
    let mark = parts.next();
    let column = parts.next().unwrap_or_default().to_owned();
    let rest = parts.next().unwrap_or_default();
    let by = match mark {
        Some(HASH) => By::Hash(rest.parse().unwrap_or(0)),
        Some(RANGE) => By::Range(match rest {
            "" => None,
            rest => Some(match rest.parse::<i64>() {
                Ok(number) => Width::Number(number),
                Err(_) => Width::Span(Interval::parse(rest.as_bytes())?),
            }),
        }),
        _ => return Ok(None),
    };
    Ok(Some(Built { column, by }))
}

fn partitions(number: i64) -> Result<i16, Error> {
    match i16::try_from(number) {
        Ok(number) if number >= 1 => Ok(number),
        _ => Err(invalid(
            "invalid number of partitions: must be between 1 and 32767",
        )),
    }
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

/// Adds a dimension; its number, and whether it was not there before.
pub(super) fn add(
    shared: &Arc<Shared>,
    id: TableId,
    built: &Built,
    if_not_exists: bool,
) -> Result<(i32, bool), Error> {
    let table = hypertable_of(shared, id)?;
    let mut changed = hypertable(&table)?.clone();
    let missing = || {
        let message = format!("column \"{}\" does not exist", built.column);
        Error::new(SqlState::UNDEFINED_COLUMN, message)
    };
    let (place, column) = table.column_named(&built.column).ok_or_else(missing)?;
    let known = changed.dimensions.iter().find(|d| d.column == column.id);
    let known = known.map(|dimension| dimension.id);
    let time = (changed.time == column.id).then(|| changed.time_dimension());
    if let Some(number) = known.or(time) {
        let message = format!("column \"{}\" is already a dimension", built.column);
        if !if_not_exists {
            return Err(Error::new(DUPLICATE_DIMENSION, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(
                SqlState::SUCCESSFUL_COMPLETION,
                format!("{message}, skipping"),
            ),
        );
        return Ok((number, false));
    }
    let kind = match built.by {
        By::Hash(number) => DimensionKind::Hash {
            partitions: partitions(number)?,
        },
        By::Range(width) => DimensionKind::Range {
            interval: width_of(&column.name, &column.ty, width)?,
        },
    };
    if table
        .all_keys()
        .iter()
        .any(|(_, key)| !key.contains(&place))
    {
        return Err(key_without(&column.name));
    }
    for (_, index) in table.exclusions() {
        if !index.keys.contains(&column.name) {
            return Err(key_without(&column.name));
        }
    }
    if matches!(kind, DimensionKind::Range { .. }) && !column.not_null {
        not_null(shared, &table, column)?;
    }
    let number = shared.home()?.next_dimension();
    changed.dimensions.push(Dimension {
        id: number,
        column: column.id,
        kind,
    });
    store(shared, table.id, changed)?;
    Ok((number, true))
}

/// A range's column takes no NULL.
fn not_null(shared: &Arc<Shared>, table: &Table, column: &Column) -> Result<(), Error> {
    shared.notice(
        Severity::Notice,
        Error::new(
            SqlState::SUCCESSFUL_COMPLETION,
            format!("adding not-null constraint to column \"{}\"", column.name),
        )
        .detail("Dimensions cannot have NULL values."),
    );
    shared.change(Change::ChangeColumn {
        database: shared.database,
        table: table.id,
        column: Column {
            not_null: true,
            ..column.clone()
        },
    })
}

/// `add_dimension`, in both of its forms.
pub(super) fn add_dimension(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let id = TableId(args.need(args.oid(0), "hypertable")?);
    let second = args.need(args.text(1), "column_name")?;
    if let Some(built) = read(second)? {
        let (number, created) = add(shared, id, &built, args.bool(2) == Some(true))?;
        return records(
            &[
                ("dimension_id", DataType::Int32),
                ("created", DataType::Boolean),
            ],
            &[vec![
                ScalarValue::Int32(Some(number)),
                ScalarValue::Boolean(Some(created)),
            ]],
        );
    }
    refuse_function(args.get(4))?;
    let by = match (args.integer(2), args.width(3)?) {
        (Some(number), None) => By::Hash(number),
        (None, Some(width)) => By::Range(Some(width)),
        (Some(_), Some(_)) => {
            return Err(invalid(
                "cannot specify both the number of partitions and an interval",
            ));
        }
        (None, None) => {
            return Err(invalid(
                "cannot omit both the number of partitions and the interval",
            ));
        }
    };
    let column = second.to_owned();
    let (number, created) = add(
        shared,
        id,
        &Built { column, by },
        args.bool(5) == Some(true),
    )?;
    let table = hypertable_of(shared, id)?;
    let home = shared.home()?;
    let schema = home.schemas.get(&table.schema);
    records(
        &[
            ("dimension_id", DataType::Int32),
            ("schema_name", DataType::Utf8View),
            ("table_name", DataType::Utf8View),
            ("column_name", DataType::Utf8View),
            ("created", DataType::Boolean),
        ],
        &[vec![
            ScalarValue::Int32(Some(number)),
            text(schema.map_or("", |schema| schema.name.as_str())),
            text(&table.name),
            text(second),
            ScalarValue::Boolean(Some(created)),
        ]],
    )
}

fn no_dimension(table: &Table) -> Error {
    let message = format!(
        "hypertable \"{}\" does not have a matching dimension",
        table.name
    );
    Error::new(NO_DIMENSION, message)
}

/// Several may be meant.
fn ambiguous(table: &Table, kind: &str) -> Error {
    let message = format!(
        "hypertable \"{}\" has multiple {kind} dimensions",
        table.name
    );
    invalid(message).hint("An explicit dimension name must be specified.")
}

/// `set_chunk_time_interval` and `set_partitioning_interval`.
pub(super) fn set_interval(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let id = TableId(args.need(args.oid(0), "hypertable")?);
    let table = hypertable_of(shared, id)?;
    let known = hypertable(&table)?;
    let time = table.column(known.time);
    let time = time.ok_or_else(|| Error::internal("a hypertable without its time column"))?;
    let width = args
        .width(1)?
        .ok_or_else(|| invalid("invalid interval: an explicit interval must be specified"))?;
    let ranges = || {
        let ranges = known.dimensions.iter();
        ranges.filter(|d| matches!(d.kind, DimensionKind::Range { .. }))
    };
    let named = args.text(2);
    if named.is_none() && ranges().next().is_some() {
        return Err(ambiguous(&table, "time"));
    }
    if named.is_none_or(|named| named == time.name) {
        let interval = width_of(&time.name, &time.ty, Some(width))?;
        warn_of_width(shared, &time.ty, interval);
        shared.change(Change::SetChunkInterval {
            database: shared.database,
            table: table.id,
            interval,
        })?;
        return Ok(ScalarValue::Null);
    }
    let of = ranges().find_map(|dimension| {
        let column = table.column(dimension.column)?;
        (Some(column.name.as_str()) == named).then_some((dimension.id, column))
    });
    let (number, column) = of.ok_or_else(|| no_dimension(&table))?;
    let interval = width_of(&column.name, &column.ty, Some(width))?;
    warn_of_width(shared, &column.ty, interval);
    let mut changed = known.clone();
    for dimension in changed.dimensions.iter_mut().filter(|d| d.id == number) {
        dimension.kind = DimensionKind::Range { interval };
    }
    store(shared, table.id, changed)?;
    Ok(ScalarValue::Null)
}

pub(super) fn set_partitions(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let id = TableId(args.need(args.oid(0), "hypertable")?);
    let table = hypertable_of(shared, id)?;
    let number = args
        .integer(1)
        .ok_or_else(|| invalid("invalid number of partitions: must be between 1 and 32767"))?;
    let partitions = partitions(number)?;
    let mut changed = hypertable(&table)?.clone();
    let named = args.text(2);
    let fits = |dimension: &&mut Dimension| {
        let name = table.column(dimension.column).map(|c| c.name.as_str());
        let hashed = matches!(dimension.kind, DimensionKind::Hash { .. });
        hashed && (named.is_none() || named == name)
    };
    let mut found: Vec<&mut Dimension> = changed.dimensions.iter_mut().filter(fits).collect();
    match found.as_mut_slice() {
        [] => return Err(no_dimension(&table)),
        [one] => one.kind = DimensionKind::Hash { partitions },
        _ => return Err(ambiguous(&table, "space")),
    }
    store(shared, table.id, changed)?;
    Ok(ScalarValue::Null)
}
