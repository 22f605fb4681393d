//! Rows' keys as bytes that are equal exactly when the keys are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal256Array, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Decimal256Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, Rows, SortField};
use chronolith_types::{NUMERIC_ANY, Numeric};

use crate::error::ChunkError;
use crate::layout::Layout;

/// Makes keys of some columns.
#[derive(Debug)]
pub struct KeyEncoder {
    columns: Vec<usize>,
    converter: RowConverter,
}

/// Keys of some rows.
#[derive(Debug)]
pub struct Keys {
    rows: Rows,
    /// Where a column of the key is NULL.
    nulls: Option<NullBuffer>,
}

impl Keys {
    /// How many rows they are of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.num_rows()
    }

    /// Whether they are of no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row's key; None where a column is NULL, for NULLs are never alike.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(self.rows.row(row).data())
    }

    /// Each row's key.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

impl KeyEncoder {
    /// For the columns at some places of a layout.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(layout: &Layout, columns: &[usize]) -> Result<Self, ChunkError> {
        Self::of_schema(&layout.projected(columns), columns)
    }

    /// For values of some types, wherever they come from.
    ///
    /// # Errors
    /// When a type has no order.
    pub fn of_types(types: &[DataType]) -> Result<Self, ChunkError> {
        let fields = types.iter().cloned().map(SortField::new).collect();
        Ok(Self {
            columns: (0..types.len()).collect(),
            converter: RowConverter::new(fields)?,
        })
    }

    fn of_schema(schema: &SchemaRef, columns: &[usize]) -> Result<Self, ChunkError> {
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

    /// Each row's key.
    ///
    /// `batch` has all columns of the layout.
    ///
    /// # Errors
    /// When it has not.
    pub fn keys(&self, batch: &RecordBatch) -> Result<Keys, ChunkError> {
        self.keys_of(&self.columns_of(batch)?)
    }

    /// The same from one row on.
    ///
    /// # Errors
    /// When the batch has not all columns of the layout, or not so many rows.
    pub fn keys_from(&self, batch: &RecordBatch, row: usize) -> Result<Keys, ChunkError> {
        let rows = batch.num_rows().checked_sub(row);
        let rows = rows.ok_or_else(|| behind("the keys of rows"))?;
        let columns = self.columns_of(batch)?;
        let columns = columns.iter().map(|column| column.slice(row, rows));
        self.keys_of(&columns.collect::<Vec<_>>())
    }

    /// The key's columns; without a batch of them, whose schema would cost more than a key.
    fn columns_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ChunkError> {
        let missing = || behind("a column of a key");
        let column = |at: &usize| batch.columns().get(*at).cloned().ok_or_else(missing);
        self.columns.iter().map(column).collect()
    }

    /// The same of some rows of a batch, by their places.
    ///
    /// # Errors
    /// When the batch has not all columns of the layout, or not these rows.
    pub fn keys_at(&self, batch: &RecordBatch, rows: &UInt32Array) -> Result<Keys, ChunkError> {
        let columns = self.columns_of(batch)?;
        let columns = columns.iter().map(|column| match rows.values().as_ref() {
            [row] if rows.null_count() == 0 => {
                let row = usize::try_from(*row).unwrap_or(usize::MAX);
                match row < column.len() {
                    true => Ok(column.slice(row, 1)),
                    false => Err(behind("the key of a row")),
                }
            }
            _ => Ok(take(column, rows, None)?),
        });
        self.keys_of(&columns.collect::<Result<Vec<_>, ChunkError>>()?)
    }

    /// The same for the key's columns alone.
    ///
    /// # Errors
    /// When they are of other types.
    pub fn keys_of(&self, columns: &[ArrayRef]) -> Result<Keys, ChunkError> {
        let columns: Vec<ArrayRef> = columns.iter().map(normalised).collect();
        let nulls = columns.iter().fold(None, |nulls, column| {
            NullBuffer::union(nulls.as_ref(), column.nulls())
        });
        let rows = self.converter.convert_columns(&columns)?;
        Ok(Keys { rows, nulls })
    }
}

/// What is asked of a batch that it has not: a fault of ours.
fn behind(what: &str) -> ChunkError {
    ChunkError::Columns(ArrowError::InvalidArgumentError(format!(
        "{what} that a batch has not"
    )))
}

/// A number for rows in any order: the same for the same rows, and for others hardly ever.
///
/// # Errors
/// When a column's type has no order.
pub fn checksum(layout: &Layout, batches: &[RecordBatch]) -> Result<u64, ChunkError> {
    let all: Vec<usize> = (0..layout.columns.len()).collect();
    if all.is_empty() {
        return Ok(0);
    }
    let encoder = KeyEncoder::of_schema(layout.schema(), &all)?;
    let mut sum = 0u64;
    for batch in batches {
        let rows = encoder.converter.convert_columns(batch.columns())?;
        for row in &rows {
            sum = sum.wrapping_add(crate::hash::hash(row.data()));
        }
    }
    Ok(sum)
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
