//! The pause before something that has failed is tried again: longer each time, never quite the same.

use std::time::Duration;

use heliogram_ports::random;
use rand_core::Rng as _;

use crate::limits::{RETRY_PAUSE_MAX, RETRY_PAUSE_MIN};

/// The next pause.
#[derive(Debug)]
pub(crate) struct Pause {
    next: Duration,
    max: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self::up_to(RETRY_PAUSE_MAX)
    }
}

impl Pause {
    /// Begins with [`RETRY_PAUSE_MIN`], and goes no further than this.
    pub(crate) fn up_to(max: Duration) -> Self {
        let next = RETRY_PAUSE_MIN.min(max);
        Self { next, max }
    }

    /// Waits; the next time for twice as long.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    /// Returns a pause between half of the time and all of it, so that those who failed together do not come together.
    fn next(&mut self) -> Duration {
        let half = self.next / 2;
        let spread = u64::try_from(half.as_millis()).unwrap_or(0).max(1);
        self.next = (self.next * 2).min(self.max);
        half + Duration::from_millis(random::lend().next_u64() % spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_within_their_bounds() {
        let mut pause = Pause::default();
        let pauses: Vec<_> = (0..12).map(|_| pause.next()).collect();
        assert!(pauses[0] >= RETRY_PAUSE_MIN / 2 && pauses[0] < RETRY_PAUSE_MIN);
        assert!(pauses[11] >= RETRY_PAUSE_MAX / 2 && pauses[11] < RETRY_PAUSE_MAX);
        assert!(pauses[6] > pauses[0]);
        let mut pause = Pause::up_to(RETRY_PAUSE_MIN);
        assert!((0..12).all(|_| pause.next() < RETRY_PAUSE_MIN));
    }
}
