//! Registers that hold AES blocks side by side: one, two or four.

use core::arch::x86_64::*;

use super::aes;

/// Blocks side by side.
///
/// All functions are unsafe for one reason: the processor must have the instructions that the implementation names.
/// They are meant for the inside of a function that has those features, and inlined there.
pub(super) trait Register: Copy {
    /// How many.
    const BLOCKS: usize;

    /// Takes a block from each place, `at` blocks further on.
    ///
    /// # Safety
    ///
    /// As for the trait; and there are [`Self::BLOCKS`] places, with a block to read at each.
    unsafe fn gather(places: &[*mut [u8; 16]], at: usize) -> Self;

    /// Puts a block to each place, `at` blocks further on.
    ///
    /// # Safety
    ///
    /// As for the trait; and there are [`Self::BLOCKS`] places, with a block to write at each.
    unsafe fn scatter(self, places: &[*mut [u8; 16]], at: usize);

    /// Reads [`Self::BLOCKS`] blocks that lie one after the other.
    ///
    /// # Safety
    ///
    /// As for the trait; and they are there.
    unsafe fn load(from: *const __m128i) -> Self;

    /// Writes them.
    ///
    /// # Safety
    ///
    /// As for the trait; and there is room.
    unsafe fn store(self, to: *mut __m128i);

    /// Returns one block everywhere.
    ///
    /// # Safety
    ///
    /// As for the trait.
    unsafe fn broadcast(block: __m128i) -> Self;

    /// Returns a big-endian counter and those after it.
    ///
    /// # Safety
    ///
    /// As for the trait.
    unsafe fn counters(first: u128) -> Self;

    /// # Safety
    ///
    /// As for the trait.
    unsafe fn xor(self, other: Self) -> Self;

    /// A middle round of AES.
    ///
    /// # Safety
    ///
    /// As for the trait.
    unsafe fn round<const ENCRYPT: bool>(self, key: Self) -> Self;

    /// The last round of AES.
    ///
    /// # Safety
    ///
    /// As for the trait.
    unsafe fn last_round<const ENCRYPT: bool>(self, key: Self) -> Self;
}

impl Register for __m128i {
    const BLOCKS: usize = 1;

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn gather(places: &[*mut [u8; 16]], at: usize) -> Self {
        // SAFETY: the caller says that a block is there.
        unsafe { _mm_loadu_si128(places[0].add(at).cast()) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn scatter(self, places: &[*mut [u8; 16]], at: usize) {
        // SAFETY: the caller says that there is room for a block.
        unsafe { _mm_storeu_si128(places[0].add(at).cast(), self) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn load(from: *const __m128i) -> Self {
        // SAFETY: the caller says that the blocks are there.
        unsafe { _mm_loadu_si128(from) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn store(self, to: *mut __m128i) {
        // SAFETY: the caller says that there is room.
        unsafe { _mm_storeu_si128(to, self) }
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn broadcast(block: __m128i) -> Self {
        block
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn counters(first: u128) -> Self {
        aes::load(&first.to_be_bytes())
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn xor(self, other: Self) -> Self {
        _mm_xor_si128(self, other)
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn round<const ENCRYPT: bool>(self, key: Self) -> Self {
        if ENCRYPT {
            _mm_aesenc_si128(self, key)
        } else {
            _mm_aesdec_si128(self, key)
        }
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    unsafe fn last_round<const ENCRYPT: bool>(self, key: Self) -> Self {
        if ENCRYPT {
            _mm_aesenclast_si128(self, key)
        } else {
            _mm_aesdeclast_si128(self, key)
        }
    }
}

impl Register for __m256i {
    const BLOCKS: usize = 2;

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn gather(places: &[*mut [u8; 16]], at: usize) -> Self {
        // SAFETY: the caller says that a block is at each place.
        unsafe {
            _mm256_set_m128i(
                __m128i::gather(&places[1..], at),
                __m128i::gather(&places[..1], at),
            )
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn scatter(self, places: &[*mut [u8; 16]], at: usize) {
        let halves = [
            _mm256_castsi256_si128(self),
            _mm256_extracti128_si256::<1>(self),
        ];
        for (i, half) in halves.into_iter().enumerate() {
            // SAFETY: the caller says that there is room for a block at each place.
            unsafe { half.scatter(&places[i..], at) };
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn load(from: *const __m128i) -> Self {
        // SAFETY: the caller says that the blocks are there.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn store(self, to: *mut __m128i) {
        // SAFETY: the caller says that there is room.
        unsafe { _mm256_storeu_si256(to.cast(), self) }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn broadcast(block: __m128i) -> Self {
        _mm256_broadcastsi128_si256(block)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn counters(first: u128) -> Self {
        // SAFETY: these features are among this function's.
        let [a, b] = [0, 1].map(|i| unsafe { __m128i::counters(first.wrapping_add(i)) });
        _mm256_set_m128i(b, a)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn xor(self, other: Self) -> Self {
        _mm256_xor_si256(self, other)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn round<const ENCRYPT: bool>(self, key: Self) -> Self {
        if ENCRYPT {
            _mm256_aesenc_epi128(self, key)
        } else {
            _mm256_aesdec_epi128(self, key)
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx2")]
    unsafe fn last_round<const ENCRYPT: bool>(self, key: Self) -> Self {
        if ENCRYPT {
            _mm256_aesenclast_epi128(self, key)
        } else {
            _mm256_aesdeclast_epi128(self, key)
        }
    }
}

impl Register for __m512i {
    const BLOCKS: usize = 4;

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn gather(places: &[*mut [u8; 16]], at: usize) -> Self {
        // SAFETY: the caller says that a block is at each place.
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| unsafe { __m128i::gather(&places[i..], at) });
        let ab = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
        _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(ab, c), d)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn scatter(self, places: &[*mut [u8; 16]], at: usize) {
        let quarters = [
            _mm512_extracti32x4_epi32::<0>(self),
            _mm512_extracti32x4_epi32::<1>(self),
            _mm512_extracti32x4_epi32::<2>(self),
            _mm512_extracti32x4_epi32::<3>(self),
        ];
        for (i, quarter) in quarters.into_iter().enumerate() {
            // SAFETY: the caller says that there is room for a block at each place.
            unsafe { quarter.scatter(&places[i..], at) };
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn load(from: *const __m128i) -> Self {
        // SAFETY: the caller says that the blocks are there.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn store(self, to: *mut __m128i) {
        // SAFETY: the caller says that there is room.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn broadcast(block: __m128i) -> Self {
        _mm512_broadcast_i32x4(block)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn counters(first: u128) -> Self {
        // SAFETY: these features are among this function's.
        let [a, b, c, d] =
            [0, 1, 2, 3].map(|i| unsafe { __m128i::counters(first.wrapping_add(i)) });
        let ab = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
        _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(ab, c), d)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn xor(self, other: Self) -> Self {
        _mm512_xor_si512(self, other)
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn round<const ENCRYPT: bool>(self, key: Self) -> Self {
        if ENCRYPT {
            _mm512_aesenc_epi128(self, key)
        } else {
            _mm512_aesdec_epi128(self, key)
        }
    }

    #[inline]
    #[target_feature(enable = "vaes,avx512f")]
    unsafe fn last_round<const ENCRYPT: bool>(self, key: Self) -> Self {
        if ENCRYPT {
            _mm512_aesenclast_epi128(self, key)
        } else {
            _mm512_aesdeclast_epi128(self, key)
        }
    }
}
