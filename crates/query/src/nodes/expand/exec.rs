//! The operator.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::StreamExt;

use super::node::Kind;
use super::rows::Expanding;
use crate::functions::SessionVars;

/// A set and what makes it.
#[derive(Debug, Clone)]
pub(super) struct SetSource {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) item: DataType,
    pub(super) args: Vec<Arc<dyn PhysicalExpr>>,
}

/// Sets beside the rows they were made for.
#[derive(Debug)]
pub(super) struct ExpandExec {
    input: Arc<dyn ExecutionPlan>,
    sets: Arc<[SetSource]>,
    ordinal: Option<String>,
    keep: bool,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ExpandExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        sets: impl Into<Arc<[SetSource]>>,
        ordinal: Option<String>,
        keep: bool,
    ) -> Self {
        let sets = sets.into();
        let mut fields: Vec<_> = input.schema().fields().iter().cloned().collect();
        for set in sets.iter() {
            fields.push(Arc::new(Field::new(&set.name, set.item.clone(), true)));
        }
        if let Some(name) = &ordinal {
            fields.push(Arc::new(Field::new(name, DataType::Int64, true)));
        }
        let schema = Arc::new(Schema::new(fields));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            sets,
            ordinal,
            keep,
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for ExpandExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExpandExec:")?;
        for (index, set) in self.sets.iter().enumerate() {
            let args: Vec<String> = set.args.iter().map(ToString::to_string).collect();
            let kind = match set.kind {
                Kind::List => "unnest",
                Kind::Series => crate::functions::SERIES,
            };
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {kind}({}) as {}", args.join(", "), set.name)?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ExpandExec {
    fn name(&self) -> &'static str {
        "ExpandExec"
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
        for arg in self.sets.iter().flat_map(|set| &set.args) {
            if f(arg)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        // Kept, but the properties do not tell of it: nothing sorts before a set is made.
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return datafusion::common::internal_err!("Expand has one input");
        };
        Ok(Arc::new(Self::new(
            input,
            Arc::clone(&self.sets),
            self.ordinal.clone(),
            self.keep,
        )))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let vars = SessionVars::of(context.session_config().options()).clone();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let sets = Arc::clone(&self.sets);
        let schema = Arc::clone(&self.schema);
        let (ordinal, keep) = (self.ordinal.is_some(), self.keep);
        let input = self.input.execute(partition, context)?;
        let state = (input, None::<Expanding>);
        let rows = futures::stream::try_unfold(state, move |(mut input, mut now)| {
            let (sets, schema) = (Arc::clone(&sets), Arc::clone(&schema));
            let (vars, metrics) = (vars.clone(), metrics.clone());
            async move {
                loop {
                    // One row may become any number of them: others get their turn.
                    tokio::task::consume_budget().await;
                    if let Some(expanding) = &mut now {
                        let timer = metrics.elapsed_compute().timer();
                        let block = expanding.block(&schema, ordinal, keep)?;
                        timer.done();
                        if let Some(block) = block {
                            metrics.record_output(block.num_rows());
                            return Ok(Some((block, (input, now))));
                        }
                    }
                    let Some(batch) = input.next().await else {
                        return Ok(None);
                    };
                    now = Some(Expanding::new(batch?, &sets, vars.clone())?);
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
