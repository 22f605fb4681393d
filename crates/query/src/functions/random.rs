//! Random numbers of a session, which a seed makes come again.

use parking_lot::Mutex;

use super::error::FunctionError;

/// The state of PostgreSQL's generator, xoroshiro128**: the same seed gives the same numbers here.
#[derive(Debug)]
pub struct Random(Mutex<[u64; 2]>);

impl Default for Random {
    fn default() -> Self {
        let (a, b) = uuid::Uuid::new_v4().as_u64_pair();
        Self(Mutex::new(seeded(a ^ b.rotate_left(32))))
    }
}

impl Random {
    /// The next number in `0.0..1.0`.
    pub(super) fn next(&self) -> f64 {
        let mut state = self.0.lock();
        let [first, second] = *state;
        let mixed = second ^ first;
        let value = first.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        *state = [
            first.rotate_left(24) ^ mixed ^ (mixed << 16),
            mixed.rotate_left(37),
        ];
        (value >> 12) as f64 / (1_u64 << 52) as f64
    }

    /// `setseed`.
    ///
    /// # Errors
    /// 22023 for one that is not between -1 and 1.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "below 2^52, and a negative seed is taken modulo 2^64"
    )]
    pub(super) fn seed(&self, seed: f64) -> Result<(), FunctionError> {
        if !(-1.0..=1.0).contains(&seed) {
            return Err(FunctionError::invalid_parameter(format!(
                "setseed parameter {seed} is out of allowed range [-1,1]"
            )));
        }
        let whole = ((1_u64 << 52) - 1) as f64 * seed;
        *self.0.lock() = seeded(whole as i64 as u64);
        Ok(())
    }
}

/// A state from a seed, by splitmix64; never all zeros, from which there is no way out.
fn seeded(mut seed: u64) -> [u64; 2] {
    let mut next = || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    };
    match [next(), next()] {
        [0, 0] => [0x5851_f42d_4c95_7f2d, 0x1405_7b7e_f767_814f],
        state => state,
    }
}
