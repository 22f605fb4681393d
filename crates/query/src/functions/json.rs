//! json and jsonb: the forms of documents, and which function does what with them.

use chronolith_types::SqlType;
use chronolith_types::text::not_json;
use serde_json::{Map, Value as Json};

use super::error::FunctionError;
use super::udf::{Context, RowFn};
use super::value::Value;

mod change;
mod make;
mod order;
mod part;
mod path;
mod path_parse;
mod raw;
mod read;

pub(super) use change::{concat, delete, delete_path};
pub use make::row_as_json;
pub(super) use make::{key_of, last_wins, object_text, text_of};
pub(crate) use part::{PART, json_part, json_with_part};
pub(super) use path::{check as check_path, exists as path_exists, matches as path_matches};
pub(super) use read::{contains, exists, get, path, type_of};

pub(super) fn parse(text: &str) -> Result<Json, FunctionError> {
    serde_json::from_str(text).map_err(|error| not_json(text.as_bytes(), &error).into())
}

/// jsonb's own form of a document: keys by length and then bytes, one space after `:` and `,`.
pub(super) fn canonical(json: &Json) -> String {
    let mut out = String::new();
    render(json, true, &mut out);
    out
}

/// The members of an object as jsonb keeps them: by the length of their keys, and then the bytes.
fn sorted(fields: &Map<String, Json>) -> Vec<(&String, &Json)> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    sorted
}

fn render(json: &Json, jsonb: bool, out: &mut String) {
    match json {
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(if jsonb { ", " } else { "," });
                }
                render(item, jsonb, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            let fields = if jsonb {
                sorted(fields)
            } else {
                fields.iter().collect()
            };
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push_str(if jsonb { ", " } else { "," });
                }
                quote(key, out);
                out.push_str(if jsonb { ": " } else { ":" });
                render(value, jsonb, out);
            }
            out.push('}');
        }
        Json::String(text) => quote(text, out),
        Json::Number(number) => out.push_str(&plain_number(&number.to_string())),
        other => out.push_str(&other.to_string()),
    }
}

/// jsonb numbers are numerics: no exponent.
fn plain_number(text: &str) -> String {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return text.to_owned();
    };
    let Ok(exponent) = exponent.parse::<i32>() else {
        return text.to_owned();
    };
    if exponent.abs() > 1000 {
        return text.to_owned();
    }
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).unwrap_or(0) + exponent;
    let length = i32::try_from(digits.len()).unwrap_or(0);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    let plain = if point <= 0 {
        format!("0.{}{digits}", zeros(-point))
    } else if point >= length {
        format!("{digits}{}", zeros(point - length))
    } else {
        let (a, b) = digits.split_at(usize::try_from(point).unwrap_or(0));
        format!("{a}.{b}")
    };
    let trimmed = plain.trim_start_matches('0');
    let plain = if trimmed.is_empty() || trimmed.starts_with('.') {
        format!("0{trimmed}")
    } else {
        trimmed.to_owned()
    };
    format!("{sign}{plain}")
}

/// A JSON string with PostgreSQL's escapes.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn is_jsonb(context: &Context<'_>) -> bool {
    context.args.first() == Some(&SqlType::Jsonb)
}

/// A comparison of two jsonb documents.
pub(super) fn compare(
    args: &[Value],
    test: fn(std::cmp::Ordering) -> bool,
) -> Result<Value, FunctionError> {
    match args {
        [a, b] => {
            let order = order::compare(&parse(a.as_str())?, &parse(b.as_str())?)?;
            Ok(Value::Bool(test(order)))
        }
        _ => Ok(Value::Null),
    }
}

/// Bytes that order as a document does among others.
pub(super) fn order_key(args: &[Value]) -> Result<Value, FunctionError> {
    let json = parse(args.first().map_or("", Value::as_str))?;
    order::key(&json).map(Value::Bytes)
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str) -> Option<RowFn> {
    let function: RowFn = match name {
        "json_build_object" | "jsonb_build_object" => |c, a| make::build_object(c, a),
        "json_build_array" | "jsonb_build_array" => |c, a| make::build_array(c, a),
        "json_object" | "jsonb_object" => |c, a| make::object_of_texts(c, a),
        "to_json" | "to_jsonb" => |c, a| make::to_json(c, a),
        "row_to_json" => |c, a| make::row_to_json(c, a),
        "array_to_json" => |c, a| make::array_to_json(c, a),
        "json_extract_path" | "jsonb_extract_path" => |c, a| read::path(c, a, false),
        "json_extract_path_text" | "jsonb_extract_path_text" => |c, a| read::path(c, a, true),
        "json_typeof" | "jsonb_typeof" => |_, a| read::type_of(a),
        "json_array_length" | "jsonb_array_length" => |_, a| read::array_length(a),
        "json_array_elements" | "jsonb_array_elements" => |c, a| read::elements(c, a, false),
        "json_array_elements_text" | "jsonb_array_elements_text" => {
            |c, a| read::elements(c, a, true)
        }
        "json_object_keys" | "jsonb_object_keys" => |c, a| read::keys(c, a),
        "json_each" | "jsonb_each" => |c, a| read::each(c, a, false),
        "json_each_text" | "jsonb_each_text" => |c, a| read::each(c, a, true),
        "json_strip_nulls" | "jsonb_strip_nulls" => |c, a| {
            let json = change::strip(parse(a.first().map_or("", Value::as_str))?);
            Ok(Value::Text(if is_jsonb(c) {
                canonical(&json)
            } else {
                json.to_string()
            }))
        },
        "jsonb_path_query" => |_, a| path::query(a),
        "jsonb_path_query_array" => |_, a| path::query_array(a),
        "jsonb_path_query_first" => |_, a| path::query_first(a),
        "jsonb_path_exists" => |_, a| path::exists(a, false),
        "jsonb_path_match" => |_, a| path::matches(a, false),
        "jsonb_pretty" => |_, a| read::pretty(a),
        "jsonb_set" => |_, a| change::set(a),
        "jsonb_set_lax" => |_, a| change::set_lax(a),
        "jsonb_insert" => |_, a| change::insert(a),
        _ => return None,
    };
    Some(function)
}
