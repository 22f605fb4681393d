//! Plans over a continuous aggregate: its partials, and what readers see of them.

use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::{Database, Mark, Table};
use chronolith_types::datetime::US_PER_DAY;
use chronolith_types::{SqlType, TableId};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{Column, Result as DfResult, ScalarValue, TableReference};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::logical_plan::{Aggregate, SubqueryAlias};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableSource, lit};

use super::definition::{Definition, Rows, Source};
use super::registry::{Registry, continuous};
use super::relation::CaggTable;
use crate::bind::End;
use crate::error::Error;
use crate::nodes::Limit;
use crate::session::table_of;
use crate::shape::column;

/// All times.
pub(super) const ALL: Range<i64> = i64::MIN..i64::MAX;

/// What plans are made from.
pub(crate) struct Planning<'a> {
    pub(crate) database: &'a Arc<Database>,
    pub(crate) registry: &'a Registry,
}

/// Rows of a table under the bare names of its columns.
pub(super) fn rows_of(name: &str, source: Arc<dyn TableSource>) -> Result<LogicalPlan, Error> {
    let relation = TableReference::bare(name.to_owned());
    let schema = source.schema();
    let columns = schema.fields().iter().map(|field| {
        Expr::Column(Column::new(Some(relation.clone()), field.name())).alias(field.name())
    });
    let plan = LogicalPlanBuilder::scan(relation.clone(), source, None)?;
    Ok(plan.project(columns)?.build()?)
}

/// The first date that is no earlier than a time.
fn day(at: i64) -> i64 {
    -(-at).div_euclid(US_PER_DAY)
}

/// A time, in µs or whole numbers, as a constant of a column's type.
pub(super) fn instant(ty: &SqlType, at: i64) -> Expr {
    let narrow = |at: i64| i32::try_from(at).unwrap_or(if at < 0 { i32::MIN } else { i32::MAX });
    lit(match ty {
        SqlType::Timestamptz(_) => ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())),
        SqlType::Timestamp(_) => ScalarValue::TimestampMicrosecond(Some(at), None),
        SqlType::Date => ScalarValue::Date32(Some(narrow(day(at)))),
        SqlType::Int2 => ScalarValue::Int16(Some(i16::try_from(at).unwrap_or(if at < 0 {
            i16::MIN
        } else {
            i16::MAX
        }))),
        SqlType::Int4 => ScalarValue::Int32(Some(narrow(at))),
        _ => ScalarValue::Int64(Some(at)),
    })
}

/// Whether an expression of a type lies in one of some ranges.
pub(super) fn within(expr: &Expr, ty: &SqlType, ranges: &[Range<i64>]) -> Expr {
    let one = |range: &Range<i64>| {
        let from = (range.start != i64::MIN).then(|| expr.clone().gt_eq(instant(ty, range.start)));
        let to = (range.end != i64::MAX).then(|| expr.clone().lt(instant(ty, range.end)));
        match (from, to) {
            (Some(from), Some(to)) => from.and(to),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => lit(true),
        }
    };
    ranges
        .iter()
        .map(one)
        .reduce(Expr::or)
        .unwrap_or_else(|| lit(false))
}

/// What is left of all times without some ranges, which are in order.
pub(super) fn outside(ranges: &[Range<i64>]) -> Vec<Range<i64>> {
    let mut left = Vec::new();
    let mut from = i64::MIN;
    for range in ranges {
        if range.start > from {
            left.push(from..range.start);
        }
        from = from.max(range.end);
    }
    if from < i64::MAX {
        left.push(from..i64::MAX);
    }
    left
}

pub(super) fn filtered(plan: LogicalPlan, condition: Expr) -> Result<LogicalPlan, Error> {
    Ok(LogicalPlanBuilder::from(plan).filter(condition)?.build()?)
}

/// The partials, in the columns of the store, of the rows that a plan gives of the source.
pub(super) fn partials(definition: &Definition, source: LogicalPlan) -> Result<LogicalPlan, Error> {
    let input = match &definition.rows {
        Rows::Additive { filter: None } => source,
        Rows::Additive {
            filter: Some(filter),
        } => filtered(source, filter.clone())?,
        Rows::Recomputed { plan, scan } => replaced(plan, scan, &source)?,
    };
    let groups = definition.groups.iter();
    let groups = groups.map(|group| group.expr.clone().alias(&group.name));
    let states = definition.states();
    let states = states.map(|state| state.partial.clone().alias(&state.name));
    aggregated(definition, input, groups.collect(), states.collect())
}

/// The partials of partials: one row a group.
pub(super) fn folded(definition: &Definition, store: LogicalPlan) -> Result<LogicalPlan, Error> {
    let groups = definition.groups.iter().map(|group| column(&group.name));
    let states = definition.states();
    let states = states.map(|state| state.fold.clone().alias(&state.name));
    aggregated(definition, store, groups.collect(), states.collect())
}

/// What readers see of partials, under the names of its columns.
pub(super) fn shown(definition: &Definition, partials: LogicalPlan) -> Result<LogicalPlan, Error> {
    shown_between(definition, partials, None, None)
}

/// The same with gaps filled in between two limits.
fn shown_between(
    definition: &Definition,
    partials: LogicalPlan,
    start: Option<Limit>,
    finish: Option<Limit>,
) -> Result<LogicalPlan, Error> {
    let groups = definition.groups.iter().map(|group| column(&group.name));
    let merged = definition.aggs.iter().flat_map(|agg| &agg.parts.merged);
    let merged = merged.map(|(name, expr)| expr.clone().alias(name));
    let plan = Aggregate::try_new(Arc::new(partials), groups.collect(), merged.collect())?;
    let mut plan = LogicalPlan::Aggregate(plan);
    if let Some(having) = &definition.having {
        plan = filtered(plan, having.clone())?;
    }
    if let Some(gaps) = &definition.gaps {
        plan = gaps.filled(plan, start, finish)?;
    }
    let outputs = definition.outputs.iter();
    let outputs = outputs.map(|output| output.expr.clone().alias(&output.name));
    Ok(LogicalPlanBuilder::from(plan).project(outputs)?.build()?)
}

fn aggregated(
    definition: &Definition,
    input: LogicalPlan,
    groups: Vec<Expr>,
    states: Vec<Expr>,
) -> Result<LogicalPlan, Error> {
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, states)?);
    let columns = definition.store_columns();
    let columns = columns.iter().map(|(name, _)| column(name));
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

/// A plan with another in the place of a scan.
fn replaced(plan: &LogicalPlan, scan: &str, with: &LogicalPlan) -> Result<LogicalPlan, Error> {
    let done = plan
        .clone()
        .transform_up_with_subqueries(|node| match &node {
            LogicalPlan::TableScan(found) if found.table_name.table() == scan => {
                let alias = SubqueryAlias::try_new(
                    Arc::new(with.clone()),
                    TableReference::bare(scan.to_owned()),
                )?;
                Ok(Transformed::yes(LogicalPlan::SubqueryAlias(alias)))
            }
            _ => Ok(Transformed::no(node)),
        })?;
    Ok(done.data)
}

impl Planning<'_> {
    /// Whether there are continuous aggregates.
    pub(crate) fn any(&self) -> bool {
        let mut tables = self.database.tables.values();
        tables.any(|table| table.rollup.is_some())
    }

    pub(super) fn table(&self, id: TableId) -> Result<&Arc<Table>, Error> {
        let missing = || Error::internal(format!("table {id} is gone"));
        self.database.tables.get(&id).ok_or_else(missing)
    }

    pub(super) fn store_of(&self, view: TableId) -> Result<&Arc<Table>, Error> {
        let found = self.database.views.get(&view);
        let found = found.and_then(|view| continuous(view));
        let missing = || Error::internal(format!("view {view} is gone"));
        self.table(found.ok_or_else(missing)?.table)
    }

    /// The rows of a table, by the bare names of its columns.
    pub(super) fn scan(&self, table: &Arc<Table>) -> Result<LogicalPlan, Error> {
        rows_of(&format!("\"{}\"", table.name), table_of("", table).source)
    }

    /// The source's rows that fall into some ranges of whole buckets.
    fn source_rows(
        &self,
        definition: &Definition,
        buckets: &[Range<i64>],
    ) -> Result<LogicalPlan, Error> {
        let (plan, ty) = match definition.source {
            Source::Table(table) => {
                let table = self.table(table)?;
                let ty = table.column_named(&definition.time);
                let ty = ty.map_or(SqlType::Timestamptz(None), |(_, column)| column.ty.clone());
                (self.scan(table)?, ty)
            }
            Source::Partials(view) => {
                let parent = self.registry.definition(self.database, view)?;
                let ty = parent
                    .groups
                    .get(parent.bucket)
                    .map(|group| group.ty.clone());
                (self.fresh(view)?, ty.unwrap_or(SqlType::Timestamptz(None)))
            }
            Source::View(view) => {
                let parent = self.registry.definition(self.database, view)?;
                let ty = parent
                    .groups
                    .get(parent.bucket)
                    .map(|group| group.ty.clone());
                (self.read(view)?, ty.unwrap_or(SqlType::Timestamptz(None)))
            }
        };
        if buckets.first() == Some(&ALL) {
            return Ok(plan);
        }
        let times: Vec<Range<i64>> = buckets
            .iter()
            .map(|range| definition.buckets.times(range).0)
            .collect();
        filtered(plan, within(&column(&definition.time), &ty, &times))
    }

    /// The partials of some ranges of whole buckets, computed from the source.
    pub(crate) fn computed(
        &self,
        view: TableId,
        buckets: &[Range<i64>],
    ) -> Result<LogicalPlan, Error> {
        let definition = self.registry.definition(self.database, view)?;
        let source = self.source_rows(&definition, buckets)?;
        let plan = partials(&definition, source)?;
        if buckets
            .iter()
            .all(|range| !definition.buckets.times(range).1)
        {
            return Ok(plan);
        }
        // More times were read than those of the buckets.
        let ty = definition
            .groups
            .get(definition.bucket)
            .map(|group| group.ty.clone());
        let ty = ty.unwrap_or(SqlType::Timestamptz(None));
        filtered(
            plan,
            within(&column(definition.bucket_name()), &ty, buckets),
        )
    }

    /// The partials of a continuous aggregate as they would be if nothing was owed.
    pub(crate) fn fresh(&self, view: TableId) -> Result<LogicalPlan, Error> {
        let store = Arc::clone(self.store_of(view)?);
        let marks: &[Mark] = store.rollup.as_ref().map_or(&[], |rollup| &rollup.invalid);
        let ranges: Vec<Range<i64>> = marks.iter().map(|mark| mark.range.clone()).collect();
        if ranges.is_empty() {
            return self.scan(&store);
        }
        let computed = self.computed(view, &ranges)?;
        let kept = outside(&ranges);
        if kept.is_empty() {
            return Ok(computed);
        }
        let definition = self.registry.definition(self.database, view)?;
        let bucket = column(definition.bucket_name());
        let ty = definition
            .groups
            .get(definition.bucket)
            .map(|group| group.ty.clone());
        let ty = ty.unwrap_or(SqlType::Timestamptz(None));
        let known = filtered(self.scan(&store)?, within(&bucket, &ty, &kept))?;
        Ok(LogicalPlanBuilder::from(known).union(computed)?.build()?)
    }

    /// What readers of a continuous aggregate see, under the names of its columns.
    pub(crate) fn read(&self, view: TableId) -> Result<LogicalPlan, Error> {
        self.read_where(view, &[])
    }

    /// The same for a reader with some conditions on these, who sees gaps between what they say.
    pub(super) fn read_where(
        &self,
        view: TableId,
        conditions: &[Expr],
    ) -> Result<LogicalPlan, Error> {
        let definition = self.registry.definition(self.database, view)?;
        let limit = |end: End| self.gap_limit(view, &definition, end, conditions);
        let (start, finish) = (limit(End::Start)?, limit(End::Finish)?);
        shown_between(&definition, self.fresh(view)?, start, finish)
    }

    /// A plan with what readers see in the place of each continuous aggregate.
    pub(crate) fn expanded(&self, plan: &LogicalPlan) -> Result<LogicalPlan, Error> {
        if reads(plan, CaggTable::fills)? {
            return self.bounded(plan.clone(), &[]);
        }
        let done = plan.clone().transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(scan) = &node else {
                return Ok(Transformed::no(node));
            };
            let provider = source_as_provider(&scan.source)?;
            let Some(cagg) = provider.downcast_ref::<CaggTable>() else {
                return Ok(Transformed::no(node));
            };
            let read = self.read(cagg.view())?;
            let alias = SubqueryAlias::try_new(Arc::new(read), scan.table_name.clone())?;
            Ok(Transformed::yes(LogicalPlan::SubqueryAlias(alias)))
        })?;
        Ok(done.data)
    }
}

/// Whether a plan reads a continuous aggregate.
pub(crate) fn reads_any(plan: &LogicalPlan) -> DfResult<bool> {
    reads(plan, |_| true)
}

/// Whether a plan reads a continuous aggregate of a kind.
fn reads(plan: &LogicalPlan, is: impl Fn(&CaggTable) -> bool) -> DfResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && provider.downcast_ref::<CaggTable>().is_some_and(&is)
        {
            found = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}
