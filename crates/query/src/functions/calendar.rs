//! Functions of dates and times: fields, truncation, ages, clocks.

use arrow::datatypes::IntervalMonthDayNano;
use chronolith_types::zone::parse_offset;
use chronolith_types::{Interval, SqlState, SqlType, packed, precision};

use super::dates::{self, DAY_US, civil, days};
use super::error::FunctionError;
use super::io::Zone;
use super::num;
use super::udf::{Context, RowFn};
use super::value::Value;

fn unit_error(unit: &str, ty: &SqlType) -> FunctionError {
    FunctionError::invalid_parameter(format!("unit \"{unit}\" not recognized for type {ty}"))
}

/// Singular, lower-case names of units.
pub(crate) fn unit(name: &str) -> String {
    let name = name.to_lowercase();
    match name.as_str() {
        "us" | "usec" | "usecs" | "microsecond" | "useconds" => "microseconds",
        "ms" | "msec" | "msecs" | "millisecond" => "milliseconds",
        "s" | "sec" | "secs" | "seconds" => "second",
        "m" | "min" | "mins" | "minutes" => "minute",
        "h" | "hr" | "hrs" | "hours" => "hour",
        "d" | "days" => "day",
        "w" | "weeks" => "week",
        "mon" | "mons" | "months" => "month",
        "qtr" => "quarter",
        "y" | "yr" | "yrs" | "years" => "year",
        "decades" | "dec" => "decade",
        "c" | "cent" | "centuries" => "century",
        "mil" | "mils" | "millennia" => "millennium",
        other => other,
    }
    .to_owned()
}

/// The Monday of an ISO week-numbering year's first week.
pub(super) fn iso_start(year: i64) -> i64 {
    let fourth = days(year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7)
}

/// Year and week by ISO 8601 of a civil date.
pub(super) fn iso_week(year: i64, month: i64, day: i64) -> (i64, i64, i64) {
    let date = days(year, month, day);
    let year = iso_year(date);
    (year, (date - iso_start(year)) / 7 + 1, date)
}

fn iso_year(date: i64) -> i64 {
    let (year, _, _) = civil(date);
    if date >= iso_start(year + 1) {
        year + 1
    } else if date < iso_start(year) {
        year - 1
    } else {
        year
    }
}

fn truncate(wall: i64, unit: &str, ty: &SqlType) -> Result<i64, FunctionError> {
    let to = |step: i64| Ok(wall - wall.rem_euclid(step));
    let date = wall.div_euclid(DAY_US);
    let (year, month, _) = civil(date);
    let month_start = |year: i64, month: i64| Ok(days(year, month, 1) * DAY_US);
    // Years before 1 count down from 0.
    let era = |size: i64| (year - 1).div_euclid(size) * size + 1;
    match unit {
        "microseconds" => Ok(wall),
        "milliseconds" => to(1000),
        "second" => to(1_000_000),
        "minute" => to(60_000_000),
        "hour" => to(3_600_000_000),
        "day" => to(DAY_US),
        "week" => Ok((date - (date + 3).rem_euclid(7)) * DAY_US),
        "month" => month_start(year, month),
        "quarter" => month_start(year, (month - 1) / 3 * 3 + 1),
        "year" => month_start(year, 1),
        "decade" => month_start(year.div_euclid(10) * 10, 1),
        "century" => month_start(era(100), 1),
        "millennium" => month_start(era(1000), 1),
        other => Err(unit_error(other, ty)),
    }
}

/// Whether a unit is shorter than a day, so that the zone's offset does not change at the cut.
pub(super) fn below_day(unit: &str) -> bool {
    matches!(
        unit,
        "microseconds" | "milliseconds" | "second" | "minute" | "hour"
    )
}

/// An instant cut to a unit on the wall clock of a zone.
pub(super) fn truncate_in(
    zone: &Zone,
    us: i64,
    unit: &str,
    ty: &SqlType,
) -> Result<i64, FunctionError> {
    if dates::infinite(us) {
        return Ok(us);
    }
    let wall = truncate(zone.to_local(us), unit, ty)?;
    Ok(if below_day(unit) {
        wall - zone.offset_at(us) * 1_000_000
    } else {
        zone.to_utc(wall)
    })
}

pub(super) fn date_trunc(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let ty = context
        .args
        .get(1)
        .cloned()
        .unwrap_or(SqlType::Timestamp(None));
    match args {
        [name, Value::Interval(span)] => truncate_interval(&unit(name.as_str()), span),
        [name, Value::Timestamp(us), rest @ ..] => {
            let zone = match rest.first() {
                Some(name) => zone_named(name.as_str())?,
                None if matches!(ty, SqlType::Timestamptz(_)) => *context.zone,
                None => Zone::fixed(0),
            };
            truncate_in(&zone, *us, &unit(name.as_str()), &ty).map(Value::Timestamp)
        }
        _ => Ok(Value::Null),
    }
}

fn truncate_interval(unit: &str, span: &IntervalMonthDayNano) -> Result<Value, FunctionError> {
    let us = span.nanoseconds / 1000;
    let months = |step: i32| Ok(dates::interval(span.months / step * step, 0, 0));
    let time = |step: i64| Ok(dates::interval(span.months, span.days, us / step * step));
    match unit {
        "microseconds" => time(1),
        "milliseconds" => time(1000),
        "second" => time(1_000_000),
        "minute" => time(60_000_000),
        "hour" => time(3_600_000_000),
        "day" => Ok(dates::interval(span.months, span.days, 0)),
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        "decade" => months(120),
        "century" => months(1200),
        "millennium" => months(12_000),
        "week" => Err(FunctionError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "unit \"week\" not supported for type interval",
        )
        .with_detail("Months usually have fractional weeks.")),
        other => Err(unit_error(other, &SqlType::Interval(None))),
    }
}

/// A zone by its name; an offset counts hours west, as POSIX has it.
pub(super) fn zone_named(name: &str) -> Result<Zone, FunctionError> {
    if let Some(east) = parse_offset(name.trim().as_bytes()) {
        return Ok(Zone::fixed(-east));
    }
    zone_east(name)
}

/// The time zone that a name means to `time_bucket`.
///
/// # Errors
/// `22023` for a name that no zone has.
pub fn bucket_zone(name: &str) -> Result<chronolith_types::TimeZone, FunctionError> {
    Ok(zone_named(name)?.time_zone())
}

/// A zone by its name; an offset counts hours east, as ISO 8601 has it.
fn zone_east(name: &str) -> Result<Zone, FunctionError> {
    Zone::parse(name).ok_or_else(|| {
        FunctionError::invalid_parameter(format!("time zone \"{name}\" not recognized"))
    })
}

/// A count of µs as a numeric of seconds or their parts.
fn parts(us: i128, scale: i8) -> Value {
    Value::Numeric(num::from_fixed128(us, scale))
}

fn whole(value: i64) -> Value {
    Value::Numeric(num::from_i64(value))
}

/// `extract`: a numeric, or null for what infinity has not.
pub(super) fn field(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [name, value] = args else {
        return Ok(Value::Null);
    };
    let ty = context
        .args
        .get(1)
        .cloned()
        .unwrap_or(SqlType::Timestamp(None));
    field_of(context.zone, &unit(name.as_str()), value, &ty)
}

/// `date_part`: a field as a double; a date is its midnight.
pub(super) fn date_part(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [name, value] = args else {
        return Ok(Value::Null);
    };
    let ty = match context.args.get(1) {
        Some(SqlType::Date) | None => SqlType::Timestamp(None),
        Some(ty) => ty.clone(),
    };
    Ok(
        match field_of(context.zone, &unit(name.as_str()), value, &ty)? {
            Value::Null => Value::Null,
            number => Value::Float(number.as_float()),
        },
    )
}

/// Whether some type has a field of this name.
fn is_unit(name: &str) -> bool {
    below_day(name)
        || matches!(
            name,
            "day"
                | "week"
                | "month"
                | "quarter"
                | "year"
                | "decade"
                | "century"
                | "millennium"
                | "epoch"
                | "dow"
                | "isodow"
                | "doy"
                | "isoyear"
                | "julian"
                | "timezone"
                | "timezone_hour"
                | "timezone_minute"
        )
}

/// The field of a value of a type, on the wall clock of a zone.
pub(super) fn field_of(
    zone: &Zone,
    name: &str,
    value: &Value,
    ty: &SqlType,
) -> Result<Value, FunctionError> {
    let refused = || {
        if !is_unit(name) {
            return unit_error(name, ty);
        }
        FunctionError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("unit \"{name}\" not supported for type {ty}"),
        )
    };
    let clock = |us: i64| -> Option<Value> {
        let in_minute = us % 60_000_000;
        Some(match name {
            "microseconds" => whole(in_minute),
            "milliseconds" => parts(in_minute.into(), 3),
            "second" => parts(in_minute.into(), 6),
            "minute" => whole(us / 60_000_000 % 60),
            "hour" => whole(us / 3_600_000_000),
            _ => return None,
        })
    };
    match value {
        Value::Interval(span) => {
            let us = span.nanoseconds / 1000;
            if let Some(answer) = clock(us) {
                return Ok(answer);
            }
            let (years, months) = (i64::from(span.months / 12), i64::from(span.months % 12));
            Ok(match name {
                "day" => whole(span.days.into()),
                "month" => whole(months),
                "quarter" => whole(months / 3 + 1),
                "year" => whole(years),
                "decade" => whole(years / 10),
                "century" => whole(years / 100),
                "millennium" => whole(years / 1000),
                // A year has 365.25 days, a month 30.
                "epoch" => {
                    let days = i128::from(years) * 1461 * 6
                        + (i128::from(months) * 30 + i128::from(span.days)) * 24;
                    parts(days * 3_600_000_000 + i128::from(us), 6)
                }
                _ => return Err(refused()),
            })
        }
        Value::Time(us) => match name {
            "epoch" => Ok(parts((*us).into(), 6)),
            _ => clock(*us).ok_or_else(refused),
        },
        value => {
            let us = dates::local(value)?;
            if dates::infinite(us) {
                if !is_unit(name) {
                    return Err(refused());
                }
                return Ok(match name {
                    "epoch" | "year" | "decade" | "century" | "millennium" | "julian"
                    | "isoyear" => {
                        Value::Numeric(num::parse(if us > 0 { "Infinity" } else { "-Infinity" })?)
                    }
                    _ => Value::Null,
                });
            }
            if name == "epoch" {
                return Ok(if *ty == SqlType::Date {
                    whole(us / 1_000_000)
                } else {
                    parts(us.into(), 6)
                });
            }
            let zoned = matches!(ty, SqlType::Timestamptz(_));
            let wall = if zoned { zone.to_local(us) } else { us };
            if *ty != SqlType::Date
                && let Some(answer) = clock(wall.rem_euclid(DAY_US))
            {
                return Ok(answer);
            }
            let date = wall.div_euclid(DAY_US);
            let (year, month, day) = civil(date);
            // There is no year 0: 1 BC is -1.
            let shown = if year > 0 { year } else { year - 1 };
            Ok(match name {
                "day" => whole(day),
                "month" => whole(month),
                "quarter" => whole((month - 1) / 3 + 1),
                "year" => whole(shown),
                "decade" => whole(year.div_euclid(10)),
                "century" => whole(if year > 0 {
                    (year + 99) / 100
                } else {
                    -((99 - (year - 1)) / 100)
                }),
                "millennium" => whole(if year > 0 {
                    (year + 999) / 1000
                } else {
                    -((999 - (year - 1)) / 1000)
                }),
                "dow" => whole((date + 4).rem_euclid(7)),
                "isodow" => whole((date + 3).rem_euclid(7) + 1),
                "doy" => whole(date - days(year, 1, 1) + 1),
                "week" => whole((date - iso_start(iso_year(date))) / 7 + 1),
                "isoyear" => {
                    let year = iso_year(date);
                    whole(if year > 0 { year } else { year - 1 })
                }
                "julian" if *ty == SqlType::Date => whole(date + 2_440_588),
                "julian" => Value::Numeric(num::add(
                    &num::from_i64(date + 2_440_588),
                    &num::div(
                        &num::from_i64(wall.rem_euclid(DAY_US)),
                        &num::from_i64(DAY_US),
                    )?,
                )?),
                "timezone" if zoned => whole(zone.offset_at(us)),
                "timezone_hour" if zoned => whole(zone.offset_at(us) / 3600),
                "timezone_minute" if zoned => whole(zone.offset_at(us) / 60 % 60),
                _ => return Err(refused()),
            })
        }
    }
}

fn made_date(args: &[Value]) -> Result<i64, FunctionError> {
    let at = |index: usize| args.get(index).map_or(0, Value::as_int);
    let (year, month, day) = (at(0), at(1), at(2));
    let wrong = || {
        FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date field value out of range: {year}-{month:02}-{day:02}"),
        )
    };
    let counted = if year < 0 { year + 1 } else { year };
    if year == 0
        || !(1..=12).contains(&month)
        || !(1..=dates::days_in_month(counted, month)).contains(&day)
    {
        return Err(wrong());
    }
    Ok(days(counted, month, day))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seconds are checked to be at most 60"
)]
fn made_time(args: &[Value], from: usize) -> Result<i64, FunctionError> {
    let (hour, minute) = (
        args.get(from).map_or(0, Value::as_int),
        args.get(from + 1).map_or(0, Value::as_int),
    );
    let second = args.get(from + 2).map_or(0.0, Value::as_float);
    let past_midnight = hour == 24 && (minute > 0 || second > 0.0);
    if past_midnight
        || !(0..=24).contains(&hour)
        || !(0..60).contains(&minute)
        || !(0.0..=60.0).contains(&second)
    {
        return Err(FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!(
                "time field value out of range: {hour}:{minute:02}:{}",
                shown_second(second)
            ),
        ));
    }
    Ok(hour * 3_600_000_000 + minute * 60_000_000 + (second * 1e6).round() as i64)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked against the range of timestamps"
)]
fn of_epoch(args: &[Value]) -> Result<Value, FunctionError> {
    let seconds = args.first().map_or(0.0, Value::as_float);
    if seconds.is_nan() {
        return Err(FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "timestamp cannot be NaN",
        ));
    }
    if seconds.is_infinite() {
        return Ok(Value::Timestamp(if seconds > 0.0 {
            i64::MAX
        } else {
            i64::MIN
        }));
    }
    if seconds.abs() > 9.3e12 {
        return Err(FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{seconds}\""),
        ));
    }
    let us = i128::from(seconds.trunc() as i64) * 1_000_000
        + ((seconds.fract() * 1e6).round_ties_even() as i128);
    Ok(Value::Timestamp(dates::timestamp(us)?))
}

fn bin(args: &[Value]) -> Result<Value, FunctionError> {
    let [
        Value::Interval(span),
        Value::Timestamp(at),
        Value::Timestamp(origin),
    ] = args
    else {
        return Ok(Value::Null);
    };
    if span.months != 0 {
        return Err(FunctionError::unsupported(
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let width = i64::from(span.days)
        .saturating_mul(DAY_US)
        .saturating_add(span.nanoseconds / 1000);
    if width <= 0 {
        return Err(FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "stride must be greater than zero",
        ));
    }
    if dates::infinite(*at) {
        return Ok(Value::Timestamp(*at));
    }
    let gap = at.checked_sub(*origin).ok_or_else(dates::timestamp_range)?;
    Ok(Value::Timestamp(dates::timestamp(
        i128::from(*at) - i128::from(gap.rem_euclid(width)),
    )?))
}

/// `AT TIME ZONE`: between wall clocks and instants.
fn at_zone(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [zone, Value::Timestamp(us)] = args else {
        return Ok(Value::Null);
    };
    let zone = match zone {
        Value::Interval(span) => {
            Zone::fixed(i32::try_from(span.nanoseconds / 1_000_000_000).unwrap_or(0))
        }
        name => zone_named(name.as_str())?,
    };
    Ok(Value::Timestamp(
        if matches!(context.result, SqlType::Timestamp(_)) {
            zone.to_local(*us)
        } else {
            zone.to_utc(*us)
        },
    ))
}

/// What a type of time keeps of a value.
pub(super) fn limited(value: Value, ty: &SqlType) -> Value {
    match (value, ty) {
        (Value::Time(us), SqlType::Time(digits)) => Value::Time(precision::time(us, *digits)),
        (Value::Timestamp(us), SqlType::Timestamp(digits) | SqlType::Timestamptz(digits)) => {
            Value::Timestamp(precision::timestamp(us, *digits))
        }
        (Value::Bytes(kept), SqlType::Timetz(digits)) => {
            let (us, east) = packed::timetz_of(&kept);
            Value::Bytes(packed::timetz(precision::time(us, *digits), east))
        }
        (Value::Interval(span), SqlType::Interval(limit @ Some(_))) => {
            let kept = Interval {
                months: span.months,
                days: span.days,
                us: span.nanoseconds / 1000,
            };
            let kept = precision::interval(kept, *limit);
            dates::interval(kept.months, kept.days, kept.us)
        }
        (other, _) => other,
    }
}

/// As C's `%02g` writes it: at least two characters.
fn shown_second(second: f64) -> String {
    let text = second.to_string();
    if text.len() < 2 {
        format!("0{text}")
    } else {
        text
    }
}

pub(super) fn wall_now_us() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let function: RowFn = match name {
        "now" | "transaction_timestamp" => |c, _| Ok(Value::Timestamp(c.vars.transaction_us)),
        "statement_timestamp" => |c, _| Ok(Value::Timestamp(c.vars.statement_us)),
        "clock_timestamp" => |_, _| Ok(Value::Timestamp(wall_now_us())),
        "date_trunc" => |c, a| date_trunc(c, a),
        "extract" => |c, a| field(c, a),
        "date_part" => date_part,
        "make_date" => |_, a| dates::date(made_date(a)?),
        "make_time" => |_, a| Ok(Value::Time(made_time(a, 0)?)),
        "make_timestamp" => |_, a| {
            let us = i128::from(made_date(a)?) * i128::from(DAY_US) + i128::from(made_time(a, 3)?);
            Ok(Value::Timestamp(dates::timestamp(us)?))
        },
        "make_timestamptz" => |c, a| {
            let us = i128::from(made_date(a)?) * i128::from(DAY_US) + i128::from(made_time(a, 3)?);
            let zone = match a.get(6) {
                Some(name) => zone_east(name.as_str())?,
                None => *c.zone,
            };
            Ok(Value::Timestamp(zone.to_utc(dates::timestamp(us)?)))
        },
        "date_bin" => |_, a| bin(a),
        "timezone" if args.len() == 2 => |c, a| at_zone(c, a),
        "to_timestamp" if args.len() == 1 => |_, a| of_epoch(a),
        "isfinite" => |_, a| {
            Ok(Value::Bool(match a.first() {
                Some(Value::Interval(_)) => true,
                Some(value) => !dates::infinite(dates::local(value)?),
                None => true,
            }))
        },
        _ => return None,
    };
    Some(function)
}
