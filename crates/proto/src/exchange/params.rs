//! What both ends derive from the nonces, and the wrapping that hides the Diffie-Hellman messages.

use heliogram_crypto::dh::{self, Group, KeyPair};
use heliogram_crypto::hash::{ct_eq, sha1};
use heliogram_crypto::{AesKeyIv, AuthKey, SecretBytes, ige};
use heliogram_tl::{Deserialize, Reader, Serialize};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::ids::Salt;

/// `nonce` or `server_nonce`: 16 random bytes, as they lie on the wire.
pub type Nonce = [u8; 16];

/// What the server says at the end; the number is mixed into `new_nonce_hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    Retry,
    Fail,
}

impl Verdict {
    const fn number(self) -> u8 {
        match self {
            Self::Ok => 1,
            Self::Retry => 2,
            Self::Fail => 3,
        }
    }
}

/// Returns `new_nonce_hash1`, `2` or `3`, which proves that its sender knows both the nonce and the key.
pub(super) fn new_nonce_hash(
    new_nonce: &SecretBytes<32>,
    verdict: Verdict,
    aux_hash: [u8; 8],
) -> [u8; 16] {
    low_128(sha1(&[new_nonce.expose(), &[verdict.number()], &aux_hash]))
}

/// Returns the `new_nonce_hash` of `server_DH_params_fail`, made before there is a key.
pub(super) fn params_fail_hash(new_nonce: &SecretBytes<32>) -> [u8; 16] {
    low_128(sha1(&[new_nonce.expose()]))
}

/// Returns the first salt of the key: `new_nonce[0..8] ^ server_nonce[0..8]`.
pub(super) fn first_salt(new_nonce: &SecretBytes<32>, server_nonce: &Nonce) -> Salt {
    let mut salt = [0; 8];
    for ((out, a), b) in salt.iter_mut().zip(new_nonce.expose()).zip(server_nonce) {
        *out = a ^ b;
    }
    Salt(i64::from_le_bytes(salt))
}

/// Compares both nonces of a message with those of the exchange, in constant time.
pub(super) fn nonces_match(ours: (&Nonce, &Nonce), theirs: (&Nonce, &Nonce)) -> bool {
    ct_eq(ours.0, theirs.0) & ct_eq(ours.1, theirs.1)
}

/// Draws a secret exponent whose public value is in the range that peers accept.
///
/// Returns `None` if [`DRAWS_MAX`] draws were out of range, which only a broken generator brings about.
pub(super) fn key_pair(group: &Group, rng: &mut dyn CryptoRng) -> Option<KeyPair> {
    (0..DRAWS_MAX).find_map(|_| group.key_pairs(1, rng).pop())
}

/// As [`key_pair`], but returns the key shared with `theirs` instead of the exponent, which is used no more.
pub(super) fn public_and_shared(
    group: &Group,
    theirs: &[u8; 256],
    rng: &mut dyn CryptoRng,
) -> Option<([u8; 256], AuthKey)> {
    (0..DRAWS_MAX).find_map(|_| {
        let (public, key) = group.public_and_shared(&SecretBytes::random(rng), theirs);
        dh::check_public(group, &public).ok()?;
        Some((public, key))
    })
}

/// Wraps `object` as `SHA1(object) | object | random bytes` and encrypts that with the temporary key.
///
/// Returns `None` only if the primitive refuses the length, which is always a multiple of its block.
pub(super) fn seal_hashed(
    tmp: &AesKeyIv,
    object: &impl Serialize,
    rng: &mut dyn CryptoRng,
) -> Option<Vec<u8>> {
    let object = Zeroizing::new(object.to_bytes());
    let filled = SHA1_BYTES.saturating_add(object.len());
    let mut sealed = vec![0; filled.next_multiple_of(BLOCK_BYTES)];
    let (front, tail) = sealed.split_at_mut_checked(filled)?;
    let (hash, body) = front.split_at_mut_checked(SHA1_BYTES)?;
    hash.copy_from_slice(&sha1(&[&object]));
    body.copy_from_slice(&object);
    rng.fill_bytes(tail);
    ige::encrypt(tmp.key(), tmp.iv(), &mut sealed).ok()?;
    Some(sealed)
}

/// A decrypted `SHA1(object) | object | up to 15 bytes`, not yet checked.
pub(super) struct Hashed(Zeroizing<Vec<u8>>);

impl Hashed {
    /// Decrypts; `None` unless there is a whole number of blocks and room for an object.
    pub(super) fn open(tmp: &AesKeyIv, sealed: &[u8]) -> Option<Self> {
        if sealed.len() < 2 * BLOCK_BYTES || !sealed.len().is_multiple_of(BLOCK_BYTES) {
            return None;
        }
        let mut plain = Zeroizing::new(sealed.to_vec());
        ige::decrypt(tmp.key(), tmp.iv(), &mut plain).ok()?;
        Some(Self(plain))
    }

    /// Parses the object. `None` unless its hash, over exactly the bytes it takes, matches and less than a block is
    /// left.
    pub(super) fn object<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        let (hash, rest) = self.0.split_at_checked(SHA1_BYTES)?;
        let (object, taken) = read_front::<T>(rest)?;
        let padding = rest.len().checked_sub(taken.len())?;
        (padding < BLOCK_BYTES && ct_eq(&sha1(&[taken]), hash)).then_some(object)
    }
}

/// Reads one boxed object from the front; returns it with the bytes that it takes. What follows is the caller's affair.
pub(super) fn read_front<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, &'a [u8])> {
    let mut reader = Reader::new(bytes);
    let object = T::read(&mut reader).ok()?;
    let taken = bytes.len().checked_sub(reader.remaining())?;
    Some((object, bytes.get(..taken)?))
}

fn low_128(hash: [u8; 20]) -> [u8; 16] {
    let mut out = [0; 16];
    for (out, byte) in out.iter_mut().zip(hash.iter().skip(4)) {
        *out = *byte;
    }
    out
}

const BLOCK_BYTES: usize = 16;
const SHA1_BYTES: usize = 20;

/// Draws before a generator counts as broken. One draw misses the range with a probability of some 2^-63.
const DRAWS_MAX: usize = 16;
