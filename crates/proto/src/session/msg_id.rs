//! Message identifiers: making them, and what a receiver demands of them.
//!
//! An identifier is Unix time times 2^32. It grows strictly within a session, also when the wall clock steps back.
//!
//! Source: <https://core.telegram.org/mtproto/description#message-identifier-msg-id>.

use crate::crossing::crosses;
use crate::cx::Unix;
use crate::ids::MsgId;
use crate::limits::{MSG_AGE_S_MAX, MSG_SKEW_S_MAX};
use crate::session::bad_msg::BadMsg;
use crate::side::Side;

/// Makes the identifiers of one sender in one session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Generator {
    last: i64,
}

impl Generator {
    /// Returns an identifier above all earlier ones, with the given low two bits.
    pub(crate) fn next(&mut self, now: Unix, low_bits: i64) -> MsgId {
        let above_last = (self.last & !LOW_BITS).saturating_add(LOW_BITS + 1);
        let id = at(now).0.max(above_last) | low_bits;
        self.last = id;
        MsgId(id)
    }

    /// Makes all later identifiers greater than `id`.
    pub(crate) fn raise_to(&mut self, id: MsgId) {
        self.last = self.last.max(id.0);
    }

    /// Returns the greatest identifier so far, zero if there is none.
    pub(crate) const fn last(&self) -> MsgId {
        MsgId(self.last)
    }
}

crosses!(Generator { last });

/// Returns the identifier of this very moment, low bits zero.
pub(crate) fn at(now: Unix) -> MsgId {
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let fraction = i64::try_from(now.subsec_nanos() << 2).unwrap_or(0);
    MsgId(seconds.checked_shl(32).unwrap_or(i64::MAX) | fraction)
}

/// Returns the Unix time in seconds that an identifier names.
pub(crate) const fn seconds(id: MsgId) -> u64 {
    id.0.cast_unsigned() >> 32
}

/// Tells whether `S` may receive an identifier with these low bits.
pub(crate) fn check_low_bits<S: Side>(id: MsgId) -> Result<(), BadMsg> {
    if S::Peer::may_send(id.0 & LOW_BITS) {
        Ok(())
    } else {
        Err(BadMsg::IdLowBits)
    }
}

/// Checks that an identifier is fresh.
///
/// `now_s` is the receiver's Unix time in seconds, already corrected for known skew.
///
/// # Errors
///
/// - [`BadMsg::IdTooHigh`] when it is more than [`MSG_SKEW_S_MAX`] ahead of `now_s`.
/// - [`BadMsg::IdTooLow`] when it is more than [`MSG_AGE_S_MAX`] behind.
pub(crate) fn check_age(id: MsgId, now_s: u64) -> Result<(), BadMsg> {
    let at_s = seconds(id);
    if at_s > now_s.saturating_add(MSG_SKEW_S_MAX) {
        return Err(BadMsg::IdTooHigh);
    }
    if at_s < now_s.saturating_sub(MSG_AGE_S_MAX) {
        return Err(BadMsg::IdTooLow);
    }
    Ok(())
}

const LOW_BITS: i64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_made_as_the_vectors_say() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../testdata/vectors/msg_id_seqno.json"
        );
        let vectors: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for case in vectors["generation"].as_array().unwrap() {
            let (seconds, nanos) = case["now"].as_str().unwrap().split_once('.').unwrap();
            let seconds = Unix::from_seconds(seconds.parse().unwrap());
            let now = Unix(seconds.0 + nanos.parse::<u64>().unwrap());
            let id = Generator::default().next(now, 0);
            assert_eq!(id.0.to_string(), case["msg_id"].as_str().unwrap());
        }
    }

    #[test]
    fn identifiers_rise_also_when_the_clock_stands_still_or_steps_back() {
        let mut ids = Generator::default();
        let mut last = MsgId(0);
        for now_s in [100, 100, 100, 99, 3, 100, 101] {
            for low_bits in [1, 3, 1, 0, 3] {
                let id = ids.next(Unix::from_seconds(now_s), low_bits);
                assert!(id > last);
                assert_eq!(id.0 & 3, low_bits);
                last = id;
            }
        }
        assert_eq!(seconds(last), 101);
    }

    #[test]
    fn identifiers_go_on_above_what_they_are_raised_to() {
        let mut ids = Generator::default();
        ids.raise_to(MsgId(1003));
        assert_eq!(ids.next(Unix(0), 1), MsgId(1005));
    }
}
