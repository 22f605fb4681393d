//! Columns of a cold part as the numbers that the file has, without Arrow between.

use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{DataType, FixedLenByteArray};
use parquet::schema::types::ColumnDescPtr;

use crate::error::ChunkError;

/// Values in the file's own width.
#[derive(Debug)]
pub(crate) enum Numbers {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// Decimals of more than 18 digits.
    Wide(Vec<i128>),
}

/// Rows of a column. A NULL has some value.
#[derive(Debug)]
pub(crate) struct NumberColumn {
    pub(crate) values: Numbers,
    /// One a row; None when no row is NULL.
    pub(crate) valid: Option<Vec<bool>>,
}

enum Typed {
    Bool(ColumnReaderImpl<parquet::data_type::BoolType>),
    I32(ColumnReaderImpl<parquet::data_type::Int32Type>),
    I64(ColumnReaderImpl<parquet::data_type::Int64Type>),
    F32(ColumnReaderImpl<parquet::data_type::FloatType>),
    F64(ColumnReaderImpl<parquet::data_type::DoubleType>),
    Wide(
        ColumnReaderImpl<parquet::data_type::FixedLenByteArrayType>,
        Vec<FixedLenByteArray>,
    ),
}

/// Reads one column of one row group, in order.
pub(crate) struct NumberReader {
    reader: Typed,
    nullable: bool,
    levels: Vec<i16>,
}

impl NumberReader {
    /// None for a column that is not of numbers.
    pub(crate) fn new(column: ColumnDescPtr, pages: Box<dyn PageReader>) -> Option<Self> {
        if column.max_rep_level() > 0 || column.max_def_level() > 1 {
            return None;
        }
        let nullable = column.max_def_level() == 1;
        let wide = column.type_length() == 16 && column.type_precision() > 0;
        let reader = match get_column_reader(column, pages) {
            ColumnReader::BoolColumnReader(reader) => Typed::Bool(reader),
            ColumnReader::Int32ColumnReader(reader) => Typed::I32(reader),
            ColumnReader::Int64ColumnReader(reader) => Typed::I64(reader),
            ColumnReader::FloatColumnReader(reader) => Typed::F32(reader),
            ColumnReader::DoubleColumnReader(reader) => Typed::F64(reader),
            ColumnReader::FixedLenByteArrayColumnReader(reader) if wide => {
                Typed::Wide(reader, Vec::new())
            }
            _ => return None,
        };
        Some(Self {
            reader,
            nullable,
            levels: Vec::new(),
        })
    }

    /// Passes over rows; whole pages of them are not unpacked.
    pub(crate) fn skip(&mut self, rows: usize) -> Result<(), ChunkError> {
        match &mut self.reader {
            Typed::Bool(reader) => reader.skip_records(rows),
            Typed::I32(reader) => reader.skip_records(rows),
            Typed::I64(reader) => reader.skip_records(rows),
            Typed::F32(reader) => reader.skip_records(rows),
            Typed::F64(reader) => reader.skip_records(rows),
            Typed::Wide(reader, _) => reader.skip_records(rows),
        }?;
        Ok(())
    }

    /// The next rows, in the place of what `into` held before.
    pub(crate) fn read(
        &mut self,
        rows: usize,
        into: &mut Option<NumberColumn>,
    ) -> Result<(), ChunkError> {
        let levels = self.nullable.then_some(&mut self.levels);
        if let Some(levels) = levels {
            levels.clear();
        }
        macro_rules! read {
            ($reader:expr, $kind:ident) => {{
                let mut values = match into.take() {
                    Some(NumberColumn {
                        values: Numbers::$kind(mut values),
                        ..
                    }) => {
                        values.clear();
                        values
                    }
                    _ => Vec::with_capacity(rows),
                };
                next(
                    $reader,
                    rows,
                    self.nullable.then_some(&mut self.levels),
                    &mut values,
                )?;
                let valid = spread(&self.levels, &mut values);
                (Numbers::$kind(values), valid)
            }};
        }
        let (values, valid) = match &mut self.reader {
            Typed::Bool(reader) => read!(reader, Bool),
            Typed::I32(reader) => read!(reader, I32),
            Typed::I64(reader) => read!(reader, I64),
            Typed::F32(reader) => read!(reader, F32),
            Typed::F64(reader) => read!(reader, F64),
            Typed::Wide(reader, bytes) => {
                bytes.clear();
                next(
                    reader,
                    rows,
                    self.nullable.then_some(&mut self.levels),
                    bytes,
                )?;
                let mut values: Vec<i128> = bytes
                    .iter()
                    .map(|bytes| {
                        let mut value = [0; 16];
                        value.copy_from_slice(bytes.data());
                        i128::from_be_bytes(value)
                    })
                    .collect();
                let valid = spread(&self.levels, &mut values);
                (Numbers::Wide(values), valid)
            }
        };
        *into = Some(NumberColumn { values, valid });
        Ok(())
    }
}

fn next<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: Option<&mut Vec<i16>>,
    values: &mut Vec<T::T>,
) -> Result<(), ChunkError> {
    let (read, _, _) = reader.read_records(rows, levels, None, values)?;
    if read == rows {
        return Ok(());
    }
    Err(ChunkError::Parquet(parquet::errors::ParquetError::General(
        format!("{read} of {rows} rows in a row group"),
    )))
}

/// Puts the values of rows that are not NULL, which lie close, where their rows are.
fn spread<T: Copy + Default>(levels: &[i16], values: &mut Vec<T>) -> Option<Vec<bool>> {
    if levels.len() == values.len() || levels.is_empty() {
        return None;
    }
    let mut from = values.len();
    values.resize(levels.len(), T::default());
    for row in (0..levels.len()).rev() {
        if levels[row] > 0 {
            from -= 1;
            values[row] = values[from];
        }
    }
    Some(levels.iter().map(|level| *level > 0).collect())
}
