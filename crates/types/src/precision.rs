//! What a type of time keeps of a value: so many digits of a second, and an interval's fields.

use serde::{Deserialize, Serialize};

use crate::Interval;
use crate::datetime::{INFINITY, NEGATIVE_INFINITY, US_PER_SECOND};

/// The most digits of a second that there are.
pub const DIGITS_MAX: u8 = 6;

/// Midnight of 2000-01-01: halves are rounded away from it.
const EPOCH_US: i64 = 946_684_800 * US_PER_SECOND;

/// What a declared interval keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IntervalLimit {
    /// Its fields.
    pub fields: IntervalFields,
    /// Digits of a second.
    pub digits: Option<u8>,
}

/// The fields of an interval, from the greatest to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is what SQL calls so")]
pub enum IntervalFields {
    All,
    Year,
    YearToMonth,
    Month,
    Day,
    DayToHour,
    DayToMinute,
    DayToSecond,
    Hour,
    HourToMinute,
    HourToSecond,
    Minute,
    MinuteToSecond,
    Second,
}

const YEAR: u16 = 1 << 2;
const MONTH: u16 = 1 << 1;
const DAY: u16 = 1 << 3;
const HOUR: u16 = 1 << 10;
const MINUTE: u16 = 1 << 11;
const SECOND: u16 = 1 << 12;
const ALL: u16 = 0x7fff;
/// Stands for no digits in the number of an interval's modifier.
const ANY_DIGITS: u16 = 0xffff;

impl IntervalFields {
    /// Each with PostgreSQL's number for it and as SQL writes it.
    const TABLE: [(Self, u16, &'static str); 14] = [
        (Self::All, ALL, ""),
        (Self::Year, YEAR, "year"),
        (Self::YearToMonth, YEAR | MONTH, "year to month"),
        (Self::Month, MONTH, "month"),
        (Self::Day, DAY, "day"),
        (Self::DayToHour, DAY | HOUR, "day to hour"),
        (Self::DayToMinute, DAY | HOUR | MINUTE, "day to minute"),
        (
            Self::DayToSecond,
            DAY | HOUR | MINUTE | SECOND,
            "day to second",
        ),
        (Self::Hour, HOUR, "hour"),
        (Self::HourToMinute, HOUR | MINUTE, "hour to minute"),
        (Self::HourToSecond, HOUR | MINUTE | SECOND, "hour to second"),
        (Self::Minute, MINUTE, "minute"),
        (Self::MinuteToSecond, MINUTE | SECOND, "minute to second"),
        (Self::Second, SECOND, "second"),
    ];

    /// As SQL writes them, in small letters; nothing for all.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut table = Self::TABLE.iter();
        table
            .find(|entry| entry.0 == self)
            .map_or("", |entry| entry.2)
    }

    /// The fields of a name, in small letters.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut table = Self::TABLE.iter();
        table.find(|entry| entry.2 == name).map(|entry| entry.0)
    }

    fn mask(self) -> u16 {
        let mut table = Self::TABLE.iter();
        table
            .find(|entry| entry.0 == self)
            .map_or(ALL, |entry| entry.1)
    }

    /// The unit of a number that stands without one.
    pub(crate) fn last(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month | Self::YearToMonth => "month",
            Self::Day => "day",
            Self::Hour | Self::DayToHour => "hour",
            Self::Minute | Self::HourToMinute | Self::DayToMinute => "minute",
            Self::All
            | Self::Second
            | Self::MinuteToSecond
            | Self::HourToSecond
            | Self::DayToSecond => "second",
        }
    }
}

impl IntervalLimit {
    /// The limit of some fields and digits; none where it limits nothing.
    #[must_use]
    pub fn of(fields: IntervalFields, digits: Option<u8>) -> Option<Self> {
        (fields != IntervalFields::All || digits.is_some()).then_some(Self { fields, digits })
    }

    /// PostgreSQL's number for it.
    #[must_use]
    pub fn typmod(self) -> i32 {
        let digits = self.digits.map_or(ANY_DIGITS, u16::from);
        i32::from(self.fields.mask()) << 16 | i32::from(digits)
    }

    /// The limit of a number; none for what is none.
    #[must_use]
    pub fn of_typmod(typmod: i32) -> Option<Self> {
        let mask = u16::try_from(typmod >> 16 & i32::from(ALL)).ok()?;
        let digits = u16::try_from(typmod & i32::from(ANY_DIGITS)).ok()?;
        let mut table = IntervalFields::TABLE.iter();
        let fields = table.find(|entry| entry.1 == mask)?.0;
        Self::of(fields, u8::try_from(digits).ok())
    }

    /// What stands behind `interval`.
    #[must_use]
    pub fn shown(self) -> String {
        let mut shown = String::new();
        if self.fields != IntervalFields::All {
            shown.push(' ');
            shown.push_str(self.fields.name());
        }
        if let Some(digits) = self.digits {
            shown.push_str(&format!("({digits})"));
        }
        shown
    }
}

/// µs rounded to digits of a second, halves away from zero.
fn rounded(us: i64, digits: Option<u8>) -> i64 {
    let Some(digits) = digits.filter(|digits| *digits < DIGITS_MAX) else {
        return us;
    };
    let unit = 10_i64.pow(u32::from(DIGITS_MAX - digits));
    us.saturating_add(us.signum() * (unit / 2)) / unit * unit
}

/// A time of day as its type keeps it.
#[must_use]
pub fn time(us: i64, digits: Option<u8>) -> i64 {
    rounded(us, digits)
}

/// A timestamp, µs since 1970, as its type keeps it.
#[must_use]
pub fn timestamp(us: i64, digits: Option<u8>) -> i64 {
    match us {
        INFINITY | NEGATIVE_INFINITY => us,
        us if digits.is_none() => us,
        us => rounded(us.saturating_sub(EPOCH_US), digits).saturating_add(EPOCH_US),
    }
}

/// An interval as its type keeps it.
#[must_use]
pub fn interval(span: Interval, limit: Option<IntervalLimit>) -> Interval {
    const MINUTE_US: i64 = 60 * US_PER_SECOND;
    const HOUR_US: i64 = 60 * MINUTE_US;
    let Some(limit) = limit else {
        return span;
    };
    let months = |months| Interval {
        months,
        ..Interval::default()
    };
    let whole = |unit: i64| Interval {
        us: span.us / unit * unit,
        ..span
    };
    let mut kept = match limit.fields {
        IntervalFields::Year => months(span.months / 12 * 12),
        IntervalFields::Month | IntervalFields::YearToMonth => months(span.months),
        IntervalFields::Day => Interval { us: 0, ..span },
        IntervalFields::Hour | IntervalFields::DayToHour => whole(HOUR_US),
        IntervalFields::Minute | IntervalFields::HourToMinute | IntervalFields::DayToMinute => {
            whole(MINUTE_US)
        }
        IntervalFields::All
        | IntervalFields::Second
        | IntervalFields::MinuteToSecond
        | IntervalFields::HourToSecond
        | IntervalFields::DayToSecond => span,
    };
    kept.us = rounded(kept.us, limit.digits);
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::{SqlType, datetime};

    #[test]
    fn times_are_rounded_as_postgresql_rounds_them() {
        // Recorded on PostgreSQL 15.
        for (from, digits, shown) in [
            ("1999-12-31 23:59:59.5", 0, "1999-12-31 23:59:59"),
            ("2000-01-01 00:00:00.5", 0, "2000-01-01 00:00:01"),
            ("1980-01-01 00:00:00.0005", 3, "1980-01-01 00:00:00"),
            ("2020-01-01 00:00:00.1235", 3, "2020-01-01 00:00:00.124"),
            (
                "2020-01-01 00:00:00.123456",
                6,
                "2020-01-01 00:00:00.123456",
            ),
            ("infinity", 0, "infinity"),
        ] {
            let us = datetime::parse_timestamp(from.as_bytes()).unwrap();
            let mut out = Vec::new();
            datetime::write_timestamp(timestamp(us, Some(digits)), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown, "{from}");
        }
        assert_eq!(time(86_399_900_000, Some(0)), 86_400_000_000);
    }

    #[test]
    fn intervals_keep_their_fields() {
        // Recorded on PostgreSQL 15.
        for (from, ty, shown) in [
            ("1:30", "interval minute to second", "00:01:30"),
            ("5", "interval minute", "00:05:00"),
            ("1.6", "interval second(0)", "00:00:02"),
            ("1 2", "interval day to hour", "1 day 02:00:00"),
            ("1-2", "interval year to month", "1 year 2 mons"),
            ("-1.5", "interval second(0)", "-00:00:02"),
            (
                "1 day 2:03:04.567",
                "interval day to minute",
                "1 day 02:03:00",
            ),
            ("25:00", "interval day", "00:00:00"),
            ("1:30", "interval hour", "01:00:00"),
            ("1 year 14 mons", "interval year", "2 years"),
        ] {
            let declared = SqlType::parse_name(ty).unwrap();
            assert_eq!(declared.name(), ty);
            let SqlType::Interval(limit) = declared else {
                panic!("{ty} is an interval");
            };
            let span = Interval::parse_within(from.as_bytes(), limit).unwrap();
            let mut out = Vec::new();
            span.write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown, "{from} {ty}");
        }
    }

    #[test]
    fn limits_of_intervals_have_postgresqls_numbers() {
        for (name, typmod) in [
            ("interval(4)", 2_147_418_116),
            ("interval day to second(2)", 470_286_338),
            ("interval year", 327_679),
            ("interval second(3)", 268_435_459),
        ] {
            let ty = SqlType::parse_name(name).unwrap();
            assert_eq!(ty.typmod(), typmod, "{name}");
            assert_eq!(SqlType::Interval(None).with_typmod(typmod), ty, "{name}");
        }
    }
}
