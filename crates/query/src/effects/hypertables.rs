//! `create_hypertable`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::Database;
use chronolith_types::{SqlState, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, records, text};
use super::dimensions::{self, Built, By};
use crate::ddl::hypertable::{Plan, make, table_of};
use crate::error::Error;
use crate::session::Shared;

pub(super) fn create(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let relation = TableId(args.need(args.oid(0), "relation")?);
    let second = args.need(args.text(1), "time_column_name")?;
    if let Some(built) = dimensions::read(second)? {
        let By::Range(width) = built.by else {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "cannot partition using a closed dimension on primary column",
            )
            .hint("Use range partitioning on the primary column."));
        };
        let plan = Plan {
            table: relation,
            column: built.column,
            width,
            default_indexes: args.bool(2).unwrap_or(true),
            if_not_exists: args.bool(3).unwrap_or(false),
            migrate_data: args.bool(4).unwrap_or(false),
            number: None,
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
    let space = match (args.text(2), args.integer(3)) {
        (None, None) => None,
        (Some(column), Some(number)) => Some(Built {
            column: column.to_owned(),
            by: By::Hash(number),
        }),
        (Some(_), None) => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid number of partitions: must be between 1 and 32767",
            ));
        }
        (None, Some(_)) => {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "number of partitions given without a partitioning column",
            ));
        }
    };
    if args.get(9).is_some() || args.get(11).is_some() {
        return Err(Error::unsupported("a partitioning function"));
    }
    for (place, what) in [
        (4, "associated_schema_name"),
        (5, "associated_table_prefix"),
    ] {
        let given = args.text(place);
        // Where chunks are called so anyway.
        if given.is_some_and(|given| given != Database::INTERNAL_SCHEMA) {
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
        number: None,
    };
    let (id, created) = make(shared, &plan)?;
    if let Some(space) = space.filter(|_| created) {
        dimensions::add(shared, relation, &space, false)?;
    }
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
