//! PostgreSQL's regular expressions, and the patterns of LIKE and SIMILAR TO.

use chronolith_types::{SqlState, SqlType};
use regex::{Captures, Regex};

use super::error::FunctionError;
use super::udf::{Context, RowFn};
use super::value::Value;

pub(super) fn not(value: Value) -> Value {
    match value {
        Value::Bool(value) => Value::Bool(!value),
        other => other,
    }
}

fn invalid(reason: &str) -> FunctionError {
    FunctionError::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        format!("invalid regular expression: {reason}"),
    )
}

/// An advanced regular expression as the regex crate writes it.
fn translated(pattern: &str) -> Result<String, FunctionError> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    // Whether the last thing was a quantifier, which no other may follow.
    let mut quantified = false;
    while let Some(c) = chars.next() {
        let was = std::mem::take(&mut quantified);
        match c {
            '\\' => match chars.next() {
                Some('m') => out.push_str("\\b{start}"),
                Some('M') => out.push_str("\\b{end}"),
                Some('y') => out.push_str("\\b"),
                Some('Y') => out.push_str("\\B"),
                Some('Z') => out.push_str("\\z"),
                Some('1'..='9') => {
                    return Err(FunctionError::unsupported(
                        "regular expressions with back references are not supported",
                    ));
                }
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => return Err(invalid("invalid escape \\ sequence")),
            },
            '[' => bracket(&mut chars, &mut out)?,
            '*' | '+' => {
                if was {
                    return Err(invalid("quantifier operand invalid"));
                }
                out.push(c);
                // Behind it, `?` asks for the shortest.
                if chars.peek() == Some(&'?') {
                    out.extend(chars.next());
                }
                quantified = true;
            }
            '(' if chars.peek() == Some(&'?') => {
                let ahead: String = chars.clone().skip(1).take(2).collect();
                if ahead.starts_with(['=', '!']) || ahead == "<=" || ahead == "<!" {
                    return Err(FunctionError::unsupported(
                        "regular expressions with lookaround are not supported",
                    ));
                }
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A bracket expression: what is special in the regex crate's alone is quoted.
fn bracket(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<(), FunctionError> {
    out.push('[');
    if chars.peek() == Some(&'^') {
        out.extend(chars.next());
    }
    if chars.peek() == Some(&']') {
        chars.next();
        out.push_str("\\]");
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return Ok(());
            }
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '\\' => {
                out.push('\\');
                out.extend(chars.next());
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Err(invalid("brackets [] not balanced"))
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
        let (source, literal) = match pattern.strip_prefix("***") {
            Some(rest) => match rest.strip_prefix('=') {
                Some(rest) => (rest, true),
                None => (rest.strip_prefix(':').unwrap_or(rest), false),
            },
            None => (pattern, flags.contains('q')),
        };
        let source = if literal {
            regex::escape(source)
        } else {
            translated(source)?
        };
        let mut builder = regex::RegexBuilder::new(&source);
        builder.dot_matches_new_line(true);
        for flag in flags.chars() {
            match flag {
                'i' => builder.case_insensitive(true),
                'c' => builder.case_insensitive(false),
                'n' | 'm' => builder.multi_line(true).dot_matches_new_line(false),
                'p' => builder.multi_line(false).dot_matches_new_line(false),
                'w' => builder.multi_line(true).dot_matches_new_line(true),
                'x' => builder.ignore_whitespace(true),
                's' => builder.multi_line(false).dot_matches_new_line(true),
                'g' | 't' | 'e' | 'b' | 'q' => &mut builder,
                other => {
                    return Err(FunctionError::invalid_parameter(format!(
                        "invalid regular expression option: \"{other}\""
                    )));
                }
            };
        }
        let regex = builder.build().map_err(|error| {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim();
            invalid(in_words_of_postgresql(reason.trim_start_matches("error: ")))
        })?;
        context.memo.pattern = Some((pattern.to_owned(), flags.to_owned(), regex));
    }
    match &context.memo.pattern {
        Some((_, _, regex)) => Ok(regex),
        None => Err(FunctionError::internal("the pattern was just kept")),
    }
}

/// What PostgreSQL says of a fault that the regex crate names in words of its own.
fn in_words_of_postgresql(reason: &str) -> &str {
    match reason {
        "unclosed group" | "unopened group" => "parentheses () not balanced",
        "unclosed character class" => "brackets [] not balanced",
        "repetition operator missing expression" => "quantifier operand invalid",
        "unclosed counted repetition" => "braces {} not balanced",
        reason if reason.starts_with("invalid repetition count range") => {
            "invalid repetition count(s)"
        }
        reason if reason.starts_with("invalid character class range") => "invalid character range",
        reason if reason.starts_with("unrecognized escape") => "invalid escape \\ sequence",
        other => other,
    }
}

/// A regular expression of a file of the administrator.
///
/// # Errors
/// PostgreSQL's words for what is wrong with it.
pub(crate) fn regular_expression(pattern: &str) -> Result<Regex, String> {
    let told = |reason: &str| {
        let reason = reason.trim_start_matches("invalid regular expression: ");
        format!("invalid regular expression \"{pattern}\": {reason}")
    };
    let source = translated(pattern).map_err(|error| told(&error.message))?;
    Regex::new(&source).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim();
        told(in_words_of_postgresql(reason.trim_start_matches("error: ")))
    })
}

/// The pattern of a jsonpath's like_regex.
pub(super) fn of_path(pattern: &str, flags: &str) -> Result<Regex, FunctionError> {
    let source = if flags.contains('q') {
        regex::escape(pattern)
    } else {
        translated(pattern)?
    };
    regex::RegexBuilder::new(&source)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .build()
        .map_err(|error| invalid(error.to_string().lines().last().unwrap_or_default()))
}

fn no_global(name: &str, flags: &str) -> Result<(), FunctionError> {
    if flags.contains('g') {
        return Err(FunctionError::invalid_parameter(format!(
            "{name} does not support the \"global\" option"
        )));
    }
    Ok(())
}

pub(super) fn matches(
    context: &mut Context<'_>,
    args: &[Value],
    insensitive: bool,
) -> Result<Value, FunctionError> {
    let [subject, pattern] = args else {
        return Ok(Value::Null);
    };
    let flags = if insensitive { "i" } else { "" };
    let regex = compile(context, pattern.as_str(), flags)?;
    Ok(Value::Bool(regex.is_match(subject.as_str())))
}

fn like(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let flags = rest.first().map_or("", Value::as_str);
    no_global("regexp_like()", flags)?;
    let regex = compile(context, pattern.as_str(), flags)?;
    Ok(Value::Bool(regex.is_match(subject.as_str())))
}

/// The matches from a character on, as captures.
fn captures_from<'t>(
    regex: &Regex,
    subject: &'t str,
    start: i64,
) -> impl Iterator<Item = Captures<'t>> {
    let skip = usize::try_from(start - 1).unwrap_or(0);
    let offset = subject
        .char_indices()
        .nth(skip)
        .map_or(subject.len(), |(at, _)| at);
    let mut found = Vec::new();
    let mut at = offset;
    while let Some(captures) = regex.captures_at(subject, at) {
        let Some(whole) = captures.get(0) else {
            break;
        };
        let end = whole.end();
        let empty = whole.is_empty();
        found.push(captures);
        at = end;
        if empty {
            match subject.get(end..).and_then(|rest| rest.chars().next()) {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    found.into_iter()
}

/// A whole number of at least `least` among the arguments.
fn parameter(
    args: &[Value],
    index: usize,
    default: i64,
    least: i64,
    name: &str,
) -> Result<i64, FunctionError> {
    let value = match args.get(index) {
        Some(Value::Int(value)) => *value,
        _ => default,
    };
    if value < least {
        return Err(FunctionError::invalid_parameter(format!(
            "invalid value for parameter \"{name}\": {value}"
        )));
    }
    Ok(value)
}

fn replace(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, pattern, replacement], rest)) = args.split_first_chunk::<3>() else {
        return Ok(Value::Null);
    };
    // (…, flags) or (…, start[, n[, flags]]).
    let (start, nth, flags) = match rest {
        [Value::Text(flags)] => {
            let first = flags.chars().next();
            if first.is_some_and(|c| c.is_ascii_digit()) {
                return Err(FunctionError::invalid_parameter(format!(
                    "invalid regular expression option: \"{}\"",
                    first.unwrap_or_default()
                ))
                .with_hint(
                    "If you meant to use regexp_replace() with a start parameter, cast the fourth \
                     argument to integer explicitly.",
                ));
            }
            (1, i64::from(!flags.contains('g')), flags.as_str())
        }
        rest => {
            let flags = rest.get(2).map_or("", Value::as_str);
            let default = i64::from(!flags.contains('g'));
            (
                parameter(rest, 0, 1, 1, "start")?,
                parameter(rest, 1, default, 0, "n")?,
                flags,
            )
        }
    };
    let subject = subject.as_str();
    let regex = compile(context, pattern.as_str(), flags)?;
    let mut out = String::new();
    let mut copied = 0;
    for (number, found) in captures_from(regex, subject, start).enumerate() {
        let number = i64::try_from(number).unwrap_or(i64::MAX) + 1;
        if nth > 0 && number != nth {
            continue;
        }
        let Some(whole) = found.get(0) else {
            continue;
        };
        out.push_str(subject.get(copied..whole.start()).unwrap_or_default());
        expand(replacement.as_str(), &found, &mut out);
        copied = whole.end();
        if nth > 0 {
            break;
        }
    }
    out.push_str(subject.get(copied..).unwrap_or_default());
    Ok(Value::Text(out))
}

/// Writes a replacement: `\1` and `\&` are what was found.
fn expand(replacement: &str, found: &Captures<'_>, out: &mut String) {
    let group = |index: usize| found.get(index).map_or("", |m| m.as_str());
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(group(0)),
            Some(digit @ '1'..='9') => {
                let index = digit.to_digit(10).and_then(|d| usize::try_from(d).ok());
                out.push_str(group(index.unwrap_or(0)));
            }
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

fn groups(found: &Captures<'_>) -> Value {
    let group =
        |group: Option<regex::Match<'_>>| group.map_or(Value::Null, |m| Value::text(m.as_str()));
    Value::List(if found.len() == 1 {
        vec![group(found.get(0))]
    } else {
        found.iter().skip(1).map(group).collect()
    })
}

fn first_match(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let flags = rest.first().map_or("", Value::as_str);
    no_global("regexp_match()", flags)
        .map_err(|error| error.with_hint("Use the regexp_matches function instead."))?;
    let regex = compile(context, pattern.as_str(), flags)?;
    Ok(regex
        .captures(subject.as_str())
        .map_or(Value::Null, |found| groups(&found)))
}

fn all_matches(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let flags = rest.first().map_or("", Value::as_str);
    let most = if flags.contains('g') { usize::MAX } else { 1 };
    let regex = compile(context, pattern.as_str(), flags)?;
    Ok(Value::List(
        captures_from(regex, subject.as_str(), 1)
            .take(most)
            .map(|found| groups(&found))
            .collect(),
    ))
}

fn split(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([subject, pattern], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let flags = rest.first().map_or("", Value::as_str);
    no_global("regexp_split_to_array()", flags)?;
    let regex = compile(context, pattern.as_str(), flags)?;
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

fn count(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [subject, pattern, ..] = args else {
        return Ok(Value::Null);
    };
    let start = parameter(args, 2, 1, 1, "start")?;
    let flags = args.get(3).map_or("", Value::as_str);
    no_global("regexp_count()", flags)?;
    let regex = compile(context, pattern.as_str(), flags)?;
    let found = captures_from(regex, subject.as_str(), start).count();
    Ok(Value::Int(i64::try_from(found).unwrap_or(i64::MAX)))
}

/// The n-th match of a subject from a start on, or a group of it.
fn nth<'t>(
    context: &mut Context<'_>,
    args: &'t [Value],
    flags: usize,
    name: &str,
) -> Result<Option<(usize, &'t str)>, FunctionError> {
    let [subject, pattern, ..] = args else {
        return Ok(None);
    };
    let start = parameter(args, 2, 1, 1, "start")?;
    let number = parameter(args, 3, 1, 1, "n")?;
    let group = parameter(args, flags + 1, 0, 0, "subexpr")?;
    let flags = args.get(flags).map_or("", Value::as_str);
    no_global(name, flags)?;
    let regex = compile(context, pattern.as_str(), flags)?;
    let number = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let found = captures_from(regex, subject.as_str(), start).nth(number);
    let group = usize::try_from(group).unwrap_or(usize::MAX);
    Ok(found
        .and_then(|found| found.get(group))
        .map(|found| (found.start(), found.as_str())))
}

fn instr(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let end = parameter(args, 4, 0, 0, "endoption")?;
    if end > 1 {
        return Err(FunctionError::invalid_parameter(format!(
            "invalid value for parameter \"endoption\": {end}"
        )));
    }
    let Some((at, found)) = nth(context, args, 5, "regexp_instr()")? else {
        return Ok(Value::Int(0));
    };
    let head = args.first().map_or("", Value::as_str).get(..at);
    let mut place = head.map_or(0, |head| head.chars().count()) + 1;
    if end == 1 {
        place += found.chars().count();
    }
    Ok(Value::Int(i64::try_from(place).unwrap_or(i64::MAX)))
}

/// `substring(text from pattern)`.
pub(super) fn substring(
    context: &mut Context<'_>,
    subject: &str,
    pattern: &str,
) -> Result<Value, FunctionError> {
    let regex = compile(context, pattern, "")?;
    let found = regex.captures(subject);
    let group = found.and_then(|found| {
        if found.len() > 1 {
            found.get(1)
        } else {
            found.get(0)
        }
    });
    Ok(group.map_or(Value::Null, |m| Value::text(m.as_str())))
}

fn escape_of(args: &[Value]) -> Result<Option<char>, FunctionError> {
    let Some(escape) = args.get(1) else {
        return Ok(Some('\\'));
    };
    let mut chars = escape.as_str().chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(
            FunctionError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .with_hint("Escape string must be empty or one character."),
        ),
    }
}

/// A pattern of LIKE with another escape, as one with backslashes.
fn like_escape(args: &[Value]) -> Result<Value, FunctionError> {
    let pattern = args.first().map_or("", Value::as_str);
    let escape = escape_of(args)?;
    if escape == Some('\\') {
        return Ok(Value::text(pattern));
    }
    let mut out = String::new();
    let mut escaped = false;
    for c in pattern.chars() {
        if Some(c) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if c == '\\' && !escaped {
            out.push('\\');
        }
        out.push(c);
        escaped = false;
    }
    Ok(Value::Text(out))
}

/// A pattern of SIMILAR TO as a regular expression.
///
/// Escape and `"` part it in three for SUBSTRING, of which the outer ones match as little as they
/// can.
fn similar_escape(args: &[Value]) -> Result<Value, FunctionError> {
    let pattern = args.first().map_or("", Value::as_str);
    let escape = match args.get(1) {
        Some(Value::Null) => Some('\\'),
        _ => escape_of(args)?,
    };
    let separated = escape.is_some_and(|escape| {
        let mut chars = pattern.chars();
        let mut found = false;
        while let Some(c) = chars.next() {
            if c == escape && chars.next() == Some('"') {
                found = true;
            }
        }
        found
    });
    let mut out = String::from("^(?:");
    let mut parts = 0;
    let mut inside = false;
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            match chars.next() {
                Some('"') if !inside => {
                    parts += 1;
                    match parts {
                        1 => out.push_str(")("),
                        2 => out.push_str(")(?:"),
                        _ => {
                            return Err(FunctionError::new(
                                SqlState::INVALID_USE_OF_ESCAPE_CHARACTER,
                                "SQL regular expression may not contain more than two \
                                 escape-double-quote separators",
                            ));
                        }
                    }
                }
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => {}
            }
            continue;
        }
        match c {
            ']' if inside => {
                out.push(c);
                inside = false;
            }
            '\\' => out.push_str("\\\\"),
            c if inside => out.push(c),
            '[' => {
                out.push(c);
                inside = true;
            }
            '%' if separated && parts == 0 => out.push_str(".*?"),
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '(' => out.push_str("(?:"),
            '.' | '^' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push_str(")$");
    Ok(Value::Text(out))
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let function: RowFn = match name {
        "regexp_replace" => replace,
        "regexp_match" => first_match,
        "regexp_matches" => all_matches,
        "regexp_split_to_array" | "regexp_split_to_table" => split,
        "regexp_count" => count,
        "regexp_like" => like,
        "regexp_instr" => instr,
        "regexp_substr" => |c, a| {
            let found = nth(c, a, 4, "regexp_substr()")?;
            Ok(found.map_or(Value::Null, |(_, text)| Value::text(text)))
        },
        "like_escape" if args.first() == Some(&SqlType::Text) => |_, a| like_escape(a),
        "similar_escape" | "similar_to_escape" => |_, a| similar_escape(a),
        "substring" if args == [SqlType::Text, SqlType::Text, SqlType::Text] => |c, a| match a {
            [subject, rest @ ..] => {
                let pattern = similar_escape(rest)?;
                substring(c, subject.as_str(), pattern.as_str())
            }
            [] => Ok(Value::Null),
        },
        _ => return None,
    };
    Some(function)
}
