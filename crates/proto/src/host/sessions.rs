//! What happens to the sessions of a host: messages, connections that end, time.

use std::collections::BTreeMap;

use core::time::Duration;

use crate::cx::{Cx, Mono, Now};
use crate::envelope::Header;
use crate::host::calls::Origin;
use crate::host::identity::{Entry, NO_FLOOR, Owned};
use crate::host::link::{Link, Refusal};
use crate::host::prepare::PreparedFrame;
use crate::host::refused::dies_of_its_salt;
use crate::host::timers::{Timer, Timers};
use crate::host::{CallId, Effect, Host};
use crate::ids::{Identity, LinkId, SessionId, Term};
use crate::limits::{
    QUEUED_MESSAGES_MAX, SESSION_IDLE_S_MAX, SESSIONS_PER_IDENTITY_MAX, SESSIONS_PER_LINK_MAX,
};
use crate::port::{KeyFacts, KeyKind};
use crate::session::incoming::Contents;
use crate::session::salts::Salts;
use crate::session::server::{Outcome, Turn};
use crate::session::{BadMsg, msg_id};
use crate::side::Server;

impl Host {
    pub(super) fn on_frame(&mut self, frame: PreparedFrame, cx: &mut Cx<'_, Effect>) {
        let (link, key, header) = (frame.link, frame.key, frame.header);
        self.tally.frames += 1;
        if self.links.entry(link).or_default().is_closed {
            return;
        }
        if let Some(code) = self.refusal(&key, frame.term, cx.now) {
            return self.close(link, code, cx);
        }
        if key.perm.is_none() && self.moved.contains(key.id) {
            if self.moved.frame(frame, cx.now.mono, cx.out).is_err() {
                self.close(link, None, cx);
            }
            return;
        }
        if frame.is_http {
            self.ask_http(link, (key.identity(), header.session_id), cx.now.mono);
        }
        let contents = frame.contents.into_inner();
        let identity = key.identity();
        let has_salt = match self.check_outer(&key, &header, &contents, cx) {
            Ok(has_salt) => has_salt,
            Err(error) => return self.refuse(error, link, &key, &header, cx),
        };
        self.ensure_session(identity, header.session_id, cx);
        self.tie(identity, header.session_id, link, &key, cx);

        let mut effects = core::mem::take(&mut self.effects);
        let Some(owned) = self.identities.get_mut(&identity) else {
            return;
        };
        let salts = owned.salts;
        let Some(entry) = owned.session_mut(header.session_id) else {
            return;
        };
        let (source, tally, now) = (&self.source, &mut self.tally, cx.now);
        if key.kind != KeyKind::Permanent && contents.has_binding() {
            entry.session.be_silent();
            entry.binding.get_or_insert_default();
        }
        let mut turn = Turn {
            link,
            now,
            salts: &salts,
            source,
            salts_given: false,
            tally,
            effects: &mut effects,
        };
        let outcome = entry.session.handle(&header, contents, &mut turn);
        if outcome == Ok(Outcome::Accepted) {
            if has_salt {
                entry.trust(link, now.mono);
            }
            entry.last_used = now.mono;
        }
        entry.touch(now.mono);
        if let Some(token) = frame.quick_ack
            && matches!(outcome, Ok(Outcome::Accepted | Outcome::Duplicate))
        {
            self.links.entry(link).or_default().quick_ack(token);
            self.make_ready(link, cx);
        }
        let origin = Origin {
            link,
            key,
            peer: frame.peer,
            session_id: header.session_id,
            trace: frame.trace,
        };
        for effect in effects.drain(..) {
            self.on_effect(effect, origin, cx);
        }
        effects.shrink_to(EFFECTS_KEPT_MAX);
        self.effects = effects;
        self.end_binding(identity, header.session_id, Some(link), cx);
        if outcome.is_err() {
            self.close(link, None, cx);
        }
        self.settle(identity, header.session_id, cx);
    }

    /// Returns the code that closes the connection of a frame which may not be looked at: one for an owner of another term,
    /// or under a key that is no more.
    pub(super) fn refusal(
        &self,
        key: &KeyFacts,
        term: Option<Term>,
        now: Now,
    ) -> Option<Option<i32>> {
        if term.is_some_and(|term| term != self.term()) {
            return Some(None);
        }
        let is_over = key.is_expired(now.unix.seconds()) || self.gone.refuses(key, now.mono);
        is_over.then_some(KEY_ABSENT)
    }

    /// Checks what can be checked without the session, in the documented order. Returns whether the salt is good: a
    /// request to bind a temporary key needs none. Some clients can't bear to be told another one then, and binding it
    /// twice changes nothing; but it may be a captured one.
    fn check_outer(
        &mut self,
        key: &KeyFacts,
        header: &Header,
        contents: &Contents,
        cx: &Cx<'_, Effect>,
    ) -> Result<bool, BadMsg> {
        let now_s = cx.now.unix.seconds();
        msg_id::check_low_bits::<Server>(header.msg_id)?;
        msg_id::check_age(header.msg_id, now_s)?;
        let (identity, source) = (key.identity(), &self.source);
        let session_id = header.session_id;
        let (salts, has_session, floor) = match self.identities.get_mut(&identity) {
            Some(owned) => {
                owned.salts.refresh(source, now_s);
                let has_session = owned.session_mut(session_id).is_some();
                (
                    owned.salts,
                    has_session,
                    owned.floor(session_id, cx.now.mono),
                )
            }
            None => (Salts::new(identity, source, now_s), false, NO_FLOOR),
        };
        let has_salt = salts.accept(header.salt, key, source, now_s);
        let needs_salt = key.kind == KeyKind::Permanent || !contents.is_binding();
        if needs_salt && !has_salt {
            return Err(BadMsg::Salt);
        }
        let owned = self.identities.get(&identity);
        let refused = owned.and_then(|it| it.refused.as_ref());
        if refused.is_some_and(|it| it.contains(session_id, header.msg_id)) {
            return Err(BadMsg::IdForgotten);
        }
        if !has_session && header.msg_id <= floor {
            return Err(BadMsg::IdForgotten);
        }
        if !has_session && matches!(contents, Contents::Undecodable) {
            return Err(BadMsg::Container);
        }
        Ok(has_salt)
    }

    /// Tells the client that a message was ignored, in its session if it has one.
    fn refuse(
        &mut self,
        error: BadMsg,
        link: LinkId,
        key: &KeyFacts,
        header: &Header,
        cx: &mut Cx<'_, Effect>,
    ) {
        let identity = key.identity();
        let session_id = header.session_id;
        self.tally.refuse(error);
        self.remember_refused(error, identity, header, cx);
        let owned = self.identities.get_mut(&identity);
        let salt = match &owned {
            Some(owned) => owned.salts.current(),
            None => Salts::new(identity, &self.source, cx.now.unix.seconds()).current(),
        };
        if owned.is_some_and(|owned| owned.session_mut(session_id).is_some()) {
            self.tie(identity, session_id, link, key, cx);
            if let Some(entry) = self.entry(identity, session_id) {
                entry.session.refuse_outer(error, header, salt, link);
            }
            return self.settle(identity, session_id, cx);
        }
        let refusal = Refusal {
            key: key.id,
            refused: *header,
            error,
            salt,
        };
        self.links.entry(link).or_default().refuse(refusal);
        self.make_ready(link, cx);
    }

    /// Sees to it that a message whose time had not come does not run when it comes.
    fn remember_refused(
        &mut self,
        error: BadMsg,
        identity: Identity,
        header: &Header,
        cx: &mut Cx<'_, Effect>,
    ) {
        let (source, now) = (&self.source, cx.now);
        let salts = Salts::new(identity, source, now.unix.seconds());
        let is_early = error == BadMsg::IdTooHigh
            || (error == BadMsg::Salt && salts.is_coming(header.salt, source, now.unix.seconds()));
        if !is_early || dies_of_its_salt(header.msg_id, now) {
            return;
        }
        let is_new = !self.identities.contains_key(&identity);
        let owned = self.owned(identity, cx);
        let refused = owned.refused.get_or_insert_default();
        refused.insert(header.session_id, header.msg_id, now);
        if is_new {
            let at = owned.over_at().unwrap_or(now.mono);
            self.timers.arm_by(Timer::Identity(identity), &mut None, at);
        }
    }

    /// Returns what is kept of an identity; makes it if nothing is.
    pub(super) fn owned(&mut self, identity: Identity, cx: &mut Cx<'_, Effect>) -> &mut Owned {
        let source = &self.source;
        self.identities.entry(identity).or_insert_with(|| {
            cx.out.push(Effect::FindUser { identity });
            let salts = Salts::new(identity, source, cx.now.unix.seconds());
            Box::new(Owned::new(salts))
        })
    }

    /// Makes a session if it is not there. The one used longest ago makes room.
    fn ensure_session(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        cx: &mut Cx<'_, Effect>,
    ) {
        let owned = self.owned(identity, cx);
        if owned.session_mut(session_id).is_some() {
            return;
        }
        let mut unique_id = [0; 8];
        cx.rng.fill_bytes(&mut unique_id);
        owned.insert(session_id, i64::from_le_bytes(unique_id), cx.now.mono);
        let spare = (owned.sessions() > SESSIONS_PER_IDENTITY_MAX)
            .then(|| owned.oldest(session_id))
            .flatten();
        self.tally.sessions += 1;
        if let Some(oldest) = spare {
            self.end_session(identity, oldest, cx);
        }
    }

    /// Ties a session and a link to each other, within the limits of both.
    pub(super) fn tie(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        link: LinkId,
        key: &KeyFacts,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Some(entry) = self.entry(identity, session_id) else {
            return;
        };
        let spare_link = entry.seen_on(link, key.id);
        if let Some(spare) = spare_link.and_then(|spare| self.links.get_mut(&spare)) {
            spare.sessions.retain(|&it| it != (identity, session_id));
        }
        self.list(identity, session_id, link, cx);
    }

    /// Lists a session among those of a link. One that is too many loses it.
    pub(super) fn list(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        link: LinkId,
        cx: &mut Cx<'_, Effect>,
    ) {
        let sessions = &mut self.links.entry(link).or_default().sessions;
        if sessions.contains(&(identity, session_id)) {
            return;
        }
        sessions.reserve_exact(1);
        sessions.push((identity, session_id));
        if sessions.len() > SESSIONS_PER_LINK_MAX {
            let (identity, session_id) = sessions.remove(0);
            self.untie(identity, session_id, link, cx);
        }
    }

    /// Takes a link from a session. One that is left alone ends in time.
    pub(super) fn untie(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        link: LinkId,
        cx: &mut Cx<'_, Effect>,
    ) {
        if let Some(entry) = self.entry(identity, session_id) {
            entry.detach(link);
            entry.last_used = cx.now.mono;
        }
        self.settle(identity, session_id, cx);
    }

    /// Takes a link and a session from each other because the key between them is no more.
    pub(super) fn part(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        link: LinkId,
        cx: &mut Cx<'_, Effect>,
    ) {
        self.unlist(identity, session_id, link);
        self.untie(identity, session_id, link, cx);
        self.close_unused(link, cx);
    }

    pub(super) fn unlist(&mut self, identity: Identity, session_id: SessionId, link: LinkId) {
        if let Some(state) = self.links.get_mut(&link) {
            state.sessions.retain(|&it| it != (identity, session_id));
        }
    }

    /// Closes a link that carries no session: the key that it used is no more.
    pub(super) fn close_unused(&mut self, link: LinkId, cx: &mut Cx<'_, Effect>) {
        let state = self.links.get(&link);
        if state.is_some_and(|state| state.sessions.is_empty()) {
            self.close(link, KEY_ABSENT, cx);
        }
    }

    pub(super) fn on_detach(&mut self, link: LinkId, cx: &mut Cx<'_, Effect>) {
        let Some(mut state) = self.links.remove(&link) else {
            return;
        };
        self.timers.disarm(Timer::Link(link), &mut state.armed);
        for (identity, session_id) in state.sessions {
            self.untie(identity, session_id, link, cx);
        }
    }

    pub(super) fn on_session_deadline(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Some(entry) = self.entry(identity, session_id) else {
            return;
        };
        entry.armed = None;
        if entry.expires_at().is_some_and(|at| at <= cx.now.mono) {
            self.end_session(identity, session_id, cx);
            return;
        }
        entry.session.handle_deadline(cx.now.mono);
        entry.tidy_if_due(cx.now);
        self.settle(identity, session_id, cx);
    }

    pub(super) fn on_identity_deadline(&mut self, identity: Identity, now: Mono) {
        let Some(owned) = self.identities.get_mut(&identity) else {
            return;
        };
        if owned.is_over(now) {
            self.remove_identity(identity);
        } else if owned.sessions() == 0
            && let Some(at) = owned.over_at()
        {
            self.timers.arm_by(Timer::Identity(identity), &mut None, at);
        }
    }

    /// Forgets everything of an identity. Its sessions have ended.
    pub(super) fn remove_identity(&mut self, identity: Identity) -> Option<Box<Owned>> {
        let owned = self.identities.remove(&identity)?;
        self.users.remove(identity, owned.user.id());
        Some(owned)
    }

    /// Ends a session: its calls are cancelled, its connections live on. Returns whether it was there.
    pub(super) fn end_session(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        cx: &mut Cx<'_, Effect>,
    ) -> bool {
        let Some(owned) = self.identities.get_mut(&identity) else {
            return false;
        };
        let Some(mut entry) = owned.remove(session_id, cx.now.mono) else {
            return false;
        };
        if owned.sessions() == 0
            && let Some(at) = owned.over_at()
        {
            self.timers.arm_by(Timer::Identity(identity), &mut None, at);
        }
        self.ids.raise_to(entry.session.last_sent());
        self.timers
            .disarm(Timer::Session(identity, session_id), &mut entry.armed);
        for link in entry.links() {
            if let Some(state) = self.links.get_mut(&link) {
                state.sessions.retain(|&it| it != (identity, session_id));
            }
        }
        let incarnation = entry.session.unique_id();
        for msg_id in entry.session.running_calls() {
            let id = CallId {
                identity,
                session_id,
                msg_id,
                incarnation,
            };
            cx.out.push(Effect::Cancel { id });
        }
        true
    }

    pub(super) fn entry(
        &mut self,
        identity: Identity,
        session_id: SessionId,
    ) -> Option<&mut Entry> {
        self.identities.get_mut(&identity)?.session_mut(session_id)
    }

    /// Says which links have something to drain, and arms the session's timer.
    pub(super) fn settle(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Self {
            identities,
            links,
            timers,
            ..
        } = self;
        let entry = identities
            .get_mut(&identity)
            .and_then(|it| it.session_mut(session_id));
        if let Some(entry) = entry {
            tell_links(entry, links, timers, identity, cx);
        }
    }
}

pub(super) fn tell_links(
    entry: &mut Entry,
    links: &mut BTreeMap<LinkId, Box<Link>>,
    timers: &mut Timers,
    identity: Identity,
    cx: &mut Cx<'_, Effect>,
) {
    let now = cx.now.mono;
    let is_flooded = entry.session.queued() > QUEUED_MESSAGES_MAX;
    for link in entry.links() {
        let Some(state) = links.get_mut(&link) else {
            continue;
        };
        // A link that is not told yet may still drain what waits.
        if is_flooded && state.is_ready {
            state.close(None);
        }
        if state.is_ready {
            continue;
        }
        let wants = entry.wants(link, now);
        let is_due = match &mut state.http {
            None => wants,
            Some(http) => {
                if wants {
                    http.waits(now);
                }
                http.due_at().is_some_and(|at| at <= now)
            }
        };
        if is_due {
            state.is_ready = true;
            cx.out.push(Effect::Ready { link });
        } else if state.http.is_some()
            && let Some(at) = state.due_at()
        {
            timers.arm_by(Timer::Link(link), &mut state.armed, at);
        }
    }
    let soonest = [
        entry.session.next_deadline(now),
        entry.tidy_at,
        entry.expires_at(),
    ];
    if let Some(at) = soonest.into_iter().flatten().min() {
        let timer = Timer::Session(identity, entry.session.id());
        timers.arm_by(timer, &mut entry.armed, at);
    }
}

impl Entry {
    /// Returns when the session ends unless a connection uses it.
    fn expires_at(&self) -> Option<Mono> {
        self.is_alone()
            .then(|| self.last_used + Duration::from_secs(SESSION_IDLE_S_MAX))
    }
}

/// Effects for which a host keeps room between two frames.
const EFFECTS_KEPT_MAX: usize = 64;

/// The transport error that tells a client to forget its key.
const KEY_ABSENT: Option<i32> = Some(-404);
