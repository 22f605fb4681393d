//! A hot part: rows in memory, in the order of their commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::compute::concat_batches;
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
        self.bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
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
        let bytes = kept.iter().map(RecordBatch::get_array_memory_size).sum();
        Self {
            rows: self.rows - rows,
            bytes,
            batches: Arc::new(kept),
            generation: next_generation(),
        }
    }
}
