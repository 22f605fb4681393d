//! As much of a PostgreSQL client as scripts need: simple queries to a server that trusts its socket.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{Answer, Refusal, cell};

/// What a statement may take before it counts as hanging; the client's patience is longer.
const STATEMENT_MS: u64 = 60_000;
const PROTOCOL: i32 = 3 << 16;

#[derive(Debug)]
pub(super) struct Client {
    server: BufReader<UnixStream>,
}

impl Client {
    /// To the socket that `host=DIRECTORY port=N user=NAME dbname=NAME` says.
    pub(super) fn connect(place: &str, database: Option<&str>) -> Self {
        let words: BTreeMap<_, _> = place
            .split_whitespace()
            .map(|word| word.split_once('=').unwrap())
            .collect();
        let socket = Path::new(words["host"]).join(format!(".s.PGSQL.{}", words["port"]));
        let stream = UnixStream::connect(socket).unwrap();
        let patience = Duration::from_millis(2 * STATEMENT_MS);
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut client = Self {
            server: BufReader::new(stream),
        };
        let options = format!(
            "-c timezone=UTC -c client_min_messages=warning -c statement_timeout={STATEMENT_MS}"
        );
        let mut message = PROTOCOL.to_be_bytes().to_vec();
        for text in [
            "user",
            words["user"],
            "database",
            database.unwrap_or(words["dbname"]),
            "options",
            &options,
            "",
        ] {
            message.extend(text.as_bytes());
            message.push(0);
        }
        client.send(&[], &message);
        client.answer().unwrap();
        client
    }

    /// What the last of the statements answered.
    pub(super) fn query(&mut self, sql: &str) -> Result<Answer, Refusal> {
        let mut text = sql.as_bytes().to_vec();
        text.push(0);
        self.send(b"Q", &text);
        self.answer()
    }

    fn send(&mut self, kind: &[u8], body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap();
        let message = [kind, &length.to_be_bytes(), body].concat();
        self.server.get_mut().write_all(&message).unwrap();
    }

    /// Reads until the server is ready for the next statement.
    fn answer(&mut self) -> Result<Answer, Refusal> {
        let mut answer = Answer {
            count: None,
            rows: Vec::new(),
        };
        let mut refusal = None;
        loop {
            let mut head = [0; 5];
            self.server.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes(head[1..].try_into().unwrap());
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.server.read_exact(&mut body).unwrap();
            match head[0] {
                b'T' => answer.rows.clear(),
                b'D' => answer.rows.push(row(&body)),
                b'C' => {
                    let tag = String::from_utf8_lossy(&body[..body.len() - 1]);
                    answer.count = tag.rsplit(' ').next().and_then(|n| n.parse().ok());
                }
                b'E' => refusal = Some((field(&body, b'C'), field(&body, b'M'))),
                b'Z' => return refusal.map_or(Ok(answer), Err),
                b'R' => assert_eq!(body, [0; 4], "the server asks for a password"),
                // A script has no rows for COPY to read.
                b'G' => self.send(b"f", b"no rows\0"),
                _ => {}
            }
        }
    }
}

/// The values of a DataRow, separated by tabs.
fn row(body: &[u8]) -> String {
    let (count, mut rest) = body.split_first_chunk().unwrap();
    let mut values = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, tail) = rest.split_first_chunk().unwrap();
        rest = tail;
        values.push(cell(usize::try_from(i32::from_be_bytes(*length)).ok().map(
            |length| {
                let (value, tail) = rest.split_at(length);
                rest = tail;
                String::from_utf8_lossy(value).into_owned()
            },
        )));
    }
    values.join("\t")
}

/// A field of an ErrorResponse, by its letter.
fn field(body: &[u8], letter: u8) -> String {
    body.split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(&[letter]))
        .map(|field| String::from_utf8_lossy(field).into_owned())
        .unwrap_or_default()
}
