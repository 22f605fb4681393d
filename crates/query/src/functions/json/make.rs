//! Documents made from values.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use chronolith_types::array::Shape;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use serde_json::Value as Json;

use super::super::casts::to_text;
use super::super::composites;
use super::super::dates;
use super::super::error::FunctionError;
use super::super::table::{Typed, Volatile};
use super::super::udf::{Context, Row, row_call};
use super::super::value::Value;
use super::raw::{self, Top};
use super::{canonical, parse, quote};

/// A value of any type as JSON.
fn of_value(context: &Context<'_>, value: &Value, ty: &SqlType) -> Result<Json, FunctionError> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::List(items) => {
            let element = ty.element().cloned().unwrap_or(SqlType::Text);
            let items = items.iter().map(|item| of_value(context, item, &element));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Shaped(shape, items) => {
            let rows = rows_of(shape, items);
            let element = ty.element().filter(|_| shape.dimensions().len() == 1);
            let items = rows.iter();
            let items = items.map(|item| of_value(context, item, element.unwrap_or(ty)));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        // A row comes as its json.
        Value::Text(text) if matches!(ty, SqlType::Json | SqlType::Jsonb | SqlType::Record) => {
            parse(text)?
        }
        Value::Text(text) if composites::is_composite(ty) => {
            parse(&composites::json(context, text, ty)?)?
        }
        Value::Int(_) | Value::Float(_) | Value::Numeric(_) => {
            let text = to_text(context.zone, value, ty)?;
            match serde_json::from_str::<serde_json::Number>(&text) {
                Ok(number) => Json::Number(number),
                Err(_) => Json::String(text),
            }
        }
        Value::Timestamp(us) => {
            let mut text = to_text(context.zone, value, ty)?;
            if !dates::infinite(*us) {
                text = text.replacen(' ', "T", 1);
                // An ISO offset has its minutes.
                if matches!(ty, SqlType::Timestamptz(_))
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
        other => Json::String(to_text(context.zone, other, ty)?),
    })
}

/// The arrays that are the items of one of several dimensions; of one dimension, its items as such.
fn rows_of(shape: &Shape, items: &[Value]) -> Vec<Value> {
    let Some((outer, inner)) = shape.dimensions().split_first() else {
        return Vec::new();
    };
    let Ok(inner) = Shape::new(inner.to_vec()) else {
        return Vec::new();
    };
    let of_one = items.len() / outer.length.max(1);
    let rows = items.chunks(of_one.max(1));
    let rows = rows.map(|row| match (inner.dimensions(), row) {
        ([], [item]) => item.clone(),
        _ => Value::shaped(inner.clone(), row.to_vec()),
    });
    rows.collect()
}

/// A value of any type as json text: documents within keep the form they are written in.
pub(in super::super) fn text_of(
    context: &Context<'_>,
    value: &Value,
    ty: &SqlType,
    jsonb: bool,
) -> Result<String, FunctionError> {
    if jsonb {
        return Ok(canonical(&of_value(context, value, ty)?));
    }
    Ok(match value {
        Value::Text(text) if matches!(ty, SqlType::Json | SqlType::Jsonb | SqlType::Record) => {
            text.clone()
        }
        Value::Text(text) if composites::is_composite(ty) => composites::json(context, text, ty)?,
        Value::List(_) | Value::Shaped(..) => list_text(context, value, ty, ",")?,
        value => of_value(context, value, ty)?.to_string(),
    })
}

fn list_text(
    context: &Context<'_>,
    value: &Value,
    ty: &SqlType,
    separator: &str,
) -> Result<String, FunctionError> {
    let shape = value.shape();
    let (items, ty) = match shape.dimensions() {
        // Rows of arrays are arrays of the same type.
        [_, _, ..] => (rows_of(&shape, value.as_list()), ty),
        _ => (
            value.as_list().to_vec(),
            ty.element().unwrap_or(&SqlType::Text),
        ),
    };
    let items = items.iter().map(|item| text_of(context, item, ty, false));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Ok(format!("[{}]", items.join(separator)))
}

pub(super) fn to_json(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (Some(value), Some(ty)) = (args.first(), context.args.first()) else {
        return Ok(Value::Null);
    };
    let jsonb = *context.result == SqlType::Jsonb;
    text_of(context, value, ty, jsonb).map(Value::Text)
}

pub(super) fn array_to_json(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (Some(value), Some(ty)) = (args.first(), context.args.first()) else {
        return Ok(Value::Null);
    };
    let separator = if args.get(1).is_some_and(Value::as_bool) {
        ",\n "
    } else {
        ","
    };
    list_text(context, value, ty, separator).map(Value::Text)
}

pub(super) fn build_array(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let jsonb = *context.result == SqlType::Jsonb;
    let items = args.iter().zip(context.args);
    let items = items.map(|(value, ty)| text_of(context, value, ty, jsonb));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Ok(Value::Text(format!("[{}]", items.join(", "))))
}

/// A key of an object: what a cast to text says.
pub(in super::super) fn key_of(
    context: &Context<'_>,
    key: &Value,
    ty: &SqlType,
) -> Result<String, FunctionError> {
    match key {
        Value::Bool(value) => Ok(value.to_string()),
        key => to_text(context.zone, key, ty),
    }
}

pub(super) fn build_object(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let jsonb = *context.result == SqlType::Jsonb;
    if !args.len().is_multiple_of(2) {
        return Err(FunctionError::invalid_parameter(
            "argument list must have even number of elements",
        )
        .with_hint(format!(
            "The arguments of {}_build_object() must consist of alternating keys and values.",
            if jsonb { "jsonb" } else { "json" }
        )));
    }
    let mut fields = Vec::new();
    for (pair, types) in args.chunks(2).zip(context.args.chunks(2)) {
        let ([key, value], [key_ty, value_ty]) = (pair, types) else {
            continue;
        };
        if key.is_null() {
            let number = fields.len() * 2 + 1;
            return Err(if jsonb {
                let message = format!("argument {number}: key must not be null");
                FunctionError::invalid_parameter(message)
            } else {
                FunctionError::invalid_parameter(format!("argument {number} cannot be null"))
                    .with_hint("Object keys should be text.")
            });
        }
        fields.push((
            key_of(context, key, key_ty)?,
            text_of(context, value, value_ty, jsonb)?,
        ));
    }
    finished(fields, jsonb)
}

fn finished(fields: Vec<(String, String)>, jsonb: bool) -> Result<Value, FunctionError> {
    Ok(Value::Text(if jsonb {
        canonical(&last_wins(fields)?)
    } else {
        object_text(&fields)
    }))
}

/// The text of json_build_object and json_object_agg: doubled keys are kept.
pub(in super::super) fn object_text(fields: &[(String, String)]) -> String {
    let mut out = String::from("{");
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        quote(key, &mut out);
        out.push_str(" : ");
        out.push_str(value);
    }
    out.push('}');
    out
}

/// Keys that come more than once keep their last value, as in jsonb.
pub(in super::super) fn last_wins(fields: Vec<(String, String)>) -> Result<Json, FunctionError> {
    let unique: BTreeMap<String, String> = fields.into_iter().collect();
    let members = unique
        .into_iter()
        .map(|(key, value)| Ok((key, parse(&value)?)));
    Ok(Json::Object(members.collect::<Result<_, FunctionError>>()?))
}

/// json_object: keys and values in one array of texts, or in two.
pub(super) fn object_of_texts(
    context: &Context<'_>,
    args: &[Value],
) -> Result<Value, FunctionError> {
    let wrong = |message| FunctionError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message);
    let pairs: Vec<(&Value, &Value)> = match args {
        [both] => {
            let items = both.as_list();
            if items.len() % 2 == 1 {
                return Err(wrong("array must have even number of elements"));
            }
            items
                .iter()
                .step_by(2)
                .zip(items.iter().skip(1).step_by(2))
                .collect()
        }
        [keys, values] => {
            if keys.as_list().len() != values.as_list().len() {
                return Err(wrong("mismatched array dimensions"));
            }
            keys.as_list().iter().zip(values.as_list()).collect()
        }
        _ => return Ok(Value::Null),
    };
    let mut fields = Vec::new();
    for (key, value) in pairs {
        if key.is_null() {
            return Err(FunctionError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null value not allowed for object key",
            ));
        }
        let value = match value {
            Value::Null => "null".to_owned(),
            value => Json::String(value.as_str().to_owned()).to_string(),
        };
        fields.push((key.as_str().to_owned(), value));
    }
    finished(fields, *context.result == SqlType::Jsonb)
}

/// A row of named columns: its json text, under the type record.
///
/// # Errors
/// When a name cannot be had as a literal, which does not happen.
pub fn row_as_json(columns: Vec<(String, Typed)>) -> Result<Typed, FunctionError> {
    let mut args = Vec::with_capacity(columns.len() * 2);
    for (name, value) in columns {
        args.push(Typed::literal(
            ScalarValue::Utf8View(Some(name)),
            SqlType::Text,
        ));
        args.push(value);
    }
    let row = Row {
        name: "row_as_json",
        function: |context, args| row_text(context, args).map(Value::Text),
        strict: false,
        volatility: Volatile::Stable,
        ty: SqlType::Record,
        arrow: DataType::Utf8View,
    };
    row_call(row, args)
}

fn row_text(context: &Context<'_>, args: &[Value]) -> Result<String, FunctionError> {
    let mut out = String::from("{");
    for (pair, types) in args.chunks(2).zip(context.args.chunks(2)) {
        let ([name, value], [_, ty]) = (pair, types) else {
            continue;
        };
        if out.len() > 1 {
            out.push(',');
        }
        quote(name.as_str(), &mut out);
        out.push(':');
        out.push_str(&text_of(context, value, ty, false)?);
    }
    out.push('}');
    Ok(out)
}

/// row_to_json, on a line for each member if asked.
pub(super) fn row_to_json(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    let text = match context.args.first() {
        Some(ty) if composites::is_composite(ty) => &composites::json(context, text, ty)?,
        _ => text,
    };
    Ok(match raw::read(text) {
        Top::Object(members) if args.get(1).is_some_and(Value::as_bool) => {
            let members = members.iter().map(|(key, value)| {
                let mut member = String::new();
                quote(key, &mut member);
                format!("{member}:{value}")
            });
            Value::Text(format!("{{{}}}", members.collect::<Vec<_>>().join(",\n ")))
        }
        _ => Value::text(text),
    })
}
