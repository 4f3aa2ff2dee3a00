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

impl Host {
    /// Counts what its sessions hold. Takes time with their number.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut most = Census::default();
        for owned in self.identities.values() {
            most.sessions = most.sessions.max(owned.sessions());
            for entry in owned.entries() {
                let unacked = entry.session.unacked();
                most.links = most.links.max(entry.links().count());
                most.calls = most.calls.max(entry.session.running_calls().count());
                most.received_ids = most.received_ids.max(entry.session.received_ids());
                most.queued = most.queued.max(entry.session.queued());
                most.unacked = most.unacked.max(unacked.0);
                most.unacked_bytes = most.unacked_bytes.max(unacked.1);
            }
        }
        most
    }
}
