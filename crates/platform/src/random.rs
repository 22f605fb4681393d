//! Chance.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where random numbers come from.
pub trait Random: Debug + Send + Sync {
    /// Fills a buffer; good enough for keys and salts on the real machine.
    fn fill(&self, buffer: &mut [u8]);

    /// A random number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// The kernel's randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct RealRandom;

impl Random for RealRandom {
    #[expect(unsafe_code, reason = "getrandom(2) has no safe form in std")]
    fn fill(&self, buffer: &mut [u8]) {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            // SAFETY: the pointer and length are those of one live, writable slice.
            let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
            match usize::try_from(count) {
                Ok(count) => filled += count,
                // Only an interrupted call fails for a valid buffer; try again.
                Err(_) => continue,
            }
        }
    }
}

/// Numbers that a seed determines (splitmix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub struct SimRandom(AtomicU64);

impl SimRandom {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `bound`; 0 for a bound of 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// Whether something of one in `n` happens.
    #[must_use]
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Clone for SimRandom {
    fn clone(&self) -> Self {
        Self::new(self.0.load(Ordering::SeqCst))
    }
}

impl Random for SimRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for piece in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            for (to, from) in piece.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }

    fn next_u64(&self) -> u64 {
        let step = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(step, Ordering::SeqCst).wrapping_add(step);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
