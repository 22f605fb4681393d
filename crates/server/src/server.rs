//! The listening socket, and what all connections share.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::admit::{self, Registered};
use crate::backend::Backend;
use crate::crowd::Crowd;
use crate::failure::ServerError;
use crate::gate::Peer;
use crate::guard::{Budget, Limits};
use crate::local::{LocalListener, LocalSockets};
use crate::scram;
use crate::tls::{Tls, TlsFiles};
use crate::wire::{self, Socket};

/// How the server listens and what it allows.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Host names or addresses; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// TLS, when there is a certificate.
    pub tls: Option<TlsFiles>,
    /// Whether clients elsewhere may come in unencrypted. Default no.
    pub plaintext: bool,
    /// Sessions at once. Default 100, as PostgreSQL.
    pub connections_max: usize,
    /// Of these, kept for superusers. Default 3.
    pub connections_reserved: usize,
    /// Sockets of the file system beside those of the network.
    pub local: LocalSockets,
    /// Connections of one address at once; 0 for as many as there may be. Default 0.
    pub address_connections_max: usize,
    /// Sockets that have not authenticated yet, at once. Default 256.
    pub unauthenticated_max: usize,
    /// Those of one address. Default 128, so that none takes all places from the others.
    pub address_unauthenticated_max: usize,
    /// How long authentication may take. Default 10 s.
    pub auth_timeout: Duration,
    /// How long a client that failed to authenticate waits for the answer. Default 200 ms: enough
    /// to make guessing slow, too little to be noticed by who mistyped.
    pub failure_delay: Duration,
    /// Bytes of one message. Default 64 MiB.
    pub frame_bytes_max: usize,
    /// Bytes of large unread messages of all connections. Default 512 MiB.
    pub input_bytes_max: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5432))],
            tls: None,
            plaintext: false,
            connections_max: 100,
            connections_reserved: 3,
            local: LocalSockets::default(),
            address_connections_max: 0,
            unauthenticated_max: 256,
            address_unauthenticated_max: 128,
            auth_timeout: Duration::from_secs(10),
            failure_delay: Duration::from_millis(200),
            frame_bytes_max: 64 << 20,
            input_bytes_max: 512 << 20,
        }
    }
}

/// A server that listens, and may not have begun to accept.
pub struct Server {
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

/// Where clients come in.
#[derive(Debug)]
enum Listener {
    Network(TcpListener),
    Local(LocalListener),
}

/// A client that came in.
pub(crate) struct Caller {
    pub(crate) socket: Box<dyn Socket>,
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
    /// The same socket once more: seen to while the session's own thread is busy.
    pub(crate) beside: Option<OwnedFd>,
}

impl Listener {
    async fn accept(&self) -> io::Result<Caller> {
        match self {
            Self::Network(listener) => {
                let (socket, peer) = listener.accept().await?;
                let _ = socket.set_nodelay(true);
                Ok(Caller {
                    peer: Peer::Address(peer),
                    local: socket.local_addr().ok(),
                    beside: socket.as_fd().try_clone_to_owned().ok(),
                    socket: Box::new(socket),
                })
            }
            Self::Local(local) => {
                let (socket, _) = local.listener.accept().await?;
                let uid = socket.peer_cred().ok().map(|peer| peer.uid());
                Ok(Caller {
                    peer: Peer::Local(uid),
                    local: None,
                    beside: socket.as_fd().try_clone_to_owned().ok(),
                    socket: Box::new(socket),
                })
            }
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) config: ServerConfig,
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
    /// Makes mock salts that are the same each time.
    pub(crate) mock_secret: [u8; 32],
    pub(crate) cancels: Mutex<BTreeMap<i32, Registered>>,
    pub(crate) sessions: AtomicUsize,
    pub(crate) unauthenticated: Arc<Semaphore>,
    pub(crate) crowd: Arc<Crowd>,
}

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    /// When an address cannot be had, TLS files cannot be read, or clients elsewhere could come in
    /// unencrypted or without a password.
    pub async fn bind(
        backend: Arc<dyn Backend>,
        config: ServerConfig,
    ) -> Result<Self, ServerError> {
        let open = config.listen.iter().find(|a| !a.ip().is_loopback());
        if let Some(address) = open {
            if config.tls.is_none() && !config.plaintext {
                return Err(ServerError::Refused(format!(
                    "listening on {address} needs TLS: give a certificate and its key, or listen on 127.0.0.1"
                )));
            }
            if config.tls.is_none() {
                tracing::warn!("clients of {address} come in unencrypted, as --plaintext asks");
            }
            if !backend.has_password() {
                return Err(ServerError::Refused(format!(
                    "listening on {address} needs a role with a password: set one with ALTER ROLE postgres PASSWORD '…' or POSTGRES_PASSWORD, or listen on 127.0.0.1"
                )));
            }
        }
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for address in &config.listen {
            let problem = |source| ServerError::Listen {
                address: address.to_string(),
                source,
            };
            let listener = TcpListener::bind(address).await.map_err(problem)?;
            addresses.push(listener.local_addr().map_err(problem)?);
            listeners.push(Listener::Network(listener));
        }
        // As in PostgreSQL the port is in the name, whether it is listened on or not.
        let port = addresses.first().map_or(5432, SocketAddr::port);
        for directory in &config.local.directories {
            let socket = LocalListener::bind(&config.local, directory, port)?;
            listeners.push(Listener::Local(socket));
        }
        let mut mock_secret = [0; 32];
        scram::random(&mut mock_secret).map_err(|f| ServerError::Refused(f.message))?;
        let shared = Shared {
            limits: Limits {
                frame_bytes_max: config.frame_bytes_max,
                budget: Budget::new(config.input_bytes_max),
            },
            unauthenticated: Arc::new(Semaphore::new(config.unauthenticated_max)),
            backend,
            config,
            tls,
            mock_secret,
            cancels: Mutex::default(),
            sessions: AtomicUsize::new(0),
            crowd: Arc::default(),
        };
        Ok(Self {
            listeners,
            addresses,
            shared: Arc::new(shared),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts clients until `shutdown` is done, then ends their sessions.
    ///
    /// # Errors
    /// None today; a listening socket that fails is tried again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServerError> {
        for address in &self.addresses {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            tracing::info!(
                "listening on {family} address \"{}\", port {}",
                address.ip(),
                address.port()
            );
        }
        for listener in &self.listeners {
            if let Listener::Local(local) = listener {
                tracing::info!("listening on Unix socket \"{}\"", local.path.display());
            }
        }
        let backend = &self.shared.backend;
        let first = backend.role("postgres");
        if backend.rules().is_none() && first.is_some_and(|role| role.verifier.is_none()) {
            tracing::warn!(
                "role \"postgres\" has no password: connections from this machine are trusted until one is set"
            );
        }
        tracing::info!("database system is ready to accept connections");
        let (stop, stopped) = watch::channel(false);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, Arc::clone(&self.shared), stopped.clone()));
        }
        shutdown.await;
        tracing::info!("received shutdown request");
        let _ = stop.send(true);
        let ended = async { while accepting.join_next().await.is_some() {} };
        if tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .is_err()
        {
            tracing::warn!("sessions did not end in time and were dropped");
        }
        Ok(())
    }
}

/// Takes connections of one listening socket until the server stops; waits for their end.
async fn accept(listener: Listener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut stop = stopped.clone();
    let mut sessions = JoinSet::new();
    let mut pause = Duration::from_millis(10);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(caller) => {
                    pause = Duration::from_millis(10);
                    let shared = Arc::clone(&shared);
                    sessions.spawn(admit::serve(caller, shared, stopped.clone()));
                }
                Err(error) => {
                    // EMFILE and its like pass when sessions end.
                    tracing::warn!("could not accept a connection: {error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            },
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                if let Err(error) = ended && error.is_panic() {
                    tracing::error!("a session panicked and was ended: {error}");
                }
            }
            () = wire::stopped(&mut stop) => break,
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}
