#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::hosts::{Rules, Visitor};

fn none(_: &str) -> Result<String, String> {
    Err("\"/data/gone\": No such file or directory".to_owned())
}

fn error_of(line: &str) -> String {
    let entries = read(line, false, &none);
    entries[0].error.clone().unwrap_or_default()
}

/// The texts are those that PostgreSQL 15 shows in `pg_hba_file_rules`.
#[test]
fn a_line_that_is_no_rule_is_told_as_postgresql_tells_it() {
    for (line, error) in [
        (
            "hosts all all all trust",
            "invalid connection type \"hosts\"",
        ),
        ("host", "end-of-line before database specification"),
        ("host all", "end-of-line before role specification"),
        (
            "host all all",
            "end-of-line before IP address specification",
        ),
        (
            "host all all all",
            "end-of-line before authentication method",
        ),
        ("local all all", "end-of-line before authentication method"),
        (
            "host,local all all all trust",
            "multiple values specified for connection type",
        ),
        (
            "host all all ::1/128,127.0.0.1/32 trust",
            "multiple values specified for host address",
        ),
        (
            "host all all all trust,reject",
            "multiple values specified for authentication type",
        ),
        (
            "host all all 127.0.0.1/33 trust",
            "invalid CIDR mask in address \"127.0.0.1/33\"",
        ),
        (
            "host all all 127.0.0.1/x trust",
            "invalid CIDR mask in address \"127.0.0.1/x\"",
        ),
        (
            "host all all example.com/8 trust",
            "specifying both host name and CIDR mask is invalid: \"example.com/8\"",
        ),
        ("host all all 300.1.1.1 trust", ""),
        (
            "host all all 10.0.0.1",
            "end-of-line before netmask specification",
        ),
        (
            "host all all 10.0.0.1 255.0.0.x trust",
            "invalid IP mask \"255.0.0.x\": Name or service not known",
        ),
        (
            "host all all 10.0.0.1 ffff:: trust",
            "IP address and mask do not match",
        ),
        (
            "host all all all nonsense",
            "invalid authentication method \"nonsense\"",
        ),
        (
            "host all all all sspi",
            "invalid authentication method \"sspi\": not supported by this build",
        ),
        (
            "host all all all peer",
            "peer authentication is only supported on local sockets",
        ),
        (
            "host all all all trust map",
            "authentication option not in name=value format: map",
        ),
        (
            "host all all all trust x=1",
            "unrecognized authentication option name: \"x\"",
        ),
        (
            "host all all all trust map=m",
            "authentication option \"map\" is only valid for authentication methods ident, peer, gssapi, sspi, and cert",
        ),
        (
            "host all all all md5 clientcert=verify-ca",
            "clientcert can only be configured for \"hostssl\" rows",
        ),
        (
            "host all all all md5 clientname=CN",
            "clientname can only be configured for \"hostssl\" rows",
        ),
        (
            "hostssl all all all md5 clientcert=no-verify",
            "invalid value for clientcert: \"no-verify\"",
        ),
        (
            "hostssl all all all cert clientcert=verify-ca",
            "clientcert only accepts \"verify-full\" when using \"cert\" authentication",
        ),
        (
            "host all all all cert",
            "cert authentication is only supported on hostssl connections",
        ),
        (
            "hostssl all all all trust",
            "hostssl record cannot match because SSL is disabled",
        ),
        (
            "host @gone all all trust",
            "could not open secondary authentication file \"@gone\" as \"/data/gone\": No such file or directory",
        ),
        ("host all all all trust # and so on", ""),
    ] {
        assert_eq!(error_of(line), error, "{line}");
    }
}

fn rules(text: &str) -> Rules {
    Rules::of(read(text, true, &none)).unwrap()
}

fn visitor<'a>(database: &'a str, user: &'a str, address: &str) -> Visitor<'a> {
    Visitor {
        database,
        user,
        member_of: &[],
        address: (address != "[local]").then(|| address.parse().unwrap()),
        encrypted: false,
        here: None,
        networks: &[],
        names: &[],
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = rules(
        "local all all peer\n\
         hostssl all all 10.0.0.0/8 scram-sha-256\n\
         host market anna,bert 10.1.0.0 255.255.0.0 reject\n\
         host sameuser all ::1/128 md5\n\
         host \"all\" all all password\n\
         host replication all all trust\n\
         host all \"+desk\" all trust\n\
         hostnossl all all 192.168.0.0/16 trust",
    );
    let line = |visitor: &Visitor<'_>| rules.find(visitor).map(|rule| rule.line);
    assert_eq!(line(&visitor("market", "anna", "[local]")), Some(1));
    let mut far = visitor("market", "anna", "10.1.2.3");
    assert_eq!(line(&far), Some(3));
    far.encrypted = true;
    assert_eq!(line(&far), Some(2));
    assert_eq!(line(&visitor("market", "carl", "10.1.2.3")), None);
    assert_eq!(line(&visitor("carl", "carl", "::1")), Some(4));
    assert_eq!(line(&visitor("market", "carl", "::1")), None);
    assert_eq!(line(&visitor("all", "carl", "1.2.3.4")), Some(5));
    assert_eq!(line(&visitor("replication", "carl", "1.2.3.4")), None);
    assert_eq!(line(&visitor("market", "+desk", "1.2.3.4")), Some(7));
    let mut near = visitor("market", "carl", "192.168.3.4");
    assert_eq!(line(&near), Some(8));
    near.encrypted = true;
    assert_eq!(line(&near), None);
}

#[test]
fn groups_hosts_and_networks_are_those_of_the_client() {
    let text = "host all +desk samehost trust\n\
                host samerole all samenet reject\n\
                host all all desk.example md5";
    let rules = rules(text);
    assert!(rules.asks_for_networks());
    assert_eq!(rules.host_names().collect::<Vec<_>>(), ["desk.example"]);
    let line = |visitor: &Visitor<'_>| rules.find(visitor).map(|rule| rule.line);
    let groups = ["anna".to_owned(), "desk".to_owned()];
    let mut anna = visitor("market", "anna", "10.0.0.5");
    anna.member_of = &groups;
    assert_eq!(line(&anna), None);
    anna.here = anna.address;
    assert_eq!(line(&anna), Some(1));
    let networks = [Network::of_bits("10.0.0.1".parse().unwrap(), 24).unwrap()];
    let mut desk = visitor("desk", "anna", "10.0.0.5");
    desk.member_of = &groups;
    desk.networks = &networks;
    assert_eq!(line(&desk), Some(2));
    desk.address = Some("10.0.1.5".parse().unwrap());
    assert_eq!(line(&desk), None);
    let names = [("desk.example".to_owned(), vec!["10.0.1.5".parse().unwrap()])];
    desk.names = &names;
    assert_eq!(line(&desk), Some(3));
}
