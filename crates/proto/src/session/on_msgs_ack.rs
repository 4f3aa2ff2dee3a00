//! `msgs_ack`: the peer has these messages.

use heliogram_tl::mtproto as tl;

use crate::ids::MsgId;
use crate::session::{Role, Session};

impl<S: Role> Session<S> {
    /// Identifiers that nobody waits for are left alone: an acknowledgement may come twice, or late.
    pub(super) fn on_msgs_ack(&mut self, message: &tl::MsgsAck<'_>) {
        for id in &message.msg_ids {
            self.outbox.acknowledge::<S>(MsgId(id));
        }
    }
}
