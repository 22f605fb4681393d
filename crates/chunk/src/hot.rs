//! A hot part: rows in memory, in the order of their commits.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use crate::cold::time_array;
use crate::error::ChunkError;
use crate::layout::Layout;

/// Small batches are joined until they have this many rows.
const JOINED_ROWS_MAX: usize = 32_768;

/// Rows that wait in memory to be packed. Grows only at its end.
#[derive(Debug, Clone)]
pub struct HotPart {
    batches: Arc<Vec<RecordBatch>>,
    /// What is known of each batch, once somebody asked.
    facts: Arc<Vec<Lazy>>,
    rows: usize,
    bytes: usize,
    /// Another for each part whose first rows are others.
    generation: u64,
}

impl Default for HotPart {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
            facts: Arc::default(),
            rows: 0,
            bytes: 0,
            generation: next_generation(),
        }
    }
}

/// Bytes that a batch's rows take, as columns of their own: what they share with others of the
/// buffers that they came in counts as theirs alone.
#[must_use]
pub fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

fn column_bytes(column: &ArrayRef) -> usize {
    let nulls = column.nulls().map_or(0, |_| column.len().div_ceil(8));
    let values = match column.data_type() {
        DataType::Boolean => column.len().div_ceil(8),
        DataType::Utf8View => {
            let views = column.as_string_view();
            views.len() * 16 + long_bytes(views.views())
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            views.len() * 16 + long_bytes(views.views())
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let ends = list.value_offsets();
            let (first, last) = (ends.first().copied(), ends.last().copied());
            let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
            let (from, to) = (usize::try_from(first), usize::try_from(last));
            let items = match (from, to) {
                (Ok(from), Ok(to)) => list.values().slice(from, to.saturating_sub(from)),
                _ => Arc::clone(list.values()),
            };
            list.len() * 4 + column_bytes(&items)
        }
        ty => ty.primitive_width().map_or_else(
            || match ty {
                DataType::FixedSizeBinary(width) => {
                    column.len() * usize::try_from(*width).unwrap_or(0)
                }
                _ => 0,
            },
            |width| column.len() * width,
        ),
    };
    nulls + values
}

/// Bytes of the strings that do not lie in their views; the view's first four bytes are the length.
fn long_bytes(views: &[u128]) -> usize {
    let length = |view: &u128| usize::try_from(view & 0xffff_ffff).unwrap_or(0);
    views.iter().map(length).filter(|length| *length > 12).sum()
}

type Lazy = Arc<OnceLock<Arc<Facts>>>;

/// What is known of a batch.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// First and last time; None of no rows.
    pub(crate) times: Option<(i64, i64)>,
    /// Segment-by columns of text whose values are few, and those values.
    values: Vec<(usize, HashSet<String, ahash::RandomState>)>,
}

/// Of more values than these it is not worth knowing which.
const VALUES_MAX: usize = 4096;

impl Facts {
    fn of(layout: &Layout, batch: &RecordBatch) -> Self {
        let times = layout.time.and_then(|place| batch.columns().get(place));
        let times = times.and_then(|column| {
            let times = time_array(column).ok()?;
            let there = |(row, _): &(usize, &i64)| column.is_valid(*row);
            let mut times = times
                .iter()
                .enumerate()
                .filter(there)
                .map(|(_, time)| *time);
            let first = times.next()?;
            Some(times.fold((first, first), |(a, b), time| (a.min(time), b.max(time))))
        });
        let mut values = Vec::new();
        for place in &layout.segment_by {
            if let Some(column) = batch.columns().get(*place)
                && *column.data_type() == DataType::Utf8View
            {
                let mut found: HashSet<String, ahash::RandomState> = HashSet::default();
                for value in column.as_string_view().iter().flatten() {
                    if !found.contains(value) {
                        found.insert(value.to_owned());
                    }
                    if found.len() > VALUES_MAX {
                        break;
                    }
                }
                if found.len() <= VALUES_MAX {
                    values.push((*place, found));
                }
            }
        }
        Self { times, values }
    }

    /// Whether a row may have one of some values in a column.
    pub(crate) fn may_have(&self, place: usize, wanted: &[String]) -> bool {
        let known = self.values.iter().find(|(known, _)| *known == place);
        known.is_none_or(|(_, known)| wanted.iter().any(|value| known.contains(value)))
    }
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A hot part as it was at one moment; later rows are not in it.
pub type HotSnapshot = HotPart;

impl HotPart {
    /// Adds the rows of a commit.
    ///
    /// A batch is joined with the one before it when that is not twice its size, so that n commits
    /// of one row each leave log n batches, and no row is copied more than log n times.
    ///
    /// # Errors
    /// When the batch has other columns.
    pub fn append(&mut self, batch: RecordBatch) -> Result<(), ChunkError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.bytes += bytes_of(&batch);
        let batches = Arc::make_mut(&mut self.batches);
        let facts = Arc::make_mut(&mut self.facts);
        let mut last = batch;
        while let Some(before) = batches.last() {
            let rows = before.num_rows() + last.num_rows();
            if before.num_rows() > 2 * last.num_rows() || rows > JOINED_ROWS_MAX {
                break;
            }
            last = concat_batches(&before.schema(), [before, &last])?;
            batches.pop();
            facts.pop();
        }
        batches.push(last);
        facts.push(Lazy::default());
        Ok(())
    }

    /// What is in it now; free of cost, and never changed by what is appended later.
    #[must_use]
    pub fn snapshot(&self) -> HotSnapshot {
        self.clone()
    }

    /// Its rows, oldest first.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// What is known of each batch, found out when it is first asked for.
    pub(crate) fn facts(&self, layout: &Layout) -> Vec<Arc<Facts>> {
        let known = self.batches.iter().zip(self.facts.iter());
        known
            .map(|(batch, lazy)| {
                Arc::clone(lazy.get_or_init(|| Arc::new(Facts::of(layout, batch))))
            })
            .collect()
    }

    /// A number that two hot parts share only when the rows of one are the first rows of the other.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of memory its columns take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes away the first `rows` rows: they have become a cold part.
    ///
    /// # Panics
    /// When it has fewer: rows would be lost.
    #[must_use]
    pub fn without_first(&self, rows: usize) -> Self {
        // A flush that took rows which are not there would have written rows twice.
        assert!(rows <= self.rows, "{rows} of {} rows flushed", self.rows);
        let mut skip = rows;
        let mut kept = Vec::new();
        for batch in self.batches.iter() {
            if skip >= batch.num_rows() {
                skip -= batch.num_rows();
                continue;
            }
            kept.push(batch.slice(skip, batch.num_rows() - skip));
            skip = 0;
        }
        let bytes = kept.iter().map(bytes_of).sum();
        Self {
            rows: self.rows - rows,
            bytes,
            facts: Arc::new(kept.iter().map(|_| Lazy::default()).collect()),
            batches: Arc::new(kept),
            generation: next_generation(),
        }
    }
}
