//! The two paddings under which a client sends its part of the key exchange.
//!
//! ```text
//! RSA_PAD   temp_key 32 ^ SHA256(encrypted) | encrypted 224 = IGE( reverse(data 192) | SHA256(temp_key | data) )
//! legacy    0 | SHA1(data) 20 | data with padding 235
//! ```
//!
//! The receiver can't know which was used, so [`open`] undoes both, always and without a branch on what it finds.
//!
//! Source: <https://core.telegram.org/mtproto/auth_key>, step 4.1; the legacy form is that of older versions of the
//! page, still sent by Telethon and Kurigram.

#![expect(
    clippy::indexing_slicing,
    reason = "constant offsets into arrays of fixed size"
)]

use core::fmt;

use rand_core::CryptoRng;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::rsa::{Decryptor, PrivateKey, PublicKey};
use crate::{LengthError, SecretBytes, Undecryptable, hash, ige};

/// The most that [`encrypt`] takes.
pub const DATA_BYTES_MAX: usize = 144;

/// The most that [`encrypt_legacy`] takes.
pub const LEGACY_DATA_BYTES_MAX: usize = 235;

/// Pads with `RSA_PAD` and encrypts.
///
/// Takes 192 bytes less the data from `rng`, then 32 bytes per try; a try fails if its number isn't below n.
///
/// # Errors
///
/// [`LengthError`] when there are more than [`DATA_BYTES_MAX`] bytes, or `rng` is so broken that 128 tries
/// fail.
pub fn encrypt(
    key: &PublicKey,
    data: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<[u8; 256], LengthError> {
    if data.len() > DATA_BYTES_MAX {
        return Err(LengthError);
    }
    let mut padded = Zeroizing::new([0; PADDED_BYTES]);
    let (front, padding) = padded.split_at_mut(data.len());
    front.copy_from_slice(data);
    rng.fill_bytes(padding);

    for _ in 0..TRIES_MAX {
        let mut temp_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *temp_key);
        let block = pad(&padded, &temp_key)?;
        if let Ok(encrypted) = key.raw(&block) {
            return Ok(encrypted);
        }
    }
    Err(LengthError)
}

/// Pads the old way, with SHA-1, and encrypts. Takes 235 bytes less the data from `rng`.
///
/// # Errors
///
/// [`LengthError`] when there are more than [`LEGACY_DATA_BYTES_MAX`] bytes.
pub fn encrypt_legacy(
    key: &PublicKey,
    data: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<[u8; 256], LengthError> {
    if data.len() > LEGACY_DATA_BYTES_MAX {
        return Err(LengthError);
    }
    let mut block = Zeroizing::new([0; 256]);
    block[1..21].copy_from_slice(&hash::sha1(&[data]));
    let (front, padding) = block[21..].split_at_mut(data.len());
    front.copy_from_slice(data);
    rng.fill_bytes(padding);
    // 255 bytes are below any modulus of 256.
    key.raw(&block).map_err(|_| LengthError)
}

/// Decrypts and undoes either padding.
///
/// # Errors
///
/// [`Undecryptable`] when the number isn't in the key's range, or is padded in neither way. For the legacy padding
/// that is settled only by [`Opened::accepts`].
pub fn open(key: &PrivateKey, encrypted: &[u8; 256]) -> Result<Opened, Undecryptable> {
    undo(&key.raw(encrypted).map_err(|_| Undecryptable)?)
}

/// Does [`open`] for many numbers, which is faster than one after the other.
pub fn open_all(
    key: &mut Decryptor,
    encrypted: &[&[u8; 256]],
    rng: &mut dyn CryptoRng,
) -> Vec<Result<Opened, Undecryptable>> {
    let blocks = key.raw_all(encrypted, rng).into_iter();
    blocks
        .map(|block| undo(&block.map_err(|_| Undecryptable)?))
        .collect()
}

fn undo(block: &SecretBytes<256>) -> Result<Opened, Undecryptable> {
    let block = block.expose();
    let (data, is_rsa_pad) = unpad(block)?;
    let is_legacy = !is_rsa_pad & block[0].ct_eq(&0);

    let mut opened = Opened {
        bytes: Zeroizing::new([0; LEGACY_DATA_BYTES_MAX]),
        legacy_hash: Zeroizing::new([0; 20]),
        padding: if bool::from(is_legacy) {
            Padding::Legacy
        } else {
            Padding::RsaPad
        },
    };
    opened.legacy_hash.copy_from_slice(&block[1..21]);
    let padded = data
        .iter()
        .chain(&[0; LEGACY_DATA_BYTES_MAX - PADDED_BYTES]);
    for ((byte, new), legacy) in opened.bytes.iter_mut().zip(padded).zip(&block[21..]) {
        *byte = u8::conditional_select(legacy, new, is_rsa_pad);
    }
    if bool::from(is_rsa_pad | is_legacy) {
        Ok(opened)
    } else {
        Err(Undecryptable)
    }
}

/// What a client sent, cleared on drop.
pub struct Opened {
    bytes: Zeroizing<[u8; LEGACY_DATA_BYTES_MAX]>,
    legacy_hash: Zeroizing<[u8; 20]>,
    padding: Padding,
}

impl Opened {
    /// Returns the data with the random bytes behind it: parse from the front, then ask [`Self::accepts`].
    #[must_use]
    pub fn data(&self) -> &[u8] {
        match self.padding {
            Padding::RsaPad => &self.bytes[..PADDED_BYTES],
            Padding::Legacy => &self.bytes[..],
        }
    }

    /// Tells whether the first `parsed_len` bytes are what the client sent. Believe nothing of them before.
    ///
    /// `RSA_PAD` has covered the padding as well, so there any length within the data is right.
    #[must_use]
    pub fn accepts(&self, parsed_len: usize) -> bool {
        let Some(parsed) = self.data().get(..parsed_len) else {
            return false;
        };
        let hash = hash::sha1(&[parsed]);
        let hash_matches = hash.ct_eq(&*self.legacy_hash);
        let is_rsa_pad = Choice::from(u8::from(self.padding == Padding::RsaPad));
        (is_rsa_pad | hash_matches).into()
    }

    /// Returns how it was padded, for servers that insist on `RSA_PAD`.
    #[must_use]
    pub fn padding(&self) -> Padding {
        self.padding
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(…)")
    }
}

/// How a client padded its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has had two")]
pub enum Padding {
    /// The present way.
    RsaPad,
    /// The way before it, with SHA-1.
    Legacy,
}

/// The number to encrypt.
fn pad(
    padded: &[u8; PADDED_BYTES],
    temp_key: &[u8; 32],
) -> Result<Zeroizing<[u8; 256]>, LengthError> {
    let mut block = Zeroizing::new([0; 256]);
    let (masked_key, encrypted) = block.split_at_mut(32);
    encrypted[..PADDED_BYTES].copy_from_slice(padded);
    encrypted[..PADDED_BYTES].reverse();
    encrypted[PADDED_BYTES..].copy_from_slice(&hash::sha256(&[temp_key, padded]));
    ige::encrypt(temp_key, &[0; 32], encrypted)?;
    let mask = hash::sha256(&[encrypted]);
    for ((byte, key), mask) in masked_key.iter_mut().zip(temp_key).zip(mask) {
        *byte = key ^ mask;
    }
    Ok(block)
}

/// The data of a number that was padded with `RSA_PAD`, and whether it was.
fn unpad(block: &[u8; 256]) -> Result<(Zeroizing<[u8; PADDED_BYTES]>, Choice), Undecryptable> {
    let mut block = Zeroizing::new(*block);
    let (temp_key, text) = block.split_first_chunk_mut::<32>().ok_or(Undecryptable)?;
    for (byte, mask) in temp_key.iter_mut().zip(hash::sha256(&[text])) {
        *byte ^= mask;
    }
    ige::decrypt(temp_key, &[0; 32], text).map_err(|_| Undecryptable)?;
    let (reversed, hash) = text
        .split_first_chunk::<PADDED_BYTES>()
        .ok_or(Undecryptable)?;
    let mut data = Zeroizing::new(*reversed);
    data.reverse();
    let intact = hash::sha256(&[temp_key, &*data]).ct_eq(hash);
    Ok((data, intact))
}

/// Data with its random bytes in `RSA_PAD`.
const PADDED_BYTES: usize = 192;

/// Draws of a temporary key. At worst, with n just above 2^2047, each fails with a chance of one half.
const TRIES_MAX: u32 = 128;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate().unwrap());

    #[test]
    fn rsa_pad_takes_144_bytes_and_no_more() {
        assert!(encrypt(KEY.public(), &[1; 144], &mut rng()).is_ok());
        assert_eq!(
            encrypt(KEY.public(), &[1; 145], &mut rng()),
            Err(LengthError)
        );
    }

    #[test]
    fn legacy_padding_takes_235_bytes_and_no_more() {
        assert!(encrypt_legacy(KEY.public(), &[1; 235], &mut rng()).is_ok());
        assert_eq!(
            encrypt_legacy(KEY.public(), &[1; 236], &mut rng()),
            Err(LengthError)
        );
    }

    #[test]
    fn rsa_pad_accepts_any_length_within_the_data() {
        let opened = open(&KEY, &encrypt(KEY.public(), &[1; 96], &mut rng()).unwrap()).unwrap();
        assert_eq!(opened.data().len(), 192);
        assert!(opened.accepts(0) && opened.accepts(96) && opened.accepts(192));
        assert!(!opened.accepts(193));
    }

    #[test]
    fn legacy_padding_accepts_exactly_what_was_hashed() {
        let opened = open(
            &KEY,
            &encrypt_legacy(KEY.public(), &[1; 96], &mut rng()).unwrap(),
        )
        .unwrap();
        assert_eq!(opened.data().len(), 235);
        for length in 0..=236 {
            assert_eq!(opened.accepts(length), length == 96, "{length} bytes");
        }
    }

    #[test]
    fn a_change_of_any_byte_under_rsa_pad_is_refused() {
        let padded = pad(&[1; PADDED_BYTES], &[2; 32]).unwrap();
        // The top byte is left alone, to stay below n.
        for at in 1..256 {
            let mut changed = padded.clone();
            changed[0] = 0x7f;
            assert_rejected(&changed);
            changed[0] = padded[0] & 0x7f | 1;
            changed[at] ^= 1;
            assert_rejected(&changed);
        }
    }

    #[test]
    fn legacy_padding_begins_with_a_zero_byte() {
        let mut block = [0; 256];
        block[1..21].copy_from_slice(&hash::sha1(&[&[9; 235]]));
        block[21..].fill(9);
        assert!(
            open(&KEY, &KEY.public().raw(&block).unwrap())
                .unwrap()
                .accepts(235)
        );
        block[0] = 1;
        assert_rejected(&block);
    }

    #[test]
    fn numbers_out_of_the_keys_range_are_refused() {
        for number in [[0; 256], [0xff; 256], *KEY.public().n()] {
            assert_eq!(open(&KEY, &number).err(), Some(Undecryptable));
        }
    }

    fn assert_rejected(block: &[u8; 256]) {
        let encrypted = KEY.public().raw(block).unwrap();
        assert_eq!(open(&KEY, &encrypted).err(), Some(Undecryptable));
    }

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([4; 32])
    }
}
