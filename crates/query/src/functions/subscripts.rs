//! Items and slices of arrays, and arrays made of arrays.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type};
use chronolith_types::array::{Dimension, Shape};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::error::FunctionError;
use super::table::{Typed, Volatile};
use super::udf::{self, Context, Row};
use super::value::Value;

/// A bound of a slice that was left out.
pub(crate) const OMITTED: i64 = i64::MIN;

/// An array's item: the array and a whole number (bigint) for each dimension.
pub(crate) fn item(list: Typed, subscripts: Vec<Typed>) -> Typed {
    let vector = !matches!(list.ty, SqlType::Array(_));
    let ty = match &list.ty {
        SqlType::Array(element) => element.base().clone(),
        SqlType::Int2Vector => SqlType::Int2,
        _ => SqlType::Oid,
    };
    let form = match &list.arrow {
        DataType::List(item) => item.data_type().clone(),
        other => other.clone(),
    };
    let mut args = vec![list];
    args.extend(subscripts);
    let (name, function): (_, udf::ColumnFn) = if vector {
        ("vector_item", |args, _| item_of(args, 0))
    } else {
        ("array_item", |args, _| item_of(args, 1))
    };
    udf::column_call(name, function, args, ty, form)
}

fn item_of(args: &ScalarFunctionArgs, lower: i32) -> Result<ColumnarValue, FunctionError> {
    let scalar = |arg: &ColumnarValue| matches!(arg, ColumnarValue::Scalar(_));
    let constant = args.args.iter().all(scalar);
    let rows = if constant { 1 } else { args.number_rows };
    let arrays = args.args.iter().map(|arg| arg.to_array(rows));
    let arrays = arrays.collect::<Result<Vec<ArrayRef>, _>>()?;
    let found = arrays.split_first();
    let Some((list, subscripts)) =
        found.and_then(|(list, rest)| Some((list.as_list_opt::<i32>()?, rest)))
    else {
        return Err(FunctionError::internal("a subscript of what is no array"));
    };
    let mut places: Vec<Option<u64>> = Vec::with_capacity(rows);
    let mut asked = Vec::with_capacity(subscripts.len());
    let offsets = list.value_offsets();
    let nulls = list.values().nulls();
    for row in 0..rows {
        asked.clear();
        for subscript in subscripts {
            if subscript.is_valid(row) {
                asked.push(subscript.as_primitive::<Int64Type>().value(row));
            }
        }
        let range = offsets.get(row).zip(offsets.get(row + 1));
        let (Some((start, end)), true) =
            (range, list.is_valid(row) && asked.len() == subscripts.len())
        else {
            places.push(None);
            continue;
        };
        let start = usize::try_from(*start).unwrap_or(0);
        let end = usize::try_from(*end).unwrap_or(start);
        let shape = Shape::kept(nulls, start, end);
        let place = match (shape, asked.as_slice()) {
            (Some(shape), asked) => shape.place(asked),
            (None, [one]) => usize::try_from(one.saturating_sub(lower.into())).ok(),
            (None, _) => None,
        };
        let place = place.filter(|place| *place < end - start);
        places.push(place.and_then(|place| u64::try_from(start + place).ok()));
    }
    let items = take(list.values(), &UInt64Array::from(places), None)?;
    Ok(if constant {
        ColumnarValue::Scalar(ScalarValue::try_from_array(&items, 0)?)
    } else {
        ColumnarValue::Array(items)
    })
}

/// A slice: the array, then for each dimension its first and last subscript, [`OMITTED`] for one
/// that was left out.
pub(crate) fn slice(list: Typed, bounds: Vec<Typed>) -> Result<Typed, FunctionError> {
    let (ty, arrow) = (list.ty.clone(), list.arrow.clone());
    let mut args = vec![list];
    args.extend(bounds);
    udf::row_call(
        Row {
            name: "array_slice",
            function: slice_of,
            strict: true,
            volatility: Volatile::Immutable,
            ty,
            arrow,
        },
        args,
    )
}

fn slice_of(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Some((list, bounds)) = args.split_first() else {
        return Ok(Value::Null);
    };
    let shape = list.shape();
    let less = i64::from(!matches!(context.args.first(), Some(SqlType::Array(_))));
    let nothing = Ok(Value::List(Vec::new()));
    if bounds.len() > shape.dimensions().len() * 2 {
        return nothing;
    }
    let mut bounds = bounds.iter().map(Value::as_int);
    let mut ranges = Vec::with_capacity(shape.dimensions().len());
    let mut kept = Vec::with_capacity(shape.dimensions().len());
    for dimension in shape.dimensions() {
        let (first, last) = (i64::from(dimension.lower) - less, dimension.upper() - less);
        let from = bounds.next().filter(|from| *from != OMITTED);
        let to = bounds.next().filter(|to| *to != OMITTED);
        let from = from.unwrap_or(first).max(first);
        let to = to.unwrap_or(last).min(last);
        if from > to {
            return nothing;
        }
        let place = |at: i64| usize::try_from(at - first).unwrap_or(0);
        let range = place(from)..place(to) + 1;
        kept.push(Dimension {
            lower: 1,
            length: range.len(),
        });
        ranges.push((range, dimension.length));
    }
    let mut places = vec![0];
    for (range, length) in ranges {
        let mut next = Vec::with_capacity(places.len() * range.len());
        for place in places {
            next.extend(range.clone().map(|at| place * length + at));
        }
        places = next;
    }
    let items = list.as_list();
    if items.is_empty() {
        return nothing;
    }
    let items = places
        .into_iter()
        .filter_map(|place| items.get(place).cloned());
    Ok(Value::shaped(Shape::new(kept)?, items.collect()))
}

/// `ARRAY[…]` of arrays: one with a dimension more.
pub(crate) fn stack(items: Vec<Typed>, ty: SqlType) -> Result<Typed, FunctionError> {
    let arrow = ty.arrow();
    udf::row_call(
        Row {
            name: "array_stack",
            function: |_, args| {
                stacked(
                    args,
                    "multidimensional arrays must have array expressions with matching dimensions",
                )
            },
            strict: false,
            volatility: Volatile::Immutable,
            ty,
            arrow,
        },
        items,
    )
}

fn stacked(arrays: &[Value], uneven: &str) -> Result<Value, FunctionError> {
    let uneven = || FunctionError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, uneven);
    let mut inner: Option<Shape> = None;
    let mut items = Vec::new();
    let mut empty = false;
    for array in arrays {
        if array.as_list().is_empty() {
            empty = true;
            continue;
        }
        let shape = array.shape();
        match &inner {
            Some(inner) if *inner != shape => return Err(uneven()),
            Some(_) => {}
            None => inner = Some(shape),
        }
        items.extend_from_slice(array.as_list());
    }
    let Some(inner) = inner else {
        return Ok(Value::List(Vec::new()));
    };
    if empty {
        return Err(uneven());
    }
    let mut dimensions = vec![Dimension {
        lower: 1,
        length: arrays.len(),
    }];
    dimensions.extend_from_slice(inner.dimensions());
    Ok(Value::shaped(Shape::new(dimensions)?, items))
}

/// Arrays that an aggregate has gathered, as one with a dimension more.
pub(super) fn gathered(arrays: &[Value]) -> Result<Value, FunctionError> {
    if arrays.is_empty() {
        return Ok(Value::Null);
    }
    if arrays.iter().any(Value::is_null) {
        return Err(FunctionError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "cannot accumulate null arrays",
        ));
    }
    if arrays.iter().any(|array| array.as_list().is_empty()) {
        return Err(FunctionError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "cannot accumulate empty arrays",
        ));
    }
    stacked(
        arrays,
        "cannot accumulate arrays of different dimensionality",
    )
}

/// A list of arrays, as `ARRAY(SELECT …)` gathers them, as one array.
pub(crate) fn of_lists(lists: Typed, ty: SqlType) -> Result<Typed, FunctionError> {
    let arrow = ty.arrow();
    udf::row_call(
        Row {
            name: "array_of_arrays",
            function: |_, args| match args {
                [Value::List(arrays)] if arrays.is_empty() => Ok(Value::List(Vec::new())),
                [Value::List(arrays)] => gathered(arrays),
                _ => Ok(Value::Null),
            },
            strict: true,
            volatility: Volatile::Immutable,
            ty,
            arrow,
        },
        vec![lists],
    )
}

/// The items of a constant array, and whether its list has a tail.
pub(crate) fn constant_items(list: &dyn Array) -> (ArrayRef, usize) {
    let lists = list.as_list::<i32>();
    let items = lists.value(0);
    let count = Shape::kept(items.nulls(), 0, items.len()).map_or(items.len(), |of| of.count());
    (items.slice(0, count), count)
}
