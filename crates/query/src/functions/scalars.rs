//! Scalar functions: which of PostgreSQL's are there, and what is behind each.

use chronolith_types::SqlType;

use super::table::Imp;
use super::udf::RowFn;
use super::value::Value;
use super::{
    angles, arrays, bytes, calendar, clocks, enums, formats, json, math, network, numbers,
    operators, patterns, quoting, ranges, spans, system, text, times,
};

fn first(args: &[Value]) -> &Value {
    args.first().unwrap_or(&Value::Null)
}

/// Names and types of the columns of a function whose result is a record.
pub(super) fn columns(name: &str) -> Vec<(&'static str, SqlType)> {
    match name {
        "pg_options_to_table" => vec![
            ("option_name", SqlType::Text),
            ("option_value", SqlType::Text),
        ],
        "_pg_expandarray" => vec![("x", SqlType::Int2), ("n", SqlType::Int4)],
        "json_each" => vec![("key", SqlType::Text), ("value", SqlType::Json)],
        "jsonb_each" => vec![("key", SqlType::Text), ("value", SqlType::Jsonb)],
        "json_each_text" | "jsonb_each_text" => {
            vec![("key", SqlType::Text), ("value", SqlType::Text)]
        }
        _ => match crate::catalogs::of_function(name) {
            Some(relation) => relation.columns().collect(),
            None => Vec::new(),
        },
    }
}

/// What is behind a function of PostgreSQL; none when it is not offered.
pub(super) fn imp(name: &str, args: &[SqlType], result: &SqlType) -> Option<Imp> {
    if let Some(effect) = system::effect(name) {
        return Some(Imp::Effect(effect));
    }
    if args.first() == Some(&SqlType::Numeric(None)) {
        match name {
            "round" => return Some(Imp::Scalar(|args, _| numbers::rounded(false, args))),
            "trunc" => return Some(Imp::Scalar(|args, _| numbers::rounded(true, args))),
            _ => {}
        }
    }
    if let Some(imp) = times::imp(name, args) {
        return Some(imp);
    }
    let zoned = matches!(args.first(), Some(SqlType::Timestamptz(_)));
    let function: RowFn = match name {
        "random" => |c, _| Ok(Value::Float(c.vars.random.next())),
        "setseed" => |c, a| {
            let seed = a.first().map_or(0.0, Value::as_float);
            c.vars.random.seed(seed).map(|()| Value::Null)
        },
        "gen_random_uuid" => |_, _| Ok(Value::Uuid(*uuid::Uuid::new_v4().as_bytes())),

        "array_length" => |_, a| arrays::length(a),
        "array_upper" => |c, a| arrays::upper(c, a),
        "array_lower" => |c, a| arrays::lower(c, a),
        "_pg_expandarray" => |_, a| arrays::expand(a),
        "pg_options_to_table" => |_, a| Ok(arrays::options(a)),
        // No transaction is so old that its number must be frozen.
        "age" if args == [SqlType::Xid] => |_, _| Ok(Value::Int(i32::MAX.into())),
        "array_ndims" => |_, a| Ok(arrays::count_of_dimensions(a)),
        "array_dims" => |_, a| arrays::dimensions(a),
        "cardinality" => |_, a| arrays::cardinality(a),
        "array_append" => |_, a| arrays::append(a),
        "array_prepend" => |_, a| arrays::prepend(a),
        "array_cat" => |_, a| arrays::cat(a),
        "array_position" => |_, a| arrays::position(a),
        "array_positions" => |_, a| arrays::positions(a),
        "array_remove" => |_, a| arrays::remove(a),
        "array_replace" => |_, a| arrays::replace(a),
        "array_fill" => |_, a| arrays::fill(a),
        "trim_array" => |_, a| arrays::trim(a),
        "unnest" if args == [SqlType::AnyArray] => |_, a| Ok(first(a).clone()),
        "generate_series" if zoned => |c, a| arrays::series(Some(c.zone), a),
        "generate_series" => |_, a| arrays::series(None, a),
        "generate_subscripts" => |c, a| arrays::subscripts(c, a),

        name => clocks::imp(name, args)
            .or_else(|| ranges::imp(name, args))
            .or_else(|| network::imp(name, args))
            .or_else(|| patterns::imp(name, args))
            .or_else(|| enums::imp(name))
            .or_else(|| text::imp(name, args, result))
            .or_else(|| json::imp(name))
            .or_else(|| math::imp(name))
            .or_else(|| angles::imp(name))
            .or_else(|| quoting::imp(name))
            .or_else(|| bytes::imp(name, args))
            .or_else(|| calendar::imp(name, args))
            .or_else(|| spans::imp(name, args, result))
            .or_else(|| formats::imp(name, args))
            .or_else(|| system::imp(name, args))
            .or_else(|| operators::row(name))?,
    };
    Some(Imp::Rows(function))
}
