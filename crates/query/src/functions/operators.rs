//! Operators: DataFusion's own comparisons where they mean the same, checked arithmetic by whole
//! columns, and the rest value by value.

use std::cmp::Ordering;

use arrow::datatypes::DataType;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{BinaryExpr, Like};
use datafusion::logical_expr::{Expr, Operator as Op};

mod arithmetic;
mod compare;

use arithmetic::{arithmetic, compute};
use compare::{compare, comparison};
pub(super) use compare::{fixed, widen};

use super::error::FunctionError;
use super::table::{Operator, Typed, Volatile};
use super::udf::{self, Row, RowFn};
use super::value::Value;
use super::{arrays, clocks, dates, json, network, numbers, patterns, ranges, text, times};

/// Whether a row of the recorded operators is offered.
pub(super) fn implements(operator: &Operator) -> bool {
    comparison(operator.name).is_some()
        || arithmetic(operator).is_some()
        || matches!(operator.name, "~~" | "!~~" | "~~*" | "!~~*")
        || row(operator.code).is_some()
}

/// The operator over operands of its types.
pub(super) fn apply(
    operator: &Operator,
    args: Vec<Typed>,
    result: &SqlType,
) -> Result<Typed, FunctionError> {
    if args.len() == 2 {
        let documents = operator.left == Some(SqlType::Jsonb);
        if let Some((op, function)) = comparison(operator.name).filter(|_| !documents) {
            return compare(op, function, args);
        }
        if let Some(op) = arithmetic(operator) {
            return compute(op, args, result);
        }
        if matches!(operator.name, "~~" | "!~~" | "~~*" | "!~~*")
            && args.iter().all(|arg| arg.arrow == DataType::Utf8View)
        {
            return like(operator.name, args);
        }
        if operator.code == "textcat" && args.iter().all(|arg| arg.arrow == DataType::Utf8View) {
            let mut args = args.into_iter().map(|arg| Box::new(arg.expr));
            if let (Some(left), Some(right)) = (args.next(), args.next()) {
                let joined = BinaryExpr::new(left, Op::StringConcat, right);
                return Ok(Typed::new(Expr::BinaryExpr(joined), result.clone()));
            }
            return Err(FunctionError::internal("|| has two operands"));
        }
        if let Some((name, function, zoned)) = times::operator(operator.code)
            && args.iter().all(|arg| times::reads(&arg.arrow))
        {
            let form = result.arrow();
            let call = if zoned {
                udf::stable_column_call
            } else {
                udf::column_call
            };
            return Ok(call(name, function, args, result.clone(), form));
        }
    }
    if operator.code == "numeric_uminus"
        && let [arg] = args.as_slice()
    {
        let form = arg.arrow.clone();
        return Ok(udf::column_call(
            "numeric_uminus",
            numbers::negate,
            args,
            SqlType::Numeric(None),
            form,
        ));
    }
    let function = row(operator.code).ok_or_else(|| {
        FunctionError::unsupported(format!("operator {} is not supported yet", operator.name))
    })?;
    call(operator.code, function, args, result)
}

fn call(
    name: &'static str,
    function: RowFn,
    args: Vec<Typed>,
    result: &SqlType,
) -> Result<Typed, FunctionError> {
    let zoned = args
        .iter()
        .any(|arg| matches!(arg.ty, SqlType::Timestamptz(_)));
    let null_aware = matches!(name, "array_append" | "array_prepend" | "array_cat");
    udf::row_call(
        Row {
            name,
            function,
            strict: !null_aware,
            volatility: if zoned {
                Volatile::Stable
            } else {
                Volatile::Immutable
            },
            ty: result.clone(),
            arrow: super::table::form_like(result, &args),
        },
        args,
    )
}

fn like(name: &str, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    if let Some(Some(ScalarValue::Utf8View(Some(pattern)))) = args.get(1).map(Typed::as_literal) {
        let escapes = pattern.bytes().rev().take_while(|c| *c == b'\\').count();
        if escapes % 2 == 1 {
            return Err(FunctionError::new(
                SqlState::INVALID_ESCAPE_SEQUENCE,
                "LIKE pattern must not end with escape character",
            ));
        }
    }
    let mut args = args.into_iter().map(|arg| Box::new(arg.expr));
    let (Some(expr), Some(pattern)) = (args.next(), args.next()) else {
        return Err(FunctionError::internal("LIKE has two operands"));
    };
    Ok(Typed::new(
        Expr::Like(Like {
            negated: name.starts_with('!'),
            expr,
            pattern,
            escape_char: None,
            case_insensitive: name.ends_with('*'),
        }),
        SqlType::Bool,
    ))
}

/// The function behind an operator, by `pg_operator.oprcode`.
pub(super) fn row(code: &str) -> Option<RowFn> {
    let function: RowFn = match code {
        "int2up" | "int4up" | "int8up" | "float4up" | "float8up" | "numeric_uplus" => {
            |_, a| Ok(a.first().cloned().unwrap_or(Value::Null))
        }
        "int2um" | "int4um" | "int8um" | "float4um" | "float8um" | "numeric_uminus" => {
            |c, a| super::math::negate(c, a)
        }
        "int2abs" | "int4abs" | "int8abs" | "float4abs" | "float8abs" | "numeric_abs" => {
            |c, a| super::math::abs(c, a)
        }
        "int2and" | "int4and" | "int8and" => |_, a| ints(a, |a, b| a & b),
        "int2or" | "int4or" | "int8or" => |_, a| ints(a, |a, b| a | b),
        "int2xor" | "int4xor" | "int8xor" => |_, a| ints(a, |a, b| a ^ b),
        "int2not" | "int4not" | "int8not" => |_, a| match a {
            [a] => Ok(Value::Int(!a.as_int())),
            _ => Ok(Value::Null),
        },
        "int2shl" => |_, a| shift(a, |a, n| i64::from(low16(a).wrapping_shl(n))),
        "int4shl" => |_, a| shift(a, |a, n| i64::from(low32(a).wrapping_shl(n))),
        "int8shl" => |_, a| shift(a, i64::wrapping_shl),
        "int2shr" => |_, a| shift(a, |a, n| i64::from(low16(a).wrapping_shr(n))),
        "int4shr" => |_, a| shift(a, |a, n| i64::from(low32(a).wrapping_shr(n))),
        "int8shr" => |_, a| shift(a, i64::wrapping_shr),
        "dpow" | "numeric_power" => |c, a| super::math::power(c, a),
        "dsqrt" => |c, a| super::math::sqrt(c, a),
        "dcbrt" => |_, a| Ok(Value::Float(a.first().map_or(0.0, Value::as_float).cbrt())),

        "textcat" | "byteacat" => |_, a| match a {
            [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Bytes([a.as_slice(), b].concat())),
            [a, b] => Ok(Value::Text([a.as_str(), b.as_str()].concat())),
            _ => Ok(Value::Null),
        },
        // Joined as casts write them: true, not t.
        "textanycat" | "anytextcat" => |c, a| {
            let words = a.iter().map(|value| match value {
                Value::Bool(value) => Value::text(if *value { "true" } else { "false" }),
                other => other.clone(),
            });
            text::concat(c, &words.collect::<Vec<_>>())
        },
        "starts_with" => |_, a| match a {
            [a, b] => Ok(Value::Bool(a.as_str().starts_with(b.as_str()))),
            _ => Ok(Value::Null),
        },
        code if code.ends_with("icregexeq") => |c, a| patterns::matches(c, a, true),
        code if code.ends_with("icregexne") => {
            |c, a| patterns::matches(c, a, true).map(patterns::not)
        }
        code if code.ends_with("regexeq") => |c, a| patterns::matches(c, a, false),
        code if code.ends_with("regexne") => {
            |c, a| patterns::matches(c, a, false).map(patterns::not)
        }

        "date_pli" => |_, a| dates::add_days(a, 1),
        "integer_pl_date" => |_, a| match a {
            [days, date] => dates::add_days(&[date.clone(), days.clone()], 1),
            _ => Ok(Value::Null),
        },
        "date_mii" => |_, a| dates::add_days(a, -1),
        "date_mi" => |_, a| dates::between_days(a),
        "date_pl_interval" | "timestamp_pl_interval" => |_, a| dates::plus_interval(a, 1),
        "interval_pl_date" | "interval_pl_timestamp" => |_, a| dates::plus_interval(&swapped(a), 1),
        "date_mi_interval" | "timestamp_mi_interval" => |_, a| dates::plus_interval(a, -1),
        "timestamptz_pl_interval" => |c, a| dates::plus_interval_zoned(c.zone, a, 1),
        "interval_pl_timestamptz" => |c, a| dates::plus_interval_zoned(c.zone, &swapped(a), 1),
        "timestamptz_mi_interval" => |c, a| dates::plus_interval_zoned(c.zone, a, -1),
        "timestamp_mi" | "timestamptz_mi" => |_, a| dates::between(a),
        "time_mi_time" => |_, a| match a {
            [a, b] => Ok(dates::interval(0, 0, a.as_micros() - b.as_micros())),
            _ => Ok(Value::Null),
        },
        "time_pl_interval" => |_, a| dates::time_plus(a, 1),
        "interval_pl_time" => |_, a| dates::time_plus(&swapped(a), 1),
        "time_mi_interval" => |_, a| dates::time_plus(a, -1),
        "datetime_pl" => |_, a| dates::date_and_time(a),
        "timedate_pl" => |_, a| dates::date_and_time(&swapped(a)),
        "interval_pl" => |_, a| dates::add_intervals(a, 1),
        "interval_mi" => |_, a| dates::add_intervals(a, -1),
        "interval_um" => |_, a| match a {
            [a] => dates::add_intervals(&[dates::interval(0, 0, 0), a.clone()], -1),
            _ => Ok(Value::Null),
        },
        "interval_mul" => |_, a| dates::scale_interval(a, false),
        "mul_d_interval" => |_, a| dates::scale_interval(&swapped(a), false),
        "interval_div" => |_, a| dates::scale_interval(a, true),

        "json_array_element"
        | "jsonb_array_element"
        | "json_object_field"
        | "jsonb_object_field" => |c, a| json::get(c, a, false),
        "json_array_element_text"
        | "jsonb_array_element_text"
        | "json_object_field_text"
        | "jsonb_object_field_text" => |c, a| json::get(c, a, true),
        "json_extract_path" | "jsonb_extract_path" => |c, a| json::path(c, a, false),
        "json_extract_path_text" | "jsonb_extract_path_text" => |c, a| json::path(c, a, true),
        "jsonb_contains" => |_, a| json::contains(a),
        "jsonb_contained" => |_, a| json::contains(&swapped(a)),
        "jsonb_exists" | "jsonb_exists_any" => |_, a| json::exists(a, false),
        "jsonb_exists_all" => |_, a| json::exists(a, true),
        "jsonb_eq" => |_, a| json::compare(a, Ordering::is_eq),
        "jsonb_ne" => |_, a| json::compare(a, Ordering::is_ne),
        "jsonb_lt" => |_, a| json::compare(a, Ordering::is_lt),
        "jsonb_le" => |_, a| json::compare(a, Ordering::is_le),
        "jsonb_gt" => |_, a| json::compare(a, Ordering::is_gt),
        "jsonb_ge" => |_, a| json::compare(a, Ordering::is_ge),
        "jsonb_path_exists_opr" => |_, a| json::path_exists(a, true),
        "jsonb_path_match_opr" => |_, a| json::path_matches(a, true),
        "jsonb_concat" => |_, a| json::concat(a),
        "jsonb_delete" | "pg_catalog.jsonb_delete" => |_, a| json::delete(a),
        "jsonb_delete_path" => |_, a| json::delete_path(a),

        "arraycontains" => |_, a| arrays::contains(a),
        "arraycontained" => |_, a| arrays::contains(&swapped(a)),
        "arrayoverlap" => |_, a| arrays::overlaps(a),
        "array_append" => |_, a| arrays::append(a),
        "array_prepend" => |_, a| arrays::prepend(a),
        "array_cat" => |_, a| arrays::cat(a),
        code => {
            return network::operator(code)
                .or_else(|| clocks::operator(code))
                .or_else(|| ranges::operator(code));
        }
    };
    Some(function)
}

fn swapped(args: &[Value]) -> Vec<Value> {
    args.iter().rev().cloned().collect()
}

fn ints(args: &[Value], function: fn(i64, i64) -> i64) -> Result<Value, FunctionError> {
    match args {
        [a, b] => Ok(Value::Int(function(a.as_int(), b.as_int()))),
        _ => Ok(Value::Null),
    }
}

fn shift(args: &[Value], function: fn(i64, u32) -> i64) -> Result<Value, FunctionError> {
    match args {
        // Only the low bits of a shift count.
        [a, n] => {
            let by = u32::try_from(n.as_int() & 63).unwrap_or(0);
            Ok(Value::Int(function(a.as_int(), by)))
        }
        _ => Ok(Value::Null),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value came from a smallint"
)]
fn low16(value: i64) -> i16 {
    value as i16
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value came from an integer"
)]
fn low32(value: i64) -> i32 {
    value as i32
}
