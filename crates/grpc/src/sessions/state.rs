//! What a gateway knows of its connections, the session nodes and who owns what. No socket, no task, no clock.
//!
//! ```text
//!  frame ──> the owner's stream is open? ──yes──> waiting ──batch──> sent ──taken──> (forgotten)
//!                 │ no      ^                        │ broke            │ broke
//!                 v         │ opened, moved          v                  v
//!               parked ─────┘ <────────────────── parked        its link is closed
//!                 └──5 s──> its link is closed
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use heliogram_ports::discovery::View;
use heliogram_ports::metrics::{Meter, Metric};
use heliogram_ports::{Frame, FromHost, ToHost, Wake};
use heliogram_proto::ids::{Identity, LinkId, SessionId, Term};
use heliogram_proto::ring::{PARTITIONS, Partition};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ITEM_BYTES;
use super::links::{Entry, PeerId, Place};
use crate::generated::cluster as wire;
use crate::generated::cluster::up::Item as UpItem;
use crate::limits::{
    BATCH_BYTES, FRAMES_WAITING_BYTES_MAX, FRAMES_WAITING_MAX, FRAMES_WELCOME_BYTES_MAX,
    LEAVING_MAX,
};
use crate::wire::{attach_to, frame_to};

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

/// A session node.
struct Peer {
    waiting: VecDeque<Up>,
    /// Of the frames among them.
    bytes: usize,
    /// Frames that went out on this stream, and were not confirmed.
    sent: VecDeque<(LinkId, SessionId)>,
    taken: u64,
    /// Frames that were handed in since the stream is open: what a probe is about.
    frames: u64,
    /// A probe is on its way.
    is_probing: bool,
    /// How many frames there had been when the node was found quiet.
    quiet_at: Option<u64>,
    is_open: bool,
    /// The last view knows it.
    is_listed: bool,
    /// Something is to be sent, or nothing ever will be.
    news: Arc<Notify>,
}

enum Up {
    Frame(Frame),
    Other(UpItem),
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
        let bytes = frame.body.len() + ITEM_BYTES;
        if peer.bytes + bytes > FRAMES_WAITING_BYTES_MAX {
            tracing::warn!("a session node takes no more frames");
            return self.end(frame.link, Why::Full, wakes);
        }
        entry.tie(&frame, place);
        frame.term = place.term;
        peer.bytes += bytes;
        peer.frames += 1;
        peer.push(Up::Frame(frame));
    }

    fn park(&mut self, since: Instant, frame: Frame, wakes: &mut Wakes) {
        let bytes = frame.body.len() + ITEM_BYTES;
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
            self.parked_bytes -= frame.body.len() + ITEM_BYTES;
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
                peer.push(Up::Other(UpItem::Credit(wire::Credit { link, bytes })));
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
        let waits_at = |peer| self.peers.get(&peer).map_or(0, |peer| peer.bytes);
        self.parked_bytes >= bytes || entry.ways.iter().any(|way| waits_at(way.peer) >= bytes)
    }

    /// Tells whether no call is running, as far as the nodes have said.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut is_quiet = self.parked.is_empty();
        // What has broken brings no answer.
        for peer in self.peers.values_mut().filter(|it| it.is_open) {
            if peer.quiet_at == Some(peer.frames) {
                continue;
            }
            is_quiet = false;
            if !peer.is_probing {
                peer.is_probing = true;
                peer.push(Up::Other(UpItem::Probe(peer.frames)));
            }
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
            peer.push(Up::Other(item));
        }
    }
}

/// What happens to the stream of one node.
impl State {
    /// Takes note that the stream is open: connections are brought back, and what has waited is sent. Returns the partitions
    /// that the node owns: what was said of their keys meanwhile is not known here.
    pub(super) fn opened(&mut self, id: PeerId, wakes: &mut Wakes) -> Vec<Partition> {
        let Some(peer) = self.peers.get_mut(&id) else {
            return Vec::new();
        };
        peer.is_open = true;
        self.counts.opened_streams += 1;
        let back = self.links.iter_mut().filter(|(_, entry)| !entry.is_over());
        let mut back: Vec<_> = back.flat_map(|(&link, it)| it.attach(link, id)).collect();
        back.sort_by_key(|attach| attach.link);
        for attach in back {
            peer.push(Up::Other(UpItem::Attach(attach_to(&attach))));
        }
        self.unpark(wakes);
        let is_its = |place: &Option<Place>| place.is_some_and(|place| place.peer == id);
        let its = Partition::all()
            .zip(&self.places)
            .filter(|(_, it)| is_its(it));
        its.map(|(partition, _)| partition).collect()
    }

    /// Takes note that the stream is gone. Connections with a frame that may be lost are closed.
    pub(super) fn broke(&mut self, id: PeerId, now: Instant, wakes: &mut Wakes) {
        let Some(peer) = self.peers.get_mut(&id).filter(|it| it.is_open) else {
            return;
        };
        let new = Peer {
            news: Arc::clone(&peer.news),
            is_listed: peer.is_listed,
            ..Peer::new()
        };
        let old = std::mem::replace(peer, new);
        let unconfirmed: HashSet<_> = old.sent.iter().map(|&(link, _)| link).collect();
        let lost = self.links.iter_mut().filter_map(|(&link, entry)| {
            let is_lost = entry.lose(id, unconfirmed.contains(&link));
            is_lost.then_some(link)
        });
        let mut lost: Vec<_> = lost.collect();
        lost.sort_unstable();
        for link in lost {
            self.end(link, Why::Lost, wakes);
        }
        for up in old.waiting {
            if let Up::Frame(frame) = up {
                self.frame(now, frame, wakes);
            }
        }
        self.forget_peers();
        self.relieve(wakes);
    }

    /// Takes a batch of what waits for a node; nothing if nothing does.
    pub(super) fn batch(&mut self, id: PeerId, wakes: &mut Wakes) -> Option<wire::ToNode> {
        let peer = self.peers.get_mut(&id)?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && let Some(up) = peer.waiting.pop_front()
        {
            let item = match up {
                Up::Frame(frame) => {
                    peer.bytes -= frame.body.len() + ITEM_BYTES;
                    bytes += frame.body.len();
                    peer.sent.push_back((frame.link, frame.session_id));
                    UpItem::Frame(frame_to(frame))
                }
                Up::Other(item) => item,
            };
            bytes += ITEM_BYTES;
            items.push(wire::Up { item: Some(item) });
        }
        self.relieve(wakes);
        (!items.is_empty()).then_some(wire::ToNode { hello: None, items })
    }

    /// Returns what tells of a node's news.
    pub(super) fn news(&self, id: PeerId) -> Option<Arc<Notify>> {
        self.peers.get(&id).map(|peer| Arc::clone(&peer.news))
    }

    /// Takes note that hosts have taken so many frames of the stream.
    pub(super) fn taken(&mut self, id: PeerId, taken: u64) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        while peer.taken < taken
            && let Some((link, session_id)) = peer.sent.pop_front()
        {
            peer.taken += 1;
            if let Some(entry) = self.links.get_mut(&link) {
                entry.taken(id, session_id);
            }
        }
    }

    /// Puts an item into its link's inbox; returns whom to wake.
    pub(super) fn deliver(
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
    pub(super) fn probed(&mut self, id: PeerId, probed: wire::Probed) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_probing = false;
            if probed.is_quiet {
                peer.quiet_at = Some(probed.id);
            }
        }
    }
}

impl Peer {
    fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            sent: VecDeque::new(),
            taken: 0,
            frames: 0,
            is_probing: false,
            quiet_at: None,
            is_open: false,
            is_listed: true,
            news: Arc::new(Notify::new()),
        }
    }

    fn push(&mut self, up: Up) {
        self.waiting.push_back(up);
        self.news.notify_one();
    }
}

/// What an operator is told.
impl State {
    /// Says all numbers.
    pub(super) fn measure(&self, meter: &mut dyn Meter) {
        let (peers, counts) = (self.peers.values(), &self.counts);
        meter.level(NODES, number(peers.len()));
        let open = peers.clone().filter(|it| it.is_open);
        meter.level(STREAMS, number(open.count()));
        meter.count(OPENED_STREAMS, counts.opened_streams);
        let waiting = peers.clone().map(|it| it.bytes);
        meter.level(WAITING, number(waiting.sum()));
        let unconfirmed = peers.map(|it| it.sent.len());
        meter.level(UNCONFIRMED, number(unconfirmed.sum()));
        meter.level(PARKED, number(self.parked.len()));
        meter.level(PARKED_BYTES, number(self.parked_bytes));
        meter.level(STALLED, number(self.stalled.len()));
        let closed = [
            ("full", counts.closed_full),
            ("lost", counts.closed_lost),
            ("moved", counts.closed_moved),
            ("no_owner", counts.closed_no_owner),
        ];
        meter.counts(CLOSED, "reason", &closed);
    }
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const NODES: Metric = Metric {
    name: "ring_nodes",
    help: "Session nodes that this gateway speaks to, or tries to",
};
const STREAMS: Metric = Metric {
    name: "ring_streams",
    help: "Of these, the ones to which a stream is open",
};
const OPENED_STREAMS: Metric = Metric {
    name: "ring_opened_streams",
    help: "Streams to session nodes that were opened; one more than there are nodes for each that broke",
};
const WAITING: Metric = Metric {
    name: "ring_waiting_bytes",
    help: "Bytes of frames that wait for their streams",
};
const UNCONFIRMED: Metric = Metric {
    name: "ring_unconfirmed_frames",
    help: "Frames that were sent, and that no host is known to have taken",
};
const PARKED: Metric = Metric {
    name: "ring_parked_frames",
    help: "Frames that wait for an owner, or for the way to it",
};
const PARKED_BYTES: Metric = Metric {
    name: "ring_parked_bytes",
    help: "Bytes of frames that wait for an owner",
};
const STALLED: Metric = Metric {
    name: "ring_stalled_connections",
    help: "Connections that are not read because too much of what they send waits",
};
const CLOSED: Metric = Metric {
    name: "ring_closed_connections",
    help: "Connections that were closed on account of session nodes, and why",
};

#[cfg(test)]
mod tests;
