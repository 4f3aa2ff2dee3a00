//! RSA's private operation on eight inputs: blinded, by the Chinese remainder theorem, checked against faults.
//!
//! ```text
//! x -> x * r^e -> to the power of d, modulo p and modulo q -> joined -> * 1/r -> below n -> to the power of e = x?
//! ```
//!
//! The exponentiations modulo p are in the lower four lanes and those modulo q in the upper, so one pass is four inputs.

use core::arch::x86_64::{
    _mm512_add_epi64, _mm512_or_si512, _mm512_setzero_si512, _mm512_shuffle_i64x2,
    _mm512_sub_epi64, _mm512_test_epi64_mask, _mm512_xor_si512,
};

use rand_core::CryptoRng;
use zeroize::Zeroize;

use super::lanes::{LANES, Limb, Modulus, Number, Scratch, carry};
use super::power::Powers;
use super::{BLOCKS_1024, BLOCKS_2048};
use crate::SecretBytes;
use crate::bn::Factors;

/// A private key, prepared for all lanes. Its public exponent is 65537.
pub(super) struct Private {
    n: Modulus<BLOCKS_2048>,
    /// p in the lower lanes, q in the upper.
    factors: Modulus<BLOCKS_1024>,
    /// R^3 modulo the factors.
    rrr: Number<BLOCKS_1024>,
    /// q in all lanes.
    q: Number<BLOCKS_1024>,
    /// 1/q modulo p, times R, in the lower lanes.
    q_inverse: Number<BLOCKS_1024>,
    /// d modulo p - 1 and q - 1.
    decrypt: [SecretBytes<128>; 2],
    /// p - 2 and q - 2: a power that is the inverse.
    invert: [SecretBytes<128>; 2],
}

impl Private {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn new(n: &[u8; 256], key: Factors) -> Self {
        let (p, q) = (key.p.expose(), key.q.expose());
        let factors = Modulus::halves(p, q);
        let mut scratch = Scratch::new();
        let mut rrr = Number::zero();
        rrr.copy_from(factors.rr());
        scratch.multiply(&factors, &mut rrr, factors.rr());
        let (mut q_everywhere, mut q_inverse) = (Number::zero(), Number::zero());
        for lane in 0..LANES {
            q_everywhere.set(lane, q);
        }
        for lane in 0..HALF {
            q_inverse.set(lane, key.q_inverse.expose());
        }
        scratch.enter(&factors, &mut q_inverse);
        Self {
            n: Modulus::broadcast(n),
            invert: [less_two(p), less_two(q)],
            factors,
            rrr,
            q: q_everywhere,
            q_inverse,
            decrypt: [key.d_p, key.d_q],
        }
    }

    /// Sets each of `inputs`, the first `count` of which matter, to its power of d; tells which came out right.
    ///
    /// Inputs are below n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn decrypt(
        &self,
        blinding: &Blinding,
        inputs: &mut Number<BLOCKS_2048>,
        count: usize,
    ) -> [bool; LANES] {
        let mut scratch = Scratch::new();
        let mut blinded = Number::zero();
        blinded.copy_from(inputs);
        scratch.multiply(&self.n, &mut blinded, &blinding.factor);
        let mut output = Number::zero();
        self.raise(&blinded, &self.decrypt, count, &mut output);
        scratch.multiply(&self.n, &mut output, &blinding.undo);
        scratch.subtract_once(&self.n, &mut output);

        blinded.copy_from(&output);
        scratch.enter(&self.n, &mut blinded);
        self.encrypt(&mut scratch, &mut blinded);
        scratch.leave(&self.n, &mut blinded);
        let mut difference = _mm512_setzero_si512();
        for (a, b) in blinded.limbs().iter().zip(inputs.limbs()) {
            difference = _mm512_or_si512(difference, _mm512_xor_si512(a.load(), b.load()));
        }
        let wrong = _mm512_test_epi64_mask(difference, difference);
        inputs.copy_from(&output);
        core::array::from_fn(|lane| wrong >> lane & 1 == 0)
    }

    /// Sets a, times R, to its power of 65537, times R.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn encrypt(&self, scratch: &mut Scratch<BLOCKS_2048>, a: &mut Number<BLOCKS_2048>) {
        let mut base = Number::zero();
        base.copy_from(a);
        for _ in 0..16 {
            scratch.square(&self.n, a);
        }
        scratch.multiply(&self.n, a, &base);
    }

    /// Raises the first `count` of `inputs`, each below R, to a power given modulo p - 1 and q - 1.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn raise(
        &self,
        inputs: &Number<BLOCKS_2048>,
        [of_p, of_q]: &[SecretBytes<128>; 2],
        count: usize,
        out: &mut Number<BLOCKS_2048>,
    ) {
        let mut powers = Powers::new();
        let exponents: [&[u8]; LANES] =
            core::array::from_fn(|lane| if lane < HALF { of_p } else { of_q }.expose().as_slice());
        let mut joined = Number::zero();
        for upper in [false, true] {
            if upper && count <= HALF {
                break;
            }
            let mut power = Number::zero();
            self.split(&mut powers.scratch, inputs, upper, &mut power);
            powers.raise(&self.factors, &mut power, exponents);
            powers.scratch.leave(&self.factors, &mut power);
            self.join(&mut powers.scratch, &power, &mut joined);
            for (out, joined) in out.limbs_mut().iter_mut().zip(joined.limbs()) {
                let (old, new) = (out.load(), joined.load());
                out.store(if upper {
                    _mm512_shuffle_i64x2::<LOWER_OF_BOTH>(old, new)
                } else {
                    new
                });
            }
        }
    }

    /// Sets `out` to four of the inputs modulo p and modulo q, times R.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn split(
        &self,
        scratch: &mut Scratch<BLOCKS_1024>,
        inputs: &Number<BLOCKS_2048>,
        upper: bool,
        out: &mut Number<BLOCKS_1024>,
    ) {
        let mut high = Number::zero();
        let parts = out.limbs_mut().iter_mut().chain(high.limbs_mut());
        for (part, input) in parts.zip(inputs.limbs()) {
            let input = input.load();
            part.store(if upper {
                _mm512_shuffle_i64x2::<UPPER_OF_BOTH>(input, input)
            } else {
                _mm512_shuffle_i64x2::<LOWER_OF_BOTH>(input, input)
            });
        }
        // The input is out + high * R.
        scratch.multiply(&self.factors, out, self.factors.rr());
        scratch.multiply(&self.factors, &mut high, &self.rrr);
        let mut sums = Number::<BLOCKS_1024>::zero();
        for ((sum, low), high) in sums
            .limbs_mut()
            .iter_mut()
            .zip(out.limbs())
            .zip(high.limbs())
        {
            sum.store(_mm512_add_epi64(low.load(), high.load()));
        }
        carry(sums.limbs(), out.limbs_mut());
    }

    /// Joins remainders modulo p and q to one modulo n, in the lower lanes: m = m_q + q * ((m_p - m_q) / q modulo p).
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn join(
        &self,
        scratch: &mut Scratch<BLOCKS_1024>,
        remainders: &Number<BLOCKS_1024>,
        out: &mut Number<BLOCKS_2048>,
    ) {
        let mut columns = Number::<BLOCKS_1024>::zero();
        let (ours, moduli) = (remainders.limbs(), self.factors.n().limbs());
        for ((column, m), n) in columns.limbs_mut().iter_mut().zip(ours).zip(moduli) {
            let (m, n) = (m.load(), n.load());
            let other = _mm512_shuffle_i64x2::<SWAPPED>(m, m);
            // Twice the one factor is more than the other, as both have 1024 bits: so this is positive.
            let twice = _mm512_add_epi64(n, n);
            column.store(_mm512_add_epi64(_mm512_sub_epi64(m, other), twice));
        }
        let mut quotient = Number::<BLOCKS_1024>::zero();
        carry(columns.limbs(), quotient.limbs_mut());
        scratch.multiply(&self.factors, &mut quotient, &self.q_inverse);
        scratch.subtract_once(&self.factors, &mut quotient);

        scratch.add_products(&quotient, &self.q);
        let mut sums = Number::<BLOCKS_2048>::zero();
        let of_q = ours.iter().chain(core::iter::repeat(&Limb::ZERO));
        let products = scratch.columns().iter().zip(of_q);
        for (sum, (product, m)) in sums.limbs_mut().iter_mut().zip(products) {
            let m = m.load();
            let m = _mm512_shuffle_i64x2::<SWAPPED>(m, m);
            sum.store(_mm512_add_epi64(product.load(), m));
        }
        carry(sums.limbs(), out.limbs_mut());
    }
}

/// Random factors that hide what is decrypted, and their undoing; squared after each use, made anew after some.
pub(super) struct Blinding {
    /// r^e, times R.
    factor: Number<BLOCKS_2048>,
    /// 1/r, times R.
    undo: Number<BLOCKS_2048>,
    uses_left: u8,
}

impl Blinding {
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn new(key: &Private, rng: &mut dyn CryptoRng) -> Self {
        let mut blinding = Self {
            factor: Number::zero(),
            undo: Number::zero(),
            uses_left: USES,
        };
        for lane in 0..LANES {
            blinding
                .factor
                .set(lane, SecretBytes::<256>::random(rng).expose());
        }
        key.raise(&blinding.factor, &key.invert, LANES, &mut blinding.undo);
        let mut scratch = Scratch::new();
        scratch.enter(&key.n, &mut blinding.undo);
        scratch.enter(&key.n, &mut blinding.factor);
        key.encrypt(&mut scratch, &mut blinding.factor);
        blinding
    }

    /// Makes other factors of these; `false` if they are worn out.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn refresh(&mut self, key: &Private) -> bool {
        self.uses_left = self.uses_left.saturating_sub(1);
        let mut scratch = Scratch::new();
        scratch.square(&key.n, &mut self.factor);
        scratch.square(&key.n, &mut self.undo);
        self.uses_left != 0
    }
}

/// A prime of 1024 bits less two.
fn less_two(prime: &[u8; 128]) -> SecretBytes<128> {
    SecretBytes::fill_with(|out| {
        out.copy_from_slice(prime);
        let mut borrow = 2;
        for byte in out.iter_mut().rev() {
            let (less, is_below) = byte.overflowing_sub(borrow);
            *byte = less;
            borrow = u8::from(is_below);
        }
        borrow.zeroize();
    })
}

/// Batches for which factors are squared before new ones are drawn, as many as `aws-lc` takes.
const USES: u8 = 32;

const HALF: usize = LANES / 2;

/// Lanes 0 to 3 of the first, then of the second.
const LOWER_OF_BOTH: i32 = 0b01_00_01_00;

/// Lanes 4 to 7 of the first, then of the second.
const UPPER_OF_BOTH: i32 = 0b11_10_11_10;

/// Lanes 4 to 7, then 0 to 3.
const SWAPPED: i32 = 0b01_00_11_10;
