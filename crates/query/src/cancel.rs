//! Stopping a statement that runs.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use chronolith_engine::Locker;
use chronolith_platform::Clock;
use chronolith_types::SqlState;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::error::Error;
use crate::notify::terminated;

/// No end is set.
const NEVER_NS: u64 = u64::MAX;

const NOT_ASKED: u8 = 0;
const BY_USER: u8 = 1;
const BY_TIME: u8 = 2;
/// What stands from here on stays: no further statement runs.
const TERMINATED: u8 = 3;
const GONE: u8 = 4;

/// A statement's off switch; one a session, armed anew for each message.
#[derive(Debug)]
pub struct Cancel {
    reason: AtomicU8,
    /// When it stops by itself, by the monotonic clock.
    end_ns: AtomicU64,
    notify: Notify,
    /// Who may wait for a lock meanwhile.
    locker: OnceLock<Weak<Locker>>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self {
            reason: AtomicU8::new(NOT_ASKED),
            end_ns: AtomicU64::new(NEVER_NS),
            notify: Notify::new(),
            locker: OnceLock::new(),
        }
    }
}

impl Cancel {
    fn ask(&self, reason: u8) {
        // Whoever comes first says why; but who ends the session says so whatever was said before.
        let stronger =
            |said: u8| (said == NOT_ASKED || reason > said.max(BY_TIME)).then_some(reason);
        let _said = self
            .reason
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, stronger);
        self.notify.notify_waiters();
        if let Some(locker) = self.locker.get().and_then(Weak::upgrade) {
            locker.wake();
        }
    }

    /// Whose waits it ends.
    pub(crate) fn ends_waits_of(&self, locker: &Arc<Locker>) {
        let _first = self.locker.set(Arc::downgrade(locker));
    }

    /// Ask the running statement to stop.
    pub fn cancel(&self) {
        self.ask(BY_USER);
    }

    /// Stop the running statement, and every later one: the session is to end.
    pub fn terminate(&self) {
        self.ask(TERMINATED);
    }

    /// Stop the running statement, and every later one: nobody is there to hear of them.
    pub fn leave(&self) {
        self.ask(GONE);
    }

    /// A new statement begins: what was asked before is over.
    pub fn arm(&self) {
        let over = |said: u8| (said < TERMINATED).then_some(NOT_ASKED);
        let _said = self
            .reason
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, over);
    }

    /// Whether the statement was asked to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.reason.load(Ordering::Acquire) != NOT_ASKED
    }

    /// 57014 when the statement was asked to stop.
    ///
    /// # Errors
    /// 57014; 57P01 when the session is to end.
    pub fn check(&self) -> Result<(), Error> {
        if self.asked() {
            Err(self.error())
        } else {
            Ok(())
        }
    }

    /// Why it stops, as PostgreSQL words it.
    #[must_use]
    pub fn error(&self) -> Error {
        let words = match self.reason.load(Ordering::Acquire) {
            BY_TIME => "canceling statement due to statement timeout",
            TERMINATED => return terminated(),
            _ => "canceling statement due to user request",
        };
        Error::new(SqlState::QUERY_CANCELED, words)
    }

    /// An error as it is told: who stopped the statement says why.
    #[must_use]
    pub fn told(&self, error: Error) -> Error {
        match error.code == SqlState::QUERY_CANCELED && self.asked() {
            true => self.error(),
            false => error,
        }
    }

    /// Waits until the statement is asked to stop.
    pub async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.asked() {
                return;
            }
            notified.await;
        }
    }
}

/// Stops statements whose time is over, from a thread of its own; the thread sleeps until the first
/// of them ends, and for ever while no statement has an end.
#[derive(Debug)]
pub(crate) struct Watchdog {
    clock: Arc<dyn Clock>,
    watched: Mutex<Watched>,
    changed: Condvar,
    /// When the thread looks next.
    next_ns: AtomicU64,
    stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Watched {
    cancels: Vec<Weak<Cancel>>,
    runs: bool,
}

impl Watchdog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            watched: Mutex::default(),
            changed: Condvar::new(),
            next_ns: AtomicU64::new(NEVER_NS),
            stopped: AtomicBool::new(false),
        })
    }

    /// From now on it sees to that switch. Starts the thread when it is the first.
    ///
    /// # Errors
    /// 53000 when there can be no thread.
    pub(crate) fn watch(self: &Arc<Self>, cancel: &Arc<Cancel>) -> Result<(), Error> {
        let mut watched = self.watched.lock();
        watched.cancels.push(Arc::downgrade(cancel));
        if !watched.runs {
            let dog = Arc::clone(self);
            let thread = std::thread::Builder::new().name("chronolith-timeouts".to_owned());
            thread.spawn(move || dog.run()).map_err(|error| {
                Error::new(SqlState::INSUFFICIENT_RESOURCES, "could not start a thread")
                    .detail(error.to_string())
            })?;
            watched.runs = true;
        }
        Ok(())
    }

    /// The statement of a watched switch ends by itself after so long.
    pub(crate) fn limit(&self, cancel: &Cancel, longest: Duration) {
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(NEVER_NS);
        let end_ns = self.clock.monotonic_ns().saturating_add(longest);
        cancel.end_ns.store(end_ns, Ordering::SeqCst);
        if end_ns < self.next_ns.load(Ordering::SeqCst) {
            // The thread is either before its look, or asleep once this lock is had.
            let _asleep = self.watched.lock();
            self.changed.notify_one();
        }
    }

    /// It has ended.
    pub(crate) fn unlimit(cancel: &Cancel) {
        cancel.end_ns.store(NEVER_NS, Ordering::SeqCst);
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        let _asleep = self.watched.lock();
        self.changed.notify_all();
    }

    fn run(&self) {
        let mut watched = self.watched.lock();
        while !self.stopped.load(Ordering::Acquire) {
            // Whoever sets an end from here on tells the thread.
            self.next_ns.store(NEVER_NS, Ordering::SeqCst);
            let now_ns = self.clock.monotonic_ns();
            let mut next_ns = NEVER_NS;
            watched.cancels.retain(|cancel| {
                let Some(cancel) = cancel.upgrade() else {
                    return false;
                };
                let end_ns = cancel.end_ns.load(Ordering::SeqCst);
                if end_ns > now_ns {
                    next_ns = next_ns.min(end_ns);
                } else if cancel
                    .end_ns
                    .compare_exchange(end_ns, NEVER_NS, Ordering::SeqCst, Ordering::SeqCst)
                    .is_ok()
                {
                    cancel.ask(BY_TIME);
                }
                true
            });
            self.next_ns.store(next_ns, Ordering::SeqCst);
            if next_ns == NEVER_NS {
                self.changed.wait(&mut watched);
            } else {
                let longest = Duration::from_nanos(next_ns - now_ns);
                self.changed.wait_for(&mut watched, longest);
            }
        }
    }
}
