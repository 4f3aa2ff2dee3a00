//! `destroy_session` and `destroy_auth_key`: bare answers, not in an `rpc_result`. Both are the host's to carry out.

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

    /// Tells the client that its key was not destroyed.
    pub(crate) fn key_not_destroyed(&mut self, asked_by: LinkId) {
        let content = Content::Object {
            body: Bytes::from(tl::DestroyAuthKeyFail.to_bytes()),
            is_answer: true,
        };
        self.outbox.push(Some(asked_by), content);
    }
}

/// Writes the answer to a client whose key is no more; `was_there` until it asked.
pub(crate) fn key_destroyed(was_there: bool) -> Bytes {
    Bytes::from(if was_there {
        tl::DestroyAuthKeyOk.to_bytes()
    } else {
        tl::DestroyAuthKeyNone.to_bytes()
    })
}
