//! Runs that are sent one behind the other, as drivers send `executemany`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake::{Fake, serve};
use super::hostile::{frame, startup};
use crate::ServerConfig;

/// A client that writes messages and reads their answers.
struct Raw {
    socket: TcpStream,
    at_once: Arc<AtomicUsize>,
}

impl Raw {
    async fn new() -> Self {
        let fake = Fake::default();
        let at_once = Arc::clone(&fake.at_once);
        let address = serve(fake, ServerConfig::default()).await;
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(&startup()).await.unwrap();
        let mut raw = Self { socket, at_once };
        raw.answers().await;
        raw
    }

    /// The kinds of the answers up to ReadyForQuery; of errors their code, of completions their tag.
    async fn answers(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let kind = self.socket.read_u8().await.unwrap();
            let length = self.socket.read_u32().await.unwrap();
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.socket.read_exact(&mut body).await.unwrap();
            let fields = body.split(|byte| *byte == 0);
            let mut fields = fields.map(|field| String::from_utf8_lossy(field).into_owned());
            all.push(match kind {
                b'Z' => return all,
                b'C' => fields.next().unwrap(),
                b'E' => fields.find(|field| field.starts_with('C')).unwrap(),
                kind => char::from(kind).to_string(),
            });
        }
    }

    async fn ask(&mut self, messages: &[Vec<u8>]) -> Vec<String> {
        self.socket.write_all(&messages.concat()).await.unwrap();
        self.answers().await
    }
}

fn parse(name: &str) -> Vec<u8> {
    let body = [name.as_bytes(), b"\0insert\0\0\0"].concat();
    frame(b'P', &body)
}

fn bind(portal: &str, name: &str, value: i64) -> Vec<u8> {
    let head = [portal.as_bytes(), b"\0", name.as_bytes(), b"\0"].concat();
    let rest = b"\0\x01\0\x01\0\x01\0\0\0\x08";
    frame(
        b'B',
        &[&head[..], rest, &value.to_be_bytes(), b"\0\0"].concat(),
    )
}

fn describe() -> Vec<u8> {
    frame(b'D', b"P\0")
}

fn execute(portal: &str) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0\0\0\0\0"].concat())
}

fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

#[tokio::test]
async fn each_run_is_answered_as_if_it_were_alone() {
    let mut raw = Raw::new().await;
    let run = |value| [bind("", "s", value), execute("")].concat();
    let told = |value| [bind("", "s", value), describe(), execute("")].concat();
    let plain = ["2", "INSERT 0 1"];
    let with_columns = ["2", "n", "INSERT 0 1"];

    let said = raw.ask(&[parse("s"), run(1), run(2), run(3), sync()]).await;
    assert_eq!(said, [&["1"][..], &plain, &plain, &plain].concat());
    assert_eq!(raw.at_once.load(Ordering::Relaxed), 3);

    let said = raw.ask(&[told(1), told(2), run(3), sync()]).await;
    assert_eq!(said, [&with_columns[..], &with_columns, &plain].concat());
    assert_eq!(raw.at_once.load(Ordering::Relaxed), 6);

    // One alone, and a portal with a name, are as they always were.
    assert_eq!(raw.ask(&[run(1), sync()]).await, plain);
    let named = [
        bind("p", "s", 1),
        execute("p"),
        bind("q", "s", 1),
        execute("q"),
    ]
    .concat();
    assert_eq!(raw.ask(&[named, sync()]).await, [plain, plain].concat());
    assert_eq!(raw.at_once.load(Ordering::Relaxed), 6);

    // What follows the runs comes after them.
    let other = [parse("t"), bind("", "t", 1), execute("")].concat();
    let said = raw.ask(&[run(1), run(2), other, run(3), sync()]).await;
    let parsed = ["1", "2", "INSERT 0 1"];
    assert_eq!(said, [&plain[..], &plain, &parsed, &plain].concat());
}

#[tokio::test]
async fn the_run_at_fault_is_told_of_and_those_behind_it_are_skipped() {
    let mut raw = Raw::new().await;
    let run = |value| [bind("", "s", value), execute("")].concat();
    let runs = [parse("s"), run(1), run(2), run(0), run(3), sync()];
    let plain = ["2", "INSERT 0 1"];
    let said = raw.ask(&runs).await;
    assert_eq!(
        said,
        [&["1"][..], &plain, &plain, &["2", "C23514"]].concat()
    );
    // The next ones are tried in one go again, and a value that is none is found where it stands.
    let before = raw.at_once.load(Ordering::Relaxed);
    let short = frame(b'B', b"\0s\0\0\x01\0\x01\0\x01\0\0\0\x01x\0\0");
    let said = raw.ask(&[run(1), run(2), short, execute(""), sync()]).await;
    assert_eq!(said, [&plain[..], &plain, &["C22P03"]].concat());
    assert_eq!(raw.at_once.load(Ordering::Relaxed), before + 3);
    let few = frame(b'B', b"\0s\0\0\0\0\0\0\0");
    let said = raw.ask(&[run(1), run(2), few, execute(""), sync()]).await;
    assert_eq!(said, [&plain[..], &plain, &["C08P01"]].concat());
    assert_eq!(
        raw.ask(&[run(1), run(2), sync()]).await,
        [plain, plain].concat()
    );
    // The portal has run.
    let said = raw.ask(&[run(1), run(2), execute(""), sync()]).await;
    assert_eq!(said, [&plain[..], &plain, &["C55000"]].concat());
}
