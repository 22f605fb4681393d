//! Parts of jsonb by subscripts: read, and assigned to.

use chronolith_types::{SqlState, SqlType};
use serde_json::{Map, Value as Json};

use super::super::error::FunctionError;
use super::super::table::{Typed, Volatile};
use super::super::udf::{self, Context, Row, RowFn};
use super::super::value::Value;
use super::{canonical, parse, read};

/// What an assignment to a part of jsonb is known by.
pub(crate) const PART: &str = "jsonb_with";

/// The part of a document that subscripts, texts and whole numbers, name; NULL where there is none.
///
/// # Errors
/// None that well-typed values meet.
pub(crate) fn json_part(document: Typed, subscripts: Vec<Typed>) -> Result<Typed, FunctionError> {
    let get: RowFn = |context, args| {
        let mut args = args.to_vec();
        for subscript in args.iter_mut().skip(1) {
            *subscript = step(subscript);
        }
        read::path(context, &args, false)
    };
    let mut args = vec![document];
    args.extend(subscripts);
    call("jsonb_part", get, true, args)
}

/// A document in which the part that subscripts name is another one; what is missing on the way to it
/// is made.
///
/// # Errors
/// None that well-typed values meet.
pub(crate) fn json_with_part(
    document: Typed,
    value: Typed,
    subscripts: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    let mut args = vec![document, value];
    args.extend(subscripts);
    call(PART, put, false, args)
}

fn call(
    name: &'static str,
    function: RowFn,
    strict: bool,
    args: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    let row = Row {
        name,
        function,
        strict,
        volatility: Volatile::Immutable,
        ty: SqlType::Jsonb,
        arrow: SqlType::Jsonb.arrow(),
    };
    udf::row_call(row, args)
}

fn step(subscript: &Value) -> Value {
    match subscript {
        Value::Int(number) => Value::text(number.to_string()),
        other => other.clone(),
    }
}

fn put(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [document, value, subscripts @ ..] = args else {
        return Ok(Value::Null);
    };
    if subscripts.iter().any(Value::is_null) {
        return Err(FunctionError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "jsonb subscript in assignment must not be null",
        ));
    }
    let mut json = match (document, subscripts.first()) {
        // Where there is nothing, the first subscript says what is made.
        (Value::Null, Some(Value::Int(_))) => Json::Array(Vec::new()),
        (Value::Null, _) => Json::Object(Map::new()),
        (document, _) => parse(document.as_str())?,
    };
    let value = match value {
        Value::Null => Json::Null,
        value => parse(value.as_str())?,
    };
    let steps: Vec<Value> = subscripts.iter().map(step).collect();
    let steps: Vec<&str> = steps.iter().map(Value::as_str).collect();
    set(&mut json, &steps, 1, value)?;
    Ok(Value::Text(canonical(&json)))
}

/// A step as the place in an array that it names.
fn number(step: &str) -> Option<i64> {
    let digits = step.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    digits.parse::<i32>().ok().map(i64::from)
}

fn set(json: &mut Json, steps: &[&str], depth: usize, value: Json) -> Result<(), FunctionError> {
    let Some((step, rest)) = steps.split_first() else {
        *json = value;
        return Ok(());
    };
    match json {
        Json::Object(fields) => match fields.get_mut(*step) {
            Some(inner) => set(inner, rest, depth + 1, value),
            None => {
                fields.insert((*step).to_owned(), made(rest, value)?);
                Ok(())
            }
        },
        Json::Array(items) => {
            let asked = number(step).ok_or_else(|| {
                FunctionError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    format!("path element at position {depth} is not an integer: \"{step}\""),
                )
            })?;
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let at = match asked < 0 {
                true => usize::try_from(length + asked).map_err(|_| {
                    FunctionError::invalid_parameter(format!(
                        "path element at position {depth} is out of range: {asked}"
                    ))
                })?,
                false => usize::try_from(asked).unwrap_or(usize::MAX),
            };
            match items.get_mut(at) {
                Some(inner) => set(inner, rest, depth + 1, value),
                None => {
                    fill(items, at)?;
                    items.push(made(rest, value)?);
                    Ok(())
                }
            }
        }
        _ => Err(
            FunctionError::invalid_parameter("cannot replace existing key").with_detail(
                "The path assumes key is a composite object, but it is a scalar value.",
            ),
        ),
    }
}

/// What lies at the end of steps that are not there yet: numbers make arrays, and all else objects.
fn made(steps: &[&str], value: Json) -> Result<Json, FunctionError> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(value);
    };
    let inner = made(rest, value)?;
    Ok(match number(step) {
        Some(at) => {
            let mut items = Vec::new();
            fill(&mut items, usize::try_from(at).unwrap_or(0))?;
            items.push(inner);
            Json::Array(items)
        }
        None => Json::Object(Map::from_iter([((*step).to_owned(), inner)])),
    })
}

/// Nulls up to a place.
fn fill(items: &mut Vec<Json>, length: usize) -> Result<(), FunctionError> {
    /// As many as a document of PostgreSQL's may have at most.
    const ITEMS_MAX: usize = 0x0fff_ffff / 4;
    if length > ITEMS_MAX {
        return Err(FunctionError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "total size of jsonb array elements exceeds the maximum of {} bytes",
                0x0fff_ffff
            ),
        ));
    }
    items.resize(length.max(items.len()), Json::Null);
    Ok(())
}
