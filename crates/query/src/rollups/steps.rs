//! Which expressions of a time say the same of all times of a bucket: `time_bucket` of wider buckets,
//! `date_trunc`, dates, parts of dates.
//!
//! Such an expression changes at some instants only. When all of those are starts of buckets, the
//! start of a bucket may stand for its times.

use std::ops::Range;

use chronolith_types::datetime::US_PER_DAY;
use chronolith_types::{SqlType, TimeZone};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use super::buckets::{Buckets, Width};
use crate::functions::time_unit;
use crate::shape::column;

const SECOND_US: i64 = 1_000_000;
/// So often at most a zone is asked for its offset.
const ASKED_MAX: i64 = 40_000;

/// At which times an expression may change.
#[derive(Debug, Clone, Copy)]
enum At {
    /// At every so many units from one of them.
    Every { width: i64, from: i64 },
    /// At the first of every so many months, counted from January 2000.
    Months(i32),
}

/// An expression of a time that changes at some of them only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    at: At,
    /// Whose clocks show these times.
    zone: Option<TimeZone>,
}

/// The time column of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time<'a> {
    pub(super) name: &'a str,
    pub(super) ty: &'a SqlType,
    /// The session's zone.
    pub(super) zone: TimeZone,
}

fn text(expr: Option<&Expr>) -> Option<&str> {
    match expr? {
        Expr::Literal(ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)), _) => {
            Some(text)
        }
        _ => None,
    }
}

impl Steps {
    /// Of a function of the time; None for others.
    pub(super) fn of(expr: &Expr, time: &Time<'_>) -> Option<Self> {
        let Expr::ScalarFunction(call) = expr else {
            return None;
        };
        let of_time = |place: usize| call.args.get(place) == Some(&column(time.name));
        let clocks = match time.ty {
            SqlType::Timestamptz(_) if time.zone != TimeZone::Utc => Some(time.zone),
            _ => None,
        };
        match call.func.name() {
            "time_bucket" if of_time(1) => Self::of_bucket(call, time),
            "date_trunc" if of_time(1) && *time.ty != SqlType::Date => {
                let zone = match call.args.get(2) {
                    None => clocks,
                    zone => Some(TimeZone::parse(text(zone)?)?).filter(|at| *at != TimeZone::Utc),
                };
                let at = cut(&time_unit(text(call.args.first())?))?;
                Some(Self { at, zone })
            }
            "date_part" | "extract" if of_time(1) && *time.ty != SqlType::Date => {
                let at = part(&time_unit(text(call.args.first())?))?;
                Some(Self { at, zone: clocks })
            }
            "cast" if of_time(0) && call.args.len() == 1 => {
                let date = call.func.return_type(&[time.ty.arrow()]).ok()?;
                (date == SqlType::Date.arrow() && *time.ty != SqlType::Date).then_some(Self {
                    at: DAYS,
                    zone: clocks,
                })
            }
            _ => None,
        }
    }

    fn of_bucket(call: &ScalarFunction, time: &Time<'_>) -> Option<Self> {
        let buckets = Buckets::of(call).ok()?;
        let zone = buckets.zone().filter(|zone| *zone != TimeZone::Utc);
        let at = match buckets.width() {
            Width::Integer(width) => At::Every {
                width,
                from: buckets.start(0)?,
            },
            Width::Time(span) if *time.ty == SqlType::Date && span.us != 0 => return None,
            Width::Time(span) if span.months != 0 => match (buckets.plain(), zone) {
                (true, _) if span.days == 0 && span.us == 0 => At::Months(span.months),
                // They begin at one time of day, whichever it is.
                (_, None) => At::Every {
                    width: US_PER_DAY,
                    from: buckets.start(0)?,
                },
                _ => return None,
            },
            width => match (buckets.plain(), zone) {
                (true, _) | (_, None) => At::Every {
                    width: width.length(),
                    from: buckets.local_start(0)?,
                },
                _ => return None,
            },
        };
        Some(Self { at, zone })
    }

    /// Whether it changes at no time within one of some buckets, of all times of some ranges.
    pub(super) fn keep_to(self, buckets: &Buckets, ranges: &[Range<i64>], ty: &SqlType) -> bool {
        self.kept(buckets, ranges, ty).unwrap_or(false)
    }

    fn kept(self, buckets: &Buckets, ranges: &[Range<i64>], ty: &SqlType) -> Option<bool> {
        let span = match buckets.width() {
            Width::Integer(width) => {
                let At::Every { width: wide, from } = self.at else {
                    return None;
                };
                return Some(meets(wide, from, width, buckets.start(0)?));
            }
            Width::Time(span) => span,
        };
        if *ty == SqlType::Date && span.us != 0 {
            return None;
        }
        if span.months != 0 {
            let At::Months(months) = self.at else {
                return None;
            };
            let alike = self.zone == buckets.zone().filter(|zone| *zone != TimeZone::Utc);
            let whole = span.days == 0 && span.us == 0 && buckets.plain();
            return Some(alike && whole && months % span.months == 0);
        }
        let (wide, from) = match self.at {
            At::Every { width, from } => (width, from),
            At::Months(_) => (US_PER_DAY, 0),
        };
        let width = buckets.width().length();
        let start = buckets.local_start(0)?;
        if let Some(zone) = buckets.zone().filter(|zone| *zone != TimeZone::Utc) {
            // Days of one calendar; within a day its clocks may show an hour twice.
            let alike = self.zone == Some(zone) && span.us == 0 && buckets.plain();
            return Some(alike && meets(wide, from, width, start));
        }
        let Some(zone) = self.zone else {
            return Some(meets(wide, from, width, start));
        };
        let offsets = offsets(zone, ranges)?;
        Some(offsets.iter().all(|(since, offset)| {
            let turns = since.is_none_or(|since| meets(width, since, width, start));
            turns && meets(wide, from.saturating_sub(*offset), width, start)
        }))
    }
}

const DAYS: At = At::Every {
    width: US_PER_DAY,
    from: 0,
};

/// Where `date_trunc` cuts.
fn cut(unit: &str) -> Option<At> {
    Some(match unit {
        "month" => At::Months(1),
        "quarter" => At::Months(3),
        "year" => At::Months(12),
        "day" | "week" | "decade" | "century" | "millennium" => DAYS,
        unit => within_day(unit)?,
    })
}

/// Where a part of a time changes.
fn part(unit: &str) -> Option<At> {
    Some(match unit {
        "day" | "dow" | "isodow" | "doy" | "week" | "month" | "quarter" | "year" | "isoyear"
        | "decade" | "century" | "millennium" => DAYS,
        unit => within_day(unit)?,
    })
}

fn within_day(unit: &str) -> Option<At> {
    let width = match unit {
        "minute" => 60 * SECOND_US,
        "hour" => 3600 * SECOND_US,
        _ => return None,
    };
    Some(At::Every { width, from: 0 })
}

/// Whether all of the times at every `wide` from one are among those at every `narrow` from another.
fn meets(wide: i64, from: i64, narrow: i64, start: i64) -> bool {
    narrow > 0 && wide % narrow == 0 && from.rem_euclid(narrow) == start.rem_euclid(narrow)
}

/// How far clocks are ahead of UTC at times of some ranges, and since when; None when that is too much
/// to ask.
fn offsets(zone: TimeZone, ranges: &[Range<i64>]) -> Option<Vec<(Option<i64>, i64)>> {
    let ahead = |at: i64| i64::from(zone.offset_at(at)).saturating_mul(SECOND_US);
    if let TimeZone::Fixed(_) | TimeZone::Utc = zone {
        return Some(vec![(None, ahead(0))]);
    }
    let mut found: Vec<(Option<i64>, i64)> = Vec::new();
    let mut asked = 0;
    for range in ranges.iter().filter(|range| range.start < range.end) {
        let days = range.end.checked_sub(range.start)? / US_PER_DAY + 2;
        asked += days;
        if asked > ASKED_MAX {
            return None;
        }
        let (mut at, mut offset) = (range.start, ahead(range.start));
        found.push((None, offset));
        while at < range.end {
            let next = at.saturating_add(US_PER_DAY).min(range.end);
            let then = ahead(next);
            if then != offset {
                // Clocks were changed at one instant between.
                let (mut before, mut after) = (at, next);
                while after - before > 1 {
                    let middle = before + (after - before) / 2;
                    match ahead(middle) == offset {
                        true => before = middle,
                        false => after = middle,
                    }
                }
                found.push((Some(after), then));
            }
            (at, offset) = (next, then);
        }
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}
