//! The node of a logical plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::PhysicalPlanner;

use super::super::planner::Planned;
use super::exec::{ExpandExec, SetSource};
use crate::functions::SERIES;

/// Where a set's rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// The items of a list: one expression.
    List,
    /// First, last and perhaps a step: two expressions or three.
    Series,
}

/// A call whose rows become rows of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SetCall {
    column: String,
    kind: Kind,
    item: DataType,
    args: Vec<Expr>,
}

impl SetCall {
    /// The rows of a list-valued expression over the columns of `schema`, as a column of that name.
    ///
    /// # Errors
    /// When the expression is no list.
    pub(crate) fn new(column: String, list: Expr, schema: &DFSchema) -> DfResult<Self> {
        let item = match list.get_type(schema)? {
            DataType::List(item) => item.data_type().clone(),
            other => return datafusion::common::internal_err!("a set of type {other}"),
        };
        // The list of a series is not made: its ends say it all.
        let (kind, args) = match list {
            Expr::ScalarFunction(call) if call.func.name() == SERIES => (Kind::Series, call.args),
            list => (Kind::List, vec![list]),
        };
        Ok(Self {
            column,
            kind,
            item,
            args,
        })
    }
}

/// Each row of the input as often as the longest of its sets has rows, with the sets side by side;
/// shorter ones end in NULLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Expand {
    input: Arc<LogicalPlan>,
    sets: Vec<SetCall>,
    /// The column that counts the rows of each input row from one.
    ordinal: Option<String>,
    /// Whether a row whose sets are all empty stays, once, with NULLs.
    keep: bool,
    schema: DFSchemaRef,
}

impl Expand {
    /// The plan that expands `input`.
    ///
    /// # Errors
    /// When a set's name is taken.
    pub(crate) fn plan(
        input: LogicalPlan,
        sets: Vec<SetCall>,
        ordinal: Option<String>,
        keep: bool,
    ) -> DfResult<LogicalPlan> {
        let node = Self::new(Arc::new(input), sets, ordinal, keep)?;
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        }))
    }

    fn new(
        input: Arc<LogicalPlan>,
        sets: Vec<SetCall>,
        ordinal: Option<String>,
        keep: bool,
    ) -> DfResult<Self> {
        let mut fields: Vec<_> = input
            .schema()
            .iter()
            .map(|(table, field)| (table.cloned(), Arc::clone(field)))
            .collect();
        let made = sets.iter().map(|set| (&set.column, &set.item));
        for (name, item) in made.chain(ordinal.iter().map(|name| (name, &DataType::Int64))) {
            fields.push((None, Arc::new(Field::new(name, item.clone(), true))));
        }
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self {
            schema: Arc::new(schema),
            input,
            sets,
            ordinal,
            keep,
        })
    }
}

impl Planned for Expand {
    fn physical(
        &self,
        planner: &dyn PhysicalPlanner,
        input: &Arc<dyn ExecutionPlan>,
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = self.input.schema();
        let mut sets = Vec::with_capacity(self.sets.len());
        for set in &self.sets {
            let args = set
                .args
                .iter()
                .map(|arg| planner.create_physical_expr(arg, schema, session, context))
                .collect::<DfResult<Vec<_>>>()?;
            sets.push(SetSource {
                name: set.column.clone(),
                kind: set.kind,
                item: set.item.clone(),
                args,
            });
        }
        let ordinal = self.ordinal.clone();
        let input = Arc::clone(input);
        Ok(Arc::new(ExpandExec::new(input, sets, ordinal, self.keep)))
    }
}

impl PartialOrd for Expand {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        // Plans have an order for lack of which they could not be compared at all.
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Expand {
    fn name(&self) -> &'static str {
        "Expand"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let args = self.sets.iter().flat_map(|set| &set.args);
        args.cloned().collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let made = self.sets.iter().map(|set| &set.column);
        made.chain(&self.ordinal).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expand:")?;
        for set in &self.sets {
            let args: Vec<String> = set.args.iter().map(ToString::to_string).collect();
            write!(f, " {}=({})", set.column, args.join(", "))?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> DfResult<Self> {
        let Some(input) = inputs.pop() else {
            return datafusion::common::internal_err!("Expand has one input");
        };
        let mut exprs = exprs.into_iter();
        let mut sets = self.sets.clone();
        for set in &mut sets {
            let count = set.args.len();
            set.args = exprs.by_ref().take(count).collect();
        }
        Self::new(Arc::new(input), sets, self.ordinal.clone(), self.keep)
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        let mut needed: Vec<usize> = output
            .iter()
            .copied()
            .filter(|index| *index < input.fields().len())
            .collect();
        for arg in self.sets.iter().flat_map(|set| &set.args) {
            for column in arg.column_refs() {
                needed.push(input.maybe_index_of_column(column)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
