//! Options of continuous aggregates.

use chronolith_catalog::Table;
use chronolith_sql::Opt;
use chronolith_types::SqlState;

use crate::ddl::{TableOptions, hypertable};
use crate::error::Error;

/// What WITH (…) or SET (…) says of a continuous aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CaggOptions {
    pub(crate) materialized_only: Option<bool>,
    pub(crate) group_indexes: bool,
    /// Those of its rows' table.
    pub(crate) table: TableOptions,
}

impl CaggOptions {
    /// Reads them.
    ///
    /// # Errors
    /// 22023 for an option nobody knows or a value it does not take.
    pub(crate) fn read(options: &[Opt]) -> Result<Self, Error> {
        let mut materialized_only = None;
        let mut group_indexes = true;
        let mut rest = Vec::new();
        for option in options {
            let (space, name) = option.name.split_once('.').unwrap_or(("", &option.name));
            if !matches!(space, "timescaledb" | "tsdb") {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized parameter \"{}\"", option.name),
                ));
            }
            let boolean = || {
                option.bool().ok_or_else(|| {
                    let value = option.value.as_deref().unwrap_or_default();
                    Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("invalid value for {} '{value}'", option.name),
                    )
                    .hint(format!("{} must be a valid bool", option.name))
                })
            };
            match name {
                "continuous" => {
                    if !boolean()? {
                        return Err(Error::new(
                            SqlState::INVALID_PARAMETER_VALUE,
                            "timescaledb.continuous must be true for a continuous aggregate",
                        ));
                    }
                }
                "materialized_only" => materialized_only = Some(boolean()?),
                "create_group_indexes" => group_indexes = boolean()?,
                // All are of the only kind there is here; refreshes find little to do.
                "finalized" | "enable_granular_refresh" => {
                    boolean()?;
                }
                "invalidate_using" => {}
                "hypertable"
                | "partition_column"
                | "partitioning_column"
                | "create_default_indexes"
                | "associated_schema"
                | "associated_table_prefix" => {
                    return Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("unrecognized parameter \"{}\"", option.name),
                    ));
                }
                _ => rest.push(option.clone()),
            }
        }
        Ok(Self {
            materialized_only,
            group_indexes,
            table: TableOptions::read(&rest)?,
        })
    }

    /// The width of the chunks of its rows' table, where one is given.
    ///
    /// # Errors
    /// 22023 for one that cannot be.
    pub(crate) fn interval(&self, table: &Table, bucket: &str) -> Result<Option<i64>, Error> {
        let Some(text) = &self.table.storage.chunk_interval else {
            return Ok(None);
        };
        let Some((_, column)) = table.column_named(bucket) else {
            return Ok(None);
        };
        let width = hypertable::width_from_text(text)?;
        Ok(Some(hypertable::width_of(bucket, &column.ty, Some(width))?))
    }
}
