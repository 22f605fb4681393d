//! From an accepted socket to an authenticated client.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use chronolith_types::SqlState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::Startup;
use crate::failure::Failure;
use crate::guard::PREAUTH_FRAME_BYTES_MAX;
use crate::out;
use crate::scram::{Binding, Exchange, Verifier};
use crate::tls::Tls;
use crate::wire::{End, Socket, Wire};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_3_2: i32 = 3 << 16 | 2;

/// What a client asks for first.
pub(crate) enum First {
    /// To stop what another connection runs.
    Cancel { pid: i32, secret: Vec<u8> },
    /// A session.
    Session(Box<Hello>),
}

/// A startup packet, read.
pub(crate) struct Hello {
    pub(crate) socket: Box<dyn Socket>,
    pub(crate) startup: Startup,
    pub(crate) binding: Binding,
    /// The certificate that the client showed, which one whom the server trusts has signed.
    pub(crate) certificate: Option<Vec<u8>>,
    /// Whether it speaks a protocol whose keys of cancelling may be long.
    pub(crate) long_keys: bool,
    /// The reply to a newer minor version or to unknown options, if one is due.
    pub(crate) negotiate: Option<Vec<String>>,
    /// Sent with or behind the startup packet, as a cancelling client may.
    pub(crate) rest: BytesMut,
}

/// Reads one length-prefixed packet, and nothing behind it.
async fn packet(socket: &mut Box<dyn Socket>) -> Result<Vec<u8>, End> {
    let mut head = [0; 4];
    socket
        .read_exact(&mut head)
        .await
        .map_err(|_| End::Closed)?;
    let length = usize::try_from(i32::from_be_bytes(head))
        .ok()
        .filter(|length| (8..=PREAUTH_FRAME_BYTES_MAX).contains(length))
        .ok_or_else(|| Failure::protocol("invalid length of startup packet"))?;
    let mut body = vec![0; length - 4];
    socket
        .read_exact(&mut body)
        .await
        .map_err(|_| End::Closed)?;
    Ok(body)
}

/// Negotiates encryption and reads the startup or cancel packet. Reads exactly what it decodes, so
/// bytes that were smuggled in before a TLS handshake go into the handshake, which refuses them.
pub(crate) async fn first(
    mut socket: Box<dyn Socket>,
    tls: Option<&Tls>,
) -> Result<First, (Option<Box<dyn Socket>>, End)> {
    let mut binding = Binding::Plain;
    let mut certificate = None;
    // Each of SSL and GSS may be asked for once.
    for _ in 0..3 {
        let body = match packet(&mut socket).await {
            Ok(body) => body,
            Err(end) => return Err((Some(socket), end)),
        };
        let mut rest = body.as_slice();
        let code = rest.get_u32();
        match code {
            SSL_REQUEST if matches!(binding, Binding::Plain) => {
                let Some(tls) = tls else {
                    if socket.write_all(b"N").await.is_err() {
                        return Err((None, End::Closed));
                    }
                    continue;
                };
                if socket.write_all(b"S").await.is_err() || socket.flush().await.is_err() {
                    return Err((None, End::Closed));
                }
                match tls.acceptor.accept(socket).await {
                    Ok(stream) => {
                        let shown = stream.get_ref().1.peer_certificates();
                        let shown = shown.and_then(|chain| chain.first());
                        certificate = shown.map(|shown| shown.to_vec());
                        socket = Box::new(stream);
                        binding = tls
                            .end_point
                            .clone()
                            .map_or(Binding::Unknown, Binding::EndPoint);
                    }
                    Err(error) => {
                        tracing::debug!("TLS handshake failed: {error}");
                        return Err((None, End::Closed));
                    }
                }
            }
            GSS_REQUEST => {
                if socket.write_all(b"N").await.is_err() {
                    return Err((None, End::Closed));
                }
            }
            CANCEL_REQUEST => {
                if rest.len() < 8 || rest.len() > 260 {
                    return Err((None, End::Closed));
                }
                let pid = rest.get_i32();
                return Ok(First::Cancel {
                    pid,
                    secret: rest.to_vec(),
                });
            }
            _ => {
                return match hello(code, rest) {
                    Ok((startup, negotiate)) => Ok(First::Session(Box::new(Hello {
                        socket,
                        startup,
                        binding,
                        certificate,
                        long_keys: code & 0xffff >= 2,
                        negotiate,
                        rest: BytesMut::new(),
                    }))),
                    Err(failure) => Err((Some(socket), End::Fatal(failure))),
                };
            }
        }
    }
    Err((
        Some(socket),
        End::Fatal(Failure::protocol("expected a startup packet")),
    ))
}

fn hello(code: u32, body: &[u8]) -> Result<(Startup, Option<Vec<String>>), Failure> {
    let (major, minor) = (code >> 16, code & 0xffff);
    if major != 3 {
        return Err(Failure::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"),
        ));
    }
    let invalid =
        || Failure::protocol("invalid startup packet layout: expected terminator as last byte");
    let body = body.strip_suffix(b"\0").ok_or_else(invalid)?;
    let mut settings = BTreeMap::new();
    let mut unknown = Vec::new();
    // A list of name\0value\0 pairs; an empty one has nothing between the terminators.
    let mut fields = body.split(|b| *b == 0);
    while let Some(name) = fields.next().filter(|name| !name.is_empty()) {
        let value = fields.next().ok_or_else(invalid)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| invalid());
        let (name, value) = (text(name)?, text(value)?);
        if name.starts_with("_pq_.") {
            unknown.push(name);
        } else {
            settings.insert(name, value);
        }
    }
    let user = settings.remove("user").unwrap_or_default();
    if user.is_empty() {
        return Err(Failure::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    let database = settings
        .remove("database")
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| user.clone());
    if settings
        .remove("replication")
        .is_some_and(|value| !matches!(value.as_str(), "0" | "off" | "false" | "no"))
    {
        return Err(Failure::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "replication connections are not supported",
        ));
    }
    let negotiate = (minor > 2 || minor == 1 || !unknown.is_empty()).then_some(unknown);
    let startup = Startup {
        user,
        database,
        settings,
        client: None,
        server: None,
    };
    Ok((startup, negotiate))
}

/// 28P01, whatever was wrong with name or password.
pub(crate) fn wrong_password(user: &str) -> Failure {
    Failure::new(
        SqlState::INVALID_PASSWORD,
        format!("password authentication failed for user \"{user}\""),
    )
}

/// Tells the client of the newest version and the options that are not known.
pub(crate) fn negotiate(out: &mut Vec<u8>, unknown: &[String]) {
    out::negotiate(out, PROTOCOL_3_2, unknown);
}

/// The exchange of SCRAM-SHA-256; ends in AuthenticationOk, not yet flushed.
pub(crate) async fn scram(
    wire: &mut Wire,
    user: &str,
    verifier: Verifier,
    binding: &Binding,
) -> Result<(), End> {
    out::authentication(&mut wire.out, 10, binding.mechanisms());
    wire.flush().await?;
    let body = wire.frame().await?;
    let malformed = || Failure::protocol("malformed SASLInitialResponse message");
    let end = body.iter().position(|b| *b == 0).ok_or_else(malformed)?;
    let mechanism = std::str::from_utf8(body.get(..end).unwrap_or_default())
        .map_err(|_| malformed())?
        .to_owned();
    let mut rest = body.slice(end + 1..);
    if rest.len() < 4 {
        return Err(malformed().into());
    }
    let length = rest.get_i32();
    let first = match usize::try_from(length) {
        Ok(length) if length == rest.len() => rest,
        Err(_) if length == -1 && rest.is_empty() => rest,
        _ => return Err(malformed().into()),
    };
    let (exchange, reply) = Exchange::begin(verifier, &mechanism, binding, &first)?;
    out::authentication(&mut wire.out, 11, reply.as_bytes());
    wire.flush().await?;
    let last = wire.frame().await?;
    match exchange.finish(&last)? {
        Some(proof) => {
            out::authentication(&mut wire.out, 12, proof.as_bytes());
            Ok(())
        }
        None => Err(End::Fatal(wrong_password(user))),
    }
}

/// The password as the client sends it, over an encrypted connection.
pub(crate) async fn password(wire: &mut Wire, user: &str, kept: Option<&str>) -> Result<(), End> {
    out::authentication(&mut wire.out, 3, &[]);
    wire.flush().await?;
    let body = wire.frame().await?;
    let given = body
        .strip_suffix(b"\0")
        .and_then(|text| std::str::from_utf8(text).ok())
        .ok_or_else(|| Failure::protocol("invalid password packet size"))?;
    if given.is_empty() {
        return Err(Failure::new(
            SqlState::INVALID_PASSWORD,
            "empty password returned by client",
        )
        .into());
    }
    let kept = kept.and_then(chronolith::password::Verifier::parse);
    // Who has no password costs as much time as who has.
    let mock = || {
        let iterations = std::num::NonZeroU32::MIN.saturating_add(4095);
        chronolith::password::Verifier::with_salt("", &[0; 16], iterations)
    };
    let known = kept.is_some();
    let verifier = kept.unwrap_or_else(mock);
    match verifier.accepts(given) && known {
        true => Ok(()),
        false => Err(wrong_password(user).into()),
    }
}
