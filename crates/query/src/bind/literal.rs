//! Constants.

use chronolith_sql::ast::{self, Value};
use chronolith_types::numeric::Numeric;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::state::{Binder, Result, told};
use crate::error::Error;
use crate::functions::{Typed, literal_from_text};

/// Digits that a 128-bit decimal holds.
const DIGITS_MAX: usize = 38;

impl Binder<'_> {
    pub(super) fn constant(&mut self, value: &Value, at: Option<u32>) -> Result<Typed> {
        match value {
            Value::Number(digits, _) => number(self, digits),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => Ok(self.unknown(text, at)),
            Value::DollarQuotedString(text) => Ok(self.unknown(&text.value, at)),
            Value::Boolean(value) => Ok(Typed::literal(
                ScalarValue::Boolean(Some(*value)),
                SqlType::Bool,
            )),
            Value::Null => Ok(null()),
            Value::Placeholder(name) => {
                let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
                match number {
                    Some(number) if (1..=65_535).contains(&number) => {
                        self.numbered_argument(number, at)
                    }
                    _ => Err(Error::new(
                        SqlState::UNDEFINED_PARAMETER,
                        format!("there is no parameter {name}"),
                    )
                    .at(at)),
                }
            }
            other => Err(bits(other)
                .unwrap_or_else(|| super::state::unsupported(format!("the literal {other}")))
                .at(at)),
        }
    }

    /// A string whose type its context says.
    pub(super) fn unknown(&mut self, text: &str, at: Option<u32>) -> Typed {
        if let Some(at) = at {
            self.literals.insert(text.to_owned(), at);
        }
        Typed::literal(
            ScalarValue::Utf8View(Some(text.to_owned())),
            SqlType::Unknown,
        )
    }

    /// `-5` is one constant.
    pub(super) fn negative(&mut self, operand: &ast::Expr) -> Option<Result<Typed>> {
        match operand {
            ast::Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => Some(number(self, &format!("-{digits}"))),
                _ => None,
            },
            _ => None,
        }
    }
}

pub(super) fn null() -> Typed {
    Typed::literal(ScalarValue::Utf8View(None), SqlType::Unknown)
}

pub(super) fn boolean(value: bool) -> Typed {
    Typed::literal(ScalarValue::Boolean(Some(value)), SqlType::Bool)
}

fn number(binder: &Binder<'_>, digits: &str) -> Result<Typed> {
    if let Ok(value) = digits.parse::<i32>() {
        return Ok(Typed::literal(
            ScalarValue::Int32(Some(value)),
            SqlType::Int4,
        ));
    }
    if let Ok(value) = digits.parse::<i64>() {
        return Ok(Typed::literal(
            ScalarValue::Int64(Some(value)),
            SqlType::Int8,
        ));
    }
    let ty = SqlType::Numeric(None);
    if let Some(value) = fixed(digits) {
        return Ok(Typed::literal(value, ty));
    }
    match literal_from_text(digits, &ty, binder.names.vars()) {
        Ok(value) if !vanished(digits, &value) => Ok(Typed::literal(value, ty)),
        kept => match digits.parse::<f64>() {
            // `1e300` is no number of ours but for floats, which is where it is written.
            Ok(float) if float.is_finite() => Ok(Typed::literal(
                ScalarValue::Float64(Some(float)),
                SqlType::Float8,
            )),
            _ => Ok(Typed::literal(kept.map_err(told)?, ty)),
        },
    }
}

/// Whether a number too small for numeric's digits became zero.
fn vanished(digits: &str, value: &ScalarValue) -> bool {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or(digits);
    mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
        && match value {
            ScalarValue::Decimal256(Some(code), _, _) => {
                Numeric::from_any(*code).signum() == Some(0)
            }
            _ => false,
        }
}

/// Plain digits with a point as a decimal of their own scale.
fn fixed(digits: &str) -> Option<ScalarValue> {
    let (sign, bare) = match digits.strip_prefix('-') {
        Some(rest) => (-1_i128, rest),
        None => (1, digits),
    };
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = all.trim_start_matches('0').len().max(1);
    let precision = significant.max(fraction.len()).max(1);
    if precision > DIGITS_MAX {
        return None;
    }
    let unscaled = sign * all.parse::<i128>().ok()?;
    Some(ScalarValue::Decimal128(
        Some(unscaled),
        u8::try_from(precision).ok()?,
        i8::try_from(fraction.len()).ok()?,
    ))
}

/// 22P02 for a literal of bits that has other digits.
fn bits(value: &Value) -> Option<Error> {
    let (digits, base, of) = match value {
        Value::HexStringLiteral(digits) => (digits, 16, "hexadecimal"),
        Value::SingleQuotedByteStringLiteral(digits) => (digits, 2, "binary"),
        _ => return None,
    };
    let wrong = digits.chars().find(|digit| !digit.is_digit(base))?;
    let message = format!("\"{wrong}\" is not a valid {of} digit");
    Some(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message))
}
