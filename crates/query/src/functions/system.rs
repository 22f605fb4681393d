//! What functions tell of the session and the system.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use chronolith_types::{SqlState, SqlType};

use super::error::FunctionError;
use super::udf::RowFn;
use super::value::Value;

/// Functions that only the session can answer; called by this name.
pub(super) fn effect(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "set_config",
        "nextval",
        "currval",
        "setval",
        "lastval",
        "pg_sleep",
        "to_regclass",
        "to_regtype",
        "to_regnamespace",
        "to_regrole",
        "to_regproc",
        "to_regprocedure",
        "pg_get_indexdef",
        "pg_get_constraintdef",
        "pg_get_viewdef",
        "pg_get_userbyid",
        "pg_get_ruledef",
        "pg_get_function_result",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_arg_default",
        "pg_get_function_sqlbody",
        "pg_get_functiondef",
        "pg_get_triggerdef",
        "pg_get_statisticsobjdef",
        "pg_get_statisticsobjdef_columns",
        "pg_get_partkeydef",
        "pg_get_partition_constraintdef",
        "obj_description",
        "col_description",
        "shobj_description",
        "pg_table_is_visible",
        "pg_relation_size",
        "pg_total_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_database_size",
        "pg_cancel_backend",
        "pg_terminate_backend",
        "pg_advisory_lock",
        "pg_advisory_unlock",
        "pg_try_advisory_lock",
        "pg_advisory_xact_lock",
        "pg_try_advisory_xact_lock",
        "pg_advisory_unlock_all",
        "pg_get_serial_sequence",
        "pg_postmaster_start_time",
        "txid_current",
        "pg_notify",
        "pg_reload_conf",
    ];
    NAMES.iter().find(|known| **known == name).copied()
}

/// The name that `format_type` gives an oid and a modifier.
fn format_type(args: &[Value]) -> Value {
    let Some(Value::Int(oid)) = args.first() else {
        return Value::Null;
    };
    let ty = u32::try_from(*oid).ok().and_then(SqlType::from_oid);
    let Some(ty) = ty else {
        return Value::text(if *oid == 0 { "-" } else { "???" });
    };
    let typmod = match args.get(1) {
        Some(Value::Int(typmod)) => i32::try_from(*typmod).unwrap_or(-1),
        _ => -1,
    };
    // A bare bpchar is `bpchar` when its modifier is known to be none.
    if matches!(ty, SqlType::Char(_)) && typmod < 4 && matches!(args.get(1), Some(Value::Int(_))) {
        return Value::text("bpchar");
    }
    Value::Text(ty.with_typmod(typmod).name())
}

fn pretty_size(bytes: i64) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let (mut size, mut unit) = (i128::from(bytes), 0);
    // Halved once more than shown, to round at the end.
    while unit < UNITS.len() - 1 {
        let limit = if unit == 0 { 10 * 1024 } else { 20 * 1024 - 1 };
        if size.abs() < limit {
            break;
        }
        size = if unit == 0 { size >> 9 } else { size >> 10 };
        unit += 1;
    }
    if unit > 0 {
        size = if size < 0 {
            (size - 1) / 2
        } else {
            (size + 1) / 2
        };
    }
    format!("{size} {}", UNITS.get(unit).copied().unwrap_or("bytes"))
}

/// A number in `0.0..1.0`.
pub(super) fn random() -> f64 {
    let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
    let mixed = RandomState::new().hash_one(bits);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// MD5 as hexadecimal digits.
pub(super) fn md5(args: &[Value]) -> Result<Value, FunctionError> {
    let bytes = match args.first() {
        Some(Value::Bytes(bytes)) => bytes.as_slice(),
        Some(value) => value.as_str().as_bytes(),
        None => return Ok(Value::Null),
    };
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64).wrapping_mul(8).to_le_bytes());
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    const SHIFTS: [[u32; 4]; 4] = [
        [7, 12, 17, 22],
        [5, 9, 14, 20],
        [4, 11, 16, 23],
        [6, 10, 15, 21],
    ];
    for block in message.chunks_exact(64) {
        let words: Vec<u32> = block
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default()))
            .collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64_usize {
            let (mix, at) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the constants of MD5 are 32 bits of a sine"
            )]
            let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a
                .wrapping_add(mix)
                .wrapping_add(constant)
                .wrapping_add(words.get(at).copied().unwrap_or(0));
            let shift = SHIFTS
                .get(step / 16)
                .and_then(|row| row.get(step % 4))
                .copied()
                .unwrap_or(0);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
        }
        for (slot, value) in state.iter_mut().zip([a, b, c, d]) {
            *slot = slot.wrapping_add(value);
        }
    }
    let digest: Vec<u8> = state.iter().flat_map(|word| word.to_le_bytes()).collect();
    Ok(Value::Text(super::text::hex(&digest)))
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let function: RowFn = match name {
        "version" => |c, _| {
            Ok(Value::Text(format!(
                "PostgreSQL 15.13 (Chronolith {}) on {}-{}, compiled by rustc, 64-bit",
                c.vars.version,
                std::env::consts::ARCH,
                std::env::consts::OS,
            )))
        },
        "current_database" => |c, _| Ok(Value::text(c.vars.database.clone())),
        "current_schema" => |c, _| {
            Ok(c.vars
                .search_path
                .first()
                .map_or(Value::Null, |s| Value::text(s.clone())))
        },
        "current_schemas" => |c, a| {
            let mut names = Vec::new();
            if a.first().is_some_and(Value::as_bool)
                && !c.vars.search_path.iter().any(|s| s == "pg_catalog")
            {
                names.push(Value::text("pg_catalog"));
            }
            names.extend(c.vars.search_path.iter().map(|s| Value::text(s.clone())));
            Ok(Value::List(names))
        },
        "current_user" | "current_role" | "user" => |c, _| Ok(Value::text(c.vars.user.clone())),
        "session_user" => |c, _| Ok(Value::text(c.vars.session_user.clone())),
        "pg_typeof" => |c, _| Ok(Value::Int(c.args.first().map_or(0, |ty| ty.oid().into()))),
        "current_setting" => |c, a| {
            let name = a.first().map_or("", Value::as_str).to_lowercase();
            match c.vars.settings.get(&name) {
                Some(value) => Ok(Value::text(value.clone())),
                None if a.get(1).is_some_and(Value::as_bool) => Ok(Value::Null),
                None => Err(FunctionError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("unrecognized configuration parameter \"{name}\""),
                )),
            }
        },
        "pg_backend_pid" => |c, _| Ok(Value::Int(c.vars.backend_pid.into())),
        "format_type" => |_, a| Ok(format_type(a)),
        // The catalogs keep expressions as SQL text.
        "pg_get_expr" => |_, a| Ok(a.first().cloned().unwrap_or(Value::Null)),
        "pg_type_is_visible"
        | "pg_function_is_visible"
        | "pg_operator_is_visible"
        | "pg_opfamily_is_visible"
        | "pg_conversion_is_visible"
        | "pg_ts_config_is_visible"
        | "pg_ts_dict_is_visible"
        | "pg_ts_parser_is_visible"
        | "pg_ts_template_is_visible"
        | "pg_statistics_obj_is_visible"
        | "pg_collation_is_visible"
        | "pg_opclass_is_visible" => |_, _| Ok(Value::Bool(true)),
        "has_table_privilege"
        | "has_schema_privilege"
        | "has_database_privilege"
        | "has_column_privilege"
        | "has_any_column_privilege"
        | "has_function_privilege"
        | "has_sequence_privilege"
        | "has_type_privilege"
        | "has_tablespace_privilege"
        | "has_language_privilege"
        | "pg_has_role" => |_, _| Ok(Value::Bool(true)),
        "pg_size_pretty" if args == [SqlType::Int8] => {
            |_, a| Ok(Value::Text(pretty_size(a.first().map_or(0, Value::as_int))))
        }
        "pg_encoding_to_char" => |_, a| {
            Ok(Value::text(if a.first().map_or(0, Value::as_int) == 6 {
                "UTF8"
            } else {
                ""
            }))
        },
        "pg_char_to_encoding" => |_, a| {
            let utf8 = a.first().is_some_and(|name| {
                matches!(name.as_str().to_lowercase().as_str(), "utf8" | "unicode")
            });
            Ok(Value::Int(if utf8 { 6 } else { -1 }))
        },
        "pg_client_encoding" | "getdatabaseencoding" => |_, _| Ok(Value::text("UTF8")),
        "pg_relation_is_publishable" => |_, _| Ok(Value::Bool(true)),
        "pg_tablespace_location" => |_, _| Ok(Value::text("")),
        "pg_is_in_recovery" => |_, _| Ok(Value::Bool(false)),
        "pg_is_other_temp_schema" => |_, _| Ok(Value::Bool(false)),
        "pg_my_temp_schema" => |_, _| Ok(Value::Int(0)),
        "inet_server_addr" | "inet_client_addr" => |_, _| Ok(Value::Null),
        _ => return None,
    };
    Some(function)
}
