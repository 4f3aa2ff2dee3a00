//! The whole world on one thread: what happens is taken from the queue, one thing after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use heliogram_crypto::AuthKey;
use heliogram_proto::cx::{Mono, Now, Unix};
use heliogram_proto::ids::{LinkId, Salt, SessionId, Term};
use heliogram_proto::port::{FirstSalt, KeyFacts, KeyKind, KeyRecord};
use heliogram_proto::session::Session;
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config, Endpoint, Obfuscation};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::business::Backend;
use crate::check::Checks;
use crate::client::Client;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::edge::Edge;
use crate::mutation::Mutation;
use crate::net::{ConnId, End, Network, Weather, Who};
use crate::node::{Node, Part, Place};
use crate::plan::Plan;
use crate::queue::{Event, Queue, Stream};
use crate::ring::{Ownership, Ring, partition_of};
use crate::store::Store;
use crate::stranger::Stranger;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Mono,
    pub(crate) queue: Queue,
    pub(crate) plan: Plan,
    pub(crate) busy_until: Mono,
    /// Decides what happens.
    pub(crate) dice: Dice,
    /// What the product draws from.
    pub(crate) entropy: ChaCha8Rng,
    pub(crate) net: Network,
    pub(crate) edges: Vec<Edge>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) cut_routes: BTreeSet<(usize, usize)>,
    streams: BTreeMap<(usize, usize), Hops>,
    pub(crate) ring: Ring,
    pub(crate) store: Store,
    pub(crate) backend: Backend,
    pub(crate) clients: Vec<Client>,
    /// Wishes so far.
    pub(crate) tokens: u64,
    /// Updates so far.
    pub(crate) pushes: u64,
    pub(crate) stranger: Stranger,
    pub(crate) checks: Checks,
    pub(crate) coverage: Coverage,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) mutation_dice: Dice,
    /// Every message is printed.
    pub(crate) is_traced: bool,
    /// Of all that has happened: equal for equal seeds.
    pub(crate) digest: u64,
    pub(crate) steps: u64,
}

/// A stream between an edge and a node.
#[derive(Clone, Copy, Debug, Default)]
struct Hops {
    generation: u64,
    up: Mono,
    down: Mono,
}

impl World {
    /// Makes a world in which nothing has happened yet.
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let plan = Plan::draw(seed);
        let mut world = Self {
            now: Mono(0),
            queue: Queue::default(),
            busy_until: Mono(0) + plan.busy,
            dice: Dice::new(seed, 2),
            entropy: ChaCha8Rng::seed_from_u64(seed),
            net: Network::default(),
            edges: (0..EDGES).map(|_| Edge::new()).collect(),
            nodes: Vec::new(),
            cut_routes: BTreeSet::new(),
            streams: BTreeMap::new(),
            ring: Ring::new(NODES),
            store: Store::default(),
            backend: Backend::default(),
            clients: Vec::new(),
            tokens: 0,
            pushes: 0,
            stranger: Stranger::default(),
            checks: Checks::default(),
            coverage: Coverage::default(),
            mutation,
            mutation_dice: Dice::new(seed, 3),
            is_traced: false,
            digest: 0,
            steps: 0,
            plan,
        };
        world.checks.is_calm = world.plan.is_calm();
        world.checks.tokens.is_calm = world.plan.is_calm();
        world.populate();
        world
    }

    fn populate(&mut self) {
        for _ in 0..NODES {
            let skew_ms = if self.plan.hosts_fail { 1_500 } else { 0 };
            let skew_ns = self.skew_ns(skew_ms);
            // No two machines were started at the same time.
            let up_for = Duration::from_secs(self.dice.between(0, 1_000_000));
            self.nodes.push(Node::new(skew_ns, up_for));
        }
        for (partition, &ownership) in self.ring.owners.iter().enumerate() {
            let part = Part::new(ownership.term());
            self.nodes[ownership.node].parts.insert(partition, part);
            for edge in &mut self.edges {
                edge.view[partition] = (ownership.node, ownership.revision);
            }
        }
        for client in 0..self.plan.clients {
            let fresh = self.any_client();
            self.clients.push(fresh);
            if self.dice.chance(self.plan.pfs_per_mille) {
                self.hide_key(client);
            }
            self.queue.push(Mono(0), Event::Dial { client });
            self.queue.push(Mono(0), Event::Act { client });
        }
        self.queue
            .push(Mono(0) + Duration::from_secs(2), Event::Push);
        self.queue
            .push(Mono(0) + Duration::from_secs(5), Event::Fault);
        self.queue
            .push(Mono(0) + Duration::from_secs(3), Event::Attack);
    }

    /// Makes a client with a key that is in the store.
    pub(crate) fn any_client(&mut self) -> Client {
        let mut secret = [0; 256];
        self.entropy.fill_bytes(&mut secret);
        let key = AuthKey::new(secret);
        let salt = Salt(self.entropy.next_u64().cast_signed());
        let mut facts = KeyFacts {
            id: key.id(),
            kind: KeyKind::Permanent,
            perm: None,
            dc: None,
            first_salt: None,
        };
        let owner = self.ring.owners[partition_of(facts.identity())];
        facts.first_salt = self.dice.chance(500).then_some(FirstSalt {
            salt,
            term: owner.term(),
            since_unix_s: START_UNIX_S,
        });
        let record = KeyRecord {
            facts,
            key: key.clone(),
            created_at_unix_s: START_UNIX_S,
        };
        self.store.records.insert(key.id(), Arc::new(record));
        let id = SessionId(self.entropy.next_u64().cast_signed() | 1);
        let session = Session::new(id, salt, 0);
        let skew_ns = self.skew_ns(self.plan.skew_s * 1000);
        let transport = self.any_transport();
        Client::new(key, session, skew_ns, transport)
    }

    fn skew_ns(&mut self, most_ms: u64) -> i64 {
        let millis = self.dice.between(0, 2 * most_ms);
        (millis.cast_signed() - most_ms.cast_signed()) * 1_000_000
    }

    fn any_transport(&mut self) -> Config {
        let framings = [
            Framing::Abridged,
            Framing::Intermediate,
            Framing::PaddedIntermediate,
        ];
        let config = Config::new(self.dice.pick(&framings, Framing::Intermediate));
        match self.dice.below(3) {
            0 => config,
            1 => config.obfuscated(Obfuscation::default()),
            _ => config.within(Endpoint {
                host: "example.org".to_owned(),
                path: "/apiws".to_owned(),
            }),
        }
    }

    /// Lets the next thing happen, if it does by `until`; `false` if nothing does.
    pub(crate) fn step(&mut self, until: Mono) -> bool {
        let Some((at, event)) = self.queue.pop_by(until) else {
            return false;
        };
        self.now = self.now.max(at);
        self.steps += 1;
        self.note(&event);
        self.happen(event);
        self.check_limits();
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Act { client } => self.act(client),
            Event::Answer {
                node,
                boot,
                partition,
                id,
                reply,
            } => self.on_answer(Place { node, partition }, boot, id, reply),
            Event::Asked {
                place,
                boot,
                question,
            } => self.on_asked(place, boot, question),
            Event::Attack => self.attack(),
            Event::Bytes { conn, to } => self.on_bytes(conn, to),
            Event::ClientTick { client } => self.client_tick(client),
            Event::Dial { client } => self.dial(client),
            Event::Eof { conn, to } => self.on_eof(conn, to),
            Event::Fault => self.fault(),
            Event::Heal(heal) => self.heal(heal),
            Event::Key {
                edge,
                boot,
                id,
                outcome,
            } => self.on_key(edge, boot, id, outcome),
            Event::LinkTick { conn } => self.link_tick(conn),
            Event::NodeTick { node, boot } => self.node_tick(node, boot),
            Event::Push => self.push(),
            Event::RingNews {
                edge,
                partition,
                owner,
                revision,
            } => self.on_ring_news(edge, partition, owner, revision),
            Event::TakeOver {
                node,
                partition,
                revision,
            } => self.take_over(node, partition, revision),
            Event::ToEdge { stream, item } => self.at_edge(stream, item),
            Event::ToOwner { to, bytes, tries } => self.carry(to, bytes, tries),
            Event::ToNode { stream, item } => self.at_node(stream, item),
            Event::User {
                node,
                boot,
                identity,
                user,
            } => self.on_user(node, boot, identity, user),
        }
    }

    fn on_bytes(&mut self, conn: ConnId, to: End) {
        if to == End::Edge && !self.edge_wants_input(conn) {
            let later = self.now + WAIT;
            return self.queue.push(later, Event::Bytes { conn, to });
        }
        let Some(bytes) = self.with_weather(|net, weather| net.arrive(conn, to, weather)) else {
            return;
        };
        let Some((who, edge, link)) = self.net.get(conn).map(|it| (it.who, it.edge, it.link))
        else {
            return;
        };
        self.mix(u64::try_from(bytes.len()).unwrap_or(0));
        match (to, who) {
            (End::Edge, _) => self.edge_receives(conn, bytes),
            (End::Client, Who::Client(client)) => self.client_receives(client, conn, bytes),
            (End::Client, Who::Stranger) => {}
        }
        if to == End::Client {
            self.ask_to_drain(edge, link);
        }
    }

    fn on_eof(&mut self, conn: ConnId, to: End) {
        if !self.with_weather(|net, weather| net.may_end(conn, to, weather)) {
            return;
        }
        let Some((who, edge, link)) = self.net.get(conn).map(|it| (it.who, it.edge, it.link))
        else {
            return;
        };
        match (to, who) {
            (End::Edge, _) => self.drop_link(edge, link),
            (End::Client, Who::Client(client)) => self.client_leaves(client, conn),
            (End::Client, Who::Stranger) => {}
        }
        self.net.end(conn, to);
    }

    /// Sends bytes over a connection.
    pub(crate) fn send(&mut self, conn: ConnId, to: End, bytes: &[u8]) {
        self.with_weather(|net, weather| net.send(conn, to, bytes, weather));
    }

    pub(crate) fn with_weather<R>(
        &mut self,
        act: impl FnOnce(&mut Network, &mut Weather<'_>) -> R,
    ) -> R {
        let mut weather = Weather {
            now: self.now,
            queue: &mut self.queue,
            dice: &mut self.dice,
            plan: &self.plan,
        };
        act(&mut self.net, &mut weather)
    }

    /// Returns the time of a clock that is wrong by `skew_ns`.
    pub(crate) fn clock(&self, skew_ns: i64) -> Now {
        let unix = Unix::from_seconds(START_UNIX_S).0 + self.now.0;
        Now {
            mono: self.now,
            unix: Unix(unix.saturating_add_signed(skew_ns)),
        }
    }

    /// Returns the stream between an edge and a node, unless it can't be used.
    pub(crate) fn stream(&self, edge: usize, node: usize) -> Option<Stream> {
        let is_there = self.edges[edge].is_up
            && self.nodes[node].is_up
            && !self.cut_routes.contains(&(edge, node));
        let generation = self
            .streams
            .get(&(edge, node))
            .map_or(0, |it| it.generation);
        is_there.then_some(Stream {
            edge,
            node,
            generation,
        })
    }

    /// Returns the stream from a node to the edge of a link.
    pub(crate) fn stream_of(&self, link: LinkId, node: usize) -> Option<Stream> {
        self.stream(self.net.get(Network::of_link(link))?.edge, node)
    }

    pub(crate) fn is_live(&self, stream: Stream) -> bool {
        self.stream(stream.edge, stream.node) == Some(stream)
    }

    /// Loses what is under way between an edge and a node.
    pub(crate) fn break_stream(&mut self, edge: usize, node: usize) {
        self.streams.entry((edge, node)).or_default().generation += 1;
    }

    /// Returns when the next item on a stream arrives.
    pub(crate) fn hop(&mut self, stream: Stream, is_down: bool) -> Mono {
        let delay = self.dice.millis(self.plan.hop_ms.0, self.plan.hop_ms.1);
        let hops = self.streams.entry((stream.edge, stream.node)).or_default();
        let last = if is_down {
            &mut hops.down
        } else {
            &mut hops.up
        };
        *last = (*last).max(self.now + delay);
        *last
    }

    /// Returns the term that an owner uses.
    pub(crate) fn term_of(&self, ownership: Ownership) -> Term {
        if self.mutation == Some(Mutation::ReuseTerm) {
            return Term(1);
        }
        ownership.term()
    }

    /// Adds an event to the digest of the run.
    fn note(&mut self, event: &Event) {
        let (kind, size) = event.shape();
        for word in [self.now.0, kind, size] {
            self.mix(word);
        }
    }

    fn mix(&mut self, word: u64) {
        self.digest = (self.digest ^ word).wrapping_mul(0x0100_0000_01b3);
        self.digest ^= self.digest >> 29;
    }
}

/// Between two tries to have an edge take bytes.
const WAIT: Duration = Duration::from_millis(20);
const EDGES: usize = 2;
const NODES: usize = 3;
/// When the world begins.
const START_UNIX_S: u64 = 1_700_000_000;
