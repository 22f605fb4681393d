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

/// Bytes that order as documents do.
pub(super) fn key(json: &Json) -> Result<Vec<u8>, FunctionError> {
    let mut out = Vec::new();
    // An empty array is less than what stands alone, which is less than other arrays.
    out.push(match json {
        Json::Array(items) if items.is_empty() => 0,
        Json::Array(_) => 2,
        Json::Object(_) => 3,
        _ => 1,
    });
    write_key(json, &mut out)?;
    Ok(out)
}

fn write_key(json: &Json, out: &mut Vec<u8>) -> Result<(), FunctionError> {
    out.push(rank(json));
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
    match json {
        Json::Null => {}
        Json::String(text) => write_text(text, out),
        Json::Number(number) => {
            let code = num::to_any(&num::parse(&number.to_string())?)?;
            let mut bytes = num::Numeric::normalised_any(code).to_be_bytes();
            bytes[0] ^= 0x80;
            out.extend_from_slice(&bytes);
        }
        Json::Bool(value) => out.push(u8::from(*value)),
        Json::Array(items) => {
            out.extend_from_slice(&count(items.len()));
            for item in items {
                write_key(item, out)?;
            }
        }
        Json::Object(fields) => {
            out.extend_from_slice(&count(fields.len()));
            for (name, value) in super::sorted(fields) {
                write_text(name, out);
                write_key(value, out)?;
            }
        }
    }
    Ok(())
}

/// A text with an end that is less than all that it may have in it.
fn write_text(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(u8::MAX);
        }
    }
    out.extend_from_slice(&[0, 0]);
}
