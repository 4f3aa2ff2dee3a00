//! `msgs_state_req` is answered by `msgs_state_info`; `msgs_all_info` says the same of our messages unasked.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages_about_messages#request-for-message-status-information>.

use heliogram_tl::mtproto as tl;

use crate::ids::MsgId;
use crate::session::inbox::Known;
use crate::session::{Malformed, Received, Role, Session};

/// What is looked up for each of the identifiers that a peer asks about: both in order, because it may ask about
/// thousands.
#[derive(Debug)]
pub(super) struct Standing {
    /// The calls whose answers are kept.
    answered: Vec<MsgId>,
    /// The messages whose acknowledgements wait.
    unacked: Vec<MsgId>,
}

impl<S: Role> Session<S> {
    /// What [`Self::state_of`] looks up.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            answered: self.outbox.answered(),
            unacked: self.acks.sorted(),
        }
    }

    pub(super) fn on_msgs_state_req(&mut self, message: &tl::MsgsStateReq<'_>, it: Received) {
        self.answer_with_states(message.msg_ids.iter(), it);
    }

    /// Answers with one byte for each identifier, in order.
    pub(super) fn answer_with_states(&mut self, ids: impl Iterator<Item = i64>, it: Received) {
        let known = self.standing();
        let info: Vec<u8> = ids.map(|id| self.state_of(MsgId(id), &known)).collect();
        self.answer(
            it,
            &tl::MsgsStateInfo {
                req_msg_id: it.msg_id.0,
                info: &info,
            },
        );
    }

    /// Takes a byte of 4 as an acknowledgement and sends again what the peer says it lacks.
    pub(super) fn on_msgs_all_info(
        &mut self,
        message: &tl::MsgsAllInfo<'_>,
        it: Received,
    ) -> Result<(), Malformed> {
        if message.msg_ids.len() != message.info.len() {
            return Err(Malformed);
        }
        for (id, state) in message.msg_ids.iter().zip(message.info) {
            match state & WHICH {
                RECEIVED => {
                    self.outbox.acknowledge::<S>(MsgId(id));
                }
                UNKNOWN..=TOO_HIGH => {
                    self.outbox.resend(MsgId(id), Some(it.link));
                }
                _ => return Err(Malformed),
            }
        }
        Ok(())
    }

    pub(super) fn state_of(&self, id: MsgId, known: &Standing) -> u8 {
        match self.inbox.known(id) {
            Known::Received(seqno) => {
                if let Some(runs) = S::state_of_call(&self.state, id) {
                    return RECEIVED | runs;
                }
                let is_unacked = known.unacked.binary_search(&id).is_ok();
                let acked = match (seqno.is_content_related(), is_unacked) {
                    (false, _) => NEEDS_NO_ACK,
                    (true, false) => ACKED,
                    (true, true) => 0,
                };
                let is_answered = known.answered.binary_search(&id).is_ok();
                let answered = if is_answered {
                    RUNS_OR_DONE | ANSWERED
                } else {
                    0
                };
                RECEIVED | acked | answered
            }
            Known::Forgotten => UNKNOWN,
            Known::New if id > self.inbox.highest() => TOO_HIGH,
            Known::New => NOT_RECEIVED,
        }
    }
}

pub(super) const WHICH: u8 = 7;
pub(super) const UNKNOWN: u8 = 1;
const NOT_RECEIVED: u8 = 2;
pub(super) const TOO_HIGH: u8 = 3;
pub(super) const RECEIVED: u8 = 4;
pub(super) const ACKED: u8 = 8;
const NEEDS_NO_ACK: u8 = 16;
pub(super) const RUNS_OR_DONE: u8 = 32;
pub(super) const ANSWERED: u8 = 64;
