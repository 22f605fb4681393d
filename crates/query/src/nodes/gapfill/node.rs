//! The node of a logical plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult, ScalarValue};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::PhysicalPlanner;

use super::super::planner::Planned;
use super::exec::{Edge, Filled, GapFillExec, Lookup, Shape};
use crate::functions::{FunctionError, GapKind};

/// Where buckets begin or end to be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Limit {
    /// A time or a number, of no row.
    pub(crate) at: Expr,
    /// Whether it is the instant after that one.
    pub(crate) after: bool,
    /// Whether it is that of the data: NULL says that there is none, and nothing is filled in.
    pub(crate) open: bool,
}

impl Limit {
    /// One that nobody has said.
    pub(crate) fn unknown() -> Self {
        Self {
            at: lit(ScalarValue::Null),
            after: false,
            open: true,
        }
    }
}

/// A column whose values are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refill {
    pub(crate) column: Expr,
    pub(crate) kind: GapKind,
    /// What was before the first row of a group: a column of its rows, or the same for all.
    pub(crate) prev: Option<Expr>,
    /// What comes after the last.
    pub(crate) next: Option<Expr>,
    /// Whether NULLs of rows that are there are missing too.
    pub(crate) skip_nulls: Option<Expr>,
}

impl Refill {
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let rest = [&self.prev, &self.next, &self.skip_nulls];
        std::iter::once(&self.column).chain(rest.into_iter().flatten())
    }
}

/// Which buckets there should be, and what is in those that are missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Filling {
    /// The column of buckets.
    pub(crate) bucket: Expr,
    /// The columns that are of one value in each group.
    pub(crate) groups: Vec<Expr>,
    pub(crate) refills: Vec<Refill>,
    pub(crate) width: Expr,
    pub(crate) zone: Option<Expr>,
    pub(crate) start: Limit,
    pub(crate) finish: Limit,
}

impl Filling {
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let columns = std::iter::once(&self.bucket).chain(&self.groups);
        let limits = [&self.width, &self.start.at, &self.finish.at];
        let limits = limits.into_iter().chain(&self.zone);
        columns
            .chain(self.refills.iter().flat_map(Refill::exprs))
            .chain(limits)
    }

    /// The same with other expressions, in the order of [`Self::exprs`].
    pub(crate) fn with(&self, exprs: Vec<Expr>) -> DfResult<Self> {
        let mut exprs = exprs.into_iter();
        let mut next = |slot: &mut Expr| match exprs.next() {
            Some(expr) => {
                *slot = expr;
                Ok(())
            }
            None => datafusion::common::internal_err!("GapFill lost an expression"),
        };
        let mut made = self.clone();
        next(&mut made.bucket)?;
        made.groups.iter_mut().try_for_each(&mut next)?;
        for refill in &mut made.refills {
            next(&mut refill.column)?;
            let rest = [&mut refill.prev, &mut refill.next, &mut refill.skip_nulls];
            rest.into_iter().flatten().try_for_each(&mut next)?;
        }
        next(&mut made.width)?;
        next(&mut made.start.at)?;
        next(&mut made.finish.at)?;
        made.zone.iter_mut().try_for_each(&mut next)?;
        Ok(made)
    }
}

/// The rows of the input and those of buckets that are missing between two limits, for each group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct GapFill {
    input: Arc<LogicalPlan>,
    filling: Filling,
    schema: DFSchemaRef,
}

impl GapFill {
    /// The plan that fills the gaps of `input`.
    ///
    /// # Errors
    /// When its columns cannot be those of a plan.
    pub(crate) fn plan(input: LogicalPlan, filling: Filling) -> DfResult<LogicalPlan> {
        let node = Self::new(Arc::new(input), filling)?;
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }))
    }

    /// The rows that are filled.
    pub(crate) fn input(&self) -> &LogicalPlan {
        &self.input
    }

    pub(crate) fn filling(&self) -> &Filling {
        &self.filling
    }

    fn new(input: Arc<LogicalPlan>, filling: Filling) -> DfResult<Self> {
        // A row of a missing bucket has NULLs where others have none.
        let fields = input.schema().iter().map(|(table, field)| {
            let field = field.as_ref().clone().with_nullable(true);
            (table.cloned(), Arc::new(field))
        });
        let schema =
            DFSchema::new_with_metadata(fields.collect(), input.schema().metadata().clone())?;
        Ok(Self {
            input,
            filling,
            schema: Arc::new(schema),
        })
    }
}

/// The place of a physical column.
fn place(expr: &Arc<dyn PhysicalExpr>) -> DfResult<usize> {
    match expr.downcast_ref::<Column>() {
        Some(column) => Ok(column.index()),
        None => datafusion::common::internal_err!("GapFill of {expr}, which is no column"),
    }
}

fn lookup(expr: Arc<dyn PhysicalExpr>) -> Lookup {
    match expr.downcast_ref::<Column>() {
        Some(column) => Lookup::Column(column.index()),
        None => Lookup::Constant(expr),
    }
}

/// A record that interpolation looks up is an instant and a value.
fn check_record(record: &DataType, bucket: &DataType, value: &DataType) -> DfResult<()> {
    let wrong = |message: &str| Err(FunctionError::invalid_parameter(message).into());
    let DataType::Struct(fields) = record else {
        return wrong("interpolate RECORD arguments must have 2 elements");
    };
    let [at, of] = fields.as_ref() else {
        return wrong("interpolate RECORD arguments must have 2 elements");
    };
    if at.data_type() != bucket {
        return wrong(
            "first argument of interpolate returned record must match used timestamp datatype",
        );
    }
    if of.data_type() != value {
        return wrong(
            "second argument of interpolate returned record must match used interpolate datatype",
        );
    }
    Ok(())
}

impl Planned for GapFill {
    fn physical(
        &self,
        planner: &dyn PhysicalPlanner,
        input: &Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let form: SchemaRef = input.schema();
        let expr = |expr: &Expr| planner.create_physical_expr(expr, schema, session, context);
        let filling = &self.filling;
        let bucket = place(&expr(&filling.bucket)?)?;
        let bucket_form = form.field(bucket).data_type().clone();
        let groups = filling.groups.iter().map(|group| place(&expr(group)?));
        let mut fills = Vec::with_capacity(filling.refills.len());
        for refill in &filling.refills {
            let column = place(&expr(&refill.column)?)?;
            let value = form.field(column).data_type();
            let sought = |sought: &Option<Expr>| -> DfResult<Option<Lookup>> {
                let Some(sought) = sought else {
                    return Ok(None);
                };
                let found = expr(sought)?;
                let record = found.data_type(&form)?;
                match refill.kind {
                    GapKind::Interpolate => check_record(&record, &bucket_form, value)?,
                    _ if record != *value => {
                        return datafusion::common::internal_err!(
                            "locf of {value} looks up {record}"
                        );
                    }
                    _ => {}
                }
                Ok(Some(lookup(found)))
            };
            fills.push(Filled {
                column,
                kind: refill.kind,
                prev: sought(&refill.prev)?,
                next: sought(&refill.next)?,
                skip_nulls: refill.skip_nulls.as_ref().map(expr).transpose()?,
            });
        }
        let edge = |limit: &Limit| -> DfResult<Edge> {
            Ok(Edge {
                at: expr(&limit.at)?,
                after: limit.after,
                open: limit.open,
            })
        };
        let shape = Shape {
            bucket,
            groups: groups.collect::<DfResult<_>>()?,
            fills,
            width: expr(&filling.width)?,
            zone: filling.zone.as_ref().map(expr).transpose()?,
            start: edge(&filling.start)?,
            finish: edge(&filling.finish)?,
        };
        Ok(Arc::new(GapFillExec::new(
            Arc::clone(input),
            Arc::new(shape),
        )?))
    }
}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &'static str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.filling.exprs().cloned().collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        // A filter on keys alone takes whole groups, and may come first.
        let keys: HashSet<&str> = self
            .filling
            .groups
            .iter()
            .filter_map(|key| match key {
                Expr::Column(column) => Some(column.name.as_str()),
                _ => None,
            })
            .collect();
        let fields = self.schema.fields().iter();
        fields
            .map(|field| field.name())
            .filter(|name| !keys.contains(name.as_str()))
            .cloned()
            .collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filling = &self.filling;
        let words: Vec<String> = filling.groups.iter().map(ToString::to_string).collect();
        write!(
            f,
            "GapFill: bucket={}, groups=[{}], from {} to {}",
            filling.bucket,
            words.join(", "),
            filling.start.at,
            filling.finish.at
        )
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DfResult<Self> {
        let Some(input) = inputs.pop() else {
            return datafusion::common::internal_err!("GapFill has one input");
        };
        Self::new(Arc::new(input), self.filling.with(exprs)?)
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let mut needed = output.to_vec();
        for expr in self.filling.exprs() {
            for column in expr.column_refs() {
                needed.push(input.maybe_index_of_column(column)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
