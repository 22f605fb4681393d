//! The operator that aggregates by time bucket and series where the rows lie.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{SortOptions, cast, concat, kernels::zip::zip};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_chunk::{AggKind, AggregateRequest, ChunkView, bucket_aggregate};
use chronolith_engine::TableView;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use crate::error::Error;
use crate::scan::ChunkScan;

/// A column that rows are grouped by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Bucket,
    /// One of the request's groups.
    Column(usize),
}

/// How a result comes out of what chunks compute.
#[derive(Debug, Clone)]
pub(super) enum Output {
    /// As one of the request's aggregates is.
    Plain(usize),
    /// As the function makes it of a count and a sum, whose states those are.
    Merged {
        expr: Arc<AggregateFunctionExpr>,
        /// None for a sum, which asks only whether there was a value.
        count: Option<usize>,
        sum: usize,
        squares: Squares,
    },
}

/// A function's third state.
#[derive(Debug, Clone, Copy)]
pub(super) enum Squares {
    /// There is none.
    None,
    /// There is one that the function does not look at.
    Unseen,
    /// The sum of the squares, an aggregate of the request.
    Sum(usize),
}

/// Aggregates the rows of a table's chunks by time bucket and series.
#[derive(Debug, Clone)]
pub(super) struct BucketAggregate {
    /// What it was put in the place of, which says what is read.
    scan: ChunkScan,
    request: AggregateRequest,
    bucket: Option<String>,
    keys: Vec<Key>,
    outputs: Vec<Output>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl BucketAggregate {
    pub(super) fn new(
        scan: &ChunkScan,
        request: AggregateRequest,
        bucket: Option<String>,
        keys: Vec<Key>,
        outputs: Vec<Output>,
        schema: SchemaRef,
    ) -> Self {
        let order = schema.fields().iter().take(keys.len()).enumerate();
        let order = order.map(|(at, field)| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), at));
            let options = SortOptions {
                descending: false,
                nulls_first: false,
            };
            PhysicalSortExpr::new(column, options)
        });
        let order: Vec<PhysicalSortExpr> = order.collect();
        let orders = (!order.is_empty()).then_some(order);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(Arc::clone(&schema), orders),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            scan: scan.clone(),
            request,
            bucket,
            keys,
            outputs,
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for BucketAggregate {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |place: usize| {
            let column = self.scan.view().layout.columns.get(place);
            column.map_or("", |column| column.name.as_str())
        };
        let keys = self.keys.iter().map(|key| match key {
            Key::Bucket => self.bucket.clone().unwrap_or_default(),
            Key::Column(group) => {
                let place = self.request.groups.get(*group).copied();
                place.map_or("", name).to_owned()
            }
        });
        let keys: Vec<String> = keys.collect();
        let aggs = self.request.aggs.iter().map(|agg| {
            let column = agg.column.map_or("*", name);
            match (agg.kind, agg.time) {
                (AggKind::CountStar, _) => "count(*)".to_owned(),
                (kind, Some(time)) => format!("{kind:?}({column}, {})", name(time)).to_lowercase(),
                (AggKind::SumProduct, None) => {
                    format!("sum({column} * {})", agg.factor.map_or("", name))
                }
                (kind, None) => format!("{kind:?}({column})").to_lowercase(),
            }
        });
        let aggs: Vec<String> = aggs.collect();
        write!(
            f,
            "BucketAggregate: groups=[{}], aggregates=[{}], ",
            keys.join(", "),
            aggs.join(", ")
        )?;
        self.scan.describe(f)
    }
}

impl ExecutionPlan for BucketAggregate {
    fn name(&self) -> &'static str {
        "BucketAggregate"
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
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
        let mut request = self.request.clone();
        request.stop = Arc::clone(&stop.0);
        let work = Work {
            view: Arc::clone(self.scan.view()),
            chunks: self.scan.chunks().cloned().collect(),
            request,
            keys: self.keys.clone(),
            outputs: self.outputs.clone(),
            schema: Arc::clone(&self.schema),
        };
        let task = SpawnedTask::spawn_blocking(move || work.run());
        let batches = async move {
            // Held until the answer is there: a stream that is dropped stops the work.
            let stop = stop;
            let batches = task
                .join()
                .await
                .map_err(|error| DataFusionError::External(error.into()))?;
            drop(stop);
            let batches = batches.map_err(DataFusionError::from)?;
            for batch in &batches {
                metrics.record_output(batch.num_rows());
            }
            Ok::<_, DataFusionError>(futures::stream::iter(batches.into_iter().map(Ok)).boxed())
        };
        let stream = futures::stream::once(batches).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What runs beside the other tasks, on threads of its own.
struct Work {
    /// Kept until all is read: with it go the files of parts that were dropped meanwhile.
    view: Arc<TableView>,
    chunks: Vec<ChunkView>,
    request: AggregateRequest,
    keys: Vec<Key>,
    outputs: Vec<Output>,
    schema: SchemaRef,
}

impl Work {
    fn run(&self) -> Result<Vec<RecordBatch>, Error> {
        let batches = bucket_aggregate(&self.view.layout, &self.chunks, &self.request)?;
        let mut shaped = Vec::new();
        for batch in batches {
            shaped.push(self.shape(&batch?)?);
        }
        Ok(shaped)
    }

    /// A batch of what chunks computed as the plan above wants it.
    fn shape(&self, batch: &RecordBatch) -> DfResult<RecordBatch> {
        let column = |at: usize| {
            let missing = || DataFusionError::Internal(format!("no column {at}"));
            batch.columns().get(at).ok_or_else(missing)
        };
        let buckets = usize::from(self.request.bucket.is_some());
        let of_agg = buckets + self.request.groups.len();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for key in &self.keys {
            columns.push(Arc::clone(column(match key {
                Key::Bucket => 0,
                Key::Column(group) => buckets + group,
            })?));
        }
        for output in &self.outputs {
            columns.push(match output {
                Output::Plain(agg) => Arc::clone(column(of_agg + agg)?),
                Output::Merged {
                    expr,
                    count,
                    sum,
                    squares,
                } => merged(
                    expr,
                    match count {
                        Some(count) => Some(column(of_agg + count)?),
                        None => None,
                    },
                    column(of_agg + sum)?,
                    match squares {
                        Squares::None => None,
                        Squares::Unseen => Some(None),
                        Squares::Sum(agg) => Some(Some(column(of_agg + agg)?)),
                    },
                )?,
            });
        }
        let fields = self.schema.fields();
        for (column, field) in columns.iter_mut().zip(fields) {
            if column.data_type() != field.data_type() {
                *column = cast(column, field.data_type())?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            columns,
            &options,
        )?)
    }
}

/// What the function itself makes of counts and sums.
fn merged(
    expr: &AggregateFunctionExpr,
    counts: Option<&ArrayRef>,
    sums: &ArrayRef,
    squares: Option<Option<&ArrayRef>>,
) -> DfResult<ArrayRef> {
    let rows = sums.len();
    let counts = match counts {
        Some(counts) => Arc::clone(counts),
        None => cast(&arrow::compute::is_not_null(sums)?, &DataType::Int64)?,
    };
    if rows == 0 {
        return Ok(new_null_array(expr.field().data_type(), 0));
    }
    let fields = expr.state_fields()?;
    let state = |at: usize| {
        let missing = || DataFusionError::Internal(format!("{} has no state {at}", expr.name()));
        Ok::<_, DataFusionError>(fields.get(at).ok_or_else(missing)?.data_type())
    };
    let mut states = vec![cast(&counts, state(0)?)?, cast(&zeroed(sums)?, state(1)?)?];
    if let Some(squares) = squares {
        let squares = match squares {
            Some(squares) => cast(&zeroed(squares)?, state(2)?)?,
            None => zeroed(&new_null_array(state(2)?, rows))?,
        };
        states.push(squares);
    }
    let mut groups = expr.create_groups_accumulator()?;
    let numbers: Vec<usize> = (0..rows).collect();
    groups.merge_batch(&states, &numbers, rows)?;
    groups.evaluate(EmitTo::All)
}

/// The numbers with zeros for NULLs: the sum of no values.
fn zeroed(numbers: &ArrayRef) -> DfResult<ArrayRef> {
    if numbers.null_count() == 0 {
        return Ok(Arc::clone(numbers));
    }
    let zero = cast(
        &arrow::array::Int64Array::from(vec![0]),
        numbers.data_type(),
    )?;
    let zeros: Vec<&dyn Array> = vec![zero.as_ref(); numbers.len()];
    let zeros = concat(&zeros)?;
    let there = arrow::compute::is_not_null(numbers)?;
    Ok(zip(&there, numbers, &zeros)?)
}
