//! Enums: a value is its label, and its place among the labels is what it is ordered by.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, StringViewArray};
use arrow::datatypes::{DataType, Int32Type};
use chronolith_types::SqlType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::error::FunctionError;
use super::table::{Typed, Volatile};
use super::udf::{self, Context, Row, RowFn};
use super::value::Value;

/// Whether values of a type are labels or rows, or arrays of them, which order in ways of their own.
pub(super) fn ordered(ty: &SqlType) -> bool {
    matches!(ty.element().unwrap_or(ty), SqlType::User(_))
}

/// The place of a value among the labels of its enum, from 0; of an array, those of its items. Of
/// rows, bytes that order as they do.
pub(super) fn rank(value: Typed) -> Result<Typed, FunctionError> {
    let element = value.ty.element().unwrap_or(&value.ty);
    if super::composites::is_composite(element) {
        return super::composites::key(value);
    }
    let Some(labels) = value.ty.labels() else {
        let ty = SqlType::Int4.array_of();
        let row = Row {
            name: "enum_ranks",
            function: ranks,
            strict: true,
            volatility: Volatile::Immutable,
            arrow: ty.arrow(),
            ty,
        };
        return udf::row_call(row, vec![value]);
    };
    if let Some(literal) = value.as_literal() {
        let place = match literal {
            ScalarValue::Utf8View(Some(label)) => place_of(labels, label)?,
            _ => None,
        };
        return Ok(Typed::literal(ScalarValue::Int32(place), SqlType::Int4));
    }
    let labels = list(labels);
    Ok(udf::column_call(
        "enum_rank",
        rank_column,
        vec![value, labels],
        SqlType::Int4,
        DataType::Int32,
    ))
}

/// The value whose place among the labels is known.
pub fn label(place: Typed, ty: &SqlType) -> Typed {
    let labels = list(ty.labels().unwrap_or_default());
    udf::column_call(
        "enum_label",
        label_column,
        vec![place, labels],
        ty.clone(),
        ty.arrow(),
    )
}

fn list(labels: &[String]) -> Typed {
    let items: Vec<ScalarValue> = labels
        .iter()
        .map(|label| ScalarValue::Utf8View(Some(label.clone())))
        .collect();
    let list = ScalarValue::new_list_nullable(&items, &DataType::Utf8View);
    Typed::literal(ScalarValue::List(list), SqlType::Text.array_of())
}

fn place_of(labels: &[String], label: &str) -> Result<Option<i32>, FunctionError> {
    let place = labels.iter().position(|known| known == label);
    place.map_or_else(|| Err(gone(label)), |place| Ok(i32::try_from(place).ok()))
}

/// No row has a label that its type has not: labels are never taken away.
fn gone(label: &str) -> FunctionError {
    FunctionError::internal(format!("\"{label}\" is no label of its enum"))
}

/// The two arguments of a call: a column, and the labels.
fn arguments(args: &ScalarFunctionArgs) -> Result<(ArrayRef, ArrayRef), FunctionError> {
    let wrong = || FunctionError::internal("an enum's labels are constant");
    let [values, ColumnarValue::Scalar(ScalarValue::List(labels))] = args.args.as_slice() else {
        return Err(wrong());
    };
    Ok((values.to_array(args.number_rows)?, labels.value(0)))
}

fn rank_column(args: &ScalarFunctionArgs, _: &DataType) -> Result<ColumnarValue, FunctionError> {
    let (values, labels) = arguments(args)?;
    let labels = labels.as_string_view();
    let places: HashMap<&str, i32> = labels.iter().flatten().zip(0..).collect();
    let place = |label: Option<&str>| match label {
        None => Ok(None),
        Some(label) => match places.get(label) {
            Some(place) => Ok(Some(*place)),
            None => Err(gone(label)),
        },
    };
    let ranks = values.as_string_view().iter().map(place);
    let ranks = ranks.collect::<Result<Int32Array, FunctionError>>()?;
    Ok(ColumnarValue::Array(Arc::new(ranks)))
}

fn label_column(args: &ScalarFunctionArgs, _: &DataType) -> Result<ColumnarValue, FunctionError> {
    let (places, labels) = arguments(args)?;
    let labels = labels.as_string_view();
    let label = |place: Option<i32>| {
        let place = usize::try_from(place?).ok()?;
        (place < labels.len()).then(|| labels.value(place))
    };
    let values = places.as_primitive::<Int32Type>().iter().map(label);
    let values = values.collect::<StringViewArray>();
    Ok(ColumnarValue::Array(Arc::new(values)))
}

fn ranks(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let element = context.args.first().and_then(SqlType::element);
    let labels = element.and_then(SqlType::labels).unwrap_or_default();
    let items = args.first().map_or(&[][..], Value::as_list);
    let place = |item: &Value| match item {
        Value::Text(label) => {
            Ok(place_of(labels, label)?.map_or(Value::Null, |place| Value::Int(place.into())))
        }
        _ => Ok(Value::Null),
    };
    let items = items.iter().map(place);
    Ok(Value::List(items.collect::<Result<_, FunctionError>>()?))
}

/// What is behind `enum_first` and its kin, which ask for the type of their argument only.
pub(super) fn imp(name: &str) -> Option<RowFn> {
    let function: RowFn = match name {
        "enum_first" => |c, _| end(c, <[String]>::first),
        "enum_last" => |c, _| end(c, <[String]>::last),
        "enum_range" => |c, a| {
            let labels = labels(c)?;
            let place = |value: Option<&Value>| match value {
                Some(Value::Text(label)) => labels.iter().position(|known| known == label),
                _ => None,
            };
            let (from, to) = match a {
                [_] => (0, labels.len()),
                [from, to] => (
                    place(Some(from)).unwrap_or(0),
                    place(Some(to)).map_or(labels.len(), |place| place + 1),
                ),
                _ => (0, 0),
            };
            let found = labels.get(from..to.max(from)).unwrap_or_default();
            let items = found.iter().map(|label| Value::text(label.clone()));
            Ok(Value::List(items.collect()))
        },
        _ => return None,
    };
    Some(function)
}

fn labels<'c>(context: &'c Context<'_>) -> Result<&'c [String], FunctionError> {
    let mut types = context.args.iter();
    types.find_map(SqlType::labels).ok_or_else(|| {
        FunctionError::new(
            chronolith_types::SqlState::FEATURE_NOT_SUPPORTED,
            "could not determine actual enum type",
        )
    })
}

fn end(
    context: &Context<'_>,
    which: fn(&[String]) -> Option<&String>,
) -> Result<Value, FunctionError> {
    let found = which(labels(context)?);
    Ok(found.map_or(Value::Null, |label| Value::text(label.clone())))
}
