//! Columns as files hold them: standard Parquet types, as narrow as the values allow.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, IntervalMonthDayNanoBuilder, ListArray,
    StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, IntervalMonthDayNanoType, i256,
};
use arrow::error::ArrowError;
use chronolith_types::{Interval, NUMERIC_ANY, Numeric};

use crate::error::ChunkError;

/// The column in the type a file gets.
pub(crate) fn narrow(column: &ArrayRef) -> Result<ArrayRef, ChunkError> {
    match column.data_type() {
        DataType::Decimal128(_, scale) => Ok(narrow_decimal(column.as_primitive(), *scale)),
        ty if *ty == NUMERIC_ANY => Ok(narrow_numeric(column)),
        DataType::Interval(_) => {
            // Parquet's own interval counts milliseconds; the text keeps µs and any reader shows it.
            let values = column.as_primitive::<IntervalMonthDayNanoType>();
            let mut out = StringBuilder::new();
            let mut text = Vec::new();
            for value in values {
                match value {
                    None => out.append_null(),
                    Some(value) => {
                        text.clear();
                        Interval {
                            months: value.months,
                            days: value.days,
                            us: value.nanoseconds / 1000,
                        }
                        .write(&mut text);
                        out.append_value(String::from_utf8_lossy(&text));
                    }
                }
            }
            Ok(Arc::new(out.finish()))
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let items = narrow(list.values())?;
            let field = Arc::new(Field::new("item", items.data_type().clone(), true));
            let offsets = list.offsets().clone();
            Ok(Arc::new(ListArray::try_new(
                field,
                offsets,
                items,
                list.nulls().cloned(),
            )?))
        }
        DataType::Null => Ok(cast(column, &DataType::Boolean)?),
        _ => Ok(Arc::clone(column)),
    }
}

/// The column in the type that the table says, from the type a file has.
pub(crate) fn widen(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ChunkError> {
    if column.data_type() == to {
        return Ok(Arc::clone(column));
    }
    match (column.data_type(), to) {
        (DataType::Decimal128(_, from), DataType::Decimal128(precision, scale)) => {
            let up = u32::try_from(i16::from(*scale) - i16::from(*from)).unwrap_or(0);
            let factor = 10i128.pow(up);
            let values: Decimal128Array = column
                .as_primitive::<Decimal128Type>()
                .unary(|value| value * factor);
            Ok(Arc::new(
                values.with_precision_and_scale(*precision, *scale)?,
            ))
        }
        (DataType::Decimal128(_, scale), to) if *to == NUMERIC_ANY => {
            let scale = scale.unsigned_abs();
            let values = column.as_primitive::<Decimal128Type>();
            let codes = values
                .unary::<_, Decimal256Type>(|value| Numeric::from_i128(value, scale).to_any());
            Ok(Arc::new(codes.with_data_type(NUMERIC_ANY)))
        }
        (_, to) if *to == NUMERIC_ANY => {
            let text = cast(column, &DataType::Utf8)?;
            let values = text
                .as_string::<i32>()
                .iter()
                .map(|value| value.map(parse_numeric).transpose())
                .collect::<Result<arrow::array::Decimal256Array, ChunkError>>()?;
            Ok(Arc::new(values.with_data_type(NUMERIC_ANY)))
        }
        (_, DataType::Interval(_)) => {
            let text = cast(column, &DataType::Utf8)?;
            let mut out = IntervalMonthDayNanoBuilder::new();
            for value in text.as_string::<i32>() {
                match value {
                    None => out.append_null(),
                    Some(value) => out.append_value(parse_interval(value)?),
                }
            }
            Ok(Arc::new(out.finish()))
        }
        (DataType::List(_), DataType::List(field)) => {
            let list = column.as_list::<i32>();
            let items = widen(list.values(), field.data_type())?;
            let offsets = list.offsets().clone();
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(field),
                offsets,
                items,
                list.nulls().cloned(),
            )?))
        }
        (_, DataType::Null) => Ok(Arc::new(arrow::array::NullArray::new(column.len()))),
        _ => Ok(cast(column, to)?),
    }
}

fn wrong(text: &str) -> ChunkError {
    ChunkError::Columns(ArrowError::ParseError(text.to_owned()))
}

fn parse_numeric(text: &str) -> Result<i256, ChunkError> {
    match Numeric::parse(text.as_bytes()) {
        Ok(value) => Ok(value.to_any()),
        Err(_) => Err(wrong(text)),
    }
}

fn parse_interval(
    text: &str,
) -> Result<<IntervalMonthDayNanoType as arrow::datatypes::ArrowPrimitiveType>::Native, ChunkError>
{
    let interval = Interval::parse(text.as_bytes()).map_err(|_| wrong(text))?;
    let nanoseconds = interval.nanoseconds().map_err(|_| wrong(text))?;
    Ok(IntervalMonthDayNanoType::make_value(
        interval.months,
        interval.days,
        nanoseconds,
    ))
}

/// The smallest scale and precision that hold all values: up to 18 digits are 8 bytes, up to 9 four.
fn narrow_decimal(values: &Decimal128Array, scale: i8) -> ArrayRef {
    let scale = scale.unsigned_abs();
    let mut drop = u32::from(scale);
    let mut most: u128 = 0;
    let mut unit = 10i128.pow(drop);
    for value in values.iter().flatten() {
        most = most.max(value.unsigned_abs());
        while drop > 0 && !divides(unit, value) {
            drop -= 1;
            unit /= 10;
        }
    }
    let divisor = 10i128.pow(drop);
    let most = most / divisor.unsigned_abs();
    let digits = most.checked_ilog10().map_or(1, |log| log + 1);
    let kept = u32::from(scale) - drop;
    let precision = match digits.max(kept).max(1) {
        0..=9 => 9,
        10..=18 => 18,
        _ => 38,
    };
    let narrowed: Decimal128Array = match (i64::try_from(divisor), i64::try_from(most)) {
        (Ok(1), _) => values.clone(),
        (Ok(divisor), Ok(_)) => values.unary(|value| match i64::try_from(value) {
            Ok(value) => i128::from(value / divisor),
            Err(_) => value / i128::from(divisor),
        }),
        _ => values.unary(|value| value / divisor),
    };
    let kept = i8::try_from(kept).unwrap_or(0);
    Arc::new(narrowed.with_data_type(DataType::Decimal128(precision, kept)))
}

/// Whether a value is so many units. Most fit 64 bits, where that is ten times faster to tell.
fn divides(unit: i128, value: i128) -> bool {
    match (i64::try_from(unit), i64::try_from(value)) {
        (Ok(unit), Ok(value)) => value % unit == 0,
        _ => value % unit == 0,
    }
}

/// Plain numerics that all show the same digits are a decimal column; others are text, which any
/// reader shows as it is.
fn narrow_numeric(column: &ArrayRef) -> ArrayRef {
    let codes = column.as_primitive::<Decimal256Type>();
    let values: Vec<Option<Numeric>> = codes
        .iter()
        .map(|code| code.map(Numeric::from_any))
        .collect();
    let mut scales = values.iter().flatten().map(|value| match value {
        Numeric::Finite { unscaled, scale } => unscaled
            .to_i128()
            .filter(|value| value.unsigned_abs() < 10u128.pow(38))
            .map(|_| *scale),
        _ => None,
    });
    let first = scales.next().flatten();
    if let Some(scale) = first
        && scales.all(|other| other == Some(scale))
    {
        let unscaled: Decimal128Array = values
            .iter()
            .map(|value| value.and_then(|value| value.unscaled_at(scale)?.to_i128()))
            .collect();
        let scale = i8::try_from(scale).unwrap_or(0);
        // Not narrowed in scale: the digits shown are part of each value.
        return Arc::new(unscaled.with_data_type(DataType::Decimal128(38, scale)));
    }
    let mut out = StringBuilder::new();
    let mut text = Vec::new();
    for value in values {
        match value {
            None => out.append_null(),
            Some(value) => {
                text.clear();
                value.write(&mut text);
                out.append_value(String::from_utf8_lossy(&text));
            }
        }
    }
    Arc::new(out.finish())
}
