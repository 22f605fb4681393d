//! A place that no condition of a query is moved beyond, save those that tell nothing of rows.
//!
//! Row-level security hides rows before anything of the statement sees them: a function in WHERE
//! could tell of rows that it is called with. The planner would move such a condition to where the
//! rows are read, before the policy's own.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion::physical_planner::PhysicalPlanner;

use super::planner::Planned;

/// The rows of its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Barrier {
    input: Arc<LogicalPlan>,
}

impl Barrier {
    /// The plan of the same rows.
    pub(crate) fn plan(input: LogicalPlan) -> LogicalPlan {
        let input = Arc::new(input);
        LogicalPlan::Extension(Extension {
            node: Arc::new(Self { input }),
        })
    }
}

impl Barrier {
    pub(super) fn input(&self) -> &LogicalPlan {
        &self.input
    }
}

impl Planned for Barrier {
    fn physical(
        &self,
        _: &dyn PhysicalPlanner,
        input: &Arc<dyn ExecutionPlan>,
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(BarrierExec::new(Arc::clone(input))))
    }
}

impl PartialOrd for Barrier {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

// Conditions on any column stay above, as they do for a node that says nothing of them.
impl UserDefinedLogicalNodeCore for Barrier {
    fn name(&self) -> &'static str {
        "Barrier"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barrier")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        match inputs.pop() {
            Some(input) => Ok(Self {
                input: Arc::new(input),
            }),
            None => datafusion::common::internal_err!("a barrier has one input"),
        }
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output.to_vec()])
    }
}

/// The operator: it gives what it gets, and takes no condition.
#[derive(Debug)]
struct BarrierExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl BarrierExec {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for BarrierExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BarrierExec")
    }
}

impl ExecutionPlan for BarrierExec {
    fn name(&self) -> &'static str {
        "BarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) => Ok(Arc::new(Self::new(input))),
            None => datafusion::common::internal_err!("a barrier has one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
