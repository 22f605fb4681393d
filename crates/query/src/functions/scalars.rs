//! Scalar functions: which of PostgreSQL's are there, and what is behind each.

use chronolith_types::SqlType;

use super::table::Imp;
use super::udf::RowFn;
use super::value::Value;
use super::{
    angles, arrays, bytes, calendar, formats, json, math, numbers, operators, patterns, quoting,
    spans, system, text, times,
};

fn first(args: &[Value]) -> &Value {
    args.first().unwrap_or(&Value::Null)
}

/// Names and types of the columns of a function whose result is a record.
pub(super) fn columns(name: &str) -> Vec<(&'static str, SqlType)> {
    match name {
        "json_each" => vec![("key", SqlType::Text), ("value", SqlType::Json)],
        "jsonb_each" => vec![("key", SqlType::Text), ("value", SqlType::Jsonb)],
        "json_each_text" | "jsonb_each_text" => {
            vec![("key", SqlType::Text), ("value", SqlType::Text)]
        }
        _ => Vec::new(),
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
    let zoned = args.first() == Some(&SqlType::Timestamptz);
    let function: RowFn = match name {
        "random" => |_, _| Ok(Value::Float(system::random())),
        "gen_random_uuid" => |_, _| Ok(Value::Uuid(*uuid::Uuid::new_v4().as_bytes())),

        "array_length" => |_, a| arrays::length(a),
        "array_upper" => |_, a| arrays::length(a),
        "array_lower" => |_, a| arrays::lower(a),
        "array_ndims" => |_, a| {
            Ok(if first(a).as_list().is_empty() {
                Value::Null
            } else {
                Value::Int(1)
            })
        },
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
        "generate_subscripts" => |_, a| arrays::subscripts(a),

        "json_build_object" | "jsonb_build_object" => |c, a| json::build_object(c, a),
        "json_build_array" | "jsonb_build_array" => |c, a| json::build_array(c, a),
        "to_json" | "to_jsonb" | "array_to_json" if args.len() == 1 => |c, a| json::to_json(c, a),
        "json_extract_path" | "jsonb_extract_path" => |c, a| json::path(c, a, false),
        "json_extract_path_text" | "jsonb_extract_path_text" => |c, a| json::path(c, a, true),
        "json_typeof" | "jsonb_typeof" => |_, a| json::type_of(a),
        "json_array_length" | "jsonb_array_length" => |_, a| json::array_length(a),
        "json_array_elements" | "jsonb_array_elements" => |c, a| json::elements(c, a, false),
        "json_array_elements_text" | "jsonb_array_elements_text" => {
            |c, a| json::elements(c, a, true)
        }
        "json_object_keys" | "jsonb_object_keys" => |c, a| json::keys(c, a),
        "json_each" | "jsonb_each" => |c, a| json::each(c, a, false),
        "json_each_text" | "jsonb_each_text" => |c, a| json::each(c, a, true),
        "json_strip_nulls" | "jsonb_strip_nulls" => |c, a| json::strip_nulls(c, a),
        "jsonb_pretty" => |_, a| json::pretty(a),
        "jsonb_contains" => |_, a| json::contains(a),
        "jsonb_concat" => |_, a| json::concat(a),
        name => patterns::imp(name, args)
            .or_else(|| text::imp(name, args, result))
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
