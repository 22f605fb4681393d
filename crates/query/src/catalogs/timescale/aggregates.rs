//! Continuous aggregates: what they are computed from, where their rows are, and what is still owed.

use std::collections::BTreeMap;
use std::ops::Range;

use chronolith_catalog::{Continuous, Database, Mark, Rollup, Table, View};
use chronolith_types::SqlType;

use super::Entry;
use crate::catalogs::context::Context;
use crate::catalogs::describe;
use crate::catalogs::objects::{Relation, dimension_us};
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{NULL, Rows, count, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "continuous_aggregates" => aggregates,
        "continuous_aggregate_progress" => progress,
        _ => return None,
    })
}

pub(super) fn fill_catalog(name: &str) -> Option<Fill> {
    Some(match name {
        "continuous_agg" => catalog,
        "continuous_aggs_bucket_function" => buckets,
        "continuous_aggs_materialization_invalidation_log" => marks,
        "continuous_aggs_watermark" => watermarks,
        "continuous_aggs_invalidation_threshold" => thresholds,
        _ => return None,
    })
}

/// A continuous aggregate with the tables it stands on.
struct Aggregate<'a> {
    view: &'a View,
    continuous: &'a Continuous,
    /// What it is computed from.
    source: Entry<'a>,
    /// What keeps its rows.
    store: Entry<'a>,
    rollup: &'a Rollup,
}

impl<'a> Aggregate<'a> {
    fn of(home: &'a Database, view: &'a View) -> Option<Self> {
        let materialized = view.materialized.as_ref()?;
        let continuous = materialized.continuous.as_ref()?;
        let store: &Table = home.tables.get(&materialized.table)?;
        Some(Self {
            view,
            continuous,
            source: Entry::of(home, home.tables.get(&continuous.source)?)?,
            store: Entry::of(home, store)?,
            rollup: store.rollup.as_ref()?,
        })
    }

    fn schema(&self, home: &'a Database) -> &'a str {
        Relation::View(self.view).schema(home).1
    }
}

/// All of them, in the order they were made.
fn all(home: &Database) -> impl Iterator<Item = Aggregate<'_>> {
    let views = home.views.values();
    let mut all: Vec<_> = views.filter_map(|view| Aggregate::of(home, view)).collect();
    all.sort_by_key(|aggregate| aggregate.store.hypertable.id);
    all.into_iter()
}

fn aggregates<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for aggregate in all(home) {
        rows.push(row![
            aggregate.source.schema,
            &aggregate.source.table.name,
            aggregate.schema(home),
            &aggregate.view.name,
            context.role_name(aggregate.view.owner),
            aggregate.continuous.materialized_only,
            aggregate.store.hypertable.compression.is_some(),
            aggregate.store.schema,
            &aggregate.store.table.name,
            describe::view_text(context, aggregate.view),
        ]);
    }
    Ok(())
}

/// TimescaleDB has views for the partial and for the direct form of each; here they are but names.
fn catalog<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for aggregate in all(home) {
        let id = aggregate.store.hypertable.id;
        let parent = aggregate.continuous.parent;
        let parent = parent.and_then(|parent| Aggregate::of(home, home.views.get(&parent)?));
        rows.push(row![
            id.0,
            aggregate.source.hypertable.id.0,
            parent.map(|parent| parent.store.hypertable.id.0),
            aggregate.schema(home),
            &aggregate.view.name,
            Database::INTERNAL_SCHEMA,
            format!("_partial_view_{id}"),
            Database::INTERNAL_SCHEMA,
            format!("_direct_view_{id}"),
            aggregate.continuous.materialized_only,
            NULL,
        ]);
    }
    Ok(())
}

/// How each makes its buckets.
fn buckets<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for aggregate in all(context.home()?) {
        let Some(call) = (context.buckets)(aggregate.view.id) else {
            continue;
        };
        rows.push(row![
            aggregate.store.hypertable.id.0,
            format!("public.{}", call.function),
            call.width,
            call.origin,
            call.offset,
            call.zone,
            call.fixed,
        ]);
    }
    Ok(())
}

/// Ranges whose buckets are computed from the source when they are read, until somebody has
/// rewritten them; the last value is included.
fn marks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for aggregate in all(context.home()?) {
        for Mark { range, .. } in &aggregate.rollup.invalid {
            let ty = &aggregate.store.time.ty;
            let shown = |value| dimension_us(ty, value).unwrap_or(value);
            let last = match range.end {
                i64::MAX => i64::MAX,
                end => shown(end).saturating_sub(1),
            };
            rows.push(row![
                aggregate.store.hypertable.id.0,
                shown(range.start),
                last,
            ]);
        }
    }
    Ok(())
}

/// Before all times and numbers of a type, as TimescaleDB counts them: its times begin in 4714 BC.
fn beginning(ty: &SqlType) -> i64 {
    const FIRST_US: i64 = -210_866_803_200_000_000;
    match ty {
        SqlType::Int2 => i16::MIN.into(),
        SqlType::Int4 => i32::MIN.into(),
        SqlType::Int8 => i64::MIN,
        _ => FIRST_US,
    }
}

/// Where the last bucket ends that is kept.
fn watermark(context: &Context, aggregate: &Aggregate<'_>) -> i64 {
    let ty = &aggregate.store.time.ty;
    let end = (context.last_bucket_end)(aggregate.view.id, aggregate.store.table.id);
    end.map_or_else(|| beginning(ty), |end| dimension_us(ty, end).unwrap_or(end))
}

/// Nothing lies behind it that only the source has: rows are added as they come. What was there
/// before the aggregate was, and is not filled in yet, is among [`marks`].
fn watermarks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for aggregate in all(context.home()?) {
        let id = aggregate.store.hypertable.id.0;
        rows.push(row![id, watermark(context, &aggregate)]);
    }
    Ok(())
}

/// Up to where a hypertable's aggregates are kept: the furthest of them.
fn thresholds<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let mut furthest = BTreeMap::new();
    for aggregate in all(context.home()?) {
        let end = watermark(context, &aggregate);
        let known = furthest.entry(aggregate.source.hypertable.id.0);
        let known = known.or_insert(end);
        *known = end.max(*known);
    }
    for (hypertable, end) in furthest {
        rows.push(row![hypertable, end]);
    }
    Ok(())
}

/// The times that a hypertable has chunks for.
fn extent(table: &Table) -> Option<Range<i64>> {
    let ranges = || table.chunks.values().map(|chunk| &chunk.range);
    let start = ranges().map(|range| range.start).min()?;
    let end = ranges().map(|range| range.end).max()?;
    Some(start..end)
}

/// What of the marked ranges lies where the source has chunks: those parts, in order, and how much of
/// the source's time is not among them, in percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn owed(invalid: &[Mark], extent: Option<Range<i64>>) -> (Vec<Range<i64>>, f64) {
    let Some(extent) = extent.filter(|extent| !extent.is_empty()) else {
        return (Vec::new(), 100.0);
    };
    let width = |range: &Range<i64>| i128::from(range.end) - i128::from(range.start);
    let within = invalid
        .iter()
        .map(|Mark { range, .. }| range.start.max(extent.start)..range.end.min(extent.end));
    let owed: Vec<_> = within.filter(|range| !range.is_empty()).collect();
    let open: i128 = owed.iter().map(width).sum();
    let done = 100.0 * (1.0 - open as f64 / width(&extent) as f64);
    (owed, done)
}

/// How far each is filled. Its readers see no difference: what is owed they compute themselves.
fn progress<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for aggregate in all(home) {
        let (owed, done) = owed(&aggregate.rollup.invalid, extent(aggregate.source.table));
        let ends = owed.first().zip(owed.last());
        let ends = ends.map(|(first, last)| (first.start, last.end));
        let ty = &aggregate.store.time.ty;
        let times =
            ends.and_then(|(start, end)| Some((dimension_us(ty, start)?, dimension_us(ty, end)?)));
        let numbers = ends.filter(|_| times.is_none());
        rows.push(row![
            aggregate.schema(home),
            &aggregate.view.name,
            done,
            count(owed.len()),
            times.map(|(start, _)| start),
            times.map(|(_, end)| end),
            numbers.map(|(start, _)| start),
            numbers.map(|(_, end)| end),
        ]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_source_has_is_owed() {
        let mark = |range| Mark { range, seq: 0 };
        let (ranges, done) = owed(&[mark(i64::MIN..i64::MAX)], Some(0..100));
        assert_eq!(
            (ranges.len(), ranges.first(), done),
            (1, Some(&(0..100)), 0.0)
        );
        let (ranges, done) = owed(&[mark(-50..10), mark(90..95), mark(200..300)], Some(0..100));
        assert_eq!((ranges, done), (vec![0..10, 90..95], 85.0));
        assert_eq!(owed(&[mark(0..10)], None), (Vec::new(), 100.0));
        assert_eq!(owed(&[], Some(0..100)), (Vec::new(), 100.0));
    }
}
