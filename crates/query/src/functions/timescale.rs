//! TimescaleDB's functions: buckets and the ends of groups computed here, the rest by the session.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use chronolith_types::{RegKind, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use std::sync::Arc;

use super::aggregates;
use super::dates::{self, DAY_US};
use super::error::FunctionError;
use super::io::Zone;
use super::table::{Imp, Proc, ProcKind, Typed, Volatile};
use super::udf::{self, Context, Row};
use super::value::Value;

/// 2000-01-03, a Monday, in µs since 1970: where buckets of days and less begin.
const MONDAY_US: i64 = 946_857_600_000_000;
/// 2000-01-01 as a count of months since year 0: where buckets of months begin.
const MONTHS_2000: i64 = 2000 * 12;

fn proc(
    oid: u32,
    name: &'static str,
    kind: ProcKind,
    args: Vec<SqlType>,
    result: SqlType,
    imp: Imp,
) -> Proc {
    Proc {
        oid,
        name,
        schema: "public",
        kind,
        args,
        arg_names: Vec::new(),
        defaults: 0,
        variadic: None,
        result,
        columns: Vec::new(),
        strict: false,
        volatility: Volatile::Volatile,
        ordered_set: false,
        imp,
    }
}

/// Rows of `pg_proc` that PostgreSQL does not have.
pub(super) fn procs() -> Vec<Proc> {
    let mut rows = Vec::new();
    buckets(&mut rows);
    let ends: [(&'static str, Imp); 2] = [
        ("first", Imp::Aggregate(aggregates::first)),
        ("last", Imp::Aggregate(aggregates::last)),
    ];
    for (name, imp) in ends {
        let args = vec![SqlType::AnyElement, SqlType::Any];
        let mut row = proc(
            next(&rows),
            name,
            ProcKind::Aggregate,
            args,
            SqlType::AnyElement,
            imp,
        );
        row.volatility = Volatile::Immutable;
        rows.push(row);
    }
    for line in EFFECTS.lines() {
        if let Some(row) = effect(next(&rows), line.trim()) {
            rows.push(row);
        }
    }
    rows
}

fn next(rows: &[Proc]) -> u32 {
    9000 + u32::try_from(rows.len()).unwrap_or(0)
}

/// name | kind (f function, s set, p procedure) | arguments | how many have defaults | result | columns of a record
///
/// `dimension` is what `by_range` and `by_hash` make: text for the session alone.
const EFFECTS: &str = "\
create_hypertable|s|relation regclass,time_column_name name,partitioning_column name,number_partitions integer,associated_schema_name name,associated_table_prefix name,chunk_time_interval any,create_default_indexes boolean,if_not_exists boolean,partitioning_func regproc,migrate_data boolean,time_partitioning_func regproc|10|record|hypertable_id integer,schema_name name,table_name name,created boolean
create_hypertable|s|relation regclass,dimension cstring,create_default_indexes boolean,if_not_exists boolean,migrate_data boolean|3|record|hypertable_id integer,created boolean
by_range|f|column_name name,partition_interval any,partition_func regproc|2|cstring|
by_hash|f|column_name name,number_partitions integer,partition_func regproc|1|cstring|
show_chunks|s|relation regclass,older_than any,newer_than any,created_before any,created_after any|4|regclass|
drop_chunks|s|relation regclass,older_than any,newer_than any,verbose boolean,created_before any,created_after any|5|text|
compress_chunk|f|uncompressed_chunk regclass,if_not_compressed boolean,recompress boolean|2|regclass|
decompress_chunk|f|uncompressed_chunk regclass,if_compressed boolean|1|regclass|
convert_to_columnstore|p|chunk regclass,if_not_columnstore boolean,recompress boolean|2|void|
convert_to_rowstore|p|chunk regclass,if_columnstore boolean|1|void|
recompress_chunk|p|chunk regclass,if_not_compressed boolean|1|void|
set_chunk_time_interval|f|hypertable regclass,chunk_time_interval anyelement,dimension_name name|1|void|
set_integer_now_func|f|hypertable regclass,integer_now_func regproc,replace_if_exists boolean|1|void|
hypertable_size|f|hypertable regclass|0|bigint|
hypertable_index_size|f|index_name regclass|0|bigint|
hypertable_approximate_size|f|hypertable regclass|0|bigint|
approximate_row_count|f|relation regclass|0|bigint|
hypertable_detailed_size|s|hypertable regclass|0|record|table_bytes bigint,index_bytes bigint,toast_bytes bigint,total_bytes bigint,node_name name
hypertable_approximate_detailed_size|s|relation regclass|0|record|table_bytes bigint,index_bytes bigint,toast_bytes bigint,total_bytes bigint
chunks_detailed_size|s|hypertable regclass|0|record|chunk_schema name,chunk_name name,table_bytes bigint,index_bytes bigint,toast_bytes bigint,total_bytes bigint,node_name name
chunk_compression_stats|s|hypertable regclass|0|record|chunk_schema name,chunk_name name,compression_status text,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name
chunk_columnstore_stats|s|hypertable regclass|0|record|chunk_schema name,chunk_name name,compression_status text,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name
hypertable_compression_stats|s|hypertable regclass|0|record|total_chunks bigint,number_compressed_chunks bigint,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name
hypertable_columnstore_stats|s|hypertable regclass|0|record|total_chunks bigint,number_compressed_chunks bigint,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name";

fn effect(oid: u32, line: &'static str) -> Option<Proc> {
    let mut fields = line.split('|');
    let name = fields.next()?;
    let kind = match fields.next()? {
        "s" => ProcKind::SetReturning,
        "p" => ProcKind::Procedure,
        _ => ProcKind::Scalar,
    };
    let args = named(fields.next()?)?;
    let defaults = fields.next()?.parse().ok()?;
    let result = named_type(fields.next()?)?;
    let columns = named(fields.next()?)?;
    let types = args.iter().map(|(_, ty)| ty.clone()).collect();
    let mut row = proc(oid, name, kind, types, result, Imp::Effect(name));
    row.arg_names = args.into_iter().map(|(name, _)| name).collect();
    row.defaults = defaults;
    row.columns = columns;
    Some(row)
}

fn named_type(name: &str) -> Option<SqlType> {
    Some(match name {
        "any" => SqlType::Any,
        "regclass" => SqlType::Reg(RegKind::Class),
        name => super::table::type_of(name)?,
    })
}

fn named(list: &'static str) -> Option<Vec<(&'static str, SqlType)>> {
    list.split(',')
        .filter(|item| !item.is_empty())
        .map(|item| {
            let (name, ty) = item.split_once(' ')?;
            Some((name, named_type(ty)?))
        })
        .collect()
}

// ------------------------------------------------------------------------------------- buckets

fn buckets(rows: &mut Vec<Proc>) {
    use SqlType::{Date, Int2, Int4, Int8, Interval, Text, Timestamp, Timestamptz};
    let mut add = |args: &[SqlType], names: &[&'static str], defaults: usize, imp: Imp| {
        let result = args.get(1).cloned().unwrap_or(Timestamptz);
        let mut row = proc(
            next(rows),
            "time_bucket",
            ProcKind::Scalar,
            args.to_vec(),
            result,
            imp,
        );
        row.arg_names = names.to_vec();
        row.defaults = defaults;
        row.volatility = Volatile::Immutable;
        // A default of NULL must not answer NULL.
        row.strict = defaults == 0;
        rows.push(row);
    };
    let width = Imp::Scalar(interval_bucket);
    for ts in [Timestamptz, Timestamp, Date] {
        add(&[Interval, ts.clone()], &["bucket_width", "ts"], 0, width);
        add(
            &[Interval, ts.clone(), ts.clone()],
            &["bucket_width", "ts", "origin"],
            0,
            width,
        );
        add(
            &[Interval, ts, Interval],
            &["bucket_width", "ts", "offset"],
            0,
            width,
        );
    }
    let zoned = ["bucket_width", "ts", "timezone", "origin", "offset"];
    add(
        &[Interval, Timestamptz, Text, Timestamptz, Interval],
        &zoned,
        2,
        width,
    );
    for int in [Int2, Int4, Int8] {
        add(
            &[int.clone(), int.clone()],
            &["bucket_width", "ts"],
            0,
            Imp::Rows(integer_bucket),
        );
        add(
            &[int.clone(), int.clone(), int],
            &["bucket_width", "ts", "offset"],
            0,
            Imp::Rows(integer_bucket),
        );
    }
}

fn interval_bucket(args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
    let constant = args.first().and_then(Typed::as_literal).cloned();
    if let (Some(ScalarValue::IntervalMonthDayNano(Some(span))), [_, _]) =
        (&constant, args.as_slice())
        && span.months == 0
    {
        width_us(span)?;
        let form = result.arrow();
        return Ok(udf::column_call(
            "time_bucket",
            fixed_buckets,
            args,
            result.clone(),
            form,
        ));
    }
    let four = args.len() > 3 || args.get(2).is_some_and(|arg| arg.ty == SqlType::Text);
    udf::row_call(
        Row {
            name: "time_bucket",
            function: row_bucket,
            strict: !four,
            volatility: Volatile::Immutable,
            ty: result.clone(),
            arrow: result.arrow(),
        },
        args,
    )
}

/// The width of a bucket of days and time, in µs.
fn width_us(span: &arrow::datatypes::IntervalMonthDayNano) -> Result<i64, FunctionError> {
    if span.months != 0 && (span.days != 0 || span.nanoseconds != 0) {
        return Err(FunctionError::unsupported(
            "month intervals cannot have day or time component",
        ));
    }
    let us = i64::from(span.days)
        .checked_mul(DAY_US)
        .and_then(|days| days.checked_add(span.nanoseconds / 1000))
        .ok_or_else(dates::timestamp_range)?;
    if us <= 0 && span.months <= 0 {
        return Err(FunctionError::invalid_parameter(
            "period must be greater than 0",
        ));
    }
    Ok(us)
}

fn floor(us: i64, width: i64, origin: i64) -> Result<i64, FunctionError> {
    if dates::infinite(us) {
        return Ok(us);
    }
    let origin = origin.rem_euclid(width);
    let shifted = us.checked_sub(origin).ok_or_else(dates::timestamp_range)?;
    dates::timestamp(i128::from(shifted.div_euclid(width)) * i128::from(width) + i128::from(origin))
}

/// Buckets of one width over a column.
fn fixed_buckets(
    args: &ScalarFunctionArgs,
    form: &arrow::datatypes::DataType,
) -> Result<ColumnarValue, FunctionError> {
    let (Some(ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(span)))), Some(times)) =
        (args.args.first(), args.args.get(1))
    else {
        return Err(FunctionError::internal(
            "time_bucket was planned with a constant width",
        ));
    };
    let width = width_us(span)?;
    let constant = matches!(times, ColumnarValue::Scalar(_));
    let times = times.to_array(if constant { 1 } else { args.number_rows })?;
    let answer: ArrayRef = if let Some(times) = times.as_primitive_opt::<TimestampMicrosecondType>()
    {
        let origin = MONDAY_US.rem_euclid(width);
        // Only values near the ends of time need care; look once whether there are any.
        let safe = times.iter().flatten().all(|us| us.unsigned_abs() < 1 << 62);
        let answer = if safe && width < 1 << 60 {
            times.unary::<_, TimestampMicrosecondType>(|us| us - (us - origin).rem_euclid(width))
        } else {
            times.try_unary::<_, TimestampMicrosecondType, FunctionError>(|us| {
                floor(us, width, MONDAY_US)
            })?
        };
        Arc::new(answer.with_data_type(form.clone()))
    } else if let Some(days) = times.as_primitive_opt::<Date32Type>() {
        Arc::new(days.try_unary::<_, Date32Type, FunctionError>(|day| {
            if day == i32::MAX || day == i32::MIN {
                return Ok(day);
            }
            let us = floor(i64::from(day) * DAY_US, width, MONDAY_US)?;
            i32::try_from(us.div_euclid(DAY_US)).map_err(|_| dates::timestamp_range())
        })?)
    } else {
        return Err(FunctionError::internal("time_bucket of another form"));
    };
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?)
    } else {
        ColumnarValue::Array(answer)
    })
}

fn negated(value: &Value) -> Result<Value, FunctionError> {
    dates::add_intervals(&[dates::interval(0, 0, 0), value.clone()], -1)
}

/// Any form: with an origin, an offset, a zone, or months.
fn row_bucket(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Interval(span), at, rest @ ..] = args else {
        return Ok(Value::Null);
    };
    if at.is_null() {
        return Ok(Value::Null);
    }
    let mut zone = None;
    let (mut origin, mut offset) = (None, None);
    for value in rest {
        match value {
            Value::Text(name) => {
                zone = Some(Zone::parse(name).ok_or_else(|| {
                    FunctionError::invalid_parameter(format!("time zone \"{name}\" not recognized"))
                })?);
            }
            Value::Interval(_) => offset = Some(value),
            Value::Null => {}
            value => origin = Some(dates::local(value)?),
        }
    }
    if rest.first().is_some_and(Value::is_null) && context.args.get(2) == Some(&SqlType::Text) {
        return Ok(Value::Null);
    }
    let wall = |us: i64| zone.map_or(us, |zone: Zone| zone.to_local(us));
    let mut us = wall(dates::local(at)?);
    if dates::infinite(us) {
        return Ok(at.clone());
    }
    let origin = origin.map(wall);
    if let Some(offset) = offset {
        us = dates::plus_interval(&[Value::Timestamp(us), negated(offset)?], 1)?.as_micros();
    }
    let mut bucket = if span.months != 0 {
        width_us(span)?;
        let months_of = |us: i64| {
            let (year, month, _) = dates::civil(us.div_euclid(DAY_US));
            year * 12 + month - 1
        };
        let first = origin.map_or(MONTHS_2000, months_of);
        if let Some(origin) = origin
            && dates::civil(origin.div_euclid(DAY_US)).2 != 1
        {
            return Err(FunctionError::unsupported(
                "origin must be the first day of a month",
            ));
        }
        let width = i64::from(span.months);
        let months = first + (months_of(us) - first).div_euclid(width) * width;
        dates::days(months.div_euclid(12), months.rem_euclid(12) + 1, 1) * DAY_US
    } else {
        floor(us, width_us(span)?, origin.unwrap_or(MONDAY_US))?
    };
    if let Some(offset) = offset {
        bucket = dates::plus_interval(&[Value::Timestamp(bucket), offset.clone()], 1)?.as_micros();
    }
    if let Some(zone) = zone {
        bucket = zone.to_utc(bucket);
    }
    if *context.result == SqlType::Date {
        dates::date(bucket.div_euclid(DAY_US))
    } else {
        Ok(Value::Timestamp(bucket))
    }
}

fn integer_bucket(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (width, at, offset) = match args {
        [width, at] => (width.as_int(), at.as_int(), 0),
        [width, at, offset] => (width.as_int(), at.as_int(), offset.as_int()),
        _ => return Ok(Value::Null),
    };
    if width <= 0 {
        return Err(FunctionError::invalid_parameter(
            "period must be greater than 0",
        ));
    }
    let offset = offset.rem_euclid(width);
    at.checked_sub(offset)
        .and_then(|shifted| shifted.div_euclid(width).checked_mul(width))
        .and_then(|bucket| bucket.checked_add(offset))
        .map(Value::Int)
        .ok_or_else(dates::timestamp_range)
}
