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
    let rules = with_barriers(Optimizer::new().rules);
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
