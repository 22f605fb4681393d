//! A chunk at one moment, to read from.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, UInt32Array};
use arrow::compute::{filter_record_batch, take, take_record_batch};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use roaring::RoaringBitmap;

use crate::blocks;
use crate::cold::{ColdPart, Wanted, time_array, with_locators};
use crate::error::ChunkError;
use crate::hot::HotSnapshot;
use crate::layout::Layout;
use crate::locator::Locator;

/// What a scan asks for.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Places of the columns to give, in their order.
    pub projection: Vec<usize>,
    /// Times to give rows of: µs, or whole numbers; half-open. Exact.
    pub time: Range<i64>,
    /// Text columns and the values asked for. A hint: rows of other values may come too.
    pub equals: Vec<(usize, Vec<String>)>,
    /// Rows of one batch, at most.
    pub batch_rows: usize,
    /// Whether a column of locators comes behind those asked for.
    pub locators: bool,
}

impl ScanRequest {
    /// All rows of some columns.
    #[must_use]
    pub fn all(projection: Vec<usize>) -> Self {
        Self {
            projection,
            time: i64::MIN..i64::MAX,
            equals: Vec::new(),
            batch_rows: 8192,
            locators: false,
        }
    }

    fn all_times(&self) -> bool {
        self.time == (i64::MIN..i64::MAX)
    }
}

/// Batches of a scan.
pub type BatchIter = Box<dyn Iterator<Item = Result<RecordBatch, ChunkError>> + Send>;

/// A chunk's rows at one moment.
#[derive(Debug, Clone)]
pub struct ChunkView {
    /// Its number, which its rows' locators name.
    pub chunk: u32,
    /// Its times; half-open.
    pub range: Range<i64>,
    /// Hot rows: committed ones, then those of the reading transaction.
    pub hot: Vec<HotSnapshot>,
    /// Cold parts, oldest first.
    pub cold: Vec<Arc<ColdPart>>,
}

impl ChunkView {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let hot: u64 = self.hot.iter().map(|part| part.rows() as u64).sum();
        hot + self.cold.iter().map(|part| part.rows()).sum::<u64>()
    }

    /// The last of the times that its rows have or had: those of deleted ones count until they are
    /// packed away. None without rows, or without a time column.
    #[must_use]
    pub fn last_time(&self, layout: &Layout) -> Option<i64> {
        let cold = self.cold.iter().flat_map(|part| &part.directory().series);
        let cold = cold.filter_map(|series| Some(series.times?.1)).max();
        let hot = self.hot.iter().filter_map(|part| part.last_time(layout));
        hot.max().max(cold)
    }

    /// Whether any of its rows may lie within some times.
    #[must_use]
    pub fn meets(&self, time: &Range<i64>) -> bool {
        self.range.start < time.end && time.start < self.range.end
    }

    /// Its rows: cold parts first, then hot ones, each in its own order.
    #[must_use]
    pub fn scan(&self, layout: &Arc<Layout>, request: &ScanRequest) -> BatchIter {
        if !self.meets(&request.time) {
            return Box::new(std::iter::empty());
        }
        let cold = self.cold.clone();
        let hot = self.hot.clone();
        let cold_layout = Arc::clone(layout);
        let cold_request = request.clone();
        let chunk = self.chunk;
        let from_cold = cold
            .into_iter()
            .zip(Locator::COLD..)
            .flat_map(move |(part, source)| {
                let located = Located { chunk, source };
                scan_part(&part, &cold_layout, &cold_request, None, located)
            });
        let layout = Arc::clone(layout);
        let request = request.clone();
        let from_hot = hot
            .into_iter()
            .zip(Locator::HOT..)
            .flat_map(move |(part, source)| match request.locators {
                true => located(&part, Located { chunk, source }, &layout, &request),
                false => {
                    let asked = part.asked(&layout, &request.equals).into_iter();
                    let cut = asked.map(|(batch, rows)| match rows {
                        Some(rows) => cut_rows(&layout, &request, &batch, &rows),
                        None => cut(&layout, &request, &batch),
                    });
                    cut.collect::<Vec<_>>()
                }
            });
        Box::new(from_cold.chain(from_hot).filter(|batch| match batch {
            Ok(batch) => batch.num_rows() > 0,
            Err(_) => true,
        }))
    }
}

impl ChunkView {
    /// Where it may be cut so that readers side by side still meet the rows of each series in their
    /// order of arrival: ranges of the rows of its one part, of about so many rows or more. None
    /// where it is to be read as a whole.
    #[must_use]
    pub fn cuts(
        &self,
        layout: &Layout,
        request: &ScanRequest,
        rows: u64,
    ) -> Option<Vec<Range<u64>>> {
        let ([part], true) = (
            self.cold.as_slice(),
            self.hot.iter().all(|hot| hot.rows() == 0),
        ) else {
            return None;
        };
        let selected = part.select_series(layout, &request.time, &request.equals);
        let series = selected
            .iter()
            .filter_map(|number| part.directory().series.get(*number));
        let mut cuts: Vec<Range<u64>> = Vec::new();
        let mut count = 0;
        for series in series {
            let end = series.start + series.rows;
            match cuts.last_mut() {
                Some(last) if count < rows => last.end = end,
                _ => {
                    cuts.push(series.start..end);
                    count = 0;
                }
            }
            count += series.rows;
        }
        Some(cuts)
    }

    /// How many rows of its one part are within a range of those, without deleted ones.
    #[must_use]
    pub fn rows_of_cut(&self, rows: &Range<u64>) -> u64 {
        let deleted = self
            .cold
            .first()
            .map_or(0, |part| part.deleted_within(rows));
        (rows.end - rows.start).saturating_sub(deleted)
    }

    /// The rows of its one part within a range of those.
    #[must_use]
    pub fn scan_cut(
        &self,
        layout: &Arc<Layout>,
        request: &ScanRequest,
        rows: Range<u64>,
    ) -> BatchIter {
        match self.cold.as_slice() {
            [part] => {
                let located = Located {
                    chunk: self.chunk,
                    source: Locator::COLD,
                };
                scan_part(part, layout, request, Some(rows), located)
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// What the locators of a source's rows say of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Located {
    pub(crate) chunk: u32,
    pub(crate) source: u32,
}

/// A hot part's rows with their locators.
fn located(
    part: &HotSnapshot,
    located: Located,
    layout: &Layout,
    request: &ScanRequest,
) -> Vec<Result<RecordBatch, ChunkError>> {
    let Located { chunk, source } = located;
    let mut first = 0u32;
    let asked = part.asked_places(layout, &request.equals);
    let found = asked.map(|(batch, rows)| {
        let (start, end) = (first, first + u32::try_from(batch.num_rows()).unwrap_or(0));
        first = end;
        let locator = |row| i128::from(Locator { chunk, source, row });
        let projected = batch.project(&request.projection)?;
        match within(layout, request, batch, rows)? {
            None => with_locators(&projected, (start..end).map(locator)),
            // Only these are copied: a series of many costs what it has.
            Some(rows) => {
                let rows = UInt32Array::from(rows);
                let some = taken(&projected, &rows)?;
                with_locators(&some, rows.values().iter().map(|row| locator(start + row)))
            }
        }
    });
    found.collect()
}

/// Of some rows of a batch, or of all, those that lie within the times asked for.
fn within(
    layout: &Layout,
    request: &ScanRequest,
    batch: &RecordBatch,
    rows: Option<Vec<u32>>,
) -> Result<Option<Vec<u32>>, ChunkError> {
    let place = match layout.time {
        Some(place) if !request.all_times() => place,
        _ => return Ok(rows),
    };
    let column = batch.column(place);
    let inside = |time: &i64| request.time.contains(time);
    Ok(match rows {
        None => {
            let times = time_array(column)?;
            match times.iter().all(inside) {
                true => None,
                false => {
                    let rows = (0u32..).zip(&times).filter(|(_, time)| inside(time));
                    Some(rows.map(|(row, _)| row).collect())
                }
            }
        }
        Some(rows) => {
            let rows = UInt32Array::from(rows);
            let times = time_array(&take(column, &rows, None)?)?;
            let rows = rows.values().iter().zip(&times);
            let rows = rows.filter(|(_, time)| inside(time));
            Some(rows.map(|(row, _)| *row).collect())
        }
    })
}

impl ChunkView {
    /// Rows of one of its sources by their places there, in the order of those, with their
    /// locators. Rows that are deleted are not among them.
    ///
    /// # Errors
    /// What the disk gives.
    pub fn rows_at(
        &self,
        layout: &Layout,
        projection: &[usize],
        source: u32,
        rows: &RoaringBitmap,
    ) -> Result<Vec<RecordBatch>, ChunkError> {
        let at = |first: u32| usize::try_from(source.checked_sub(first)?).ok();
        if let Some(part) = at(Locator::COLD).and_then(|at| self.cold.get(at)) {
            if let (1, Some(row)) = (rows.len(), rows.min())
                && let Some(read) = blocks::row(part, layout, projection, u64::from(row))?
            {
                if part.deleted().is_some_and(|gone| gone.contains(row)) {
                    return Ok(Vec::new());
                }
                let chunk = self.chunk;
                let locator = Locator { chunk, source, row };
                return Ok(vec![with_locators(&read, std::iter::once(locator.into()))?]);
            }
            let mut ranges: Vec<Range<u64>> = Vec::new();
            for row in rows.iter().map(u64::from) {
                match ranges.last_mut() {
                    Some(last) if last.end == row => last.end += 1,
                    _ => ranges.push(row..row + 1),
                }
            }
            let wanted = Wanted {
                projection,
                rows: Some(ranges),
                batch_rows: 8192,
                locate: Some((self.chunk, source)),
            };
            return part.read(layout, &wanted)?.collect();
        }
        let mut found = Vec::new();
        let hot = at(Locator::HOT).and_then(|at| self.hot.get(at));
        for (batch, deleted, within) in hot.into_iter().flat_map(|hot| hot.marked_among(rows)) {
            let first = within.start;
            let asked = rows.range(within).map(|row| row - first);
            let mut live = asked
                .filter(|row| deleted.is_none_or(|gone| !gone.contains(*row)))
                .peekable();
            // Of a few rows most batches have none.
            if live.peek().is_some() {
                let live: UInt32Array = live.collect();
                let some = taken(&batch.project(projection)?, &live)?;
                let chunk = self.chunk;
                let locators = live.values().iter().map(|row| {
                    let row = row + first;
                    i128::from(Locator { chunk, source, row })
                });
                found.push(with_locators(&some, locators)?);
            }
        }
        Ok(found)
    }
}

/// A part's rows, or those of them within a range of rows.
pub(crate) fn scan_part(
    part: &Arc<ColdPart>,
    layout: &Arc<Layout>,
    request: &ScanRequest,
    within: Option<Range<u64>>,
    located: Located,
) -> BatchIter {
    let outside = part
        .times()
        .is_some_and(|(first, last)| first >= request.time.end || last < request.time.start);
    if outside {
        return Box::new(std::iter::empty());
    }
    let mut rows = part.select(layout, &request.time, &request.equals);
    if let Some(within) = within {
        let all = std::iter::once(0..part.all_rows()).collect();
        let clipped = rows.unwrap_or(all).into_iter().map(|rows: Range<u64>| {
            let start = rows.start.clamp(within.start, within.end);
            start..rows.end.clamp(within.start, within.end)
        });
        rows = Some(clipped.filter(|rows| !rows.is_empty()).collect());
    }
    if rows.as_ref().is_some_and(Vec::is_empty) {
        return Box::new(std::iter::empty());
    }
    // The time column is needed to cut exactly, also where it was not asked for.
    let inside = part
        .times()
        .is_some_and(|(first, last)| first >= request.time.start && last < request.time.end);
    let extra = match layout.time {
        Some(time) if !inside && !request.all_times() => Some(time),
        _ => None,
    };
    let mut projection = request.projection.clone();
    projection.extend(extra);
    let wanted = Wanted {
        projection: &projection,
        rows,
        batch_rows: request.batch_rows,
        locate: request.locators.then_some((located.chunk, located.source)),
    };
    let reader = match part.read(layout, &wanted) {
        Ok(reader) => reader,
        Err(error) => return Box::new(std::iter::once(Err(error))),
    };
    let time = request.time.clone();
    let asked = request.projection.len();
    Box::new(reader.map(move |batch| {
        let batch = batch?;
        if extra.is_none() {
            return Ok(batch);
        }
        let kept = keep(&time, &time_array(batch.column(asked))?);
        let batch = filter_record_batch(&batch, &kept)?;
        // Locators come behind the time.
        let asked_for: Vec<usize> = (0..batch.num_columns()).filter(|at| *at != asked).collect();
        Ok(batch.project(&asked_for)?)
    }))
}

fn keep(time: &Range<i64>, values: &[i64]) -> BooleanArray {
    values
        .iter()
        .map(|value| Some(time.contains(value)))
        .collect()
}

/// The same of some of its rows.
fn cut_rows(
    layout: &Layout,
    request: &ScanRequest,
    batch: &RecordBatch,
    rows: &UInt32Array,
) -> Result<RecordBatch, ChunkError> {
    let projected = batch.project(&request.projection)?;
    let within = within(layout, request, batch, Some(rows.values().to_vec()))?;
    let rows = within.map_or_else(|| rows.clone(), UInt32Array::from);
    taken(&projected, &rows)
}

/// Some rows of a batch, which may have no columns: who only deletes them asks for none.
fn taken(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch, ChunkError> {
    if batch.num_columns() > 0 {
        return Ok(take_record_batch(batch, rows)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let none = RecordBatch::try_new_with_options(batch.schema(), Vec::new(), &options);
    none.map_err(ChunkError::Columns)
}

/// The rows of a hot batch that lie within the times asked for.
fn cut(
    layout: &Layout,
    request: &ScanRequest,
    batch: &RecordBatch,
) -> Result<RecordBatch, ChunkError> {
    let projected = batch.project(&request.projection)?;
    match layout.time {
        Some(place) if !request.all_times() => {
            let kept = keep(&request.time, &time_array(batch.column(place))?);
            Ok(filter_record_batch(&projected, &kept)?)
        }
        _ => Ok(projected),
    }
}

#[cfg(test)]
mod tests;
