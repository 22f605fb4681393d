//! Functions of arrays, and sets made of them.

use std::cmp::Ordering;

use chronolith_types::{SqlState, SqlType};

use super::error::FunctionError;
use super::io::Zone;
use super::series::{Series, SeriesBlock};
use super::udf::Context;
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

/// The first subscript: the vectors of the catalogs count from 0.
fn first(context: &Context<'_>) -> i64 {
    match context.args.first() {
        Some(SqlType::Int2Vector | SqlType::OidVector) => 0,
        _ => 1,
    }
}

pub(super) fn lower(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(if length(args)?.is_null() {
        Value::Null
    } else {
        Value::Int(first(context))
    })
}

pub(super) fn upper(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    Ok(match length(args)? {
        Value::Int(length) => Value::Int(length + first(context) - 1),
        nothing => nothing,
    })
}

/// The items with their numbers: what `_pg_expandarray` makes of the keys of an index.
pub(super) fn expand(args: &[Value]) -> Result<Value, FunctionError> {
    let items = args.first().map_or(&[] as &[Value], Value::as_list);
    let numbered = (1..).zip(items);
    let record =
        |(number, item): (i64, &Value)| Value::Record(vec![item.clone(), Value::Int(number)]);
    Ok(Value::List(numbered.map(record).collect()))
}

/// Options written `name=value`, as rows of the two.
pub(super) fn options(args: &[Value]) -> Value {
    let items = args.first().map_or(&[] as &[Value], Value::as_list);
    let record = |item: &Value| {
        let Value::Text(option) = item else {
            return Value::Record(vec![Value::Null, Value::Null]);
        };
        Value::Record(match option.split_once('=') {
            Some((name, value)) => vec![Value::text(name), Value::text(value)],
            None => vec![item.clone(), Value::Null],
        })
    };
    Value::List(items.iter().map(record).collect())
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

/// Without its last elements.
pub(super) fn trim(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, number] = args else {
        return Ok(Value::Null);
    };
    let items = list.as_list();
    let kept = usize::try_from(number.as_int())
        .ok()
        .and_then(|number| items.len().checked_sub(number))
        .ok_or_else(|| {
            FunctionError::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                format!(
                    "number of elements to trim must be between 0 and {}",
                    items.len()
                ),
            )
        })?;
    Ok(Value::List(items.get(..kept).unwrap_or_default().to_vec()))
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

pub(super) fn subscripts(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([list, dimension], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let length = list.as_list().len();
    if dimension.as_int() != 1 {
        return Ok(Value::List(Vec::new()));
    }
    let first = first(context);
    let numbers = (first..).take(length).map(Value::Int);
    let numbers: Vec<Value> = numbers.collect();
    let numbers = numbers.into_iter();
    Ok(Value::List(if rest.first().is_some_and(Value::as_bool) {
        numbers.rev().collect()
    } else {
        numbers.collect()
    }))
}

fn too_many() -> FunctionError {
    FunctionError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("a set of more than {SET_MAX} rows is not made in one call"),
    )
}

/// generate_series as a list, for where its rows are no rows of a plan.
pub(super) fn series(zone: Option<&Zone>, args: &[Value]) -> Result<Value, FunctionError> {
    let mut rows = SeriesBlock::Any(Vec::new());
    if let Some(mut series) = Series::of(zone.copied(), args)?
        && series.block(SET_MAX + 1, &mut rows)? > SET_MAX
    {
        return Err(too_many());
    }
    match rows {
        SeriesBlock::Any(rows) => Ok(Value::List(rows)),
        SeriesBlock::Whole(_) => Ok(Value::Null),
    }
}
