//! Text forms of values, and the session's time zone.

use std::sync::atomic::Ordering;

use arrow::datatypes::IntervalMonthDayNano;
use chronolith_types::{Interval, SqlType, TimeZone, ValueError, array, datetime, packed, text};

use super::error::FunctionError;
use super::num;
use super::value::Value;
use super::vars::SessionVars;

/// The session's time zone, or one that a function was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) fn of(vars: &SessionVars) -> Self {
        Self::parse(&vars.time_zone).unwrap_or(Self(TimeZone::Utc))
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        TimeZone::parse(name).map(Self)
    }

    pub(super) fn time_zone(self) -> TimeZone {
        self.0
    }

    /// Whether its wall clock shows UTC at all times.
    pub(super) fn is_utc(self) -> bool {
        matches!(self.0, TimeZone::Utc | TimeZone::Fixed(0))
    }

    pub(super) fn utc() -> Self {
        Self(TimeZone::Utc)
    }

    /// Seconds east of Greenwich.
    pub(super) fn fixed(seconds: i32) -> Self {
        Self(TimeZone::Fixed(seconds))
    }

    pub(super) fn offset_at(&self, us: i64) -> i64 {
        self.0.offset_at(us).into()
    }

    /// The wall clock at an instant.
    pub(super) fn to_local(self, us: i64) -> i64 {
        self.0.local(us)
    }

    /// The instant of a wall clock.
    pub(super) fn to_utc(self, wall: i64) -> i64 {
        self.0.instant(wall)
    }
}

impl From<ValueError> for FunctionError {
    fn from(error: ValueError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            detail: error.detail,
            hint: None,
            context: error.context,
            domain: None,
        }
    }
}

/// The value of a text, as the type's input reads it.
pub(super) fn read(
    source: &str,
    ty: &SqlType,
    zone: &Zone,
    vars: &SessionVars,
) -> Result<Value, FunctionError> {
    let bytes = source.as_bytes();
    let integer = |name: &str, min: i64, max: i64| -> Result<Value, FunctionError> {
        Ok(Value::Int(text::parse_integer(bytes, name, min, max)?))
    };
    let ty = ty.base();
    let value = match ty {
        SqlType::Bool => Value::Bool(text::parse_bool(bytes)?),
        SqlType::Int2 => integer("smallint", i16::MIN.into(), i16::MAX.into())?,
        SqlType::Int4 => integer("integer", i32::MIN.into(), i32::MAX.into())?,
        SqlType::Int8 => integer("bigint", i64::MIN, i64::MAX)?,
        SqlType::Oid | SqlType::Xid | SqlType::Reg(_) => integer("oid", 0, u32::MAX.into())?,
        SqlType::Float4 => Value::Float(text::parse_float4(bytes)?.into()),
        SqlType::Float8 => Value::Float(text::parse_float8(bytes)?),
        SqlType::Numeric(limits) => {
            let value = num::parse(source)?;
            Value::Numeric(match limits {
                Some((precision, scale)) => num::limit(&value, *precision, *scale)?,
                None => value,
            })
        }
        ty if packed::is_packed(ty) => Value::Bytes(packed::parse(ty, bytes, &zone.0)?),
        SqlType::Date => Value::Date(match special(source, zone, vars) {
            Some(us) => i32::try_from(zone.to_local(us).div_euclid(86_400_000_000)).unwrap_or(0),
            None => datetime::parse_date(bytes)?,
        }),
        SqlType::Time(_) => Value::Time(datetime::parse_time(bytes)?),
        SqlType::Timestamp(_) => Value::Timestamp(match special(source, zone, vars) {
            Some(us) => zone.to_local(us),
            None => datetime::parse_timestamp(bytes)?,
        }),
        SqlType::Timestamptz(_) => Value::Timestamp(match special(source, zone, vars) {
            Some(us) => us,
            None => datetime::parse_timestamptz(bytes, &zone.0)?,
        }),
        SqlType::Interval(limit) => {
            let span = Interval::parse_within(bytes, *limit)?;
            Value::Interval(IntervalMonthDayNano::new(
                span.months,
                span.days,
                span.nanoseconds()?,
            ))
        }
        SqlType::Uuid => Value::Uuid(text::parse_uuid(bytes)?),
        SqlType::Json => {
            text::check_json(bytes)?;
            Value::text(source)
        }
        SqlType::Jsonb => Value::Text(text::canonical_jsonb(bytes)?),
        SqlType::Jsonpath => {
            super::json::check_path(source)?;
            Value::text(source)
        }
        SqlType::Array(element) => {
            let (shape, items) = array::parse(bytes)?;
            let items = items.into_iter().map(|item| match item {
                None => Ok(Value::Null),
                Some(item) => {
                    let item = String::from_utf8_lossy(&item).into_owned();
                    if element.is_text() {
                        Ok(Value::Text(item))
                    } else {
                        read(&item, element, zone, vars)
                    }
                }
            });
            Value::shaped(shape, items.collect::<Result<_, _>>()?)
        }
        SqlType::Int2Vector | SqlType::OidVector => {
            let element = match ty {
                SqlType::Int2Vector => SqlType::Int2,
                _ => SqlType::Oid,
            };
            let items = source.split_ascii_whitespace();
            let items = items.map(|item| read(item, &element, zone, vars));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        SqlType::InternalChar => Value::Text(one_byte(source)),
        SqlType::User(user) if user.fields().is_some() => {
            let kept = chronolith_types::row::rewritten(bytes, ty, &zone.0, &TimeZone::Utc)?;
            Value::text(String::from_utf8_lossy(&kept))
        }
        SqlType::User(user) => {
            user.check_label(source)?;
            Value::text(source)
        }
        _ => Value::text(source),
    };
    Ok(super::calendar::limited(value, ty))
}

/// What `"char"` keeps of a text: its first byte, spelled in octal where it is no letter alone.
fn one_byte(source: &str) -> String {
    let bytes = source.as_bytes();
    if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] = bytes {
        return char_of((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
    }
    bytes
        .first()
        .map_or_else(String::new, |byte| char_of(*byte))
}

/// The text of a `"char"` of a code.
pub(super) fn char_of(byte: u8) -> String {
    match byte {
        0 => String::new(),
        1..=127 => char::from(byte).to_string(),
        high => format!("\\{high:03o}"),
    }
}

/// The code of a `"char"`.
pub(super) fn code_of(kept: &str) -> i64 {
    let byte = match kept.as_bytes() {
        [b'\\', a, b, c] => (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'),
        other => other.first().copied().unwrap_or(0),
    };
    i8::from_ne_bytes([byte]).into()
}

/// `now`, `today`, `yesterday` and `tomorrow` as instants.
fn special(source: &str, zone: &Zone, vars: &SessionVars) -> Option<i64> {
    let now = vars.transaction_us;
    let days = match source.trim().to_ascii_lowercase().as_str() {
        "now" => None,
        "today" => Some(0),
        "yesterday" => Some(-1),
        "tomorrow" => Some(1),
        _ => return None,
    };
    vars.momentary.fetch_add(1, Ordering::Relaxed);
    let Some(days) = days else {
        return Some(now);
    };
    let day = 86_400_000_000;
    Some(zone.to_utc((zone.to_local(now).div_euclid(day) + days) * day))
}

/// The text of a value, as the type's output writes it.
pub(super) fn write(value: &Value, ty: &SqlType, zone: &Zone) -> Result<String, FunctionError> {
    let mut out = Vec::new();
    let ty = ty.base();
    match value {
        Value::Null => {}
        Value::Bool(value) => out.push(if *value { b't' } else { b'f' }),
        Value::Int(value) => text::write_integer(*value, &mut out),
        Value::Float(value) if *ty == SqlType::Float4 => {
            text::write_float4(super::value::narrow(*value)?, &mut out)
        }
        Value::Float(value) => text::write_float8(*value, &mut out),
        Value::Numeric(value) => value.write(&mut out),
        Value::Text(value) => {
            if let SqlType::Char(Some(length)) = ty {
                let length = usize::try_from(*length).unwrap_or(0);
                return Ok(format!("{value:<length$}"));
            }
            if !zone.is_utc() && super::composites::is_composite(ty) {
                return super::composites::shown(value, ty, &zone.0);
            }
            return Ok(value.clone());
        }
        Value::Bytes(value) => packed::write(ty, value, &zone.0, &mut out),
        Value::Date(value) => datetime::write_date(*value, &mut out),
        Value::Time(value) => datetime::write_time(*value, &mut out),
        Value::Timestamp(value) if matches!(ty, SqlType::Timestamptz(_)) => {
            datetime::write_timestamptz(*value, &zone.0, &mut out)
        }
        Value::Timestamp(value) => datetime::write_timestamp(*value, &mut out),
        Value::Interval(value) => Interval {
            months: value.months,
            days: value.days,
            us: value.nanoseconds / 1000,
        }
        .write(&mut out),
        Value::Uuid(value) => text::write_uuid(value, &mut out),
        Value::List(_) | Value::Shaped(..) => {
            let element = ty.element().unwrap_or(&SqlType::Text);
            let items = value.as_list();
            let write_item = |index: usize, out: &mut Vec<u8>| {
                let item = match items.get(index) {
                    None | Some(Value::Null) => None,
                    Some(item) => Some(write(item, element, zone)?),
                };
                text::write_array_item(item.as_deref().map(str::as_bytes), out);
                Ok::<_, FunctionError>(())
            };
            // The catalogs' vectors are written without braces.
            if matches!(ty, SqlType::Int2Vector | SqlType::OidVector) {
                for index in 0..items.len() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    write_item(index, &mut out)?;
                }
            } else {
                value.shape().write(&mut out, write_item)?;
            }
        }
        Value::Record(fields) => {
            out.push(b'(');
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(write(field, &SqlType::Text, zone)?.as_bytes());
            }
            out.push(b')');
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}
