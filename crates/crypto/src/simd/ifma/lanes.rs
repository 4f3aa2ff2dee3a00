//! Eight numbers side by side: multiplication, squaring and reduction modulo an odd number.
//!
//! A number is a row of limbs of 52 bits, the lowest first; a [`Limb`] holds one of each of the eight. Limbs come in
//! blocks of ten, so 20 for a factor of an RSA modulus (1040 bits) and 40 for a modulus (2080). R is 2 to the power of
//! that many bits.
//!
//! ```text
//!             lane 0   lane 1  …  lane 7
//! block 0  [ limb 0 |  limb 0  …  limb 0 ]  64 bytes
//!          [ limb 1 |  limb 1  …  limb 1 ]
//! ```
//!
//! Products are Montgomery's, "almost": as R is far above 4n, a product of two numbers below 2n is below 2n again, and
//! nothing is subtracted until the end ([`Scratch::leave`]). Columns of a product add up to less than 2^60, so carries
//! wait until the end of it, too.
//!
//! Every lane takes the same instructions and the same addresses, whatever it holds.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_load_si512, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_srai_epi64, _mm512_srli_epi64, _mm512_store_si512, _mm512_sub_epi64,
    _mm512_test_epi64_mask,
};

use zeroize::Zeroize;

/// Numbers side by side.
pub(crate) const LANES: usize = 8;

/// Limbs of a block: what is multiplied without leaving the registers.
pub(super) const BLOCK: usize = 10;

/// Repeats a body with a constant index into a block. The compiler keeps arrays in registers only if every index is a
/// constant, and does not unroll that far on its own.
macro_rules! unrolled {
    ($i:ident => $body:expr) => {
        unrolled!($i => $body, 0 1 2 3 4 5 6 7 8 9)
    };
    ($i:ident => $body:expr, $($n:literal)*) => {
        {
            $({
                const $i: usize = $n;
                $body;
            })*
        }
    };
}
pub(super) use unrolled;

/// One limb of each number.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Limb(pub(super) [u64; LANES]);

impl Limb {
    pub(super) const ZERO: Self = Self([0; LANES]);

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn load(&self) -> __m512i {
        // SAFETY: the type is 64 bytes, aligned to as many.
        unsafe { _mm512_load_si512(self.0.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn store(&mut self, lanes: __m512i) {
        // SAFETY: the type is 64 bytes, aligned to as many.
        unsafe { _mm512_store_si512(self.0.as_mut_ptr().cast(), lanes) }
    }
}

impl Zeroize for Limb {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Ten limbs of each number.
pub(super) type Block = [Limb; BLOCK];

/// Eight numbers of `B` blocks; erased when dropped.
pub(super) struct Number<const B: usize>(pub(super) [Block; B]);

impl<const B: usize> Number<B> {
    pub(super) const fn zero() -> Self {
        Self([[Limb::ZERO; BLOCK]; B])
    }

    /// Eight times one.
    pub(super) const fn one() -> Self {
        let mut number = Self::zero();
        number.0[0][0] = Limb([1; LANES]);
        number
    }

    pub(super) fn limbs(&self) -> &[Limb] {
        self.0.as_flattened()
    }

    pub(super) fn limbs_mut(&mut self) -> &mut [Limb] {
        self.0.as_flattened_mut()
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.0 = other.0;
    }

    /// Sets one of the numbers to big-endian bytes: as many as there are limbs, times 52 bits, at most.
    pub(super) fn set(&mut self, lane: usize, be: &[u8]) {
        // Two limbs are 13 bytes.
        let mut bytes = be.rchunks(13);
        for pair in self.limbs_mut().chunks_exact_mut(2) {
            let chunk = bytes.next().unwrap_or_default();
            let mut value = chunk
                .iter()
                .fold(0, |value, byte| value << 8 | u128::from(*byte));
            for limb in pair {
                limb.0[lane] = low_bits(value);
                value >>= LIMB_BITS;
            }
        }
    }

    /// Writes one of the numbers, which must fit, as big-endian bytes.
    pub(super) fn write(&self, lane: usize, be: &mut [u8]) {
        for (chunk, pair) in be.rchunks_mut(13).zip(self.limbs().chunks_exact(2)) {
            let [low, high] = [0, 1].map(|i| u128::from(pair[i].0[lane]));
            let value = (low | high << LIMB_BITS).to_le_bytes();
            for (byte, value) in chunk.iter_mut().rev().zip(value) {
                *byte = value;
            }
        }
    }
}

impl<const B: usize> Drop for Number<B> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Eight odd moduli, prepared for Montgomery's reduction.
pub(super) struct Modulus<const B: usize> {
    n: Number<B>,
    /// -1/n modulo 2^52.
    n_inverse: Limb,
    /// R^2 modulo n.
    rr: Number<B>,
}

impl<const B: usize> Modulus<B> {
    /// Prepares one modulus for all lanes.
    pub(super) fn broadcast(n: &[u8]) -> Self {
        let mut modulus = Self::empty();
        modulus.prepare(n, 0..LANES);
        modulus
    }

    /// Prepares one modulus for the lower four lanes and one for the upper.
    pub(super) fn halves(low: &[u8], high: &[u8]) -> Self {
        let mut modulus = Self::empty();
        modulus.prepare(low, 0..LANES / 2);
        modulus.prepare(high, LANES / 2..LANES);
        modulus
    }

    pub(super) fn n(&self) -> &Number<B> {
        &self.n
    }

    pub(super) fn rr(&self) -> &Number<B> {
        &self.rr
    }

    const fn empty() -> Self {
        Self {
            n: Number::zero(),
            n_inverse: Limb::ZERO,
            rr: Number::zero(),
        }
    }

    fn prepare(&mut self, n: &[u8], lanes: core::ops::Range<usize>) {
        let first = lanes.start;
        self.n.set(first, n);
        power_of_two(&mut self.rr, &self.n, first, 2 * BLOCK_BITS * B);
        let lowest = self.n.0[0][0].0[first];
        // Newton's iteration doubles the number of correct bits; n itself is right in 3.
        let inverse = (0..5).fold(lowest, |x, _| {
            x.wrapping_mul(2_u64.wrapping_sub(lowest.wrapping_mul(x)))
        });
        self.n_inverse.0[first] = inverse.wrapping_neg() & MASK;
        for lane in lanes.skip(1) {
            self.n_inverse.0[lane] = self.n_inverse.0[first];
            for number in [&mut self.n, &mut self.rr] {
                for limb in number.limbs_mut() {
                    limb.0[lane] = limb.0[first];
                }
            }
        }
    }
}

/// Sets a lane of `out` to 2^`exponent` modulo the same lane of `n`. Slow: for moduli that are used often.
fn power_of_two<const B: usize>(out: &mut Number<B>, n: &Number<B>, lane: usize, exponent: usize) {
    let mut less = Number::<B>::zero();
    out.0[0][0].0[lane] = 1;
    for _ in 0..exponent {
        let (mut carry, mut borrow) = (0, 0);
        for ((out, n), less) in out
            .limbs_mut()
            .iter_mut()
            .zip(n.limbs())
            .zip(less.limbs_mut())
        {
            let twice = out.0[lane] << 1 | carry;
            carry = twice >> LIMB_BITS;
            out.0[lane] = twice & MASK;
            let difference = out.0[lane].wrapping_sub(n.0[lane]).wrapping_sub(borrow);
            borrow = difference >> 63;
            less.0[lane] = difference & MASK;
        }
        // All ones if 2x was below n, and so is to stay.
        let keep = borrow.wrapping_neg();
        for (out, less) in out.limbs_mut().iter_mut().zip(less.limbs()) {
            out.0[lane] = out.0[lane] & keep | less.0[lane] & !keep;
        }
    }
}

/// Where products are added up; erased when dropped.
pub(super) struct Scratch<const B: usize> {
    columns: [[Block; B]; 2],
    /// The multiples of n that a reduction adds.
    multiples: Block,
}

impl<const B: usize> Scratch<B> {
    pub(super) const fn new() -> Self {
        Self {
            columns: [[[Limb::ZERO; BLOCK]; B]; 2],
            multiples: [Limb::ZERO; BLOCK],
        }
    }

    /// Sets a to a * b / R modulo n. Below 2n if both are; also if a is below R and b below n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn multiply(&mut self, modulus: &Modulus<B>, a: &mut Number<B>, b: &Number<B>) {
        self.add_products(a, b);
        self.reduce(modulus, a);
    }

    /// Sets a to a * a / R modulo n, below 2n if a is.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn square(&mut self, modulus: &Modulus<B>, a: &mut Number<B>) {
        let columns = self.columns.as_flattened_mut();
        columns.as_flattened_mut().fill(Limb::ZERO);
        for (i, block) in a.0.iter().enumerate() {
            add_triangle(columns, 2 * i, block);
            for (j, other) in a.0.iter().enumerate().skip(i + 1) {
                add_tile(columns, i + j, block, other);
            }
        }
        // What was added is there twice in a square, but the squares of limbs once.
        let (pairs, _) = columns.as_flattened_mut().as_chunks_mut::<2>();
        for ([low, high], limb) in pairs.iter_mut().zip(a.limbs()) {
            let (limb, twice) = (limb.load(), |column: &Limb| {
                _mm512_add_epi64(column.load(), column.load())
            });
            low.store(_mm512_madd52lo_epu64(twice(low), limb, limb));
            high.store(_mm512_madd52hi_epu64(twice(high), limb, limb));
        }
        self.reduce(modulus, a);
    }

    /// Sets a to a * R modulo n, below 2n; a is below R.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn enter(&mut self, modulus: &Modulus<B>, a: &mut Number<B>) {
        self.multiply(modulus, a, &modulus.rr);
    }

    /// Sets a to a / R modulo n, below n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn leave(&mut self, modulus: &Modulus<B>, a: &mut Number<B>) {
        let [low, high] = &mut self.columns;
        *low = a.0;
        high.as_flattened_mut().fill(Limb::ZERO);
        self.reduce(modulus, a);
        self.subtract_once(modulus, a);
    }

    /// Sets a, below 2n, to a modulo n, below n.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn subtract_once(&mut self, modulus: &Modulus<B>, a: &mut Number<B>) {
        let less = self.columns.as_flattened_mut().as_flattened_mut();
        let mask = _mm512_set1_epi64(MASK.cast_signed());
        let mut borrow = _mm512_setzero_si512();
        for ((a, n), less) in a.limbs().iter().zip(modulus.n.limbs()).zip(&mut *less) {
            let difference = _mm512_sub_epi64(_mm512_sub_epi64(a.load(), n.load()), borrow);
            less.store(_mm512_and_si512(difference, mask));
            borrow = _mm512_srli_epi64::<63>(difference);
        }
        let keep = _mm512_test_epi64_mask(borrow, borrow);
        for (a, less) in a.limbs_mut().iter_mut().zip(less) {
            a.store(_mm512_mask_mov_epi64(less.load(), keep, a.load()));
        }
    }

    /// Leaves a * b in the columns, carries not yet added.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn add_products(&mut self, a: &Number<B>, b: &Number<B>) {
        let columns = self.columns.as_flattened_mut();
        columns.as_flattened_mut().fill(Limb::ZERO);
        for (i, b) in b.0.iter().enumerate() {
            for (j, a) in a.0.iter().enumerate() {
                add_tile(columns, i + j, b, a);
            }
        }
    }

    /// The columns, the lowest first.
    pub(super) fn columns(&self) -> &[Limb] {
        self.columns.as_flattened().as_flattened()
    }

    /// Adds multiples of n until the lower half is zero; `out` becomes the upper.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn reduce(&mut self, modulus: &Modulus<B>, out: &mut Number<B>) {
        let columns = self.columns.as_flattened_mut();
        for i in 0..B {
            clear_block(columns, i, modulus, &mut self.multiples);
            for (j, n) in modulus.n.0.iter().enumerate().skip(1) {
                add_tile(columns, i + j, &self.multiples, n);
            }
        }
        let [_, high] = &self.columns;
        carry(high.as_flattened(), out.limbs_mut());
    }
}

impl<const B: usize> Drop for Scratch<B> {
    fn drop(&mut self) {
        self.columns.zeroize();
        self.multiples.zeroize();
    }
}

/// Brings columns, which may be negative, down to 52 bits each; the number as a whole isn't negative and fits.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn carry(columns: &[Limb], out: &mut [Limb]) {
    let mask = _mm512_set1_epi64(MASK.cast_signed());
    let mut carry = _mm512_setzero_si512();
    for (out, column) in out.iter_mut().zip(columns) {
        let column = _mm512_add_epi64(column.load(), carry);
        out.store(_mm512_and_si512(column, mask));
        carry = _mm512_srai_epi64::<LIMB_BITS>(column);
    }
}

/// Adds the product of two blocks to the columns from block `at` on.
///
/// `a` stays in registers; `b` is loaded limb by limb. The other way round there are too few.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_tile(columns: &mut [Block], at: usize, a: &Block, b: &Block) {
    let mut sum = load_two(columns, at);
    let a = load(a);
    unrolled!(J => {
        let b = b[J].load();
        unrolled!(I => sum[I + J] = _mm512_madd52lo_epu64(sum[I + J], a[I], b));
        unrolled!(I => sum[I + J + 1] = _mm512_madd52hi_epu64(sum[I + J + 1], a[I], b));
    });
    store_two(columns, at, &sum);
}

/// Adds the products of different limbs of one block, each pair once.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn add_triangle(columns: &mut [Block], at: usize, a: &Block) {
    let mut sum = load_two(columns, at);
    let a = load(a);
    unrolled!(J => unrolled!(I => if is_below(I, J) {
        sum[I + J] = _mm512_madd52lo_epu64(sum[I + J], a[I], a[J]);
        sum[I + J + 1] = _mm512_madd52hi_epu64(sum[I + J + 1], a[I], a[J]);
    }));
    store_two(columns, at, &sum);
}

/// Adds multiples of the lowest block of n to block `at`, so that it and what is carried out of it is zero; notes which.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn clear_block<const B: usize>(
    columns: &mut [Block],
    at: usize,
    modulus: &Modulus<B>,
    multiples: &mut Block,
) {
    let mut sum = load_two(columns, at);
    let [lowest, ..] = &modulus.n.0[..] else {
        return;
    };
    let inverse = modulus.n_inverse.load();
    unrolled!(J => {
        let multiple = _mm512_madd52lo_epu64(_mm512_setzero_si512(), sum[J], inverse);
        unrolled!(I => {
            let n = lowest[I].load();
            sum[I + J] = _mm512_madd52lo_epu64(sum[I + J], n, multiple);
            sum[I + J + 1] = _mm512_madd52hi_epu64(sum[I + J + 1], n, multiple);
        });
        multiples[J].store(multiple);
        sum[J + 1] = _mm512_add_epi64(sum[J + 1], _mm512_srli_epi64::<LIMB_BITS>(sum[J]));
    });
    store_two(columns, at, &sum);
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn load(block: &Block) -> [__m512i; BLOCK] {
    let mut lanes = [_mm512_setzero_si512(); BLOCK];
    unrolled!(I => lanes[I] = block[I].load());
    lanes
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn load_two(columns: &[Block], at: usize) -> [__m512i; 2 * BLOCK] {
    let (low, high) = (&columns[at], &columns[at + 1]);
    let mut lanes = [_mm512_setzero_si512(); 2 * BLOCK];
    unrolled!(I => {
        lanes[I] = low[I].load();
        lanes[I + BLOCK] = high[I].load();
    });
    lanes
}

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn store_two(columns: &mut [Block], at: usize, lanes: &[__m512i; 2 * BLOCK]) {
    unrolled!(I => columns[at][I].store(lanes[I]));
    unrolled!(I => columns[at + 1][I].store(lanes[I + BLOCK]));
}

/// A comparison of constants, out of sight of lints that know the answer.
const fn is_below(a: usize, b: usize) -> bool {
    a < b
}

#[expect(clippy::cast_possible_truncation, reason = "the mask says it")]
const fn low_bits(value: u128) -> u64 {
    value as u64 & MASK
}

const LIMB_BITS: u32 = 52;
const BLOCK_BITS: usize = 52 * BLOCK;
const MASK: u64 = (1 << LIMB_BITS) - 1;
