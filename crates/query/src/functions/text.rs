//! Functions of strings.

use chronolith_types::{SqlState, SqlType};
use unicode_normalization::UnicodeNormalization as _;

use super::casts::to_text;
use super::error::FunctionError;
use super::udf::{Context, RowFn};
use super::value::Value;

fn count(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

pub(super) fn length(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args.first() {
        Some(Value::Text(text)) => count(text.chars().count()),
        Some(Value::Bytes(bytes)) => count(bytes.len()),
        _ => Value::Null,
    })
}

fn octet_length(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args.first() {
        Some(Value::Text(text)) => {
            let wide = match context.args.first() {
                Some(SqlType::Char(Some(wide))) => usize::try_from(*wide).unwrap_or(0),
                _ => 0,
            };
            count(text.len() + wide.saturating_sub(text.chars().count()))
        }
        Some(Value::Bytes(bytes)) => count(bytes.len()),
        _ => Value::Null,
    })
}

fn substring(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if let [Value::Text(subject), Value::Text(pattern)] = args {
        return super::patterns::substring(context, subject, pattern);
    }
    let (from, end) = match args {
        [_, from] => (from.as_int(), i64::MAX),
        [_, from, length] => {
            if length.as_int() < 0 {
                return Err(FunctionError::new(
                    SqlState::SUBSTRING_ERROR,
                    "negative substring length not allowed",
                ));
            }
            (from.as_int(), from.as_int().saturating_add(length.as_int()))
        }
        _ => return Ok(Value::Null),
    };
    let skip = usize::try_from((from - 1).max(0)).unwrap_or(0);
    let take = usize::try_from((end - from.max(1)).max(0)).unwrap_or(0);
    Ok(match args.first() {
        Some(Value::Text(text)) => Value::Text(text.chars().skip(skip).take(take).collect()),
        Some(Value::Bytes(bytes)) => {
            Value::Bytes(bytes.iter().skip(skip).take(take).copied().collect())
        }
        _ => Value::Null,
    })
}

fn trim(args: &[Value], left: bool, right: bool) -> Result<Value, FunctionError> {
    let Some(subject) = args.first() else {
        return Ok(Value::Null);
    };
    let set = args.get(1).map_or(" ", Value::as_str);
    let mut text = subject.as_str();
    if left {
        text = text.trim_start_matches(|c| set.contains(c));
    }
    if right {
        text = text.trim_end_matches(|c| set.contains(c));
    }
    Ok(Value::text(text))
}

fn split_part(args: &[Value]) -> Result<Value, FunctionError> {
    let [subject, delimiter, field] = args else {
        return Ok(Value::Null);
    };
    let field = field.as_int();
    if field == 0 {
        return Err(FunctionError::invalid_parameter(
            "field position must not be zero",
        ));
    }
    let parts: Vec<&str> = if delimiter.as_str().is_empty() {
        vec![subject.as_str()]
    } else {
        subject.as_str().split(delimiter.as_str()).collect()
    };
    let index = if field > 0 {
        field - 1
    } else {
        i64::try_from(parts.len()).unwrap_or(0) + field
    };
    let part = usize::try_from(index)
        .ok()
        .and_then(|index| parts.get(index));
    Ok(Value::text(part.copied().unwrap_or_default()))
}

fn position(args: &[Value]) -> Result<Value, FunctionError> {
    let [subject, part] = args else {
        return Ok(Value::Null);
    };
    let found = subject.as_str().find(part.as_str());
    Ok(found.map_or(Value::Int(0), |at| {
        count(
            subject
                .as_str()
                .get(..at)
                .map_or(0, |head| head.chars().count())
                + 1,
        )
    }))
}

fn ends(args: &[Value], left: bool) -> Result<Value, FunctionError> {
    let [subject, number] = args else {
        return Ok(Value::Null);
    };
    let text = subject.as_str();
    let length = i64::try_from(text.chars().count()).unwrap_or(0);
    let wanted = if number.as_int() < 0 {
        (length + number.as_int()).max(0)
    } else {
        number.as_int().min(length)
    };
    let skip = usize::try_from(if left { 0 } else { length - wanted }).unwrap_or(0);
    let take = usize::try_from(wanted).unwrap_or(0);
    Ok(Value::Text(text.chars().skip(skip).take(take).collect()))
}

/// The longest text that a function makes: PostgreSQL's limit of a value.
const TEXT_MAX: i64 = 1 << 30;

fn too_long() -> FunctionError {
    FunctionError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "requested length too large",
    )
}

fn pad(args: &[Value], left: bool) -> Result<Value, FunctionError> {
    let Some(([subject, length], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    if length.as_int() > TEXT_MAX {
        return Err(too_long());
    }
    let wanted = usize::try_from(length.as_int()).unwrap_or(0);
    let text: Vec<char> = subject.as_str().chars().take(wanted).collect();
    let fill = rest.first().map_or(" ", Value::as_str);
    let padding: String = fill
        .chars()
        .cycle()
        .take(if fill.is_empty() {
            0
        } else {
            wanted - text.len()
        })
        .collect();
    let text: String = text.into_iter().collect();
    Ok(Value::Text(if left {
        padding + &text
    } else {
        text + &padding
    }))
}

pub(super) fn concat(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut out = String::new();
    for (value, ty) in args.iter().zip(context.args) {
        if !value.is_null() {
            out.push_str(&to_text(context.zone, value, ty)?);
        }
    }
    Ok(Value::Text(out))
}

fn concat_ws(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some((separator, rest)) = args.split_first() else {
        return Ok(Value::Null);
    };
    if separator.is_null() {
        return Ok(Value::Null);
    }
    let mut parts = Vec::new();
    for (value, ty) in rest.iter().zip(context.args.iter().skip(1)) {
        if !value.is_null() {
            parts.push(to_text(context.zone, value, ty)?);
        }
    }
    Ok(Value::Text(parts.join(separator.as_str())))
}

fn repeat(args: &[Value]) -> Result<Value, FunctionError> {
    let [subject, times] = args else {
        return Ok(Value::Null);
    };
    let times = times.as_int().max(0);
    let length = i64::try_from(subject.as_str().len()).unwrap_or(TEXT_MAX);
    if times.saturating_mul(length) > TEXT_MAX {
        return Err(too_long());
    }
    Ok(Value::Text(
        subject.as_str().repeat(usize::try_from(times).unwrap_or(0)),
    ))
}

/// A capital of one character; others, as of ß, stay as they are.
fn raised(c: char) -> char {
    let mut capital = c.to_uppercase();
    match (capital.next(), capital.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn lowered(c: char) -> char {
    // The dot of İ goes.
    if c == 'İ' {
        return 'i';
    }
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn upper(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    Ok(Value::Text(text.chars().map(raised).collect()))
}

fn lower(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    Ok(Value::Text(text.chars().map(lowered).collect()))
}

fn initcap(args: &[Value]) -> Result<Value, FunctionError> {
    let mut inside = false;
    let mut out = String::new();
    for c in args.first().map_or("", Value::as_str).chars() {
        out.push(if inside { lowered(c) } else { raised(c) });
        inside = c.is_alphanumeric();
    }
    Ok(Value::Text(out))
}

fn translate(args: &[Value]) -> Result<Value, FunctionError> {
    let [subject, from, to] = args else {
        return Ok(Value::Null);
    };
    let to: Vec<char> = to.as_str().chars().collect();
    let mapped =
        subject
            .as_str()
            .chars()
            .filter_map(|c| match from.as_str().chars().position(|f| f == c) {
                None => Some(c),
                Some(index) => to.get(index).copied(),
            });
    Ok(Value::Text(mapped.collect()))
}

fn chr(args: &[Value]) -> Result<Value, FunctionError> {
    let code = args.first().map_or(0, Value::as_int);
    if code == 0 {
        return Err(FunctionError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "null character not permitted",
        ));
    }
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) => Ok(Value::text(c)),
        None if code < 0 => Err(FunctionError::invalid_parameter(
            "character number must be positive",
        )),
        None => Err(FunctionError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {code}"),
        )),
    }
}

fn string_to_array(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, delimiter], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    if subject.is_null() {
        return Ok(Value::Null);
    }
    let text = subject.as_str();
    let parts: Vec<String> = match delimiter {
        _ if text.is_empty() => Vec::new(),
        Value::Null => text.chars().map(String::from).collect(),
        delimiter if delimiter.as_str().is_empty() => vec![text.to_owned()],
        delimiter => text.split(delimiter.as_str()).map(String::from).collect(),
    };
    let null = rest
        .first()
        .filter(|null| !null.is_null())
        .map(Value::as_str);
    let item = |part: String| {
        if null == Some(part.as_str()) {
            Value::Null
        } else {
            Value::Text(part)
        }
    };
    Ok(Value::List(parts.into_iter().map(item).collect()))
}

fn array_to_string(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([list, delimiter], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    if list.is_null() || delimiter.is_null() {
        return Ok(Value::Null);
    }
    let element = context
        .args
        .first()
        .and_then(SqlType::element)
        .cloned()
        .unwrap_or(SqlType::Text);
    let null = rest.first().filter(|null| !null.is_null());
    let mut parts = Vec::new();
    for item in list.as_list() {
        match (item, null) {
            (Value::Null, Some(null)) => parts.push(null.as_str().to_owned()),
            (Value::Null, None) => {}
            (item, _) => parts.push(to_text(context.zone, item, &element)?),
        }
    }
    Ok(Value::Text(parts.join(delimiter.as_str())))
}

/// Text or bytes with a stretch of them replaced.
fn overlay(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, part, from], rest)) = args.split_first_chunk::<3>() else {
        return Ok(Value::Null);
    };
    let from = from.as_int();
    if from <= 0 {
        return Err(FunctionError::new(
            SqlState::SUBSTRING_ERROR,
            "negative substring length not allowed",
        ));
    }
    let length = match (rest.first(), part) {
        (Some(length), _) => length.as_int(),
        (None, Value::Bytes(bytes)) => i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        (None, part) => i64::try_from(part.as_str().chars().count()).unwrap_or(i64::MAX),
    };
    let head = usize::try_from(from - 1).unwrap_or(usize::MAX);
    let tail = usize::try_from((from - 1).saturating_add(length).max(0)).unwrap_or(usize::MAX);
    Ok(match (subject, part) {
        (Value::Bytes(bytes), Value::Bytes(part)) => {
            let head = bytes.iter().take(head).copied();
            let tail = bytes.iter().skip(tail).copied();
            Value::Bytes(head.chain(part.iter().copied()).chain(tail).collect())
        }
        (subject, part) => {
            let chars = || subject.as_str().chars();
            let mut out: String = chars().take(head).collect();
            out.push_str(part.as_str());
            out.extend(chars().skip(tail));
            Value::Text(out)
        }
    })
}

/// A text whose escapes are Unicode code points.
fn unistr(args: &[Value]) -> Result<Value, FunctionError> {
    let wrong = || {
        FunctionError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .with_hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let mut out = String::new();
    let mut rest = args.first().map_or("", Value::as_str);
    // The first half of a pair.
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        let Some(escaped) = rest.strip_prefix('\\') else {
            if high.is_some() {
                return Err(wrong());
            }
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        if let Some(tail) = escaped.strip_prefix('\\') {
            out.push('\\');
            rest = tail;
            continue;
        }
        let (digits, length) = match escaped.chars().next() {
            Some('u') => (escaped.get(1..), 4),
            Some('U') => (escaped.get(1..), 8),
            Some('+') => (escaped.get(1..), 6),
            _ => (Some(escaped), 4),
        };
        let digits = digits.unwrap_or_default();
        let code = digits
            .get(..length)
            .filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(wrong)?;
        rest = digits.get(length..).unwrap_or_default();
        match (high.take(), code) {
            (None, 0xd800..=0xdbff) => high = Some(code),
            (Some(high), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (code - 0xdc00);
                out.push(char::from_u32(code).ok_or_else(wrong)?);
            }
            (None, code) => out.push(char::from_u32(code).ok_or_else(wrong)?),
            (Some(_), _) => return Err(wrong()),
        }
    }
    if high.is_some() {
        return Err(wrong());
    }
    Ok(Value::Text(out))
}

/// A text in a Unicode normal form.
fn normalized(args: &[Value]) -> Result<String, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    let form = args.get(1).map_or("NFC", Value::as_str);
    Ok(match form.to_uppercase().as_str() {
        "NFC" => text.nfc().collect(),
        "NFD" => text.nfd().collect(),
        "NFKC" => text.nfkc().collect(),
        "NFKD" => text.nfkd().collect(),
        _ => {
            return Err(FunctionError::invalid_parameter(format!(
                "invalid normalization form: {form}"
            )));
        }
    })
}

/// How many arguments are null, or are not.
fn nulls(args: &[Value], null: bool) -> Value {
    count(args.iter().filter(|arg| arg.is_null() == null).count())
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType], result: &SqlType) -> Option<RowFn> {
    let text = *result == SqlType::Text;
    let function: RowFn = match name {
        "length" | "char_length" | "character_length" if args.len() == 1 => |_, a| length(a),
        "octet_length" => |c, a| octet_length(c, a),
        "bit_length" => |c, a| Ok(Value::Int(octet_length(c, a)?.as_int() * 8)),
        "lower" if text => |_, a| lower(a),
        "upper" if text => |_, a| upper(a),
        "initcap" => |_, a| initcap(a),
        "substr" | "substring" if text || *result == SqlType::Bytea => |c, a| substring(c, a),
        "overlay" => |_, a| overlay(a),
        "btrim" if text => |_, a| trim(a, true, true),
        "ltrim" if text => |_, a| trim(a, true, false),
        "rtrim" if text => |_, a| trim(a, false, true),
        "replace" => |_, a| match a {
            [s, from, to] if !from.as_str().is_empty() => {
                Ok(Value::Text(s.as_str().replace(from.as_str(), to.as_str())))
            }
            a => Ok(a.first().cloned().unwrap_or(Value::Null)),
        },
        "split_part" => |_, a| split_part(a),
        "strpos" => |_, a| position(a),
        "position" if args.first() == Some(&SqlType::Text) => |_, a| position(a),
        "left" => |_, a| ends(a, true),
        "right" => |_, a| ends(a, false),
        "lpad" => |_, a| pad(a, true),
        "rpad" => |_, a| pad(a, false),
        "concat" => |c, a| concat(c, a),
        "concat_ws" => |c, a| concat_ws(c, a),
        "repeat" => |_, a| repeat(a),
        "reverse" => |_, a| {
            let text = a.first().map_or("", Value::as_str);
            Ok(Value::Text(text.chars().rev().collect()))
        },
        "starts_with" => |_, a| match a {
            [s, p] => Ok(Value::Bool(s.as_str().starts_with(p.as_str()))),
            _ => Ok(Value::Null),
        },
        "string_to_array" | "string_to_table" => |_, a| string_to_array(a),
        "array_to_string" => |c, a| array_to_string(c, a),
        "chr" => |_, a| chr(a),
        "ascii" => |_, a| {
            let first = a.first().and_then(|text| text.as_str().chars().next());
            Ok(Value::Int(first.map_or(0, |c| i64::from(u32::from(c)))))
        },
        "to_hex" if args.first() == Some(&SqlType::Int4) => |_, a| {
            let value = a.first().map_or(0, Value::as_int);
            Ok(Value::Text(format!("{:x}", value & 0xffff_ffff)))
        },
        "to_hex" => |_, a| {
            let value = a.first().map_or(0, Value::as_int);
            Ok(Value::Text(format!("{value:x}")))
        },
        "translate" => |_, a| translate(a),
        "unistr" => |_, a| unistr(a),
        "normalize" => |_, a| normalized(a).map(Value::Text),
        "is_normalized" => |_, a| {
            let text = a.first().map_or("", Value::as_str);
            Ok(Value::Bool(normalized(a)? == text))
        },
        "to_ascii" => |_, _| {
            Err(FunctionError::unsupported(
                "encoding conversion from UTF8 to ASCII not supported",
            ))
        },
        "num_nulls" => |_, a| Ok(nulls(a, true)),
        "num_nonnulls" => |_, a| Ok(nulls(a, false)),
        _ => return None,
    };
    Some(function)
}
