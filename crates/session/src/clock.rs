//! The system's clocks as the engine wants them.

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
    pub fn now(&self) -> Now {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono: Mono(nanos(self.origin.elapsed())),
            unix: Unix(nanos(unix)),
        }
    }

    /// Returns the moment at which this clock shows `mono`.
    pub(crate) fn instant_of(&self, mono: Mono) -> Instant {
        self.origin + Duration::from_nanos(mono.0)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
