//! One record: a line of JSON, its last field the hash of all before it.

use std::fmt::Write as _;

use chronolith_types::TimeZone;
use chronolith_types::datetime::write_timestamptz;
use sha2::{Digest, Sha256};

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// What stands before the hash, which is the line's last field.
const HASH: &str = ",\"hash\":\"";
/// Bytes of a statement's text that are kept.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditKind {
    /// A client came in, or was refused.
    Login,
    /// Something was made or changed.
    Ddl,
    /// Something was dropped.
    Drop,
    /// A role or who may do what was changed.
    Grant,
    /// A setting of the server was changed, or its files were read again.
    Config,
    /// Chunks were dropped for their age.
    Retention,
    /// A transaction that records tell of was rolled back.
    Rollback,
    /// The log itself: what a crash left of a record was cut off.
    Recovery,
}

impl AuditKind {
    /// The word for it in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Ddl => "ddl",
            Self::Drop => "drop",
            Self::Grant => "grant",
            Self::Config => "config",
            Self::Retention => "retention",
            Self::Rollback => "rollback",
            Self::Recovery => "recovery",
        }
    }
}

/// What somebody did.
#[derive(Debug, Clone)]
pub struct AuditRecord<'a> {
    /// What it is about.
    pub kind: AuditKind,
    /// The role.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
    /// Where the client is, if there is one.
    pub client: Option<&'a str>,
    /// The session's number, if there is one.
    pub pid: Option<i32>,
    /// `ok`, or the SQLSTATE of the refusal.
    pub outcome: &'a str,
    /// The command tag, or what else was done.
    pub action: &'a str,
    /// The statement's text without secrets, or what else there is to say.
    pub text: &'a str,
}

/// The line of a record, without its end, and the hash in it.
pub(super) fn line(
    number: u64,
    time_us: i64,
    previous: &Hash,
    of: &AuditRecord<'_>,
) -> (String, Hash) {
    let mut text = of.text;
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text = text.get(..end).unwrap_or_default();
    }
    let mut time = Vec::new();
    write_timestamptz(time_us, &TimeZone::default(), &mut time);
    let mut body = format!(
        "{{\"number\":{number},\"previous\":\"{}\",\"time\":\"{}\",\"kind\":\"{}\"",
        hex(previous),
        String::from_utf8_lossy(&time),
        of.kind.name()
    );
    let mut field = |name: &str, value: &str| {
        let value = serde_json::Value::from(value);
        let _ = write!(body, ",\"{name}\":{value}");
    };
    field("user", of.user);
    field("database", of.database);
    if let Some(client) = of.client {
        field("client", client);
    }
    field("outcome", of.outcome);
    field("action", of.action);
    field("text", text);
    if let Some(pid) = of.pid {
        let _ = write!(body, ",\"pid\":{pid}");
    }
    let hash = hash_of(previous, body.as_bytes());
    let _ = write!(body, "{HASH}{}\"}}", hex(&hash));
    (body, hash)
}

/// What a line says of its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) previous: Hash,
    pub(super) hash: Hash,
    /// The hash is that of the line's content.
    pub(super) whole: bool,
}

/// Reads a line without its end; None for one that is no record.
pub(super) fn link(line: &[u8]) -> Option<Link> {
    let text = std::str::from_utf8(line).ok()?;
    let at = text.rfind(HASH)?;
    let (body, tail) = text.split_at(at);
    let hash = unhex(tail.strip_prefix(HASH)?.strip_suffix("\"}")?)?;
    let fields: serde_json::Value = serde_json::from_str(text).ok()?;
    let previous = unhex(fields.get("previous")?.as_str()?)?;
    Some(Link {
        number: fields.get("number")?.as_u64()?,
        previous,
        hash,
        whole: hash_of(&previous, body.as_bytes()) == hash,
    })
}

fn hash_of(previous: &Hash, body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(body);
    hasher.finalize().into()
}

pub(super) fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(2 * place..2 * place + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}
