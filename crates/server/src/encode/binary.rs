//! Values in PostgreSQL's binary form.

use arrow::datatypes::{IntervalMonthDayNano, i256};
use bytes::{BufMut, BytesMut};

use super::text::{self, Digits};

/// Microseconds from 1970 to 2000, PostgreSQL's epoch.
const EPOCH_US: i64 = 946_684_800_000_000;
const EPOCH_DAYS: i32 = 10_957;

pub(super) fn timestamp(out: &mut BytesMut, value: i64) {
    out.put_i64(match value {
        i64::MAX | i64::MIN => value,
        _ => value.saturating_sub(EPOCH_US),
    });
}

pub(super) fn date(out: &mut BytesMut, value: i32) {
    out.put_i32(match value {
        i32::MAX | i32::MIN => value,
        _ => value.saturating_sub(EPOCH_DAYS),
    });
}

pub(super) fn interval(out: &mut BytesMut, value: IntervalMonthDayNano) {
    out.put_i64(value.nanoseconds / 1000);
    out.put_i32(value.days);
    out.put_i32(value.months);
}

pub(super) fn decimal(out: &mut BytesMut, value: i128, scale: u8) {
    let mut digits = Digits::default();
    digits.set(value.unsigned_abs());
    numeric(out, digits.as_bytes(), value < 0, scale);
}

pub(super) fn wide(out: &mut BytesMut, value: i256, scale: u8) {
    let text = value.to_string();
    let digits = text.trim_start_matches('-');
    numeric(out, digits.as_bytes(), text.starts_with('-'), scale);
}

pub(super) fn any_numeric(out: &mut BytesMut, code: i256) {
    match text::any_parts(code) {
        text::AnyParts::NaN => special(out, 0xC000),
        text::AnyParts::Infinity => special(out, 0xD000),
        text::AnyParts::NegativeInfinity => special(out, 0xF000),
        text::AnyParts::Finite { unscaled, scale } => wide(out, unscaled, scale),
    }
}

fn special(out: &mut BytesMut, sign: u16) {
    out.put_i16(0);
    out.put_i16(0);
    out.put_u16(sign);
    out.put_i16(0);
}

/// `digits` are decimal, of which the last `scale` are fraction.
fn numeric(out: &mut BytesMut, digits: &[u8], negative: bool, scale: u8) {
    let fraction = usize::from(scale);
    // Groups of four digits, aligned at the decimal point: zeros are thought of on both sides.
    let whole = digits.len().max(fraction) - fraction;
    let lead = digits.len().max(fraction) - digits.len();
    let whole_groups = whole.div_ceil(4);
    let fraction_groups = fraction.div_ceil(4);
    let digit = |position: isize| -> u16 {
        // Position 0 is the first digit after the point; negative ones are before it.
        let at =
            position + isize::try_from(whole).unwrap_or(0) - isize::try_from(lead).unwrap_or(0);
        usize::try_from(at)
            .ok()
            .and_then(|at| digits.get(at))
            .map_or(0, |d| u16::from(d - b'0'))
    };
    let first = -isize::try_from(whole_groups).unwrap_or(0);
    let end = isize::try_from(fraction_groups).unwrap_or(0);
    let group = |index: isize| (0..4).fold(0_u16, |sum, i| sum * 10 + digit(index * 4 + i));
    let mut begin = first;
    while begin < end && group(begin) == 0 {
        begin += 1;
    }
    let mut stop = end;
    while stop > begin && group(stop - 1) == 0 {
        stop -= 1;
    }
    let count = stop - begin;
    let weight = if count == 0 { 0 } else { -begin - 1 };
    out.put_i16(i16::try_from(count).unwrap_or(0));
    out.put_i16(i16::try_from(weight).unwrap_or(0));
    out.put_u16(if negative && count > 0 { 0x4000 } else { 0 });
    out.put_i16(i16::from(scale));
    for index in begin..stop {
        out.put_u16(group(index));
    }
}
