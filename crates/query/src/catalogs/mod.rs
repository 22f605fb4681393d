//! The relations of the system's schemas.

use arrow::record_batch::RecordBatch;
use chronolith_types::SqlType;

use crate::error::Error;

/// What the rows of a system relation are made from.
pub(crate) struct Context;

pub(crate) struct SystemRelation;

impl SystemRelation {
    pub(crate) fn oid(&self) -> u32 {
        0
    }
    pub(crate) fn columns(&self) -> Vec<(&'static str, SqlType)> {
        Vec::new()
    }
    pub(crate) fn rows(&self, _context: &Context) -> Result<RecordBatch, Error> {
        Err(Error::internal("none"))
    }
}

pub(crate) fn find(_schema: &str, _name: &str) -> Option<&'static SystemRelation> {
    None
}

pub(crate) fn is_system_schema(name: &str) -> bool {
    matches!(
        name,
        "pg_catalog"
            | "information_schema"
            | "timescaledb_information"
            | "timescaledb_experimental"
            | "_timescaledb_catalog"
            | "_timescaledb_config"
    )
}

pub(crate) fn system_schema_oid(name: &str) -> Option<u32> {
    (name == "pg_catalog").then_some(11)
}

pub(crate) fn name_of(_oid: u32) -> Option<(&'static str, &'static str)> {
    None
}

pub(crate) mod describe {
    use super::Context;
    use datafusion::common::ScalarValue;

    pub(crate) fn call(_: &Context, _name: &str, _args: &[Option<i64>]) -> Option<ScalarValue> {
        None
    }
}
