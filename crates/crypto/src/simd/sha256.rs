//! SHA-256 of blocks in registers, one stream or two interleaved.
//!
//! The instructions keep the eight words of the state as ABEF and CDGH. Two rounds take four cycles, and each waits for the
//! one before; but a processor begins another two rounds every other cycle, so two streams take the time of one.

use core::arch::x86_64::*;

/// The state between blocks.
#[derive(Clone, Copy)]
pub(super) struct State {
    abef: __m128i,
    cdgh: __m128i,
}

/// A block of 64 bytes, as read from memory.
pub(super) type Block = [__m128i; 4];

impl State {
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn new() -> Self {
        let [a, b, c, d, e, f, g, h] = INITIAL;
        Self {
            abef: words([f, e, b, a]),
            cdgh: words([h, g, d, c]),
        }
    }

    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn compress(self, block: Block) -> Self {
        let mut rounds = Rounds::new(self, block);
        for group in 0..16 {
            rounds.four(group);
        }
        rounds.finish()
    }

    /// Compresses a block into each state, in the time of one.
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn compress_pair([a, b]: [Self; 2], [block_a, block_b]: [Block; 2]) -> [Self; 2] {
        let mut rounds_a = Rounds::new(a, block_a);
        let mut rounds_b = Rounds::new(b, block_b);
        for group in 0..16 {
            rounds_a.four(group);
            rounds_b.four(group);
        }
        [rounds_a.finish(), rounds_b.finish()]
    }

    /// Does four rounds with the sums of their words and constants.
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn four_rounds(self, sums: __m128i) -> Self {
        let Self { abef, cdgh } = self;
        let two_later = _mm_sha256rnds2_epu32(cdgh, abef, sums);
        Self {
            abef: _mm_sha256rnds2_epu32(abef, two_later, _mm_shuffle_epi32::<0x0e>(sums)),
            cdgh: two_later,
        }
    }

    /// Adds what came out of the rounds to what went in.
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn plus(self, rounds: Self) -> Self {
        Self {
            abef: _mm_add_epi32(self.abef, rounds.abef),
            cdgh: _mm_add_epi32(self.cdgh, rounds.cdgh),
        }
    }

    /// Returns the hash that the state is after the last block, in the order of memory.
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn digest(self) -> [__m128i; 2] {
        let reverse = _mm_set_epi64x(0x0809_0a0b_0c0d_0e0f, 0x0001_0203_0405_0607);
        [
            _mm_shuffle_epi8(_mm_unpackhi_epi64(self.abef, self.cdgh), reverse),
            _mm_shuffle_epi8(_mm_unpacklo_epi64(self.abef, self.cdgh), reverse),
        ]
    }
}

/// A block on its way through the 64 rounds, so that other work can be put between them.
pub(super) struct Rounds {
    before: State,
    state: State,
    /// The next sixteen words of the message schedule, four each, the next ones first.
    schedule: Block,
}

impl Rounds {
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn new(state: State, block: Block) -> Self {
        let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        Self {
            before: state,
            state,
            schedule: block.map(|words| _mm_shuffle_epi8(words, big_endian)),
        }
    }

    /// Does the four rounds of one of sixteen groups.
    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn four(&mut self, group: usize) {
        let [w0, w1, w2, w3] = self.schedule;
        let sums = _mm_add_epi32(w0, words(ROUND_CONSTANTS[group]));
        self.state = self.state.four_rounds(sums);
        let w4 = if group < 12 {
            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
            _mm_sha256msg2_epu32(sum, w3)
        } else {
            w0
        };
        self.schedule = [w1, w2, w3, w4];
    }

    #[inline]
    #[target_feature(enable = "sha,avx")]
    pub(super) fn finish(self) -> State {
        self.before.plus(self.state)
    }
}

#[inline]
#[target_feature(enable = "avx")]
fn words([w0, w1, w2, w3]: [u32; 4]) -> __m128i {
    _mm_set_epi32(
        w3.cast_signed(),
        w2.cast_signed(),
        w1.cast_signed(),
        w0.cast_signed(),
    )
}

/// The state before the first block. Source: FIPS 180-4, section 5.3.3.
pub(super) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// What each round adds. Source: FIPS 180-4, section 4.2.2.
pub(super) const ROUND_CONSTANTS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];
