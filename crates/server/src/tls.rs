//! TLS: certificate and key from PEM files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::failure::ServerError;

/// Where the certificate chain and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM; readable by its owner alone.
    pub key: PathBuf,
    /// PEM, those whose signatures on clients' certificates count; without them nobody is asked for one.
    pub authorities: Option<PathBuf>,
}

/// Ready to shake hands.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    /// tls-server-end-point: the certificate's digest by its own signature's hash.
    pub(crate) end_point: Option<Vec<u8>>,
}

fn problem(path: &Path, reason: impl ToString) -> ServerError {
    ServerError::Tls {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

impl Tls {
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, ServerError> {
        check_mode(&files.key)?;
        let pem = fs::read(&files.certificate).map_err(|e| problem(&files.certificate, e))?;
        let chain: Vec<CertificateDer<'static>> = rustls_pemfile::certs(&mut pem.as_slice())
            .collect::<Result<_, _>>()
            .map_err(|e| problem(&files.certificate, e))?;
        let pem = fs::read(&files.key).map_err(|e| problem(&files.key, e))?;
        let key: PrivateKeyDer<'static> = rustls_pemfile::private_key(&mut pem.as_slice())
            .map_err(|e| problem(&files.key, e))?
            .ok_or_else(|| problem(&files.key, "no private key in it"))?;
        let end_point = chain.first().and_then(|cert| end_point(cert));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = match &files.authorities {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => clients(path, &provider)?,
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| problem(&files.certificate, e))?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .map_err(|e| problem(&files.certificate, e))?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            end_point,
        })
    }
}

/// Who looks at clients' certificates: a client may have none, but no other than one that is signed.
fn clients(
    path: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerError> {
    let pem = fs::read(path).map_err(|e| problem(path, e))?;
    let mut roots = RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut pem.as_slice()) {
        let certificate = certificate.map_err(|e| problem(path, e))?;
        roots.add(certificate).map_err(|e| problem(path, e))?;
    }
    if roots.is_empty() {
        return Err(problem(path, "no certificate in it"));
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .allow_unauthenticated()
        .build()
        .map_err(|e| problem(path, e))
}

/// A key that others can read is refused, as PostgreSQL does.
fn check_mode(path: &Path) -> Result<(), ServerError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path)
            .map_err(|e| problem(path, e))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(problem(
                path,
                "it has group or world access; its permissions should be u=rw (0600)",
            ));
        }
    }
    Ok(())
}

/// RFC 5929: the certificate hashed with its signature's hash, SHA-256 for MD5 and SHA-1. None
/// for signatures whose hash is not named, such as Ed25519.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbs SEQUENCE, algorithm SEQUENCE { OID, … }, … }
    let (certificate_body, _) = element(certificate, 0x30)?;
    let (_, rest) = element(certificate_body, 0x30)?;
    let (algorithm, _) = element(rest, 0x30)?;
    let (oid, _) = element(algorithm, 0x06)?;
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
    let (last, family) = oid.split_last()?;
    let algorithm = if family == RSA {
        match *last {
            4 | 5 | 11 => &digest::SHA256,
            12 => &digest::SHA384,
            13 => &digest::SHA512,
            _ => return None,
        }
    } else if family == ECDSA_SHA2 {
        match *last {
            2 => &digest::SHA256,
            3 => &digest::SHA384,
            4 => &digest::SHA512,
            _ => return None,
        }
    } else {
        return None;
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// A DER element's content, and what follows it.
pub(crate) fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let digits = usize::from(first & 0x7f);
        if digits > 4 {
            return None;
        }
        let (head, rest) = rest.split_at_checked(digits)?;
        let length = head.iter().fold(0, |sum, b| sum << 8 | usize::from(*b));
        (length, rest)
    };
    rest.split_at_checked(length)
}
