//! Decisions from a seed: what the network does, who fails, what clients want.

use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A generator of decisions.
#[derive(Clone, Debug)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// Makes dice. Those of different `purpose` are independent of each other.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose);
        Self(rng)
    }

    /// Returns a number from 0 up to `end`, exclusive; 0 if `end` is.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The bias is below 2^-32 for all that is asked here.
        self.0.next_u64() % end.max(1)
    }

    /// Returns an index into something of `len` items.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(len)).unwrap_or(0)
    }

    /// Returns a number within both ends.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Tells whether something happens that does so in `per_mille` of a thousand cases.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Returns a time within both ends, in milliseconds.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low * 1000, high * 1000))
    }

    /// Fills bytes that can't be packed.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Chooses one.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T], or: T) -> T {
        from.get(self.index(from.len())).copied().unwrap_or(or)
    }
}
