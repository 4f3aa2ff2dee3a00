//! The clocks, and a generator for each thread: the only place here that touches either.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heliogram_proto::cx::{Mono, Now, Unix};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

/// Reads both clocks. Monotonic time counts from this value's making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            mono: Mono(nanos(self.origin.elapsed())),
            unix: Unix(nanos(unix)),
        }
    }

    /// Returns when `mono` is, for a timer.
    pub(crate) fn instant(self, mono: Mono) -> tokio::time::Instant {
        let after = Duration::from_nanos(mono.0);
        let far = Duration::from_secs(FAR_S);
        tokio::time::Instant::from_std(
            self.origin
                .checked_add(after.min(far))
                .unwrap_or(self.origin),
        )
    }
}

/// Lends this thread's generator: ChaCha20, seeded by the operating system.
pub(crate) fn with_rng<T>(step: impl FnOnce(&mut dyn CryptoRng) -> T) -> T {
    RNG.with_borrow_mut(|rng| step(rng))
}

thread_local! {
    static RNG: RefCell<ChaCha20Rng> = RefCell::new(ChaCha20Rng::from_seed(seed()));
}

/// Draws a seed from the operating system. Without one nothing that this process makes is secret: it ends.
#[expect(
    clippy::panic,
    reason = "no key may be made without entropy, and no peer can bring this about"
)]
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    match getrandom::fill(&mut seed) {
        Ok(()) => seed,
        Err(error) => panic!("the operating system gives no entropy: {error}"),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Farther than any timer, near enough for the platform's clock.
const FAR_S: u64 = 100 * 365 * 86_400;
