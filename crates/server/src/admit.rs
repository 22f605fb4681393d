//! One client: counted among those of its address, asked who it is, and let in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chronolith_types::SqlState;
use tokio::sync::watch;

use crate::backend::Startup;
use crate::connection::Connection;
use crate::crowd::{CrowdLimits, Place};
use crate::failure::{Failure, Severity};
use crate::gate::{self, Ends, Peer, Proof};
use crate::guard::Guard;
use crate::out;
use crate::scram::{self, Verifier};
use crate::server::{Caller, Shared};
use crate::startup::{self, First};
use crate::subject::Subject;
use crate::wire::{CancelSlot, End, Socket, Wire};

/// A session that can be cancelled.
pub(crate) struct Registered {
    secret: Vec<u8>,
    slot: Arc<CancelSlot>,
}

/// What a session occupies; given back when dropped.
struct Seat {
    shared: Arc<Shared>,
    pid: Option<i32>,
    /// When its client came, and who it is.
    began: Option<tokio::time::Instant>,
    who: (String, String),
}

impl Seat {
    /// Its client has left: logged if that is asked for.
    fn left(&self, shared: &Shared, peer: Peer) {
        if !shared.backend.logs_disconnections() {
            return;
        }
        let ms = self.began.map_or(0, |began| began.elapsed().as_millis());
        let (user, database) = &self.who;
        tracing::info!(
            user,
            dbname = database,
            pid = self.pid,
            "disconnection: session time: {}:{:02}:{:02}.{:03} user={user} database={database} {}",
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1000 % 60,
            ms % 1000,
            whence(peer)
        );
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.sessions.fetch_sub(1, Ordering::AcqRel);
        if let Some(pid) = self.pid {
            self.shared.cancels.lock().remove(&pid);
        }
    }
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

/// Counts a client among those of its address; none inside for one without an address.
fn place_of(shared: &Shared, peer: Peer) -> Result<Option<Place>, Failure> {
    let Some(address) = peer.ip() else {
        return Ok(None);
    };
    let config = &shared.config;
    let limits = CrowdLimits {
        all_max: match config.address_connections_max {
            0 => usize::MAX,
            most => most,
        },
        unknown_max: config.address_unauthenticated_max,
    };
    let place = shared.crowd.enter(address, limits);
    place.map(Some).ok_or_else(|| {
        Failure::new(
            SqlState::TOO_MANY_CONNECTIONS,
            format!("too many connections from address \"{address}\""),
        )
    })
}

/// Serves a client until it leaves.
pub(crate) async fn serve(caller: Caller, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let Caller {
        socket,
        peer,
        local,
        beside,
    } = caller;
    let mut place = match place_of(&shared, peer) {
        Ok(place) => place,
        Err(failure) => {
            tell(socket, &failure).await;
            return;
        }
    };
    let Ok(permit) = Arc::clone(&shared.unauthenticated).try_acquire_owned() else {
        tell(socket, &too_many()).await;
        return;
    };
    let greet = greet(socket, peer, local, &shared, stopped.clone());
    let connection = tokio::time::timeout(shared.config.auth_timeout, greet).await;
    drop(permit);
    if let Some(place) = &mut place {
        place.known();
    }
    match connection {
        Ok(Some((connection, seat))) => {
            let noticing = connection.notice_end(beside);
            connection.run().await;
            drop(noticing);
            seat.left(&shared, peer);
            drop(seat);
        }
        Ok(None) => {}
        Err(_) => tracing::debug!("authentication of {peer:?} timed out"),
    }
}

/// An address with its port; one of four bytes is written as such.
fn canonical(of: SocketAddr) -> String {
    SocketAddr::new(of.ip().to_canonical(), of.port()).to_string()
}

/// `host=… port=…`, as PostgreSQL's log has it.
fn whence(peer: Peer) -> String {
    match peer {
        Peer::Address(address) => {
            let ip = address.ip().to_canonical();
            format!("host={ip} port={}", address.port())
        }
        Peer::Local(_) => "host=[local]".to_owned(),
    }
}

/// Authenticates; none when the connection has ended.
async fn greet(
    socket: Box<dyn Socket>,
    peer: Peer,
    local: Option<SocketAddr>,
    shared: &Arc<Shared>,
    stopped: watch::Receiver<bool>,
) -> Option<(Connection, Seat)> {
    let began = tokio::time::Instant::now();
    if shared.backend.logs_connections() {
        tracing::info!("connection received: {}", whence(peer));
    }
    // What stays on the machine is not encrypted, as in PostgreSQL.
    let tls = shared.tls.as_ref().filter(|_| peer.ip().is_some());
    let mut hello = match startup::first(socket, tls).await {
        Ok(First::Session(hello)) => *hello,
        Ok(First::Cancel { pid, secret }) => {
            let slot = shared.cancels.lock().get(&pid).and_then(|registered| {
                scram::equal(&registered.secret, &secret).then(|| Arc::clone(&registered.slot))
            });
            match slot {
                Some(slot) => slot.cancel(),
                None => {
                    // A place among those who have not said who they are is held meanwhile, so that
                    // nobody tries many keys.
                    tracing::info!("wrong key in cancel request for process {pid}");
                    tokio::time::sleep(shared.config.failure_delay).await;
                }
            }
            return None;
        }
        Err((Some(socket), End::Fatal(failure))) => {
            tell(socket, &failure).await;
            return None;
        }
        Err(_) => return None,
    };
    hello.startup.client = match peer {
        Peer::Address(address) => Some(canonical(address)),
        Peer::Local(_) => None,
    };
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
            certificate: hello.certificate.as_deref().map(Subject::of),
            asks: shared
                .config
                .tls
                .as_ref()
                .is_some_and(|tls| tls.authorities.is_some()),
            plaintext: shared.config.plaintext,
        },
        binding: hello.binding,
        long_keys: hello.long_keys,
    };
    match admit(&mut wire, &hello, shared).await {
        Ok((session, mut seat)) => {
            seat.began = Some(began);
            seat.who = (hello.startup.user.clone(), hello.startup.database.clone());
            let reported = session.reported();
            Some((Connection::new(wire, session, reported), seat))
        }
        Err(End::Closed) => None,
        Err(End::Fatal(failure)) => {
            tracing::error!(
                severity = "FATAL",
                user = hello.startup.user,
                dbname = hello.startup.database,
                remote_host = hello.startup.client,
                state_code = failure.code.as_str(),
                "{}",
                failure.message
            );
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
    long_keys: bool,
}

/// Logs who came in, and how.
fn authorized(hello: &Known, proof: Proof, pid: i32) {
    let (user, database) = (&hello.startup.user, &hello.startup.database);
    let method = match proof {
        Proof::Scram => Some("scram-sha-256"),
        Proof::Password => Some("password"),
        Proof::None => None,
    };
    if let Some(method) = method {
        tracing::info!(
            user,
            dbname = database,
            pid,
            "connection authenticated: identity=\"{user}\" method={method}"
        );
    }
    let name = hello.startup.settings.get("application_name");
    let name = name.map_or(String::new(), |name| format!(" application_name={name}"));
    let encrypted = match hello.ends.encrypted {
        true => " SSL enabled",
        false => "",
    };
    tracing::info!(
        user,
        dbname = database,
        pid,
        "connection authorized: user={user} database={database}{name}{encrypted}"
    );
}

async fn admit(
    wire: &mut Wire,
    hello: &Known,
    shared: &Arc<Shared>,
) -> Result<(Box<dyn crate::backend::Session>, Seat), End> {
    let user = &hello.startup.user;
    let role = shared.backend.role(user);
    let backend = &*shared.backend;
    let owed = gate::proof(backend, &hello.startup, role.as_ref(), &hello.ends).await?;
    let proof = owed.proof;
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
    if let Some(refused) = owed.refused {
        return Err(refused.into());
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
        began: None,
        who: Default::default(),
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
    if backend.logs_connections() {
        authorized(hello, proof, session.pid());
    }
    out::authentication(&mut wire.out, 0, &[]);
    for (name, value) in session.reported().iter() {
        out::parameter_status(&mut wire.out, name, value);
    }
    let pid = session.pid();
    // As long as the client's protocol lets it be; four bytes are PostgreSQL 15's.
    let mut secret = vec![0; if hello.long_keys { 32 } else { 4 }];
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
