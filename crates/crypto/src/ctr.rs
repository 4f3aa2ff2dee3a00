//! AES-256 in counter mode, for the obfuscated transports.
//!
//! The counter is the whole 16-byte vector as a big-endian number. It hides the protocol from a censor and
//! protects nothing else.
//!
//! Written here because packets are small: the general crate pays some 70 ns per call for setting up eight blocks. Here 64
//! bytes of keystream are made at a time, and what a packet leaves is for the next one.

use core::{fmt, slice};

use aes::Aes256Enc;
use aes::cipher::{Array, Block, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

use crate::simd::{self, Cpu};

/// A stream that continues over calls, however the data is cut.
pub struct Aes256Ctr {
    cipher: Cipher,
    /// The block after the keystream.
    counter: u128,
    /// The keystream begun last; the first `used` bytes are spent.
    keystream: [u8; GROUP_BYTES],
    used: usize,
}

impl Aes256Ctr {
    /// Starts a stream.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self::new_on(Cpu::current(), key, iv)
    }

    pub(crate) fn new_on(cpu: Cpu, key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self {
            cipher: match cpu.aes() {
                Some(aes) => Cipher::Vector(aes, aes.schedule(key)),
                None => Cipher::Plain(Box::new(Aes256Enc::new(key.into()))),
            },
            counter: u128::from_be_bytes(*iv),
            keystream: [0; GROUP_BYTES],
            used: GROUP_BYTES,
        }
    }

    /// Encrypts or decrypts in place: both are the same.
    pub fn apply(&mut self, data: &mut [u8]) {
        let left = self.keystream.get(self.used..).unwrap_or_default();
        let (begun, data) = data.split_at_mut(left.len().min(data.len()));
        xor(begun, left);
        self.used += begun.len();

        let (groups, rest) = data.as_chunks_mut();
        if !groups.is_empty() {
            self.cipher.apply(&mut self.counter, groups);
        }
        if !rest.is_empty() {
            self.keystream = [0; GROUP_BYTES];
            let fresh = slice::from_mut(&mut self.keystream);
            self.cipher.apply(&mut self.counter, fresh);
            xor(rest, &self.keystream);
            self.used = rest.len();
        }
    }
}

/// What makes the keystream.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is what nearly every processor uses"
)]
enum Cipher {
    /// In a box, because it is four times as large.
    Plain(Box<Aes256Enc>),
    Vector(simd::Aes, simd::Schedule),
}

impl Cipher {
    /// Adds fresh keystream, and counts on.
    fn apply(&self, counter: &mut u128, groups: &mut [[u8; GROUP_BYTES]]) {
        match self {
            Self::Plain(cipher) => {
                for (i, group) in (0..).zip(&mut *groups) {
                    let first = counter.wrapping_add(GROUP_BLOCKS * i);
                    let mut blocks: [Block<Aes256Enc>; 4] = core::array::from_fn(|block| {
                        first.wrapping_add(block as u128).to_be_bytes().into()
                    });
                    cipher.encrypt_blocks(&mut blocks);
                    xor(group, Array::slice_as_flattened(&blocks));
                }
            }
            Self::Vector(aes, schedule) => aes.ctr(schedule, *counter, groups),
        }
        *counter = counter.wrapping_add(GROUP_BLOCKS * groups.len() as u128);
    }
}

impl Drop for Aes256Ctr {
    fn drop(&mut self) {
        self.keystream.zeroize();
    }
}

impl fmt::Debug for Aes256Ctr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aes256Ctr(…)")
    }
}

fn xor(data: &mut [u8], stream: &[u8]) {
    for (byte, mask) in data.iter_mut().zip(stream) {
        *byte ^= mask;
    }
}

/// How much keystream is made at once: as much as one register of the widest kind holds.
const GROUP_BYTES: usize = 64;

/// The same in blocks.
const GROUP_BLOCKS: u128 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_wraps_over_all_16_bytes() {
        let (mut at_the_end, mut at_zero) = ([0; 48], [0; 32]);
        Aes256Ctr::new(&[5; 32], &[0xff; 16]).apply(&mut at_the_end);
        Aes256Ctr::new(&[5; 32], &[0; 16]).apply(&mut at_zero);
        assert_eq!(at_the_end[16..], at_zero);
    }

    #[test]
    fn nothing_applied_to_nothing_leaves_the_stream_where_it_is() {
        let mut stream = Aes256Ctr::new(&[5; 32], &[6; 16]);
        let mut twin = Aes256Ctr::new(&[5; 32], &[6; 16]);
        let (mut data, mut expected) = ([0; 40], [0; 40]);
        twin.apply(&mut expected);
        stream.apply(&mut []);
        stream.apply(&mut data[..16]);
        stream.apply(&mut []);
        stream.apply(&mut data[16..]);
        assert_eq!(data, expected);
    }

    #[test]
    fn every_level_gives_the_stream_of_the_plain_one_however_it_is_cut() {
        let (key, iv) = ([5; 32], [0xff; 16]);
        let plain = Cpu::all().next().unwrap();
        assert_eq!(plain.level(), simd::Level::Plain);
        let mut expected = vec![0; 4096];
        Aes256Ctr::new_on(plain, &key, &iv).apply(&mut expected);
        for cpu in Cpu::all() {
            for cut in (1..=130).chain([255, 256, 257, 511, 512, 513, 4096]) {
                let (mut stream, mut data) = (Aes256Ctr::new_on(cpu, &key, &iv), vec![0; 4096]);
                data.chunks_mut(cut).for_each(|piece| stream.apply(piece));
                assert!(data == expected, "in pieces of {cut} on {cpu:?}");
            }
        }
    }
}
