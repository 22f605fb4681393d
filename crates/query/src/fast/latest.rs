//! The newest or oldest rows, and those of each series: a scan that reads but those.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chronolith_chunk::{ChunkView, Latest, LatestRequest, latest_rows};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::StreamExt;

use super::read::Source;
use crate::error::Error;
use crate::functions::aggregate_name;
use crate::nodes::FirstOfEachExec;
use crate::scan::ChunkScan;

type Plan = Arc<dyn ExecutionPlan>;

/// More rows than these are better scanned and sorted.
const ROWS_MAX: usize = 10_000;

/// A plan that needs but the newest or oldest rows, with a scan of those alone.
pub(super) fn recognise(node: &Plan) -> Option<DfResult<Plan>> {
    let scan = sorted(node)
        .or_else(|| aggregated(node))
        .or_else(|| first_of_each(node))?;
    let leaf: Plan = Arc::new(scan);
    let swapped = Arc::clone(node).transform_up(|plan| {
        Ok(match plan.is::<ChunkScan>() {
            true => Transformed::yes(Arc::clone(&leaf)),
            false => Transformed::no(plan),
        })
    });
    Some(swapped.map(|swapped| swapped.data))
}

/// ORDER BY time LIMIT n.
fn sorted(node: &Plan) -> Option<LatestScan> {
    let sort = node.downcast_ref::<SortExec>()?;
    let count = sort.fetch().filter(|count| *count <= ROWS_MAX)?;
    let source = Source::of(sort.input())?;
    let first = sort.expr().first();
    if source.place_of(&first.expr)? != source.scan.view().layout.time? {
        return None;
    }
    let of = Latest::Rows {
        count,
        // What else the rows are sorted by decides between those of one time.
        ties: sort.expr().len() > 1,
    };
    LatestScan::new(&source, first.options.descending, of)
}

/// Aggregates that look at the last row of each group alone.
fn aggregated(node: &Plan) -> Option<LatestScan> {
    let last = node.downcast_ref::<AggregateExec>()?;
    let first = match last.mode() {
        AggregateMode::Final | AggregateMode::FinalPartitioned => {
            last.input().downcast_ref::<AggregateExec>()?
        }
        AggregateMode::Single | AggregateMode::SinglePartitioned => last,
        _ => return None,
    };
    if first.group_expr().has_grouping_set() || !first.filter_expr().iter().all(Option::is_none) {
        return None;
    }
    let source = Source::of(first.input())?;
    let layout = &source.scan.view().layout;
    for (expr, _) in first.group_expr().expr() {
        if !layout.segment_by.contains(&source.place_of(expr)?) {
            return None;
        }
    }
    let (mut newest, mut times_only) = (None, true);
    for expr in first.aggr_expr() {
        if expr.is_distinct() || !expr.order_bys().is_empty() {
            return None;
        }
        let args = expr.expressions();
        let is_time = |arg: &Arc<dyn PhysicalExpr>| source.place_of(arg) == layout.time;
        let wanted = match (aggregate_name(expr.fun()), args.as_slice()) {
            ("last", [arg, time]) if is_time(time) && source.place_of(arg).is_some() => true,
            ("first", [arg, time]) if is_time(time) && source.place_of(arg).is_some() => false,
            ("max", [arg]) if is_time(arg) => true,
            ("min", [arg]) if is_time(arg) => false,
            _ => return None,
        };
        times_only &= args.len() == 1;
        if *newest.get_or_insert(wanted) != wanted {
            return None;
        }
    }
    // All rows are one series: where their times alone are asked for, any of the last will do.
    let of = match (layout.segment_by.is_empty(), times_only) {
        (false, _) => Latest::Series,
        (true, true) => Latest::Rows {
            count: 1,
            ties: false,
        },
        (true, false) => return None,
    };
    LatestScan::new(&source, newest?, of)
}

/// DISTINCT ON.
fn first_of_each(node: &Plan) -> Option<LatestScan> {
    let first = node.downcast_ref::<FirstOfEachExec>()?;
    let mut input = first.input();
    // Partitions give their own first rows to the one above.
    while let Some(below) = input.downcast_ref::<FirstOfEachExec>() {
        input = below.input();
    }
    let source = Source::of(input)?;
    let layout = &source.scan.view().layout;
    let mut groups = Vec::new();
    for expr in first.keys() {
        let place = source.place_of(expr)?;
        if !layout.segment_by.contains(&place) {
            return None;
        }
        groups.push(place);
    }
    // Within a group its own columns are the same; then time decides, and nothing after it.
    let mut order = first.order().iter();
    let within = |sort: &&PhysicalSortExpr| {
        let place = source.place_of(&sort.expr);
        !place.is_some_and(|place| groups.contains(&place))
    };
    let by_time = order.by_ref().find(within)?;
    if source.place_of(&by_time.expr) != layout.time || order.next().is_some() {
        return None;
    }
    LatestScan::new(&source, by_time.options.descending, Latest::Series)
}

/// Reads the newest or oldest rows of a table's chunks.
#[derive(Debug, Clone)]
struct LatestScan {
    /// What it was put in the place of.
    scan: ChunkScan,
    request: LatestRequest,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LatestScan {
    /// None where the rows that come first are not to be told from the others beforehand.
    fn new(source: &Source<'_>, newest: bool, of: Latest) -> Option<Self> {
        let scan = source.scan;
        if scan.limit().is_some() {
            return None;
        }
        let request = LatestRequest {
            projection: scan.request().projection.clone(),
            time: scan.request().time.clone(),
            equals: source.equals()?,
            newest,
            of,
        };
        let chunks: Vec<&ChunkView> = scan.chunks().collect();
        if !request.is_supported(&scan.view().layout, &chunks) {
            return None;
        }
        let schema = scan.view().layout.projected(&request.projection);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Some(Self {
            scan: scan.clone(),
            request,
            schema,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for LatestScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.request.newest {
            "newest"
        } else {
            "oldest"
        };
        match self.request.of {
            Latest::Rows { count, ties: false } => write!(f, "LatestRows: {which} {count}, ")?,
            Latest::Rows { count, ties: true } => {
                write!(f, "LatestRows: {which} {count} with ties, ")?;
            }
            Latest::Series => write!(f, "LatestRows: {which} of each series, ")?,
        }
        self.scan.describe(f)
    }
}

impl ExecutionPlan for LatestScan {
    fn name(&self) -> &'static str {
        "LatestRows"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Plan> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Plan>) -> DfResult<Plan> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let scan = self.scan.clone();
        let request = self.request.clone();
        let found = futures::stream::once(async move {
            let timer = metrics.elapsed_compute().timer();
            let view = scan.view();
            let chunks: Vec<&ChunkView> = scan.chunks().collect();
            let found = latest_rows(&view.layout, &chunks, &request);
            let found = found.map_err(|error| DataFusionError::from(Error::from(error)));
            timer.done();
            let batches = match found {
                Ok(batches) => batches.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            for batch in batches.iter().flatten() {
                metrics.record_output(batch.num_rows());
            }
            futures::stream::iter(batches)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            found.flatten(),
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
