//! Arithmetic of dates, times and intervals.

use arrow::datatypes::IntervalMonthDayNano;
use chronolith_types::SqlState;

use super::error::FunctionError;
use super::io::Zone;
use super::value::Value;

pub(super) const DAY_US: i64 = 86_400_000_000;
/// Timestamps from 4714-11-24 BC until the year 294277.
const FIRST_US: i64 = -210_866_803_200_000_000;
const END_US: i64 = 9_223_371_331_200_000_000;
const FIRST_DAY: i64 = -2_440_588;
const END_DAY: i64 = 2_145_042_541;

/// Year, month and day of a count of days since 1970.
pub(super) fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day = shifted.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a year (0 is 1 BC), month and day.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(super) fn interval(months: i32, days: i32, us: i64) -> Value {
    Value::Interval(IntervalMonthDayNano::new(
        months,
        days,
        us.saturating_mul(1000),
    ))
}

pub(super) fn infinite(us: i64) -> bool {
    us == i64::MAX || us == i64::MIN
}

pub(super) fn timestamp_range() -> FunctionError {
    FunctionError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

fn date_range() -> FunctionError {
    FunctionError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

fn interval_range() -> FunctionError {
    FunctionError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// A timestamp within PostgreSQL's range.
pub(super) fn timestamp(us: i128) -> Result<i64, FunctionError> {
    match i64::try_from(us) {
        Ok(us) if (FIRST_US..END_US).contains(&us) => Ok(us),
        _ => Err(timestamp_range()),
    }
}

/// A date within PostgreSQL's range.
pub(super) fn date(days: i64) -> Result<Value, FunctionError> {
    match i32::try_from(days) {
        Ok(date) if (FIRST_DAY..END_DAY).contains(&days) => Ok(Value::Date(date)),
        _ => Err(date_range()),
    }
}

pub(super) fn add_days(args: &[Value], sign: i64) -> Result<Value, FunctionError> {
    match args {
        [Value::Date(at), _] if *at == i32::MAX || *at == i32::MIN => Ok(Value::Date(*at)),
        [Value::Date(at), days] => date(i64::from(*at) + sign * days.as_int()),
        _ => Ok(Value::Null),
    }
}

pub(super) fn between_days(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [Value::Date(a), Value::Date(b)] => {
            if [*a, *b].iter().any(|d| *d == i32::MAX || *d == i32::MIN) {
                return Err(FunctionError::new(
                    SqlState::DATETIME_FIELD_OVERFLOW,
                    "cannot subtract infinite dates",
                ));
            }
            Ok(Value::Int(i64::from(*a) - i64::from(*b)))
        }
        _ => Ok(Value::Null),
    }
}

/// A date or timestamp as a timestamp.
pub(super) fn local(value: &Value) -> Result<i64, FunctionError> {
    match value {
        Value::Date(i32::MAX) => Ok(i64::MAX),
        Value::Date(i32::MIN) => Ok(i64::MIN),
        Value::Date(days) => timestamp(i128::from(*days) * i128::from(DAY_US)),
        other => Ok(other.as_micros()),
    }
}

/// Months first, the day clipped to the month; then days; the time comes after.
pub(super) fn add_calendar(us: i64, months: i64, more_days: i64) -> Result<i64, FunctionError> {
    let mut date = us.div_euclid(DAY_US);
    let time = us.rem_euclid(DAY_US);
    if months != 0 {
        let (year, month, day) = civil(date);
        let total = year * 12 + month - 1 + months;
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        date = days(year, month, day.min(days_in_month(year, month)));
    }
    date += more_days;
    timestamp(i128::from(date) * i128::from(DAY_US) + i128::from(time))
}

pub(super) fn plus_interval(args: &[Value], sign: i64) -> Result<Value, FunctionError> {
    let [at, Value::Interval(span)] = args else {
        return Ok(Value::Null);
    };
    let us = local(at)?;
    if infinite(us) {
        return Ok(Value::Timestamp(us));
    }
    let us = add_calendar(
        us,
        sign * i64::from(span.months),
        sign * i64::from(span.days),
    )?;
    let us = i128::from(us) + i128::from(sign) * i128::from(span.nanoseconds / 1000);
    Ok(Value::Timestamp(timestamp(us)?))
}

/// The same in a zone: months and days are of its calendar, the time is absolute.
pub(super) fn plus_interval_zoned(
    zone: &Zone,
    args: &[Value],
    sign: i64,
) -> Result<Value, FunctionError> {
    let [at, Value::Interval(span)] = args else {
        return Ok(Value::Null);
    };
    let mut us = at.as_micros();
    if infinite(us) {
        return Ok(Value::Timestamp(us));
    }
    if span.months != 0 || span.days != 0 {
        let wall = zone.to_local(us);
        let wall = add_calendar(
            wall,
            sign * i64::from(span.months),
            sign * i64::from(span.days),
        )?;
        us = zone.to_utc(wall);
    }
    let us = i128::from(us) + i128::from(sign) * i128::from(span.nanoseconds / 1000);
    Ok(Value::Timestamp(timestamp(us)?))
}

/// The time between two timestamps, as days and time.
pub(super) fn between(args: &[Value]) -> Result<Value, FunctionError> {
    let [a, b] = args else {
        return Ok(Value::Null);
    };
    let (a, b) = (a.as_micros(), b.as_micros());
    if infinite(a) || infinite(b) {
        return Err(FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "cannot subtract infinite timestamps",
        ));
    }
    let us = a.checked_sub(b).ok_or_else(interval_range)?;
    Ok(interval(
        0,
        i32::try_from(us / DAY_US).map_err(|_| interval_range())?,
        us % DAY_US,
    ))
}

pub(super) fn time_plus(args: &[Value], sign: i64) -> Result<Value, FunctionError> {
    match args {
        [Value::Time(us), Value::Interval(span)] => {
            let us = us + sign * (span.nanoseconds / 1000 % DAY_US);
            Ok(Value::Time(us.rem_euclid(DAY_US)))
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn date_and_time(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [date, Value::Time(time)] => {
            let us = local(date)?;
            if infinite(us) {
                return Ok(Value::Timestamp(us));
            }
            Ok(Value::Timestamp(timestamp(
                i128::from(us) + i128::from(*time),
            )?))
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn add_intervals(args: &[Value], sign: i32) -> Result<Value, FunctionError> {
    let [a, b] = args else {
        return Ok(Value::Null);
    };
    let (a, b) = (a.as_interval(), b.as_interval());
    let narrow = |a: i32, b: i32| {
        i32::try_from(i64::from(a) + i64::from(sign) * i64::from(b)).map_err(|_| interval_range())
    };
    let ns = b
        .nanoseconds
        .checked_mul(i64::from(sign))
        .and_then(|b| a.nanoseconds.checked_add(b))
        .ok_or_else(interval_range)?;
    Ok(Value::Interval(IntervalMonthDayNano::new(
        narrow(a.months, b.months)?,
        narrow(a.days, b.days)?,
        ns,
    )))
}

/// An interval times or through a number: fractions go down from months to days to time.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be in range before"
)]
pub(super) fn scale_interval(args: &[Value], divide: bool) -> Result<Value, FunctionError> {
    let [Value::Interval(span), factor] = args else {
        return Ok(Value::Null);
    };
    let factor = factor.as_float();
    if divide && factor == 0.0 {
        return Err(FunctionError::division_by_zero());
    }
    let scaled = |value: f64| {
        if divide {
            value / factor
        } else {
            value * factor
        }
    };
    let tidy = |value: f64| (value * 1_000_000.0).round() / 1_000_000.0;
    let fits = |value: f64| {
        if value.is_nan() || value.abs() > f64::from(i32::MAX) {
            Err(interval_range())
        } else {
            Ok(value)
        }
    };
    let months = fits(scaled(f64::from(span.months)))?;
    let days = fits(scaled(f64::from(span.days)))?;
    let (whole_months, whole_days) = (months.trunc(), days.trunc());
    // The rest of the months as days of 30, and the rest of both as time.
    let month_days = tidy((months - whole_months) * 30.0);
    let mut seconds = tidy((days - whole_days + month_days - month_days.trunc()) * 86_400.0);
    let mut extra_days = 0.0;
    if seconds.abs() >= 86_400.0 {
        extra_days = (seconds / 86_400.0).trunc();
        seconds -= extra_days * 86_400.0;
    }
    let us = (scaled((span.nanoseconds / 1000) as f64) + seconds * 1_000_000.0).round_ties_even();
    if us.is_nan() || us.abs() > 9.2e15 {
        return Err(interval_range());
    }
    let days = fits(whole_days + month_days.trunc() + extra_days)?;
    Ok(interval(whole_months as i32, days as i32, us as i64))
}
