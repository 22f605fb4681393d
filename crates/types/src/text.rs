//! The text forms of the other types: truth, whole numbers, floats, bytes, UUIDs, JSON, arrays.

use crate::digits::Digits;
use crate::json_fault::{Fault, fault};
use crate::sqlstate::SqlState;
use crate::value::ValueError;

/// Reads PostgreSQL's Boolean words and their unique prefixes.
///
/// # Errors
/// 22P02
pub fn parse_bool(text: &[u8]) -> Result<bool, ValueError> {
    let lower = text.trim_ascii().to_ascii_lowercase();
    let prefix = |word: &[u8], least: usize| lower.len() >= least && word.starts_with(&lower);
    if prefix(b"true", 1) || prefix(b"yes", 1) || lower == b"on" || lower == b"1" {
        Ok(true)
    } else if prefix(b"false", 1) || prefix(b"no", 1) || prefix(b"off", 2) || lower == b"0" {
        Ok(false)
    } else {
        Err(ValueError::syntax("boolean", text))
    }
}

/// Reads a whole number within a type's range.
///
/// # Errors
/// 22P02 and 22003.
pub fn parse_integer(text: &[u8], ty: &str, min: i64, max: i64) -> Result<i64, ValueError> {
    let trimmed = text.trim_ascii();
    let (negative, digits) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ValueError::syntax(ty, text));
    }
    let mut value: i64 = 0;
    for byte in digits {
        // Counted downwards, for there is one more number below zero than above.
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_sub(i64::from(byte - b'0')))
            .ok_or_else(|| ValueError::range(ty, text))?;
    }
    let value = if negative {
        Some(value)
    } else {
        value.checked_neg()
    };
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| ValueError::range(ty, text))
}

/// Reads a double.
///
/// # Errors
/// 22P02, and 22003 for a number that is not zero but too small, or too large.
pub fn parse_float8(text: &[u8]) -> Result<f64, ValueError> {
    let source = std::str::from_utf8(text.trim_ascii())
        .map_err(|_| ValueError::syntax("double precision", text))?;
    let value = float_word(source)
        .or_else(|| float_digits(source).then(|| source.parse().ok()).flatten())
        .ok_or_else(|| ValueError::syntax("double precision", text))?;
    let lost = (value.is_infinite() && float_word(source).is_none())
        || (value == 0.0 && nonzero_digits(source));
    if lost {
        return Err(float_range("double precision", text));
    }
    Ok(value)
}

/// Reads a single-precision float.
///
/// # Errors
/// As [`parse_float8`].
pub fn parse_float4(text: &[u8]) -> Result<f32, ValueError> {
    let source =
        std::str::from_utf8(text.trim_ascii()).map_err(|_| ValueError::syntax("real", text))?;
    if let Some(word) = float_word(source) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "infinities and NaN keep their kind"
        )]
        return Ok(word as f32);
    }
    let value: f32 = float_digits(source)
        .then(|| source.parse().ok())
        .flatten()
        .ok_or_else(|| ValueError::syntax("real", text))?;
    if value.is_infinite() || (value == 0.0 && nonzero_digits(source)) {
        return Err(float_range("real", text));
    }
    Ok(value)
}

fn float_range(ty: &str, text: &[u8]) -> ValueError {
    ValueError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!(
            "\"{}\" is out of range for type {ty}",
            String::from_utf8_lossy(text)
        ),
    )
}

fn float_word(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "infinity" | "+inf" | "+infinity" => Some(f64::INFINITY),
        "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn float_digits(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
}

fn nonzero_digits(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Appends a double in the fewest digits that read back the same, laid out as PostgreSQL does.
pub fn write_float8(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        let mut buffer = ryu::Buffer::new();
        write_shortest(buffer.format_finite(value), 15, out);
    } else {
        write_special(value, out);
    }
}

/// Appends a single-precision float likewise.
pub fn write_float4(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        let mut buffer = ryu::Buffer::new();
        write_shortest(buffer.format_finite(value), 6, out);
    } else {
        write_special(f64::from(value), out);
    }
}

/// Appends a float rounded to so many significant digits, at least one: what
/// `extra_float_digits` below 1 asks for.
pub fn write_float_rounded(value: f64, digits: i32, out: &mut Vec<u8>) {
    if value.is_finite() {
        let digits = digits.max(1);
        let precision = usize::try_from(digits - 1).unwrap_or(0);
        write_shortest(&format!("{value:.precision$e}"), digits, out);
    } else {
        write_special(value, out);
    }
}

fn write_special(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"Infinity"
    } else {
        b"-Infinity"
    });
}

/// Lays out `-12.5e-7` or `12.5`: plain while the exponent is from -4 to below `digits_max`, else
/// with `e`; zeros at the end of a fraction are left out.
fn write_shortest(shortest: &str, digits_max: i32, out: &mut Vec<u8>) {
    let rest = match shortest.strip_prefix('-') {
        Some(rest) => {
            out.push(b'-');
            rest
        }
        None => shortest,
    };
    let (mantissa, exponent) = match rest.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (rest, 0),
    };
    // All digits without the point, then those from the first to the last that are not zero.
    let mut all = [0_u8; 48];
    let mut count = 0;
    let mut whole = mantissa.len();
    for (at, byte) in mantissa.bytes().enumerate() {
        if byte == b'.' {
            whole = at;
        } else if let Some(slot) = all.get_mut(count) {
            *slot = byte;
            count += 1;
        }
    }
    let digits = all.get(..count).unwrap_or_default();
    let Some(leading) = digits.iter().position(|byte| *byte != b'0') else {
        out.push(b'0');
        return;
    };
    let end = digits
        .iter()
        .rposition(|byte| *byte != b'0')
        .map_or(0, |at| at + 1);
    let significant = digits.get(leading..end).unwrap_or_default();
    // The decimal exponent of the first digit.
    let signed = |n: usize| i32::try_from(n).unwrap_or(0);
    let point = signed(whole) + exponent - signed(leading) - 1;
    if (-4..digits_max).contains(&point) {
        match usize::try_from(point + 1) {
            Ok(whole) if whole > 0 => {
                let (head, tail) = significant.split_at(whole.min(significant.len()));
                out.extend_from_slice(head);
                out.resize(out.len() + whole - head.len(), b'0');
                if !tail.is_empty() {
                    out.push(b'.');
                    out.extend_from_slice(tail);
                }
            }
            _ => {
                out.extend_from_slice(b"0.");
                let zeros = usize::try_from(-point - 1).unwrap_or(0);
                out.resize(out.len() + zeros, b'0');
                out.extend_from_slice(significant);
            }
        }
        return;
    }
    let (first, fraction) = significant.split_at(1);
    out.extend_from_slice(first);
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    out.push(b'e');
    out.push(if point < 0 { b'-' } else { b'+' });
    if point.unsigned_abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(Digits::of(u128::from(point.unsigned_abs())).as_bytes());
}

/// Appends a whole number.
pub fn write_integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(Digits::of(u128::from(value.unsigned_abs())).as_bytes());
}

/// Appends bytes in the hex form.
pub fn write_bytea(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        push_hex(*byte, out);
    }
}

/// Appends bytes in the form of `bytea_output = escape`.
pub fn write_bytea_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(byte),
            _ => {
                let octal = [byte >> 6, byte >> 3 & 7, byte & 7].map(|digit| b'0' + digit);
                out.push(b'\\');
                out.extend_from_slice(&octal);
            }
        }
    }
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}

fn nibble(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// Reads bytes in the hex or the escape form.
///
/// # Errors
/// 22P02 and 22023.
pub fn parse_bytea(text: &[u8]) -> Result<Vec<u8>, ValueError> {
    let invalid = || {
        ValueError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type bytea",
        )
    };
    let Some(hex) = text.strip_prefix(b"\\x") else {
        let mut out = Vec::with_capacity(text.len());
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            match bytes.next() {
                Some(b'\\') => out.push(b'\\'),
                Some(first @ b'0'..=b'3') => {
                    let mut value = first - b'0';
                    for _ in 0..2 {
                        match bytes.next() {
                            Some(digit @ b'0'..=b'7') => value = value * 8 + (digit - b'0'),
                            _ => return Err(invalid()),
                        }
                    }
                    out.push(value);
                }
                _ => return Err(invalid()),
            }
        }
        return Ok(out);
    };
    let mut out = Vec::with_capacity(hex.len() / 2);
    let mut digits = hex
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace());
    while let Some(high) = digits.next() {
        let bad = |byte: u8| {
            ValueError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid hexadecimal digit: \"{}\"", char::from(byte)),
            )
        };
        let high = nibble(high).ok_or_else(|| bad(high))?;
        let low = digits.next().ok_or_else(|| {
            ValueError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid hexadecimal data: odd number of digits",
            )
        })?;
        out.push(high << 4 | nibble(low).ok_or_else(|| bad(low))?);
    }
    Ok(out)
}

/// Appends a UUID.
pub fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        push_hex(*byte, out);
    }
}

/// Reads a UUID: 32 hex digits, with hyphens behind groups of four, perhaps in braces.
///
/// # Errors
/// 22P02
pub fn parse_uuid(text: &[u8]) -> Result<[u8; 16], ValueError> {
    let refused = || ValueError::syntax("uuid", text);
    let trimmed = text.trim_ascii();
    let inner = match trimmed {
        [b'{', inner @ .., b'}'] => inner,
        other => other,
    };
    let mut out = [0; 16];
    let mut digits = 0usize;
    for &byte in inner {
        if byte == b'-' {
            if digits == 0 || !digits.is_multiple_of(4) || digits == 32 {
                return Err(refused());
            }
            continue;
        }
        let value = nibble(byte).ok_or_else(refused)?;
        let place = out.get_mut(digits / 2).ok_or_else(refused)?;
        *place = *place << 4 | value;
        digits += 1;
    }
    if digits == 32 {
        Ok(out)
    } else {
        Err(refused())
    }
}

/// Checks that a text is JSON.
///
/// # Errors
/// 22P02
pub fn check_json(text: &[u8]) -> Result<(), ValueError> {
    serde_json::from_slice::<serde::de::IgnoredAny>(text)
        .map(|_| ())
        .map_err(|error| not_json(text, &error))
}

/// 22P02 for a text that is no JSON, as its reader found.
pub fn not_json(text: &[u8], error: &serde_json::Error) -> ValueError {
    let refused = ValueError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        "invalid input syntax for type json",
    );
    match std::str::from_utf8(text).ok().and_then(fault) {
        Some(Fault { detail, context }) => ValueError {
            detail: Some(detail),
            context: Some(context),
            ..refused
        },
        // It is the reader that does not take it: a number without end, a lonely surrogate.
        None => refused.detail(error.to_string()),
    }
}

/// The form in which jsonb keeps and shows a text: keys ordered by length and then by bytes, the
/// last of equal keys kept, one blank behind colons and commas, numbers as numeric writes them.
///
/// # Errors
/// 22P02
pub fn canonical_jsonb(text: &[u8]) -> Result<String, ValueError> {
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| not_json(text, &error))?;
    let mut out = String::with_capacity(text.len());
    write_jsonb(&value, &mut out)?;
    Ok(out)
}

/// Appends a JSON value in jsonb's form.
///
/// # Errors
/// 22003 for a number that numeric does not hold.
pub fn write_jsonb(value: &serde_json::Value, out: &mut String) -> Result<(), ValueError> {
    match value {
        serde_json::Value::Null => out.push_str("null"),
        serde_json::Value::Bool(true) => out.push_str("true"),
        serde_json::Value::Bool(false) => out.push_str("false"),
        serde_json::Value::Number(number) => {
            let mut digits = Vec::new();
            crate::Numeric::parse(number.to_string().as_bytes())?.write(&mut digits);
            out.push_str(&String::from_utf8_lossy(&digits));
        }
        serde_json::Value::String(text) if text.contains('\0') => {
            return Err(ValueError::new(
                SqlState::UNTRANSLATABLE_CHARACTER,
                "unsupported Unicode escape sequence",
            )
            .detail("\\u0000 cannot be converted to text."));
        }
        serde_json::Value::String(text) => write_json_string(text, out),
        serde_json::Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_jsonb(item, out)?;
            }
            out.push(']');
        }
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            out.push('{');
            for (index, (key, item)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_json_string(key, out);
                out.push_str(": ");
                write_jsonb(item, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Appends a JSON string with the escapes that PostgreSQL writes.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends one element to an array's text, quoted where it must be.
pub fn write_array_item(item: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(item) = item else {
        out.extend_from_slice(b"NULL");
        return;
    };
    let plain = !item.is_empty()
        && !item.eq_ignore_ascii_case(b"null")
        && item.iter().all(|byte| {
            !matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') && !byte.is_ascii_whitespace()
        });
    if plain {
        out.extend_from_slice(item);
        return;
    }
    out.push(b'"');
    for byte in item {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn floats_are_laid_out_as_postgresql_does() {
        // Recorded on PostgreSQL 15.
        for (value, shown) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "1e+20"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1.0 / 3.0, "0.3333333333333333"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (5e-324, "5e-324"),
        ] {
            let mut out = Vec::new();
            write_float8(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), shown);
        }
        assert_eq!(parse_float8(b"1e400").unwrap_err().code.as_str(), "22003");
        assert_eq!(parse_float8(b"1e-400").unwrap_err().code.as_str(), "22003");
        assert_eq!(parse_float8(b"1.5x").unwrap_err().code.as_str(), "22P02");
    }

    #[test]
    fn whole_numbers_are_read_to_the_ends_of_their_range() {
        let int8 = |text: &str| parse_integer(text.as_bytes(), "bigint", i64::MIN, i64::MAX);
        assert_eq!(int8("-9223372036854775808").unwrap(), i64::MIN);
        assert_eq!(int8(" +9223372036854775807 ").unwrap(), i64::MAX);
        assert_eq!(
            int8("9223372036854775808").unwrap_err().code.as_str(),
            "22003"
        );
        assert_eq!(int8("1.0").unwrap_err().code.as_str(), "22P02");
        let mut out = Vec::new();
        write_integer(i64::MIN, &mut out);
        assert_eq!(out, b"-9223372036854775808");
    }

    #[test]
    fn jsonb_shows_its_canonical_form() {
        assert_eq!(
            canonical_jsonb(br#" {"bb":1,"a":[1.50,null,{"x":"y\n"}],"a":true, "aa" : 1e3} "#)
                .unwrap(),
            r#"{"a": true, "aa": 1000, "bb": 1}"#
        );
        assert!(canonical_jsonb(b"{").is_err());
    }

    #[test]
    fn bytes_and_uuids_come_back() {
        assert_eq!(parse_bytea(b"\\x00ff").unwrap(), vec![0, 255]);
        assert_eq!(parse_bytea(b"a\\\\\\001").unwrap(), vec![b'a', b'\\', 1]);
        let uuid = parse_uuid(b"{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}").unwrap();
        let mut out = Vec::new();
        write_uuid(&uuid, &mut out);
        assert_eq!(out, b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    }
}
