//! The temporary AES key of the key exchange, the same at both ends.
//!
//! Source: <https://core.telegram.org/mtproto/auth_key>, step 5.

#![expect(
    clippy::indexing_slicing,
    reason = "constant offsets into arrays of fixed size"
)]

use zeroize::Zeroizing;

use crate::{AesKeyIv, hash};

/// Derives the key that protects `server_DH_inner_data` and `client_DH_inner_data`.
#[must_use]
pub fn derive(new_nonce: &[u8; 32], server_nonce: &[u8; 16]) -> AesKeyIv {
    let new_server = Zeroizing::new(hash::sha1(&[new_nonce, server_nonce]));
    let server_new = Zeroizing::new(hash::sha1(&[server_nonce, new_nonce]));
    let new_new = Zeroizing::new(hash::sha1(&[new_nonce, new_nonce]));

    let mut derived = AesKeyIv {
        key: [0; 32],
        iv: [0; 32],
    };
    derived.key[..20].copy_from_slice(&new_server[..]);
    derived.key[20..].copy_from_slice(&server_new[..12]);
    derived.iv[..8].copy_from_slice(&server_new[12..]);
    derived.iv[8..28].copy_from_slice(&new_new[..]);
    derived.iv[28..].copy_from_slice(&new_nonce[..4]);
    derived
}
