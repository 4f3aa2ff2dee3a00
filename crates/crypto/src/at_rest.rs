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
