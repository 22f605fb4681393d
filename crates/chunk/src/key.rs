//! Rows' keys as bytes that are equal exactly when the keys are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal256Array};
use arrow::datatypes::Decimal256Type;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use chronolith_types::{NUMERIC_ANY, Numeric};

use crate::error::ChunkError;
use crate::layout::Layout;

/// Makes keys of some columns.
#[derive(Debug)]
pub struct KeyEncoder {
    columns: Vec<usize>,
    converter: RowConverter,
}

impl KeyEncoder {
    /// For the columns at some places of a layout.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(layout: &Layout, columns: &[usize]) -> Result<Self, ChunkError> {
        let schema = layout.projected(columns);
        let fields = schema
            .fields()
            .iter()
            .map(|field| SortField::new(field.data_type().clone()))
            .collect();
        Ok(Self {
            columns: columns.to_vec(),
            converter: RowConverter::new(fields)?,
        })
    }

    /// Each row's key; None where a column is NULL, for NULLs are never alike.
    ///
    /// `batch` has all columns of the layout.
    ///
    /// # Errors
    /// When it has not.
    pub fn keys(&self, batch: &RecordBatch) -> Result<Vec<Option<Box<[u8]>>>, ChunkError> {
        let columns = batch.project(&self.columns)?;
        self.keys_of(columns.columns())
    }

    /// The same for the key's columns alone.
    ///
    /// # Errors
    /// When they are of other types.
    pub fn keys_of(&self, columns: &[ArrayRef]) -> Result<Vec<Option<Box<[u8]>>>, ChunkError> {
        let columns: Vec<ArrayRef> = columns.iter().map(normalised).collect();
        let rows = self.converter.convert_columns(&columns)?;
        Ok((0..rows.num_rows())
            .map(|row| {
                let null = columns.iter().any(|column| column.is_null(row));
                (!null).then(|| rows.row(row).as_ref().into())
            })
            .collect())
    }
}

/// 1.0 and 1.00 are one key.
fn normalised(column: &ArrayRef) -> ArrayRef {
    if *column.data_type() != NUMERIC_ANY {
        return Arc::clone(column);
    }
    let values: Decimal256Array = column
        .as_primitive::<Decimal256Type>()
        .unary(Numeric::normalised_any);
    Arc::new(values.with_data_type(NUMERIC_ANY))
}
