//! A chunk at one moment, to read from.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;

use crate::cold::{ColdPart, Wanted, time_array};
use crate::error::ChunkError;
use crate::hot::HotSnapshot;
use crate::layout::Layout;

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
        let from_cold = cold
            .into_iter()
            .flat_map(move |part| scan_part(&part, &cold_layout, &cold_request, None));
        let layout = Arc::clone(layout);
        let request = request.clone();
        let from_hot = hot
            .into_iter()
            .flat_map(|part| part.batches().to_vec())
            .map(move |batch| cut(&layout, &request, &batch));
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

    /// The rows of its one part within a range of those.
    #[must_use]
    pub fn scan_cut(
        &self,
        layout: &Arc<Layout>,
        request: &ScanRequest,
        rows: Range<u64>,
    ) -> BatchIter {
        match self.cold.as_slice() {
            [part] => scan_part(part, layout, request, Some(rows)),
            _ => Box::new(std::iter::empty()),
        }
    }
}

/// A part's rows, or those of them within a range of rows.
pub(crate) fn scan_part(
    part: &Arc<ColdPart>,
    layout: &Arc<Layout>,
    request: &ScanRequest,
    within: Option<Range<u64>>,
) -> BatchIter {
    let outside = part
        .times()
        .is_some_and(|(first, last)| first >= request.time.end || last < request.time.start);
    if outside {
        return Box::new(std::iter::empty());
    }
    let mut rows = part.select(layout, &request.time, &request.equals);
    if let Some(within) = within {
        let all = std::iter::once(0..part.rows()).collect();
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
        Ok(batch.project(&(0..asked).collect::<Vec<_>>())?)
    }))
}

fn keep(time: &Range<i64>, values: &[i64]) -> BooleanArray {
    values
        .iter()
        .map(|value| Some(time.contains(value)))
        .collect()
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
