//! What a client knows of the server's clock: identifiers must be of the server's time.
//!
//! It follows a server that is ahead at once, because no identifier is ever made ahead of its time. It steps back only
//! when the server says that ours are wrong, or answers with an identifier far below that of the call.

use crate::cx::{Now, Unix};
use crate::ids::MsgId;
use crate::limits::CLOCK_DOUBT_S;
use crate::session::{Session, msg_id};
use crate::side::Client;

impl Session<Client> {
    /// Learns from an answer what time it is at the server.
    pub(in crate::session) fn learn_time(&mut self, call: MsgId, answer: MsgId, local: Now) {
        self.state.clock.compare(call, answer, local);
    }

    /// Takes the server's time from a refusal.
    pub(in crate::session) fn set_time(&mut self, refusal: MsgId, local: Now) {
        self.state.clock.set(refusal, local);
    }
}

/// The server's clock, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerClock {
    /// The server's clock minus ours, in nanoseconds.
    offset_ns: i64,
}

impl ServerClock {
    pub(super) const fn new(offset_ns: i64) -> Self {
        Self { offset_ns }
    }

    pub(super) const fn offset_ns(self) -> i64 {
        self.offset_ns
    }

    /// Takes the server's time from an identifier, forwards and backwards.
    pub(super) fn set(&mut self, id: MsgId, local: Now) {
        self.offset_ns = nanos_between(local.unix, id);
    }

    /// Follows a server that is ahead of what we think.
    pub(super) fn raise(&mut self, id: MsgId, local: Now) {
        self.offset_ns = self.offset_ns.max(nanos_between(local.unix, id));
    }

    /// Learns from the identifier of an answer, which is never made before its call is.
    pub(super) fn compare(&mut self, call: MsgId, answer: MsgId, local: Now) {
        if msg_id::seconds(answer).saturating_add(CLOCK_DOUBT_S) < msg_id::seconds(call) {
            self.set(answer, local);
        }
    }

    /// Returns the time with the server's wall clock.
    pub(super) fn now(self, local: Now) -> Now {
        Now {
            mono: local.mono,
            unix: Unix(local.unix.0.saturating_add_signed(self.offset_ns)),
        }
    }
}

/// Returns the time of an identifier minus a time, in nanoseconds.
fn nanos_between(local: Unix, id: MsgId) -> i64 {
    let fraction_ns = (id.0.cast_unsigned() & 0xffff_ffff) >> 2;
    let server_ns = i128::from(msg_id::seconds(id)) * 1_000_000_000 + i128::from(fraction_ns);
    i64::try_from(server_ns - i128::from(local.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now {
        mono: crate::cx::Mono(0),
        unix: Unix::from_seconds(1000),
    };

    #[test]
    fn an_answer_15_s_below_its_call_says_nothing_and_one_16_s_below_sets_the_clock() {
        let mut clock = ServerClock::new(0);
        clock.compare(id_at(1000), id_at(985), NOW);
        assert_eq!(clock.offset_ns(), 0);
        clock.compare(id_at(1000), id_at(984), NOW);
        assert_eq!(clock.offset_ns(), -16_000_000_000);
    }

    #[test]
    fn the_clock_follows_a_server_that_is_ahead_and_not_one_that_is_behind() {
        let mut clock = ServerClock::new(0);
        clock.raise(id_at(990), NOW);
        assert_eq!(clock.now(NOW).unix, Unix::from_seconds(1000));
        clock.raise(id_at(1010), NOW);
        assert_eq!(clock.now(NOW).unix, Unix::from_seconds(1010));
    }

    fn id_at(seconds: i64) -> MsgId {
        MsgId(seconds << 32 | 1)
    }
}
