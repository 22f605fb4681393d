//! Functions of arrays, and sets made of them.

use std::cmp::Ordering;

use chronolith_types::SqlState;

use super::dates;
use super::error::FunctionError;
use super::io::Zone;
use super::num;
use super::value::Value;

/// The most rows that one call of a set-returning function makes.
const SET_MAX: usize = 50_000_000;

fn count(length: usize) -> Value {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

pub(super) fn contains(args: &[Value]) -> Result<Value, FunctionError> {
    let [a, b] = args else {
        return Ok(Value::Null);
    };
    let all = b
        .as_list()
        .iter()
        .all(|item| !item.is_null() && a.as_list().iter().any(|found| found.compare(item).is_eq()));
    Ok(Value::Bool(all))
}

pub(super) fn overlaps(args: &[Value]) -> Result<Value, FunctionError> {
    let [a, b] = args else {
        return Ok(Value::Null);
    };
    let any = b
        .as_list()
        .iter()
        .any(|item| !item.is_null() && a.as_list().iter().any(|found| found.compare(item).is_eq()));
    Ok(Value::Bool(any))
}

pub(super) fn append(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, item] = args else {
        return Ok(Value::Null);
    };
    let mut items = list.as_list().to_vec();
    items.push(item.clone());
    Ok(Value::List(items))
}

pub(super) fn prepend(args: &[Value]) -> Result<Value, FunctionError> {
    let [item, list] = args else {
        return Ok(Value::Null);
    };
    let mut items = vec![item.clone()];
    items.extend_from_slice(list.as_list());
    Ok(Value::List(items))
}

pub(super) fn cat(args: &[Value]) -> Result<Value, FunctionError> {
    match args {
        [Value::Null, other] | [other, Value::Null] => Ok(other.clone()),
        [a, b] => Ok(Value::List([a.as_list(), b.as_list()].concat())),
        _ => Ok(Value::Null),
    }
}

pub(super) fn length(args: &[Value]) -> Result<Value, FunctionError> {
    let (items, dimension) = match args {
        [list, dimension] => (list.as_list(), dimension.as_int()),
        _ => return Ok(Value::Null),
    };
    Ok(if dimension == 1 && !items.is_empty() {
        count(items.len())
    } else {
        Value::Null
    })
}

pub(super) fn lower(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(if length(args)?.is_null() {
        Value::Null
    } else {
        Value::Int(1)
    })
}

pub(super) fn cardinality(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(args
        .first()
        .map_or(Value::Null, |list| count(list.as_list().len())))
}

pub(super) fn dimensions(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match args.first().map_or(0, |list| list.as_list().len()) {
        0 => Value::Null,
        length => Value::Text(format!("[1:{length}]")),
    })
}

fn same(a: &Value, b: &Value) -> bool {
    a.compare(b) == Ordering::Equal
}

pub(super) fn position(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([list, item], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    if list.is_null() {
        return Ok(Value::Null);
    }
    let start = rest.first().map_or(1, Value::as_int).max(1);
    let skip = usize::try_from(start - 1).unwrap_or(0);
    let found = list
        .as_list()
        .iter()
        .enumerate()
        .skip(skip)
        .find(|(_, found)| same(found, item));
    Ok(found.map_or(Value::Null, |(index, _)| count(index + 1)))
}

pub(super) fn positions(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, item] = args else {
        return Ok(Value::Null);
    };
    if list.is_null() {
        return Ok(Value::Null);
    }
    let found = list
        .as_list()
        .iter()
        .enumerate()
        .filter(|(_, found)| same(found, item));
    Ok(Value::List(
        found.map(|(index, _)| count(index + 1)).collect(),
    ))
}

pub(super) fn remove(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, item] = args else {
        return Ok(Value::Null);
    };
    if list.is_null() {
        return Ok(Value::Null);
    }
    let kept = list
        .as_list()
        .iter()
        .filter(|found| !same(found, item))
        .cloned();
    Ok(Value::List(kept.collect()))
}

pub(super) fn replace(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, from, to] = args else {
        return Ok(Value::Null);
    };
    if list.is_null() {
        return Ok(Value::Null);
    }
    let items = list
        .as_list()
        .iter()
        .map(|item| if same(item, from) { to } else { item });
    Ok(Value::List(items.cloned().collect()))
}

pub(super) fn fill(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([item, lengths], _)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    match lengths.as_list() {
        [Value::Int(length)] => {
            let length = usize::try_from(*length).unwrap_or(0);
            if length > SET_MAX {
                return Err(too_many());
            }
            Ok(Value::List(vec![item.clone(); length]))
        }
        [] => Ok(Value::List(Vec::new())),
        _ => Err(FunctionError::unsupported(
            "arrays of several dimensions are not supported",
        )),
    }
}

pub(super) fn subscripts(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([list, dimension], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let length = list.as_list().len();
    if dimension.as_int() != 1 {
        return Ok(Value::List(Vec::new()));
    }
    let numbers = (1..=length).map(count);
    Ok(Value::List(if rest.first().is_some_and(Value::as_bool) {
        numbers.rev().collect()
    } else {
        numbers.collect()
    }))
}

fn zero_step() -> FunctionError {
    FunctionError::invalid_parameter("step size cannot equal zero")
}

fn too_many() -> FunctionError {
    FunctionError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a set of more than {SET_MAX} rows is not made in one call"),
    )
}

fn pushed(rows: &mut Vec<Value>, row: Value) -> Result<(), FunctionError> {
    if rows.len() >= SET_MAX {
        return Err(too_many());
    }
    rows.push(row);
    Ok(())
}

/// generate_series over numbers and timestamps; instants step by their zone's calendar.
pub(super) fn series(zone: Option<&Zone>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut rows = Vec::new();
    match args {
        [Value::Int(first), Value::Int(last), rest @ ..] => {
            let step = rest.first().map_or(1, Value::as_int);
            if step == 0 {
                return Err(zero_step());
            }
            let mut at = Some(*first);
            while let Some(value) = at.filter(|v| if step > 0 { v <= last } else { v >= last }) {
                pushed(&mut rows, Value::Int(value))?;
                at = value.checked_add(step);
            }
        }
        [Value::Numeric(first), Value::Numeric(last), rest @ ..] => {
            let one = num::from_i64(1);
            let step = match rest.first() {
                Some(Value::Numeric(step)) => step,
                _ => &one,
            };
            let direction = num::compare(step, &num::from_i64(0));
            if direction.is_eq() {
                return Err(zero_step());
            }
            let mut at = *first;
            while !matches!(
                (num::compare(&at, last), direction),
                (Ordering::Greater, Ordering::Greater) | (Ordering::Less, Ordering::Less)
            ) {
                let next = num::add(&at, step)?;
                pushed(&mut rows, Value::Numeric(at))?;
                at = next;
            }
        }
        [
            Value::Timestamp(first),
            Value::Timestamp(last),
            step @ Value::Interval(span),
        ] => {
            let direction = super::value::interval_micros(span);
            if direction == 0 {
                return Err(zero_step());
            }
            let mut at = *first;
            while if direction > 0 {
                at <= *last
            } else {
                at >= *last
            } {
                pushed(&mut rows, Value::Timestamp(at))?;
                let operands = [Value::Timestamp(at), step.clone()];
                let next = match zone {
                    Some(zone) => dates::plus_interval_zoned(zone, &operands, 1)?,
                    None => dates::plus_interval(&operands, 1)?,
                };
                at = next.as_micros();
            }
        }
        _ => {}
    }
    Ok(Value::List(rows))
}
