//! How identities are spread over the nodes of a cluster: in partitions, each with one owner under a term of its own.

use crate::ids::Identity;

/// Partitions of all identities. A cluster's nodes must agree on it.
pub const PARTITIONS: u8 = 64;

/// A part of all identities: owned by one session node at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

impl Partition {
    /// Returns the partition of an identity.
    #[must_use]
    pub fn of(identity: Identity) -> Self {
        // The id is the tail of a hash already.
        let at = identity.0.0.cast_unsigned() % u64::from(PARTITIONS);
        Self(u8::try_from(at).unwrap_or(0))
    }

    /// Returns a partition by its number; `None` from [`PARTITIONS`] on.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// Returns its number: below [`PARTITIONS`].
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Returns all partitions.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AuthKeyId;

    #[test]
    fn there_are_as_many_partitions_as_numbers() {
        assert_eq!(Partition::all().count(), usize::from(PARTITIONS));
        assert!(Partition::new(PARTITIONS - 1).is_some());
        assert!(Partition::new(PARTITIONS).is_none());
    }

    #[test]
    fn every_identity_has_a_partition_also_those_below_zero() {
        let of = |id| Partition::of(Identity(AuthKeyId(id))).number();
        assert_eq!((of(0), of(63), of(64), of(-1)), (0, 63, 0, 63));
    }
}
