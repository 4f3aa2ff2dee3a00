//! Powers: eight bases, each with an exponent of its own, by windows of four bits.

use core::arch::x86_64::{
    __m512i, _mm512_cmpeq_epi64_mask, _mm512_mask_mov_epi64, _mm512_set1_epi64,
    _mm512_setzero_si512,
};

use super::lanes::{BLOCK, LANES, Limb, Modulus, Number, Scratch, unrolled};

/// Room for powers; erased when dropped.
pub(super) struct Powers<const B: usize> {
    pub(super) scratch: Scratch<B>,
    /// base^0 to base^15.
    table: [Number<B>; WINDOW],
    chosen: Number<B>,
}

impl<const B: usize> Powers<B> {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            scratch: Scratch::new(),
            table: [const { Number::zero() }; WINDOW],
            chosen: Number::zero(),
        })
    }

    /// Sets `base` to its power, both times R. The exponents are big-endian and of one length, which is public.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn raise(
        &mut self,
        modulus: &Modulus<B>,
        base: &mut Number<B>,
        exponents: [&[u8]; LANES],
    ) {
        self.fill_table(modulus, base);
        base.copy_from(&self.table[0]);
        let [first, ..] = exponents;
        for at in 0..first.len() {
            for shift in [4, 0] {
                for _ in 0..4 {
                    self.scratch.square(modulus, base);
                }
                let digits = Limb(exponents.map(|exponent| u64::from(exponent[at] >> shift & 15)));
                self.choose(digits.load());
                self.scratch.multiply(modulus, base, &self.chosen);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn fill_table(&mut self, modulus: &Modulus<B>, base: &Number<B>) {
        self.table[0].copy_from(&Number::one());
        self.scratch.enter(modulus, &mut self.table[0]);
        for i in 1..WINDOW {
            let [.., before, entry] = &mut self.table[..=i] else {
                return;
            };
            entry.copy_from(before);
            self.scratch.multiply(modulus, entry, base);
        }
    }

    /// Copies an entry of the table, another one in each lane. Reads all of them, so that no address tells which.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn choose(&mut self, digits: __m512i) {
        for (i, chosen) in self.chosen.0.iter_mut().enumerate() {
            let mut found = [_mm512_setzero_si512(); BLOCK];
            for (digit, entry) in (0..).zip(&self.table) {
                let is_it = _mm512_cmpeq_epi64_mask(digits, _mm512_set1_epi64(digit));
                let entry = &entry.0[i];
                unrolled!(I => found[I] = _mm512_mask_mov_epi64(found[I], is_it, entry[I].load()));
            }
            unrolled!(I => chosen[I].store(found[I]));
        }
    }
}

/// Entries of the table. Twice as many would save a fifth of the multiplications, and no longer fit the first cache.
const WINDOW: usize = 16;
