//! What a server's session goes through when its key is bound: it may be held back until then, it gets another
//! identity, and it is united with the session that its client had under an older key.
//!
//! ```text
//!  temporary key's own identity              permanent key's identity
//!  new session, perhaps silent ──adopt────> the same session, now announced
//!                              └─absorb───> one session, as the client always saw it: nothing is announced
//! ```

use crate::cx::Now;
use crate::ids::{LinkId, MsgId, Salt, SeqNo, Term};
use crate::port::KeyFacts;
use crate::session::content::Content;
use crate::session::inbox::Known;
use crate::session::server::State;
use crate::session::{Received, Session};
use crate::side::Server;

impl Session<Server> {
    /// Holds back everything that a new session would send until [`Self::speak`]: it may prove to be an old one, whose
    /// client must not be told to send again what runs, and which counts its messages on.
    pub(crate) const fn be_silent(&mut self) {
        if self.state.first.is_none() {
            self.state.is_silent = true;
        }
    }

    /// Tells whether nothing is sent before [`Self::speak`].
    pub(crate) const fn is_silent(&self) -> bool {
        self.state.is_silent
    }

    /// Announces a session that was silent, before all else that waits.
    pub(crate) fn speak(&mut self, link: Option<LinkId>, salt: Salt) {
        if !core::mem::take(&mut self.state.is_silent) {
            return;
        }
        let Some(first) = self.state.first else {
            return;
        };
        let unique_id = self.state.unique_id;
        let news = Content::NewSession {
            first,
            unique_id,
            salt,
        };
        self.outbox.push_front(link, news);
    }

    /// Takes note of a new identity: of the key that it goes by from now on, of the term of its owner, and that messages at or
    /// below `floor` may have been received by it already.
    pub(crate) fn adopt(&mut self, key: KeyFacts, term: Term, floor: MsgId) {
        self.raise_floor(floor);
        for call in &mut self.state.calls {
            if let Some(held) = &mut call.held {
                held.adopt(key, term);
            }
        }
    }

    /// Tells whether a message was not received yet.
    pub(crate) fn is_new(&self, id: MsgId) -> bool {
        self.inbox.known(id) == Known::New && !self.remembers_call(id)
    }

    /// Tells whether a call has no answer yet.
    pub(crate) fn is_running(&self, id: MsgId) -> bool {
        self.position_of(id).is_some()
    }

    /// Takes out a call that another incarnation of this session answers.
    pub(crate) fn forget_call(&mut self, id: MsgId) {
        self.take_call(id);
    }

    /// Takes note that a client has sent a call again, under another key.
    pub(crate) fn repeat(&mut self, msg_id: MsgId, link: LinkId, now: Now) {
        self.on_duplicate(Received {
            msg_id,
            seqno: SeqNo(1),
            link,
            in_new_container: true,
            now,
        });
    }

    /// Refuses what is at or below `floor`, unless it is remembered: a session with this id has ended that may have
    /// received it.
    pub(crate) fn raise_floor(&mut self, floor: MsgId) {
        self.inbox.raise_floor(floor);
    }

    /// Unites this session with another incarnation of it. A call that both run is this one's. If the client knows this
    /// one, it is not told of the other any more: it would send again what this one runs.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self {
            id: _,
            inbox,
            outbox,
            acks,
            state,
        } = other;
        self.inbox.absorb(inbox);
        let mut outbox = outbox;
        if self.state.first.is_some() {
            outbox.forget_news();
        }
        self.outbox.absorb(outbox);
        self.acks.absorb(acks);
        let State {
            unique_id,
            merged,
            first,
            is_silent: _,
            calls,
            calls_bytes: _,
            calls_due,
            order,
            wants_updates,
        } = state;
        let own = &mut self.state;
        own.first = own.first.or(first);
        own.wants_updates |= wants_updates;
        own.merged.push(unique_id);
        own.merged.extend(merged);
        for call in calls {
            if let Err(at) = own.calls.binary_search_by_key(&call.msg_id, |it| it.msg_id) {
                own.calls_bytes += call.bytes;
                own.calls.insert(at, call);
            }
        }
        own.calls_due = own.calls_due.into_iter().chain(calls_due).min();
        self.absorb_order(order);
    }

    /// Tells whether a call that was handed out by the incarnation of this name is this session's.
    pub(crate) fn is_or_was(&self, unique_id: i64) -> bool {
        self.state.unique_id == unique_id || self.state.merged.contains(&unique_id)
    }
}
