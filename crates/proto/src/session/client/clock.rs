//! What a client knows of the server's clock: identifiers must be of the server's time.
//!
//! It follows a server that is ahead at once, because no identifier is ever made ahead of its time. It steps back only
//! when the server says that ours are wrong, or answers with an identifier far below that of the call.
//!
//! Our own wall clock may be put right, or wrong, at any time. When it has moved otherwise than the monotonic one, either
//! it was stepped or the machine has slept: the server's next message tells which.

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
    /// Our clocks when the server was last heard.
    heard: Option<Now>,
}

impl ServerClock {
    pub(super) const fn new(offset_ns: i64) -> Self {
        Self {
            offset_ns,
            heard: None,
        }
    }

    pub(super) const fn offset_ns(self) -> i64 {
        self.offset_ns
    }

    /// Takes the server's time from an identifier, forwards and backwards.
    pub(super) fn set(&mut self, id: MsgId, local: Now) {
        self.offset_ns = nanos_between(local.unix, id);
    }

    /// Follows a server that is ahead of what we think. Undoes a step of our own clock, if the server's has not made it.
    pub(super) fn raise(&mut self, id: MsgId, local: Now) {
        let server_ns = nanos_between(local.unix, id);
        let unstepped_ns = self.offset_ns.saturating_sub(self.step_ns(local));
        if server_ns.abs_diff(unstepped_ns) < server_ns.abs_diff(self.offset_ns) {
            self.offset_ns = unstepped_ns;
        }
        self.heard = Some(local);
        self.offset_ns = self.offset_ns.max(nanos_between(local.unix, id));
    }

    /// Returns how much farther our wall clock has moved than the monotonic one since the server was last heard; zero
    /// within what clocks are slewed by.
    fn step_ns(&self, local: Now) -> i64 {
        let Some(heard) = self.heard else {
            return 0;
        };
        let moved = i128::from(local.unix.0) - i128::from(heard.unix.0);
        let passed = i128::from(local.mono.0) - i128::from(heard.mono.0);
        let step_ns = i64::try_from(moved - passed).unwrap_or(0);
        if step_ns.unsigned_abs() < STEP_NS_MIN {
            return 0;
        }
        step_ns
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

/// A wall clock is stepped by a second at least; less may be drift that adds up.
const STEP_NS_MIN: u64 = 1_000_000_000;

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

    #[test]
    fn a_step_of_our_own_clock_by_a_second_or_more_is_undone_by_the_servers_next_message() {
        for (step_s, offset_s) in [(600, -600), (1, -1), (-600, 600)] {
            let mut clock = ServerClock::new(0);
            clock.raise(id_at(1000), NOW);
            let stepped = later(5, 5 + step_s);
            clock.raise(id_at(1005), stepped);
            assert_eq!(clock.offset_ns(), offset_s * 1_000_000_000, "{step_s} s");
        }
    }

    #[test]
    fn a_machine_that_has_slept_keeps_what_it_knew_of_the_servers_clock() {
        let mut clock = ServerClock::new(0);
        clock.raise(id_at(1000), NOW);
        clock.raise(id_at(4600), later(1, 3600));
        assert_eq!(clock.offset_ns(), 0);
    }

    #[test]
    fn a_message_that_is_late_is_no_reason_to_set_the_clock_back() {
        let mut clock = ServerClock::new(0);
        clock.raise(id_at(1000), NOW);
        clock.raise(id_at(1000), later(400, 400));
        assert_eq!(clock.offset_ns(), 0);
    }

    /// The time after so many seconds by the monotonic clock, and by the wall clock.
    fn later(mono_s: u64, unix_s: i64) -> Now {
        Now {
            mono: crate::cx::Mono(mono_s * 1_000_000_000),
            unix: Unix::from_seconds(1000_u64.checked_add_signed(unix_s).unwrap()),
        }
    }

    fn id_at(seconds: i64) -> MsgId {
        MsgId(seconds << 32 | 1)
    }
}
