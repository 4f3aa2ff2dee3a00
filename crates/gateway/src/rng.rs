//! A generator for each thread.

use std::cell::RefCell;

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

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
