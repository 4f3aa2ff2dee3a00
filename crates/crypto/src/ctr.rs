//! AES-256 in counter mode, for the obfuscated transports.
//!
//! The counter is the whole 16-byte vector as a big-endian number. It hides the protocol from a censor and
//! protects nothing else.
//!
//! Written here because packets are small: the general crate pays some 70 ns per call for setting up eight blocks.

use core::fmt;

use aes::Aes256Enc;
use aes::cipher::{Array, Block, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroize;

/// A stream that continues over calls, however the data is cut.
pub struct Aes256Ctr {
    cipher: Aes256Enc,
    counter: u128,
    /// The keystream of the block begun last; the first `used` bytes are spent.
    keystream: [u8; 16],
    used: usize,
}

impl Aes256Ctr {
    /// Starts a stream.
    #[must_use]
    pub fn new(key: &[u8; 32], iv: &[u8; 16]) -> Self {
        Self {
            cipher: Aes256Enc::new(key.into()),
            counter: u128::from_be_bytes(*iv),
            keystream: [0; 16],
            used: 16,
        }
    }

    /// Encrypts or decrypts in place: both are the same.
    pub fn apply(&mut self, data: &mut [u8]) {
        let left = self.keystream.get(self.used..).unwrap_or_default();
        let (begun, data) = data.split_at_mut(left.len().min(data.len()));
        xor(begun, left);
        self.used += begun.len();

        let mut wide = data.chunks_exact_mut(16 * WIDE_GROUP_BLOCKS);
        for group in &mut wide {
            self.apply_group::<WIDE_GROUP_BLOCKS>(group);
        }
        let mut groups = wide.into_remainder().chunks_exact_mut(16 * GROUP_BLOCKS);
        for group in &mut groups {
            self.apply_group::<GROUP_BLOCKS>(group);
        }
        self.apply_group::<GROUP_BLOCKS>(groups.into_remainder());
    }

    /// Applies fresh keystream to at most `BLOCKS` blocks; keeps what the last one leaves.
    fn apply_group<const BLOCKS: usize>(&mut self, data: &mut [u8]) {
        if data.is_empty() {
            return;
        }
        let mut stream = [Block::<Aes256Enc>::default(); BLOCKS];
        let (blocks, _) = stream.split_at_mut(data.len().div_ceil(16));
        for block in &mut *blocks {
            *block = self.counter.to_be_bytes().into();
            self.counter = self.counter.wrapping_add(1);
        }
        self.cipher.encrypt_blocks(blocks);
        xor(data, Array::slice_as_flattened(blocks));
        if let Some(last) = blocks.last() {
            self.keystream = (*last).into();
            self.used = (data.len() - 1) % 16 + 1;
        }
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

/// How many blocks are encrypted at once: as many as a processor with AES-NI works on in parallel.
const GROUP_BLOCKS: usize = 8;

/// The same for the widest vectors. Where there are none, it is eight groups in a row; where there are, a smaller
/// group is encrypted block by block.
const WIDE_GROUP_BLOCKS: usize = 64;

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
}
