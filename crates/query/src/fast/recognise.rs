//! Finds what chunks aggregate better, and puts it in the place of the general operators.

use std::sync::Arc;

use chronolith_chunk::{AggKind, Aggregate, AggregateRequest};
use chronolith_types::SqlType;
use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};

use super::aggregate::{BucketAggregate, Key, Output, Squares};
use super::latest;
use super::read::{Bucketing, Source, bucketing, buckets_of_store, literal};
use crate::functions::{SessionVars, aggregate_name};
use crate::guard;
use crate::soft_limit::SoftLimits;

/// The setting that turns everything here off.
pub(crate) const SETTING: &str = "chronolith.enable_fast_paths";
/// With more groups than this the general operator is better, which spills what memory does not hold.
const GROUPS_MAX: i64 = 1 << 22;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules with ours among them.
pub(crate) fn rules() -> Vec<Rule> {
    let mut rules = PhysicalOptimizer::new().rules;
    // Behind the one that answers from counts alone, before those that deal rows out.
    let place = rules
        .iter()
        .position(|rule| rule.name() == "aggregate_statistics")
        .map_or(0, |place| place + 1);
    rules.insert(place, Arc::new(FastPaths));
    for rule in &mut rules {
        if rule.name() == guard::ProjectionPushdown.name() {
            *rule = Arc::new(guard::ProjectionPushdown);
        }
    }
    rules.push(Arc::new(SoftLimits));
    rules.push(Arc::new(guard::Guards));
    rules
}

#[derive(Debug)]
struct FastPaths;

impl PhysicalOptimizerRule for FastPaths {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let vars = SessionVars::of(config);
        if vars
            .settings
            .get(SETTING)
            .is_some_and(|value| value == "off")
        {
            return Ok(plan);
        }
        let threads = config.execution.target_partitions;
        let found = plan.transform_down(|node| {
            let better = match latest::recognise(&node) {
                Some(better) => Some(better?),
                None => recognise(&node, threads),
            };
            Ok(match better {
                Some(better) => Transformed::new(better, true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        })?;
        Ok(found.data)
    }

    fn name(&self) -> &'static str {
        "fast_paths"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether something in a plan was found to be done better.
pub(crate) fn is_fast(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<BucketAggregate>().is_some() || plan.children().into_iter().any(is_fast)
}

fn recognise(node: &Arc<dyn ExecutionPlan>, threads: usize) -> Option<Arc<dyn ExecutionPlan>> {
    let last = node.downcast_ref::<AggregateExec>()?;
    let first = match last.mode() {
        AggregateMode::Final | AggregateMode::FinalPartitioned => {
            let first = last.input().downcast_ref::<AggregateExec>()?;
            (*first.mode() == AggregateMode::Partial).then_some(first)?
        }
        AggregateMode::Single | AggregateMode::SinglePartitioned => last,
        _ => return None,
    };
    let plain = |of: &AggregateExec| {
        !of.group_expr().has_grouping_set()
            && of.limit_options().is_none()
            && of.filter_expr().iter().all(Option::is_none)
    };
    if !plain(last) || !plain(first) {
        return None;
    }
    let source = Source::of(first.input())?;
    let scan = source.scan;
    let layout = &scan.view().layout;
    if scan.limit().is_some() {
        return None;
    }
    let mut groups = Vec::new();
    let mut bucket: Option<Bucketing> = None;
    let mut keys = Vec::new();
    for (expr, _) in first.group_expr().expr() {
        let expr = source.resolve(expr)?;
        let place = source.place(&expr);
        if place.is_some() && place == layout.time && bucket.is_none() && is_store(scan) {
            bucket = Some(buckets_of_store(layout, place));
            keys.push(Key::Bucket);
        } else if let Some(place) = place {
            // There are few series; of other columns' values there may be as many as rows.
            if !layout.segment_by.contains(&place) {
                return None;
            }
            keys.push(Key::Column(groups.len()));
            groups.push(place);
        } else if bucket.is_none() {
            bucket = Some(bucketing(&source, layout, &expr)?);
            keys.push(Key::Bucket);
        } else {
            return None;
        }
    }
    let mut wanted = Wanted {
        source: &source,
        aggs: Vec::new(),
    };
    let mut outputs = Vec::new();
    for expr in first.aggr_expr() {
        outputs.push(wanted.output(expr)?);
    }
    let bucket_place = keys.iter().position(|key| matches!(key, Key::Bucket));
    let request = AggregateRequest {
        bucket: bucket.as_ref().map(|bucket| Arc::clone(&bucket.buckets)),
        groups,
        aggs: wanted.aggs,
        time: scan.request().time.clone(),
        equals: source.equals()?,
        threads,
        sorted: Some(bucket_place.unwrap_or(0)),
        stop: Arc::default(),
    };
    if !request.is_supported(layout) || !is_worth_it(scan, &request, bucket.as_ref()) {
        return None;
    }
    let better = BucketAggregate::new(
        scan,
        request,
        bucket.map(|bucket| bucket.shown),
        keys,
        outputs,
        last.schema(),
    );
    Some(Arc::new(better))
}

/// Whether the times of a table are starts of buckets.
fn is_store(scan: &crate::scan::ChunkScan) -> bool {
    scan.view().table.rollup.is_some()
}

/// Whether the groups are few enough to be held at once.
fn is_worth_it(
    scan: &crate::scan::ChunkScan,
    request: &AggregateRequest,
    bucket: Option<&Bucketing>,
) -> bool {
    let mut span: i64 = 0;
    let mut series: i64 = 1;
    let mut rows: u64 = 0;
    for chunk in scan.chunks() {
        let start = chunk.range.start.max(request.time.start);
        let end = chunk.range.end.min(request.time.end);
        span = span.saturating_add(end.saturating_sub(start));
        rows += chunk.rows();
        for part in &chunk.cold {
            series = series.max(i64::try_from(part.directory().series.len()).unwrap_or(i64::MAX));
        }
    }
    if request.groups.is_empty() {
        series = 1;
    }
    let buckets = bucket.map_or(1, |bucket| span / bucket.length + 1);
    let groups = buckets.saturating_mul(series);
    groups.min(i64::try_from(rows).unwrap_or(i64::MAX)) <= GROUPS_MAX
}

/// The aggregates that chunks compute, as they come up.
struct Wanted<'a> {
    source: &'a Source<'a>,
    aggs: Vec<Aggregate>,
}

impl Wanted<'_> {
    fn add(&mut self, kind: AggKind, column: Option<usize>, time: Option<usize>) -> usize {
        self.put(Aggregate {
            kind,
            column,
            time,
            factor: None,
        })
    }

    fn put(&mut self, agg: Aggregate) -> usize {
        if let Some(known) = self.aggs.iter().position(|known| *known == agg) {
            return known;
        }
        self.aggs.push(agg);
        self.aggs.len() - 1
    }

    /// How an aggregate comes out of what chunks compute.
    fn output(&mut self, expr: &Arc<AggregateFunctionExpr>) -> Option<Output> {
        if expr.is_distinct() || !expr.order_bys().is_empty() || expr.ignore_nulls() {
            return None;
        }
        let args = expr.expressions();
        let place = |arg: &Arc<dyn PhysicalExpr>| self.source.place_of(arg);
        let agg = match (aggregate_name(expr.fun()), args.as_slice()) {
            ("count", [arg]) => match place(arg) {
                Some(column) => self.add(AggKind::Count, Some(column), None),
                None if !literal(arg)?.is_null() => self.add(AggKind::CountStar, None, None),
                None => return None,
            },
            ("min", [arg]) => self.add(AggKind::Min, Some(place(arg)?), None),
            ("max", [arg]) => self.add(AggKind::Max, Some(place(arg)?), None),
            ("first", [arg, time]) => {
                let (column, time) = (place(arg)?, place(time)?);
                self.add(AggKind::First, Some(column), Some(time))
            }
            ("last", [arg, time]) => {
                let (column, time) = (place(arg)?, place(time)?);
                self.add(AggKind::Last, Some(column), Some(time))
            }
            ("sum", [arg]) if place(arg).is_none() => return self.of_product(expr, arg),
            ("sum" | "avg", [arg]) => {
                let column = place(arg)?;
                let layout = &self.source.scan.view().layout;
                let ty = &layout.columns.get(column)?.ty;
                let squares = match ty {
                    SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => Squares::None,
                    SqlType::Numeric(Some(_)) => Squares::None,
                    SqlType::Float8 => Squares::Unseen,
                    _ => return None,
                };
                // A sum asks only whether there was a value, and says so itself.
                let averaged = aggregate_name(expr.fun()) == "avg";
                let count = averaged.then(|| self.add(AggKind::Count, Some(column), None));
                let sum = self.add(AggKind::Sum, Some(column), None);
                return Some(Output::Merged {
                    expr: Arc::clone(expr),
                    count,
                    sum,
                    squares,
                });
            }
            ("stddev_samp" | "stddev_pop" | "var_samp" | "var_pop", [arg]) => {
                return self.of_spread(expr, place(arg)?);
            }
            _ => return None,
        };
        Some(Output::Plain(agg))
    }

    /// A sum of products, as of prices and volumes.
    fn of_product(
        &mut self,
        expr: &Arc<AggregateFunctionExpr>,
        arg: &Arc<dyn PhysicalExpr>,
    ) -> Option<Output> {
        let arg = self.source.resolve(arg)?;
        let call = arg.downcast_ref::<ScalarFunctionExpr>()?;
        let [one, other] = call.args() else {
            return None;
        };
        let agg = Aggregate {
            kind: AggKind::SumProduct,
            column: Some(self.source.place(one)?),
            time: None,
            factor: Some(self.source.place(other)?),
        };
        let layout = &self.source.scan.view().layout;
        // What the general operator adds up must be what is added up here.
        if call.name() != "times_wide" || *call.return_type() != agg.output_type(layout) {
            return None;
        }
        Some(Output::Merged {
            expr: Arc::clone(expr),
            count: None,
            sum: self.put(agg),
            squares: Squares::None,
        })
    }

    /// How far a numeric's values lie apart, from their count, sum and sum of squares.
    fn of_spread(&mut self, expr: &Arc<AggregateFunctionExpr>, column: usize) -> Option<Output> {
        let layout = &self.source.scan.view().layout;
        let SqlType::Numeric(Some(_)) = layout.columns.get(column)?.ty else {
            return None;
        };
        let squares = Aggregate {
            kind: AggKind::SumProduct,
            column: Some(column),
            time: None,
            factor: Some(column),
        };
        Some(Output::Merged {
            expr: Arc::clone(expr),
            count: Some(self.add(AggKind::Count, Some(column), None)),
            sum: self.add(AggKind::Sum, Some(column), None),
            squares: Squares::Sum(self.put(squares)),
        })
    }
}
