//! The node of a logical plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::physical_planner::PhysicalPlanner;

use super::super::planner::Planned;
use super::exec::{FirstOfEachExec, Phase};

/// Of the rows that are alike in `keys` the one that comes first in `order`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FirstOfEach {
    input: Arc<LogicalPlan>,
    keys: Vec<Expr>,
    order: Vec<SortExpr>,
}

impl FirstOfEach {
    /// The plan of the first rows of `input`.
    pub(crate) fn plan(input: LogicalPlan, keys: Vec<Expr>, order: Vec<SortExpr>) -> LogicalPlan {
        let input = Arc::new(input);
        LogicalPlan::Extension(Extension {
            node: Arc::new(Self { input, keys, order }),
        })
    }
}

impl Planned for FirstOfEach {
    fn physical(
        &self,
        planner: &dyn PhysicalPlanner,
        input: &Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let expr = |expr| planner.create_physical_expr(expr, schema, session, context);
        let keys = self.keys.iter().map(expr).collect::<DfResult<Vec<_>>>()?;
        let order = self
            .order
            .iter()
            .map(|sort| {
                Ok(datafusion::physical_expr::PhysicalSortExpr {
                    expr: expr(&sort.expr)?,
                    options: arrow::compute::SortOptions {
                        descending: !sort.asc,
                        nulls_first: sort.nulls_first,
                    },
                })
            })
            .collect::<DfResult<Vec<_>>>()?;
        let mut plan = Arc::clone(input);
        // Each partition gives its own first rows, of which there are few.
        if plan.output_partitioning().partition_count() > 1 {
            plan = Arc::new(FirstOfEachExec::new(
                plan,
                keys.clone(),
                order.clone(),
                Phase::Partial,
            )?);
        }
        Ok(Arc::new(FirstOfEachExec::new(
            plan,
            keys,
            order,
            Phase::Whole,
        )?))
    }
}

impl PartialOrd for FirstOfEach {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for FirstOfEach {
    fn name(&self) -> &'static str {
        "FirstOfEach"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        let order = self.order.iter().map(|sort| &sort.expr);
        self.keys.iter().chain(order).cloned().collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        // A filter on keys alone takes whole groups, and may come first.
        let keys: HashSet<&str> = self
            .keys
            .iter()
            .filter_map(|key| match key {
                Expr::Column(column) => Some(column.name.as_str()),
                _ => None,
            })
            .collect();
        let fields = self.schema().fields().iter();
        fields
            .map(|field| field.name())
            .filter(|name| !keys.contains(name.as_str()))
            .cloned()
            .collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |exprs: Vec<String>| exprs.join(", ");
        write!(
            f,
            "FirstOfEach: keys=[{}], order=[{}]",
            words(self.keys.iter().map(ToString::to_string).collect()),
            words(self.order.iter().map(ToString::to_string).collect()),
        )
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DfResult<Self> {
        let Some(input) = inputs.pop() else {
            return datafusion::common::internal_err!("FirstOfEach has one input");
        };
        let mut exprs = exprs.into_iter();
        let keys = exprs.by_ref().take(self.keys.len()).collect();
        let order = self
            .order
            .iter()
            .zip(exprs)
            .map(|(sort, expr)| sort.with_expr(expr))
            .collect();
        Ok(Self {
            input: Arc::new(input),
            keys,
            order,
        })
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let mut needed = output.to_vec();
        for expr in self.expressions() {
            for column in expr.column_refs() {
                needed.push(input.maybe_index_of_column(column)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
