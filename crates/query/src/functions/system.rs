//! What functions tell of the session and the system.

use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::error::FunctionError;
use super::udf::RowFn;
use super::value::Value;
use super::vars::SessionVars;
use super::{formats, num};

/// Functions that only the session can answer; called by this name.
pub(super) fn effect(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "set_config",
        "has_table_privilege",
        "has_schema_privilege",
        "has_database_privilege",
        "has_column_privilege",
        "has_sequence_privilege",
        "has_any_column_privilege",
        "has_function_privilege",
        "has_type_privilege",
        "has_language_privilege",
        "pg_has_role",
        "acldefault",
        "nextval",
        "currval",
        "setval",
        "lastval",
        "pg_sequence_last_value",
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
        "pg_get_expr",
        "pg_get_keywords",
        "pg_stat_statements",
        "pg_stat_statements_info",
        "pg_stat_statements_reset",
        "pg_stat_reset",
        "pg_cursor",
        "pg_lock_status",
        "pg_prepared_statement",
        "pg_show_all_settings",
        "pg_timezone_names",
        "pg_get_ruledef",
        "pg_get_function_result",
        "pg_get_function_arguments",
        "pg_get_function_identity_arguments",
        "pg_get_function_arg_default",
        "pg_get_function_sqlbody",
        "pg_get_functiondef",
        "pg_get_triggerdef",
        "pg_partition_ancestors",
        "pg_partition_root",
        "pg_partition_tree",
        "pg_describe_object",
        "pg_function_is_visible",
        "pg_get_statisticsobjdef",
        "pg_get_statisticsobjdef_columns",
        "pg_get_partkeydef",
        "pg_get_partition_constraintdef",
        "obj_description",
        "col_description",
        "shobj_description",
        "pg_relation_is_updatable",
        "pg_column_is_updatable",
        "pg_table_is_visible",
        "pg_type_is_visible",
        "pg_relation_size",
        "pg_total_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_database_size",
        "pg_tablespace_size",
        "pg_cancel_backend",
        "pg_terminate_backend",
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_advisory_unlock",
        "pg_advisory_unlock_shared",
        "pg_advisory_xact_lock",
        "pg_advisory_xact_lock_shared",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
        "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared",
        "pg_listening_channels",
        "pg_blocking_pids",
        "pg_export_snapshot",
        "pg_advisory_unlock_all",
        "pg_get_serial_sequence",
        "pg_postmaster_start_time",
        "txid_current",
        "txid_current_if_assigned",
        "pg_notify",
        "pg_reload_conf",
        "inet_client_addr",
        "inet_client_port",
        "inet_server_addr",
        "inet_server_port",
        "pg_current_wal_lsn",
        "pg_current_wal_insert_lsn",
        "pg_current_wal_flush_lsn",
    ];
    NAMES.iter().find(|known| **known == name).copied()
}

/// The name that `format_type` gives an oid and a modifier.
fn format_type(vars: &SessionVars, args: &[Value]) -> Result<Value, FunctionError> {
    let Some(Value::Int(oid)) = args.first() else {
        return Ok(Value::Null);
    };
    if *oid == 0 {
        return Ok(Value::text("-"));
    }
    let number = u32::try_from(*oid).unwrap_or(0);
    let Some(ty) = SqlType::from_oid(number) else {
        // A type of a user, or of a relation's rows.
        let of = [ScalarValue::UInt32(Some(number))];
        let effects = vars.effects.as_ref();
        let shown = effects.map(|effects| effects.call("regtype_out", &of));
        return Ok(match shown.transpose()? {
            Some(ScalarValue::Utf8View(Some(name))) if name != number.to_string() => {
                Value::Text(name)
            }
            _ => Value::text("???"),
        });
    };
    let typmod = match args.get(1) {
        Some(Value::Int(typmod)) => i32::try_from(*typmod).unwrap_or(-1),
        _ => -1,
    };
    // A bare bpchar is `bpchar` when its modifier is known to be none.
    if matches!(ty, SqlType::Char(_)) && typmod < 4 && matches!(args.get(1), Some(Value::Int(_))) {
        return Ok(Value::text("bpchar"));
    }
    Ok(Value::Text(ty.with_typmod(typmod).name()))
}

const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];

fn pretty_size(bytes: i128) -> String {
    let (mut size, mut unit) = (bytes, 0);
    // Halved once less than shown, to round at the end.
    while unit < UNITS.len() - 1 {
        let limit = if unit == 0 { 10 * 1024 } else { 20 * 1024 - 1 };
        if size.abs() < limit {
            break;
        }
        size /= if unit == 0 { 1 << 9 } else { 1 << 10 };
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

fn pretty_numeric(args: &[Value]) -> Result<Value, FunctionError> {
    let size = args
        .first()
        .map_or(Ok(num::from_i64(0)), Value::as_numeric)?;
    let text = |value: &num::Numeric| {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    // Fractions of bytes are shown.
    if num::compare(&num::abs(&size), &num::from_i64(10 * 1024)).is_lt() {
        return Ok(Value::Text(format!("{} bytes", text(&size))));
    }
    let whole = text(&num::trunc(&size, 0)?).parse::<i128>();
    let whole = whole.map_err(|_| FunctionError::out_of_range("bigint"))?;
    Ok(Value::Text(pretty_size(whole)))
}

fn size_bytes(args: &[Value]) -> Result<Value, FunctionError> {
    let text = args.first().map_or("", Value::as_str);
    let invalid = || FunctionError::invalid_parameter(format!("invalid size: \"{text}\""));
    let trimmed = text.trim();
    let letters = trimmed
        .find(|c: char| c.is_alphabetic() && !matches!(c, 'e' | 'E'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(letters);
    let number = number.trim_end();
    if !number.bytes().any(|c| c.is_ascii_digit()) {
        return Err(invalid());
    }
    let number = num::parse(number).map_err(|_| invalid())?;
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        unit => UNITS
            .iter()
            .position(|known| known.eq_ignore_ascii_case(unit))
            .ok_or_else(|| {
                invalid()
                    .with_detail(format!("Invalid size unit: \"{unit}\"."))
                    .with_hint(
                        "Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \
                         \"PB\".",
                    )
            })?,
    };
    let size = num::mul(&number, &num::from_i64(1 << (10 * power)))?;
    Ok(Value::Int(num::to_i64(&num::round(&size, 0)?, "bigint")?))
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
            let mut path = c.vars.search_path.iter();
            Ok(path
                .find(|name| !name.starts_with("pg_temp_"))
                .map_or(Value::Null, |s| Value::text(s.clone())))
        },
        "current_schemas" => |c, a| {
            let own = |name: &&String| name.starts_with("pg_temp_");
            let mut names = Vec::new();
            if a.first().is_some_and(Value::as_bool) {
                let own = c.vars.search_path.iter().filter(own);
                names.extend(own.map(|name| Value::text(name.clone())));
            }
            if a.first().is_some_and(Value::as_bool)
                && !c.vars.search_path.iter().any(|s| s == "pg_catalog")
            {
                names.push(Value::text("pg_catalog"));
            }
            let path = c.vars.search_path.iter().filter(|name| !own(name));
            names.extend(path.map(|name| Value::text(name.clone())));
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
        "pg_trigger_depth" => |c, _| Ok(Value::Int(c.vars.trigger_depth.into())),
        // Nobody waits for what is told here.
        "pg_notification_queue_usage" => |_, _| Ok(Value::Float(0.0)),
        "pg_backend_pid" => |c, _| Ok(Value::Int(c.vars.backend_pid.into())),
        "format_type" => |c, a| format_type(c.vars, a),
        "oidvectortypes" => |c, a| {
            let oids = a.first().map_or(&[][..], Value::as_list);
            let names = oids.iter().map(|oid| {
                let name = format_type(c.vars, std::slice::from_ref(oid))?;
                Ok(name.as_str().to_owned())
            });
            let names = names.collect::<Result<Vec<_>, FunctionError>>()?;
            Ok(Value::Text(names.join(", ")))
        },
        "pg_operator_is_visible"
        | "pg_opfamily_is_visible"
        | "pg_conversion_is_visible"
        | "pg_ts_config_is_visible"
        | "pg_ts_dict_is_visible"
        | "pg_ts_parser_is_visible"
        | "pg_ts_template_is_visible"
        | "pg_statistics_obj_is_visible"
        | "pg_collation_is_visible"
        | "pg_opclass_is_visible" => |_, _| Ok(Value::Bool(true)),
        // Nothing is granted on these.
        "has_tablespace_privilege" => |_, _| Ok(Value::Bool(true)),
        "pg_size_pretty" if args == [SqlType::Int8] => |_, a| {
            Ok(Value::Text(pretty_size(
                a.first().map_or(0, Value::as_int).into(),
            )))
        },
        "pg_size_pretty" => |_, a| pretty_numeric(a),
        "pg_size_bytes" => |_, a| size_bytes(a),
        "timeofday" => |c, _| {
            let now = chrono::Utc::now().timestamp_micros();
            let picture = "Dy Mon DD HH24:MI:SS.US YYYY TZ";
            formats::shown(c.zone, now, picture).map(Value::Text)
        },
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
        // What nobody counts.
        name if name.starts_with("pg_stat_get_") => |_, _| Ok(Value::Null),
        "pg_is_in_recovery" => |_, _| Ok(Value::Bool(false)),
        "pg_is_other_temp_schema" => |_, _| Ok(Value::Bool(false)),
        "pg_my_temp_schema" => |_, _| Ok(Value::Int(0)),
        // Nothing is replayed here.
        "pg_last_wal_receive_lsn" | "pg_last_wal_replay_lsn" | "pg_last_xact_replay_timestamp" => {
            |_, _| Ok(Value::Null)
        }
        _ => return None,
    };
    Some(function)
}
