//! Queries over raw rows, answered from a continuous aggregate that says the same.
//!
//! An aggregate over a hypertable is looked at as one over its columns: groups, conditions, calls.
//! A continuous aggregate serves when each group of the query is made of its own groups, or of
//! coarser steps of time (`steps`), each call is one of its own, and each condition is on the same, or
//! on time. Buckets that the query's times cut,
//! and those whose rows were dropped, are computed from the rows, and merged with the rest.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Table, View};
use chronolith_types::{SqlType, TableId, TimeZone};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction, Case};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, lit};
use datafusion::physical_expr::PhysicalExpr;

use super::buckets::Buckets;
use super::definition::{Definition, Rows, Source, place_of};
use super::plan::{ALL, Planning, filtered, outside, partials, within};
use super::registry::continuous;
use super::states::{Answer, RowState, answer_of};
use super::steps::{Steps, Time};
use crate::error::Error;
use crate::functions::{SessionVars, aggregate_name};
use crate::scan::ChunkTable;
use crate::shape::{column, over_scan};

/// The setting that turns this off.
pub(crate) const SETTING: &str = "timescaledb.enable_cagg_rewrites";

/// More pieces of what a store says than these are not worth a plan.
const PIECES_MAX: usize = 32;

const DAY_US: i64 = chronolith_types::datetime::US_PER_DAY;

/// An aggregate over a hypertable's rows.
struct Query<'p> {
    table: TableId,
    aggregate: &'p Aggregate,
    /// Over the table's columns.
    groups: Vec<Expr>,
    conditions: Vec<Expr>,
    calls: Vec<(String, AggregateFunction)>,
    /// The table's columns.
    schema: DFSchema,
}

/// A continuous aggregate over the rows of a hypertable, however many are between.
struct Candidate {
    view: TableId,
    name: String,
    definition: Arc<Definition>,
    /// Over the table's columns; the bucket's is a call of `time_bucket`.
    groups: Vec<Expr>,
    conditions: Vec<Expr>,
    /// The states that its store keeps.
    states: Vec<RowState>,
}

/// What a query takes from a continuous aggregate.
struct Match {
    /// The query's groups, over the store's columns.
    groups: Vec<Expr>,
    /// Conditions on groups, over the same.
    conditions: Vec<Expr>,
    /// The times that are asked for.
    times: Range<i64>,
    /// What each of the query's calls is made of.
    answers: Vec<Answer>,
}

impl Planning<'_> {
    /// A plan that reads continuous aggregates where it would read raw rows, with the names of those
    /// that it reads; None when none serves.
    pub(crate) fn rewritten(
        &self,
        plan: &LogicalPlan,
        session: &SessionState,
    ) -> Result<Option<(LogicalPlan, Vec<String>)>, Error> {
        let mut used = Vec::new();
        let done = plan.clone().transform_down_with_subqueries(|node| {
            let LogicalPlan::Aggregate(aggregate) = &node else {
                return Ok(Transformed::no(node));
            };
            Ok(match self.answered(aggregate, session)? {
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

    fn answered(
        &self,
        aggregate: &Aggregate,
        session: &SessionState,
    ) -> Result<Option<(LogicalPlan, String)>, Error> {
        let Some(mut query) = Query::of(aggregate)? else {
            return Ok(None);
        };
        let Some(table) = self.database.tables.get(&query.table) else {
            return Ok(None);
        };
        let vars = SessionVars::of(session.config_options());
        let time = table.hypertable.as_ref();
        let Some(time) = time.and_then(|hypertable| table.column(hypertable.time)) else {
            return Ok(None);
        };
        let time = Time {
            name: &time.name,
            ty: &time.ty,
            zone: TimeZone::parse(&vars.time_zone).unwrap_or(TimeZone::Utc),
        };
        let mut folded = false;
        let mut serving: Vec<(i64, Candidate, Match)> = Vec::new();
        for view in self.database.views.values() {
            let Some(candidate) = self.candidate(view, table, &time)? else {
                continue;
            };
            if !std::mem::replace(&mut folded, true) {
                for condition in &mut query.conditions {
                    *condition = constant(condition, session)?;
                }
            }
            if let Some(found) = query.served_by(&candidate, table, &time)? {
                let width = candidate.definition.buckets.width().length();
                serving.push((width, candidate, found));
            }
        }
        // The fewest rows have those of the widest buckets.
        serving.sort_by_key(|(width, ..)| std::cmp::Reverse(*width));
        for (_, candidate, found) in serving {
            if let Some(plan) = self.plan_of(&query, &candidate, &found)? {
                return Ok(Some((plan, candidate.name)));
            }
        }
        Ok(None)
    }

    /// A view as one over the rows of a table; None when it is not.
    fn candidate(
        &self,
        view: &View,
        table: &Table,
        time: &Time<'_>,
    ) -> Result<Option<Candidate>, Error> {
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
                let Some(below) = self.candidate(parent, table, time)? else {
                    return Ok(None);
                };
                let known = below.definition.groups.iter().zip(&below.groups);
                let known: Vec<(Expr, Expr)> = known
                    .map(|(group, expr)| (column(&group.name), expr.clone()))
                    .collect();
                let bucket = below.definition.bucket_name();
                let of_bucket = Time {
                    name: bucket,
                    ..*time
                };
                let ranges = times_of(table);
                let flattened = |expr: &Expr| -> DfResult<Expr> {
                    // A bucket of what a bucket begins with is one of the time itself.
                    let steps = Steps::of(expr, &of_bucket);
                    let buckets = &below.definition.buckets;
                    match steps.is_some_and(|steps| steps.keep_to(buckets, &ranges, time.ty)) {
                        true => replaced(expr, &[(column(bucket), column(time.name))]),
                        false => replaced(expr, &known),
                    }
                };
                let groups = definition.groups.iter();
                let groups = groups.map(|group| flattened(&group.expr));
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
            groups,
            conditions,
            states: self.row_states(&definition)?,
            definition,
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
                let ty = time.map_or(SqlType::Timestamptz(None), |(_, time)| time.ty.clone());
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
        let ty = bucket.map_or(SqlType::Timestamptz(None), |group| group.ty.clone());
        let bucket = column(definition.bucket_name());
        let all = stored.first() == Some(&ALL);
        // Nothing of these is owed.
        let mut rows = self.scan(self.store_of(candidate.view)?)?;
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
        for (name, expr) in found.answers.iter().flat_map(|answer| &answer.merged) {
            if !merged.iter().any(|(known, _)| known == name) {
                merged.push((name.clone(), expr.clone()));
            }
        }
        let merged = merged.into_iter().map(|(name, expr)| expr.alias(name));
        let plan = Aggregate::try_new(Arc::new(rows), groups.collect(), merged.collect())?;
        let (group_names, call_names) = names.split_at(found.groups.len());
        let mut outputs: Vec<Expr> = group_names.iter().map(|name| column(name)).collect();
        for ((answer, name), (_, call)) in found.answers.iter().zip(call_names).zip(&query.calls) {
            let mut answer = answer.value.clone();
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
        // Of what is to be computed anew it does not tell yet.
        for mark in &rollup.invalid {
            stored = without(&stored, &mark.range);
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
        let some = !stored.is_empty() && stored.len() <= PIECES_MAX;
        Ok(some.then_some(stored))
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
            schema: DFSchema::try_from(scan.source.schema().as_ref().clone())?,
            aggregate,
        }))
    }

    fn served_by(
        &self,
        candidate: &Candidate,
        table: &Table,
        time: &Time<'_>,
    ) -> Result<Option<Match>, Error> {
        let definition = &candidate.definition;
        let mut answers = Vec::with_capacity(self.calls.len());
        for (place, (_, call)) in self.calls.iter().enumerate() {
            let known = definition.aggs.iter().find_map(|agg| match &agg.of_rows {
                Some((known, value)) if known == call => Some(Answer {
                    merged: agg.parts.merged.clone(),
                    value: value.clone(),
                }),
                _ => None,
            });
            let found = match known {
                Some(known) => Some(known),
                None => answer_of(call, &self.schema, &candidate.states, table, place)?,
            };
            match found {
                Some(found) => answers.push(found),
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
        let mut times = i64::MIN..i64::MAX;
        let mut rest = Vec::new();
        for condition in &self.conditions {
            if candidate.conditions.contains(condition) {
                continue;
            }
            match time_range(condition, time.name, time.ty) {
                Some(range) => times = meet(&times, &range),
                None => rest.push(condition),
            }
        }
        if times.start >= times.end {
            return Ok(None);
        }
        let Some(bucket) = candidate.groups.get(definition.bucket) else {
            return Ok(None);
        };
        let known = candidate.groups.iter().zip(&definition.groups);
        let known = known.map(|(expr, group)| (expr.clone(), column(&group.name)));
        // Whether the bucket is one of the time itself, so that others may be made of it.
        let direct = Steps::of(bucket, time).is_some();
        let asked = times_of(table).into_iter();
        let over = Over {
            known: known.collect(),
            time,
            buckets: direct.then_some(&definition.buckets),
            bucket: column(definition.bucket_name()),
            ranges: asked.map(|range| meet(&range, &times)).collect(),
        };
        let mut conditions = Vec::new();
        for condition in rest {
            match over.rewrite(condition)? {
                Some(condition) => conditions.push(condition),
                None => return Ok(None),
            }
        }
        let mut groups = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            match over.rewrite(group)? {
                Some(expr) => groups.push(expr),
                None => return Ok(None),
            }
        }
        Ok(Some(Match {
            groups,
            conditions,
            times,
            answers,
        }))
    }
}

fn meet(one: &Range<i64>, other: &Range<i64>) -> Range<i64> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// The times that a table has rows of.
fn times_of(table: &Table) -> Vec<Range<i64>> {
    let chunks = table.chunks.values();
    chunks.map(|chunk| chunk.range.clone()).collect()
}

/// What stands in a store for what a query has of a table's columns.
struct Over<'a> {
    /// Groups, as the query has them, and their columns.
    known: Vec<(Expr, Expr)>,
    time: &'a Time<'a>,
    /// The buckets, where they are of the time itself.
    buckets: Option<&'a Buckets>,
    /// The column of their starts.
    bucket: Expr,
    /// The times that matter.
    ranges: Vec<Range<i64>>,
}

impl Over<'_> {
    /// An expression over groups alone, over the store's columns; None for one over other columns.
    fn rewrite(&self, expr: &Expr) -> DfResult<Option<Expr>> {
        let mut lost = false;
        let done = expr.clone().transform_down(|node| {
            if let Some((_, to)) = self.known.iter().find(|(from, _)| *from == node) {
                return Ok(Transformed::new(to.clone(), true, TreeNodeRecursion::Jump));
            }
            if let Some(buckets) = self.buckets
                && let Some(steps) = Steps::of(&node, self.time)
                && steps.keep_to(buckets, &self.ranges, self.time.ty)
            {
                let node = replaced(&node, &[(column(self.time.name), self.bucket.clone())])?;
                return Ok(Transformed::new(node, true, TreeNodeRecursion::Jump));
            }
            if matches!(node, Expr::Column(_)) {
                lost = true;
            }
            Ok(Transformed::no(node))
        })?;
        let volatile = done.data.is_volatile();
        Ok((!lost && !volatile).then_some(done.data))
    }
}

/// An expression with what it has of no column, such as `now()`, as constants.
fn constant(expr: &Expr, session: &SessionState) -> DfResult<Expr> {
    let nothing = DFSchema::empty();
    let done = expr.clone().transform_down(|node| {
        if matches!(node, Expr::Literal(..)) || node.is_volatile() {
            return Ok(Transformed::no(node));
        }
        let bound = node.exists(|node| {
            Ok(matches!(
                node,
                Expr::Column(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Placeholder(_)
                    | Expr::ScalarSubquery(_)
                    | Expr::Exists(_)
                    | Expr::InSubquery(_)
                    | Expr::SetComparison(_)
            ))
        })?;
        if bound {
            return Ok(Transformed::no(node));
        }
        // What it fails with, it fails with when it is run.
        let value = session
            .create_physical_expr(node.clone(), &nothing)
            .and_then(|expr| constant_value(&expr));
        Ok(match value {
            Ok(value) => {
                Transformed::new(Expr::Literal(value, None), true, TreeNodeRecursion::Jump)
            }
            Err(_) => Transformed::new(node, false, TreeNodeRecursion::Jump),
        })
    })?;
    Ok(done.data)
}

fn constant_value(expr: &Arc<dyn PhysicalExpr>) -> DfResult<ScalarValue> {
    let one = RecordBatchOptions::new().with_row_count(Some(1));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &one)?;
    let value = expr.evaluate(&nothing)?.into_array(1)?;
    ScalarValue::try_from_array(&value, 0)
}

pub(super) fn replaced(expr: &Expr, known: &[(Expr, Expr)]) -> DfResult<Expr> {
    let done = expr.clone().transform_down(|node| {
        let found = known.iter().find(|(from, _)| *from == node);
        Ok(match found {
            Some((_, to)) => Transformed::new(to.clone(), true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(done.data)
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
            SqlType::Timestamptz(_) | SqlType::Timestamp(_),
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
