//! Rows on their way: cut from plans' batches, and kept for RETURNING.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use crate::error::Error;
use crate::session::Shared;

/// Columns of a batch from a place on, under the names of a table's columns.
pub(super) fn of_table(
    table: &Table,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, Error> {
    let layout = chronolith_engine::layout_of(table);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(layout.schema());
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Columns of a batch.
pub(super) fn columns(batch: &RecordBatch, places: std::ops::Range<usize>) -> Vec<ArrayRef> {
    let columns = batch.columns().get(places).unwrap_or_default();
    columns.to_vec()
}

/// The locators in a batch's first column.
pub(super) fn locators(batch: &RecordBatch) -> Result<&Decimal128Array, Error> {
    let first = batch.columns().first();
    let found = first.and_then(|first| first.as_primitive_opt::<Decimal128Type>());
    found.ok_or_else(|| Error::internal("rows without locators"))
}

/// The rows of a batch that are kept.
pub(super) fn kept(batch: &RecordBatch, keep: &[bool]) -> Result<RecordBatch, Error> {
    if keep.iter().all(|keep| *keep) {
        return Ok(batch.clone());
    }
    let keep = BooleanArray::from(keep.to_vec());
    Ok(arrow::compute::filter_record_batch(batch, &keep)?)
}

/// The rows that RETURNING gave so far, which draw on the memory of queries.
pub(crate) struct Returned {
    pub(crate) batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returned")
            .field("batches", &self.batches.len())
            .finish_non_exhaustive()
    }
}

impl Returned {
    pub(super) fn new(shared: &Shared) -> Self {
        let pool = &shared.instance.runtime.memory_pool;
        Self {
            batches: Vec::new(),
            reservation: MemoryConsumer::new("RETURNING").register(pool),
        }
    }

    /// # Errors
    /// 53200
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), Error> {
        if batch.num_rows() > 0 {
            self.reservation.try_grow(batch.get_array_memory_size())?;
            self.batches.push(batch);
        }
        Ok(())
    }
}
