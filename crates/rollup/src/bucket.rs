//! `time_bucket` as TimescaleDB computes it, compiled once and asked per row.

use chronolith_types::datetime::{
    INFINITY, NEGATIVE_INFINITY, US_PER_DAY, civil_from_days, days_from_civil, days_in_month,
};
use chronolith_types::{Interval, SqlState, TimeZone, ValueError};

/// Monday 2000-01-03, from which buckets of days and time are counted, in µs since 1970.
pub const DEFAULT_ORIGIN: i64 = 10_959 * US_PER_DAY;

/// Midnight of -4713-11-24, the first instant of a timestamp.
const FIRST: i64 = -210_866_803_200_000_000;

/// Months from year 0 to January 2000.
const MONTHS_2000: i64 = 2000 * 12;

#[derive(Debug, Clone, Copy)]
enum Width {
    /// Steps of a fixed length from an origin within `0..length`.
    Fixed { length: i64, origin: i64 },
    /// Steps of whole months from an origin in months since year 0.
    Months { length: i64, origin: i64 },
}

/// What a bucket may have besides its width.
#[derive(Debug, Clone, Copy, Default)]
pub struct BucketOptions {
    /// A time at which a bucket starts, in µs since 1970.
    pub origin: Option<i64>,
    /// How far every bucket is moved.
    pub offset: Option<Interval>,
    /// The zone in whose wall time buckets start.
    pub zone: Option<TimeZone>,
}

/// Buckets of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Bucketer {
    width: Width,
    offset: Option<Interval>,
    zone: Option<TimeZone>,
    /// Whether infinities and the bounds of timestamps apply.
    time: bool,
}

impl Bucketer {
    /// Buckets over times in µs since 1970 (of a date: its midnight).
    ///
    /// # Errors
    /// 22023 for a width that is not positive, 0A000 for months mixed with days or time, or with
    /// an origin that does not begin a month.
    pub fn new(width: Interval, options: BucketOptions) -> Result<Self, ValueError> {
        let origin = options
            .origin
            .map(|us| options.zone.map_or(us, |zone| zone.local(us)));
        if origin.is_some_and(|us| us == INFINITY || us == NEGATIVE_INFINITY) {
            return Err(out_of_range());
        }
        let width = if width.months == 0 {
            let length = i64::from(width.days)
                .checked_mul(US_PER_DAY)
                .and_then(|days| days.checked_add(width.us))
                .ok_or_else(out_of_range)?;
            positive(length)?;
            Width::Fixed {
                length,
                origin: origin.unwrap_or(DEFAULT_ORIGIN).rem_euclid(length),
            }
        } else {
            if width.days != 0 || width.us != 0 {
                return Err(unsupported(
                    "month intervals cannot have day or time component",
                ));
            }
            let length = i64::from(width.months);
            positive(length)?;
            let origin = match origin.map(|us| civil_from_days(us.div_euclid(US_PER_DAY))) {
                None => MONTHS_2000,
                Some((year, month, 1)) => year * 12 + i64::from(month) - 1,
                Some(_) => return Err(unsupported("origin must be the first day of a month")),
            };
            Width::Months { length, origin }
        };
        Ok(Self {
            width,
            offset: options.offset,
            zone: options.zone.filter(|zone| *zone != TimeZone::Utc),
            time: true,
        })
    }

    /// Buckets over integers.
    ///
    /// # Errors
    /// 22023 for a width that is not positive.
    pub fn integers(width: i64, offset: i64) -> Result<Self, ValueError> {
        positive(width)?;
        Ok(Self {
            width: Width::Fixed {
                length: width,
                origin: offset.rem_euclid(width),
            },
            offset: None,
            zone: None,
            time: false,
        })
    }

    /// The start of the bucket that `at` is in.
    ///
    /// In a zone whose clocks show an hour twice, buckets shorter than a day start at the second
    /// showing, as TimescaleDB has it.
    ///
    /// # Errors
    /// 22008 if the start is before all timestamps or no value.
    pub fn bucket(&self, at: i64) -> Result<i64, ValueError> {
        if self.time && (at == INFINITY || at == NEGATIVE_INFINITY) {
            return Ok(at);
        }
        let start = self.floor(self.unplaced(at)?)?;
        self.placed(start)
    }

    /// The start of the first bucket after the one that `at` is in.
    ///
    /// # Errors
    /// 22008 if that start is no value.
    pub fn next(&self, at: i64) -> Result<i64, ValueError> {
        let first = self.bucket(at)?;
        if self.time && (first == INFINITY || first == NEGATIVE_INFINITY) {
            return Ok(first);
        }
        let mut wall = self.floor(self.unplaced(at)?)?;
        // A bucket that begins in an hour that the clocks skip begins where the next one does.
        loop {
            wall = self.step(wall)?;
            let next = self.placed(wall)?;
            if next > first {
                return Ok(next);
            }
        }
    }

    /// Wall time before the offset.
    fn unplaced(&self, at: i64) -> Result<i64, ValueError> {
        let wall = self.zone.map_or(at, |zone| zone.local(at));
        self.offset
            .map_or(Ok(wall), |offset| shift(wall, offset, -1))
    }

    fn placed(&self, wall: i64) -> Result<i64, ValueError> {
        let wall = self
            .offset
            .map_or(Ok(wall), |offset| shift(wall, offset, 1))?;
        let at = self.zone.map_or(wall, |zone| zone.instant(wall));
        if self.time && (at < FIRST || at == INFINITY) {
            return Err(out_of_range());
        }
        Ok(at)
    }

    fn floor(&self, wall: i64) -> Result<i64, ValueError> {
        match self.width {
            Width::Fixed { length, origin } => {
                let over = (i128::from(wall) - i128::from(origin)).rem_euclid(i128::from(length));
                narrow(i128::from(wall) - over)
            }
            Width::Months { length, origin } => {
                let (year, month, _) = civil_from_days(wall.div_euclid(US_PER_DAY));
                let months = year * 12 + i64::from(month) - 1 - origin;
                midnight(origin + months.div_euclid(length) * length, 1, 0)
            }
        }
    }

    fn step(&self, wall: i64) -> Result<i64, ValueError> {
        match self.width {
            Width::Fixed { length, .. } => wall.checked_add(length).ok_or_else(out_of_range),
            Width::Months { length, .. } => {
                let (year, month, _) = civil_from_days(wall.div_euclid(US_PER_DAY));
                midnight(year * 12 + i64::from(month) - 1 + length, 1, 0)
            }
        }
    }
}

/// A wall time plus (`sign` 1) or minus (-1) an interval: months first, then days, then time.
fn shift(wall: i64, by: Interval, sign: i64) -> Result<i64, ValueError> {
    let mut at = wall;
    if by.months != 0 {
        let (year, month, day) = civil_from_days(at.div_euclid(US_PER_DAY));
        let months = year * 12 + i64::from(month) - 1 + sign * i64::from(by.months);
        at = midnight(months, day, at.rem_euclid(US_PER_DAY))?;
    }
    let sign = i128::from(sign);
    narrow(
        i128::from(at) + sign * (i128::from(by.days) * i128::from(US_PER_DAY) + i128::from(by.us)),
    )
}

/// A day of a month (or the month's last, if it is shorter) and a time of that day.
fn midnight(months: i64, day: u32, time: i64) -> Result<i64, ValueError> {
    let year = months.div_euclid(12);
    let month = u32::try_from(months.rem_euclid(12) + 1).map_err(|_| out_of_range())?;
    let days = days_from_civil(year, month, day.min(days_in_month(year, month)));
    narrow(i128::from(days) * i128::from(US_PER_DAY) + i128::from(time))
}

fn narrow(us: i128) -> Result<i64, ValueError> {
    i64::try_from(us).map_err(|_| out_of_range())
}

fn positive(width: i64) -> Result<(), ValueError> {
    if width > 0 {
        return Ok(());
    }
    Err(ValueError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "period must be greater than 0",
    ))
}

fn unsupported(message: &str) -> ValueError {
    ValueError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn out_of_range() -> ValueError {
    ValueError::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;
    use chronolith_types::datetime::{parse_timestamptz, write_timestamptz};

    fn us(text: &str) -> i64 {
        parse_timestamptz(text.as_bytes(), &TimeZone::Utc).unwrap()
    }

    fn bucketer(width: &str, options: BucketOptions) -> Bucketer {
        Bucketer::new(Interval::parse(width.as_bytes()).unwrap(), options).unwrap()
    }

    fn show(us: i64) -> String {
        let mut out = Vec::new();
        write_timestamptz(us, &TimeZone::Utc, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The bucket's start and end.
    fn both(width: &str, at: &str, options: BucketOptions) -> (String, String) {
        let bucketer = bucketer(width, options);
        let at = us(at);
        (
            show(bucketer.bucket(at).unwrap()),
            show(bucketer.next(at).unwrap()),
        )
    }

    fn is(answer: (String, String), start: &str, end: &str) {
        assert_eq!(answer, (format!("{start}+00"), format!("{end}+00")));
    }

    #[test]
    fn weeks_begin_on_mondays_and_months_on_their_first() {
        let none = BucketOptions::default();
        let at = "2026-01-02 09:44:59+00";
        is(
            both("5 minutes", at, none),
            "2026-01-02 09:40:00",
            "2026-01-02 09:45:00",
        );
        is(
            both("1 week", at, none),
            "2025-12-29 00:00:00",
            "2026-01-05 00:00:00",
        );
        is(
            both("3 months", "2026-05-17 12:00+00", none),
            "2026-04-01 00:00:00",
            "2026-07-01 00:00:00",
        );
        is(
            both("1 year", "1969-12-31 12:00+00", none),
            "1969-01-01 00:00:00",
            "1970-01-01 00:00:00",
        );
    }

    #[test]
    fn origins_and_offsets_move_buckets() {
        let at = "2026-01-02 09:44:59+00";
        let origin = BucketOptions {
            origin: Some(us("2026-01-04 00:00+00")),
            ..BucketOptions::default()
        };
        is(
            both("1 week", at, origin),
            "2025-12-28 00:00:00",
            "2026-01-04 00:00:00",
        );
        let offset = BucketOptions {
            offset: Some(Interval::parse(b"30 minutes").unwrap()),
            ..BucketOptions::default()
        };
        is(
            both("1 hour", at, offset),
            "2026-01-02 09:30:00",
            "2026-01-02 10:30:00",
        );
    }

    #[test]
    fn days_of_a_zone_are_as_long_as_its_clocks_make_them() {
        let zone = BucketOptions {
            zone: TimeZone::parse("America/New_York"),
            ..BucketOptions::default()
        };
        is(
            both("1 day", "2026-07-02 02:00+00", zone),
            "2026-07-01 04:00:00",
            "2026-07-02 04:00:00",
        );
        // 23 hours in March, 25 in November.
        is(
            both("1 day", "2026-03-08 12:00+00", zone),
            "2026-03-08 05:00:00",
            "2026-03-09 04:00:00",
        );
        is(
            both("1 day", "2026-11-01 12:00+00", zone),
            "2026-11-01 04:00:00",
            "2026-11-02 05:00:00",
        );
        // 02:00 is skipped: the hour after 01:00 begins at 03:00.
        is(
            both("1 hour", "2026-03-08 06:30+00", zone),
            "2026-03-08 06:00:00",
            "2026-03-08 07:00:00",
        );
    }

    #[test]
    fn integers_below_zero_are_in_the_bucket_beneath() {
        let at = |width, offset, at| Bucketer::integers(width, offset).unwrap().bucket(at);
        assert_eq!(at(10, 0, 47), Ok(40));
        assert_eq!(at(10, 0, -3), Ok(-10));
        assert_eq!(at(10, 5, 47), Ok(45));
        assert_eq!(at(10, 0, i64::MIN), Err(out_of_range()));
        assert_eq!(Bucketer::integers(10, 0).unwrap().next(-3), Ok(0));
    }

    #[test]
    fn impossible_widths_are_refused_in_timescaledbs_words() {
        let refused = |width: &str| {
            let width = Interval::parse(width.as_bytes()).unwrap();
            Bucketer::new(width, BucketOptions::default())
                .unwrap_err()
                .message
        };
        assert_eq!(refused("0 minutes"), "period must be greater than 0");
        assert_eq!(refused("-1 hour"), "period must be greater than 0");
        assert_eq!(refused("-1 month"), "period must be greater than 0");
        assert_eq!(
            refused("1 month 1 day"),
            "month intervals cannot have day or time component"
        );
    }

    #[test]
    fn infinities_are_their_own_buckets_and_nothing_starts_before_time() {
        let bucketer = bucketer("7 days", BucketOptions::default());
        assert_eq!(bucketer.bucket(INFINITY), Ok(INFINITY));
        assert_eq!(bucketer.bucket(NEGATIVE_INFINITY), Ok(NEGATIVE_INFINITY));
        assert_eq!(bucketer.bucket(i64::MIN + 1), Err(out_of_range()));
        assert_eq!(bucketer.next(i64::MAX - 1), Err(out_of_range()));
    }
}
