//! The scan of a table's chunks, as a physical plan.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
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

use super::system::{SystemColumn, told};
use crate::error::Error;

/// Reads the chunks of one table, several at a time.
#[derive(Debug, Clone)]
pub(crate) struct ChunkScan {
    /// Kept until the last row is read: with it go the files of parts that were dropped meanwhile.
    view: Arc<TableView>,
    request: Arc<ScanRequest>,
    limit: Option<usize>,
    /// What each partition reads.
    shares: Arc<[Share]>,
    /// What is told of each row beside its columns.
    system: Arc<[SystemColumn]>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// What one partition reads.
#[derive(Debug, Clone, Default)]
struct Share {
    rows: u64,
    pieces: Vec<Piece>,
}

/// A chunk, or some series of its one part.
#[derive(Debug, Clone)]
struct Piece {
    /// Its place among the chunks.
    chunk: usize,
    /// The part's rows; None for the whole chunk.
    cut: Option<Range<u64>>,
    /// About how many rows it is.
    rows: u64,
}

/// With fewer rows, starting another reader takes longer than what it would take off.
const PIECE_ROWS_MIN: u64 = 32 * 1024;

/// What is to be read: chunks where there are many, else pieces of them.
fn pieces(view: &TableView, request: &ScanRequest, partitions: usize) -> Vec<Piece> {
    let chunks = view.chunks.iter().enumerate();
    let chunks = chunks.filter(|(_, (_, chunk))| chunk.meets(&request.time));
    let chunks: Vec<(usize, &ChunkView, u64)> = chunks
        .map(|(at, (_, chunk))| (at, chunk, chunk.rows()))
        .filter(|(.., rows)| *rows > 0)
        .collect();
    let whole = |chunk: usize, rows: u64| Piece {
        chunk,
        cut: None,
        rows,
    };
    if partitions <= 1 || chunks.len() >= 4 * partitions {
        return chunks
            .iter()
            .map(|(at, _, rows)| whole(*at, *rows))
            .collect();
    }
    let mut found = Vec::new();
    for (at, chunk, rows) in chunks {
        let few = (rows / (4 * partitions as u64)).max(PIECE_ROWS_MIN);
        match chunk.cuts(&view.layout, request, few) {
            None => found.push(whole(at, rows)),
            Some(cuts) => found.extend(cuts.into_iter().map(|cut| Piece {
                chunk: at,
                rows: chunk.rows_of_cut(&cut),
                cut: Some(cut),
            })),
        }
    }
    found
}

impl ChunkScan {
    pub(super) fn new(
        view: TableView,
        request: ScanRequest,
        limit: Option<usize>,
        partitions: usize,
        system: Vec<SystemColumn>,
    ) -> Self {
        let mut pieces = pieces(&view, &request, partitions);
        // The largest first, each to whoever has least: shares come out even.
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.rows));
        let count = partitions.clamp(1, pieces.len().max(1));
        let mut shares: Vec<Share> = vec![Share::default(); count];
        for piece in pieces {
            if let Some(least) = shares.iter_mut().min_by_key(|share| share.rows) {
                least.rows += piece.rows;
                least.pieces.push(piece);
            }
        }
        let mut schema = view.layout.projected(&request.projection);
        if request.locators {
            let fields = schema.fields().iter().cloned();
            let more = system.iter().map(|column| Arc::new(column.field()));
            schema = Arc::new(Schema::new(fields.chain(more).collect::<Fields>()));
        }
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
            shares: shares.into(),
            system: system.into(),
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
        self.chunks().count()
    }

    fn parts_read(&self) -> usize {
        self.chunks().map(|chunk| chunk.cold.len()).sum()
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
        let share = self.shares.get(partition).cloned().unwrap_or_default();
        let view = Arc::clone(&self.view);
        let request = Arc::clone(&self.request);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let (seen, system) = (Arc::clone(&self.view), Arc::clone(&self.system));
        let schema = Arc::clone(&self.schema);
        let plain = matches!(*system, [] | [SystemColumn::Locator]);
        let mut left = self.limit.unwrap_or(usize::MAX);
        let batches = share
            .pieces
            .into_iter()
            .flat_map(
                move |piece| match (view.chunks.get(piece.chunk), piece.cut) {
                    (None, _) => Box::new(std::iter::empty()),
                    (Some((_, chunk)), None) => chunk.scan(&view.layout, &request),
                    (Some((_, chunk)), Some(cut)) => chunk.scan_cut(&view.layout, &request, cut),
                },
            )
            .map(move |batch| {
                let batch = batch.map_err(|error| DataFusionError::from(Error::from(error)))?;
                metrics.record_output(batch.num_rows());
                match plain {
                    true => Ok(batch),
                    false => Ok(told(&seen, &batch, &system, &schema)?),
                }
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
        let rows: u64 = match partition {
            Some(partition) => self.shares.get(partition).map_or(0, |share| share.rows),
            None => self.shares.iter().map(|share| share.rows).sum(),
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
