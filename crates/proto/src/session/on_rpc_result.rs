//! `rpc_result`: the answer to a call.

use bytes::Bytes;
use heliogram_tl::{Deserialize, mtproto as tl, peek_id};

use crate::ids::MsgId;
use crate::port::{Reply, RpcError};
use crate::session::Session;
use crate::session::client::Event;
use crate::session::content::Content;
use crate::side::Client;

impl Session<Client> {
    /// An answer to a call that nobody waits for any more is acknowledged and left alone.
    pub(super) fn on_rpc_result(&mut self, to: MsgId, result: Bytes, out: &mut Vec<Event>) {
        let Some(Content::Call { call, .. }) = self.outbox.take(to) else {
            return;
        };
        self.state.refusals = 0;
        let reply = if peek_id(&result) == Some(tl::RpcError::ID) {
            match tl::RpcError::from_bytes(&result) {
                Ok(error) => Reply::Error(RpcError {
                    code: error.error_code,
                    message: String::from_utf8_lossy(error.error_message).into_owned(),
                }),
                // The caller gets what there is: it knows better than we what to do with it.
                Err(_) => Reply::Result(result),
            }
        } else {
            Reply::Result(result)
        };
        out.push(Event::Answer { call, reply });
    }
}
