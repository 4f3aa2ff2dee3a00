//! Powers of one base that is known long before: a comb of six teeth and eight blocks.
//!
//! The exponent's bits are written into six rows of 344 and each row is cut into eight pieces of 43:
//!
//! ```text
//! bit = row * 344 + block * 43 + column
//! ```
//!
//! The table of a block has, for each choice of rows, the product of what bit 0 of its piece in these rows stands for.
//! So a power is 43 times: square, and multiply by one entry of each block. The table is one for all lanes, and an
//! entry is chosen within registers (`vpermt2q`), which no address shows.

use core::arch::x86_64::{
    __m512i, _mm512_mask_blend_epi64, _mm512_permutex2var_epi64, _mm512_set1_epi64,
    _mm512_test_epi64_mask,
};

use zeroize::Zeroizing;

use super::lanes::{BLOCK, LANES, Limb, Modulus, Number, Scratch};
use super::power::Powers;
use super::{BLOCKS_2048, Exponents};

/// The table of one base and modulus. Nothing in it is secret.
pub(super) struct FixedBase {
    /// By block of the comb, then limb; an entry's number is its place among the 64.
    tables: Box<[[[Limb; ENTRIES / LANES]; BLOCK * BLOCKS_2048]; COMB_BLOCKS]>,
}

impl FixedBase {
    /// Makes the table, which takes some milliseconds. `base` is times R.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn new(modulus: &Modulus<BLOCKS_2048>, base: &Number<BLOCKS_2048>) -> Self {
        let mut powers = Powers::new();
        // Lane b: what bit 0 of block b stands for, in one row after another.
        let exponents: [[u8; 256]; LANES] = core::array::from_fn(|block| {
            let mut exponent = [0; 256];
            exponent[255 - block * COLUMNS / 8] = 1 << (block * COLUMNS % 8);
            exponent
        });
        let mut tooth = Number::zero();
        tooth.copy_from(base);
        powers.raise(
            modulus,
            &mut tooth,
            exponents.each_ref().map(<[u8; 256]>::as_slice),
        );

        let mut products = Vec::with_capacity(ENTRIES);
        let mut one = Number::one();
        powers.scratch.enter(modulus, &mut one);
        products.push(one);
        for _ in 0..ROWS {
            for known in 0..products.len() {
                let mut product = Number::zero();
                product.copy_from(&products[known]);
                powers.scratch.multiply(modulus, &mut product, &tooth);
                products.push(product);
            }
            for _ in 0..COLUMNS * COMB_BLOCKS {
                powers.scratch.square(modulus, &mut tooth);
            }
        }

        let zero = [[[Limb::ZERO; ENTRIES / LANES]; BLOCK * BLOCKS_2048]; COMB_BLOCKS];
        let mut tables = Box::new(zero);
        for (entry, product) in products.iter().enumerate() {
            for (block, table) in tables.iter_mut().enumerate() {
                for (limb, place) in product.limbs().iter().zip(table) {
                    place[entry / LANES].0[entry % LANES] = limb.0[block];
                }
            }
        }
        Self { tables }
    }

    /// Sets `out` to powers of the base, times R.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn raise(
        &self,
        modulus: &Modulus<BLOCKS_2048>,
        exponents: Exponents<'_>,
        out: &mut Number<BLOCKS_2048>,
    ) {
        let mut scratch = Scratch::new();
        let mut chosen = Number::zero();
        out.copy_from(&Number::one());
        scratch.enter(modulus, out);
        for column in (0..COLUMNS).rev() {
            scratch.square(modulus, out);
            for (block, table) in self.tables.iter().enumerate() {
                let digits = Zeroizing::new(
                    exponents.map(|exponent| digit(exponent, block * COLUMNS + column)),
                );
                choose(table, Limb(*digits).load(), &mut chosen);
                scratch.multiply(modulus, out, &chosen);
            }
        }
    }
}

/// The bits of a comb's teeth at one place.
fn digit(exponent: &[u8; 256], place: usize) -> u64 {
    (0..ROWS).fold(0, |digit, row| {
        let bit = row * COLUMNS * COMB_BLOCKS + place;
        // The rows reach a few bits beyond the exponent's end, which is at its first byte.
        let byte = exponent.iter().rev().nth(bit / 8).copied().unwrap_or(0);
        digit | u64::from(byte >> (bit % 8) & 1) << row
    })
}

/// Copies an entry of the table, another one in each lane.
#[target_feature(enable = "avx512f,avx512ifma")]
fn choose(
    table: &[[Limb; ENTRIES / LANES]; BLOCK * BLOCKS_2048],
    digits: __m512i,
    chosen: &mut Number<BLOCKS_2048>,
) {
    let has_16 = _mm512_test_epi64_mask(digits, _mm512_set1_epi64(16));
    let has_32 = _mm512_test_epi64_mask(digits, _mm512_set1_epi64(32));
    for (chosen, limb) in chosen.limbs_mut().iter_mut().zip(table) {
        // The instruction looks at the low four bits of a digit.
        let of_16 = |i: usize| {
            _mm512_permutex2var_epi64(limb[2 * i].load(), digits, limb[2 * i + 1].load())
        };
        let low = _mm512_mask_blend_epi64(has_16, of_16(0), of_16(1));
        let high = _mm512_mask_blend_epi64(has_16, of_16(2), of_16(3));
        chosen.store(_mm512_mask_blend_epi64(has_32, low, high));
    }
}

const ROWS: usize = 6;
const ENTRIES: usize = 1 << ROWS;

/// One to a lane while the table is made.
const COMB_BLOCKS: usize = LANES;

/// 6 * 8 * 43 = 2064 bits.
const COLUMNS: usize = 43;
