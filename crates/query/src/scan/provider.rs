//! Tables and system relations, as DataFusion plans over them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chronolith_chunk::{Layout, ScanRequest};
use chronolith_engine::TableView;
use chronolith_types::{SqlState, TableId};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use super::exec::ChunkScan;
use super::filter::{self, Pushed};
use crate::error::Error;

/// What a statement's scans see, as an extension of DataFusion's session.
///
/// Gives a table's chunks that may have rows of some times.
pub(crate) struct Snapshot(pub(crate) Box<View>);

type View = dyn Fn(TableId, &Range<i64>) -> Option<TableView> + Send + Sync;

/// A table of chunks. Holds no rows: a plan made over it can be kept.
#[derive(Debug)]
pub(crate) struct ChunkTable {
    id: TableId,
    name: String,
    layout: Arc<Layout>,
}

impl ChunkTable {
    pub(crate) fn new(id: TableId, name: &str, layout: Arc<Layout>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            layout,
        }
    }
}

#[async_trait]
impl TableProvider for ChunkTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.layout.schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match filter::read(&self.layout, filter) {
            Pushed::Time(_) => TableProviderFilterPushDown::Exact,
            Pushed::Equals(..) => TableProviderFilterPushDown::Inexact,
            Pushed::Nothing => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let snapshot = state
            .config()
            .get_extension::<Snapshot>()
            .ok_or_else(|| DataFusionError::Internal("a scan without a snapshot".into()))?;
        let mut request = ScanRequest::all(match projection {
            Some(places) => places.clone(),
            None => (0..self.layout.columns.len()).collect(),
        });
        request.batch_rows = state.config().batch_size();
        filter::apply(&self.layout, filters, &mut request);
        let view = (snapshot.0)(self.id, &request.time).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", self.name),
            )
        })?;
        // A filter that may let more through must see the rows before they are counted.
        let limit = limit.filter(|_| request.equals.is_empty());
        Ok(Arc::new(ChunkScan::new(
            view,
            request,
            limit,
            state.config().target_partitions(),
        )))
    }
}

type Rows = dyn Fn(&[usize]) -> Result<RecordBatch, Error> + Send + Sync;

/// The rows that a statement has read of system relations, by oid and columns, as an extension of
/// DataFusion's session: a relation that is named twice is made once.
#[derive(Default)]
pub(crate) struct SystemRows(Mutex<HashMap<(u32, Vec<usize>), RecordBatch>>);

/// A relation whose rows are made when it is read.
pub(crate) struct SystemTable {
    oid: u32,
    name: String,
    schema: SchemaRef,
    rows: Box<Rows>,
}

impl SystemTable {
    /// `rows` makes those columns of it that it is asked for, in their order.
    pub(crate) fn new(oid: u32, name: &str, schema: Schema, rows: Box<Rows>) -> Self {
        Self {
            oid,
            name: name.to_owned(),
            schema: Arc::new(schema),
            rows,
        }
    }
}

impl fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTable")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let wanted = match projection {
            Some(places) => places.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        let known = state.config().get_extension::<SystemRows>();
        let key = (self.oid, wanted);
        let found = known
            .as_ref()
            .and_then(|known| known.0.lock().get(&key).cloned());
        let rows = match found {
            Some(rows) => rows,
            None => {
                let rows = (self.rows)(&key.1)?;
                if let Some(known) = &known {
                    known.0.lock().insert(key, rows.clone());
                }
                rows
            }
        };
        let schema = rows.schema();
        let plan = MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?;
        Ok(plan)
    }
}
