//! `time with time zone`: a time of day and how far its clock is from Greenwich's.

use chronolith_types::SqlType;
use chronolith_types::packed;

use super::calendar;
use super::dates::{self, DAY_US};
use super::error::FunctionError;
use super::io::Zone;
use super::num;
use super::udf::{Context, RowFn};
use super::value::Value;

const US_PER_SECOND: i64 = 1_000_000;

type Answer = Result<Value, FunctionError>;

/// The time that a clock shows, and its seconds east of Greenwich.
fn clock(value: Option<&Value>) -> (i64, i32) {
    match value {
        Some(Value::Bytes(kept)) => packed::timetz_of(kept),
        _ => (0, 0),
    }
}

fn made(us: i64, east: i64) -> Value {
    let east = i32::try_from(east).unwrap_or(0);
    Value::Bytes(packed::timetz(us, east))
}

/// A time of day with the zone that the session's clocks have now.
pub(super) fn of_time(us: i64, zone: &Zone, now_us: i64) -> Value {
    made(us, zone.offset_at(now_us))
}

/// What a clock in the session's zone shows at an instant.
pub(super) fn of_instant(us: i64, zone: &Zone) -> Value {
    if dates::infinite(us) {
        return Value::Null;
    }
    made(zone.to_local(us).rem_euclid(DAY_US), zone.offset_at(us))
}

/// What the clock shows, without its zone.
pub(super) fn time_of(value: &Value) -> Value {
    Value::Time(clock(Some(value)).0)
}

fn plus(clock_value: &Value, span: &Value, sign: i64) -> Answer {
    let (us, east) = clock(Some(clock_value));
    let by = span.as_interval().nanoseconds / 1000 % DAY_US;
    Ok(made((us + sign * by).rem_euclid(DAY_US), east.into()))
}

fn on_day(date: &Value, at: &Value) -> Answer {
    let day = dates::local(date)?;
    if dates::infinite(day) {
        return Ok(Value::Timestamp(day));
    }
    let (us, east) = clock(Some(at));
    let us = i128::from(day) + i128::from(us) - i128::from(east) * i128::from(US_PER_SECOND);
    Ok(Value::Timestamp(dates::timestamp(us)?))
}

fn at_zone(context: &Context<'_>, args: &[Value]) -> Answer {
    let [zone, at] = args else {
        return Ok(Value::Null);
    };
    let to = match zone {
        Value::Interval(span) => span.nanoseconds / 1_000_000_000,
        name => calendar::zone_named(name.as_str())?.offset_at(context.vars.transaction_us),
    };
    let (us, east) = clock(Some(at));
    let moved = us + (to - i64::from(east)) * US_PER_SECOND;
    Ok(made(moved.rem_euclid(DAY_US), to))
}

/// A field; times of day and the zone's are all that it has.
fn field(context: &Context<'_>, args: &[Value]) -> Answer {
    let [name, at] = args else {
        return Ok(Value::Null);
    };
    let (us, east) = clock(Some(at));
    let unit = calendar::unit(name.as_str());
    let whole = |value: i64| Ok(Value::Numeric(num::from_i64(value)));
    let east = i64::from(east);
    match unit.as_str() {
        "timezone" => whole(east),
        "timezone_hour" => whole(east / 3600),
        "timezone_minute" => whole(east / 60 % 60),
        "epoch" => {
            let zone = context.zone;
            let at = Value::Time(us - east * US_PER_SECOND);
            calendar::field_of(zone, "epoch", &at, &SqlType::Time(None))
        }
        unit => {
            let found =
                calendar::field_of(context.zone, unit, &Value::Time(us), &SqlType::Time(None));
            found.map_err(|mut error| {
                error.message = error.message.replace("without", "with");
                error
            })
        }
    }
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let second = matches!(args.get(1), Some(SqlType::Timetz(_)));
    let function: RowFn = match name {
        "extract" if second => |c, a| field(c, a),
        "date_part" if second => |c, a| {
            Ok(match field(c, a)? {
                Value::Null => Value::Null,
                number => Value::Float(number.as_float()),
            })
        },
        "timezone" if second => |c, a| at_zone(c, a),
        "timestamptz" if second => |_, a| match a {
            [date, at] => on_day(date, at),
            _ => Ok(Value::Null),
        },
        "timetz_cmp" => |_, a| match a {
            [a, b] => Ok(Value::Int(a.compare(b) as i64)),
            _ => Ok(Value::Null),
        },
        _ => return None,
    };
    Some(function)
}

/// The function behind an operator of this room.
pub(super) fn operator(code: &str) -> Option<RowFn> {
    let function: RowFn = match code {
        "datetimetz_pl" => |_, a| match a {
            [date, at] => on_day(date, at),
            _ => Ok(Value::Null),
        },
        "timetzdate_pl" => |_, a| match a {
            [at, date] => on_day(date, at),
            _ => Ok(Value::Null),
        },
        "timetz_pl_interval" => |_, a| match a {
            [at, span] => plus(at, span, 1),
            _ => Ok(Value::Null),
        },
        "interval_pl_timetz" => |_, a| match a {
            [span, at] => plus(at, span, 1),
            _ => Ok(Value::Null),
        },
        "timetz_mi_interval" => |_, a| match a {
            [at, span] => plus(at, span, -1),
            _ => Ok(Value::Null),
        },
        _ => return None,
    };
    Some(function)
}
