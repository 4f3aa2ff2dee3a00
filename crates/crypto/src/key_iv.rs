//! An AES-256-IGE key with its initialisation vector.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key and an initialisation vector that were derived together and are used once.
#[derive(Clone)]
pub struct AesKeyIv {
    pub(crate) key: [u8; 32],
    pub(crate) iv: [u8; 32],
}

impl AesKeyIv {
    /// Returns the key.
    #[must_use]
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Returns the initialisation vector: the previous ciphertext block, then the previous plaintext block.
    #[must_use]
    pub fn iv(&self) -> &[u8; 32] {
        &self.iv
    }
}

impl Drop for AesKeyIv {
    fn drop(&mut self) {
        self.key.zeroize();
        self.iv.zeroize();
    }
}

impl ZeroizeOnDrop for AesKeyIv {}

impl fmt::Debug for AesKeyIv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesKeyIv(…)")
    }
}
