//! From logical nodes to operators.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as DfResult;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::barrier::Barrier;
use super::expand::Expand;
use super::first::FirstOfEach;
use super::gapfill::GapFill;

/// A node of ours that has one input.
pub(super) trait Planned {
    /// Its operator over the operator of its input.
    ///
    /// # Errors
    /// When its expressions cannot be planned.
    fn physical(
        &self,
        planner: &dyn PhysicalPlanner,
        input: &Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DfResult<Arc<dyn ExecutionPlan>>;
}

/// DataFusion's planner, which also knows the nodes of ours.
#[derive(Debug)]
pub(crate) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Extensions)])
            .create_physical_plan(plan, session)
            .await
    }
}

struct Extensions;

#[async_trait]
impl ExtensionPlanner for Extensions {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical: &[&LogicalPlan],
        physical: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
        let any = node.as_any();
        let node: &dyn Planned = if let Some(expand) = any.downcast_ref::<Expand>() {
            expand
        } else if let Some(first) = any.downcast_ref::<FirstOfEach>() {
            first
        } else if let Some(filled) = any.downcast_ref::<GapFill>() {
            filled
        } else if let Some(barrier) = any.downcast_ref::<Barrier>() {
            barrier
        } else {
            return Ok(None);
        };
        let Some(input) = physical.first() else {
            return datafusion::common::internal_err!("a node of ours without its input");
        };
        node.physical(planner, input, session, context).map(Some)
    }
}
