//! Documents with something put in, changed or taken out.

use chronolith_types::SqlState;
use serde_json::{Map, Value as Json};

use super::super::error::FunctionError;
use super::super::value::Value;
use super::{canonical, parse};

fn document(args: &[Value]) -> Result<Json, FunctionError> {
    parse(args.first().map_or("", Value::as_str))
}

fn answer(json: &Json) -> Result<Value, FunctionError> {
    Ok(Value::Text(canonical(json)))
}

pub(in super::super) fn concat(args: &[Value]) -> Result<Value, FunctionError> {
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
    answer(&joined)
}

pub(in super::super) fn delete(args: &[Value]) -> Result<Value, FunctionError> {
    let [_, key] = args else {
        return Ok(Value::Null);
    };
    let mut json = document(args)?;
    let by_place = matches!(key, Value::Int(_));
    match &json {
        Json::Object(_) if by_place => {
            return Err(FunctionError::invalid_parameter(
                "cannot delete from object using integer index",
            ));
        }
        Json::Array(_) | Json::Object(_) => {}
        _ => {
            return Err(FunctionError::invalid_parameter(
                "cannot delete from scalar",
            ));
        }
    }
    let keys = match key {
        Value::List(keys) => keys.as_slice(),
        _ => std::slice::from_ref(key),
    };
    for key in keys {
        match (&mut json, key) {
            (_, Value::Null) => {}
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
    answer(&json)
}

/// The place that a step of a path names in an array, which may lie outside of it.
fn place(step: &Value, number: usize, length: usize) -> Result<i64, FunctionError> {
    let text = step.as_str();
    let index: i64 = text.trim().parse().map_err(|_| {
        FunctionError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("path element at position {number} is not an integer: \"{text}\""),
        )
    })?;
    let length = i64::try_from(length).unwrap_or(0);
    Ok(if index < 0 { length + index } else { index })
}

/// What is done at the end of a path.
#[derive(Clone, Copy)]
enum Change<'a> {
    Delete,
    Set { value: &'a Json, create: bool },
    Insert { value: &'a Json, after: bool },
}

fn existing() -> FunctionError {
    FunctionError::invalid_parameter("cannot replace existing key")
        .with_hint("Try using the function jsonb_set to replace key value.")
}

fn change(
    json: &mut Json,
    path: &[Value],
    depth: usize,
    what: Change<'_>,
) -> Result<(), FunctionError> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(());
    };
    if step.is_null() {
        return Err(FunctionError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("path element at position {} is null", depth + 1),
        ));
    }
    match json {
        Json::Object(fields) => {
            if !rest.is_empty() {
                if let Some(inner) = fields.get_mut(step.as_str()) {
                    change(inner, rest, depth + 1, what)?;
                }
                return Ok(());
            }
            let key = step.as_str().to_owned();
            let known = fields.contains_key(&key);
            match what {
                Change::Delete => {
                    fields.shift_remove(&key);
                }
                Change::Set { value, create } if known || create => {
                    fields.insert(key, value.clone());
                }
                Change::Set { .. } => {}
                Change::Insert { .. } if known => return Err(existing()),
                Change::Insert { value, .. } => {
                    fields.insert(key, value.clone());
                }
            }
        }
        Json::Array(items) => {
            let index = place(step, depth + 1, items.len())?;
            let inside = usize::try_from(index).ok().filter(|at| *at < items.len());
            if !rest.is_empty() {
                if let Some(inner) = inside.and_then(|at| items.get_mut(at)) {
                    change(inner, rest, depth + 1, what)?;
                }
                return Ok(());
            }
            let end = if index < 0 { 0 } else { items.len() };
            match (what, inside) {
                (Change::Delete, Some(at)) => {
                    items.remove(at);
                }
                (Change::Delete, None) => {}
                (Change::Set { value, .. }, Some(at)) => {
                    if let Some(slot) = items.get_mut(at) {
                        *slot = value.clone();
                    }
                }
                (Change::Set { value, create }, None) => {
                    if create {
                        items.insert(end, value.clone());
                    }
                }
                (Change::Insert { value, after }, Some(at)) => {
                    items.insert(at + usize::from(after), value.clone());
                }
                (Change::Insert { value, .. }, None) => items.insert(end, value.clone()),
            }
        }
        _ => {}
    }
    Ok(())
}

fn scalar_check(json: &Json, message: &str) -> Result<(), FunctionError> {
    if json.is_array() || json.is_object() {
        return Ok(());
    }
    Err(FunctionError::invalid_parameter(message))
}

/// `#-`: without what is at the end of a path.
pub(in super::super) fn delete_path(args: &[Value]) -> Result<Value, FunctionError> {
    let [_, Value::List(path)] = args else {
        return Ok(Value::Null);
    };
    let mut json = document(args)?;
    scalar_check(&json, "cannot delete path in scalar")?;
    // PostgreSQL does not look at the path where there is nothing.
    if json.as_array().is_some_and(Vec::is_empty) {
        return answer(&json);
    }
    change(&mut json, path, 0, Change::Delete)?;
    answer(&json)
}

pub(super) fn set(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([_, Value::List(path), value], rest)) = args.split_first_chunk::<3>() else {
        return Ok(Value::Null);
    };
    let create = rest.first().is_none_or(Value::as_bool);
    let mut json = document(args)?;
    scalar_check(&json, "cannot set path in scalar")?;
    let value = &parse(value.as_str())?;
    // Nothing is created in an empty container that asks not to.
    change(&mut json, path, 0, Change::Set { value, create })?;
    answer(&json)
}

pub(super) fn set_lax(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([target, path, value], rest)) = args.split_first_chunk::<3>() else {
        return Ok(Value::Null);
    };
    let create = rest.first().cloned().unwrap_or(Value::Bool(true));
    if target.is_null() || path.is_null() || create.is_null() {
        return Ok(Value::Null);
    }
    if !value.is_null() {
        return set(args);
    }
    match rest.get(1).map_or("use_json_null", Value::as_str) {
        "use_json_null" => set(&[target.clone(), path.clone(), Value::text("null"), create]),
        "delete_key" => delete_path(&[target.clone(), path.clone()]),
        "return_target" => Ok(target.clone()),
        "raise_exception" => Err(FunctionError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "JSON value must not be null",
        )
        .with_detail("Exception was raised because null_value_treatment is \"raise_exception\".")
        .with_hint(
            "To avoid, either change the null_value_treatment argument or ensure that an SQL NULL \
             is not passed.",
        )),
        _ => Err(FunctionError::invalid_parameter(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", \
             or \"raise_exception\"",
        )),
    }
}

pub(super) fn insert(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([_, Value::List(path), value], rest)) = args.split_first_chunk::<3>() else {
        return Ok(Value::Null);
    };
    let after = rest.first().is_some_and(Value::as_bool);
    let mut json = document(args)?;
    scalar_check(&json, "cannot set path in scalar")?;
    let value = &parse(value.as_str())?;
    change(&mut json, path, 0, Change::Insert { value, after })?;
    answer(&json)
}

/// Without the members that are null, at any depth.
pub(super) fn strip(json: Json) -> Json {
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
