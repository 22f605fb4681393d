//! UUIDs of version 7, whose first bits are a time: milliseconds in 48 bits, and how far the next one
//! is off in 12.

use chronolith_types::SqlType;

use super::dates;
use super::error::FunctionError;
use super::table::{Imp, Proc, Typed, Volatile};
use super::times;
use super::udf::{self, Row};
use super::value::Value;

type Answer = Result<Value, FunctionError>;

/// The parts that a millisecond has in a UUID.
const PARTS: i64 = 1 << 12;

const US_PER_MS: i64 = 1000;

/// What makes a row of `pg_proc`.
type Make<'a> = dyn FnMut(&'static str, Vec<SqlType>, SqlType, Imp) -> Proc + 'a;

/// Their rows of `pg_proc`.
pub(super) fn procs(make: &mut Make<'_>) -> Vec<Proc> {
    use SqlType::{Int4, Interval, Text, Timestamptz, Uuid};
    let plain: [(_, Vec<SqlType>, _, Vec<&str>, _, Imp); 6] = [
        (
            "generate_uuidv7",
            vec![],
            Uuid,
            vec![],
            Volatile::Volatile,
            Imp::Rows(|_, _| made(super::calendar::wall_now_us(), random())),
        ),
        (
            "to_uuidv7",
            vec![Timestamptz(None)],
            Uuid,
            vec!["ts"],
            Volatile::Volatile,
            Imp::Rows(|_, args| made(time(args), random())),
        ),
        (
            "to_uuidv7_boundary",
            vec![Timestamptz(None)],
            Uuid,
            vec!["ts"],
            Volatile::Immutable,
            Imp::Rows(|_, args| made(time(args), [0; 16])),
        ),
        (
            "uuid_timestamp",
            vec![Uuid],
            Timestamptz(None),
            vec!["uuid"],
            Volatile::Immutable,
            Imp::Rows(to_the_millisecond),
        ),
        (
            "uuid_timestamp_micros",
            vec![Uuid],
            Timestamptz(None),
            vec!["uuid"],
            Volatile::Immutable,
            Imp::Rows(|_, args| Ok(time_of(args).map_or(Value::Null, Value::Timestamp))),
        ),
        (
            "uuid_version",
            vec![Uuid],
            Int4,
            vec!["uuid"],
            Volatile::Immutable,
            Imp::Rows(|_, args| Ok(version(&bytes(args)).map_or(Value::Null, Value::Int))),
        ),
    ];
    let mut rows = Vec::new();
    for (name, args, result, names, volatility, imp) in plain {
        let mut row = make(name, args, result, imp);
        row.arg_names = names;
        row.volatility = volatility;
        row.strict = true;
        rows.push(row);
    }
    let buckets: [(Vec<SqlType>, Vec<&str>, usize); 4] = [
        (vec![Interval(None), Uuid], vec!["bucket_width", "ts"], 0),
        (
            vec![Interval(None), Uuid, Timestamptz(None)],
            vec!["bucket_width", "ts", "origin"],
            0,
        ),
        (
            vec![Interval(None), Uuid, Interval(None)],
            vec!["bucket_width", "ts", "offset"],
            0,
        ),
        (
            vec![
                Interval(None),
                Uuid,
                Text,
                Timestamptz(None),
                Interval(None),
            ],
            vec!["bucket_width", "ts", "timezone", "origin", "offset"],
            2,
        ),
    ];
    for (args, names, defaults) in buckets {
        let mut row = make("time_bucket", args, Timestamptz(None), Imp::Scalar(bucket));
        row.arg_names = names;
        row.defaults = defaults;
        row.volatility = Volatile::Immutable;
        row.strict = defaults == 0;
        rows.push(row);
    }
    let mut report = make(
        "get_telemetry_report",
        Vec::new(),
        SqlType::Jsonb,
        Imp::Rows(|_, _| {
            Err(FunctionError::unsupported(
                "get_telemetry_report is not supported: no telemetry is collected",
            ))
        }),
    );
    report.volatility = Volatile::Stable;
    rows.push(report);
    rows
}

/// The bucket of a UUID's time.
fn bucket(mut args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
    if let Some(uuid) = args.get_mut(1) {
        let ty = SqlType::Timestamptz(None);
        let call = Row {
            name: "uuid_timestamp",
            function: to_the_millisecond,
            strict: true,
            volatility: Volatile::Immutable,
            arrow: ty.arrow(),
            ty,
        };
        *uuid = udf::row_call(call, vec![uuid.clone()])?;
    }
    times::bucket(args, result)
}

fn random() -> [u8; 16] {
    *uuid::Uuid::new_v4().as_bytes()
}

fn time(args: &[Value]) -> i64 {
    match args.first() {
        Some(Value::Timestamp(us)) => *us,
        _ => 0,
    }
}

fn bytes(args: &[Value]) -> [u8; 16] {
    match args.first() {
        Some(Value::Uuid(bytes)) => *bytes,
        _ => [0; 16],
    }
}

/// A UUID of a time, with what it has of `rest` beside it.
fn made(us: i64, rest: [u8; 16]) -> Answer {
    let ms = u128::try_from(us.div_euclid(US_PER_MS)).ok();
    let part = us.rem_euclid(US_PER_MS) * PARTS / US_PER_MS;
    let (Some(ms @ 0..0x1_0000_0000_0000), Ok(part)) = (ms, u128::try_from(part)) else {
        return Err(dates::timestamp_range());
    };
    let first = ms << 16 | 0x7000 | part;
    let mask = (1_u128 << 62) - 1;
    let last = u128::from_be_bytes(rest) & mask | 1 << 63;
    Ok(Value::Uuid((first << 64 | last).to_be_bytes()))
}

/// Its version; none for one of another kind, which has none.
fn version(bytes: &[u8; 16]) -> Option<i64> {
    let [_, _, _, _, _, _, of_version, _, of_kind, ..] = *bytes;
    (of_kind & 0xc0 == 0x80).then(|| i64::from(of_version >> 4))
}

/// The time of one of version 7.
fn time_of(args: &[Value]) -> Option<i64> {
    let bytes = bytes(args);
    if version(&bytes) != Some(7) {
        return None;
    }
    let first = i64::try_from(u128::from_be_bytes(bytes) >> 80).ok()?;
    let [_, _, _, _, _, _, high, low, ..] = bytes;
    let part = i64::from(high & 0xf) << 8 | i64::from(low);
    // Rounded down on the way in: one part more gives back the microsecond that it came from.
    Some(first * US_PER_MS + (part + 1) * US_PER_MS / PARTS)
}

fn to_the_millisecond(_: &mut udf::Context<'_>, args: &[Value]) -> Answer {
    Ok(time_of(args).map_or(Value::Null, |us| {
        Value::Timestamp(us.div_euclid(US_PER_MS) * US_PER_MS)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_microsecond_comes_back() {
        for us in (0..1_000).chain([1_700_000_000_123_456, (1 << 48) * 1000 - 1]) {
            let uuid = made(us, random()).unwrap_or(Value::Null);
            assert_eq!(time_of(&[uuid]), Some(us));
        }
        assert!(made(-1, [0; 16]).is_err());
        assert!(made((1 << 48) * 1000, [0; 16]).is_err());
    }

    #[test]
    fn only_those_of_version_7_have_a_time() {
        assert_eq!(time_of(&[Value::Uuid(random())]), None);
        assert_eq!(version(&random()), Some(4));
        assert_eq!(version(&[0; 16]), None);
    }
}
