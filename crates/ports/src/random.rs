//! The system's randomness as the engine wants it: the one place where shells draw it.
//!
//! Two sources. [`lend`] is for all that is spent by the message: padding, nonces, identifiers; it costs no system call
//! but one `getpid` a loan. [`system`] is the operating system itself, for what keys are made of.
//!
//! Each thread has a generator of its own:
//!
//! - It makes 1 KiB at a time with ChaCha20; the first 32 bytes become the next key, and what is handed out is
//!   erased here. Who reads the memory learns nothing of what was handed out before.
//! - After 1 MiB the operating system gives a new key, so that such a reader does not follow for ever.
//! - A process that was forked draws a new key before its first byte: both halves would otherwise go on alike. A fork
//!   shows in the number of the process; only a grandchild that is given the number of its dead grandparent looks like
//!   its own ancestor, and only if that happens between two loans of one thread.
//!
//! Without entropy nothing that this process makes is secret: it ends with a panic of whoever asked.

use core::convert::Infallible;
use std::cell::Cell;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng, TryCryptoRng, TryRng};
use zeroize::{Zeroize, Zeroizing};

/// Returns this thread's generator, for the length of one step.
///
/// Costs nothing until it is first drawn from. Loans may overlap: the second is of a new generator.
#[must_use]
pub fn lend() -> Loan {
    Loan { generator: None }
}

/// Returns the operating system's generator. Each draw is a system call: for keys only.
#[must_use]
pub fn system() -> System {
    System(())
}

/// A thread's generator on loan; it goes back when this is dropped.
pub struct Loan {
    generator: Option<Box<Generator>>,
}

impl Loan {
    fn generator(&mut self) -> &mut Generator {
        self.generator.get_or_insert_with(|| {
            let kept = GENERATOR.try_with(Cell::take).ok().flatten();
            let mut generator = kept.unwrap_or_else(|| Box::new(Generator::new(seed)));
            generator.look_for_fork(std::process::id());
            generator
        })
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // At the very end of a thread there is nobody to give it back to.
        if self.generator.is_some() {
            let _is_kept = GENERATOR.try_with(|kept| kept.set(self.generator.take()));
        }
    }
}

impl TryRng for Loan {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.generator().take()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.generator().take()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.generator().fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Loan {}

impl core::fmt::Debug for Loan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Loan(…)")
    }
}

/// The operating system's generator.
#[derive(Debug)]
pub struct System(());

impl TryRng for System {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        draw(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        draw(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        draw(out);
        Ok(())
    }
}

impl TryCryptoRng for System {}

/// A buffered generator that forgets what it has handed out.
struct Generator {
    key: Zeroizing<[u8; 32]>,
    /// What is still to be handed out lies at the end, zeros before it.
    buffer: Zeroizing<[u8; BUFFER_BYTES]>,
    left: usize,
    /// Until the next seed.
    until_reseed: usize,
    process: u32,
    /// Where seeds come from.
    seed: fn() -> Zeroizing<[u8; 32]>,
}

impl Generator {
    fn new(seed: fn() -> Zeroizing<[u8; 32]>) -> Self {
        Self {
            key: seed(),
            buffer: Zeroizing::new([0; BUFFER_BYTES]),
            left: 0,
            until_reseed: RESEED_BYTES,
            process: std::process::id(),
            seed,
        }
    }

    /// Begins anew if this is not the process that used it last.
    fn look_for_fork(&mut self, process: u32) {
        if self.process != process {
            self.process = process;
            self.buffer.zeroize();
            self.left = 0;
            self.reseed();
        }
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.left == 0 {
                self.refill();
            }
            let count = out.len().min(self.left);
            let (now, later) = out.split_at_mut(count);
            let begin = self.buffer.len() - self.left;
            if let Some(bytes) = self.buffer.get_mut(begin..begin + count) {
                now.copy_from_slice(bytes);
                bytes.zeroize();
            }
            self.left -= count;
            out = later;
        }
    }

    fn refill(&mut self) {
        if self.until_reseed < BUFFER_BYTES {
            self.reseed();
        }
        self.until_reseed -= BUFFER_BYTES;
        let mut stream = ChaCha20Rng::from_seed(*self.key);
        stream.fill_bytes(&mut *self.key);
        stream.fill_bytes(&mut *self.buffer);
        self.left = BUFFER_BYTES;
    }

    /// Mixes a new seed into the key: what was unpredictable stays so, whatever the seed is worth.
    fn reseed(&mut self) {
        for (key, seed) in self.key.iter_mut().zip((self.seed)().iter()) {
            *key ^= seed;
        }
        self.until_reseed = RESEED_BYTES;
    }
}

fn seed() -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    draw(&mut *seed);
    seed
}

#[expect(
    clippy::panic,
    reason = "no key may be made without entropy, and no peer can bring this about"
)]
fn draw(out: &mut [u8]) {
    if let Err(error) = getrandom::fill(out) {
        panic!("the operating system gives no entropy: {error}");
    }
}

thread_local! {
    static GENERATOR: Cell<Option<Box<Generator>>> = const { Cell::new(None) };
}

/// Bytes made at a time: the padding of some forty messages.
const BUFFER_BYTES: usize = 1024;

/// Bytes after which a new seed is drawn.
const RESEED_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// NIST and RFC 7539 know the key stream of a key of zeros: `76 b8 e0 ad …`.
    #[test]
    fn the_first_32_bytes_of_the_stream_are_the_next_key_and_never_handed_out() {
        let mut generator = Generator::new(|| Zeroizing::new([0; 32]));
        let mut stream = [0; 32 + BUFFER_BYTES];
        ChaCha20Rng::from_seed([0; 32]).fill_bytes(&mut stream);
        assert_eq!(stream[..4], [0x76, 0xb8, 0xe0, 0xad]);

        let mut out = [0; BUFFER_BYTES];
        generator.fill(&mut out);

        assert_eq!(*generator.key, stream[..32]);
        assert_eq!(out, stream[32..]);
    }

    #[test]
    fn what_is_handed_out_is_erased() {
        let mut generator = Generator::new(seed);
        let out: [u8; 100] = generator.take();
        assert_ne!(out, [0; 100]);
        assert_eq!(generator.buffer[..100], [0; 100]);
        assert_ne!(generator.buffer[100..132], [0; 32]);
    }

    #[test]
    fn bytes_are_the_same_however_they_are_asked_for() {
        let fixed = || Zeroizing::new([7; 32]);
        let mut whole = [0; 3000];
        Generator::new(fixed).fill(&mut whole);
        let mut pieces = [0; 3000];
        let mut generator = Generator::new(fixed);
        for piece in pieces.chunks_mut(77) {
            generator.fill(piece);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn a_forked_process_goes_on_differently() {
        let mut parent = Generator::new(|| Zeroizing::new([7; 32]));
        let _: [u8; 10] = parent.take();
        let mut child = Generator {
            key: parent.key.clone(),
            buffer: parent.buffer.clone(),
            seed,
            ..parent
        };
        parent.look_for_fork(parent.process);
        child.look_for_fork(parent.process + 1);
        assert_ne!(parent.take::<32>(), child.take::<32>());
    }

    #[test]
    fn a_seed_is_drawn_after_1_mib_and_not_before() {
        static SEEDS: AtomicU8 = AtomicU8::new(0);
        let mut generator =
            Generator::new(|| Zeroizing::new([SEEDS.fetch_add(1, Ordering::Relaxed); 32]));
        let mut out = vec![0; RESEED_BYTES];
        generator.fill(&mut out);
        assert_eq!(SEEDS.load(Ordering::Relaxed), 1);
        generator.fill(&mut [0]);
        assert_eq!(SEEDS.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn loans_one_after_another_are_of_one_generator_and_overlapping_ones_of_two() {
        let mut first = lend();
        let mut second = lend();
        let drawn = BTreeSet::from([
            first.next_u64(),
            second.next_u64(),
            first.next_u64(),
            second.next_u64(),
        ]);
        assert_eq!(drawn.len(), 4);
        drop(second);
        drop(first);

        let mut third = lend();
        let left = third.generator().left;
        third.next_u64();
        drop(third);
        assert_eq!(lend().generator().left, left - 8);
    }

    #[test]
    fn no_two_threads_draw_the_same() {
        let draw = || {
            let mut bytes = [0; 32];
            lend().fill_bytes(&mut bytes);
            bytes
        };
        let other = std::thread::spawn(draw).join().unwrap();
        assert_ne!(draw(), other);
        let mut from_system = [0; 32];
        system().fill_bytes(&mut from_system);
        assert_ne!(from_system, [0; 32]);
    }
}
