//! Values read from their binary form.

use super::EPOCH_DAYS;
use crate::array::{DIMENSIONS_MAX, Dimension, Shape};
use crate::datetime::{
    DATE_INFINITY, DATE_NEGATIVE_INFINITY, INFINITY, NEGATIVE_INFINITY, US_PER_DAY,
};
use crate::{Interval, Numeric, SqlState, ValueError};

/// The first and last day of a date, counted from 2000.
const DAYS: std::ops::Range<i32> = -2_451_545..2_145_031_949;

/// The first µs of a timestamp, counted from 2000.
const FIRST_US: i64 = -211_813_488_000_000_000;

/// The oid of an array's items, its dimensions, and the items in their binary form.
pub type ArrayItems<'a> = (u32, Shape, Vec<Option<&'a [u8]>>);

fn malformed(message: &str) -> ValueError {
    ValueError::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}

fn overflow(message: &str) -> ValueError {
    ValueError::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

fn bytes<'a>(from: &mut &'a [u8], length: usize) -> Result<&'a [u8], ValueError> {
    let (head, rest) = from.split_at_checked(length).ok_or_else(|| {
        ValueError::new(
            SqlState::PROTOCOL_VIOLATION,
            "insufficient data left in message",
        )
    })?;
    *from = rest;
    Ok(head)
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], ValueError> {
    let mut out = [0; N];
    out.copy_from_slice(bytes(from, N)?);
    Ok(out)
}

fn end<T>(rest: &[u8], value: T) -> Result<T, ValueError> {
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(malformed("incorrect binary data format"))
    }
}

/// Exactly `N` bytes, such as a uuid's 16.
///
/// # Errors
/// 08P01 or 22P03 if there are fewer or more.
pub fn read_exact<const N: usize>(mut from: &[u8]) -> Result<[u8; N], ValueError> {
    let value = take(&mut from)?;
    end(from, value)
}

/// A bool.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_bool(from: &[u8]) -> Result<bool, ValueError> {
    read_exact::<1>(from).map(|[byte]| byte != 0)
}

/// An int2.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_int2(from: &[u8]) -> Result<i16, ValueError> {
    read_exact(from).map(i16::from_be_bytes)
}

/// An int4.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_int4(from: &[u8]) -> Result<i32, ValueError> {
    read_exact(from).map(i32::from_be_bytes)
}

/// An int8.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_int8(from: &[u8]) -> Result<i64, ValueError> {
    read_exact(from).map(i64::from_be_bytes)
}

/// An oid, reg* or xid.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_oid(from: &[u8]) -> Result<u32, ValueError> {
    read_exact(from).map(u32::from_be_bytes)
}

/// A float4.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_float4(from: &[u8]) -> Result<f32, ValueError> {
    read_exact(from).map(f32::from_be_bytes)
}

/// A float8.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_float8(from: &[u8]) -> Result<f64, ValueError> {
    read_exact(from).map(f64::from_be_bytes)
}

/// A date, in days since 1970.
///
/// # Errors
/// 08P01 or 22P03; 22008 for a day out of range.
pub fn read_date(from: &[u8]) -> Result<i32, ValueError> {
    let days = read_int4(from)?;
    match days {
        DATE_INFINITY | DATE_NEGATIVE_INFINITY => Ok(days),
        _ if DAYS.contains(&days) => days
            .checked_add(EPOCH_DAYS)
            .ok_or_else(|| overflow("date out of range")),
        _ => Err(overflow("date out of range")),
    }
}

/// A time, in µs since midnight.
///
/// # Errors
/// 08P01 or 22P03; 22008 for a time out of range.
pub fn read_time(from: &[u8]) -> Result<i64, ValueError> {
    let us = read_int8(from)?;
    if (0..=US_PER_DAY).contains(&us) {
        Ok(us)
    } else {
        Err(overflow("time out of range"))
    }
}

/// A timestamp or timestamptz, in µs since 1970.
///
/// # Errors
/// 08P01 or 22P03; 22008 for a time out of range.
pub fn read_timestamp(from: &[u8]) -> Result<i64, ValueError> {
    let us = read_int8(from)?;
    match us {
        INFINITY | NEGATIVE_INFINITY => Ok(us),
        FIRST_US.. => us
            .checked_add(i64::from(EPOCH_DAYS) * US_PER_DAY)
            .filter(|us| *us != INFINITY)
            .ok_or_else(|| overflow("timestamp out of range")),
        _ => Err(overflow("timestamp out of range")),
    }
}

/// An interval.
///
/// # Errors
/// 08P01 or 22P03.
pub fn read_interval(mut from: &[u8]) -> Result<Interval, ValueError> {
    let us = i64::from_be_bytes(take(&mut from)?);
    let days = i32::from_be_bytes(take(&mut from)?);
    let months = i32::from_be_bytes(take(&mut from)?);
    end(from, Interval { months, days, us })
}

/// A numeric.
///
/// # Errors
/// 08P01 or 22P03; 22003 beyond 38 integer digits.
pub fn read_numeric(mut from: &[u8]) -> Result<Numeric, ValueError> {
    let count = u16::from_be_bytes(take(&mut from)?);
    let weight = i32::from(i16::from_be_bytes(take(&mut from)?));
    let sign = u16::from_be_bytes(take(&mut from)?);
    let scale = usize::from(u16::from_be_bytes(take(&mut from)?));
    let mut groups = Vec::with_capacity(usize::from(count).min(from.len() / 2));
    for _ in 0..count {
        let group = u16::from_be_bytes(take(&mut from)?);
        if group > 9999 {
            return Err(malformed("invalid digit in external \"numeric\" value"));
        }
        groups.push(group);
    }
    if scale > 0x3FFF {
        return Err(malformed("invalid scale in external \"numeric\" value"));
    }
    let value = match sign {
        0 | 0x4000 if let Some(unscaled) = unscaled(&groups, weight, scale) => {
            let signed = if sign == 0 { unscaled } else { -unscaled };
            Numeric::from_i128(signed, u8::try_from(scale).unwrap_or(u8::MAX))
        }
        0 | 0x4000 => Numeric::parse(text_of(&groups, weight, sign, scale).as_bytes())?,
        0xC000 => Numeric::NaN,
        0xD000 => Numeric::Infinity,
        0xF000 => Numeric::NegativeInfinity,
        _ => return Err(malformed("invalid sign in external \"numeric\" value")),
    };
    end(from, value)
}

/// A numeric as text, cut behind `scale` digits behind its point.
fn text_of(groups: &[u16], weight: i32, sign: u16, scale: usize) -> String {
    // The group of weight w stands at index `weight - w`; those beyond the ends are zero.
    let group = |w: i32| {
        usize::try_from(weight - w)
            .ok()
            .and_then(|at| groups.get(at))
            .map_or(0, |group| *group)
    };
    let mut text = String::from(if sign == 0 { "" } else { "-" });
    for w in (0..=weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(w)));
    }
    if scale > 0 {
        text.push('.');
        let whole = text.len();
        let mut w = -1;
        while text.len() < whole + scale {
            text.push_str(&format!("{:04}", group(w)));
            w -= 1;
        }
        text.truncate(whole + scale);
    }
    text
}

/// Digits of a numeric without its point, cut behind `scale` of them behind it; None where they may
/// be more than 36.
fn unscaled(groups: &[u16], weight: i32, scale: usize) -> Option<i128> {
    const GROUPS_MAX: usize = 9;
    let behind = scale.div_ceil(4);
    let before = usize::try_from(weight + 1).unwrap_or(0);
    if before + behind > GROUPS_MAX {
        return None;
    }
    // Groups of zeros that are not there lie between the point and the first one.
    let zeros = usize::try_from(-1 - weight).unwrap_or(0);
    let there = (before + behind).saturating_sub(zeros);
    let mut all = 0_i128;
    for at in 0..there {
        let group = groups.get(at).copied().unwrap_or(0);
        all = all * 10_000 + i128::from(group);
    }
    let excess = u32::try_from(behind * 4 - scale).ok()?;
    Some(all / 10_i128.pow(excess))
}

/// The text of a jsonb, yet to be checked.
///
/// # Errors
/// 08P01, or 22P03 for another version than 1.
pub fn read_jsonb(mut from: &[u8]) -> Result<&[u8], ValueError> {
    match take(&mut from)? {
        [1] => Ok(from),
        [version] => Err(malformed(&format!(
            "unsupported jsonb version number {version}"
        ))),
    }
}

/// The items of an array and its dimensions.
///
/// # Errors
/// 08P01 or 22P03; 54000 for more dimensions or items than arrays have.
pub fn read_array(mut from: &[u8]) -> Result<ArrayItems<'_>, ValueError> {
    let dimensions = i32::from_be_bytes(take(&mut from)?);
    let flags = i32::from_be_bytes(take(&mut from)?);
    let oid = u32::from_be_bytes(take(&mut from)?);
    if dimensions < 0 {
        return Err(malformed(&format!(
            "invalid number of dimensions: {dimensions}"
        )));
    }
    if !(0..=1).contains(&flags) {
        return Err(malformed("invalid array flags"));
    }
    let count = usize::try_from(dimensions).unwrap_or(usize::MAX);
    if count > DIMENSIONS_MAX {
        let message =
            format!("number of array dimensions ({count}) exceeds the maximum allowed (6)");
        return Err(ValueError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let mut bounds = Vec::with_capacity(count);
    for _ in 0..count {
        let length = i32::from_be_bytes(take(&mut from)?);
        let lower = i32::from_be_bytes(take(&mut from)?);
        let length = usize::try_from(length).map_err(|_| malformed("invalid array size"))?;
        bounds.push(Dimension { lower, length });
    }
    let shape = Shape::new(bounds)?;
    let count = shape.count();
    // A count that the bytes cannot hold must not reserve memory.
    let mut items = Vec::with_capacity(count.min(from.len() / 4));
    for _ in 0..count {
        let length = i32::from_be_bytes(take(&mut from)?);
        items.push(match usize::try_from(length) {
            Ok(length) => Some(bytes(&mut from, length)?),
            Err(_) if length == -1 => None,
            Err(_) => return Err(malformed("incorrect binary data format")),
        });
    }
    end(from, (oid, shape, items))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    fn words(words: &[i16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn numeric(of: &[i16]) -> String {
        let mut out = Vec::new();
        read_numeric(&words(of)).unwrap().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The short way says what the long one says, wherever it says something.
    #[test]
    fn numerics_are_read_alike_both_ways() {
        let (mut short, mut long) = (0, 0);
        for weight in -6..9_i16 {
            for (count, groups) in [
                (0_i16, &[][..]),
                (1, &[7][..]),
                (2, &[9999, 120]),
                (3, &[1, 0, 9999]),
                (5, &[4321, 0, 0, 5, 6789]),
            ] {
                for scale in 0..40 {
                    let all = [&[count, weight, 0x4000, scale][..], groups].concat();
                    let read = read_numeric(&words(&all)).unwrap();
                    let of: Vec<u16> = groups.iter().map(|&of| of.try_into().unwrap()).collect();
                    let (weight, scale) = (i32::from(weight), scale.try_into().unwrap());
                    match unscaled(&of, weight, scale) {
                        Some(_) => short += 1,
                        None => long += 1,
                    }
                    let text = text_of(&of, weight, 0x4000, scale);
                    assert_eq!(read, Numeric::parse(text.as_bytes()).unwrap(), "{text}");
                }
            }
        }
        assert!(short > 500 && long > 100, "{short} and {long}");
    }

    #[test]
    fn numerics_keep_their_scale() {
        assert_eq!(numeric(&[2, 0, 0, 2, 12, 3400]), "12.34");
        assert_eq!(numeric(&[1, 1, 0, 0, 12]), "120000");
        assert_eq!(numeric(&[1, -2, 0x4000, 8, 5]), "-0.00000005");
        assert_eq!(numeric(&[0, 0, 0, 3]), "0.000");
        assert_eq!(numeric(&[0, 0, -0x4000, 0]), "NaN");
        let code = |of: &[i16]| read_numeric(&words(of)).unwrap_err().code;
        assert_eq!(
            code(&[1, 0, 0, 0, 10_000]),
            SqlState::INVALID_BINARY_REPRESENTATION
        );
        assert_eq!(code(&[2, 0, 0, 0, 1]), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(
            code(&[1, 0, 1, 0, 1]),
            SqlState::INVALID_BINARY_REPRESENTATION
        );
        assert_eq!(
            code(&[1, i16::MAX, 0, 0, 1]),
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE
        );
    }

    #[test]
    fn times_count_from_2000_and_infinities_stay() {
        assert_eq!(
            read_timestamp(&0_i64.to_be_bytes()),
            Ok(946_684_800_000_000)
        );
        assert_eq!(read_timestamp(&i64::MAX.to_be_bytes()), Ok(INFINITY));
        assert_eq!(read_date(&1_i32.to_be_bytes()), Ok(10_958));
        assert!(read_timestamp(&(i64::MAX - 1).to_be_bytes()).is_err());
        assert!(read_date(&(i32::MIN + 1).to_be_bytes()).is_err());
        assert!(read_time(&(-1_i64).to_be_bytes()).is_err());
    }

    #[test]
    fn arrays_have_items_and_nulls_and_claims_of_size_are_not_believed() {
        let mut array = Vec::new();
        for word in [1, 1, 23, 2, 1, 4, 7, -1] {
            array.extend_from_slice(&i32::to_be_bytes(word));
        }
        assert_eq!(
            read_array(&array),
            Ok((23, Shape::plain(2), vec![Some(&[0, 0, 0, 7][..]), None]))
        );
        array[12..16].copy_from_slice(&100_000_000_i32.to_be_bytes());
        assert_eq!(
            read_array(&array).unwrap_err().code,
            SqlState::PROTOCOL_VIOLATION
        );
    }

    #[test]
    fn too_few_or_too_many_bytes_are_refused() {
        assert_eq!(
            read_int4(&[0; 3]).unwrap_err().code,
            SqlState::PROTOCOL_VIOLATION
        );
        assert_eq!(
            read_int4(&[0; 5]).unwrap_err().code,
            SqlState::INVALID_BINARY_REPRESENTATION
        );
        assert!(read_interval(&[0; 16]).is_ok());
        assert_eq!(read_jsonb(b"\x01{}"), Ok(&b"{}"[..]));
        assert!(read_jsonb(b"\x02{}").is_err());
    }
}
