//! Leaving a session for a new one: identifiers and sequence numbers begin anew.
//!
//! What the server has refused goes on in the new session, and so does what was never sent. What the server may have
//! taken is still waited for under the old session's name: sent again it would run twice. That ends with the
//! connection, because nothing can be sent in the old session that would draw its answers to another one.

use crate::cx::{Cx, Mono};
use crate::ids::{MsgId, Salt, SessionId};
use crate::limits::LEFT_SESSIONS_MAX;
use crate::session::bad_msg::BadMsg;
use crate::session::client::Event;
use crate::session::content::Content;
use crate::session::inbox::{Inbox, Known};
use crate::session::incoming::{Item, Object};
use crate::session::on_rpc_result::reply;
use crate::session::outbox::Sent;
use crate::session::{Malformed, Session};
use crate::side::Client;

use heliogram_tl::{Deserialize, mtproto as tl};
use rand_core::CryptoRng;

/// A session that was left, and whose calls may still be answered.
#[derive(Debug)]
pub(super) struct Left {
    id: SessionId,
    inbox: Inbox,
    calls: Vec<Sent>,
}

impl Session<Client> {
    /// Goes on in a new session, with everything that was not answered: after [`Event::GaveUp`], perhaps with a new key.
    pub fn renew(&mut self, cx: &mut Cx<'_, Event>) {
        self.state.refusals = 0;
        let left: Vec<_> = self
            .state
            .left
            .iter_mut()
            .flat_map(|it| it.calls.drain(..))
            .collect();
        for sent in left {
            self.call_anew(sent.content, cx.out);
        }
        self.restart(|_| true, cx.rng, cx.out);
    }

    /// Goes on in a new session with what the server has refused, and with what was not sent.
    pub(in crate::session) fn restart(
        &mut self,
        is_refused: impl Fn(&Sent) -> bool,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<Event>,
    ) {
        let mut id = [0; 8];
        rng.fill_bytes(&mut id);
        // A session's identifier is not zero.
        let id = SessionId(i64::from_le_bytes(id) | 1);
        let (sent, queued) = self.outbox.begin_anew();
        let mut left = Left {
            id: core::mem::replace(&mut self.id, id),
            inbox: core::mem::replace(&mut self.inbox, Inbox::new(MsgId(i64::MIN))),
            calls: Vec::new(),
        };
        self.acks.clear();
        self.state.sent.clear();
        self.state.incarnation = None;
        self.state.refused_until = MsgId(0);
        for sent in sent {
            let is_call = sent.content.call().is_some();
            if is_call && sent.copies > 0 && !is_refused(&sent) {
                left.calls.push(sent);
            } else if is_call || outlives_session(&sent.content) {
                self.call_anew(sent.content, out);
            }
        }
        for content in queued {
            if outlives_session(&content) {
                self.call_anew(content, out);
            }
        }
        self.state.left.push_back(left);
        if self.state.left.len() > LEFT_SESSIONS_MAX
            && let Some(oldest) = self.state.left.pop_front()
        {
            self.end_left(&oldest, out);
        }
        out.push(Event::Restarted {
            session_id: self.id,
        });
    }

    /// The connection is gone, and with it every hope for answers in the sessions that were left.
    pub(super) fn end_all_left(&mut self, out: &mut Vec<Event>) {
        for left in core::mem::take(&mut self.state.left) {
            self.end_left(&left, out);
        }
    }

    /// Tells whether it is a session that was left, and still has a name here.
    pub(super) fn has_left(&self, session: SessionId) -> bool {
        self.state.left.iter().any(|it| it.id == session)
    }

    /// Handles a message of a session that was left. Nothing is sent in it any more, not even acknowledgements.
    pub(super) fn on_left_item(
        &mut self,
        session: SessionId,
        item: Item,
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let Some(left) = self.state.left.iter_mut().find(|it| it.id == session) else {
            return Ok(());
        };
        let is_new = left.inbox.known(item.msg_id) == Known::New;
        left.inbox.insert(item.msg_id, item.seqno);
        match item.object {
            Object::Result(to, result) => {
                let answered = left.take(|it| it.msg_id == to).pop();
                if let Some(call) = answered.and_then(|it| it.content.call()) {
                    let reply = reply(result);
                    self.end_call(Event::Answer { call, reply }, out);
                }
            }
            Object::Service(kind, body) if is_new => {
                self.on_left_refusal(session, kind, &body, out)?;
            }
            Object::Update(body) if is_new => out.push(Event::Update(body)),
            Object::BadRequest(_)
            | Object::Request(_)
            | Object::Service(..)
            | Object::Unreadable
            | Object::Update(_) => {}
        }
        Ok(())
    }

    /// A refusal of what was sent in a session that was left: it was not executed, and goes on in this one.
    fn on_left_refusal(
        &mut self,
        session: SessionId,
        kind: u32,
        body: &[u8],
        out: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let (refused, salt, error) = match kind {
            tl::BadServerSalt::ID => {
                let message = tl::BadServerSalt::from_bytes(body)?;
                (message.bad_msg_id, Some(message.new_server_salt), None)
            }
            tl::BadMsgNotification::ID => {
                let message = tl::BadMsgNotification::from_bytes(body)?;
                (
                    message.bad_msg_id,
                    None,
                    BadMsg::from_code(message.error_code),
                )
            }
            _ => return Ok(()),
        };
        let of = |it: &Sent| it.msg_id == MsgId(refused) || it.container == MsgId(refused);
        let left = self.state.left.iter_mut().find(|it| it.id == session);
        let calls = left.map(|left| left.take(of));
        for sent in calls.unwrap_or_default() {
            if let Some(salt) = salt {
                self.state.salts.replace(Salt(salt));
            }
            let is_certain = sent.copies == 1 && error != Some(BadMsg::IdForgotten);
            match sent.content.call() {
                Some(call) if !is_certain => self.end_call(Event::Uncertain { call }, out),
                _ => self.call_anew(sent.content, out),
            }
        }
        Ok(())
    }

    /// Tells whether a call waits in a session that was left, and lets go of it.
    pub(super) fn forget_left_call(&mut self, call: u64) -> bool {
        let is_it = |it: &Sent| it.content.call() == Some(call);
        self.state
            .left
            .iter_mut()
            .any(|left| !left.take(is_it).is_empty())
    }

    /// Returns when the first call is to be answered.
    pub(super) fn earliest_due(&self) -> Option<Mono> {
        let left = self.left_calls().filter_map(|it| it.content.due()).min();
        match (left, self.outbox.earliest_due()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Returns the calls whose time is over.
    pub(super) fn overdue(&self, now: Mono) -> Vec<u64> {
        let is_over = |it: &&Sent| it.content.due().is_some_and(|due| due <= now);
        let left = self.left_calls().filter(is_over);
        let mut calls: Vec<_> = left.filter_map(|it| it.content.call()).collect();
        calls.extend(self.outbox.overdue(now));
        calls
    }

    fn left_calls(&self) -> impl Iterator<Item = &Sent> {
        self.state.left.iter().flat_map(|it| &it.calls)
    }

    fn end_left(&mut self, left: &Left, out: &mut Vec<Event>) {
        for call in left.calls.iter().filter_map(|it| it.content.call()) {
            self.end_call(Event::Uncertain { call }, out);
        }
    }
}

impl Left {
    fn take(&mut self, which: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        self.calls.extract_if(.., |it| which(it)).collect()
    }
}

/// Tells whether something makes sense in another session.
const fn outlives_session(content: &Content) -> bool {
    match content {
        Content::Acks(_)
        | Content::Announced { .. }
        | Content::Object { .. }
        | Content::Pong { .. }
        | Content::Wanted(_) => false,
        Content::Ask { ask, .. } => ask.outlives_session(),
        Content::Call { .. }
        | Content::NewSession { .. }
        | Content::Result { .. }
        | Content::Update { .. } => true,
    }
}
