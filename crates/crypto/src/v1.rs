//! `MTProto` 1.0, of which one message is still in use: the one inside `auth.bindTempAuthKey`.
//!
//! ```text
//! perm_auth_key_id 8 | msg_key 16 | AES-256-IGE( plaintext 72 | random 8 )
//! ```
//!
//! Unlike in 2.0, `msg_key` covers no padding.
//!
//! Source: <https://core.telegram.org/mtproto/description_v1>, <https://core.telegram.org/method/auth.bindTempAuthKey>.

#![expect(
    clippy::indexing_slicing,
    reason = "constant offsets into arrays of fixed size"
)]

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{AesKeyIv, AuthKey, Direction, Undecryptable, hash, ige};

/// Size of what a binding message says: random 16, `msg_id` 8, seqno 4, length 4, inner 40.
pub const BIND_PLAINTEXT_BYTES: usize = 72;

/// Size of `encrypted_message`.
pub const BIND_SEALED_BYTES: usize = 104;

/// Seals the binding message under the permanent key.
#[must_use]
pub fn seal(
    perm_key: &AuthKey,
    plaintext: &[u8; BIND_PLAINTEXT_BYTES],
    rng: &mut dyn CryptoRng,
) -> [u8; BIND_SEALED_BYTES] {
    let mut sealed = [0; BIND_SEALED_BYTES];
    let msg_key = msg_key(plaintext);
    sealed[..8].copy_from_slice(&perm_key.id().0.to_le_bytes());
    sealed[8..24].copy_from_slice(&msg_key);
    sealed[24..96].copy_from_slice(plaintext);
    rng.fill_bytes(&mut sealed[96..]);
    let derived = derive(perm_key, Direction::ClientToServer, &msg_key);
    let encrypted = ige::encrypt(derived.key(), derived.iv(), &mut sealed[24..]);
    debug_assert_eq!(encrypted, Ok(()), "80 is a multiple of 16");
    sealed
}

/// Opens the binding message; what it says is for the caller to check.
///
/// # Errors
///
/// [`Undecryptable`] when it isn't 104 bytes long, is of another key, or isn't authentic.
pub fn open(
    perm_key: &AuthKey,
    sealed: &[u8],
) -> Result<[u8; BIND_PLAINTEXT_BYTES], Undecryptable> {
    let (id, rest) = sealed.split_first_chunk::<8>().ok_or(Undecryptable)?;
    let (claimed, rest) = rest.split_first_chunk::<16>().ok_or(Undecryptable)?;
    let mut text = Zeroizing::new(<[u8; 80]>::try_from(rest).map_err(|_| Undecryptable)?);
    let derived = derive(perm_key, Direction::ClientToServer, claimed);
    ige::decrypt(derived.key(), derived.iv(), &mut *text).map_err(|_| Undecryptable)?;
    let (plaintext, _padding) = text.split_first_chunk().ok_or(Undecryptable)?;
    let authentic = msg_key(plaintext).ct_eq(claimed) & perm_key.id().0.to_le_bytes().ct_eq(id);
    if bool::from(authentic) {
        Ok(*plaintext)
    } else {
        Err(Undecryptable)
    }
}

/// Derives key and vector from the authorization key and `msg_key`.
#[must_use]
pub fn derive(key: &AuthKey, dir: Direction, msg_key: &[u8; 16]) -> AesKeyIv {
    let (x, key) = (dir.offset(), key.expose());
    let a = Zeroizing::new(hash::sha1(&[msg_key, &key[x..32 + x]]));
    let b = Zeroizing::new(hash::sha1(&[
        &key[32 + x..48 + x],
        msg_key,
        &key[48 + x..64 + x],
    ]));
    let c = Zeroizing::new(hash::sha1(&[&key[64 + x..96 + x], msg_key]));
    let d = Zeroizing::new(hash::sha1(&[msg_key, &key[96 + x..128 + x]]));

    let mut derived = AesKeyIv {
        key: [0; 32],
        iv: [0; 32],
    };
    derived.key[..8].copy_from_slice(&a[..8]);
    derived.key[8..20].copy_from_slice(&b[8..]);
    derived.key[20..].copy_from_slice(&c[4..16]);
    derived.iv[..12].copy_from_slice(&a[8..]);
    derived.iv[12..20].copy_from_slice(&b[..8]);
    derived.iv[20..24].copy_from_slice(&c[16..]);
    derived.iv[24..].copy_from_slice(&d[..8]);
    derived
}

fn msg_key(plaintext: &[u8; BIND_PLAINTEXT_BYTES]) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&hash::sha1(&[plaintext])[4..]);
    key
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn only_104_bytes_open() {
        let sealed = sealed();
        assert!(open(&key(), &sealed).is_ok());
        for length in 0..sealed.len() {
            assert_eq!(
                open(&key(), &sealed[..length]),
                Err(Undecryptable),
                "{length} bytes"
            );
        }
        assert_eq!(
            open(&key(), &[&sealed[..], &[0]].concat()),
            Err(Undecryptable)
        );
        assert_eq!(
            open(&key(), &[&sealed[..], &[0; 16]].concat()),
            Err(Undecryptable)
        );
    }

    #[test]
    fn a_change_of_any_byte_is_refused() {
        for at in 0..BIND_SEALED_BYTES {
            let mut changed = sealed();
            changed[at] ^= 1;
            assert_eq!(open(&key(), &changed), Err(Undecryptable), "byte {at}");
        }
    }

    #[test]
    fn another_key_is_refused() {
        assert_eq!(open(&AuthKey::new([8; 256]), &sealed()), Err(Undecryptable));
    }

    fn key() -> AuthKey {
        AuthKey::new([7; 256])
    }

    fn sealed() -> [u8; BIND_SEALED_BYTES] {
        seal(
            &key(),
            &[1; BIND_PLAINTEXT_BYTES],
            &mut ChaCha20Rng::from_seed([0; 32]),
        )
    }
}
