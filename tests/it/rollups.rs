//! Continuous aggregates under random histories: after every step each view equals its query over
//! the raw rows, and a query over raw rows says the same whether it is answered from them or not.
//!
//! `ROLLUPS_SEEDS=10000` runs so many histories, `ROLLUPS_FIRST=42` begins at another seed,
//! `ROLLUPS_THREADS=1` runs them one by one, `ROLLUPS_ALL=1` goes on after failures. A history that fails is printed as SQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod history;
mod queries;
mod reshape;
mod views;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use history::{History, Kind};

/// How long all histories may take where nobody says how many there are to be.
const CI_SECONDS: u64 = 25;
/// Planning recurses with the plan.
const STACK_BYTES: usize = 32 << 20;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn views_equal_their_queries_under_random_histories() {
    run(Kind::Simulated);
}

#[test]
fn views_equal_their_queries_after_crashes() {
    run(Kind::Crashing);
}

#[test]
fn views_equal_their_queries_while_they_are_filled_behind() {
    run(Kind::Real);
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no platform of their own"
)]
fn now() -> Instant {
    Instant::now()
}

/// Runs histories on all cores until there were enough, or one failed.
fn run(kind: Kind) {
    let first = number("ROLLUPS_FIRST").unwrap_or(0);
    let seeds = number("ROLLUPS_SEEDS");
    let threads = number("ROLLUPS_THREADS").unwrap_or(3);
    let all = number("ROLLUPS_ALL").is_some();
    let until = now() + Duration::from_secs(CI_SECONDS);
    let next = Arc::new(AtomicU64::new(first));
    let failure = Arc::new(Mutex::new(None));
    let counts: Arc<[AtomicU64; 5]> = Arc::default();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (next, failure) = (Arc::clone(&next), Arc::clone(&failure));
            let counts = Arc::clone(&counts);
            let work = move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let over = match seeds {
                        Some(seeds) => seed >= first + seeds,
                        None => now() > until,
                    };
                    if over || failure.lock().unwrap().is_some() {
                        return;
                    }
                    let mut history = History::new(seed, kind);
                    let outcome = catch_unwind(AssertUnwindSafe(|| history.run()));
                    let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
                    for (count, more) in counts.iter().zip(history.counts()) {
                        count.fetch_add(more, Ordering::Relaxed);
                    }
                    if let (Err(reason), true) = (&outcome, all) {
                        eprintln!("seed {seed} ({kind:?}): {reason}\n");
                        continue;
                    }
                    if let Err(reason) = outcome {
                        let told = format!("{}\nseed {seed} ({kind:?}): {reason}", history.told());
                        failure.lock().unwrap().get_or_insert(told);
                        return;
                    }
                }
            };
            std::thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(work)
                .unwrap()
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let failure = failure.lock().unwrap().take();
    assert!(failure.is_none(), "{}", failure.unwrap());
    let histories = next.load(Ordering::Relaxed) - first;
    let [steps, checks, asked, answered, crashes] =
        counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    eprintln!(
        "{kind:?}: about {histories} histories, {steps} steps, {checks} views compared, \
         {answered} of {asked} queries answered from views, {crashes} crashes"
    );
    assert!(checks > 0);
}
