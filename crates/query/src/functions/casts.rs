//! Casts between types, their modifiers, and literals.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Decimal256Type};
use chronolith_types::{NUMERIC_ANY, RegKind, SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

use super::calendar;
use super::clocks;
use super::composites;
use super::dates::{self, DAY_US};
use super::enums;
use super::error::FunctionError;
use super::io::{self, Zone};
use super::network;
use super::num;
use super::numbers;
use super::operators::widen;
use super::table::{Typed, Volatile, cast};
use super::udf::{self, Context, Row, RowFn};
use super::value::{self, Value};
use super::vars::SessionVars;

/// See [`super::apply_cast`].
pub(super) fn apply(
    value: Typed,
    target: &SqlType,
    explicit: bool,
) -> Result<Typed, FunctionError> {
    if target.is_restricted() || value.ty.is_restricted() {
        // What a domain asks is asked by whoever binds the cast.
        let ty = value.ty.plain();
        let made = apply(Typed { ty, ..value }, &target.plain(), explicit)?;
        let ty = target.base().clone();
        return Ok(Typed { ty, ..made });
    }
    let form = target.arrow();
    if value.as_literal().is_some_and(ScalarValue::is_null) {
        return Ok(Typed::literal(
            ScalarValue::try_from(&form)?,
            target.clone(),
        ));
    }
    let bare = target.without_typmod();
    match (&value.ty, target) {
        (SqlType::Record, SqlType::User(user)) if user.fields().is_some() => {
            return composites::from_record(value, user, explicit);
        }
        (SqlType::Record, to) if to.is_text() => {
            return apply(composites::record_text(value)?, target, explicit);
        }
        // A row of any type is a record as it is.
        (row, SqlType::Record) if composites::is_composite(row) => return Ok(value),
        _ => {}
    }
    let retag = |value: Typed| Typed {
        ty: target.clone(),
        ..value
    };
    if value.ty.without_typmod() == bare {
        let limited = bare != *target && value.ty != *target;
        if !limited {
            return Ok(retag(value));
        }
    } else {
        match (&value.ty, &bare) {
            (SqlType::Int2 | SqlType::Int4, SqlType::Int2 | SqlType::Int4 | SqlType::Int8)
                if value.arrow.primitive_width() < form.primitive_width() =>
            {
                return Ok(retag(widen(value, &form)?));
            }
            (SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Float4, SqlType::Float8)
            | (SqlType::Int2 | SqlType::Int4 | SqlType::Int8, SqlType::Float4) => {
                return Ok(retag(widen(value, &form)?));
            }
            (SqlType::Int2, SqlType::Numeric(_)) if bare == *target => {
                return Ok(retag(widen(value, &DataType::Decimal128(5, 0))?));
            }
            (SqlType::Int4, SqlType::Numeric(_)) if bare == *target => {
                return Ok(retag(widen(value, &DataType::Decimal128(10, 0))?));
            }
            (SqlType::Int8, SqlType::Numeric(_)) if bare == *target => {
                return Ok(retag(widen(value, &DataType::Decimal128(19, 0))?));
            }
            (SqlType::Reg(kind), to) if to.is_text() => {
                return Ok(reg_call(*kind, false, value, target, form));
            }
            (SqlType::Array(from), SqlType::Array(to)) if to.is_text() => {
                if let SqlType::Reg(kind) = from.as_ref() {
                    let kind = *kind;
                    return Ok(reg_call(kind, false, value, target, form));
                }
            }
            (from, SqlType::Reg(kind)) if from.is_text() => {
                return Ok(reg_call(*kind, true, value, target, form));
            }
            (SqlType::Array(from), SqlType::Array(to)) if from.is_text() => {
                if let SqlType::Reg(kind) = to.as_ref() {
                    let kind = *kind;
                    return Ok(reg_call(kind, true, value, target, form));
                }
            }
            (from, to)
                if value.arrow == form
                    && bare == *target
                    && (to.is_text() && from.is_text() && !matches!(to, SqlType::Name)
                        || form == DataType::UInt32
                        || matches!(from, SqlType::Int2Vector | SqlType::OidVector)
                        || (*to == SqlType::Json && *from == SqlType::Jsonb)
                        || (to.is_text() && matches!(from, SqlType::Json | SqlType::Jsonb))
                        || (matches!(to, SqlType::Text | SqlType::Varchar(_))
                            && from.labels().is_some())) =>
            {
                return Ok(retag(value));
            }
            _ => {}
        }
        if cast(&value.ty, &bare).is_none() {
            return Err(FunctionError::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type {} to {}", value.ty.without_typmod(), bare),
            ));
        }
    }
    let function: RowFn = if explicit {
        cast_explicit
    } else {
        cast_assignment
    };
    let sessional = sessional(&value.ty, &bare);
    let literal = value.as_literal().is_some();
    if !literal && let Some(kernel) = numbers::cast(&value, target) {
        return Ok(udf::column_call(
            "cast",
            kernel,
            vec![value],
            target.clone(),
            form,
        ));
    }
    let call = udf::row_call(
        Row {
            name: if explicit { "cast" } else { "coerce" },
            function,
            strict: true,
            volatility: if sessional {
                Volatile::Stable
            } else {
                Volatile::Immutable
            },
            ty: target.clone(),
            arrow: form,
        },
        vec![value],
    )?;
    if literal
        && !sessional
        && let Some(folded) = udf::fold(&call, &SessionVars::default())?
    {
        return Ok(Typed::literal(folded, target.clone()));
    }
    Ok(call)
}

/// See [`super::canonical_form`].
pub(super) fn canonical(value: Typed) -> Result<Typed, FunctionError> {
    let form = value.ty.arrow();
    // A list of rows has the form of its rows.
    let rows = matches!(&value.ty, SqlType::Array(item) if **item == SqlType::Record);
    if value.arrow == form || rows {
        return Ok(value);
    }
    if value.as_literal().is_some_and(ScalarValue::is_null) {
        return Ok(Typed::literal(ScalarValue::try_from(&form)?, value.ty));
    }
    let literal = value.as_literal().is_some();
    let ty = value.ty.clone();
    if !literal && let Some(kernel) = numbers::cast(&value, &ty) {
        return Ok(udf::column_call("reform", kernel, vec![value], ty, form));
    }
    let call = udf::row_call(
        Row {
            name: "reform",
            function: |_, args| Ok(args.first().cloned().unwrap_or(Value::Null)),
            strict: true,
            volatility: Volatile::Immutable,
            ty: ty.clone(),
            arrow: form,
        },
        vec![value],
    )?;
    if literal && let Some(folded) = udf::fold(&call, &SessionVars::default())? {
        return Ok(Typed::literal(folded, ty));
    }
    Ok(call)
}

/// The same value, of which nothing is known.
pub fn nullable(value: Typed) -> Result<Typed, FunctionError> {
    let row = Row {
        name: "nullable",
        function: |_, args| Ok(args.first().cloned().unwrap_or(Value::Null)),
        strict: true,
        volatility: Volatile::Volatile,
        ty: value.ty.clone(),
        arrow: value.arrow.clone(),
    };
    udf::row_call(row, vec![value])
}

/// Names of objects are looked up by the session: `regclass_in(text)` and its kin.
fn reg_call(kind: RegKind, into: bool, value: Typed, target: &SqlType, form: DataType) -> Typed {
    let name = match (kind, into) {
        (RegKind::Class, true) => "regclass_in",
        (RegKind::Class, false) => "regclass_out",
        (RegKind::Type, true) => "regtype_in",
        (RegKind::Type, false) => "regtype_out",
        (RegKind::Namespace, true) => "regnamespace_in",
        (RegKind::Namespace, false) => "regnamespace_out",
        (RegKind::Role, true) => "regrole_in",
        (RegKind::Role, false) => "regrole_out",
        (RegKind::Proc, true) => "regproc_in",
        (RegKind::Proc, false) => "regproc_out",
        (RegKind::Procedure, true) => "regprocedure_in",
        (RegKind::Procedure, false) => "regprocedure_out",
        (RegKind::Oper | RegKind::Operator, false) => match kind {
            RegKind::Oper => "regoper_out",
            _ => "regoperator_out",
        },
        (_, true) => "reg_in",
        (_, false) => "reg_out",
    };
    udf::effect_call(
        name,
        Volatile::Stable,
        true,
        target.clone(),
        form,
        vec![value],
    )
}

/// Whether a cast depends on the session's time zone or clock.
fn sessional(from: &SqlType, to: &SqlType) -> bool {
    let element = |ty: &SqlType| ty.element().unwrap_or(ty).clone();
    let (from, to) = (element(from), element(to));
    let dated = |ty: &SqlType| {
        matches!(
            ty,
            SqlType::Date
                | SqlType::Timestamp(_)
                | SqlType::Timestamptz(_)
                | SqlType::Time(_)
                | SqlType::Timetz(_)
        )
    };
    let row = |ty: &SqlType| {
        let made = composites::is_composite(ty) || matches!(ty, SqlType::Range(_));
        made && composites::sessional(ty)
    };
    if row(&from) || row(&to) {
        return true;
    }
    let zoned = matches!(from, SqlType::Time(_)) && matches!(to, SqlType::Timetz(_));
    zoned
        || matches!(from, SqlType::Timestamptz(_))
        || matches!(to, SqlType::Timestamptz(_))
        || (from.is_text() && dated(&to))
}

fn cast_explicit(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    converted(context, args, true)
}

fn cast_assignment(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    converted(context, args, false)
}

fn converted(
    context: &Context<'_>,
    args: &[Value],
    explicit: bool,
) -> Result<Value, FunctionError> {
    match (args.first(), context.args.first()) {
        (Some(value), Some(from)) => convert(
            context.zone,
            context.vars,
            value,
            from,
            context.result,
            explicit,
        ),
        _ => Ok(Value::Null),
    }
}

/// One value as another type.
pub(super) fn convert(
    zone: &Zone,
    vars: &SessionVars,
    value: &Value,
    from: &SqlType,
    to: &SqlType,
    explicit: bool,
) -> Result<Value, FunctionError> {
    let (from, to) = (from.base(), to.base());
    let made = bare(zone, vars, value, from, to, explicit)?;
    Ok(calendar::limited(made, to))
}

fn bare(
    zone: &Zone,
    vars: &SessionVars,
    value: &Value,
    from: &SqlType,
    to: &SqlType,
    explicit: bool,
) -> Result<Value, FunctionError> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    if let (Value::List(items) | Value::Shaped(_, items), SqlType::Array(target)) = (value, to) {
        let source = from.element().unwrap_or(from);
        let items = items
            .iter()
            .map(|item| convert(zone, vars, item, source, target, explicit));
        let items = items.collect::<Result<_, _>>()?;
        return Ok(Value::shaped(value.shape(), items));
    }
    if to.is_text() {
        let text = match value {
            // "true" by a cast, "t" by output.
            Value::Bool(value) => value.to_string(),
            Value::Bytes(kept) if matches!(from, SqlType::Inet | SqlType::Cidr) => {
                network::cast_text(kept)
            }
            value => to_text(zone, value, from)?,
        };
        return limit_text(text, to, explicit).map(Value::Text);
    }
    match (value, to) {
        (Value::Text(text), SqlType::Json) => {
            super::json::parse(text)?;
            Ok(value.clone())
        }
        (Value::Text(text), SqlType::Jsonb) if *from == SqlType::Json => Ok(Value::Text(
            super::json::canonical(&super::json::parse(text)?),
        )),
        (
            Value::Text(text),
            SqlType::Bool
            | SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
            | SqlType::Float4
            | SqlType::Float8
            | SqlType::Numeric(_),
        ) if *from == SqlType::Jsonb => {
            let kind = super::json::type_of(args_of(text).as_slice())?;
            let wanted = if *to == SqlType::Bool {
                "boolean"
            } else {
                "number"
            };
            if kind.as_str() != wanted {
                return Err(FunctionError::invalid_parameter(format!(
                    "cannot cast jsonb {} to type {}",
                    kind.as_str(),
                    to.without_typmod()
                )));
            }
            if *to == SqlType::Bool {
                return Ok(Value::Bool(text == "true"));
            }
            let number = Value::Numeric(num::parse(text)?);
            convert(zone, vars, &number, &SqlType::Numeric(None), to, explicit)
        }
        // Text that was no constant does not know an interval's fields.
        (Value::Text(text), SqlType::Interval(_)) if from.is_text() => {
            io::read(text, &SqlType::Interval(None), zone, vars)
        }
        (Value::Text(text), _) if from.is_text() => io::read(text, to, zone, vars),
        (Value::Text(kept), SqlType::Int4) if *from == SqlType::InternalChar => {
            Ok(Value::Int(io::code_of(kept)))
        }
        (Value::Int(code), SqlType::InternalChar) => match i8::try_from(*code) {
            Ok(code) => Ok(Value::Text(io::char_of(code.to_ne_bytes()[0]))),
            Err(_) => Err(FunctionError::out_of_range("\"char\"")),
        },
        (_, SqlType::Bool) => Ok(Value::Bool(value.as_int() != 0)),
        (Value::Bool(value), SqlType::Int4) => Ok(Value::Int((*value).into())),
        (
            _,
            SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
            | SqlType::Oid
            | SqlType::Xid
            | SqlType::Reg(_),
        ) => integer(value, to),
        (_, SqlType::Float8) => Ok(Value::Float(value.as_float())),
        (_, SqlType::Float4) => Ok(Value::Float(value::narrow(value.as_float())?.into())),
        (Value::Float(v), SqlType::Numeric(_)) if *from == SqlType::Float4 => {
            limit_numeric(num::from_f32(value::narrow(*v)?)?, to)
        }
        (_, SqlType::Numeric(_)) => limit_numeric(value.as_numeric()?, to),
        (Value::Date(_), SqlType::Timestamp(_)) => Ok(Value::Timestamp(dates::local(value)?)),
        (Value::Date(_), SqlType::Timestamptz(_)) => {
            Ok(Value::Timestamp(zone.to_utc(dates::local(value)?)))
        }
        (Value::Timestamp(us), SqlType::Timestamptz(_))
            if matches!(from, SqlType::Timestamp(_)) =>
        {
            Ok(Value::Timestamp(zone.to_utc(*us)))
        }
        (Value::Timestamp(us), _) => {
            let wall = if matches!(from, SqlType::Timestamptz(_)) {
                zone.to_local(*us)
            } else {
                *us
            };
            match to {
                SqlType::Timestamp(_) => Ok(Value::Timestamp(wall)),
                SqlType::Date if wall == i64::MAX => Ok(Value::Date(i32::MAX)),
                SqlType::Date if wall == i64::MIN => Ok(Value::Date(i32::MIN)),
                SqlType::Date => dates::date(wall.div_euclid(DAY_US)),
                SqlType::Timetz(_) => Ok(clocks::of_instant(*us, zone)),
                SqlType::Time(_) if dates::infinite(wall) => Ok(Value::Null),
                SqlType::Time(_) => Ok(Value::Time(wall.rem_euclid(DAY_US))),
                _ => Ok(value.clone()),
            }
        }
        (Value::Time(us), SqlType::Timetz(_)) => {
            Ok(clocks::of_time(*us, zone, vars.transaction_us))
        }
        (at, SqlType::Time(_)) if matches!(from, SqlType::Timetz(_)) => Ok(clocks::time_of(at)),
        (Value::Bytes(kept), SqlType::Cidr) => Ok(network::network_of(kept)),
        (Value::Time(us), SqlType::Interval(_)) => Ok(dates::interval(0, 0, *us)),
        (Value::Interval(span), SqlType::Time(_)) => {
            Ok(Value::Time((span.nanoseconds / 1000).rem_euclid(DAY_US)))
        }
        _ => Ok(value.clone()),
    }
}

fn args_of(text: &str) -> Vec<Value> {
    vec![Value::text(text)]
}

fn integer(value: &Value, to: &SqlType) -> Result<Value, FunctionError> {
    let name = match to {
        SqlType::Int2 => "smallint",
        SqlType::Int4 => "integer",
        SqlType::Int8 => "bigint",
        _ => "OID",
    };
    let range = || FunctionError::out_of_range(name);
    let number = match value {
        Value::Int(number) => *number,
        Value::Float(number) => {
            let rounded = number.round_ties_even();
            // 2^63 itself does not fit.
            if rounded.is_nan()
                || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded)
            {
                return Err(range());
            }
            #[expect(clippy::cast_possible_truncation, reason = "in range as just checked")]
            let number = rounded as i64;
            number
        }
        Value::Numeric(number) => num::to_i64(number, name)?,
        _ => return Err(FunctionError::internal("no number to make an integer of")),
    };
    let fits = match to {
        SqlType::Int2 => i16::try_from(number).is_ok(),
        SqlType::Int4 => i32::try_from(number).is_ok(),
        SqlType::Int8 => true,
        _ => u32::try_from(number).is_ok(),
    };
    if fits {
        Ok(Value::Int(number))
    } else {
        Err(range())
    }
}

fn limit_numeric(value: num::Numeric, to: &SqlType) -> Result<Value, FunctionError> {
    Ok(Value::Numeric(match to {
        SqlType::Numeric(Some((precision, scale))) => num::limit(&value, *precision, *scale)?,
        _ => value,
    }))
}

/// Text within the length of its type: cut when cast, refused when stored unless only blanks go.
fn limit_text(text: String, to: &SqlType, explicit: bool) -> Result<String, FunctionError> {
    let limit = match to {
        SqlType::Varchar(Some(limit)) | SqlType::Char(Some(limit)) => *limit as usize,
        SqlType::Name => {
            let mut end = text.len().min(63);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            return Ok(text.get(..end).unwrap_or_default().to_owned());
        }
        _ => usize::MAX,
    };
    let mut text = text;
    if let Some((at, _)) = text.char_indices().nth(limit) {
        let only_blanks = text
            .get(at..)
            .is_some_and(|rest| rest.chars().all(|c| c == ' '));
        if !explicit && !only_blanks {
            return Err(FunctionError::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {to}"),
            ));
        }
        text.truncate(at);
    }
    if matches!(to, SqlType::Char(_)) {
        text.truncate(text.trim_end_matches(' ').len());
    }
    Ok(text)
}

/// The output text of a value; a boolean is `t` or `f`.
pub(super) fn to_text(zone: &Zone, value: &Value, ty: &SqlType) -> Result<String, FunctionError> {
    io::write(value, ty, zone)
}

/// What rows are sorted by for a value: itself, but for intervals, which order by their length with
/// months of 30 days, for jsonb, for plain numerics, which are equal whatever scale they show, and for enums,
/// which order as their labels were listed.
///
/// # Errors
/// None that a well-typed value meets.
pub fn sort_key(value: Typed) -> Result<Typed, FunctionError> {
    if value.arrow == NUMERIC_ANY {
        let ty = value.ty.clone();
        let normal = |args: &ScalarFunctionArgs, form: &DataType| {
            let [ColumnarValue::Array(array)] = args.args.as_slice() else {
                return Err(FunctionError::internal("a sort key is a column"));
            };
            let codes = array
                .as_primitive::<Decimal256Type>()
                .unary::<_, Decimal256Type>(num::Numeric::normalised_any)
                .with_data_type(form.clone());
            Ok(ColumnarValue::Array(Arc::new(codes)))
        };
        if value.as_literal().is_some() {
            return Ok(value);
        }
        let call = udf::column_call("numeric_order", normal, vec![value], ty, NUMERIC_ANY);
        return Ok(call);
    }
    if enums::ordered(&value.ty) {
        return enums::rank(value);
    }
    if value.ty == SqlType::Jsonb {
        let row = Row {
            name: "jsonb_order",
            function: |_, args| super::json::order_key(args),
            strict: true,
            volatility: Volatile::Immutable,
            ty: SqlType::Bytea,
            arrow: DataType::BinaryView,
        };
        return udf::row_call(row, vec![value]);
    }
    if !matches!(value.ty, SqlType::Interval(_)) {
        return Ok(value);
    }
    let row = Row {
        name: "interval_order",
        function: |_, args| {
            Ok(match args {
                [Value::Interval(span)] => {
                    Value::Numeric(num::from_fixed128(value::interval_micros(span), 0))
                }
                _ => Value::Null,
            })
        },
        strict: true,
        volatility: Volatile::Immutable,
        ty: SqlType::Numeric(None),
        arrow: DataType::Decimal128(38, 0),
    };
    udf::row_call(row, vec![value])
}

/// GREATEST or LEAST: nulls aside, and of equal values the first.
///
/// # Errors
/// None that well-typed values meet.
pub fn extreme(args: Vec<Typed>, ty: SqlType, greatest: bool) -> Result<Typed, FunctionError> {
    if ty.labels().is_some() {
        let ranks: Result<Vec<_>, _> = args.into_iter().map(enums::rank).collect();
        return Ok(enums::label(extreme(ranks?, SqlType::Int4, greatest)?, &ty));
    }
    let arrow = args
        .first()
        .map_or_else(|| ty.arrow(), |value| value.arrow.clone());
    fn best(args: &[Value], better: std::cmp::Ordering) -> Value {
        let mut best = &Value::Null;
        for value in args.iter().filter(|value| !value.is_null()) {
            if best.is_null() || value.compare(best) == better {
                best = value;
            }
        }
        best.clone()
    }
    let row = Row {
        name: if greatest { "greatest" } else { "least" },
        function: if greatest {
            |_, args| Ok(best(args, std::cmp::Ordering::Greater))
        } else {
            |_, args| Ok(best(args, std::cmp::Ordering::Less))
        },
        strict: false,
        volatility: Volatile::Immutable,
        ty,
        arrow,
    };
    udf::row_call(row, args)
}

/// See [`super::literal_from_text`].
pub(super) fn from_text(
    text: &str,
    ty: &SqlType,
    vars: &SessionVars,
) -> Result<ScalarValue, FunctionError> {
    let zone = Zone::of(vars);
    let value = if let SqlType::Reg(kind) = ty {
        if let Ok(oid) = text.parse::<u32>() {
            Value::Int(oid.into())
        } else {
            let literal =
                Typed::literal(ScalarValue::Utf8View(Some(text.to_owned())), SqlType::Text);
            let call = reg_call(*kind, true, literal, ty, ty.arrow());
            return udf::fold(&call, vars)?
                .ok_or_else(|| FunctionError::internal("a name literal did not fold"));
        }
    } else if ty.is_text() {
        Value::Text(limit_text(text.to_owned(), ty, false)?)
    } else {
        io::read(text, ty, &zone, vars)?
    };
    let array = value::write(&ty.arrow(), vec![value])?;
    Ok(ScalarValue::try_from_array(&array, 0)?)
}
