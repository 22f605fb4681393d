//! Rows becoming the bytes of a Parquet file: each column in the encoding that suits it, and as many
//! at a time as there are cores.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::directory::crc32c;
use crate::error::ChunkError;
use crate::layout::Layout;
use crate::stored;

/// Rows of one row group: small enough that a look-up decodes little.
const GROUP_ROWS_MAX: usize = 128 * 1024;
const ZSTD_LEVEL: i32 = 3;
const PAGE_ROWS_MAX: usize = 8 * 1024;
/// The same where a series has some hundreds of rows, and is asked for by itself.
const LIGHT_PAGE_ROWS_MAX: usize = 1024;
/// Encodings are tried on some runs of neighbouring rows.
const TRIED_RUNS: usize = 32;
const TRIED_ROWS: usize = 2 * 1024;
/// The same where packing is to be quick.
const LIGHT_TRIED_RUNS: usize = 4;
const LIGHT_TRIED_ROWS: usize = 256;

/// A file's bytes, and the offset, length and checksum of regions that cover it.
pub(crate) struct Packed {
    pub(crate) bytes: Bytes,
    pub(crate) regions: Vec<(u64, u64, u32)>,
}

/// A column as the file gets it.
struct Column {
    field: Field,
    values: ArrayRef,
    coding: Coding,
}

/// How values become bytes, before zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// Numbers of the values that occur, if those are few; else the values.
    Dictionary,
    /// Differences to the value before: neighbours in a series often differ little.
    Delta,
    /// All first bytes, then all second ones: of scattered numbers the upper bytes are alike.
    Split,
}

impl Coding {
    fn put(
        self,
        properties: parquet::file::properties::WriterPropertiesBuilder,
        path: ColumnPath,
    ) -> parquet::file::properties::WriterPropertiesBuilder {
        let encoding = match self {
            Self::Dictionary => return properties,
            Self::Delta => Encoding::DELTA_BINARY_PACKED,
            Self::Split => Encoding::BYTE_STREAM_SPLIT,
        };
        properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, encoding)
    }
}

/// Packs rows that are sorted.
pub(crate) fn pack(layout: &Layout, rows: &RecordBatch) -> Result<Packed, ChunkError> {
    let wanted: Vec<_> = layout.columns.iter().zip(rows.columns()).collect();
    let columns = in_parallel(wanted.len(), |at| {
        let Some((column, values)) = wanted.get(at) else {
            return Err(lost());
        };
        let values = stored::narrow(values)?;
        // Where no row is NULL the file keeps, and a reader unpacks, no levels.
        let nullable = values.null_count() > 0 || values.data_type().is_nested();
        let field = Field::new(&column.name, values.data_type().clone(), nullable);
        let id = (PARQUET_FIELD_ID_META_KEY.to_owned(), column.id.to_string());
        let field = field.with_metadata([id].into());
        Ok(Column {
            coding: choose(layout, &field, &values)?,
            field,
            values,
        })
    })?;
    let mut properties = properties(layout)?;
    for column in &columns {
        let path = ColumnPath::from(vec![column.field.name().clone()]);
        properties = column.coding.put(properties, path);
    }
    let fields: Vec<Field> = columns.iter().map(|column| column.field.clone()).collect();
    let schema = Arc::new(Schema::new(fields));
    let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties.build()))?;
    let (mut writer, factory) = writer.into_serialized_writer()?;

    let count = rows.num_rows().div_ceil(GROUP_ROWS_MAX);
    let work = Mutex::new(Vec::new());
    for group in 0..count {
        let start = group * GROUP_ROWS_MAX;
        let rows = start..(start + GROUP_ROWS_MAX).min(rows.num_rows());
        work.lock().extend(tasks(&factory, &columns, group, rows)?);
    }
    // From the end, so that a task is taken by popping.
    work.lock().reverse();
    let number = work.lock().len();
    let chunks = in_parallel(number, |_| {
        let Some(task) = work.lock().pop() else {
            return Err(lost());
        };
        task.run()
    })?;
    // Several may finish in any order.
    let mut chunks: Vec<Done> = chunks;
    chunks.sort_by_key(|done| (done.group, done.column));
    let mut chunks = chunks.into_iter().peekable();
    for group in 0..count {
        let mut into = writer.next_row_group()?;
        while let Some(done) = chunks.next_if(|done| done.group == group) {
            for chunk in done.chunks {
                chunk.append_to_row_group(&mut into)?;
            }
        }
        into.close()?;
    }
    let metadata = writer.finish()?;
    let bytes = Bytes::from(std::mem::take(writer.inner_mut()));
    let regions = regions_of(&bytes, &metadata);
    Ok(Packed { bytes, regions })
}

fn lost() -> ChunkError {
    ChunkError::Parquet(ParquetError::General("a column was lost".to_owned()))
}

fn properties(
    layout: &Layout,
) -> Result<parquet::file::properties::WriterPropertiesBuilder, ChunkError> {
    let (compression, page) = match layout.is_packed_lightly() {
        true => (Compression::LZ4_RAW, LIGHT_PAGE_ROWS_MAX),
        false => (
            Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?),
            PAGE_ROWS_MAX,
        ),
    };
    Ok(WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_data_page_row_count_limit(page)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_created_by(concat!("chronolith ", env!("CARGO_PKG_VERSION")).to_owned()))
}

/// A column of a row group, to be encoded.
struct Task {
    group: usize,
    column: usize,
    field: Field,
    values: ArrayRef,
    writers: Vec<ArrowColumnWriter>,
}

struct Done {
    group: usize,
    column: usize,
    chunks: Vec<ArrowColumnChunk>,
}

fn tasks(
    factory: &ArrowRowGroupWriterFactory,
    columns: &[Column],
    group: usize,
    rows: Range<usize>,
) -> Result<Vec<Task>, ChunkError> {
    let mut writers = factory.create_column_writers(group)?.into_iter();
    let mut tasks = Vec::with_capacity(columns.len());
    for (number, column) in columns.iter().enumerate() {
        let leaves = leaves_of(column.field.data_type());
        tasks.push(Task {
            group,
            column: number,
            field: column.field.clone(),
            values: column.values.slice(rows.start, rows.len()),
            writers: writers.by_ref().take(leaves).collect(),
        });
    }
    Ok(tasks)
}

/// How many of the file's columns hold a value of such a type.
fn leaves_of(ty: &DataType) -> usize {
    match ty {
        DataType::Struct(fields) => fields.iter().map(|f| leaves_of(f.data_type())).sum(),
        DataType::List(field) => leaves_of(field.data_type()),
        _ => 1,
    }
}

impl Task {
    fn run(self) -> Result<Done, ChunkError> {
        let leaves = compute_leaves(&self.field, &self.values)?;
        let mut chunks = Vec::with_capacity(leaves.len());
        for (leaf, mut writer) in leaves.iter().zip(self.writers) {
            writer.write(leaf)?;
            chunks.push(writer.close()?);
        }
        Ok(Done {
            group: self.group,
            column: self.column,
            chunks,
        })
    }
}

/// The coding that makes least of a column, by trying.
fn choose(layout: &Layout, field: &Field, values: &ArrayRef) -> Result<Coding, ChunkError> {
    let tried: &[Coding] = match values.data_type() {
        DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Decimal128(0..=18, _) => &[Coding::Delta, Coding::Split, Coding::Dictionary],
        DataType::Float32 | DataType::Float64 => &[Coding::Dictionary, Coding::Split],
        _ => &[Coding::Dictionary],
    };
    let mut best = (usize::MAX, Coding::Dictionary);
    if let [only] = tried {
        return Ok(*only);
    }
    let schema = Arc::new(Schema::new(vec![field.clone()]));
    for coding in tried {
        let bytes = try_out(layout, *coding, &schema, values)?;
        if bytes < best.0 {
            best = (bytes, *coding);
        }
    }
    Ok(best.1)
}

/// The bytes of some of the values.
fn try_out(
    layout: &Layout,
    coding: Coding,
    schema: &SchemaRef,
    values: &ArrayRef,
) -> Result<usize, ChunkError> {
    let (runs, most) = match layout.is_packed_lightly() {
        true => (LIGHT_TRIED_RUNS, LIGHT_TRIED_ROWS),
        false => (TRIED_RUNS, TRIED_ROWS),
    };
    let Some(field) = schema.fields().first() else {
        return Err(lost());
    };
    let path = ColumnPath::from(vec![field.name().clone()]);
    let properties = coding
        .put(properties(layout)?, path)
        .set_statistics_enabled(EnabledStatistics::None);
    let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties.build()))?;
    let (_, factory) = writer.into_serialized_writer()?;
    let mut bytes = 0;
    for mut writer in factory.create_column_writers(0)? {
        for run in 0..runs {
            let start = values.len() * run / runs;
            let end = values.len() * (run + 1) / runs;
            let rows = most.min(end - start);
            for leaf in compute_leaves(field, &values.slice(start, rows))? {
                writer.write(&leaf)?;
            }
        }
        let written = writer.close()?.close().metadata.compressed_size();
        bytes += usize::try_from(written).unwrap_or(0);
    }
    Ok(bytes)
}

/// Calls `work` with each number below `count`, on all cores; the results by number.
fn in_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Result<T, ChunkError> + Sync,
) -> Result<Vec<T>, ChunkError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, T)>, ChunkError> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return Ok(done);
            }
            done.push((at, work(at)?));
        }
    };
    let outcomes = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..cores.min(count)).map(|_| scope.spawn(worker)).collect();
        let mut outcomes = vec![worker()];
        outcomes.extend(helpers.into_iter().map(|helper| match helper.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        outcomes
    });
    let mut done = Vec::with_capacity(count);
    for outcome in outcomes {
        done.extend(outcome?);
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Checksums of every column chunk, and of all that lies between and behind them.
fn regions_of(bytes: &[u8], metadata: &ParquetMetaData) -> Vec<(u64, u64, u32)> {
    let mut spans: Vec<(u64, u64)> = metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns().iter().map(|column| column.byte_range()))
        .collect();
    spans.sort_unstable();
    let mut regions = Vec::new();
    let mut at = 0;
    let mut region = |start: u64, end: u64| {
        let (Ok(from), Ok(to)) = (usize::try_from(start), usize::try_from(end)) else {
            return;
        };
        if let Some(part) = bytes.get(from..to).filter(|part| !part.is_empty()) {
            regions.push((start, end - start, crc32c(part)));
        }
    };
    for (start, length) in spans {
        region(at, start);
        region(start, start + length);
        at = start + length;
    }
    region(at, bytes.len() as u64);
    regions
}
