//! Calls on their way from a session to the backend and back, and whatever else a session wants of its host.

use core::net::SocketAddr;
use std::sync::Arc;

use heliogram_tl::{api, peek_id};

use crate::crossing::crosses;
use crate::cx::Cx;
use crate::host::binding::is_unbound;
use crate::host::identity::Waiting;
use crate::host::prepare::PreparedAnswer;
use crate::host::timers::Timer;
use crate::host::{CallId, Effect, Host, Input};
use crate::ids::{LinkId, MsgId, SessionId};
use crate::port::{Call, KeyFacts, Trace};
use crate::session::request::Request;
use crate::session::server;

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) link: LinkId,
    pub(super) key: KeyFacts,
    pub(super) peer: SocketAddr,
    pub(super) session_id: SessionId,
    pub(super) trace: Option<Trace>,
}

crosses!(Origin {
    link,
    key,
    peer,
    session_id,
    trace
});

impl Host {
    /// Does what a session wants done.
    pub(super) fn on_effect(
        &mut self,
        effect: server::Effect,
        origin: Origin,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Origin {
            link,
            key,
            session_id,
            ..
        } = origin;
        let identity = key.identity();
        match effect {
            server::Effect::Call { msg_id, request } => {
                if let Some(error) = self.on_call(msg_id, request, origin, cx)
                    && let Some(entry) = self.entry(identity, session_id)
                {
                    entry.session.fail(msg_id, error);
                }
            }
            server::Effect::Cancel { msg_id } => {
                if let Some(entry) = self.entry(identity, session_id) {
                    let incarnation = entry.session.unique_id();
                    let id = CallId {
                        identity,
                        session_id,
                        msg_id,
                        incarnation,
                    };
                    cx.out.push(Effect::Cancel { id });
                }
            }
            server::Effect::Destroy {
                session_id: other,
                asked_by,
            } => {
                let was_there = self.end_session(identity, other, cx);
                if let Some(entry) = self.entry(identity, session_id) {
                    entry.session.destroyed(other, was_there, asked_by);
                }
            }
            server::Effect::DestroyKey { asked_by } => {
                self.on_destroy_key(asked_by, origin, cx);
            }
            server::Effect::Hold(hold) => {
                let state = self.links.get_mut(&link);
                if let Some(http) = state.and_then(|it| it.http.as_mut()) {
                    http.hold(hold);
                }
            }
            server::Effect::DisconnectAfter { delay } => {
                if let Some(state) = self.links.get_mut(&link) {
                    let at = state.disconnect_after(delay, cx.now.mono);
                    self.timers.arm_by(Timer::Link(link), &mut state.armed, at);
                }
            }
        }
    }

    /// Hands a call out, now or when the calls that it names are over. If it may not be made returns the `rpc_error`.
    pub(super) fn on_call(
        &mut self,
        msg_id: MsgId,
        mut request: Request,
        origin: Origin,
        cx: &mut Cx<'_, Effect>,
    ) -> Option<(i32, &'static str)> {
        let Origin {
            key,
            peer,
            session_id,
            trace,
            ..
        } = origin;
        let identity = key.identity();
        if let (Some(client), Some(allowed)) = (&request.client, &self.api_ids)
            && !allowed.contains(&client.api_id)
        {
            return Some((400, "CONNECTION_API_ID_INVALID"));
        }
        let owned = self.identities.get_mut(&identity)?;
        if let Some(client) = request.client.take() {
            owned.layer = request.layer.or(owned.layer);
            if owned.client.as_deref() != Some(&*client) {
                owned.client = Some(Arc::from(client));
            }
        }
        if peek_id(&request.query) == Some(api::auth::BindTempAuthKey::ID) {
            return self.on_bind(msg_id, &request.query, origin, cx);
        }
        if is_unbound(&key) {
            if let Some(binding) = &mut owned.session_mut(session_id)?.binding {
                binding.waiting.push(Waiting {
                    msg_id,
                    request,
                    origin,
                });
                return None;
            }
            if !is_allowed_unbound(&request.query) {
                return Some(UNBOUND);
            }
        }
        if peek_id(&request.query) == Some(api::auth::DropTempAuthKeys::ID) {
            return self.on_drop_keys(msg_id, &request.query, origin, cx);
        }
        let (layer, client) = (request.layer.or(owned.layer), owned.client.clone());
        let user = owned.user.id();
        let session = &mut owned.session_mut(session_id)?.session;
        let id = CallId {
            identity,
            session_id,
            msg_id,
            incarnation: session.unique_id(),
        };
        let call = Call {
            identity,
            key,
            session_id,
            msg_id,
            term: self.source.term(),
            layer,
            client,
            user,
            peer,
            trace,
            without_updates: request.without_updates,
            scope: request.scope,
            body: request.query,
        };
        if let Some(call) = session.order(call, request.after, cx.now.mono) {
            cx.out.push(Effect::Call { id, call });
        }
        None
    }

    pub(super) fn on_answer(
        &mut self,
        call: CallId,
        answer: PreparedAnswer,
        cx: &mut Cx<'_, Effect>,
    ) {
        if self.moved.contains(call.identity.0) {
            return self.moved.answer(Input::Answer { call, answer }, cx.out);
        }
        let Some(owned) = self.identities.get_mut(&call.identity) else {
            return;
        };
        if owned.dropping.as_deref() == Some(&call) {
            owned.dropping = None;
        }
        // A session that ended meanwhile has cancelled its calls; the answer finds nobody.
        let Some(entry) = owned.session_mut(call.session_id) else {
            return;
        };
        let mut released = Vec::new();
        if entry.session.is_or_was(call.incarnation)
            && entry.session.reply(call.msg_id, answer.0, &mut released)
        {
            entry.touch(cx.now.mono);
            for next in released {
                let id = CallId {
                    msg_id: next.msg_id,
                    ..call
                };
                cx.out.push(Effect::Call { id, call: next });
            }
            self.settle(call.identity, call.session_id, cx);
        }
    }
}

/// Nothing else may be called under a temporary key that nobody has bound.
pub(super) const UNBOUND: (i32, &str) = (401, "AUTH_KEY_PERM_EMPTY");

/// Tells whether a method may be called under an unbound temporary key.
fn is_allowed_unbound(query: &[u8]) -> bool {
    matches!(
        peek_id(query),
        Some(api::help::GetConfig::ID | api::help::GetNearestDc::ID)
    )
}
