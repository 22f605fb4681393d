//! Types whose values are kept as bytes that order as the values do: `bytea`, addresses, `pg_lsn`,
//! `time with time zone`, ranges.
//!
//! So that sorting, grouping, keys and statistics need to know nothing of them.

use crate::binary;
use crate::datetime;
use crate::precision;
use crate::range;
use crate::sqlstate::SqlState;
use crate::sqltype::SqlType;
use crate::text;
use crate::value::ValueError;
use crate::zone::{self, TimeZone};

const US_PER_SECOND: i64 = 1_000_000;
/// The families of addresses, as the kept form begins and as the binary form says them.
const FOUR: (u8, u8) = (4, 2);
const SIX: (u8, u8) = (6, 3);

/// An address of a host, with the bits of its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Its bytes; those of a short one come first.
    bytes: [u8; 16],
    /// Whether it has 16 of them, and not four.
    long: bool,
    /// How many bits its network has.
    pub bits: u8,
}

impl Address {
    /// An address of four or sixteen bytes.
    #[must_use]
    pub fn new(given: &[u8], bits: u8) -> Option<Self> {
        let long = match given.len() {
            4 => false,
            16 => true,
            _ => return None,
        };
        let mut bytes = [0; 16];
        bytes.get_mut(..given.len())?.copy_from_slice(given);
        let of = Self { bytes, long, bits };
        (bits <= of.width()).then_some(of)
    }

    /// What an address of the standard library is here, of a host.
    #[must_use]
    pub fn of_host(address: std::net::IpAddr) -> Self {
        let mut bytes = [0; 16];
        let long = match address {
            std::net::IpAddr::V4(four) => {
                bytes[..4].copy_from_slice(&four.octets());
                false
            }
            std::net::IpAddr::V6(six) => {
                bytes = six.octets();
                true
            }
        };
        let bits = if long { 128 } else { 32 };
        Self { bytes, long, bits }
    }

    /// The same with another number of bits, of which it has enough.
    #[must_use]
    pub fn with_bits(self, bits: u8) -> Self {
        Self { bits, ..self }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.width() / 8))
            .unwrap_or(&[])
    }

    /// How many bits an address of its family has.
    #[must_use]
    pub fn width(&self) -> u8 {
        if self.long { 128 } else { 32 }
    }

    /// 4 or 6.
    #[must_use]
    pub fn family(&self) -> u8 {
        if self.long { SIX.0 } else { FOUR.0 }
    }

    /// The number of its first byte, with the others behind it.
    #[must_use]
    pub fn number(&self) -> u128 {
        let shift = if self.long { 0 } else { 96 };
        u128::from_be_bytes(self.bytes) >> shift
    }

    /// The address of its family with such a number and as many bits.
    #[must_use]
    pub fn with_number(&self, number: u128) -> Self {
        let shift = if self.long { 0 } else { 96 };
        Self {
            bytes: (number << shift).to_be_bytes(),
            ..*self
        }
    }

    /// Ones where its network is.
    #[must_use]
    pub fn mask(&self) -> u128 {
        let rest = u32::from(self.width() - self.bits);
        let all = u128::MAX >> (128 - u32::from(self.width()));
        all & u128::MAX.checked_shl(rest).unwrap_or(0)
    }

    /// Its network: all other bits are zero.
    #[must_use]
    pub fn network(&self) -> Self {
        self.with_number(self.number() & self.mask())
    }

    /// The address that its kept form says.
    #[must_use]
    pub fn from_kept(kept: &[u8]) -> Option<Self> {
        let (family, rest) = kept.split_first()?;
        let width = if *family == FOUR.0 { 4 } else { 16 };
        let (bits, address) = rest.get(width..)?.split_first()?;
        Self::new(address, *bits)
    }

    /// As it is kept: its family, network, bits and itself, which is PostgreSQL's order of them.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(34);
        out.push(self.family());
        out.extend_from_slice(self.network().bytes());
        out.push(self.bits);
        out.extend_from_slice(self.bytes());
        out
    }

    /// Appends its text, without bits.
    pub fn write_host(&self, out: &mut Vec<u8>) {
        let text = if self.long {
            write_long(&self.bytes)
        } else {
            let [a, b, c, d, ..] = self.bytes;
            format!("{a}.{b}.{c}.{d}")
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// Appends its text; the bits where there are fewer than it could have, or `always`.
    pub fn write(&self, always: bool, out: &mut Vec<u8>) {
        self.write_host(out);
        if always || self.bits < self.width() {
            out.push(b'/');
            text::write_integer(self.bits.into(), out);
        }
    }

    fn parse(source: &[u8], cidr: bool) -> Result<Self, ValueError> {
        let name = if cidr { "cidr" } else { "inet" };
        let refused = || ValueError::syntax(name, source);
        let from = std::str::from_utf8(source).map_err(|_| refused())?;
        let (host, bits) = match from.split_once('/') {
            Some((host, bits)) => {
                let plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
                let bits = bits.parse::<u8>().ok().filter(|_| plain);
                (host, Some(bits.ok_or_else(refused)?))
            }
            None => (from, None),
        };
        let found = if host.contains(':') {
            let six: std::net::Ipv6Addr = host.parse().map_err(|_| refused())?;
            Self::new(&six.octets(), bits.unwrap_or(128))
        } else {
            let mut bytes = [0_u8; 4];
            let mut parts = 0;
            for (part, slot) in host.split('.').zip(&mut bytes) {
                if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(refused());
                }
                *slot = part.parse().map_err(|_| refused())?;
                parts += 1;
            }
            if host.split('.').count() != parts || (parts < 4 && bits.is_none() && !cidr) {
                return Err(refused());
            }
            // Bits that are not said are those of the address's class, or of what is written.
            let class = match bytes[0] {
                0..128 => 8,
                128..192 => 16,
                192..224 => 24,
                224..240 if parts == 1 => 4,
                _ => 32,
            };
            let written = u8::try_from(parts * 8).unwrap_or(32);
            let implied = match (cidr, parts) {
                (false, _) | (_, 4) => 32,
                (true, _) if class == 4 => 4,
                (true, _) => written.max(class),
            };
            Self::new(&bytes, bits.unwrap_or(implied))
        };
        let found = found.ok_or_else(refused)?;
        if cidr && found.network() != found {
            let message = format!("invalid cidr value: \"{from}\"");
            let code = SqlState::INVALID_TEXT_REPRESENTATION;
            return Err(
                ValueError::new(code, message).detail("Value has bits set to right of mask.")
            );
        }
        Ok(found)
    }
}

/// As PostgreSQL writes it: the standard library's form, but addresses that end in one of four
/// bytes only where they are mapped, or compatible and not of the lowest sixteen bits alone.
fn write_long(bytes: &[u8; 16]) -> String {
    let address = std::net::Ipv6Addr::from(*bytes);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => {
            let [.., a, b, c, d] = *bytes;
            format!("::{a}.{b}.{c}.{d}")
        }
        _ => address.to_string(),
    }
}

/// Whether its values are kept as bytes.
#[must_use]
pub fn is_packed(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Bytea
            | SqlType::Inet
            | SqlType::Cidr
            | SqlType::Macaddr
            | SqlType::Timetz(_)
            | SqlType::PgLsn
            | SqlType::Range(_)
    )
}

/// The kept form of a value's text.
///
/// # Errors
/// 22P02, and 22007 of times.
pub fn parse(ty: &SqlType, source: &[u8], zone: &TimeZone) -> Result<Vec<u8>, ValueError> {
    Ok(match ty {
        SqlType::Inet => Address::parse(source, false)?.kept(),
        SqlType::Cidr => Address::parse(source, true)?.kept(),
        SqlType::Macaddr => parse_mac(source)?.to_vec(),
        SqlType::PgLsn => parse_lsn(source)?.to_be_bytes().to_vec(),
        SqlType::Timetz(digits) => {
            let (us, east) = datetime::parse_timetz(source, zone)?;
            timetz(precision::time(us, *digits), east)
        }
        SqlType::Range(kind) => range::parse(*kind, source, zone)?,
        _ => text::parse_bytea(source)?,
    })
}

/// Appends the text of a kept value, times as the clocks of a zone show them.
pub fn write(ty: &SqlType, kept: &[u8], zone: &TimeZone, out: &mut Vec<u8>) {
    match ty {
        SqlType::Inet | SqlType::Cidr => {
            if let Some(address) = Address::from_kept(kept) {
                address.write(*ty == SqlType::Cidr, out);
            }
        }
        SqlType::Macaddr => {
            for (place, byte) in kept.iter().enumerate() {
                if place > 0 {
                    out.push(b':');
                }
                out.extend_from_slice(format!("{byte:02x}").as_bytes());
            }
        }
        SqlType::PgLsn => {
            let lsn = lsn_of(kept);
            let text = format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff);
            out.extend_from_slice(text.as_bytes());
        }
        SqlType::Timetz(_) => {
            let (us, east) = timetz_of(kept);
            datetime::write_time(us, out);
            zone::write_offset(east, out);
        }
        SqlType::Range(kind) => range::write(*kind, kept, zone, out),
        _ => text::write_bytea(kept, out),
    }
}

/// Appends the binary form of a kept value.
pub fn send(ty: &SqlType, kept: &[u8], out: &mut Vec<u8>) {
    match ty {
        SqlType::Inet | SqlType::Cidr => {
            if let Some(address) = Address::from_kept(kept) {
                let family = if address.long { SIX.1 } else { FOUR.1 };
                let cidr = u8::from(*ty == SqlType::Cidr);
                out.extend_from_slice(&[family, address.bits, cidr, address.width() / 8]);
                out.extend_from_slice(address.bytes());
            }
        }
        SqlType::Timetz(_) => {
            let (us, east) = timetz_of(kept);
            out.extend_from_slice(&us.to_be_bytes());
            out.extend_from_slice(&(-east).to_be_bytes());
        }
        SqlType::Range(kind) => range::send(*kind, kept, out),
        _ => out.extend_from_slice(kept),
    }
}

/// The kept form of a value in binary form.
///
/// # Errors
/// 22P03 for bytes of another form.
pub fn receive(ty: &SqlType, from: &[u8]) -> Result<Vec<u8>, ValueError> {
    let wrong = |what: &str| {
        let code = SqlState::INVALID_BINARY_REPRESENTATION;
        ValueError::new(
            code,
            format!("invalid {what} in external \"{}\" value", ty.name()),
        )
    };
    Ok(match ty {
        SqlType::Inet | SqlType::Cidr => {
            let [family, bits, _, length, address @ ..] = from else {
                return Err(wrong("length"));
            };
            let long = *family == SIX.1;
            if usize::from(*length) != address.len() || long != (address.len() == 16) {
                return Err(wrong("length"));
            }
            let found = Address::new(address, *bits).ok_or_else(|| wrong("bits"))?;
            if *ty == SqlType::Cidr && found.network() != found {
                return Err(wrong("value").detail("Value has bits set to right of mask."));
            }
            found.kept()
        }
        SqlType::Macaddr => binary::read_exact::<6>(from)?.to_vec(),
        SqlType::PgLsn => binary::read_exact::<8>(from)?.to_vec(),
        SqlType::Timetz(digits) => {
            let [a, b, c, d, e, f, g, h, rest @ ..] = binary::read_exact::<12>(from)?;
            let us = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
            let west = i32::from_be_bytes(rest);
            if !(0..=86_400 * US_PER_SECOND).contains(&us) || west.abs() >= 16 * 3600 {
                return Err(wrong("time"));
            }
            timetz(precision::time(us, *digits), -west)
        }
        SqlType::Range(kind) => range::receive(*kind, from)?,
        _ => from.to_vec(),
    })
}

/// The kept form of a time of day with seconds east of Greenwich: its instant, then the zone.
#[must_use]
pub fn timetz(us: i64, east: i32) -> Vec<u8> {
    let west = -east;
    let instant = us + i64::from(west) * US_PER_SECOND;
    let mut out = Vec::with_capacity(12);
    out.extend_from_slice(&(instant ^ i64::MIN).to_be_bytes());
    out.extend_from_slice(&(west ^ i32::MIN).to_be_bytes());
    out
}

/// A time of day and its seconds east of Greenwich.
#[must_use]
pub fn timetz_of(kept: &[u8]) -> (i64, i32) {
    let (Some(instant), Some(west)) = (kept.first_chunk::<8>(), kept.last_chunk::<4>()) else {
        return (0, 0);
    };
    let instant = i64::from_be_bytes(*instant) ^ i64::MIN;
    let west = i32::from_be_bytes(*west) ^ i32::MIN;
    (instant - i64::from(west) * US_PER_SECOND, -west)
}

/// A place in the log.
#[must_use]
pub fn lsn_of(kept: &[u8]) -> u64 {
    kept.first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn parse_lsn(source: &[u8]) -> Result<u64, ValueError> {
    let refused = || ValueError::syntax("pg_lsn", source);
    let from = std::str::from_utf8(source).map_err(|_| refused())?;
    let (high, low) = from.split_once('/').ok_or_else(refused)?;
    let half = |text: &str| {
        let fits = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        let half = u64::from_str_radix(text, 16).ok().filter(|_| fits);
        half.ok_or_else(refused)
    };
    Ok(half(high)? << 32 | half(low)?)
}

/// Six bytes in pairs, threes or all together.
fn parse_mac(source: &[u8]) -> Result<[u8; 6], ValueError> {
    let refused = || ValueError::syntax("macaddr", source);
    let from = std::str::from_utf8(source).map_err(|_| refused())?.trim();
    let separators: Vec<(usize, char)> = from
        .char_indices()
        .filter(|(_, letter)| !letter.is_ascii_hexdigit())
        .collect();
    let same = |of: &str| separators.iter().all(|(_, letter)| of.contains(*letter));
    let first = separators.first().map(|(_, letter)| *letter);
    let uniform = separators.iter().all(|(_, letter)| Some(*letter) == first);
    let groups: Vec<&str> = from
        .split(|letter: char| !letter.is_ascii_hexdigit())
        .collect();
    let fits = match groups.len() {
        6 => uniform && same(":-"),
        2 => same(":-") && groups.iter().all(|group| group.len() == 6),
        3 => uniform && same(".-") && groups.iter().all(|group| group.len() == 4),
        1 => from.len() == 12,
        _ => false,
    };
    if !fits {
        return Err(refused());
    }
    let mut digits = String::with_capacity(12);
    for group in &groups {
        match (groups.len(), group.len()) {
            (6, 1) => {
                digits.push('0');
                digits.push_str(group);
            }
            (6, 2) | (1..6, _) => digits.push_str(group),
            _ => return Err(refused()),
        }
    }
    let mut bytes = [0; 6];
    for (place, slot) in bytes.iter_mut().enumerate() {
        let pair = digits.get(2 * place..2 * place + 2).ok_or_else(refused)?;
        *slot = u8::from_str_radix(pair, 16).map_err(|_| refused())?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn values_are_shown_as_postgresql_shows_them() {
        // Recorded on PostgreSQL 15.
        for (ty, from, shown) in [
            (SqlType::Inet, "10.1/16", "10.1.0.0/16"),
            (SqlType::Inet, "10/8", "10.0.0.0/8"),
            (SqlType::Inet, "::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            (SqlType::Inet, "2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"),
            (SqlType::Inet, "fe80::1/64", "fe80::1/64"),
            (SqlType::Cidr, "10", "10.0.0.0/8"),
            (SqlType::Cidr, "128.1", "128.1.0.0/16"),
            (SqlType::Cidr, "192", "192.0.0.0/24"),
            (SqlType::Cidr, "224", "224.0.0.0/4"),
            (SqlType::Cidr, "::/0", "::/0"),
            (SqlType::Cidr, "1.2.3.4", "1.2.3.4/32"),
            (SqlType::Macaddr, "08-00-2b-01-02-03", "08:00:2b:01:02:03"),
            (SqlType::Macaddr, "08002b:010203", "08:00:2b:01:02:03"),
            (SqlType::Macaddr, "0800.2b01.0203", "08:00:2b:01:02:03"),
            (SqlType::PgLsn, "16/B374D848", "16/B374D848"),
            (SqlType::Timetz(None), "04:05:06.789-8", "04:05:06.789-08"),
            (
                SqlType::Timetz(None),
                "2003-04-12 04:05:06 America/New_York",
                "04:05:06-04",
            ),
            (SqlType::Timetz(None), "10:00", "10:00:00+00"),
        ] {
            let kept = parse(&ty, from.as_bytes(), &TimeZone::Utc).unwrap();
            let mut text = Vec::new();
            write(&ty, &kept, &TimeZone::Utc, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), shown, "{from}");
            let mut sent = Vec::new();
            send(&ty, &kept, &mut sent);
            assert_eq!(receive(&ty, &sent).unwrap(), kept, "{from}");
        }
        for (ty, from) in [
            (SqlType::Inet, "10.1"),
            (SqlType::Inet, "1.2.3.4/33"),
            (SqlType::Inet, "1.2.3.4/"),
            (SqlType::Inet, " 1.2.3.4"),
            (SqlType::Cidr, "1.2.3.4/24"),
            (SqlType::Macaddr, "08:00:2b:01:02"),
            (SqlType::PgLsn, "16/"),
        ] {
            assert!(
                parse(&ty, from.as_bytes(), &TimeZone::Utc).is_err(),
                "{from}"
            );
        }
    }

    #[test]
    fn kept_addresses_order_as_postgresql_orders_them() {
        let mut from = [
            "::1",
            "10.0.0.5/8",
            "10.0.0.0/16",
            "9.255.255.255",
            "10.1.0.0/8",
        ];
        from.sort_by_key(|text| parse(&SqlType::Inet, text.as_bytes(), &TimeZone::Utc).unwrap());
        assert_eq!(
            from,
            [
                "9.255.255.255",
                "10.0.0.5/8",
                "10.1.0.0/8",
                "10.0.0.0/16",
                "::1"
            ]
        );
    }
}
