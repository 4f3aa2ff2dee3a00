//! Primitives, key derivations and secret types of `MTProto` 2.0.

/// Identifies an authorization key: the low 64 bits of its SHA-1, little-endian.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthKeyId(pub i64);

impl core::fmt::Debug for AuthKeyId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "AuthKeyId({:016x})", self.0)
    }
}

/// Who sends: chooses the offset into the authorization key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two ends")]
pub enum Direction {
    /// x = 0.
    ClientToServer,
    /// x = 8.
    ServerToClient,
}

/// An authorization key.
#[derive(Clone)]
pub struct AuthKey;

impl core::fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("AuthKey(…)")
    }
}
