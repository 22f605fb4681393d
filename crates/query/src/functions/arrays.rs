//! Functions of arrays, and sets made of them.

use std::cmp::Ordering;

use chronolith_types::array::{Dimension, Shape};
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
    longer(list, items)
}

/// An array with an item more: of one dimension, which begins where it began.
fn longer(list: &Value, items: Vec<Value>) -> Result<Value, FunctionError> {
    let lower = match list.shape().dimensions() {
        [] => 1,
        [one] => one.lower,
        _ => {
            return Err(FunctionError::new(
                SqlState::new(b"22000"),
                "argument must be empty or one-dimensional array",
            ));
        }
    };
    let length = items.len();
    let shape = Shape::new(vec![Dimension { lower, length }])?;
    Ok(Value::shaped(shape, items))
}

pub(super) fn prepend(args: &[Value]) -> Result<Value, FunctionError> {
    let [item, list] = args else {
        return Ok(Value::Null);
    };
    let mut items = vec![item.clone()];
    items.extend_from_slice(list.as_list());
    longer(list, items)
}

pub(super) fn cat(args: &[Value]) -> Result<Value, FunctionError> {
    let [a, b] = args else {
        return Ok(Value::Null);
    };
    if a.is_null() || b.as_list().is_empty() && !b.is_null() && !a.is_null() {
        return Ok(if a.is_null() { b.clone() } else { a.clone() });
    }
    if b.is_null() {
        return Ok(a.clone());
    }
    if a.as_list().is_empty() {
        return Ok(b.clone());
    }
    let items = [a.as_list(), b.as_list()].concat();
    let (left, right) = (a.shape(), b.shape());
    let shape = joined(left.dimensions(), right.dimensions())?;
    Ok(Value::shaped(shape, items))
}

/// The dimensions of two arrays one behind the other; one of them may be an item of the other.
fn joined(left: &[Dimension], right: &[Dimension]) -> Result<Shape, FunctionError> {
    let refused = |detail: String| {
        let message = "cannot concatenate incompatible arrays";
        FunctionError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message).with_detail(detail)
    };
    let (whole, part, other) = match left.len().cmp(&right.len()) {
        Ordering::Equal => (left, left.get(1..), right.get(1..)),
        Ordering::Less => (right, Some(left), right.get(1..)),
        Ordering::Greater => (left, left.get(1..), Some(right)),
    };
    if left.len().abs_diff(right.len()) > 1 {
        return Err(refused(format!(
            "Arrays of {} and {} dimensions are not compatible for concatenation.",
            left.len(),
            right.len()
        )));
    }
    if part != other {
        let what = match left.len() == right.len() {
            true => "element dimensions",
            false => "dimensions",
        };
        return Err(refused(format!(
            "Arrays with differing {what} are not compatible for concatenation."
        )));
    }
    let mut all = whole.to_vec();
    if let Some(outer) = all.first_mut() {
        outer.length += match left.len() == right.len() {
            true => right.first().map_or(0, |one| one.length),
            false => 1,
        };
    }
    Ok(Shape::new(all)?)
}

pub(super) fn length(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(dimension(args).map_or(Value::Null, |one| count(one.length)))
}

/// The dimension that a call asks for.
fn dimension(args: &[Value]) -> Option<Dimension> {
    let [list, number] = args else {
        return None;
    };
    let number = usize::try_from(number.as_int()).ok()?.checked_sub(1)?;
    list.shape().dimensions().get(number).copied()
}

pub(super) fn count_of_dimensions(args: &[Value]) -> Value {
    let count = args
        .first()
        .map_or(0, |list| list.shape().dimensions().len());
    i64::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .map_or(Value::Null, Value::Int)
}

/// How much less the subscripts are than those of an array: the vectors of the catalogs count from 0.
fn vector(context: &Context<'_>) -> i64 {
    match context.args.first() {
        Some(SqlType::Int2Vector | SqlType::OidVector) => 1,
        _ => 0,
    }
}

pub(super) fn lower(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let lower = |one: Dimension| Value::Int(i64::from(one.lower) - vector(context));
    Ok(dimension(args).map_or(Value::Null, lower))
}

pub(super) fn upper(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let upper = |one: Dimension| Value::Int(one.upper() - vector(context));
    Ok(dimension(args).map_or(Value::Null, upper))
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
    let shape = args.first().map_or_else(|| Shape::plain(0), Value::shape);
    Ok(match shape.dimensions() {
        [] => Value::Null,
        _ => Value::Text(shape.bounds()),
    })
}

/// The only dimension of an array whose items are looked for; None of an empty one.
fn only(list: &Value, doing: &str) -> Result<Option<Dimension>, FunctionError> {
    match list.shape().dimensions() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        _ => Err(FunctionError::unsupported(format!(
            "{doing} multidimensional arrays is not supported"
        ))),
    }
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
    let Some(only) = only(list, "searching for elements in")? else {
        return Ok(Value::Null);
    };
    let lower = i64::from(only.lower);
    let start = match rest.first() {
        None => lower,
        Some(Value::Null) => {
            return Err(FunctionError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "initial position must not be null",
            ));
        }
        Some(start) => start.as_int().max(lower),
    };
    let items = (lower..).zip(list.as_list());
    let mut items = items.filter(|(at, found)| *at >= start && same(found, item));
    Ok(items.next().map_or(Value::Null, |(at, _)| Value::Int(at)))
}

pub(super) fn positions(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, item] = args else {
        return Ok(Value::Null);
    };
    if list.is_null() {
        return Ok(Value::Null);
    }
    let only = only(list, "searching for elements in")?;
    let lower = only.map_or(1, |only| i64::from(only.lower));
    let items = (lower..).zip(list.as_list());
    let found = items.filter(|(_, found)| same(found, item));
    Ok(Value::List(found.map(|(at, _)| Value::Int(at)).collect()))
}

pub(super) fn remove(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, item] = args else {
        return Ok(Value::Null);
    };
    if list.is_null() {
        return Ok(Value::Null);
    }
    let Some(only) = only(list, "removing elements from")? else {
        return Ok(list.clone());
    };
    let kept = list.as_list().iter();
    let kept = kept.filter(|found| !same(found, item)).cloned();
    let items: Vec<Value> = kept.collect();
    let length = items.len();
    let lower = only.lower;
    let shape = Shape::new(vec![Dimension { lower, length }])?;
    Ok(Value::shaped(shape, items))
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
    Ok(Value::shaped(list.shape(), items.cloned().collect()))
}

/// Without its last elements.
pub(super) fn trim(args: &[Value]) -> Result<Value, FunctionError> {
    let [list, number] = args else {
        return Ok(Value::Null);
    };
    let mut dimensions = list.shape().dimensions().to_vec();
    let length = dimensions.first().map_or(0, |outer| outer.length);
    let kept = usize::try_from(number.as_int())
        .ok()
        .and_then(|number| length.checked_sub(number))
        .ok_or_else(|| {
            FunctionError::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                format!("number of elements to trim must be between 0 and {length}"),
            )
        })?;
    for dimension in &mut dimensions {
        dimension.lower = 1;
    }
    if let Some(outer) = dimensions.first_mut() {
        outer.length = kept;
    }
    let shape = Shape::new(dimensions)?;
    let items = list.as_list().get(..shape.count()).unwrap_or_default();
    Ok(Value::shaped(shape, items.to_vec()))
}

pub(super) fn fill(args: &[Value]) -> Result<Value, FunctionError> {
    let Some(([item, lengths], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let refused = |code, message: &str| Err(FunctionError::new(code, message));
    let null = SqlState::NULL_VALUE_NOT_ALLOWED;
    if lengths.is_null() || rest.first().is_some_and(Value::is_null) {
        return refused(null, "dimension array or low bound array cannot be null");
    }
    let lowers = rest.first().map(Value::as_list);
    if lengths.shape().dimensions().len() > 1 {
        let error = FunctionError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "wrong number of array subscripts",
        );
        return Err(error.with_detail("Dimension array must be one dimensional."));
    }
    if lowers.is_some_and(|lowers| lowers.len() != lengths.as_list().len()) {
        let error = FunctionError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "wrong number of array subscripts",
        );
        return Err(error.with_detail("Low bound array has different size than dimensions array."));
    }
    let mut dimensions = Vec::with_capacity(lengths.as_list().len());
    for (place, length) in lengths.as_list().iter().enumerate() {
        let lower = lowers.map_or(Some(&Value::Int(1)), |lowers| lowers.get(place));
        let (Value::Int(length), Some(Value::Int(lower))) = (length, lower) else {
            return refused(null, "dimension values cannot be null");
        };
        let lower = i32::try_from(*lower).unwrap_or(i32::MAX);
        let length = usize::try_from(*length).unwrap_or(usize::MAX);
        dimensions.push(Dimension { lower, length });
    }
    let shape = Shape::new(dimensions)?;
    if shape.count() > SET_MAX {
        return Err(too_many());
    }
    let items = vec![item.clone(); shape.count()];
    Ok(Value::shaped(shape, items))
}

pub(super) fn subscripts(context: &Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some((asked, rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let Some(dimension) = dimension(asked) else {
        return Ok(Value::List(Vec::new()));
    };
    let first = i64::from(dimension.lower) - vector(context);
    let numbers = (first..).take(dimension.length).map(Value::Int);
    let mut numbers: Vec<Value> = numbers.collect();
    if rest.first().is_some_and(Value::as_bool) {
        numbers.reverse();
    }
    Ok(Value::List(numbers))
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
