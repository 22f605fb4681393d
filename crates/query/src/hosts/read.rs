//! From a file's text to rules, with PostgreSQL's words for what is wrong.

use std::net::IpAddr;

use super::address::{Address, Network, parse};
use super::rules::{ClientCert, Kind, Method, Rule, Word};
use super::words::{Include, Line, lines};

/// A line of the file that is no comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1.
    pub line: u32,
    /// What it says; None when that is nothing.
    pub rule: Option<Rule>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// PostgreSQL's methods that this server has not.
const ELSEWHERE: [&str; 7] = ["ident", "gss", "sspi", "pam", "bsd", "ldap", "radius"];

/// Reads a file's text. `ssl` is whether the server has a certificate, `include` reads the files
/// that it names with `@`.
pub fn read(text: &str, ssl: bool, include: &dyn Fn(&str) -> Result<String, String>) -> Vec<Entry> {
    let include: &Include<'_> = include;
    lines(text, include)
        .into_iter()
        .map(|line| {
            let number = line.number;
            let (rule, error) = match rule(line) {
                Ok(rule) => {
                    let idle = match rule.kind {
                        Kind::HostSsl if !ssl => {
                            Some("hostssl record cannot match because SSL is disabled")
                        }
                        Kind::HostGssEnc => Some(
                            "hostgssenc record cannot match because GSSAPI is not supported by this build",
                        ),
                        _ => None,
                    };
                    (Some(rule), idle.map(str::to_owned))
                }
                Err(error) => (None, Some(error)),
            };
            Entry {
                line: number,
                rule,
                error,
            }
        })
        .collect()
}

/// The one word of a field.
fn single(field: Vec<Word>, what: &str) -> Result<String, String> {
    let mut words = field.into_iter();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word.text),
        _ => Err(format!("multiple values specified for {what}")),
    }
}

fn rule(line: Line) -> Result<Rule, String> {
    if let Some(error) = line.error {
        return Err(error);
    }
    let mut fields = line.fields.into_iter();
    let mut need = |what: &str| {
        fields
            .next()
            .ok_or_else(|| format!("end-of-line before {what}"))
    };
    let word = single(need("connection type")?, "connection type")?;
    let kind = Kind::parse(&word).ok_or_else(|| format!("invalid connection type \"{word}\""))?;
    let databases = need("database specification")?;
    let users = need("role specification")?;
    let address = match kind {
        Kind::Local => None,
        _ => {
            let field = need("IP address specification")?;
            let quoted = field.first().is_some_and(|word| word.quoted);
            let word = single(field, "host address")?;
            Some(match word.as_str() {
                "all" if !quoted => Address::All,
                "samehost" if !quoted => Address::SameHost,
                "samenet" if !quoted => Address::SameNet,
                _ => match parse(&word)? {
                    (Address::Network(network), false) => {
                        let mask = single(need("netmask specification")?, "netmask")?;
                        Address::Network(masked(network.address, &mask)?)
                    }
                    (address, _) => address,
                },
            })
        }
    };
    let word = single(need("authentication method")?, "authentication type")?;
    let method = match Method::parse(&word) {
        Some(Method::Peer) if kind != Kind::Local => {
            return Err("peer authentication is only supported on local sockets".to_owned());
        }
        Some(Method::Cert) if kind != Kind::HostSsl => {
            return Err("cert authentication is only supported on hostssl connections".to_owned());
        }
        Some(method) => method,
        None if ELSEWHERE.contains(&word.as_str()) => {
            return Err(format!(
                "invalid authentication method \"{word}\": not supported by this build"
            ));
        }
        None => return Err(format!("invalid authentication method \"{word}\"")),
    };
    let mut options = Vec::new();
    let mut certificate = ClientCert::Any;
    let (mut map, mut whole_name) = (None, false);
    for word in fields.flatten() {
        let text = option(method, kind, word.text)?;
        certificate = match text.as_str() {
            "clientcert=verify-ca" => ClientCert::Signed,
            "clientcert=verify-full" => ClientCert::Named,
            _ => certificate,
        };
        match text.split_once('=') {
            Some(("map", name)) => map = Some(name.to_owned()),
            Some(("clientname", name)) => whole_name = name == "DN",
            _ => {}
        }
        options.push(text);
    }
    if method == Method::Cert && certificate == ClientCert::Any {
        // The method means that, and says so where rules are shown.
        certificate = ClientCert::Named;
        options.push("clientcert=verify-full".to_owned());
    }
    Ok(Rule {
        line: line.number,
        kind,
        databases,
        users,
        address,
        method,
        options,
        certificate,
        map,
        whole_name,
    })
}

fn masked(address: IpAddr, mask: &str) -> Result<Network, String> {
    let mask: IpAddr = mask
        .parse()
        .map_err(|_| format!("invalid IP mask \"{mask}\": Name or service not known"))?;
    if mask.is_ipv4() != address.is_ipv4() {
        return Err("IP address and mask do not match".to_owned());
    }
    Ok(Network { address, mask })
}

/// An option that the method has.
fn option(method: Method, kind: Kind, text: String) -> Result<String, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(format!(
            "authentication option not in name=value format: {text}"
        ));
    };
    match name {
        "map" if matches!(method, Method::Peer | Method::Cert) => Ok(text),
        "map" => Err("authentication option \"map\" is only valid for authentication methods ident, peer, gssapi, sspi, and cert".to_owned()),
        "clientcert" | "clientname" if kind != Kind::HostSsl => {
            Err(format!("{name} can only be configured for \"hostssl\" rows"))
        }
        "clientcert" => match value {
            "verify-full" => Ok(text),
            "verify-ca" if method == Method::Cert => Err(
                "clientcert only accepts \"verify-full\" when using \"cert\" authentication"
                    .to_owned(),
            ),
            "verify-ca" => Ok(text),
            _ => Err(format!("invalid value for clientcert: \"{value}\"")),
        },
        "clientname" => match value {
            "CN" | "DN" => Ok(text),
            _ => Err(format!("invalid value for clientname: \"{value}\"")),
        },
        _ => Err(format!("unrecognized authentication option name: \"{name}\"")),
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
