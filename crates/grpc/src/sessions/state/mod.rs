//! What a gateway knows of its connections, the session nodes and who owns what. No socket, no task, no clock.
//!
//! ```text
//!  frame ──> the owner's stream is open? ──yes──> waiting ──batch──> sent ──taken──> (forgotten)
//!                 │ no      ^                        │ broke            │ broke
//!                 v         │ opened, moved          v                  v
//!               parked ─────┘ <────────────────── parked        its link is closed
//!                 └──5 s──> its link is closed
//! ```

mod metrics;
mod peer;
mod streams;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use heliogram_ports::discovery::View;
use heliogram_ports::{Frame, FromHost, ToHost, Wake};
use heliogram_proto::ids::{Identity, LinkId, Term};
use heliogram_proto::ring::{PARTITIONS, Partition};
use tokio::time::Instant;

use self::peer::{Peer, cost};
use super::links::{Entry, PeerId, Place};
use crate::generated::cluster as wire;
use crate::generated::cluster::up::Item as UpItem;
use crate::limits::{
    FRAMES_WAITING_BYTES_MAX, FRAMES_WAITING_MAX, FRAMES_WELCOME_BYTES_MAX, LEAVING_MAX,
};

/// Connections to be told that there is something for them.
pub(super) type Wakes = Vec<Arc<dyn Wake>>;

pub(super) struct State {
    /// By partition.
    places: Vec<Option<Place>>,
    peers: BTreeMap<PeerId, Peer>,
    addresses: BTreeMap<Arc<str>, PeerId>,
    next_peer: u64,
    links: HashMap<LinkId, Entry>,
    /// Frames without a way to their owner, and since when.
    parked: VecDeque<(Instant, Frame)>,
    parked_bytes: usize,
    /// Connections that their old owner is to close, and until when.
    leaving: VecDeque<(Instant, LinkId)>,
    /// Connections whose owners wait until more is welcome.
    stalled: Vec<LinkId>,
    counts: Counts,
}

/// What has happened to streams and connections.
#[derive(Clone, Copy, Default)]
struct Counts {
    opened_streams: u64,
    closed_full: u64,
    closed_lost: u64,
    closed_moved: u64,
    closed_no_owner: u64,
}

/// Why a connection is closed.
#[derive(Clone, Copy)]
enum Why {
    /// Too much waits already.
    Full,
    /// A frame of it may be lost, or what a node had for it.
    Lost,
    /// What it uses has another owner.
    Moved,
    /// There was no way to an owner for too long.
    NoOwner,
}

/// A node that is to be spoken to from now on.
pub(super) struct NewPeer {
    pub(super) id: PeerId,
    pub(super) address: Arc<str>,
}

impl State {
    /// Makes the state of a gateway that knows no node.
    pub(super) fn new() -> Self {
        Self {
            places: vec![None; usize::from(PARTITIONS)],
            peers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            next_peer: 0,
            links: HashMap::new(),
            parked: VecDeque::new(),
            parked_bytes: 0,
            leaving: VecDeque::new(),
            stalled: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Makes the state of a gateway with one node, which owns everything for ever.
    pub(super) fn of_one(term: Option<Term>) -> (Self, PeerId) {
        let mut state = Self::new();
        let peer = state.add_peer();
        state.places.fill(Some(Place { peer, term }));
        (state, peer)
    }

    fn add_peer(&mut self) -> PeerId {
        let id = PeerId(self.next_peer);
        self.next_peer += 1;
        self.peers.insert(id, Peer::new());
        id
    }

    /// Takes note of who owns what. Returns the nodes that are new, and the partitions whose owners are.
    pub(super) fn apply(
        &mut self,
        view: &View,
        now: Instant,
        wakes: &mut Wakes,
    ) -> (Vec<NewPeer>, Vec<Partition>) {
        let owners = view.owners.iter().flatten().map(|owner| &owner.address);
        let nodes = view.nodes.iter().map(|node| &node.address);
        let known: BTreeSet<_> = owners.chain(nodes).cloned().collect();
        for (address, id) in &self.addresses {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.is_listed = known.contains(address);
            }
        }
        self.forget_peers();
        let mut new = Vec::new();
        for address in known {
            if !self.addresses.contains_key(&address) {
                let id = self.add_peer();
                self.addresses.insert(Arc::clone(&address), id);
                new.push(NewPeer { id, address });
            }
        }
        let place = |partition| {
            let owner = view.owner(partition)?;
            let peer = *self.addresses.get(&owner.address)?;
            let term = Some(owner.term);
            Some(Place { peer, term })
        };
        let places: Vec<_> = Partition::all().map(place).collect();
        let before = std::mem::replace(&mut self.places, places);
        let changed = || {
            let places = before.iter().zip(&self.places);
            Partition::all()
                .zip(places)
                .filter(|(_, (old, new))| old != new)
        };
        let left: Vec<_> = changed()
            .filter(|(_, (old, _))| old.is_some())
            .map(|it| it.0)
            .collect();
        let owned: Vec<_> = changed()
            .filter(|(_, (_, new))| new.is_some())
            .map(|it| it.0)
            .collect();
        self.part(&left, now, wakes);
        self.unpark(wakes);
        (new, owned)
    }

    /// Lets the connections go that used partitions which have another owner. Their old one closes them, after what it still
    /// has for them; if it can't, or doesn't for long, they are closed here.
    fn part(&mut self, partitions: &[Partition], now: Instant, wakes: &mut Wakes) {
        if partitions.is_empty() {
            return;
        }
        let users = self.links.iter().filter(|(_, entry)| !entry.is_over());
        let users = users.filter_map(|(&link, entry)| Some((link, entry.uses(partitions)?)));
        let mut users: Vec<_> = users.collect();
        users.sort_unstable();
        for (link, peer) in users {
            if !self.is_open(peer) {
                self.end(link, Why::Moved, wakes);
            } else if let Some(entry) = self.links.get_mut(&link) {
                entry.is_leaving = true;
                self.leaving.push_back((now + LEAVING_MAX, link));
            }
        }
    }

    /// Lets go of nodes that nobody speaks of any more. Whose stream is open may still have something to say.
    fn forget_peers(&mut self) {
        let forgotten = self
            .peers
            .extract_if(.., |_, peer| !peer.is_listed && !peer.is_open);
        let forgotten: Vec<_> = forgotten.map(|(id, _)| id).collect();
        self.addresses.retain(|_, id| !forgotten.contains(id));
    }

    /// Tells whether a node is to be spoken to.
    pub(super) fn is_spoken_to(&self, id: PeerId) -> bool {
        self.peers.contains_key(&id)
    }

    /// Has every stream look at what is new.
    pub(super) fn notify_all(&self) {
        self.peers.values().for_each(|peer| peer.news.notify_one());
    }

    /// Makes a connection known.
    pub(super) fn attach(&mut self, link: LinkId, wake: Arc<dyn Wake>) {
        self.links.insert(link, Entry::new(wake));
    }

    /// Takes what a connection has for its sessions.
    pub(super) fn add(&mut self, input: ToHost, now: Instant, wakes: &mut Wakes) {
        match input {
            ToHost::Frame(frame) => self.frame(now, frame, wakes),
            // Connections don't bring themselves back.
            ToHost::Attach(attach) => self.end(attach.link, Why::Lost, wakes),
            ToHost::Detach { link } => {
                let ways = self.links.remove(&link).map(|entry| entry.ways);
                for way in ways.unwrap_or_default() {
                    self.tell(way.peer, UpItem::Detach(link.0));
                }
            }
        }
    }

    fn frame(&mut self, since: Instant, frame: Frame, wakes: &mut Wakes) {
        let entry = self.links.get(&frame.link);
        if entry.is_none_or(Entry::is_over) {
            return;
        }
        match self.place_of(frame.key.identity()) {
            Some(place) if self.is_open(place.peer) => self.send(place, frame, wakes),
            Some(_) | None => self.park(since, frame, wakes),
        }
    }

    fn send(&mut self, place: Place, mut frame: Frame, wakes: &mut Wakes) {
        let (Some(peer), Some(entry)) = (
            self.peers.get_mut(&place.peer),
            self.links.get_mut(&frame.link),
        ) else {
            return;
        };
        if peer.waiting_bytes() + cost(&frame) > FRAMES_WAITING_BYTES_MAX {
            tracing::warn!("a session node takes no more frames");
            return self.end(frame.link, Why::Full, wakes);
        }
        entry.tie(&frame, place);
        frame.term = place.term;
        peer.push_frame(frame);
    }

    fn park(&mut self, since: Instant, frame: Frame, wakes: &mut Wakes) {
        let bytes = cost(&frame);
        if self.parked_bytes + bytes > FRAMES_WAITING_BYTES_MAX {
            tracing::warn!("too many frames wait for an owner");
            return self.end(frame.link, Why::Full, wakes);
        }
        self.parked_bytes += bytes;
        self.parked.push_back((since, frame));
    }

    /// Sends what has a way now. What has none keeps its place.
    fn unpark(&mut self, wakes: &mut Wakes) {
        self.parked_bytes = 0;
        for (since, frame) in std::mem::take(&mut self.parked) {
            self.frame(since, frame, wakes);
        }
        self.relieve(wakes);
    }

    /// Closes a connection; its owner is to be woken.
    fn end(&mut self, link: LinkId, why: Why, wakes: &mut Wakes) {
        let Some(entry) = self.links.get_mut(&link).filter(|it| !it.is_ended) else {
            return;
        };
        wakes.push(Arc::clone(&entry.wake));
        let counts = &mut self.counts;
        *match why {
            Why::Full => &mut counts.closed_full,
            Why::Lost => &mut counts.closed_lost,
            Why::Moved => &mut counts.closed_moved,
            Why::NoOwner => &mut counts.closed_no_owner,
        } += 1;
        for peer in entry.end(link) {
            self.tell(peer, UpItem::Detach(link.0));
        }
    }

    /// Returns when [`overdue`](Self::overdue) is to be called.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let parked = self
            .parked
            .front()
            .map(|&(since, _)| since + FRAMES_WAITING_MAX);
        let leaving = self.leaving.front().map(|&(until, _)| until);
        parked.into_iter().chain(leaving).min()
    }

    /// Closes the connections that have waited for too long.
    pub(super) fn overdue(&mut self, now: Instant, wakes: &mut Wakes) {
        while let Some((_, frame)) = self
            .parked
            .pop_front_if(|(since, _)| *since + FRAMES_WAITING_MAX <= now)
        {
            self.parked_bytes -= cost(&frame);
            self.end(frame.link, Why::NoOwner, wakes);
        }
        while let Some((_, link)) = self.leaving.pop_front_if(|(until, _)| *until <= now) {
            self.end(link, Why::Moved, wakes);
        }
        self.relieve(wakes);
    }

    /// Takes what a connection has got.
    pub(super) fn drain(&mut self, link: LinkId, out: &mut Vec<FromHost>) {
        let Some(entry) = self.links.get_mut(&link) else {
            return;
        };
        out.append(&mut entry.inbox);
        for way in &mut entry.ways {
            let bytes = std::mem::take(&mut way.owed);
            if bytes == 0 {
                continue;
            }
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            let link = link.0;
            if let Some(peer) = self.peers.get_mut(&way.peer) {
                peer.push(UpItem::Credit(wire::Credit { link, bytes }));
            }
        }
    }

    /// Tells whether more input of a connection is welcome; if not, its owner is to be woken when it is.
    pub(super) fn takes_more(&mut self, link: LinkId) -> bool {
        let is_full = self.is_full(link, FRAMES_WELCOME_BYTES_MAX);
        if is_full
            && let Some(entry) = self.links.get_mut(&link)
            && !std::mem::replace(&mut entry.is_stalled, true)
        {
            self.stalled.push(link);
        }
        !is_full
    }

    /// Wakes those who have waited for room. Some room more than before, so that nobody comes for a moment only.
    fn relieve(&mut self, wakes: &mut Wakes) {
        if self.stalled.is_empty() {
            return;
        }
        let stalled = std::mem::take(&mut self.stalled);
        for link in stalled {
            if self.is_full(link, FRAMES_WELCOME_BYTES_MAX / 2) {
                self.stalled.push(link);
            } else if let Some(entry) = self.links.get_mut(&link) {
                entry.is_stalled = false;
                wakes.push(Arc::clone(&entry.wake));
            }
        }
    }

    /// Tells whether so many bytes wait where a connection's frames do.
    fn is_full(&self, link: LinkId, bytes: usize) -> bool {
        let Some(entry) = self.links.get(&link).filter(|it| !it.is_over()) else {
            return false;
        };
        let waits_at = |peer| self.peers.get(&peer).map_or(0, Peer::waiting_bytes);
        self.parked_bytes >= bytes || entry.ways.iter().any(|way| waits_at(way.peer) >= bytes)
    }

    /// Tells whether no call is running, as far as the nodes have said.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut is_quiet = self.parked.is_empty();
        // What has broken brings no answer.
        for peer in self.peers.values_mut().filter(|it| it.is_open) {
            is_quiet &= peer.is_quiet();
        }
        is_quiet
    }

    /// Returns the term of the owner of an identity.
    pub(super) fn term_of(&self, identity: Identity) -> Option<Term> {
        self.place_of(identity)?.term
    }

    /// Tells whether there is a way to the owner of everything.
    pub(super) fn is_whole(&self) -> bool {
        let mut places = self.places.iter();
        places.all(|place| place.is_some_and(|place| self.is_open(place.peer)))
    }

    fn place_of(&self, identity: Identity) -> Option<Place> {
        let partition = Partition::of(identity);
        *self.places.get(usize::from(partition.number()))?
    }

    fn is_open(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.is_open)
    }

    fn tell(&mut self, peer: PeerId, item: UpItem) {
        if let Some(peer) = self.peers.get_mut(&peer).filter(|it| it.is_open) {
            peer.push(item);
        }
    }
}

#[cfg(test)]
mod tests;
