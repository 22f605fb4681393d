//! Cold parts: rows packed into one Parquet file that never changes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::{Buf, Bytes};
use chronolith_platform::{Disk, RelPath, write_unnamed};
use chronolith_types::{ColumnId, SqlType};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, RowSelection, RowSelector,
};
use parquet::arrow::{
    FieldLevels, PARQUET_FIELD_ID_META_KEY, ProjectionMask, parquet_to_arrow_field_levels,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use roaring::RoaringBitmap;

use crate::constant::repeated;
use crate::directory::{Directory, Series, crc32c};
use crate::error::ChunkError;
use crate::layout::Layout;
use crate::load::{self, Sorted};
use crate::locator::{LOCATOR_COLUMN, Locator, locator_type};
use crate::numbers::NumberReader;
use crate::pack::{Packed, pack};
use crate::pages::{Groups, Unpacking};
use crate::stored;

/// A file's length, and the checksums of regions that cover it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Its length.
    pub bytes: u64,
    /// Offset, length and CRC-32C of each region, in order and without gaps.
    pub regions: Vec<(u64, u64, u32)>,
}

/// What is known of a part once it is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// Its rows.
    pub rows: u64,
    /// First and last time; None without a time column or rows.
    pub times: Option<(i64, i64)>,
    /// The Parquet file.
    pub data: Checked,
    /// The series directory.
    pub directory: Checked,
}

/// Packs rows into a part: sorted by series and order, equal keys in their order of arrival.
///
/// Both files have their final names and are safe when this returns.
///
/// # Errors
/// As the disk gives them.
pub fn write(
    disk: &dyn Disk,
    data: &RelPath,
    directory: &RelPath,
    layout: &Layout,
    batches: &[RecordBatch],
) -> Result<Written, ChunkError> {
    match load::sort(layout, batches.to_vec(), &[])? {
        Sorted::Rows { rows, .. } => write_sorted(disk, data, directory, layout, &rows),
        // No key was asked for.
        Sorted::Twice { .. } => Err(ChunkError::Columns(ArrowError::InvalidArgumentError(
            "rows that are alike".to_owned(),
        ))),
    }
}

/// The same for rows that are sorted already, as [`load::sort`] sorts them. Both files lie in one
/// directory.
///
/// # Errors
/// As the disk gives them.
pub fn write_sorted(
    disk: &dyn Disk,
    data: &RelPath,
    directory: &RelPath,
    layout: &Layout,
    rows: &RecordBatch,
) -> Result<Written, ChunkError> {
    let series = series_of(layout, rows)?;
    let Packed { bytes, regions } = pack(layout, rows)?;
    let failed = |source| ChunkError::Io {
        action: "write",
        file: data.to_string(),
        source,
    };
    write_unnamed(disk, data, &bytes).map_err(failed)?;
    let (directory_bytes, crc) = Directory::new(layout, series.clone()).write(disk, directory)?;
    // Both names with one sync.
    disk.sync_dir(&data.parent()).map_err(failed)?;
    let times = series.iter().filter_map(|series| series.times);
    let times = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    Ok(Written {
        rows: rows.num_rows() as u64,
        times,
        data: Checked {
            bytes: bytes.len() as u64,
            regions,
        },
        directory: Checked {
            bytes: directory_bytes,
            regions: vec![(0, directory_bytes, crc)],
        },
    })
}

/// Runs of rows whose segment-by columns are equal.
fn series_of(layout: &Layout, rows: &RecordBatch) -> Result<Vec<Series>, ChunkError> {
    let options = FormatOptions::default();
    let columns: Vec<&ArrayRef> = layout.segment_by.iter().map(|c| rows.column(*c)).collect();
    let formatters = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let times = time_values(layout, rows)?;
    let mut found: Vec<Series> = Vec::new();
    let runs: Vec<Range<usize>> = match columns.is_empty() {
        true if rows.num_rows() == 0 => Vec::new(),
        true => std::iter::once(0..rows.num_rows()).collect(),
        false => {
            let columns: Vec<ArrayRef> = columns.iter().map(|column| Arc::clone(column)).collect();
            arrow::compute::partition(&columns)?.ranges()
        }
    };
    for run in runs {
        let values = columns
            .iter()
            .zip(&formatters)
            .map(|(column, formatter)| {
                (!column.is_null(run.start)).then(|| formatter.value(run.start).to_string())
            })
            .collect();
        let of_run = times.as_ref().and_then(|times| times.get(run.clone()));
        let span = of_run.and_then(|times| {
            let first = times.iter().min()?;
            let last = times.iter().max()?;
            Some((*first, *last))
        });
        found.push(Series {
            values,
            start: run.start as u64,
            rows: run.len() as u64,
            times: span,
        });
    }
    Ok(found)
}

/// The time column as whole numbers; dates count as µs.
pub(crate) fn time_values(
    layout: &Layout,
    rows: &RecordBatch,
) -> Result<Option<Vec<i64>>, ChunkError> {
    let Some(place) = layout.time else {
        return Ok(None);
    };
    Ok(Some(time_array(rows.column(place))?))
}

pub(crate) const US_PER_DAY: i64 = 86_400_000_000;

pub use self::time_array as times;

/// A time column's values: µs for dates and timestamps, whole numbers as they are.
///
/// # Errors
/// When the column is of no type that chunks are cut by.
pub fn time_array(column: &ArrayRef) -> Result<Vec<i64>, ChunkError> {
    // What nearly all are; a cast costs more than a row of them.
    if let Some(times) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return Ok(times.values().to_vec());
    }
    let date = *column.data_type() == DataType::Date32;
    let column = match column.data_type() {
        DataType::Date32 => arrow::compute::cast(
            &arrow::compute::cast(column, &DataType::Int32)?,
            &DataType::Int64,
        )?,
        _ => arrow::compute::cast(column, &DataType::Int64)?,
    };
    let values = column.as_primitive::<Int64Type>().values();
    Ok(if date {
        values
            .iter()
            .map(|days| days.saturating_mul(US_PER_DAY))
            .collect()
    } else {
        values.to_vec()
    })
}

/// A file's bytes, of which none is given out before its region's checksum matched.
#[derive(Debug, Clone)]
struct CheckedBytes {
    file: Arc<str>,
    bytes: Bytes,
    regions: Arc<[(u64, u64, u32)]>,
    matched: Arc<[AtomicBool]>,
    /// How often a region was asked for before its checksum was known to match, and after.
    asked: Arc<[AtomicU64; 2]>,
}

impl CheckedBytes {
    fn open(disk: &dyn Disk, path: &RelPath, expected: &Checked) -> Result<Self, ChunkError> {
        let bytes = disk.map(path).map_err(|source| ChunkError::Io {
            action: "read",
            file: path.to_string(),
            source,
        })?;
        let file: Arc<str> = path.as_str().into();
        if bytes.len() as u64 != expected.bytes {
            return Err(ChunkError::Corrupt {
                file: file.to_string(),
                offset: expected.bytes.min(bytes.len() as u64),
                reason: format!("{} bytes, expected {}", bytes.len(), expected.bytes),
            });
        }
        Ok(Self {
            file,
            bytes,
            regions: expected.regions.clone().into(),
            matched: expected
                .regions
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect(),
            asked: Arc::default(),
        })
    }

    /// Checks the regions that a range touches.
    fn check(&self, range: Range<u64>) -> Result<(), ChunkError> {
        let first = self.region_at(range.start);
        let [new, known] = &*self.asked;
        let regions = self.regions.iter().zip(self.matched.iter()).skip(first);
        for ((start, length, crc), matched) in regions {
            if *start >= range.end {
                break;
            }
            if matched.load(Ordering::Acquire) {
                known.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            new.fetch_add(1, Ordering::Relaxed);
            let part = slice(&self.bytes, *start, *length);
            if crc32c(&part) != *crc {
                return Err(ChunkError::Corrupt {
                    file: self.file.to_string(),
                    offset: *start,
                    reason: format!("the checksum of {length} bytes does not match"),
                });
            }
            matched.store(true, Ordering::Release);
        }
        Ok(())
    }
}

fn slice(bytes: &Bytes, start: u64, length: u64) -> Bytes {
    let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(clamp(start)..clamp(start.saturating_add(length)))
}

impl CheckedBytes {
    /// The first region that ends behind an offset.
    fn region_at(&self, offset: u64) -> usize {
        self.regions
            .partition_point(|(start, length, _)| start + length <= offset)
    }
}

impl Length for CheckedBytes {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl ChunkReader for CheckedBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        // Whoever reads on from here stays within the region: a column chunk, or the footer.
        let end = self
            .regions
            .get(self.region_at(start))
            .map_or(self.len(), |(at, length, _)| at + length);
        let rest = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(self.get_bytes(start, rest)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let length = length as u64;
        self.check(start..start.saturating_add(length))
            .map_err(|error| parquet::errors::ParquetError::External(Box::new(error)))?;
        Ok(slice(&self.bytes, start, length))
    }
}

/// An open cold part, and which of its rows are deleted.
#[derive(Debug, Clone)]
pub struct ColdPart {
    input: Arc<CheckedBytes>,
    schema: arrow::datatypes::SchemaRef,
    pages: Unpacking,
    /// What the library makes of sets of its columns.
    levels: Arc<Mutex<Vec<Levels>>>,
    /// Rows of each row group.
    groups: Arc<[Range<u64>]>,
    directory: Arc<Directory>,
    written: Arc<Written>,
    deleted: Option<Arc<RoaringBitmap>>,
}

/// Some of a part's columns, and what the library makes of them.
type Levels = (Vec<usize>, Arc<FieldLevels>);

/// Of so many sets of columns it is kept what the library makes of them.
const LEVELS_MAX: usize = 8;

/// What to read of a part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) projection: &'a [usize],
    /// Row ranges to read, in order; None for all rows.
    pub(crate) rows: Option<Vec<Range<u64>>>,
    pub(crate) batch_rows: usize,
    /// A column of locators comes last, with this chunk and source.
    pub(crate) locate: Option<(u32, u32)>,
}

impl ColdPart {
    /// Regions of its file, each a column of a row group or a page of an index, that were read and
    /// compared with their checksums, and those that were asked for again.
    #[must_use]
    pub fn reads(&self) -> (u64, u64) {
        let [new, known] = &*self.input.asked;
        (new.load(Ordering::Relaxed), known.load(Ordering::Relaxed))
    }

    /// Opens a part: its footer and its directory are checked and read, its rows are not.
    ///
    /// # Errors
    /// When a file is missing or not as it was written.
    pub fn open(
        disk: &dyn Disk,
        data: &RelPath,
        directory: &RelPath,
        written: Written,
    ) -> Result<Self, ChunkError> {
        let index = CheckedBytes::open(disk, directory, &written.directory)?;
        index.check(0..u64::MAX)?;
        let directory = Directory::decode(&index.bytes, directory)?;
        let input = CheckedBytes::open(disk, data, &written.data)?;
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&input)
            .and_then(Unpacking::new);
        let pages = metadata.map_err(unwrap_external)?;
        let known = Arc::clone(pages.metadata());
        let known = ArrowReaderMetadata::try_new(known, ArrowReaderOptions::new());
        let schema = Arc::clone(known.map_err(unwrap_external)?.schema());
        let mut at = 0;
        let groups = pages
            .metadata()
            .row_groups()
            .iter()
            .map(|group| {
                let start = at;
                at += u64::try_from(group.num_rows()).unwrap_or(0);
                start..at
            })
            .collect();
        Ok(Self {
            input: Arc::new(input),
            schema,
            pages,
            levels: Arc::default(),
            groups,
            directory: Arc::new(directory),
            written: Arc::new(written),
            deleted: None,
        })
    }

    /// The same part with other rows deleted, by their places in the file; costs no reading.
    #[must_use]
    pub fn with_deleted(&self, rows: &Arc<RoaringBitmap>) -> Self {
        Self {
            deleted: (!rows.is_empty()).then(|| Arc::clone(rows)),
            ..self.clone()
        }
    }

    /// The same with all rows of its file.
    pub(crate) fn undeleted(&self) -> Self {
        Self {
            deleted: None,
            ..self.clone()
        }
    }

    /// Its file's number, of this file alone as long as the process lives.
    pub(crate) fn file(&self) -> u64 {
        self.pages.file()
    }

    /// Which of its rows are deleted, where any are.
    #[must_use]
    pub fn deleted(&self) -> Option<&Arc<RoaringBitmap>> {
        self.deleted.as_ref()
    }

    /// How many rows between two are deleted.
    pub(crate) fn deleted_within(&self, rows: &Range<u64>) -> u64 {
        let number = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
        let deleted = self.deleted.as_ref();
        deleted.map_or(0, |all| {
            all.range_cardinality(number(rows.start)..number(rows.end))
        })
    }

    /// Its series.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How many rows it has that are not deleted.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let deleted = self.deleted.as_ref().map_or(0, |rows| rows.len());
        self.written.rows.saturating_sub(deleted)
    }

    /// How many rows its file has.
    #[must_use]
    pub fn all_rows(&self) -> u64 {
        self.written.rows
    }

    /// First and last time of its file's rows.
    #[must_use]
    pub fn times(&self) -> Option<(i64, i64)> {
        self.written.times
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.written.data.bytes + self.written.directory.bytes
    }

    /// Checks every byte.
    ///
    /// # Errors
    /// The first region that is not as it was written.
    pub fn verify(&self) -> Result<(), ChunkError> {
        for matched in self.input.matched.iter() {
            matched.store(false, Ordering::Release);
        }
        self.input.check(0..u64::MAX)
    }

    /// Whether a column's bytes were looked at since it was opened.
    #[cfg(test)]
    pub(crate) fn was_read(&self) -> bool {
        let matched = self.input.matched.iter();
        // The footer, and what lies between columns, is read on opening.
        let footer = self.input.regions.len() - 1;
        let columns = matched
            .enumerate()
            .filter(|(at, _)| *at > 0 && *at < footer);
        columns
            .into_iter()
            .any(|(_, matched)| matched.load(Ordering::Acquire))
    }

    /// The series that may have rows that are asked for, by number.
    pub(crate) fn select_series(
        &self,
        layout: &Layout,
        times: &Range<i64>,
        equals: &[(usize, Vec<String>)],
    ) -> Vec<usize> {
        let all_times = *times == (i64::MIN..i64::MAX);
        let wanted = |series: &Series| {
            let in_time = all_times
                || series
                    .times
                    .is_none_or(|(first, last)| first < times.end && last >= times.start);
            in_time
                && equals.iter().all(|(column, allowed)| {
                    let id = layout.columns.get(*column).map(|column| column.id);
                    let place = id.and_then(|id| self.directory.place_of(id));
                    match place.and_then(|place| series.values.get(place)) {
                        Some(Some(value)) => allowed.contains(value),
                        Some(None) => false,
                        None => true,
                    }
                })
        };
        let series = self.directory.series.iter().enumerate();
        series
            .filter(|(_, series)| wanted(series))
            .map(|(number, _)| number)
            .collect()
    }

    /// Row ranges that may hold rows of the series asked for; None when that is all rows.
    pub(crate) fn select(
        &self,
        layout: &Layout,
        times: &Range<i64>,
        equals: &[(usize, Vec<String>)],
    ) -> Option<Vec<Range<u64>>> {
        let selected = self.select_series(layout, times, equals);
        if selected.len() == self.directory.series.len() {
            return None;
        }
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for series in selected
            .iter()
            .filter_map(|number| self.directory.series.get(*number))
        {
            let end = series.start + series.rows;
            match ranges.last_mut() {
                Some(last) if last.end == series.start => last.end = end,
                _ => ranges.push(series.start..end),
            }
        }
        Some(ranges)
    }

    /// Reads rows in the table's types.
    pub(crate) fn read(&self, layout: &Layout, wanted: &Wanted<'_>) -> Result<Reader, ChunkError> {
        let mut columns = Vec::new();
        let mut roots = Vec::new();
        for place in wanted.projection {
            let Some(column) = layout.columns.get(*place) else {
                continue;
            };
            let root = self.root_of(column.id);
            roots.extend(root);
            columns.push((column.ty.clone(), root, layout.missing(*place).cloned()));
        }
        roots.sort_unstable();
        roots.dedup();
        self.check_columns(&roots, wanted.rows.as_deref())?;
        let (numbers, selection) = match &wanted.rows {
            Some(rows) => {
                let (groups, selection) = self.touched(rows);
                (groups, Some(selection))
            }
            None => ((0..self.groups.len()).collect(), None),
        };
        let groups = Groups {
            input: Arc::clone(&self.input),
            of: self.pages.clone(),
            numbers: numbers.into(),
            keep: wanted.rows.as_ref().is_some_and(|rows| are_few(rows)),
        };
        let levels = self.levels_of(&roots)?;
        // The reader makes room for a batch at once.
        let all = usize::try_from(self.written.rows).unwrap_or(usize::MAX);
        let batch_rows = wanted.batch_rows.min(all).max(1);
        let reader = ParquetRecordBatchReader::try_new_with_row_groups(
            &levels, &groups, batch_rows, selection,
        );
        let reader = reader.map_err(unwrap_external)?;
        let places = match (&self.deleted, wanted.locate) {
            (None, None) => None,
            _ => {
                let all = std::iter::once(0..self.written.rows);
                let rows = wanted.rows.clone();
                Some(Places {
                    rows: rows.unwrap_or_else(|| all.collect()).into_iter().collect(),
                    deleted: self.deleted.clone(),
                    locate: wanted.locate,
                })
            }
        };
        Ok(Reader {
            places,
            reader,
            columns: columns
                .into_iter()
                .map(|(ty, root, missing)| {
                    let place = root.and_then(|root| roots.iter().position(|r| *r == root));
                    (ty, place, missing)
                })
                .collect(),
            schema: layout.projected(wanted.projection),
        })
    }

    fn levels_of(&self, roots: &[usize]) -> Result<Arc<FieldLevels>, ChunkError> {
        let mut known = self.levels.lock();
        if let Some((_, levels)) = known.iter().find(|(of, _)| of == roots) {
            return Ok(Arc::clone(levels));
        }
        let file = self.pages.metadata().file_metadata().schema_descr();
        let mask = ProjectionMask::roots(file, roots.iter().copied());
        let levels = parquet_to_arrow_field_levels(file, mask, Some(self.schema.fields()));
        let levels = Arc::new(levels.map_err(unwrap_external)?);
        if known.len() >= LEVELS_MAX {
            known.remove(0);
        }
        known.push((roots.to_vec(), Arc::clone(&levels)));
        Ok(levels)
    }

    /// The row groups that some ranges of rows lie in, and the ranges within those.
    fn touched(&self, rows: &[Range<u64>]) -> (Vec<usize>, RowSelection) {
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut groups = Vec::new();
        let mut selectors = Vec::new();
        let mut rows = rows.iter().peekable();
        for (number, group) in self.groups.iter().enumerate() {
            while rows.next_if(|range| range.end <= group.start).is_some() {}
            if rows.peek().is_none_or(|range| range.start >= group.end) {
                continue;
            }
            groups.push(number);
            let mut at = group.start;
            while let Some(range) = rows.peek() {
                if range.start >= group.end {
                    break;
                }
                let (start, end) = (range.start.max(at), range.end.min(group.end));
                if start > at {
                    selectors.push(RowSelector::skip(count(start - at)));
                }
                selectors.push(RowSelector::select(count(end.saturating_sub(start))));
                at = end;
                if range.end > group.end {
                    break;
                }
                rows.next();
            }
            if at < group.end {
                selectors.push(RowSelector::skip(count(group.end - at)));
            }
        }
        (groups, RowSelection::from(selectors))
    }

    /// Checks the column chunks that a read will touch, before the reader does: what it finds
    /// itself comes out of it as text alone.
    fn check_columns(
        &self,
        roots: &[usize],
        rows: Option<&[Range<u64>]>,
    ) -> Result<(), ChunkError> {
        let metadata = self.pages.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let mut start = 0;
        for group in metadata.row_groups() {
            let end = start + u64::try_from(group.num_rows()).unwrap_or(0);
            let touched =
                rows.is_none_or(|rows| rows.iter().any(|r| r.start < end && start < r.end));
            start = end;
            if !touched {
                continue;
            }
            for (leaf, column) in group.columns().iter().enumerate() {
                if roots.contains(&schema.get_column_root_idx(leaf)) {
                    let (offset, length) = column.byte_range();
                    self.input.check(offset..offset + length)?;
                }
            }
        }
        Ok(())
    }

    /// The rows of each row group.
    pub(crate) fn groups(&self) -> &[Range<u64>] {
        &self.groups
    }

    /// The type in which the file has a column; None for a column that is younger than the part.
    pub(crate) fn stored_type(&self, id: ColumnId) -> Option<&DataType> {
        let root = self.root_of(id)?;
        Some(self.schema.field(root).data_type())
    }

    /// Whether a column has NULLs.
    pub(crate) fn may_be_null(&self, id: ColumnId) -> bool {
        self.root_of(id)
            .is_none_or(|root| self.schema.field(root).is_nullable())
    }

    /// A reader of a column's numbers in a row group; None for a column of other values, or that
    /// the file has not.
    pub(crate) fn numbers(
        &self,
        group: usize,
        id: ColumnId,
    ) -> Result<Option<NumberReader>, ChunkError> {
        let metadata = self.pages.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let leaf = self.root_of(id).and_then(|root| {
            (0..schema.num_columns()).find(|l| schema.get_column_root_idx(*l) == root)
        });
        let (Some(leaf), Some(rows)) = (leaf, metadata.row_groups().get(group)) else {
            return Ok(None);
        };
        let column = rows.column(leaf);
        let (offset, length) = column.byte_range();
        self.input.check(offset..offset + length)?;
        let Some(pages) = self.pages.pages(&self.input, group, leaf, false)? else {
            return Ok(None);
        };
        Ok(NumberReader::new(schema.column(leaf), Box::new(pages)))
    }

    /// The file's column of a number; none for a column that is younger than the part.
    fn root_of(&self, id: ColumnId) -> Option<usize> {
        let id = id.to_string();
        self.schema
            .fields()
            .iter()
            .position(|field| field.metadata().get(PARQUET_FIELD_ID_META_KEY) == Some(&id))
    }
}

/// Whether so few rows are read that they are likely to lie in a page each.
fn are_few(rows: &[Range<u64>]) -> bool {
    const FEW: u64 = 16;
    rows.iter().map(|of| of.end - of.start).sum::<u64>() <= FEW
}

/// The reader wraps what our checks said; take it out again.
fn unwrap_external(error: parquet::errors::ParquetError) -> ChunkError {
    match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<ChunkError>() {
            Ok(own) => *own,
            Err(other) => ChunkError::Parquet(parquet::errors::ParquetError::External(other)),
        },
        other => ChunkError::Parquet(other),
    }
}

/// Which rows of the file come next.
struct Places {
    rows: VecDeque<Range<u64>>,
    deleted: Option<Arc<RoaringBitmap>>,
    locate: Option<(u32, u32)>,
}

impl Places {
    /// The places of the next rows.
    fn next(&mut self, mut count: u64) -> Vec<Range<u64>> {
        let mut next = Vec::new();
        while count > 0 {
            let Some(first) = self.rows.front_mut() else {
                break;
            };
            let end = first.end.min(first.start.saturating_add(count));
            count -= end - first.start;
            next.push(first.start..end);
            first.start = end;
            if first.is_empty() {
                self.rows.pop_front();
            }
        }
        next
    }

    /// A batch of the next rows without deleted ones, with their locators where these are wanted.
    fn settle(&mut self, batch: RecordBatch) -> Result<RecordBatch, ChunkError> {
        let next = self.next(batch.num_rows() as u64);
        let number = |row: u64| u32::try_from(row).unwrap_or(u32::MAX);
        let places = || {
            next.iter()
                .flat_map(|rows| number(rows.start)..number(rows.end))
        };
        let mut batch = batch;
        if let Some((chunk, source)) = self.locate {
            let locators = places().map(|row| i128::from(Locator { chunk, source, row }));
            batch = with_locators(&batch, locators)?;
        }
        let Some(deleted) = &self.deleted else {
            return Ok(batch);
        };
        let touched = next
            .iter()
            .any(|rows| deleted.range_cardinality(number(rows.start)..number(rows.end)) > 0);
        if !touched {
            return Ok(batch);
        }
        let kept: BooleanArray = places().map(|row| Some(!deleted.contains(row))).collect();
        Ok(filter_record_batch(&batch, &kept)?)
    }
}

/// A batch with a column of locators behind its own.
pub(crate) fn with_locators(
    batch: &RecordBatch,
    locators: impl Iterator<Item = i128>,
) -> Result<RecordBatch, ChunkError> {
    let locators = Decimal128Array::from_iter_values(locators).with_data_type(locator_type());
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(LOCATOR_COLUMN, locator_type(), true)));
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(locators));
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// Rows of a part, batch by batch.
pub(crate) struct Reader {
    places: Option<Places>,
    reader: ParquetRecordBatchReader,
    /// Each column's type, its place in the reader's batches, and what rows older than it have.
    columns: Vec<(SqlType, Option<usize>, Option<ArrayRef>)>,
    schema: arrow::datatypes::SchemaRef,
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = match self.reader.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(from_arrow(error))),
        };
        let widened = self
            .columns
            .iter()
            .map(|(ty, place, missing)| match place {
                Some(place) => stored::widen(batch.column(*place), &ty.arrow()),
                None => Ok(repeated(missing.as_ref(), &ty.arrow(), batch.num_rows())),
            })
            .collect::<Result<Vec<_>, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Some(widened.and_then(|columns| {
            let schema = Arc::clone(&self.schema);
            let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
            match &mut self.places {
                Some(places) => places.settle(batch),
                None => Ok(batch),
            }
        }))
    }
}

fn from_arrow(error: ArrowError) -> ChunkError {
    match error {
        ArrowError::ExternalError(inner) => match inner.downcast::<parquet::errors::ParquetError>()
        {
            Ok(parquet) => unwrap_external(*parquet),
            Err(inner) => ChunkError::from(ArrowError::ExternalError(inner)),
        },
        other => ChunkError::Columns(other),
    }
}
