//! What is to happen, ordered by virtual time; what is due at the same time happens in the order in which it was said.

use std::collections::BTreeMap;

use heliogram_proto::cx::Mono;
use heliogram_proto::edge::keys::KeyOutcome;
use heliogram_proto::host::CallId;
use heliogram_proto::ids::{AuthKeyId, Identity, LinkId};
use heliogram_proto::port::{Attach, Frame, FromHost, Reply};

use crate::keys::Question;
use crate::net::{ConnId, End};
use crate::node::Place;

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client does something.
    Act { client: usize },
    /// The stranger on the wire does something.
    Attack,
    /// The store answers a host's question about keys.
    Asked {
        place: Place,
        boot: u64,
        question: Question,
    },
    /// The backend answers a call.
    Answer {
        node: usize,
        boot: u64,
        partition: usize,
        id: CallId,
        reply: Reply,
    },
    /// Bytes arrive at an end of a connection.
    Bytes { conn: ConnId, to: End },
    /// A client connects.
    Dial { client: usize },
    /// An end of a connection learns that there is nothing more to come.
    Eof { conn: ConnId, to: End },
    /// Something breaks.
    Fault,
    /// A node that was cut off, paused or down is as it was before.
    Heal(Heal),
    /// The key store answers an edge.
    Key {
        edge: usize,
        boot: u64,
        id: AuthKeyId,
        outcome: KeyOutcome,
    },
    /// Something is due at a connection's edge.
    LinkTick { conn: ConnId },
    /// Something is due at a client.
    ClientTick { client: usize },
    /// Something is due at a node.
    NodeTick { node: usize, boot: u64 },
    /// The backend pushes an update.
    Push,
    /// An edge hears who owns a partition.
    RingNews {
        edge: usize,
        partition: usize,
        owner: usize,
        revision: u64,
    },
    /// The backend says late who has logged in with a key.
    User {
        node: usize,
        boot: u64,
        identity: Identity,
        user: Option<i64>,
    },
    /// A new owner begins.
    TakeOver {
        node: usize,
        partition: usize,
        revision: u64,
    },
    /// A host is told something by another process.
    ToOwner {
        to: Identity,
        bytes: Vec<u8>,
        tries: u32,
    },
    /// An item arrives on the stream from a node to an edge.
    ToEdge { stream: Stream, item: ToEdge },
    /// An item arrives on the stream from an edge to a node.
    ToNode { stream: Stream, item: ToNode },
}

/// An ordered stream between an edge and a node. One that has broken has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) edge: usize,
    pub(crate) node: usize,
    pub(crate) generation: u64,
}

/// What an edge tells a node.
#[derive(Debug)]
pub(crate) enum ToNode {
    Attach {
        partition: usize,
        attach: Box<Attach>,
    },
    Detach {
        link: LinkId,
    },
    Drain {
        partition: usize,
        link: LinkId,
    },
    Frame {
        partition: usize,
        frame: Box<Frame>,
    },
}

/// What a node tells an edge.
#[derive(Debug)]
pub(crate) enum ToEdge {
    NotOwner {
        link: LinkId,
    },
    Out {
        link: LinkId,
        items: Vec<FromHost>,
    },
    Ready {
        partition: usize,
        link: LinkId,
    },
    /// A frame has reached its host.
    Taken {
        link: LinkId,
    },
}

/// What is mended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Heal {
    /// An edge starts again.
    Edge(usize),
    /// A node starts again.
    Node(usize),
    /// A node goes on after a pause.
    Pause(usize),
    /// An edge and a node reach each other again.
    Route { edge: usize, node: usize },
    /// A node that did not know that it lost its partitions learns it.
    Stale(usize),
    /// The store answers again.
    Store,
}

/// Events by time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Mono, u64), Event>,
    count: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Mono, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Takes out the first event, if it happens by `until`.
    pub(crate) fn pop_by(&mut self, until: Mono) -> Option<(Mono, Event)> {
        let first = self.events.first_entry()?;
        let (at, _) = *first.key();
        (at <= until).then(|| (at, first.remove()))
    }
}

impl Event {
    /// Returns what tells two runs apart: the kind, and some of the contents.
    pub(crate) fn shape(&self) -> (u64, u64) {
        let size = |of: usize| u64::try_from(of).unwrap_or(u64::MAX);
        match self {
            Self::Act { client } => (1, size(*client)),
            Self::Answer { partition, .. } => (2, size(*partition)),
            Self::Attack => (3, 0),
            Self::Bytes { conn, .. } => (4, conn.0),
            Self::ClientTick { client } => (5, size(*client)),
            Self::Dial { client } => (6, size(*client)),
            Self::Eof { conn, .. } => (7, conn.0),
            Self::Fault => (8, 0),
            Self::Heal(_) => (9, 0),
            Self::Key { edge, .. } => (10, size(*edge)),
            Self::LinkTick { conn } => (11, conn.0),
            Self::NodeTick { node, .. } => (12, size(*node)),
            Self::Asked { place, .. } => (19, size(place.node)),
            Self::Push => (17, 0),
            Self::ToOwner { tries, .. } => (20, u64::from(*tries)),
            Self::RingNews { revision, .. } => (13, *revision),
            Self::TakeOver { revision, .. } => (14, *revision),
            Self::ToEdge { stream, .. } => (15, size(stream.node)),
            Self::ToNode { stream, .. } => (16, size(stream.node)),
            Self::User { node, .. } => (18, size(*node)),
        }
    }
}
