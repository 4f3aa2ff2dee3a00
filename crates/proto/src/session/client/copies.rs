//! Messages about single messages: which one carries a call, sending it once more, wanting one of the server's again.

use crate::cx::Cx;
use crate::envelope::Header;
use crate::ids::MsgId;
use crate::limits::MSG_IDS_MAX;
use crate::session::content::Content;
use crate::session::{Outgoing, Session};
use crate::side::Client;

impl Session<Client> {
    /// Returns the message that carries a call, once it was sent: what `invokeAfterMsg` names. A refusal may have it sent
    /// in another one.
    #[must_use]
    pub fn message_of(&self, call: u64) -> Option<MsgId> {
        self.outbox.sent_call(call)
    }

    /// Appends a second copy of a sent call within a `msg_copy`, which goes alone. Returns `false` if no such call waits
    /// for its answer.
    pub fn drain_copy(&mut self, call: u64, cx: &mut Cx<'_, Outgoing>) -> bool {
        let now = self.state.clock.now(cx.now);
        let Some(copy) = self.outbox.copy_of(call, now) else {
            return false;
        };
        let header = Header {
            salt: self.state.salts.current(now.unix.seconds()),
            session_id: self.id,
            msg_id: copy.msg_id,
            seqno: copy.seqno,
        };
        cx.out.push(Outgoing {
            header,
            body: copy.body,
        });
        true
    }

    /// Queues a wish to have some of the server's messages again: the last `count` that arrived. They are known as second
    /// copies when they come.
    pub fn want_again(&mut self, count: usize) {
        let ids = self.inbox.last(count.min(MSG_IDS_MAX));
        if !ids.is_empty() {
            self.outbox.push(None, Content::Wanted(ids));
        }
    }
}
