//! What happens to the stream of one node.

use std::sync::Arc;

use heliogram_ports::{FromHost, Wake};
use heliogram_proto::ids::LinkId;
use heliogram_proto::ring::Partition;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::peer::Remains;
use super::{Place, State, Wakes, Why};
use crate::generated::cluster as wire;
use crate::generated::cluster::up::Item as UpItem;
use crate::sessions::links::PeerId;
use crate::wire::attach_to;

impl State {
    /// Takes note that the stream is open: connections are brought back, and what has waited is sent. Returns the partitions
    /// that the node owns: what was said of their keys meanwhile is not known here.
    pub(in crate::sessions) fn opened(&mut self, id: PeerId, wakes: &mut Wakes) -> Vec<Partition> {
        let Some(peer) = self.peers.get_mut(&id) else {
            return Vec::new();
        };
        peer.is_open = true;
        self.counts.opened_streams += 1;
        let back = self.links.iter_mut().filter(|(_, entry)| !entry.is_over());
        let mut back: Vec<_> = back.flat_map(|(&link, it)| it.attach(link, id)).collect();
        back.sort_by_key(|attach| attach.link);
        for attach in back {
            peer.push(UpItem::Attach(attach_to(&attach)));
        }
        self.unpark(wakes);
        let is_its = |place: &Option<Place>| place.is_some_and(|place| place.peer == id);
        let its = Partition::all()
            .zip(&self.places)
            .filter(|(_, it)| is_its(it));
        its.map(|(partition, _)| partition).collect()
    }

    /// Takes note that the stream is gone. Connections with a frame that may be lost are closed.
    pub(in crate::sessions) fn broke(&mut self, id: PeerId, now: Instant, wakes: &mut Wakes) {
        let Some(peer) = self.peers.get_mut(&id).filter(|it| it.is_open) else {
            return;
        };
        let Remains {
            unconfirmed,
            waiting,
        } = peer.close();
        let lost = self.links.iter_mut().filter_map(|(&link, entry)| {
            let is_lost = entry.lose(id, unconfirmed.contains(&link));
            is_lost.then_some(link)
        });
        let mut lost: Vec<_> = lost.collect();
        lost.sort_unstable();
        for link in lost {
            self.end(link, Why::Lost, wakes);
        }
        for frame in waiting {
            self.frame(now, frame, wakes);
        }
        self.forget_peers();
        self.relieve(wakes);
    }

    /// Takes a batch of what waits for a node; nothing if nothing does.
    pub(in crate::sessions) fn batch(
        &mut self,
        id: PeerId,
        wakes: &mut Wakes,
    ) -> Option<wire::ToNode> {
        let items = self.peers.get_mut(&id)?.batch();
        self.relieve(wakes);
        (!items.is_empty()).then_some(wire::ToNode { hello: None, items })
    }

    /// Returns what tells of a node's news.
    pub(in crate::sessions) fn news(&self, id: PeerId) -> Option<Arc<Notify>> {
        self.peers.get(&id).map(|peer| Arc::clone(&peer.news))
    }

    /// Takes note that hosts have taken so many frames of the stream.
    pub(in crate::sessions) fn taken(&mut self, id: PeerId, taken: u64) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        for (link, session_id) in peer.confirm(taken) {
            if let Some(entry) = self.links.get_mut(&link) {
                entry.taken(id, session_id);
            }
        }
    }

    /// Puts an item into its link's inbox; returns whom to wake.
    pub(in crate::sessions) fn deliver(
        &mut self,
        id: PeerId,
        item: FromHost,
    ) -> Option<(LinkId, Arc<dyn Wake>)> {
        let link = item.link();
        let Some(entry) = self.links.get_mut(&link) else {
            // The node has heard of it from another, or too late.
            self.tell(id, UpItem::Detach(link.0));
            return None;
        };
        if entry.is_ended {
            return None;
        }
        entry.deliver(id, item);
        Some((link, Arc::clone(&entry.wake)))
    }

    /// Takes the answer to a probe.
    pub(in crate::sessions) fn probed(&mut self, id: PeerId, probed: wire::Probed) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.probed(probed);
        }
    }
}
