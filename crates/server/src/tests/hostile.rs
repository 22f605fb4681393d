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
        ..Fake::default()
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

pub(super) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// The types of the messages that the server says, and the codes of its errors.
async fn said(socket: &mut TcpStream, messages: &[Vec<u8>]) -> (String, Vec<String>) {
    socket.write_all(&messages.concat()).await.unwrap();
    let all = answer(socket, 300).await;
    let (mut kinds, mut codes) = (String::new(), Vec::new());
    let mut rest = all.as_slice();
    while let [kind, a, b, c, d, ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        let (message, behind) = rest.split_at(length + 1);
        kinds.push(char::from(*kind));
        if *kind == b'E' {
            let fields = message[5..].split(|byte| *byte == 0);
            let code = fields.filter_map(|field| field.strip_prefix(b"C")).next();
            codes.push(String::from_utf8(code.unwrap().to_vec()).unwrap());
        }
        rest = behind;
    }
    (kinds, codes)
}

#[tokio::test]
async fn text_that_is_not_utf8_fails_its_statement_and_no_more() {
    let address = serve(Fake::default(), ServerConfig::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (kinds, _) = said(&mut socket, &[startup()]).await;
    assert!(kinds.ends_with('Z'), "{kinds}");
    let code = |code: &str| vec![code.to_owned()];
    let query = |text: &[u8]| frame(b'Q', &[text, b"\0"].concat());
    let sync = frame(b'S', b"");

    let heard = said(&mut socket, &[query(b"many\xff")]).await;
    assert_eq!(heard, ("EZ".to_owned(), code("22021")));
    let (kinds, codes) = said(&mut socket, &[query(b"ticks")]).await;
    assert_eq!((kinds.as_str(), codes.len()), ("TDDCZ", 0));

    // All up to Sync is skipped, what is wrong too; a block has failed.
    let (kinds, _) = said(&mut socket, &[query(b"begin")]).await;
    assert_eq!(kinds, "CZ");
    let parse = |text: &[u8]| frame(b'P', &[b"\0", text, b"\0\0\0"].concat());
    let bind = frame(b'B', b"\0\0\0\0\0\0\0\0");
    let execute = frame(b'E', b"\0\0\0\0\0");
    let heard = said(
        &mut socket,
        &[
            parse(b"many\xc3("),
            parse(b"\xff"),
            bind,
            execute,
            sync.clone(),
        ],
    )
    .await;
    assert_eq!(heard, ("EZ".to_owned(), code("22021")));
    socket.write_all(&sync).await.unwrap();
    assert!(says(&answer(&mut socket, 300).await, "Z\0\0\0\x05E"));

    // In a COPY it ends that.
    let (kinds, _) = said(&mut socket, &[query(b"commit"), query(b"copy in")]).await;
    assert_eq!(kinds, "CZG");
    let heard = said(&mut socket, &[frame(b'f', b"\xff\0")]).await;
    assert_eq!(heard, ("EZ".to_owned(), code("22021")));
    let (kinds, _) = said(&mut socket, &[query(b"ticks")]).await;
    assert_eq!(kinds, "TDDCZ");
}

#[tokio::test]
async fn parameters_are_read_when_they_are_bound() {
    let address = serve(Fake::default(), ServerConfig::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    said(&mut socket, &[startup()]).await;
    let parse = frame(b'P', b"\0echo\0\0\0");
    let bind = |value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap().to_be_bytes();
        let parts: [&[u8]; 5] = [b"\0\0\0\x01\0\x01", b"\0\x01", &length, value, b"\0\0"];
        frame(b'B', &parts.concat())
    };
    let execute = frame(b'E', b"\0\0\0\0\0");
    let sync = frame(b'S', b"");
    let (kinds, codes) = said(&mut socket, &[parse.clone(), bind(b"\x07"), sync.clone()]).await;
    assert_eq!(
        (kinds.as_str(), codes.as_slice()),
        ("1EZ", &["22P03".to_owned()][..])
    );
    let messages = [parse, bind(&7_i64.to_be_bytes()), execute, sync];
    let (kinds, _) = said(&mut socket, &messages).await;
    assert_eq!(kinds, "12DCZ");
}
