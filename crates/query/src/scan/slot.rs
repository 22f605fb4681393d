//! Rows that come while a statement runs: what its parts return, and what they are about to write.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

/// The rows of a statement's slots, as an extension of DataFusion's session.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<HashMap<usize, Vec<RecordBatch>>>);

impl Slots {
    /// Puts rows into a slot, in the place of those that are there.
    pub(crate) fn put(&self, slot: usize, rows: Vec<RecordBatch>) {
        self.0.lock().insert(slot, rows);
    }
}

/// The relation of a slot's rows. Holds none: a plan made over it can be kept.
#[derive(Debug)]
pub(crate) struct SlotTable {
    slot: usize,
    schema: SchemaRef,
}

impl SlotTable {
    pub(crate) fn new(slot: usize, schema: SchemaRef) -> Self {
        Self { slot, schema }
    }
}

#[async_trait]
impl TableProvider for SlotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let slots = state.config().get_extension::<Slots>();
        let rows = match slots {
            Some(slots) => slots.0.lock().get(&self.slot).cloned(),
            // The plan is shown, and not run.
            None => Some(Vec::new()),
        };
        let rows = rows
            .ok_or_else(|| DataFusionError::Internal("rows that nothing has given yet".into()))?;
        let mut batches = Vec::with_capacity(rows.len());
        for batch in rows {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let columns = batch.columns().to_vec();
            let schema = Arc::clone(&self.schema);
            batches.push(RecordBatch::try_new_with_options(
                schema, columns, &options,
            )?);
        }
        let schema = Arc::clone(&self.schema);
        let rows = MemorySourceConfig::try_new_exec(&[batches], schema, projection.cloned())?;
        Ok(rows)
    }
}
