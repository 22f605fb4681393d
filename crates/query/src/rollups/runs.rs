//! Partials of rows that lie sorted by group and time, in one pass: neighbours of one group and bucket
//! are a run, and each run gives a row.
//!
//! A store may have any number of rows of one group and bucket, so that rows in another order give
//! more partials, not wrong ones.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, Int64Array, PrimitiveArray,
    UInt32Array,
};
use arrow::compute::{partition, take};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::AggregateFunction;

use super::buckets::Buckets;
use super::definition::{Definition, Rows};
use crate::error::Error;
use crate::functions::aggregate_name;

/// The largest number of 38 digits, and with the other sign the least.
const DIGITS_38: i128 = 10_i128.pow(38) - 1;

/// How partials are made of a source's rows.
#[derive(Debug)]
pub(super) struct Runs {
    /// Places of the columns of groups that are no bucket.
    groups: Vec<usize>,
    /// The place of the time.
    time: usize,
    buckets: Buckets,
    /// What the store's columns are, in their order.
    outputs: Vec<Output>,
}

#[derive(Debug, Clone, Copy)]
enum Output {
    Bucket,
    Group(usize),
    /// Of all rows, or of those where a column is not NULL.
    Count(Option<usize>),
    Sum(usize),
    Least(usize),
    Greatest(usize),
    /// The value at the least time, of equal ones the first.
    First(usize, usize),
    /// The value at the greatest time, of equal ones the last.
    Last(usize, usize),
}

impl Runs {
    /// None for a definition that takes more than columns, one bucket of them, and these aggregates.
    pub(super) fn of(
        definition: &Definition,
        source: &SchemaRef,
        store: &SchemaRef,
    ) -> Option<Self> {
        let Rows::Additive { filter: None } = &definition.rows else {
            return None;
        };
        if definition.buckets.zoned() {
            return None;
        }
        let place = |expr: &Expr| match expr {
            Expr::Column(column) => source.index_of(&column.name).ok(),
            _ => None,
        };
        let mut groups = Vec::new();
        let mut time = None;
        let mut outputs = Vec::new();
        for (at, group) in definition.groups.iter().enumerate() {
            if at != definition.bucket {
                let place = place(&group.expr)?;
                groups.push(place);
                outputs.push(Output::Group(place));
                continue;
            }
            let Expr::ScalarFunction(call) = &group.expr else {
                return None;
            };
            time = Some(place(call.args.get(1)?)?);
            outputs.push(Output::Bucket);
        }
        for state in definition.states() {
            let Expr::AggregateFunction(call) = &state.partial else {
                return None;
            };
            outputs.push(Output::of(call, &place)?);
        }
        let runs = Self {
            groups,
            time: time?,
            buckets: definition.buckets,
            outputs,
        };
        runs.fits(source, store).then_some(runs)
    }

    /// Whether these are the forms that it makes.
    fn fits(&self, source: &SchemaRef, store: &SchemaRef) -> bool {
        let form = |place: usize| source.fields().get(place).map(|field| field.data_type());
        let is_time = |place: usize| {
            matches!(
                form(place),
                Some(DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Int64)
            )
        };
        let fields = store.fields().iter().map(|field| field.data_type());
        self.outputs.len() == fields.len()
            && is_time(self.time)
            && self.outputs.iter().zip(fields).all(|(output, out)| {
                let same = |place: usize| form(place) == Some(out);
                match output {
                    Output::Bucket => same(self.time),
                    Output::Group(place) => same(*place),
                    Output::Count(_) => *out == DataType::Int64,
                    Output::Sum(place) => match (form(*place), out) {
                        (
                            Some(DataType::Int16 | DataType::Int32 | DataType::Int64),
                            DataType::Int64 | DataType::Decimal128(38, 0),
                        ) => true,
                        (
                            Some(DataType::Decimal128(_, scale)),
                            DataType::Decimal128(38, summed),
                        ) => scale == summed,
                        _ => false,
                    },
                    Output::Least(place) | Output::Greatest(place) => {
                        let known = matches!(
                            out,
                            DataType::Int16
                                | DataType::Int32
                                | DataType::Int64
                                | DataType::Date32
                                | DataType::Decimal128(..)
                                | DataType::Timestamp(TimeUnit::Microsecond, _)
                        );
                        known && same(*place)
                    }
                    Output::First(value, at) | Output::Last(value, at) => {
                        same(*value) && is_time(*at)
                    }
                }
            })
    }

    /// The partials of rows; None where a sum is too large, or a time is missing: who looks at each
    /// row by itself knows what is to be said then.
    pub(super) fn partials(
        &self,
        rows: &RecordBatch,
        store: &SchemaRef,
    ) -> Result<Option<RecordBatch>, Error> {
        let Some((runs, starts)) = self.runs(rows)? else {
            return Ok(None);
        };
        let heads: UInt32Array = runs.iter().map(|run| row_number(run.start)).collect();
        let mut columns = Vec::with_capacity(self.outputs.len());
        for (output, field) in self.outputs.iter().zip(store.fields()) {
            let out = field.data_type();
            let column = |place: usize| {
                let missing = || Error::internal("a source without a column of it");
                rows.columns().get(place).ok_or_else(missing)
            };
            let made = match output {
                Output::Bucket => Some(bucket_column(&starts, out)?),
                Output::Group(place) => Some(take(column(*place)?, &heads, None)?),
                Output::Count(None) => Some(counts(runs.iter().map(ExactSizeIterator::len))),
                Output::Count(Some(place)) => {
                    let column = column(*place)?;
                    let there = |run: &Range<usize>| match column.nulls() {
                        None => run.len(),
                        Some(nulls) => run.clone().filter(|row| nulls.is_valid(*row)).count(),
                    };
                    Some(counts(runs.iter().map(there)))
                }
                Output::Sum(place) => sums(column(*place)?, &runs, out)?,
                Output::Least(place) => extremes(column(*place)?, &runs, true),
                Output::Greatest(place) => extremes(column(*place)?, &runs, false),
                Output::First(value, at) => match ends(column(*at)?, &runs, true) {
                    Some(places) => Some(take(column(*value)?, &places, None)?),
                    None => None,
                },
                Output::Last(value, at) => match ends(column(*at)?, &runs, false) {
                    Some(places) => Some(take(column(*value)?, &places, None)?),
                    None => None,
                },
            };
            match made {
                Some(made) => columns.push(made),
                None => return Ok(None),
            }
        }
        Ok(Some(RecordBatch::try_new(Arc::clone(store), columns)?))
    }

    /// Rows of one group and bucket that lie beside each other, and the start of each one's bucket.
    #[expect(clippy::type_complexity, reason = "two lists of one length")]
    fn runs(&self, rows: &RecordBatch) -> Result<Option<(Vec<Range<usize>>, Vec<i64>)>, Error> {
        let mut keys = Vec::with_capacity(self.groups.len());
        for place in &self.groups {
            keys.extend(rows.columns().get(*place).cloned());
        }
        let series = match keys.as_slice() {
            [] => std::iter::once(0..rows.num_rows()).collect(),
            keys => partition(keys)?.ranges(),
        };
        let times = rows.columns().get(self.time).and_then(times_of);
        let Some(times) = times else {
            return Ok(None);
        };
        let (mut runs, mut starts) = (Vec::new(), Vec::new());
        for series in series {
            let end = series.end;
            let mut row = series.start;
            while row < end {
                let Some(first) = times.get(row) else { break };
                let (Some(start), Some(next)) =
                    (self.buckets.start(*first), self.buckets.next(*first))
                else {
                    return Ok(None);
                };
                let left = times.get(row..end).unwrap_or_default();
                let here = |time: &i64| (*time >= start && *time < next) || time == first;
                let length = left.iter().position(|time| !here(time));
                let length = length.unwrap_or(left.len());
                runs.push(row..row + length);
                starts.push(start);
                row += length;
            }
        }
        Ok(Some((runs, starts)))
    }
}

impl Output {
    fn of(call: &AggregateFunction, place: &dyn Fn(&Expr) -> Option<usize>) -> Option<Self> {
        let params = &call.params;
        let plain = !params.distinct
            && params.filter.is_none()
            && params.order_by.is_empty()
            && params.null_treatment.is_none();
        let args = params.args.as_slice();
        Some(match (aggregate_name(&call.func), args) {
            _ if !plain => return None,
            ("count", [Expr::Literal(value, _)]) if !value.is_null() => Self::Count(None),
            ("count", [of]) => Self::Count(Some(place(of)?)),
            ("sum", [of]) => Self::Sum(place(of)?),
            ("min", [of]) => Self::Least(place(of)?),
            ("max", [of]) => Self::Greatest(place(of)?),
            ("first", [value, at]) => Self::First(place(value)?, place(at)?),
            ("last", [value, at]) => Self::Last(place(value)?, place(at)?),
            _ => return None,
        })
    }
}

fn row_number(row: usize) -> Option<u32> {
    u32::try_from(row).ok()
}

fn counts(counts: impl Iterator<Item = usize>) -> ArrayRef {
    let counts = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from_iter_values(counts))
}

/// The values of a column of times without NULL.
fn times_of(column: &ArrayRef) -> Option<&[i64]> {
    if column.null_count() > 0 {
        return None;
    }
    match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(column.as_primitive::<TimestampMicrosecondType>().values())
        }
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().values()),
        _ => None,
    }
}

fn bucket_column(starts: &[i64], out: &DataType) -> Result<ArrayRef, Error> {
    let starts = Int64Array::from(starts.to_vec());
    Ok(match out {
        DataType::Int64 => Arc::new(starts),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Arc::new(
            starts
                .reinterpret_cast::<TimestampMicrosecondType>()
                .with_timezone_opt(zone.clone()),
        ),
        other => return Err(Error::internal(format!("a bucket of {other}"))),
    })
}

/// Of each run the row with the least or the greatest time.
fn ends(times: &ArrayRef, runs: &[Range<usize>], first: bool) -> Option<UInt32Array> {
    let times = times_of(times)?;
    let mut places = Vec::with_capacity(runs.len());
    for run in runs {
        let mut best = run.start;
        let mut known = times.get(best).copied()?;
        for (row, time) in run.clone().zip(times.get(run.clone())?) {
            let wins = if first { *time < known } else { *time >= known };
            if wins {
                (best, known) = (row, *time);
            }
        }
        places.push(row_number(best)?);
    }
    Some(UInt32Array::from(places))
}

fn sums(
    column: &ArrayRef,
    runs: &[Range<usize>],
    out: &DataType,
) -> Result<Option<ArrayRef>, Error> {
    let sums = match column.data_type() {
        DataType::Int16 => summed(column.as_primitive::<Int16Type>(), runs),
        DataType::Int32 => summed(column.as_primitive::<Int32Type>(), runs),
        DataType::Int64 => summed(column.as_primitive::<Int64Type>(), runs),
        DataType::Decimal128(..) => summed(column.as_primitive::<Decimal128Type>(), runs),
        other => return Err(Error::internal(format!("a sum of {other}"))),
    };
    let Some(sums) = sums else { return Ok(None) };
    if *out == DataType::Int64 {
        let mut narrow = Vec::with_capacity(sums.len());
        for sum in sums {
            match sum.map(i64::try_from).transpose() {
                Ok(sum) => narrow.push(sum),
                Err(_) => return Ok(None),
            }
        }
        return Ok(Some(Arc::new(Int64Array::from(narrow))));
    }
    if sums.iter().flatten().any(|sum| sum.abs() > DIGITS_38) {
        return Ok(None);
    }
    let sums = Decimal128Array::from(sums).with_data_type(out.clone());
    Ok(Some(Arc::new(sums)))
}

/// The sum of each run, NULL for one without values; None where one is beyond all numbers.
fn summed<T>(column: &PrimitiveArray<T>, runs: &[Range<usize>]) -> Option<Vec<Option<i128>>>
where
    T: ArrowPrimitiveType,
    i128: From<T::Native>,
{
    let values = column.values();
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let mut sums = Vec::with_capacity(runs.len());
    for run in runs {
        let mut sum: Option<i128> = None;
        for (row, value) in run.clone().zip(values.get(run.clone())?) {
            if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
                sum = Some(sum.unwrap_or(0).checked_add(i128::from(*value))?);
            }
        }
        sums.push(sum);
    }
    Some(sums)
}

fn extremes(column: &ArrayRef, runs: &[Range<usize>], least: bool) -> Option<ArrayRef> {
    macro_rules! of {
        ($ty:ty) => {{
            let column = column.as_primitive::<$ty>();
            let found: PrimitiveArray<$ty> = extreme(column, runs, least)?.into_iter().collect();
            Arc::new(found.with_data_type(column.data_type().clone())) as ArrayRef
        }};
    }
    Some(match column.data_type() {
        DataType::Int16 => of!(Int16Type),
        DataType::Int32 => of!(Int32Type),
        DataType::Int64 => of!(Int64Type),
        DataType::Date32 => of!(Date32Type),
        DataType::Decimal128(..) => of!(Decimal128Type),
        DataType::Timestamp(..) => of!(TimestampMicrosecondType),
        _ => return None,
    })
}

/// The least or greatest value of each run, NULL for one without values.
fn extreme<T>(
    column: &PrimitiveArray<T>,
    runs: &[Range<usize>],
    least: bool,
) -> Option<Vec<Option<T::Native>>>
where
    T: ArrowPrimitiveType,
    T::Native: Ord,
{
    let values = column.values();
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
    let mut found = Vec::with_capacity(runs.len());
    for run in runs {
        let rows = values.get(run.clone())?;
        let best = match nulls {
            None if least => rows.iter().min().copied(),
            None => rows.iter().max().copied(),
            Some(nulls) => {
                let rows = run.clone().zip(rows);
                let rows = rows.filter(|(row, _)| nulls.is_valid(*row));
                let rows = rows.map(|(_, value)| *value);
                if least { rows.min() } else { rows.max() }
            }
        };
        found.push(best);
    }
    Some(found)
}

#[cfg(test)]
mod tests;
