//! What no implementation of IGE can beat: the latency of the rounds of AES, one after the other.
//!
//! The figure is measured, not looked up, since it differs between processors: 4 cycles a round on some, 3 on others.

/// Tells whether this processor has rounds of AES to measure.
pub(crate) fn is_there() -> bool {
    #[cfg(target_arch = "x86_64")]
    let there = is_x86_feature_detected!("aes");
    #[cfg(not(target_arch = "x86_64"))]
    let there = false;
    there
}

/// Puts one block through so many encryptions, each of the result of the one before, and nothing else.
pub(crate) fn aes_256_chain(blocks: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: measured only if `is_there`.
    unsafe {
        chain(blocks);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = blocks;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes")]
fn chain(blocks: usize) {
    use core::arch::x86_64::{_mm_aesenc_si128, _mm_aesenclast_si128, _mm_set1_epi64x};
    use std::hint::black_box;

    let keys: [_; 14] = std::array::from_fn(|i| black_box(_mm_set1_epi64x(i64::from(i as u8))));
    let mut state = black_box(_mm_set1_epi64x(7));
    for _ in 0..blocks {
        for key in &keys[..13] {
            state = _mm_aesenc_si128(state, *key);
        }
        state = _mm_aesenclast_si128(state, keys[13]);
    }
    black_box(state);
}
