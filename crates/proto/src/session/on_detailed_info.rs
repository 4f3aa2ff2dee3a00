//! `msg_detailed_info` and `msg_new_detailed_info`: the peer has a message for us that it did not send again.
//!
//! What is known is acknowledged, what isn't is asked for.

use heliogram_tl::{Serialize, mtproto as tl};

use bytes::Bytes;

use crate::ids::MsgId;
use crate::session::content::Content;
use crate::session::inbox::Known;
use crate::session::{Received, Role, Session};

impl<S: Role> Session<S> {
    pub(super) fn on_detailed_info(&mut self, announced: i64, it: Received) {
        match self.inbox.known(MsgId(announced)) {
            Known::Received(_) => self.acks.push(MsgId(announced), it.now.mono),
            Known::New | Known::Forgotten => {
                let ids = [announced];
                let request = tl::MsgResendReq {
                    msg_ids: (&ids).into(),
                };
                let body = Bytes::from(request.to_bytes());
                self.outbox.push(
                    Some(it.link),
                    Content::Object {
                        body,
                        is_answer: false,
                    },
                );
            }
        }
    }
}
