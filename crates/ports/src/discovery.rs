//! Which session nodes a cluster has, and who owns what. Everybody learns it late; only the election knows it.

use std::fmt;
use std::sync::Arc;

use heliogram_proto::ids::{Identity, Term};
use heliogram_proto::ring::{self, PARTITIONS, Partition};

use crate::{BoxFuture, Unavailable};

/// Where the nodes of a cluster find each other.
///
/// What can't be reached changes nothing: everybody keeps the last view, and goes on.
pub trait Discovery: Send + Sync + 'static {
    /// Returns the last view. Never waits.
    fn view(&self) -> Arc<View>;

    /// Waits for a view of a later revision.
    fn newer(&self, revision: u64) -> BoxFuture<'_, Arc<View>>;

    /// Makes this process known as a session node, and keeps it known until it leaves or is gone. A node of the same name that is
    /// known already is of a process before this one, and gives way with all that it owned.
    fn join(&self, node: Node) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Claims a partition for the node that has joined. Returns the term, greater than that of any owner before; `None` if
    /// somebody owns it, or the node is not known any more.
    ///
    /// An answer may be lost. Then the view says that this node is the owner, under a term that nobody here was told of:
    /// another claim is told of it, once.
    fn claim(&self, partition: Partition) -> BoxFuture<'_, Result<Option<Term>, Unavailable>>;

    /// Gives back what was claimed under this term. Does nothing if that is over already.
    fn release(&self, partition: Partition, term: Term) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Takes the node out of the view: it is given no partitions any more. What it owns stays its own until it is released,
    /// or the process ends.
    fn leave(&self) -> BoxFuture<'_, Result<(), Unavailable>>;
}

/// A session node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what a node is known by")]
pub struct Node {
    /// Its name: the same after a restart, no other's.
    pub name: Arc<str>,
    /// Where its gRPC services are reached: `host:port` or `unix:/path`.
    pub address: Arc<str>,
}

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what an owner is known by")]
pub struct Owner {
    /// The name of its node. It may be none of the view's any more: it is leaving then.
    pub node: Arc<str>,
    /// Where the node is reached.
    pub address: Arc<str>,
    /// Its term: the revision that made it the owner.
    pub term: Term,
}

/// What is known of a cluster.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what is known of a cluster")]
pub struct View {
    /// Grows with every change. An owner of a greater term is not in it yet.
    pub revision: u64,
    /// The nodes that may be given partitions, by name.
    pub nodes: Vec<Node>,
    /// The owner of each partition, by its number.
    pub owners: Vec<Option<Owner>>,
}

impl View {
    /// Returns the owner of a partition.
    #[must_use]
    pub fn owner(&self, partition: Partition) -> Option<&Owner> {
        self.owners.get(usize::from(partition.number()))?.as_ref()
    }

    /// Returns who is to own a partition, by the nodes that may be given any. `None` if there are none.
    #[must_use]
    pub fn desired(&self, partition: Partition) -> Option<&str> {
        ring::desired(partition, self.nodes.iter().map(|node| &*node.name))
    }

    /// Returns the owner of an identity.
    #[must_use]
    pub fn owner_of(&self, identity: Identity) -> Option<&Owner> {
        self.owner(Partition::of(identity))
    }
}

impl Default for View {
    fn default() -> Self {
        Self {
            revision: 0,
            nodes: Vec::new(),
            owners: vec![None; usize::from(PARTITIONS)],
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("revision", &self.revision)
            .field("nodes", &self.nodes)
            .field("owned", &self.owners.iter().flatten().count())
            .finish()
    }
}
