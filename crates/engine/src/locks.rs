//! Locks: who holds what, who waits for whom, and how a circle of waiters is broken.
//!
//! One [`LockManager`] knows all locks of an engine. Each session (or a transaction that has none)
//! has a [`Locker`]; what one locker holds never stands in its own way. Tables, other objects and
//! advisory numbers are locked one by one ([`Locker::lock`]); rows by sets of their numbers
//! ([`Locker::lock_rows`]), keys by sets of their hashes ([`Locker::lock_keys`]), so that a
//! statement may lock millions.
//!
//! A lock lasts until [`Locker::end_transaction`], or, taken after [`Locker::mark`], until
//! [`Locker::release_to`] that mark; one of the session ([`Locker::lock_session`]) until it is
//! unlocked or the locker is dropped.
//!
//! **Waiting blocks the thread.** Hold no mutex that others need meanwhile; an executor is told by
//! what [`Locker::set_blocking`] was given. After a wait the world has moved on: look
//! at the newest state before acting upon what was read before.
//!
//! # Invariants
//! - Two lockers never hold modes that conflict on one thing.
//! - Who waits is granted by who releases, in the order of arrival; nobody slips between.
//! - A circle of waiters is found when it closes, and who closed it fails (40P01).
//! - Whoever returns with an error waits for nothing any more. Of rows and keys it may hold some:
//!   the statement that failed goes back to its mark.

mod held;
mod line;
mod list;
mod modes;
mod shared;
#[cfg(test)]
mod tests;
mod weak;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronolith_platform::Clock;
use chronolith_types::{SqlState, TableId};
use parking_lot::{Condvar, Mutex, RwLock};
use roaring::RoaringBitmap;

use held::{Locks, RowSet, What};
pub use list::{Locked, LockedThing};
pub use modes::{KeySpace, LockMode, LockTarget, RowMode, RowSpace};
use weak::{Notes, Strong};

/// How long one waits before it looks whether it was told to stop, where nobody wakes it for that.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What to do where a lock is not free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Wait for it.
    Block,
    /// Fail (55P03).
    NoWait,
    /// Go without: `Ok`, and what was not had is told.
    Skip,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// NOWAIT. The message names a relation once [`LockError::of_relation`] has.
    #[error("could not obtain lock on {0}")]
    NotAvailable(String),
    /// `lock_timeout` passed.
    #[error("canceling statement due to lock timeout")]
    Timeout,
    /// The statement was told to stop; who told knows why.
    #[error("canceling statement due to user request")]
    Cancelled,
    /// Some wait for one another.
    #[error("deadlock detected")]
    Deadlock {
        /// Who waits for whom, a line each.
        detail: String,
    },
}

impl LockError {
    /// The SQLSTATE a client gets.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NotAvailable(_) | Self::Timeout => SqlState::LOCK_NOT_AVAILABLE,
            Self::Cancelled => SqlState::QUERY_CANCELED,
            Self::Deadlock { .. } => SqlState::DEADLOCK_DETECTED,
        }
    }

    /// The detail a client gets.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Deadlock { detail } => Some(detail),
            _ => None,
        }
    }

    /// The same with the relation's name, which is not known here.
    #[must_use]
    pub fn of_relation(self, name: &str) -> Self {
        match self {
            Self::NotAvailable(what) if what.starts_with("row") => {
                Self::NotAvailable(format!("row in relation \"{name}\""))
            }
            Self::NotAvailable(_) => Self::NotAvailable(format!("relation \"{name}\"")),
            other => other,
        }
    }
}

/// What locking sets gave.
#[derive(Debug, Default)]
pub struct Gained {
    /// Whether it waited: what was read before may no longer be so.
    pub waited: bool,
    /// Rows that were skipped.
    pub skipped: RoaringBitmap,
}

/// Whether the statement was told to stop.
pub type Interrupted = dyn Fn() -> bool + Send + Sync;

/// What runs a wait, which blocks its thread: it may have to tell an executor.
pub type Blocking = dyn Fn(&mut dyn FnMut()) + Send + Sync;

/// Whether and how a lock was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Had {
    AtOnce,
    /// After a wait: what was read before may no longer be so.
    Late,
    Not,
}

/// All locks of an engine.
#[derive(Debug)]
pub struct LockManager {
    locks: Mutex<Locks>,
    strong: Arc<Strong>,
    clock: Arc<dyn Clock>,
    next: AtomicU64,
}

impl LockManager {
    /// None is held.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let locks = Locks::default();
        Arc::new(Self {
            strong: Arc::clone(&locks.strong),
            locks: Mutex::new(locks),
            clock,
            next: AtomicU64::new(1),
        })
    }

    /// Somebody who may hold locks; the process number is what others see of it, 0 where there is
    /// none.
    #[must_use]
    pub fn locker(self: &Arc<Self>, pid: i32) -> Arc<Locker> {
        let (id, notes) = (self.next.fetch_add(1, Ordering::Relaxed), Notes::new(pid));
        self.locks.lock().notes.insert(id, Arc::clone(&notes));
        Arc::new(Locker {
            manager: Arc::clone(self),
            id,
            pid,
            notes,
            timeout_ms: AtomicU64::new(0),
            interrupted: RwLock::default(),
            blocking: RwLock::default(),
            turn: Mutex::default(),
        })
    }

    /// All that is held and waited for.
    #[must_use]
    pub fn list(&self) -> Vec<Locked> {
        self.locks.lock().list()
    }

    /// The processes that a process waits for.
    #[must_use]
    pub fn blocking(&self, pid: i32) -> Vec<i32> {
        self.locks.lock().blocking(pid)
    }

    /// Rows have got other numbers: a flush or a merge has made another part of them. `place` says
    /// which; none for a row that is no more.
    pub fn move_rows(&self, from: RowSpace, place: impl FnMut(u32) -> Option<(RowSpace, u32)>) {
        self.locks.lock().move_rows(from, place);
    }

    /// Whether anybody has locked the key of a row, or waits for a row.
    pub(crate) fn has_followers(&self) -> bool {
        let mut locks = self.locks.lock();
        locks.has_shared() || locks.has_line()
    }

    /// Which of some rows have keys that somebody has locked, or are waited for.
    pub(crate) fn followed(&self, space: RowSpace, rows: &RoaringBitmap) -> RoaringBitmap {
        let locks = self.locks.lock();
        locks.shared(space, rows) | locks.wanted(space, rows)
    }

    /// A row has a next version, of the same key: whoever has locked its key keeps that, and whoever
    /// waits for the row waits for that version.
    pub(crate) fn follow(&self, from: (RowSpace, u32), to: (RowSpace, u32)) {
        let mut locks = self.locks.lock();
        locks.follow(from, to);
        locks.follow_line(from, to);
    }

    /// Whether anybody has rows of a place locked, or waits for some.
    #[must_use]
    pub fn has_rows(&self, space: RowSpace) -> bool {
        self.locks.lock().has_rows(space)
    }
}

/// How much a transaction had locked at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockMark {
    taken: usize,
    noted: usize,
}

/// One who holds locks. Dropped, it holds none.
pub struct Locker {
    manager: Arc<LockManager>,
    id: u64,
    pid: i32,
    notes: Arc<Notes>,
    timeout_ms: AtomicU64,
    interrupted: RwLock<Option<Arc<Interrupted>>>,
    blocking: RwLock<Option<Arc<Blocking>>>,
    /// It waits for one thing at a time.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Locker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locker")
            .field("id", &self.id)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        self.manager.locks.lock().leave(self.id);
    }
}

impl Locker {
    /// `lock_timeout`; none waits for ever.
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        let ms = timeout.map_or(0, |timeout| {
            u64::try_from(timeout.as_millis())
                .unwrap_or(u64::MAX)
                .max(1)
        });
        self.timeout_ms.store(ms, Ordering::Relaxed);
    }

    /// How it learns that it is to stop waiting. Asked every now and then, under a lock: it only
    /// looks.
    pub fn set_interrupted(&self, interrupted: Arc<Interrupted>) {
        *self.interrupted.write() = Some(interrupted);
    }

    /// What runs its waits, and whatever else may take long; without it they run as they are.
    pub fn set_blocking(&self, blocking: Arc<Blocking>) {
        *self.blocking.write() = Some(blocking);
    }

    /// Its number in the messages and views that name transactions.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whose it is.
    #[must_use]
    pub fn manager(&self) -> &Arc<LockManager> {
        &self.manager
    }

    /// Locks a thing until the transaction ends; whether it has it, which only [`Wait::Skip`]
    /// leaves open.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub fn lock(&self, target: LockTarget, mode: LockMode, wait: Wait) -> Result<bool, LockError> {
        Ok(self.lock_as(target, mode, wait, false)? != Had::Not)
    }

    /// Locks a table for a statement until the transaction ends; whether it waited. A weak lock that
    /// is in nobody's way costs next to nothing.
    ///
    /// # Errors
    /// As [`Locker::lock`].
    pub fn lock_waiting(&self, target: LockTarget, mode: LockMode) -> Result<bool, LockError> {
        Ok(self.lock_as(target, mode, Wait::Block, false)? == Had::Late)
    }

    /// Locks a thing until [`Locker::unlock_session`] was called as often.
    ///
    /// # Errors
    /// As [`Locker::lock`].
    pub fn lock_session(
        &self,
        target: LockTarget,
        mode: LockMode,
        wait: Wait,
    ) -> Result<bool, LockError> {
        Ok(self.lock_as(target, mode, wait, true)? != Had::Not)
    }

    fn lock_as(
        &self,
        target: LockTarget,
        mode: LockMode,
        wait: Wait,
        session: bool,
    ) -> Result<Had, LockError> {
        if !session && mode.is_weak() && self.notes.take(&self.manager.strong, target, mode) {
            return Ok(Had::AtOnce);
        }
        if !mode.is_strong() {
            return self.lock_among(target, mode, wait, session);
        }
        // From here on nobody notes a weak lock of it.
        self.manager.strong.add(target);
        self.manager.locks.lock().move_notes(target);
        let had = self.lock_among(target, mode, wait, session);
        self.manager.strong.subtract(target);
        had
    }

    fn lock_among(
        &self,
        target: LockTarget,
        mode: LockMode,
        wait: Wait,
        session: bool,
    ) -> Result<Had, LockError> {
        let what = What::Object {
            target,
            mode,
            session,
        };
        let _turn = self.turn.lock();
        let mut locks = self.manager.locks.lock();
        let Some(left) = locks.take(self.id, self.pid, what) else {
            return Ok(Had::AtOnce);
        };
        match wait {
            Wait::Block => {
                locks.let_go(self.id);
                self.wait_for(&mut locks, left)?;
                Ok(Had::Late)
            }
            Wait::NoWait => Err(LockError::NotAvailable(left.name())),
            Wait::Skip => Ok(Had::Not),
        }
    }

    /// Gives back a lock of the session; false where it has none.
    pub fn unlock_session(&self, target: LockTarget, mode: LockMode) -> bool {
        self.manager.locks.lock().unlock(self.id, target, mode)
    }

    /// Gives back all locks that the session has on advisory numbers.
    pub fn unlock_session_all(&self) {
        self.manager.locks.lock().unlock_all(self.id);
    }

    /// Locks rows of one place until the transaction ends. The free ones are had at once; for the
    /// others it waits, fails, or goes without.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub fn lock_rows(
        &self,
        space: RowSpace,
        rows: &RoaringBitmap,
        mode: RowMode,
        wait: Wait,
    ) -> Result<Gained, LockError> {
        let what = What::Rows {
            table: space.table,
            mode,
            rows: RowSet::from([(space, rows.clone())]),
        };
        self.lock_set(what, wait)
    }

    /// What it holds of a table's rows in a mode.
    #[must_use]
    pub fn rows_of(&self, table: TableId, mode: RowMode) -> BTreeMap<RowSpace, RoaringBitmap> {
        self.manager.locks.lock().rows_of(self.id, table, mode)
    }

    /// Locks keys of one constraint, by hashes, against all others until the transaction ends.
    /// Skipping is for rows alone: here it is as NOWAIT.
    ///
    /// # Errors
    /// As [`Locker::lock_rows`].
    pub fn lock_keys(
        &self,
        space: KeySpace,
        hashes: Vec<u64>,
        wait: Wait,
    ) -> Result<Gained, LockError> {
        self.lock_set(What::Keys { space, hashes }, wait)
    }

    fn lock_set(&self, what: What, wait: Wait) -> Result<Gained, LockError> {
        let _turn = self.turn.lock();
        let mut locks = self.manager.locks.lock();
        let Some(left) = locks.take(self.id, self.pid, what) else {
            return Ok(Gained::default());
        };
        match (wait, left) {
            (Wait::Block, left) => {
                locks.let_go(self.id);
                self.wait_for(&mut locks, left)?;
                Ok(Gained {
                    waited: true,
                    ..Gained::default()
                })
            }
            (Wait::Skip, What::Rows { rows, .. }) => Ok(Gained {
                waited: false,
                skipped: rows.into_values().next().unwrap_or_default(),
            }),
            (Wait::NoWait | Wait::Skip, left) => Err(LockError::NotAvailable(left.name())),
        }
    }

    /// Runs what waits, or takes long.
    pub(crate) fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        let blocking = self.blocking.read().clone();
        let (mut work, mut done) = (Some(work), None);
        let mut run = || {
            if let Some(work) = work.take() {
                done = Some(work());
            }
        };
        match blocking {
            Some(blocking) => blocking(&mut run),
            None => run(),
        }
        match (done, work) {
            (Some(done), _) => done,
            // What it was given did not call it.
            (None, Some(work)) => work(),
            (None, None) => unreachable!("what ran has come to something"),
        }
    }

    /// Waits until what is left was granted.
    fn wait_for(
        &self,
        locks: &mut parking_lot::MutexGuard<'_, Locks>,
        left: What,
    ) -> Result<(), LockError> {
        self.aside(|| self.wait_here(locks, left))
    }

    fn wait_here(
        &self,
        locks: &mut parking_lot::MutexGuard<'_, Locks>,
        left: What,
    ) -> Result<(), LockError> {
        let clock = &self.manager.clock;
        let interrupted = self.interrupted.read().clone();
        let timeout_ms = self.timeout_ms.load(Ordering::Relaxed);
        let end_ns = (timeout_ms > 0).then(|| {
            clock
                .monotonic_ns()
                .saturating_add(timeout_ms.saturating_mul(1_000_000))
        });
        let woken = Arc::new(Condvar::new());
        let since_us = clock.wall_us();
        locks.wish(self.id, left, Arc::clone(&woken), since_us);
        let failed = match locks.break_circles(self.id) {
            Some(detail) => Some(LockError::Deadlock { detail }),
            None => loop {
                if !locks.waits(self.id) {
                    break None;
                }
                if interrupted.as_ref().is_some_and(|asked| asked()) {
                    break Some(LockError::Cancelled);
                }
                let now_ns = clock.monotonic_ns();
                let left_ns = end_ns.map(|end| end.saturating_sub(now_ns));
                if left_ns == Some(0) {
                    break Some(LockError::Timeout);
                }
                let slice = left_ns.map_or(LOOK_EVERY, |left| {
                    Duration::from_nanos(left).min(LOOK_EVERY)
                });
                woken.wait_for(locks, slice);
            },
        };
        match failed {
            None => Ok(()),
            Some(error) => {
                locks.give_up(self.id);
                Err(error)
            }
        }
    }

    /// What is locked from now on can be given back by itself.
    #[must_use]
    pub fn mark(&self) -> LockMark {
        LockMark {
            taken: self.manager.locks.lock().mark(self.id),
            noted: self.notes.count(),
        }
    }

    /// Gives back what was locked since a mark, a savepoint's.
    pub fn release_to(&self, mark: LockMark) {
        let mut locks = self.manager.locks.lock();
        locks.release_notes(self.id, mark.noted);
        locks.release_to(self.id, mark.taken);
    }

    /// The same for who is about to look again at what it waited for: the rows of its last wait stay
    /// locked until it locks them again, waits for something else, or lets them go
    /// ([`Locker::let_go`]).
    pub fn look_again(&self, mark: LockMark) {
        let mut locks = self.manager.locks.lock();
        locks.release_notes(self.id, mark.noted);
        locks.look_again(self.id, mark.taken);
    }

    /// It has looked again: what it kept of the rows of its last wait, and did not lock, is free.
    pub fn let_go(&self) {
        self.manager.locks.lock().let_go(self.id);
    }

    /// If it waits it looks whether it was told to stop.
    pub fn wake(&self) {
        self.manager.locks.lock().wake(self.id);
    }

    /// Gives back all but the session's own. After the commit is visible, or all is undone.
    pub fn end_transaction(&self) {
        let mut locks = self.manager.locks.lock();
        locks.release_notes(self.id, 0);
        locks.release_to(self.id, 0);
    }

    /// Whether the transaction holds a mode on a thing, or one that is stronger in every way.
    #[must_use]
    pub fn holds(&self, target: LockTarget, mode: LockMode) -> bool {
        let covers = |held: LockMode| held.conflicts() & mode.conflicts() == mode.conflicts();
        self.notes.holds(target, covers) || self.manager.locks.lock().holds(self.id, target, mode)
    }
}
