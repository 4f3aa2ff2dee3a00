//! What is written where, and how it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use heliogram_ports::discovery::{Node, Owner, View};
use heliogram_proto::ids::Term;
use heliogram_proto::ring::{PARTITIONS, Partition};

use super::is_name;
use crate::generated::etcd::KeyValue;

/// The keys of one cluster.
#[derive(Debug)]
pub(super) struct Keys {
    /// `/<cluster>/`
    prefix: String,
}

/// What a key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Node(&'a str),
    Partition(Partition),
}

impl Keys {
    pub(super) fn new(cluster: &str) -> Self {
        Self {
            prefix: format!("/{cluster}/"),
        }
    }

    /// Returns the first key, and the first that is not of this cluster any more.
    pub(super) fn range(&self) -> (String, String) {
        // The byte after the slash.
        let end = format!("{}0", self.prefix.trim_end_matches('/'));
        (self.prefix.clone(), end)
    }

    pub(super) fn node(&self, name: &str) -> String {
        format!("{}nodes/{name}", self.prefix)
    }

    /// Returns the key that says which store this is: a value of its own for each that was ever begun with.
    pub(super) fn birth(&self) -> String {
        format!("{}birth", self.prefix)
    }

    pub(super) fn partition(&self, partition: Partition) -> String {
        format!("{}partitions/{:02}", self.prefix, partition.number())
    }

    /// Reads a key; `None` if it is of nothing that we know.
    pub(super) fn read<'a>(&self, key: &'a [u8]) -> Option<Key<'a>> {
        let rest = str::from_utf8(key).ok()?.strip_prefix(&*self.prefix)?;
        if let Some(name) = rest.strip_prefix("nodes/") {
            return is_name(name).then_some(Key::Node(name));
        }
        let number = rest.strip_prefix("partitions/")?;
        let partition = Partition::new(number.parse().ok()?)?;
        let is_as_written = number.len() == 2 && !number.starts_with('+');
        is_as_written.then_some(Key::Partition(partition))
    }
}

/// Writes the value of an owned partition.
pub(super) fn owner_value(node: &Node) -> String {
    format!("{} {}", node.name, node.address)
}

/// Reads who owns a partition: name, and where it is reached.
pub(super) fn read_owner(value: &[u8]) -> Option<(&str, &str)> {
    let (name, address) = str::from_utf8(value).ok()?.split_once(' ')?;
    is_name(name).then_some((name, address))
}

/// What is known of a cluster.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) revision: u64,
    nodes: BTreeMap<Arc<str>, Arc<str>>,
    owners: Vec<Option<Owner>>,
}

impl Known {
    pub(super) fn new(revision: u64) -> Self {
        Self {
            revision,
            nodes: BTreeMap::new(),
            owners: vec![None; usize::from(PARTITIONS)],
        }
    }

    /// Takes a key that is there. What can't be read is passed over.
    pub(super) fn put(&mut self, keys: &Keys, pair: &KeyValue) {
        match keys.read(&pair.key) {
            Some(Key::Node(name)) => {
                if let Ok(address) = str::from_utf8(&pair.value) {
                    self.nodes.insert(name.into(), address.into());
                }
            }
            Some(Key::Partition(partition)) => {
                let owner = read_owner(&pair.value).map(|(node, address)| Owner {
                    node: node.into(),
                    address: address.into(),
                    term: Term(u64::try_from(pair.create_revision).unwrap_or(0)),
                });
                self.set(partition, owner);
            }
            // Of a later version, or the birth.
            None => {}
        }
    }

    /// Takes note that a key is gone.
    pub(super) fn delete(&mut self, keys: &Keys, key: &[u8]) {
        match keys.read(key) {
            Some(Key::Node(name)) => drop(self.nodes.remove(name)),
            Some(Key::Partition(partition)) => self.set(partition, None),
            None => {}
        }
    }

    pub(super) fn view(&self) -> View {
        let nodes = self.nodes.iter().map(|(name, address)| Node {
            name: Arc::clone(name),
            address: Arc::clone(address),
        });
        View {
            revision: self.revision,
            nodes: nodes.collect(),
            owners: self.owners.clone(),
        }
    }

    fn set(&mut self, partition: Partition, owner: Option<Owner>) {
        if let Some(place) = self.owners.get_mut(usize::from(partition.number())) {
            *place = owner;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_others_are_of_nothing() {
        let keys = Keys::new("a");
        let last = Partition::new(63).unwrap();
        let (node, partition) = (keys.node("n-1"), keys.partition(last));
        assert_eq!(node, "/a/nodes/n-1");
        assert_eq!(partition, "/a/partitions/63");
        assert_eq!(keys.read(node.as_bytes()), Some(Key::Node("n-1")));
        assert_eq!(keys.read(partition.as_bytes()), Some(Key::Partition(last)));
        let others = [
            "/a/nodes/",
            "/a/nodes/x y",
            "/a/partitions/64",
            "/a/partitions/3",
            "/a/partitions/+3",
            "/a/partitions/003",
            "/b/nodes/n-1",
            "/a",
        ];
        for other in others {
            assert_eq!(keys.read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(keys.read(b"/a/nodes/\xff"), None);
    }

    #[test]
    fn a_range_is_of_one_cluster_whatever_others_are_called() {
        let (from, to) = Keys::new("a").range();
        let is_in = |key: &str| *from <= *key && *key < *to;
        assert!(is_in("/a/nodes/x") && is_in("/a/partitions/00"));
        assert!(!is_in("/aa/nodes/x") && !is_in("/a-b/nodes/x") && !is_in("/b/nodes/x"));
    }

    #[test]
    fn a_partition_whose_owner_can_not_be_read_has_none() {
        let keys = Keys::new("a");
        let mut known = Known::new(7);
        let mut pair = KeyValue {
            key: "/a/partitions/05".into(),
            value: "n unix:/a path".into(),
            create_revision: 6,
            ..KeyValue::default()
        };
        known.put(&keys, &pair);
        let partition = Partition::new(5).unwrap();
        let owner = known.view().owner(partition).cloned().unwrap();
        assert_eq!((&*owner.node, &*owner.address), ("n", "unix:/a path"));
        assert_eq!(owner.term, Term(6));
        pair.value = "nobody".into();
        known.put(&keys, &pair);
        assert_eq!(known.view().owner(partition), None);
    }
}
