//! A session host's process: one [`Host`] for each partition that it owns, and the streams to the edges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use heliogram_crypto::SecretBytes;
use heliogram_proto::cx::{Cx, Mono, Now};
use heliogram_proto::host::{CallId, Config, Effect, Host, Input, PreparedAnswer, PreparedFrame};
use heliogram_proto::ids::{LinkId, Term};
use heliogram_proto::port::{Attach, Call, Frame, Reply};

use crate::mutation::Mutation;
use crate::net::{Network, Who};
use crate::queue::{Event, Stream, ToEdge, ToNode};
use crate::world::World;

/// A process of hosts.
#[derive(Debug)]
pub(crate) struct Node {
    /// Of this process. An answer to an earlier one finds nobody.
    pub(crate) boot: u64,
    pub(crate) is_up: bool,
    /// What came during a pause.
    pub(crate) paused: Option<Vec<Event>>,
    /// The wall clock's error, in nanoseconds.
    pub(crate) skew_ns: i64,
    /// For how long its machine had run when the world began: nobody else's monotonic clock says the same.
    up_for: Duration,
    pub(crate) parts: BTreeMap<usize, Part>,
    armed: Option<Mono>,
}

/// One partition's sessions.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) host: Host,
    links: BTreeSet<LinkId>,
}

impl Part {
    /// Takes note of a link whose end concerns it.
    pub(crate) fn knows(&mut self, link: LinkId) {
        self.links.insert(link);
    }

    pub(crate) fn new(term: Term) -> Self {
        let config = Config::new(term, SecretBytes::new(SALT_SECRET));
        Self {
            host: Host::new(config),
            links: BTreeSet::new(),
        }
    }
}

impl Node {
    /// Forgets everything, as a crash does.
    pub(crate) fn crash(&mut self) {
        self.boot += 1;
        self.is_up = false;
        self.paused = None;
        self.parts.clear();
        self.armed = None;
    }

    pub(crate) const fn new(skew_ns: i64, up_for: Duration) -> Self {
        Self {
            boot: 0,
            is_up: true,
            paused: None,
            skew_ns,
            up_for,
            parts: BTreeMap::new(),
            armed: None,
        }
    }
}

impl World {
    /// Takes an item of an edge.
    pub(crate) fn at_node(&mut self, stream: Stream, item: ToNode) {
        if !self.is_live(stream) {
            return;
        }
        let node = &mut self.nodes[stream.node];
        if let Some(held) = &mut node.paused {
            held.push(Event::ToNode { stream, item });
            return;
        }
        match item {
            ToNode::Attach { partition, attach } => self.on_attach(stream, partition, *attach),
            ToNode::Detach { link } => {
                let parts: Vec<_> = node.parts.keys().copied().collect();
                for partition in parts {
                    self.detach_at(stream.node, partition, link);
                }
            }
            ToNode::Drain { partition, link } => self.drain(stream, partition, link),
            ToNode::Frame { partition, frame } => self.on_frame(stream, partition, *frame),
        }
        self.arm_node(stream.node);
    }

    fn detach_at(&mut self, node: usize, partition: usize, link: LinkId) {
        let known = self.nodes[node].parts.get_mut(&partition);
        if known.is_some_and(|part| part.links.remove(&link)) {
            if self.mutation == Some(Mutation::KeepLinks) {
                return;
            }
            self.step_host(node, partition, Input::Detach { link });
        }
    }

    /// Takes note that an edge is gone with all its links.
    pub(crate) fn lose_edge(&mut self, node: usize, edge: usize) {
        let mut gone = Vec::new();
        for (&partition, part) in &self.nodes[node].parts {
            for &link in &part.links {
                if self
                    .net
                    .get(Network::of_link(link))
                    .is_none_or(|it| it.edge == edge)
                {
                    gone.push((partition, link));
                }
            }
        }
        for (partition, link) in gone {
            self.detach_at(node, partition, link);
        }
        self.arm_node(node);
    }

    fn on_frame(&mut self, stream: Stream, partition: usize, frame: Frame) {
        let link = frame.link;
        let Some(part) = self.nodes[stream.node].parts.get_mut(&partition) else {
            return self.tell_edge(stream, ToEdge::NotOwner { link });
        };
        if frame.term.is_some_and(|term| term != part.host.term()) {
            self.coverage.fault("frame for an owner of another term");
        }
        part.links.insert(link);
        self.tell_edge(stream, ToEdge::Taken { link });
        self.coverage.received_by_server(&frame.body);
        let conn = self.net.get(Network::of_link(link));
        let who = conn.map_or(Who::Stranger, |it| it.who);
        let (packet, before) = ((frame.session_id, frame.msg_id), self.checks.tokens.runs);
        let prepared = PreparedFrame::new(frame);
        self.step_host(stream.node, partition, Input::Frame(prepared));
        if self.checks.tokens.runs > before {
            self.checks.tokens.carried(packet, who, self.now);
        }
    }

    /// Takes back a connection that the edge has kept.
    fn on_attach(&mut self, stream: Stream, partition: usize, attach: Attach) {
        let link = attach.link;
        let Some(part) = self.nodes[stream.node].parts.get_mut(&partition) else {
            return self.tell_edge(stream, ToEdge::NotOwner { link });
        };
        self.coverage.fault("connection brought back");
        part.links.insert(link);
        self.step_host(stream.node, partition, Input::Attach(attach));
    }

    /// Lets a host take one input, and does what it wants.
    pub(crate) fn step_host(&mut self, node: usize, partition: usize, input: Input) {
        let mut effects = Vec::new();
        let now = self.node_now(node);
        let Some(part) = self.nodes[node].parts.get_mut(&partition) else {
            return;
        };
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut effects,
        };
        part.host.handle(input, &mut cx);
        self.do_effects(node, partition, effects);
    }

    fn do_effects(&mut self, node: usize, partition: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ready { link } => {
                    if let Some(stream) = self.stream_of(link, node) {
                        self.tell_edge(stream, ToEdge::Ready { partition, link });
                    }
                }
                Effect::Call { id, call } => {
                    let place = Place { node, partition };
                    self.run_call(place, id, &call);
                    if self.mutation == Some(Mutation::RunTwice) && self.mutates() {
                        self.checks.tokens.executed(&call, self.now);
                    }
                }
                Effect::Fanout { links } => {
                    self.coverage.fault("one push to many links");
                    for link in links {
                        if let Some(stream) = self.stream_of(link, node) {
                            self.tell_edge(stream, ToEdge::Ready { partition, link });
                        }
                    }
                }
                // Its clients have permanent keys, and keep them.
                Effect::FindUser { identity } => self.find_user(node, partition, identity),
                Effect::Cancel { id } => {
                    self.coverage.fault("call cancelled");
                    self.backend.cancelled.insert(id);
                }
                about_keys @ (Effect::Bind { .. }
                | Effect::DestroyKey { .. }
                | Effect::DropKeys { .. }
                | Effect::Forward { .. }
                | Effect::HandOver(_)
                | Effect::TakenOver { .. }) => {
                    self.on_keys(Place { node, partition }, about_keys);
                }
            }
        }
    }

    fn run_call(&mut self, place: Place, id: CallId, call: &Call) {
        let Place { node, partition } = place;
        let owner = self.ring.owners[partition];
        if owner.node == node && owner.term() == call.term {
            self.checks.tokens.executed_by_owner(call);
        }
        self.checks.tokens.executed(call, self.now);
        if owner.node != node || owner.term() != call.term {
            // Its owner knows nothing of it.
            self.checks.tokens.disrupt_one(call);
        }
        if self.is_traced {
            let (term, msg_id) = (call.term, call.msg_id);
            eprintln!("{:?} {place:?} runs {msg_id:?} in {term:?}", self.now);
        }
        let (reply, delay) = self.backend.call(call, &mut self.dice);
        let answer = Event::Answer {
            node,
            boot: self.nodes[node].boot,
            partition,
            id,
            reply,
        };
        self.queue.push(self.now + delay, answer);
    }

    /// Takes the backend's answer to a call.
    pub(crate) fn on_answer(&mut self, place: Place, boot: u64, id: CallId, reply: Reply) {
        let Place { node, partition } = place;
        if self.nodes[node].boot != boot || self.backend.cancelled.remove(&id) {
            return;
        }
        if let Some(held) = &mut self.nodes[node].paused {
            held.push(Event::Answer {
                node,
                boot,
                partition,
                id,
                reply,
            });
            return;
        }
        let spoils = self.mutates();
        let reply = match self.mutation {
            Some(Mutation::LoseAnswer) if spoils => return,
            Some(Mutation::SwapAnswers) if spoils => {
                let other = self.backend.kept_back.replace(reply.clone());
                other.unwrap_or(reply)
            }
            _ => reply,
        };
        if let Some(part) = self.nodes[node].parts.get(&partition) {
            let execution = (part.host.term(), id.identity, id.session_id, id.msg_id);
            self.checks.tokens.replied(execution, &reply);
        }
        let answer = PreparedAnswer::new(reply);
        let input = Input::Answer { call: id, answer };
        self.step_host(node, partition, input);
        self.arm_node(node);
    }

    fn drain(&mut self, stream: Stream, partition: usize, link: LinkId) {
        let mut items = Vec::new();
        let now = self.node_now(stream.node);
        let Some(part) = self.nodes[stream.node].parts.get_mut(&partition) else {
            return;
        };
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut items,
        };
        part.host.drain(link, &mut cx);
        let term = part.host.term();
        self.mutate_drained(&mut items);
        for item in &items {
            self.checks.wire.host_said(term, item, &mut self.coverage);
        }
        if !items.is_empty() {
            self.tell_edge(stream, ToEdge::Out { link, items });
        }
    }

    pub(crate) fn node_tick(&mut self, node: usize, boot: u64) {
        if self.nodes[node].boot != boot {
            return;
        }
        self.nodes[node].armed = None;
        if let Some(held) = &mut self.nodes[node].paused {
            held.push(Event::NodeTick { node, boot });
            return;
        }
        let now = self.node_now(node);
        let parts: Vec<_> = self.nodes[node].parts.keys().copied().collect();
        for partition in parts {
            let mut effects = Vec::new();
            let Some(part) = self.nodes[node].parts.get_mut(&partition) else {
                continue;
            };
            if part.host.next_deadline().is_none_or(|at| at > now.mono) {
                continue;
            }
            let mut cx = Cx {
                now,
                rng: &mut self.entropy,
                out: &mut effects,
            };
            part.host.handle_deadline(&mut cx);
            if part.host.next_deadline().is_some_and(|at| at <= now.mono) {
                self.checks
                    .fail("a host's deadline that was handled is due no more", "");
            }
            self.do_effects(node, partition, effects);
        }
        self.arm_node(node);
    }

    /// Has the node called when its first host wants it.
    pub(crate) fn arm_node(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        let deadlines = state.parts.values().map(|part| part.host.next_deadline());
        let Some(at) = deadlines.flatten().min() else {
            return;
        };
        let at = Mono(0) + at.since(Mono(0) + state.up_for);
        if state.armed.is_none_or(|armed| armed > at) {
            state.armed = Some(at);
            let boot = state.boot;
            self.queue
                .push(at.max(self.now), Event::NodeTick { node, boot });
        }
    }

    fn tell_edge(&mut self, stream: Stream, item: ToEdge) {
        let at = self.hop(stream, true);
        self.queue.push(at, Event::ToEdge { stream, item });
    }

    pub(crate) fn node_now(&self, node: usize) -> Now {
        let state = &self.nodes[node];
        let Now { mono, unix } = self.clock(state.skew_ns);
        Now {
            mono: mono + state.up_for,
            unix,
        }
    }
}

/// A partition at a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) partition: usize,
}

const SALT_SECRET: [u8; 32] = [7; 32];
