//! A hot part: rows in memory, in the order of their commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;

use crate::error::ChunkError;

/// Small batches are joined until they have this many rows.
const JOINED_ROWS_MAX: usize = 32_768;

/// Rows that wait in memory to be packed. Grows only at its end.
#[derive(Debug, Clone)]
pub struct HotPart {
    batches: Arc<Vec<RecordBatch>>,
    rows: usize,
    bytes: usize,
    /// Another for each part whose first rows are others.
    generation: u64,
}

impl Default for HotPart {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
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
        let mut last = batch;
        while let Some(before) = batches.last() {
            let rows = before.num_rows() + last.num_rows();
            if before.num_rows() > 2 * last.num_rows() || rows > JOINED_ROWS_MAX {
                break;
            }
            last = concat_batches(&before.schema(), [before, &last])?;
            batches.pop();
        }
        batches.push(last);
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
            batches: Arc::new(kept),
            generation: next_generation(),
        }
    }
}
