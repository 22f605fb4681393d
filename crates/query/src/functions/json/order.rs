//! How documents compare: PostgreSQL's order of jsonb.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::super::error::FunctionError;
use super::super::num;

fn rank(json: &Json) -> u8 {
    match json {
        Json::Null => 0,
        Json::String(_) => 1,
        Json::Number(_) => 2,
        Json::Bool(_) => 3,
        Json::Array(_) => 4,
        Json::Object(_) => 5,
    }
}

/// jsonb's order of two documents.
pub(super) fn compare(a: &Json, b: &Json) -> Result<Ordering, FunctionError> {
    // A scalar alone is kept as an array of one, so an empty array is less.
    match (a, b) {
        (Json::Array(items), other) if items.is_empty() && rank(other) < 4 => {
            return Ok(Ordering::Less);
        }
        (other, Json::Array(items)) if items.is_empty() && rank(other) < 4 => {
            return Ok(Ordering::Greater);
        }
        _ => {}
    }
    inner(a, b)
}

fn inner(a: &Json, b: &Json) -> Result<Ordering, FunctionError> {
    Ok(match (a, b) {
        (Json::String(a), Json::String(b)) => a.cmp(b),
        (Json::Number(a), Json::Number(b)) => {
            num::compare(&num::parse(&a.to_string())?, &num::parse(&b.to_string())?)
        }
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::Array(a), Json::Array(b)) => {
            let mut order = a.len().cmp(&b.len());
            for (a, b) in a.iter().zip(b) {
                if order.is_ne() {
                    break;
                }
                order = inner(a, b)?;
            }
            order
        }
        (Json::Object(a), Json::Object(b)) => {
            let mut order = a.len().cmp(&b.len());
            for ((a_key, a), (b_key, b)) in super::sorted(a).into_iter().zip(super::sorted(b)) {
                if order.is_ne() {
                    break;
                }
                order = a_key.cmp(b_key);
                if order.is_eq() {
                    order = inner(a, b)?;
                }
            }
            order
        }
        (a, b) => rank(a).cmp(&rank(b)),
    })
}
