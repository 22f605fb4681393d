//! Values to and from text by a format picture: to_char, to_date, to_timestamp and to_number.

use chronolith_types::SqlType;

use super::udf::RowFn;

mod numbers;
mod numbers_read;
mod pattern;
mod times;
mod times_read;

pub(super) use times::shown;

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let function: RowFn = match (name, args) {
        ("to_char", [SqlType::Timestamp(_) | SqlType::Timestamptz(_), _]) => times::timestamp,
        ("to_char", [SqlType::Interval(_), _]) => times::interval,
        ("to_char", [SqlType::Int4 | SqlType::Int8, _]) => numbers::integer,
        ("to_char", [SqlType::Float4 | SqlType::Float8, _]) => numbers::float,
        ("to_char", [SqlType::Numeric(_), _]) => numbers::numeric,
        ("to_number", _) => |_, a| numbers_read::to_number(a),
        ("to_date", _) => |_, a| times_read::to_date(a),
        ("to_timestamp", [_, _]) => |c, a| times_read::to_timestamp(c.zone, a),
        _ => return None,
    };
    Some(function)
}
