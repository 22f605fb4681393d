//! Rows on their way: cut from plans' batches.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, ListArray};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;

use crate::error::Error;

/// Columns of a batch from a place on, under the names of a table's columns.
pub(super) fn of_table(
    table: &Arc<Table>,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, Error> {
    let layout = chronolith_engine::layout_for(table);
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

/// The same rows without texts of others: a row cut from a batch holds all the texts of that batch,
/// and the log would write them down.
pub(crate) fn compact(batch: RecordBatch) -> Result<RecordBatch, Error> {
    let columns: Vec<ArrayRef> = batch.columns().iter().map(compacted).collect();
    let same = batch.columns().iter().zip(&columns);
    if same.clone().all(|(one, other)| Arc::ptr_eq(one, other)) {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = batch.schema();
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

fn compacted(array: &ArrayRef) -> ArrayRef {
    /// Less than that is not worth a copy.
    const BYTES_MIN: usize = 1024;
    let wasteful =
        |held: usize, used: usize| held > BYTES_MIN + 2 * used || (held > 0 && used == 0);
    if let Some(texts) = array.as_string_view_opt() {
        let held = texts.data_buffers().iter().map(|buffer| buffer.len()).sum();
        if wasteful(held, texts.total_buffer_bytes_used()) {
            return Arc::new(texts.gc());
        }
    } else if let Some(bytes) = array.as_binary_view_opt() {
        let held = bytes.data_buffers().iter().map(|buffer| buffer.len()).sum();
        if wasteful(held, bytes.total_buffer_bytes_used()) {
            return Arc::new(bytes.gc());
        }
    } else if let Some(lists) = array.as_list_opt::<i32>() {
        let values = compacted(lists.values());
        if !Arc::ptr_eq(&values, lists.values())
            && let DataType::List(item) = array.data_type()
        {
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            if let Ok(lists) = ListArray::try_new(Arc::clone(item), offsets, values, nulls) {
                return Arc::new(lists);
            }
        }
    }
    Arc::clone(array)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::StringViewArray;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn a_row_of_many_holds_its_own_text_alone() {
        let texts: StringViewArray = (0..1000)
            .map(|row| Some(format!("a text that is kept beside the row: {row}")))
            .collect();
        let schema = Schema::new(vec![Field::new("t", DataType::Utf8View, true)]);
        let all = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(texts)]).unwrap();
        let one = all.slice(500, 1);
        assert!(one.get_array_memory_size() > 10_000);
        let small = compact(one.clone()).unwrap();
        assert_eq!(small, one);
        assert!(small.get_array_memory_size() < 10_000);
        // Of what lies in its view alone nothing is held.
        let texts: StringViewArray = [Some("short"), Some("a text that is kept beside it")]
            .into_iter()
            .collect();
        let short = compacted(&(Arc::new(texts.slice(0, 1)) as ArrayRef));
        assert_eq!(short.as_string_view().data_buffers().len(), 0);
        let long = compacted(&(Arc::new(texts.slice(1, 1)) as ArrayRef));
        assert_eq!(long.as_string_view().data_buffers().len(), 1);
    }
}
