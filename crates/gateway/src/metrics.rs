//! What the gateway tells its operator.

use std::array;

use heliogram_ports::metrics::{Count, Meter, Metric, SharedTimes};
use heliogram_proto::edge::exchanges::StoreOutcome;
use heliogram_proto::edge::keys::KeyOutcome;
use heliogram_proto::edge::limiter::Refused;
use heliogram_proto::link::Cause;

use crate::edge::Edge;

/// What the connections of a gateway have counted together.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) opened: Count,
    pub(crate) received_bytes: Count,
    pub(crate) frames: Count,
    pub(crate) handshakes: Count,
    pub(crate) handshakes_refused: Count,
    pub(crate) store_seconds: SharedTimes,
    pub(crate) look_up_seconds: SharedTimes,
    closed: [Count; REASONS.len()],
    refused: [Count; 3],
    codes: [Count; CODES.len() + 1],
    looked_up: [Count; 3],
    stored: [Count; 3],
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The link said so.
    Link(Cause),
    /// The peer closed it.
    Peer,
    /// The socket failed.
    Broken,
    /// The peer reads too slowly.
    SlowReader,
    /// The client that a proxy announced is beyond the limits.
    Limits,
    /// The gateway shuts down.
    Shutdown,
}

impl Counts {
    pub(crate) fn closed(&self, reason: Reason) {
        let name = reason.name();
        let at = REASONS.iter().position(|it| *it == name);
        if let Some(count) = at.and_then(|at| self.closed.get(at)) {
            count.add_one();
        }
    }

    pub(crate) fn refused(&self, why: Option<Refused>) {
        let [not_a_proxy, address, total] = &self.refused;
        match why {
            None => not_a_proxy,
            Some(Refused::Address) => address,
            Some(_) => total,
        }
        .add_one();
    }

    pub(crate) fn code(&self, code: i32) {
        let at = CODES.iter().position(|(it, _)| *it == code);
        if let Some(count) = self.codes.get(at.unwrap_or(CODES.len())) {
            count.add_one();
        }
    }

    pub(crate) fn looked_up(&self, outcome: &KeyOutcome) {
        let [present, absent, unavailable] = &self.looked_up;
        match outcome {
            KeyOutcome::Present(_) => present,
            KeyOutcome::Absent => absent,
            KeyOutcome::Unavailable => unavailable,
        }
        .add_one();
    }

    pub(crate) fn stored(&self, outcome: StoreOutcome) {
        let [stored, duplicate, unavailable] = &self.stored;
        match outcome {
            StoreOutcome::Stored => stored,
            StoreOutcome::Duplicate => duplicate,
            StoreOutcome::Unavailable => unavailable,
        }
        .add_one();
    }
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Link(cause) => match cause {
                Cause::DetectTimeout => "no_transport",
                Cause::Exchange => "exchange",
                Cause::FrameTimeout => "slow_frame",
                Cause::HandshakeTimeout => "no_key",
                Cause::Host => "host",
                Cause::Idle => "idle",
                Cause::InvalidMessage => "invalid_message",
                Cause::KeyAbsent => "key_absent",
                Cause::KeyUnavailable => "key_unavailable",
                Cause::TooMuch => "too_much",
                Cause::Transport(_) => "transport",
                _ => "other",
            },
            Self::Peer => "peer",
            Self::Broken => "broken",
            Self::SlowReader => "slow_reader",
            Self::Limits => "limits",
            Self::Shutdown => "shutdown",
        }
    }
}

impl Edge {
    /// Says all numbers of this gateway.
    pub(crate) fn measure(&self, meter: &mut dyn Meter) {
        let counts = &self.counts;
        meter.level(CONNECTIONS, number(self.links.len()));
        meter.count(OPENED, counts.opened.load());
        meter.counts(REFUSED, "reason", &named(REFUSALS, &counts.refused));
        meter.counts(CLOSED, "reason", &named(REASONS, &counts.closed));
        let codes = array::from_fn(|at| CODES.get(at).map_or("other", |(_, name)| name));
        meter.counts(
            CODES_SENT,
            "code",
            &named::<{ CODES.len() + 1 }>(codes, &counts.codes),
        );
        meter.count(RECEIVED_BYTES, counts.received_bytes.load());
        meter.count(FRAMES, counts.frames.load());
        self.measure_handshakes(meter);
        self.measure_keys(meter);
    }

    fn measure_handshakes(&self, meter: &mut dyn Meter) {
        let counts = &self.counts;
        meter.count(HANDSHAKES, counts.handshakes.load());
        meter.count(HANDSHAKES_REFUSED, counts.handshakes_refused.load());
        meter.level(HANDSHAKES_OPEN, number(self.exchanges_len()));
        meter.level(STEPS_WAITING, number(self.steps_waiting()));
        meter.counts(KEYS_STORED, "outcome", &named(STORED, &counts.stored));
        meter.times(STORE_SECONDS, &counts.store_seconds.load());
    }

    fn measure_keys(&self, meter: &mut dyn Meter) {
        let counts = &self.counts;
        meter.level(KEYS, number(self.cache.lock().len()));
        meter.counts(LOOKED_UP, "outcome", &named(FOUND, &counts.looked_up));
        meter.times(LOOK_UP_SECONDS, &counts.look_up_seconds.load());
    }
}

/// Pairs names with what was counted under them.
fn named<const N: usize>(
    names: [&'static str; N],
    counts: &[Count; N],
) -> Vec<(&'static str, u64)> {
    names
        .into_iter()
        .zip(counts.iter().map(Count::load))
        .collect()
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const REASONS: [&str; 17] = [
    "no_transport",
    "exchange",
    "slow_frame",
    "no_key",
    "host",
    "idle",
    "invalid_message",
    "key_absent",
    "key_unavailable",
    "too_much",
    "transport",
    "other",
    "peer",
    "broken",
    "slow_reader",
    "limits",
    "shutdown",
];

const REFUSALS: [&str; 3] = ["not_a_proxy", "address", "total"];

const CODES: [(i32, &str); 3] = [(-404, "-404"), (-429, "-429"), (-444, "-444")];

const FOUND: [&str; 3] = ["present", "absent", "unavailable"];

const STORED: [&str; 3] = ["stored", "duplicate", "unavailable"];

const CONNECTIONS: Metric = Metric {
    name: "gateway_connections",
    help: "Connections that are open",
};
const OPENED: Metric = Metric {
    name: "gateway_opened_connections",
    help: "Connections that were admitted",
};
const REFUSED: Metric = Metric {
    name: "gateway_refused_connections",
    help: "Connections that were not admitted",
};
const CLOSED: Metric = Metric {
    name: "gateway_closed_connections",
    help: "Connections that have ended, and why",
};
const CODES_SENT: Metric = Metric {
    name: "gateway_transport_errors",
    help: "Codes that clients were told in place of a message",
};
const RECEIVED_BYTES: Metric = Metric {
    name: "gateway_received_bytes",
    help: "Bytes that were read from clients",
};
const FRAMES: Metric = Metric {
    name: "gateway_frames",
    help: "Authentic messages that were handed to the session host",
};
const HANDSHAKES: Metric = Metric {
    name: "gateway_handshakes",
    help: "Key exchanges that clients have begun",
};
const HANDSHAKES_REFUSED: Metric = Metric {
    name: "gateway_refused_handshakes",
    help: "Key exchanges that were too many for their address",
};
const HANDSHAKES_OPEN: Metric = Metric {
    name: "gateway_handshakes_open",
    help: "Key exchanges that are under way or remembered",
};
const STEPS_WAITING: Metric = Metric {
    name: "gateway_handshake_steps_waiting",
    help: "Steps of key exchanges that wait for a worker thread",
};
const KEYS_STORED: Metric = Metric {
    name: "gateway_stored_keys",
    help: "What became of keys that were made",
};
const STORE_SECONDS: Metric = Metric {
    name: "gateway_key_store_seconds",
    help: "From asking for a key to be kept to the answer",
};
const KEYS: Metric = Metric {
    name: "gateway_keys",
    help: "Keys in the cache",
};
const LOOKED_UP: Metric = Metric {
    name: "gateway_key_look_ups",
    help: "Keys that the cache did not hold, by what the store said",
};
const LOOK_UP_SECONDS: Metric = Metric {
    name: "gateway_key_look_up_seconds",
    help: "From asking the store for a key to its answer",
};
