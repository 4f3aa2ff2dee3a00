//! A gateway's connections, and what the session nodes know of each.

use std::sync::Arc;

use heliogram_ports::{Attach, Frame, FromHost, KeyFacts, Wake};
use heliogram_proto::ids::{LinkId, SessionId, Term};
use heliogram_proto::ring::Partition;

use super::cost;
use crate::limits::TIES_PER_LINK_MAX;

/// The number that a gateway gives to a session node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerId(pub(super) u64);

/// Where a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) peer: PeerId,
    /// Of the owner; `None` where there is one for ever.
    pub(super) term: Option<Term>,
}

/// A connection.
pub(super) struct Entry {
    pub(super) wake: Arc<dyn Wake>,
    pub(super) inbox: Vec<FromHost>,
    /// The nodes that know of it, or will hear of it.
    pub(super) ways: Vec<Way>,
    ties: Vec<Tie>,
    /// It has more sessions than there is room for ties.
    is_crowded: bool,
    /// Its partition has another owner: the old one may still say something, and closes it.
    pub(super) is_leaving: bool,
    /// It is being closed: nothing more goes either way.
    pub(super) is_ended: bool,
    /// Its owner waits until it takes more.
    pub(super) is_stalled: bool,
}

/// A node that knows of a connection.
pub(super) struct Way {
    pub(super) peer: PeerId,
    /// What of it is in the inbox counts so much against its window.
    pub(super) owed: usize,
    /// Frames went there; else another node has told it of the connection.
    is_ours: bool,
}

/// A session that uses a connection.
struct Tie {
    session_id: SessionId,
    /// Of its last frame.
    key: KeyFacts,
    place: Place,
    /// A host has taken one of its frames at this place.
    is_taken: bool,
    is_http: bool,
    /// Over HTTP: its client waits for a response.
    is_asked: bool,
}

impl Entry {
    pub(super) const fn new(wake: Arc<dyn Wake>) -> Self {
        Self {
            wake,
            inbox: Vec::new(),
            ways: Vec::new(),
            ties: Vec::new(),
            is_crowded: false,
            is_leaving: false,
            is_ended: false,
            is_stalled: false,
        }
    }

    /// Tells whether frames are dropped: their client comes again and sends them anew.
    pub(super) const fn is_over(&self) -> bool {
        self.is_ended || self.is_leaving
    }

    /// Takes note of a frame that goes to a place.
    pub(super) fn tie(&mut self, frame: &Frame, place: Place) {
        self.way(place.peer).is_ours = true;
        let is_same =
            |tie: &&mut Tie| tie.session_id == frame.session_id && tie.key.id == frame.key.id;
        if let Some(tie) = self.ties.iter_mut().find(is_same) {
            tie.is_taken &= tie.place == place;
            tie.place = place;
            tie.key = frame.key;
            tie.is_asked = true;
        } else if self.ties.len() < TIES_PER_LINK_MAX {
            self.ties.push(Tie {
                session_id: frame.session_id,
                key: frame.key,
                place,
                is_taken: false,
                is_http: frame.is_http,
                is_asked: true,
            });
        } else {
            self.is_crowded = true;
        }
    }

    /// Takes note that a host has taken a frame.
    pub(super) fn taken(&mut self, peer: PeerId, session_id: SessionId) {
        let is_it = |tie: &&mut Tie| tie.session_id == session_id && tie.place.peer == peer;
        for tie in self.ties.iter_mut().filter(is_it) {
            tie.is_taken = true;
        }
    }

    /// Puts what a node has for it into its inbox.
    pub(super) fn deliver(&mut self, peer: PeerId, item: FromHost) {
        self.way(peer).owed += cost(&item);
        if let FromHost::Seal { session_id, .. } = item {
            let answered = self
                .ties
                .iter_mut()
                .filter(|it| it.session_id == session_id);
            answered.for_each(|tie| tie.is_asked = false);
        }
        self.inbox.push(item);
    }

    /// Takes note that a node knows nothing of it any more. Tells whether it can't be brought back: the node may not have
    /// taken a frame of it, or knew a session of it that is not known here.
    pub(super) fn lose(&mut self, peer: PeerId, is_unconfirmed: bool) -> bool {
        let Some(at) = self.ways.iter().position(|way| way.peer == peer) else {
            return false;
        };
        let way = self.ways.swap_remove(at);
        self.ties
            .retain(|tie| tie.place.peer != peer || tie.is_taken);
        let is_handed = !way.is_ours && self.ties.iter().all(|tie| tie.place.peer != peer);
        is_unconfirmed || self.is_crowded || self.is_leaving || is_handed
    }

    /// Returns by what it is brought back to a node, and takes note that it will be.
    pub(super) fn attach(&mut self, link: LinkId, peer: PeerId) -> Vec<Attach> {
        let is_there = |tie: &&Tie| tie.place.peer == peer && (tie.is_asked || !tie.is_http);
        let attach = |tie: &Tie| Attach {
            link,
            key: tie.key,
            session_id: tie.session_id,
            term: tie.place.term,
            is_http: tie.is_http,
        };
        let attached: Vec<_> = self.ties.iter().filter(is_there).map(attach).collect();
        if !attached.is_empty() {
            self.way(peer).is_ours = true;
        }
        attached
    }

    /// Returns the node of a session that it has in one of these partitions, if any.
    pub(super) fn uses(&self, partitions: &[Partition]) -> Option<PeerId> {
        let is_in = |tie: &&Tie| partitions.contains(&Partition::of(tie.key.identity()));
        self.ties.iter().find(is_in).map(|tie| tie.place.peer)
    }

    /// Has it closed behind what is in the inbox. Returns the nodes that are to hear of it.
    pub(super) fn end(&mut self, link: LinkId) -> Vec<PeerId> {
        self.is_ended = true;
        self.ties = Vec::new();
        self.inbox.push(FromHost::Close { link, code: None });
        let ways = std::mem::take(&mut self.ways);
        ways.into_iter().map(|way| way.peer).collect()
    }

    fn way(&mut self, peer: PeerId) -> &mut Way {
        let at = self.ways.iter().position(|way| way.peer == peer);
        let at = at.unwrap_or_else(|| {
            self.ways.reserve_exact(1);
            self.ways.push(Way {
                peer,
                owed: 0,
                is_ours: false,
            });
            self.ways.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it was found, or pushed")]
        &mut self.ways[at]
    }
}
