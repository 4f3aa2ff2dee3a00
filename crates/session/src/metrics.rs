//! What the session host tells its operator.

use heliogram_ports::metrics::{Measured, Meter, Metric};
use heliogram_proto::host::{Census, Tally};
use heliogram_proto::session::BadMsg;

use crate::local::LocalPort;
use crate::shard::Counts;

impl Measured for LocalPort {
    /// Visits each shard's lock once, for a time that grows with the number of its sessions.
    fn measure(&self, meter: &mut dyn Meter) {
        let (mut sessions, mut calls_running) = (0, 0);
        let (mut tally, mut counts) = (Tally::default(), Counts::default());
        let mut most = Census::default();
        for shard in &self.inner.shards {
            let measures = shard.measure();
            sessions += number(measures.sessions);
            calls_running += number(measures.calls_running);
            tally += measures.tally;
            counts.add_all(&measures.counts);
            most.raise_to(&measures.census);
        }
        meter.level(SESSIONS, sessions);
        meter.level(LINKS, number(self.inner.links.len()));
        meter.level(CALLS_RUNNING, calls_running);
        measure_most(&most, meter);
        measure_calls(&counts, meter);
        measure_tally(&tally, meter);
    }
}

fn measure_most(most: &Census, meter: &mut dyn Meter) {
    meter.level(QUEUED_MOST, number(most.queued));
    meter.level(UNACKED_MOST, number(most.unacked));
    meter.level(UNACKED_BYTES_MOST, number(most.unacked_bytes));
    meter.level(CALLS_MOST, number(most.calls));
}

fn measure_calls(counts: &Counts, meter: &mut dyn Meter) {
    meter.count(CALLS, counts.calls);
    let outcomes = [
        ("result", counts.results),
        ("error", counts.errors),
        ("cancelled", counts.cancelled),
    ];
    meter.counts(ANSWERS, "outcome", &outcomes);
    meter.times(CALL_SECONDS, &counts.times);
}

fn measure_tally(tally: &Tally, meter: &mut dyn Meter) {
    meter.count(FRAMES, tally.frames);
    meter.count(DUPLICATES, tally.duplicates);
    let codes = BadMsg::ALL.map(|error| error.code().to_string());
    let refused = codes.iter().map(String::as_str).zip(tally.refused);
    meter.counts(REFUSED, "code", &refused.collect::<Vec<_>>());
    meter.count(SENT, tally.sent);
    meter.count(RESENT, tally.resent);
    let updates = [
        ("queued", tally.updates),
        ("dropped", tally.updates_dropped),
    ];
    meter.counts(UPDATES, "outcome", &updates);
    meter.count(SESSIONS_BEGUN, tally.sessions);
}

fn number(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const SESSIONS: Metric = Metric {
    name: "session_sessions",
    help: "Sessions that are kept",
};
const LINKS: Metric = Metric {
    name: "session_links",
    help: "Connections that the host knows",
};
const CALLS_RUNNING: Metric = Metric {
    name: "session_calls_running",
    help: "Calls that the backend has not answered",
};
const QUEUED_MOST: Metric = Metric {
    name: "session_queued_messages_most",
    help: "The most messages of one session that wait for a connection",
};
const UNACKED_MOST: Metric = Metric {
    name: "session_unacknowledged_messages_most",
    help: "The most messages of one session that wait to be acknowledged",
};
const UNACKED_BYTES_MOST: Metric = Metric {
    name: "session_unacknowledged_most_bytes",
    help: "The most bytes of one session that wait to be acknowledged",
};
const CALLS_MOST: Metric = Metric {
    name: "session_calls_running_most",
    help: "The most calls of one session that run",
};
const CALLS: Metric = Metric {
    name: "session_calls",
    help: "Calls that were handed to the backend",
};
const ANSWERS: Metric = Metric {
    name: "session_answers",
    help: "What became of calls",
};
const CALL_SECONDS: Metric = Metric {
    name: "session_call_seconds",
    help: "From handing a call out to its answer",
};
const FRAMES: Metric = Metric {
    name: "session_frames",
    help: "Outer messages that came",
};
const DUPLICATES: Metric = Metric {
    name: "session_duplicates",
    help: "Messages that had been received before",
};
const REFUSED: Metric = Metric {
    name: "session_refused_messages",
    help: "Messages that were refused, by the code of bad_msg_notification; 48 is a bad salt",
};
const SENT: Metric = Metric {
    name: "session_sent_messages",
    help: "Outer messages that were sent",
};
const RESENT: Metric = Metric {
    name: "session_resent_messages",
    help: "Messages that were sent again because nobody had acknowledged them",
};
const UPDATES: Metric = Metric {
    name: "session_updates",
    help: "Updates by session: queued, or dropped because the queue was full",
};
const SESSIONS_BEGUN: Metric = Metric {
    name: "session_begun_sessions",
    help: "Sessions that were begun",
};
