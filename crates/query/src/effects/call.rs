//! The way from a function's name to what it does.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use arrow::record_batch::RecordBatch;
use chronolith_engine::AuditKind;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;

use super::args::Args;
use super::names::object_name;
use super::{
    advisory, attach, boundaries, chunks, compress, describe, dimensions, hypertables, names,
    privileges, refresh, sequences, sizes, system, tablespaces,
};
use crate::catalogs::{Context, of_function};
use crate::error::Error;
use crate::functions::{Effects, FunctionError};
use crate::jobs;
use crate::rights::{changes_what_exists, guard_call};
use crate::routines::{self, RoutineCall};
use crate::session::{Shared, collect_now};

/// What functions can do in a session. Does not keep the session alive.
pub(crate) struct SessionEffects {
    shared: Weak<Shared>,
    /// How many routines were running when it was made.
    depth: usize,
    /// What the last call that described an object saw: a statement calls many.
    seen: Mutex<Option<Arc<Context>>>,
    /// What plans the queries inside expressions: one may run for each row. It does not hold this
    /// one, but effects of its own.
    planner: OnceLock<SessionState>,
}

impl SessionEffects {
    pub(crate) fn new(shared: Weak<Shared>, depth: usize) -> Self {
        Self {
            shared,
            depth,
            seen: Mutex::default(),
            planner: OnceLock::new(),
        }
    }

    fn context(&self, shared: &Arc<Shared>) -> Arc<Context> {
        let mut seen = self.seen.lock();
        match &*seen {
            Some(context) if Arc::ptr_eq(&context.catalog, &shared.catalog()) => {
                Arc::clone(context)
            }
            _ => Arc::clone(seen.insert(Arc::new(shared.catalog_context()))),
        }
    }
}

impl fmt::Debug for SessionEffects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionEffects")
    }
}

impl SessionEffects {
    fn dispatch(
        &self,
        shared: &Arc<Shared>,
        name: &str,
        args: Args<'_>,
    ) -> Result<ScalarValue, Error> {
        guard_call(shared, name, args.oid(0))?;
        shared.refuse_writing_function(name)?;
        let done = self.act(shared, name, args)?;
        if changes_what_exists(name) {
            let of = args.oid(0);
            let of = of.map(|oid| object_name(&shared.catalog_context(), "regclass", oid));
            let of = of.transpose()?.unwrap_or_default();
            shared.audit(AuditKind::Ddl, "ok", name, &of)?;
        }
        Ok(done)
    }

    fn act(&self, shared: &Arc<Shared>, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
        match name {
            "create_hypertable" => hypertables::create(shared, args),
            "by_range" => dimensions::by_range(args),
            "by_hash" => dimensions::by_hash(args),
            "add_dimension" => dimensions::add_dimension(shared, args),
            "set_chunk_time_interval" | "set_partitioning_interval" => {
                dimensions::set_interval(shared, args)
            }
            "set_number_partitions" => dimensions::set_partitions(shared, args),
            "merge_chunks" | "merge_chunks_concurrently" => boundaries::merge(shared, args),
            "split_chunk" => boundaries::split(shared, args),
            "attach_tablespace" => tablespaces::attach(shared, args),
            "detach_tablespace" => tablespaces::detach(shared, args),
            "detach_tablespaces" => tablespaces::detach_all(shared, args),
            // No table is a partition.
            "pg_partition_ancestors" => Ok(super::list(&[], &arrow::datatypes::DataType::UInt32)),
            "pg_partition_root" => Ok(ScalarValue::UInt32(None)),
            "show_tablespaces" => tablespaces::show(shared, args),
            "move_chunk" => tablespaces::move_chunk(shared, args),
            "reorder_chunk" => tablespaces::reorder(shared, args),
            "enable_chunk_skipping" => tablespaces::skip(shared, args),
            "disable_chunk_skipping" => tablespaces::unskip(shared, args),
            "attach_chunk" => attach::attach(shared, args),
            "detach_chunk" => attach::detach(shared, args),
            "refresh_continuous_aggregate" => refresh::refresh(shared, args),
            "timescaledb_post_restore" => {
                crate::arrivals::end(shared)?;
                Ok(ScalarValue::Boolean(Some(true)))
            }
            "show_chunks" => chunks::show(shared, args),
            "drop_chunks" => chunks::drop_chunks(shared, args),
            "hypertable_size"
            | "hypertable_approximate_size"
            | "hypertable_index_size"
            | "approximate_row_count"
            | "hypertable_detailed_size"
            | "hypertable_approximate_detailed_size"
            | "chunks_detailed_size"
            | "chunk_compression_stats"
            | "chunk_columnstore_stats"
            | "hypertable_compression_stats"
            | "hypertable_columnstore_stats"
            | "pg_relation_size"
            | "pg_total_relation_size"
            | "pg_table_size"
            | "pg_indexes_size"
            | "pg_tablespace_size"
            | "pg_database_size" => sizes::call(shared, name, args),
            _ if name.starts_with("reg") || name.starts_with("to_reg") => {
                names::call(&self.context(shared), name, args)
            }
            "set_config" => {
                // It may change the search path.
                *self.seen.lock() = None;
                system::call(shared, name, args)
            }
            _ if name.starts_with("has_") || matches!(name, "pg_has_role" | "acldefault") => {
                let answer = privileges::call(&self.context(shared), name, args)?;
                answer.ok_or_else(|| Error::internal("a privilege of an unknown kind"))
            }
            _ if let Some(done) = advisory::call(shared, name, args)? => Ok(done),
            _ if let Some(done) = sequences::call(shared, name, args)? => Ok(done),
            _ if let Some(done) = jobs::call(shared, name, args)? => Ok(done),
            _ => match describe::call(&self.context(shared), name, args)? {
                Some(answer) => Ok(answer),
                None => match of_function(name) {
                    Some(relation) => relation.list(&self.context(shared)),
                    None => system::call(shared, name, args),
                },
            },
        }
    }
}

impl Effects for SessionEffects {
    fn call(&self, name: &str, args: &[ScalarValue]) -> Result<ScalarValue, FunctionError> {
        let shared = self
            .shared
            .upgrade()
            .ok_or_else(|| FunctionError::internal("the session is gone"))?;
        self.dispatch(&shared, name, Args(args)).map_err(told)
    }

    fn call_all(
        &self,
        name: &str,
        rows: &[Vec<ScalarValue>],
    ) -> Result<Vec<ScalarValue>, FunctionError> {
        let shared = self
            .shared
            .upgrade()
            .ok_or_else(|| FunctionError::internal("the session is gone"))?;
        if name == "nextval" {
            return sequences::next_all(&shared, rows).map_err(told);
        }
        for row in rows {
            guard_call(&shared, name, Args(row).oid(0)).map_err(told)?;
        }
        match compress::Call::of(name) {
            Some(call) => compress::run(&shared, call, rows).map_err(told),
            None => rows.iter().map(|args| self.call(name, args)).collect(),
        }
    }

    fn rows(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>, FunctionError> {
        let shared = self
            .shared
            .upgrade()
            .ok_or_else(|| FunctionError::internal("the session is gone"))?;
        let planner = self.planner.get_or_init(|| shared.planner(shared.vars()));
        collect_now(&shared, planner, plan).map_err(told)
    }

    fn routine(
        &self,
        call: &RoutineCall,
        args: &[ScalarValue],
    ) -> Result<ScalarValue, DataFusionError> {
        let shared = self
            .shared
            .upgrade()
            .ok_or_else(|| FunctionError::internal("the session is gone"))?;
        Ok(routines::run(&shared, self.depth, call, args)?)
    }
}

fn told(error: Error) -> FunctionError {
    FunctionError {
        code: error.code,
        message: error.message,
        detail: error.detail,
        hint: error.hint,
        context: error.context,
        domain: None,
    }
}
