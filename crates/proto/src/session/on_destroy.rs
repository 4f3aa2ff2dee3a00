//! `destroy_session` and `destroy_auth_key`: bare answers, not in an `rpc_result`.

use heliogram_tl::mtproto as tl;

use bytes::Bytes;
use heliogram_tl::Serialize;

use crate::ids::{LinkId, SessionId};
use crate::session::content::Content;
use crate::session::server::Effect;
use crate::session::{Received, Session};
use crate::side::Server;

impl Session<Server> {
    /// A session can't destroy itself: to that the answer is that there is none.
    pub(super) fn on_destroy_session(
        &mut self,
        message: &tl::DestroySession,
        it: Received,
        out: &mut Vec<Effect>,
    ) {
        let session_id = SessionId(message.session_id);
        if session_id == self.id {
            self.destroyed(session_id, false, it.link);
        } else {
            out.push(Effect::Destroy {
                session_id,
                asked_by: it.link,
            });
        }
    }

    /// Tells the client what became of a session that it wanted destroyed.
    pub(crate) fn destroyed(&mut self, session: SessionId, was_there: bool, asked_by: LinkId) {
        let session_id = session.0;
        let body = if was_there {
            tl::DestroySessionOk { session_id }.to_bytes()
        } else {
            tl::DestroySessionNone { session_id }.to_bytes()
        };
        let content = Content::Object {
            body: Bytes::from(body),
            is_answer: true,
        };
        self.outbox.push(Some(asked_by), content);
    }

    /// Keys are destroyed by whoever keeps them, and no port says so to a host: the honest answer is that it failed.
    pub(super) fn on_destroy_auth_key(&mut self, it: Received) {
        self.answer(it, &tl::DestroyAuthKeyFail);
    }
}
