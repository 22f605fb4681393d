//! Aggregates by time bucket and group, straight from packed columns.
//!
//! A cold part lies sorted by series and time: its buckets are runs of neighbouring rows ([`sorted`]),
//! which are added up in the file's narrow integers, without hashing ([`fold`]). Hot rows, and parts
//! sorted otherwise, are hashed ([`hashed`]). What the pieces found is then merged by (bucket, group),
//! in the order of the pieces, so that `first` and `last` know which of two rows came earlier.

mod cells;
mod fold;
mod hashed;
mod sorted;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, partition, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::{RowConverter, SortField};
use chronolith_types::{SqlType, ValueError};
use hashbrown::HashMap;

use self::cells::{Cells, Domain};
use self::hashed::{Source, batches_of_hot};
use self::sorted::Piece;
pub(crate) use self::sorted::keys_of_series;
use crate::cold::ColdPart;
use crate::error::ChunkError;
use crate::layout::Layout;
use crate::view::{BatchIter, ChunkView};

/// Rows of an output batch, at most.
const OUTPUT_ROWS_MAX: usize = 8192;
/// With fewer rows, starting a thread takes longer than what it would take off.
const ROWS_PER_THREAD_MIN: u64 = 50_000;
/// The same for pieces: of each, pages are found and unpacked for however few rows.
const PIECES_PER_THREAD_MIN: usize = 6;

/// The bucket, half-open, that a time is in. Times are µs, or an integer column's numbers.
pub type Buckets = Arc<dyn Fn(i64) -> Result<Range<i64>, ValueError> + Send + Sync>;

/// What is computed of a group's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggKind {
    /// Rows.
    CountStar,
    /// Values that are not NULL.
    Count,
    /// The least value.
    Min,
    /// The greatest value; NaN is greater than all others.
    Max,
    /// The sum; NULL of no values.
    Sum,
    /// The sum of products of two decimals; NULL where there is none of which neither is NULL.
    SumProduct,
    /// The value, also a NULL, at the least time; of equal times the one that arrived first.
    First,
    /// The value, also a NULL, at the greatest time; of equal times the one that arrived last.
    Last,
}

/// One aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate {
    /// What is computed.
    pub kind: AggKind,
    /// Of which column; None for [`AggKind::CountStar`].
    pub column: Option<usize>,
    /// The column of times that `First` and `Last` go by; rows where it is NULL do not count.
    pub time: Option<usize>,
    /// The other column of a [`AggKind::SumProduct`].
    pub factor: Option<usize>,
}

impl Aggregate {
    /// The type of its results.
    #[must_use]
    pub fn output_type(&self, layout: &Layout) -> DataType {
        let ty = |place: Option<usize>| Some(&layout.columns.get(place?)?.ty);
        cells::output_type(self.kind, ty(self.column), ty(self.factor))
    }
}

/// What [`bucket_aggregate`] is asked for.
#[derive(Clone)]
pub struct AggregateRequest {
    /// Buckets of the layout's time column; None for one bucket of all times.
    pub bucket: Option<Buckets>,
    /// Columns to group by.
    pub groups: Vec<usize>,
    /// What to compute.
    pub aggs: Vec<Aggregate>,
    /// Times of the rows that count; half-open. Exact.
    pub time: Range<i64>,
    /// Text columns and the values that rows must have there. Exact.
    pub equals: Vec<(usize, Vec<String>)>,
    /// How many threads may work at it.
    pub threads: usize,
    /// Rows come in the order of their groups, least first and NULLs last, with the bucket before
    /// the group of this number; None for any order.
    pub sorted: Option<usize>,
    /// Set by whoever does not want the result any more.
    pub stop: Arc<AtomicBool>,
}

impl fmt::Debug for AggregateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AggregateRequest")
            .field("bucket", &self.bucket.is_some())
            .field("groups", &self.groups)
            .field("aggs", &self.aggs)
            .field("time", &self.time)
            .field("equals", &self.equals)
            .field("threads", &self.threads)
            .field("sorted", &self.sorted)
            .finish_non_exhaustive()
    }
}

impl AggregateRequest {
    pub(crate) fn all_times(&self) -> bool {
        self.time == (i64::MIN..i64::MAX)
    }

    /// Whether [`bucket_aggregate`] computes this over such columns; else scan and aggregate.
    #[must_use]
    pub fn is_supported(&self, layout: &Layout) -> bool {
        let ty = |place: usize| layout.columns.get(place).map(|column| &column.ty);
        let groups = self
            .groups
            .iter()
            .all(|place| ty(*place).is_some_and(groupable));
        let equals = self
            .equals
            .iter()
            .all(|(place, _)| ty(*place).is_some_and(|ty| ty.arrow() == DataType::Utf8View));
        let bucket = self.bucket.is_none() || layout.time.is_some();
        let time = self.all_times() || layout.time.is_some();
        let aggs = self.aggs.iter().all(|agg| {
            let column = agg.column.and_then(ty);
            let timed = agg.time.and_then(ty).is_some_and(is_time);
            match agg.kind {
                AggKind::CountStar => true,
                AggKind::Count => column.is_some(),
                AggKind::Sum => column.is_some_and(|ty| {
                    Domain::of(ty).is_some_and(|domain| domain != Domain::Bytes) && is_number(ty)
                }),
                AggKind::SumProduct => [column, agg.factor.and_then(ty)]
                    .iter()
                    .all(|factor| factor.and_then(cells::factor_scale).is_some()),
                AggKind::Min | AggKind::Max => {
                    column.is_some_and(|ty| Domain::of(ty).is_some() && ordered(ty))
                }
                AggKind::First | AggKind::Last => {
                    timed && column.is_some_and(|ty| Domain::of(ty).is_some())
                }
            }
        });
        groups && equals && bucket && time && aggs
    }

    /// The columns of the result: the bucket's start (of the time column's type) if there are
    /// buckets, the groups' values, and the aggregates.
    ///
    /// A sum of whole numbers is decimal(38,0), of decimal(p,s) decimal(38,s) up to 20 digits and
    /// decimal(76,s) of more, of floats double precision; plain numeric stays plain. One of products
    /// is decimal(76) of both scales together.
    #[must_use]
    pub fn schema(&self, layout: &Layout) -> SchemaRef {
        let ty = |place: usize| layout.columns.get(place).map(|column| column.ty.arrow());
        let mut fields = Vec::new();
        if self.bucket.is_some() {
            let ty = layout.time.and_then(ty).unwrap_or(DataType::Int64);
            fields.push(Field::new("bucket", ty, true));
        }
        for (number, place) in self.groups.iter().enumerate() {
            let ty = ty(*place).unwrap_or(DataType::Null);
            fields.push(Field::new(format!("group{number}"), ty, true));
        }
        for (number, agg) in self.aggs.iter().enumerate() {
            let ty = agg.output_type(layout);
            fields.push(Field::new(format!("agg{number}"), ty, true));
        }
        Arc::new(Schema::new(fields))
    }
}

fn is_time(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Timestamptz(_)
            | SqlType::Timestamp(_)
            | SqlType::Date
            | SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
    )
}

fn is_number(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
            | SqlType::Float4
            | SqlType::Float8
            | SqlType::Numeric(_)
    )
}

/// Whether PostgreSQL has min and max of it, in the order of its values or bytes.
fn ordered(ty: &SqlType) -> bool {
    is_number(ty)
        || is_time(ty)
        || matches!(
            ty,
            SqlType::Time(_) | SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_)
        )
}

/// Whether equal values, and only those, have equal bytes.
fn groupable(ty: &SqlType) -> bool {
    match ty {
        SqlType::Numeric(_) => matches!(ty.arrow(), DataType::Decimal128(_, _)),
        SqlType::Bool
        | SqlType::Int2
        | SqlType::Int4
        | SqlType::Int8
        | SqlType::Date
        | SqlType::Time(_)
        | SqlType::Timestamp(_)
        | SqlType::Timestamptz(_)
        | SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Char(_)
        | SqlType::Uuid => true,
        _ => false,
    }
}

/// What a piece found: a row for each group and bucket.
#[derive(Debug)]
pub(crate) struct Partial {
    /// Numbers of the groups' values.
    pub(crate) keys: Vec<u32>,
    /// Starts of the buckets.
    pub(crate) buckets: Vec<i64>,
    pub(crate) cells: Vec<Cells>,
}

impl Partial {
    fn new(query: &Query<'_>) -> Self {
        let cells = query
            .request
            .aggs
            .iter()
            .map(|agg| {
                let ty = |place: Option<usize>| Some(&query.layout.columns.get(place?)?.ty);
                Cells::new(agg.kind, ty(agg.column), ty(agg.factor))
            })
            .collect();
        Self {
            keys: Vec::new(),
            buckets: Vec::new(),
            cells,
        }
    }

    /// A row for a group and bucket; its place.
    pub(crate) fn push(&mut self, key: u32, bucket: i64) -> usize {
        self.keys.push(key);
        self.buckets.push(bucket);
        for cells in &mut self.cells {
            cells.push();
        }
        self.keys.len() - 1
    }
}

/// Groups' values by number.
pub(crate) struct Keys {
    converter: Arc<RowConverter>,
    numbers: HashMap<Box<[u8]>, u32, ahash::RandomState>,
    values: Vec<Box<[u8]>>,
}

impl Keys {
    pub(crate) fn new(converter: &Arc<RowConverter>) -> Self {
        Self {
            converter: Arc::clone(converter),
            numbers: HashMap::default(),
            values: Vec::new(),
        }
    }

    pub(crate) fn number(&mut self, value: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        // Two groups under one number would be added up as one.
        assert!(number < u32::MAX, "too many groups");
        self.numbers.insert(value.into(), number);
        self.values.push(value.into());
        number
    }

    /// The number of each row's values.
    pub(crate) fn of(&mut self, columns: &[ArrayRef]) -> Result<Vec<u32>, ChunkError> {
        let converter = Arc::clone(&self.converter);
        let rows = converter.convert_columns(columns)?;
        Ok(rows.iter().map(|row| self.number(row.as_ref())).collect())
    }

    pub(crate) fn columns(&self) -> Result<Vec<ArrayRef>, ChunkError> {
        let parser = self.converter.parser();
        let rows = self.values.iter().map(|value| parser.parse(value));
        Ok(self.converter.convert_rows(rows)?)
    }
}

/// What all workers know.
pub(crate) struct Query<'a> {
    pub(crate) layout: &'a Arc<Layout>,
    pub(crate) request: &'a AggregateRequest,
    pub(crate) converter: Arc<RowConverter>,
}

enum Work {
    Sorted(Piece),
    Hashed(Source),
}

impl Work {
    fn rows(&self) -> u64 {
        match self {
            Self::Sorted(piece) => piece.rows.end - piece.rows.start,
            Self::Hashed(source) => source.rows(),
        }
    }
}

/// What a worker found, in numbers of its own if it has `keys`.
pub(crate) struct Found {
    pub(crate) partial: Partial,
    pub(crate) keys: Option<Keys>,
}

/// Aggregates the rows of some chunks by time bucket and groups.
///
/// Without buckets and groups there is one row, also of no rows.
///
/// # Errors
/// What the disk, the buckets or a sum that is too large give; also when the request is not
/// [supported](AggregateRequest::is_supported).
pub fn bucket_aggregate(
    layout: &Arc<Layout>,
    chunks: &[ChunkView],
    request: &AggregateRequest,
) -> Result<BatchIter, ChunkError> {
    if !request.is_supported(layout) {
        return Err(ChunkError::Unsupported);
    }
    let fields = layout
        .projected(&request.groups)
        .fields()
        .iter()
        .map(|field| SortField::new(field.data_type().clone()))
        .collect();
    let query = Query {
        layout,
        request,
        converter: Arc::new(RowConverter::new(fields)?),
    };
    let mut keys = Keys::new(&query.converter);
    let work = work_of(&query, chunks, &mut keys)?;
    let found = run(&query, &work)?;
    let partial = merge(&query, &mut keys, found)?;
    let batch = batch_of(&query, &keys, partial)?;
    let rows = batch.num_rows();
    let batches = (0..rows)
        .step_by(OUTPUT_ROWS_MAX)
        .map(move |at| Ok(batch.slice(at, OUTPUT_ROWS_MAX.min(rows - at))));
    Ok(Box::new(batches))
}

/// The pieces, in the order in which their rows arrived.
fn work_of(
    query: &Query<'_>,
    chunks: &[ChunkView],
    keys: &mut Keys,
) -> Result<Vec<Work>, ChunkError> {
    let mut work = Vec::new();
    for chunk in chunks {
        if !chunk.meets(&query.request.time) {
            continue;
        }
        for part in &chunk.cold {
            if outside(part, query.request) {
                continue;
            }
            match sorted::pieces(query, part, keys)? {
                Some(pieces) => work.extend(pieces.into_iter().map(Work::Sorted)),
                None => work.extend(Source::of_part(query, part).into_iter().map(Work::Hashed)),
            }
        }
        for hot in &chunk.hot {
            let pieces = query.request.threads.max(1) * 4;
            work.extend(batches_of_hot(hot, pieces).into_iter().map(Work::Hashed));
        }
    }
    Ok(work)
}

fn outside(part: &ColdPart, request: &AggregateRequest) -> bool {
    !request.all_times()
        && part
            .times()
            .is_some_and(|(first, last)| first >= request.time.end || last < request.time.start)
}

/// Works at the pieces on as many threads as are worth it; what each found, in their order.
fn run(query: &Query<'_>, work: &[Work]) -> Result<Vec<Found>, ChunkError> {
    let rows: u64 = work.iter().map(Work::rows).sum();
    let worth = usize::try_from(rows / ROWS_PER_THREAD_MIN).unwrap_or(usize::MAX);
    let worth = worth.max(work.len() / PIECES_PER_THREAD_MIN);
    let threads = query.request.threads.min(worth).min(work.len()).max(1);
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, Found)>, ChunkError> {
        let mut found = Vec::new();
        let mut scratch = sorted::Scratch::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = work.get(at) else {
                return Ok(found);
            };
            if query.request.stop.load(Ordering::Relaxed) {
                return Err(ChunkError::Stopped);
            }
            let outcome = match piece {
                Work::Sorted(piece) => sorted::run(query, piece, &mut scratch),
                Work::Hashed(source) => hashed::run(query, source),
            };
            if outcome.is_err() {
                // The others need not go on.
                next.store(work.len(), Ordering::Relaxed);
            }
            found.push((at, outcome?));
        }
    };
    let outcomes: Vec<Result<Vec<(usize, Found)>, ChunkError>> = if threads == 1 {
        vec![worker()]
    } else {
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
            let mut outcomes = vec![worker()];
            outcomes.extend(helpers.into_iter().map(|helper| match helper.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }));
            outcomes
        })
    };
    let mut found = Vec::with_capacity(work.len());
    for outcome in outcomes {
        found.extend(outcome?);
    }
    found.sort_unstable_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

fn merge(query: &Query<'_>, keys: &mut Keys, found: Vec<Found>) -> Result<Partial, ChunkError> {
    let rows: usize = found.iter().map(|found| found.partial.keys.len()).sum();
    let mut merged = Partial::new(query);
    let mut places: HashMap<(u32, i64), usize, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(rows, ahash::RandomState::default());
    for Found { partial, keys: own } in found {
        let numbers: Option<Vec<u32>> =
            own.map(|own| own.values.iter().map(|value| keys.number(value)).collect());
        let mut targets = Vec::with_capacity(partial.keys.len());
        for (key, bucket) in partial.keys.iter().zip(&partial.buckets) {
            let key = match &numbers {
                Some(numbers) => numbers.get(*key as usize).copied().unwrap_or(u32::MAX),
                None => *key,
            };
            let place = *places
                .entry((key, *bucket))
                .or_insert_with(|| merged.push(key, *bucket));
            targets.push(place);
        }
        for (cells, others) in merged.cells.iter_mut().zip(&partial.cells) {
            cells.merge(&targets, others)?;
        }
    }
    if merged.keys.is_empty() && query.request.bucket.is_none() && query.request.groups.is_empty() {
        let key = keys.number(&[]);
        merged.push(key, 0);
    }
    Ok(merged)
}

fn batch_of(query: &Query<'_>, keys: &Keys, partial: Partial) -> Result<RecordBatch, ChunkError> {
    let schema = query.request.schema(query.layout);
    let rows = partial.keys.len();
    let groups = match query.request.groups.is_empty() {
        true => Vec::new(),
        false => keys.columns()?,
    };
    let order = match query.request.sorted {
        Some(place) => Some(order(&groups, place, &partial)?),
        None => None,
    };
    let mut columns = Vec::with_capacity(schema.fields().len());
    if query.request.bucket.is_some() {
        let time = query
            .layout
            .time
            .and_then(|place| query.layout.columns.get(place));
        let ty = time.map_or(&SqlType::Int8, |column| &column.ty);
        columns.push(cells::times(partial.buckets, ty)?);
    }
    let numbers = UInt32Array::from(partial.keys);
    for values in groups {
        columns.push(take(&values, &numbers, None)?);
    }
    for (cells, agg) in partial.cells.into_iter().zip(&query.request.aggs) {
        let ty = |place: Option<usize>| Some(&query.layout.columns.get(place?)?.ty);
        columns.push(cells.finish(ty(agg.column), ty(agg.factor))?);
    }
    if let Some(order) = order {
        for column in &mut columns {
            *column = take(column, &order, None)?;
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// The rows in the order of their groups, the bucket at a place among them.
fn order(groups: &[ArrayRef], place: usize, partial: &Partial) -> Result<UInt32Array, ChunkError> {
    let (before, behind) = groups.split_at(place.min(groups.len()));
    let (before, behind) = (ranks(before)?, ranks(behind)?);
    let rank = |of: &[u32], key: u32| of.get(key as usize).copied().unwrap_or(0);
    let rows = partial.keys.iter().zip(&partial.buckets).zip(0u32..);
    let mut rows: Vec<(u32, i64, u32, u32)> = rows
        .map(|((key, bucket), row)| (rank(&before, *key), *bucket, rank(&behind, *key), row))
        .collect();
    rows.sort_unstable();
    Ok(rows.into_iter().map(|(_, _, _, row)| row).collect())
}

/// Where each row's values would be if those of all were sorted; equal ones are at one place.
fn ranks(columns: &[ArrayRef]) -> Result<Vec<u32>, ChunkError> {
    let sorted = columns.iter().map(|column| SortColumn {
        values: Arc::clone(column),
        options: Some(SortOptions {
            descending: false,
            nulls_first: false,
        }),
    });
    let sorted: Vec<SortColumn> = sorted.collect();
    if sorted.is_empty() {
        return Ok(Vec::new());
    }
    let order = lexsort_to_indices(&sorted, None)?;
    let values = columns
        .iter()
        .map(|column| take(column, &order, None))
        .collect::<Result<Vec<_>, _>>()?;
    let mut ranks = vec![0; order.len()];
    if order.is_empty() {
        return Ok(ranks);
    }
    for (rank, range) in (0..).zip(partition(&values)?.ranges()) {
        for row in order.values().get(range).unwrap_or_default() {
            if let Some(place) = ranks.get_mut(*row as usize) {
                *place = rank;
            }
        }
    }
    Ok(ranks)
}

#[cfg(test)]
mod tests;
