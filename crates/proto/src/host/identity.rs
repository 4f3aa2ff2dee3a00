//! What a host keeps of an identity: its sessions, its salts, and what its client said of itself.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crossing::crosses;
use crate::cx::{Cx, Mono, Now};
use crate::host::CallId;
use crate::host::calls::{Origin, UNBOUND};
use crate::host::refused::RefusedEarly;
use crate::ids::{AuthKeyId, LinkId, MsgId, Salt, SessionId, Term};
use crate::limits::{
    ENDED_SESSIONS_MAX, LINKS_PER_SESSION_MAX, RECEIVED_ID_AGE_S, SESSION_TIDY_S,
    SESSIONS_PER_IDENTITY_MAX,
};
use crate::port::{ClientInfo, FromHost, KeyFacts};
use crate::session::request::Request;
use crate::session::salts::Salts;
use crate::session::{Outgoing, Session};
use crate::side::Server;

/// The sessions of one identity, and what they share.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) salts: Salts,
    pub(super) layer: Option<i32>,
    pub(super) client: Option<Arc<ClientInfo>>,
    pub(super) user: User,
    /// Its key is being destroyed.
    pub(super) is_ending: bool,
    /// The request to drop its temporary keys that is being carried out.
    pub(super) dropping: Option<Box<CallId>>,
    /// Few, so a search from the front is fastest.
    sessions: Vec<Entry>,
    ended: Vec<Ended>,
    /// Few clients have a clock that is wrong.
    pub(super) refused: Option<Box<RefusedEarly>>,
}

/// What of an identity goes to another owner.
#[derive(Debug)]
pub(super) struct Handed {
    layer: Option<i32>,
    client: Option<Arc<ClientInfo>>,
    pub(super) sessions: Vec<Entry>,
    ended: Vec<Ended>,
    refused: Option<Box<RefusedEarly>>,
}

/// Who has logged in with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// The backend was asked.
    Unknown,
    /// The backend has said it.
    Known(Option<i64>),
}

impl User {
    pub(super) const fn id(self) -> Option<i64> {
        match self {
            Self::Unknown => None,
            Self::Known(user) => user,
        }
    }
}

/// A session with what ties it to its connections.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) session: Session<Server>,
    /// The connections that it uses; the last is the current one, where pushes and acknowledgements go.
    links: Vec<Attached>,
    pub(super) last_used: Mono,
    pub(super) armed: Option<Mono>,
    /// When there is room to give back.
    pub(super) tidy_at: Option<Mono>,
    /// While a request to bind its key has no outcome.
    pub(super) binding: Option<Box<Binding>>,
}

/// What waits for the outcome of a request to bind a session's key.
#[derive(Debug, Default)]
pub(super) struct Binding {
    /// Requests that have no outcome yet.
    pub(super) requests: u32,
    /// Calls of the session, which run once its key is bound. They count among those that run.
    pub(super) waiting: Vec<Waiting>,
}

/// A call that waits for its key to be bound.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) msg_id: MsgId,
    pub(super) request: Request,
    pub(super) origin: Origin,
}

/// A connection that a session uses, and the key to seal with.
#[derive(Clone, Copy, Debug)]
struct Attached {
    link: LinkId,
    key: AuthKeyId,
    /// It has brought a message that was accepted; a captured one would not be.
    is_trusted: bool,
}

/// A session that is no more. What it has received must not be accepted again.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// `None`: any.
    session_id: Option<SessionId>,
    floor: MsgId,
    until: Mono,
}

impl Owned {
    pub(super) const fn new(salts: Salts) -> Self {
        Self {
            salts,
            layer: None,
            client: None,
            user: User::Unknown,
            is_ending: false,
            dropping: None,
            sessions: Vec::new(),
            ended: Vec::new(),
            refused: None,
        }
    }

    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Entry> {
        self.sessions.iter_mut().find(|it| it.session.id() == id)
    }

    pub(super) fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.sessions.iter_mut()
    }

    /// Returns the highest identifier that a session with this id may have received before it ended.
    pub(super) fn floor(&self, id: SessionId, now: Mono) -> MsgId {
        highest_floor(&self.ended, id, now).unwrap_or(NO_FLOOR)
    }

    /// Makes a session.
    pub(super) fn insert(&mut self, id: SessionId, unique_id: i64, now: Mono) {
        let floor = self.floor(id, now);
        // Most identities have one session: room for four would be wasted on them.
        self.sessions.reserve_exact(1);
        self.sessions.push(Entry {
            session: Session::<Server>::new(id, floor, unique_id),
            links: Vec::new(),
            last_used: now,
            armed: None,
            tidy_at: None,
            binding: None,
        });
    }

    /// Removes a session; what it has received stays refused for as long as it could come again.
    pub(super) fn remove(&mut self, id: SessionId, now: Mono) -> Option<Entry> {
        let at = self.sessions.iter().position(|it| it.session.id() == id)?;
        let entry = self.sessions.swap_remove(at);
        self.ended
            .retain(|it| it.until > now && it.session_id != Some(id));
        // One more: the ages of identifiers are compared in whole seconds.
        let until = now + Duration::from_secs(RECEIVED_ID_AGE_S + 1);
        let floor = entry.session.floor();
        self.ended.push(Ended {
            session_id: Some(id),
            floor,
            until,
        });
        self.merge_ended();
        Some(entry)
    }

    /// Returns what goes to another owner: its salts, and what was asked about its key, are nothing to that one.
    pub(super) fn hand_over(self) -> Handed {
        let Self {
            salts: _,
            layer,
            client,
            user: _,
            is_ending: _,
            dropping: _,
            sessions,
            ended,
            refused,
        } = self;
        Handed {
            layer,
            client,
            sessions,
            ended,
            refused,
        }
    }

    /// Unites the sessions of a temporary key that was bound with these, in the name of their owner; returns which came, and
    /// the calls that have waited for it and did not come before. What its client said of itself is news.
    pub(super) fn absorb(
        &mut self,
        key: &KeyFacts,
        term: Term,
        other: Handed,
        now: Now,
    ) -> (Vec<SessionId>, Vec<Waiting>) {
        let Handed {
            layer,
            client,
            sessions,
            ended,
            refused,
        } = other;
        self.layer = layer.or(self.layer);
        self.client = client.or_else(|| self.client.take());
        let came = sessions.iter().map(|it| it.session.id()).collect();
        let mut waiting = Vec::new();
        for entry in &mut self.sessions {
            let id = entry.session.id();
            if let Some(floor) = highest_floor(&ended, id, now.mono) {
                entry.session.raise_floor(floor);
            }
        }
        for mut entry in sessions {
            let id = entry.session.id();
            let floor = self.floor(id, now.mono);
            entry.session.adopt(*key, term, floor);
            let mut waits = entry.binding.take().map_or_else(Vec::new, |it| it.waiting);
            for late in waits.extract_if(.., |it| it.msg_id <= floor) {
                entry.session.fail(late.msg_id, UNBOUND);
            }
            match self.session_mut(id) {
                Some(existing) => {
                    waits.retain(|it| {
                        let is_new = existing.session.is_new(it.msg_id);
                        if !is_new {
                            entry.session.forget_call(it.msg_id);
                            // An answer that was drawn to a connection that is gone would be lost.
                            if entry.links().any(|link| link == it.origin.link) {
                                existing.session.repeat(it.msg_id, it.origin.link, now);
                            }
                        }
                        is_new
                    });
                    existing.absorb(entry, now.mono);
                }
                None => self.sessions.push(entry),
            }
            waiting.extend(waits);
        }
        self.ended.extend(ended);
        while self.ended.len() > ENDED_SESSIONS_MAX {
            self.merge_ended();
        }
        if let Some(refused) = refused {
            self.refused.get_or_insert_default().absorb(*refused);
        }
        (came, waiting)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sessions.iter()
    }

    /// Past the maximum the two oldest become one that stands for any session: it refuses more than it must, never less.
    fn merge_ended(&mut self) {
        if self.ended.len() <= ENDED_SESSIONS_MAX {
            return;
        }
        let oldest = self.ended.remove(0);
        if let Some(second) = self.ended.first_mut() {
            second.session_id = None;
            second.floor = second.floor.max(oldest.floor);
            second.until = second.until.max(oldest.until);
        }
    }

    /// Returns the session that was used longest ago, other than `but`.
    pub(super) fn oldest(&self, but: SessionId) -> Option<SessionId> {
        let others = self.sessions.iter().filter(|it| it.session.id() != but);
        others
            .min_by_key(|it| it.last_used)
            .map(|it| it.session.id())
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn calls_running(&self) -> usize {
        let sessions = self.sessions.iter();
        sessions.map(|it| it.session.running_calls().count()).sum()
    }

    /// Tells whether nothing needs to be remembered.
    pub(super) fn is_over(&mut self, now: Mono) -> bool {
        self.ended.retain(|it| it.until > now);
        let refused = self.refused.as_mut();
        if refused.is_some_and(|it| it.is_over(now)) {
            self.refused = None;
        }
        self.sessions.is_empty() && self.ended.is_empty() && self.refused.is_none()
    }

    /// Returns when all that is not a session may be forgotten.
    pub(super) fn over_at(&self) -> Option<Mono> {
        let ended = self.ended.iter().map(|it| it.until).max();
        ended.max(self.refused.as_ref().and_then(|it| it.over_at()))
    }
}

impl Entry {
    /// Takes note of the link and the key that brought a message. Returns the link that had to make room.
    pub(super) fn seen_on(&mut self, link: LinkId, key: AuthKeyId) -> Option<LinkId> {
        if let Some(known) = self.links.iter_mut().find(|it| it.link == link) {
            known.key = key;
            return None;
        }
        // Not trusted yet: pushes go on to the current one, which is the last. Most sessions have one link.
        self.links.reserve_exact(1);
        self.links.insert(
            0,
            Attached {
                link,
                key,
                is_trusted: false,
            },
        );
        if self.links.len() <= LINKS_PER_SESSION_MAX {
            return None;
        }
        let spare = self.links.get(1).map(|it| it.link)?;
        self.links.remove(1);
        self.session.detach(spare);
        Some(spare)
    }

    /// Unites the session with another incarnation of it, whose connections are newer: its last one becomes the current
    /// one, if it was trusted.
    fn absorb(&mut self, other: Self, now: Mono) {
        let Self {
            session,
            links,
            last_used,
            armed: _,
            tidy_at,
            binding: _,
        } = other;
        self.session.absorb(session);
        let is_trusted = links.iter().any(|it| it.is_trusted);
        self.links
            .retain(|known| links.iter().all(|it| it.link != known.link));
        let (trusted, mut untrusted): (Vec<_>, Vec<_>) =
            links.into_iter().partition(|it| it.is_trusted);
        untrusted.append(&mut self.links);
        self.links = untrusted;
        self.links.extend(trusted);
        if is_trusted {
            self.session.attach(now);
        }
        self.last_used = self.last_used.max(last_used);
        self.tidy_at = self.tidy_at.into_iter().chain(tidy_at).min();
    }

    /// Returns the links that are too many, oldest first.
    pub(super) fn spare_links(&self) -> impl Iterator<Item = LinkId> {
        let count = self.links.len().saturating_sub(LINKS_PER_SESSION_MAX);
        self.links().take(count)
    }

    /// Tells whether what goes to a link is sealed with this key.
    pub(super) fn uses_key(&self, link: LinkId, key: AuthKeyId) -> bool {
        self.links.iter().any(|it| it.link == link && it.key == key)
    }

    /// Returns the links that use one of these keys.
    pub(super) fn links_with(&self, keys: &[AuthKeyId]) -> impl Iterator<Item = LinkId> {
        let users = self.links.iter().filter(|it| keys.contains(&it.key));
        users.map(|it| it.link)
    }

    /// Makes a link the current one: it has brought a new message.
    pub(super) fn trust(&mut self, link: LinkId, now: Mono) {
        if self.current() == Some(link) {
            return;
        }
        let Some(at) = self.links.iter().position(|it| it.link == link) else {
            return;
        };
        let mut attached = self.links.remove(at);
        if !attached.is_trusted {
            attached.is_trusted = true;
            self.session.attach(now);
        }
        self.links.push(attached);
    }

    /// Trusts a link that has come back, which brings nothing that would show whose it is: it becomes the current one unless
    /// there is one already.
    pub(super) fn resume(&mut self, link: LinkId, now: Mono) {
        let current = self.current();
        if current.is_none() || current == Some(link) {
            return self.trust(link, now);
        }
        let Some(at) = self.links.iter().position(|it| it.link == link) else {
            return;
        };
        // Next to the current one, and so in its place once that is gone.
        let mut attached = self.links.remove(at);
        attached.is_trusted = true;
        let before_last = self.links.len().saturating_sub(1);
        self.links.insert(before_last, attached);
    }

    /// Returns the link that pushes and acknowledgements go to.
    pub(super) fn current(&self) -> Option<LinkId> {
        self.links
            .last()
            .filter(|it| it.is_trusted)
            .map(|it| it.link)
    }

    /// Takes note that a link is gone.
    pub(super) fn detach(&mut self, link: LinkId) {
        self.links.retain(|it| it.link != link);
        self.session.detach(link);
    }

    /// Returns the links that it uses.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.links.iter().map(|it| it.link)
    }

    /// Tells whether no connection uses it.
    pub(super) const fn is_alone(&self) -> bool {
        self.links.is_empty()
    }

    /// Tells whether a link has something to drain.
    pub(super) fn wants(&self, link: LinkId, now: Mono) -> bool {
        !self.session.is_silent() && self.session.wants(link, self.current() == Some(link), now)
    }

    /// Drains at most `max` messages to a link.
    pub(super) fn drain(
        &mut self,
        link: LinkId,
        max: usize,
        salt: Salt,
        cx: &mut Cx<'_, FromHost>,
    ) -> usize {
        let Some(key) = self.key_of(link).filter(|_| max > 0) else {
            return 0;
        };
        if self.session.is_silent() {
            return 0;
        }
        let is_current = self.current() == Some(link);
        let (now, out, mut left) = (cx.now, &mut *cx.out, max);
        self.session
            .drain_to(link, is_current, salt, now, &mut |message| {
                out.push(sealed(link, key, message));
                left -= 1;
                left > 0
            })
    }

    /// Drains a message without content.
    pub(super) fn drain_nothing(&mut self, link: LinkId, salt: Salt, cx: &mut Cx<'_, FromHost>) {
        if let Some(key) = self.key_of(link) {
            let message = self.session.write_nothing(salt, cx.now);
            cx.out.push(sealed(link, key, message));
        }
    }

    /// Takes note that a link can't be written before it brings its next request: others come first.
    pub(super) fn release(&mut self, link: LinkId) {
        self.session.release(link);
        if let Some(at) = self.links.iter().position(|it| it.link == link)
            && let Some(before) = self.links.get_mut(..=at)
        {
            before.rotate_right(1);
        }
    }

    fn key_of(&self, link: LinkId) -> Option<AuthKeyId> {
        let attached = self.links.iter().find(|it| it.link == link);
        attached.map(|it| it.key)
    }

    /// Takes note that the session was used: there will be something to tidy.
    pub(super) fn touch(&mut self, now: Mono) {
        let at = now + Duration::from_secs(SESSION_TIDY_S);
        if self.tidy_at.is_none_or(|armed| armed > at) {
            self.tidy_at = Some(at);
        }
    }

    /// Gives back room once the session has been idle for a while.
    pub(super) fn tidy_if_due(&mut self, now: Now) {
        if self.tidy_at.is_some_and(|at| at <= now.mono) {
            self.session.tidy(now);
            // What is left waits for its age.
            let next = now.mono + Duration::from_secs(RECEIVED_ID_AGE_S);
            self.tidy_at = (!self.session.is_tidy()).then_some(next);
        }
    }
}

crosses!(Handed {
    layer,
    client,
    sessions,
    ended,
    refused
} where |it: &Handed| {
    it.sessions.len() <= SESSIONS_PER_IDENTITY_MAX && it.ended.len() <= ENDED_SESSIONS_MAX
});
crosses!(Entry {
    session, links, last_used, tidy_at, binding;
    armed = None,
} where |it: &Entry| it.links.len() <= LINKS_PER_SESSION_MAX);
crosses!(Binding { requests, waiting });
crosses!(Waiting {
    msg_id,
    request,
    origin
});
crosses!(Attached {
    link,
    key,
    is_trusted
});
crosses!(Ended {
    session_id,
    floor,
    until
});

impl Entry {
    /// Puts the names that connections have here into the place of those that they had where the session comes from. One that
    /// has none is gone.
    pub(super) fn rename_links(&mut self, names: &BTreeMap<LinkId, LinkId>) {
        self.session.rename_links(names);
        self.links.retain_mut(|it| {
            let name = names.get(&it.link);
            it.link = name.copied().unwrap_or(it.link);
            name.is_some()
        });
        for waiting in self.binding.iter_mut().flat_map(|it| &mut it.waiting) {
            let link = &mut waiting.origin.link;
            *link = names.get(link).copied().unwrap_or(NOBODY);
        }
    }
}

/// The name of no connection.
const NOBODY: LinkId = LinkId(u64::MAX);

/// Returns what a session with this id may have received before it ended.
fn highest_floor(ended: &[Ended], id: SessionId, now: Mono) -> Option<MsgId> {
    let same = |it: &&Ended| it.until > now && it.session_id.is_none_or(|ended| ended == id);
    ended.iter().filter(same).map(|it| it.floor).max()
}

fn sealed(link: LinkId, key: AuthKeyId, message: Outgoing) -> FromHost {
    let Outgoing { header, body } = message;
    FromHost::Seal {
        link,
        key,
        salt: header.salt,
        session_id: header.session_id,
        msg_id: header.msg_id,
        seqno: header.seqno,
        body,
    }
}

/// Below every identifier.
pub(super) const NO_FLOOR: MsgId = MsgId(i64::MIN);
