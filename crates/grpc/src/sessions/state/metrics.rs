//! What an operator is told of a gateway's streams.

use heliogram_ports::metrics::{Meter, Metric};

use super::State;
use super::peer::Peer;

impl State {
    /// Says all numbers.
    pub(in crate::sessions) fn measure(&self, meter: &mut dyn Meter) {
        let (peers, counts) = (self.peers.values(), &self.counts);
        meter.level(NODES, number(peers.len()));
        let open = peers.clone().filter(|it| it.is_open);
        meter.level(STREAMS, number(open.count()));
        meter.count(OPENED_STREAMS, counts.opened_streams);
        let waiting = peers.clone().map(Peer::waiting_bytes);
        meter.level(WAITING, number(waiting.sum()));
        let unconfirmed = peers.map(Peer::unconfirmed);
        meter.level(UNCONFIRMED, number(unconfirmed.sum()));
        meter.level(PARKED, number(self.parked.len()));
        meter.level(PARKED_BYTES, number(self.parked_bytes));
        meter.level(STALLED, number(self.stalled.len()));
        let closed = [
            ("full", counts.closed_full),
            ("lost", counts.closed_lost),
            ("moved", counts.closed_moved),
            ("no_owner", counts.closed_no_owner),
        ];
        meter.counts(CLOSED, "reason", &closed);
    }
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const NODES: Metric = Metric {
    name: "ring_nodes",
    help: "Session nodes that this gateway speaks to, or tries to",
};
const STREAMS: Metric = Metric {
    name: "ring_streams",
    help: "Of these, the ones to which a stream is open",
};
const OPENED_STREAMS: Metric = Metric {
    name: "ring_opened_streams",
    help: "Streams to session nodes that were opened; one more than there are nodes for each that broke",
};
const WAITING: Metric = Metric {
    name: "ring_waiting_bytes",
    help: "Bytes of frames that wait for their streams",
};
const UNCONFIRMED: Metric = Metric {
    name: "ring_unconfirmed_frames",
    help: "Frames that were sent, and that no host is known to have taken",
};
const PARKED: Metric = Metric {
    name: "ring_parked_frames",
    help: "Frames that wait for an owner, or for the way to it",
};
const PARKED_BYTES: Metric = Metric {
    name: "ring_parked_bytes",
    help: "Bytes of frames that wait for an owner",
};
const STALLED: Metric = Metric {
    name: "ring_stalled_connections",
    help: "Connections that are not read because too much of what they send waits",
};
const CLOSED: Metric = Metric {
    name: "ring_closed_connections",
    help: "Connections that were closed on account of session nodes, and why",
};
