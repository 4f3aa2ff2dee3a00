//! Whole messages: hash, derivation, key schedule and IGE in one function, so that nothing is set up twice.
//!
//! Opening decrypts 64 bytes while it hashes the 64 before: SHA-256 waits for itself, and so does AES, and neither for
//! the other. Sealing can't, because its key depends on the hash of all.

use core::arch::x86_64::*;

use super::aes::{Schedule, erase, load, load_pair, store};
use super::ige::{self, Chain, before_first};
use super::sha256::{Block, Rounds, State};
use crate::AesKeyIv;
use crate::auth_key::DirectionPart;

/// An AES key and a vector for IGE. Erased on drop.
pub(crate) struct KeyIv {
    pub(super) key: [__m128i; 2],
    pub(super) iv: [__m128i; 2],
}

impl KeyIv {
    /// Puts together what the two hashes of the derivation give.
    ///
    /// ```text
    /// key = a[..8]  b[8..24]  a[24..]        iv = b[..8]  a[8..24]  b[24..]
    /// ```
    #[inline]
    #[target_feature(enable = "avx")]
    pub(super) fn from_digests(
        [a_low, a_high]: [__m128i; 2],
        [b_low, b_high]: [__m128i; 2],
    ) -> Self {
        Self {
            key: [halves(a_low, b_low), halves(b_high, a_high)],
            iv: [halves(b_low, a_low), halves(a_high, b_high)],
        }
    }

    /// Takes over what was derived elsewhere.
    pub(crate) fn from_plain(derived: &AesKeyIv) -> Self {
        Self {
            key: load_pair(&derived.key),
            iv: load_pair(&derived.iv),
        }
    }
}

impl Drop for KeyIv {
    fn drop(&mut self) {
        erase(&mut self.key);
        erase(&mut self.iv);
    }
}

/// How a processor derives key and vector of the message with this `msg_key`.
pub(super) type Derive = unsafe fn(&DirectionPart, msg_key: __m128i) -> KeyIv;

/// Encrypts the plaintext and returns `msg_key_large`.
///
/// # Safety
///
/// The processor has AES-NI, AVX, SHA-NI and what `derive` needs.
#[target_feature(enable = "aes,sha,avx")]
pub(super) unsafe fn seal(derive: Derive, key: &DirectionPart, text: &mut [[u8; 16]]) -> [u8; 32] {
    let large = hash(key, text);
    // SAFETY: the processor has what it needs.
    let derived = unsafe { derive(key, msg_key(large)) };
    let schedule = Schedule::encrypting(derived.key);
    ige::run::<true>(&schedule, before_first::<true>(derived.iv), text);
    to_bytes(large)
}

/// Decrypts the ciphertext and returns `msg_key_large` of what came out.
///
/// # Safety
///
/// The processor has AES-NI, AVX, SHA-NI and what `derive` needs.
#[target_feature(enable = "aes,sha,avx")]
pub(super) unsafe fn open(
    derive: Derive,
    key: &DirectionPart,
    msg_key: &[u8; 16],
    text: &mut [[u8; 16]],
) -> [u8; 32] {
    // SAFETY: the processor has what it needs.
    let derived = unsafe { derive(key, load(msg_key)) };
    let schedule = Schedule::decrypting(derived.key);
    to_bytes(decrypt_and_hash(key, &schedule, derived.iv, text))
}

/// Returns `msg_key_large` of a plaintext.
///
/// Not inlined: within a larger function the compiler has too few registers and spills the state.
#[inline(never)]
#[target_feature(enable = "sha,avx")]
pub(super) fn hash(key: &DirectionPart, text: &[[u8; 16]]) -> [__m128i; 2] {
    let mut state = State::new();
    for i in 0..hashed_blocks(text) {
        state = state.compress(hashed_block(key, text, i));
    }
    state.digest()
}

/// Hashes two plaintexts, in the time of one as far as both go.
#[inline(never)]
#[target_feature(enable = "sha,avx")]
pub(super) fn hash_pair(keys: [&DirectionPart; 2], texts: [&[[u8; 16]]; 2]) -> [[__m128i; 2]; 2] {
    let ([key_a, key_b], [text_a, text_b]) = (keys, texts);
    let (blocks_a, blocks_b) = (hashed_blocks(text_a), hashed_blocks(text_b));
    let both = blocks_a.min(blocks_b);
    let mut states = [State::new(); 2];
    for i in 0..both {
        let blocks = [
            hashed_block(key_a, text_a, i),
            hashed_block(key_b, text_b, i),
        ];
        states = State::compress_pair(states, blocks);
    }
    let [mut a, mut b] = states;
    for i in both..blocks_a {
        a = a.compress(hashed_block(key_a, text_a, i));
    }
    for i in both..blocks_b {
        b = b.compress(hashed_block(key_b, text_b, i));
    }
    [a.digest(), b.digest()]
}

/// Decrypts, and hashes what came out four blocks behind.
#[inline(never)]
#[target_feature(enable = "aes,sha,avx")]
fn decrypt_and_hash(
    key: &DirectionPart,
    schedule: &Schedule,
    iv: [__m128i; 2],
    text: &mut [[u8; 16]],
) -> [__m128i; 2] {
    let mut stream = Decryption::new(schedule, iv, text);
    // The first block that is hashed has two blocks of key in front of the text.
    stream.step(schedule, text);
    stream.step(schedule, text);
    let mut state = State::new();
    for i in 0..hashed_blocks(text) {
        let mut rounds = Rounds::new(state, hashed_block(key, text, i));
        for quarter in 0..4 {
            stream.step(schedule, text);
            for group in 4 * quarter..4 * quarter + 4 {
                rounds.four(group);
            }
        }
        state = rounds.finish();
    }
    state.digest()
}

/// Decryption in place, one block at a time, until there are none.
struct Decryption {
    chain: Chain<false>,
    at: usize,
}

impl Decryption {
    #[inline]
    #[target_feature(enable = "aes,avx")]
    fn new(schedule: &Schedule, iv: [__m128i; 2], text: &[[u8; 16]]) -> Self {
        Self {
            chain: Chain::new(schedule, before_first::<false>(iv), load_or_zero(text, 0)),
            at: 0,
        }
    }

    #[inline]
    #[target_feature(enable = "aes,avx")]
    fn step(&mut self, schedule: &Schedule, text: &mut [[u8; 16]]) {
        let next = load_or_zero(text, self.at + 1);
        if let Some(block) = text.get_mut(self.at) {
            store(block, self.chain.step(schedule, next));
            self.at += 1;
        }
    }
}

/// Derives key and vector: two hashes of one block each, in the time of one.
#[inline(never)]
#[target_feature(enable = "sha,avx")]
pub(super) fn derive(key: &DirectionPart, msg_key: __m128i) -> KeyIv {
    let blocks = derivation_blocks(key, msg_key);
    let [a, b] = State::compress_pair([State::new(); 2], blocks);
    KeyIv::from_digests(a.digest(), b.digest())
}

/// What the derivation hashes: `msg_key | auth_key[x..36 + x]` and `auth_key[40 + x..76 + x] | msg_key`, each with
/// SHA-256's own padding.
#[inline]
#[target_feature(enable = "avx")]
pub(super) fn derivation_blocks(key: &DirectionPart, msg_key: __m128i) -> [Block; 2] {
    // What follows 52 bytes: a one, zeros, and the length in bits. It starts at the fourth byte of the last 16.
    let padding = _mm_set_epi32(0, (8 * 52_i32).to_be(), 0, ONE_BIT);
    let block_a = [
        msg_key,
        part(key, 0),
        part(key, 16),
        _mm_alignr_epi8::<12>(padding, part(key, 20)),
    ];
    let block_b = [
        part(key, 40),
        part(key, 56),
        _mm_alignr_epi8::<12>(msg_key, part(key, 60)),
        _mm_alignr_epi8::<12>(padding, msg_key),
    ];
    [block_a, block_b]
}

/// Returns the low half of one and the high half of the other.
#[inline]
#[target_feature(enable = "avx")]
fn halves(low: __m128i, high: __m128i) -> __m128i {
    _mm_blend_epi16::<0xf0>(low, high)
}

/// The middle 128 bits of `msg_key_large`.
#[inline]
#[target_feature(enable = "avx")]
pub(super) fn msg_key([low, high]: [__m128i; 2]) -> __m128i {
    _mm_alignr_epi8::<8>(high, low)
}

/// How many blocks of 64 bytes are hashed: 32 bytes of key, the text, and at least 9 bytes of SHA-256's own padding.
#[inline]
pub(super) fn hashed_blocks(text: &[[u8; 16]]) -> usize {
    (KEY_UNITS + text.len()) / 4 + 1
}

/// One of them.
#[inline]
#[target_feature(enable = "avx")]
pub(super) fn hashed_block(key: &DirectionPart, text: &[[u8; 16]], i: usize) -> Block {
    match whole_block(text, i) {
        Some(units) => units.map(|unit| load(&unit)),
        None => edge_block(key, text, i),
    }
}

/// One of them, if it has nothing but text.
#[inline]
pub(super) fn whole_block(text: &[[u8; 16]], i: usize) -> Option<&[[u8; 16]; 4]> {
    let at = (4 * i).checked_sub(KEY_UNITS)?;
    text.get(at..at + 4)?.first_chunk()
}

/// The first or the last of them. All lengths being multiples of 16, each four units are key, text or padding as a whole.
///
/// The text has at least two units; else the first would be the last.
#[inline(never)]
#[target_feature(enable = "avx")]
pub(super) fn edge_block(key: &DirectionPart, text: &[[u8; 16]], i: usize) -> Block {
    let Some(at) = (4 * i).checked_sub(KEY_UNITS) else {
        let [a, b] = [0, 1].map(|at| load_or_zero(text, at));
        return [part(key, 88), part(key, 104), a, b];
    };
    let rest = text.get(at..).unwrap_or_default();
    let mut block = [_mm_setzero_si128(); 4];
    for (unit, bytes) in block.iter_mut().zip(rest) {
        *unit = load(bytes);
    }
    block[rest.len() % 4] = _mm_set_epi32(0, 0, 0, ONE_BIT);
    let bits = 8 * 16 * (KEY_UNITS + text.len());
    let length = _mm_set_epi64x(i64::from_ne_bytes(bits.to_be_bytes()), 0);
    block[3] = _mm_or_si128(block[3], length);
    block
}

/// Loads 16 bytes of the authorization key.
#[inline]
#[target_feature(enable = "avx")]
fn part(key: &DirectionPart, at: usize) -> __m128i {
    key[at..].first_chunk().map_or(_mm_setzero_si128(), load)
}

#[inline]
#[target_feature(enable = "avx")]
fn load_or_zero(text: &[[u8; 16]], at: usize) -> __m128i {
    text.get(at).map_or(_mm_setzero_si128(), load)
}

#[inline]
#[target_feature(enable = "avx")]
pub(super) fn to_bytes([low, high]: [__m128i; 2]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (halves, _) = bytes.as_chunks_mut();
    store(&mut halves[0], low);
    store(&mut halves[1], high);
    bytes
}

/// How many units of 16 bytes the key in front of a hashed text has.
const KEY_UNITS: usize = 2;

/// What follows the end of a text in SHA-256's padding, in the order of memory.
const ONE_BIT: i32 = 0x80;
