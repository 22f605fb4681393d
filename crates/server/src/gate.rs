//! Which proof a client owes: the rules of `pg_hba.conf`, or those that hold without one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chronolith::hosts::{ClientCert, Method, Network, Rule, Rules, Visitor};
use chronolith_types::SqlState;

use crate::backend::{Backend, RoleAuth, Startup};
use crate::failure::Failure;
use crate::local::user_name;
use crate::startup::wrong_password;
use crate::subject::Subject;

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

/// Where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// At the other end of a network, or of the machine's own.
    Address(SocketAddr),
    /// At a socket of the file system: its user, as the kernel says it.
    Local(Option<u32>),
}

impl Peer {
    /// Its address; none at a socket of the file system.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(address.ip().to_canonical()),
            Self::Local(_) => None,
        }
    }

    /// Whether it is on this machine.
    fn is_near(self) -> bool {
        self.ip().is_none_or(|address| address.is_loopback())
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) encrypted: bool,
    /// Whom the certificate names that the client has shown.
    pub(crate) certificate: Option<Subject>,
    /// Whether clients are asked for certificates.
    pub(crate) asks: bool,
    /// Whether clients of other machines may come in unencrypted where no rules say who may.
    pub(crate) plaintext: bool,
}

impl Ends {
    /// The client as a refusal names it.
    fn who(&self, startup: &Startup) -> String {
        let encryption = match self.encrypted {
            true => "SSL encryption",
            false => "no encryption",
        };
        let peer = self.peer.ip();
        let peer = peer.map_or_else(|| "[local]".to_owned(), |peer| peer.to_string());
        format!(
            "host \"{peer}\", user \"{}\", database \"{}\", {encryption}",
            startup.user, startup.database
        )
    }
}

/// What a client owes, all told.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) proof: Proof,
    /// Its certificate names somebody else: said once it has proved the rest.
    pub(crate) refused: Option<Failure>,
}

impl From<Proof> for Owed {
    fn from(proof: Proof) -> Self {
        Self {
            proof,
            refused: None,
        }
    }
}

fn refused(message: String) -> Failure {
    Failure::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
}

fn no_entry(startup: &Startup, ends: &Ends) -> Failure {
    refused(format!("no pg_hba.conf entry for {}", ends.who(startup)))
}

/// What a client owes.
///
/// # Errors
/// 28000 for one that no rule lets in.
pub(crate) async fn proof(
    backend: &dyn Backend,
    startup: &Startup,
    role: Option<&RoleAuth>,
    ends: &Ends,
) -> Result<Owed, Failure> {
    match backend.rules() {
        Some(rules) => by_rules(&rules, startup, role, ends).await,
        None => without_rules(backend, startup, role, ends).map(Owed::from),
    }
}

/// A password, but for the superuser of a machine where nobody has set one; and TLS of those who
/// are elsewhere. Neither it nor what they ask is to be read on the way.
fn without_rules(
    backend: &dyn Backend,
    startup: &Startup,
    role: Option<&RoleAuth>,
    ends: &Ends,
) -> Result<Proof, Failure> {
    let local = ends.peer.is_near();
    if !local && !ends.encrypted && !ends.plaintext {
        return Err(no_entry(startup, ends));
    }
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
    ends: &Ends,
) -> Result<Owed, Failure> {
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
        address: ends.peer.ip(),
        encrypted: ends.encrypted,
        here: ends.local.map(|local| local.ip().to_canonical()),
        networks: &networks,
        names: &names,
    };
    let Some(rule) = rules.find(&visitor) else {
        return Err(no_entry(startup, ends));
    };
    let who = || ends.who(startup);
    let misnamed = certificate(rules, rule, startup, ends)?;
    let proof = match rule.method {
        Method::Trust if ends.peer.is_near() => Ok(Proof::None),
        Method::Trust => Err(refused(format!(
            "pg_hba.conf trusts {}, but clients of other machines are never trusted",
            who()
        ))
        .hint(format!("Write scram-sha-256 in line {}.", rule.line))),
        Method::Reject => Err(refused(format!(
            "pg_hba.conf rejects connection for {}",
            who()
        ))),
        Method::Peer => by_peer(rules, rule, startup, ends.peer),
        // The certificate is all of it.
        Method::Cert => Ok(Proof::None),
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
    };
    Ok(Owed {
        proof: proof?,
        refused: misnamed,
    })
}

/// The operating system's word for who is at the other end.
fn by_peer(rules: &Rules, rule: &Rule, startup: &Startup, peer: Peer) -> Result<Proof, Failure> {
    let name = match peer {
        Peer::Local(Some(uid)) => user_name(uid),
        _ => None,
    };
    if name
        .as_ref()
        .is_some_and(|name| rules.lets(rule, name, &startup.user))
    {
        return Ok(Proof::None);
    }
    match &name {
        Some(name) if rule.map.is_some() => tracing::info!(
            "no match in usermap \"{}\" for user \"{}\" authenticated as \"{name}\"",
            rule.map.as_deref().unwrap_or_default(),
            startup.user
        ),
        Some(name) => tracing::info!(
            "provided user name ({}) and authenticated user name ({name}) do not match",
            startup.user
        ),
        None => tracing::info!("the operating system does not name the peer"),
    }
    Err(refused(format!(
        "Peer authentication failed for user \"{}\"",
        startup.user
    )))
}

/// Holds a client's certificate against a rule: why it is refused once it has proved the rest.
fn certificate(
    rules: &Rules,
    rule: &Rule,
    startup: &Startup,
    ends: &Ends,
) -> Result<Option<Failure>, Failure> {
    if rule.certificate == ClientCert::Any {
        return Ok(None);
    }
    if !ends.asks {
        return Err(Failure::new(
            SqlState::CONFIG_FILE_ERROR,
            "client certificates can only be checked if a root certificate store is available",
        ));
    }
    let Some(subject) = &ends.certificate else {
        return Err(refused(
            "connection requires a valid client certificate".to_owned(),
        ));
    };
    let user = &startup.user;
    let name = match rule.whole_name {
        true => Some(&subject.whole).filter(|name| !name.is_empty()),
        false => subject.common.as_ref(),
    };
    let lets = |name: &&String| rules.lets(rule, name, user);
    if rule.certificate == ClientCert::Signed || name.is_some_and(|name| lets(&name)) {
        return Ok(None);
    }
    tracing::info!(
        "certificate validation failed for user \"{user}\": the certificate names {}",
        name.map_or("nobody", String::as_str)
    );
    Ok(Some(match rule.method {
        Method::Cert => refused(format!(
            "certificate authentication failed for user \"{user}\""
        )),
        Method::Trust => refused(format!(
            "\"trust\" authentication failed for user \"{user}\""
        )),
        _ => wrong_password(user),
    }))
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
