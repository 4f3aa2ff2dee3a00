//! The authorization key and its identifier.

use core::fmt;
use std::sync::Arc;

use crate::{Direction, SecretBytes, hash};

/// Identifies an authorization key: the low 64 bits of its SHA-1, little-endian.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthKeyId(pub i64);

impl fmt::Debug for AuthKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthKeyId({:016x})", self.0)
    }
}

/// An authorization key: 256 bytes that client and server share. Copies share one place in memory.
#[derive(Clone)]
pub struct AuthKey {
    inner: Arc<Inner>,
}

impl AuthKey {
    /// Takes over the key, big-endian and padded to the left as the exchange makes it.
    #[must_use]
    pub fn new(bytes: [u8; 256]) -> Self {
        Self::from_secret(SecretBytes::new(bytes))
    }

    /// Takes over the key without copying it.
    #[must_use]
    pub fn from_secret(bytes: SecretBytes<256>) -> Self {
        let [a0, a1, a2, a3, a4, a5, a6, a7, _, _, _, _, id @ ..] = hash::sha1(&[bytes.expose()]);
        let aux_hash = [a0, a1, a2, a3, a4, a5, a6, a7];
        Self {
            inner: Arc::new(Inner {
                bytes,
                id: AuthKeyId(i64::from_le_bytes(id)),
                aux_hash,
            }),
        }
    }

    /// Returns the name under which both ends know the key. It travels in the clear.
    #[must_use]
    pub fn id(&self) -> AuthKeyId {
        self.inner.id
    }

    /// Returns the high 64 bits of the key's SHA-1, which the exchange calls `auth_key_aux_hash`.
    #[must_use]
    pub fn aux_hash(&self) -> [u8; 8] {
        self.inner.aux_hash
    }

    /// Shows the key. Don't copy it to where nothing erases it.
    #[must_use]
    pub fn expose(&self) -> &[u8; 256] {
        self.inner.bytes.expose()
    }

    /// The key from `x` on, which is how the derivations of one direction count.
    pub(crate) fn part(&self, dir: Direction) -> &DirectionPart {
        match dir {
            Direction::ClientToServer => {
                let [part @ .., _, _, _, _, _, _, _, _] = self.expose();
                part
            }
            Direction::ServerToClient => {
                let [_, _, _, _, _, _, _, _, part @ ..] = self.expose();
                part
            }
        }
    }
}

/// `auth_key[x..248 + x]`.
pub(crate) type DirectionPart = [u8; 248];

impl PartialEq for AuthKey {
    fn eq(&self, other: &Self) -> bool {
        self.inner.bytes == other.inner.bytes
    }
}

impl Eq for AuthKey {}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(…)")
    }
}

struct Inner {
    bytes: SecretBytes<256>,
    id: AuthKeyId,
    aux_hash: [u8; 8],
}
