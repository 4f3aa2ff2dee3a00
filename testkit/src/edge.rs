//! A gateway's process: a [`Link`] per connection, a key cache, and the streams to the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use heliogram_proto::cx::{Cx, Mono, Now};
use heliogram_proto::edge::keys::{self, KeyCache, KeyOutcome};
use heliogram_proto::ids::{AuthKeyId, LinkId, SessionId};
use heliogram_proto::link::{Effect, Input, Limits, Link, Scratch};
use heliogram_proto::port::{Attach, FromHost, KeyFacts};
use heliogram_proto::transport::server::{Config, Transport};

use crate::mutation::Mutation;
use crate::net::{ConnId, End, Network};
use crate::queue::{Event, Stream, ToEdge, ToNode};
use crate::ring::{Ownership, PARTITIONS, partition_of};
use crate::world::World;

/// A process of connections.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) boot: u64,
    pub(crate) is_up: bool,
    /// Who owns each partition since which revision, as far as it has heard.
    pub(crate) view: Vec<(usize, u64)>,
    pub(crate) links: BTreeMap<LinkId, EdgeLink>,
    pub(crate) cache: KeyCache,
    transport: Arc<Config>,
}

/// A connection at its edge.
#[derive(Debug)]
pub(crate) struct EdgeLink {
    link: Link,
    /// Nodes that have had a frame of it, each with the partition.
    touched: BTreeSet<(usize, usize)>,
    /// The sessions that it has brought frames of, with the last key of each.
    sessions: BTreeMap<SessionId, KeyFacts>,
    /// Frames that nodes have not taken yet, as far as is known.
    unconfirmed: BTreeMap<usize, u32>,
    /// Partitions that have something for it, each with the node that says so.
    ready: BTreeSet<(usize, usize)>,
    armed: Option<Mono>,
}

impl Edge {
    pub(crate) fn new() -> Self {
        Self {
            boot: 0,
            is_up: true,
            view: vec![(0, 0); PARTITIONS],
            links: BTreeMap::new(),
            cache: KeyCache::new(keys::Config::default()),
            transport: Arc::new(Config::default()),
        }
    }

    /// Takes note of a node that is to hear of a link's end; `false` if the link is gone.
    pub(crate) fn touched(&mut self, link: LinkId, node: usize, partition: usize) -> bool {
        let state = self.links.get_mut(&link);
        state.is_some_and(|it| {
            it.touched.insert((node, partition));
            true
        })
    }

    /// Forgets everything, as a crash does.
    pub(crate) fn restart(&mut self) {
        self.boot += 1;
        self.links.clear();
        self.cache = KeyCache::new(keys::Config::default());
    }
}

impl World {
    /// Accepts a connection.
    pub(crate) fn accept(&mut self, edge: usize, link: LinkId) {
        let state = &mut self.edges[edge];
        let transport = Transport::new(Arc::clone(&state.transport));
        let peer = SocketAddr::from(([192, 0, 2, 1], 5000));
        let machine = Link::new(link, peer, transport, Limits::default(), self.now);
        state.links.insert(
            link,
            EdgeLink {
                link: machine,
                touched: BTreeSet::new(),
                sessions: BTreeMap::new(),
                unconfirmed: BTreeMap::new(),
                ready: BTreeSet::new(),
                armed: None,
            },
        );
        self.arm_link(edge, link);
    }

    /// Lets a link take a step, and does what it wants.
    fn step_link(
        &mut self,
        edge: usize,
        id: LinkId,
        step: impl FnOnce(&mut Link, &mut Vec<u8>, &mut Cx<'_, Effect>),
    ) {
        let now = self.edge_now();
        let (mut write, mut effects) = (Vec::new(), Vec::new());
        let Some(state) = self.edges[edge].links.get_mut(&id) else {
            return;
        };
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut effects,
        };
        step(&mut state.link, &mut write, &mut cx);
        self.send(Network::of_link(id), End::Client, &write);
        for effect in effects {
            if !self.edges[edge].links.contains_key(&id) {
                break;
            }
            match effect {
                Effect::Close { cause, .. } => {
                    self.coverage.cause(cause);
                    self.close_link(edge, id);
                }
                // Keys are planted: nobody makes one.
                Effect::Exchange { .. } | Effect::Peer(_) => {}
                Effect::Frame(mut frame) => {
                    let partition = partition_of(frame.key.identity());
                    let owner = self.seen_owner(edge, partition);
                    let node = owner.node;
                    frame.term = Some(self.term_of(owner));
                    let Some(stream) = self.stream(edge, node) else {
                        self.close_link(edge, id);
                        continue;
                    };
                    if let Some(state) = self.edges[edge].links.get_mut(&id) {
                        state.touched.insert((node, partition));
                        state.sessions.insert(frame.session_id, frame.key);
                        *state.unconfirmed.entry(node).or_default() += 1;
                    }
                    let frame = Box::new(frame);
                    self.tell_node(stream, ToNode::Frame { partition, frame });
                }
                Effect::LoadKey { id: key } => {
                    self.step_cache(edge, keys::Input::Want { link: id, id: key });
                }
            }
        }
        self.arm_link(edge, id);
    }

    pub(crate) fn step_cache(&mut self, edge: usize, input: keys::Input) {
        let (now, mut effects) = (self.edge_now(), Vec::new());
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut effects,
        };
        if let keys::Input::Bound { facts } = &input {
            for link in self.edges[edge].links.values_mut() {
                link.bound(*facts);
            }
        }
        self.edges[edge].cache.handle(input, &mut cx);
        for effect in effects {
            match effect {
                keys::Effect::Load { id } => self.load_key(edge, id),
                keys::Effect::Outcome { link, id, outcome } => {
                    self.step_link(edge, link, |machine, write, cx| {
                        machine.handle(Input::Key { id, outcome }, write, cx);
                    });
                }
                keys::Effect::Doubted { link, id } => {
                    self.step_link(edge, link, |machine, write, cx| {
                        machine.handle(Input::Doubted { id }, write, cx);
                    });
                }
                keys::Effect::Revoked { link, id } => {
                    self.step_link(edge, link, |machine, write, cx| {
                        machine.handle(Input::Revoked { id }, write, cx);
                    });
                }
            }
        }
    }

    fn load_key(&mut self, edge: usize, id: AuthKeyId) {
        let outcome = match self.store.find(id, self.edge_now().unix.seconds()) {
            KeyOutcome::Unavailable if self.mutation == Some(Mutation::SayAbsent) => {
                KeyOutcome::Absent
            }
            other @ (KeyOutcome::Absent | KeyOutcome::Present(_) | KeyOutcome::Unavailable) => {
                other
            }
        };
        let slowest_ms = if self.dice.chance(50) { 8_000 } else { 20 };
        let delay = self.dice.millis(0, slowest_ms);
        let boot = self.edges[edge].boot;
        let event = Event::Key {
            edge,
            boot,
            id,
            outcome,
        };
        self.queue.push(self.now + delay, event);
    }

    /// Takes the store's answer.
    pub(crate) fn on_key(&mut self, edge: usize, boot: u64, id: AuthKeyId, outcome: KeyOutcome) {
        if self.edges[edge].boot == boot && self.edges[edge].is_up {
            self.step_cache(edge, keys::Input::Loaded { id, outcome });
        }
    }

    /// Takes bytes of a client.
    pub(crate) fn edge_receives(&mut self, conn: ConnId, mut bytes: Vec<u8>) {
        let Some((edge, link)) = self.net.get(conn).map(|it| (it.edge, it.link)) else {
            return;
        };
        self.step_link(edge, link, |machine, write, cx| {
            machine.receive(&mut bytes, write, cx);
        });
    }

    /// Tells whether a connection's edge takes what its client sends now.
    pub(crate) fn edge_wants_input(&self, conn: ConnId) -> bool {
        let link = self.net.get(conn).map(|it| (it.edge, it.link));
        let state = link.and_then(|(edge, link)| self.edges[edge].links.get(&link));
        state.is_none_or(|it| it.link.wants_input())
    }

    pub(crate) fn link_tick(&mut self, conn: ConnId) {
        let Some((edge, link)) = self.net.get(conn).map(|it| (it.edge, it.link)) else {
            return;
        };
        if let Some(state) = self.edges[edge].links.get_mut(&link) {
            state.armed = None;
            self.step_link(edge, link, Link::handle_deadline);
        }
    }

    fn arm_link(&mut self, edge: usize, link: LinkId) {
        let Some(state) = self.edges[edge].links.get_mut(&link) else {
            return;
        };
        let Some(at) = state.link.next_deadline() else {
            return;
        };
        if state.armed.is_none_or(|armed| armed > at) {
            state.armed = Some(at);
            let conn = Network::of_link(link);
            self.queue.push(at.max(self.now), Event::LinkTick { conn });
        }
    }

    /// Takes an item of a node.
    pub(crate) fn at_edge(&mut self, stream: Stream, item: ToEdge) {
        if !self.is_live(stream) {
            return;
        }
        let (edge, node) = (stream.edge, stream.node);
        match item {
            ToEdge::NotOwner { link } => self.close_link(edge, link),
            ToEdge::Out { link, items } => self.write_out(edge, link, items),
            ToEdge::Taken { link } => {
                let state = self.edges[edge].links.get_mut(&link);
                if let Some(count) = state.and_then(|it| it.unconfirmed.get_mut(&node)) {
                    *count = count.saturating_sub(1);
                }
            }
            ToEdge::Ready { partition, link } => {
                if let Some(state) = self.edges[edge].links.get_mut(&link) {
                    state.ready.insert((node, partition));
                }
                self.ask_to_drain(edge, link);
            }
        }
    }

    fn write_out(&mut self, edge: usize, link: LinkId, mut items: Vec<FromHost>) {
        self.step_link(edge, link, |machine, write, cx| {
            machine.send(&mut items, &mut Scratch::default(), write, cx);
        });
    }

    /// Asks the nodes for what they have, if the client reads what it gets.
    pub(crate) fn ask_to_drain(&mut self, edge: usize, link: LinkId) {
        if self.net.in_flight(Network::of_link(link), End::Client) > SOCKET_BYTES {
            self.coverage.fault("slow reader held back");
            return;
        }
        let Some(state) = self.edges[edge].links.get_mut(&link) else {
            return;
        };
        for (node, partition) in std::mem::take(&mut state.ready) {
            if let Some(stream) = self.stream(edge, node) {
                self.tell_node(stream, ToNode::Drain { partition, link });
            }
        }
    }

    /// Ends a connection from the edge's side.
    pub(crate) fn close_link(&mut self, edge: usize, link: LinkId) {
        let conn = Network::of_link(link);
        self.with_weather(|net, weather| net.close(conn, End::Edge, weather));
        self.drop_link(edge, link);
    }

    /// Gives back what a connection held.
    pub(crate) fn drop_link(&mut self, edge: usize, link: LinkId) {
        let Some(state) = self.edges[edge].links.remove(&link) else {
            return;
        };
        let nodes: BTreeSet<_> = state.touched.iter().map(|&(node, _)| node).collect();
        for node in nodes {
            if let Some(stream) = self.stream(edge, node) {
                self.tell_node(stream, ToNode::Detach { link });
            }
        }
        for id in state.link.held_keys() {
            self.step_cache(edge, keys::Input::Release { link, id });
        }
        for id in state.link.awaited_keys() {
            self.step_cache(edge, keys::Input::Forget { link, id });
        }
    }

    /// Ends the connections whose sessions live at a node, in one partition or in any.
    pub(crate) fn close_links_of(&mut self, edge: usize, node: usize, only: Option<usize>) {
        let links = self.edges[edge].links.iter();
        let theirs = links.filter(|(_, it)| {
            let mut touched = it.touched.iter();
            touched.any(|&(at, part)| at == node && only.is_none_or(|only| only == part))
        });
        for link in theirs.map(|(&link, _)| link).collect::<Vec<_>>() {
            self.close_link(edge, link);
        }
    }

    /// A stream has broken: connections with frames that may be lost, or with sessions that the edge does not know, are closed.
    /// The others wait.
    pub(crate) fn lose_node(&mut self, edge: usize, node: usize) {
        self.break_stream(edge, node);
        let links = self.edges[edge].links.iter_mut();
        let mut lost = Vec::new();
        for (&link, state) in links {
            state.ready.retain(|&(at, _)| at != node);
            if state.is_lost_with(node) {
                lost.push(link);
            }
        }
        for link in lost {
            self.close_link(edge, link);
        }
    }

    /// A stream is there again: the connections that have waited for it are brought back.
    pub(crate) fn find_node(&mut self, edge: usize, node: usize) {
        let Some(stream) = self.stream(edge, node) else {
            return;
        };
        let mut back = Vec::new();
        for (&link, state) in &self.edges[edge].links {
            for (&session_id, &key) in &state.sessions {
                let partition = partition_of(key.identity());
                if state.touched.contains(&(node, partition)) {
                    let term = Some(self.term_of(self.seen_owner(edge, partition)));
                    let attach = Attach {
                        link,
                        key,
                        session_id,
                        term,
                        is_http: false,
                    };
                    back.push((partition, Box::new(attach)));
                }
            }
        }
        for (partition, attach) in back {
            self.tell_node(stream, ToNode::Attach { partition, attach });
        }
    }

    /// Returns who owns a partition as far as an edge has heard.
    fn seen_owner(&self, edge: usize, partition: usize) -> Ownership {
        let (node, revision) = self.edges[edge].view[partition];
        Ownership { node, revision }
    }

    /// Takes the news of a partition's owner.
    pub(crate) fn on_ring_news(
        &mut self,
        edge: usize,
        partition: usize,
        owner: usize,
        revision: u64,
    ) {
        let (before, known) = self.edges[edge].view[partition];
        if known >= revision {
            return;
        }
        self.edges[edge].view[partition] = (owner, revision);
        self.disrupt(partition);
        self.close_links_of(edge, before, Some(partition));
    }

    fn tell_node(&mut self, stream: Stream, item: ToNode) {
        let at = self.hop(stream, false);
        self.queue.push(at, Event::ToNode { stream, item });
    }

    fn edge_now(&self) -> Now {
        self.clock(0)
    }
}

impl EdgeLink {
    /// Tells whether it can't be brought back once the stream to a node has broken.
    fn is_lost_with(&self, node: usize) -> bool {
        let unconfirmed = self.unconfirmed.get(&node);
        let keys = self.sessions.values();
        let known: BTreeSet<_> = keys.map(|it| partition_of(it.identity())).collect();
        let mut touched = self.touched.iter();
        unconfirmed.is_some_and(|&count| count > 0)
            || touched.any(|(at, partition)| *at == node && !known.contains(partition))
    }

    /// Takes note that a key is bound.
    fn bound(&mut self, facts: KeyFacts) {
        let keys = self.sessions.values_mut();
        for key in keys.filter(|it| it.id == facts.id) {
            *key = facts;
        }
    }
}

/// Bytes that a client's socket takes before it is read.
const SOCKET_BYTES: usize = 64 << 10;
