//! to_date and to_timestamp: a text read by a picture.

use chronolith_types::SqlState;

use super::super::calendar::iso_start;
use super::super::dates::{self, DAY_US, civil, days, days_in_month};
use super::super::error::FunctionError;
use super::super::io::Zone;
use super::super::value::Value;
use super::pattern::{
    DAYS, Kind, MONTHS, Modifiers, Node, ROMAN_MONTHS, is_separator, is_space, parse,
};

/// to_date(text, text).
pub(super) fn to_date(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(moment) = moment(args)? else {
        return Ok(Value::Null);
    };
    dates::date(days(moment.year, moment.month, moment.day)).map_err(|_| {
        FunctionError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date out of range: \"{}\"", moment.text),
        )
    })
}

/// to_timestamp(text, text).
pub(super) fn to_timestamp(zone: &Zone, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(moment) = moment(args)? else {
        return Ok(Value::Null);
    };
    let wall = i128::from(days(moment.year, moment.month, moment.day)) * i128::from(DAY_US)
        + i128::from(moment.us);
    let us = match moment.offset {
        Some(offset) => dates::timestamp(wall - i128::from(offset) * 1_000_000)?,
        None => zone.to_utc(dates::timestamp(wall)?),
    };
    Ok(Value::Timestamp(us))
}

/// What was read.
struct Moment {
    year: i64,
    month: i64,
    day: i64,
    /// Of the day.
    us: i64,
    /// Seconds east of Greenwich, when given.
    offset: Option<i64>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Convention {
    Gregorian,
    IsoWeek,
}

/// The fields as they stand in the text; 0 is one that does not, as in PostgreSQL.
#[derive(Debug, Default)]
struct Read {
    convention: Option<Convention>,
    hour: i64,
    minute: i64,
    second: i64,
    of_day: i64,
    /// From Sunday, which is 1.
    weekday: i64,
    day: i64,
    year_day: i64,
    month: i64,
    ms: i64,
    us: i64,
    year: i64,
    year_digits: u8,
    century: i64,
    julian: i64,
    week: i64,
    week_of_month: i64,
    bc: i64,
    pm: i64,
    twelve: bool,
    zone_sign: i64,
    zone_hour: i64,
    zone_minute: i64,
}

fn format_error(message: String) -> FunctionError {
    FunctionError::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

fn moment(args: &[Value]) -> Result<Option<Moment>, FunctionError> {
    let [text, picture] = args else {
        return Ok(None);
    };
    let nodes = parse(picture.as_str(), Kind::Time);
    let mut reader = Reader {
        input: text.as_str().chars().collect(),
        at: 0,
        fields: Read::default(),
    };
    reader.run(&nodes)?;
    reader.fields.resolved(text.as_str()).map(Some)
}

struct Reader {
    input: Vec<char>,
    at: usize,
    fields: Read,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.input.get(self.at).copied()
    }

    fn skip_spaces(&mut self) -> i64 {
        let start = self.at;
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        i64::try_from(self.at - start).unwrap_or(0)
    }

    fn run(&mut self, nodes: &[Node]) -> Result<(), FunctionError> {
        let mut exact = false;
        // Characters passed beyond those that the picture has.
        let mut extra = 0;
        for (index, node) in nodes.iter().enumerate() {
            if self.peek().is_none() {
                break;
            }
            let field = match node {
                Node::Field { key, modifiers } => Some((key.to_ascii_uppercase(), *modifiers)),
                _ => None,
            };
            let makes_exact = field.as_ref().is_some_and(|(key, _)| key == "FX");
            if !exact && !makes_exact && (field.is_some() || index == 0) {
                extra += self.skip_spaces();
            }
            match (node, field) {
                (_, Some((key, modifiers))) => {
                    if makes_exact {
                        exact = true;
                        continue;
                    }
                    let whole = modifiers.fill || separated(nodes, index);
                    self.field(&key, node, modifiers, whole, extra)?;
                    if !exact {
                        extra = self.skip_spaces();
                    }
                }
                (Node::Space(_) | Node::Separator(_), None) => {
                    if exact {
                        self.at += 1;
                    } else {
                        extra -= 1;
                        if self.peek().is_some_and(|c| is_space(c) || is_separator(c)) {
                            self.at += 1;
                            extra += 1;
                        }
                    }
                }
                (_, None) => {
                    // What was passed already may stand for it.
                    if !exact && extra > 0 {
                        extra -= 1;
                    } else {
                        self.at += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a field; `whole` lets a number take all digits that follow.
    fn field(
        &mut self,
        key: &str,
        node: &Node,
        modifiers: Modifiers,
        whole: bool,
        extra: i64,
    ) -> Result<(), FunctionError> {
        self.fields.follow(key)?;
        let name = match node {
            Node::Field { key, .. } => key,
            _ => key,
        };
        let width = match key {
            "MS" => 3,
            "US" => 6,
            "HH24" | "HH12" => 2,
            "ID" | "FF1" => 1,
            "FF2" => 2,
            "FF3" => 3,
            "FF4" => 4,
            "FF5" => 5,
            "FF6" => 6,
            "IDDD" => 3,
            key => key.len(),
        };
        let slot: fn(&mut Read) -> &mut i64 = match key {
            "AM" | "PM" | "A.M." | "P.M." => {
                self.fields.twelve = true;
                let found = self.word(name, &["am", "pm"], &["a.m.", "p.m."], key)?;
                return self.set(name, |f| &mut f.pm, found);
            }
            "AD" | "BC" | "A.D." | "B.C." => {
                let found = self.word(name, &["ad", "bc"], &["a.d.", "b.c."], key)?;
                return self.set(name, |f| &mut f.bc, found);
            }
            "MONTH" => {
                let found = self.one_of(name, &MONTHS, usize::MAX)?;
                return self.set(name, |f| &mut f.month, found + 1);
            }
            "MON" => {
                let found = self.one_of(name, &MONTHS, 3)?;
                return self.set(name, |f| &mut f.month, found + 1);
            }
            "DAY" | "DY" => {
                let letters = if key == "DY" { 3 } else { usize::MAX };
                let found = self.one_of(name, &DAYS, letters)?;
                self.set(name, |f| &mut f.weekday, found)?;
                self.fields.weekday += 1;
                return Ok(());
            }
            "RM" => {
                // From December on, so that XII is not taken for X.
                let mut months = ROMAN_MONTHS;
                months.reverse();
                let found = self.one_of(name, &months, usize::MAX)?;
                return self.set(name, |f| &mut f.month, 12 - found);
            }
            "TZ" | "OF" => {
                return Err(FunctionError::unsupported(format!(
                    "formatting field \"{name}\" is only supported in to_char"
                )));
            }
            "TZH" => {
                match self.peek() {
                    Some(sign @ ('+' | '-' | ' ')) => {
                        self.fields.zone_sign = if sign == '-' { -1 } else { 1 };
                        self.at += 1;
                    }
                    // A minus may have been taken for a separator.
                    _ => {
                        let before = self.at.checked_sub(1).and_then(|at| self.input.get(at));
                        let minus = extra > 0 && before == Some(&'-');
                        self.fields.zone_sign = if minus { -1 } else { 1 };
                    }
                }
                let (value, _) = self.integer(name, 2, whole)?;
                return self.set(name, |f| &mut f.zone_hour, value);
            }
            "TZM" => {
                if self.fields.zone_sign == 0 {
                    self.fields.zone_sign = 1;
                }
                let (value, _) = self.integer(name, 2, whole)?;
                return self.set(name, |f| &mut f.zone_minute, value);
            }
            "Y,YYY" => {
                let value = self.thousands(name)?;
                self.fields.year_digits = 4;
                self.set(name, |f| &mut f.year, value)?;
                self.skip_ordinal(modifiers);
                return Ok(());
            }
            "HH" | "HH12" => {
                self.fields.twelve = true;
                |f| &mut f.hour
            }
            "HH24" => |f| &mut f.hour,
            "MI" => |f| &mut f.minute,
            "SS" => |f| &mut f.second,
            "SSSS" | "SSSSS" => |f| &mut f.of_day,
            "MS" => |f| &mut f.ms,
            "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => |f| &mut f.us,
            "MM" => |f| &mut f.month,
            "DDD" | "IDDD" => |f| &mut f.year_day,
            "DD" => |f| &mut f.day,
            "D" | "ID" => |f| &mut f.weekday,
            "WW" | "IW" => |f| &mut f.week,
            "W" => |f| &mut f.week_of_month,
            "CC" => |f| &mut f.century,
            "J" => |f| &mut f.julian,
            "YYYY" | "YYY" | "YY" | "Y" | "IYYY" | "IYY" | "IY" | "I" => |f| &mut f.year,
            // The quarter says nothing of a date.
            _ => {
                self.integer(name, width, whole)?;
                self.skip_ordinal(modifiers);
                return Ok(());
            }
        };
        let (value, length) = self.integer(name, width, whole)?;
        self.set(name, slot, value)?;
        let fields = &mut self.fields;
        match key {
            // 25 and 250 are a quarter of a second; 025 is not.
            "MS" => fields.ms *= power(3, length),
            "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => fields.us *= power(6, length),
            // From Sunday on, like D.
            "ID" => fields.weekday = fields.weekday % 7 + 1,
            "YYYY" | "IYYY" => fields.year_digits = 4,
            "YYY" | "YY" | "Y" | "IYY" | "IY" | "I" => {
                fields.year_digits = u8::try_from(key.len()).unwrap_or(3);
                if length < 4 {
                    fields.year = near_2020(fields.year);
                }
            }
            _ => {}
        }
        self.skip_ordinal(modifiers);
        Ok(())
    }

    fn set(
        &mut self,
        name: &str,
        slot: fn(&mut Read) -> &mut i64,
        value: i64,
    ) -> Result<(), FunctionError> {
        let slot = slot(&mut self.fields);
        if *slot != 0 && *slot != value {
            return Err(format_error(format!(
                "conflicting values for \"{name}\" field in formatting string"
            ))
            .with_detail("This value contradicts a previous setting for the same field type."));
        }
        *slot = value;
        Ok(())
    }

    fn skip_ordinal(&mut self, modifiers: Modifiers) {
        if modifiers.ordinal() {
            self.at = (self.at + 2).min(self.input.len());
        }
    }

    /// A number and how many characters it took.
    fn integer(
        &mut self,
        name: &str,
        width: usize,
        whole: bool,
    ) -> Result<(i64, usize), FunctionError> {
        let start = self.at;
        self.skip_spaces();
        let rest = self.input.get(self.at..).unwrap_or_default();
        let most = if whole { rest.len() } else { width };
        if !whole && rest.len() < width {
            return Err(format_error(format!(
                "source string too short for \"{name}\" formatting field"
            ))
            .with_detail(format!(
                "Field requires {width} characters, but only {} remain.",
                rest.len()
            ))
            .with_hint(
                "If your source string is not fixed-width, try using the \"FM\" modifier.",
            ));
        }
        let taken = rest.get(..most.min(rest.len())).unwrap_or_default();
        let copy: String = rest.iter().take(width).collect();
        let signed = usize::from(matches!(taken.first(), Some('+' | '-')));
        let digits = taken
            .iter()
            .skip(signed)
            .take_while(|c| c.is_ascii_digit())
            .count();
        let used = if digits == 0 { 0 } else { signed + digits };
        if !whole && used > 0 && used < width {
            return Err(
                format_error(format!("invalid value \"{copy}\" for \"{name}\""))
                    .with_detail(format!(
                        "Field requires {width} characters, but only {used} could be parsed."
                    ))
                    .with_hint(
                        "If your source string is not fixed-width, try using the \"FM\" modifier.",
                    ),
            );
        }
        if used == 0 {
            return Err(
                format_error(format!("invalid value \"{copy}\" for \"{name}\""))
                    .with_detail("Value must be an integer."),
            );
        }
        let number: String = taken.iter().take(used).collect();
        self.at += used;
        let value = number.parse::<i32>().map_err(|_| {
            FunctionError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{name}\" in source string is out of range"),
            )
            .with_detail(format!(
                "Value must be in the range {} to {}.",
                i32::MIN,
                i32::MAX
            ))
        })?;
        Ok((value.into(), self.at - start))
    }

    /// `2,026`.
    fn thousands(&mut self, name: &str) -> Result<i64, FunctionError> {
        let wrong = || format_error(format!("invalid input string for \"{name}\""));
        self.skip_spaces();
        let run = |from: usize, most: usize| -> String {
            let rest = self.input.get(from..).unwrap_or_default();
            rest.iter()
                .take(most)
                .take_while(|c| c.is_ascii_digit())
                .collect()
        };
        let thousands = run(self.at, 9);
        let comma = self.at + thousands.len();
        if thousands.is_empty() || self.input.get(comma) != Some(&',') {
            return Err(wrong());
        }
        let rest = run(comma + 1, 3);
        if rest.is_empty() {
            return Err(wrong());
        }
        self.at = comma + 1 + rest.len();
        let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        Ok(number(&thousands)? * 1000 + number(&rest)?)
    }

    fn word(
        &mut self,
        name: &str,
        short: &[&str],
        long: &[&str],
        key: &str,
    ) -> Result<i64, FunctionError> {
        self.one_of(name, if key.len() > 2 { long } else { short }, usize::MAX)
    }

    /// Which of the words stands next, in letters of either case.
    fn one_of(&mut self, name: &str, words: &[&str], letters: usize) -> Result<i64, FunctionError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        for (index, word) in words.iter().enumerate() {
            let length = word.len().min(letters);
            let matches = rest.len() >= length
                && word
                    .chars()
                    .take(length)
                    .zip(rest)
                    .all(|(a, b)| a.eq_ignore_ascii_case(b));
            if matches {
                self.at += length;
                return Ok(i64::try_from(index).unwrap_or(0));
            }
        }
        let shown: String = rest.iter().take_while(|c| !is_space(**c)).collect();
        Err(
            format_error(format!("invalid value \"{shown}\" for \"{name}\"")).with_detail(
                "The given value did not match any of the allowed values for this field.",
            ),
        )
    }
}

fn power(most: u32, length: usize) -> i64 {
    let length = u32::try_from(length).unwrap_or(most);
    10_i64.pow(most.saturating_sub(length))
}

/// The year nearest to 2020 that ends so.
fn near_2020(year: i64) -> i64 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

/// Whether no digit follows a field, so that a number there may be of any length.
fn separated(nodes: &[Node], index: usize) -> bool {
    if let Some(Node::Field { modifiers, .. }) = nodes.get(index)
        && modifiers.ordinal()
    {
        return true;
    }
    match nodes.get(index + 1) {
        None => true,
        Some(Node::Field { key, .. }) => matches!(
            key.to_ascii_uppercase().as_str(),
            "A.D."
                | "A.M."
                | "AD"
                | "AM"
                | "B.C."
                | "BC"
                | "DAY"
                | "DY"
                | "FX"
                | "MONTH"
                | "MON"
                | "OF"
                | "P.M."
                | "PM"
                | "RM"
                | "TZH"
                | "TZ"
        ),
        Some(Node::Space(c) | Node::Separator(c) | Node::Char(c)) => !c.is_ascii_digit(),
    }
}

impl Read {
    /// Gregorian and ISO week fields do not mix.
    fn follow(&mut self, key: &str) -> Result<(), FunctionError> {
        let convention = match key {
            "IDDD" | "ID" | "IW" | "IYYY" | "IYY" | "IY" | "I" => Convention::IsoWeek,
            "DDD" | "DD" | "D" | "MM" | "MONTH" | "MON" | "RM" | "WW" | "W" | "Y,YYY" | "YYYY"
            | "YYY" | "YY" | "Y" => Convention::Gregorian,
            _ => return Ok(()),
        };
        match self.convention {
            Some(known) if known != convention => Err(format_error(
                "invalid combination of date conventions".to_owned(),
            )
            .with_hint(
                "Do not mix Gregorian and ISO week date conventions in a formatting template.",
            )),
            _ => {
                self.convention = Some(convention);
                Ok(())
            }
        }
    }

    fn resolved(mut self, text: &str) -> Result<Moment, FunctionError> {
        let out_of_range = || {
            FunctionError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date/time field value out of range: \"{text}\""),
            )
        };
        let (mut hour, mut minute, mut second) = (0, 0, 0);
        if self.of_day != 0 {
            hour = self.of_day / 3600;
            minute = self.of_day / 60 % 60;
            second = self.of_day % 60;
        }
        for (slot, value) in [
            (&mut hour, self.hour),
            (&mut minute, self.minute),
            (&mut second, self.second),
        ] {
            if value != 0 {
                *slot = value;
            }
        }
        if self.twelve {
            if !(1..=12).contains(&hour) {
                return Err(format_error(format!(
                    "hour \"{hour}\" is invalid for the 12-hour clock"
                ))
                .with_hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            if self.pm != 0 && hour < 12 {
                hour += 12;
            } else if self.pm == 0 && hour == 12 {
                hour = 0;
            }
        }
        let (year, month, day, known) = self.date()?;
        let valid = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && (!known || day <= days_in_month(year, month));
        let us = self.ms * 1000 + self.us;
        let clock = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1_000_000).contains(&us);
        if !valid || !clock || year.abs() > 5_900_000 {
            return Err(out_of_range());
        }
        let mut offset = None;
        if self.zone_sign != 0 {
            if !(0..=15).contains(&self.zone_hour) || !(0..60).contains(&self.zone_minute) {
                return Err(FunctionError::new(
                    SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
                    format!("time zone displacement out of range: \"{text}\""),
                ));
            }
            offset = Some(self.zone_sign * (self.zone_hour * 3600 + self.zone_minute * 60));
        }
        Ok(Moment {
            year,
            month,
            day,
            us: ((hour * 60 + minute) * 60 + second) * 1_000_000 + us,
            offset,
            text: text.to_owned(),
        })
    }

    /// Year (0 is 1 BC), month and day, and whether all three were given.
    fn date(&mut self) -> Result<(i64, i64, i64, bool), FunctionError> {
        let (mut year, mut month, mut day) = (0, 1, 1);
        let mut known = [false; 3];
        if self.bc != 0 {
            self.century = -self.century;
        }
        if self.year != 0 {
            known[0] = true;
            if self.century != 0 && self.year_digits <= 2 {
                year = self.year % 100;
                if year == 0 {
                    year = self.century * 100 + i64::from(self.century < 0);
                } else if self.century >= 0 {
                    year += (self.century - 1) * 100;
                } else {
                    year = (self.century + 1) * 100 - year + 1;
                }
            } else {
                year = if self.bc != 0 { -self.year } else { self.year };
                year += i64::from(year < 0);
            }
        } else if self.century != 0 {
            known[0] = true;
            year = if self.century > 0 {
                (self.century - 1) * 100 + 1
            } else {
                self.century * 100 + 1
            };
        }
        if self.julian != 0 {
            (year, month, day) = civil(self.julian - 2_440_588);
            known = [true; 3];
        }
        let iso = self.convention == Some(Convention::IsoWeek);
        if self.week != 0 {
            if iso {
                let monday = iso_start(year) + (self.week - 1) * 7;
                let date = match self.weekday {
                    0 => monday,
                    1 => monday + 6,
                    weekday => monday + weekday - 2,
                };
                (year, month, day) = civil(date);
                known = [true; 3];
            } else {
                self.year_day = (self.week - 1) * 7 + 1;
            }
        }
        if self.week_of_month != 0 {
            self.day = (self.week_of_month - 1) * 7 + 1;
        }
        if self.day != 0 {
            day = self.day;
            known[2] = true;
        }
        if self.month != 0 {
            month = self.month;
            known[1] = true;
        }
        if self.year_day != 0 && (month <= 1 || day <= 1) {
            if year == 0 && self.bc == 0 {
                return Err(format_error(
                    "cannot calculate day of year without year information".to_owned(),
                ));
            }
            if iso {
                (year, month, day) = civil(iso_start(year) - 1 + self.year_day);
                known = [true; 3];
            } else {
                let mut before = 0;
                let mut found = 1;
                while found <= 12 && self.year_day > before + days_in_month(year, found) {
                    before += days_in_month(year, found);
                    found += 1;
                }
                if month <= 1 {
                    month = found;
                }
                if day <= 1 {
                    day = self.year_day - before;
                }
                known[1] = true;
                known[2] = true;
            }
        }
        Ok((year, month, day, known == [true; 3]))
    }
}
