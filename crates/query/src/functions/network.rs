//! Addresses of hosts and networks, and places in the log.

use chronolith_types::packed::{self, Address};
use chronolith_types::{SqlState, SqlType};

use super::error::FunctionError;
use super::num;
use super::udf::{Context, RowFn};
use super::value::Value;

type Answer = Result<Value, FunctionError>;

fn address(value: Option<&Value>) -> Result<Address, FunctionError> {
    match value {
        Some(Value::Bytes(kept)) => Address::from_kept(kept),
        _ => None,
    }
    .ok_or_else(|| FunctionError::internal("an address of another form"))
}

fn kept(of: Address) -> Answer {
    Ok(Value::Bytes(of.kept()))
}

fn one(args: &[Value], make: impl FnOnce(Address) -> Address) -> Answer {
    kept(make(address(args.first())?))
}

/// Without the bits of its network: as a host.
fn host(of: Address) -> Address {
    of.with_bits(of.width())
}

/// All ones of its family.
fn ones(of: Address) -> u128 {
    u128::MAX >> (128 - u32::from(of.width()))
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Answer {
    let mut out = Vec::new();
    write(&mut out);
    Ok(Value::Text(String::from_utf8_lossy(&out).into_owned()))
}

/// `abbrev`: a network without the bytes that its bits leave at zero.
fn abbreviated(context: &Context<'_>, args: &[Value]) -> Answer {
    let of = address(args.first())?;
    if context.args.first() != Some(&SqlType::Cidr) {
        return written(|out| of.write(false, out));
    }
    if of.family() == 6 {
        return written(|out| of.write(true, out));
    }
    let shown = usize::from(of.bits.div_ceil(8)).max(1);
    let parts: Vec<String> = of.bytes().iter().take(shown).map(u8::to_string).collect();
    Ok(Value::Text(format!("{}/{}", parts.join("."), of.bits)))
}

/// The text that a cast makes of an address: with its bits, however many.
pub(super) fn cast_text(kept: &[u8]) -> String {
    let mut out = Vec::new();
    if let Some(of) = Address::from_kept(kept) {
        of.write(true, &mut out);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The network of an address.
pub(super) fn network_of(kept: &[u8]) -> Value {
    Address::from_kept(kept).map_or(Value::Null, |of| Value::Bytes(of.network().kept()))
}

fn set_bits(args: &[Value], network: bool) -> Answer {
    let of = address(args.first())?;
    let bits = args.get(1).map_or(-1, Value::as_int);
    let bits = match u8::try_from(bits).ok().filter(|bits| *bits <= of.width()) {
        Some(bits) => bits,
        None if bits == -1 => of.width(),
        None => {
            return Err(FunctionError::invalid_parameter(format!(
                "invalid mask length: {bits}"
            )));
        }
    };
    let of = of.with_bits(bits);
    kept(if network { of.network() } else { of })
}

/// Both, where they are of one family.
fn pair(args: &[Value]) -> Result<Option<(Address, Address)>, FunctionError> {
    let (a, b) = (address(args.first())?, address(args.get(1))?);
    Ok((a.family() == b.family()).then_some((a, b)))
}

/// Whether the network of one lies in the other's, by how many bits they have.
fn within(args: &[Value], fits: fn(u8, u8) -> bool) -> Answer {
    let inside = pair(args)?.is_some_and(|(a, b)| {
        let bits = a.bits.min(b.bits);
        let shared = |of: Address| of.with_bits(bits).network();
        fits(a.bits, b.bits) && shared(a) == shared(b)
    });
    Ok(Value::Bool(inside))
}

fn bitwise(args: &[Value], what: &str, make: fn(u128, u128) -> u128) -> Answer {
    let Some((a, b)) = pair(args)? else {
        return Err(FunctionError::invalid_parameter(format!(
            "cannot {what} inet values of different sizes"
        )));
    };
    let joined = a.with_number(make(a.number(), b.number()));
    kept(joined.with_bits(a.bits.max(b.bits)))
}

fn plus(of: &Value, by: &Value, sign: i64) -> Answer {
    let of = address(Some(of))?;
    let by = i128::from(by.as_int()) * i128::from(sign);
    let sum = if by < 0 {
        of.number().checked_sub(by.unsigned_abs())
    } else {
        of.number().checked_add(by.unsigned_abs())
    };
    match sum.filter(|sum| *sum <= ones(of)) {
        Some(sum) => kept(of.with_number(sum)),
        None => Err(out_of_range()),
    }
}

fn out_of_range() -> FunctionError {
    FunctionError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        "result is out of range",
    )
}

fn minus(args: &[Value]) -> Answer {
    let Some((a, b)) = pair(args)? else {
        return Err(FunctionError::invalid_parameter(
            "cannot subtract inet values of different sizes",
        ));
    };
    let (a, b) = (a.number(), b.number());
    let gap = i64::try_from(a.abs_diff(b)).map_err(|_| out_of_range())?;
    Ok(Value::Int(if a < b { -gap } else { gap }))
}

fn merged(args: &[Value]) -> Answer {
    let Some((a, b)) = pair(args)? else {
        return Err(FunctionError::invalid_parameter(
            "cannot merge addresses from different families",
        ));
    };
    let apart = a.number() ^ b.number();
    let common = apart.leading_zeros() - (128 - u32::from(a.width()));
    let bits = u8::try_from(common)
        .unwrap_or(u8::MAX)
        .min(a.bits)
        .min(b.bits);
    kept(a.with_bits(bits).network())
}

fn bytes(value: Option<&Value>) -> &[u8] {
    match value {
        Some(Value::Bytes(kept)) => kept,
        _ => &[],
    }
}

fn each_byte(args: &[Value], make: fn(u8, u8) -> u8) -> Answer {
    let (a, b) = (bytes(args.first()), bytes(args.get(1)));
    let joined = a.iter().zip(b).map(|(a, b)| make(*a, *b));
    Ok(Value::Bytes(joined.collect()))
}

fn lsn(value: Option<&Value>) -> u64 {
    packed::lsn_of(bytes(value))
}

fn lsn_value(number: u64) -> Value {
    Value::Bytes(number.to_be_bytes().to_vec())
}

/// The difference of two places in the log in bytes.
fn lsn_gap(args: &[Value]) -> Answer {
    let (a, b) = (lsn(args.first()), lsn(args.get(1)));
    let gap = i128::from(a) - i128::from(b);
    Ok(Value::Numeric(num::parse(&gap.to_string())?))
}

fn lsn_plus(place: &Value, by: &Value, add: bool) -> Answer {
    let by = by.as_numeric()?;
    if matches!(by, num::Numeric::NaN) {
        return Err(FunctionError::unsupported(if add {
            "cannot add NaN to pg_lsn"
        } else {
            "cannot subtract NaN from pg_lsn"
        }));
    }
    let place = num::parse(&lsn(Some(place)).to_string())?;
    let sum = if add {
        num::add(&place, &by)?
    } else {
        num::sub(&place, &by)?
    };
    lsn_of_number(&sum)
}

fn lsn_of_number(value: &num::Numeric) -> Answer {
    let mut text = Vec::new();
    num::round(value, 0)?.write(&mut text);
    let number = String::from_utf8_lossy(&text).parse::<u64>();
    let range = |_| FunctionError::invalid_parameter("pg_lsn out of range");
    Ok(lsn_value(number.map_err(range)?))
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let net = matches!(args.first(), Some(SqlType::Inet | SqlType::Cidr));
    let function: RowFn = match name {
        "abbrev" if net => |c, a| abbreviated(c, a),
        "broadcast" if net => |_, a| {
            one(a, |of| {
                of.with_number(of.number() | (ones(of) & !of.mask()))
            })
        },
        "cidr" if net => |_, a| one(a, |of| of.network()),
        "family" if net => |_, a| Ok(Value::Int(address(a.first())?.family().into())),
        "host" if net => |_, a| {
            let of = address(a.first())?;
            written(|out| of.write_host(out))
        },
        "hostmask" if net => |_, a| one(a, |of| host(of.with_number(ones(of) & !of.mask()))),
        "netmask" if net => |_, a| one(a, |of| host(of.with_number(of.mask()))),
        "network" if net => |_, a| one(a, |of| of.network()),
        "masklen" if net => |_, a| Ok(Value::Int(address(a.first())?.bits.into())),
        "set_masklen" if args.first() == Some(&SqlType::Cidr) => |_, a| set_bits(a, true),
        "set_masklen" if net => |_, a| set_bits(a, false),
        "text" if net => |_, a| {
            let of = address(a.first())?;
            written(|out| of.write(true, out))
        },
        "inet_same_family" => |_, a| Ok(Value::Bool(pair(a)?.is_some())),
        "inet_merge" => |_, a| merged(a),
        "network_cmp" | "macaddr_cmp" | "pg_lsn_cmp" => |_, a| {
            let order = bytes(a.first()).cmp(bytes(a.get(1)));
            Ok(Value::Int(order as i64))
        },
        "trunc" if args.first() == Some(&SqlType::Macaddr) => |_, a| {
            let maker = bytes(a.first()).iter().take(3).copied();
            Ok(Value::Bytes(maker.chain([0; 3]).collect()))
        },
        "pg_wal_lsn_diff" => |_, a| lsn_gap(a),
        "pg_lsn" => {
            |_, a| lsn_of_number(&a.first().map_or(Ok(num::from_i64(0)), Value::as_numeric)?)
        }
        _ => return None,
    };
    Some(function)
}

/// The function behind an operator of this room.
pub(super) fn operator(code: &str) -> Option<RowFn> {
    let function: RowFn = match code {
        "inetand" => |_, a| bitwise(a, "AND", |a, b| a & b),
        "inetor" => |_, a| bitwise(a, "OR", |a, b| a | b),
        "inetnot" => |_, a| one(a, |of| of.with_number(ones(of) & !of.number())),
        "inetpl" => |_, a| match a {
            [of, by] => plus(of, by, 1),
            _ => Ok(Value::Null),
        },
        "int8pl_inet" => |_, a| match a {
            [by, of] => plus(of, by, 1),
            _ => Ok(Value::Null),
        },
        "inetmi_int8" => |_, a| match a {
            [of, by] => plus(of, by, -1),
            _ => Ok(Value::Null),
        },
        "inetmi" => |_, a| minus(a),
        "network_sub" => |_, a| within(a, |a, b| a > b),
        "network_subeq" => |_, a| within(a, |a, b| a >= b),
        "network_sup" => |_, a| within(a, |a, b| a < b),
        "network_supeq" => |_, a| within(a, |a, b| a <= b),
        "network_overlap" => |_, a| within(a, |_, _| true),
        "macaddr_and" => |_, a| each_byte(a, |a, b| a & b),
        "macaddr_or" => |_, a| each_byte(a, |a, b| a | b),
        "macaddr_not" => |_, a| {
            let bytes = bytes(a.first()).iter().map(|byte| !byte);
            Ok(Value::Bytes(bytes.collect()))
        },
        "pg_lsn_mi" => |_, a| lsn_gap(a),
        "pg_lsn_pli" => |_, a| match a {
            [place, by] => lsn_plus(place, by, true),
            _ => Ok(Value::Null),
        },
        "numeric_pl_pg_lsn" => |_, a| match a {
            [by, place] => lsn_plus(place, by, true),
            _ => Ok(Value::Null),
        },
        "pg_lsn_mii" => |_, a| match a {
            [place, by] => lsn_plus(place, by, false),
            _ => Ok(Value::Null),
        },
        _ => return None,
    };
    Some(function)
}
