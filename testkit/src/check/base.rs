//! Memory: when all is said and everybody has gone, nothing is left.

use crate::world::World;

impl World {
    /// Has all clients leave for good.
    pub(crate) fn retire(&mut self) {
        self.stranger_leaves();
        for client in &mut self.clients {
            client.is_retired = true;
        }
        self.hang_up_all();
    }

    /// Has all clients end their connections.
    pub(crate) fn hang_up_all(&mut self) {
        for client in 0..self.clients.len() {
            let conns: Vec<_> = self.clients[client].conns.iter().map(|it| it.id).collect();
            for conn in conns {
                self.client_leaves(client, conn);
            }
        }
    }

    /// Looks for what is left of the clients that have left.
    pub(crate) fn check_base(&mut self) {
        for edge in 0..self.edges.len() {
            let (links, keys) = (self.edges[edge].links.len(), self.edges[edge].cache.len());
            if links > 0 {
                let detail = format!("edge {edge} has {links} links");
                self.checks.fail("no link outlives its connection", detail);
            }
            let now = self.now;
            self.edges[edge].cache.handle_deadline(now);
            if !self.edges[edge].cache.is_empty() {
                let detail = format!("edge {edge} has {keys} keys");
                self.checks.fail("a key that nobody uses is let go", detail);
            }
        }
        for node in 0..self.nodes.len() {
            for (partition, mut part) in std::mem::take(&mut self.nodes[node].parts) {
                let (sessions, calls) = (part.host.sessions(), part.host.calls_running());
                let freed =
                    allocation_counter::measure(|| part = crate::node::Part::new(part.host.term()));
                let held = freed.bytes_current.unsigned_abs();
                let base = BASE_BYTES + DESTROYED_BYTES * self.store.destroyed;
                if sessions > 0 || calls > 0 || held > base {
                    let detail = format!(
                        "node {node} partition {partition}: {sessions} sessions, {calls} calls, {held} bytes"
                    );
                    self.checks.fail("memory returns to its base", detail);
                }
            }
        }
    }
}

/// What a host may hold of a key that was destroyed: it refuses it for a day.
const DESTROYED_BYTES: u64 = 128;
/// What a host that has forgotten everybody may still hold.
const BASE_BYTES: u64 = 8_192;
