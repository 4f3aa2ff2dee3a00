//! Sessions go from the owner of a temporary key to that of the permanent key that it was bound to.
//!
//! ```text
//!  temporary key's owner                         permanent key's owner
//!  Bound ──> Effect::HandOver ─────────────────> Input::TakeOver: unites, answers the request
//!  Input::TakenOver: passes on what waited <──── Effect::TakenOver: gateways are told, too
//! ```
//!
//! A session that both have is one session, as its client always saw it: see [`Session::absorb`].
//!
//! [`Session::absorb`]: crate::session::Session

use std::collections::BTreeMap;

use crate::crossing::crosses;
use crate::cx::{Cx, Mono};
use crate::host::calls::Origin;
use crate::host::http::Http;
use crate::host::identity::{Handed, Waiting};
use crate::host::timers::Timer;
use crate::host::{CallId, Effect, Host, binding};
use crate::ids::{Identity, LinkId, SessionId};
use crate::limits::SESSIONS_PER_IDENTITY_MAX;
use crate::port::KeyFacts;

/// The sessions of a temporary key on their way. Opaque to who carries them.
#[derive(Debug)]
pub struct Handover {
    key: KeyFacts,
    /// The request that has bound it, under the permanent key's identity.
    call: CallId,
    handed: Option<Box<Handed>>,
    /// When links are to be closed unless their clients ask again.
    disconnects: Vec<(LinkId, Mono)>,
    /// The links that speak HTTP.
    http: Vec<(LinkId, Http)>,
}

impl Handover {
    /// Returns what the temporary key is now.
    #[must_use]
    pub const fn key(&self) -> &KeyFacts {
        &self.key
    }

    /// Returns whose host takes it.
    #[must_use]
    pub fn to(&self) -> Identity {
        self.key.identity()
    }

    /// Returns the sessions that are handed over.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        let handed = self.handed.iter();
        let entries = handed.flat_map(|it| &it.sessions);
        entries.map(|it| it.session.id())
    }

    /// Returns the connections that come with it. The taking host must hear of their ends; of those that are gone
    /// already, after [`Input::TakeOver`](super::Input::TakeOver).
    #[must_use]
    pub fn links(&self) -> Vec<LinkId> {
        let handed = self.handed.iter();
        let entries = handed.flat_map(|it| &it.sessions);
        let mut links: Vec<_> = entries.flat_map(|it| it.links()).collect();
        links.sort_unstable();
        links.dedup();
        links
    }

    /// Gives its connections the names that they have here. One that has none is gone.
    pub(super) fn rename_links(&mut self, rename: &mut dyn FnMut(LinkId) -> Option<LinkId>) {
        let links = self.links();
        let names = links.iter().filter_map(|&it| Some((it, rename(it)?)));
        let names: BTreeMap<_, _> = names.collect();
        for entry in self.handed.iter_mut().flat_map(|it| &mut it.sessions) {
            entry.rename_links(&names);
        }
        let disconnects = core::mem::take(&mut self.disconnects).into_iter();
        let named = disconnects.filter_map(|(it, at)| Some((*names.get(&it)?, at)));
        self.disconnects = named.collect();
        let http = core::mem::take(&mut self.http).into_iter();
        let named = http.filter_map(|(it, http)| Some((*names.get(&it)?, http)));
        self.http = named.collect();
    }
}

crosses!(Handover {
    key,
    call,
    handed,
    disconnects,
    http
});

impl Host {
    /// Lets go of the sessions of a key that was bound.
    pub(super) fn hand_over(&mut self, call: CallId, key: KeyFacts, cx: &mut Cx<'_, Effect>) {
        let identity = call.identity;
        let mut owned = self.identities.remove(&identity);
        if let Some(owned) = &owned {
            self.users.remove(identity, owned.user.id());
        }
        let (mut disconnects, mut http) = (Vec::new(), Vec::new());
        for entry in owned.iter_mut().flat_map(|it| it.sessions_mut()) {
            let session_id = entry.session.id();
            let timer = Timer::Session(identity, session_id);
            self.timers.disarm(timer, &mut entry.armed);
            // What was sent outside of it, too, came under its name.
            self.ids.raise_to(entry.session.last_sent());
            entry.session.raise_ids_to(self.ids.last());
            for link in entry.links() {
                let Some(state) = self.links.get_mut(&link) else {
                    continue;
                };
                state.sessions.retain(|&it| it != (identity, session_id));
                if let Some(requests) = &mut state.http {
                    http.push((link, requests.hand_over((identity, session_id))));
                }
                if state.sessions.is_empty()
                    && let Some(at) = state.take_disconnect()
                {
                    disconnects.push((link, at));
                }
            }
        }
        let end = self.moved.begin(key, cx.now);
        self.timers.arm_by(Timer::Moved(key.id), &mut None, end);
        let call = CallId {
            identity: key.identity(),
            ..call
        };
        cx.out.push(Effect::HandOver(Box::new(Handover {
            key,
            call,
            handed: owned.map(|it| Box::new(it.hand_over())),
            disconnects,
            http,
        })));
    }

    /// Takes sessions over, and answers the request that has bound their key.
    pub(super) fn take_over(&mut self, handover: Handover, cx: &mut Cx<'_, Effect>) {
        let Handover {
            key,
            call,
            handed,
            disconnects,
            http,
        } = handover;
        let identity = key.identity();
        let (sessions, waiting) = handed
            .map(|handed| self.unite(&key, *handed, cx))
            .unwrap_or_default();
        for (link, at) in disconnects {
            if let Some(state) = self.links.get_mut(&link) {
                state.set_disconnect(at);
                self.timers.arm_by(Timer::Link(link), &mut state.armed, at);
            }
        }
        for (link, requests) in http {
            if let Some(state) = self.links.get_mut(&link) {
                let known = state.http.as_deref();
                state.http = Some(Box::new(requests.unite(known, identity)));
            }
        }
        cx.out.push(Effect::TakenOver { key });
        let entry = self.entry(identity, call.session_id);
        let link = entry.and_then(|entry| entry.session.link_of_call(call.msg_id));
        for &session_id in &sessions {
            self.speak(identity, session_id, link, cx);
        }
        self.on_answer(call, binding::bool_true(), cx);
        for call in waiting {
            self.run_waiting(call, key, cx);
        }
        for session_id in sessions {
            self.settle(identity, session_id, cx);
        }
        // One of them may have been destroyed while this was on its way.
        let mut gone = vec![key.id, identity.0];
        gone.retain(|&key| self.gone.contains(key, cx.now.mono));
        if !gone.is_empty() {
            self.on_revoked(identity, &gone, cx);
        }
    }

    /// Runs a call that has waited for its key to be bound, unless its client has dropped it.
    fn run_waiting(&mut self, call: Waiting, key: KeyFacts, cx: &mut Cx<'_, Effect>) {
        let Waiting {
            msg_id,
            request,
            origin,
        } = call;
        let (identity, session_id) = (key.identity(), origin.session_id);
        let entry = self.entry(identity, session_id);
        if !entry.is_some_and(|it| it.session.is_running(msg_id)) {
            return;
        }
        let origin = Origin { key, ..origin };
        if let Some(error) = self.on_call(msg_id, request, origin, cx)
            && let Some(entry) = self.entry(identity, session_id)
        {
            entry.session.fail(msg_id, error);
        }
    }

    /// Unites the sessions of a temporary key with those of its identity; returns which came, and the calls that have
    /// waited for it.
    fn unite(
        &mut self,
        key: &KeyFacts,
        handed: Handed,
        cx: &mut Cx<'_, Effect>,
    ) -> (Vec<SessionId>, Vec<Waiting>) {
        let (identity, now, term) = (key.identity(), cx.now, self.term());
        let owned = self.owned(identity, cx);
        let (came, waiting) = owned.absorb(key, term, handed, now);
        let mut spare = Vec::new();
        for &session_id in &came {
            let Some(entry) = owned.session_mut(session_id) else {
                continue;
            };
            spare.extend(entry.spare_links().map(|link| (session_id, link)));
        }
        for (session_id, link) in spare {
            self.unlist(identity, session_id, link);
            self.untie(identity, session_id, link, cx);
        }
        for &session_id in &came {
            let entry = self.entry(identity, session_id);
            let links: Vec<_> = entry.iter().flat_map(|it| it.links()).collect();
            for link in links {
                self.list(identity, session_id, link, cx);
            }
        }
        if came.is_empty() {
            // All have ended on the way: nothing else would let go of what is remembered of them.
            let timer = Timer::Identity(identity);
            self.timers.arm_by(timer, &mut None, now.mono);
        }
        while let Some(owned) = self.identities.get(&identity)
            && owned.sessions() > SESSIONS_PER_IDENTITY_MAX
            && let Some(oldest) = came.last().and_then(|&but| owned.oldest(but))
        {
            self.end_session(identity, oldest, cx);
        }
        (came, waiting)
    }
}
