//! The system's clocks as the engine wants them: the one place where shells read the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heliogram_proto::cx::{Mono, Now, Unix};

/// Reads both clocks; monotonic time counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Starts counting.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Reads both clocks.
    #[must_use]
    pub fn now(self) -> Now {
        Now {
            mono: Mono(nanos(self.origin.elapsed())),
            unix: unix_now(),
        }
    }

    /// Returns the moment at which this clock shows `mono`, for a timer; a century ahead at most.
    #[must_use]
    pub fn instant(self, mono: Mono) -> Instant {
        let after = Duration::from_nanos(mono.0).min(FAR);
        self.origin.checked_add(after).unwrap_or(self.origin)
    }
}

/// Reads the wall clock; 1970 if it shows an earlier time.
#[must_use]
pub fn unix_now() -> Unix {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Unix(nanos(since.unwrap_or_default()))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Farther than any timer, near enough for every platform's clock.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_where_the_clock_shows_it_and_the_farthest_one_is_no_error() {
        let clock = Clock::start();
        let before = Instant::now();
        let soon = clock.now().mono + Duration::from_secs(5);
        let after = Instant::now();
        let at = clock.instant(soon) - Duration::from_secs(5);
        assert!(before <= at && at <= after);
        assert!(clock.instant(Mono(u64::MAX)) > after);
    }
}
