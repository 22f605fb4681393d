//! Clients that mean no good.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake::{Fake, serve};
use crate::ServerConfig;

pub(super) fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut packet = u32::try_from(body.len() + 4)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.extend_from_slice(body);
    packet
}

/// Everything the server says until it closes or falls silent.
async fn answer(socket: &mut TcpStream, millis: u64) -> Vec<u8> {
    let mut all = Vec::new();
    let wait = std::time::Duration::from_millis(millis);
    let _ = tokio::time::timeout(wait, socket.read_to_end(&mut all)).await;
    all
}

pub(super) fn says(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

#[tokio::test]
async fn short_and_huge_frames_are_protocol_violations() {
    let fake = Fake {
        verifier: Some("SCRAM-SHA-256$4096:AAAA$AAAA:AAAA".to_owned()),
    };
    let address = serve(fake, ServerConfig::default()).await;
    let frames: [&[u8]; 5] = [
        b"p\0\0\0\0",
        b"p\0\0\0\x03",
        b"d\0\0\0\x01",
        b"Q\x1f\xff\xff\xff",
        b"p\0\0\x27\x11",
    ];
    for frame in frames {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(&startup()).await.unwrap();
        socket.write_all(frame).await.unwrap();
        let said = answer(&mut socket, 2000).await;
        assert!(says(&said, "C08P01\0"), "{frame:?}: {said:?}");
    }
}

#[tokio::test]
async fn authentication_times_out() {
    let config = ServerConfig {
        auth_timeout: std::time::Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let address = serve(Fake::default(), config).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut byte = [0];
    assert_eq!(socket.read(&mut byte).await.unwrap(), 0);
}

#[tokio::test]
async fn thousands_of_malformed_sessions_leave_the_server_alive() {
    let address = serve(Fake::default(), ServerConfig::default()).await;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let kinds = b"QPBDECSHXdcfp\0R";
    for session in 0..2000 {
        let mut bytes = if session % 4 == 0 {
            Vec::new()
        } else {
            startup()
        };
        for _ in 0..random() % 5 {
            let length = usize::try_from(random() % 40).unwrap();
            let body: Vec<u8> = (0..length)
                .map(|_| random().to_le_bytes()[0] & 0x83)
                .collect();
            if session % 4 != 0 {
                bytes.push(kinds[usize::try_from(random()).unwrap() % kinds.len()]);
                let lie = if random() % 8 == 0 { random() % 9 } else { 4 };
                let said = u32::try_from(body.len()).unwrap() + u32::try_from(lie).unwrap();
                bytes.extend_from_slice(&said.to_be_bytes());
            }
            bytes.extend_from_slice(&body);
        }
        let mut socket = TcpStream::connect(address).await.unwrap();
        let _ = socket.write_all(&bytes).await;
        let _ = socket.shutdown().await;
        let said = answer(&mut socket, 1000).await;
        assert!(!says(&said, "XX000"), "{bytes:?}");
    }
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&startup()).await.unwrap();
    let mut first = [0];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"R");
}
