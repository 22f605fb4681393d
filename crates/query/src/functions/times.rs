//! Columns of times: arithmetic with intervals, truncation, fields and buckets.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal256Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
    TimestampMicrosecondType, i256,
};
use chronolith_rollup::bucket::{BucketOptions, Bucketer};
use chronolith_types::{Interval, NUMERIC_ANY, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::calendar;
use super::dates::{self, DAY_US};
use super::error::FunctionError;
use super::io::Zone;
use super::num;
use super::table::{Imp, Typed};
use super::udf::{self, ColumnFn};
use super::value::Value;
use super::vars::SessionVars;

/// Whether the functions here read a form.
pub(super) fn reads(form: &DataType) -> bool {
    matches!(
        form,
        DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Date32 | DataType::Interval(_)
    )
}

/// An argument as an array: of all rows, or of one row when it is constant.
struct Column {
    array: ArrayRef,
    constant: bool,
}

impl Column {
    fn of(args: &ScalarFunctionArgs, index: usize) -> Result<Self, FunctionError> {
        let arg = args
            .args
            .get(index)
            .ok_or_else(|| FunctionError::internal("a function of times has too few arguments"))?;
        let constant = matches!(arg, ColumnarValue::Scalar(_));
        Ok(Self {
            array: arg.to_array(if constant { 1 } else { args.number_rows })?,
            constant,
        })
    }

    fn at(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.at(row))
    }

    /// Times, or midnights of dates, in µs.
    fn times(&self) -> Result<Vec<i64>, FunctionError> {
        if let Some(times) = self.array.as_primitive_opt::<TimestampMicrosecondType>() {
            return Ok(times.values().to_vec());
        }
        let Some(dates) = self.array.as_primitive_opt::<Date32Type>() else {
            return Err(FunctionError::internal(
                "a column of times has another form",
            ));
        };
        dates
            .iter()
            .map(|day| day.map_or(Ok(0), |day| dates::local(&Value::Date(day))))
            .collect()
    }
}

/// How many rows to compute, and which of them have values.
fn extent(args: &ScalarFunctionArgs, columns: &[&Column]) -> (usize, Option<NullBuffer>) {
    let constant = columns.iter().all(|column| column.constant);
    let rows = if constant { 1 } else { args.number_rows };
    let mut valid: Option<NullBuffer> = None;
    for column in columns {
        let nulls = match column.array.nulls() {
            Some(nulls) if column.constant && rows != 1 => {
                (nulls.null_count() > 0).then(|| NullBuffer::new_null(rows))
            }
            other => other.cloned(),
        };
        valid = NullBuffer::union(valid.as_ref(), nulls.as_ref());
    }
    (rows, valid.filter(|valid| valid.null_count() > 0))
}

fn each<T: Copy>(
    rows: usize,
    valid: Option<&NullBuffer>,
    none: T,
    mut compute: impl FnMut(usize) -> Result<T, FunctionError>,
) -> Result<Vec<T>, FunctionError> {
    match valid {
        None => (0..rows).map(compute).collect(),
        Some(valid) => {
            let mut values = vec![none; rows];
            for row in valid.valid_indices() {
                if let Some(slot) = values.get_mut(row) {
                    *slot = compute(row)?;
                }
            }
            Ok(values)
        }
    }
}

fn finished(array: ArrayRef, constant: bool) -> Result<ColumnarValue, FunctionError> {
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
    } else {
        ColumnarValue::Array(array)
    })
}

/// Times in the form of a result: timestamps or dates.
fn shaped(
    times: Vec<i64>,
    valid: Option<NullBuffer>,
    form: &DataType,
) -> Result<ArrayRef, FunctionError> {
    if *form == DataType::Date32 {
        let days = times.into_iter().map(|us| match us {
            i64::MAX => Ok(i32::MAX),
            i64::MIN => Ok(i32::MIN),
            us => i32::try_from(us.div_euclid(DAY_US)).map_err(|_| dates::timestamp_range()),
        });
        let days = days.collect::<Result<Vec<_>, _>>()?;
        return Ok(Arc::new(Date32Array::try_new(days.into(), valid)?));
    }
    let array = TimestampMicrosecondArray::try_new(times.into(), valid)?;
    Ok(Arc::new(array.with_data_type(form.clone())))
}

// ----------------------------------------------------------------------------------- arithmetic

/// What is behind an operator of times, and whether it asks for the session's zone.
pub(super) fn operator(code: &str) -> Option<(&'static str, ColumnFn, bool)> {
    Some(match code {
        "date_pl_interval" | "timestamp_pl_interval" => (
            "time_plus",
            |args, form| plus(args, form, 0, 1, false),
            false,
        ),
        "interval_pl_date" | "interval_pl_timestamp" => (
            "plus_time",
            |args, form| plus(args, form, 1, 1, false),
            false,
        ),
        "date_mi_interval" | "timestamp_mi_interval" => (
            "time_minus",
            |args, form| plus(args, form, 0, -1, false),
            false,
        ),
        "timestamptz_pl_interval" => (
            "instant_plus",
            |args, form| plus(args, form, 0, 1, true),
            true,
        ),
        "interval_pl_timestamptz" => (
            "plus_instant",
            |args, form| plus(args, form, 1, 1, true),
            true,
        ),
        "timestamptz_mi_interval" => (
            "instant_minus",
            |args, form| plus(args, form, 0, -1, true),
            true,
        ),
        "timestamp_mi" | "timestamptz_mi" => ("time_between", |args, _| between(args), false),
        _ => return None,
    })
}

/// Times (the argument `first`) and intervals (the other one).
fn plus(
    args: &ScalarFunctionArgs,
    form: &DataType,
    first: usize,
    sign: i64,
    zoned: bool,
) -> Result<ColumnarValue, FunctionError> {
    let (at, by) = (Column::of(args, first)?, Column::of(args, 1 - first)?);
    let (rows, valid) = extent(args, &[&at, &by]);
    let zone = if zoned {
        Zone::of(&SessionVars::of(&args.config_options))
    } else {
        Zone::fixed(0)
    };
    let times = at.times()?;
    let spans = by.array.as_primitive::<IntervalMonthDayNanoType>().values();
    let straight = |span: &IntervalMonthDayNano| {
        span.months == 0 && (span.days == 0 || !zoned || zone.is_utc())
    };
    let moved = |us: i64, span: &IntervalMonthDayNano| {
        if dates::infinite(us) {
            return Ok(us);
        }
        let mut us = us;
        if straight(span) {
            us = dates::timestamp(
                i128::from(us) + i128::from(sign) * i128::from(span.days) * i128::from(DAY_US),
            )?;
        } else {
            let months = sign * i64::from(span.months);
            let days = sign * i64::from(span.days);
            us = zone.to_utc(dates::add_calendar(zone.to_local(us), months, days)?);
        }
        dates::timestamp(i128::from(us) + i128::from(sign) * i128::from(span.nanoseconds / 1000))
    };
    let constant = at.constant && by.constant;
    let answers = each(rows, valid.as_ref(), 0, |row| {
        moved(times[at.at(row)], &spans[by.at(row)])
    })?;
    finished(shaped(answers, valid, form)?, constant)
}

fn between(args: &ScalarFunctionArgs) -> Result<ColumnarValue, FunctionError> {
    let (left, right) = (Column::of(args, 0)?, Column::of(args, 1)?);
    let (rows, valid) = extent(args, &[&left, &right]);
    let (a, b) = (left.times()?, right.times()?);
    let none = IntervalMonthDayNano::new(0, 0, 0);
    let spans = each(rows, valid.as_ref(), none, |row| {
        let pair = [
            Value::Timestamp(a[left.at(row)]),
            Value::Timestamp(b[right.at(row)]),
        ];
        Ok(dates::between(&pair)?.as_interval())
    })?;
    finished(
        Arc::new(IntervalMonthDayNanoArray::try_new(spans.into(), valid)?),
        left.constant && right.constant,
    )
}

// ------------------------------------------------------------------------------ parts of a time

/// `date_trunc` and `date_part` of a unit that is a literal and a column of times; others go value
/// by value.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<Imp> {
    let time = matches!(
        args.get(1)?,
        SqlType::Timestamp(_) | SqlType::Timestamptz(_) | SqlType::Date
    );
    if !time || args.first() != Some(&SqlType::Text) {
        return None;
    }
    Some(match name {
        "date_trunc" => Imp::Scalar(|args, result| {
            by_unit(("date_trunc", truncated), args, result, |context, args| {
                calendar::date_trunc(context, args)
            })
        }),
        "date_part" => Imp::Scalar(|args, result| {
            by_unit(("date_part", parts), args, result, calendar::date_part)
        }),
        "extract" => Imp::Scalar(|args, result| {
            by_unit(("extract", parts), args, result, |context, args| {
                calendar::field(context, args)
            })
        }),
        _ => return None,
    })
}

fn by_unit(
    (name, columns): (&'static str, ColumnFn),
    args: Vec<Typed>,
    result: &SqlType,
    rows: udf::RowFn,
) -> Result<Typed, FunctionError> {
    let literal = |arg: &Typed| matches!(arg.as_literal(), Some(ScalarValue::Utf8View(Some(_))));
    let constant = match args.as_slice() {
        [unit, at] => literal(unit) && reads(&at.arrow),
        [unit, at, zone] => literal(unit) && reads(&at.arrow) && literal(zone),
        _ => false,
    };
    let zoned = args
        .iter()
        .any(|arg| matches!(arg.ty, SqlType::Timestamptz(_)));
    let form = result.arrow();
    if constant {
        let call = if zoned {
            udf::stable_column_call
        } else {
            udf::column_call
        };
        return Ok(call(name, columns, args, result.clone(), form));
    }
    let row = udf::Row {
        name,
        function: rows,
        strict: true,
        volatility: if zoned {
            super::table::Volatile::Stable
        } else {
            super::table::Volatile::Immutable
        },
        ty: result.clone(),
        arrow: form,
    };
    udf::row_call(row, args)
}

/// The text of a literal argument.
fn text(args: &ScalarFunctionArgs, index: usize) -> Option<&str> {
    match args.args.get(index) {
        Some(ColumnarValue::Scalar(scalar)) => scalar.try_as_str().flatten(),
        _ => None,
    }
}

/// The zone whose wall clock counts, and the SQL type, of a time argument.
fn clock(args: &ScalarFunctionArgs, at: &Column) -> Result<(Zone, SqlType), FunctionError> {
    Ok(match at.array.data_type() {
        DataType::Timestamp(_, Some(_)) => (
            match text(args, 2) {
                Some(name) => calendar::zone_named(name)?,
                None => Zone::of(&SessionVars::of(&args.config_options)),
            },
            SqlType::Timestamptz(None),
        ),
        DataType::Date32 => (Zone::fixed(0), SqlType::Date),
        _ => (Zone::fixed(0), SqlType::Timestamp(None)),
    })
}

fn truncated(args: &ScalarFunctionArgs, form: &DataType) -> Result<ColumnarValue, FunctionError> {
    let at = Column::of(args, 1)?;
    let (zone, ty) = clock(args, &at)?;
    let unit = calendar::unit(text(args, 0).unwrap_or_default());
    let (rows, valid) = extent(args, &[&at]);
    let times = at.times()?;
    let step = match unit.as_str() {
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => DAY_US,
        _ => 0,
    };
    // Neighbours are mostly of one day: what was found for a day holds until its midnight.
    let mut known: Option<(i64, i64, i64)> = None;
    let answers = each(rows, valid.as_ref(), 0, |row| {
        let us = times[row];
        if step > 0 && zone.is_utc() && !dates::infinite(us) {
            return Ok(us - us.rem_euclid(step));
        }
        if let Some((from, to, answer)) = known
            && (from..to).contains(&us)
        {
            return Ok(answer);
        }
        let answer = calendar::truncate_in(&zone, us, &unit, &ty)?;
        if !calendar::below_day(&unit) && !dates::infinite(us) {
            let midnight = zone.to_local(us).div_euclid(DAY_US) * DAY_US;
            let (from, to) = (zone.to_utc(midnight), zone.to_utc(midnight + DAY_US));
            // Days on which the clocks change are asked for time by time.
            let even = to - from == DAY_US && zone.offset_at(from) == zone.offset_at(to);
            known = even.then_some((from, to, answer));
        }
        Ok(answer)
    })?;
    finished(shaped(answers, valid, form)?, at.constant)
}

fn parts(args: &ScalarFunctionArgs, form: &DataType) -> Result<ColumnarValue, FunctionError> {
    let at = Column::of(args, 1)?;
    let (zone, mut ty) = clock(args, &at)?;
    if *form == DataType::Float64 && ty == SqlType::Date {
        ty = SqlType::Timestamp(None);
    }
    let unit = calendar::unit(text(args, 0).unwrap_or_default());
    let (rows, _) = extent(args, &[&at]);
    let mut valid = Vec::with_capacity(rows);
    let times = at.times()?;
    let mut value = |row: usize| -> Result<Option<num::Numeric>, FunctionError> {
        let answer = if at.is_null(row) {
            Value::Null
        } else {
            calendar::field_of(&zone, &unit, &Value::Timestamp(times[row]), &ty)?
        };
        valid.push(!answer.is_null());
        Ok(match answer {
            Value::Numeric(value) => Some(value),
            _ => None,
        })
    };
    let array: ArrayRef = if *form == NUMERIC_ANY {
        let mut codes = Vec::with_capacity(rows);
        for row in 0..rows {
            codes.push(value(row)?.map_or(Ok(i256::ZERO), |value| num::to_any(&value))?);
        }
        let codes = Decimal256Array::try_new(codes.into(), Some(NullBuffer::from(valid)))?;
        Arc::new(codes.with_data_type(NUMERIC_ANY))
    } else {
        let mut floats = Vec::with_capacity(rows);
        for row in 0..rows {
            floats.push(value(row)?.map_or(0.0, |value| num::to_f64(&value)));
        }
        Arc::new(Float64Array::try_new(
            floats.into(),
            Some(NullBuffer::from(valid)),
        )?)
    };
    finished(array, at.constant)
}

// ------------------------------------------------------------------------------------- buckets

/// `time_bucket(width, at, …)` of times: an origin, an offset, or a zone with both.
pub(super) fn bucket(args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
    if let Some(Some(ScalarValue::IntervalMonthDayNano(Some(width)))) =
        args.first().map(Typed::as_literal)
    {
        // A width that cannot be is told before any row is read.
        Bucketer::new(interval(*width), BucketOptions::default())?;
    }
    let form = result.arrow();
    Ok(udf::column_call(
        "time_bucket",
        buckets,
        args,
        result.clone(),
        form,
    ))
}

fn interval(span: IntervalMonthDayNano) -> Interval {
    Interval {
        months: span.months,
        days: span.days,
        us: span.nanoseconds / 1000,
    }
}

/// Buckets of one kind, and the one that was found last.
struct Known {
    bucketer: Bucketer,
    /// How long every bucket is, if all are as long.
    length: Option<i64>,
    start: i64,
    end: i64,
}

impl Known {
    #[inline]
    fn bucket(&mut self, at: i64) -> Result<i64, FunctionError> {
        if (self.start..self.end).contains(&at) {
            return Ok(self.start);
        }
        let start = self.bucketer.bucket(at)?;
        // In an hour that clocks show twice a bucket may start after its times.
        if start <= at {
            let end = match self.length {
                Some(length) => start.checked_add(length),
                None => self.bucketer.next(at).ok(),
            };
            (self.start, self.end) = match end {
                Some(end) if end > at && (self.length.is_some() || end - start <= STEADY_US) => {
                    (start, end)
                }
                _ => (0, 0),
            };
        }
        Ok(start)
    }
}

/// The longest bucket that is remembered where buckets differ in length: three years.
const STEADY_US: i64 = 3 * 366 * DAY_US;

fn buckets(args: &ScalarFunctionArgs, form: &DataType) -> Result<ColumnarValue, FunctionError> {
    let columns = (0..args.args.len())
        .map(|index| Column::of(args, index))
        .collect::<Result<Vec<_>, _>>()?;
    let [width, at, rest @ ..] = columns.as_slice() else {
        return Err(FunctionError::internal("time_bucket has two arguments"));
    };
    let zoned = rest
        .first()
        .is_some_and(|zone| zone.array.data_type() == &DataType::Utf8View);
    // With a zone, an origin and an offset that are null are not given.
    let mut needed = vec![width, at];
    needed.extend(rest.iter().take(if zoned { 1 } else { usize::MAX }));
    let (mut rows, valid) = extent(args, &needed);
    let constant = columns.iter().all(|column| column.constant);
    if !constant {
        rows = args.number_rows;
    }
    let make = |row: usize| -> Result<Known, FunctionError> {
        let spans = width.array.as_primitive::<IntervalMonthDayNanoType>();
        let span = interval(spans.value(width.at(row)));
        let mut options = BucketOptions::default();
        for column in rest.iter().filter(|column| !column.is_null(row)) {
            let row = column.at(row);
            match column.array.data_type() {
                DataType::Utf8View => {
                    let name = column.array.as_string_view().value(row);
                    options.zone = Some(calendar::zone_named(name)?.time_zone());
                }
                DataType::Interval(_) => {
                    let spans = column.array.as_primitive::<IntervalMonthDayNanoType>();
                    options.offset = Some(interval(spans.value(row)));
                }
                DataType::Null => {}
                _ => options.origin = column.times()?.get(row).copied(),
            }
        }
        let even = span.months == 0
            && options.zone.is_none()
            && options.offset.is_none_or(|offset| offset.months == 0);
        Ok(Known {
            bucketer: Bucketer::new(span, options)?,
            length: even.then(|| i64::from(span.days) * DAY_US + span.us),
            start: 0,
            end: 0,
        })
    };
    let steady = width.constant && rest.iter().all(|column| column.constant);
    let times = at.times()?;
    let some = valid.as_ref().is_none_or(|valid| valid.null_count() < rows);
    let mut known = if steady && some { Some(make(0)?) } else { None };
    let starts = each(rows, valid.as_ref(), 0, |row| match &mut known {
        Some(known) => known.bucket(times[at.at(row)]),
        None => make(row)?.bucket(times[at.at(row)]),
    })?;
    finished(shaped(starts, valid, form)?, constant)
}

/// `time_bucket(width, at[, offset])` of integers.
pub(super) fn integer_bucket(args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
    let form = result.arrow();
    Ok(udf::column_call(
        "time_bucket",
        integer_buckets,
        args,
        result.clone(),
        form,
    ))
}

/// `time_bucket(width, at[, zone])` of times or integers, as the form of the width says.
pub(super) fn any_bucket(
    args: &ScalarFunctionArgs,
    form: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    if form.is_integer() {
        integer_buckets(args, form)
    } else {
        buckets(args, form)
    }
}

fn integer_buckets(
    args: &ScalarFunctionArgs,
    form: &DataType,
) -> Result<ColumnarValue, FunctionError> {
    let columns = (0..args.args.len())
        .map(|index| Column::of(args, index))
        .collect::<Result<Vec<_>, _>>()?;
    let needed: Vec<&Column> = columns.iter().collect();
    let (rows, valid) = extent(args, &needed);
    let wide = columns
        .iter()
        .map(|column| {
            let array = arrow::compute::cast(&column.array, &DataType::Int64)?;
            Ok(array.as_primitive::<Int64Type>().values().clone())
        })
        .collect::<Result<Vec<_>, FunctionError>>()?;
    let get = |index: usize, row: usize| match (wide.get(index), columns.get(index)) {
        (Some(values), Some(column)) => values[column.at(row)],
        _ => 0,
    };
    let mut known: Option<(i64, i64, Known)> = None;
    let starts = each(rows, valid.as_ref(), 0, |row| {
        let (width, offset) = (get(0, row), get(2, row));
        match &mut known {
            Some((w, o, known)) if *w == width && *o == offset => known.bucket(get(1, row)),
            _ => {
                let mut fresh = Known {
                    bucketer: Bucketer::integers(width, offset)?,
                    length: Some(width),
                    start: 0,
                    end: 0,
                };
                let start = fresh.bucket(get(1, row));
                known = Some((width, offset, fresh));
                start
            }
        }
    })?;
    let narrow = dates::timestamp_range;
    let array: ArrayRef = match form {
        DataType::Int16 => {
            let starts = starts
                .into_iter()
                .map(|v| i16::try_from(v).map_err(|_| narrow()));
            let starts = starts.collect::<Result<Vec<_>, _>>()?;
            Arc::new(Int16Array::try_new(starts.into(), valid)?)
        }
        DataType::Int32 => {
            let starts = starts
                .into_iter()
                .map(|v| i32::try_from(v).map_err(|_| narrow()));
            let starts = starts.collect::<Result<Vec<_>, _>>()?;
            Arc::new(Int32Array::try_new(starts.into(), valid)?)
        }
        _ => Arc::new(Int64Array::try_new(starts.into(), valid)?),
    };
    finished(array, columns.iter().all(|column| column.constant))
}
