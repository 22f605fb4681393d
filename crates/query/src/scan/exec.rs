//! The scan of a table's chunks, as a physical plan.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use chronolith_chunk::{ChunkView, ScanRequest};
use chronolith_engine::TableView;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;

use crate::error::Error;

/// Reads the chunks of one table, several at a time.
#[derive(Debug, Clone)]
pub(crate) struct ChunkScan {
    /// Kept until the last row is read: with it go the files of parts that were dropped meanwhile.
    view: Arc<TableView>,
    request: Arc<ScanRequest>,
    limit: Option<usize>,
    /// The chunks that each partition reads.
    shares: Vec<Vec<ChunkView>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ChunkScan {
    pub(super) fn new(
        view: TableView,
        request: ScanRequest,
        limit: Option<usize>,
        partitions: usize,
    ) -> Self {
        let mut chunks: Vec<ChunkView> = view
            .chunks
            .iter()
            .map(|(_, chunk)| chunk)
            .filter(|chunk| chunk.meets(&request.time) && chunk.rows() > 0)
            .cloned()
            .collect();
        // The largest first, each to whoever has least: shares come out even.
        chunks.sort_by_key(|chunk| std::cmp::Reverse(chunk.rows()));
        let count = partitions.clamp(1, chunks.len().max(1));
        let mut shares: Vec<(u64, Vec<ChunkView>)> = vec![(0, Vec::new()); count];
        for chunk in chunks {
            if let Some(least) = shares.iter_mut().min_by_key(|(rows, _)| *rows) {
                least.0 += chunk.rows();
                least.1.push(chunk);
            }
        }
        let schema = view.layout.projected(&request.projection);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            view: Arc::new(view),
            request: Arc::new(request),
            limit,
            shares: shares.into_iter().map(|(_, chunks)| chunks).collect(),
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// What is read from.
    pub(crate) fn view(&self) -> &Arc<TableView> {
        &self.view
    }

    /// What is asked for.
    pub(crate) fn request(&self) -> &ScanRequest {
        &self.request
    }

    /// How many rows are asked for at most.
    pub(crate) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// The chunks that may have such rows.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &ChunkView> {
        let known = self.view.chunks.iter().map(|(_, chunk)| chunk);
        known.filter(|chunk| chunk.meets(&self.request.time) && chunk.rows() > 0)
    }

    fn chunks_read(&self) -> usize {
        self.shares.iter().map(Vec::len).sum()
    }

    fn parts_read(&self) -> usize {
        let chunks = self.shares.iter().flatten();
        chunks.map(|chunk| chunk.cold.len()).sum()
    }
}

impl DisplayAs for ChunkScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkScan: ")?;
        self.describe(f)
    }
}

impl ChunkScan {
    /// Writes what is read, and what is skipped.
    pub(crate) fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self
            .schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        // The view has but those chunks that the times asked for meet.
        let known = &self.view.table.chunks;
        let (all, parts) = (
            known.len(),
            known.values().map(|c| c.parts.len()).sum::<usize>(),
        );
        write!(
            f,
            "{}, columns=[{}], chunks={} of {all}, parts={} of {parts}",
            self.view.table.name,
            columns.join(", "),
            self.chunks_read(),
            self.parts_read(),
        )?;
        if self.request.time != (i64::MIN..i64::MAX) {
            write!(
                f,
                ", time=[{}, {})",
                self.request.time.start, self.request.time.end
            )?;
        }
        for (column, values) in &self.request.equals {
            if let Some(column) = self.view.layout.columns.get(*column) {
                write!(f, ", {} in ({})", column.name, values.join(", "))?;
            }
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ChunkScan {
    fn name(&self) -> &'static str {
        "ChunkScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let chunks = self.shares.get(partition).cloned().unwrap_or_default();
        let view = Arc::clone(&self.view);
        let request = Arc::clone(&self.request);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let mut left = self.limit.unwrap_or(usize::MAX);
        let batches = chunks
            .into_iter()
            .flat_map(move |chunk| chunk.scan(&view.layout, &request))
            .map(move |batch| {
                let batch = batch.map_err(|error| DataFusionError::from(Error::from(error)))?;
                metrics.record_output(batch.num_rows());
                Ok(batch)
            });
        let cut = batches.map_while(move |batch: DfResult<RecordBatch>| {
            if left == 0 {
                return None;
            }
            Some(batch.map(|batch| {
                let rows = batch.num_rows().min(left);
                left -= rows;
                batch.slice(0, rows)
            }))
        });
        // A scan is all work and no waiting: between batches others get their turn.
        let stream = futures::stream::iter(cut).then(|batch| async move {
            tokio::task::consume_budget().await;
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> DfResult<Arc<Statistics>> {
        let rows = |chunks: &Vec<ChunkView>| chunks.iter().map(ChunkView::rows).sum::<u64>();
        let rows = match partition {
            Some(partition) => self.shares.get(partition).map_or(0, rows),
            None => self.shares.iter().map(rows).sum(),
        };
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let whole = self.request.time == (i64::MIN..i64::MAX)
            && self.request.equals.is_empty()
            && self.limit.is_none();
        let rows = if whole {
            Precision::Exact(rows)
        } else {
            Precision::Inexact(rows.min(self.limit.unwrap_or(usize::MAX)))
        };
        Ok(Arc::new(
            Statistics::new_unknown(&self.schema).with_num_rows(rows),
        ))
    }
}
