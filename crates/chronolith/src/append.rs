//! Rust values into growing columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, StringViewBuilder, TimestampMicrosecondBuilder,
    new_null_array,
};
use arrow::compute::concat;
use chronolith_types::{SqlState, SqlType};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::error::Error;
use crate::params::ToParam;
use crate::value::Timestamp;

/// A Rust value that an [`Appender`](crate::Appender) takes.
pub trait Append {
    /// Adds the value to a column.
    ///
    /// # Errors
    /// 22003, 22001, 22P02, 42804 and the like for a value that the column does not take.
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error>;
}

/// One growing column of an [`Appender`](crate::Appender).
#[derive(Debug)]
pub struct ColumnWriter {
    ty: SqlType,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBuilder),
    Int2(Int16Builder),
    Int4(Int32Builder),
    Int8(Int64Builder),
    Float4(Float32Builder),
    Float8(Float64Builder),
    Decimal {
        builder: Decimal128Builder,
        precision: u8,
        scale: u32,
    },
    Text {
        builder: StringViewBuilder,
        characters_max: Option<u32>,
    },
    Bytea(BinaryViewBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    /// The rarer types, value by value.
    Other(Vec<ArrayRef>),
}

impl ColumnWriter {
    pub(crate) fn new(ty: &SqlType) -> Self {
        let values = match ty {
            SqlType::Bool => Values::Bool(BooleanBuilder::new()),
            SqlType::Int2 => Values::Int2(Int16Builder::new()),
            SqlType::Int4 => Values::Int4(Int32Builder::new()),
            SqlType::Int8 => Values::Int8(Int64Builder::new()),
            SqlType::Float4 => Values::Float4(Float32Builder::new()),
            SqlType::Float8 => Values::Float8(Float64Builder::new()),
            SqlType::Numeric(Some((precision, scale @ 0..=28))) => Values::Decimal {
                builder: Decimal128Builder::new().with_data_type(ty.arrow()),
                precision: *precision,
                scale: u32::from(scale.unsigned_abs()),
            },
            SqlType::Text => text(None),
            SqlType::Varchar(characters_max) => text(*characters_max),
            SqlType::Bytea => Values::Bytea(BinaryViewBuilder::new()),
            SqlType::Timestamp | SqlType::Timestamptz => {
                Values::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(ty.arrow()))
            }
            _ => Values::Other(Vec::new()),
        };
        Self {
            ty: ty.clone(),
            values,
        }
    }

    /// The column so far; it is empty again afterwards.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, Error> {
        Ok(match &mut self.values {
            Values::Bool(builder) => Arc::new(builder.finish()),
            Values::Int2(builder) => Arc::new(builder.finish()),
            Values::Int4(builder) => Arc::new(builder.finish()),
            Values::Int8(builder) => Arc::new(builder.finish()),
            Values::Float4(builder) => Arc::new(builder.finish()),
            Values::Float8(builder) => Arc::new(builder.finish()),
            Values::Decimal { builder, .. } => Arc::new(builder.finish()),
            Values::Text { builder, .. } => Arc::new(builder.finish()),
            Values::Bytea(builder) => Arc::new(builder.finish()),
            Values::Timestamp(builder) => Arc::new(builder.finish()),
            Values::Other(values) => {
                let values = std::mem::take(values);
                let parts: Vec<_> = values.iter().map(AsRef::as_ref).collect();
                concat(&parts)?
            }
        })
    }

    /// Forgets what lies past `rows`: the part of a row whose later value was refused.
    pub(crate) fn truncate(&mut self, rows: usize) -> Result<(), Error> {
        if self.len() <= rows {
            return Ok(());
        }
        let array = self.finish()?.slice(0, rows);
        let mut again = Self::new(&self.ty);
        again.extend(&array)?;
        *self = again;
        Ok(())
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match &self.values {
            Values::Bool(builder) => builder.len(),
            Values::Int2(builder) => builder.len(),
            Values::Int4(builder) => builder.len(),
            Values::Int8(builder) => builder.len(),
            Values::Float4(builder) => builder.len(),
            Values::Float8(builder) => builder.len(),
            Values::Decimal { builder, .. } => builder.len(),
            Values::Text { builder, .. } => builder.len(),
            Values::Bytea(builder) => builder.len(),
            Values::Timestamp(builder) => builder.len(),
            Values::Other(values) => values.len(),
        }
    }

    fn extend(&mut self, array: &ArrayRef) -> Result<(), Error> {
        use arrow::array::AsArray;
        use arrow::datatypes as dt;
        match &mut self.values {
            Values::Bool(builder) => array
                .as_boolean()
                .iter()
                .for_each(|v| builder.append_option(v)),
            Values::Int2(builder) => builder.extend(array.as_primitive::<dt::Int16Type>()),
            Values::Int4(builder) => builder.extend(array.as_primitive::<dt::Int32Type>()),
            Values::Int8(builder) => builder.extend(array.as_primitive::<dt::Int64Type>()),
            Values::Float4(builder) => builder.extend(array.as_primitive::<dt::Float32Type>()),
            Values::Float8(builder) => builder.extend(array.as_primitive::<dt::Float64Type>()),
            Values::Decimal { builder, .. } => {
                builder.extend(array.as_primitive::<dt::Decimal128Type>());
            }
            Values::Text { builder, .. } => builder.extend(array.as_string_view()),
            Values::Bytea(builder) => builder.extend(array.as_binary_view()),
            Values::Timestamp(builder) => {
                builder.extend(array.as_primitive::<dt::TimestampMicrosecondType>());
            }
            Values::Other(values) => values.extend((0..array.len()).map(|row| array.slice(row, 1))),
        }
        Ok(())
    }

    fn null(&mut self) {
        match &mut self.values {
            Values::Bool(builder) => builder.append_null(),
            Values::Int2(builder) => builder.append_null(),
            Values::Int4(builder) => builder.append_null(),
            Values::Int8(builder) => builder.append_null(),
            Values::Float4(builder) => builder.append_null(),
            Values::Float8(builder) => builder.append_null(),
            Values::Decimal { builder, .. } => builder.append_null(),
            Values::Text { builder, .. } => builder.append_null(),
            Values::Bytea(builder) => builder.append_null(),
            Values::Timestamp(builder) => builder.append_null(),
            Values::Other(values) => values.push(new_null_array(&self.ty.arrow(), 1)),
        }
    }

    /// The way of every value whose kind is not the column's own: as a parameter would be read.
    fn general(&mut self, value: &dyn ToParam) -> Result<(), Error> {
        let array = value.to_param(&self.ty)?;
        self.extend(&array)
    }
}

fn text(characters_max: Option<u32>) -> Values {
    Values::Text {
        builder: StringViewBuilder::new(),
        characters_max,
    }
}

impl<T: Append + ?Sized> Append for &T {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        (**self).append(column)
    }
}

impl<T: Append> Append for Option<T> {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match self {
            Some(value) => value.append(column),
            None => {
                column.null();
                Ok(())
            }
        }
    }
}

impl Append for str {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match &mut column.values {
            Values::Text {
                builder,
                characters_max,
            } if !self.contains('\0')
                && characters_max
                    .is_none_or(|max| self.len() <= usize::try_from(max).unwrap_or(0)) =>
            {
                builder.append_value(self);
                Ok(())
            }
            _ => column.general(&self),
        }
    }
}

impl Append for String {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        self.as_str().append(column)
    }
}

impl Append for bool {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match &mut column.values {
            Values::Bool(builder) => builder.append_value(*self),
            _ => column.general(self)?,
        }
        Ok(())
    }
}

macro_rules! integers {
    ($($rust:ident)*) => {$(
        impl Append for $rust {
            fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
                match &mut column.values {
                    Values::Int4(builder) if i32::try_from(*self).is_ok() => {
                        builder.append_option(i32::try_from(*self).ok());
                    }
                    Values::Int8(builder) if i64::try_from(*self).is_ok() => {
                        builder.append_option(i64::try_from(*self).ok());
                    }
                    _ => column.general(self)?,
                }
                Ok(())
            }
        }
    )*};
}
integers!(i16 i32 i64 u16 u32 u64 usize);

impl Append for f64 {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match &mut column.values {
            Values::Float8(builder) => builder.append_value(*self),
            _ => column.general(self)?,
        }
        Ok(())
    }
}

impl Append for f32 {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match &mut column.values {
            Values::Float4(builder) => builder.append_value(*self),
            _ => column.general(self)?,
        }
        Ok(())
    }
}

impl Append for Decimal {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        let Values::Decimal {
            builder,
            precision,
            scale,
        } = &mut column.values
        else {
            return column.general(self);
        };
        // As PostgreSQL rounds a value into its column: half away from zero.
        let rounded = self.round_dp_with_strategy(*scale, RoundingStrategy::MidpointAwayFromZero);
        let more = scale.saturating_sub(rounded.scale());
        let unscaled = 10_i128
            .checked_pow(more)
            .and_then(|factor| rounded.mantissa().checked_mul(factor));
        let limit = 10_u128.checked_pow(u32::from(*precision));
        match unscaled {
            Some(value) if limit.is_none_or(|limit| value.unsigned_abs() < limit) => {
                builder.append_value(value);
                Ok(())
            }
            _ => Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "numeric field overflow",
            )
            .detail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than 10^{}.",
                u32::from(*precision).saturating_sub(*scale)
            ))),
        }
    }
}

impl Append for [u8] {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match &mut column.values {
            Values::Bytea(builder) => builder.append_value(self),
            _ => column.general(&self)?,
        }
        Ok(())
    }
}

impl Append for Vec<u8> {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        self.as_slice().append(column)
    }
}

impl Append for Timestamp {
    fn append(&self, column: &mut ColumnWriter) -> Result<(), Error> {
        match &mut column.values {
            Values::Timestamp(builder) => builder.append_value(self.0),
            _ => column.general(self)?,
        }
        Ok(())
    }
}
