//! Rules, and which of them is a client's.

use std::net::IpAddr;

use super::address::{Address, Network};
use super::ident::Idents;
use super::read::Entry;

/// One word of a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes.
    pub text: String,
    /// It began with a quote, and is a name and nothing else.
    pub quoted: bool,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }
}

/// The connections that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Over a socket of the machine's file system.
    Local,
    /// Over a network.
    Host,
    /// Over a network, encrypted.
    HostSsl,
    /// Over a network, in the clear.
    HostNoSsl,
    /// Over a network, encrypted by GSSAPI: there are none.
    HostGssEnc,
    /// Over a network, not encrypted by GSSAPI.
    HostNoGssEnc,
}

impl Kind {
    /// The file's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Host => "host",
            Self::HostSsl => "hostssl",
            Self::HostNoSsl => "hostnossl",
            Self::HostGssEnc => "hostgssenc",
            Self::HostNoGssEnc => "hostnogssenc",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        const ALL: [Kind; 6] = [
            Kind::Local,
            Kind::Host,
            Kind::HostSsl,
            Kind::HostNoSsl,
            Kind::HostGssEnc,
            Kind::HostNoGssEnc,
        ];
        ALL.into_iter().find(|kind| kind.name() == text)
    }
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    Trust,
    /// It cannot.
    Reject,
    /// By SCRAM-SHA-256.
    Scram,
    /// As the password is kept, which is SCRAM-SHA-256: nothing is kept by MD5.
    Md5,
    /// By sending the password.
    Password,
    /// By the operating system's word for it.
    Peer,
    /// By a certificate that names the role.
    Cert,
}

/// What a rule asks of a client's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientCert {
    /// Nothing.
    #[default]
    Any,
    /// That one whom the server trusts has signed it.
    Signed,
    /// … and that its common name is the role's.
    Named,
}

impl Method {
    /// The file's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Reject => "reject",
            Self::Scram => "scram-sha-256",
            Self::Md5 => "md5",
            Self::Password => "password",
            Self::Peer => "peer",
            Self::Cert => "cert",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        const ALL: [Method; 7] = [
            Method::Trust,
            Method::Reject,
            Method::Scram,
            Method::Md5,
            Method::Password,
            Method::Peer,
            Method::Cert,
        ];
        ALL.into_iter().find(|method| method.name() == text)
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its line in the file.
    pub line: u32,
    /// The connections that it is about.
    pub kind: Kind,
    /// Their databases.
    pub databases: Vec<Word>,
    /// Their roles.
    pub users: Vec<Word>,
    /// Their clients' addresses; None for local ones.
    pub address: Option<Address>,
    /// How they prove who they are.
    pub method: Method,
    /// `name=value`, as they were given.
    pub options: Vec<String>,
    /// What it asks of their certificates.
    pub certificate: ClientCert,
    /// The map that names of elsewhere are looked up in.
    pub map: Option<String>,
    /// A certificate's whole name counts, and not its common name alone.
    pub whole_name: bool,
}

/// A client before it is let in.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The database that it asks for.
    pub database: &'a str,
    /// The role that it says to be.
    pub user: &'a str,
    /// The roles that this one is a member of, also by way of others, and itself.
    pub member_of: &'a [String],
    /// Its address; None when it came by a socket of the file system.
    pub address: Option<IpAddr>,
    /// Whether what it says is encrypted.
    pub encrypted: bool,
    /// The address that it came to.
    pub here: Option<IpAddr>,
    /// The networks that this machine is part of.
    pub networks: &'a [Network],
    /// Addresses of hosts that rules name.
    pub names: &'a [(String, Vec<IpAddr>)],
}

/// Rules in their order.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    idents: Idents,
}

impl Rules {
    /// Those of a file's lines; None when one of them is no rule.
    #[must_use]
    pub fn of(entries: Vec<Entry>) -> Option<Self> {
        let rules: Option<Vec<Rule>> = entries.into_iter().map(|entry| entry.rule).collect();
        Some(Self {
            rules: rules?,
            idents: Idents::default(),
        })
    }

    /// The same with maps of names.
    #[must_use]
    pub fn with_idents(self, idents: Idents) -> Self {
        Self { idents, ..self }
    }

    /// Whether a rule lets a name of elsewhere in as a role.
    #[must_use]
    pub fn lets(&self, rule: &Rule, name: &str, role: &str) -> bool {
        self.idents.lets(rule.map.as_deref(), name, role)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first that is about a client, which alone decides.
    #[must_use]
    pub fn find(&self, visitor: &Visitor<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(visitor))
    }

    /// The hosts that rules name.
    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter_map(|rule| match &rule.address {
            Some(Address::Name(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether any rule asks which networks this machine is part of.
    #[must_use]
    pub fn asks_for_networks(&self) -> bool {
        let mut addresses = self.rules.iter().map(|rule| &rule.address);
        addresses.any(|address| *address == Some(Address::SameNet))
    }
}

impl Rule {
    fn fits(&self, visitor: &Visitor<'_>) -> bool {
        self.fits_kind(visitor)
            && self.fits_address(visitor)
            && self.fits_database(visitor)
            && self.fits_user(visitor)
    }

    fn fits_kind(&self, visitor: &Visitor<'_>) -> bool {
        let remote = visitor.address.is_some();
        match self.kind {
            Kind::Local => !remote,
            Kind::Host | Kind::HostNoGssEnc => remote,
            Kind::HostSsl => remote && visitor.encrypted,
            Kind::HostNoSsl => remote && !visitor.encrypted,
            Kind::HostGssEnc => false,
        }
    }

    fn fits_address(&self, visitor: &Visitor<'_>) -> bool {
        let (Some(address), Some(peer)) = (&self.address, visitor.address) else {
            return self.address.is_none() && visitor.address.is_none();
        };
        let here = peer.is_loopback() || visitor.here == Some(peer);
        match address {
            Address::All => true,
            Address::SameHost => here,
            Address::SameNet => here || visitor.networks.iter().any(|network| network.holds(peer)),
            Address::Network(network) => network.holds(peer),
            Address::Name(name) => visitor
                .names
                .iter()
                .any(|(known, addresses)| known == name && addresses.contains(&peer)),
        }
    }

    fn fits_database(&self, visitor: &Visitor<'_>) -> bool {
        self.databases.iter().any(|word| {
            if word.is("all") {
                true
            } else if word.is("sameuser") {
                visitor.database == visitor.user
            } else if word.is("samerole") || word.is("samegroup") {
                visitor
                    .member_of
                    .iter()
                    .any(|role| role == visitor.database)
            } else {
                // Nobody comes to replicate; a database of that name is meant by its quotes.
                !word.is("replication") && word.text == visitor.database
            }
        })
    }

    fn fits_user(&self, visitor: &Visitor<'_>) -> bool {
        self.users.iter().any(|word| {
            let group = word.text.strip_prefix('+').filter(|_| !word.quoted);
            match group {
                Some(group) => visitor.member_of.iter().any(|role| role == group),
                None => word.is("all") || word.text == visitor.user,
            }
        })
    }
}
