//! `msg_detailed_info` and `msg_new_detailed_info`: the peer has a message for us that it did not send again.
//!
//! What is known is acknowledged, what isn't is asked for.

use heliogram_tl::mtproto as tl;

use crate::ids::MsgId;
use crate::session::content::Content;
use crate::session::inbox::Known;
use crate::session::{Received, Role, Session};
use crate::side::Client;

impl<S: Role> Session<S> {
    pub(super) fn on_detailed_info(&mut self, announced: i64, it: Received) {
        match self.inbox.known(MsgId(announced)) {
            Known::Received(_) => self.acks.push(MsgId(announced), it.now.mono),
            Known::New | Known::Forgotten => {
                let wanted = Content::Wanted(vec![MsgId(announced)]);
                self.outbox.push(Some(it.link), wanted);
            }
        }
    }
}

impl Session<Client> {
    /// `msg_detailed_info` announces the answer to a call. If nobody waits for it, it need not come.
    pub(super) fn on_answer_announced(&mut self, message: &tl::MsgDetailedInfo, it: Received) {
        if self.outbox.carries_call(MsgId(message.msg_id)) {
            self.on_detailed_info(message.answer_msg_id, it);
        } else {
            self.acks.push(MsgId(message.answer_msg_id), it.now.mono);
        }
    }
}
