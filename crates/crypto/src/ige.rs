//! AES-256 in infinite garble extension mode.
//!
//! ```text
//! c[i] = E(p[i] ^ c[i-1]) ^ p[i-1]        iv = c[-1] | p[-1]
//! ```
//!
//! It authenticates nothing. Each block waits for the one before it, so one stream runs at the latency of AES.
//!
//! Here are the plain implementation and the choice; what the processor can do better is in [`crate::simd`].

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes256Dec, Aes256Enc};

use crate::LengthError;
use crate::simd::Cpu;

/// Encrypts in place.
///
/// # Errors
///
/// [`LengthError`] when the length isn't a multiple of 16; nothing is changed then.
pub fn encrypt(key: &[u8; 32], iv: &[u8; 32], data: &mut [u8]) -> Result<(), LengthError> {
    let (blocks, []) = data.as_chunks_mut() else {
        return Err(LengthError);
    };
    encrypt_on(Cpu::current(), key, iv, blocks);
    Ok(())
}

/// Decrypts in place.
///
/// # Errors
///
/// [`LengthError`] when the length isn't a multiple of 16; nothing is changed then.
pub fn decrypt(key: &[u8; 32], iv: &[u8; 32], data: &mut [u8]) -> Result<(), LengthError> {
    let (blocks, []) = data.as_chunks_mut() else {
        return Err(LengthError);
    };
    decrypt_on(Cpu::current(), key, iv, blocks);
    Ok(())
}

pub(crate) fn encrypt_on(cpu: Cpu, key: &[u8; 32], iv: &[u8; 32], blocks: &mut [[u8; 16]]) {
    match cpu.aes() {
        Some(aes) => aes.ige_encrypt(key, iv, blocks),
        None => ige::Encryptor::<Aes256Enc>::new(key.into(), iv.into())
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks)),
    }
}

pub(crate) fn decrypt_on(cpu: Cpu, key: &[u8; 32], iv: &[u8; 32], blocks: &mut [[u8; 16]]) {
    match cpu.aes() {
        Some(aes) => aes.ige_decrypt(key, iv, blocks),
        None => ige::Decryptor::<Aes256Dec>::new(key.into(), iv.into())
            .decrypt_blocks(Array::cast_slice_from_core_mut(blocks)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;

    #[test]
    fn every_level_encrypts_and_decrypts_like_the_plain_one_at_every_length_up_to_4096() {
        let plain = Cpu::all().find(|cpu| cpu.level() == Level::Plain).unwrap();
        for length in (0..=4096).step_by(16) {
            let (key, iv) = (bytes::<32>(length), bytes::<32>(length + 1));
            let text = (0..length / 16).map(bytes::<16>).collect::<Vec<_>>();
            let mut expected = text.clone();
            encrypt_on(plain, &key, &iv, &mut expected);
            let mut expected_back = expected.clone();
            decrypt_on(plain, &key, &iv, &mut expected_back);
            assert_eq!(expected_back, text);
            for cpu in Cpu::all() {
                let mut data = text.clone();
                encrypt_on(cpu, &key, &iv, &mut data);
                assert_eq!(data, expected, "{length} bytes on {cpu:?}");
                decrypt_on(cpu, &key, &iv, &mut data);
                assert_eq!(data, text, "{length} bytes on {cpu:?}");
            }
        }
    }

    #[test]
    fn only_whole_blocks_are_taken_and_others_left_alone() {
        for (length, expected) in [
            (0, Ok(())),
            (15, Err(LengthError)),
            (16, Ok(())),
            (17, Err(LengthError)),
        ] {
            let mut data = vec![1; length];
            assert_eq!(
                encrypt(&[2; 32], &[3; 32], &mut data),
                expected,
                "{length} bytes"
            );
            assert_eq!(data == vec![1; length], expected.is_err() || length == 0);

            let mut data = vec![1; length];
            assert_eq!(
                decrypt(&[2; 32], &[3; 32], &mut data),
                expected,
                "{length} bytes"
            );
            assert_eq!(data == vec![1; length], expected.is_err() || length == 0);
        }
    }

    /// Bytes that differ from seed to seed and place to place.
    fn bytes<const N: usize>(seed: usize) -> [u8; N] {
        core::array::from_fn(|i| ((seed * 257 + i * 31) % 251).to_le_bytes()[0])
    }
}
