//! Dates and times: their text forms, as PostgreSQL 15 reads and writes them (DateStyle ISO, MDY).
//!
//! An instant is µs since 1970-01-01 00:00 UTC, a date the number of days since then; the ends of
//! the number's range are the infinities. Calendar arithmetic is the proleptic Gregorian calendar's
//! (H. Hinnant, "chrono-compatible low-level date algorithms").

use crate::digits::pair;
use crate::value::ValueError;
use crate::zone::{TimeZone, parse_offset, write_offset};

/// µs in a second.
pub const US_PER_SECOND: i64 = 1_000_000;
/// µs in a day.
pub const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;
/// The timestamp `infinity`.
pub const INFINITY: i64 = i64::MAX;
/// The timestamp `-infinity`.
pub const NEGATIVE_INFINITY: i64 = i64::MIN;
/// The date `infinity`.
pub const DATE_INFINITY: i32 = i32::MAX;
/// The date `-infinity`.
pub const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;

/// 4713-11-24 BC and the last day of 294276, between which PostgreSQL's timestamps lie.
const DAY_MIN: i64 = -2_440_588;
const DAY_MAX: i64 = 106_751_991;
/// Dates go on to 5874897-12-31.
const DATE_MAX: i64 = 2_145_031_948;

/// Days since 1970-01-01 of a date; months from 1, year 0 is 1 BC.
#[must_use]
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = i64::from((month + 9) % 12);
    let of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
#[must_use]
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = u32::try_from(of_year - (153 * shifted + 2) / 5 + 1).unwrap_or(1);
    let month = u32::try_from(if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    })
    .unwrap_or(1);
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days of a month.
#[must_use]
pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0
            && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) =>
        {
            29
        }
        2 => 28,
        _ => 31,
    }
}

pub(crate) fn write_two(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&pair(value % 100));
}

fn write_year_month_day(year: i64, month: u32, day: u32, out: &mut Vec<u8>) {
    let shown = if year <= 0 { 1 - year } else { year };
    let [month_tens, month_ones] = pair(month);
    let [day_tens, day_ones] = pair(day);
    let rest = [b'-', month_tens, month_ones, b'-', day_tens, day_ones];
    match u32::try_from(shown) {
        Ok(year) if year < 10_000 => {
            let ([a, b], [c, d]) = (pair(year / 100), pair(year % 100));
            out.extend_from_slice(&[a, b, c, d]);
        }
        _ => crate::text::write_integer(shown, out),
    }
    out.extend_from_slice(&rest);
}

/// Appends a time of day, its fraction without zeros at the end.
pub fn write_time(us: i64, out: &mut Vec<u8>) {
    let seconds = us.div_euclid(US_PER_SECOND);
    let seconds = u32::try_from(seconds).unwrap_or(0);
    let [[a, b], [c, d], [e, f]] = [
        pair(seconds / 3600),
        pair(seconds / 60 % 60),
        pair(seconds % 60),
    ];
    out.extend_from_slice(&[a, b, b':', c, d, b':', e, f]);
    write_fraction(us.rem_euclid(US_PER_SECOND), out);
}

fn write_fraction(us: i64, out: &mut Vec<u8>) {
    if us == 0 {
        return;
    }
    let us = u32::try_from(us).unwrap_or(0);
    let [[a, b], [c, d], [e, f]] = [pair(us / 10_000), pair(us / 100 % 100), pair(us % 100)];
    let digits = [b'.', a, b, c, d, e, f];
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0');
    let shown = digits.len() - zeros.count();
    out.extend_from_slice(digits.get(..shown).unwrap_or_default());
}

/// Appends a date.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    match days {
        DATE_INFINITY => out.extend_from_slice(b"infinity"),
        DATE_NEGATIVE_INFINITY => out.extend_from_slice(b"-infinity"),
        days => {
            let (year, month, day) = civil_from_days(i64::from(days));
            write_year_month_day(year, month, day, out);
            if year <= 0 {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// Appends a timestamp without zone.
pub fn write_timestamp(us: i64, out: &mut Vec<u8>) {
    write_moment(us, None, out);
}

/// Appends a timestamp as the clocks of a zone show it, with the offset.
pub fn write_timestamptz(us: i64, zone: &TimeZone, out: &mut Vec<u8>) {
    match us {
        INFINITY | NEGATIVE_INFINITY => write_moment(us, None, out),
        us => {
            let offset = zone.offset_at(us);
            let local = us.saturating_add(i64::from(offset) * US_PER_SECOND);
            write_moment(local, Some(offset), out);
        }
    }
}

fn write_moment(us: i64, offset: Option<i32>, out: &mut Vec<u8>) {
    match us {
        INFINITY => out.extend_from_slice(b"infinity"),
        NEGATIVE_INFINITY => out.extend_from_slice(b"-infinity"),
        us => {
            let (year, month, day) = civil_from_days(us.div_euclid(US_PER_DAY));
            write_year_month_day(year, month, day, out);
            out.push(b' ');
            write_time(us.rem_euclid(US_PER_DAY), out);
            if let Some(offset) = offset {
                write_offset(offset, out);
            }
            if year <= 0 {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// What a text says of a date and a time.
#[derive(Debug, Clone, Copy, Default)]
struct Parsed {
    days: Option<i64>,
    time_us: Option<i64>,
    zone: Option<TimeZone>,
    special: Option<i64>,
}

/// Reads `YYYY-MM-DD HH:MM:SS[.ffffff]` with or without a numeric offset; None for other forms.
#[must_use]
pub fn parse_timestamp_fast(text: &[u8]) -> Option<(i64, Option<i32>)> {
    let digit = |at: usize| -> Option<i64> {
        let byte = *text.get(at)?;
        byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
    };
    let two = |at: usize| Some(digit(at)? * 10 + digit(at + 1)?);
    let is = |at: usize, byte: u8| text.get(at) == Some(&byte);
    if !(is(4, b'-')
        && is(7, b'-')
        && (is(10, b' ') || is(10, b'T'))
        && is(13, b':')
        && is(16, b':'))
    {
        return None;
    }
    let year = two(0)? * 100 + two(2)?;
    let (month, day) = (u32::try_from(two(5)?).ok()?, u32::try_from(two(8)?).ok()?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if year == 0
        || !(1..=12).contains(&month)
        || day == 0
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let mut at = 19;
    let mut fraction = 0;
    if is(at, b'.') {
        at += 1;
        let mut scale = 100_000;
        while let Some(value) = digit(at) {
            if scale == 0 {
                // A seventh digit rounds; the general reader does that.
                return None;
            }
            fraction += value * scale;
            scale /= 10;
            at += 1;
        }
    }
    let rest = text.get(at..)?;
    let offset = match rest {
        [] => None,
        b"Z" | b"z" => Some(0),
        rest => Some(parse_offset(rest)?),
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds * US_PER_SECOND + fraction, offset))
}

fn month_named(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if word.len() < 3 {
        return None;
    }
    let word = if word == "sept" { "sep" } else { word };
    let place = MONTHS.iter().position(|month| month.starts_with(word))?;
    u32::try_from(place + 1).ok()
}

fn weekday_named(word: &str) -> bool {
    const DAYS: [&str; 7] = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    word.len() >= 3 && DAYS.iter().any(|day| day.starts_with(word))
}

/// Reads hours, minutes, seconds and a fraction; up to 24:00:00.
fn clock(text: &str) -> Option<Result<i64, ()>> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    let mut parts = whole.split(':');
    let mut next = || -> Option<i64> { parts.next()?.parse::<u32>().ok().map(i64::from) };
    let hour = next()?;
    let minute = next()?;
    let second = if whole.matches(':').count() >= 2 {
        next()?
    } else {
        0
    };
    if whole.matches(':').count() > 2 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction_us(fraction);
    let total = hour * 3600 + minute * 60 + second;
    if hour > 24
        || minute > 59
        || second > 60
        || total > 86_400
        || (total == 86_400 && fraction > 0)
    {
        return Some(Err(()));
    }
    Some(Ok(total * US_PER_SECOND + fraction))
}

/// Digits behind the point of a second, rounded to µs.
fn fraction_us(digits: &str) -> i64 {
    let mut value = 0;
    for index in 0..6 {
        let digit = digits
            .as_bytes()
            .get(index)
            .map_or(0, |byte| i64::from(byte - b'0'));
        value = value * 10 + digit;
    }
    value + i64::from(digits.as_bytes().get(6).is_some_and(|byte| *byte >= b'5'))
}

fn parse_moment(ty: &str, text: &[u8]) -> Result<Parsed, ValueError> {
    let refused = || ValueError::datetime(ty, text);
    let out_of_range = || ValueError::field(text);
    let source = std::str::from_utf8(text).map_err(|_| refused())?;
    let lower = source.trim().to_ascii_lowercase();
    let mut parsed = Parsed::default();
    match lower.as_str() {
        "infinity" | "+infinity" => {
            parsed.special = Some(INFINITY);
            return Ok(parsed);
        }
        "-infinity" => {
            parsed.special = Some(NEGATIVE_INFINITY);
            return Ok(parsed);
        }
        "epoch" => {
            parsed.special = Some(0);
            return Ok(parsed);
        }
        "" => return Err(refused()),
        _ => {}
    }
    let (mut bc, mut era) = (false, false);
    let mut month_word = None;
    let mut numbers: Vec<i64> = Vec::new();
    let mut pm = None;
    for word in lower.replace(',', " ").split_whitespace() {
        let bytes = word.as_bytes();
        if matches!(word, "bc" | "ad") {
            if std::mem::replace(&mut era, true) {
                return Err(refused());
            }
            bc = word == "bc";
        } else if weekday_named(word) && !bytes.contains(&b'/') {
            // Which day of the week it is, the date says.
        } else if word == "am" || word == "pm" {
            pm = Some(word == "pm");
        } else if let Some(month) = month_named(word) {
            month_word = Some(month);
        } else if word == "allballs" {
            parsed.time_us = Some(0);
            parsed.zone = Some(TimeZone::Utc);
        } else if let (Some(offset), true) = (parse_offset(bytes), parsed.time_us.is_some()) {
            parsed.zone = Some(TimeZone::Fixed(offset));
        } else if bytes.iter().all(u8::is_ascii_digit) {
            if bytes.len() == 8
                || bytes.len() == 6
                    && parsed.days.is_none()
                    && numbers.is_empty()
                    && month_word.is_none()
            {
                let (y, rest) = word.split_at(word.len() - 4);
                let (m, d) = rest.split_at(2);
                let year: i64 = y.parse().map_err(|_| refused())?;
                let year = if bytes.len() == 6 {
                    two_digit_year(year)
                } else {
                    year
                };
                parsed.days = Some(
                    checked_days(year, m.parse().unwrap_or(0), d.parse().unwrap_or(0), false)
                        .ok_or_else(out_of_range)?,
                );
            } else {
                numbers.push(word.parse().map_err(|_| out_of_range())?);
            }
        } else if bytes.first().is_some_and(u8::is_ascii_digit)
            || bytes.first() == Some(&b't')
                && bytes.len() > 1
                && bytes.get(1).is_some_and(u8::is_ascii_digit)
        {
            read_numeric_word(word, &mut parsed, &refused, &out_of_range)?;
        } else if let Some(day) = julian(word) {
            parsed.days = Some(day.ok_or_else(out_of_range)?);
        } else if let Some(zone) = TimeZone::parse(word) {
            parsed.zone = Some(zone);
        } else if parsed.time_us.is_some() && word.contains('/') {
            return Err(ValueError::new(
                crate::SqlState::INVALID_PARAMETER_VALUE,
                format!("time zone \"{word}\" not recognized"),
            ));
        } else {
            return Err(refused());
        }
    }
    if let Some(month) = month_word {
        // "Mar 3 2025", "3 Mar 2025", "2025 Mar 3"
        let (day, year) = match numbers.as_slice() {
            [first, second] if *first > 31 => (*second, *first),
            [first, second] => (*first, *second),
            _ => return Err(refused()),
        };
        let year = if year < 100 {
            two_digit_year(year)
        } else {
            year
        };
        let day = u32::try_from(day).map_err(|_| out_of_range())?;
        parsed.days = Some(checked_days(year, month, day, bc).ok_or_else(out_of_range)?);
    } else if !numbers.is_empty() {
        return Err(refused());
    } else if bc && let Some(days) = parsed.days {
        let (year, month, day) = civil_from_days(days);
        parsed.days = Some(checked_days(year, month, day, true).ok_or_else(out_of_range)?);
    }
    if let (Some(pm), Some(time)) = (pm, parsed.time_us) {
        let hour = time / (3600 * US_PER_SECOND);
        if !(1..=12).contains(&hour) {
            return Err(out_of_range());
        }
        let half = 12 * 3600 * US_PER_SECOND;
        parsed.time_us = Some(time % half + if pm { half } else { 0 });
    }
    if parsed.days.is_none() && parsed.time_us.is_none() {
        return Err(refused());
    }
    Ok(parsed)
}

/// `J2461366`, a Julian day.
fn julian(word: &str) -> Option<Option<i64>> {
    let digits = word.strip_prefix('j')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<i64>().ok().map(|day| day - 2_440_588))
}

fn two_digit_year(year: i64) -> i64 {
    if year < 70 { year + 2000 } else { year + 1900 }
}

fn checked_days(year: i64, month: u32, day: u32, bc: bool) -> Option<i64> {
    let year = if bc { 1 - year } else { year };
    if (!bc && year == 0)
        || !(1..=12).contains(&month)
        || day == 0
        || day > days_in_month(year, month)
    {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// A word that begins with a digit: a date, a time, or both joined by `T`, with an offset behind.
fn read_numeric_word(
    word: &str,
    parsed: &mut Parsed,
    refused: &dyn Fn() -> ValueError,
    out_of_range: &dyn Fn() -> ValueError,
) -> Result<(), ValueError> {
    if let Some((date, time)) = word.split_once('t') {
        if !date.is_empty() {
            read_date(date, parsed, refused, out_of_range)?;
        }
        return read_clock(time, parsed, refused, out_of_range);
    }
    if let Some((date, offset)) = zoned_date(word) {
        parsed.zone = Some(TimeZone::Fixed(offset));
        read_date(date, parsed, refused, out_of_range)
    } else if word.contains(':') {
        read_clock(word, parsed, refused, out_of_range)
    } else {
        read_date(word, parsed, refused, out_of_range)
    }
}

/// A date with an offset behind it: 2026-01-01+00.
fn zoned_date(word: &str) -> Option<(&str, i32)> {
    let (date, _) = word.split_once('+')?;
    let offset = parse_offset(word.get(date.len()..)?.as_bytes())?;
    (!date.contains(':')).then_some((date, offset))
}

fn read_clock(
    word: &str,
    parsed: &mut Parsed,
    refused: &dyn Fn() -> ValueError,
    out_of_range: &dyn Fn() -> ValueError,
) -> Result<(), ValueError> {
    let end = word
        .find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.'))
        .unwrap_or(word.len());
    let (time, rest) = word.split_at(end);
    let time = if time.contains(':') {
        clock(time)
    } else {
        // "T120000" and "T12"
        let digits: String = time.chars().take_while(char::is_ascii_digit).collect();
        let spaced = match digits.len() {
            2 => format!("{digits}:00"),
            4 => format!("{}:{}", &digits[..2], &digits[2..]),
            6 => format!(
                "{}:{}:{}{}",
                &digits[..2],
                &digits[2..4],
                &digits[4..],
                &time[6..]
            ),
            _ => return Err(refused()),
        };
        clock(&spaced)
    };
    parsed.time_us = Some(time.ok_or_else(refused)?.map_err(|()| out_of_range())?);
    match rest {
        "" => {}
        "am" | "pm" => {
            let half = 12 * 3600 * US_PER_SECOND;
            let time = parsed.time_us.unwrap_or(0) % half;
            parsed.time_us = Some(time + if rest == "pm" { half } else { 0 });
        }
        rest => {
            let zone = parse_offset(rest.as_bytes())
                .map(TimeZone::Fixed)
                .or_else(|| TimeZone::parse(rest));
            parsed.zone = Some(zone.ok_or_else(|| {
                if rest.starts_with(['+', '-']) && rest.len() > 1 {
                    ValueError::new(
                        crate::SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                        "time zone displacement out of range",
                    )
                } else {
                    refused()
                }
            })?);
        }
    }
    Ok(())
}

fn read_date(
    word: &str,
    parsed: &mut Parsed,
    refused: &dyn Fn() -> ValueError,
    out_of_range: &dyn Fn() -> ValueError,
) -> Result<(), ValueError> {
    if word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        let (year, rest) = word.split_at(4);
        let (month, day) = rest.split_at(2);
        let number = |text: &str| text.parse().unwrap_or(0);
        let days = checked_days(i64::from(number(year)), number(month), number(day), false);
        parsed.days = Some(days.ok_or_else(out_of_range)?);
        return Ok(());
    }
    let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
    // The day of a year: 2026-325.
    if let &[year, day] = parts.as_slice()
        && year.len() >= 4
        && day.len() == 3
    {
        let year: i64 = year.parse().map_err(|_| refused())?;
        let day: i64 = day.parse().map_err(|_| refused())?;
        let first = checked_days(year, 1, 1, false).ok_or_else(out_of_range)?;
        let last = checked_days(year, 12, 31, false).ok_or_else(out_of_range)?;
        parsed.days = Some(first + day - 1);
        if day < 1 || first + day - 1 > last {
            return Err(out_of_range());
        }
        return Ok(());
    }
    let &[first, second, third] = parts.as_slice() else {
        return Err(refused());
    };
    let number = |part: &str| part.parse::<u32>().ok();
    let (year, month, day) = if let Some(month) = month_named(second) {
        // 03-Mar-2025 and 2025-Mar-03
        if first.len() > 2 {
            (first, month, number(third))
        } else {
            (third, month, number(first))
        }
    } else if first.len() > 2 {
        (first, number(second).ok_or_else(refused)?, number(third))
    } else {
        // MDY, as DateStyle says.
        (third, number(first).ok_or_else(refused)?, number(second))
    };
    let value: i64 = year.parse().map_err(|_| refused())?;
    let value = if year.len() <= 2 {
        two_digit_year(value)
    } else {
        value
    };
    let day = day.ok_or_else(refused)?;
    parsed.days = Some(checked_days(value, month, day, false).ok_or_else(out_of_range)?);
    Ok(())
}

fn moment_us(parsed: &Parsed, text: &[u8]) -> Result<i64, ValueError> {
    if let Some(special) = parsed.special {
        return Ok(special);
    }
    let days = parsed
        .days
        .ok_or_else(|| ValueError::datetime("timestamp", text))?;
    if !(DAY_MIN..=DAY_MAX).contains(&days) {
        return Err(timestamp_range(text));
    }
    days.checked_mul(US_PER_DAY)
        .and_then(|us| us.checked_add(parsed.time_us.unwrap_or(0)))
        .ok_or_else(|| timestamp_range(text))
}

fn timestamp_range(text: &[u8]) -> ValueError {
    ValueError::new(
        crate::SqlState::DATETIME_FIELD_OVERFLOW,
        format!(
            "timestamp out of range: \"{}\"",
            String::from_utf8_lossy(text)
        ),
    )
}

/// Reads a timestamp without zone; an offset in the text is ignored, as PostgreSQL does.
///
/// # Errors
/// 22007 and 22008.
pub fn parse_timestamp(text: &[u8]) -> Result<i64, ValueError> {
    if let Some((us, _)) = parse_timestamp_fast(text) {
        return Ok(us);
    }
    moment_us(&parse_moment("timestamp", text)?, text)
}

/// Reads a timestamp; without an offset it is what the clocks of `zone` show.
///
/// # Errors
/// 22007 and 22008.
pub fn parse_timestamptz(text: &[u8], zone: &TimeZone) -> Result<i64, ValueError> {
    if let Some((us, offset)) = parse_timestamp_fast(text) {
        return Ok(match offset {
            Some(offset) => us - i64::from(offset) * US_PER_SECOND,
            None => zone.instant(us),
        });
    }
    let parsed = parse_moment("timestamp with time zone", text)?;
    let us = moment_us(&parsed, text)?;
    Ok(match parsed.special {
        Some(special) => special,
        None => parsed.zone.unwrap_or(*zone).instant(us),
    })
}

/// Reads a date; a time behind it is ignored.
///
/// # Errors
/// 22007 and 22008.
pub fn parse_date(text: &[u8]) -> Result<i32, ValueError> {
    let parsed = parse_moment("date", text)?;
    match (parsed.special, parsed.days) {
        (Some(INFINITY), _) => Ok(DATE_INFINITY),
        (Some(NEGATIVE_INFINITY), _) => Ok(DATE_NEGATIVE_INFINITY),
        (Some(_), _) => Ok(0),
        (None, Some(days)) if (DAY_MIN..=DATE_MAX).contains(&days) => {
            i32::try_from(days).map_err(|_| ValueError::field(text))
        }
        (None, Some(_)) => Err(ValueError::new(
            crate::SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: \"{}\"", String::from_utf8_lossy(text)),
        )),
        (None, None) => Err(ValueError::datetime("date", text)),
    }
}

/// `040506` and `0405`, which a time of day may be, with colons; none for other texts.
fn colons(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.trim_ascii();
    let fits = matches!(digits.len(), 4 | 6) && digits.iter().all(u8::is_ascii_digit);
    let pairs: Vec<&[u8]> = digits.chunks(2).collect();
    fits.then(|| pairs.join(&b':'))
}

/// Reads a time of day; a date before it is ignored.
///
/// # Errors
/// 22007 and 22008.
pub fn parse_time(text: &[u8]) -> Result<i64, ValueError> {
    let spaced = colons(text);
    let parsed = parse_moment("time", spaced.as_deref().unwrap_or(text))?;
    parsed
        .time_us
        .ok_or_else(|| ValueError::datetime("time", text))
}

/// Reads a time of day and its seconds east of Greenwich: those of `zone` where none are written.
///
/// # Errors
/// 22007 and 22008.
pub fn parse_timetz(text: &[u8], zone: &TimeZone) -> Result<(i64, i32), ValueError> {
    let spaced = colons(text);
    let parsed = parse_moment("time with time zone", spaced.as_deref().unwrap_or(text))?;
    let refused = || ValueError::datetime("time with time zone", text);
    let us = parsed.time_us.ok_or_else(refused)?;
    // A zone whose clocks jump needs a date.
    let dated = match (parsed.zone, parsed.days) {
        (Some(TimeZone::Named(_)), None) => return Err(refused()),
        (given, days) => (given.unwrap_or(*zone), days.unwrap_or(0)),
    };
    let (zone, days) = dated;
    let instant = zone.instant(days.saturating_mul(US_PER_DAY).saturating_add(us));
    Ok((us, zone.offset_at(instant)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn tz(text: &str) -> String {
        let us = parse_timestamptz(text.as_bytes(), &TimeZone::Utc).unwrap();
        let mut out = Vec::new();
        write_timestamptz(us, &TimeZone::Utc, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_are_read_and_shown_as_postgresql_does() {
        // Recorded on PostgreSQL 15 with TimeZone UTC.
        for (text, shown) in [
            (
                "2025-03-03 00:00:00.000001+00",
                "2025-03-03 00:00:00.000001+00",
            ),
            ("2025-03-03T12:34:56Z", "2025-03-03 12:34:56+00"),
            (
                "2025-03-03 12:34:56.5 America/New_York",
                "2025-03-03 17:34:56.5+00",
            ),
            ("2025-03-03 12:34+05:30", "2025-03-03 07:04:00+00"),
            ("20250303", "2025-03-03 00:00:00+00"),
            ("20250303T123456", "2025-03-03 12:34:56+00"),
            ("Mar 3 2025 1:02 PM", "2025-03-03 13:02:00+00"),
            ("3/4/2025", "2025-03-04 00:00:00+00"),
            (
                "2025-03-03 00:00:00.1234567",
                "2025-03-03 00:00:00.123457+00",
            ),
            ("0044-03-15 BC", "0044-03-15 00:00:00+00 BC"),
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
            ("epoch", "1970-01-01 00:00:00+00"),
            (
                "1969-12-31 23:59:59.999999+00",
                "1969-12-31 23:59:59.999999+00",
            ),
        ] {
            assert_eq!(tz(text), shown, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_has_postgresqls_code() {
        for (text, code) in [
            ("", "22007"),
            ("yesterdayish", "22007"),
            ("2025-13-01", "22008"),
            ("2025-02-29", "22008"),
            ("2025-01-01 25:00", "22008"),
            ("2025-01-01 12:61:00", "22008"),
            ("12", "22007"),
        ] {
            let error = parse_timestamptz(text.as_bytes(), &TimeZone::Utc).unwrap_err();
            assert_eq!(error.code.as_str(), code, "{text}: {error}");
        }
    }

    #[test]
    fn calendar_days_count_both_ways() {
        for days in (-800_000..800_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!(day <= days_in_month(year, month));
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
    }
}
