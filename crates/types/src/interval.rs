//! INTERVAL: months, days and µs, each on its own.

use serde::{Deserialize, Serialize};

use crate::datetime::{US_PER_SECOND, write_two};
use crate::precision::{self, IntervalFields, IntervalLimit};
use crate::sqlstate::SqlState;
use crate::value::ValueError;

/// A span of time. Months and days have no fixed length, so the three parts never mix by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Interval {
    /// Months, years being twelve of them.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// µs
    pub us: i64,
}

const US_PER_DAY: i128 = 86_400_000_000;

fn overflow(text: &[u8]) -> ValueError {
    ValueError::new(
        SqlState::INTERVAL_FIELD_OVERFLOW,
        format!(
            "interval field value out of range: \"{}\"",
            String::from_utf8_lossy(text)
        ),
    )
}

/// Sums of parts, each exact until it is brought down to its unit.
#[derive(Default)]
struct Parts {
    /// Millionths of a month, day and second.
    months: i128,
    days: i128,
    us: i128,
}

impl Parts {
    /// Adds millionths of a unit; what is less than a unit goes down to the next.
    fn add(&mut self, unit: &str, millionths: i128) -> Option<()> {
        const MILLION: i128 = 1_000_000;
        let months = |factor: i128| {
            let total = millionths.checked_mul(factor)?;
            Some((total / MILLION, total % MILLION))
        };
        let us = |factor: i128| millionths.checked_mul(factor);
        match unit {
            "century" | "centuries" | "c" => self.whole_months(months(1200)?, false),
            "millennium" | "millennia" | "mil" => self.whole_months(months(12_000)?, false),
            "decade" | "decades" | "dec" => self.whole_months(months(120)?, false),
            "year" | "years" | "y" | "yr" | "yrs" => self.whole_months(months(12)?, false),
            "month" | "months" | "mon" | "mons" => self.whole_months(months(1)?, true),
            "week" | "weeks" | "w" => self.whole_days(millionths.checked_mul(7)?),
            "day" | "days" | "d" => self.whole_days(millionths),
            "hour" | "hours" | "h" | "hr" | "hrs" => self.us += us(3600)?,
            "minute" | "minutes" | "min" | "mins" | "m" => self.us += us(60)?,
            "second" | "seconds" | "sec" | "secs" | "s" => self.us += millionths,
            "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" => {
                self.us += millionths / 1000;
            }
            "microsecond" | "microseconds" | "usec" | "usecs" | "us" => {
                self.us += millionths / MILLION;
            }
            _ => return None,
        }
        Some(())
    }

    /// A fraction of a month is days of a 30-day month; one of a year is rounded to months.
    fn whole_months(&mut self, (whole, rest): (i128, i128), to_days: bool) {
        self.months += whole;
        if to_days {
            self.whole_days(rest * 30);
        } else if rest.abs() * 2 >= 1_000_000 {
            self.months += rest.signum();
        }
    }

    fn whole_days(&mut self, millionths: i128) {
        self.days += millionths / 1_000_000;
        self.us += millionths % 1_000_000 * US_PER_DAY / 1_000_000;
    }

    fn done(&self, text: &[u8]) -> Result<Interval, ValueError> {
        let refused = |_| overflow(text);
        i32::try_from(self.months / 12).map_err(refused)?;
        Ok(Interval {
            months: i32::try_from(self.months).map_err(|_| {
                ValueError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
            })?,
            days: i32::try_from(self.days).map_err(refused)?,
            us: i64::try_from(self.us).map_err(refused)?,
        })
    }
}

/// A decimal number in millionths, rounded at the seventh digit.
fn millionths(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty()
        || !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit())
        || whole.len() > 18
    {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut value = whole * 1_000_000;
    let mut scale = 100_000;
    for byte in fraction.bytes().take(6) {
        value += i128::from(byte - b'0') * scale;
        scale /= 10;
    }
    value += i128::from(fraction.as_bytes().get(6).is_some_and(|byte| *byte >= b'5'));
    Some(if negative { -value } else { value })
}

/// `[-]HH:MM[:SS[.ffffff]]` in µs; `MM:SS` where the fields are these.
fn clock(text: &str, fields: IntervalFields) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let short = digits.matches(':').count() == 1
        && (fields == IntervalFields::MinuteToSecond || digits.contains('.'));
    let mut parts = short.then_some("0").into_iter().chain(digits.split(':'));
    let hours: i128 = parts.next()?.parse::<u32>().ok()?.into();
    let minutes: i128 = parts.next()?.parse::<u32>().ok()?.into();
    let seconds = match parts.next() {
        Some(seconds) => millionths(seconds)?,
        None => 0,
    };
    if parts.next().is_some() || minutes > 59 || !(0..60_000_000).contains(&seconds) {
        return None;
    }
    let us = (hours * 3600 + minutes * 60) * 1_000_000 + seconds;
    Some(if negative { -us } else { us })
}

impl Interval {
    /// A span of µs alone.
    #[must_use]
    pub fn from_us(us: i64) -> Self {
        Self {
            us,
            ..Self::default()
        }
    }

    /// The nanoseconds of the physical form's third part.
    ///
    /// # Errors
    /// 22008 beyond 292 years of hours, minutes and seconds.
    pub fn nanoseconds(&self) -> Result<i64, ValueError> {
        self.us.checked_mul(1000).ok_or_else(|| {
            ValueError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
        })
    }

    /// Reads PostgreSQL's verbose forms and ISO 8601's.
    ///
    /// # Errors
    /// 22007 and 22015.
    pub fn parse(text: &[u8]) -> Result<Self, ValueError> {
        Self::parse_fields(text, IntervalFields::All)
    }

    /// The same for a declared type: a number without a unit is of its last field, and fields and
    /// digits that it does not keep go.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_within(text: &[u8], limit: Option<IntervalLimit>) -> Result<Self, ValueError> {
        let fields = limit.map_or(IntervalFields::All, |limit| limit.fields);
        Ok(precision::interval(
            Self::parse_fields(text, fields)?,
            limit,
        ))
    }

    fn parse_fields(text: &[u8], fields: IntervalFields) -> Result<Self, ValueError> {
        let refused = || ValueError::datetime("interval", text);
        let source = std::str::from_utf8(text).map_err(|_| refused())?;
        let lower = source.trim().to_ascii_lowercase();
        if let Some(iso) = lower.strip_prefix('p') {
            return iso_8601(iso, text);
        }
        let lower = lower.strip_prefix('@').unwrap_or(&lower);
        let mut parts = Parts::default();
        let mut ago = false;
        let mut seen = false;
        let mut given: Vec<&'static str> = Vec::new();
        let mut words = split_words(lower).into_iter().peekable();
        while let Some(word) = words.next() {
            if word == "ago" {
                ago = true;
            } else if word.contains(':') {
                parts.us += clock(&word, fields).ok_or_else(refused)?;
                seen = true;
            } else if let Some((years, months)) = year_month(&word) {
                parts.months += years * 12 + months;
                seen = true;
            } else {
                let value = millionths(&word).ok_or_else(refused)?;
                let unit = match words.peek() {
                    // "1 02:03:04" is a day and a time; a number alone is seconds.
                    Some(next) if next.contains(':') => "day".to_owned(),
                    // So is one before a number of hours.
                    Some(next) if millionths(next).is_some() => {
                        let unit = words.clone().nth(1);
                        let unit = unit.as_deref().unwrap_or(fields.last());
                        if single(unit) != Some("hour") {
                            return Err(refused());
                        }
                        "day".to_owned()
                    }
                    Some(_) => words.next().unwrap_or_default(),
                    None => fields.last().to_owned(),
                };
                if unit == "ago" {
                    return Err(refused());
                }
                parts.add(&unit, value).ok_or_else(refused)?;
                // A unit stands once.
                if let Some(name) = single(&unit) {
                    if given.contains(&name) {
                        return Err(refused());
                    }
                    given.push(name);
                }
                seen = true;
            }
        }
        if !seen {
            return Err(refused());
        }
        let mut interval = parts.done(text)?;
        if ago {
            interval = Self {
                months: interval
                    .months
                    .checked_neg()
                    .ok_or_else(|| overflow(text))?,
                days: interval.days.checked_neg().ok_or_else(|| overflow(text))?,
                us: interval.us.checked_neg().ok_or_else(|| overflow(text))?,
            };
        }
        Ok(interval)
    }

    /// Appends the text form of `IntervalStyle = postgres`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // A part behind a negative one shows its plus.
        let mut negative_before = false;
        let mut part = |value: i32, unit: &str, out: &mut Vec<u8>| {
            if value == 0 {
                return;
            }
            if out.len() > start {
                out.push(b' ');
            }
            if negative_before && value > 0 {
                out.push(b'+');
            }
            out.extend_from_slice(value.to_string().as_bytes());
            out.push(b' ');
            out.extend_from_slice(unit.as_bytes());
            if value != 1 {
                out.push(b's');
            }
            negative_before = value < 0;
        };
        part(self.months / 12, "year", out);
        part(self.months % 12, "mon", out);
        part(self.days, "day", out);
        if self.us != 0 || out.len() == start {
            if out.len() > start {
                out.push(b' ');
            }
            if self.us < 0 {
                out.push(b'-');
            } else if negative_before {
                out.push(b'+');
            }
            let us = self.us.unsigned_abs();
            let second = US_PER_SECOND.unsigned_abs();
            let hours = us / (3600 * second);
            if hours < 100 {
                write_two(u32::try_from(hours).unwrap_or(0), out);
            } else {
                out.extend_from_slice(hours.to_string().as_bytes());
            }
            let rest = i64::try_from(us % (3600 * second)).unwrap_or(0);
            let mut clock = Vec::with_capacity(16);
            crate::datetime::write_time(rest, &mut clock);
            out.extend_from_slice(clock.get(2..).unwrap_or_default());
        }
    }

    /// A number that orders intervals as PostgreSQL does: a month is 30 days, a day 24 hours.
    #[must_use]
    pub fn span_us(&self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * US_PER_DAY + i128::from(self.us)
    }
}

/// Words at blanks, and numbers apart from the units that follow them at once (`5min`).
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let unit_at = word.find(|c: char| c.is_ascii_alphabetic());
        match unit_at {
            Some(at) if at > 0 => {
                let (number, unit) = word.split_at(at);
                words.push(number.to_owned());
                words.push(unit.to_owned());
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The unit behind one of its names, for those that may be given once.
fn single(name: &str) -> Option<&'static str> {
    Some(match name {
        "year" | "years" | "y" | "yr" | "yrs" => "year",
        "month" | "months" | "mon" | "mons" => "month",
        "day" | "days" | "d" => "day",
        "hour" | "hours" | "h" | "hr" | "hrs" => "hour",
        "minute" | "minutes" | "min" | "mins" | "m" => "minute",
        "second" | "seconds" | "sec" | "secs" | "s" => "second",
        _ => return None,
    })
}

/// SQL's `years-months`.
fn year_month(word: &str) -> Option<(i128, i128)> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let (years, months) = digits.split_once('-')?;
    let (years, months): (i128, i128) = (
        years.parse::<u32>().ok()?.into(),
        months.parse::<u32>().ok()?.into(),
    );
    if months > 11 {
        return None;
    }
    Some(if negative {
        (-years, -months)
    } else {
        (years, months)
    })
}

fn iso_8601(rest: &str, text: &[u8]) -> Result<Interval, ValueError> {
    let refused = || ValueError::datetime("interval", text);
    if let Some(parts) = iso_8601_alternative(rest) {
        return parts.done(text);
    }
    let mut parts = Parts::default();
    let mut in_time = false;
    let mut number = String::new();
    let mut seen = false;
    for c in rest.chars() {
        match c {
            't' if number.is_empty() => in_time = true,
            '0'..='9' | '.' | '-' | '+' => number.push(c),
            unit => {
                let unit = match (unit, in_time) {
                    ('y', false) => "year",
                    ('m', false) => "month",
                    ('w', false) => "week",
                    ('d', false) => "day",
                    ('h', true) => "hour",
                    ('m', true) => "minute",
                    ('s', true) => "second",
                    _ => return Err(refused()),
                };
                let value = millionths(&number).ok_or_else(refused)?;
                parts.add(unit, value).ok_or_else(refused)?;
                number.clear();
                seen = true;
            }
        }
    }
    if !seen || !number.is_empty() {
        return Err(refused());
    }
    parts.done(text)
}

/// `P0001-02-03T04:05:06`.
fn iso_8601_alternative(rest: &str) -> Option<Parts> {
    let (date, time) = rest.split_once('t').unwrap_or((rest, ""));
    let mut fields = date.split('-');
    let mut next = || Some(i128::from(fields.next()?.parse::<u32>().ok()?));
    let (years, months, days) = (next()?, next()?, next()?);
    Some(Parts {
        months: years * 12 + months,
        days,
        us: if time.is_empty() {
            0
        } else {
            clock(time, IntervalFields::All)?
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn intervals_are_read_and_shown_as_postgresql_does() {
        // Recorded on PostgreSQL 15.
        for (text, shown) in [
            ("1 day 02:03:04", "1 day 02:03:04"),
            ("1 year 2 mons", "1 year 2 mons"),
            ("P1DT2H", "1 day 02:00:00"),
            ("5 minutes", "00:05:00"),
            ("5min", "00:05:00"),
            ("1.5 days", "1 day 12:00:00"),
            ("-1 day +02:00", "-1 days +02:00:00"),
            ("3 days ago", "-3 days"),
            ("1 week", "7 days"),
            ("0", "00:00:00"),
            ("1.5 years", "1 year 6 mons"),
            ("1.5 months", "1 mon 15 days"),
            ("100 hours", "100:00:00"),
            ("-1.5 seconds", "-00:00:01.5"),
            ("1-2", "1 year 2 mons"),
            ("@ 1 minute", "00:01:00"),
            ("250 milliseconds", "00:00:00.25"),
            ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
        ] {
            let mut out = Vec::new();
            Interval::parse(text.as_bytes()).unwrap().write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown, "{text}");
        }
        for text in ["", "abc", "1 parsec", "1:99", "P", "1 2 3", "1 day 2 days"] {
            assert!(Interval::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
