//! `msg_resend_req` and `msg_resend_ans_req`: the peer wants messages again, on the connection that asked.
//!
//! If one of them is not kept, the answer is `msgs_state_info` for all, as the protocol says.

use std::collections::BTreeSet;

use heliogram_tl::mtproto as tl;

use crate::ids::MsgId;
use crate::session::{Received, Role, Session};

impl<S: Role> Session<S> {
    pub(super) fn on_msg_resend_req(&mut self, message: &tl::MsgResendReq<'_>, it: Received) {
        let mut all_known = true;
        for id in &message.msg_ids {
            all_known &= self.outbox.resend(MsgId(id), Some(it.link));
        }
        if !all_known {
            self.answer_with_states(message.msg_ids.iter(), it);
        }
    }

    pub(super) fn on_msg_resend_ans_req(
        &mut self,
        message: &tl::MsgResendAnsReq<'_>,
        it: Received,
    ) {
        let wanted: BTreeSet<_> = message.msg_ids.iter().map(MsgId).collect();
        let answered = self.outbox.answered();
        let all_known = wanted.iter().all(|id| answered.binary_search(id).is_ok());
        self.outbox.resend_where(Some(it.link), |sent| {
            sent.content
                .answers()
                .is_some_and(|call| wanted.contains(&call))
        });
        if !all_known {
            self.answer_with_states(message.msg_ids.iter(), it);
        }
    }
}
