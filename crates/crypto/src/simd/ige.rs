//! AES-256-IGE of one stream, at the latency of AES.
//!
//! ```text
//! encrypting   c[i] = E(p[i] ^ c[i-1]) ^ p[i-1]
//! decrypting   p[i] = D(c[i] ^ p[i-1]) ^ c[i-1]
//! ```
//!
//! Both are one form: `out[i] = F(in[i] ^ out[i-1]) ^ in[i-1]`. Each block waits for the one before, and nothing but the
//! fourteen rounds should be on that way. So the state is kept as the first round wants it, `in[i] ^ out[i-1] ^ k[0]`:
//! the last round adds its key together with `in[i-1] ^ in[i+1] ^ k[0]`, known long before, and its result *is* the next
//! state. The output is that state without `in[i+1] ^ k[0]`.

use core::arch::x86_64::*;

use super::aes::{Schedule, load, load_pair, store};

#[target_feature(enable = "aes,avx")]
pub(super) fn encrypt(key: &[u8; 32], iv: &[u8; 32], text: &mut [[u8; 16]]) {
    let schedule = Schedule::encrypting(load_pair(key));
    run::<true>(&schedule, before_first::<true>(load_pair(iv)), text);
}

#[target_feature(enable = "aes,avx")]
pub(super) fn decrypt(key: &[u8; 32], iv: &[u8; 32], text: &mut [[u8; 16]]) {
    let schedule = Schedule::decrypting(load_pair(key));
    run::<false>(&schedule, before_first::<false>(load_pair(iv)), text);
}

/// Turns what the protocol calls a vector, `c[-1]` and then `p[-1]`, into the pair `out[-1]`, `in[-1]`.
#[inline(always)]
pub(super) fn before_first<const ENCRYPT: bool>([c, p]: [__m128i; 2]) -> [__m128i; 2] {
    if ENCRYPT { [c, p] } else { [p, c] }
}

/// Encrypts or decrypts all of `text`, which comes after the pair `before`.
#[inline]
#[target_feature(enable = "aes,avx")]
pub(super) fn run<const ENCRYPT: bool>(
    schedule: &Schedule,
    before: [__m128i; 2],
    text: &mut [[u8; 16]],
) {
    let Some(first) = text.first() else {
        return;
    };
    let mut chain = Chain::<ENCRYPT>::new(schedule, before, load(first));
    let mut blocks = text.iter_mut();
    let mut block = blocks.next();
    while let Some(this) = block {
        block = blocks.next();
        let next = block
            .as_ref()
            .map_or(_mm_setzero_si128(), |next| load(next));
        store(this, chain.step(schedule, next));
    }
}

/// Where a stream stands.
pub(super) struct Chain<const ENCRYPT: bool> {
    /// `in[i] ^ out[i-1] ^ k[0]`.
    state: __m128i,
    /// `in[i] ^ k[0]`.
    this: __m128i,
    /// `in[i-1] ^ k[0]`.
    before: __m128i,
}

impl<const ENCRYPT: bool> Chain<ENCRYPT> {
    #[inline]
    #[target_feature(enable = "aes,avx")]
    pub(super) fn new(schedule: &Schedule, [out, before]: [__m128i; 2], first: __m128i) -> Self {
        let this = _mm_xor_si128(first, schedule.keys[0]);
        Self {
            state: _mm_xor_si128(this, out),
            this,
            before: _mm_xor_si128(before, schedule.keys[0]),
        }
    }

    /// Returns `out[i]`. `next` is `in[i+1]`, or anything if there is none.
    #[inline]
    #[target_feature(enable = "aes,avx")]
    pub(super) fn step(&mut self, schedule: &Schedule, next: __m128i) -> __m128i {
        let [first, middle @ .., last] = &schedule.keys;
        // The two k[0] in `before` and `next` cancel, so one more is not needed: `last ^ in[i-1] ^ in[i+1] ^ k[0]` is
        // `last ^ before ^ in[i+1]`.
        let folded = _mm_xor_si128(_mm_xor_si128(self.before, *last), next);
        let next = _mm_xor_si128(next, *first);
        let mut state = self.state;
        for key in middle {
            state = if ENCRYPT {
                _mm_aesenc_si128(state, *key)
            } else {
                _mm_aesdec_si128(state, *key)
            };
        }
        self.state = if ENCRYPT {
            _mm_aesenclast_si128(state, folded)
        } else {
            _mm_aesdeclast_si128(state, folded)
        };
        self.before = self.this;
        self.this = next;
        _mm_xor_si128(self.state, next)
    }
}
