//! The operator.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties,
};
use futures::StreamExt;

use super::rows::Gaps;
use crate::functions::GapKind;

/// Where a value is looked up that no row of a group has.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    /// In a column of the group's rows.
    Column(usize),
    /// In an expression that knows no row.
    Constant(Arc<dyn PhysicalExpr>),
}

impl Lookup {
    fn constant(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        match self {
            Self::Constant(expr) => Some(expr),
            Self::Column(_) => None,
        }
    }
}

/// A column that is filled in.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) column: usize,
    pub(super) kind: GapKind,
    pub(super) prev: Option<Lookup>,
    pub(super) next: Option<Lookup>,
    pub(super) skip_nulls: Option<Arc<dyn PhysicalExpr>>,
}

/// Where filling begins or ends.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) at: Arc<dyn PhysicalExpr>,
    pub(super) after: bool,
    /// Whether NULL says that nothing is filled in.
    pub(super) open: bool,
}

/// What is filled in, by the places of the input's columns.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) bucket: usize,
    pub(super) groups: Vec<usize>,
    pub(super) fills: Vec<Filled>,
    pub(super) width: Arc<dyn PhysicalExpr>,
    pub(super) zone: Option<Arc<dyn PhysicalExpr>>,
    pub(super) start: Edge,
    pub(super) finish: Edge,
}

impl Shape {
    fn constants(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        let looked = self.fills.iter().flat_map(|fill| {
            let prev = fill.prev.as_ref().and_then(Lookup::constant);
            let next = fill.next.as_ref().and_then(Lookup::constant);
            [prev, next, fill.skip_nulls.as_ref()]
        });
        [&self.width, &self.start.at, &self.finish.at]
            .into_iter()
            .chain(&self.zone)
            .chain(looked.flatten())
    }
}

/// The value of an expression that knows no row.
pub(super) fn constant(expr: &Arc<dyn PhysicalExpr>) -> DfResult<ArrayRef> {
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)?;
    expr.evaluate(&nothing)?.into_array(1)
}

/// The same as a scalar.
pub(super) fn scalar(expr: &Arc<dyn PhysicalExpr>) -> DfResult<ScalarValue> {
    ScalarValue::try_from_array(&constant(expr)?, 0)
}

/// Rows of groups with those of missing buckets between them.
#[derive(Debug)]
pub(super) struct GapFillExec {
    input: Arc<dyn ExecutionPlan>,
    shape: Arc<Shape>,
    order: Option<LexOrdering>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl GapFillExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, shape: Arc<Shape>) -> DfResult<Self> {
        let form = input.schema();
        let fields = form.fields().iter();
        let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
        let schema: SchemaRef = Arc::new(Schema::new_with_metadata(
            fields.collect::<Vec<_>>(),
            form.metadata().clone(),
        ));
        let keys = shape.groups.iter().chain([&shape.bucket]);
        let order: Vec<PhysicalSortExpr> = keys
            .map(|place| PhysicalSortExpr {
                expr: Arc::new(Column::new(form.field(*place).name(), *place)),
                options: SortOptions {
                    descending: false,
                    nulls_first: false,
                },
            })
            .collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(Arc::clone(&schema), [order.clone()]),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self {
            input,
            shape,
            order: LexOrdering::new(order),
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for GapFillExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = self.input.schema();
        let name = |place: &usize| form.field(*place).name().clone();
        let groups: Vec<String> = self.shape.groups.iter().map(name).collect();
        write!(
            f,
            "GapFillExec: bucket={}, groups=[{}], from {} to {}",
            name(&self.shape.bucket),
            groups.join(", "),
            self.shape.start.at,
            self.shape.finish.at,
        )?;
        for fill in &self.shape.fills {
            write!(f, ", {}({})", fill.kind.name(), name(&fill.column))?;
        }
        Ok(())
    }
}

impl ExecutionPlan for GapFillExec {
    fn name(&self) -> &'static str {
        "GapFillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        for expr in self.shape.constants() {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![self.order.clone().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Of its own, which is the one required, the properties tell.
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return datafusion::common::internal_err!("GapFill has one input");
        };
        Ok(Arc::new(Self::new(input, Arc::clone(&self.shape))?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let shape = Arc::clone(&self.shape);
        let schema = Arc::clone(&self.schema);
        let input = self.input.execute(partition, context)?;
        let state = (input, None::<Gaps>);
        let rows = futures::stream::try_unfold(state, move |(mut input, mut gaps)| {
            let (shape, schema) = (Arc::clone(&shape), Arc::clone(&schema));
            let metrics = metrics.clone();
            async move {
                // Limits are read before any row: they may be other queries' values.
                let mut filling = match gaps.take() {
                    Some(filling) => filling,
                    None => Gaps::new(&shape, schema)?,
                };
                loop {
                    // A gap may become any number of rows: others get their turn.
                    tokio::task::consume_budget().await;
                    let timer = metrics.elapsed_compute().timer();
                    let block = filling.block(&shape)?;
                    timer.done();
                    if let Some(block) = block {
                        metrics.record_output(block.num_rows());
                        return Ok(Some((block, (input, Some(filling)))));
                    }
                    if filling.ended() {
                        return Ok(None);
                    }
                    match input.next().await {
                        Some(batch) => filling.enter(&shape, batch?)?,
                        None => filling.end(&shape),
                    }
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            rows,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
