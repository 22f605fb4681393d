//! A format picture, cut into its fields and what stands between them.

use chronolith_types::SqlState;

use super::super::error::FunctionError;

/// One piece of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A field, by its keyword.
    Field {
        key: &'static str,
        modifiers: Modifiers,
    },
    /// A space.
    Space(char),
    /// Punctuation; in pictures of times only.
    Separator(char),
    /// Any other character, and every one in double quotes.
    Char(char),
}

/// What is written around a field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Modifiers {
    /// `FM`: without padding.
    pub(super) fill: bool,
    /// `TM`: names in the words of the locale, which is English, and without padding.
    pub(super) local: bool,
    /// `TH`: an ordinal ending.
    pub(super) ordinal_upper: bool,
    /// `th`.
    pub(super) ordinal_lower: bool,
}

impl Modifiers {
    pub(super) fn ordinal(self) -> bool {
        self.ordinal_upper || self.ordinal_lower
    }
}

/// Fields of times, the longer ones before those they begin with.
const TIMES: &[&str] = &[
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "Day", "Dy", "D",
    "FF1", "FF2", "FF3", "FF4", "FF5", "FF6", "FX", "HH24", "HH12", "HH", "IDDD", "ID", "IW",
    "IYYY", "IYY", "IY", "I", "J", "MI", "MM", "MONTH", "MON", "MS", "Month", "Mon", "OF", "P.M.",
    "PM", "Q", "RM", "SSSSS", "SSSS", "SS", "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY",
    "YYY", "YY", "Y", "a.d.", "a.m.", "ad", "am", "b.c.", "bc", "cc", "day", "ddd", "dd", "dy",
    "d", "ff1", "ff2", "ff3", "ff4", "ff5", "ff6", "fx", "hh24", "hh12", "hh", "iddd", "id", "iw",
    "iyyy", "iyy", "iy", "i", "j", "mi", "mm", "month", "mon", "ms", "of", "p.m.", "pm", "q", "rm",
    "sssss", "ssss", "ss", "tzh", "tzm", "tz", "us", "ww", "w", "y,yyy", "yyyy", "yyy", "yy", "y",
];

/// Fields of numbers.
const NUMBERS: &[&str] = &[
    ",", ".", "0", "9", "B", "C", "D", "EEEE", "FM", "G", "L", "MI", "PL", "PR", "RN", "SG", "SP",
    "S", "TH", "V", "b", "c", "d", "eeee", "fm", "g", "l", "mi", "pl", "pr", "rn", "sg", "sp", "s",
    "th", "v",
];

/// What a picture is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Number,
}

pub(super) fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// The blanks that C knows.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// The pieces of a picture.
pub(super) fn parse(picture: &str, kind: Kind) -> Vec<Node> {
    let keys = match kind {
        Kind::Time => TIMES,
        Kind::Number => NUMBERS,
    };
    let mut nodes = Vec::new();
    let mut rest = picture;
    while !rest.is_empty() {
        let mut modifiers = Modifiers::default();
        if kind == Kind::Time {
            if let Some(tail) = either(rest, "FM", "fm") {
                modifiers.fill = true;
                rest = tail;
            } else if let Some(tail) = either(rest, "TM", "tm") {
                modifiers.local = true;
                rest = tail;
            }
        }
        if let Some((key, tail)) = keys
            .iter()
            .find_map(|key| Some((*key, rest.strip_prefix(key)?)))
        {
            rest = tail;
            if kind == Kind::Time {
                if let Some(tail) = rest.strip_prefix("TH") {
                    modifiers.ordinal_upper = true;
                    rest = tail;
                } else if let Some(tail) = rest.strip_prefix("th") {
                    modifiers.ordinal_lower = true;
                    rest = tail;
                } else if let Some(tail) = rest.strip_prefix("SP") {
                    rest = tail;
                }
            }
            nodes.push(Node::Field { key, modifiers });
            continue;
        }
        let mut chars = rest.chars();
        match chars.next() {
            None => break,
            Some('"') => {
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        // A backslash quotes the next character, if there is one.
                        '\\' => nodes.push(Node::Char(chars.next().unwrap_or('\\'))),
                        c => nodes.push(Node::Char(c)),
                    }
                }
            }
            Some(mut c) => {
                if c == '\\' && chars.as_str().starts_with('"') {
                    chars.next();
                    c = '"';
                }
                nodes.push(if kind == Kind::Time && is_separator(c) {
                    Node::Separator(c)
                } else if is_space(c) {
                    Node::Space(c)
                } else {
                    Node::Char(c)
                });
            }
        }
        rest = chars.as_str();
    }
    nodes
}

fn either<'a>(text: &'a str, one: &str, other: &str) -> Option<&'a str> {
    text.strip_prefix(one).or_else(|| text.strip_prefix(other))
}

/// The ending of a number as an ordinal.
pub(super) fn ordinal(digits: &str, upper: bool) -> Result<&'static str, FunctionError> {
    let mut back = digits.bytes().rev();
    let last = back.next().filter(u8::is_ascii_digit).ok_or_else(|| {
        FunctionError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("\"{digits}\" is not a number"),
        )
    })?;
    // 11th, 12th and 13th.
    let teen = back.next() == Some(b'1');
    Ok(match (last, teen, upper) {
        (b'1', false, true) => "ST",
        (b'1', false, false) => "st",
        (b'2', false, true) => "ND",
        (b'2', false, false) => "nd",
        (b'3', false, true) => "RD",
        (b'3', false, false) => "rd",
        (_, _, true) => "TH",
        (_, _, false) => "th",
    })
}

pub(super) const ROMAN_MONTHS: [&str; 12] = [
    "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII",
];

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Sunday on.
pub(super) const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
