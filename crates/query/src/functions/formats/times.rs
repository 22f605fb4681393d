//! to_char of timestamps and intervals.

use std::fmt::Write as _;

use chronolith_types::{SqlState, SqlType};

use super::super::calendar::{iso_start, iso_week};
use super::super::dates::{self, DAY_US, civil, days};
use super::super::error::FunctionError;
use super::super::io::Zone;
use super::super::udf::Context;
use super::super::value::Value;
use super::pattern::{DAYS, Kind, MONTHS, Modifiers, Node, ROMAN_MONTHS, ordinal, parse};

/// A moment or a span in the fields that pictures show.
#[derive(Debug, Default)]
struct Fields {
    interval: bool,
    /// 0 is 1 BC.
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    us: i64,
    /// From Sunday on.
    weekday: i64,
    /// From 1.
    year_day: i64,
    /// Seconds east of Greenwich.
    offset: i64,
    zone: String,
}

/// to_char(timestamp or timestamptz, text).
pub(super) fn timestamp(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Timestamp(at), picture] = args else {
        return Ok(Value::Null);
    };
    if picture.as_str().is_empty() || dates::infinite(*at) {
        return Ok(Value::Null);
    }
    let zone =
        (matches!(context.args.first(), Some(SqlType::Timestamptz(_)))).then_some(context.zone);
    moment(zone, *at, picture.as_str()).map(Value::Text)
}

/// An instant in a zone by a picture.
pub(in super::super) fn shown(
    zone: &Zone,
    at: i64,
    picture: &str,
) -> Result<String, FunctionError> {
    moment(Some(zone), at, picture)
}

fn moment(zone: Option<&Zone>, at: i64, picture: &str) -> Result<String, FunctionError> {
    let mut fields = Fields::default();
    let mut wall = at;
    if let Some(zone) = zone {
        wall = zone.to_local(at);
        fields.offset = zone.offset_at(at);
        fields.zone = zone.time_zone().abbreviation_at(at);
    }
    let date = wall.div_euclid(DAY_US);
    (fields.year, fields.month, fields.day) = civil(date);
    fields.set_clock(wall.rem_euclid(DAY_US));
    fields.weekday = (date + 4).rem_euclid(7);
    fields.year_day = date - days(fields.year, 1, 1) + 1;
    fields.written(picture)
}

/// to_char(interval, text).
pub(super) fn interval(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Interval(span), picture] = args else {
        return Ok(Value::Null);
    };
    if picture.as_str().is_empty() {
        return Ok(Value::Null);
    }
    let mut fields = Fields {
        interval: true,
        year: (span.months / 12).into(),
        month: (span.months % 12).into(),
        day: span.days.into(),
        ..Fields::default()
    };
    fields.set_clock(span.nanoseconds / 1000);
    fields.year_day = i64::from(span.months) * 30 + fields.day;
    fields.written(picture.as_str()).map(Value::Text)
}

/// A number padded with zeros; the sign of a negative one has its own place.
fn padded(out: &mut String, value: i64, width: usize, modifiers: Modifiers) {
    let width = match (modifiers.fill, value < 0) {
        (true, _) => 0,
        (false, true) => width + 1,
        (false, false) => width,
    };
    _ = write!(out, "{value:0width$}");
}

impl Fields {
    fn set_clock(&mut self, us: i64) {
        self.hour = us / 3_600_000_000;
        self.minute = us / 60_000_000 % 60;
        self.second = us / 1_000_000 % 60;
        self.us = us % 1_000_000;
    }

    /// The year as people count: there is no year 0.
    fn people_year(&self, year: i64) -> i64 {
        if self.interval || year > 0 {
            year
        } else {
            1 - year
        }
    }

    fn written(&self, picture: &str) -> Result<String, FunctionError> {
        let mut out = String::new();
        for node in parse(picture, Kind::Time) {
            match node {
                Node::Space(c) | Node::Separator(c) | Node::Char(c) => out.push(c),
                Node::Field { key, modifiers } => {
                    let start = out.len();
                    if self.number(key, modifiers, &mut out) {
                        if modifiers.ordinal() {
                            let digits = out.get(start..).unwrap_or_default();
                            let ending = ordinal(digits, modifiers.ordinal_upper)?;
                            out.push_str(ending);
                        }
                    } else {
                        self.name(key, modifiers, &mut out)?;
                    }
                }
            }
        }
        Ok(out)
    }

    /// A field that is a number and may have an ordinal ending; whether it is one.
    fn number(&self, key: &str, modifiers: Modifiers, out: &mut String) -> bool {
        let key = key.to_ascii_uppercase();
        if self.interval && matches!(key.as_str(), "D" | "ID") {
            return false;
        }
        let plain = Modifiers::default();
        let iso_year = || self.people_year(iso_week(self.year, self.month, self.day).0);
        let year = || self.people_year(self.year);
        let mut pad = |value: i64, width: usize| padded(out, value, width, modifiers);
        match key.as_str() {
            "HH" | "HH12" => {
                let width = if self.hour < 0 { 3 } else { 2 };
                let shown = if self.hour % 12 == 0 {
                    12
                } else {
                    self.hour % 12
                };
                let width = if modifiers.fill { 0 } else { width };
                _ = write!(out, "{shown:0width$}");
            }
            "HH24" => pad(self.hour, 2),
            "MI" => pad(self.minute, 2),
            "SS" => pad(self.second, 2),
            "FF1" => fraction(out, self.us / 100_000, 1),
            "FF2" => fraction(out, self.us / 10_000, 2),
            "FF3" | "MS" => fraction(out, self.us / 1000, 3),
            "FF4" => fraction(out, self.us / 100, 4),
            "FF5" => fraction(out, self.us / 10, 5),
            "FF6" | "US" => fraction(out, self.us, 6),
            "SSSS" | "SSSSS" => {
                _ = write!(out, "{}", self.hour * 3600 + self.minute * 60 + self.second);
            }
            "MM" => pad(self.month, 2),
            "DDD" => fixed(out, self.year_day, 3, modifiers),
            "IDDD" => {
                let (year, _, date) = iso_week(self.year, self.month, self.day);
                fixed(out, date - iso_start(year) + 1, 3, modifiers);
            }
            "DD" => fixed(out, self.day, 2, modifiers),
            "D" => fixed(out, self.weekday + 1, 1, plain),
            "ID" => fixed(
                out,
                if self.weekday == 0 { 7 } else { self.weekday },
                1,
                plain,
            ),
            "WW" => fixed(out, (self.year_day - 1) / 7 + 1, 2, modifiers),
            "IW" => fixed(
                out,
                iso_week(self.year, self.month, self.day).1,
                2,
                modifiers,
            ),
            "Q" => {
                if self.month == 0 {
                    return false;
                }
                fixed(out, (self.month - 1) / 3 + 1, 1, plain);
            }
            "CC" => {
                let century = if self.interval {
                    self.year / 100
                } else if self.year > 0 {
                    (self.year - 1) / 100 + 1
                } else {
                    self.year / 100 - 1
                };
                if century.abs() <= 99 {
                    pad(century, 2);
                } else {
                    fixed(out, century, 1, plain);
                }
            }
            "Y,YYY" => {
                _ = write!(out, "{},{:03}", year() / 1000, year() % 1000);
            }
            "YYYY" => year_part(out, year(), year(), 4, modifiers),
            "YYY" => year_part(out, year(), year() % 1000, 3, modifiers),
            "YY" => year_part(out, year(), year() % 100, 2, modifiers),
            "Y" => fixed(out, year() % 10, 1, plain),
            "IYYY" => year_part(out, year(), iso_year(), 4, modifiers),
            "IYY" => year_part(out, year(), iso_year() % 1000, 3, modifiers),
            "IY" => year_part(out, year(), iso_year() % 100, 2, modifiers),
            "I" => fixed(out, iso_year() % 10, 1, plain),
            "W" => fixed(out, (self.day - 1) / 7 + 1, 1, plain),
            "J" => fixed(
                out,
                days(self.year, self.month, self.day) + 2_440_588,
                1,
                plain,
            ),
            _ => return false,
        }
        true
    }

    fn refused(&self) -> Result<(), FunctionError> {
        if self.interval {
            return Err(FunctionError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                "invalid format specification for an interval value",
            )
            .with_hint("Intervals are not tied to specific calendar dates."));
        }
        Ok(())
    }

    /// A field that is a word or a sign.
    fn name(
        &self,
        key: &'static str,
        modifiers: Modifiers,
        out: &mut String,
    ) -> Result<(), FunctionError> {
        let upper = key.to_ascii_uppercase();
        // Words follow the letters of their field: all small, all capitals, or one capital.
        let cased = |word: &str| {
            if key.starts_with(|c: char| c.is_ascii_lowercase()) {
                word.to_ascii_lowercase()
            } else if key.chars().nth(1).is_some_and(|c| c.is_ascii_lowercase()) {
                word.to_owned()
            } else {
                word.to_ascii_uppercase()
            }
        };
        let at = |list: &[&'static str], index: i64| {
            usize::try_from(index)
                .ok()
                .and_then(|index| list.get(index).copied())
                .unwrap_or_default()
        };
        let width = if modifiers.fill || modifiers.local {
            0
        } else {
            9
        };
        let (hours, minutes) = (self.offset.abs() / 3600, self.offset.abs() / 60 % 60);
        let sign = if self.offset < 0 { '-' } else { '+' };
        match upper.as_str() {
            "AM" | "PM" | "A.M." | "P.M." => {
                let half = if self.hour % 24 >= 12 { 'P' } else { 'A' };
                let word = if upper.len() == 2 {
                    format!("{half}M")
                } else {
                    format!("{half}.M.")
                };
                out.push_str(&cased(&word));
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                self.refused()?;
                let word = match (self.year <= 0, upper.len() == 2) {
                    (true, true) => "BC",
                    (true, false) => "B.C.",
                    (false, true) => "AD",
                    (false, false) => "A.D.",
                };
                out.push_str(&cased(word));
            }
            "MONTH" => {
                self.refused()?;
                _ = write!(out, "{:width$}", cased(at(&MONTHS, self.month - 1)));
            }
            "MON" => {
                self.refused()?;
                let name = at(&MONTHS, self.month - 1);
                out.push_str(&cased(name.get(..3).unwrap_or_default()));
            }
            "DAY" => {
                self.refused()?;
                _ = write!(out, "{:width$}", cased(at(&DAYS, self.weekday)));
            }
            "DY" => {
                self.refused()?;
                let name = at(&DAYS, self.weekday);
                out.push_str(&cased(name.get(..3).unwrap_or_default()));
            }
            "RM" if self.month != 0 || self.year != 0 => {
                // Whole years end with December, and months before zero count back from it.
                let index = match self.month {
                    0 if self.year >= 0 => 11,
                    0 => 0,
                    month if month < 0 => month + 12,
                    month => month - 1,
                };
                let width = if modifiers.fill { 0 } else { 4 };
                _ = write!(out, "{:width$}", cased(at(&ROMAN_MONTHS, index)));
            }
            "TZ" => {
                self.refused()?;
                out.push_str(&cased(&self.zone));
            }
            "TZH" => {
                self.refused()?;
                _ = write!(out, "{sign}{hours:02}");
            }
            "TZM" => {
                self.refused()?;
                _ = write!(out, "{minutes:02}");
            }
            "OF" => {
                self.refused()?;
                let width = if modifiers.fill { 0 } else { 2 };
                _ = write!(out, "{sign}{hours:0width$}");
                if self.offset % 3600 != 0 {
                    _ = write!(out, ":{minutes:02}");
                }
            }
            "D" | "ID" => self.refused()?,
            _ => {}
        }
        Ok(())
    }
}

/// A number of at least so many places, its sign among them.
fn fixed(out: &mut String, value: i64, width: usize, modifiers: Modifiers) {
    let width = if modifiers.fill { 0 } else { width };
    _ = write!(out, "{value:0width$}");
}

fn fraction(out: &mut String, value: i64, width: usize) {
    _ = write!(out, "{value:0width$}");
}

/// The last digits of a year, as wide as the sign of the whole year asks.
fn year_part(out: &mut String, year: i64, part: i64, width: usize, modifiers: Modifiers) {
    let width = match (modifiers.fill, year < 0) {
        (true, _) => 0,
        (false, true) => width + 1,
        (false, false) => width,
    };
    _ = write!(out, "{part:0width$}");
}
