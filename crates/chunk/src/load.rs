//! Many rows at once: sorted as a part wants them, by what is known of them.
//!
//! Rows arrive nearly in order of time, and there are few series beside the rows. So each row gets
//! the number of its series, the series are sorted, the rows counted into them, and each series'
//! rows sorted by themselves, which is little more than looking at them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DynComparator, UInt32Array, make_comparator};
use arrow::compute::{
    SortColumn as ArrowSortColumn, SortOptions, concat, lexsort_to_indices, partition, take,
};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::row::{RowConverter, SortField};

use crate::cold::time_array;
use crate::error::ChunkError;
use crate::hash::hash;
use crate::layout::Layout;

/// What sorting gave.
#[derive(Debug)]
pub enum Sorted {
    /// All rows, by series and order; where those are equal, by arrival.
    Rows {
        /// The rows.
        rows: RecordBatch,
        /// Of each, its number among those that were given.
        order: UInt32Array,
    },
    /// Two rows are alike in columns that are to be unique.
    Twice {
        /// Which of the keys.
        key: usize,
        /// The row that came last.
        row: RecordBatch,
    },
}

/// Sorts rows by a layout's series and order, and finds rows that share one of the keys, each a
/// list of places of columns.
///
/// # Errors
/// When the batches have other columns than the layout.
pub fn sort(
    layout: &Layout,
    batches: Vec<RecordBatch>,
    keys: &[Vec<usize>],
) -> Result<Sorted, ChunkError> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    // A row's number is kept in four bytes.
    if u32::try_from(rows).is_err() {
        let reason = format!("{rows} rows of one part");
        return Err(ArrowError::InvalidArgumentError(reason).into());
    }
    let width = layout.columns.len();
    let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::with_capacity(batches.len()); width];
    for batch in batches {
        for (column, values) in columns.iter_mut().zip(batch.columns()) {
            column.push(Arc::clone(values));
        }
    }
    let mut whole: Vec<Option<ArrayRef>> = vec![None; width];
    let mut needed = layout.segment_by.clone();
    needed.extend(layout.order_by.iter().map(|order| order.column));
    needed.extend(keys.iter().flatten());
    for place in needed {
        if let (Some(whole), Some(pieces)) = (whole.get_mut(place), columns.get_mut(place))
            && whole.is_none()
        {
            *whole = Some(joined(layout, place, std::mem::take(pieces))?);
        }
    }
    let input = Input {
        layout,
        columns: &whole,
        rows,
    };
    let (order, series) = input.order()?;
    for (index, key) in keys.iter().enumerate() {
        if let Some(row) = input.twice(key, &order, &series)? {
            let row = UInt32Array::from(vec![row]);
            let mut one = Vec::with_capacity(width);
            for (place, pieces) in columns.into_iter().enumerate() {
                let column = match whole.get_mut(place).and_then(Option::take) {
                    Some(column) => column,
                    None => joined(layout, place, pieces)?,
                };
                one.push(take(&column, &row, None)?);
            }
            let row = batch(layout, one, 1)?;
            return Ok(Sorted::Twice { key: index, row });
        }
    }
    let order = UInt32Array::from(order);
    let mut sorted = Vec::with_capacity(width);
    // One column at a time, so that what was read goes while what is written comes.
    for (place, pieces) in columns.into_iter().enumerate() {
        let column = match whole.get_mut(place).and_then(Option::take) {
            Some(column) => column,
            None => joined(layout, place, pieces)?,
        };
        sorted.push(take(&column, &order, None)?);
    }
    let rows = batch(layout, sorted, rows)?;
    Ok(Sorted::Rows { rows, order })
}

fn batch(layout: &Layout, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ChunkError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(layout.schema());
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

fn joined(layout: &Layout, place: usize, pieces: Vec<ArrayRef>) -> Result<ArrayRef, ChunkError> {
    let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    match pieces.as_slice() {
        [] => {
            let ty = layout.columns.get(place).map(|column| column.ty.arrow());
            Ok(arrow::array::new_empty_array(&ty.unwrap_or(DataType::Null)))
        }
        _ => Ok(concat(&pieces)?),
    }
}

/// The columns that decide about the order, whole.
struct Input<'a> {
    layout: &'a Layout,
    columns: &'a [Option<ArrayRef>],
    rows: usize,
}

/// Each row's code; rows have equal ones exactly when their values are equal, but that a value may
/// have more than one code.
struct Codes {
    of_rows: Vec<u32>,
    /// A row of each code.
    rows: Vec<u32>,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Input<'_> {
    fn column(&self, place: usize) -> Result<&ArrayRef, ChunkError> {
        let column = self.columns.get(place).and_then(Option::as_ref);
        let missing = || ArrowError::InvalidArgumentError(format!("no column {place}"));
        Ok(column.ok_or_else(missing)?)
    }

    /// The rows' numbers in their order, and where each series begins in it.
    fn order(&self) -> Result<(Vec<u32>, Vec<usize>), ChunkError> {
        let (ranks, count) = self.ranks()?;
        let mut starts = vec![0usize; count + 1];
        for rank in &ranks {
            if let Some(start) = starts.get_mut(*rank as usize + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; self.rows];
        for (row, rank) in ranks.iter().enumerate() {
            if let Some(next) = next.get_mut(*rank as usize)
                && let Some(place) = order.get_mut(*next)
            {
                *place = number(row);
                *next += 1;
            }
        }
        drop(ranks);
        self.sort_series(&mut order, &starts)?;
        Ok((order, starts))
    }

    /// Each row's series, numbered in their order, and how many there are.
    fn ranks(&self) -> Result<(Vec<u32>, usize), ChunkError> {
        let mut places = self.layout.segment_by.iter();
        let Some(first) = places.next() else {
            return Ok((vec![0; self.rows], 1));
        };
        let mut codes = codes(self.column(*first)?)?;
        for place in places {
            codes = paired(&codes, &self::codes(self.column(*place)?)?);
        }
        let examples = UInt32Array::from(codes.rows);
        let keys = self
            .layout
            .segment_by
            .iter()
            .map(|place| {
                Ok(ArrowSortColumn {
                    values: take(self.column(*place)?, &examples, None)?,
                    options: Some(SortOptions {
                        descending: false,
                        nulls_first: false,
                    }),
                })
            })
            .collect::<Result<Vec<_>, ChunkError>>()?;
        let sorted = lexsort_to_indices(&keys, None)?;
        let values = keys
            .iter()
            .map(|key| take(&key.values, &sorted, None))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rank_of = vec![0u32; sorted.len()];
        let mut count = 0;
        if !sorted.is_empty() {
            for range in partition(&values)?.ranges() {
                for code in sorted.values().iter().take(range.end).skip(range.start) {
                    if let Some(rank) = rank_of.get_mut(*code as usize) {
                        *rank = number(count);
                    }
                }
                count += 1;
            }
        }
        let mut ranks = codes.of_rows;
        for rank in &mut ranks {
            *rank = rank_of.get(*rank as usize).copied().unwrap_or(0);
        }
        Ok((ranks, count))
    }

    /// Sorts each series' rows, which are in their order of arrival.
    fn sort_series(&self, order: &mut [u32], starts: &[usize]) -> Result<(), ChunkError> {
        let slices = |order: &mut [u32], sort: &dyn Fn(&mut [u32])| {
            for pair in starts.windows(2) {
                if let [from, to] = pair
                    && let Some(series) = order.get_mut(*from..*to)
                {
                    sort(series);
                }
            }
        };
        match self.layout.order_by.as_slice() {
            [] => Ok(()),
            [only] if self.times(only.column)?.is_some() => {
                let times = self.times(only.column)?.unwrap_or_default();
                let time = |row: u32| times.get(row as usize).copied().unwrap_or(0);
                match only.descending {
                    false => slices(order, &|series| series.sort_by_key(|row| time(*row))),
                    true => slices(order, &|series| {
                        series.sort_by_key(|row| std::cmp::Reverse(time(*row)));
                    }),
                }
                Ok(())
            }
            orders => {
                let compare = orders
                    .iter()
                    .map(|order| {
                        let column = self.column(order.column)?;
                        let options = SortOptions {
                            descending: order.descending,
                            nulls_first: order.nulls_first,
                        };
                        Ok(make_comparator(column, column, options)?)
                    })
                    .collect::<Result<Vec<DynComparator>, ChunkError>>()?;
                let by_all = |one: &u32, other: &u32| {
                    let mut orders = compare.iter();
                    let order = orders.find_map(|compare| {
                        let order = compare(*one as usize, *other as usize);
                        (order != Ordering::Equal).then_some(order)
                    });
                    order.unwrap_or(Ordering::Equal)
                };
                slices(order, &|series| series.sort_by(by_all));
                Ok(())
            }
        }
    }

    /// A column of times or whole numbers without NULL; None for any other.
    fn times(&self, place: usize) -> Result<Option<Vec<i64>>, ChunkError> {
        let column = self.column(place)?;
        let fits = matches!(
            column.data_type(),
            DataType::Timestamp(..)
                | DataType::Date32
                | DataType::Int64
                | DataType::Int32
                | DataType::Int16
        );
        if !fits || column.null_count() > 0 {
            return Ok(None);
        }
        Ok(Some(time_array(column)?))
    }

    /// A row whose key another one has too.
    fn twice(
        &self,
        key: &[usize],
        order: &[u32],
        starts: &[usize],
    ) -> Result<Option<u32>, ChunkError> {
        let first = self.layout.order_by.first().map(|order| order.column);
        let within = self.layout.segment_by.iter().all(|c| key.contains(c));
        let times = match first {
            Some(first) if within && key.contains(&first) => self.times(first)?,
            _ => None,
        };
        let Some(times) = times else {
            let all: Vec<u32> = (0..number(self.rows)).collect();
            return self.alike(key, &all, std::iter::once(0..self.rows));
        };
        // Rows of one key are of one series and time, and so beside each other.
        let mut beside: Vec<u32> = Vec::new();
        let mut groups = Vec::new();
        for pair in starts.windows(2) {
            let &[from, to] = pair else { continue };
            let series = order.get(from..to).unwrap_or_default();
            let same =
                |one: &u32, other: &u32| times.get(*one as usize) == times.get(*other as usize);
            for run in series.chunk_by(same).filter(|run| run.len() > 1) {
                let start = beside.len();
                beside.extend_from_slice(run);
                groups.push(start..beside.len());
            }
        }
        self.alike(key, &beside, groups.into_iter())
    }

    /// Of some rows one that has the key of another of its group.
    fn alike(
        &self,
        key: &[usize],
        rows: &[u32],
        groups: impl Iterator<Item = std::ops::Range<usize>>,
    ) -> Result<Option<u32>, ChunkError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let encoder = self.layout.encoder(key)?;
        let places = UInt32Array::from(rows.to_vec());
        let columns = key
            .iter()
            .map(|place| Ok(take(self.column(*place)?, &places, None)?))
            .collect::<Result<Vec<_>, ChunkError>>()?;
        let keys = encoder.keys_of(&columns)?;
        let mut hashed: Vec<(u64, usize)> = Vec::new();
        for group in groups {
            hashed.clear();
            hashed.extend(group.filter_map(|at| Some((hash(keys.get(at)?), at))));
            hashed.sort_unstable();
            for same in hashed.chunk_by(|one, other| one.0 == other.0) {
                // Equal keys have equal hashes, and hardly any others have.
                for (place, (_, one)) in same.iter().enumerate() {
                    let mut later = same.iter().skip(place + 1);
                    if let Some((_, other)) = later.find(|(_, at)| keys.get(*at) == keys.get(*one))
                    {
                        return Ok(rows.get((*one).max(*other)).copied());
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Codes of a column's values.
fn codes(column: &ArrayRef) -> Result<Codes, ChunkError> {
    let mut codes = Codes {
        of_rows: Vec::with_capacity(column.len()),
        rows: Vec::new(),
    };
    let mut null = None;
    if let DataType::Utf8View = column.data_type() {
        let strings = column.as_string_view();
        // Up to twelve bytes lie in the view itself.
        let mut short: HashMap<u128, u32, ahash::RandomState> = HashMap::default();
        let mut long: HashMap<&str, u32, ahash::RandomState> = HashMap::default();
        for (row, view) in strings.views().iter().enumerate() {
            let next = number(codes.rows.len());
            let code = if strings.is_null(row) {
                *null.get_or_insert(next)
            } else if view & 0xffff_ffff <= 12 {
                *short.entry(*view).or_insert(next)
            } else {
                *long.entry(strings.value(row)).or_insert(next)
            };
            if code == next {
                codes.rows.push(number(row));
            }
            codes.of_rows.push(code);
        }
        return Ok(codes);
    }
    let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(column))?;
    let mut known: HashMap<Box<[u8]>, u32, ahash::RandomState> = HashMap::default();
    for (row, value) in rows.iter().enumerate() {
        let next = number(codes.rows.len());
        let code = match known.get(value.data()) {
            Some(code) => *code,
            None => *known.entry(value.data().into()).or_insert(next),
        };
        if code == next {
            codes.rows.push(number(row));
        }
        codes.of_rows.push(code);
    }
    Ok(codes)
}

/// Codes of the pairs of two columns' values.
fn paired(one: &Codes, other: &Codes) -> Codes {
    let mut codes = Codes {
        of_rows: Vec::with_capacity(one.of_rows.len()),
        rows: Vec::new(),
    };
    let mut known: HashMap<(u32, u32), u32, ahash::RandomState> = HashMap::default();
    for (row, pair) in one.of_rows.iter().zip(&other.of_rows).enumerate() {
        let next = number(codes.rows.len());
        let code = *known.entry((*pair.0, *pair.1)).or_insert(next);
        if code == next {
            codes.rows.push(number(row));
        }
        codes.of_rows.push(code);
    }
    codes
}

#[cfg(test)]
mod tests;
