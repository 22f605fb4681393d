//! What documents hold.

use serde_json::Value as Json;

use super::super::error::FunctionError;
use super::super::udf::Context;
use super::super::value::Value;
use super::raw::{self, Top};
use super::{canonical, is_jsonb, parse, quote, sorted};

/// A member of a jsonb document, as jsonb or as text.
fn answer(json: Option<&Json>, text: bool) -> Value {
    match json {
        None => Value::Null,
        Some(Json::Null) if text => Value::Null,
        Some(Json::String(inner)) if text => Value::text(inner.clone()),
        Some(json) => Value::Text(canonical(json)),
    }
}

/// A member of a json text, as it is written or as text.
fn answer_raw(member: Option<&str>, text: bool) -> Result<Value, FunctionError> {
    Ok(match member {
        None => Value::Null,
        Some(member) if !text => Value::text(member),
        Some("null") => Value::Null,
        Some(member) if member.starts_with('"') => match parse(member)? {
            Json::String(inner) => Value::Text(inner),
            _ => Value::text(member),
        },
        Some(member) => Value::text(member),
    })
}

/// The place in an array of so many, counted from the end when negative.
fn place(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 {
        i64::try_from(length).ok()? + index
    } else {
        index
    };
    usize::try_from(index).ok()
}

/// One step into a document.
enum Step<'a> {
    Index(i64),
    Key(&'a str),
    /// A key or, in an array, an index.
    Either(&'a str),
}

fn step<'a>(json: &'a Json, step: &Step<'_>) -> Option<&'a Json> {
    match (json, step) {
        (Json::Array(items), Step::Index(index)) => items.get(place(*index, items.len())?),
        (Json::Array(items), Step::Either(text)) => {
            items.get(place(text.trim().parse().ok()?, items.len())?)
        }
        (Json::Object(fields), Step::Key(key) | Step::Either(key)) => fields.get(*key),
        _ => None,
    }
}

fn step_raw<'a>(text: &'a str, step: &Step<'_>) -> Option<&'a str> {
    let at = |items: Vec<&'a str>, index: i64| {
        place(index, items.len()).and_then(|at| items.get(at).copied())
    };
    match (raw::read(text), step) {
        (Top::Array(items), Step::Index(index)) => at(items, *index),
        (Top::Array(items), Step::Either(text)) => at(items, text.trim().parse().ok()?),
        // Of equal keys, the last.
        (Top::Object(members), Step::Key(key) | Step::Either(key)) => members
            .into_iter()
            .rev()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value),
        _ => None,
    }
}

fn follow(
    context: &Context<'_>,
    document: &str,
    steps: &[Step<'_>],
    text: bool,
) -> Result<Value, FunctionError> {
    if !is_jsonb(context) {
        let mut at = Some(document.trim());
        for next in steps {
            at = at.and_then(|member| step_raw(member, next));
        }
        return answer_raw(at, text);
    }
    let json = parse(document)?;
    let mut at = Some(&json);
    for (number, next) in steps.iter().enumerate() {
        at = at.and_then(|member| match (member, next) {
            // A scalar alone is kept as an array of one.
            (Json::Array(_) | Json::Object(_), next) => step(member, next),
            (scalar, Step::Index(0 | -1)) if number == 0 => Some(scalar),
            _ => None,
        });
    }
    Ok(answer(at, text))
}

/// `->` and `->>`.
pub(in super::super) fn get(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let [document, key] = args else {
        return Ok(Value::Null);
    };
    let key = match key {
        Value::Int(index) => Step::Index(*index),
        key => Step::Key(key.as_str()),
    };
    follow(context, document.as_str(), &[key], text)
}

/// `#>` and `#>>`.
pub(in super::super) fn path(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let Some((document, steps)) = args.split_first() else {
        return Ok(Value::Null);
    };
    let steps = match steps {
        [Value::List(steps)] => steps.as_slice(),
        steps => steps,
    };
    if steps.iter().any(Value::is_null) {
        return Ok(Value::Null);
    }
    let steps: Vec<Step<'_>> = steps.iter().map(|key| Step::Either(key.as_str())).collect();
    follow(context, document.as_str(), &steps, text)
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            a == b
                || a.as_f64()
                    .zip(b.as_f64())
                    .is_some_and(|(a, b)| a.to_bits() == b.to_bits())
        }
        (a, b) => a == b,
    }
}

fn holds(outer: &Json, inner: &Json) -> bool {
    match (outer, inner) {
        (Json::Object(outer), Json::Object(inner)) => inner
            .iter()
            .all(|(key, value)| outer.get(key).is_some_and(|found| holds(found, value))),
        (Json::Array(outer), Json::Array(inner)) => inner.iter().all(|value| {
            outer
                .iter()
                .any(|found| found.is_array() == value.is_array() && holds(found, value))
        }),
        (Json::Array(outer), inner) if !inner.is_object() => {
            outer.iter().any(|found| same(found, inner))
        }
        (a, b) => same(a, b),
    }
}

pub(in super::super) fn contains(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [a, b] => Ok(Value::Bool(holds(&parse(a.as_str())?, &parse(b.as_str())?))),
        _ => Ok(Value::Null),
    }
}

pub(in super::super) fn exists(args: &[Value], all: bool) -> Result<Value, FunctionError> {
    let [document, keys] = args else {
        return Ok(Value::Null);
    };
    let json = parse(document.as_str())?;
    let has = |key: &Value| match &json {
        Json::Object(fields) => fields.contains_key(key.as_str()),
        Json::Array(items) => items.iter().any(|item| item.as_str() == Some(key.as_str())),
        Json::String(text) => text == key.as_str(),
        _ => false,
    };
    Ok(Value::Bool(match keys {
        Value::List(keys) if all => keys.iter().all(has),
        Value::List(keys) => keys.iter().any(has),
        key => has(key),
    }))
}

pub(super) fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

pub(in super::super) fn type_of(args: &[Value]) -> Result<Value, FunctionError> {
    let json = parse(args.first().map_or("", Value::as_str))?;
    Ok(Value::text(kind(&json)))
}

pub(super) fn array_length(args: &[Value]) -> Result<Value, FunctionError> {
    match raw::read(args.first().map_or("", Value::as_str)) {
        Top::Array(items) => Ok(Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX))),
        Top::Object(_) => Err(FunctionError::invalid_parameter(
            "cannot get array length of a non-array",
        )),
        Top::Scalar => Err(FunctionError::invalid_parameter(
            "cannot get array length of a scalar",
        )),
    }
}

pub(super) fn elements(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let document = args.first().map_or("", Value::as_str);
    let refused = |scalar: bool| {
        let of = if text { "_text" } else { "" };
        let what = if scalar { "a scalar" } else { "a non-array" };
        FunctionError::invalid_parameter(match (is_jsonb(context), scalar) {
            (true, true) => "cannot extract elements from a scalar".to_owned(),
            (true, false) => "cannot extract elements from an object".to_owned(),
            (false, _) => format!("cannot call json_array_elements{of} on {what}"),
        })
    };
    match raw::read(document) {
        Top::Array(items) if !is_jsonb(context) => {
            let items = items.into_iter().map(|item| answer_raw(Some(item), text));
            Ok(Value::List(items.collect::<Result<_, _>>()?))
        }
        Top::Array(items) => {
            let items = items
                .into_iter()
                .map(|item| Ok(answer(Some(&parse(item)?), text)));
            Ok(Value::List(items.collect::<Result<_, FunctionError>>()?))
        }
        Top::Object(_) => Err(refused(false)),
        Top::Scalar => Err(refused(true)),
    }
}

/// The members of an object; those of jsonb are kept in its order.
fn members(
    args: &[Value],
    refused: impl Fn(&str) -> String,
) -> Result<Vec<(String, &str)>, FunctionError> {
    let wrong = |what| Err(FunctionError::invalid_parameter(refused(what)));
    match raw::read(args.first().map_or("", Value::as_str)) {
        Top::Object(members) => Ok(members),
        Top::Array(_) => wrong("an array"),
        Top::Scalar => wrong("a scalar"),
    }
}

fn letter(context: &Context<'_>) -> &'static str {
    if is_jsonb(context) { "b" } else { "" }
}

pub(super) fn keys(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let of = letter(context);
    let keys = members(args, |what| {
        format!("cannot call json{of}_object_keys on {what}")
    })?
    .into_iter()
    .map(|(key, _)| Value::Text(key));
    Ok(Value::List(keys.collect()))
}

pub(super) fn each(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let jsonb = is_jsonb(context);
    let refused = |what: &str| match (jsonb, what) {
        (true, _) => {
            let of = if text { "_text" } else { "" };
            format!("cannot call jsonb_each{of} on a non-object")
        }
        (false, "an array") => "cannot deconstruct an array as an object".to_owned(),
        (false, what) => format!("cannot deconstruct {what}"),
    };
    let rows = members(args, refused)?.into_iter().map(|(key, value)| {
        let value = if jsonb {
            answer(Some(&parse(value)?), text)
        } else {
            answer_raw(Some(value), text)?
        };
        Ok(Value::Record(vec![Value::Text(key), value]))
    });
    Ok(Value::List(rows.collect::<Result<_, FunctionError>>()?))
}

/// Four blanks a level, every member on its line.
pub(super) fn pretty(args: &[Value]) -> Result<Value, FunctionError> {
    let mut out = String::new();
    write_pretty(&parse(args.first().map_or("", Value::as_str))?, 1, &mut out);
    Ok(Value::Text(out))
}

fn write_pretty(json: &Json, depth: usize, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.push_str(&"    ".repeat(depth));
    };
    match json {
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                line(depth, out);
                write_pretty(item, depth + 1, out);
            }
            line(depth - 1, out);
            out.push(']');
        }
        Json::Object(fields) => {
            out.push('{');
            for (index, (key, value)) in sorted(fields).into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                line(depth, out);
                quote(key, out);
                out.push_str(": ");
                write_pretty(value, depth + 1, out);
            }
            line(depth - 1, out);
            out.push('}');
        }
        scalar => out.push_str(&canonical(scalar)),
    }
}
