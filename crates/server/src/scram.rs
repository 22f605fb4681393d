//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side, with channel binding over TLS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

use crate::failure::Failure;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 18;

/// What is kept of a password.
#[derive(Clone)]
pub(crate) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
    /// A stand-in for a role without a password: no proof fits it.
    mock: bool,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Self {
            iterations: iterations.parse().ok().filter(|n| *n > 0)?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server).ok()?.try_into().ok()?,
            mock: false,
        })
    }

    /// For a role that is unknown or has no password: the same salt each time it is asked, so that
    /// the answer does not tell.
    pub(crate) fn mock(user: &str, secret: &[u8]) -> Self {
        let salt = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), user.as_bytes());
        Self {
            iterations: 4096,
            salt: salt.as_ref().iter().copied().take(16).collect(),
            stored_key: [0; KEY_BYTES],
            server_key: [0; KEY_BYTES],
            mock: true,
        }
    }
}

/// The exchange after the client's first message.
pub(crate) struct Exchange {
    verifier: Verifier,
    /// What the client must send back as `c=`.
    binding: String,
    nonce: String,
    /// Client's first message without its header, and the server's first.
    transcript: String,
}

/// Which bindings were offered to the client.
#[derive(Debug, Clone)]
pub(crate) enum Binding {
    /// No TLS.
    Plain,
    /// TLS with this tls-server-end-point value.
    EndPoint(Vec<u8>),
    /// TLS, but the certificate's digest is not known.
    Unknown,
}

impl Binding {
    /// The body of AuthenticationSASL.
    pub(crate) fn mechanisms(&self) -> &'static [u8] {
        match self {
            Self::EndPoint(_) => b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0",
            Self::Plain | Self::Unknown => b"SCRAM-SHA-256\0\0",
        }
    }
}

fn malformed(detail: &str) -> Failure {
    Failure {
        detail: Some(detail.to_owned()),
        ..Failure::protocol("malformed SCRAM message")
    }
}

impl Exchange {
    /// Reads the client's first message; gives the server's first.
    pub(crate) fn begin(
        verifier: Verifier,
        mechanism: &str,
        binding: &Binding,
        first: &[u8],
    ) -> Result<(Self, String), Failure> {
        let plus = match (mechanism, binding) {
            ("SCRAM-SHA-256", _) => false,
            ("SCRAM-SHA-256-PLUS", Binding::EndPoint(_)) => true,
            _ => {
                return Err(Failure::protocol(
                    "client selected an invalid SASL authentication mechanism",
                ));
            }
        };
        let first = std::str::from_utf8(first)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| malformed("The message is not text."))?;
        let mut parts = first.splitn(3, ',');
        let (Some(flag), Some(authzid), Some(bare)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("The header is incomplete."));
        };
        if !authzid.is_empty() {
            return Err(Failure::new(
                chronolith_types::SqlState::FEATURE_NOT_SUPPORTED,
                "client uses authorization identity, but it is not supported",
            ));
        }
        let header = format!("{flag},,");
        let mut bound = header.clone().into_bytes();
        match (flag, plus, binding) {
            ("n", false, _) => {}
            ("y", false, Binding::EndPoint(_)) => {
                // The client could, and was told that the server cannot: somebody in between lied.
                return Err(Failure {
                    detail: Some("The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.".to_owned()),
                    ..Failure::new(
                        chronolith_types::SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                        "SCRAM channel binding negotiation error",
                    )
                });
            }
            ("y", false, _) => {}
            ("p=tls-server-end-point", true, Binding::EndPoint(value)) => {
                bound.extend_from_slice(value);
            }
            _ => return Err(malformed("The channel binding does not fit the mechanism.")),
        }
        let mut fields = bare.split(',');
        let user = fields.next().unwrap_or_default();
        if !user.starts_with("n=") {
            return Err(malformed("The user name is missing."));
        }
        let nonce = fields
            .next()
            .and_then(|field| field.strip_prefix("r="))
            .filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| malformed("The nonce is missing."))?;
        let mut own = [0_u8; NONCE_BYTES];
        random(&mut own)?;
        let nonce = format!("{nonce}{}", STANDARD.encode(own));
        let reply = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&verifier.salt),
            verifier.iterations
        );
        let exchange = Self {
            verifier,
            binding: STANDARD.encode(bound),
            nonce,
            transcript: format!("{bare},{reply}"),
        };
        Ok((exchange, reply))
    }

    /// Checks the client's proof; gives the server's own, or none when the password is wrong.
    pub(crate) fn finish(self, last: &[u8]) -> Result<Option<String>, Failure> {
        let last = std::str::from_utf8(last).map_err(|_| malformed("The message is not text."))?;
        let (without, proof) = last
            .rsplit_once(",p=")
            .ok_or_else(|| malformed("The proof is missing."))?;
        let mut fields = without.split(',');
        let binding = fields
            .next()
            .and_then(|field| field.strip_prefix("c="))
            .ok_or_else(|| malformed("The channel binding is missing."))?;
        let nonce = fields
            .next()
            .and_then(|field| field.strip_prefix("r="))
            .ok_or_else(|| malformed("The nonce is missing."))?;
        if binding != self.binding {
            return Err(Failure::new(
                chronolith_types::SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "SCRAM channel binding check failed",
            ));
        }
        if nonce != self.nonce {
            return Err(Failure {
                detail: Some("Nonce does not match.".to_owned()),
                ..Failure::protocol("invalid SCRAM response")
            });
        }
        let proof: [u8; KEY_BYTES] = STANDARD
            .decode(proof)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| malformed("Malformed proof in client-final-message."))?;
        let message = format!("{},{without}", self.transcript);
        let stored = hmac::Key::new(hmac::HMAC_SHA256, &self.verifier.stored_key);
        let signature = hmac::sign(&stored, message.as_bytes());
        let mut client_key = proof;
        for (byte, mask) in client_key.iter_mut().zip(signature.as_ref()) {
            *byte ^= mask;
        }
        let hashed = digest::digest(&digest::SHA256, &client_key);
        if !equal(hashed.as_ref(), &self.verifier.stored_key) || self.verifier.mock {
            return Ok(None);
        }
        let server = hmac::Key::new(hmac::HMAC_SHA256, &self.verifier.server_key);
        let signature = hmac::sign(&server, message.as_bytes());
        Ok(Some(format!("v={}", STANDARD.encode(signature.as_ref()))))
    }
}

/// Fills with bytes that nobody can guess.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Failure> {
    SystemRandom::new().fill(bytes).map_err(|_| {
        Failure::new(
            chronolith_types::SqlState::INTERNAL_ERROR,
            "could not generate random bytes",
        )
    })
}

/// Compares without telling by its time where the difference is.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && std::hint::black_box(a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b))) == 0
}
