//! Primitives, key derivations and secret types of `MTProto` 2.0.
//!
//! What is here: AES-256-IGE and -CTR, SHA, the derivations of message keys, the paddings of the key exchange, RSA,
//! Diffie-Hellman with all its checks, factorisation of pq, and the sealing of keys at rest.
//! What is not: TL, message layouts beyond the 24 bytes in front of a ciphertext, states, time.
//!
//! Randomness is always an argument. The one exception is inside `aws-lc`, which blinds RSA and draws the bases of
//! primality tests and new RSA keys from a generator of its own; no other result depends on it.
//!
//! Unsafe code is in two modules: `bn`, which calls `aws-lc`, and [`simd`], which uses vector instructions.
//!
//! Every secret type is zeroed on drop, has a redacting `Debug`, no `Display`, and compares in constant time.
//!
//! | module | source |
//! | --- | --- |
//! | [`message`], [`v1`] | <https://core.telegram.org/mtproto/description>, `…/description_v1` |
//! | [`rsa`], [`rsa_pad`], [`dh`], [`pq`], [`tmp_aes`] | <https://core.telegram.org/mtproto/auth_key> |
//! | [`at_rest`] | our own |

pub mod at_rest;
mod auth_key;
mod bn;
pub mod ctr;
pub mod curve25519;
pub mod dh;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hash;
pub mod ige;
mod key_iv;
pub mod message;
pub mod pq;
pub mod rsa;
pub mod rsa_pad;
mod secret;
pub mod simd;
pub mod tmp_aes;
pub mod v1;

pub use auth_key::{AuthKey, AuthKeyId};
pub use error::{LengthError, Undecryptable};
pub use key_iv::AesKeyIv;
pub use secret::SecretBytes;

/// Who sends: chooses the offset into the authorization key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two ends")]
pub enum Direction {
    /// x = 0.
    ClientToServer,
    /// x = 8.
    ServerToClient,
}

impl Direction {
    /// Returns the x of the specification: how far into the authorization key the derivations start.
    #[must_use]
    pub const fn offset(self) -> usize {
        match self {
            Self::ClientToServer => 0,
            Self::ServerToClient => 8,
        }
    }
}
