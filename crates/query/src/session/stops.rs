//! Planning that ends when its statement is told to: a large query may take long before its first
//! row is looked for.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::bind::with_leftover;
use crate::cancel::Cancel;
use crate::nodes::with_barriers;

/// A rule that first asks whether anybody still waits for what it makes.
#[derive(Debug)]
struct Stopping<R: ?Sized> {
    cancel: Arc<Cancel>,
    rule: Arc<R>,
}

impl<R: ?Sized> Stopping<R> {
    fn check(&self) -> DfResult<()> {
        let asked = self.cancel.check();
        asked.map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

impl OptimizerRule for Stopping<dyn OptimizerRule + Send + Sync> {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        self.check()?;
        self.rule.rewrite(plan, config)
    }
}

impl PhysicalOptimizerRule for Stopping<dyn PhysicalOptimizerRule + Send + Sync> {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.check()?;
        self.rule.optimize(plan, config)
    }
}

/// DataFusion's rules of logical plans, which stop.
pub(super) fn logical(cancel: &Arc<Cancel>) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let stopping = |rule| -> Arc<dyn OptimizerRule + Send + Sync> {
        Arc::new(Stopping {
            cancel: Arc::clone(cancel),
            rule,
        })
    };
    let rules = with_leftover(with_barriers(Optimizer::new().rules));
    rules.into_iter().map(stopping).collect()
}

/// Our rules of physical plans, which stop.
pub(super) fn physical(cancel: &Arc<Cancel>) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let stopping = |rule| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> {
        Arc::new(Stopping {
            cancel: Arc::clone(cancel),
            rule,
        })
    };
    crate::fast::rules().into_iter().map(stopping).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use datafusion::logical_expr::LogicalPlanBuilder;
    use datafusion::optimizer::OptimizerContext;
    use datafusion::physical_plan::empty::EmptyExec;

    use super::*;

    #[test]
    fn no_rule_is_followed_for_who_has_gone() {
        let cancel = Arc::new(Cancel::default());
        let context = OptimizerContext::new();
        let plan = LogicalPlanBuilder::empty(true).build().unwrap();
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let made: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(schema));
        let options = ConfigOptions::new();
        let follow = || {
            let logical = logical(&cancel).into_iter();
            let logical = logical.map(|rule| rule.rewrite(plan.clone(), &context).is_ok());
            let physical = physical(&cancel).into_iter();
            let physical = physical.map(|rule| rule.optimize(Arc::clone(&made), &options).is_ok());
            logical.chain(physical).collect::<Vec<bool>>()
        };
        cancel.arm();
        let before = follow();
        assert!(before.len() > 20 && before.iter().all(|followed| *followed));
        cancel.cancel();
        assert!(follow().iter().all(|followed| !followed));
    }
}
