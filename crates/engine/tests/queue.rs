//! Commits of many at once, of which some are given up: those that were told to be done are there,
//! now and after a restart, and nobody waits for ever.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use chronolith_engine::{Engine, Isolation};
use chronolith_platform::SimRandom;
use chronolith_platform::sim::SimDisk;

mod shared;
use shared::{DB, TOTALS, create, ids, open, totals};

/// So many seconds nobody waits who was not forgotten.
const PATIENCE_S: u32 = 60;

struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// What some futures come to that are polled by turns on this thread.
fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let parked = Arc::new(Parked {
        thread: std::thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    let mut left: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    loop {
        left.retain_mut(|future| match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => {
                done.push(output);
                false
            }
            Poll::Pending => true,
        });
        if left.is_empty() {
            return done;
        }
        let mut seconds = 0;
        while !parked.woken.swap(false, Ordering::Acquire) {
            assert!(seconds < PATIENCE_S, "nobody woke who waits");
            std::thread::park_timeout(Duration::from_secs(1));
            seconds += 1;
        }
    }
}

fn commit(engine: &Arc<Engine>, id: i64) -> impl Future<Output = i64> + use<> {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.insert(TOTALS, &totals(id)).unwrap();
    async move {
        transaction.commit_beside_others().await.unwrap();
        id
    }
}

/// A waker that nobody hears: who gives up does not come back.
fn polled_once(future: impl Future) {
    let mut future = pin!(future);
    let _ = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
}

const THREADS: i64 = 6;
const ROUNDS: i64 = 60;

#[test]
fn who_is_told_so_is_committed_and_nobody_waits_for_ever() {
    for seed in 0..4 {
        let disk = SimDisk::new(seed);
        let engine = open(&disk, seed).unwrap();
        create(&engine).unwrap();
        let (told, over) = (Mutex::new(BTreeSet::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (engine, told) = (&engine, &told);
                    scope.spawn(move || {
                        let random = SimRandom::new(seed * 100 + u64::try_from(thread).unwrap());
                        for round in 0..ROUNDS {
                            let first = (round * THREADS + thread) * 4;
                            let mut waiting: Vec<_> =
                                (first..first + 3).map(|id| commit(engine, id)).collect();
                            if random.below(3) == 0 {
                                polled_once(waiting.remove(0));
                            }
                            let done = all(waiting);
                            told.lock().unwrap().extend(done);
                            // Those who wait for the log itself are among them.
                            let mut plain = engine.begin(DB, Isolation::ReadCommitted);
                            plain.insert(TOTALS, &totals(first + 3)).unwrap();
                            plain.commit().unwrap();
                            told.lock().unwrap().insert(first + 3);
                        }
                    })
                })
                .collect();
            let others = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    engine.checkpoint().unwrap();
                }
            });
            for worker in workers {
                worker.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
            others.join().unwrap();
        });
        let there = |engine: &Arc<Engine>| -> BTreeSet<i64> {
            let transaction = engine.begin(DB, Isolation::ReadCommitted);
            ids(&transaction, TOTALS, 0).into_iter().collect()
        };
        let before = there(&engine);
        let told = told.into_inner().unwrap();
        assert!(told.is_subset(&before), "{:?}", told.difference(&before));
        drop(engine);
        let engine = open(&disk, seed).unwrap();
        assert_eq!(there(&engine), before);
    }
}
