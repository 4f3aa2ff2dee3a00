//! SHA-1, SHA-256 and HMAC over several pieces, and comparison in constant time.
//!
//! SHA-1 is what the protocol prescribes for identifiers and for the key exchange; nothing new should use it.

#![expect(
    clippy::indexing_slicing,
    reason = "constant offsets into arrays of fixed size"
)]

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Hashes the pieces as if they were one.
#[must_use]
pub fn sha1(pieces: &[&[u8]]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize().into()
}

/// Hashes the pieces as if they were one.
#[must_use]
pub fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize().into()
}

/// Authenticates the pieces as if they were one, with HMAC-SHA-256 and a key of any length.
#[must_use]
pub fn hmac_sha256(key: &[u8], pieces: &[&[u8]]) -> [u8; 32] {
    // A key longer than a block is replaced by its hash (RFC 2104); done here, what remains can't fail.
    let mut block = zeroize::Zeroizing::new([0; 64]);
    match block.get_mut(..key.len()) {
        Some(front) => front.copy_from_slice(key),
        None => block[..32].copy_from_slice(&*zeroize::Zeroizing::new(sha256(&[key]))),
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

/// Compares in a time that depends on the lengths only.
#[must_use]
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
