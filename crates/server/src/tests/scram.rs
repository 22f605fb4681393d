//! The exchange of SCRAM-SHA-256 with clients that do it wrong.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake::{Fake, serve};
use super::protocol::pencil;
use super::tls::{Certificate, Trust};
use crate::ServerConfig;

/// A client that is led by hand.
struct Hand<S> {
    socket: S,
}

fn frame(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [kind, &length.to_be_bytes(), body].concat()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Hand<S> {
    async fn greet(mut socket: S, user: &str) -> Self {
        let body = format!("\0\x03\0\0user\0{user}\0database\0postgres\0\0");
        socket
            .write_all(&frame(b"", body.as_bytes()))
            .await
            .unwrap();
        let mut hand = Self { socket };
        let (kind, body) = hand.hear().await;
        assert_eq!((kind, &body[..4]), (b'R', &[0, 0, 0, 10][..]));
        hand
    }

    async fn hear(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 5];
        self.socket.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.socket.read_exact(&mut body).await.unwrap();
        (head[0], body)
    }

    async fn first(&mut self, mechanism: &str, first: &str) -> (u8, Vec<u8>) {
        let length = i32::try_from(first.len()).unwrap().to_be_bytes();
        let body = [mechanism.as_bytes(), b"\0", &length, first.as_bytes()].concat();
        self.socket.write_all(&frame(b"p", &body)).await.unwrap();
        self.hear().await
    }

    async fn last(&mut self, last: &str) -> (u8, Vec<u8>) {
        let message = frame(b"p", last.as_bytes());
        self.socket.write_all(&message).await.unwrap();
        self.hear().await
    }
}

/// The SQLSTATE of an ErrorResponse.
fn state((kind, body): &(u8, Vec<u8>)) -> String {
    assert_eq!(*kind, b'E', "{}", String::from_utf8_lossy(body));
    let mut fields = body.split(|byte| *byte == 0);
    let code = fields.find_map(|field| field.strip_prefix(b"C")).unwrap();
    String::from_utf8(code.to_vec()).unwrap()
}

/// What the server's first message says: nonce, salt, iterations, and all of it.
fn read(body: &[u8]) -> (String, Vec<u8>, u32, String) {
    let text = String::from_utf8(body[4..].to_vec()).unwrap();
    let field = |name: &str| {
        let mut fields = text.split(',');
        fields
            .find_map(|field| field.strip_prefix(name))
            .unwrap()
            .to_owned()
    };
    (
        field("r="),
        STANDARD.decode(field("s=")).unwrap(),
        field("i=").parse().unwrap(),
        text.clone(),
    )
}

/// The client's proof of a password.
fn proof(password: &str, server: &[u8], bare: &str, without: &str) -> Vec<u8> {
    let (_, salt, iterations, text) = read(server);
    let mut salted = [0; 32];
    let iterations = std::num::NonZeroU32::new(iterations).unwrap();
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(
        algorithm,
        iterations,
        &salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = |key: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, key);
    let client = hmac::sign(&key(&salted), b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let message = format!("{bare},{text},{without}");
    let signature = hmac::sign(&key(stored.as_ref()), message.as_bytes());
    let pairs = client.as_ref().iter().zip(signature.as_ref());
    pairs.map(|(a, b)| a ^ b).collect()
}

const BARE: &str = "n=,r=abcdefgh";

fn guarded() -> Fake {
    Fake {
        verifier: Some(pencil()),
        ..Fake::default()
    }
}

#[tokio::test]
async fn first_messages_that_are_wrong_are_refused() {
    let address = serve(guarded(), ServerConfig::default()).await;
    for (mechanism, first, expected) in [
        (
            "SCRAM-SHA-256-PLUS",
            "p=tls-server-end-point,,n=,r=abc",
            "08P01",
        ),
        ("MD5", "n,,n=,r=abc", "08P01"),
        ("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc", "08P01"),
        ("SCRAM-SHA-256", "n,a=other,n=,r=abc", "0A000"),
        ("SCRAM-SHA-256", "n,,n=", "08P01"),
        ("SCRAM-SHA-256", "n,,n=,r=", "08P01"),
        ("SCRAM-SHA-256", "n,,r=abc,n=", "08P01"),
        ("SCRAM-SHA-256", "", "08P01"),
    ] {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut hand = Hand::greet(socket, "postgres").await;
        let told = hand.first(mechanism, first).await;
        assert_eq!(state(&told), expected, "{mechanism} {first}");
    }
}

#[tokio::test]
async fn last_messages_that_are_wrong_are_refused() {
    let address = serve(guarded(), ServerConfig::default()).await;
    for (what, expected) in [
        ("right", ""),
        ("nonce", "08P01"),
        ("binding", "28000"),
        ("short", "08P01"),
        ("long", "08P01"),
        ("none", "08P01"),
        ("wrong", "28P01"),
    ] {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut hand = Hand::greet(socket, "postgres").await;
        let (kind, server) = hand.first("SCRAM-SHA-256", &format!("n,,{BARE}")).await;
        assert_eq!(kind, b'R');
        let (nonce, ..) = read(&server);
        let without = match what {
            "nonce" => "c=biws,r=abcdefghother".to_owned(),
            "binding" => format!("c=eSws,r={nonce}"),
            _ => format!("c=biws,r={nonce}"),
        };
        let password = if what == "wrong" { "pen" } else { "pencil" };
        let mut proof = proof(password, &server, BARE, &without);
        match what {
            "short" => proof.truncate(31),
            "long" => proof.push(0),
            _ => {}
        }
        let last = match what {
            "none" => without,
            _ => format!("{without},p={}", STANDARD.encode(proof)),
        };
        let told = hand.last(&last).await;
        match expected {
            "" => assert_eq!((told.0, &told.1[..4]), (b'R', &[0, 0, 0, 12][..])),
            _ => assert_eq!(state(&told), expected, "{what}"),
        }
    }
}

/// Somebody in between took the mechanism that binds to the channel out of the offer.
#[tokio::test]
async fn a_client_that_was_told_of_no_channel_binding_is_told_of_the_downgrade() {
    let certificate = Certificate::new();
    let address = serve(guarded(), certificate.config()).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let stream = Trust::of(&certificate).shake(socket).await;
    let mut hand = Hand::greet(stream, "postgres").await;
    let told = hand.first("SCRAM-SHA-256", "y,,n=,r=abc").await;
    assert_eq!(state(&told), "28000");
    let text = String::from_utf8_lossy(&told.1).into_owned();
    assert!(text.contains("channel binding negotiation error"), "{text}");
}

#[tokio::test]
async fn an_unknown_role_gets_the_same_salt_each_time_and_the_same_work() {
    let address = serve(guarded(), ServerConfig::default()).await;
    let mut salts = Vec::new();
    for user in ["nobody", "nobody", "somebody", "postgres"] {
        let socket = TcpStream::connect(address).await.unwrap();
        let mut hand = Hand::greet(socket, user).await;
        let (_, server) = hand.first("SCRAM-SHA-256", &format!("n,,{BARE}")).await;
        let (_, salt, iterations, _) = read(&server);
        assert_eq!((salt.len(), iterations), (16, 4096), "{user}");
        salts.push(salt);
    }
    assert_eq!(salts[0], salts[1]);
    assert_ne!(salts[0], salts[2]);
}

/// How long the server takes to refuse a role.
async fn refusal(address: std::net::SocketAddr, user: &str) -> Duration {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut hand = Hand::greet(socket, user).await;
    let (_, server) = hand.first("SCRAM-SHA-256", &format!("n,,{BARE}")).await;
    let (nonce, ..) = read(&server);
    let last = format!("c=biws,r={nonce},p={}", STANDARD.encode([7; 32]));
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    let begin = Instant::now();
    let told = hand.last(&last).await;
    let took = begin.elapsed();
    assert_eq!(state(&told), "28P01");
    took
}

/// The halves of what two kinds of clients wait must not tell them apart. A busy machine may, so
/// that the best of some tries counts.
#[tokio::test]
async fn the_time_of_a_refusal_does_not_tell_whether_the_role_is_known() {
    let config = ServerConfig {
        failure_delay: Duration::ZERO,
        ..ServerConfig::default()
    };
    let address = serve(guarded(), config).await;
    let mut least = f64::INFINITY;
    for _ in 0..5 {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            known.push(refusal(address, "postgres").await);
            unknown.push(refusal(address, "nobody").await);
        }
        known.sort();
        unknown.sort();
        let (known, unknown) = (known[100].as_secs_f64(), unknown[100].as_secs_f64());
        least = least.min((known / unknown - 1.0).abs());
        if least < 0.05 {
            return;
        }
    }
    panic!("medians differ by {:.1} %", least * 100.0);
}

#[tokio::test]
async fn who_failed_waits_for_the_answer() {
    let config = ServerConfig {
        failure_delay: Duration::from_millis(150),
        ..ServerConfig::default()
    };
    let address = serve(guarded(), config).await;
    assert!(refusal(address, "postgres").await >= Duration::from_millis(150));
}
