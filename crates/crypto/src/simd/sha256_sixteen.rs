//! SHA-256 of sixteen streams at once: a register holds the same word of each.
//!
//! Besides the eight words of the state and the sixteen of the schedule, 32 registers leave room for the sums. It uses no
//! instruction for SHA: those take as long for one stream as this for four or five, on processors of one maker, and as long
//! as this for two, interleaved, on those of another.

use core::arch::x86_64::*;
use core::array;

use super::aes::{erase, load};
use super::message::{KeyIv, derivation_blocks, edge_block, hashed_blocks, to_bytes, whole_block};
use super::register::Register;
use super::sha256::{Block, INITIAL, ROUND_CONSTANTS};
use crate::auth_key::DirectionPart;

/// Returns `msg_key_large` of sixteen plaintexts.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(super) fn hash(keys: [&DirectionPart; 16], texts: [&[[u8; 16]]; 16]) -> [[u8; 32]; 16] {
    let mut states = States::new();
    let mut edges = Blocks::new();
    let longest = texts.iter().map(|text| hashed_blocks(text)).max();
    for i in 0..longest.unwrap_or(0) {
        let mut going = 0;
        let blocks = array::from_fn(|lane| {
            let (key, text) = (keys[lane], texts[lane]);
            let whole = whole_block(text, i);
            if i < hashed_blocks(text) {
                going |= 1 << lane;
                if whole.is_none() {
                    edges.0[lane] = edge_block(key, text, i);
                }
            }
            whole.map_or(&raw const edges.0[lane], |units| units.as_ptr().cast())
        });
        // SAFETY: each place is a whole block of a text, or one of the edges; all have 64 bytes.
        unsafe { states.compress(blocks, going) };
    }
    states.digests().map(|digest| to_bytes(digest))
}

/// Derives the keys and vectors of sixteen messages.
#[target_feature(enable = "vaes,avx512f,avx512bw")]
pub(super) fn derive(keys: [&DirectionPart; 16], msg_keys: [&[u8; 16]; 16]) -> [KeyIv; 16] {
    let [mut blocks_a, mut blocks_b] = [Blocks::new(), Blocks::new()];
    for lane in 0..16 {
        [blocks_a.0[lane], blocks_b.0[lane]] = derivation_blocks(keys[lane], load(msg_keys[lane]));
    }
    let [a, b] = [blocks_a, blocks_b].map(|blocks| {
        let mut states = States::new();
        // SAFETY: these blocks have 64 bytes each.
        unsafe { states.compress(array::from_fn(|lane| &raw const blocks.0[lane]), ALL) };
        states.digests()
    });
    array::from_fn(|lane| KeyIv::from_digests(a[lane], b[lane]))
}

/// Blocks made of keys. Erased on drop.
struct Blocks([Block; 16]);

impl Blocks {
    #[inline]
    #[target_feature(enable = "avx")]
    fn new() -> Self {
        Self([[_mm_setzero_si128(); 4]; 16])
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        erase(self.0.as_flattened_mut());
    }
}

/// The states of the streams between blocks.
struct States([__m512i; 8]);

impl States {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        Self(INITIAL.map(|word| _mm512_set1_epi32(word.cast_signed())))
    }

    /// Compresses a block into each state of which the bit in `going` is set.
    ///
    /// # Safety
    ///
    /// At each place are 64 bytes to read.
    #[inline(never)]
    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    unsafe fn compress(&mut self, blocks: [*const Block; 16], going: __mmask16) {
        // SAFETY: as the caller says.
        let mut words = unsafe { words_of(blocks) };
        let mut state = self.0;
        // A macro, for the compiler keeps a loop of this length, and with it the words in memory.
        macro_rules! sixteen_rounds {
            ($constants:expr, $then:expr) => {
                sixteen_rounds!($constants, $then, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
            };
            ($constants:expr, $then:expr, $($i:literal)*) => {$(
                state = round(state, words[$i], $constants[$i / 4][$i % 4]);
                $then(&mut words, $i);
            )*};
        }
        let (constants, _) = ROUND_CONSTANTS.as_chunks::<4>();
        for constants in &constants[..3] {
            sixteen_rounds!(constants, |words: &mut [__m512i; 16], i| {
                words[i] = scheduled(words, i);
            });
        }
        sixteen_rounds!(constants[3], |_: &mut _, _| ());
        for (before, after) in self.0.iter_mut().zip(state) {
            *before = _mm512_mask_add_epi32(*before, going, *before, after);
        }
    }

    /// Returns the hashes that the states are after the last blocks, in the order of memory.
    #[inline]
    #[target_feature(enable = "vaes,avx512f,avx512bw")]
    fn digests(&self) -> [[__m128i; 2]; 16] {
        let [a, b, c, d, e, f, g, h] = self.0;
        let [low, high] = [[a, b, c, d], [e, f, g, h]].map(|half| {
            transposed(half).map(|words| {
                let bytes = swapped(words);
                [
                    _mm512_extracti32x4_epi32::<0>(bytes),
                    _mm512_extracti32x4_epi32::<1>(bytes),
                    _mm512_extracti32x4_epi32::<2>(bytes),
                    _mm512_extracti32x4_epi32::<3>(bytes),
                ]
            })
        });
        array::from_fn(|lane| [low[lane % 4][lane / 4], high[lane % 4][lane / 4]])
    }
}

/// Reads a block at each place; returns its sixteen words, of all streams each.
///
/// # Safety
///
/// At each place are 64 bytes to read.
#[inline]
#[target_feature(enable = "vaes,avx512f,avx512bw")]
unsafe fn words_of(blocks: [*const Block; 16]) -> [__m512i; 16] {
    // Every fourth stream shares a register, so that the words come out in the order of the streams.
    let places: [_; 16] = array::from_fn(|i| blocks[i / 4 + i % 4 * 4].cast_mut().cast());
    let mut words = [_mm512_setzero_si512(); 16];
    for (quarter, four_words) in words.as_chunks_mut().0.iter_mut().enumerate() {
        for (i, register) in four_words.iter_mut().enumerate() {
            // SAFETY: as the caller says; a block is four times 16 bytes.
            *register = swapped(unsafe { __m512i::gather(&places[4 * i..], quarter) });
        }
        *four_words = transposed(*four_words);
    }
    words
}

/// Within each four words of the registers, exchanges rows and columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab_low, cd_low),
        _mm512_unpackhi_epi64(ab_low, cd_low),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// Turns big-endian words into the processor's, or back.
#[inline]
#[target_feature(enable = "vaes,avx512f,avx512bw")]
fn swapped(words: __m512i) -> __m512i {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(big_endian))
}

/// One round of the compression.
#[inline]
#[target_feature(enable = "avx512f")]
fn round(
    [a, b, c, d, e, f, g, h]: [__m512i; 8],
    word: __m512i,
    round_constant: u32,
) -> [__m512i; 8] {
    let sigma_1 = xor(
        _mm512_ror_epi32::<6>(e),
        _mm512_ror_epi32::<11>(e),
        _mm512_ror_epi32::<25>(e),
    );
    let sigma_0 = xor(
        _mm512_ror_epi32::<2>(a),
        _mm512_ror_epi32::<13>(a),
        _mm512_ror_epi32::<22>(a),
    );
    let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
    let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
    let constant = _mm512_set1_epi32(round_constant.cast_signed());
    let sum = add(add(h, add(word, constant)), add(sigma_1, choice));
    let new_a = add(sum, add(sigma_0, majority));
    [new_a, a, b, c, add(d, sum), e, f, g]
}

/// The word of the message schedule that takes the place of word `i`, sixteen rounds on.
#[inline]
#[target_feature(enable = "avx512f")]
fn scheduled(words: &[__m512i; 16], i: usize) -> __m512i {
    let (two_before, fifteen_before) = (words[(i + 14) % 16], words[(i + 1) % 16]);
    let sigma_1 = xor(
        _mm512_ror_epi32::<17>(two_before),
        _mm512_ror_epi32::<19>(two_before),
        _mm512_srli_epi32::<10>(two_before),
    );
    let sigma_0 = xor(
        _mm512_ror_epi32::<7>(fifteen_before),
        _mm512_ror_epi32::<18>(fifteen_before),
        _mm512_srli_epi32::<3>(fifteen_before),
    );
    add(add(words[i], sigma_0), add(words[(i + 9) % 16], sigma_1))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

/// All sixteen.
const ALL: __mmask16 = 0xffff;
