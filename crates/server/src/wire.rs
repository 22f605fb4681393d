//! A connection's two directions: guarded messages in, buffered replies out.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use chronolith_types::SqlState;
use parking_lot::Mutex;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use crate::backend::Canceller;
use crate::failure::Failure;
use crate::guard::{Guard, Incoming};

/// A socket, bare or under TLS.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Why a connection ends.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once a connection, and moved to its end"
)]
pub(crate) enum End {
    /// The client left.
    Closed,
    /// We end it, saying why.
    Fatal(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

/// What a CancelRequest reaches.
#[derive(Default)]
pub(crate) struct CancelSlot {
    asked: AtomicBool,
    /// Counts the messages that were begun, and is even between them.
    messages: AtomicU64,
    notify: Notify,
    canceller: Mutex<Option<Arc<dyn Canceller>>>,
}

impl fmt::Debug for CancelSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelSlot").finish_non_exhaustive()
    }
}

impl CancelSlot {
    pub(crate) fn cancel(&self) {
        self.asked.store(true, Ordering::Release);
        let canceller = self.canceller.lock().clone();
        if let Some(canceller) = canceller {
            canceller.cancel();
        }
        self.notify.notify_waiters();
    }

    /// The client is gone.
    fn leave(&self) {
        self.asked.store(true, Ordering::Release);
        let canceller = self.canceller.lock().clone();
        if let Some(canceller) = canceller {
            canceller.leave();
        }
        self.notify.notify_waiters();
    }

    /// The server stops.
    fn end(&self) {
        self.asked.store(true, Ordering::Release);
        let canceller = self.canceller.lock().clone();
        if let Some(canceller) = canceller {
            canceller.end();
        }
        self.notify.notify_waiters();
    }

    pub(crate) fn attach(&self, canceller: Arc<dyn Canceller>) {
        *self.canceller.lock() = Some(canceller);
    }

    /// A new message begins: what was asked before is over.
    pub(crate) fn arm(&self) {
        self.asked.store(false, Ordering::Release);
        self.messages.fetch_or(1, Ordering::AcqRel);
    }

    /// All that was begun is answered.
    pub(crate) fn rest(&self) {
        let begun = self.messages.load(Ordering::Acquire) & 1;
        self.messages.fetch_add(begun, Ordering::AcqRel);
    }

    /// What runs now: a number that nothing else has.
    fn running(&self) -> Option<u64> {
        let messages = self.messages.load(Ordering::Acquire);
        (messages % 2 == 1).then_some(messages)
    }

    async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.asked.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }
}

/// Replies are sent when so many have gathered, even before the client waits for them.
const FLUSH_BYTES: usize = 256 * 1024;
/// A connection that sent more at once gives the memory back.
const OUT_BYTES_KEPT: usize = 2 * 1024 * 1024;
/// While a statement runs no more input than this is read ahead.
const AHEAD_BYTES: usize = 64 * 1024;

pub(crate) struct Wire {
    read: ReadHalf<Box<dyn Socket>>,
    write: WriteHalf<Box<dyn Socket>>,
    pub(crate) input: BytesMut,
    /// Messages that were read, and are to be read again.
    again: VecDeque<Incoming>,
    /// Replies that wait to be sent; what is before `sent` has been.
    pub(crate) out: Vec<u8>,
    sent: usize,
    /// Up to here there are whole messages.
    mark: usize,
    pub(crate) guard: Guard,
    pub(crate) slot: Arc<CancelSlot>,
    pub(crate) shutdown: watch::Receiver<bool>,
    gone: bool,
}

impl Wire {
    pub(crate) fn new(
        socket: Box<dyn Socket>,
        guard: Guard,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let (read, write) = tokio::io::split(socket);
        Self {
            read,
            write,
            input: BytesMut::with_capacity(8 * 1024),
            again: VecDeque::new(),
            out: Vec::with_capacity(8 * 1024),
            sent: 0,
            mark: 0,
            guard,
            slot: Arc::default(),
            shutdown,
            gone: false,
        }
    }

    /// The next message. Does not flush: what a client does not wait for is not hurried.
    pub(crate) async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// A message that has been read already.
    pub(crate) fn buffered(&mut self) -> Result<Option<Incoming>, End> {
        match self.again.pop_front() {
            Some(message) => Ok(Some(message)),
            None => Ok(self.guard.message(&mut self.input)?),
        }
    }

    /// Whether the next message is here already, and a Sync.
    pub(crate) fn syncs_next(&self) -> bool {
        const SYNC: &[u8] = &[b'S', 0, 0, 0, 4];
        match self.again.front() {
            Some(message) => message.is_sync(),
            None => self.input.starts_with(SYNC),
        }
    }

    /// Messages come again, before all others.
    pub(crate) fn unread(&mut self, messages: Vec<Incoming>) {
        for message in messages.into_iter().rev() {
            self.again.push_front(message);
        }
    }

    /// The next frame as it is: its type and body.
    pub(crate) async fn frame(&mut self) -> Result<bytes::Bytes, End> {
        loop {
            if let Some((_, body)) = self.guard.frame(&mut self.input)? {
                return Ok(body);
            }
            self.fill().await?;
        }
    }

    /// Reads more of the client.
    pub(crate) async fn fill(&mut self) -> Result<(), End> {
        if self.gone {
            return Err(End::Closed);
        }
        if self.input.capacity() - self.input.len() < 1024 {
            self.input.reserve(AHEAD_BYTES);
        }
        tokio::select! {
            read = self.read.read_buf(&mut self.input) => match read {
                Ok(0) | Err(_) => Err(End::Closed),
                Ok(_) => Ok(()),
            },
            () = stopped(&mut self.shutdown) => Err(End::Fatal(shutting_down())),
        }
    }

    /// Remembers that what has gathered are whole messages.
    pub(crate) fn mark(&mut self) {
        self.mark = self.out.len();
    }

    /// Forgets what was written since, which may be half a message.
    pub(crate) fn back_to_mark(&mut self) {
        self.out.truncate(self.mark);
    }

    /// Sends what has gathered.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        // What is sent in part cannot be taken back.
        self.mark();
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.write.write(rest).await {
                Ok(0) | Err(_) => {
                    self.gone = true;
                    return Err(End::Closed);
                }
                // Counted at once: this future may be dropped at its next await.
                Ok(bytes) => self.sent += bytes,
            }
        }
        self.out.clear();
        self.sent = 0;
        self.mark = 0;
        if self.out.capacity() > OUT_BYTES_KEPT {
            self.out.shrink_to(OUT_BYTES_KEPT);
        }
        self.write.flush().await.map_err(|_| End::Closed)
    }

    /// Sends when much has gathered; gives up when the statement is cancelled meanwhile.
    pub(crate) async fn relieve(&mut self) -> Result<(), End> {
        if self.out.len() - self.sent < FLUSH_BYTES {
            return Ok(());
        }
        let slot = Arc::clone(&self.slot);
        let mut shutdown = self.shutdown.clone();
        tokio::select! {
            sent = self.flush() => sent,
            () = slot.wait() => Ok(()),
            () = stopped(&mut shutdown) => Err(End::Fatal(shutting_down())),
        }
    }

    /// Waits for `work` and watches the client meanwhile: when it leaves, or the server stops,
    /// the work is cancelled, and still waited for, as it owns the session.
    pub(crate) async fn watched<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::pin!(work);
        let mut stopping = false;
        let result = loop {
            if self.input.capacity() == self.input.len() {
                self.input.reserve(8 * 1024);
            }
            let room = !self.gone && self.input.len() < AHEAD_BYTES;
            tokio::select! {
                biased;
                result = &mut work => break result,
                read = self.read.read_buf(&mut self.input), if room => {
                    if matches!(read, Ok(0) | Err(_)) {
                        self.gone = true;
                        self.slot.leave();
                    }
                }
                () = stopped(&mut self.shutdown), if !stopping => {
                    stopping = true;
                    self.slot.end();
                }
            }
        };
        if self.gone {
            return Err(End::Closed);
        }
        if stopping {
            return Err(End::Fatal(shutting_down()));
        }
        Ok(result)
    }

    /// As `watched`, for work that may simply be dropped when it is cancelled.
    pub(crate) async fn droppable<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, End> {
        let slot = Arc::clone(&self.slot);
        self.watched(async {
            tokio::select! {
                biased;
                result = work => Some(result),
                () = slot.wait() => None,
            }
        })
        .await
    }

    /// Whether the client asked to cancel what runs.
    pub(crate) fn cancelled(&self) -> bool {
        self.slot.asked.load(Ordering::Acquire)
    }
}

/// How often it is looked whether a statement runs long.
const NOTICE_EVERY: Duration = Duration::from_millis(500);

/// Notices that a client has gone, or that the server stops, though its session does not look: a
/// statement that blocks its thread, asleep or waiting for a lock, leaves nobody who would.
pub(crate) fn notice_end(
    fd: Option<OwnedFd>,
    slot: &Arc<CancelSlot>,
    mut shutdown: watch::Receiver<bool>,
) -> AbortOnDrop {
    let slot = Arc::clone(slot);
    let task = tokio::spawn(async move {
        tokio::select! {
            () = gone(fd, &slot) => slot.leave(),
            () = stopped(&mut shutdown) => slot.end(),
        }
    });
    AbortOnDrop(task)
}

/// Returns when the client has left behind a statement of its. Only statements that run for some
/// time are cared for, as whoever watches the socket is woken by all that comes through it.
async fn gone(fd: Option<OwnedFd>, slot: &CancelSlot) {
    let Some(fd) = fd else {
        return std::future::pending().await;
    };
    let mut before = None;
    loop {
        tokio::time::sleep(NOTICE_EVERY).await;
        let now = slot.running();
        if now.is_some() && now == before && has_left(&fd, slot, now).await {
            return;
        }
        before = now;
    }
}

/// Whether the client leaves while a message of its is served.
async fn has_left(fd: &OwnedFd, slot: &CancelSlot, served: Option<u64>) -> bool {
    let beside = fd.try_clone().map(std::net::TcpStream::from);
    let Ok(beside) = beside.and_then(TcpStream::from_std) else {
        return false;
    };
    while slot.running() == served {
        let ready = beside.ready(Interest::READABLE);
        match tokio::time::timeout(NOTICE_EVERY, ready).await {
            Ok(Ok(ready)) if ready.is_read_closed() => return true,
            Ok(Err(_)) => return false,
            Ok(Ok(_)) => {
                // Nothing is read here: what has come is the session's. Only the end is waited for.
                let nothing = || Err::<(), _>(std::io::ErrorKind::WouldBlock.into());
                let _cleared = beside.try_io(Interest::READABLE, nothing);
            }
            Err(_) => {}
        }
    }
    false
}

/// A task that nobody needs any longer once this is dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns when the server is told to stop.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could say so.
        std::future::pending::<()>().await;
    }
}

fn shutting_down() -> Failure {
    Failure::new(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}
