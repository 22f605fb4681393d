//! Where a rule lets clients come from.

use std::fmt;
use std::net::IpAddr;

/// Addresses that agree in their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// One of them.
    pub address: IpAddr,
    /// The bits that count.
    pub mask: IpAddr,
}

impl Network {
    /// Those that share their first `bits` bits with an address; None for more bits than it has.
    #[must_use]
    pub fn of_bits(address: IpAddr, bits: u32) -> Option<Self> {
        let mask = match address {
            IpAddr::V4(_) if bits <= 32 => {
                IpAddr::V4(u32::MAX.checked_shl(32 - bits).unwrap_or(0).into())
            }
            IpAddr::V6(_) if bits <= 128 => {
                IpAddr::V6(u128::MAX.checked_shl(128 - bits).unwrap_or(0).into())
            }
            _ => return None,
        };
        Some(Self { address, mask })
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn holds(&self, other: IpAddr) -> bool {
        match (self.address, self.mask, other) {
            (IpAddr::V4(own), IpAddr::V4(mask), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)) & u32::from(mask) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(mask), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)) & u128::from(mask) == 0
            }
            _ => false,
        }
    }
}

/// A rule's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Anywhere.
    All,
    /// The machine itself.
    SameHost,
    /// The networks that it is part of.
    SameNet,
    /// A network.
    Network(Network),
    /// A host by its name.
    Name(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::SameHost => f.write_str("samehost"),
            Self::SameNet => f.write_str("samenet"),
            Self::Network(network) => network.address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An address and its mask as one word: `10.0.0.0/8`; without the slash the mask is none.
pub(super) fn parse(text: &str) -> Result<(Address, bool), String> {
    let (host, bits) = match text.split_once('/') {
        Some((host, bits)) => (host, Some(bits)),
        None => (text, None),
    };
    match (host.parse::<IpAddr>(), bits) {
        (Ok(address), Some(bits)) => bits
            .parse()
            .ok()
            .filter(|_| bits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|bits| Network::of_bits(address, bits))
            .map(|network| (Address::Network(network), true))
            .ok_or_else(|| format!("invalid CIDR mask in address \"{text}\"")),
        (Ok(address), None) => {
            let mask = address;
            Ok((Address::Network(Network { address, mask }), false))
        }
        (Err(_), Some(_)) => Err(format!(
            "specifying both host name and CIDR mask is invalid: \"{text}\""
        )),
        (Err(_), None) if host.starts_with('.') => Err(format!(
            "host name suffix \"{host}\" is not supported: give the hosts or their network"
        )),
        (Err(_), None) => Ok((Address::Name(host.to_owned()), true)),
    }
}
