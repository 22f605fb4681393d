//! Values in PostgreSQL's text form, written without allocating.

use arrow::datatypes::{IntervalMonthDayNano, i256};
use bytes::{BufMut, BytesMut};

use super::ZoneOffset;

const DAY_US: i64 = 86_400_000_000;
/// Fraction digits of a plain numeric's code, and what its low bits count to.
const ANY_SCALE: u8 = 36;

/// Decimal digits of a number, right-aligned in a fixed buffer.
pub(super) struct Digits {
    bytes: [u8; 40],
    start: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Self {
            bytes: [b'0'; 40],
            start: 39,
        }
    }
}

impl Digits {
    pub(super) fn set(&mut self, mut value: u128) {
        let mut at = self.bytes.len();
        // 64-bit division is several times cheaper, and most values fit.
        while value > u128::from(u64::MAX) {
            at -= 1;
            self.bytes[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
        let mut small = u64::try_from(value).unwrap_or(0);
        loop {
            at -= 1;
            self.bytes[at] = b'0' + u8::try_from(small % 10).unwrap_or(0);
            small /= 10;
            if small == 0 {
                break;
            }
        }
        self.start = at;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

pub(super) fn integer(out: &mut BytesMut, value: i64) {
    if value < 0 {
        out.put_u8(b'-');
    }
    let mut digits = Digits::default();
    digits.set(u128::from(value.unsigned_abs()));
    out.put_slice(digits.as_bytes());
}

pub(super) fn decimal(out: &mut BytesMut, value: i128, scale: u8) {
    let mut digits = Digits::default();
    digits.set(value.unsigned_abs());
    point(out, digits.as_bytes(), value < 0, scale);
}

pub(super) fn wide(out: &mut BytesMut, value: i256, scale: u8) {
    if let Some(small) = i256::to_i128(value) {
        decimal(out, small, scale);
        return;
    }
    let text = value.to_string();
    point(
        out,
        text.trim_start_matches('-').as_bytes(),
        text.starts_with('-'),
        scale,
    );
}

fn point(out: &mut BytesMut, digits: &[u8], negative: bool, scale: u8) {
    if negative {
        out.put_u8(b'-');
    }
    let scale = usize::from(scale);
    match digits.len().checked_sub(scale) {
        Some(whole) if whole > 0 => {
            let (head, tail) = digits.split_at(whole);
            out.put_slice(head);
            if scale > 0 {
                out.put_u8(b'.');
                out.put_slice(tail);
            }
        }
        _ => {
            out.put_slice(b"0.");
            out.put_bytes(b'0', scale - digits.len());
            out.put_slice(digits);
        }
    }
}

/// A plain numeric's code taken apart.
pub(super) enum AnyParts {
    NaN,
    Infinity,
    NegativeInfinity,
    Finite { unscaled: i256, scale: u8 },
}

pub(super) fn any_parts(code: i256) -> AnyParts {
    if code == i256::MAX {
        return AnyParts::NaN;
    }
    if code == i256::MAX.wrapping_sub(i256::ONE) {
        return AnyParts::Infinity;
    }
    if code == i256::MIN {
        return AnyParts::NegativeInfinity;
    }
    let scale = u8::try_from(code.as_i128() & 63)
        .unwrap_or(0)
        .min(ANY_SCALE);
    // An arithmetic shift: the display scale is the low bits for either sign.
    let mut unscaled: i256 = code >> 6_u8;
    let mut drop = u32::from(ANY_SCALE - scale);
    while drop > 0 {
        let step = drop.min(18);
        let divisor = i256::from_i128(10_i128.pow(step));
        unscaled = unscaled.wrapping_div(divisor);
        drop -= step;
    }
    AnyParts::Finite { unscaled, scale }
}

pub(super) fn any_numeric(out: &mut BytesMut, code: i256) {
    match any_parts(code) {
        AnyParts::NaN => out.put_slice(b"NaN"),
        AnyParts::Infinity => out.put_slice(b"Infinity"),
        AnyParts::NegativeInfinity => out.put_slice(b"-Infinity"),
        AnyParts::Finite { unscaled, scale } => wide(out, unscaled, scale),
    }
}

pub(super) fn float8(out: &mut BytesMut, value: f64, extra: i32) {
    if special(out, value.is_nan(), value.is_infinite(), value < 0.0) {
        return;
    }
    if extra > 0 {
        let mut buffer = ryu::Buffer::new();
        shortest(out, buffer.format_finite(value), 15);
    } else {
        rounded(out, value, 15 + extra);
    }
}

pub(super) fn float4(out: &mut BytesMut, value: f32, extra: i32) {
    if special(out, value.is_nan(), value.is_infinite(), value < 0.0) {
        return;
    }
    if extra > 0 {
        let mut buffer = ryu::Buffer::new();
        shortest(out, buffer.format_finite(value), 6);
    } else {
        rounded(out, f64::from(value), 6 + extra);
    }
}

fn special(out: &mut BytesMut, nan: bool, infinite: bool, negative: bool) -> bool {
    if nan {
        out.put_slice(b"NaN");
    } else if infinite {
        out.put_slice(if negative { b"-Infinity" } else { b"Infinity" });
    }
    nan || infinite
}

/// C's `%.*g`.
fn rounded(out: &mut BytesMut, value: f64, digits: i32) {
    let precision = usize::try_from(digits.max(1) - 1).unwrap_or(0);
    let text = format!("{value:.precision$e}");
    scientific(out, &text, digits.max(1));
}

/// The shortest digits, laid out as PostgreSQL does: an exponent below -4 or from `limit` on.
fn shortest(out: &mut BytesMut, text: &str, limit: i32) {
    scientific(out, text, limit);
}

/// Takes `-12.345e-6` or `12.345` apart and writes it as `%g` would.
fn scientific(out: &mut BytesMut, text: &str, limit: i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [0_u8; 48];
    let mut length = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if let Some(slot) = digits.get_mut(length) {
            *slot = byte;
            length += 1;
        }
    }
    // The exponent of the first significant digit.
    let all = digits.get(..length).unwrap_or_default();
    let lead = all.iter().take_while(|d| **d == b'0').count();
    let significant = all.get(lead..).unwrap_or_default();
    let trail = significant.iter().rev().take_while(|d| **d == b'0').count();
    let significant = significant
        .get(..significant.len() - trail)
        .unwrap_or_default();
    if sign {
        out.put_u8(b'-');
    }
    let Some((first, rest)) = significant.split_first() else {
        out.put_u8(b'0');
        return;
    };
    let power =
        exponent + i32::try_from(whole.len()).unwrap_or(0) - 1 - i32::try_from(lead).unwrap_or(0);
    if power < -4 || power >= limit {
        out.put_u8(*first);
        if !rest.is_empty() {
            out.put_u8(b'.');
            out.put_slice(rest);
        }
        out.put_slice(if power < 0 { b"e-" } else { b"e+" });
        if power.unsigned_abs() < 10 {
            out.put_u8(b'0');
        }
        integer(out, i64::from(power.unsigned_abs()));
    } else if power < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', usize::try_from(-power - 1).unwrap_or(0));
        out.put_slice(significant);
    } else {
        let whole = usize::try_from(power + 1).unwrap_or(1);
        if significant.len() <= whole {
            out.put_slice(significant);
            out.put_bytes(b'0', whole - significant.len());
        } else {
            let (head, tail) = significant.split_at(whole);
            out.put_slice(head);
            out.put_u8(b'.');
            out.put_slice(tail);
        }
    }
}

pub(super) fn bytea(out: &mut BytesMut, value: &[u8], escape: bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if escape {
        for &byte in value {
            match byte {
                b'\\' => out.put_slice(b"\\\\"),
                0x20..=0x7e => out.put_u8(byte),
                _ => {
                    out.put_u8(b'\\');
                    out.put_u8(b'0' + (byte >> 6));
                    out.put_u8(b'0' + ((byte >> 3) & 7));
                    out.put_u8(b'0' + (byte & 7));
                }
            }
        }
        return;
    }
    out.reserve(2 + value.len() * 2);
    out.put_slice(b"\\x");
    for &byte in value {
        out.put_u8(HEX[usize::from(byte >> 4)]);
        out.put_u8(HEX[usize::from(byte & 15)]);
    }
}

pub(super) fn uuid(out: &mut BytesMut, value: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (index, &byte) in value.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.put_u8(b'-');
        }
        out.put_u8(HEX[usize::from(byte >> 4)]);
        out.put_u8(HEX[usize::from(byte & 15)]);
    }
}

/// Two digits at least.
fn two(out: &mut BytesMut, value: i64) {
    let value = value.unsigned_abs();
    if value < 100 {
        out.put_u8(b'0' + u8::try_from(value / 10).unwrap_or(0));
        out.put_u8(b'0' + u8::try_from(value % 10).unwrap_or(0));
    } else {
        integer(out, i64::try_from(value).unwrap_or(i64::MAX));
    }
}

/// Year, month and day of a day counted from 1970 (proleptic Gregorian).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes a day; true when it is before Christ and ` BC` must follow.
fn day(out: &mut BytesMut, days: i64) -> bool {
    let (year, month, day) = civil(days);
    let shown = if year > 0 { year } else { 1 - year };
    if shown < 10_000 {
        two(out, shown / 100);
        two(out, shown % 100);
    } else {
        integer(out, shown);
    }
    out.put_u8(b'-');
    two(out, month);
    out.put_u8(b'-');
    two(out, day);
    year <= 0
}

fn fraction(out: &mut BytesMut, micros: i64) {
    if micros == 0 {
        return;
    }
    let mut digits = [b'0'; 6];
    let mut rest = micros.unsigned_abs();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let end = 6 - digits.iter().rev().take_while(|d| **d == b'0').count();
    out.put_u8(b'.');
    out.put_slice(&digits[..end]);
}

fn clock(out: &mut BytesMut, micros: i64) {
    let seconds = micros / 1_000_000;
    two(out, seconds / 3600);
    out.put_u8(b':');
    two(out, seconds / 60 % 60);
    out.put_u8(b':');
    two(out, seconds % 60);
    fraction(out, micros % 1_000_000);
}

pub(super) fn date(out: &mut BytesMut, value: i32) {
    match value {
        i32::MAX => out.put_slice(b"infinity"),
        i32::MIN => out.put_slice(b"-infinity"),
        _ => {
            if day(out, i64::from(value)) {
                out.put_slice(b" BC");
            }
        }
    }
}

pub(super) fn time(out: &mut BytesMut, value: i64) {
    clock(out, value);
}

pub(super) fn timestamp(out: &mut BytesMut, value: i64, zone: Option<&ZoneOffset>) {
    match value {
        i64::MAX => return out.put_slice(b"infinity"),
        i64::MIN => return out.put_slice(b"-infinity"),
        _ => {}
    }
    let offset = zone.map_or(0, |zone| zone(value));
    let local = value.saturating_add(i64::from(offset) * 1_000_000);
    let bc = day(out, local.div_euclid(DAY_US));
    out.put_u8(b' ');
    clock(out, local.rem_euclid(DAY_US));
    if zone.is_some() {
        out.put_u8(if offset < 0 { b'-' } else { b'+' });
        let offset = i64::from(offset.unsigned_abs());
        two(out, offset / 3600);
        if offset % 3600 != 0 {
            out.put_u8(b':');
            two(out, offset / 60 % 60);
            if offset % 60 != 0 {
                out.put_u8(b':');
                two(out, offset % 60);
            }
        }
    }
    if bc {
        out.put_slice(b" BC");
    }
}

/// IntervalStyle postgres.
pub(super) fn interval(out: &mut BytesMut, value: IntervalMonthDayNano) {
    let mut first = true;
    let mut negative_before = false;
    let mut part = |out: &mut BytesMut, amount: i64, unit: &str| {
        if amount == 0 {
            return;
        }
        if !first {
            out.put_u8(b' ');
        }
        if negative_before && amount > 0 {
            out.put_u8(b'+');
        }
        integer(out, amount);
        out.put_u8(b' ');
        out.put_slice(unit.as_bytes());
        if amount != 1 {
            out.put_u8(b's');
        }
        negative_before = amount < 0;
        first = false;
    };
    part(out, i64::from(value.months / 12), "year");
    part(out, i64::from(value.months % 12), "mon");
    part(out, i64::from(value.days), "day");
    let micros = value.nanoseconds / 1000;
    if micros == 0 && !first {
        return;
    }
    if !first {
        out.put_u8(b' ');
    }
    if micros < 0 {
        out.put_u8(b'-');
    } else if negative_before {
        out.put_u8(b'+');
    }
    // The range of a day-less interval in microseconds fits, but its negative extreme does not.
    clock(out, micros.checked_abs().unwrap_or(i64::MAX));
}

/// An array's element, quoted where it must be.
pub(super) fn array_item(out: &mut BytesMut, item: &[u8]) {
    let plain = !item.is_empty()
        && !item.eq_ignore_ascii_case(b"null")
        && !item
            .iter()
            .any(|b| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | 9..=13));
    if plain {
        out.put_slice(item);
        return;
    }
    out.put_u8(b'"');
    for &byte in item {
        if byte == b'"' || byte == b'\\' {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}
