//! From the logical node to the operator.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result as DfResult;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use super::exec::{ExpandExec, SetSource};
use super::node::Expand;

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
        let Some(node) = node.as_any().downcast_ref::<Expand>() else {
            return Ok(None);
        };
        let Some(input) = physical.first() else {
            return datafusion::common::internal_err!("Expand has one input");
        };
        let mut sets = Vec::with_capacity(node.sets.len());
        for set in &node.sets {
            let args = set
                .args
                .iter()
                .map(|arg| planner.create_physical_expr(arg, node.input.schema(), session, context))
                .collect::<DfResult<Vec<_>>>()?;
            sets.push(SetSource {
                name: set.column.clone(),
                kind: set.kind,
                item: set.item.clone(),
                args,
            });
        }
        Ok(Some(Arc::new(ExpandExec::new(
            Arc::clone(input),
            sets,
            node.ordinal.clone(),
            node.keep,
        ))))
    }
}
