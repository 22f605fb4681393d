//! Names and literals in their quotes, and format().

use chronolith_types::SqlState;

use super::casts::to_text;
use super::error::FunctionError;
use super::udf::{Context, RowFn};
use super::value::Value;

/// A name as SQL writes it.
fn ident(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !RESERVED.contains(&text);
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
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

fn quote_literal(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    match (args.first(), context.args.first()) {
        (Some(Value::Null) | None, _) | (_, None) => Ok(Value::Null),
        (Some(value), Some(ty)) => Ok(Value::Text(literal(&to_text(context.zone, value, ty)?))),
    }
}

fn quote_nullable(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    match quote_literal(context, args)? {
        Value::Null => Ok(Value::text("NULL")),
        quoted => Ok(quoted),
    }
}

/// The parts of one `%` of format(): the place of its value, flags, width and type.
struct Specifier {
    at: Option<usize>,
    left: bool,
    width: Width,
    kind: char,
}

enum Width {
    None,
    Fixed(usize),
    /// Of the next argument, or of a numbered one.
    Argument(Option<usize>),
}

fn unterminated() -> FunctionError {
    FunctionError::invalid_parameter("unterminated format() type specifier")
        .with_hint("For a single \"%\" use \"%%\".")
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn digits(chars: &mut Letters<'_>) -> Result<Option<usize>, FunctionError> {
    let mut number: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        let digit = usize::try_from(digit).unwrap_or(0);
        let next = number.unwrap_or(0) * 10 + digit;
        if next > 1 << 30 {
            return Err(FunctionError::out_of_range("number is"));
        }
        number = Some(next);
    }
    Ok(number)
}

fn argument(number: Option<usize>) -> Result<Option<usize>, FunctionError> {
    if number == Some(0) {
        return Err(FunctionError::invalid_parameter(
            "format specifies argument 0, but arguments are numbered from 1",
        ));
    }
    Ok(number)
}

impl Specifier {
    fn read(chars: &mut Letters<'_>) -> Result<Self, FunctionError> {
        let mut found = Self {
            at: None,
            left: false,
            width: Width::None,
            kind: ' ',
        };
        let number = digits(chars)?;
        if number.is_some() && chars.peek() == Some(&'$') {
            chars.next();
            found.at = argument(number)?;
        } else if let Some(width) = number {
            found.width = Width::Fixed(width);
            found.kind = chars.next().ok_or_else(unterminated)?;
            return Ok(found);
        }
        while chars.peek() == Some(&'-') {
            chars.next();
            found.left = true;
        }
        if chars.peek() == Some(&'*') {
            chars.next();
            let number = digits(chars)?;
            if number.is_some() && chars.next() != Some('$') {
                return Err(FunctionError::invalid_parameter(
                    "width argument position must be ended by \"$\"",
                ));
            }
            found.width = Width::Argument(argument(number)?);
        } else if let Some(width) = digits(chars)? {
            found.width = Width::Fixed(width);
        }
        found.kind = chars.next().ok_or_else(unterminated)?;
        Ok(found)
    }
}

fn format(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some((template, args)) = args.split_first() else {
        return Ok(Value::Null);
    };
    if template.is_null() {
        return Ok(Value::Null);
    }
    let types = context.args.get(1..).unwrap_or_default();
    let value_at = |at: usize| match (args.get(at - 1), types.get(at - 1)) {
        (Some(value), Some(ty)) => Ok((value, ty)),
        _ => Err(FunctionError::invalid_parameter(
            "too few arguments for format()",
        )),
    };
    let mut out = String::new();
    let mut last = 0;
    let mut chars = template.as_str().chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek().is_none() {
            return Err(unterminated());
        }
        if chars.peek() == Some(&'%') {
            out.extend(chars.next());
            continue;
        }
        let spec = Specifier::read(&mut chars)?;
        if !matches!(spec.kind, 's' | 'I' | 'L') {
            return Err(FunctionError::invalid_parameter(format!(
                "unrecognized format() type specifier \"{}\"",
                spec.kind
            ))
            .with_hint("For a single \"%\" use \"%%\"."));
        }
        let mut left = spec.left;
        let width = match spec.width {
            Width::None => 0,
            Width::Fixed(width) => width,
            Width::Argument(at) => {
                last = at.unwrap_or(last + 1);
                let (value, ty) = value_at(last)?;
                let width = match value {
                    Value::Null => 0,
                    Value::Int(width) => *width,
                    other => to_text(context.zone, other, ty)?.parse().map_err(|_| {
                        FunctionError::new(
                            SqlState::INVALID_TEXT_REPRESENTATION,
                            "the width of format() must be an integer",
                        )
                    })?,
                };
                left |= width < 0;
                usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX)
            }
        };
        last = spec.at.unwrap_or(last + 1);
        let (value, ty) = value_at(last)?;
        let text = if value.is_null() {
            None
        } else {
            Some(to_text(context.zone, value, ty)?)
        };
        let text = match (spec.kind, text) {
            ('I', Some(text)) => ident(&text),
            ('I', None) => {
                return Err(FunctionError::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('L', text) => text.map_or_else(|| "NULL".to_owned(), |text| literal(&text)),
            (_, text) => text.unwrap_or_default(),
        };
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

/// The names of a dotted name.
fn parse_ident(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    let strict = args.get(1).is_none_or(Value::as_bool);
    let wrong = || {
        FunctionError::invalid_parameter(format!("string is not a valid identifier: \"{text}\""))
    };
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut found = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next() {
                    Some((at, '"')) if quoted.get(at + 1..).is_some_and(|r| r.starts_with('"')) => {
                        found.push('"');
                        chars.next();
                    }
                    Some((at, '"')) => break at + 1,
                    Some((_, c)) => found.push(c),
                    None => return Err(wrong().with_detail("String has unclosed double quotes.")),
                }
            };
            if found.is_empty() {
                return Err(wrong().with_detail("Quoted identifier must not be empty."));
            }
            name = found;
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let starts = |c: char| c.is_alphabetic() || c == '_' || !c.is_ascii();
            let goes_on = |c: char| starts(c) || c.is_ascii_digit() || c == '$';
            if !rest.starts_with(starts) {
                return Err(wrong());
            }
            let end = rest.find(|c| !goes_on(c)).unwrap_or(rest.len());
            let (head, tail) = rest.split_at(end);
            name = head.to_lowercase();
            rest = tail;
        }
        names.push(Value::Text(name));
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(tail) => rest = tail.trim_start(),
            None if rest.is_empty() || !strict => return Ok(Value::List(names)),
            None => return Err(wrong()),
        }
    }
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str) -> Option<RowFn> {
    let function: RowFn = match name {
        "quote_ident" => |_, a| Ok(Value::Text(ident(a.first().map_or("", Value::as_str)))),
        "quote_literal" => |c, a| quote_literal(c, a),
        "quote_nullable" => |c, a| quote_nullable(c, a),
        "format" => |c, a| format(c, a),
        "parse_ident" => |_, a| parse_ident(a),
        _ => return None,
    };
    Some(function)
}
