//! The way from a function's name to what it does.

use std::fmt;
use std::sync::{Arc, Weak};

use datafusion::common::ScalarValue;

use super::args::Args;
use super::{chunks, hypertables, names, sizes, system};
use crate::error::Error;
use crate::functions::{Effects, FunctionError};
use crate::session::Shared;

/// What functions can do in a session. Does not keep the session alive.
pub(crate) struct SessionEffects(Weak<Shared>);

impl SessionEffects {
    pub(crate) fn new(shared: Weak<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for SessionEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionEffects")
    }
}

impl Effects for SessionEffects {
    fn call(&self, name: &str, args: &[ScalarValue]) -> Result<ScalarValue, FunctionError> {
        let shared = self
            .0
            .upgrade()
            .ok_or_else(|| FunctionError::internal("the session is gone"))?;
        call(&shared, name, Args(args)).map_err(|error| FunctionError {
            code: error.code,
            message: error.message,
            detail: error.detail,
            hint: error.hint,
        })
    }
}

fn call(shared: &Arc<Shared>, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
    match name {
        "create_hypertable" => hypertables::create(shared, args),
        "by_range" => hypertables::by_range(args),
        "by_hash" => Err(Error::unsupported("partitioning by hash")),
        "set_chunk_time_interval" => hypertables::set_interval(shared, args),
        "show_chunks" => chunks::show(shared, args),
        "drop_chunks" => chunks::drop_chunks(shared, args),
        "compress_chunk" | "convert_to_columnstore" | "recompress_chunk" => {
            chunks::compress(shared, name, args)
        }
        "decompress_chunk" | "convert_to_rowstore" => chunks::decompress(shared, name, args),
        "hypertable_size"
        | "hypertable_approximate_size"
        | "hypertable_index_size"
        | "approximate_row_count"
        | "hypertable_detailed_size"
        | "hypertable_approximate_detailed_size"
        | "chunks_detailed_size"
        | "pg_relation_size"
        | "pg_total_relation_size"
        | "pg_table_size"
        | "pg_indexes_size"
        | "pg_database_size" => sizes::call(shared, name, args),
        _ if name.starts_with("reg") || name.starts_with("to_reg") => {
            names::call(shared, name, args)
        }
        _ => system::call(shared, name, args),
    }
}
