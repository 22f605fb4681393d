//! The rules of `pg_hba.conf` at the door.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::ChannelBinding;

use super::fake::{Fake, serve};
use super::hostile::{says, startup};
use super::protocol::{code, connect, pencil};
use super::tls::{Certificate, Trust, over_tls};
use crate::ServerConfig;

fn ruled(rules: &'static str) -> Fake {
    Fake {
        verifier: Some(pencil()),
        rules: Some(rules),
        ..Fake::default()
    }
}

/// What a client is told that comes in the clear with the right password.
async fn told(rules: &'static str) -> Option<(String, String)> {
    let address = serve(ruled(rules), ServerConfig::default()).await;
    let error = connect(address.port(), "postgres", "postgres", "pencil").await;
    let error = error.err()?;
    let (state, message) = code(&error);
    Some((state.to_owned(), message.to_owned()))
}

const WHO: &str = "host \"127.0.0.1\", user \"postgres\", database \"postgres\", no encryption";

#[tokio::test]
async fn who_fits_no_rule_is_told_so_as_postgresql_tells_it() {
    for rules in [
        "local all all peer",
        "hostssl all all all scram-sha-256",
        "host all bert all scram-sha-256",
        "host other all all scram-sha-256",
        "host all all ::1/128 trust",
    ] {
        let expected = format!("no pg_hba.conf entry for {WHO}");
        assert_eq!(
            told(rules).await,
            Some(("28000".to_owned(), expected)),
            "{rules}"
        );
    }
    let rejected = format!("pg_hba.conf rejects connection for {WHO}");
    assert_eq!(
        told("host all +desk samehost reject\nhost all all all scram-sha-256").await,
        Some(("28000".to_owned(), rejected))
    );
}

#[tokio::test]
async fn scram_and_md5_ask_for_a_proof_and_trust_for_none() {
    for rules in [
        "host all all all scram-sha-256",
        "host all all all md5",
        "hostnossl sameuser postgres 127.0.0.0/8 trust",
    ] {
        assert_eq!(told(rules).await, None, "{rules}");
        let address = serve(ruled(rules), ServerConfig::default()).await;
        let wrong = connect(address.port(), "postgres", "postgres", "wrong").await;
        let trusted = rules.ends_with("trust");
        assert_eq!(wrong.is_ok(), trusted, "{rules}");
    }
    // Whom a rule trusts must exist all the same.
    let address = serve(ruled("host all all all trust"), ServerConfig::default()).await;
    let error = connect(address.port(), "nobody", "postgres", "")
        .await
        .err()
        .unwrap();
    assert_eq!(code(&error), ("28000", "role \"nobody\" does not exist"));
}

#[tokio::test]
async fn a_password_is_sent_over_tls_or_not_at_all() {
    let rules = "host all all all password";
    let (state, message) = told(rules).await.unwrap();
    assert_eq!(state, "28000");
    assert!(message.contains("password in the clear"), "{message}");

    let certificate = Certificate::new();
    let address = serve(ruled(rules), certificate.config()).await;
    let port = address.port();
    for (password, welcome) in [("pencil", true), ("wrong", false), ("", false)] {
        let trust = Trust::of(&certificate);
        let client = over_tls(port, trust, ChannelBinding::Disable, password).await;
        assert_eq!(client.is_ok(), welcome, "{password}");
    }
}

#[tokio::test]
async fn a_rule_for_encrypted_clients_refuses_the_others_before_any_proof() {
    let certificate = Certificate::new();
    let rules = "hostssl all all all scram-sha-256";
    let address = serve(ruled(rules), certificate.config()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&startup()).await.unwrap();
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.first(), Some(&b'E'), "{all:?}");
    assert!(says(&all, "no pg_hba.conf entry"), "{all:?}");
    let trust = Trust::of(&certificate);
    let client = over_tls(address.port(), trust, ChannelBinding::Require, "pencil").await;
    assert!(client.is_ok());
}

/// The class of CVE-2021-23214: what is sent in the clear behind the request must not be taken for
/// what came encrypted.
#[tokio::test]
async fn what_is_stuffed_in_behind_the_request_for_tls_is_never_read_as_a_message() {
    let certificate = Certificate::new();
    let address = serve(ruled("host all all all trust"), certificate.config()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut bytes = vec![0, 0, 0, 8, 4, 210, 22, 47];
    bytes.extend_from_slice(&startup());
    bytes.extend_from_slice(b"Q\0\0\0\x0aticks\0");
    socket.write_all(&bytes).await.unwrap();
    let mut all = Vec::new();
    let wait = std::time::Duration::from_secs(5);
    let read = tokio::time::timeout(wait, socket.read_to_end(&mut all)).await;
    assert!(read.is_ok(), "the connection stays open");
    assert_eq!(all.first(), Some(&b'S'), "{all:?}");
    // At most the alert of a failed handshake follows: no greeting, no rows.
    assert!(
        !says(&all, "SELECT") && !says(&all, "server_version"),
        "{all:?}"
    );
    assert!(all.len() <= 8, "{all:?}");
}

#[tokio::test]
async fn sockets_that_do_not_say_who_they_are_are_few() {
    let config = ServerConfig {
        unauthenticated_max: 3,
        ..ServerConfig::default()
    };
    let address = serve(ruled("host all all all trust"), config).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let mut late = TcpStream::connect(address).await.unwrap();
    let mut all = Vec::new();
    late.read_to_end(&mut all).await.unwrap();
    assert!(says(&all, "C53300\0"), "{all:?}");
    drop(idle);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let client = connect(address.port(), "postgres", "postgres", "").await;
    assert!(client.is_ok());
}
