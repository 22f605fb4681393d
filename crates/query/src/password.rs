//! Passwords as they are kept: SCRAM-SHA-256 verifiers in PostgreSQL's form.
//!
//! A verifier proves a password without holding it:
//! `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, the last three in base64.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::error::Error;

/// PostgreSQL's `SCRAM_SHA_256_DEFAULT_ITERATIONS`.
const ITERATIONS_DEFAULT: NonZeroU32 = NonZeroU32::new(4096).unwrap();
/// PostgreSQL's `SCRAM_DEFAULT_SALT_LEN`.
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// What is kept of a password: enough to check a client's proof, not enough to log in.
///
/// ```
/// use chronolith_query::password::Verifier;
///
/// let kept = Verifier::new("s3cret")?.to_string();
/// assert!(kept.starts_with("SCRAM-SHA-256$4096:"));
/// let read = Verifier::parse(&kept).expect("what was written is read");
/// assert!(read.accepts("s3cret"));
/// assert!(!read.accepts("secret"));
/// # Ok::<(), chronolith_query::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
}

impl Verifier {
    /// A verifier of `password` under a fresh random salt.
    pub fn new(password: &str) -> Result<Self, Error> {
        let mut salt = [0_u8; SALT_BYTES];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| Error::internal("could not generate random salt"))?;
        Ok(Self::with_salt(password, &salt, ITERATIONS_DEFAULT))
    }

    /// A verifier under a given salt and number of iterations.
    #[must_use]
    pub fn with_salt(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let salted = salted_password(password, salt, iterations);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let server_key = hmac::sign(&salted, b"Server Key");
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: key(stored_key.as_ref()),
            server_key: key(server_key.as_ref()),
        }
    }

    /// Reads PostgreSQL's form; None when `text` is not a verifier.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Self {
            iterations: iterations.parse().ok()?,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server).ok()?.try_into().ok()?,
        })
    }

    /// Whether this is the verifier of `password`.
    #[must_use]
    pub fn accepts(&self, password: &str) -> bool {
        let other = Self::with_salt(password, &self.salt, self.iterations);
        // Every byte is looked at, so that the time taken does not tell how many were right.
        let differences = self
            .stored_key
            .iter()
            .zip(&other.stored_key)
            .fold(0, |found, (a, b)| found | (a ^ b));
        differences == 0
    }

    /// How often the password was hashed.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations.get()
    }

    /// The salt that the server tells a client.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// What a client's proof is checked against.
    #[must_use]
    pub fn stored_key(&self) -> &[u8] {
        &self.stored_key
    }

    /// What the server's own proof is made with.
    #[must_use]
    pub fn server_key(&self) -> &[u8] {
        &self.server_key
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key),
        )
    }
}

impl std::fmt::Debug for Verifier {
    /// Keys stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What is kept for a password given to CREATE or ALTER ROLE: itself when it already is a
/// verifier, as a dump restores it; else a fresh verifier of it.
pub fn verifier_of(password: &str) -> Result<String, Error> {
    if Verifier::parse(password).is_some() {
        return Ok(password.to_owned());
    }
    Verifier::new(password).map(|verifier| verifier.to_string())
}

/// RFC 5802's `SaltedPassword`, which is PBKDF2 of the prepared password.
#[must_use]
pub fn salted_password(password: &str, salt: &[u8], iterations: NonZeroU32) -> [u8; KEY_BYTES] {
    // As in PostgreSQL, a password that SASLprep refuses is used as it stands.
    let prepared = stringprep::saslprep(password);
    let bytes = prepared.as_deref().unwrap_or(password).as_bytes();
    let mut out = [0; KEY_BYTES];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        bytes,
        &mut out,
    );
    out
}

fn key(bytes: &[u8]) -> [u8; KEY_BYTES] {
    let mut out = [0; KEY_BYTES];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, whose password is "pencil".
    #[test]
    fn keys_are_those_of_the_rfc_exchange() {
        let salt = STANDARD
            .decode("W22ZaJ0SNY7soEsUEjb6gQ==")
            .unwrap_or_default();
        let verifier = Verifier::with_salt("pencil", &salt, ITERATIONS_DEFAULT);
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server = hmac::Key::new(hmac::HMAC_SHA256, verifier.server_key());
        let proof = hmac::sign(&server, message.as_bytes());
        assert_eq!(
            STANDARD.encode(proof.as_ref()),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn a_verifier_survives_writing_and_a_wrong_password_does_not() {
        let verifier = Verifier::with_salt("pencil", &[7; 16], ITERATIONS_DEFAULT);
        let read = Verifier::parse(&verifier.to_string());
        assert_eq!(read.as_ref(), Some(&verifier));
        assert!(verifier.accepts("pencil"));
        assert!(!verifier.accepts("Pencil"));
        assert_eq!(Verifier::parse("md5abc"), None);
        assert_eq!(Verifier::parse("SCRAM-SHA-256$0:AA==$AA==:AA=="), None);
    }
}
