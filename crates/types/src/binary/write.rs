//! Values becoming their binary form.

use arrow_buffer::i256;

use super::EPOCH_DAYS;
use crate::array::Shape;
use crate::datetime::{
    DATE_INFINITY, DATE_NEGATIVE_INFINITY, INFINITY, NEGATIVE_INFINITY, US_PER_DAY,
};
use crate::numeric::power_of_ten;
use crate::{Interval, Numeric};

/// What a group of a numeric counts to: its form is one of base 10,000.
const BASE: u64 = 10_000;
/// 76 digits of a 256-bit number, up to three zeros that align its fraction, and one group begun.
const GROUPS_MAX: usize = 21;

/// Appends a timestamp or timestamptz, given in µs since 1970.
pub fn write_timestamp(us: i64, out: &mut Vec<u8>) {
    let shifted = match us {
        INFINITY | NEGATIVE_INFINITY => us,
        us => us.saturating_sub(i64::from(EPOCH_DAYS) * US_PER_DAY),
    };
    out.extend_from_slice(&shifted.to_be_bytes());
}

/// Appends a date, given in days since 1970.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    let shifted = match days {
        DATE_INFINITY | DATE_NEGATIVE_INFINITY => days,
        days => days.saturating_sub(EPOCH_DAYS),
    };
    out.extend_from_slice(&shifted.to_be_bytes());
}

/// What stands before an array's items: dimensions, whether there are nulls, the type of the items.
pub fn write_array_head(shape: &Shape, nulls: bool, oid: u32, out: &mut Vec<u8>) {
    let whole = |count: usize| i32::try_from(count).unwrap_or(i32::MAX).to_be_bytes();
    out.extend(whole(shape.dimensions().len()));
    out.extend(i32::from(nulls).to_be_bytes());
    out.extend(oid.to_be_bytes());
    for dimension in shape.dimensions() {
        out.extend(whole(dimension.length));
        out.extend(dimension.lower.to_be_bytes());
    }
}

/// Appends an interval.
pub fn write_interval(interval: Interval, out: &mut Vec<u8>) {
    out.extend_from_slice(&interval.us.to_be_bytes());
    out.extend_from_slice(&interval.days.to_be_bytes());
    out.extend_from_slice(&interval.months.to_be_bytes());
}

/// Appends a numeric.
pub fn write_numeric(value: &Numeric, out: &mut Vec<u8>) {
    match value {
        Numeric::NaN => write_special(0xC000, out),
        Numeric::Infinity => write_special(0xD000, out),
        Numeric::NegativeInfinity => write_special(0xF000, out),
        Numeric::Finite { unscaled, scale } => match unscaled.to_i128() {
            Some(small) => write_decimal(small, *scale, out),
            None => write_wide(*unscaled, *scale, out),
        },
    }
}

/// Appends the number `unscaled` / 10^`scale` as a numeric.
pub fn write_decimal(unscaled: i128, scale: u8, out: &mut Vec<u8>) {
    let aligned = unscaled
        .unsigned_abs()
        .checked_mul(u128::from(alignment(scale)));
    let Some(mut rest) = aligned else {
        return write_wide(i256::from_i128(unscaled), scale, out);
    };
    let mut groups = Groups::default();
    while rest > u128::from(u64::MAX) {
        groups.push(u64::try_from(rest % u128::from(BASE)).unwrap_or(0));
        rest /= u128::from(BASE);
    }
    // 64-bit division is several times cheaper, and most values fit.
    let mut rest = u64::try_from(rest).unwrap_or(0);
    while rest > 0 {
        groups.push(rest % BASE);
        rest /= BASE;
    }
    groups.write(unscaled < 0, scale, out);
}

fn write_wide(unscaled: i256, scale: u8, out: &mut Vec<u8>) {
    let base = i256::from_i128(i128::from(BASE));
    let mut groups = Groups::default();
    // The last group of the fraction is divided off before zeros are put behind it, for with
    // them the number might not fit.
    let behind = u32::from(scale % 4);
    let mut rest = unscaled.wrapping_abs();
    if behind > 0 {
        let divisor = power_of_ten(behind);
        let last = rest.wrapping_rem(divisor).as_i128();
        groups.push(u64::try_from(last).unwrap_or(0) * alignment(scale));
        rest = rest.wrapping_div(divisor);
    }
    while rest != i256::ZERO {
        let group = rest.wrapping_rem(base).as_i128();
        groups.push(u64::try_from(group).unwrap_or(0));
        rest = rest.wrapping_div(base);
    }
    groups.write(unscaled < i256::ZERO, scale, out);
}

fn write_special(sign: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
}

/// What a fraction of `scale` digits is multiplied with to be whole groups of four.
fn alignment(scale: u8) -> u64 {
    match scale % 4 {
        0 => 1,
        1 => 1000,
        2 => 100,
        _ => 10,
    }
}

/// Groups of four decimal digits, the last of the fraction first.
#[derive(Default)]
struct Groups {
    values: [u16; GROUPS_MAX],
    count: usize,
}

impl Groups {
    fn push(&mut self, group: u64) {
        if let Some(slot) = self.values.get_mut(self.count) {
            *slot = u16::try_from(group).unwrap_or(0);
            self.count += 1;
        }
    }

    fn write(&self, negative: bool, scale: u8, out: &mut Vec<u8>) {
        let all = self.values.get(..self.count).unwrap_or_default();
        // Zeros at either end are left out.
        let first = all
            .iter()
            .rposition(|group| *group != 0)
            .map_or(0, |at| at + 1);
        let last = all.iter().position(|group| *group != 0).unwrap_or(0);
        let shown = all.get(last..first).unwrap_or_default();
        let of_fraction = i16::from(scale.div_ceil(4));
        let short = |count: usize| i16::try_from(count).unwrap_or(0);
        let weight = if shown.is_empty() {
            0
        } else {
            short(first) - of_fraction - 1
        };
        let sign: u16 = if negative && !shown.is_empty() {
            0x4000
        } else {
            0
        };
        out.extend_from_slice(&short(shown.len()).to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&i16::from(scale).to_be_bytes());
        for group in shown.iter().rev() {
            out.extend_from_slice(&group.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;
    use crate::binary::read_numeric;

    #[test]
    fn numerics_are_read_as_they_were_written() {
        for text in [
            "0",
            "0.000",
            "1",
            "-1",
            "9999",
            "10000",
            "120000",
            "-0.00000005",
            "187.15000000",
            "123456.7800",
            "99999999999999999999999999999999999999",
            "-99999999999999999999999999999999999999.999999999999999999999999999999999999",
            "0.000000000000000000000000000000000001",
            "12345678901234567890.5",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            let value = Numeric::parse(text.as_bytes()).unwrap();
            let mut bytes = Vec::new();
            write_numeric(&value, &mut bytes);
            let mut again = Vec::new();
            read_numeric(&bytes).unwrap().write(&mut again);
            assert_eq!(String::from_utf8(again).unwrap(), text, "{bytes:?}");
        }
    }

    #[test]
    fn a_numeric_is_groups_of_four_digits_around_its_point() {
        // 12, 3456 and 7800, the first of which counts ten thousands.
        let mut out = Vec::new();
        write_decimal(1_234_567_800, 4, &mut out);
        assert_eq!(out, [0, 3, 0, 1, 0, 0, 0, 4, 0, 12, 0x0d, 0x80, 0x1e, 0x78]);
        out.clear();
        write_decimal(5, 8, &mut out);
        assert_eq!(out, [0, 1, 0xff, 0xfe, 0, 0, 0, 8, 0, 5]);
    }
}
