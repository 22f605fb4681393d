//! Values becoming a column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayBuilder, ArrayRef, BinaryViewBuilder, BooleanBuilder, Date32Builder,
    Decimal128Builder, Decimal256Builder, FixedSizeBinaryBuilder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, IntervalMonthDayNanoBuilder, ListArray,
    StringViewArray, StringViewBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
    UInt32Builder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano};
use chronolith_types::{
    Interval, IntervalLimit, NUMERIC_ANY, Numeric, SqlState, SqlType, TimeZone, ValueError, array,
    binary, datetime, numeric, packed, precision, row, text,
};

use crate::error::Error;

/// One growing column in the physical form of its type.
///
/// A push that fails leaves the column as it was.
#[derive(Debug)]
pub struct ColumnBuilder {
    ty: SqlType,
    zone: TimeZone,
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
    Fixed {
        builder: Decimal128Builder,
        precision: u8,
        scale: u8,
    },
    Numeric(Decimal256Builder),
    Text(StringViewBuilder),
    Bytea(BinaryViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Oid(UInt32Builder),
    List {
        item: Box<ColumnBuilder>,
        lengths: Vec<usize>,
        valid: Vec<bool>,
    },
}

/// Runs the same words on whichever builder there is.
macro_rules! each {
    ($values:expr, $builder:ident => $body:expr, list $item:ident $lengths:ident $valid:ident => $list:expr) => {
        match $values {
            Values::Bool($builder) => $body,
            Values::Int2($builder) => $body,
            Values::Int4($builder) => $body,
            Values::Int8($builder) => $body,
            Values::Float4($builder) => $body,
            Values::Float8($builder) => $body,
            Values::Fixed {
                builder: $builder, ..
            } => $body,
            Values::Numeric($builder) => $body,
            Values::Text($builder) => $body,
            Values::Bytea($builder) => $body,
            Values::Date($builder) => $body,
            Values::Time($builder) => $body,
            Values::Timestamp($builder) => $body,
            Values::Interval($builder) => $body,
            Values::Uuid($builder) => $body,
            Values::Oid($builder) => $body,
            Values::List {
                item: $item,
                lengths: $lengths,
                valid: $valid,
            } => $list,
        }
    };
}

impl ColumnBuilder {
    /// An empty column of a type; times without a zone in their text are in `zone`.
    #[must_use]
    pub fn new(ty: &SqlType, zone: &TimeZone) -> Self {
        let values = match ty.arrow() {
            DataType::Boolean => Values::Bool(BooleanBuilder::new()),
            DataType::Int16 => Values::Int2(Int16Builder::new()),
            DataType::Int32 => Values::Int4(Int32Builder::new()),
            DataType::Int64 => Values::Int8(Int64Builder::new()),
            DataType::Float32 => Values::Float4(Float32Builder::new()),
            DataType::Float64 => Values::Float8(Float64Builder::new()),
            form @ DataType::Decimal128(_, scale) => Values::Fixed {
                builder: Decimal128Builder::new().with_data_type(form),
                precision: match ty {
                    SqlType::Numeric(Some((precision, _))) => *precision,
                    _ => 38,
                },
                scale: scale.unsigned_abs(),
            },
            DataType::Decimal256(..) => {
                Values::Numeric(Decimal256Builder::new().with_data_type(NUMERIC_ANY))
            }
            DataType::BinaryView => Values::Bytea(BinaryViewBuilder::new()),
            DataType::Date32 => Values::Date(Date32Builder::new()),
            DataType::Time64(_) => Values::Time(Time64MicrosecondBuilder::new()),
            form @ DataType::Timestamp(..) => {
                Values::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(form))
            }
            DataType::Interval(_) => Values::Interval(IntervalMonthDayNanoBuilder::new()),
            DataType::FixedSizeBinary(width) => Values::Uuid(FixedSizeBinaryBuilder::new(width)),
            DataType::UInt32 => Values::Oid(UInt32Builder::new()),
            DataType::List(_) => Values::List {
                item: Box::new(Self::new(&item_of(ty), zone)),
                lengths: Vec::new(),
                valid: Vec::new(),
            },
            _ => Values::Text(StringViewBuilder::new()),
        };
        Self {
            ty: ty.clone(),
            zone: *zone,
            values,
        }
    }

    /// How many values it has.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(&self.values, builder => builder.len(), list _item _lengths valid => valid.len())
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column so far; the builder is empty again.
    #[must_use]
    pub fn finish(&mut self) -> ArrayRef {
        each!(&mut self.values, builder => Arc::new(builder.finish()),
        list item lengths valid => {
            let field = Arc::new(Field::new("item", item.ty.arrow(), true));
            let offsets = OffsetBuffer::from_lengths(std::mem::take(lengths));
            let nulls = NullBuffer::from(std::mem::take(valid));
            Arc::new(ListArray::new(field, offsets, item.finish(), Some(nulls)))
        })
    }

    /// Forgets what lies past `rows`: the part of a row whose later value was refused.
    ///
    /// # Errors
    /// XX000; none is known.
    pub fn truncate(&mut self, rows: usize) -> Result<(), Error> {
        if self.len() <= rows {
            return Ok(());
        }
        let kept = self.finish().slice(0, rows);
        self.extend(&kept)
    }

    /// Appends the values of a column of the same form.
    fn extend(&mut self, array: &ArrayRef) -> Result<(), Error> {
        let wrong = || Error::internal("a column of another form");
        macro_rules! take {
            ($builder:expr, $array:ty) => {{
                let values = array.as_any().downcast_ref::<$array>().ok_or_else(wrong)?;
                values
                    .iter()
                    .for_each(|value| $builder.append_option(value));
            }};
        }
        match &mut self.values {
            Values::Bool(b) => take!(b, arrow::array::BooleanArray),
            Values::Int2(b) => take!(b, arrow::array::Int16Array),
            Values::Int4(b) => take!(b, arrow::array::Int32Array),
            Values::Int8(b) => take!(b, arrow::array::Int64Array),
            Values::Float4(b) => take!(b, arrow::array::Float32Array),
            Values::Float8(b) => take!(b, arrow::array::Float64Array),
            Values::Fixed { builder, .. } => take!(builder, arrow::array::Decimal128Array),
            Values::Numeric(b) => take!(b, arrow::array::Decimal256Array),
            Values::Text(b) => take!(b, arrow::array::StringViewArray),
            Values::Bytea(b) => take!(b, arrow::array::BinaryViewArray),
            Values::Date(b) => take!(b, arrow::array::Date32Array),
            Values::Time(b) => take!(b, arrow::array::Time64MicrosecondArray),
            Values::Timestamp(b) => take!(b, arrow::array::TimestampMicrosecondArray),
            Values::Interval(b) => take!(b, arrow::array::IntervalMonthDayNanoArray),
            Values::Oid(b) => take!(b, arrow::array::UInt32Array),
            Values::Uuid(b) => {
                let values = array
                    .as_any()
                    .downcast_ref::<arrow::array::FixedSizeBinaryArray>()
                    .ok_or_else(wrong)?;
                for value in values.iter() {
                    match value {
                        Some(value) => b.append_value(value)?,
                        None => b.append_null(),
                    }
                }
            }
            Values::List {
                item,
                lengths,
                valid,
            } => {
                let lists = array
                    .as_any()
                    .downcast_ref::<ListArray>()
                    .ok_or_else(wrong)?;
                for list in lists.iter() {
                    valid.push(list.is_some());
                    lengths.push(list.as_ref().map_or(0, |list| list.len()));
                    if let Some(list) = list {
                        item.extend(&list)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        each!(&mut self.values, builder => builder.append_null(),
        list _item lengths valid => {
            lengths.push(0);
            valid.push(false);
        });
    }

    /// Appends a value from its text, as a column of its type takes it: lengths and precisions
    /// are checked.
    ///
    /// # Errors
    /// 22P02, 22003, 22001, 22007, 22008, 22021 …
    pub fn push_text(&mut self, from: &[u8]) -> Result<(), Error> {
        match &mut self.values {
            Values::Bool(builder) => builder.append_value(text::parse_bool(from)?),
            Values::Int2(builder) => {
                let value = text::parse_integer(from, "smallint", -32_768, 32_767)?;
                builder.append_value(narrow(value)?);
            }
            Values::Int4(builder) => {
                let value = text::parse_integer(from, "integer", i32::MIN.into(), i32::MAX.into())?;
                builder.append_value(narrow(value)?);
            }
            Values::Int8(builder) => {
                builder.append_value(text::parse_integer(from, "bigint", i64::MIN, i64::MAX)?);
            }
            Values::Oid(builder) => {
                let value = text::parse_integer(from, "oid", i32::MIN.into(), u32::MAX.into())?;
                // Negative numbers are read as PostgreSQL reads them: modulo 2^32.
                builder.append_value(narrow(value.rem_euclid(1 << 32))?);
            }
            Values::Float4(builder) => builder.append_value(text::parse_float4(from)?),
            Values::Float8(builder) => builder.append_value(text::parse_float8(from)?),
            Values::Fixed {
                builder,
                precision,
                scale,
            } => {
                let value = match numeric::parse_decimal_fast(from, *scale)
                    .filter(|value| numeric::check_precision(*value, *precision))
                {
                    Some(value) => value,
                    None => numeric::fit(&Numeric::parse(from)?, *precision, *scale)?,
                };
                builder.append_value(value);
            }
            Values::Numeric(builder) => builder.append_value(Numeric::parse(from)?.to_any()),
            Values::Text(builder) if crate::functions::is_composite(&self.ty) => {
                characters(from)?;
                let kept = row::rewritten(from, &self.ty, &self.zone, &TimeZone::Utc)?;
                builder.append_value(characters(&kept)?);
            }
            Values::Text(builder) => push_characters(builder, &self.ty, from)?,
            Values::Bytea(builder) => {
                builder.append_value(packed::parse(&self.ty, from, &self.zone)?);
            }
            Values::Date(builder) => builder.append_value(datetime::parse_date(from)?),
            Values::Time(builder) => {
                builder.append_value(precision::time(
                    datetime::parse_time(from)?,
                    digits_of(&self.ty),
                ));
            }
            Values::Timestamp(builder) => {
                let with_zone = matches!(self.ty, SqlType::Timestamptz(_));
                let value = match (datetime::parse_timestamp_fast(from), with_zone) {
                    (Some((local, Some(offset))), true) => local - i64::from(offset) * 1_000_000,
                    (Some((local, None)), true) => self.zone.instant(local),
                    (Some((local, _)), false) => local,
                    (None, true) => datetime::parse_timestamptz(from, &self.zone)?,
                    (None, false) => datetime::parse_timestamp(from)?,
                };
                builder.append_value(precision::timestamp(value, digits_of(&self.ty)));
            }
            Values::Interval(builder) => {
                let limit = limit_of(&self.ty);
                builder.append_value(span(Interval::parse_within(from, limit)?)?);
            }
            Values::Uuid(builder) => builder.append_value(text::parse_uuid(from)?)?,
            Values::List {
                item,
                lengths,
                valid,
            } => {
                let (shape, items) = array::parse(from)?;
                let before = item.len();
                for value in &items {
                    let pushed = match value {
                        Some(value) => item.push_text(value),
                        None => {
                            item.push_null();
                            Ok(())
                        }
                    };
                    if let Err(error) = pushed {
                        item.truncate(before)?;
                        return Err(error);
                    }
                }
                let tail = shape.tail(|place| items.get(place).is_some_and(Option::is_some));
                item.push_bits(&tail)?;
                lengths.push(items.len() + tail.len());
                valid.push(true);
            }
        }
        Ok(())
    }

    /// Appends NULL and what is not NULL: the tail of an array.
    fn push_bits(&mut self, bits: &[bool]) -> Result<(), Error> {
        for bit in bits {
            if !bit {
                self.push_null();
                continue;
            }
            match &mut self.values {
                Values::Bool(builder) => builder.append_value(false),
                Values::Int2(builder) => builder.append_value(0),
                Values::Int4(builder) => builder.append_value(0),
                Values::Int8(builder) => builder.append_value(0),
                Values::Oid(builder) => builder.append_value(0),
                Values::Float4(builder) => builder.append_value(0.0),
                Values::Float8(builder) => builder.append_value(0.0),
                Values::Fixed { builder, .. } => builder.append_value(0),
                Values::Numeric(builder) => builder.append_value(Numeric::from_i128(0, 0).to_any()),
                Values::Text(builder) => builder.append_value(""),
                Values::Bytea(builder) => builder.append_value(b""),
                Values::Date(builder) => builder.append_value(0),
                Values::Time(builder) => builder.append_value(0),
                Values::Timestamp(builder) => builder.append_value(0),
                Values::Interval(builder) => {
                    builder.append_value(IntervalMonthDayNano::new(0, 0, 0));
                }
                Values::Uuid(builder) => builder.append_value([0; 16])?,
                Values::List { .. } => {
                    return Err(Error::internal("items of arrays are no arrays"));
                }
            }
        }
        Ok(())
    }

    /// Appends a value from PostgreSQL's binary form.
    ///
    /// # Errors
    /// 22P03, 08P01 for bytes of another form; the errors of [`Self::push_text`].
    pub fn push_binary(&mut self, from: &[u8]) -> Result<(), Error> {
        match &mut self.values {
            Values::Bool(builder) => builder.append_value(binary::read_bool(from)?),
            Values::Int2(builder) => builder.append_value(binary::read_int2(from)?),
            Values::Int4(builder) => builder.append_value(binary::read_int4(from)?),
            Values::Int8(builder) => builder.append_value(binary::read_int8(from)?),
            Values::Oid(builder) => builder.append_value(binary::read_oid(from)?),
            Values::Float4(builder) => builder.append_value(binary::read_float4(from)?),
            Values::Float8(builder) => builder.append_value(binary::read_float8(from)?),
            Values::Fixed {
                builder,
                precision,
                scale,
            } => {
                let value = binary::read_numeric(from)?;
                builder.append_value(numeric::fit(&value, *precision, *scale)?);
            }
            Values::Numeric(builder) => {
                builder.append_value(binary::read_numeric(from)?.to_any());
            }
            Values::Text(builder) if crate::functions::is_composite(&self.ty) => {
                let given = row::from_binary(from, &self.ty)?;
                let kept = row::rewritten(&given, &self.ty, &TimeZone::Utc, &TimeZone::Utc)?;
                builder.append_value(characters(&kept)?);
            }
            Values::Text(builder) => {
                let from = match self.ty {
                    SqlType::Jsonb => binary::read_jsonb(from)?,
                    SqlType::InternalChar if from == [0] => &[],
                    _ => from,
                };
                push_characters(builder, &self.ty, from)?;
            }
            Values::Bytea(builder) => builder.append_value(packed::receive(&self.ty, from)?),
            Values::Date(builder) => builder.append_value(binary::read_date(from)?),
            Values::Time(builder) => {
                builder.append_value(precision::time(
                    binary::read_time(from)?,
                    digits_of(&self.ty),
                ));
            }
            Values::Timestamp(builder) => {
                let value = binary::read_timestamp(from)?;
                builder.append_value(precision::timestamp(value, digits_of(&self.ty)));
            }
            Values::Interval(builder) => {
                let value = precision::interval(binary::read_interval(from)?, limit_of(&self.ty));
                builder.append_value(span(value)?);
            }
            Values::Uuid(builder) => {
                builder.append_value(binary::read_exact::<16>(from)?)?;
            }
            Values::List {
                item,
                lengths,
                valid,
            } => {
                let (oid, shape, items) = binary::read_array(from)?;
                let expected = match &self.ty {
                    SqlType::Array(item) => item.oid(),
                    _ => item.ty.oid(),
                };
                if oid != expected && oid != 0 {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "wrong element type",
                    ));
                }
                let before = item.len();
                for value in &items {
                    let pushed = match value {
                        Some(value) => item.push_binary(value),
                        None => {
                            item.push_null();
                            Ok(())
                        }
                    };
                    if let Err(error) = pushed {
                        item.truncate(before)?;
                        return Err(error);
                    }
                }
                let tail = shape.tail(|place| items.get(place).is_some_and(Option::is_some));
                item.push_bits(&tail)?;
                lengths.push(items.len() + tail.len());
                valid.push(true);
            }
        }
        Ok(())
    }

    /// Appends a Boolean; to a column of another type its text.
    ///
    /// # Errors
    /// As [`Self::push_text`].
    pub fn push_bool(&mut self, value: bool) -> Result<(), Error> {
        match &mut self.values {
            Values::Bool(builder) => builder.append_value(value),
            _ => self.push_text(if value { b"t" } else { b"f" })?,
        }
        Ok(())
    }

    /// Appends a whole number.
    ///
    /// # Errors
    /// 22003 for one that the column does not hold.
    pub fn push_i64(&mut self, value: i64) -> Result<(), Error> {
        match &mut self.values {
            Values::Int8(builder) => builder.append_value(value),
            Values::Int4(builder) if i32::try_from(value).is_ok() => {
                builder.append_value(narrow(value)?);
            }
            _ => {
                let mut digits = Vec::new();
                text::write_integer(value, &mut digits);
                self.push_text(&digits)?;
            }
        }
        Ok(())
    }

    /// Appends a float.
    ///
    /// # Errors
    /// As [`Self::push_text`].
    pub fn push_f64(&mut self, value: f64) -> Result<(), Error> {
        if let Values::Float8(builder) = &mut self.values {
            builder.append_value(value);
            return Ok(());
        }
        let mut digits = Vec::new();
        text::write_float8(value, &mut digits);
        self.push_text(&digits)
    }

    /// Appends the number `unscaled` / 10^`scale`.
    ///
    /// # Errors
    /// 22003 for one that the column does not hold.
    pub fn push_decimal(&mut self, unscaled: i128, scale: u8) -> Result<(), Error> {
        match &mut self.values {
            Values::Fixed {
                builder,
                precision,
                scale: own,
            } => {
                let value = numeric::fit(&Numeric::from_i128(unscaled, scale), *precision, *own)?;
                builder.append_value(value);
                Ok(())
            }
            Values::Numeric(builder) => {
                builder.append_value(Numeric::from_i128(unscaled, scale).to_any());
                Ok(())
            }
            _ => {
                let mut digits = Vec::new();
                numeric::write_decimal(unscaled, scale, &mut digits);
                self.push_text(&digits)
            }
        }
    }

    /// Appends a text.
    ///
    /// # Errors
    /// As [`Self::push_text`].
    pub fn push_str(&mut self, value: &str) -> Result<(), Error> {
        self.push_text(value.as_bytes())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// 42804 for a column of another type.
    pub fn push_bytes(&mut self, value: &[u8]) -> Result<(), Error> {
        match &mut self.values {
            Values::Bytea(builder) => {
                builder.append_value(value);
                Ok(())
            }
            _ => Err(self.mismatch("bytea")),
        }
    }

    /// Appends an instant, µs since 1970.
    ///
    /// # Errors
    /// 42804 for a column of another type.
    pub fn push_timestamp_us(&mut self, value: i64) -> Result<(), Error> {
        match &mut self.values {
            Values::Timestamp(builder) => {
                builder.append_value(precision::timestamp(value, digits_of(&self.ty)));
                Ok(())
            }
            _ => Err(self.mismatch("timestamp with time zone")),
        }
    }

    fn mismatch(&self, given: &str) -> Error {
        Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("a column of type {} does not take {given}", self.ty),
        )
    }
}

/// The digits of a second that a type of time keeps.
fn digits_of(ty: &SqlType) -> Option<u8> {
    match ty {
        SqlType::Time(digits) | SqlType::Timestamp(digits) | SqlType::Timestamptz(digits) => {
            *digits
        }
        _ => None,
    }
}

/// What an interval's type keeps.
fn limit_of(ty: &SqlType) -> Option<IntervalLimit> {
    match ty {
        SqlType::Interval(limit) => *limit,
        _ => None,
    }
}

/// The name of an object, as a parameter of type `regclass` or its kin may be given: it stays
/// text, which the session looks up when the statement runs. None for any other value.
pub(crate) fn reg_text(ty: &SqlType, from: &str) -> Option<ArrayRef> {
    let is_name = matches!(ty, SqlType::Reg(_)) && !from.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| Arc::new(StringViewArray::from_iter_values([from])) as ArrayRef)
}

/// One value from its text, in the physical form of its type; times without a zone are UTC's.
/// The name of an object stays text: the session looks it up.
///
/// # Errors
/// As [`ColumnBuilder::push_text`].
pub fn value_from_text(ty: &SqlType, from: Option<&str>) -> Result<ArrayRef, Error> {
    let Some(from) = from else {
        return Ok(new_null_array(&ty.arrow(), 1));
    };
    if let Some(name) = reg_text(ty, from) {
        return Ok(name);
    }
    let utc = TimeZone::parse("UTC").ok_or_else(|| Error::internal("there is no UTC"))?;
    let mut builder = ColumnBuilder::new(ty, &utc);
    builder.push_str(from)?;
    Ok(builder.finish())
}

fn item_of(ty: &SqlType) -> SqlType {
    match ty {
        SqlType::Array(item) => item.base().clone(),
        SqlType::Int2Vector => SqlType::Int2,
        _ => SqlType::Oid,
    }
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, Error> {
    T::try_from(value)
        .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
}

fn span(value: Interval) -> Result<IntervalMonthDayNano, ValueError> {
    Ok(IntervalMonthDayNano {
        months: value.months,
        days: value.days,
        nanoseconds: value.nanoseconds()?,
    })
}

/// Texts of every kind, checked as their type asks.
fn push_characters(
    builder: &mut StringViewBuilder,
    ty: &SqlType,
    from: &[u8],
) -> Result<(), Error> {
    let value = characters(from)?;
    match ty {
        SqlType::Varchar(Some(most)) => {
            builder.append_value(shortened(value, *most, "character varying")?)
        }
        SqlType::Char(most) => {
            // Kept without its padding, which comes back on the way out.
            let value = match most {
                Some(most) => shortened(value, *most, "character")?,
                None => value,
            };
            builder.append_value(value.trim_end_matches(' '));
        }
        SqlType::Json => {
            text::check_json(from)?;
            builder.append_value(value);
        }
        SqlType::Jsonb => builder.append_value(text::canonical_jsonb(from)?),
        SqlType::User(user) => {
            user.check_label(value)?;
            builder.append_value(value);
        }
        SqlType::Name => {
            let mut end = value.len().min(63);
            while !value.is_char_boundary(end) {
                end -= 1;
            }
            builder.append_value(value.get(..end).unwrap_or(value));
        }
        _ => builder.append_value(value),
    }
    Ok(())
}

fn characters(from: &[u8]) -> Result<&str, Error> {
    let invalid = |bytes: &[u8]| {
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x}")).collect();
        Error::new(
            SqlState::new(b"22021"),
            format!(
                "invalid byte sequence for encoding \"UTF8\": {}",
                bytes.join(" ")
            ),
        )
    };
    match std::str::from_utf8(from) {
        Ok(value) if !from.contains(&0) => Ok(value),
        Ok(_) => Err(invalid(&[0])),
        Err(error) => {
            let start = error.valid_up_to();
            let length = error.error_len().unwrap_or(from.len() - start);
            Err(invalid(from.get(start..start + length).unwrap_or_default()))
        }
    }
}

/// A text that fits, or whose excess is blanks.
fn shortened<'t>(value: &'t str, most: u32, name: &str) -> Result<&'t str, Error> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if value.len() <= most {
        return Ok(value);
    }
    let Some((end, _)) = value.char_indices().nth(most) else {
        return Ok(value);
    };
    let (kept, excess) = value.split_at(end);
    if excess.bytes().all(|byte| byte == b' ') {
        return Ok(kept);
    }
    Err(Error::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {name}({most})"),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;
    use crate::value::write_text;

    fn round(ty: &SqlType, given: &str) -> Result<String, Error> {
        let array = value_from_text(ty, Some(given))?;
        assert_eq!(array.data_type(), &ty.arrow());
        let mut out = Vec::new();
        let zone = TimeZone::parse("UTC").unwrap();
        write_text(&array, 0, ty, &zone, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_type_reads_what_it_writes() {
        for (ty, given, shown) in [
            ("boolean", "yes", "t"),
            ("smallint", " -32768 ", "-32768"),
            ("integer", "+7", "7"),
            ("bigint", "9223372036854775807", "9223372036854775807"),
            ("real", "0.1", "0.1"),
            ("double precision", "-Infinity", "-Infinity"),
            ("numeric(20,8)", "187.15", "187.15000000"),
            ("numeric", "1.500", "1.500"),
            ("numeric(4,1)", "12.25", "12.3"),
            ("text", "süß", "süß"),
            ("varchar(3)", "abc  ", "abc"),
            ("char(3)", "a", "a  "),
            ("bytea", "\\x00ff", "\\x00ff"),
            ("date", "2026-02-28", "2026-02-28"),
            ("time", "23:59:59.5", "23:59:59.5"),
            ("timestamp", "2026-01-02 03:04:05", "2026-01-02 03:04:05"),
            (
                "timestamptz",
                "2026-01-02T03:04:05+02",
                "2026-01-02 01:04:05+00",
            ),
            ("interval", "1 day 2 hours", "1 day 02:00:00"),
            (
                "uuid",
                "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            ),
            ("json", "{\"b\": 1}", "{\"b\": 1}"),
            ("jsonb", "{\"b\":1,\"a\":2}", "{\"a\": 2, \"b\": 1}"),
            ("integer[]", "{1,NULL,3}", "{1,NULL,3}"),
            ("text[]", "{\"a b\",c}", "{\"a b\",c}"),
        ] {
            let ty = SqlType::parse_name(ty).unwrap();
            assert_eq!(round(&ty, given).unwrap(), shown, "{ty}");
        }
    }

    #[test]
    fn what_a_type_does_not_take_is_refused_with_its_code() {
        for (ty, given, code) in [
            ("smallint", "32768", "22003"),
            ("integer", "x", "22P02"),
            ("numeric(4,1)", "1000", "22003"),
            ("varchar(3)", "abcd", "22001"),
            ("timestamptz", "yesterdayish", "22007"),
            ("date", "2026-02-30", "22008"),
            ("integer[]", "{1,x}", "22P02"),
            ("uuid", "1", "22P02"),
            ("json", "{", "22P02"),
        ] {
            let ty = SqlType::parse_name(ty).unwrap();
            let error = round(&ty, given).unwrap_err();
            assert_eq!(error.code.as_str(), code, "{ty}: {error}");
        }
    }

    #[test]
    fn a_row_that_was_refused_leaves_nothing() {
        let ty = SqlType::parse_name("integer[]").unwrap();
        let zone = TimeZone::parse("UTC").unwrap();
        let mut builder = ColumnBuilder::new(&ty, &zone);
        builder.push_text(b"{1,2}").unwrap();
        assert!(builder.push_text(b"{3,x}").is_err());
        builder.push_null();
        builder.push_text(b"{4}").unwrap();
        builder.truncate(2).unwrap();
        let array = builder.finish();
        assert_eq!(array.len(), 2);
        assert!(array.is_null(1));
    }
}
