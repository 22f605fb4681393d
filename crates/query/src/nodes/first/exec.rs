//! The operator.

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use arrow::row::SortField;
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties,
};
use futures::StreamExt;

use super::best::Best;

/// Whether the rows of one partition are met, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Partial,
    Whole,
}

/// The first row of each group.
#[derive(Debug)]
pub(crate) struct FirstOfEachExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    order: Vec<PhysicalSortExpr>,
    phase: Phase,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FirstOfEachExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        order: Vec<PhysicalSortExpr>,
        phase: Phase,
    ) -> DfResult<Self> {
        let partitions = match phase {
            Phase::Partial => input.output_partitioning().partition_count(),
            Phase::Whole => 1,
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            input.boundedness(),
        );
        let made = Self {
            input,
            keys,
            order,
            phase,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        };
        // What cannot be compared is told of before it runs.
        made.best()?;
        Ok(made)
    }

    /// What rows are grouped by.
    pub(crate) fn keys(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.keys
    }

    /// The order in which the row that comes first is kept.
    pub(crate) fn order(&self) -> &[PhysicalSortExpr] {
        &self.order
    }

    /// The rows.
    pub(crate) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    fn best(&self) -> DfResult<Best> {
        let schema = self.input.schema();
        let keys = self.keys.iter();
        let keys = keys.map(|key| Ok(SortField::new(key.data_type(&schema)?)));
        let order = self.order.iter().map(|sort| {
            let form = sort.expr.data_type(&schema)?;
            Ok(SortField::new_with_options(form, sort.options))
        });
        Best::new(
            keys.collect::<DfResult<_>>()?,
            order.collect::<DfResult<_>>()?,
        )
    }
}

impl DisplayAs for FirstOfEachExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |exprs: Vec<String>| exprs.join(", ");
        write!(
            f,
            "FirstOfEachExec: keys=[{}], order=[{}]{}",
            words(self.keys.iter().map(ToString::to_string).collect()),
            words(self.order.iter().map(ToString::to_string).collect()),
            match self.phase {
                Phase::Partial => ", partial",
                Phase::Whole => "",
            }
        )
    }
}

impl ExecutionPlan for FirstOfEachExec {
    fn name(&self) -> &'static str {
        "FirstOfEachExec"
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
        let order = self.order.iter().map(|sort| &sort.expr);
        for expr in self.keys.iter().chain(order) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![match self.phase {
            Phase::Partial => Distribution::UnspecifiedDistribution,
            Phase::Whole => Distribution::SinglePartition,
        }]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return datafusion::common::internal_err!("FirstOfEach has one input");
        };
        Ok(Arc::new(Self::new(
            input,
            self.keys.clone(),
            self.order.clone(),
            self.phase,
        )?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let reservation = MemoryConsumer::new("FirstOfEach").register(context.memory_pool());
        let mut best = self.best()?;
        let keys = self.keys.clone();
        let order: Vec<_> = self.order.iter().map(|sort| sort.expr.clone()).collect();
        let mut input = self.input.execute(partition, context)?;
        let rows = futures::stream::once(async move {
            while let Some(batch) = input.next().await {
                let batch = batch?;
                let timer = metrics.elapsed_compute().timer();
                let keys = evaluated(&keys, &batch)?;
                let order = evaluated(&order, &batch)?;
                best.add(batch, &keys, &order)?;
                timer.done();
                reservation.try_resize(best.bytes())?;
            }
            let rows = best.finish()?;
            metrics.record_output(rows.as_ref().map_or(0, RecordBatch::num_rows));
            Ok(rows)
        });
        let rows =
            rows.filter_map(|rows: DfResult<Option<RecordBatch>>| async { rows.transpose() });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.input.schema(),
            rows,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

fn evaluated(exprs: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> DfResult<Vec<ArrayRef>> {
    exprs
        .iter()
        .map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows()))
        .collect()
}
