//! Encrypted connections, and passwords bound to them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ring::digest;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::{self, TlsConnect};
use tokio_postgres::{Client, Config};

use super::fake::{Fake, serve};
use super::hostile::{says, startup};
use super::protocol::pencil;
use crate::gate::{self, Ends, Peer, Proof};
use crate::{Server, ServerConfig, ServerError, Startup, TlsFiles};

/// A certificate of its own in a directory of its own.
pub(super) struct Certificate {
    der: CertificateDer<'static>,
    files: TlsFiles,
    _dir: tempfile::TempDir,
}

impl Certificate {
    pub(super) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: dir.path().join("server.crt"),
            key: dir.path().join("server.key"),
            authorities: None,
        };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self {
            der: made.cert.der().clone(),
            files,
            _dir: dir,
        }
    }

    pub(super) fn config(&self) -> ServerConfig {
        ServerConfig {
            tls: Some(self.files.clone()),
            ..ServerConfig::default()
        }
    }
}

/// A client's side of TLS that trusts one certificate; `binding` is what it takes the server's
/// end point to be.
pub(super) struct Trust {
    config: Arc<rustls::ClientConfig>,
    binding: Vec<u8>,
}

impl Trust {
    pub(super) fn of(certificate: &Certificate) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let binding = digest::digest(&digest::SHA256, &certificate.der);
        Self {
            config: Arc::new(config),
            binding: binding.as_ref().to_vec(),
        }
    }

    /// Asks a server for TLS by hand.
    pub(super) async fn shake(
        self,
        mut socket: TcpStream,
    ) -> tokio_rustls::client::TlsStream<TcpStream> {
        socket
            .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
            .await
            .unwrap();
        let mut said = [0];
        socket.read_exact(&mut said).await.unwrap();
        assert_eq!(said, *b"S");
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(self.config);
        connector.connect(name, socket).await.unwrap()
    }
}

pub(super) struct Stream {
    inner: tokio_rustls::client::TlsStream<TcpStream>,
    binding: Vec<u8>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl tls::TlsStream for Stream {
    fn channel_binding(&self) -> tls::ChannelBinding {
        tls::ChannelBinding::tls_server_end_point(self.binding.clone())
    }
}

impl TlsConnect<TcpStream> for Trust {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, io::Error>> + Send>>;

    fn connect(self, socket: TcpStream) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from("localhost").unwrap();
            let connector = tokio_rustls::TlsConnector::from(self.config);
            Ok(Stream {
                inner: connector.connect(name, socket).await?,
                binding: self.binding,
            })
        })
    }
}

async fn connect(
    port: u16,
    trust: Trust,
    binding: ChannelBinding,
) -> Result<Client, tokio_postgres::Error> {
    over_tls(port, trust, binding, "pencil").await
}

pub(super) async fn over_tls(
    port: u16,
    trust: Trust,
    binding: ChannelBinding,
    password: &str,
) -> Result<Client, tokio_postgres::Error> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (client, connection) = Config::new()
        .user("postgres")
        .dbname("postgres")
        .password(password)
        .ssl_mode(SslMode::Require)
        .channel_binding(binding)
        .connect_raw(socket, trust)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

fn guarded() -> Fake {
    Fake {
        verifier: Some(pencil()),
        ..Fake::default()
    }
}

#[tokio::test]
async fn a_password_is_proved_over_tls_with_and_without_channel_binding() {
    let certificate = Certificate::new();
    let address = serve(guarded(), certificate.config()).await;
    for binding in [ChannelBinding::Require, ChannelBinding::Disable] {
        let trust = Trust::of(&certificate);
        let client = connect(address.port(), trust, binding).await.unwrap();
        let row = client.query_one("echo", &[&7_i64]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 7);
    }
}

#[tokio::test]
async fn a_proof_bound_to_another_certificate_is_refused() {
    let certificate = Certificate::new();
    let address = serve(guarded(), certificate.config()).await;
    let mut trust = Trust::of(&certificate);
    trust.binding = vec![7; 32];
    let error = connect(address.port(), trust, ChannelBinding::Require)
        .await
        .err()
        .unwrap();
    assert_eq!(error.code().unwrap().code(), "28000");
}

#[tokio::test]
async fn other_addresses_need_tls_and_a_password() {
    let certificate = Certificate::new();
    let anywhere = |tls| ServerConfig {
        listen: vec![([0, 0, 0, 0], 0).into()],
        tls,
        ..ServerConfig::default()
    };
    let files = || Some(certificate.files.clone());
    for (fake, config) in [
        (guarded(), anywhere(None)),
        (Fake::default(), anywhere(files())),
    ] {
        let refused = Server::bind(Arc::new(fake), config).await.unwrap_err();
        assert!(matches!(refused, ServerError::Refused(_)), "{refused}");
    }
    assert!(
        Server::bind(Arc::new(guarded()), anywhere(files()))
            .await
            .is_ok()
    );
}

/// What a client owes that comes from an address, where no file says who may come in.
async fn owed(from: &str, encrypted: bool, plaintext: bool) -> Result<Proof, String> {
    let ends = Ends {
        peer: Peer::Address(from.parse().unwrap()),
        local: None,
        encrypted,
        certificate: None,
        asks: false,
        plaintext,
    };
    let fake = guarded();
    let role = crate::Backend::role(&fake, "postgres");
    let hello = Startup {
        user: "postgres".to_owned(),
        database: "postgres".to_owned(),
        ..Startup::default()
    };
    let owed = gate::proof(&fake, &hello, role.as_ref(), &ends).await;
    owed.map(|owed| owed.proof)
        .map_err(|failure| format!("{} {}", failure.code, failure.message))
}

#[tokio::test]
async fn clients_of_other_machines_owe_tls_unless_plaintext_was_asked_for() {
    for far in ["10.0.0.9:7", "[2001:db8::9]:7", "[::ffff:10.0.0.9]:7"] {
        let host = match far.contains("2001") {
            true => "2001:db8::9",
            false => "10.0.0.9",
        };
        let refused = format!(
            "28000 no pg_hba.conf entry for host \"{host}\", user \"postgres\", database \"postgres\", no encryption"
        );
        assert_eq!(owed(far, false, false).await, Err(refused));
        assert_eq!(owed(far, true, false).await, Ok(Proof::Scram));
        assert_eq!(owed(far, false, true).await, Ok(Proof::Scram));
    }
    for near in ["127.0.0.1:7", "[::1]:7", "[::ffff:127.0.0.2]:7"] {
        assert_eq!(owed(near, false, false).await, Ok(Proof::Scram), "{near}");
    }
}

/// An address of this machine that is not its loopback, where it has one.
fn own_address() -> Option<std::net::IpAddr> {
    // Nothing is sent: the kernel just says where it would be sent from.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.254:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

#[tokio::test]
async fn a_client_in_the_clear_from_elsewhere_is_refused_before_it_is_asked_for_anything() {
    let Some(own) = own_address() else {
        return;
    };
    let certificate = Certificate::new();
    for plaintext in [false, true] {
        let config = ServerConfig {
            listen: vec![([0, 0, 0, 0], 0).into()],
            plaintext,
            ..certificate.config()
        };
        let server = Server::bind(Arc::new(guarded()), config).await.unwrap();
        let port = server.addresses()[0].port();
        tokio::spawn(server.run(std::future::pending()));
        let mut socket = TcpStream::connect((own, port)).await.unwrap();
        socket.write_all(&startup()).await.unwrap();
        let mut first = vec![0; 512];
        let count = socket.read(&mut first).await.unwrap();
        first.truncate(count);
        match plaintext {
            true => assert_eq!(first[0], b'R'),
            false => {
                let message = format!("no pg_hba.conf entry for host \"{own}\"");
                assert_eq!(first[0], b'E');
                assert!(says(&first, &message), "{first:?}");
            }
        }
        let socket = TcpStream::connect((own, port)).await.unwrap();
        let mut socket = Trust::of(&certificate).shake(socket).await;
        socket.write_all(&startup()).await.unwrap();
        let mut first = [0];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(first, *b"R", "over TLS");
    }
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let certificate = Certificate::new();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&certificate.files.key, open).unwrap();
    let refused = Server::bind(Arc::new(guarded()), certificate.config()).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("permissions"), "{text}");
}
