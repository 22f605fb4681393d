//! Aggregation of rows in any order, by hashing: hot rows, and parts that are sorted otherwise.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use hashbrown::HashMap;

use super::cells::{Scalar, wide_product};
use super::{AggKind, Found, Keys, Partial, Query};
use crate::cold::{ColdPart, time_array};
use crate::error::ChunkError;
use crate::hot::HotSnapshot;
use crate::view::{Located, ScanRequest, scan_part};

/// Rows to hash.
#[derive(Debug)]
pub(crate) enum Source {
    /// Batches with all columns.
    Hot(Vec<RecordBatch>),
    /// A part's rows in a range.
    Cold(Arc<ColdPart>, Range<u64>),
}

impl Source {
    /// A source for each row group.
    pub(crate) fn of_part(query: &Query<'_>, part: &Arc<ColdPart>) -> Vec<Self> {
        let request = query.request;
        let selected = part.select(query.layout, &request.time, &request.equals);
        part.groups()
            .iter()
            .filter(|group| {
                selected.as_ref().is_none_or(|rows| {
                    rows.iter()
                        .any(|rows| rows.start < group.end && group.start < rows.end)
                })
            })
            .map(|group| Self::Cold(Arc::clone(part), group.clone()))
            .collect()
    }

    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Hot(batches) => batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            Self::Cold(_, rows) => rows.end - rows.start,
        }
    }
}

/// A hot part's batches, in up to `pieces` runs of about as many rows.
pub(crate) fn batches_of_hot(hot: &HotSnapshot, pieces: usize) -> Vec<Source> {
    let most = hot.rows().div_ceil(pieces.max(1)).max(1);
    let mut sources = Vec::new();
    let mut run: Vec<RecordBatch> = Vec::new();
    let mut rows = 0;
    for batch in hot.batches() {
        rows += batch.num_rows();
        run.push(batch.clone());
        if rows >= most {
            sources.push(Source::Hot(std::mem::take(&mut run)));
            rows = 0;
        }
    }
    if !run.is_empty() {
        sources.push(Source::Hot(run));
    }
    sources
}

/// Where the columns that are needed lie in the batches.
struct Places {
    /// The layout's columns, in the order of the batches.
    projection: Vec<usize>,
}

impl Places {
    fn of(query: &Query<'_>) -> Self {
        let request = query.request;
        let mut projection: Vec<usize> = Vec::new();
        projection.extend(query.layout.time);
        projection.extend(&request.groups);
        projection.extend(request.equals.iter().map(|(place, _)| *place));
        for agg in &request.aggs {
            projection.extend(agg.column);
            projection.extend(agg.time);
            projection.extend(agg.factor);
        }
        projection.sort_unstable();
        projection.dedup();
        Self { projection }
    }

    fn column<'a>(&self, batch: &'a RecordBatch, place: usize) -> Option<&'a ArrayRef> {
        let at = self.projection.binary_search(&place).ok()?;
        batch.columns().get(at)
    }
}

/// Aggregates a source.
pub(crate) fn run(query: &Query<'_>, source: &Source) -> Result<Found, ChunkError> {
    let places = Places::of(query);
    let mut state = State {
        query,
        places: &places,
        keys: Keys::new(&query.converter),
        codes: Codes::default(),
        slots: HashMap::default(),
        last: Vec::new(),
        partial: Partial::new(query),
    };
    match source {
        Source::Hot(batches) => {
            for batch in batches {
                state.take(batch.project(&places.projection)?, true)?;
            }
        }
        Source::Cold(part, rows) => {
            let request = ScanRequest {
                locators: false,
                projection: places.projection.clone(),
                time: query.request.time.clone(),
                equals: query.request.equals.clone(),
                batch_rows: 8192,
            };
            for batch in scan_part(
                part,
                query.layout,
                &request,
                Some(rows.clone()),
                Located::default(),
            ) {
                state.take(batch?, false)?;
            }
        }
    }
    Ok(Found {
        partial: state.partial,
        keys: Some(state.keys),
    })
}

struct State<'a> {
    query: &'a Query<'a>,
    places: &'a Places,
    keys: Keys,
    codes: Codes,
    slots: HashMap<(u32, i64), usize, ahash::RandomState>,
    /// The bucket that each key was met in last, and its place: the next is in the same one mostly.
    last: Vec<(i64, usize)>,
    partial: Partial,
}

/// Numbers of keys by short codes of their columns' values, which are found faster than the values.
#[derive(Default)]
struct Codes {
    columns: Vec<ColumnCodes>,
    /// Codes of two columns together, and of those and the next.
    pairs: Vec<HashMap<(u32, u32), u32, ahash::RandomState>>,
    /// The key of each code of all columns.
    keys: Vec<u32>,
}

#[derive(Default)]
struct ColumnCodes {
    /// By views: up to twelve bytes lie in the view itself.
    short: HashMap<u128, u32, ahash::RandomState>,
    long: HashMap<Box<str>, u32, ahash::RandomState>,
    null: Option<u32>,
    count: u32,
}

impl ColumnCodes {
    fn of(&mut self, column: &ArrayRef) -> Vec<u32> {
        let strings = column.as_string_view();
        let mut codes = Vec::with_capacity(column.len());
        let mut before: Option<(u128, u32)> = None;
        for (row, view) in strings.views().iter().enumerate() {
            let is_short = view & 0xffff_ffff <= 12;
            if let Some((known, code)) = before
                && known == *view
                && is_short
                && strings.is_valid(row)
            {
                codes.push(code);
                continue;
            }
            let next = self.count;
            let code = if strings.is_null(row) {
                *self.null.get_or_insert(next)
            } else if is_short {
                *self.short.entry(*view).or_insert(next)
            } else {
                let value = strings.value(row);
                match self.long.get(value) {
                    Some(code) => *code,
                    None => *self.long.entry(value.into()).or_insert(next),
                }
            };
            if code == next {
                self.count += 1;
            }
            if strings.is_valid(row) {
                before = Some((*view, code));
            }
            codes.push(code);
        }
        codes
    }
}

impl Codes {
    /// The number of each row's key; None for columns of other values than text.
    fn keys(
        &mut self,
        columns: &[ArrayRef],
        keys: &mut Keys,
    ) -> Result<Option<Vec<u32>>, ChunkError> {
        let is_text = |column: &ArrayRef| *column.data_type() == DataType::Utf8View;
        let Some((first, rest)) = columns
            .split_first()
            .filter(|_| columns.iter().all(is_text))
        else {
            return Ok(None);
        };
        self.columns
            .resize_with(columns.len(), ColumnCodes::default);
        self.pairs.resize_with(rest.len(), HashMap::default);
        let mut of_columns = self.columns.iter_mut();
        let mut codes = match of_columns.next() {
            Some(of_first) => of_first.of(first),
            None => return Ok(None),
        };
        for ((column, of_column), pairs) in rest.iter().zip(of_columns).zip(&mut self.pairs) {
            for (code, other) in codes.iter_mut().zip(of_column.of(column)) {
                let next = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
                *code = *pairs.entry((*code, other)).or_insert(next);
            }
        }
        for (row, code) in codes.iter_mut().enumerate() {
            let at = *code as usize;
            // Codes are counted up: one that is new is the next.
            while self.keys.len() <= at {
                self.keys.push(u32::MAX);
            }
            if let Some(known) = self.keys.get_mut(at) {
                if *known == u32::MAX {
                    let one: Vec<ArrayRef> = columns.iter().map(|c| c.slice(row, 1)).collect();
                    *known = keys.of(&one)?.first().copied().unwrap_or(u32::MAX);
                }
                *code = *known;
            }
        }
        Ok(Some(codes))
    }
}

impl State<'_> {
    fn take(&mut self, batch: RecordBatch, cut: bool) -> Result<(), ChunkError> {
        let (layout, request) = (self.query.layout, self.query.request);
        let mut batch = batch;
        let mut kept: Option<Vec<bool>> = None;
        if let Some(place) = layout.time
            && cut
            && !request.all_times()
            && let Some(column) = self.places.column(&batch, place)
        {
            let times = time_array(column)?;
            kept = Some(
                times
                    .iter()
                    .map(|time| request.time.contains(time))
                    .collect(),
            );
        }
        for (place, allowed) in &request.equals {
            let Some(column) = self.places.column(&batch, *place) else {
                continue;
            };
            let column = column.as_string_view();
            let kept = kept.get_or_insert_with(|| vec![true; batch.num_rows()]);
            for (kept, value) in kept.iter_mut().zip(column) {
                *kept &= value.is_some_and(|value| allowed.iter().any(|known| known == value));
            }
        }
        if let Some(kept) = kept {
            batch = filter_record_batch(&batch, &BooleanArray::from(kept))?;
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let slots = self.slots(&batch)?;
        for (number, agg) in request.aggs.iter().enumerate() {
            let column = agg.column.and_then(|p| self.places.column(&batch, p));
            let time = agg.time.and_then(|p| self.places.column(&batch, p));
            let Some(cells) = self.partial.cells.get_mut(number) else {
                continue;
            };
            match (agg.kind, column) {
                (AggKind::CountStar, _) | (_, None) => {
                    slots.iter().for_each(|slot| cells.count(*slot, 1));
                }
                (AggKind::Count, Some(column)) => {
                    for (row, slot) in slots.iter().enumerate() {
                        if column.is_valid(row) {
                            cells.count(*slot, 1);
                        }
                    }
                }
                (AggKind::First | AggKind::Last, Some(column)) => {
                    let Some(time) = time else {
                        continue;
                    };
                    let times = time_array(time)?;
                    if let (Some(values), None, None) =
                        (whole_numbers(column), column.nulls(), time.nulls())
                    {
                        cells.take_ends(&slots, &times, |row| values.at(row));
                        continue;
                    }
                    let values = values_of(column)?;
                    for ((row, slot), at) in slots.iter().enumerate().zip(times) {
                        if time.is_valid(row) {
                            cells.take(*slot, at, values(row))?;
                        }
                    }
                }
                (AggKind::SumProduct, Some(column)) => {
                    let factor = agg.factor.and_then(|p| self.places.column(&batch, p));
                    let Some(factor) = factor else {
                        continue;
                    };
                    let (one, other) = (values_of(column)?, values_of(factor)?);
                    for (row, slot) in slots.iter().enumerate() {
                        if let (Some(Scalar::Int(one)), Some(Scalar::Int(other))) =
                            (one(row), other(row))
                        {
                            let product = wide_product(one, other);
                            cells.take(*slot, 0, Some(Scalar::Big(product)))?;
                        }
                    }
                }
                (AggKind::Min | AggKind::Max | AggKind::Sum, Some(column)) => {
                    if let (Some(values), None) = (whole_numbers(column), column.nulls())
                        && cells.take_ints(&slots, |row| values.at(row))
                    {
                        continue;
                    }
                    let values = values_of(column)?;
                    for (row, slot) in slots.iter().enumerate() {
                        cells.take(*slot, 0, values(row))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Each row's place among the groups and buckets.
    fn slots(&mut self, batch: &RecordBatch) -> Result<Vec<usize>, ChunkError> {
        let request = self.query.request;
        let columns: Vec<ArrayRef> = request
            .groups
            .iter()
            .filter_map(|place| self.places.column(batch, *place).cloned())
            .collect();
        let keys = if columns.is_empty() {
            let key = self.keys.number(&[]);
            vec![key; batch.num_rows()]
        } else {
            match self.codes.keys(&columns, &mut self.keys)? {
                Some(keys) => keys,
                None => self.keys.of(&columns)?,
            }
        };
        let mut buckets = vec![0; batch.num_rows()];
        if let Some(bucket_of) = &request.bucket
            && let Some(place) = self.query.layout.time
            && let Some(column) = self.places.column(batch, place)
        {
            let mut bucket = 0..0;
            for (time, start) in time_array(column)?.into_iter().zip(&mut buckets) {
                if !bucket.contains(&time) {
                    bucket = bucket_of(time)?;
                }
                *start = bucket.start;
            }
        }
        let mut slots = Vec::with_capacity(keys.len());
        for row in keys.into_iter().zip(buckets) {
            let at = row.0 as usize;
            if self.last.len() <= at {
                self.last.resize(at + 1, (0, usize::MAX));
            }
            let Some(last) = self.last.get_mut(at) else {
                continue;
            };
            if last.1 == usize::MAX || last.0 != row.1 {
                let partial = &mut self.partial;
                let slot = *self
                    .slots
                    .entry(row)
                    .or_insert_with(|| partial.push(row.0, row.1));
                *last = (row.1, slot);
            }
            slots.push(last.1);
        }
        Ok(slots)
    }
}

/// Whole numbers without a call for each.
enum Whole<'a> {
    Narrow(&'a [i64]),
    Wide(&'a [i128]),
}

impl Whole<'_> {
    #[inline]
    fn at(&self, row: usize) -> i128 {
        match self {
            Self::Narrow(values) => values.get(row).copied().map_or(0, i128::from),
            Self::Wide(values) => values.get(row).copied().unwrap_or(0),
        }
    }
}

fn whole_numbers(column: &ArrayRef) -> Option<Whole<'_>> {
    match column.data_type() {
        DataType::Int64 => Some(Whole::Narrow(column.as_primitive::<Int64Type>().values())),
        DataType::Timestamp(_, _) => {
            let values = column.as_primitive::<TimestampMicrosecondType>().values();
            Some(Whole::Narrow(values))
        }
        DataType::Decimal128(_, _) => Some(Whole::Wide(
            column.as_primitive::<Decimal128Type>().values(),
        )),
        _ => None,
    }
}

type ValueAt<'a> = Box<dyn Fn(usize) -> Option<Scalar<'a>> + 'a>;

/// What gives a row's value; None for NULL.
fn values_of(column: &ArrayRef) -> Result<ValueAt<'_>, ChunkError> {
    macro_rules! primitive {
        ($ty:ty, $scalar:ident, $from:expr) => {{
            let column = column.as_primitive::<$ty>();
            Box::new(move |row| {
                let there = row < column.len() && column.is_valid(row);
                there.then(|| Scalar::$scalar($from(column.value(row))))
            })
        }};
    }
    Ok(match column.data_type() {
        DataType::Boolean => {
            let column = column.as_boolean();
            Box::new(move |row| {
                let there = row < column.len() && column.is_valid(row);
                there.then(|| Scalar::Int(i128::from(column.value(row))))
            })
        }
        DataType::Int16 => primitive!(Int16Type, Int, i128::from),
        DataType::Int32 => primitive!(Int32Type, Int, i128::from),
        DataType::Int64 => primitive!(Int64Type, Int, i128::from),
        DataType::Date32 => primitive!(Date32Type, Int, i128::from),
        DataType::Time64(_) => primitive!(Time64MicrosecondType, Int, i128::from),
        DataType::Timestamp(_, _) => primitive!(TimestampMicrosecondType, Int, i128::from),
        DataType::Float32 => primitive!(Float32Type, Float, f64::from),
        DataType::Float64 => primitive!(Float64Type, Float, f64::from),
        DataType::Decimal128(_, _) => primitive!(Decimal128Type, Int, i128::from),
        DataType::Decimal256(_, _) => primitive!(Decimal256Type, Big, std::convert::identity),
        DataType::Utf8View => {
            let column = column.as_string_view();
            Box::new(move |row| {
                let there = row < column.len() && column.is_valid(row);
                there.then(|| Scalar::Bytes(column.value(row).as_bytes()))
            })
        }
        DataType::BinaryView => {
            let column = column.as_binary_view();
            Box::new(move |row| {
                let there = row < column.len() && column.is_valid(row);
                there.then(|| Scalar::Bytes(column.value(row)))
            })
        }
        DataType::FixedSizeBinary(_) => {
            let column = column.as_fixed_size_binary();
            Box::new(move |row| {
                let there = row < column.len() && column.is_valid(row);
                there.then(|| Scalar::Bytes(column.value(row)))
            })
        }
        _ => return Err(ChunkError::Unsupported),
    })
}
