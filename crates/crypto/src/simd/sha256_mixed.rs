//! The two hashes of a derivation, with rounds by SHA-NI and the message schedules of both in one register.
//!
//! On some processors the two instructions for the schedule take as long as eight rounds, so that two streams wait for each
//! other; with the rotations of AVX-512 the derivation is a third faster there. One stream alone gains nothing.

use core::arch::x86_64::*;
use core::array;

use super::message::{KeyIv, derivation_blocks};
use super::sha256::{Block, ROUND_CONSTANTS, State};
use crate::auth_key::DirectionPart;

/// As [`super::message::derive`].
#[inline(never)]
#[target_feature(enable = "sha,avx512f,avx512vl")]
pub(super) fn derive(key: &DirectionPart, msg_key: __m128i) -> KeyIv {
    let [a, b] = compress_pair([State::new(); 2], derivation_blocks(key, msg_key));
    KeyIv::from_digests(a.digest(), b.digest())
}

/// Compresses a block into each state. The halves of a register belong to one each.
#[inline]
#[target_feature(enable = "sha,avx512f,avx512vl")]
fn compress_pair(before: [State; 2], [block_a, block_b]: [Block; 2]) -> [State; 2] {
    let mut words = array::from_fn(|i| swapped(_mm256_set_m128i(block_b[i], block_a[i])));
    let [mut a, mut b] = before;
    // Macros, for the compiler keeps a loop of this length, and moves the words about in it.
    macro_rules! four_rounds {
        ($words:expr, $group:literal) => {
            let sums = with_constants($words, $group);
            a = a.four_rounds(_mm256_castsi256_si128(sums));
            b = b.four_rounds(_mm256_extracti128_si256::<1>(sums));
        };
    }
    macro_rules! and_later {
        ($($group:literal)*) => {$(
            four_rounds!(words[0], $group);
            words = later(words);
        )*};
    }
    and_later!(0 1 2 3 4 5 6 7 8 9 10 11);
    four_rounds!(words[0], 12);
    four_rounds!(words[1], 13);
    four_rounds!(words[2], 14);
    four_rounds!(words[3], 15);
    [before[0].plus(a), before[1].plus(b)]
}

/// The sixteen words of the schedule, four each, four rounds later.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn later([w0, w1, w2, w3]: [__m256i; 4]) -> [__m256i; 4] {
    let fifteen_before = _mm256_alignr_epi8::<4>(w1, w0);
    let seven_before = _mm256_alignr_epi8::<4>(w3, w2);
    let sigma_0 = xor(
        _mm256_ror_epi32::<7>(fifteen_before),
        _mm256_ror_epi32::<18>(fifteen_before),
        _mm256_srli_epi32::<3>(fifteen_before),
    );
    let sum = _mm256_add_epi32(_mm256_add_epi32(w0, seven_before), sigma_0);
    // Of the four words, the last two need the first two.
    let two_before = _mm256_shuffle_epi32::<0b11_10>(w3);
    let half = _mm256_mask_add_epi32(sum, 0b0011_0011, sum, sigma_1(two_before));
    let two_before = _mm256_shuffle_epi32::<0b01_00_00_00>(half);
    let w4 = _mm256_mask_add_epi32(half, 0b1100_1100, half, sigma_1(two_before));
    [w1, w2, w3, w4]
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn sigma_1(words: __m256i) -> __m256i {
    xor(
        _mm256_ror_epi32::<17>(words),
        _mm256_ror_epi32::<19>(words),
        _mm256_srli_epi32::<10>(words),
    )
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn xor(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    _mm256_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn with_constants(words: __m256i, group: usize) -> __m256i {
    let [k0, k1, k2, k3] = ROUND_CONSTANTS[group].map(u32::cast_signed);
    let constants = _mm256_broadcastsi128_si256(_mm_setr_epi32(k0, k1, k2, k3));
    _mm256_add_epi32(words, constants)
}

/// Turns big-endian words into the processor's.
#[inline]
#[target_feature(enable = "avx2")]
fn swapped(words: __m256i) -> __m256i {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(big_endian))
}
