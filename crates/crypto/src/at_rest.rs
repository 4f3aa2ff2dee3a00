//! Sealing of what is stored: authenticated, under a master key with a number, so that master keys can be replaced.
//!
//! ```text
//! version 1 = 1 | key id 4, little-endian | nonce 24 | ciphertext | tag 16        XChaCha20-Poly1305
//! ```
//!
//! The first five bytes are authenticated too, and so is the caller's context (`aad`): the table and the name of a
//! record, so that one record can't be put in the place of another. Nonces are random; 192 bits make a repeat
//! impossible in practice.

use core::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::SecretBytes;

/// How much longer a sealed record is.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// The master keys: one that seals, and older ones that still open.
#[derive(Clone)]
pub struct MasterKeys {
    current: Key,
    older: Vec<Key>,
}

impl MasterKeys {
    /// Starts with the key that seals.
    #[must_use]
    pub fn new(id: u32, key: SecretBytes<32>) -> Self {
        Self {
            current: Key { id, key },
            older: Vec::new(),
        }
    }

    /// Adds a key that only opens.
    ///
    /// # Errors
    ///
    /// [`DuplicateId`] when a key of this id is there already.
    pub fn with_older(mut self, id: u32, key: SecretBytes<32>) -> Result<Self, DuplicateId> {
        if self.by_id(id).is_some() {
            return Err(DuplicateId { id });
        }
        self.older.push(Key { id, key });
        Ok(self)
    }

    /// Returns the id of the key that seals.
    #[must_use]
    pub fn current_id(&self) -> u32 {
        self.current.id
    }

    /// Seals `plaintext` for the place that `aad` names.
    ///
    /// # Panics
    ///
    /// If `plaintext` is longer than 256 GiB.
    #[expect(
        clippy::expect_used,
        reason = "the only failure is a plaintext of more than 256 GiB"
    )]
    pub fn seal(&self, plaintext: &[u8], aad: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        let header = header(self.current.id);
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);

        let mut text = plaintext.to_vec();
        let tag = self
            .current
            .cipher()
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &associated(&header, aad),
                text.as_mut_slice().into(),
            )
            .expect("memory holds less than the cipher's limit");
        [&header[..], &nonce, &text, &tag].concat()
    }

    /// Opens what [`Self::seal`] made under any of these keys.
    ///
    /// # Errors
    ///
    /// - [`OpenError::Format`] when it is too short or of another version.
    /// - [`OpenError::UnknownKey`] when none of the keys has the record's key id.
    /// - [`OpenError::NotAuthentic`] when it was changed, or sealed for another place or under another key.
    pub fn open(&self, sealed: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (header, nonce, text, tag) = split(sealed).ok_or(OpenError::Format)?;
        let id = key_id(sealed).ok_or(OpenError::Format)?;
        let key = self.by_id(id).ok_or(OpenError::UnknownKey { id })?;
        let mut plaintext = Zeroizing::new(text.to_vec());
        key.cipher()
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &associated(header, aad),
                plaintext.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| OpenError::NotAuthentic)?;
        Ok(plaintext)
    }

    /// Tells whether a record is under the key that seals; otherwise it should be sealed anew.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        key_id(sealed) == Some(self.current.id)
    }

    fn by_id(&self, id: u32) -> Option<&Key> {
        core::iter::once(&self.current)
            .chain(&self.older)
            .find(|key| key.id == id)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKeys({}, …)", self.current.id)
    }
}

/// Two master keys have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DuplicateId {
    /// The id.
    pub id: u32,
}

impl fmt::Display for DuplicateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two master keys have the id {}", self.id)
    }
}

impl core::error::Error for DuplicateId {}

/// Why a stored record can't be opened. These are for the operator; no peer sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// Not a record of this format.
    Format,
    /// Changed since it was sealed, or sealed for another place.
    NotAuthentic,
    /// Its master key isn't here.
    UnknownKey {
        /// The id of that key.
        id: u32,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("not a sealed record of a known version"),
            Self::NotAuthentic => f.write_str("the sealed record is damaged or belongs elsewhere"),
            Self::UnknownKey { id } => write!(
                f,
                "the sealed record needs master key {id}, which is not here"
            ),
        }
    }
}

impl core::error::Error for OpenError {}

#[derive(Clone)]
struct Key {
    id: u32,
    key: SecretBytes<32>,
}

impl Key {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(self.key.expose().into())
    }
}

fn header(id: u32) -> [u8; HEADER_BYTES] {
    let [b0, b1, b2, b3] = id.to_le_bytes();
    [VERSION, b0, b1, b2, b3]
}

fn key_id(sealed: &[u8]) -> Option<u32> {
    let &[VERSION, b0, b1, b2, b3, ..] = sealed else {
        return None;
    };
    Some(u32::from_le_bytes([b0, b1, b2, b3]))
}

/// What is authenticated beside the text. The header's length is fixed, so the border is certain.
fn associated(header: &[u8; HEADER_BYTES], aad: &[u8]) -> Vec<u8> {
    [header, aad].concat()
}

type Parts<'a> = (
    &'a [u8; HEADER_BYTES],
    &'a [u8; NONCE_BYTES],
    &'a [u8],
    &'a [u8; TAG_BYTES],
);

fn split(sealed: &[u8]) -> Option<Parts<'_>> {
    let (header, rest) = sealed.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (text, tag) = rest.split_last_chunk()?;
    Some((header, nonce, text, tag))
}

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    /// Made with libsodium. If this fails, stored records have become unreadable.
    #[test]
    fn a_record_of_version_1_stays_readable() {
        let record = bytes(
            "0107000000404142434445464748494a4b4c4d4e4f5051525354555657b5197604bf921c72af87e2ddddf911cd\
             55949efd4a75b9a5bb29fc268bb8c2",
        );
        let key = SecretBytes::fill_with(|key: &mut [u8; 32]| {
            key.iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
        });
        let opened = MasterKeys::new(7, key)
            .open(&record, b"auth_key/1")
            .unwrap();
        assert_eq!(opened.as_slice(), b"a stored secret");
    }

    #[test]
    fn a_record_opens_at_its_place_and_nowhere_else() {
        let sealed = keys().seal(b"secret", b"keys/1", &mut rng());
        assert_eq!(sealed.len(), 6 + OVERHEAD_BYTES);
        assert_eq!(
            keys().open(&sealed, b"keys/1").unwrap().as_slice(),
            b"secret"
        );
        assert_eq!(
            keys().open(&sealed, b"keys/2"),
            Err(OpenError::NotAuthentic)
        );
    }

    #[test]
    fn a_change_of_any_byte_is_found() {
        let sealed = keys().seal(b"secret", b"keys/1", &mut rng());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys().open(&changed, b"keys/1").is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_record_of_nothing_is_45_bytes_and_the_shortest() {
        let sealed = keys().seal(b"", b"", &mut rng());
        assert_eq!(sealed.len(), 45);
        assert!(keys().open(&sealed, b"").unwrap().is_empty());
        for length in 0..45 {
            assert_eq!(
                keys().open(&sealed[..length], b""),
                Err(OpenError::Format),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn an_older_key_opens_and_a_missing_one_is_named() {
        let sealed = keys().seal(b"secret", b"", &mut rng());
        let rotated = MasterKeys::new(2, SecretBytes::new([2; 32]));
        assert_eq!(
            rotated.open(&sealed, b""),
            Err(OpenError::UnknownKey { id: 1 })
        );

        let rotated = rotated.with_older(1, SecretBytes::new([1; 32])).unwrap();
        assert_eq!(rotated.open(&sealed, b"").unwrap().as_slice(), b"secret");
        assert!(!rotated.is_current(&sealed));
        assert!(rotated.is_current(&rotated.seal(b"secret", b"", &mut rng())));
    }

    #[test]
    fn ids_are_unique_and_an_id_with_another_key_opens_nothing() {
        assert_eq!(
            keys().with_older(1, SecretBytes::new([2; 32])).err(),
            Some(DuplicateId { id: 1 })
        );
        let sealed = keys().seal(b"secret", b"", &mut rng());
        let other = MasterKeys::new(1, SecretBytes::new([2; 32]));
        assert_eq!(other.open(&sealed, b""), Err(OpenError::NotAuthentic));
    }

    fn keys() -> MasterKeys {
        MasterKeys::new(1, SecretBytes::new([1; 32]))
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([0; 32])
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect()
    }
}
