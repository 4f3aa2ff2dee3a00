//! The only door between a step of the engine and the world: time, randomness and a place for effects.
//!
//! Time has types of its own because `std::time::Instant` can't be made in virtual time.

use core::ops::Add;
use core::time::Duration;

use rand_core::CryptoRng;

/// Monotonic time in nanoseconds since an origin that the caller chose. Never steps back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Returns the time that has passed since `earlier`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    /// Saturates after some 584 years.
    fn add(self, rhs: Duration) -> Self {
        let nanos = u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// Unix time in nanoseconds. A wall clock: it may step, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unix(pub u64);

impl Unix {
    /// Makes a time from whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Returns whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// Returns the nanoseconds within the second, `0..1_000_000_000`.
    #[must_use]
    pub const fn subsec_nanos(self) -> u64 {
        self.0 % NANOS_PER_SECOND
    }
}

/// Both clocks, read at the same moment by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and ages.
    pub mono: Mono,
    /// For `msg_id`, salts and expiry.
    pub unix: Unix,
}

/// What a step may use: the time, a generator, and the caller's buffer for effects, to which it appends in order.
pub struct Cx<'a, Effect> {
    /// The time of this step.
    pub now: Now,
    /// A cryptographic generator.
    pub rng: &'a mut dyn CryptoRng,
    /// Effects of this step, in the order in which they are to be carried out. The caller owns the buffer.
    pub out: &'a mut Vec<Effect>,
}

impl<Effect> core::fmt::Debug for Cx<'_, Effect> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cx")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
