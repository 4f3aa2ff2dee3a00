//! A view of a cluster that a test makes.

use std::sync::Arc;

use heliogram_grpc::Address;
use heliogram_ports::discovery::{Discovery, Node, Owner, View};
use heliogram_ports::{BoxFuture, Unavailable};
use heliogram_proto::ids::Term;
use heliogram_proto::ring::Partition;
use tokio::sync::watch;

/// What everybody sees is what the test says last.
pub(crate) struct Said(watch::Sender<Arc<View>>);

impl Said {
    /// Says that there are these nodes, and that nobody owns anything.
    pub(crate) fn new(nodes: &[&Address]) -> Arc<Self> {
        let said = Self(watch::Sender::new(Arc::new(View::default())));
        let nodes: Vec<_> = nodes
            .iter()
            .map(|address| (*address, 0..0, Term(0)))
            .collect();
        said.say(&nodes);
        Arc::new(said)
    }

    /// Says that there are these nodes, each the owner of some partitions under a term.
    pub(crate) fn say(&self, nodes: &[(&Address, std::ops::Range<u8>, Term)]) {
        let name = |address: &Address| -> Arc<str> { address.to_string().into() };
        let owner = |partition: Partition| {
            let is_its =
                |it: &&(&Address, std::ops::Range<u8>, Term)| it.1.contains(&partition.number());
            let (address, _, term) = nodes.iter().find(is_its)?;
            Some(Owner {
                node: name(address),
                address: name(address),
                term: *term,
            })
        };
        let node = |&(address, _, _): &(&Address, std::ops::Range<u8>, Term)| Node {
            name: name(address),
            address: name(address),
        };
        let view = View {
            revision: self.view().revision + 1,
            nodes: nodes.iter().map(node).collect(),
            owners: Partition::all().map(owner).collect(),
        };
        self.0.send_replace(Arc::new(view));
    }
}

impl Discovery for Said {
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.0.borrow())
    }

    fn newer(&self, revision: u64) -> BoxFuture<'_, Arc<View>> {
        let mut views = self.0.subscribe();
        Box::pin(async move {
            let newer = views.wait_for(|view| view.revision > revision).await;
            Arc::clone(&newer.unwrap())
        })
    }

    fn join(&self, _: Node) -> BoxFuture<'_, Result<(), Unavailable>> {
        unreachable!("nobody joins")
    }

    fn claim(&self, _: Partition) -> BoxFuture<'_, Result<Option<Term>, Unavailable>> {
        unreachable!("nobody claims")
    }

    fn release(&self, _: Partition, _: Term) -> BoxFuture<'_, Result<(), Unavailable>> {
        unreachable!("nobody releases")
    }

    fn leave(&self) -> BoxFuture<'_, Result<(), Unavailable>> {
        unreachable!("nobody leaves")
    }
}
