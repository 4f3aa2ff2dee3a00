//! `rpc_result`: the answer to a call, or to a question that some servers take for a call.

use bytes::Bytes;
use heliogram_tl::{Deserialize, mtproto as tl, peek_id};

use crate::cx::Cx;
use crate::ids::MsgId;
use crate::port::{Reply, RpcError};
use crate::session::client::Event;
use crate::session::content::Content;
use crate::session::{Malformed, Received, Session};
use crate::side::Client;

impl Session<Client> {
    /// An answer to a call that nobody waits for any more is acknowledged and left alone.
    pub(super) fn on_rpc_result(
        &mut self,
        to: MsgId,
        result: Bytes,
        it: Received,
        cx: &mut Cx<'_, Event>,
    ) -> Result<(), Malformed> {
        let Some(content) = self.outbox.take(to) else {
            return Ok(());
        };
        self.state.refusals = 0;
        self.learn_time(to, it.msg_id, cx.now);
        match content {
            Content::Call { call, .. } => {
                let reply = reply(result);
                self.end_call(Event::Answer { call, reply }, cx.out);
                Ok(())
            }
            Content::Ask { ask, .. } => self.on_ask_result(ask, &result, cx.out),
            // Not kept by a client.
            Content::Acks(_)
            | Content::Announced { .. }
            | Content::NewSession { .. }
            | Content::Object { .. }
            | Content::Pong { .. }
            | Content::Result { .. }
            | Content::Update { .. }
            | Content::Wanted(_) => Ok(()),
        }
    }
}

/// Reads a result: one boxed object, unpacked.
pub(super) fn reply(result: Bytes) -> Reply {
    if peek_id(&result) != Some(tl::RpcError::ID) {
        return Reply::Result(result);
    }
    match tl::RpcError::from_bytes(&result) {
        Ok(error) => Reply::Error(RpcError {
            code: error.error_code,
            message: String::from_utf8_lossy(error.error_message).into_owned(),
        }),
        // The caller gets what there is: it knows better than we what to do with it.
        Err(_) => Reply::Result(result),
    }
}
