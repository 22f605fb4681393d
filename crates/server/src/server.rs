//! The listening socket, and what all connections share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chronolith_types::SqlState;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::backend::{Backend, Startup};
use crate::connection::Connection;
use crate::failure::{Failure, ServerError, Severity};
use crate::gate::{self, Ends, Proof};
use crate::guard::{Budget, Guard, Limits};
use crate::out;
use crate::scram::{self, Verifier};
use crate::startup::{self, First};
use crate::tls::{Tls, TlsFiles};
use crate::wire::{self, CancelSlot, End, Socket, Wire};

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
    /// Sockets that have not authenticated yet, at once. Default 256.
    pub unauthenticated_max: usize,
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
            unauthenticated_max: 256,
            auth_timeout: Duration::from_secs(10),
            failure_delay: Duration::from_millis(200),
            frame_bytes_max: 64 << 20,
            input_bytes_max: 512 << 20,
        }
    }
}

/// A server that listens, and may not have begun to accept.
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

struct Shared {
    backend: Arc<dyn Backend>,
    config: ServerConfig,
    tls: Option<Tls>,
    limits: Limits,
    /// Makes mock salts that are the same each time.
    mock_secret: [u8; 32],
    cancels: Mutex<BTreeMap<i32, Registered>>,
    sessions: AtomicUsize,
    unauthenticated: Arc<Semaphore>,
}

struct Registered {
    secret: [u8; 4],
    slot: Arc<CancelSlot>,
}

/// What a session occupies; given back when dropped.
struct Seat {
    shared: Arc<Shared>,
    pid: Option<i32>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.sessions.fetch_sub(1, Ordering::AcqRel);
        if let Some(pid) = self.pid {
            self.shared.cancels.lock().remove(&pid);
        }
    }
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
            listeners.push(listener);
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
async fn accept(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let mut stop = stopped.clone();
    let mut sessions = JoinSet::new();
    let mut pause = Duration::from_millis(10);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    pause = Duration::from_millis(10);
                    let shared = Arc::clone(&shared);
                    sessions.spawn(serve(socket, peer, shared, stopped.clone()));
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

async fn tell(mut socket: Box<dyn Socket>, failure: &Failure) {
    use tokio::io::AsyncWriteExt;
    let mut message = Vec::new();
    out::failure(&mut message, Severity::Fatal, failure);
    let send = async {
        let _ = socket.write_all(&message).await;
        let _ = socket.shutdown().await;
    };
    let _told = tokio::time::timeout(Duration::from_secs(2), send).await;
}

fn too_many() -> Failure {
    Failure::new(
        SqlState::TOO_MANY_CONNECTIONS,
        "sorry, too many clients already",
    )
}

async fn serve(
    socket: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    let _ = socket.set_nodelay(true);
    let local = socket.local_addr().ok();
    // The same socket once more: seen to while the session's own thread is busy.
    let beside = socket.as_fd().try_clone_to_owned().ok();
    let socket: Box<dyn Socket> = Box::new(socket);
    let Ok(permit) = Arc::clone(&shared.unauthenticated).try_acquire_owned() else {
        tell(socket, &too_many()).await;
        return;
    };
    let greet = greet(socket, peer, local, &shared, stopped.clone());
    let connection = tokio::time::timeout(shared.config.auth_timeout, greet).await;
    drop(permit);
    match connection {
        Ok(Some((connection, seat))) => {
            let noticing = beside.map(|fd| connection.notice_end(fd));
            connection.run().await;
            drop(noticing);
            drop(seat);
        }
        Ok(None) => {}
        Err(_) => tracing::debug!("authentication of {peer} timed out"),
    }
}

/// An address with its port; one of four bytes is written as such.
fn canonical(of: SocketAddr) -> String {
    SocketAddr::new(of.ip().to_canonical(), of.port()).to_string()
}

/// Authenticates; none when the connection has ended.
async fn greet(
    socket: Box<dyn Socket>,
    peer: SocketAddr,
    local: Option<SocketAddr>,
    shared: &Arc<Shared>,
    stopped: watch::Receiver<bool>,
) -> Option<(Connection, Seat)> {
    let mut hello = match startup::first(socket, shared.tls.as_ref()).await {
        Ok(First::Session(hello)) => hello,
        Ok(First::Cancel { pid, secret }) => {
            let slot = shared.cancels.lock().get(&pid).and_then(|registered| {
                scram::equal(&registered.secret, &secret).then(|| Arc::clone(&registered.slot))
            });
            if let Some(slot) = slot {
                slot.cancel();
            }
            return None;
        }
        Err((Some(socket), End::Fatal(failure))) => {
            tell(socket, &failure).await;
            return None;
        }
        Err(_) => return None,
    };
    hello.startup.client = Some(canonical(peer));
    hello.startup.server = local.map(canonical);
    let mut wire = Wire::new(hello.socket, Guard::new(shared.limits.clone()), stopped);
    wire.input = hello.rest;
    let startup = hello.startup;
    if let Some(unknown) = &hello.negotiate {
        startup::negotiate(&mut wire.out, unknown);
    }
    let hello = Known {
        startup,
        ends: Ends {
            peer,
            local,
            encrypted: !matches!(hello.binding, scram::Binding::Plain),
        },
        binding: hello.binding,
    };
    match admit(&mut wire, &hello, shared).await {
        Ok((session, seat)) => {
            let reported = session.reported();
            Some((Connection::new(wire, session, reported), seat))
        }
        Err(End::Closed) => None,
        Err(End::Fatal(failure)) => {
            tracing::info!("FATAL: {}", failure.message);
            tell_of(shared, &hello.startup, Some(&failure)).await;
            if failure.code == SqlState::INVALID_PASSWORD {
                tokio::time::sleep(shared.config.failure_delay).await;
            }
            out::failure(&mut wire.out, Severity::Fatal, &failure);
            let _told = wire.flush().await;
            None
        }
    }
}

/// Has it written down that a client came in, or was refused. That waits for the disk.
async fn tell_of(shared: &Arc<Shared>, startup: &Startup, refused: Option<&Failure>) {
    let (shared, startup) = (Arc::clone(shared), startup.clone());
    let refused = refused.cloned();
    let write = move || shared.backend.tell(&startup, refused.as_ref());
    if let Err(error) = tokio::task::spawn_blocking(write).await {
        tracing::error!("a login could not be told of: {error}");
    }
}

struct Known {
    startup: Startup,
    binding: scram::Binding,
    ends: Ends,
}

async fn admit(
    wire: &mut Wire,
    hello: &Known,
    shared: &Arc<Shared>,
) -> Result<(Box<dyn crate::backend::Session>, Seat), End> {
    let user = &hello.startup.user;
    let role = shared.backend.role(user);
    let backend = &*shared.backend;
    let proof = gate::proof(backend, &hello.startup, role.as_ref(), hello.ends).await?;
    let kept = role.as_ref().and_then(|role| role.verifier.as_deref());
    match proof {
        Proof::None => {}
        Proof::Scram => {
            let verifier = kept
                .and_then(Verifier::parse)
                .unwrap_or_else(|| Verifier::mock(user, &shared.mock_secret));
            startup::scram(wire, user, verifier, &hello.binding).await?;
        }
        Proof::Password => startup::password(wire, user, kept).await?,
    }
    // Told only to who knows the password, and as if it were wrong.
    if proof != Proof::None && role.as_ref().is_some_and(|role| role.expired) {
        return Err(startup::wrong_password(user).into());
    }
    let role = role.ok_or_else(|| {
        Failure::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("role \"{user}\" does not exist"),
        )
    })?;
    if !role.login {
        return Err(Failure::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("role \"{user}\" is not permitted to log in"),
        )
        .into());
    }
    let taken = shared.sessions.fetch_add(1, Ordering::AcqRel);
    let mut seat = Seat {
        shared: Arc::clone(shared),
        pid: None,
    };
    let max = shared.config.connections_max;
    if taken >= max {
        return Err(too_many().into());
    }
    if !role.superuser && taken >= max.saturating_sub(shared.config.connections_reserved) {
        return Err(Failure::new(
            SqlState::TOO_MANY_CONNECTIONS,
            "remaining connection slots are reserved for non-replication superuser connections",
        )
        .into());
    }
    let session = shared.backend.connect(&hello.startup).await?;
    tell_of(shared, &hello.startup, None).await;
    out::authentication(&mut wire.out, 0, &[]);
    for (name, value) in session.reported().iter() {
        out::parameter_status(&mut wire.out, name, value);
    }
    let pid = session.pid();
    let mut secret = [0; 4];
    scram::random(&mut secret)?;
    out::backend_key(&mut wire.out, pid, &secret);
    shared.cancels.lock().insert(
        pid,
        Registered {
            secret,
            slot: Arc::clone(&wire.slot),
        },
    );
    seat.pid = Some(pid);
    out::ready(&mut wire.out, session.status().byte());
    wire.guard.authenticated();
    wire.flush().await?;
    Ok((session, seat))
}
