//! Commits that wait for the log: whoever finds it free writes for all who came by then.
//!
//! Nobody waits for the log itself but for his own commit, so that those whom another has written
//! with his own go on at once and side by side. Whoever lets the log go wakes one of those who came
//! meanwhile, to be the next who writes.

use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use chronolith_types::Lsn;
use parking_lot::{Mutex, MutexGuard};

use crate::commit::{Work, Writer};
use crate::engine::Engine;
use crate::error::EngineError;

/// A transaction that waits to be committed.
#[derive(Debug)]
pub(crate) struct Pending {
    work: Mutex<Option<Work>>,
    outcome: Mutex<Option<Result<Lsn, EngineError>>>,
    waker: Mutex<Option<Waker>>,
}

impl Pending {
    pub(crate) fn new(work: Work) -> Arc<Self> {
        Arc::new(Self {
            work: Mutex::new(Some(work)),
            outcome: Mutex::new(None),
            waker: Mutex::new(None),
        })
    }

    /// What it wants; whoever takes it tells what became of it.
    pub(crate) fn take(&self) -> Option<Work> {
        self.work.lock().take()
    }

    /// What became of it.
    pub(crate) fn finish(&self, outcome: Result<Lsn, EngineError>) {
        *self.outcome.lock() = Some(outcome);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_finished(&self) -> bool {
        self.outcome.lock().is_some()
    }

    /// What became of it, once it was written.
    pub(crate) fn result(&self) -> Result<Lsn, EngineError> {
        self.outcome.lock().take().unwrap_or_else(|| Err(lost()))
    }
}

fn lost() -> EngineError {
    EngineError::Record("a transaction was lost on its way to the log".into())
}

/// Transactions that are being written. If whoever does so panics, the others are told: each waits
/// for its own outcome, and nobody else would give it one.
struct Group(Vec<Arc<Pending>>);

impl Drop for Group {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for pending in self.0.iter().filter(|pending| !pending.is_finished()) {
                pending.finish(Err(lost()));
            }
        }
    }
}

/// Those who wait, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Vec<Arc<Pending>>>);

/// The log, in one's hands.
pub(crate) struct Writing<'e> {
    engine: &'e Engine,
    /// None once it is let go.
    writer: Option<MutexGuard<'e, Writer>>,
}

impl Deref for Writing<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        match &self.writer {
            Some(writer) => writer,
            None => unreachable!("the log is held until it is let go"),
        }
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        match &mut self.writer {
            Some(writer) => writer,
            None => unreachable!("the log is held until it is let go"),
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.writer = None;
        self.engine.hand_on();
    }
}

impl Engine {
    /// Takes the log, once it is free.
    pub(crate) fn writing(&self) -> Writing<'_> {
        Writing {
            engine: self,
            writer: Some(self.writer.lock()),
        }
    }

    /// Takes the log if it is free.
    pub(crate) fn try_writing(&self) -> Option<Writing<'_>> {
        let writer = self.writer.try_lock()?;
        Some(Writing {
            engine: self,
            writer: Some(writer),
        })
    }

    /// Wakes the first who waits, now that the log is free.
    fn hand_on(&self) {
        let queue = self.queue.0.lock();
        let mut waiting = queue.iter().filter(|pending| pending.work.lock().is_some());
        let first = waiting.next().cloned();
        drop(queue);
        if let Some(first) = first {
            first.wake();
        }
    }

    pub(crate) fn enqueue(&self, pending: &Arc<Pending>) {
        self.queue.0.lock().push(Arc::clone(pending));
    }

    /// Writes for all who wait, unless somebody has written the one that this is about.
    pub(crate) fn write_waiting(&self, writer: &mut Writer, pending: &Pending) {
        if !pending.is_finished() {
            let group = Group(std::mem::take(&mut *self.queue.0.lock()));
            self.write(writer, &group.0);
        }
    }
}

/// A commit on its way: done when it is safe and visible, or refused. Whoever polls it may write for
/// others too. Dropped before, it is not written, unless somebody is about to.
#[derive(Debug)]
pub(crate) struct Commit {
    engine: Arc<Engine>,
    pending: Arc<Pending>,
    done: bool,
}

impl Commit {
    pub(crate) fn new(engine: Arc<Engine>, pending: Arc<Pending>) -> Self {
        engine.enqueue(&pending);
        Self {
            engine,
            pending,
            done: false,
        }
    }

    /// What it comes to, for who waits for it on a thread of its own.
    pub(crate) fn wait(mut self) -> Result<Lsn, EngineError> {
        let engine = Arc::clone(&self.engine);
        let mut writer = engine.writing();
        // Whoever had the log before may have written this one with its own.
        engine.write_waiting(&mut writer, &self.pending);
        drop(writer);
        self.done = true;
        self.pending.result()
    }
}

impl Future for Commit {
    type Output = Result<Lsn, EngineError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Before the log is tried: whoever holds it then lets it go later, and wakes one who waits.
        *self.pending.waker.lock() = Some(context.waker().clone());
        if let Some(mut writer) = self.engine.try_writing() {
            // It need not be woken by itself.
            *self.pending.waker.lock() = None;
            self.engine.write_waiting(&mut writer, &self.pending);
        }
        let outcome = self.pending.outcome.lock().take();
        match outcome {
            Some(outcome) => {
                self.done = true;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        match self.pending.take() {
            // It may have been woken to write for others.
            Some(_) => self.engine.hand_on(),
            // Its locks are let go next: not before those who come then see what it did.
            None => drop(self.engine.writing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_written_by_one_who_panics_is_told() {
        let pendings = [Pending::new(Work::default()), Pending::new(Work::default())];
        let written = pendings.clone();
        let leader = std::thread::spawn(move || {
            let group = Group(written.to_vec());
            for pending in &group.0 {
                drop(pending.take());
            }
            if let Some(first) = group.0.first() {
                first.finish(Ok(Lsn(7)));
            }
            panic!("while it writes");
        });
        assert!(leader.join().is_err());
        let [first, second] = pendings;
        assert!(matches!(first.result(), Ok(Lsn(7))));
        assert!(second.is_finished());
        assert!(matches!(second.result(), Err(EngineError::Record(_))));
    }
}
