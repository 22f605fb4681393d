//! The three seams in one hand.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, RealClock, SimClock};
use crate::disk::Disk;
use crate::random::{Random, RealRandom, SimRandom};
use crate::real::RealDisk;
use crate::sim::SimDisk;

/// The machine an engine runs on.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Its files.
    pub disk: Arc<dyn Disk>,
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// Its chance.
    pub random: Arc<dyn Random>,
}

impl Platform {
    /// The real machine, with a data directory that is created (mode 0700) when it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made or opened.
    pub fn real(root: &Path) -> io::Result<Self> {
        Ok(Self {
            disk: Arc::new(RealDisk::open(root)?),
            clock: Arc::new(RealClock::default()),
            random: Arc::new(RealRandom),
        })
    }

    /// A simulated machine on a simulated disk.
    #[must_use]
    pub fn simulated(disk: SimDisk, seed: u64) -> Self {
        // 2025-03-03 00:00 UTC, a Monday.
        const START_US: i64 = 1_740_960_000_000_000;
        Self {
            disk: Arc::new(disk),
            clock: Arc::new(SimClock::at(START_US)),
            random: Arc::new(SimRandom::new(seed)),
        }
    }
}
