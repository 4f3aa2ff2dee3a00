//! What breaks: connections, readers, stores, edges, nodes, the routes between them, and who owns what.

use crate::net::ConnId;
use crate::node::Part;
use crate::queue::{Event, Heal};
use crate::world::World;

impl World {
    /// Breaks something, and again after a pause.
    pub(crate) fn fault(&mut self) {
        let Some((low, high)) = self.plan.fault_ms else {
            return;
        };
        if self.now > self.busy_until {
            return;
        }
        let pause = self.dice.millis(low, high);
        self.queue.push(self.now + pause, Event::Fault);
        let kinds = if self.plan.hosts_fail { 10 } else { 5 };
        let kind = self.dice.below(kinds);
        if self.is_traced {
            eprintln!("{:?} fault {kind}", self.now);
        }
        match kind {
            0 | 1 => self.cut_connection(),
            2 => self.pause_reader(),
            3 => self.break_store(),
            4 => self.crash_edge(),
            5 => self.crash_node(),
            6 => self.move_partition(),
            7 => self.cut_route(),
            8 => self.pause_node(),
            _ => self.isolate_node(),
        }
    }

    fn any_conn(&mut self) -> Option<ConnId> {
        let whole = self.net.whole();
        whole.get(self.dice.index(whole.len())).copied()
    }

    fn cut_connection(&mut self) {
        if let Some(conn) = self.any_conn() {
            self.coverage.fault("connection cut");
            self.with_weather(|net, weather| net.cut(conn, weather));
        }
    }

    fn pause_reader(&mut self) {
        if let Some(conn) = self.any_conn() {
            self.coverage.fault("slow reader");
            let until = self.now + self.dice.millis(100, 20_000);
            self.net.pause(conn, until);
        }
    }

    fn break_store(&mut self) {
        self.coverage.fault("store unavailable");
        self.store.is_down = true;
        self.heal_later(Heal::Store, (100, 20_000));
    }

    fn crash_edge(&mut self) {
        let edge = self.dice.index(self.edges.len());
        if !std::mem::replace(&mut self.edges[edge].is_up, false) {
            return;
        }
        self.coverage.fault("edge crash");
        let links: Vec<_> = self.edges[edge].links.keys().copied().collect();
        for link in links {
            let conn = crate::net::Network::of_link(link);
            self.with_weather(|net, weather| net.cut(conn, weather));
        }
        self.edges[edge].restart();
        for node in 0..self.nodes.len() {
            self.break_stream(edge, node);
            self.lose_edge(node, edge);
        }
        self.heal_later(Heal::Edge(edge), (10, 5_000));
    }

    fn crash_node(&mut self) {
        let node = self.dice.index(self.nodes.len());
        let state = &mut self.nodes[node];
        if !state.is_up {
            return;
        }
        self.coverage.fault("host crash");
        state.crash();
        for edge in 0..self.edges.len() {
            self.lose_node(edge, node);
        }
        for partition in self.ring.of(node) {
            self.disrupt(partition);
            // Either it comes back soon, or others take over.
            if self.dice.chance(500) {
                self.move_away(partition, node);
            }
        }
        self.heal_later(Heal::Node(node), (10, 20_000));
    }

    fn move_partition(&mut self) {
        let partition = self.dice.index(self.ring.owners.len());
        let from = self.ring.owners[partition].node;
        if !self.move_away(partition, from) {
            return;
        }
        self.coverage.fault("take-over on purpose");
        self.nodes[from].parts.remove(&partition);
        self.disrupt(partition);
    }

    fn cut_route(&mut self) {
        let edge = self.dice.index(self.edges.len());
        let node = self.dice.index(self.nodes.len());
        if !self.cut_routes.insert((edge, node)) {
            return;
        }
        self.coverage.fault("route cut between edge and host");
        self.lose_node(edge, node);
        self.lose_edge(node, edge);
        self.heal_later(Heal::Route { edge, node }, (100, 10_000));
    }

    fn pause_node(&mut self) {
        let node = self.dice.index(self.nodes.len());
        let state = &mut self.nodes[node];
        if state.is_up && state.paused.is_none() {
            self.coverage.fault("host paused");
            state.paused = Some(Vec::new());
            self.heal_later(Heal::Pause(node), (10, 30_000));
        }
    }

    /// A node loses its lease and does not know: others take over while it goes on.
    fn isolate_node(&mut self) {
        let node = self.dice.index(self.nodes.len());
        if !self.nodes[node].is_up {
            return;
        }
        self.coverage
            .fault("host does not know that it was taken over");
        for partition in self.ring.of(node) {
            self.disrupt(partition);
            self.move_away(partition, node);
        }
        self.heal_later(Heal::Stale(node), (100, 20_000));
    }

    /// Gives a partition to another node that is up; `false` if there is none.
    fn move_away(&mut self, partition: usize, from: usize) -> bool {
        let others = 0..self.nodes.len();
        let others: Vec<_> = others
            .filter(|&it| it != from && self.nodes[it].is_up)
            .collect();
        let to = others.get(self.dice.index(others.len()));
        if let Some(&to) = to {
            self.give(partition, to);
        }
        to.is_some()
    }

    /// Makes a node the owner of a partition. It and the edges hear of it when they do.
    fn give(&mut self, partition: usize, node: usize) {
        let ownership = self.ring.give(partition, node);
        let revision = ownership.revision;
        let begins = Event::TakeOver {
            node,
            partition,
            revision,
        };
        let delay = self.dice.millis(0, 500);
        self.queue.push(self.now + delay, begins);
        for edge in 0..self.edges.len() {
            let delay = self.dice.millis(0, 2_000);
            let news = Event::RingNews {
                edge,
                partition,
                owner: node,
                revision,
            };
            self.queue.push(self.now + delay, news);
        }
    }

    /// Begins to own a partition, if it was not taken away meanwhile.
    pub(crate) fn take_over(&mut self, node: usize, partition: usize, revision: u64) {
        let ownership = self.ring.owners[partition];
        if ownership.revision != revision || !self.nodes[node].is_up {
            return;
        }
        self.coverage.fault("host begins a term");
        self.disrupt(partition);
        let term = self.term_of(ownership);
        if self.is_traced {
            eprintln!(
                "{:?} node {node} owns partition {partition} in {term:?}",
                self.now
            );
        }
        self.nodes[node].parts.insert(partition, Part::new(term));
    }

    /// Calls without an answer may run again from now on.
    pub(crate) fn disrupt(&mut self, partition: usize) {
        self.checks
            .tokens
            .disrupt(|_, identity| crate::ring::partition_of(identity) == partition);
    }

    fn heal_later(&mut self, heal: Heal, (low, high): (u64, u64)) {
        let delay = self.dice.millis(low, high);
        self.queue.push(self.now + delay, Event::Heal(heal));
    }

    /// Mends something.
    pub(crate) fn heal(&mut self, heal: Heal) {
        match heal {
            Heal::Edge(edge) => self.edges[edge].is_up = true,
            Heal::Node(node) => {
                self.nodes[node].is_up = true;
                self.coverage.fault("host restart");
                for partition in self.ring.of(node) {
                    self.give(partition, node);
                }
                for edge in 0..self.edges.len() {
                    self.find_node(edge, node);
                }
            }
            Heal::Pause(node) => {
                for event in self.nodes[node].paused.take().unwrap_or_default() {
                    self.queue.push(self.now, event);
                }
            }
            Heal::Route { edge, node } => {
                if self.cut_routes.remove(&(edge, node)) {
                    self.find_node(edge, node);
                }
            }
            Heal::Stale(node) => self.drop_stale(node),
            Heal::Store => self.store.is_down = false,
        }
    }

    /// Has a node forget what others own.
    fn drop_stale(&mut self, node: usize) {
        let owned = self.ring.of(node);
        let held: Vec<_> = self.nodes[node].parts.keys().copied().collect();
        for partition in held.into_iter().filter(|it| !owned.contains(it)) {
            self.disrupt(partition);
            self.nodes[node].parts.remove(&partition);
            for edge in 0..self.edges.len() {
                self.close_links_of(edge, node, Some(partition));
            }
        }
    }
}
