//! Queries over raw rows, answered from a continuous aggregate that says the same.
//!
//! An aggregate over a hypertable is looked at as one over its columns: groups, conditions, calls.
//! A continuous aggregate serves when each group of the query is made of its own groups, each call is
//! one of its own, and each condition is on its groups or on time. Buckets that the query's times cut,
//! and those whose rows were dropped, are computed from the rows, and merged with the rest.

use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::{Table, View};
use chronolith_types::{SqlType, TableId};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::{AggregateFunction, Case, ScalarFunction};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit};

use super::buckets::{Buckets, Width};
use super::definition::{Definition, Rows, Source, place_of};
use super::plan::{ALL, Planning, filtered, outside, partials, within};
use super::registry::continuous;
use super::shape::{column, over_scan};
use crate::error::Error;
use crate::functions::aggregate_name;
use crate::scan::ChunkTable;

/// The setting that turns this off.
pub(crate) const SETTING: &str = "timescaledb.enable_cagg_rewrites";

const DAY_US: i64 = chronolith_types::datetime::US_PER_DAY;

/// An aggregate over a hypertable's rows.
struct Query<'p> {
    table: TableId,
    aggregate: &'p Aggregate,
    /// Over the table's columns.
    groups: Vec<Expr>,
    conditions: Vec<Expr>,
    calls: Vec<(String, AggregateFunction)>,
}

/// A continuous aggregate over the rows of a hypertable, however many are between.
struct Candidate {
    view: TableId,
    name: String,
    definition: Arc<Definition>,
    /// Over the table's columns; the bucket's is a call of `time_bucket`.
    groups: Vec<Expr>,
    conditions: Vec<Expr>,
}

/// What a query takes from a continuous aggregate.
struct Match {
    /// The query's groups, over the store's columns.
    groups: Vec<Expr>,
    /// Conditions on groups, over the same.
    conditions: Vec<Expr>,
    /// The times that are asked for.
    times: Range<i64>,
    /// The continuous aggregate's for each of the query's calls.
    aggs: Vec<usize>,
}

impl Planning<'_> {
    /// A plan that reads continuous aggregates where it would read raw rows, with the names of those
    /// that it reads; None when none serves.
    pub(crate) fn rewritten(
        &self,
        plan: &LogicalPlan,
    ) -> Result<Option<(LogicalPlan, Vec<String>)>, Error> {
        let mut used = Vec::new();
        let done = plan.clone().transform_down_with_subqueries(|node| {
            let LogicalPlan::Aggregate(aggregate) = &node else {
                return Ok(Transformed::no(node));
            };
            Ok(match self.answered(aggregate)? {
                Some((plan, name)) => {
                    if !used.contains(&name) {
                        used.push(name);
                    }
                    Transformed::new(plan, true, TreeNodeRecursion::Jump)
                }
                None => Transformed::no(node),
            })
        })?;
        Ok((!used.is_empty()).then_some((done.data, used)))
    }

    fn answered(&self, aggregate: &Aggregate) -> Result<Option<(LogicalPlan, String)>, Error> {
        let Some(query) = Query::of(aggregate)? else {
            return Ok(None);
        };
        let Some(table) = self.database.tables.get(&query.table) else {
            return Ok(None);
        };
        let mut best: Option<(i64, Candidate, Match)> = None;
        for view in self.database.views.values() {
            let Some(candidate) = self.candidate(view, table)? else {
                continue;
            };
            let width = candidate.definition.buckets.width().length();
            if best.as_ref().is_some_and(|(known, ..)| *known >= width) {
                continue;
            }
            if let Some(found) = query.served_by(&candidate, table)? {
                best = Some((width, candidate, found));
            }
        }
        let Some((_, candidate, found)) = best else {
            return Ok(None);
        };
        let plan = self.plan_of(&query, &candidate, &found)?;
        Ok(plan.map(|plan| (plan, candidate.name)))
    }

    /// A view as one over the rows of a table; None when it is not.
    fn candidate(&self, view: &View, table: &Table) -> Result<Option<Candidate>, Error> {
        if continuous(view).is_none() {
            return Ok(None);
        }
        // One that cannot be read does not serve; its readers are told.
        let Ok(definition) = self.registry.definition(self.database, view.id) else {
            return Ok(None);
        };
        let Rows::Additive { filter } = &definition.rows else {
            return Ok(None);
        };
        let own = filter.iter().flat_map(conjuncts);
        let (groups, conditions) = match definition.source {
            Source::Table(source) if source == table.id => {
                let groups = definition.groups.iter().map(|group| group.expr.clone());
                (groups.collect::<Vec<_>>(), own.collect::<Vec<_>>())
            }
            Source::Partials(parent) => {
                let Some(parent) = self.database.views.get(&parent) else {
                    return Ok(None);
                };
                let Some(below) = self.candidate(parent, table)? else {
                    return Ok(None);
                };
                let known = below.definition.groups.iter().zip(&below.groups);
                let known: Vec<(Expr, Expr)> = known
                    .map(|(group, expr)| (column(&group.name), expr.clone()))
                    .collect();
                let groups = definition.groups.iter();
                let groups = groups.map(|group| flattened(&replaced(&group.expr, &known)?));
                let mut conditions = below.conditions;
                for condition in own {
                    conditions.push(replaced(&condition, &known)?);
                }
                (groups.collect::<DfResult<_>>()?, conditions)
            }
            _ => return Ok(None),
        };
        Ok(Some(Candidate {
            view: view.id,
            name: view.name.clone(),
            definition,
            groups,
            conditions,
        }))
    }

    /// The partials of a hypertable's rows of some times, in the columns of a store.
    fn raw_partials(&self, view: TableId, times: &[Range<i64>]) -> Result<LogicalPlan, Error> {
        let definition = self.registry.definition(self.database, view)?;
        let source = match definition.source {
            Source::Partials(parent) => self.raw_partials(parent, times)?,
            Source::Table(table) => {
                let table = self.table(table)?;
                let time = table.column_named(&definition.time);
                let ty = time.map_or(SqlType::Timestamptz, |(_, time)| time.ty.clone());
                filtered(
                    self.scan(table)?,
                    within(&column(&definition.time), &ty, times),
                )?
            }
            Source::View(_) => return Err(Error::internal("partials of no partials")),
        };
        partials(&definition, source)
    }

    fn plan_of(
        &self,
        query: &Query<'_>,
        candidate: &Candidate,
        found: &Match,
    ) -> Result<Option<LogicalPlan>, Error> {
        let definition = &candidate.definition;
        let table = self.table(query.table)?;
        let Some(stored) = self.stored(candidate, table, &found.times)? else {
            return Ok(None);
        };
        let bucket = definition.groups.get(definition.bucket);
        let ty = bucket.map_or(SqlType::Timestamptz, |group| group.ty.clone());
        let bucket = column(definition.bucket_name());
        let all = stored.first() == Some(&ALL);
        let mut rows = self.fresh(candidate.view)?;
        if !all {
            rows = filtered(rows, within(&bucket, &ty, &stored))?;
        }
        let edges: Vec<Range<i64>> = outside(&stored)
            .into_iter()
            .map(|range| range.start.max(found.times.start)..range.end.min(found.times.end))
            .filter(|range| range.start < range.end)
            .collect();
        if !edges.is_empty() {
            let raw = self.raw_partials(candidate.view, &edges)?;
            rows = LogicalPlanBuilder::from(rows).union(raw)?.build()?;
        }
        if let Some(condition) = found.conditions.iter().cloned().reduce(Expr::and) {
            rows = filtered(rows, condition)?;
        }
        let names: Vec<String> = query
            .aggregate
            .schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let groups = found.groups.iter().zip(&names);
        let groups = groups.map(|(expr, name)| expr.clone().alias(name));
        let mut merged: Vec<(String, Expr)> = Vec::new();
        for at in &found.aggs {
            let agg = definition.aggs.get(*at);
            for (name, expr) in agg.iter().flat_map(|agg| &agg.parts.merged) {
                if !merged.iter().any(|(known, _)| known == name) {
                    merged.push((name.clone(), expr.clone()));
                }
            }
        }
        let merged = merged.into_iter().map(|(name, expr)| expr.alias(name));
        let plan = Aggregate::try_new(Arc::new(rows), groups.collect(), merged.collect())?;
        let (group_names, call_names) = names.split_at(found.groups.len());
        let mut outputs: Vec<Expr> = group_names.iter().map(|name| column(name)).collect();
        for ((at, name), (_, call)) in found.aggs.iter().zip(call_names).zip(&query.calls) {
            let agg = definition.aggs.get(*at);
            let answer = agg.and_then(|agg| agg.of_rows.as_ref());
            let Some((_, answer)) = answer else {
                return Ok(None);
            };
            let mut answer = answer.clone();
            if found.groups.is_empty() && aggregate_name(&call.func) == "count" {
                // Of no rows at all the count is 0.
                answer = Expr::Case(Case::new(
                    None,
                    vec![(Box::new(answer.clone().is_null()), Box::new(lit(0_i64)))],
                    Some(Box::new(answer)),
                ));
            }
            outputs.push(answer.alias(name));
        }
        let plan = LogicalPlanBuilder::from(LogicalPlan::Aggregate(plan));
        Ok(Some(plan.project(outputs)?.build()?))
    }

    /// The whole buckets of some times that the store says the same of as the rows; None when it is
    /// none of them.
    fn stored(
        &self,
        candidate: &Candidate,
        table: &Table,
        times: &Range<i64>,
    ) -> Result<Option<Vec<Range<i64>>>, Error> {
        let buckets = &candidate.definition.buckets;
        let start = match times.start {
            i64::MIN => i64::MIN,
            at if buckets.start(at) == Some(at) => at,
            at => buckets.next(at).unwrap_or(i64::MAX),
        };
        let end = match times.end {
            i64::MAX => i64::MAX,
            at => buckets.start(at).unwrap_or(i64::MIN),
        };
        let mut stored: Vec<Range<i64>> = std::iter::once(start..end).collect();
        let store = self.store_of(candidate.view)?;
        let Some(rollup) = &store.rollup else {
            return Ok(None);
        };
        if rollup.is_invalid(&(start..end)) {
            return Ok(None);
        }
        // It says what those say that it is over.
        let mut level = Some(candidate.view);
        while let Some(view) = level {
            let store = self.store_of(view)?;
            let rollup = store.rollup.as_ref();
            // Of dropped rows it still tells.
            for frozen in rollup.iter().flat_map(|rollup| &rollup.frozen) {
                stored = without(&stored, &buckets.cover(frozen));
            }
            // Of its own dropped chunks it does not tell any more.
            let of_store = store.chunks.values().map(|chunk| &chunk.range);
            let of_store: Vec<&Range<i64>> = of_store.collect();
            for chunk in table.chunks.values() {
                let mut left: Vec<Range<i64>> = std::iter::once(chunk.range.clone()).collect();
                for range in &of_store {
                    left = without(&left, range);
                }
                for gone in left {
                    stored = without(&stored, &buckets.cover(&gone));
                }
            }
            level = match self.registry.definition(self.database, view)?.source {
                Source::Table(_) => None,
                Source::Partials(parent) | Source::View(parent) => Some(parent),
            };
        }
        stored.retain(|range| range.start < range.end);
        Ok((!stored.is_empty()).then_some(stored))
    }
}

fn without(ranges: &[Range<i64>], gone: &Range<i64>) -> Vec<Range<i64>> {
    let mut left = Vec::new();
    for range in ranges {
        if gone.end <= range.start || range.end <= gone.start {
            left.push(range.clone());
            continue;
        }
        if range.start < gone.start {
            left.push(range.start..gone.start);
        }
        if gone.end < range.end {
            left.push(gone.end..range.end);
        }
    }
    left
}

impl<'p> Query<'p> {
    fn of(aggregate: &'p Aggregate) -> Result<Option<Self>, Error> {
        let Some((above, scan)) = over_scan(&aggregate.input) else {
            return Ok(None);
        };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<ChunkTable>() else {
            return Ok(None);
        };
        let place = |expr: &Expr| place_of(expr, &aggregate.input, &above);
        let groups = aggregate.group_expr.iter();
        if aggregate
            .group_expr
            .iter()
            .any(|expr| matches!(expr, Expr::GroupingSet(_)))
        {
            return Ok(None);
        }
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(mut call) = expr.clone().unalias() else {
                return Ok(None);
            };
            let params = &mut call.params;
            for arg in &mut params.args {
                *arg = place(arg)?;
            }
            if let Some(filter) = &mut params.filter {
                **filter = place(filter)?;
            }
            for key in &mut params.order_by {
                key.expr = place(&key.expr)?;
            }
            calls.push((expr.schema_name().to_string(), call));
        }
        Ok(Some(Self {
            table: table.id(),
            groups: groups
                .map(|expr| place(&expr.clone().unalias()))
                .collect::<Result<_, _>>()?,
            conditions: above.filters.iter().flat_map(conjuncts).collect(),
            calls,
            aggregate,
        }))
    }

    fn served_by(&self, candidate: &Candidate, table: &Table) -> Result<Option<Match>, Error> {
        let definition = &candidate.definition;
        let time = table
            .hypertable
            .as_ref()
            .and_then(|hypertable| table.column(hypertable.time));
        let Some(time) = time else {
            return Ok(None);
        };
        let mut aggs = Vec::with_capacity(self.calls.len());
        for (_, call) in &self.calls {
            let of_rows = |agg: &super::definition::Agg| {
                agg.of_rows.as_ref().is_some_and(|(known, _)| known == call)
            };
            match definition.aggs.iter().position(of_rows) {
                Some(at) => aggs.push(at),
                None => return Ok(None),
            }
        }
        // What the continuous aggregate leaves out, the query must leave out too.
        if !candidate
            .conditions
            .iter()
            .all(|condition| self.conditions.contains(condition))
        {
            return Ok(None);
        }
        let known: Vec<(Expr, Expr)> = candidate
            .groups
            .iter()
            .zip(&definition.groups)
            .enumerate()
            .filter(|(at, _)| *at != definition.bucket)
            .map(|(_, (expr, group))| (expr.clone(), column(&group.name)))
            .collect();
        let mut times = i64::MIN..i64::MAX;
        let mut conditions = Vec::new();
        for condition in &self.conditions {
            if candidate.conditions.contains(condition) {
                continue;
            }
            if let Some(range) = time_range(condition, &time.name, &time.ty) {
                times = times.start.max(range.start)..times.end.min(range.end);
                continue;
            }
            match over(condition, &known)? {
                Some(condition) => conditions.push(condition),
                None => return Ok(None),
            }
        }
        if times.start >= times.end {
            return Ok(None);
        }
        let mut groups = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let bucket = candidate.groups.get(definition.bucket);
            let coarser = match (group, bucket) {
                (group, Some(bucket)) if group == bucket => Some(column(definition.bucket_name())),
                (Expr::ScalarFunction(call), Some(Expr::ScalarFunction(bucket))) => {
                    coarser(call, bucket, definition, &time.name)?
                }
                _ => None,
            };
            match coarser {
                Some(expr) => groups.push(expr),
                None => match over(group, &known)? {
                    Some(expr) => groups.push(expr),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(Match {
            groups,
            conditions,
            times,
            aggs,
        }))
    }
}

/// `time_bucket` of wider buckets, over the bucket's column, if those are made of whole narrower ones.
fn coarser(
    call: &ScalarFunction,
    bucket: &ScalarFunction,
    definition: &Definition,
    time: &str,
) -> Result<Option<Expr>, Error> {
    let ([width, of], [_, _]) = (call.args.as_slice(), bucket.args.as_slice()) else {
        return Ok(None);
    };
    if call.func.name() != "time_bucket" || *of != column(time) {
        return Ok(None);
    }
    let Ok(wide) = Buckets::of(call) else {
        return Ok(None);
    };
    if !is_made_of(wide.width(), definition.buckets.width()) {
        return Ok(None);
    }
    let args = vec![width.clone(), column(definition.bucket_name())];
    Ok(Some(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::clone(&call.func),
        args,
    ))))
}

/// Whether buckets of a width begin and end where ones of another do, both counted from the default
/// origin.
fn is_made_of(wide: Width, narrow: Width) -> bool {
    match (wide, narrow) {
        (Width::Integer(wide), Width::Integer(narrow)) => narrow > 0 && wide % narrow == 0,
        (Width::Time(wide), Width::Time(narrow)) => {
            let fixed = |span: chronolith_types::Interval| {
                i64::from(span.days)
                    .saturating_mul(DAY_US)
                    .saturating_add(span.us)
            };
            match (wide.months, narrow.months) {
                (0, 0) => fixed(narrow) > 0 && fixed(wide) % fixed(narrow) == 0,
                (_, 0) => fixed(narrow) > 0 && DAY_US % fixed(narrow) == 0,
                (wide, narrow) => narrow > 0 && wide % narrow == 0 && wide > 0,
            }
        }
        _ => false,
    }
}

/// `time_bucket` of a `time_bucket` as one of the time itself.
fn flattened(expr: &Expr) -> DfResult<Expr> {
    let Expr::ScalarFunction(outer) = expr else {
        return Ok(expr.clone());
    };
    let [width, Expr::ScalarFunction(inner)] = outer.args.as_slice() else {
        return Ok(expr.clone());
    };
    let (Some(time), true) = (
        inner.args.get(1),
        inner.args.len() == 2
            && outer.func.name() == "time_bucket"
            && inner.func.name() == "time_bucket",
    ) else {
        return Ok(expr.clone());
    };
    let args = vec![width.clone(), time.clone()];
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::clone(&outer.func),
        args,
    )))
}

fn replaced(expr: &Expr, known: &[(Expr, Expr)]) -> DfResult<Expr> {
    let done = expr.clone().transform_down(|node| {
        let found = known.iter().find(|(from, _)| *from == node);
        Ok(match found {
            Some((_, to)) => Transformed::new(to.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(done.data)
}

/// An expression over groups alone, over the store's columns; None for one over other columns.
fn over(expr: &Expr, known: &[(Expr, Expr)]) -> DfResult<Option<Expr>> {
    let mut lost = false;
    let done = expr.clone().transform_down(|node| {
        if let Some((_, to)) = known.iter().find(|(from, _)| *from == node) {
            return Ok(Transformed::new(to.clone(), true, TreeNodeRecursion::Jump));
        }
        if matches!(node, Expr::Column(_)) {
            lost = true;
        }
        Ok(Transformed::no(node))
    })?;
    let volatile = done.data.is_volatile();
    Ok((!lost && !volatile).then_some(done.data))
}

fn conjuncts(expr: &Expr) -> Vec<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And,
            right,
        }) => {
            let mut all = conjuncts(left);
            all.append(&mut conjuncts(right));
            all
        }
        Expr::Between(between) if !between.negated => vec![
            between
                .expr
                .as_ref()
                .clone()
                .gt_eq(between.low.as_ref().clone()),
            between
                .expr
                .as_ref()
                .clone()
                .lt_eq(between.high.as_ref().clone()),
        ],
        other => vec![other.clone()],
    }
}

/// The times that a comparison of the time column with a constant lets through.
fn time_range(expr: &Expr, time: &str, ty: &SqlType) -> Option<Range<i64>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return None;
    };
    let (op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(found), Expr::Literal(value, _)) if found.name == time => (*op, value),
        (Expr::Literal(value, _), Expr::Column(found)) if found.name == time => (op.swap()?, value),
        _ => return None,
    };
    let at = match (value, ty) {
        (
            ScalarValue::TimestampMicrosecond(Some(at), _),
            SqlType::Timestamptz | SqlType::Timestamp,
        ) => *at,
        (ScalarValue::Date32(Some(days)), SqlType::Date) => {
            // What comes after a date is the next one.
            let day = i64::from(*days).checked_mul(DAY_US)?;
            return compared(op, day, day.checked_add(DAY_US)?);
        }
        (ScalarValue::Int64(Some(at)), SqlType::Int8) => *at,
        (ScalarValue::Int32(Some(at)), SqlType::Int4) => i64::from(*at),
        (ScalarValue::Int16(Some(at)), SqlType::Int2) => i64::from(*at),
        _ => return None,
    };
    // Infinity is a time, too.
    compared(op, at, at.checked_add(1)?)
}

/// The times that a comparison with one lets through, and the one after it.
fn compared(op: Operator, at: i64, next: i64) -> Option<Range<i64>> {
    Some(match op {
        Operator::GtEq => at..i64::MAX,
        Operator::Gt => next..i64::MAX,
        Operator::Lt => i64::MIN..at,
        Operator::LtEq => i64::MIN..next,
        Operator::Eq => at..next,
        _ => return None,
    })
}
