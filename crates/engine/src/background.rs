//! The thread that flushes and checkpoints while others commit.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use crate::engine::Engine;
use crate::error::{EngineError, io_error};

/// A thread that keeps an engine within its limits, until it is stopped or the engine is gone.
#[derive(Debug)]
pub(crate) struct Background {
    signal: Arc<Signal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Signal {
    wanted: Mutex<Wanted>,
    /// There is something to do, or to stop for.
    wake: Condvar,
    /// A round is done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    work: bool,
    stop: bool,
    /// Rounds that were done, and whether the last one failed.
    rounds: u64,
    failed: bool,
}

impl Background {
    /// Starts the thread; it has no hold on the engine while it waits.
    pub(crate) fn start(engine: &Arc<Engine>) -> Result<Self, EngineError> {
        let signal = Arc::new(Signal::default());
        let (for_thread, weak) = (Arc::clone(&signal), Arc::downgrade(engine));
        let thread = std::thread::Builder::new()
            .name("chronolith-maintain".to_owned())
            .spawn(move || run(&for_thread, &weak))
            .map_err(io_error("start a thread"))?;
        Ok(Self {
            signal,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// There is something to do; false when it was stopped, and nobody does it.
    pub(crate) fn wake(&self) -> bool {
        let mut wanted = self.signal.wanted.lock();
        wanted.work = true;
        self.signal.wake.notify_one();
        !wanted.stop
    }

    /// Wakes it and waits for a round to be done; false when that one failed, or none comes.
    pub(crate) fn wait(&self) -> bool {
        let mut wanted = self.signal.wanted.lock();
        wanted.work = true;
        self.signal.wake.notify_one();
        let rounds = wanted.rounds;
        while wanted.rounds == rounds && !wanted.stop {
            self.signal.done.wait(&mut wanted);
        }
        !wanted.stop && !wanted.failed
    }

    /// Whether it was stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.signal.wanted.lock().stop
    }

    /// Ends the thread, and waits for it to end what it is at.
    pub(crate) fn stop(&self) {
        self.signal.wanted.lock().stop = true;
        self.signal.wake.notify_all();
        self.signal.done.notify_all();
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        // The thread itself may be the last to have held the engine.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the maintenance thread ended in a panic");
        }
    }
}

fn run(signal: &Signal, engine: &Weak<Engine>) {
    loop {
        {
            let mut wanted = signal.wanted.lock();
            while !wanted.work && !wanted.stop {
                signal.wake.wait(&mut wanted);
            }
            if wanted.stop {
                return;
            }
            wanted.work = false;
        }
        let Some(engine) = engine.upgrade() else {
            return;
        };
        let outcome = engine.tidy();
        if let Err(error) = &outcome {
            tracing::error!(%error, "could not flush or checkpoint");
        }
        let mut wanted = signal.wanted.lock();
        wanted.rounds += 1;
        wanted.failed = outcome.is_err();
        signal.done.notify_all();
    }
}
