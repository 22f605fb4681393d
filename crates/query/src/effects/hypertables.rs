//! `create_hypertable` and what goes with it.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::Change;
use chronolith_types::{Interval, SqlState, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, records, text};
use crate::ddl::hypertable::{Plan, Width, make, not_hypertable, table_of, width_of};
use crate::error::Error;
use crate::session::Shared;

/// What `by_range` gives `create_hypertable`: a mark, the column and the width.
const RANGE: &str = "by_range";
const SEPARATOR: char = '\u{1f}';

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
    if args.get(2).is_some() {
        return Err(Error::unsupported("a partitioning function"));
    }
    Ok(text(format!(
        "{RANGE}{SEPARATOR}{column}{SEPARATOR}{width}"
    )))
}

fn read_range(dimension: &str) -> Result<Option<(String, Option<Width>)>, Error> {
    let mut parts = dimension.split(SEPARATOR);
    if parts.next() != Some(RANGE) {
        return Ok(None);
    }
    let column = parts.next().unwrap_or_default().to_owned();
    let width = match parts.next() {
        None | Some("") => None,
        Some(width) => Some(match width.parse::<i64>() {
            Ok(number) => Width::Number(number),
            Err(_) => Width::Span(Interval::parse(width.as_bytes())?),
        }),
    };
    Ok(Some((column, width)))
}

pub(super) fn create(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let relation = TableId(args.need(args.oid(0), "relation")?);
    let second = args.need(args.text(1), "time_column_name")?;
    if let Some((column, width)) = read_range(second)? {
        let plan = Plan {
            table: relation,
            column,
            width,
            default_indexes: args.bool(2).unwrap_or(true),
            if_not_exists: args.bool(3).unwrap_or(false),
            migrate_data: args.bool(4).unwrap_or(false),
        };
        let (id, created) = make(shared, &plan)?;
        return records(
            &[
                ("hypertable_id", DataType::Int32),
                ("created", DataType::Boolean),
            ],
            &[vec![
                ScalarValue::Int32(Some(id.0)),
                ScalarValue::Boolean(Some(created)),
            ]],
        );
    }
    if args.get(2).is_some() || args.get(3).is_some() {
        return Err(Error::unsupported("partitioning by hash"));
    }
    if args.get(9).is_some() || args.get(11).is_some() {
        return Err(Error::unsupported("a partitioning function"));
    }
    for (place, what) in [
        (4, "associated_schema_name"),
        (5, "associated_table_prefix"),
    ] {
        if args.get(place).is_some() {
            return Err(Error::unsupported(what));
        }
    }
    let plan = Plan {
        table: relation,
        column: second.to_owned(),
        width: args.width(6)?,
        default_indexes: args.bool(7).unwrap_or(true),
        if_not_exists: args.bool(8).unwrap_or(false),
        migrate_data: args.bool(10).unwrap_or(false),
    };
    let (id, created) = make(shared, &plan)?;
    let table = table_of(shared, relation)?;
    let home = shared.home()?;
    let schema = home
        .schemas
        .get(&table.schema)
        .map_or("", |schema| schema.name.as_str());
    records(
        &[
            ("hypertable_id", DataType::Int32),
            ("schema_name", DataType::Utf8View),
            ("table_name", DataType::Utf8View),
            ("created", DataType::Boolean),
        ],
        &[vec![
            ScalarValue::Int32(Some(id.0)),
            text(schema),
            text(&table.name),
            ScalarValue::Boolean(Some(created)),
        ]],
    )
}

pub(super) fn set_interval(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let relation = TableId(args.need(args.oid(0), "hypertable")?);
    let table = table_of(shared, relation)?;
    let hypertable = table
        .hypertable
        .as_ref()
        .ok_or_else(|| not_hypertable(&table.name))?;
    let time = table
        .column(hypertable.time)
        .ok_or_else(|| Error::internal("a hypertable without its time column"))?;
    if let Some(dimension) = args.text(2)
        && dimension != time.name
    {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "hypertable \"{}\" does not have a dimension \"{dimension}\"",
                table.name
            ),
        ));
    }
    let width = args.need(args.width(1)?, "chunk_time_interval")?;
    let interval = width_of(&time.name, &time.ty, Some(width))?;
    shared.change(Change::SetChunkInterval {
        database: shared.database,
        table: relation,
        interval,
    })?;
    Ok(ScalarValue::Null)
}
