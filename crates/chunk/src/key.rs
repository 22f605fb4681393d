//! Rows' keys as bytes that are equal exactly when the keys are.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, BooleanArray, Decimal256Array, StringViewArray,
    UInt32Array, downcast_primitive_array,
};
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
    /// What makes them of columns that have other forms than a key's usually have.
    converter: Option<RowConverter>,
}

/// Keys of some rows.
#[derive(Debug)]
pub struct Keys {
    bytes: Bytes,
    /// Where a column of the key is NULL.
    nulls: Option<NullBuffer>,
}

#[derive(Debug)]
enum Bytes {
    /// One key behind the other, and where each ends.
    Plain(Vec<u8>, Vec<usize>),
    Rows(Rows),
}

impl Keys {
    /// How many rows they are of.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.bytes {
            Bytes::Plain(_, ends) => ends.len(),
            Bytes::Rows(rows) => rows.num_rows(),
        }
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
        match &self.bytes {
            Bytes::Plain(bytes, ends) => {
                let before = row.checked_sub(1).and_then(|before| ends.get(before));
                bytes.get(before.copied().unwrap_or(0)..*ends.get(row)?)
            }
            Bytes::Rows(rows) => Some(rows.row(row).data()),
        }
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
        Ok(Self {
            columns: (0..types.len()).collect(),
            converter: converter(types.iter())?,
        })
    }

    fn of_schema(schema: &SchemaRef, columns: &[usize]) -> Result<Self, ChunkError> {
        let fields = schema.fields().iter();
        Ok(Self {
            columns: columns.to_vec(),
            converter: converter(fields.map(|field| field.data_type()))?,
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

    /// One row's key, put behind what `key` has; false where a column of it is NULL.
    ///
    /// # Errors
    /// When the batch has not all columns of the layout, or not this row.
    pub fn put_key(
        &self,
        batch: &RecordBatch,
        row: usize,
        key: &mut Vec<u8>,
    ) -> Result<bool, ChunkError> {
        if row >= batch.num_rows() {
            return Err(behind("the key of a row"));
        }
        let before = key.len();
        for at in &self.columns {
            let column = batch.columns().get(*at);
            let column = column.ok_or_else(|| behind("a column of a key"))?;
            if column.is_null(row) {
                key.truncate(before);
                return Ok(false);
            }
            match Values::of(column) {
                Some(values) if self.converter.is_none() && *column.data_type() != NUMERIC_ANY => {
                    values.put(row, key);
                }
                _ => {
                    key.truncate(before);
                    let keys = self.keys_from(&batch.slice(row, 1), 0)?;
                    key.extend_from_slice(keys.get(0).unwrap_or_default());
                    return Ok(true);
                }
            }
        }
        Ok(true)
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
        let bytes = match &self.converter {
            Some(converter) => Bytes::Rows(converter.convert_columns(&columns)?),
            None => plain(&columns)?,
        };
        Ok(Keys { bytes, nulls })
    }
}

/// Whether keys are made of values of a type by [`plain`].
fn is_plain(form: &DataType) -> bool {
    form.is_primitive()
        || matches!(
            form,
            DataType::Boolean | DataType::Utf8View | DataType::BinaryView
        )
}

/// What makes keys of values of some types; None where all of them are plain.
fn converter<'t>(
    types: impl Iterator<Item = &'t DataType> + Clone,
) -> Result<Option<RowConverter>, ChunkError> {
    if types.clone().all(is_plain) {
        return Ok(None);
    }
    let fields = types.cloned().map(SortField::new).collect();
    Ok(Some(RowConverter::new(fields)?))
}

/// A column of a key.
enum Values<'a> {
    /// So many bytes each.
    Fixed(&'a [u8], usize),
    Bits(&'a BooleanArray),
    Texts(&'a StringViewArray),
    Binaries(&'a BinaryViewArray),
}

impl<'a> Values<'a> {
    fn of(column: &'a ArrayRef) -> Option<Self> {
        downcast_primitive_array!(
            column => {
                let bytes = column.values().inner().as_slice();
                Some(Self::Fixed(bytes, bytes.len().checked_div(column.len()).unwrap_or(0)))
            },
            DataType::Boolean => column.as_boolean_opt().map(Self::Bits),
            DataType::Utf8View => column.as_string_view_opt().map(Self::Texts),
            DataType::BinaryView => column.as_binary_view_opt().map(Self::Binaries),
            _ => None,
        )
    }

    /// Adds a row's value, so that no two values are alike whatever comes behind them.
    fn put(&self, row: usize, key: &mut Vec<u8>) {
        match self {
            Self::Fixed(bytes, width) => {
                key.extend_from_slice(bytes.get(row * width..(row + 1) * width).unwrap_or(&[]));
            }
            Self::Bits(bits) => key.push(u8::from(bits.value(row))),
            Self::Texts(texts) => put_bytes(texts.value(row).as_bytes(), key),
            Self::Binaries(binaries) => put_bytes(binaries.value(row), key),
        }
    }
}

fn put_bytes(value: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(&(value.len() as u64).to_le_bytes());
    key.extend_from_slice(value);
}

/// Keys of columns that [`is_plain`] says so of: their values' bytes, with the length of those that
/// have not always the same. It costs a part of what bytes cost that are also in order.
fn plain(columns: &[ArrayRef]) -> Result<Bytes, ChunkError> {
    let values = columns.iter().map(Values::of).collect::<Option<Vec<_>>>();
    let values = values.ok_or_else(|| behind("a column of another form"))?;
    let rows = columns.first().map_or(0, Array::len);
    if columns.iter().any(|column| column.len() != rows) {
        return Err(behind("a key's columns of other lengths"));
    }
    let mut bytes = Vec::with_capacity(rows * columns.len() * 16);
    let mut ends = Vec::with_capacity(rows);
    for row in 0..rows {
        for values in &values {
            values.put(row, &mut bytes);
        }
        ends.push(bytes.len());
    }
    Ok(Bytes::Plain(bytes, ends))
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
    let fields = layout.schema().fields().iter();
    let fields = fields.map(|field| SortField::new(field.data_type().clone()));
    let converter = RowConverter::new(fields.collect())?;
    let mut sum = 0u64;
    for batch in batches {
        let rows = converter.convert_columns(batch.columns())?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::{
        Decimal128Array, Float64Array, Int64Array, ListArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn a_row_by_itself_has_the_key_that_it_has_among_others() {
        let numbers: Int64Array = [Some(7), None, Some(9)].into_iter().collect();
        let texts: StringViewArray = ["a", "b", "a text that is long"]
            .into_iter()
            .map(Some)
            .collect();
        let anys = Decimal256Array::from_iter_values([1.into(), 2.into(), 3.into()]);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1)]),
            Some(vec![None]),
            Some(vec![Some(1), Some(2)]),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(numbers),
            Arc::new(texts),
            Arc::new(anys.with_data_type(NUMERIC_ANY)),
            Arc::new(lists),
        ];
        for few in [&columns[..2], &columns[..3], &columns[..]] {
            let fields = few.iter().zip(0..).map(|(column, at)| {
                arrow::datatypes::Field::new(format!("c{at}"), column.data_type().clone(), true)
            });
            let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
            let batch = RecordBatch::try_new(Arc::new(schema), few.to_vec()).unwrap();
            let types: Vec<DataType> = few.iter().map(|c| c.data_type().clone()).collect();
            let encoder = KeyEncoder::of_types(&types).unwrap();
            let keys = encoder.keys(&batch).unwrap();
            for row in 0..3 {
                let mut key = vec![1, 2];
                let known = encoder.put_key(&batch, row, &mut key).unwrap();
                assert_eq!(known.then(|| &key[2..]), keys.get(row));
                assert!(known || key == [1, 2]);
            }
            assert!(encoder.put_key(&batch, 3, &mut Vec::new()).is_err());
        }
    }

    fn keys(columns: &[ArrayRef]) -> Keys {
        let types: Vec<DataType> = columns.iter().map(|c| c.data_type().clone()).collect();
        let encoder = KeyEncoder::of_types(&types).unwrap();
        encoder.keys_of(columns).unwrap()
    }

    /// Which rows are told to be alike.
    fn alike(columns: &[ArrayRef]) -> Vec<(usize, usize)> {
        let keys = keys(columns);
        let pairs = (0..keys.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        pairs
            .filter(|(one, other)| keys.get(*one).is_some() && keys.get(*one) == keys.get(*other))
            .collect()
    }

    #[test]
    fn texts_side_by_side_are_told_apart() {
        let one: StringViewArray = ["a", "ab", "", "a", "ab"].into_iter().map(Some).collect();
        let other: StringViewArray = ["bc", "c", "abc", "bc", "c\0"]
            .into_iter()
            .map(Some)
            .collect();
        let columns: [ArrayRef; 2] = [Arc::new(one), Arc::new(other)];
        assert_eq!(alike(&columns), [(3, 0)]);
    }

    #[test]
    fn nulls_are_like_nothing() {
        let one: Int64Array = [Some(0), None, Some(0), None].into_iter().collect();
        let flags: BooleanArray = [Some(false), Some(false), Some(false), None]
            .into_iter()
            .collect();
        let columns: [ArrayRef; 2] = [Arc::new(one), Arc::new(flags)];
        assert_eq!(alike(&columns), [(2, 0)]);
        assert_eq!(keys(&columns).iter().flatten().count(), 2);
    }

    #[test]
    fn slices_have_the_keys_of_their_rows() {
        let times = TimestampMicrosecondArray::from(vec![5, 6, 5, 7]).with_timezone("UTC");
        let prices = Decimal128Array::from(vec![10, 20, 10, 30]);
        let columns: [ArrayRef; 2] = [Arc::new(times), Arc::new(prices)];
        let sliced: Vec<ArrayRef> = columns.iter().map(|column| column.slice(2, 2)).collect();
        let (all, some) = (keys(&columns), keys(&sliced));
        assert_eq!(some.len(), 2);
        assert_eq!(some.get(0), all.get(0));
        assert_eq!(some.get(1), all.get(3));
        assert_eq!(some.get(2), None);
    }

    #[test]
    fn lists_have_keys_as_well() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(1)]),
            Some(vec![Some(1), Some(2)]),
        ]);
        let numbers = Float64Array::from(vec![1.0, 1.0, 1.0]);
        let columns: [ArrayRef; 2] = [Arc::new(lists), Arc::new(numbers)];
        assert_eq!(alike(&columns), [(2, 0)]);
    }
}
