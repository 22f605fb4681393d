//! Time.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What time it is.
pub trait Clock: Debug + Send + Sync {
    /// µs since 1970-01-01 00:00 UTC, as people set it: it may jump either way.
    fn wall_us(&self) -> i64;
    /// ns since some instant; never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug)]
pub struct RealClock {
    start: std::time::Instant,
}

impl Default for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn default() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Clock for RealClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn wall_us(&self) -> i64 {
        match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        }
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that tests set.
#[derive(Debug, Default)]
pub struct SimClock {
    wall_us: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl SimClock {
    /// A clock that shows `wall_us`.
    #[must_use]
    pub fn at(wall_us: i64) -> Self {
        Self {
            wall_us: AtomicI64::new(wall_us),
            monotonic_ns: AtomicU64::new(0),
        }
    }

    /// Both clocks go on.
    pub fn advance_us(&self, us: u32) {
        self.wall_us.fetch_add(i64::from(us), Ordering::SeqCst);
        self.monotonic_ns
            .fetch_add(u64::from(us) * 1000, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock, perhaps back.
    pub fn set_wall_us(&self, wall_us: i64) {
        self.wall_us.store(wall_us, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn wall_us(&self) -> i64 {
        self.wall_us.load(Ordering::SeqCst)
    }

    fn monotonic_ns(&self) -> u64 {
        self.monotonic_ns.load(Ordering::SeqCst)
    }
}
