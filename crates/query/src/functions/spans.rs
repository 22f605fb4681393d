//! Spans of time: ages, justified intervals, and whether two overlap.

use chronolith_types::{SqlState, SqlType};

use super::dates::{self, DAY_US, civil};
use super::error::FunctionError;
use super::udf::{Context, RowFn};
use super::value::Value;

/// The years, months, days and time between two moments.
fn age(later: i64, earlier: i64) -> Result<Value, FunctionError> {
    if dates::infinite(later) || dates::infinite(earlier) {
        return Err(dates::timestamp_range());
    }
    if later < earlier {
        let back = age(earlier, later)?;
        return dates::add_intervals(&[dates::interval(0, 0, 0), back], -1);
    }
    let (y1, m1, d1) = civil(earlier.div_euclid(DAY_US));
    let (y2, m2, d2) = civil(later.div_euclid(DAY_US));
    let mut months = (y2 - y1) * 12 + m2 - m1;
    let mut day = d2 - d1;
    let mut us = later.rem_euclid(DAY_US) - earlier.rem_euclid(DAY_US);
    if us < 0 {
        us += DAY_US;
        day -= 1;
    }
    if day < 0 {
        // The month borrowed from is the earlier one's.
        day += dates::days_in_month(y1, m1);
        months -= 1;
    }
    let narrow = |v: i64| i32::try_from(v).map_err(|_| dates::timestamp_range());
    Ok(dates::interval(narrow(months)?, narrow(day)?, us))
}

fn justify(args: &[Value], hours: bool, months: bool) -> Result<Value, FunctionError> {
    let Some(Value::Interval(span)) = args.first() else {
        return Ok(Value::Null);
    };
    let (mut m, mut d, mut us) = (
        i64::from(span.months),
        i64::from(span.days),
        span.nanoseconds / 1000,
    );
    if hours {
        d += us / DAY_US;
        us %= DAY_US;
    }
    if months {
        m += d / 30;
        d %= 30;
    }
    if months && m > 0 && (d < 0 || (hours && d == 0 && us < 0)) {
        d += 30;
        m -= 1;
    } else if months && m < 0 && (d > 0 || (hours && d == 0 && us > 0)) {
        d -= 30;
        m += 1;
    }
    if hours && d > 0 && us < 0 {
        us += DAY_US;
        d -= 1;
    } else if hours && d < 0 && us > 0 {
        us -= DAY_US;
        d += 1;
    }
    let narrow = |v: i64| i32::try_from(v).map_err(|_| dates::timestamp_range());
    Ok(dates::interval(narrow(m)?, narrow(d)?, us))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
fn made_interval(args: &[Value]) -> Result<Value, FunctionError> {
    let at = |index: usize| args.get(index).map_or(0, Value::as_int);
    let seconds = args.get(6).map_or(0.0, Value::as_float);
    if !seconds.is_finite() || seconds.abs() > 9e12 {
        return Err(FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "interval out of range",
        ));
    }
    let narrow = |v: i64| i32::try_from(v).map_err(|_| dates::timestamp_range());
    let us = at(4) * 3_600_000_000 + at(5) * 60_000_000 + (seconds * 1e6).round() as i64;
    Ok(dates::interval(
        narrow(at(0) * 12 + at(1))?,
        narrow(at(2) * 7 + at(3))?,
        us,
    ))
}

/// The end of a span that is given as a moment or as a length.
fn end_of(context: &Context<'_>, start: &Value, end: &Value) -> Result<Value, FunctionError> {
    if !matches!(end, Value::Interval(_)) || start.is_null() {
        return Ok(match end {
            Value::Interval(_) => Value::Null,
            end => end.clone(),
        });
    }
    let operands = [start.clone(), end.clone()];
    match start {
        Value::Time(_) => dates::time_plus(&operands, 1),
        _ if matches!(context.args.first(), Some(SqlType::Timestamptz(_))) => {
            dates::plus_interval_zoned(context.zone, &operands, 1)
        }
        _ => dates::plus_interval(&operands, 1),
    }
}

/// OVERLAPS of two spans, each half open; a null end is not known.
fn overlaps(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [start1, end1, start2, end2] = args else {
        return Ok(Value::Null);
    };
    // The earlier moment first, a null one last.
    let ordered = |start: &Value, end: Value| {
        if start.is_null() || (!end.is_null() && start.compare(&end).is_gt()) {
            (end, start.clone())
        } else {
            (start.clone(), end)
        }
    };
    let (start1, end1) = ordered(start1, end_of(context, start1, end1)?);
    let (start2, end2) = ordered(start2, end_of(context, start2, end2)?);
    if start1.is_null() || start2.is_null() {
        return Ok(Value::Null);
    }
    let (later, first_end, second_end) = match start1.compare(&start2) {
        std::cmp::Ordering::Equal => {
            return Ok(if end1.is_null() || end2.is_null() {
                Value::Null
            } else {
                Value::Bool(true)
            });
        }
        std::cmp::Ordering::Greater => (start1, end2, end1),
        std::cmp::Ordering::Less => (start2, end1, end2),
    };
    Ok(if first_end.is_null() {
        Value::Null
    } else if later.compare(&first_end).is_lt() {
        Value::Bool(true)
    } else if second_end.is_null() {
        Value::Null
    } else {
        Value::Bool(false)
    })
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType], result: &SqlType) -> Option<RowFn> {
    let function: RowFn = match name {
        "age" if matches!(result, SqlType::Interval(_)) && args.len() == 2 => |c, a| match a {
            [later, earlier] => {
                let zoned = matches!(c.args.first(), Some(SqlType::Timestamptz(_)));
                let wall = |us: i64| if zoned { c.zone.to_local(us) } else { us };
                age(wall(later.as_micros()), wall(earlier.as_micros()))
            }
            _ => Ok(Value::Null),
        },
        "age" if matches!(result, SqlType::Interval(_)) => |c, a| {
            let zoned = matches!(c.args.first(), Some(SqlType::Timestamptz(_)));
            let now = c.zone.to_local(c.vars.transaction_us);
            let us = a.first().map_or(0, Value::as_micros);
            age(
                now - now.rem_euclid(DAY_US),
                if zoned { c.zone.to_local(us) } else { us },
            )
        },
        "make_interval" => |_, a| made_interval(a),
        "justify_hours" => |_, a| justify(a, true, false),
        "justify_days" => |_, a| justify(a, false, true),
        "justify_interval" => |_, a| justify(a, true, true),
        "overlaps" => overlaps,
        _ => return None,
    };
    Some(function)
}
