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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_like_the_whole() {
        assert_eq!(sha1(&[b"ab", b"", b"c"]), sha1(&[b"abc"]));
        assert_eq!(sha256(&[b"ab", b"", b"c"]), sha256(&[b"abc"]));
        assert_eq!(
            hmac_sha256(b"key", &[b"ab", b"", b"c"]),
            hmac_sha256(b"key", &[b"abc"])
        );
    }

    /// Source: FIPS 180-4 examples for "abc".
    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(
            hex(&sha1(&[b"abc"])),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex(&sha256(&[b"abc"])),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    /// Source: RFC 4231, cases 2 and 6.
    #[test]
    fn hmac_is_the_published_one_for_short_keys_and_for_long_ones() {
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", &[b"what do ya want for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                &[b"Test Using Larger Than Block-Size Key - Hash Key First"]
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn hmac_hashes_a_key_of_65_bytes_and_not_one_of_64() {
        let (fits, exceeds) = ([7; 64], [7; 65]);
        assert_ne!(
            hmac_sha256(&fits, &[b"x"]),
            hmac_sha256(&sha256(&[&fits]), &[b"x"])
        );
        assert_eq!(
            hmac_sha256(&exceeds, &[b"x"]),
            hmac_sha256(&sha256(&[&exceeds]), &[b"x"])
        );
    }

    #[test]
    fn comparison_sees_the_last_byte_and_the_length() {
        assert!(ct_eq(b"abc", b"abc"));
        assert!(!ct_eq(b"abc", b"abd"));
        assert!(!ct_eq(b"abc", b"ab"));
        assert!(ct_eq(b"", b""));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
