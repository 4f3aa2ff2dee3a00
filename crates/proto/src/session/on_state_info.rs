//! `msgs_state_info`: what became of the calls that a client has asked about.

use heliogram_tl::mtproto as tl;

use crate::ids::MsgId;
use crate::session::client::Ask;
use crate::session::on_states::{ANSWERED, RECEIVED, TOO_HIGH, UNKNOWN, WHICH};
use crate::session::{Malformed, Session};
use crate::side::Client;

impl Session<Client> {
    /// What the server lacks is sent again as it was: if it has run and was forgotten, the server says so. What the
    /// server has answered is asked for.
    ///
    /// An answer to `msg_resend_req` or `msg_resend_ans_req` says that something is not kept: nobody waits for that.
    pub(super) fn on_msgs_state_info(
        &mut self,
        message: &tl::MsgsStateInfo<'_>,
    ) -> Result<(), Malformed> {
        let is_states = |ask: &Ask| matches!(ask, Ask::States { .. });
        let asked = self.outbox.take_asked(MsgId(message.req_msg_id), is_states);
        let Some(Ask::States { calls, .. }) = asked else {
            return Ok(());
        };
        if calls.len() != message.info.len() {
            return Err(Malformed);
        }
        self.state.refusals = 0;
        let mut answered = Vec::new();
        for (id, state) in calls.into_iter().zip(message.info) {
            match state & WHICH {
                RECEIVED if state & ANSWERED != 0 && self.outbox.carries_call(id) => {
                    answered.push(id);
                }
                RECEIVED => {}
                UNKNOWN..=TOO_HIGH => {
                    self.outbox.resend(id, None);
                }
                _ => return Err(Malformed),
            }
        }
        self.want_answers(&answered);
        Ok(())
    }
}
