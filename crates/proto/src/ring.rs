//! How identities are spread over the nodes of a cluster: in partitions, each with one owner under a term of its own.
//!
//! Source: Thaler and Ravishankar, *Using Name-Based Mappings to Increase Hit Rates*, IEEE/ACM Transactions on Networking
//! 6 (1998), for [`desired`].

use heliogram_crypto::hash::sha256;

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

/// Returns which of these nodes is to own a partition: each node that is given the same names, in any order, says the same.
///
/// A node that comes takes its share from all others, and nobody else's partitions move; those of one that goes are spread
/// over all that stay. `None` if there are no nodes.
pub fn desired<'a>(
    partition: Partition,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let weight = |name: &str| sha256(&[&[partition.0], name.as_bytes()]);
    // The greatest of one weight per node; no two nodes have the same name.
    names.into_iter().max_by_key(|&name| (weight(name), name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

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

    #[test]
    fn a_cluster_without_nodes_desires_nobody_and_one_node_gets_everything() {
        for partition in Partition::all() {
            assert_eq!(desired(partition, []), None);
            assert_eq!(desired(partition, ["a"]), Some("a"));
        }
    }

    #[test]
    fn partitions_lie_where_every_release_puts_them() {
        let names = ["session-1", "session-2", "session-3"];
        let at = |number| desired(Partition(number), names);
        let first: Vec<_> = (0..8).filter_map(at).map(|name| &name[8..]).collect();
        assert_eq!(first.concat(), "32123232");
    }

    #[test]
    fn shares_are_about_even() {
        for nodes in [2_usize, 3, 5, 8] {
            let names: Vec<_> = (1..=nodes).map(|at| format!("session-{at}")).collect();
            let mut shares = vec![0_usize; nodes];
            for partition in Partition::all() {
                let name = desired(partition, names.iter().map(String::as_str)).unwrap();
                shares[names.iter().position(|it| it == name).unwrap()] += 1;
            }
            let even = usize::from(PARTITIONS) / nodes;
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            println!("{nodes} nodes: {least} to {most} partitions each, {even} were even");
            assert!(*least * 3 >= even && *most <= even * 2, "{shares:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_names_makes_no_difference(names in some_names()) {
            for partition in Partition::all() {
                let forth = desired(partition, names.iter().map(String::as_str));
                let back = desired(partition, names.iter().rev().map(String::as_str));
                prop_assert_eq!(forth, back);
            }
        }

        #[test]
        fn who_comes_takes_its_share_and_nothing_else_moves(names in some_names(), new in "[n-z]{1,8}") {
            for partition in Partition::all() {
                let before = desired(partition, names.iter().map(String::as_str));
                let all = names.iter().map(String::as_str).chain([&*new]);
                let after = desired(partition, all);
                prop_assert!(after == before || after == Some(&*new));
            }
        }

        #[test]
        fn who_goes_leaves_its_share_and_nothing_else_moves(names in some_names()) {
            let gone = names.first().unwrap();
            for partition in Partition::all() {
                let before = desired(partition, names.iter().map(String::as_str));
                let after = desired(partition, names.iter().skip(1).map(String::as_str));
                prop_assert!(before == Some(gone) || after == before);
            }
        }
    }

    fn some_names() -> impl Strategy<Value = BTreeSet<String>> {
        proptest::collection::btree_set("[a-m]{1,8}", 1..12)
    }
}
