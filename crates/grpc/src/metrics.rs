//! What the listeners of a process count together, whatever they serve.

use std::sync::Arc;
use std::time::Duration;

use heliogram_ports::metrics::{Count, Level, Measured, Meter, Metric, SharedTimes};

/// What the listeners of a process have counted. All of them share one: see [`Server::counted`](crate::Server::counted).
#[derive(Debug, Default)]
pub struct ServerCounts {
    pub(crate) connections: Arc<Level>,
    pub(crate) opened: Count,
    pub(crate) handshakes: Arc<Level>,
    pub(crate) handshakes_failed: Count,
    pub(crate) refused_requests: Count,
    pub(crate) keys: KeyCounts,
    pub(crate) pushes: PushCounts,
}

/// What was asked of keys.
#[derive(Debug, Default)]
pub(crate) struct KeyCounts {
    present: Count,
    absent: Count,
    stored: Count,
    duplicate: Count,
    unavailable: Count,
    times: SharedTimes,
}

/// What an answer about a key was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyAnswer {
    Present,
    Absent,
    Stored,
    Duplicate,
    Unavailable,
}

/// What backends have pushed.
#[derive(Debug, Default)]
pub(crate) struct PushCounts {
    pub(crate) streams: Arc<Level>,
    pub(crate) taken: Count,
    pub(crate) refused: Count,
    pub(crate) users: Count,
}

impl KeyCounts {
    /// Takes note of an answer, and how long it took.
    pub(crate) fn answered(&self, answer: KeyAnswer, time: Duration) {
        match answer {
            KeyAnswer::Present => &self.present,
            KeyAnswer::Absent => &self.absent,
            KeyAnswer::Stored => &self.stored,
            KeyAnswer::Duplicate => &self.duplicate,
            KeyAnswer::Unavailable => &self.unavailable,
        }
        .add_one();
        self.times.add(time);
    }
}

impl Measured for ServerCounts {
    fn measure(&self, meter: &mut dyn Meter) {
        meter.level(CONNECTIONS, self.connections.load());
        meter.count(OPENED, self.opened.load());
        meter.level(HANDSHAKES, self.handshakes.load());
        meter.count(HANDSHAKES_FAILED, self.handshakes_failed.load());
        meter.count(REFUSED_REQUESTS, self.refused_requests.load());
        let keys = [
            ("present", self.keys.present.load()),
            ("absent", self.keys.absent.load()),
            ("stored", self.keys.stored.load()),
            ("duplicate", self.keys.duplicate.load()),
            ("unavailable", self.keys.unavailable.load()),
        ];
        meter.counts(KEY_QUESTIONS, "outcome", &keys);
        meter.times(KEY_SECONDS, &self.keys.times.load());
        meter.level(PUSH_STREAMS, self.pushes.streams.load());
        let pushes = [
            ("taken", self.pushes.taken.load()),
            ("refused", self.pushes.refused.load()),
        ];
        meter.counts(PUSHES, "outcome", &pushes);
        meter.count(USERS, self.pushes.users.load());
    }
}

const CONNECTIONS: Metric = Metric {
    name: "grpc_connections",
    help: "Connections of other processes that are open",
};
const OPENED: Metric = Metric {
    name: "grpc_opened_connections",
    help: "Connections of other processes that were taken",
};
const HANDSHAKES: Metric = Metric {
    name: "grpc_tls_handshakes_running",
    help: "Connections that have yet to show a certificate",
};
const HANDSHAKES_FAILED: Metric = Metric {
    name: "grpc_failed_tls_handshakes",
    help: "Connections that have shown no certificate of our authority, or not in time",
};
const REFUSED_REQUESTS: Metric = Metric {
    name: "grpc_refused_requests",
    help: "Requests by processes whose certificate names another role",
};
const KEY_QUESTIONS: Metric = Metric {
    name: "keys_questions",
    help: "Questions of gateways about keys, by what the store said",
};
const KEY_SECONDS: Metric = Metric {
    name: "keys_question_seconds",
    help: "From a gateway's question about a key to its answer",
};
const PUSH_STREAMS: Metric = Metric {
    name: "push_streams",
    help: "Streams by which backends push",
};
const PUSHES: Metric = Metric {
    name: "push_pushes",
    help: "Pushes by backends: taken, or refused because they broke the contract",
};
const USERS: Metric = Metric {
    name: "push_users",
    help: "Keys of which backends have said who has logged in",
};
