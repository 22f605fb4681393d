//! Values of composite types: rows kept as their text, and how they are made, opened, compared.

use arrow::datatypes::DataType;
use chronolith_types::{SqlState, SqlType, TimeZone, UserType, packed, row, type_of_form};
use datafusion::common::ScalarValue;
use datafusion::functions::core;
use datafusion::logical_expr::Expr;
use std::sync::Arc;

use super::casts;
use super::error::FunctionError;
use super::io::{self, Zone};
use super::num;
use super::table::{CastContext, Typed, Volatile, cast};
use super::udf::{Context, Row, RowFn, row_call};
use super::value::{self, Value};
use super::vars::SessionVars;

fn call(
    name: &'static str,
    function: RowFn,
    strict: bool,
    ty: SqlType,
    args: Vec<Typed>,
) -> Result<Typed, FunctionError> {
    let row = Row {
        name,
        function,
        strict,
        volatility: Volatile::Immutable,
        arrow: ty.arrow(),
        ty,
    };
    row_call(row, args)
}

fn number(value: usize) -> Typed {
    let value = i32::try_from(value).unwrap_or(i32::MAX);
    Typed::literal(ScalarValue::Int32(Some(value)), SqlType::Int4)
}

fn truth(value: Option<bool>) -> Typed {
    Typed::literal(ScalarValue::Boolean(value), SqlType::Bool)
}

// ---------------------------------------------------------------------------------------- making

/// A row of a type, of fields that have its types already; NULL where `absent` holds.
fn packed(user: &Arc<UserType>, absent: Typed, fields: Vec<Typed>) -> Result<Typed, FunctionError> {
    let function: RowFn = |context, args| {
        let Some((absent, fields)) = args.split_first() else {
            return Ok(Value::Null);
        };
        if absent.as_bool() {
            return Ok(Value::Null);
        }
        let utc = Zone::utc();
        let types = context.args.iter().skip(1);
        let texts = fields
            .iter()
            .zip(types)
            .map(|(field, ty)| text_of(field, ty, &utc));
        joined(&texts.collect::<Result<Vec<_>, FunctionError>>()?)
    };
    let mut args = vec![absent];
    args.extend(fields);
    call(
        "row_pack",
        function,
        false,
        SqlType::User(Arc::clone(user)),
        args,
    )
}

fn text_of(field: &Value, ty: &SqlType, zone: &Zone) -> Result<Option<String>, FunctionError> {
    match field {
        Value::Null => Ok(None),
        field => io::write(field, ty, zone).map(Some),
    }
}

fn joined<T: AsRef<[u8]>>(fields: &[Option<T>]) -> Result<Value, FunctionError> {
    let text = String::from_utf8(row::join(fields));
    let text = text.map_err(|_| FunctionError::internal("a row's text is not UTF-8"))?;
    Ok(Value::Text(text))
}

/// A row of unnamed type as one of a composite type.
///
/// # Errors
/// 42846 for one of another shape.
pub(super) fn from_record(
    value: Typed,
    user: &Arc<UserType>,
    explicit: bool,
) -> Result<Typed, FunctionError> {
    let wanted = user.fields().unwrap_or_default();
    let refused = |detail: &str| {
        let message = format!("cannot cast type record to {}", user.shown());
        FunctionError::new(SqlState::CANNOT_COERCE, message).with_detail(detail)
    };
    let DataType::Struct(forms) = &value.arrow else {
        return Err(refused("Its fields are not known."));
    };
    if forms.len() != wanted.len() {
        return Err(refused(match forms.len() < wanted.len() {
            true => "Input has too few columns.",
            false => "Input has too many columns.",
        }));
    }
    let written = written(&value.expr);
    let absent = match &written {
        Some(_) => truth(Some(false)),
        None => Typed::new(value.expr.clone().is_null(), SqlType::Bool),
    };
    let mut fields = Vec::with_capacity(wanted.len());
    for (place, (form, (_, to))) in forms.iter().zip(wanted).enumerate() {
        let to = to.base();
        let given = written.as_ref().and_then(|written| written.get(place));
        let field = Typed {
            expr: match given {
                Some(expr) => Expr::clone(expr),
                None => core::expr_fn::get_field(value.expr.clone(), form.name().as_str()),
            },
            ty: type_of_form(form.data_type()),
            arrow: form.data_type().clone(),
        };
        // What was written as a literal takes its type from where it stands.
        let literal = field.ty == SqlType::Text && field.as_literal().is_some();
        // Of what is kept as text only the form is known: it is read again.
        let again = base(&field.ty) == &SqlType::Text
            && (base(to).arrow() == DataType::Utf8View || packed::is_packed(base(to)));
        let known = field.ty.without_typmod() == to.without_typmod();
        let way = cast(&field.ty, to).is_some_and(|way| {
            explicit || literal || again || way.context <= CastContext::Assignment
        });
        if !way && !known {
            let detail = format!(
                "Cannot cast type {} to {} in column {}.",
                field.ty.without_typmod(),
                to.without_typmod(),
                place + 1
            );
            return Err(refused(&detail));
        }
        let field = casts::apply(field, to, explicit || again)?;
        fields.push(casts::canonical(field)?);
    }
    packed(user, absent, fields)
}

/// A row of unnamed type as its text, times in the session's zone; NULL for what is no row.
///
/// # Errors
/// None that well-typed values meet.
pub(super) fn record_text(value: Typed) -> Result<Typed, FunctionError> {
    let function: RowFn = |context, args| {
        let Some((absent, fields)) = args.split_first() else {
            return Ok(Value::Null);
        };
        if absent.as_bool() {
            return Ok(Value::Null);
        }
        let types = context.args.iter().skip(1);
        let texts = fields
            .iter()
            .zip(types)
            .map(|(field, ty)| text_of(field, ty, context.zone));
        joined(&texts.collect::<Result<Vec<_>, FunctionError>>()?)
    };
    let DataType::Struct(forms) = &value.arrow else {
        return Err(FunctionError::internal("a row whose fields are not known"));
    };
    let written = written(&value.expr);
    let absent = match &written {
        Some(_) => truth(Some(false)),
        None => Typed::new(value.expr.clone().is_null(), SqlType::Bool),
    };
    let mut args = vec![absent];
    for (place, form) in forms.iter().enumerate() {
        let given = written.as_ref().and_then(|written| written.get(place));
        let field = Typed {
            expr: match given {
                Some(expr) => Expr::clone(expr),
                None => core::expr_fn::get_field(value.expr.clone(), form.name().as_str()),
            },
            ty: type_of_form(form.data_type()),
            arrow: form.data_type().clone(),
        };
        args.push(match field.ty {
            SqlType::Record => record_text(field)?,
            _ => field,
        });
    }
    let row = Row {
        name: "record_text",
        function,
        strict: false,
        volatility: Volatile::Stable,
        arrow: SqlType::Text.arrow(),
        ty: SqlType::Text,
    };
    row_call(row, args)
}

/// What an array holds, or the type itself.
fn base(ty: &SqlType) -> &SqlType {
    ty.element().unwrap_or(ty)
}

/// The fields of a row that an expression writes out.
fn written(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == core::named_struct().name() => {
            Some(call.args.iter().skip(1).step_by(2).collect())
        }
        _ => None,
    }
}

/// A field as a row of unnamed type has it: by the form of bytes nobody could tell what they are.
///
/// # Errors
/// None that well-typed values meet.
pub fn part(value: Typed) -> Result<Typed, FunctionError> {
    if value.ty == SqlType::Bytea || !packed::is_packed(&value.ty) {
        return Ok(value);
    }
    let function: RowFn = |context, args| match (args, context.args) {
        ([value], [ty]) => io::write(value, ty, context.zone).map(Value::Text),
        _ => Ok(Value::Null),
    };
    call("row_part", function, true, SqlType::Text, vec![value])
}

/// A row with another value in one of its fields; one of NULLs in the place of NULL.
///
/// # Errors
/// None that well-typed values meet.
pub fn with_field(value: Typed, place: usize, field: Typed) -> Result<Typed, FunctionError> {
    let function: RowFn = |context, args| {
        let ([row, place, field], [ty, _, of]) = (args, context.args) else {
            return Ok(Value::Null);
        };
        let mut fields = parts(row, ty)?;
        if let Some(slot) = usize::try_from(place.as_int())
            .ok()
            .and_then(|place| fields.get_mut(place))
        {
            *slot = text_of(field, of, &Zone::utc())?.map(String::into_bytes);
        }
        joined(&fields)
    };
    let ty = value.ty.clone();
    call(
        "row_with",
        function,
        false,
        ty,
        vec![value, number(place), field],
    )
}

/// The texts of the fields of a row, all NULL for NULL.
fn parts(row: &Value, ty: &SqlType) -> Result<Vec<Option<Vec<u8>>>, FunctionError> {
    let fields = fields_of(ty).len();
    match row {
        Value::Text(text) => Ok(row::split(text.as_bytes(), fields)?),
        _ => Ok(vec![None; fields]),
    }
}

// --------------------------------------------------------------------------------------- opening

/// The fields of a composite type.
fn fields_of(ty: &SqlType) -> &[(String, SqlType)] {
    ty.fields().unwrap_or_default()
}

/// Whether a type is a composite one.
pub fn is_composite(ty: &SqlType) -> bool {
    ty.fields().is_some()
}

/// A field's value from its text.
fn field_value(text: Option<&[u8]>, ty: &SqlType) -> Result<Value, FunctionError> {
    let Some(text) = text else {
        return Ok(Value::Null);
    };
    let ty = ty.base();
    let text = String::from_utf8_lossy(text);
    if let SqlType::Char(_) = ty {
        return Ok(Value::text(text.trim_end_matches(' ')));
    }
    if ty.is_text() {
        return Ok(Value::text(text.into_owned()));
    }
    io::read(&text, ty, &Zone::utc(), &SessionVars::default())
}

/// The values of the fields of a row, with their names and types.
pub(super) fn opened<'t>(
    text: &str,
    ty: &'t SqlType,
) -> Result<Vec<(&'t str, &'t SqlType, Value)>, FunctionError> {
    let fields = fields_of(ty);
    let texts = row::split(text.as_bytes(), fields.len())?;
    let opened = fields.iter().zip(texts).map(|((name, ty), text)| {
        let ty = ty.base();
        Ok((name.as_str(), ty, field_value(text.as_deref(), ty)?))
    });
    opened.collect()
}

/// The fields of a row that is one value, each a value.
///
/// # Errors
/// None that a row of its type meets.
pub fn row_values(
    row: &str,
    ty: &SqlType,
) -> Result<Vec<(String, SqlType, ScalarValue)>, FunctionError> {
    let fields = opened(row, ty)?.into_iter().map(|(name, ty, field)| {
        let field = value::write(&ty.arrow(), vec![field])?;
        let field = ScalarValue::try_from_array(&field, 0)?;
        Ok((name.to_owned(), ty.clone(), field))
    });
    fields.collect()
}

/// A field of a row; none for a name that it has not.
///
/// # Errors
/// None that well-typed values meet.
pub fn field(value: Typed, place: usize) -> Result<Option<Typed>, FunctionError> {
    let Some((_, ty)) = fields_of(&value.ty).get(place) else {
        return Ok(None);
    };
    let ty = ty.base().clone();
    let function: RowFn = |context, args| {
        let ([row, place], [ty, _]) = (args, context.args) else {
            return Ok(Value::Null);
        };
        let place = usize::try_from(place.as_int()).unwrap_or(usize::MAX);
        let fields = parts(row, ty)?;
        match (fields.get(place), fields_of(ty).get(place)) {
            (Some(text), Some((_, ty))) => field_value(text.as_deref(), ty),
            _ => Ok(Value::Null),
        }
    };
    call("row_field", function, true, ty, vec![value, number(place)]).map(Some)
}

/// Whether all fields of a row are NULL, or none is: a row that is NULL has none but NULLs.
///
/// # Errors
/// None that well-typed values meet.
pub fn nulls(value: Typed, not: bool) -> Result<Typed, FunctionError> {
    let function: RowFn = |context, args| {
        let ([row, not], [ty, _]) = (args, context.args) else {
            return Ok(Value::Null);
        };
        if row.is_null() {
            return Ok(Value::Bool(!not.as_bool()));
        }
        let mut fields = parts(row, ty)?.into_iter();
        Ok(Value::Bool(match not.as_bool() {
            true => fields.all(|field| field.is_some()),
            false => fields.all(|field| field.is_none()),
        }))
    };
    let args = vec![value, truth(Some(not))];
    call("row_nulls", function, false, SqlType::Bool, args)
}

/// The text of a row as a zone shows it.
pub(super) fn shown(text: &str, ty: &SqlType, zone: &TimeZone) -> Result<String, FunctionError> {
    let shown = row::rewritten(text.as_bytes(), ty, &TimeZone::Utc, zone)?;
    Ok(String::from_utf8_lossy(&shown).into_owned())
}

/// Whether reading or showing a value depends on the session.
pub(super) fn sessional(ty: &SqlType) -> bool {
    match ty.base() {
        SqlType::Timestamptz(_) | SqlType::Timestamp(_) | SqlType::Date | SqlType::Time(_) => true,
        SqlType::Array(element) => sessional(element),
        SqlType::Range(kind) => sessional(&kind.element()),
        ty => fields_of(ty).iter().any(|(_, ty)| sessional(ty)),
    }
}

// ------------------------------------------------------------------------------------- comparing

/// What a row, or an array of rows, is compared and sorted by: bytes that order as the rows do, the
/// same for rows that are equal.
///
/// # Errors
/// 42883 for a row with a field that has no order.
pub(super) fn key(value: Typed) -> Result<Typed, FunctionError> {
    check_order(&value.ty)?;
    let function: RowFn = |context, args| {
        let ([value], [ty]) = (args, context.args) else {
            return Ok(Value::Null);
        };
        let mut key = Vec::new();
        put(value, ty, &mut key)?;
        Ok(Value::Bytes(key))
    };
    call("row_key", function, true, SqlType::Bytea, vec![value])
}

fn check_order(ty: &SqlType) -> Result<(), FunctionError> {
    match ty.base() {
        SqlType::Json | SqlType::Jsonpath => Err(FunctionError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("could not identify a comparison function for type {ty}"),
        )),
        SqlType::Array(element) => check_order(element),
        ty => fields_of(ty).iter().try_for_each(|(_, ty)| check_order(ty)),
    }
}

const NULL_LAST: u8 = 0xff;
const PRESENT: u8 = 1;

fn put(value: &Value, ty: &SqlType, key: &mut Vec<u8>) -> Result<(), FunctionError> {
    let signed = |value: i64| (value ^ i64::MIN).to_be_bytes();
    match value {
        Value::Null => {
            key.push(NULL_LAST);
            return Ok(());
        }
        _ => key.push(PRESENT),
    }
    match value {
        Value::Null => {}
        Value::Bool(value) => key.push(u8::from(*value)),
        Value::Int(value) => key.extend(signed(*value)),
        Value::Date(value) => key.extend(signed((*value).into())),
        Value::Time(value) | Value::Timestamp(value) => key.extend(signed(*value)),
        Value::Float(value) => {
            // Zeros are one, and NaN is above all.
            let value = if value.is_nan() {
                f64::NAN
            } else {
                *value + 0.0
            };
            let bits = value.to_bits();
            let ordered = match bits >> 63 {
                0 => bits | (1 << 63),
                _ => !bits,
            };
            key.extend(ordered.to_be_bytes());
        }
        Value::Numeric(value) => {
            let code = num::Numeric::normalised_any(num::to_any(value)?);
            let mut bytes = code.to_be_bytes();
            if let Some(first) = bytes.first_mut() {
                *first ^= 0x80;
            }
            key.extend(bytes);
        }
        Value::Text(text) if is_composite(ty) => {
            for (_, ty, value) in opened(text, ty)? {
                put(&value, ty, key)?;
            }
        }
        Value::Text(text) => match ty.labels() {
            Some(labels) => {
                let place = labels.iter().position(|label| label == text);
                let place = place.and_then(|place| u32::try_from(place).ok());
                key.extend(place.unwrap_or(u32::MAX).to_be_bytes());
            }
            None => put_bytes(text.as_bytes(), key),
        },
        Value::Bytes(bytes) => put_bytes(bytes, key),
        Value::Interval(value) => {
            let length = value::interval_micros(value) ^ i128::MIN;
            key.extend(length.to_be_bytes());
        }
        Value::Uuid(bytes) => key.extend(bytes),
        Value::List(items) | Value::Shaped(_, items) | Value::Record(items) => {
            let of = ty.element().unwrap_or(&SqlType::Text);
            for item in items {
                put(item, of, key)?;
            }
            key.push(0);
            if let Value::Shaped(shape, _) = value {
                // Behind a byte that no value begins with.
                key.push(0xee);
                for dimension in shape.dimensions() {
                    key.extend(signed(i64::try_from(dimension.length).unwrap_or(i64::MAX)));
                    key.extend(signed(dimension.lower.into()));
                }
            }
        }
    }
    Ok(())
}

/// Bytes that end before any that go on.
fn put_bytes(bytes: &[u8], key: &mut Vec<u8>) {
    for byte in bytes {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key.extend([0, 0]);
}

/// A row as JSON text, or the text that it has already.
pub(super) fn json(
    context: &Context<'_>,
    text: &str,
    ty: &SqlType,
) -> Result<String, FunctionError> {
    let mut out = String::from("{");
    for (name, ty, value) in opened(text, ty)? {
        if out.len() > 1 {
            out.push(',');
        }
        super::json::quote(name, &mut out);
        out.push(':');
        out.push_str(&super::json::text_of(context, &value, ty, false)?);
    }
    out.push('}');
    Ok(out)
}
