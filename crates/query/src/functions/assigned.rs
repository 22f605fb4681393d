//! Arrays with another item, or other items in a slice, and names with another byte, as assignments make
//! them.

use chronolith_types::array::{DIMENSIONS_MAX, Dimension, Shape};
use chronolith_types::{SqlState, SqlType};

use super::error::FunctionError;
use super::subscripts::OMITTED;
use super::table::{Typed, Volatile};
use super::udf::{self, Context, Row};
use super::value::Value;

/// What such calls are known by.
pub(crate) const ITEM: &str = "array_with";
/// The same of slices.
pub(crate) const SLICE: &str = "array_with_slice";

/// The same of names.
pub(crate) const BYTE: &str = "name_with";

/// An array with another item: a whole number (bigint) for each dimension says which.
///
/// # Errors
/// None that well-typed values meet.
pub(crate) fn with_item(
    list: Typed,
    item: Typed,
    subscripts: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    call(ITEM, set_item, list, item, subscripts)
}

/// An array with the items of another one in a slice: for each dimension its first and last
/// subscript, [`OMITTED`] for one that was left out.
///
/// # Errors
/// None that well-typed values meet.
pub(crate) fn with_slice(
    list: Typed,
    items: Typed,
    bounds: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    call(SLICE, set_slice, list, items, bounds)
}

/// A name with another of its bytes, counted from 0.
///
/// # Errors
/// None that well-typed values meet.
pub(crate) fn with_byte(
    name: Typed,
    byte: Typed,
    subscripts: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    call(BYTE, set_byte, name, byte, subscripts)
}

fn call(
    name: &'static str,
    function: udf::RowFn,
    list: Typed,
    value: Typed,
    subscripts: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    let (ty, arrow) = (list.ty.clone(), list.arrow.clone());
    let mut args = vec![list, value];
    args.extend(subscripts);
    udf::row_call(
        Row {
            name,
            function,
            strict: false,
            volatility: Volatile::Immutable,
            ty,
            arrow,
        },
        args,
    )
}

fn wrong(message: &str) -> FunctionError {
    FunctionError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// Subscripts that are all there, as the numbers that arrays have.
fn numbers(subscripts: &[Value]) -> Result<Vec<i64>, FunctionError> {
    let number = |value: &Value| match value {
        Value::Null => Err(FunctionError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "array subscript in assignment must not be null",
        )),
        value if value.as_int() == OMITTED => Ok(OMITTED),
        value => match i32::try_from(value.as_int()) {
            Ok(number) => Ok(number.into()),
            Err(_) => Err(FunctionError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "integer out of range",
            )),
        },
    };
    subscripts.iter().map(number).collect()
}

fn lower(first: i64) -> Result<i32, FunctionError> {
    i32::try_from(first).map_err(|_| wrong("array subscript out of range"))
}

fn set_item(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [list, item, subscripts @ ..] = args else {
        return Ok(Value::Null);
    };
    debug_assert!(matches!(context.args.first(), Some(SqlType::Array(_))));
    let asked = numbers(subscripts)?;
    let shape = list.shape();
    let mut items = list.as_list().to_vec();
    match (shape.dimensions(), asked.as_slice()) {
        ([], asked) => {
            let one = |first: &i64| {
                Ok(Dimension {
                    lower: lower(*first)?,
                    length: 1,
                })
            };
            let shape = Shape::new(
                asked
                    .iter()
                    .map(one)
                    .collect::<Result<_, FunctionError>>()?,
            )?;
            Ok(Value::shaped(shape, vec![item.clone()]))
        }
        ([dimension], [asked]) => {
            let shape = widened(dimension, *asked, *asked, &mut items)?;
            let place = asked - i64::from(first_of(&shape));
            if let Some(slot) = usize::try_from(place).ok().and_then(|at| items.get_mut(at)) {
                *slot = item.clone();
            }
            Ok(Value::shaped(shape, items))
        }
        (dimensions, asked) if dimensions.len() != asked.len() => {
            Err(wrong("wrong number of array subscripts"))
        }
        (_, asked) => {
            let place = shape.place(asked);
            let slot = place.and_then(|place| items.get_mut(place));
            *slot.ok_or_else(|| wrong("array subscript out of range"))? = item.clone();
            Ok(Value::shaped(shape, items))
        }
    }
}

fn first_of(shape: &Shape) -> i32 {
    shape.dimensions().first().map_or(1, |of| of.lower)
}

/// An array of one dimension that reaches from one subscript to another too, NULL between them.
fn widened(
    dimension: &Dimension,
    from: i64,
    to: i64,
    items: &mut Vec<Value>,
) -> Result<Shape, FunctionError> {
    let first = i64::from(dimension.lower).min(from);
    let last = dimension.upper().max(to);
    let length = usize::try_from(last - first + 1).unwrap_or(0);
    // Whether an array can be so long is known before it is made.
    let shape = Shape::new(vec![Dimension {
        lower: lower(first)?,
        length,
    }])?;
    let before = usize::try_from(i64::from(dimension.lower) - first).unwrap_or(0);
    items.splice(..0, std::iter::repeat_n(Value::Null, before));
    items.resize(length, Value::Null);
    Ok(shape)
}

/// One byte of a name, counted from 0; NULL outside of it.
///
/// # Errors
/// None that well-typed values meet.
pub(crate) fn byte(name: Typed, subscripts: Vec<Typed>) -> Result<Typed, FunctionError> {
    let mut args = vec![name];
    args.extend(subscripts);
    let row = Row {
        name: "name_item",
        function: get_byte,
        strict: true,
        volatility: Volatile::Immutable,
        ty: SqlType::InternalChar,
        arrow: SqlType::InternalChar.arrow(),
    };
    udf::row_call(row, args)
}

/// Bytes of a name, the zero at its end among them.
const NAME_BYTES: usize = 64;

fn get_byte(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [name, asked] = args else {
        return Ok(Value::Null);
    };
    let Some(at) = usize::try_from(asked.as_int())
        .ok()
        .filter(|at| *at < NAME_BYTES)
    else {
        return Ok(Value::Null);
    };
    let byte = name.as_str().as_bytes().get(at..=at).unwrap_or_default();
    Ok(Value::text(String::from_utf8_lossy(byte)))
}

fn set_byte(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [name, byte, subscripts @ ..] = args else {
        return Ok(Value::Null);
    };
    let asked = numbers(subscripts)?;
    if name.is_null() || byte.is_null() {
        return Ok(name.clone());
    }
    let [asked] = asked.as_slice() else {
        return Err(wrong("wrong number of array subscripts"));
    };
    let mut bytes = name.as_str().as_bytes().to_vec();
    bytes.resize(NAME_BYTES, 0);
    let slot = usize::try_from(*asked)
        .ok()
        .and_then(|at| bytes.get_mut(at));
    let slot = slot.ok_or_else(|| wrong("array subscript out of range"))?;
    *slot = byte.as_str().bytes().next().unwrap_or_default();
    // What is behind a zero is not shown.
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(NAME_BYTES);
    bytes.truncate(end.min(NAME_BYTES - 1));
    Ok(Value::text(String::from_utf8_lossy(&bytes)))
}

fn set_slice(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [list, source, bounds @ ..] = args else {
        return Ok(Value::Null);
    };
    let asked = numbers(bounds)?;
    let pairs: Vec<(i64, i64)> = asked
        .chunks_exact(2)
        .filter_map(|pair| Some((*pair.first()?, *pair.get(1)?)))
        .collect();
    if source.is_null() {
        // As PostgreSQL has it: nothing is changed, but that NULL becomes an array without items.
        return Ok(match list {
            Value::Null => Value::List(Vec::new()),
            list => list.clone(),
        });
    }
    let shape = list.shape();
    let mut items = list.as_list().to_vec();
    let source = source.as_list();
    let small = || wrong("source array too small");
    let reversed = || wrong("upper bound cannot be less than lower bound");
    match shape.dimensions() {
        [] => {
            if asked.contains(&OMITTED) {
                return Err(wrong("array slice subscript must provide both boundaries").with_detail(
                    "When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
                ));
            }
            let mut dimensions = Vec::with_capacity(pairs.len());
            for (from, to) in pairs {
                if from > to {
                    return Err(reversed());
                }
                dimensions.push(Dimension {
                    lower: lower(from)?,
                    length: usize::try_from(to - from + 1).unwrap_or(0),
                });
            }
            let shape = Shape::new(dimensions)?;
            let items = source.get(..shape.count()).ok_or_else(small)?;
            Ok(Value::shaped(shape, items.to_vec()))
        }
        dimensions if dimensions.len() < pairs.len() || pairs.len() > DIMENSIONS_MAX => {
            Err(wrong("wrong number of array subscripts"))
        }
        [dimension] => {
            let (from, to) = pairs.first().copied().unwrap_or((OMITTED, OMITTED));
            let from = Some(from).filter(|from| *from != OMITTED);
            let to = Some(to).filter(|to| *to != OMITTED);
            let from = from.unwrap_or(dimension.lower.into());
            let to = to.unwrap_or(dimension.upper());
            if from > to {
                return Err(reversed());
            }
            let count = usize::try_from(to - from + 1).unwrap_or(usize::MAX);
            let source = source.get(..count).ok_or_else(small)?;
            let shape = widened(dimension, from, to, &mut items)?;
            let at = usize::try_from(from - i64::from(first_of(&shape))).unwrap_or(0);
            for (slot, value) in items.iter_mut().skip(at).zip(source) {
                slot.clone_from(value);
            }
            Ok(Value::shaped(shape, items))
        }
        dimensions => {
            let mut places = vec![0_usize];
            let mut pairs = pairs.into_iter();
            for dimension in dimensions {
                let (from, to) = pairs.next().unwrap_or((OMITTED, OMITTED));
                let (first, last) = (i64::from(dimension.lower), dimension.upper());
                let from = if from == OMITTED { first } else { from };
                let to = if to == OMITTED { last } else { to };
                if from > to {
                    return Err(reversed());
                }
                if from < first || to > last {
                    return Err(wrong("array subscript out of range"));
                }
                let place = |at: i64| usize::try_from(at - first).unwrap_or(0);
                let range = place(from)..=place(to);
                let deeper = |at: usize| range.clone().map(move |of| at * dimension.length + of);
                places = places.into_iter().flat_map(deeper).collect();
            }
            let source = source.get(..places.len()).ok_or_else(small)?;
            for (place, value) in places.into_iter().zip(source) {
                if let Some(slot) = items.get_mut(place) {
                    slot.clone_from(value);
                }
            }
            Ok(Value::shaped(shape, items))
        }
    }
}
