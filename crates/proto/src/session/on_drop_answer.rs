//! `rpc_drop_answer`: the client does not want an answer any more.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages#cancellation-of-an-rpc-query>.

use bytes::Bytes;
use heliogram_tl::{Serialize, mtproto as tl};

use crate::ids::MsgId;
use crate::session::content::Content;
use crate::session::outbox::Answer;
use crate::session::server::Effect;
use crate::session::{Received, Session};
use crate::side::Server;

impl Session<Server> {
    pub(super) fn on_rpc_drop_answer(
        &mut self,
        message: &tl::RpcDropAnswer,
        it: Received,
        out: &mut Vec<Effect>,
    ) {
        let call = MsgId(message.req_msg_id);
        if let Some(running) = self.take_call(call) {
            if running.held.is_none() {
                out.push(Effect::Cancel { msg_id: call });
            }
            self.on_failed(call);
            let result = Bytes::from(tl::RpcAnswerDroppedRunning.to_bytes());
            self.outbox.push(
                running.link,
                Content::Result {
                    to: call,
                    result: result.clone(),
                },
            );
            self.outbox.push(
                Some(it.link),
                Content::Result {
                    to: it.msg_id,
                    result,
                },
            );
            return;
        }
        let result = self.dropped(call).map_or_else(
            || tl::RpcAnswerUnknown.to_bytes(),
            |dropped| dropped.to_bytes(),
        );
        let result = Bytes::from(result);
        self.outbox.push(
            Some(it.link),
            Content::Result {
                to: it.msg_id,
                result,
            },
        );
    }

    /// Drops the answer to a call, if it is kept. One that was never sent has no numbers to tell.
    fn dropped(&mut self, call: MsgId) -> Option<tl::RpcAnswerDropped> {
        let (msg_id, seqno, content) = match self.outbox.answer_to(call)? {
            Answer::Queued => (MsgId(0), 0, self.outbox.take_back_answer(call)?),
            Answer::Sent(id) => {
                let seqno = self.outbox.unacked().find(|it| it.msg_id == id)?.seqno;
                (id, seqno.0, self.outbox.take(id)?)
            }
        };
        let bytes = i32::try_from(content.len()).unwrap_or(i32::MAX);
        Some(tl::RpcAnswerDropped {
            msg_id: msg_id.0,
            seq_no: seqno,
            bytes,
        })
    }
}
