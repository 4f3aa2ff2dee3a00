//! How full the queues of a host are: for its operator, and for whoever checks that they keep to their limits.

use crate::host::Host;

/// The most that any session or identity of a host holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Sessions of one identity.
    pub sessions: usize,
    /// Connections of one session.
    pub links: usize,
    /// Calls of one session that run.
    pub calls: usize,
    /// Identifiers that one session remembers.
    pub received_ids: usize,
    /// Messages of one session that wait for a connection.
    pub queued: usize,
    /// Messages of one session that wait to be acknowledged.
    pub unacked: usize,
    /// Bytes of the messages of one session that wait to be acknowledged.
    pub unacked_bytes: usize,
}

impl Census {
    /// Takes the greater of each.
    pub fn raise_to(&mut self, other: &Self) {
        self.sessions = self.sessions.max(other.sessions);
        self.links = self.links.max(other.links);
        self.calls = self.calls.max(other.calls);
        self.received_ids = self.received_ids.max(other.received_ids);
        self.queued = self.queued.max(other.queued);
        self.unacked = self.unacked.max(other.unacked);
        self.unacked_bytes = self.unacked_bytes.max(other.unacked_bytes);
    }
}

impl Host {
    /// Counts what its sessions hold. Takes time with their number.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut most = Census::default();
        for owned in self.identities.values() {
            for entry in owned.entries() {
                let (unacked, unacked_bytes) = entry.session.unacked();
                most.raise_to(&Census {
                    sessions: owned.sessions(),
                    links: entry.links().count(),
                    calls: entry.session.running_calls().count(),
                    received_ids: entry.session.received_ids(),
                    queued: entry.session.queued(),
                    unacked,
                    unacked_bytes,
                });
            }
        }
        most
    }
}
