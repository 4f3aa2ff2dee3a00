//! What hosts hold stays within the limits that the product states.

use heliogram_proto::host::Census;
use heliogram_proto::limits::{
    CALLS_RUNNING_MAX, LINKS_PER_SESSION_MAX, PUSHES_UNACKED_BYTES_MAX, PUSHES_UNACKED_MAX,
    QUEUED_MESSAGES_MAX, RECEIVED_IDS_MAX, SESSIONS_PER_IDENTITY_MAX, UNACKED_BYTES_MAX,
    UNACKED_MESSAGES_MAX,
};

use crate::world::World;

impl World {
    /// Looks at all hosts now and then.
    pub(crate) fn check_limits(&mut self) {
        if !self.steps.is_multiple_of(LOOK_EVERY) {
            return;
        }
        let hosts = self.nodes.iter().flat_map(|node| node.parts.values());
        let censuses: Vec<_> = hosts.map(|part| part.host.census()).collect();
        for census in censuses {
            if let Some(what) = over(&census) {
                self.checks.fail(
                    "queues stay within their limits",
                    format!("{what}: {census:?}"),
                );
            }
        }
    }
}

/// Names what is over its limit.
fn over(census: &Census) -> Option<&'static str> {
    let limits = [
        (
            "sessions of an identity",
            census.sessions,
            SESSIONS_PER_IDENTITY_MAX,
        ),
        ("links of a session", census.links, LINKS_PER_SESSION_MAX),
        ("calls of a session", census.calls, CALLS_RUNNING_MAX),
        (
            "remembered identifiers",
            census.received_ids,
            RECEIVED_IDS_MAX,
        ),
        // A frame whose answers flood a session is handled to its end.
        (
            "queued messages",
            census.queued,
            QUEUED_MESSAGES_MAX + FRAME_MESSAGES,
        ),
        (
            "unacknowledged messages",
            census.unacked,
            UNACKED_MESSAGES_MAX + PUSHES_UNACKED_MAX,
        ),
        // The newest message is kept whatever its size.
        (
            "unacknowledged bytes",
            census.unacked_bytes,
            UNACKED_BYTES_MAX + PUSHES_UNACKED_BYTES_MAX + ANSWER_BYTES,
        ),
    ];
    let mut over = limits.into_iter().filter(|&(_, held, most)| held > most);
    over.next().map(|(what, ..)| what)
}

/// Events between two looks.
const LOOK_EVERY: u64 = 50;
/// Messages that one frame may bring.
const FRAME_MESSAGES: usize = 1024;
/// Of the greatest answer that a simulated call asks for.
const ANSWER_BYTES: usize = 1 << 20;
