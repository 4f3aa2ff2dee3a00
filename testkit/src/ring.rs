//! Who owns which keys: the one truth that the nodes and edges learn late.

use heliogram_proto::ids::{AuthKeyId, Identity, Term};

/// Partitions of all identities. Each is owned by one node, under a term of its own.
pub(crate) const PARTITIONS: usize = 6;

/// The truth about ownership, as an election service has it.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Per partition.
    pub(crate) owners: Vec<Ownership>,
    revision: u64,
}

/// Who owns a partition since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    pub(crate) node: usize,
    pub(crate) revision: u64,
}

impl Ownership {
    pub(crate) const fn term(self) -> Term {
        Term(self.revision)
    }
}

impl Ring {
    /// Spreads the partitions over the nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let mut ring = Self {
            owners: Vec::new(),
            revision: 0,
        };
        for partition in 0..PARTITIONS {
            ring.revision += 1;
            ring.owners.push(Ownership {
                node: partition % nodes,
                revision: ring.revision,
            });
        }
        ring
    }

    /// Gives a partition to a node, under a new term.
    pub(crate) fn give(&mut self, partition: usize, node: usize) -> Ownership {
        self.revision += 1;
        let ownership = Ownership {
            node,
            revision: self.revision,
        };
        self.owners[partition] = ownership;
        ownership
    }

    /// Returns the partitions of a node.
    pub(crate) fn of(&self, node: usize) -> Vec<usize> {
        let all = self.owners.iter().enumerate();
        all.filter(|(_, it)| it.node == node)
            .map(|(at, _)| at)
            .collect()
    }
}

/// Returns the partition of an identity.
pub(crate) fn partition_of(identity: Identity) -> usize {
    let AuthKeyId(id) = identity.0;
    let partitions = u64::try_from(PARTITIONS).unwrap_or(1);
    usize::try_from(id.cast_unsigned() % partitions).unwrap_or(0)
}
