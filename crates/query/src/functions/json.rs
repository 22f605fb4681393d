//! json and jsonb: reading, making, containing.

use std::collections::BTreeMap;

use chronolith_types::{SqlState, SqlType};
use serde_json::{Map, Value as Json};

use super::error::FunctionError;
use super::udf::Context;
use super::value::Value;

pub(super) fn parse(text: &str) -> Result<Json, FunctionError> {
    serde_json::from_str(text).map_err(|error| {
        FunctionError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            "invalid input syntax for type json",
        )
        .with_detail(error.to_string())
    })
}

/// jsonb's own form of a document: keys by length and then bytes, one space after `:` and `,`.
pub(super) fn canonical(json: &Json) -> String {
    let mut out = String::new();
    render(json, true, &mut out);
    out
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
            let mut sorted: Vec<_> = fields.iter().collect();
            if jsonb {
                sorted.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            }
            for (index, (key, value)) in sorted.into_iter().enumerate() {
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

fn answer(json: Option<&Json>, text: bool, jsonb: bool) -> Value {
    match json {
        None => Value::Null,
        Some(Json::Null) if text => Value::Null,
        Some(Json::String(inner)) if text => Value::text(inner.clone()),
        Some(json) if jsonb => Value::Text(canonical(json)),
        Some(json) => Value::Text(json.to_string()),
    }
}

fn element(json: &Json, index: i64) -> Option<&Json> {
    let items = json.as_array()?;
    let index = if index < 0 {
        i64::try_from(items.len()).ok()? + index
    } else {
        index
    };
    items.get(usize::try_from(index).ok()?)
}

pub(super) fn get(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let [document, key] = args else {
        return Ok(Value::Null);
    };
    let json = parse(document.as_str())?;
    let found = match key {
        Value::Int(index) => element(&json, *index),
        key => json.get(key.as_str()),
    };
    Ok(answer(found, text, is_jsonb(context)))
}

pub(super) fn path(
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
    let json = parse(document.as_str())?;
    let mut at = Some(&json);
    for step in steps {
        at = at.and_then(|json| match json {
            Json::Array(_) => step
                .as_str()
                .parse()
                .ok()
                .and_then(|index| element(json, index)),
            json => json.get(step.as_str()),
        });
    }
    Ok(answer(at, text, is_jsonb(context)))
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

pub(super) fn contains(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [a, b] => Ok(Value::Bool(holds(&parse(a.as_str())?, &parse(b.as_str())?))),
        _ => Ok(Value::Null),
    }
}

pub(super) fn exists(args: &[Value], all: bool) -> Result<Value, FunctionError> {
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

pub(super) fn concat(args: &[Value]) -> Result<Value, FunctionError> {
    let [a, b] = args else {
        return Ok(Value::Null);
    };
    let joined = match (parse(a.as_str())?, parse(b.as_str())?) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            Json::Object(a)
        }
        (a, b) => {
            let items = |json| match json {
                Json::Array(items) => items,
                other => vec![other],
            };
            Json::Array(items(a).into_iter().chain(items(b)).collect())
        }
    };
    Ok(Value::Text(canonical(&joined)))
}

pub(super) fn delete(args: &[Value]) -> Result<Value, FunctionError> {
    let [document, key] = args else {
        return Ok(Value::Null);
    };
    let mut json = parse(document.as_str())?;
    let keys = match key {
        Value::List(keys) => keys.as_slice(),
        _ => std::slice::from_ref(key),
    };
    for key in keys {
        match (&mut json, key) {
            (Json::Object(fields), key) => {
                fields.shift_remove(key.as_str());
            }
            (Json::Array(items), Value::Int(index)) => {
                let length = i64::try_from(items.len()).unwrap_or(0);
                let index = if *index < 0 { length + index } else { *index };
                if (0..length).contains(&index) {
                    items.remove(usize::try_from(index).unwrap_or(0));
                }
            }
            (Json::Array(items), key) => items.retain(|item| item.as_str() != Some(key.as_str())),
            _ => {}
        }
    }
    Ok(Value::Text(canonical(&json)))
}

/// `#-`: without what is at the end of a path.
pub(super) fn delete_path(args: &[Value]) -> Result<Value, FunctionError> {
    let [document, Value::List(path)] = args else {
        return Ok(Value::Null);
    };
    let mut json = parse(document.as_str())?;
    if let Some((last, path)) = path.split_last() {
        let mut at = Some(&mut json);
        for step in path {
            at = match at {
                Some(Json::Object(fields)) => fields.get_mut(step.as_str()),
                Some(Json::Array(items)) => {
                    place(step.as_str(), items.len())?.and_then(|index| items.get_mut(index))
                }
                _ => None,
            };
        }
        match at {
            Some(Json::Object(fields)) => {
                fields.shift_remove(last.as_str());
            }
            Some(Json::Array(items)) => {
                if let Some(index) = place(last.as_str(), items.len())? {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
    Ok(Value::Text(canonical(&json)))
}

/// The place in an array that a step of a path names, counted from the end when negative.
fn place(step: &str, length: usize) -> Result<Option<usize>, FunctionError> {
    let index: i64 = step.trim().parse().map_err(|_| {
        FunctionError::new(
            chronolith_types::SqlState::INVALID_TEXT_REPRESENTATION,
            format!("path element at position 1 is not an integer: \"{step}\""),
        )
    })?;
    let length = i64::try_from(length).unwrap_or(0);
    let index = if index < 0 { length + index } else { index };
    Ok(usize::try_from(index).ok().filter(|_| index < length))
}

/// A value of any type as JSON.
pub(super) fn of_value(
    context: &Context<'_>,
    value: &Value,
    ty: &SqlType,
) -> Result<Json, FunctionError> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::List(items) => {
            let element = ty.element().cloned().unwrap_or(SqlType::Text);
            let items = items.iter().map(|item| of_value(context, item, &element));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Text(text) if matches!(ty, SqlType::Json | SqlType::Jsonb) => parse(text)?,
        Value::Int(_) | Value::Float(_) | Value::Numeric(_) => {
            let text = super::casts::to_text(context.zone, value, ty)?;
            match serde_json::from_str::<serde_json::Number>(&text) {
                Ok(number) => Json::Number(number),
                Err(_) => Json::String(text),
            }
        }
        Value::Timestamp(us) => {
            let mut text = super::casts::to_text(context.zone, value, ty)?;
            if !super::dates::infinite(*us) {
                text = text.replacen(' ', "T", 1);
                // An ISO offset has its minutes.
                if *ty == SqlType::Timestamptz
                    && text.len() > 3
                    && text
                        .get(text.len() - 3..)
                        .is_some_and(|tail| tail.starts_with(['+', '-']))
                {
                    text.push_str(":00");
                }
            }
            Json::String(text)
        }
        Value::Record(_) => Json::Null,
        other => Json::String(super::casts::to_text(context.zone, other, ty)?),
    })
}

fn finish(json: &Json, jsonb: bool) -> Value {
    Value::Text(if jsonb {
        canonical(json)
    } else {
        json.to_string()
    })
}

pub(super) fn to_json(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (Some(value), Some(ty)) = (args.first(), context.args.first()) else {
        return Ok(Value::Null);
    };
    let json = of_value(context, value, ty)?;
    Ok(finish(&json, *context.result == SqlType::Jsonb))
}

pub(super) fn build_array(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let jsonb = *context.result == SqlType::Jsonb;
    let mut out = String::from("[");
    for (index, (value, ty)) in args.iter().zip(context.args).enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        render(&of_value(context, value, ty)?, jsonb, &mut out);
    }
    out.push(']');
    Ok(Value::Text(out))
}

pub(super) fn build_object(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    if !args.len().is_multiple_of(2) {
        return Err(FunctionError::invalid_parameter(
            "argument list must have even number of elements",
        )
        .with_hint(
            "The arguments of json_build_object() must consist of alternating keys and values.",
        ));
    }
    let jsonb = *context.result == SqlType::Jsonb;
    let mut fields = Vec::new();
    for (pair, types) in args.chunks(2).zip(context.args.chunks(2)) {
        let ([key, value], [key_ty, value_ty]) = (pair, types) else {
            continue;
        };
        if key.is_null() {
            return Err(
                FunctionError::invalid_parameter("argument 1 cannot be null")
                    .with_hint("Object keys should be text."),
            );
        }
        let key = super::casts::to_text(context.zone, key, key_ty)?;
        fields.push((key, of_value(context, value, value_ty)?));
    }
    if jsonb {
        return Ok(Value::Text(canonical(&Json::Object(
            fields.into_iter().collect(),
        ))));
    }
    Ok(Value::Text(object_text(&fields)))
}

/// The text of json_build_object and json_object_agg: doubled keys are kept.
pub(super) fn object_text(fields: &[(String, Json)]) -> String {
    let mut out = String::from("{");
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        quote(key, &mut out);
        out.push_str(" : ");
        render(value, false, &mut out);
    }
    out.push('}');
    out
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

pub(super) fn type_of(args: &[Value]) -> Result<Value, FunctionError> {
    let json = parse(args.first().map_or("", Value::as_str))?;
    Ok(Value::text(kind(&json)))
}

pub(super) fn array_length(args: &[Value]) -> Result<Value, FunctionError> {
    match parse(args.first().map_or("", Value::as_str))? {
        Json::Array(items) => Ok(Value::Int(i64::try_from(items.len()).unwrap_or(i64::MAX))),
        Json::Object(_) => Err(FunctionError::invalid_parameter(
            "cannot get array length of a non-array",
        )),
        _ => Err(FunctionError::invalid_parameter(
            "cannot get array length of a scalar",
        )),
    }
}

pub(super) fn elements(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let jsonb = is_jsonb(context);
    match parse(args.first().map_or("", Value::as_str))? {
        Json::Array(items) => Ok(Value::List(
            items
                .iter()
                .map(|item| answer(Some(item), text, jsonb))
                .collect(),
        )),
        Json::Object(_) => Err(FunctionError::invalid_parameter(
            "cannot extract elements from an object",
        )),
        _ => Err(FunctionError::invalid_parameter(
            "cannot extract elements from a scalar",
        )),
    }
}

fn object(args: &[Value], jsonb: bool) -> Result<Vec<(String, Json)>, FunctionError> {
    match parse(args.first().map_or("", Value::as_str))? {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            if jsonb {
                fields.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            }
            Ok(fields)
        }
        Json::Array(_) => Err(FunctionError::invalid_parameter(
            "cannot call this function on an array",
        )),
        _ => Err(FunctionError::invalid_parameter(
            "cannot call this function on a scalar",
        )),
    }
}

pub(super) fn keys(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let fields = object(args, is_jsonb(context))?;
    Ok(Value::List(
        fields
            .into_iter()
            .map(|(key, _)| Value::Text(key))
            .collect(),
    ))
}

pub(super) fn each(
    context: &Context<'_>,
    args: &[Value],
    text: bool,
) -> Result<Value, FunctionError> {
    let jsonb = is_jsonb(context);
    let rows = object(args, jsonb)?.into_iter().map(|(key, value)| {
        Value::Record(vec![Value::Text(key), answer(Some(&value), text, jsonb)])
    });
    Ok(Value::List(rows.collect()))
}

pub(super) fn strip_nulls(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    fn strip(json: Json) -> Json {
        match json {
            Json::Object(fields) => Json::Object(
                fields
                    .into_iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(key, value)| (key, strip(value)))
                    .collect::<Map<_, _>>(),
            ),
            Json::Array(items) => Json::Array(items.into_iter().map(strip).collect()),
            other => other,
        }
    }
    let json = strip(parse(args.first().map_or("", Value::as_str))?);
    Ok(finish(&json, is_jsonb(context)))
}

pub(super) fn pretty(args: &[Value]) -> Result<Value, FunctionError> {
    let json = parse(args.first().map_or("", Value::as_str))?;
    let sorted: Json = serde_json::from_str(&canonical(&json)).unwrap_or(json);
    let narrow = serde_json::to_string_pretty(&sorted)
        .map_err(|error| FunctionError::internal(error.to_string()))?;
    let lines = narrow.lines().map(|line| {
        let bare = line.trim_start();
        format!("{}{bare}", " ".repeat(2 * (line.len() - bare.len())))
    });
    Ok(Value::Text(lines.collect::<Vec<_>>().join("\n")))
}

/// Keys that come more than once keep their last value, as in jsonb.
pub(super) fn last_wins(fields: Vec<(String, Json)>) -> Json {
    let unique: BTreeMap<String, Json> = fields.into_iter().collect();
    Json::Object(unique.into_iter().collect())
}
