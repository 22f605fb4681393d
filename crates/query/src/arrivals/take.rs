//! The rows of a dump have come: candles whose raw rows it does not have are taken as they are.
//!
//! Which these are is known from the ranges of the raw chunks: a bucket that does not lie wholly in
//! them was computed from rows that are gone. What was computed here within it goes, so that rows
//! that the dump does have of it are not counted twice.

use std::ops::Range;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{ArrivalChange, ArrivedAggregate, ArrivedPart, Change, Database};
use chronolith_chunk::cold;
use chronolith_sql::quoted;
use chronolith_types::{SqlState, TableId};
use futures::StreamExt;

use super::{alone, change, finals, key};
use crate::bind::bind_query;
use crate::ddl::hypertable::table_of;
use crate::error::Error;
use crate::labels;
use crate::outcome::Severity;
use crate::rollups::{Definition, continuous};
use crate::session::{self, SessionNames, Shared};

/// All rows of a table of a dump have come: what waited for them goes on.
///
/// # Errors
/// Those of reading and writing rows.
pub(crate) async fn loaded(shared: &Arc<Shared>, schema: &str, name: &str) -> Result<(), Error> {
    let known = key(schema, name);
    if !shared.home()?.arrival.parts.contains_key(&known) {
        return Ok(());
    }
    alone(shared)?;
    let home = shared.home()?;
    let Some(part) = home.arrival.parts.get(&known) else {
        return Ok(());
    };
    let part = ArrivedPart {
        loaded: true,
        ..part.clone()
    };
    change(shared, ArrivalChange::Part { name: known, part })?;
    while let Some((number, aggregate)) = complete(&*shared.home()?) {
        take(shared, &aggregate).await?;
        let aggregate = ArrivedAggregate {
            taken: true,
            ..aggregate
        };
        change(shared, ArrivalChange::Aggregate { number, aggregate })?;
    }
    Ok(())
}

/// What an aggregate is computed from: its table, and the aggregate that this is the rows of.
fn source(home: &Database, aggregate: &ArrivedAggregate) -> Option<(TableId, Option<TableId>)> {
    let view = home.views.get(&aggregate.view)?;
    let kept = continuous(view)?.continuous.as_ref()?;
    Some((kept.source, kept.parent))
}

fn of_parent(home: &Database, parent: TableId) -> Option<&ArrivedAggregate> {
    let mut all = home.arrival.aggregates.values();
    all.find(|of| of.view == parent)
}

/// An aggregate that has all its candles, and all rows that it is computed from.
fn complete(home: &Database) -> Option<(i32, ArrivedAggregate)> {
    let come = |table: TableId| {
        let parts = home.arrival.parts.values();
        parts
            .filter(|part| part.table == table)
            .all(|part| part.loaded)
    };
    let mut all = home.arrival.aggregates.iter();
    let found = all.find(|(_, aggregate)| {
        let above = match source(home, aggregate) {
            Some((_, Some(parent))) => of_parent(home, parent).is_none_or(|parent| parent.taken),
            Some((table, None)) => come(table),
            None => false,
        };
        !aggregate.taken && aggregate.store.is_some() && come(aggregate.rows) && above
    });
    found.map(|(number, aggregate)| (*number, aggregate.clone()))
}

/// The times whose rows the dump has of what an aggregate is computed from.
fn covered(home: &Database, aggregate: &ArrivedAggregate) -> Vec<Range<i64>> {
    let mut ranges = Vec::new();
    let mut below = Some(aggregate.clone());
    while let Some(aggregate) = below.take() {
        let Some((table, parent)) = source(home, &aggregate) else {
            break;
        };
        match parent {
            None => {
                let table = home.tables.get(&table);
                let chunks = table.into_iter().flat_map(|table| table.chunks.values());
                ranges.extend(chunks.map(|chunk| chunk.range.clone()));
            }
            Some(parent) => {
                below = of_parent(home, parent).cloned();
                let parts = home.arrival.parts.values();
                let own =
                    parts.filter(|part| below.as_ref().is_some_and(|of| of.rows == part.table));
                ranges.extend(own.filter_map(|part| part.range.clone()));
            }
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<i64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// The ranges of whole buckets, of those that there are, that rows of the dump do not cover.
fn uncovered(
    buckets: &[i64],
    covered: &[Range<i64>],
    next: impl Fn(i64) -> Option<i64>,
) -> Vec<Range<i64>> {
    let mut ranges: Vec<(usize, Range<i64>)> = Vec::new();
    for start in buckets {
        let end = next(*start).unwrap_or(i64::MAX);
        let gap = covered.partition_point(|range| range.end <= *start);
        let within = covered
            .get(gap)
            .is_some_and(|range| range.start <= *start && end <= range.end);
        if within {
            continue;
        }
        match ranges.last_mut() {
            // Between two covered ranges all is as it is told.
            Some((last, range)) if *last == gap || range.end >= *start => {
                *last = gap;
                range.end = range.end.max(end);
            }
            _ => ranges.push((gap, *start..end)),
        }
    }
    ranges.into_iter().map(|(_, range)| range).collect()
}

async fn take(shared: &Arc<Shared>, aggregate: &ArrivedAggregate) -> Result<(), Error> {
    let home = shared.home()?;
    let (Some(store), Some(rows)) = (aggregate.store, home.tables.get(&aggregate.rows)) else {
        return Ok(());
    };
    let store = table_of(shared, store)?;
    let definition = shared.instance.registry.definition(&home, aggregate.view)?;
    let from = format!(
        "{}.{}",
        quoted(Database::INTERNAL_SCHEMA),
        quoted(&rows.name)
    );
    let ranges = missing(shared, &home, aggregate, &definition, &from).await?;
    if !ranges.is_empty() {
        let asked = match finals::states(&definition, &store, &aggregate.columns) {
            Ok(asked) => asked,
            Err(why) => {
                keep(shared, &home, aggregate, &why, &from);
                return Ok(());
            }
        };
        let text = format!("SELECT {} FROM {from}", asked.join(", "));
        let mut batches = Vec::new();
        let mut answer = read(shared, &text).await?;
        let schema = chronolith_engine::layout_of(&store);
        while let Some(batch) = answer.next().await {
            let columns = batch?.columns().to_vec();
            batches.push(RecordBatch::try_new(Arc::clone(schema.schema()), columns)?);
        }
        labels::replace(shared, &store, &ranges, batches.into_iter().map(Ok))?;
    }
    shared.change_unguarded(Change::DropTable {
        database: shared.database,
        id: aggregate.rows,
    })?;
    let gone = key(Database::INTERNAL_SCHEMA, &rows.name);
    let parts = home.arrival.parts.iter();
    let parts = parts.filter(|(_, part)| part.table == aggregate.rows);
    for name in parts.map(|(name, _)| name.clone()).chain([gone]) {
        change(shared, ArrivalChange::Aside { name })?;
    }
    Ok(())
}

/// The ranges of candles that there is nothing to compute from.
async fn missing(
    shared: &Arc<Shared>,
    home: &Database,
    aggregate: &ArrivedAggregate,
    definition: &Definition,
    from: &str,
) -> Result<Vec<Range<i64>>, Error> {
    let mut outputs = definition.outputs.iter();
    let bucket = outputs.position(|output| {
        let name = definition.bucket_name();
        matches!(&output.expr, datafusion::logical_expr::Expr::Column(column) if column.name == *name)
    });
    let Some(column) = bucket.and_then(|place| aggregate.columns.get(place)) else {
        return Ok(Vec::new());
    };
    let text = format!("SELECT DISTINCT {} FROM {from}", quoted(column));
    let mut buckets = Vec::new();
    let mut answer = read(shared, &text).await?;
    while let Some(batch) = answer.next().await {
        buckets.extend(cold::times(batch?.column(0))?.iter().copied());
    }
    buckets.sort_unstable();
    let covered = covered(home, aggregate);
    Ok(uncovered(&buckets, &covered, |at| {
        definition.buckets.next(at)
    }))
}

async fn read(shared: &Arc<Shared>, text: &str) -> Result<crate::outcome::RowStream, Error> {
    let query = chronolith_sql::query(text)?;
    let bound = bind_query(&SessionNames::new(shared)?, &query, &[])?;
    session::run(shared, &bound.plan).await
}

/// Says that candles stay where the dump has them.
fn keep(shared: &Shared, home: &Database, aggregate: &ArrivedAggregate, why: &str, from: &str) {
    let view = home.views.get(&aggregate.view);
    let name = view.map_or("", |view| view.name.as_str());
    let warning = Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("rows of continuous aggregate \"{name}\" whose raw rows are gone are not in it"),
    )
    .detail(format!("It has {why}."))
    .hint(format!(
        "They are in {from}: rename that table, and join both by a view."
    ));
    shared.notice(Severity::Warning, warning);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges, as pairs, that are not covered; buckets are ten wide.
    fn missing(buckets: &[i64], covered: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let covered: Vec<_> = covered.iter().map(|(start, end)| *start..*end).collect();
        let ranges = uncovered(buckets, &covered, |at| Some(at + 10));
        ranges.into_iter().map(|of| (of.start, of.end)).collect()
    }

    #[test]
    fn buckets_that_lie_wholly_in_covered_times_are_computed() {
        let all: Vec<i64> = (0..10).map(|at| at * 10).collect();
        assert_eq!(missing(&all, &[(0, 100)]), []);
        assert_eq!(missing(&all, &[]), [(0, 100)]);
        // A bucket that lies across the end is gone in part.
        assert_eq!(missing(&all, &[(35, 100)]), [(0, 40)]);
        assert_eq!(missing(&all, &[(0, 50), (70, 100)]), [(50, 70)]);
        // Sparse candles of one gap are one range.
        assert_eq!(missing(&[0, 40, 70], &[(60, 100)]), [(0, 50)]);
        let two = missing(&[0, 10, 50, 80], &[(5, 20), (40, 70)]);
        assert_eq!(two, [(0, 10), (80, 90)]);
    }
}
