//! What clients may make the server hold.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake::{Fake, serve};
use super::hostile::{says, startup};
use crate::ServerConfig;

/// A client that has been let in.
async fn admitted(address: std::net::SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(&startup()).await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(b"Z\0\0\0\x05I") {
        let mut piece = [0; 1024];
        let count = socket.read(&mut piece).await.unwrap();
        assert!(count > 0, "{all:?}");
        all.extend_from_slice(&piece[..count]);
    }
    socket
}

/// The head of a query of so many bytes and the first of them.
fn half_a_query(bytes: u32) -> Vec<u8> {
    let mut head = vec![b'Q'];
    head.extend_from_slice(&bytes.to_be_bytes());
    head.extend_from_slice(&[b' '; 1000]);
    head
}

async fn heard(socket: &mut TcpStream) -> Vec<u8> {
    let mut said = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut said));
    let count = read.await.unwrap().unwrap_or(0);
    said.truncate(count);
    said
}

#[tokio::test]
async fn unread_messages_share_one_budget_and_give_it_back() {
    let config = ServerConfig {
        input_bytes_max: 1 << 20,
        ..ServerConfig::default()
    };
    let address = serve(Fake::default(), config).await;
    let mut first = admitted(address).await;
    let mut second = admitted(address).await;
    first.write_all(&half_a_query(700_000)).await.unwrap();
    // Until the server has seen the first's.
    tokio::time::sleep(Duration::from_millis(200)).await;
    second.write_all(&half_a_query(700_000)).await.unwrap();
    let said = heard(&mut second).await;
    assert!(says(&said, "C53200\0"), "{said:?}");
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut third = admitted(address).await;
    let mut query = half_a_query(700_000);
    query.resize(700_000, b' ');
    query.push(0);
    third.write_all(&query).await.unwrap();
    // An empty query, read whole.
    let said = heard(&mut third).await;
    assert!(said.starts_with(b"I"), "{said:?}");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_its_head_alone() {
    let config = ServerConfig {
        frame_bytes_max: 100_000,
        ..ServerConfig::default()
    };
    let address = serve(Fake::default(), config).await;
    let mut socket = admitted(address).await;
    socket.write_all(&half_a_query(100_001)).await.unwrap();
    let said = heard(&mut socket).await;
    assert!(says(&said, "C08P01\0"), "{said:?}");
    assert!(says(&said, "may have 100000 bytes"), "{said:?}");
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_its_statement_and_no_other() {
    let address = serve(Fake::default(), ServerConfig::default()).await;
    let mut lazy = admitted(address).await;
    lazy.write_all(b"Q\0\0\0\x0cforever\0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut other = admitted(address).await;
    other.write_all(b"Q\0\0\0\x0aticks\0").await.unwrap();
    let said = heard(&mut other).await;
    assert!(says(&said, "SELECT 2"), "{said:?}");
}
