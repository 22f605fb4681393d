//! Aggregation of a cold part that is sorted by series and time: a bucket is a run of rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StringViewArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use chronolith_types::{ColumnId, SqlType};

use super::cells::{Scalar, float_overflow, wide_product};
use super::fold::{
    Convert, Raw, any_infinite, choose, conversion, greatest, least, sum, sum_of_products, value_at,
};
use super::{AggKind, Found, Keys, Partial, Query};
use crate::cold::{ColdPart, US_PER_DAY};
use crate::error::ChunkError;
use crate::layout::Layout;
use crate::numbers::{NumberColumn, NumberReader, Numbers};

/// Rows unpacked at a time: few enough that they stay in the core's own cache.
const STEP_ROWS: usize = 32 * 1024;

#[derive(Debug)]
struct Column {
    id: ColumnId,
    /// None for a column that is younger than the part: NULL in all rows.
    convert: Option<Convert>,
    date: bool,
}

/// What the pieces of a part share.
#[derive(Debug)]
pub(crate) struct Plan {
    part: Arc<ColdPart>,
    columns: Vec<Column>,
    /// The place of the time column among the columns.
    time: Option<usize>,
    /// Places of each aggregate's column, and of its time column or factor, among the columns.
    aggs: Vec<(Option<usize>, Option<usize>)>,
    /// Whether rows lie outside the times asked for.
    cut: bool,
}

/// Neighbouring series of a part, within one row group.
#[derive(Debug)]
pub(crate) struct Piece {
    plan: Arc<Plan>,
    group: usize,
    pub(crate) rows: Range<u64>,
    /// Rows and the group of each series, the first and the last perhaps cut.
    series: Vec<(Range<u64>, u32)>,
}

/// Buffers that a worker uses again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    columns: Vec<Option<NumberColumn>>,
    times: Vec<i64>,
}

/// The pieces of a part; None when its rows have to be hashed.
pub(crate) fn pieces(
    query: &Query<'_>,
    part: &Arc<ColdPart>,
    keys: &mut Keys,
) -> Result<Option<Vec<Piece>>, ChunkError> {
    if part.deleted().is_some() {
        // Its columns are read apart from each other, and a row that is to be left out lies in all.
        return Ok(None);
    }
    let (layout, request) = (query.layout, query.request);
    let directory = part.directory();
    let id = |place: &usize| layout.columns.get(*place).map(|column| column.id);
    let of_series = |place: &usize| id(place).and_then(|id| directory.place_of(id)).is_some();
    let by_series =
        request.groups.iter().all(of_series) && request.equals.iter().all(|(p, _)| of_series(p));
    let by_time = match (layout.time, directory.order.first()) {
        (None, _) => true,
        (Some(time), Some(first)) => Some(first.column) == id(&time) && !first.descending,
        (Some(_), None) => false,
    };
    // What the part was sorted by counts, not what its table says since.
    if !by_series || !by_time {
        return Ok(None);
    }
    let Some(plan) = plan(query, part) else {
        return Ok(None);
    };
    let plan = Arc::new(plan);
    let selected = part.select_series(layout, &request.time, &request.equals);
    let Some(numbers) = keys_of_series(layout, part, &request.groups, &selected, keys)? else {
        return Ok(None);
    };
    let series = &part.directory().series;
    let mut pieces: Vec<Piece> = Vec::new();
    let mut group = 0;
    for (number, key) in selected.iter().zip(numbers) {
        let Some(series) = series.get(*number) else {
            continue;
        };
        let mut rows = series.start..series.start + series.rows;
        while !rows.is_empty() {
            let Some(of_group) = part.groups().get(group) else {
                break;
            };
            if of_group.end <= rows.start {
                group += 1;
                continue;
            }
            let here = rows.start..rows.end.min(of_group.end);
            rows.start = here.end;
            match pieces.last_mut() {
                Some(last) if last.group == group && last.rows.end == here.start => {
                    last.rows.end = here.end;
                    last.series.push((here, key));
                }
                _ => pieces.push(Piece {
                    plan: Arc::clone(&plan),
                    group,
                    rows: here.clone(),
                    series: vec![(here, key)],
                }),
            }
        }
    }
    Ok(Some(pieces))
}

fn plan(query: &Query<'_>, part: &Arc<ColdPart>) -> Option<Plan> {
    let (layout, request) = (query.layout, query.request);
    let mut places: Vec<usize> = Vec::new();
    let mut columns = Vec::new();
    let mut add = |place: usize| -> Option<usize> {
        if let Some(known) = places.iter().position(|known| *known == place) {
            return Some(known);
        }
        let column = layout.columns.get(place)?;
        let convert = match part.stored_type(column.id) {
            None => None,
            Some(stored) => Some(conversion(stored, &column.ty)?),
        };
        places.push(place);
        columns.push(Column {
            id: column.id,
            convert,
            date: column.ty == SqlType::Date,
        });
        Some(places.len() - 1)
    };
    let cut = !request.all_times()
        && part
            .times()
            .is_none_or(|(first, last)| first < request.time.start || last >= request.time.end);
    let time = match layout.time {
        Some(place) if request.bucket.is_some() || cut => Some(add(place)?),
        _ => None,
    };
    let mut aggs = Vec::new();
    for agg in &request.aggs {
        let column = match (agg.kind, agg.column) {
            (AggKind::CountStar, _) | (_, None) => None,
            (AggKind::Count, Some(place)) => {
                let id = layout.columns.get(place)?.id;
                match part.may_be_null(id) {
                    false => None,
                    true => Some(add(place)?),
                }
            }
            (_, Some(place)) => Some(add(place)?),
        };
        let time = match (agg.kind, agg.time) {
            (AggKind::First | AggKind::Last, Some(place)) => Some(add(place)?),
            (AggKind::SumProduct, _) => Some(add(agg.factor?)?),
            _ => None,
        };
        aggs.push((column, time));
    }
    Some(Plan {
        part: Arc::clone(part),
        columns,
        time,
        aggs,
        cut,
    })
}

/// The number of each series' group; None when a group column's text does not say its value.
pub(crate) fn keys_of_series(
    layout: &Layout,
    part: &ColdPart,
    groups: &[usize],
    selected: &[usize],
    keys: &mut Keys,
) -> Result<Option<Vec<u32>>, ChunkError> {
    if groups.is_empty() {
        let key = keys.number(&[]);
        return Ok(Some(vec![key; selected.len()]));
    }
    let series = &part.directory().series;
    let mut columns: Vec<ArrayRef> = Vec::new();
    for place in groups {
        let Some(column) = layout.columns.get(*place) else {
            return Ok(None);
        };
        let Some(segment) = part.directory().place_of(column.id) else {
            return Ok(None);
        };
        let text = selected.iter().map(|number| {
            let values = &series.get(*number)?.values;
            values.get(segment)?.as_deref()
        });
        let ty = column.ty.arrow();
        columns.push(match ty {
            DataType::Utf8View => Arc::new(StringViewArray::from_iter(text)),
            DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Boolean
            | DataType::Date32 => {
                let text: ArrayRef = Arc::new(StringArray::from_iter(text));
                let strict = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                cast_with_options(&text, &ty, &strict)?
            }
            _ => return Ok(None),
        });
    }
    Ok(Some(keys.of(&columns)?))
}

/// Aggregates a piece.
pub(crate) fn run(
    query: &Query<'_>,
    piece: &Piece,
    scratch: &mut Scratch,
) -> Result<Found, ChunkError> {
    let plan = &*piece.plan;
    let mut partial = Partial::new(query);
    let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let group_start = plan
        .part
        .groups()
        .get(piece.group)
        .map_or(0, |rows| rows.start);
    let mut readers: Vec<Option<NumberReader>> = Vec::with_capacity(plan.columns.len());
    for column in &plan.columns {
        let mut reader = match column.convert {
            Some(_) => plan.part.numbers(piece.group, column.id)?,
            None => None,
        };
        if let Some(reader) = &mut reader {
            reader.skip(count(piece.rows.start - group_start))?;
        }
        readers.push(reader);
    }
    scratch.columns.clear();
    scratch.columns.resize_with(readers.len(), || None);
    let mut series = piece.series.iter().peekable();
    let mut at = piece.rows.start;
    while at < piece.rows.end {
        let step = STEP_ROWS.min(count(piece.rows.end - at));
        for (reader, column) in readers.iter_mut().zip(&mut scratch.columns) {
            if let Some(reader) = reader {
                reader.read(step, column)?;
            }
        }
        if let Some(place) = plan.time {
            let (column, date) = (
                scratch.columns.get_mut(place).and_then(Option::as_mut),
                plan.columns.get(place).is_some_and(|column| column.date),
            );
            fill_times(column.as_deref(), date, step, &mut scratch.times);
        }
        let end = at + step as u64;
        while let Some((rows, key)) = series.peek() {
            if rows.start >= end {
                break;
            }
            let here = count(rows.start.max(at) - at)..count(rows.end.min(end) - at);
            aggregate(query, plan, scratch, here, *key, &mut partial)?;
            if rows.end > end {
                break;
            }
            series.next();
        }
        at = end;
    }
    Ok(Found {
        partial,
        keys: None,
    })
}

fn fill_times(column: Option<&NumberColumn>, date: bool, rows: usize, times: &mut Vec<i64>) {
    times.clear();
    let unit = if date { US_PER_DAY } else { 1 };
    match column.map(|column| &column.values) {
        Some(Numbers::I64(values)) => times.extend_from_slice(values),
        Some(Numbers::I32(values)) => {
            times.extend(
                values
                    .iter()
                    .map(|value| i64::from(*value).saturating_mul(unit)),
            );
        }
        _ => times.resize(rows, 0),
    }
}

/// Takes in rows of one series.
fn aggregate(
    query: &Query<'_>,
    plan: &Plan,
    scratch: &Scratch,
    mut rows: Range<usize>,
    key: u32,
    partial: &mut Partial,
) -> Result<(), ChunkError> {
    if plan.cut {
        let times = scratch.times.get(rows.clone()).unwrap_or_default();
        let from = times.partition_point(|time| *time < query.request.time.start);
        let to = times.partition_point(|time| *time < query.request.time.end);
        rows = rows.start + from..rows.start + to;
    }
    while !rows.is_empty() {
        let (bucket, end) = match &query.request.bucket {
            None => (0, rows.end),
            Some(bucket_of) => {
                let times = scratch.times.get(rows.clone()).unwrap_or_default();
                let Some(first) = times.first() else {
                    return Ok(());
                };
                let bucket = bucket_of(*first)?;
                let length = run_length(times, |time| time < bucket.end || time == *first);
                (bucket.start, rows.start + length)
            }
        };
        let last = partial.keys.len().wrapping_sub(1);
        let goes_on = partial.keys.last() == Some(&key) && partial.buckets.last() == Some(&bucket);
        let place = if goes_on {
            last
        } else {
            partial.push(key, bucket)
        };
        take(query, plan, scratch, rows.start..end, partial, place)?;
        rows.start = end;
    }
    Ok(())
}

/// How many values at the beginning are such; looks ahead in steps that double.
fn run_length(times: &[i64], such: impl Fn(i64) -> bool) -> usize {
    let mut step = 1;
    let mut known = 0;
    while let Some(time) = times.get(known + step) {
        if !such(*time) {
            break;
        }
        known += step;
        step *= 2;
    }
    let end = (known + step).min(times.len());
    let rest = times.get(known..end).unwrap_or_default();
    known + rest.partition_point(|time| such(*time))
}

fn take(
    query: &Query<'_>,
    plan: &Plan,
    scratch: &Scratch,
    rows: Range<usize>,
    partial: &mut Partial,
    place: usize,
) -> Result<(), ChunkError> {
    let column_at = |at: usize| {
        let convert = plan.columns.get(at)?.convert?;
        let column = scratch.columns.get(at)?.as_ref()?;
        Some((column, convert))
    };
    for ((agg, (column, time)), cells) in query
        .request
        .aggs
        .iter()
        .zip(&plan.aggs)
        .zip(&mut partial.cells)
    {
        match agg.kind {
            AggKind::CountStar => cells.count(place, rows.len()),
            AggKind::Count => {
                let count = match column {
                    None => rows.len(),
                    Some(at) => column_at(*at).map_or(0, |(column, _)| {
                        column.valid.as_ref().map_or(rows.len(), |valid| {
                            let valid = valid.get(rows.clone()).unwrap_or_default();
                            valid.iter().filter(|valid| **valid).count()
                        })
                    }),
                };
                cells.count(place, count);
            }
            AggKind::First | AggKind::Last => {
                let Some(time) = time else {
                    continue;
                };
                let chosen = match plan.time {
                    Some(own) if own == *time => {
                        let row = match agg.kind {
                            AggKind::First => rows.start,
                            _ => rows.end - 1,
                        };
                        scratch.times.get(row).map(|time| (row, *time))
                    }
                    _ => {
                        let date = plan.columns.get(*time).is_some_and(|column| column.date);
                        column_at(*time)
                            .and_then(|(column, _)| choose(agg.kind, column, date, rows.clone()))
                    }
                };
                if let Some((row, time)) = chosen {
                    let value = column.and_then(column_at).and_then(|(column, convert)| {
                        Some(value_at(column, row)?.converted(convert))
                    });
                    cells.take(place, time, value.transpose()?)?;
                }
            }
            AggKind::SumProduct => {
                let (Some((one, Convert::Decimal(up))), Some((other, Convert::Decimal(more)))) =
                    (column.and_then(column_at), time.and_then(column_at))
                else {
                    continue;
                };
                if let Some(sum) = sum_of_products(one, other, rows.clone()) {
                    let factor = wide_product(up, more);
                    let sum = Scalar::Big(sum.wrapping_mul(factor));
                    cells.take(place, 0, Some(sum))?;
                }
            }
            AggKind::Min | AggKind::Max | AggKind::Sum => {
                let Some((column, convert)) = column.and_then(column_at) else {
                    continue;
                };
                let value = match agg.kind {
                    AggKind::Min => least(column, rows.clone()),
                    AggKind::Max => greatest(column, rows.clone()),
                    _ => sum(column, rows.clone()),
                };
                if let Some(value) = value {
                    let value = match agg.kind {
                        AggKind::Sum => {
                            if let Raw::Float(sum) = value
                                && sum.is_infinite()
                                && !any_infinite(column, rows.clone())
                            {
                                return Err(float_overflow());
                            }
                            value.sum_converted(convert)?
                        }
                        _ => value.converted(convert)?,
                    };
                    cells.take(place, 0, Some(value))?;
                }
            }
        }
    }
    Ok(())
}
