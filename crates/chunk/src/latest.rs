//! The newest or oldest rows, of all or of each series, from what parts know of their series: of a
//! packed series but the rows at its end are unpacked, and of older chunks none.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;

use crate::aggregate::{Keys, keys_of_series};
use crate::cold::{ColdPart, Wanted, time_array};
use crate::directory::Series;
use crate::error::ChunkError;
use crate::hot::HotSnapshot;
use crate::layout::Layout;
use crate::view::{ChunkView, Located, ScanRequest, scan_part};

/// Of which rows the newest or oldest are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latest {
    /// So many of all; with `ties` also those of the last one's time.
    Rows {
        /// How many.
        count: usize,
        /// Whether all of a time are wanted when one is.
        ties: bool,
    },
    /// One of each series; of equal times the one that arrived last, or for the oldest first.
    Series,
}

/// What [`latest_rows`] is asked for.
#[derive(Debug, Clone)]
pub struct LatestRequest {
    /// Places of the columns to give, in their order.
    pub projection: Vec<usize>,
    /// Times of the rows that count; half-open. Exact.
    pub time: Range<i64>,
    /// Text columns and the values that rows must have there. Exact.
    pub equals: Vec<(usize, Vec<String>)>,
    /// The newest, not the oldest.
    pub newest: bool,
    /// Of which rows.
    pub of: Latest,
}

/// Hot rows are looked at one by one: with more of them, one of each series is found better elsewhere.
const HOT_ROWS_MAX: usize = 65_536;

impl LatestRequest {
    /// Whether [`latest_rows`] answers this; else scan, and sort or aggregate.
    #[must_use]
    pub fn is_supported(&self, layout: &Layout, chunks: &[&ChunkView]) -> bool {
        let is_text = |place: &usize| {
            let column = layout.columns.get(*place);
            column.is_some_and(|column| column.ty.arrow() == arrow::datatypes::DataType::Utf8View)
        };
        if layout.time.is_none() || !self.equals.iter().all(|(place, _)| is_text(place)) {
            return false;
        }
        if self.of != Latest::Series {
            return true;
        }
        let met = |chunk: &&&ChunkView| chunk.meets(&self.time);
        chunks.iter().filter(met).all(|chunk| {
            let hot: usize = chunk.hot.iter().map(|part| part.rows()).sum();
            let inside = self.time.start <= chunk.range.start && chunk.range.end <= self.time.end;
            let sorted = chunk.cold.iter().all(|part| {
                // The row that ends a series may be gone.
                part.deleted().is_none()
                    && part.directory().is_sorted_as(layout)
                    && by_time(part, layout) == Some(false)
            });
            let asked = self
                .equals
                .iter()
                .all(|(place, _)| layout.segment_by.contains(place));
            hot <= HOT_ROWS_MAX && inside && sorted && (asked || chunk.cold.is_empty())
        }) && !layout.segment_by.is_empty()
            && layout.segment_by.iter().all(is_text)
    }
}

/// Whether a part's series are sorted by time, and then whether the newest row comes first.
fn by_time(part: &ColdPart, layout: &Layout) -> Option<bool> {
    let time = layout.columns.get(layout.time?)?.id;
    let first = part.directory().order.first()?;
    (first.column == time).then_some(first.descending)
}

/// The newest or oldest rows: of all in no order, of each series in the order of a scan.
///
/// # Errors
/// What the disk gives.
pub fn latest_rows(
    layout: &Arc<Layout>,
    chunks: &[&ChunkView],
    request: &LatestRequest,
) -> Result<Vec<RecordBatch>, ChunkError> {
    let Some(time) = layout.time else {
        return Err(ChunkError::Unsupported);
    };
    let mut needed = request.projection.clone();
    for place in request.equals.iter().map(|(place, _)| *place).chain([time]) {
        if !needed.contains(&place) {
            needed.push(place);
        }
    }
    let query = Query {
        layout,
        request,
        needed,
        time,
    };
    let mut wanted: Vec<&ChunkView> = chunks.to_vec();
    wanted.sort_by_key(|chunk| chunk.range.start);
    if request.newest {
        wanted.reverse();
    }
    let wanted = wanted
        .into_iter()
        .filter(|chunk| chunk.meets(&request.time));
    let batches = match request.of {
        Latest::Rows { count, ties } => query.rows(wanted, count, ties)?,
        Latest::Series => query.series(wanted)?,
    };
    let asked: Vec<usize> = (0..request.projection.len()).collect();
    batches
        .into_iter()
        .map(|batch| Ok(batch.project(&asked)?))
        .collect()
}

struct Query<'a> {
    layout: &'a Arc<Layout>,
    request: &'a LatestRequest,
    /// Columns that are read: those asked for first.
    needed: Vec<usize>,
    time: usize,
}

/// Rows that may be among those wanted.
#[derive(Default)]
struct Pool {
    batches: Vec<RecordBatch>,
    /// Time, batch and row; times negated where the oldest are wanted.
    rows: Vec<(i64, usize, usize)>,
}

impl Pool {
    /// Keeps the newest; with `ties` also those of the last one's time.
    fn cut(&mut self, count: usize, ties: bool) {
        if self.rows.len() < count || count == 0 {
            return;
        }
        self.rows
            .sort_unstable_by_key(|(time, ..)| std::cmp::Reverse(*time));
        let least = self.least(count);
        let kept = match ties {
            true => self.rows.partition_point(|(time, ..)| Some(*time) >= least),
            false => count,
        };
        self.rows.truncate(kept);
    }

    /// The time that a row must have to be among them, once there are enough. The rows are sorted.
    fn least(&self, count: usize) -> Option<i64> {
        self.rows.get(count.checked_sub(1)?).map(|(time, ..)| *time)
    }

    fn finish(self) -> Result<Vec<RecordBatch>, ChunkError> {
        let mut of_batches: Vec<Vec<u32>> = vec![Vec::new(); self.batches.len()];
        for (_, batch, row) in &self.rows {
            if let Some(rows) = of_batches.get_mut(*batch) {
                rows.push(u32::try_from(*row).unwrap_or(u32::MAX));
            }
        }
        let mut found = Vec::new();
        for (batch, rows) in self.batches.iter().zip(of_batches) {
            if !rows.is_empty() {
                found.push(take_record_batch(batch, &UInt32Array::from(rows))?);
            }
        }
        Ok(found)
    }
}

impl Query<'_> {
    fn rows<'a>(
        &self,
        chunks: impl Iterator<Item = &'a ChunkView>,
        count: usize,
        ties: bool,
    ) -> Result<Vec<RecordBatch>, ChunkError> {
        let mut pool = Pool::default();
        if count == 0 {
            return Ok(Vec::new());
        }
        for chunk in chunks {
            for part in &chunk.cold {
                self.rows_of_part(part, count, ties, &mut pool)?;
                pool.cut(count, ties);
            }
            for hot in &chunk.hot {
                self.rows_of_hot(hot, count, ties, &mut pool)?;
            }
            // Chunks do not overlap: all of the next one's rows are older.
            if pool.rows.len() >= count {
                break;
            }
        }
        pool.finish()
    }

    /// A time such that the greatest comes first.
    fn rank(&self, time: i64) -> i64 {
        match self.request.newest {
            true => time,
            false => !time,
        }
    }

    /// The rank of the row that comes first of some between two times.
    fn best(&self, (first, last): (i64, i64)) -> i64 {
        match self.request.newest {
            true => last,
            false => !first,
        }
    }

    fn rows_of_part(
        &self,
        part: &Arc<ColdPart>,
        count: usize,
        ties: bool,
        pool: &mut Pool,
    ) -> Result<(), ChunkError> {
        let request = self.request;
        let least = pool.least(count);
        let too_old = part
            .times()
            .is_some_and(|times| Some(self.best(times)) < least);
        if too_old {
            return Ok(());
        }
        let scan = ScanRequest {
            projection: self.needed.clone(),
            time: request.time.clone(),
            equals: request.equals.clone(),
            batch_rows: 8192,
            locators: false,
        };
        let id = |place: &usize| self.layout.columns.get(*place).map(|column| column.id);
        let of_series = |place: &usize| id(place).and_then(|id| part.directory().place_of(id));
        let by_series = request.equals.iter().all(|(p, _)| of_series(p).is_some());
        let Some(descending) = by_time(part, self.layout).filter(|_| by_series && !ties) else {
            for batch in scan_part(part, self.layout, &scan, None, Located::default()) {
                self.put(batch?, count, ties, pool)?;
            }
            return Ok(());
        };
        let directory = part.directory();
        let series: Vec<_> = part
            .select_series(self.layout, &request.time, &request.equals)
            .into_iter()
            .filter_map(|number| directory.series.get(number))
            .filter_map(|series| Some((series.times?, series)))
            .collect();
        let inside = |(first, last): (i64, i64)| {
            request.time.contains(&first) && request.time.contains(&last)
        };
        // A series has a row of its best time: where so many have one that is better, none of it is
        // wanted.
        let gone =
            |series: &Series| part.deleted_within(&(series.start..series.start + series.rows));
        // That row may be deleted.
        let whole = series.iter();
        let whole = whole.filter(|(times, series)| inside(*times) && gone(series) == 0);
        let mut bests: Vec<i64> = whole.map(|(times, _)| self.best(*times)).collect();
        bests.sort_unstable_by_key(|best| std::cmp::Reverse(*best));
        let last = bests.get(count - 1).copied().max(least);
        let mut rows: Vec<Range<u64>> = Vec::new();
        for (times, series) in series {
            if Some(self.best(times)) < last {
                continue;
            }
            let all = series.start..series.start + series.rows;
            let few = series.rows.min(count as u64 + gone(series));
            rows.push(match (inside(times), descending == request.newest) {
                (false, _) => all,
                (true, true) => all.start..all.start + few,
                (true, false) => all.end - few..all.end,
            });
        }
        rows.sort_unstable_by_key(|rows| rows.start);
        let wanted = Wanted {
            projection: &self.needed,
            rows: Some(rows),
            batch_rows: 8192,
            locate: None,
        };
        for batch in part.read(self.layout, &wanted)? {
            self.put(batch?, count, ties, pool)?;
        }
        Ok(())
    }

    fn rows_of_hot(
        &self,
        hot: &HotSnapshot,
        count: usize,
        ties: bool,
        pool: &mut Pool,
    ) -> Result<(), ChunkError> {
        let facts = hot.facts(self.layout);
        let mut batches: Vec<_> = hot.batches().zip(&facts).collect();
        let best = |times: Option<(i64, i64)>| times.map_or(i64::MIN, |times| self.best(times));
        batches.sort_by_key(|(_, facts)| std::cmp::Reverse(best(facts.times)));
        for (batch, facts) in batches {
            let Some(times) = facts.times else {
                continue;
            };
            if Some(self.best(times)) < pool.least(count) {
                break;
            }
            let may = self.request.equals.iter();
            if !may
                .into_iter()
                .all(|(place, values)| facts.may_have(*place, values))
            {
                continue;
            }
            self.put(batch.project(&self.needed)?, count, ties, pool)?;
            pool.cut(count, ties);
        }
        Ok(())
    }

    /// The rows that have the times and values asked for; None when all have.
    fn kept(&self, batch: &RecordBatch, times: &[i64]) -> Option<BooleanArray> {
        let mut kept: Option<Vec<bool>> = None;
        if self.request.time != (i64::MIN..i64::MAX) {
            let wanted = &self.request.time;
            kept = Some(times.iter().map(|time| wanted.contains(time)).collect());
        }
        for (place, allowed) in &self.request.equals {
            let at = self.needed.iter().position(|known| known == place);
            let Some(column) = at.and_then(|at| batch.columns().get(at)) else {
                continue;
            };
            let column = column.as_string_view();
            let one = match allowed.as_slice() {
                [one] => Some(one.as_str()),
                _ => None,
            };
            let kept = kept.get_or_insert_with(|| vec![true; batch.num_rows()]);
            for (row, kept) in kept.iter_mut().enumerate() {
                if *kept {
                    *kept = column.is_valid(row) && {
                        let value = column.value(row);
                        match one {
                            Some(one) => one == value,
                            None => allowed.iter().any(|known| known == value),
                        }
                    };
                }
            }
        }
        kept.map(BooleanArray::from)
    }

    fn put(
        &self,
        batch: RecordBatch,
        count: usize,
        ties: bool,
        pool: &mut Pool,
    ) -> Result<(), ChunkError> {
        let at = self.needed.iter().position(|place| *place == self.time);
        let Some(column) = at.and_then(|at| batch.columns().get(at)) else {
            return Ok(());
        };
        let times = time_array(column)?;
        let kept = self.kept(&batch, &times);
        let number = pool.batches.len();
        let least = pool.least(count);
        for (row, time) in times.iter().enumerate() {
            let rank = self.rank(*time);
            let there = kept.as_ref().is_none_or(|kept| kept.value(row));
            if there && column.is_valid(row) && least.is_none_or(|least| rank >= least) {
                pool.rows.push((rank, number, row));
            }
        }
        pool.batches.push(batch);
        pool.cut(count, ties);
        Ok(())
    }
}

/// Where a series' row lies.
#[derive(Debug, Clone, Copy)]
struct Place {
    rank: i64,
    chunk: usize,
    /// Cold parts first, then hot ones.
    source: usize,
    row: u64,
}

/// Rows of hot parts, filtered, by chunk and source.
type HotRows = HashMap<(usize, usize), RecordBatch>;

impl Query<'_> {
    fn series<'a>(
        &self,
        chunks: impl Iterator<Item = &'a ChunkView>,
    ) -> Result<Vec<RecordBatch>, ChunkError> {
        let fields = self.layout.projected(&self.layout.segment_by);
        let fields = fields.fields().iter();
        let fields = fields.map(|field| SortField::new(field.data_type().clone()));
        let converter = Arc::new(RowConverter::new(fields.collect())?);
        let mut keys = Keys::new(&converter);
        let mut best: HashMap<u32, Place, ahash::RandomState> = HashMap::default();
        let mut hot_rows = HotRows::new();
        let chunks: Vec<&ChunkView> = chunks.collect();
        for (number, chunk) in chunks.iter().enumerate() {
            let settled = best.clone();
            let mut put = |key: u32, place: Place| {
                // The chunks before this one are all newer.
                if settled.contains_key(&key) {
                    return;
                }
                let known = best.entry(key).or_insert(place);
                let later = match self.request.newest {
                    true => place.rank >= known.rank,
                    false => place.rank > known.rank,
                };
                if later {
                    *known = place;
                }
            };
            for (source, part) in chunk.cold.iter().enumerate() {
                let selected =
                    part.select_series(self.layout, &self.request.time, &self.request.equals);
                let groups = &self.layout.segment_by;
                let Some(found) = keys_of_series(self.layout, part, groups, &selected, &mut keys)?
                else {
                    return Err(ChunkError::Unsupported);
                };
                for (number_of_series, key) in selected.iter().zip(found) {
                    let series = part.directory().series.get(*number_of_series);
                    let Some((times, series)) =
                        series.and_then(|series| Some((series.times?, series)))
                    else {
                        continue;
                    };
                    put(
                        key,
                        Place {
                            rank: self.best(times),
                            chunk: number,
                            source,
                            row: match self.request.newest {
                                true => series.start + series.rows - 1,
                                false => series.start,
                            },
                        },
                    );
                }
            }
            for (at, hot) in chunk.hot.iter().enumerate() {
                let source = chunk.cold.len() + at;
                let Some(rows) = self.series_of_hot(hot, &mut keys, |key, rank, row| {
                    put(
                        key,
                        Place {
                            rank,
                            chunk: number,
                            source,
                            row,
                        },
                    );
                })?
                else {
                    continue;
                };
                hot_rows.insert((number, source), rows);
            }
        }
        let mut places: Vec<Place> = best.into_values().collect();
        // In the order of a scan, which the aggregates above take for that of arrival.
        let first = |place: &Place| match self.request.newest {
            true => chunks.len() - place.chunk,
            false => place.chunk,
        };
        places.sort_unstable_by_key(|place| (first(place), place.source, place.row));
        let mut found = Vec::new();
        for run in places.chunk_by(|a, b| (a.chunk, a.source) == (b.chunk, b.source)) {
            let Some(place) = run.first() else {
                continue;
            };
            if let Some(rows) = hot_rows.get(&(place.chunk, place.source)) {
                let wanted = run
                    .iter()
                    .map(|place| u32::try_from(place.row).unwrap_or(u32::MAX));
                found.push(take_record_batch(rows, &wanted.collect::<UInt32Array>())?);
                continue;
            }
            let part = chunks
                .get(place.chunk)
                .and_then(|chunk| chunk.cold.get(place.source));
            let Some(part) = part else {
                continue;
            };
            let wanted = Wanted {
                projection: &self.needed,
                rows: Some(run.iter().map(|place| place.row..place.row + 1).collect()),
                batch_rows: 8192,
                locate: None,
            };
            for batch in part.read(self.layout, &wanted)? {
                found.push(batch?);
            }
        }
        Ok(found)
    }

    /// Gives each row of a hot part that is asked for; the rows.
    fn series_of_hot(
        &self,
        hot: &HotSnapshot,
        keys: &mut Keys,
        mut give: impl FnMut(u32, i64, u64),
    ) -> Result<Option<RecordBatch>, ChunkError> {
        let mut needed = self.needed.clone();
        needed.extend(&self.layout.segment_by);
        let mut batches = Vec::new();
        let mut row = 0;
        for batch in hot.batches() {
            let mut batch = batch.project(&needed)?;
            let at = self.needed.iter().position(|place| *place == self.time);
            let Some(column) = at.and_then(|at| batch.columns().get(at)) else {
                return Ok(None);
            };
            let mut times = time_array(column)?;
            if let Some(kept) = self.kept(&batch, &times) {
                batch = filter_record_batch(&batch, &kept)?;
                let mut kept = kept.values().iter();
                times.retain(|_| kept.next().unwrap_or(false));
            }
            let segments = batch.columns().get(self.needed.len()..).unwrap_or_default();
            for (key, time) in keys.of(segments)?.into_iter().zip(&times) {
                give(key, self.rank(*time), row);
                row += 1;
            }
            batches.push(batch);
        }
        let Some(first) = batches.first() else {
            return Ok(None);
        };
        let rows = arrow::compute::concat_batches(&first.schema(), &batches)?;
        Ok(Some(
            rows.project(&(0..self.needed.len()).collect::<Vec<_>>())?,
        ))
    }
}

#[cfg(test)]
mod tests;
