//! Time zones: UTC, fixed offsets, and the named ones of the IANA database.

use chrono::{Offset, TimeZone as _};
use chrono_tz::Tz;

use crate::datetime::US_PER_SECOND;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeZone {
    /// No offset, ever.
    #[default]
    Utc,
    /// Seconds east of Greenwich.
    Fixed(i32),
    /// A place's rules.
    Named(Tz),
}

impl TimeZone {
    /// A zone by its name, its common abbreviation or an offset such as `+05:30` (east is positive).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("utc")
            || text.eq_ignore_ascii_case("gmt")
            || text.eq_ignore_ascii_case("z")
            || text.eq_ignore_ascii_case("zulu")
            || text.eq_ignore_ascii_case("etc/utc")
        {
            return Some(Self::Utc);
        }
        if let Some(offset) = parse_offset(text.as_bytes()) {
            return Some(Self::Fixed(offset));
        }
        // The abbreviations that PostgreSQL's default set has and traders use.
        let fixed = match text.to_ascii_uppercase().as_str() {
            "EST" => Some(-5),
            "EDT" | "AST" => Some(-4),
            "CST" => Some(-6),
            "CDT" => Some(-5),
            "MST" => Some(-7),
            "MDT" => Some(-6),
            "PST" => Some(-8),
            "PDT" => Some(-7),
            "BST" | "CET" | "MEZ" => Some(1),
            "CEST" | "EET" => Some(2),
            "MSK" | "EEST" => Some(3),
            "JST" => Some(9),
            "WET" => Some(0),
            _ => None,
        };
        if let Some(hours) = fixed {
            return Some(Self::Fixed(hours * 3600));
        }
        Tz::from_str_insensitive(text).ok().map(Self::Named)
    }

    /// The name that SHOW gives.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Fixed(seconds) => {
                let mut out = Vec::new();
                write_offset(*seconds, &mut out);
                let text = String::from_utf8_lossy(&out).into_owned();
                // POSIX counts west of Greenwich, hence the sign within the brackets' rule.
                let (sign, rest) = text.split_at(1);
                let west = if sign == "+" { "-" } else { "+" };
                format!("<{text}>{west}{rest}")
            }
            Self::Named(zone) => zone.name().to_owned(),
        }
    }

    /// Seconds east of Greenwich at an instant (µs since 1970).
    #[must_use]
    pub fn offset_at(&self, utc_us: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Fixed(seconds) => *seconds,
            Self::Named(zone) => {
                let seconds = utc_us.div_euclid(US_PER_SECOND);
                match chrono::DateTime::from_timestamp(seconds, 0) {
                    Some(at) => zone
                        .offset_from_utc_datetime(&at.naive_utc())
                        .fix()
                        .local_minus_utc(),
                    None => 0,
                }
            }
        }
    }

    /// What a clock there writes behind the time at an instant: `UTC`, `CEST`, `+05:30`.
    #[must_use]
    pub fn abbreviation_at(&self, utc_us: i64) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Fixed(seconds) => {
                let mut out = Vec::new();
                write_offset(*seconds, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            }
            Self::Named(zone) => {
                let seconds = utc_us.div_euclid(US_PER_SECOND);
                let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
                zone.offset_from_utc_datetime(&at.naive_utc()).to_string()
            }
        }
    }

    /// What its clocks show (µs since 1970 as if there were no zones) at an instant.
    #[must_use]
    pub fn local(&self, utc_us: i64) -> i64 {
        utc_us.saturating_add(i64::from(self.offset_at(utc_us)) * US_PER_SECOND)
    }

    /// The instant at which its clocks show a time.
    ///
    /// A time that its clocks skip is read with the offset before the jump, one that they show
    /// twice with standard time, as PostgreSQL reads them.
    #[must_use]
    pub fn instant(&self, local_us: i64) -> i64 {
        let guess = i64::from(self.offset_at(local_us)) * US_PER_SECOND;
        match self {
            Self::Utc => local_us,
            Self::Fixed(_) => local_us.saturating_sub(guess),
            Self::Named(_) => {
                const DAY: i64 = 86_400 * US_PER_SECOND;
                let before =
                    i64::from(self.offset_at(local_us.saturating_sub(DAY))) * US_PER_SECOND;
                let after = i64::from(self.offset_at(local_us.saturating_add(DAY))) * US_PER_SECOND;
                if before == after {
                    return local_us.saturating_sub(before);
                }
                let early = local_us.saturating_sub(before);
                let late = local_us.saturating_sub(after);
                let early_fits = self.local(early) == local_us;
                let late_fits = self.local(late) == local_us;
                match (early_fits, late_fits) {
                    // Shown twice: the later instant is the one in standard time.
                    (_, true) => late,
                    (true, false) => early,
                    // Skipped.
                    (false, false) => early,
                }
            }
        }
    }
}

/// Reads `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`.
#[must_use]
pub fn parse_offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let digits: Vec<i32> = rest
        .iter()
        .filter(|byte| **byte != b':')
        .map(|byte| byte.is_ascii_digit().then(|| i32::from(byte - b'0')))
        .collect::<Option<_>>()?;
    let two = |at: usize| Some(digits.get(at)? * 10 + digits.get(at + 1)?);
    let (hours, minutes, seconds) = match digits.len() {
        1 => (*digits.first()?, 0, 0),
        2 => (two(0)?, 0, 0),
        4 => (two(0)?, two(2)?, 0),
        6 => (two(0)?, two(2)?, two(4)?),
        _ => return None,
    };
    (hours <= 15 && minutes < 60 && seconds < 60)
        .then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// Appends an offset as timestamps show it: `+00`, `+05:30`.
pub fn write_offset(seconds: i32, out: &mut Vec<u8>) {
    out.push(if seconds < 0 { b'-' } else { b'+' });
    let total = seconds.unsigned_abs();
    crate::datetime::write_two(total / 3600, out);
    if !total.is_multiple_of(3600) {
        out.push(b':');
        crate::datetime::write_two(total / 60 % 60, out);
        if !total.is_multiple_of(60) {
            out.push(b':');
            crate::datetime::write_two(total % 60, out);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn clocks_that_jump_are_read_as_postgresql_reads_them() {
        let zone = TimeZone::parse("America/New_York").unwrap();
        let at = |text: &str| crate::datetime::parse_timestamp(text.as_bytes()).unwrap();
        // Recorded on PostgreSQL 15: 02:30 is skipped on 2025-03-09, 01:30 shown twice on 11-02.
        for (local, utc) in [
            ("2025-03-09 02:30:00", "2025-03-09 07:30:00"),
            ("2025-11-02 01:30:00", "2025-11-02 06:30:00"),
            ("2025-07-01 12:00:00", "2025-07-01 16:00:00"),
        ] {
            assert_eq!(zone.instant(at(local)), at(utc), "{local}");
        }
        assert_eq!(TimeZone::parse("+05:30").unwrap(), TimeZone::Fixed(19_800));
        assert_eq!(TimeZone::parse("Mars/Olympus"), None);
    }
}
