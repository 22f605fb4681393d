//! Expressions that may fail are evaluated only where they count.
//!
//! PostgreSQL leaves the rest of an AND once one part is false, and computes the select list of
//! rows that passed WHERE. DataFusion computes whole columns, and moves projections below filters:
//! `WHERE y <> 0 AND x / y > 2` would divide by zero. Once a plan is made, this room puts the
//! infallible parts of a filter first and has the others look at the rows that are left.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::{
    ProjectionExec, ProjectionExpr, remove_unnecessary_projections,
};

use crate::functions::can_fail;

/// DataFusion's rule of this name, but that nothing is computed below a filter.
#[derive(Debug)]
pub(crate) struct ProjectionPushdown;

impl PhysicalOptimizerRule for ProjectionPushdown {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            if let Some(projection) = node.downcast_ref::<ProjectionExec>()
                && projection.input().is::<FilterExec>()
                && projection.expr().iter().any(|one| !one.expr.is::<Column>())
            {
                return Ok(Transformed::no(node));
            }
            remove_unnecessary_projections(node)
        })
        .data()
    }

    fn name(&self) -> &str {
        "ProjectionPushdown"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Puts guards before what may fail; the last of the rules.
#[derive(Debug)]
pub(crate) struct Guards;

impl PhysicalOptimizerRule for Guards {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(filter) = node.downcast_ref::<FilterExec>() {
                let Some(predicate) = guarded_filter(filter.predicate())? else {
                    return Ok(Transformed::no(node));
                };
                let filter = FilterExecBuilder::from(filter)
                    .with_predicate(predicate)
                    .build()?;
                return Ok(Transformed::yes(Arc::new(filter)));
            }
            if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
                let mut changed = false;
                let mut exprs = Vec::new();
                for one in projection.expr() {
                    let found = guarded(&one.expr)?;
                    changed |= found.transformed;
                    exprs.push(ProjectionExpr {
                        expr: found.data,
                        alias: one.alias.clone(),
                    });
                }
                if changed {
                    let input = Arc::clone(projection.input());
                    let projection = ProjectionExec::try_new(exprs, input)?;
                    return Ok(Transformed::yes(Arc::new(projection)));
                }
            }
            Ok(Transformed::no(node))
        })
        .data()
    }

    fn name(&self) -> &str {
        "guards"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether an expression may fail for some row.
fn fallible(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut found = false;
    // A walk that only reads does not fail.
    _ = expr.apply(|node| {
        found |= node
            .downcast_ref::<ScalarFunctionExpr>()
            .is_some_and(|call| can_fail(call.fun()));
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    found
}

fn both(left: Arc<dyn PhysicalExpr>, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, Operator::And, right))
}

/// The conditions of a filter, those that may fail behind the others; none when it is well as is.
fn guarded_filter(predicate: &Arc<dyn PhysicalExpr>) -> DfResult<Option<Arc<dyn PhysicalExpr>>> {
    let mut changed = false;
    let mut safe: Option<Arc<dyn PhysicalExpr>> = None;
    let mut risky = Vec::new();
    for part in split_conjunction(predicate) {
        let part = guarded(part)?;
        changed |= part.transformed;
        let part = part.data;
        if fallible(&part) {
            risky.push(part);
        } else {
            safe = Some(match safe {
                None => part,
                Some(so_far) => both(so_far, part),
            });
        }
    }
    if !changed && (risky.is_empty() || (safe.is_none() && risky.len() == 1)) {
        return Ok(None);
    }
    let mut all = safe;
    for part in risky {
        all = Some(match all {
            None => part,
            Some(guard) => both(
                Arc::clone(&guard),
                Arc::new(Guarded {
                    guard,
                    unless: false,
                    inner: part,
                }),
            ),
        });
    }
    Ok(all)
}

/// An expression whose ANDs and ORs leave what they need not know.
fn guarded(expr: &Arc<dyn PhysicalExpr>) -> DfResult<Transformed<Arc<dyn PhysicalExpr>>> {
    Arc::clone(expr).transform_up(|node| {
        let Some(binary) = node.downcast_ref::<BinaryExpr>() else {
            return Ok(Transformed::no(node));
        };
        let unless = match binary.op() {
            Operator::And => false,
            Operator::Or => true,
            _ => return Ok(Transformed::no(node)),
        };
        if !fallible(binary.right()) || binary.right().is::<Guarded>() {
            return Ok(Transformed::no(node));
        }
        let left = Arc::clone(binary.left());
        let right = Arc::new(Guarded {
            guard: Arc::clone(&left),
            unless,
            inner: Arc::clone(binary.right()),
        });
        Ok(Transformed::yes(Arc::new(BinaryExpr::new(
            left,
            *binary.op(),
            right,
        ))))
    })
}

/// A condition that is not looked at where another has decided already; null there.
#[derive(Debug, Clone)]
struct Guarded {
    guard: Arc<dyn PhysicalExpr>,
    /// What the guard is where it has decided: false for AND, true for OR.
    unless: bool,
    inner: Arc<dyn PhysicalExpr>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.unless == other.unless && self.guard.eq(&other.guard) && self.inner.eq(&other.inner)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.unless.hash(state);
        self.guard.hash(state);
        self.inner.hash(state);
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, _: &Schema) -> DfResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> DfResult<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        let guard = self.guard.evaluate(batch)?.into_array(batch.num_rows())?;
        let guard = guard.as_boolean();
        // A null guard has not decided.
        let open = BooleanBuffer::collect_bool(guard.len(), |row| {
            guard.is_null(row) || guard.value(row) != self.unless
        });
        self.inner
            .evaluate_selection(batch, &BooleanArray::new(open, None))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.guard, &self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        let mut children = children.into_iter();
        let (Some(guard), Some(inner)) = (children.next(), children.next()) else {
            return Ok(self);
        };
        Ok(Arc::new(Self {
            guard,
            unless: self.unless,
            inner,
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
