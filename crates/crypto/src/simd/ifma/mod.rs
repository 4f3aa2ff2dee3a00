//! Eight big numbers at once, with the 52-bit multipliers of AVX-512 IFMA: what a server's handshakes are made of.
//!
//! | file | what |
//! | --- | --- |
//! | `lanes` | products modulo an odd number |
//! | `power` | powers of any base |
//! | `fixed_base` | powers of a base known before |
//! | `rsa` | the private operation |
//!
//! Eight take little longer than one, so this pays from some number on: who calls decides. All is in constant time but
//! for the number of lanes that matter, and what held secrets is erased. Numbers are big-endian outside.
//!
//! Whether it is worth its lines: `docs/adr/0017-eight-lanes-for-handshakes.md`.

mod fixed_base;
mod lanes;
mod power;
mod rsa;
#[cfg(test)]
mod tests;

use rand_core::CryptoRng;

use super::{Cpu, Level};
use crate::SecretBytes;
use crate::bn::{Factors, Number2048};
use fixed_base::FixedBase;
use lanes::{Modulus, Number};
use power::Powers;

pub(crate) use lanes::LANES;

/// Proof that the processor has these multipliers, and that the level in use allows them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma(());

impl Ifma {
    /// `None` where they are missing, or forced off.
    pub(crate) fn current() -> Option<Self> {
        let is_there = Cpu::current().level() >= Level::Vaes512
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512ifma");
        is_there.then_some(Self(()))
    }
}

/// A modulus of 2048 bits and a base, prepared.
pub(crate) struct Group {
    modulus: Modulus<BLOCKS_2048>,
    base: FixedBase,
    proof: Ifma,
}

impl Group {
    /// Takes some milliseconds. The modulus is odd; both are public.
    pub(crate) fn new(proof: Ifma, modulus: &Number2048, base: &Number2048) -> Self {
        let modulus = Modulus::broadcast(modulus);
        let mut number = Number::zero();
        for lane in 0..LANES {
            number.set(lane, base);
        }
        // SAFETY: `proof` says that the processor has the instructions.
        let base = unsafe {
            Powers::new().scratch.enter(&modulus, &mut number);
            FixedBase::new(&modulus, &number)
        };
        Self {
            modulus,
            base,
            proof,
        }
    }

    /// Returns the powers of the base.
    pub(crate) fn powers_of_base(&self, exponents: &[&SecretBytes<256>]) -> Vec<SecretBytes<256>> {
        let Self {
            proof: Ifma(()), ..
        } = self;
        let mut powers = Vec::with_capacity(exponents.len());
        for some in exponents.chunks(LANES) {
            let mut out = Number::zero();
            let exponents = spread(some, |exponent| exponent.expose());
            // SAFETY: the pattern above shows the proof that the processor has the instructions.
            unsafe {
                self.base.raise(&self.modulus, exponents, &mut out);
                Powers::new().scratch.leave(&self.modulus, &mut out);
            }
            powers.extend((0..some.len()).map(|lane| read(&out, lane)));
        }
        powers
    }

    /// Returns the power of each number, which need not be below the modulus.
    pub(crate) fn powers(
        &self,
        numbers: &[(&Number2048, &SecretBytes<256>)],
    ) -> Vec<SecretBytes<256>> {
        let Self {
            proof: Ifma(()), ..
        } = self;
        let mut powers = Vec::with_capacity(numbers.len());
        let mut room = Powers::new();
        for some in numbers.chunks(LANES) {
            let mut number = Number::zero();
            for (lane, base) in spread(some, |(base, _)| *base).into_iter().enumerate() {
                number.set(lane, base);
            }
            let exponents = spread(some, |(_, exponent)| exponent.expose().as_slice());
            // SAFETY: the pattern above shows the proof that the processor has the instructions.
            unsafe {
                room.scratch.enter(&self.modulus, &mut number);
                room.raise(&self.modulus, &mut number, exponents);
                room.scratch.leave(&self.modulus, &mut number);
            }
            powers.extend((0..some.len()).map(|lane| read(&number, lane)));
        }
        powers
    }
}

/// A private RSA key of 2048 bits, prepared.
pub(crate) struct Private {
    key: rsa::Private,
    proof: Ifma,
}

impl Private {
    /// The public exponent is 65537, and both factors have 1024 bits.
    pub(crate) fn new(proof: Ifma, n: &Number2048, factors: Factors) -> Self {
        // SAFETY: `proof` says that the processor has the instructions.
        let key = unsafe { rsa::Private::new(n, factors) };
        Self { key, proof }
    }

    /// Returns input^d of each input, which must be below n; `None` where a fault made it wrong.
    pub(crate) fn raw(
        &self,
        blinding: &mut Option<Blinding>,
        inputs: &[&Number2048],
        rng: &mut dyn CryptoRng,
    ) -> Vec<Option<SecretBytes<256>>> {
        let Self {
            proof: Ifma(()), ..
        } = self;
        let mut outputs = Vec::with_capacity(inputs.len());
        for some in inputs.chunks(LANES) {
            let mut number = Number::zero();
            for (lane, input) in spread(some, |input| *input).into_iter().enumerate() {
                number.set(lane, input);
            }
            // SAFETY: the pattern above shows the proof that the processor has the instructions.
            let is_right = unsafe {
                let factors =
                    blinding.get_or_insert_with(|| Blinding(rsa::Blinding::new(&self.key, rng)));
                let is_right = self.key.decrypt(&factors.0, &mut number, some.len());
                if !factors.0.refresh(&self.key) {
                    *blinding = None;
                }
                is_right
            };
            let right = is_right.into_iter().take(some.len()).enumerate();
            outputs.extend(right.map(|(lane, right)| right.then(|| read(&number, lane))));
        }
        outputs
    }
}

/// What hides the inputs of one key's operations. It changes with each use, so every thread has its own.
pub(crate) struct Blinding(rsa::Blinding);

/// Gives each lane an item; those that are left over do the work of the first.
fn spread<'a, T, U>(items: &'a [T], of: impl Fn(&'a T) -> &'a U) -> [&'a U; LANES]
where
    U: ?Sized,
{
    core::array::from_fn(|lane| of(items.get(lane).unwrap_or(&items[0])))
}

fn read(number: &Number<BLOCKS_2048>, lane: usize) -> SecretBytes<256> {
    SecretBytes::fill_with(|bytes| number.write(lane, bytes))
}

/// An exponent for each lane.
type Exponents<'a> = [&'a [u8; 256]; LANES];

/// 1040 bits.
const BLOCKS_1024: usize = 2;

/// 2080 bits.
const BLOCKS_2048: usize = 4;
