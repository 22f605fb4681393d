//! to_char of numbers.

use chronolith_types::{SqlState, SqlType};

use super::super::error::FunctionError;
use super::super::num::{self, Numeric};
use super::super::udf::Context;
use super::super::value::Value;
use super::pattern::{Kind, Node, ordinal, parse};

/// Where the sign of `S` stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sign {
    #[default]
    None,
    Before,
    After,
}

/// What a picture of a number says as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    pub(super) nodes: Vec<Node>,
    /// Digits before the point.
    pub(super) before: usize,
    /// Digits behind it.
    pub(super) after: usize,
    /// Digits behind `V`.
    pub(super) shifted: usize,
    pub(super) sign: Sign,
    /// Digits before the `S`.
    sign_at: usize,
    /// The place of the first `0`, from 1; 0 for none.
    zero_start: usize,
    zero_end: usize,
    blank: bool,
    pub(super) fill: bool,
    pub(super) point: bool,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) bracket: bool,
    pub(super) roman: bool,
    pub(super) multiplied: bool,
    pub(super) scientific: bool,
}

fn wrong(message: &str) -> FunctionError {
    FunctionError::new(SqlState::SYNTAX_ERROR, message)
}

impl Picture {
    pub(super) fn read(text: &str) -> Result<Self, FunctionError> {
        let mut picture = Self::default();
        let nodes = parse(text, Kind::Number);
        for node in &nodes {
            if let Node::Field { key, .. } = node {
                picture.add(&key.to_ascii_uppercase())?;
            }
        }
        picture.nodes = nodes;
        Ok(picture)
    }

    fn add(&mut self, key: &str) -> Result<(), FunctionError> {
        if self.scientific && key != "EEEE" {
            return Err(wrong("\"EEEE\" must be the last pattern used"));
        }
        let signed = self.plus || self.minus;
        match key {
            "9" | "0" if self.bracket => {
                return Err(wrong(&format!("\"{key}\" must be ahead of \"PR\"")));
            }
            "9" if self.multiplied => self.shifted += 1,
            "9" if self.point => self.after += 1,
            "9" => self.before += 1,
            "0" => {
                if self.zero_start == 0 && !self.point {
                    self.zero_start = self.before + 1;
                }
                if self.point {
                    self.after += 1;
                } else {
                    self.before += 1;
                }
                self.zero_end = self.before + self.after;
            }
            "B" if self.before == 0 && self.after == 0 => self.blank = true,
            "D" | "." => {
                if self.point {
                    return Err(wrong("multiple decimal points"));
                }
                if self.multiplied {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.point = true;
            }
            "FM" => self.fill = true,
            "S" => {
                if self.sign != Sign::None {
                    return Err(wrong("cannot use \"S\" twice"));
                }
                if signed || self.bracket {
                    return Err(wrong(
                        "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together",
                    ));
                }
                self.sign = if self.point {
                    Sign::After
                } else {
                    self.sign_at = self.before;
                    Sign::Before
                };
            }
            "MI" | "PL" | "SG" => {
                if self.sign != Sign::None {
                    return Err(wrong(&format!("cannot use \"S\" and \"{key}\" together")));
                }
                self.minus |= key != "PL";
                self.plus |= key != "MI";
            }
            "PR" => {
                if self.sign != Sign::None || signed {
                    return Err(wrong(
                        "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together",
                    ));
                }
                self.bracket = true;
            }
            "RN" => self.roman = true,
            "V" => {
                if self.point {
                    return Err(wrong("cannot use \"V\" and decimal point together"));
                }
                self.multiplied = true;
            }
            "EEEE" => {
                if self.scientific {
                    return Err(wrong("cannot use \"EEEE\" twice"));
                }
                let other = self.blank
                    || self.fill
                    || self.sign != Sign::None
                    || self.bracket
                    || signed
                    || self.roman
                    || self.multiplied;
                if other {
                    return Err(wrong("\"EEEE\" is incompatible with other formats").with_detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.scientific = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn overflow(&self) -> String {
        format!("{}.{}", "#".repeat(self.before), "#".repeat(self.after))
    }

    /// What stands for a number that has no digits, in scientific form.
    fn no_digits(&self) -> String {
        let mut out: Vec<char> = vec!['#'; self.before + self.after + 6];
        if let Some(first) = out.first_mut() {
            *first = ' ';
        }
        if let Some(point) = out.get_mut(self.before + 1) {
            *point = '.';
        }
        out.into_iter().collect()
    }

    /// The picture filled by a number's text, whose digits behind the point are as many as asked.
    fn filled_by(&mut self, text: &str) -> Result<Value, FunctionError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let whole = digits.find('.').unwrap_or(digits.len());
        if whole > self.before {
            return self.filled(&self.overflow(), 0, negative);
        }
        self.filled(digits, self.before - whole, negative)
    }

    fn filled(&self, digits: &str, spaces: usize, negative: bool) -> Result<Value, FunctionError> {
        Filler::new(self.clone(), digits, spaces, negative).run()
    }
}

fn roman(value: i64) -> String {
    const STEPS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..=3999).contains(&value) {
        return "#".repeat(15);
    }
    let mut rest = value;
    let mut out = String::new();
    for (step, letters) in STEPS {
        while rest >= step {
            out.push_str(letters);
            rest -= step;
        }
    }
    out
}

/// C's `%+.*e`, with a space for a plus.
fn exponential(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let space = if value.is_sign_negative() { "" } else { " " };
    format!("{space}{mantissa}e{exponent:+03}")
}

/// A numeric as digit, point, digits and exponent.
fn numeric_exponential(value: &Numeric, digits: usize) -> Result<String, FunctionError> {
    let text = text_of(value);
    let (space, text) = match text.strip_prefix('-') {
        Some(text) => ("-", text),
        None => (" ", text.as_str()),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all = format!("{whole}{fraction}");
    let first = all.find(|c| c != '0');
    let exponent = first.map_or(0, |first| length(whole) - length_of(first) - 1);
    // The significand by the same rounding as any numeric.
    let significant = match first {
        None => "0".to_owned(),
        Some(first) => {
            let (head, tail) = all.get(first..).unwrap_or("0").split_at(1);
            format!("{head}.{tail}0")
        }
    };
    let places = i32::try_from(digits).unwrap_or(i32::MAX);
    let rounded = num::round(&num::parse(&significant)?, places)?;
    Ok(format!("{space}{}e{exponent:+03}", shown(&rounded, digits)))
}

fn length(text: &str) -> i64 {
    length_of(text.len())
}

fn length_of(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn text_of(value: &Numeric) -> String {
    let mut out = Vec::new();
    value.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// A numeric with so many digits behind the point.
fn shown(value: &Numeric, digits: usize) -> String {
    let mut text = text_of(value);
    let has = text.find('.').map_or(0, |point| text.len() - point - 1);
    if has < digits {
        if has == 0 {
            text.push('.');
        }
        text.extend(std::iter::repeat_n('0', digits - has));
    }
    text
}

fn shift(picture: &Picture) -> Result<Numeric, FunctionError> {
    num::parse(&format!("1{}", "0".repeat(picture.shifted)))
}

/// to_char(integer or bigint, text).
pub(super) fn integer(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Int(value), picture] = args else {
        return Ok(Value::Null);
    };
    let mut picture = Picture::read(picture.as_str())?;
    if picture.nodes.is_empty() {
        return Ok(Value::text(""));
    }
    if picture.roman {
        return picture.filled(&roman(*value), 0, false);
    }
    if picture.scientific {
        return Ok(Value::Text(
            if context.args.first() == Some(&SqlType::Int4) {
                exponential(*value as f64, picture.after)
            } else {
                numeric_exponential(&num::from_i64(*value), picture.after)?
            },
        ));
    }
    let mut value = *value;
    if picture.multiplied {
        let small = context.args.first() == Some(&SqlType::Int4);
        let range = || FunctionError::out_of_range(if small { "integer" } else { "bigint" });
        let power = u32::try_from(picture.shifted).map_err(|_| range())?;
        value = 10_i64
            .checked_pow(power)
            .and_then(|power| value.checked_mul(power))
            .filter(|value| !small || i32::try_from(*value).is_ok())
            .ok_or_else(range)?;
        picture.before += picture.shifted;
    }
    let mut text = value.to_string();
    if picture.after > 0 {
        text.push('.');
        text.extend(std::iter::repeat_n('0', picture.after));
    }
    picture.filled_by(&text)
}

/// to_char(numeric, text).
pub(super) fn numeric(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Numeric(value), picture] = args else {
        return Ok(Value::Null);
    };
    let mut picture = Picture::read(picture.as_str())?;
    if picture.nodes.is_empty() {
        return Ok(Value::text(""));
    }
    let finite = matches!(value, Numeric::Finite { .. });
    if picture.roman {
        let whole = num::to_i64(&num::round(value, 0)?, "integer")?;
        let whole = i32::try_from(whole).map_err(|_| FunctionError::out_of_range("integer"))?;
        return picture.filled(&roman(whole.into()), 0, false);
    }
    if picture.scientific {
        return Ok(Value::Text(if finite {
            numeric_exponential(value, picture.after)?
        } else {
            picture.no_digits()
        }));
    }
    let mut value = *value;
    if picture.multiplied {
        value = num::mul(&value, &shift(&picture)?)?;
        picture.before += picture.shifted;
    }
    let places = i32::try_from(picture.after).unwrap_or(i32::MAX);
    let rounded = num::round(&value, places)?;
    let text = if finite {
        shown(&rounded, picture.after)
    } else {
        text_of(&rounded)
    };
    picture.filled_by(&text)
}

/// to_char(real or double precision, text).
pub(super) fn float(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Float(value), picture] = args else {
        return Ok(Value::Null);
    };
    let small = context.args.first() == Some(&SqlType::Float4);
    let mut picture = Picture::read(picture.as_str())?;
    if picture.nodes.is_empty() {
        return Ok(Value::text(""));
    }
    if picture.roman {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates out of the range"
        )]
        let whole = value.round_ties_even() as i64;
        return picture.filled(&roman(whole), 0, false);
    }
    if picture.scientific {
        return Ok(Value::Text(if value.is_finite() {
            exponential(*value, picture.after)
        } else {
            picture.no_digits()
        }));
    }
    let mut value = *value;
    if picture.multiplied {
        value *= 10_f64.powi(i32::try_from(picture.shifted).unwrap_or(i32::MAX));
        picture.before += picture.shifted;
    }
    // No more digits than the type has.
    let most = if small { 6 } else { 15 };
    let whole = c_fixed(value.abs(), 0).len();
    if whole >= most {
        picture.after = 0;
    } else if whole + picture.after > most {
        picture.after = most - whole;
    }
    let text = c_fixed(value, picture.after);
    picture.filled_by(&text)
}

/// C's `%.*f`.
fn c_fixed(value: f64, digits: usize) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        format!("{value:.digits$}")
    }
}

/// Walks a picture and a number's digits side by side.
struct Filler {
    picture: Picture,
    digits: Vec<u8>,
    /// The next digit.
    at: usize,
    spaces: usize,
    negative: bool,
    sign_written: bool,
    /// The last digit behind the point that must be shown, or the point itself.
    last_relevant: Option<usize>,
    count: usize,
    current: usize,
    inside: bool,
    zero_start: usize,
    out: Vec<u8>,
}

impl Filler {
    fn new(picture: Picture, digits: &str, spaces: usize, negative: bool) -> Self {
        let mut filler = Self {
            digits: digits.as_bytes().to_vec(),
            at: 0,
            spaces,
            negative,
            sign_written: false,
            last_relevant: None,
            count: 0,
            current: 0,
            inside: false,
            zero_start: picture.zero_start.saturating_sub(1),
            out: Vec::new(),
            picture,
        };
        filler.prepare();
        filler
    }

    fn zeros(&self) -> bool {
        self.picture.zero_start > 0
    }

    fn digit(&self, at: usize) -> u8 {
        self.digits.get(at).copied().unwrap_or(0)
    }

    fn prepare(&mut self) {
        let picture = &mut self.picture;
        if picture.roman {
            let fill = picture.fill;
            *picture = Picture {
                nodes: std::mem::take(&mut picture.nodes),
                roman: true,
                fill,
                ..Picture::default()
            };
            self.spaces = 0;
            self.zero_start = 0;
        }
        if picture.plus || picture.minus {
            // MI, PL and SG write it themselves; PL alone leaves the minus to the number.
            self.sign_written = picture.minus;
        } else {
            if !self.negative && picture.fill {
                picture.bracket = false;
            }
            self.sign_written = !self.negative && picture.fill && picture.sign == Sign::None;
            if picture.sign == Sign::Before && picture.before == picture.sign_at {
                picture.sign = Sign::After;
            }
        }
        self.count = (picture.after + picture.before).wrapping_sub(1);
        if picture.fill
            && picture.point
            && let Some(point) = self.digits.iter().position(|c| *c == b'.')
        {
            let mut last = self
                .digits
                .iter()
                .rposition(|c| *c != b'0')
                .unwrap_or(point)
                .max(point);
            // Digits of `0` stay.
            if picture.zero_end > self.spaces {
                let zero = (self.digits.len() - 1).min(picture.zero_end - self.spaces);
                last = last.max(zero);
            }
            self.last_relevant = Some(last);
        }
        if !self.sign_written && self.spaces == 0 {
            self.count = self.count.wrapping_add(1);
        }
    }

    fn run(mut self) -> Result<Value, FunctionError> {
        let nodes = std::mem::take(&mut self.picture.nodes);
        for node in nodes {
            match node {
                Node::Field { key, .. } => self.field(key)?,
                Node::Space(c) | Node::Separator(c) | Node::Char(c) => {
                    let mut buffer = [0; 4];
                    self.out
                        .extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
                }
            }
        }
        // As in C, a digit past the end ends the text.
        let end = self.out.iter().position(|c| *c == 0);
        self.out.truncate(end.unwrap_or(self.out.len()));
        Ok(Value::text(String::from_utf8_lossy(&self.out)))
    }

    fn field(&mut self, key: &'static str) -> Result<(), FunctionError> {
        let fill = self.picture.fill;
        match key.to_ascii_uppercase().as_str() {
            "9" | "0" | "." | "D" => self.part(key == "0"),
            "," | "G" => {
                if self.inside {
                    self.out.push(b',');
                } else if !fill {
                    self.out.push(b' ');
                }
            }
            // The C locale has no currency.
            "L" => self.out.push(b' '),
            "RN" => {
                let digits = String::from_utf8_lossy(&self.digits).into_owned();
                let digits = if key == "rn" {
                    digits.to_lowercase()
                } else {
                    digits
                };
                let shown = if fill {
                    digits
                } else {
                    format!("{digits:>15}")
                };
                self.out.extend_from_slice(shown.as_bytes());
            }
            "TH" => {
                let none = self.picture.roman
                    || self.digits.first() == Some(&b'#')
                    || self.negative
                    || self.picture.point;
                if !none {
                    let digits = String::from_utf8_lossy(&self.digits);
                    let ending = ordinal(&digits, key == "TH")?;
                    self.out.extend_from_slice(ending.as_bytes());
                }
            }
            "MI" if self.negative => self.out.push(b'-'),
            "PL" if !self.negative => self.out.push(b'+'),
            "MI" | "PL" if !fill => self.out.push(b' '),
            "SG" => self.out.push(self.sign()),
            _ => {}
        }
        Ok(())
    }

    /// Whether the next digit is the 0 before a point, which a 9 leaves out.
    fn before_point(&self) -> bool {
        !self.zeros() && self.at == 0 && self.digit(0) == b'0' && self.picture.after != 0
    }

    fn relevant_is_point(&self) -> bool {
        self.last_relevant
            .is_some_and(|last| self.digit(last) == b'.')
    }

    fn sign(&self) -> u8 {
        if self.negative { b'-' } else { b'+' }
    }

    fn part(&mut self, zero: bool) {
        if self.picture.roman {
            return;
        }
        let fill = self.picture.fill;
        self.inside = false;
        let starts =
            self.current >= self.spaces || (self.zeros() && self.zero_start == self.current);
        if !self.sign_written && starts && (!self.before_point() || self.relevant_is_point()) {
            if self.picture.sign != Sign::None {
                if self.picture.sign == Sign::Before {
                    self.out.push(self.sign());
                    self.sign_written = true;
                }
            } else if self.picture.bracket {
                self.out.push(if self.negative { b'<' } else { b' ' });
                self.sign_written = true;
            } else if self.negative {
                self.out.push(b'-');
                self.sign_written = true;
            } else {
                if !fill {
                    self.out.push(b' ');
                }
                self.sign_written = true;
            }
        }
        if self.current < self.spaces && (self.zero_start > self.current || !self.zeros()) {
            if !fill {
                self.out.push(b' ');
            }
        } else if self.zeros() && self.current < self.spaces && self.zero_start <= self.current {
            self.out.push(b'0');
            self.inside = true;
        } else {
            if self.digit(self.at) == b'.' {
                if !self.relevant_is_point() || fill {
                    self.out.push(b'.');
                }
            } else if !zero && self.last_relevant.is_some_and(|last| self.at > last) {
                // Left out.
            } else if self.before_point() {
                if !fill {
                    self.out.push(b' ');
                } else if self.relevant_is_point() {
                    self.out.push(b'0');
                }
            } else {
                self.out.push(self.digit(self.at));
                self.inside = true;
            }
            if self.at < self.digits.len() {
                self.at += 1;
            }
        }
        let mut end = self
            .count
            .wrapping_add(usize::from(self.spaces > 0))
            .wrapping_add(usize::from(self.picture.point));
        if self.last_relevant == Some(self.at) {
            end = self.current;
        }
        if self.current.wrapping_add(1) == end {
            if self.sign_written && self.picture.bracket {
                self.out.push(if self.negative { b'>' } else { b' ' });
            } else if self.picture.sign == Sign::After {
                self.out.push(self.sign());
            }
        }
        self.current += 1;
    }
}
