//! Limits that are hints to aggregates, taken back where they can no longer be followed.
//!
//! DataFusion tells an aggregate of distinct keys below a LIMIT how many of them are enough, before it
//! sorts what lies below. When rows then come sorted, the aggregate takes the hint for that of another
//! operator, which keeps the best of an order, and fails for want of one.

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// Takes hints away that name no order, where rows are in one.
#[derive(Debug)]
pub(crate) struct SoftLimits;

impl PhysicalOptimizerRule for SoftLimits {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(aggregate) = node.downcast_ref::<AggregateExec>() else {
                return Ok(Transformed::no(node));
            };
            let hint = aggregate.limit_options();
            let unordered = hint.is_some_and(|hint| hint.descending().is_none());
            if !unordered
                || aggregate.get_minmax_desc().is_some()
                || aggregate.is_unordered_unfiltered_group_by_distinct()
            {
                return Ok(Transformed::no(node));
            }
            let without = aggregate.with_new_limit_options(None);
            Ok(Transformed::yes(Arc::new(without)))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "soft_limits"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
