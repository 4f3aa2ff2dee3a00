//! AES-256 in infinite garble extension mode.
//!
//! ```text
//! c[i] = E(p[i] ^ c[i-1]) ^ p[i-1]        iv = c[-1] | p[-1]
//! ```
//!
//! It authenticates nothing. Each block waits for the one before it, so one stream runs at the latency of AES.

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes256Dec, Aes256Enc};

use crate::LengthError;

/// Encrypts in place.
///
/// # Errors
///
/// [`LengthError`] when the length isn't a multiple of 16; nothing is changed then.
pub fn encrypt(key: &[u8; 32], iv: &[u8; 32], data: &mut [u8]) -> Result<(), LengthError> {
    let (blocks, []) = Array::slice_as_chunks_mut(data) else {
        return Err(LengthError);
    };
    ige::Encryptor::<Aes256Enc>::new(key.into(), iv.into()).encrypt_blocks(blocks);
    Ok(())
}

/// Decrypts in place.
///
/// # Errors
///
/// [`LengthError`] when the length isn't a multiple of 16; nothing is changed then.
pub fn decrypt(key: &[u8; 32], iv: &[u8; 32], data: &mut [u8]) -> Result<(), LengthError> {
    let (blocks, []) = Array::slice_as_chunks_mut(data) else {
        return Err(LengthError);
    };
    ige::Decryptor::<Aes256Dec>::new(key.into(), iv.into()).decrypt_blocks(blocks);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
