//! Calls that are the host's own to answer because they are about keys: what binds a temporary key, drops others, or
//! destroys a key.
//!
//! A host has no key and no store: it asks for what is to be checked and recorded, and acts upon the outcome.

use bytes::Bytes;
use heliogram_tl::{Deserialize, api};

use crate::cx::Cx;
use crate::exchange::binding::{self, Claim};
use crate::host::calls::{Origin, UNBOUND};
use crate::host::identity::Entry;
use crate::host::link::Last;
use crate::host::prepare::PreparedAnswer;
use crate::host::{Asked, CallId, Effect, Host};
use crate::ids::{AuthKeyId, Identity, LinkId, MsgId, SessionId};
use crate::limits::{BINDINGS_CHECKED_MAX, EXCEPT_KEYS_MAX};
use crate::port::{KeyFacts, KeyKind, Reply, RpcError};
use crate::session::on_destroy::key_destroyed;
use crate::session::request::FETCH_FAIL;

impl Host {
    /// Has a request to bind a key checked. If it can't be good returns the `rpc_error`.
    pub(super) fn on_bind(
        &mut self,
        msg_id: MsgId,
        request: &Bytes,
        origin: Origin,
        cx: &mut Cx<'_, Effect>,
    ) -> Option<(i32, &'static str)> {
        let Origin {
            key, session_id, ..
        } = origin;
        let claim = match Claim::read(request, key, session_id, msg_id) {
            Ok(claim) => claim,
            Err(error) => return Some(error.rpc_error()),
        };
        let entry = self.entry(key.identity(), session_id)?;
        let binding = entry.binding.get_or_insert_default();
        if binding.requests >= BINDINGS_CHECKED_MAX {
            return Some(FLOOD_WAIT);
        }
        binding.requests += 1;
        let id = self.call_id(msg_id, origin)?;
        cx.out.push(Effect::Bind { id, claim });
        None
    }

    /// A key that was bound belongs to another identity from now on, and its sessions with it.
    pub(super) fn on_bound(
        &mut self,
        call: CallId,
        outcome: Result<KeyFacts, binding::Error>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let identity = call.identity;
        let is_here = !self.moved.contains(identity.0);
        match outcome {
            Ok(facts) if is_here && facts.identity() != identity => {
                self.hand_over(call, facts, cx);
            }
            Ok(_) => self.answer_bind(call, bool_true(), cx),
            Err(error) => self.answer_bind(call, rpc_error(error.rpc_error()), cx),
        }
    }

    fn answer_bind(&mut self, call: CallId, answer: PreparedAnswer, cx: &mut Cx<'_, Effect>) {
        let (identity, session_id) = (call.identity, call.session_id);
        let link = self.entry(identity, session_id).and_then(|entry| {
            if let Some(binding) = &mut entry.binding {
                binding.requests = binding.requests.saturating_sub(1);
            }
            entry.session.link_of_call(call.msg_id)
        });
        self.end_binding(identity, session_id, link, cx);
        self.on_answer(call, answer, cx);
    }

    /// Ends a session's wait for its key to be bound, unless a request to bind it has no outcome yet: it stays unbound.
    pub(super) fn end_binding(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        link: Option<LinkId>,
        cx: &Cx<'_, Effect>,
    ) {
        let Some(entry) = self.entry(identity, session_id) else {
            return;
        };
        let Some(binding) = entry.binding.take_if(|it| it.requests == 0) else {
            return;
        };
        for call in binding.waiting {
            entry.session.fail(call.msg_id, UNBOUND);
        }
        // A request under a key that is bound already may be a captured one, and draws nothing to its connection.
        let link = link.filter(|&link| entry.uses_key(link, identity.0));
        self.speak(identity, session_id, link, cx);
    }

    /// Lets a session that was silent say what it has to: to this connection, or to the one that it trusts first.
    pub(super) fn speak(
        &mut self,
        identity: Identity,
        session_id: SessionId,
        link: Option<LinkId>,
        cx: &Cx<'_, Effect>,
    ) {
        let Some(owned) = self.identities.get_mut(&identity) else {
            return;
        };
        owned.salts.refresh(&self.source, cx.now.unix.seconds());
        let salt = owned.salts.current();
        if let Some(entry) = owned.session_mut(session_id) {
            entry.session.speak(link, salt);
        }
    }

    /// Has the other temporary keys of an identity dropped; never the one that asks. One such request at a time: each is a
    /// write that new keys would wait for.
    pub(super) fn on_drop_keys(
        &mut self,
        msg_id: MsgId,
        request: &[u8],
        origin: Origin,
        cx: &mut Cx<'_, Effect>,
    ) -> Option<(i32, &'static str)> {
        let Ok(request) = api::auth::DropTempAuthKeys::from_bytes(request) else {
            return Some((400, FETCH_FAIL));
        };
        let except = request.except_auth_keys.iter().take(EXCEPT_KEYS_MAX);
        let mut except: Vec<_> = except.map(AuthKeyId).collect();
        except.push(origin.key.id);
        let identity = origin.key.identity();
        let id = self.call_id(msg_id, origin)?;
        let owned = self.identities.get_mut(&identity)?;
        if owned.dropping.is_some() {
            return Some(FLOOD_WAIT);
        }
        owned.dropping = Some(Box::new(id));
        let perm = identity.0;
        cx.out.push(Effect::DropKeys { id, perm, except });
        None
    }

    /// Has the key of an identity destroyed with all that is bound to it, once.
    pub(super) fn on_destroy_key(
        &mut self,
        asked_by: LinkId,
        origin: Origin,
        cx: &mut Cx<'_, Effect>,
    ) {
        let (key, identity) = (origin.key, origin.key.identity());
        let Some(owned) = self.identities.get_mut(&identity) else {
            return;
        };
        if is_unbound(&key) {
            if let Some(entry) = owned.session_mut(origin.session_id) {
                entry.session.key_not_destroyed(asked_by);
            }
        } else if !core::mem::replace(&mut owned.is_ending, true) {
            let asked = Asked {
                identity,
                session_id: origin.session_id,
                link: asked_by,
                key: key.id,
            };
            cx.out.push(Effect::DestroyKey { asked });
        }
    }

    /// Says what became of a key that was to be destroyed. If it is no more the answer is the last that is sent.
    pub(super) fn on_destroyed(
        &mut self,
        asked: Asked,
        keys: Option<Vec<AuthKeyId>>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Asked {
            identity,
            session_id,
            link,
            key,
        } = asked;
        let Some(keys) = keys else {
            if let Some(owned) = self.identities.get_mut(&identity) {
                owned.is_ending = false;
                if let Some(entry) = owned.session_mut(session_id) {
                    entry.session.key_not_destroyed(link);
                }
            }
            return self.settle(identity, session_id, cx);
        };
        let last = self.identities.get_mut(&identity).and_then(|owned| {
            let salt = owned.salts.current();
            let session = &owned.session_mut(session_id)?.session;
            Some(Last {
                key,
                salt,
                session_id,
                seqno: session.next_service_seqno(),
                body: key_destroyed(keys.contains(&identity.0)),
            })
        });
        for gone in keys.into_iter().chain([identity.0]) {
            self.gone.insert(gone, cx.now.mono);
        }
        self.end_identity(identity, Some(link), cx);
        if let (Some(state), Some(last)) = (self.links.get_mut(&link), last) {
            state.say_last(last);
            self.make_ready(link, cx);
        }
    }

    /// Takes note that keys of an identity are no more: nothing goes to a connection that uses one.
    pub(super) fn on_revoked(
        &mut self,
        identity: Identity,
        keys: &[AuthKeyId],
        cx: &mut Cx<'_, Effect>,
    ) {
        for &key in keys {
            self.gone.insert(key, cx.now.mono);
            self.moved.remove(key);
        }
        if keys.contains(&identity.0) {
            return self.end_identity(identity, None, cx);
        }
        let Some(owned) = self.identities.get(&identity) else {
            return;
        };
        let users = |entry: &Entry| {
            let id = entry.session.id();
            let links: Vec<_> = entry.links_with(keys).collect();
            links.into_iter().map(move |link| (id, link))
        };
        for (session_id, link) in owned.entries().flat_map(users).collect::<Vec<_>>() {
            self.part(identity, session_id, link, cx);
        }
    }

    /// Ends all sessions of an identity, and the connections that were used for nothing else, except one.
    fn end_identity(
        &mut self,
        identity: Identity,
        spared: Option<LinkId>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Some(owned) = self.identities.get(&identity) else {
            return;
        };
        let links: Vec<_> = owned.entries().flat_map(Entry::links).collect();
        let sessions: Vec<_> = owned.entries().map(|it| it.session.id()).collect();
        for session_id in sessions {
            self.end_session(identity, session_id, cx);
        }
        for link in links {
            if Some(link) != spared {
                self.close_unused(link, cx);
            }
        }
    }

    fn call_id(&mut self, msg_id: MsgId, origin: Origin) -> Option<CallId> {
        let (identity, session_id) = (origin.key.identity(), origin.session_id);
        let incarnation = self.entry(identity, session_id)?.session.unique_id();
        Some(CallId {
            identity,
            session_id,
            msg_id,
            incarnation,
        })
    }
}

/// Tells whether a key is a temporary one that nobody has bound.
pub(super) fn is_unbound(key: &KeyFacts) -> bool {
    matches!(key.kind, KeyKind::Temporary { .. }) && key.perm.is_none()
}

pub(super) fn bool_true() -> PreparedAnswer {
    PreparedAnswer::new(Reply::Result(Bytes::from_static(&BOOL_TRUE)))
}

fn rpc_error((code, name): (i32, &str)) -> PreparedAnswer {
    PreparedAnswer::new(Reply::Error(RpcError {
        code,
        message: name.to_owned(),
    }))
}

/// Too much is asked of the store already.
const FLOOD_WAIT: (i32, &str) = (420, "FLOOD_WAIT_1");

const BOOL_TRUE: [u8; 4] = 0x9972_75b5_u32.to_le_bytes();
