//! Scalar functions: which of PostgreSQL's are there, and what is behind each.

use chronolith_types::SqlType;

use super::error::FunctionError;
use super::table::Imp;
use super::udf::RowFn;
use super::value::Value;
use super::{arrays, calendar, formats, json, math, numbers, system, text, times};

fn first(args: &[Value]) -> &Value {
    args.first().unwrap_or(&Value::Null)
}

fn float(args: &[Value], function: fn(f64) -> f64) -> Result<Value, FunctionError> {
    math::degrees_sine(args, function)
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
        "length" | "char_length" | "character_length" if args.len() == 1 => |_, a| text::length(a),
        "octet_length" => |_, a| text::octet_length(a),
        "bit_length" => |_, a| Ok(Value::Int(text::octet_length(a)?.as_int() * 8)),
        "lower" if *result == SqlType::Text => |_, a| text::lower(a),
        "upper" if *result == SqlType::Text => |_, a| text::upper(a),
        "initcap" => |_, a| text::initcap(a),
        "substr" | "substring" if *result == SqlType::Text || *result == SqlType::Bytea => {
            |c, a| text::substring(c, a)
        }
        "btrim" if *result == SqlType::Text => |_, a| text::trim(a, true, true),
        "ltrim" if *result == SqlType::Text => |_, a| text::trim(a, true, false),
        "rtrim" if *result == SqlType::Text => |_, a| text::trim(a, false, true),
        "replace" => |_, a| match a {
            [s, from, to] if !from.as_str().is_empty() => {
                Ok(Value::Text(s.as_str().replace(from.as_str(), to.as_str())))
            }
            a => Ok(first(a).clone()),
        },
        "split_part" => |_, a| text::split_part(a),
        "strpos" => |_, a| text::position(a),
        "position" if args.first() == Some(&SqlType::Text) => |_, a| text::position(a),
        "left" => |_, a| text::ends(a, true),
        "right" => |_, a| text::ends(a, false),
        "lpad" => |_, a| text::pad(a, true),
        "rpad" => |_, a| text::pad(a, false),
        "concat" => |c, a| text::concat(c, a),
        "concat_ws" => |c, a| text::concat_ws(c, a),
        "format" => |c, a| text::format(c, a),
        "repeat" => |_, a| text::repeat(a),
        "reverse" => |_, a| Ok(Value::Text(first(a).as_str().chars().rev().collect())),
        "md5" => |_, a| system::md5(a),
        "encode" => |_, a| text::encode(a),
        "decode" => |_, a| text::decode(a),
        "like_escape" if *result == SqlType::Text => |_, a| text::like_escape(a),
        "starts_with" => |_, a| match a {
            [s, p] => Ok(Value::Bool(s.as_str().starts_with(p.as_str()))),
            _ => Ok(Value::Null),
        },
        "string_to_array" => |_, a| text::string_to_array(a),
        "string_to_table" => |_, a| text::string_to_array(a),
        "array_to_string" => |c, a| text::array_to_string(c, a),
        "regexp_replace" if args.len() <= 4 && args.get(3) != Some(&SqlType::Int4) => {
            |c, a| text::regexp_replace(c, a)
        }
        "regexp_match" => |c, a| text::regexp_match(c, a),
        "regexp_matches" => |c, a| text::regexp_matches(c, a),
        "regexp_split_to_array" | "regexp_split_to_table" => |c, a| text::regexp_split(c, a),
        "regexp_count" if args.len() == 2 => |c, a| text::regexp_count(c, a),
        "regexp_like" => |c, a| {
            let insensitive = a.get(2).is_some_and(|flags| flags.as_str().contains('i'));
            text::matches(c, a.get(..2).unwrap_or(a), insensitive)
        },
        "quote_ident" => |_, a| text::quote_ident(a),
        "quote_literal" => |c, a| text::quote_literal(c, a),
        "quote_nullable" => |c, a| text::quote_nullable(c, a),
        "chr" => |_, a| text::chr(a),
        "ascii" => |_, a| {
            Ok(Value::Int(
                first(a)
                    .as_str()
                    .chars()
                    .next()
                    .map_or(0, |c| i64::from(u32::from(c))),
            ))
        },
        "to_hex" if args.first() == Some(&SqlType::Int4) => |_, a| {
            Ok(Value::Text(format!(
                "{:x}",
                first(a).as_int() & 0xffff_ffff
            )))
        },
        "to_hex" => |_, a| Ok(Value::Text(format!("{:x}", first(a).as_int()))),
        "translate" => |_, a| text::translate(a),

        "abs" => |c, a| math::abs(c, a),
        "sign" => |_, a| math::sign(a),
        "ceil" | "ceiling" => |_, a| math::ceil(a),
        "floor" => |_, a| math::floor(a),
        "round" => |_, a| math::round(a),
        "trunc" => |_, a| math::trunc(a),
        "sqrt" => |c, a| math::sqrt(c, a),
        "cbrt" => |_, a| float(a, f64::cbrt),
        "exp" => |_, a| math::exp(a),
        "ln" => |_, a| math::ln(a),
        "log" | "log10" => |_, a| math::log(a),
        "power" | "pow" => |c, a| math::power(c, a),
        "mod" => |_, a| math::modulo(a),
        "div" => |_, a| math::div(a),
        "gcd" if *result != SqlType::Numeric(None) => |_, a| math::gcd(a, false),
        "lcm" if *result != SqlType::Numeric(None) => |_, a| math::gcd(a, true),
        "factorial" => |_, a| math::factorial(a),
        "scale" => |_, a| math::scale(a),
        "width_bucket" => |_, a| math::width_bucket(a),
        "pi" => |_, _| Ok(Value::Float(std::f64::consts::PI)),
        "sin" => |_, a| float(a, f64::sin),
        "cos" => |_, a| float(a, f64::cos),
        "tan" => |_, a| float(a, f64::tan),
        "asin" => |_, a| float(a, f64::asin),
        "acos" => |_, a| float(a, f64::acos),
        "atan" => |_, a| float(a, f64::atan),
        "sinh" => |_, a| float(a, f64::sinh),
        "cosh" => |_, a| float(a, f64::cosh),
        "tanh" => |_, a| float(a, f64::tanh),
        "degrees" => |_, a| float(a, f64::to_degrees),
        "radians" => |_, a| float(a, f64::to_radians),
        "atan2" => |_, a| match a {
            [y, x] => Ok(Value::Float(y.as_float().atan2(x.as_float()))),
            _ => Ok(Value::Null),
        },
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
        name => calendar::imp(name, args, result)
            .or_else(|| formats::imp(name, args))
            .or_else(|| system::imp(name, args))?,
    };
    Some(Imp::Rows(function))
}
