//! The AES-256 key schedule.

use core::arch::asm;
use core::arch::x86_64::*;
use core::array;

/// The key of each round, in the order of use. Erased on drop.
pub(crate) struct Schedule {
    pub(super) keys: [__m128i; 15],
}

impl Schedule {
    #[inline]
    #[target_feature(enable = "aes,avx")]
    pub(super) fn encrypting(key: [__m128i; 2]) -> Self {
        Self { keys: expand(key) }
    }

    /// For the equivalent inverse cipher (FIPS 197, section 5.3.5), which is what the instructions do.
    #[inline]
    #[target_feature(enable = "aes,avx")]
    pub(super) fn decrypting(key: [__m128i; 2]) -> Self {
        Self {
            keys: inverse(expand(key)),
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        erase(&mut self.keys);
    }
}

/// Expands a key.
///
/// `AESKEYGENASSIST` is slow. `AESENCLAST` does the same on a register of four equal words: its rotation of rows changes
/// nothing there, it substitutes the bytes, and the round key that it adds is where the rest of the sum comes in. So each
/// key is one byte shuffle and one `AESENCLAST` after the one before.
#[inline]
#[target_feature(enable = "aes,avx")]
pub(super) fn expand([low, high]: [__m128i; 2]) -> [__m128i; 15] {
    let (last_word, rotated) = (_mm_set1_epi32(0x0f0e_0d0c), _mm_set1_epi32(0x0c0f_0e0d));
    let mut keys = [_mm_setzero_si128(); 15];
    keys[0] = low;
    keys[1] = high;
    for i in 2..15 {
        let sum = sum_of_words(keys[i - 2]);
        keys[i] = if i % 2 == 0 {
            let round_constant = _mm_set1_epi32(1 << (i / 2 - 1));
            _mm_aesenclast_si128(
                _mm_shuffle_epi8(keys[i - 1], rotated),
                _mm_xor_si128(sum, round_constant),
            )
        } else {
            _mm_aesenclast_si128(_mm_shuffle_epi8(keys[i - 1], last_word), sum)
        };
    }
    keys
}

/// Turns the keys that encrypt into those that decrypt.
#[inline]
#[target_feature(enable = "aes,avx")]
pub(super) fn inverse(keys: [__m128i; 15]) -> [__m128i; 15] {
    array::from_fn(|i| match i {
        0 | 14 => keys[14 - i],
        _ => _mm_aesimc_si128(keys[14 - i]),
    })
}

/// Each word becomes the sum of itself and those before it.
#[inline]
#[target_feature(enable = "avx")]
fn sum_of_words(words: __m128i) -> __m128i {
    let pairs = _mm_xor_si128(words, _mm_slli_si128::<4>(words));
    _mm_xor_si128(pairs, _mm_slli_si128::<8>(pairs))
}

#[inline(always)]
pub(super) fn load(block: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are there to be read, and the instruction asks for no alignment.
    unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
}

/// Loads two blocks that lie one after the other.
#[inline(always)]
pub(super) fn load_pair(bytes: &[u8; 32]) -> [__m128i; 2] {
    let (blocks, _) = bytes.as_chunks();
    [load(&blocks[0]), load(&blocks[1])]
}

#[inline(always)]
pub(super) fn store(block: &mut [u8; 16], value: __m128i) {
    // SAFETY: 16 bytes are there to be written, and the instruction asks for no alignment.
    unsafe { _mm_storeu_si128(block.as_mut_ptr().cast(), value) }
}

/// Overwrites with zeros, even if nobody reads them afterwards.
#[inline(always)]
pub(super) fn erase(vectors: &mut [__m128i]) {
    // SAFETY: zeros are a value of this type.
    vectors.fill(unsafe { _mm_setzero_si128() });
    // SAFETY: no instruction at all; but the compiler must assume that it reads what the address leads to.
    unsafe {
        asm!("/* {0} */", in(reg) vectors.as_ptr(), options(nostack, preserves_flags, readonly));
    }
}
