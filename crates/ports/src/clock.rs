//! The system's clocks as the engine wants them: the one place where shells read the time.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heliogram_proto::cx::{Mono, Now, Unix};

/// Reads both clocks. Monotonic time counts from when the first clock of the process was made: all of them agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    /// What is added to the system's wall clock, in nanoseconds.
    shift_ns: i64,
}

impl Clock {
    /// Starts counting, unless that has begun.
    #[must_use]
    pub fn start() -> Self {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        Self {
            origin: *ORIGIN.get_or_init(Instant::now),
            shift_ns: 0,
        }
    }

    /// Makes the wall clock differ from the system's by so many seconds, for who knows better or wants to be wrong.
    /// Monotonic time stays what it is.
    #[must_use]
    pub const fn shifted(mut self, seconds: i64) -> Self {
        self.shift_ns = seconds.saturating_mul(1_000_000_000);
        self
    }

    /// Reads both clocks.
    #[must_use]
    pub fn now(self) -> Now {
        Now {
            mono: Mono(nanos(self.origin.elapsed())),
            unix: Unix(unix_now().0.saturating_add_signed(self.shift_ns)),
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

    #[test]
    fn all_clocks_of_a_process_agree_whenever_they_were_made() {
        let first = Clock::start();
        let (before, second) = (first.now().mono, Clock::start());
        let between = second.now().mono;
        assert!(before <= between && between <= first.now().mono);
        assert_eq!(first.instant(Mono(5)), second.instant(Mono(5)));
    }

    #[test]
    fn a_shifted_clock_is_wrong_about_the_date_and_not_about_time() {
        for seconds in [-600, 600] {
            let clock = Clock::start();
            let shifted = clock.shifted(seconds);
            let (now, wrong) = (clock.now(), shifted.now());
            let by = wrong.unix.0.cast_signed() - now.unix.0.cast_signed();
            let expected = seconds * 1_000_000_000;
            assert!((expected..expected + 60_000_000_000).contains(&by), "{by}");
            assert!(wrong.mono.since(now.mono) < Duration::from_mins(1));
        }
    }
}
