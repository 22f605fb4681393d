//! Which proof a client owes: the rules of `pg_hba.conf`, or those that hold without one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chronolith::hosts::{Method, Network, Rules, Visitor};
use chronolith_types::SqlState;

use crate::backend::{Backend, RoleAuth, Startup};
use crate::failure::Failure;

/// What a client has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing.
    None,
    /// To prove by SCRAM-SHA-256 that it knows the password.
    Scram,
    /// To send the password, which nobody can overhear.
    Password,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) encrypted: bool,
}

fn refused(message: String) -> Failure {
    Failure::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

/// What a client owes.
///
/// # Errors
/// 28000 for one that no rule lets in.
pub(crate) async fn proof(
    backend: &dyn Backend,
    startup: &Startup,
    role: Option<&RoleAuth>,
    ends: Ends,
) -> Result<Proof, Failure> {
    let peer = ends.peer.ip().to_canonical();
    match backend.rules() {
        Some(rules) => by_rules(&rules, startup, role, ends, peer).await,
        None => without_rules(backend, startup, role, peer),
    }
}

/// A password, but for the superuser of a machine where nobody has set one.
fn without_rules(
    backend: &dyn Backend,
    startup: &Startup,
    role: Option<&RoleAuth>,
    peer: IpAddr,
) -> Result<Proof, Failure> {
    let local = peer.is_loopback();
    // Where nobody has a password, an unknown role's name is no secret worth a mock exchange.
    if role.is_none() && local && !backend.has_password() {
        return Err(refused(format!("role \"{}\" does not exist", startup.user)));
    }
    let trusted = role.is_some_and(|role| role.superuser && role.verifier.is_none());
    Ok(match local && trusted {
        true => Proof::None,
        false => Proof::Scram,
    })
}

async fn by_rules(
    rules: &Rules,
    startup: &Startup,
    role: Option<&RoleAuth>,
    ends: Ends,
    peer: IpAddr,
) -> Result<Proof, Failure> {
    let networks = match rules.asks_for_networks() {
        true => networks(),
        false => Vec::new(),
    };
    let mut names = Vec::new();
    for name in rules.host_names() {
        // A name that nobody knows fits no client.
        let found = tokio::net::lookup_host((name, 0)).await;
        let found = found.into_iter().flatten().map(|known| known.ip());
        names.push((name.to_owned(), found.collect()));
    }
    let visitor = Visitor {
        database: &startup.database,
        user: &startup.user,
        member_of: role
            .map(|role| role.member_of.as_slice())
            .unwrap_or_default(),
        address: Some(peer),
        encrypted: ends.encrypted,
        here: ends.local.map(|local| local.ip().to_canonical()),
        networks: &networks,
        names: &names,
    };
    let who = || {
        let encryption = match ends.encrypted {
            true => "SSL encryption",
            false => "no encryption",
        };
        format!(
            "host \"{peer}\", user \"{}\", database \"{}\", {encryption}",
            startup.user, startup.database
        )
    };
    let Some(rule) = rules.find(&visitor) else {
        return Err(refused(format!("no pg_hba.conf entry for {}", who())));
    };
    match rule.method {
        Method::Trust if peer.is_loopback() => Ok(Proof::None),
        Method::Trust => Err(refused(format!(
            "pg_hba.conf trusts {}, but clients of other machines are never trusted",
            who()
        ))
        .hint(format!("Write scram-sha-256 in line {}.", rule.line))),
        // Peers come by sockets of the file system alone.
        Method::Reject | Method::Peer => Err(refused(format!(
            "pg_hba.conf rejects connection for {}",
            who()
        ))),
        Method::Scram | Method::Md5 => Ok(Proof::Scram),
        Method::Password if ends.encrypted => Ok(Proof::Password),
        Method::Password => Err(refused(format!(
            "pg_hba.conf asks for a password in the clear from {}",
            who()
        ))
        .hint(format!(
            "Connect with sslmode=require, or write scram-sha-256 in line {}.",
            rule.line
        ))),
    }
}

/// The networks that this machine is part of, as the kernel lists them.
fn networks() -> Vec<Network> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut all = routes(&text("/proc/net/route"));
    all.extend(interfaces(&text("/proc/net/if_inet6")));
    all
}

/// Networks of `/proc/net/route` that are reached without a gateway.
fn routes(text: &str) -> Vec<Network> {
    let address = |word: Option<&&str>| {
        let number = u32::from_str_radix(word?, 16).ok()?;
        // In the order of the machine's bytes, which is that of the network's on the wire.
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let lines = text.lines().map(|line| line.split_whitespace());
    lines
        .filter_map(|words| {
            let words: Vec<&str> = words.collect();
            let gateway = address(words.get(2))?;
            let mask = address(words.get(7))?;
            let near = gateway.is_unspecified() && !mask.is_unspecified();
            near.then_some(Network {
                address: address(words.get(1))?.into(),
                mask: mask.into(),
            })
        })
        .collect()
}

/// Networks of `/proc/net/if_inet6`.
fn interfaces(text: &str) -> Vec<Network> {
    let lines = text.lines().map(|line| line.split_whitespace());
    lines
        .filter_map(|mut words| {
            let address = u128::from_str_radix(words.next()?, 16).ok()?;
            let bits = u32::from_str_radix(words.nth(1)?, 16).ok()?;
            Network::of_bits(Ipv6Addr::from(address).into(), bits)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_from_what_the_kernel_lists() {
        let route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\n\
                     eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n";
        let inet6 = "fe800000000000000000000000000001 02 40 20 80 eth0\n";
        let mut all = routes(route);
        all.extend(interfaces(inet6));
        let holds = |text: &str| {
            let address: IpAddr = text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            all.iter().any(|network| network.holds(address))
        };
        assert_eq!(all.len(), 2);
        assert!(holds("192.168.77.1") && holds("fe80::abcd"));
        assert!(!holds("192.169.0.1") && !holds("2001::1"));
    }
}
