//! The frame guard: what stands between a hostile socket and the decoder.
//!
//! pgwire's decoder trusts lengths: it panics on frames that are shorter than their fields and
//! waits for half a gigabyte before a client is known. So a frame's length is checked when its
//! five bytes are here, and its fields are walked before they are decoded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use chronolith_types::SqlState;
use pgwire::messages::{DecodeContext, PgWireFrontendMessage, ProtocolVersion};

use crate::failure::Failure;

/// Bytes a client may send as one message before it is authenticated.
pub const PREAUTH_FRAME_BYTES_MAX: usize = 10_000;

/// What one connection and all of them together may hold of unread frames.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame_bytes_max: usize,
    /// Shared by all connections.
    pub budget: Arc<Budget>,
}

/// Bytes that all connections together may hold of unread large frames.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    used: AtomicUsize,
}

impl Budget {
    /// Of so many bytes.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            used: AtomicUsize::new(0),
        })
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= self.max)
            })
            .ok()?;
        Some(Share {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Frames below this size are not counted: a connection's buffer holds them anyway.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// What a client sent.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message(PgWireFrontendMessage),
    /// A whole message of some type whose text is not UTF-8: that is the statement's fault, and
    /// what follows it can be read.
    NoText(u8, Failure),
}

impl Incoming {
    /// Whether it is a Sync.
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self, Self::Message(PgWireFrontendMessage::Sync(_)))
    }
}

/// What is wrong with a message.
enum Fault {
    /// Text that is not UTF-8.
    Text(Failure),
    /// Anything else.
    Form(Failure),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Form(failure)
    }
}

/// Takes frames off a connection's input.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: Limits,
    authenticated: bool,
    waiting: Option<Share>,
    context: DecodeContext,
}

impl Guard {
    pub(crate) fn new(limits: Limits) -> Self {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        Self {
            limits,
            authenticated: false,
            waiting: None,
            context,
        }
    }

    /// From now on the client is known.
    pub(crate) fn authenticated(&mut self) {
        self.authenticated = true;
    }

    /// The type and body length of the next frame once its head is here; refuses bad ones early.
    fn head(&self, input: &BytesMut) -> Result<Option<(u8, usize)>, Failure> {
        let Some(&kind) = input.first() else {
            return Ok(None);
        };
        let known = if self.authenticated {
            b"QPBDECSHXdcfpF".contains(&kind)
        } else {
            kind == b'p'
        };
        if !known {
            return Err(if self.authenticated {
                Failure::protocol(format!("invalid frontend message type {kind}"))
            } else {
                Failure::protocol(format!("expected SASL response, got message type {kind}"))
            });
        }
        let Some(length) = input.get(1..5).and_then(|b| <[u8; 4]>::try_from(b).ok()) else {
            return Ok(None);
        };
        let length = usize::try_from(i32::from_be_bytes(length))
            .ok()
            .filter(|length| *length >= 4)
            .ok_or_else(|| Failure::protocol("invalid message length"))?;
        let small = !self.authenticated || !b"QPBdF".contains(&kind);
        let max = if small {
            PREAUTH_FRAME_BYTES_MAX
        } else {
            self.limits.frame_bytes_max
        };
        if length > max {
            return Err(Failure::protocol("invalid message length").hint(format!(
                "A message of type \"{}\" may have {max} bytes.",
                char::from(kind)
            )));
        }
        Ok(Some((kind, length)))
    }

    /// The raw next frame: its type and body.
    pub(crate) fn frame(&mut self, input: &mut BytesMut) -> Result<Option<(u8, Bytes)>, Failure> {
        let Some((kind, length)) = self.head(input)? else {
            return Ok(None);
        };
        if input.len() < length + 1 {
            if length > UNCOUNTED_BYTES && self.waiting.is_none() {
                self.waiting = Some(self.limits.budget.take(length).ok_or_else(|| {
                    Failure::new(SqlState::OUT_OF_MEMORY, "out of memory").hint(
                        "The messages of all connections together exceed the server's budget; try again later or send smaller ones.",
                    )
                })?);
            }
            return Ok(None);
        }
        self.waiting = None;
        input.advance(5);
        Ok(Some((kind, input.split_to(length - 4).freeze())))
    }

    /// The next message, decoded.
    pub(crate) fn message(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, Failure> {
        let Some((kind, length)) = self.head(input)? else {
            return Ok(None);
        };
        if input.len() < length + 1 {
            // Takes the budget's share.
            self.frame(input)?;
            return Ok(None);
        }
        self.waiting = None;
        let mut frame = input.split_to(length + 1);
        match check(kind, frame.get(5..).unwrap_or_default()) {
            Ok(()) => {}
            Err(Fault::Text(failure)) => return Ok(Some(Incoming::NoText(kind, failure))),
            Err(Fault::Form(failure)) => return Err(failure),
        }
        PgWireFrontendMessage::decode(&mut frame, &self.context)
            .map(|message| message.map(Incoming::Message))
            .map_err(|error| Failure::protocol(format!("invalid message format: {error}")))
    }
}

/// Walks a body's fields, so that the decoder meets none that is missing.
fn check(kind: u8, body: &[u8]) -> Result<(), Fault> {
    let mut walk = Walk(body);
    match kind {
        b'Q' => walk.text()?,
        b'P' => {
            walk.text()?;
            walk.text()?;
            let types = walk.count()?;
            walk.skip(types * 4)?;
        }
        b'B' => {
            walk.text()?;
            walk.text()?;
            let formats = walk.count()?;
            walk.skip(formats * 2)?;
            for _ in 0..walk.count()? {
                let length = i32::from_be_bytes(walk.array()?);
                match usize::try_from(length) {
                    Ok(length) => walk.skip(length)?,
                    Err(_) if length == -1 => {}
                    Err(_) => return Err(malformed().into()),
                }
            }
            let formats = walk.count()?;
            walk.skip(formats * 2)?;
        }
        b'D' | b'C' => {
            let [target] = walk.array()?;
            if target != b'S' && target != b'P' {
                return Err(Failure::protocol(format!(
                    "invalid {} message subtype {target}",
                    if kind == b'D' { "DESCRIBE" } else { "CLOSE" }
                ))
                .into());
            }
            walk.text()?;
        }
        b'E' => {
            walk.text()?;
            walk.skip(4)?;
        }
        b'f' => walk.text()?,
        b'd' | b'p' => return Ok(()),
        _ => {}
    }
    if walk.0.is_empty() {
        Ok(())
    } else {
        Err(malformed().into())
    }
}

fn malformed() -> Failure {
    Failure::protocol("invalid message format")
}

struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn text(&mut self) -> Result<(), Fault> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| Failure::protocol("invalid string in message"))?;
        let (text, rest) = self.0.split_at(end);
        if let Err(error) = std::str::from_utf8(text) {
            let at = error.valid_up_to();
            let bytes: Vec<String> = text
                .iter()
                .skip(at)
                .take(error.error_len().unwrap_or(4))
                .map(|byte| format!("0x{byte:02x}"))
                .collect();
            return Err(Fault::Text(Failure::new(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                format!(
                    "invalid byte sequence for encoding \"UTF8\": {}",
                    bytes.join(" ")
                ),
            )));
        }
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| Failure::protocol("insufficient data left in message"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn count(&mut self) -> Result<usize, Failure> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Failure> {
        self.0 = self
            .0
            .get(bytes..)
            .ok_or_else(|| Failure::protocol("insufficient data left in message"))?;
        Ok(())
    }
}
