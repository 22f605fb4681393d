//! Functions of strings, and PostgreSQL's regular expressions.

use chronolith_types::{SqlState, SqlType};
use regex::Regex;

use super::casts::to_text;
use super::error::FunctionError;
use super::udf::Context;
use super::value::Value;

pub(super) fn not(value: Value) -> Value {
    match value {
        Value::Bool(value) => Value::Bool(!value),
        other => other,
    }
}

fn count(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

/// PostgreSQL's advanced regular expressions as the regex crate writes them.
fn translate_pattern(pattern: &str) -> String {
    pattern
        .replace("\\m", "\\b{start}")
        .replace("\\M", "\\b{end}")
        .replace("\\y", "\\b")
        .replace("\\Y", "\\B")
        .replace("\\Z", "\\z")
}

fn compile<'a>(
    context: &'a mut Context<'_>,
    pattern: &str,
    flags: &str,
) -> Result<&'a Regex, FunctionError> {
    let known = context
        .memo
        .pattern
        .as_ref()
        .is_some_and(|(p, f, _)| p == pattern && f == flags);
    if !known {
        let mut builder = regex::RegexBuilder::new(&translate_pattern(pattern));
        builder.dot_matches_new_line(true);
        for flag in flags.chars() {
            match flag {
                'i' => builder.case_insensitive(true),
                'c' => builder.case_insensitive(false),
                'n' | 'm' => builder.multi_line(true).dot_matches_new_line(false),
                'x' => builder.ignore_whitespace(true),
                's' => builder.dot_matches_new_line(true),
                'g' => &mut builder,
                other => {
                    return Err(FunctionError::invalid_parameter(format!(
                        "invalid regular expression option: \"{other}\""
                    )));
                }
            };
        }
        let regex = builder.build().map_err(|error| {
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned();
            FunctionError::new(
                SqlState::INVALID_REGULAR_EXPRESSION,
                format!("invalid regular expression: {reason}"),
            )
        })?;
        context.memo.pattern = Some((pattern.to_owned(), flags.to_owned(), regex));
    }
    match &context.memo.pattern {
        Some((_, _, regex)) => Ok(regex),
        None => Err(FunctionError::internal("the pattern was just kept")),
    }
}

pub(super) fn matches(
    context: &mut Context<'_>,
    args: &[Value],
    insensitive: bool,
) -> Result<Value, FunctionError> {
    let [subject, pattern] = args else {
        return Ok(Value::Null);
    };
    let regex = compile(
        context,
        pattern.as_str(),
        if insensitive { "i" } else { "" },
    )?;
    Ok(Value::Bool(regex.is_match(subject.as_str())))
}

pub(super) fn regexp_replace(
    context: &mut Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    let (subject, pattern, replacement, flags) = match args {
        [s, p, r] => (s, p, r, ""),
        [s, p, r, flags] => (s, p, r, flags.as_str()),
        _ => {
            return Err(FunctionError::unsupported(
                "this form of regexp_replace is not supported yet",
            ));
        }
    };
    // `\1` and `\&` are the groups; `$` is itself.
    let mut template = String::new();
    let mut chars = replacement.as_str().chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => template.push_str("$$"),
            '\\' => match chars.next() {
                Some(digit @ '0'..='9') => template.push_str(&format!("${{{digit}}}")),
                Some('&') => template.push_str("${0}"),
                Some(other) => template.push(other),
                None => template.push('\\'),
            },
            c => template.push(c),
        }
    }
    let all = flags.contains('g');
    let regex = compile(context, pattern.as_str(), flags)?;
    let replaced = regex.replacen(subject.as_str(), usize::from(!all), template.as_str());
    Ok(Value::Text(replaced.into_owned()))
}

fn groups(found: &regex::Captures<'_>) -> Value {
    let group =
        |group: Option<regex::Match<'_>>| group.map_or(Value::Null, |m| Value::text(m.as_str()));
    Value::List(if found.len() == 1 {
        vec![group(found.get(0))]
    } else {
        found.iter().skip(1).map(group).collect()
    })
}

pub(super) fn regexp_match(
    context: &mut Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let regex = compile(
        context,
        pattern.as_str(),
        rest.first().map_or("", Value::as_str),
    )?;
    Ok(regex
        .captures(subject.as_str())
        .map_or(Value::Null, |found| groups(&found)))
}

pub(super) fn regexp_matches(
    context: &mut Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let flags = rest.first().map_or("", Value::as_str);
    let most = if flags.contains('g') { usize::MAX } else { 1 };
    let regex = compile(context, pattern.as_str(), flags)?;
    Ok(Value::List(
        regex
            .captures_iter(subject.as_str())
            .take(most)
            .map(|found| groups(&found))
            .collect(),
    ))
}

pub(super) fn regexp_split(
    context: &mut Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let regex = compile(
        context,
        pattern.as_str(),
        rest.first().map_or("", Value::as_str),
    )?;
    let subject = subject.as_str();
    let mut parts = Vec::new();
    let mut start = 0;
    for found in regex.find_iter(subject) {
        // An empty match at either end or right after another parts nothing.
        if found.is_empty() && (found.start() <= start || found.start() == subject.len()) {
            continue;
        }
        parts.push(Value::text(
            subject.get(start..found.start()).unwrap_or_default(),
        ));
        start = found.end();
    }
    parts.push(Value::text(subject.get(start..).unwrap_or_default()));
    Ok(Value::List(parts))
}

pub(super) fn regexp_count(
    context: &mut Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], _)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let regex = compile(
        context,
        pattern.as_str(),
        args.get(3).map_or("", Value::as_str),
    )?;
    Ok(count(regex.find_iter(subject.as_str()).count()))
}

pub(super) fn length(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args.first() {
        Some(Value::Text(text)) => count(text.chars().count()),
        Some(Value::Bytes(bytes)) => count(bytes.len()),
        _ => Value::Null,
    })
}

pub(super) fn octet_length(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args.first() {
        Some(Value::Text(text)) => count(text.len()),
        Some(Value::Bytes(bytes)) => count(bytes.len()),
        _ => Value::Null,
    })
}

pub(super) fn substring(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if let [Value::Text(subject), Value::Text(pattern)] = args {
        let regex = compile(context, pattern, "")?;
        let found = regex.captures(subject);
        let group = found.and_then(|found| found.get(1).or_else(|| found.get(0)));
        return Ok(group.map_or(Value::Null, |m| Value::text(m.as_str())));
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

pub(super) fn trim(args: &[Value], left: bool, right: bool) -> Result<Value, FunctionError> {
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

/// A pattern whose escape character is another, as one with a backslash.
pub(super) fn like_escape(args: &[Value]) -> Result<Value, FunctionError> {
    let [pattern, escape] = args else {
        return Ok(Value::Null);
    };
    let mut letters = escape.as_str().chars();
    let (escape, more) = (letters.next(), letters.next());
    if more.is_some() {
        return Err(FunctionError {
            hint: Some("Escape string must be empty or one character.".to_owned()),
            ..FunctionError::new(SqlState::new(b"22025"), "invalid escape string")
        });
    }
    let mut out = String::with_capacity(pattern.as_str().len());
    let mut escaped = false;
    for letter in pattern.as_str().chars() {
        if Some(letter) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if letter == '\\' && !escaped {
            out.push('\\');
        }
        out.push(letter);
        escaped = false;
    }
    Ok(Value::Text(out))
}

pub(super) fn split_part(args: &[Value]) -> Result<Value, FunctionError> {
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

pub(super) fn position(args: &[Value]) -> Result<Value, FunctionError> {
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

pub(super) fn ends(args: &[Value], left: bool) -> Result<Value, FunctionError> {
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

pub(super) fn pad(args: &[Value], left: bool) -> Result<Value, FunctionError> {
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

pub(super) fn concat_ws(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
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

pub(super) fn repeat(args: &[Value]) -> Result<Value, FunctionError> {
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
    let mut small = c.to_lowercase();
    match (small.next(), small.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub(super) fn upper(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    Ok(Value::Text(text.chars().map(raised).collect()))
}

pub(super) fn lower(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    Ok(Value::Text(text.chars().map(lowered).collect()))
}

pub(super) fn initcap(args: &[Value]) -> Result<Value, FunctionError> {
    let mut inside = false;
    let mut out = String::new();
    for c in args.first().map_or("", Value::as_str).chars() {
        out.push(if inside { lowered(c) } else { raised(c) });
        inside = c.is_alphanumeric();
    }
    Ok(Value::Text(out))
}

pub(super) fn translate(args: &[Value]) -> Result<Value, FunctionError> {
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

pub(super) fn chr(args: &[Value]) -> Result<Value, FunctionError> {
    let code = args.first().map_or(0, Value::as_int);
    if code == 0 {
        return Err(FunctionError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "null character not permitted",
        ));
    }
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) => Ok(Value::text(c)),
        None => Err(FunctionError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {code}"),
        )),
    }
}

pub(super) fn string_to_array(args: &[Value]) -> Result<Value, FunctionError> {
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

pub(super) fn array_to_string(
    context: &Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
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

pub(super) fn quote_ident(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&text);
    Ok(Value::Text(if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }))
}

/// Words that name nothing without quotes.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

pub(super) fn quote_literal(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    match (args.first(), context.args.first()) {
        (Some(Value::Null) | None, _) | (_, None) => Ok(Value::Null),
        (Some(value), Some(ty)) => Ok(Value::Text(literal(&to_text(context.zone, value, ty)?))),
    }
}

pub(super) fn quote_nullable(
    context: &Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    match quote_literal(context, args)? {
        Value::Null => Ok(Value::text("NULL")),
        quoted => Ok(quoted),
    }
}

pub(super) fn format(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(template) = args.first().filter(|template| !template.is_null()) else {
        return Ok(Value::Null);
    };
    let mut out = String::new();
    let mut next = 1;
    let mut chars = template.as_str().chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = String::new();
        let kind = loop {
            match chars.next() {
                None => {
                    return Err(FunctionError::invalid_parameter(
                        "unterminated format() type specifier",
                    )
                    .with_hint("For a single \"%\" use \"%%\"."));
                }
                Some(c) if c.is_ascii_digit() || c == '$' || c == '-' => spec.push(c),
                Some(c) => break c,
            }
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let (at, width) = match spec.split_once('$') {
            Some((at, width)) => (at.parse().unwrap_or(0), width.to_owned()),
            None => (next, spec),
        };
        next = at + 1;
        let (Some(value), Some(ty)) = (args.get(at), context.args.get(at)) else {
            return Err(FunctionError::invalid_parameter(
                "too few arguments for format()",
            ));
        };
        let text = if value.is_null() {
            None
        } else {
            Some(to_text(context.zone, value, ty)?)
        };
        let text = match kind {
            's' => text.unwrap_or_default(),
            'I' => match text {
                Some(text) => quote_ident(&[Value::Text(text)])?.as_str().to_owned(),
                None => {
                    return Err(FunctionError::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        "null values cannot be formatted as an SQL identifier",
                    ));
                }
            },
            'L' => text.map_or_else(|| "NULL".to_owned(), |text| literal(&text)),
            other => {
                return Err(FunctionError::invalid_parameter(format!(
                    "unrecognized format() type specifier \"{other}\""
                ))
                .with_hint("For a single \"%\" use \"%%\"."));
            }
        };
        let left = width.starts_with('-');
        let width: usize = width.trim_start_matches('-').parse().unwrap_or(0);
        let padding = " ".repeat(width.min(1 << 20).saturating_sub(text.chars().count()));
        if left {
            out.push_str(&text);
            out.push_str(&padding);
        } else {
            out.push_str(&padding);
            out.push_str(&text);
        }
    }
    Ok(Value::Text(out))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Bytes(bytes), format] = args else {
        return Ok(Value::Null);
    };
    Ok(Value::Text(match format.as_str().to_lowercase().as_str() {
        "hex" => hex(bytes),
        "escape" => bytes
            .iter()
            .map(|byte| match byte {
                b'\\' => "\\\\".to_owned(),
                0 | 128.. => format!("\\{byte:03o}"),
                byte => char::from(*byte).to_string(),
            })
            .collect(),
        "base64" => {
            let mut out = String::new();
            for (line, chunk) in bytes.chunks(57).enumerate() {
                if line > 0 {
                    out.push('\n');
                }
                for three in chunk.chunks(3) {
                    let word = three
                        .iter()
                        .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                        << (8 * (3 - three.len()));
                    for index in 0..4 {
                        if index <= three.len() {
                            let at = (word >> (18 - 6 * index) & 63) as usize;
                            out.push(BASE64.get(at).copied().map_or('=', char::from));
                        } else {
                            out.push('=');
                        }
                    }
                }
            }
            out
        }
        other => {
            return Err(FunctionError::invalid_parameter(format!(
                "unrecognized encoding: \"{other}\""
            )));
        }
    }))
}

pub(super) fn decode(args: &[Value]) -> Result<Value, FunctionError> {
    let [text, format] = args else {
        return Ok(Value::Null);
    };
    let text = text.as_str();
    Ok(Value::Bytes(
        match format.as_str().to_lowercase().as_str() {
            "hex" => {
                let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
                if digits.len() % 2 == 1 {
                    return Err(FunctionError::invalid_parameter(
                        "invalid hexadecimal data: odd number of digits",
                    ));
                }
                let mut out = Vec::with_capacity(digits.len() / 2);
                for pair in digits.chunks(2) {
                    let mut byte = 0;
                    for c in pair {
                        let digit = c.to_digit(16).ok_or_else(|| {
                            FunctionError::invalid_parameter(format!(
                                "invalid hexadecimal digit: \"{c}\""
                            ))
                        })?;
                        byte = byte << 4 | u8::try_from(digit).unwrap_or(0);
                    }
                    out.push(byte);
                }
                out
            }
            "base64" => {
                let mut out = Vec::new();
                let (mut word, mut bits) = (0_u32, 0);
                for byte in text
                    .bytes()
                    .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=')
                {
                    let digit =
                        BASE64
                            .iter()
                            .position(|known| *known == byte)
                            .ok_or_else(|| {
                                FunctionError::invalid_parameter(format!(
                                    "invalid symbol \"{}\" found while decoding base64 sequence",
                                    char::from(byte)
                                ))
                            })?;
                    word = word << 6 | u32::try_from(digit).unwrap_or(0);
                    bits += 6;
                    if bits >= 8 {
                        bits -= 8;
                        out.push(u8::try_from(word >> bits & 255).unwrap_or(0));
                    }
                }
                out
            }
            "escape" => {
                let bytes = text.as_bytes();
                let mut out = Vec::new();
                let mut at = 0;
                while let Some(byte) = bytes.get(at) {
                    let octal = bytes
                        .get(at + 1..at + 4)
                        .and_then(|digits| std::str::from_utf8(digits).ok());
                    match (
                        byte,
                        octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()),
                    ) {
                        (b'\\', _) if bytes.get(at + 1) == Some(&b'\\') => {
                            out.push(b'\\');
                            at += 2;
                        }
                        (b'\\', Some(value)) => {
                            out.push(value);
                            at += 4;
                        }
                        (byte, _) => {
                            out.push(*byte);
                            at += 1;
                        }
                    }
                }
                out
            }
            other => {
                return Err(FunctionError::invalid_parameter(format!(
                    "unrecognized encoding: \"{other}\""
                )));
            }
        },
    ))
}
