//! to_number: a text read by a picture.

use super::super::error::FunctionError;
use super::super::num;
use super::super::value::Value;
use super::numbers::{Picture, Sign};
use super::pattern::Node;

/// to_number(text, text).
pub(super) fn to_number(args: &[Value]) -> Result<Value, FunctionError> {
    let [text, picture] = args else {
        return Ok(Value::Null);
    };
    if picture.as_str().is_empty() {
        return Ok(Value::Null);
    }
    let picture = Picture::read(picture.as_str())?;
    if picture.scientific {
        return Err(FunctionError::unsupported(
            "\"EEEE\" not supported for input",
        ));
    }
    if picture.roman {
        return Err(FunctionError::unsupported("\"RN\" not supported for input"));
    }
    let mut reader = Reader {
        input: text.as_str().chars().collect(),
        at: 0,
        sign: None,
        digits: String::new(),
        before: 0,
        after: 0,
        point: false,
        picture: &picture,
    };
    reader.run();
    let mut digits = reader.digits;
    if digits.ends_with('.') {
        digits.pop();
    }
    let sign = match reader.sign {
        Some('-') => "-",
        _ => "",
    };
    if digits.is_empty() {
        // As PostgreSQL says it, which has a place for the sign.
        let sign = if sign.is_empty() { " " } else { sign };
        return Err(chronolith_types::ValueError::syntax("numeric", sign.as_bytes()).into());
    }
    let number = num::parse(&format!("{sign}{digits}"))?;
    let precision = picture.before + picture.shifted + reader.after;
    let number = num::limit(
        &number,
        u8::try_from(precision).unwrap_or(u8::MAX),
        i8::try_from(reader.after).unwrap_or(i8::MAX),
    )?;
    Ok(Value::Numeric(if picture.multiplied {
        let shift = num::parse(&format!("1{}", "0".repeat(picture.shifted)))?;
        num::div(&number, &shift)?
    } else {
        number
    }))
}

struct Reader<'a> {
    input: Vec<char>,
    at: usize,
    sign: Option<char>,
    digits: String,
    before: usize,
    after: usize,
    point: bool,
    picture: &'a Picture,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.input.get(self.at).copied()
    }

    fn run(&mut self) {
        let picture = self.picture;
        for node in &picture.nodes {
            let Some(next) = self.peek() else {
                break;
            };
            let Node::Field { key, .. } = node else {
                // One character for each of the picture's own, whichever it is.
                self.at += 1;
                continue;
            };
            match key.to_ascii_uppercase().as_str() {
                "9" | "0" | "." | "D" => {
                    self.part(matches!(*key, "9" | "0"));
                    self.at += 1;
                }
                "," | "G" if !picture.fill && next == ',' => self.at += 1,
                "L" => self.skip(1),
                "TH" if self.sign != Some('-') && !picture.point => self.skip(2),
                "MI" if next == '-' => self.take_sign(),
                "PL" if next == '+' => self.take_sign(),
                "SG" if matches!(next, '+' | '-') => self.take_sign(),
                "MI" | "PL" | "SG" => self.skip(1),
                _ => {}
            }
        }
    }

    fn take_sign(&mut self) {
        self.sign = self.peek();
        self.at += 1;
    }

    /// Passes characters that are no part of a number.
    fn skip(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some(c) if !c.is_ascii_digit() && !matches!(c, '.' | ',' | '+' | '-') => {
                    self.at += 1;
                }
                _ => break,
            }
        }
    }

    /// A digit or the point, with the sign around it; leaves the last character taken current.
    fn part(&mut self, digit: bool) {
        let picture = self.picture;
        if self.peek() == Some(' ') {
            self.at += 1;
        }
        if self.sign.is_none() && digit && self.before + self.after == 0 {
            match self.peek() {
                None => return,
                Some('-' | '+') => self.take_sign(),
                Some('<') if picture.bracket => {
                    self.sign = Some('-');
                    self.at += 1;
                }
                _ => {}
            }
        }
        let Some(next) = self.peek() else {
            return;
        };
        let mut read = false;
        if next.is_ascii_digit() {
            if self.point && self.after == picture.after {
                return;
            }
            self.digits.push(next);
            if self.point {
                self.after += 1;
            } else {
                self.before += 1;
            }
            read = true;
        } else if picture.point && !self.point && next == '.' {
            self.digits.push('.');
            self.point = true;
            read = true;
        }
        if self.sign.is_some() || self.before + self.after == 0 {
            return;
        }
        let following = self.input.get(self.at + 1).copied();
        if picture.sign != Sign::None && read {
            if let Some(sign @ ('-' | '+')) = following {
                self.at += 1;
                self.sign = Some(sign);
            }
        } else if !read
            && picture.sign == Sign::None
            && (picture.plus || picture.minus)
            && matches!(next, '-' | '+')
        {
            self.sign = Some(next);
        }
    }
}
