//! Calls of API methods: handed to the host once, answered by `rpc_result` once.

use core::time::Duration;

use bytes::Bytes;

use crate::crossing::crosses;
use crate::ids::{LinkId, MsgId};
use crate::limits::{ACK_DELAY_MS_SERVER, CALLS_BYTES_MAX, CALLS_RUNNING_MAX, QUEUED_BYTES_MAX};
use crate::port::Call;
use crate::session::content::Content;
use crate::session::request::Request;
use crate::session::server::{Effect, Running};
use crate::session::{Received, Session};
use crate::side::Server;

/// An answer as it will be sent.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// A whole object, packed or not.
    pub(crate) result: Bytes,
    /// It is an `rpc_error`.
    pub(crate) is_error: bool,
}

crosses!(Prepared { result, is_error } where |it: &Prepared| {
    !it.result.is_empty() && it.result.len().is_multiple_of(4)
});

impl Session<Server> {
    pub(super) fn on_request(&mut self, request: Request, it: Received, out: &mut Vec<Effect>) {
        let calls_bytes = self.state.calls_bytes + request.query.len();
        if self.state.calls.len() >= CALLS_RUNNING_MAX
            || calls_bytes > CALLS_BYTES_MAX
            || self.outbox.queued_bytes() >= QUEUED_BYTES_MAX
        {
            self.refuse_call(it, 420, "FLOOD_WAIT_1");
            return;
        }
        self.state.calls_bytes = calls_bytes;
        let running = Running {
            msg_id: it.msg_id,
            bytes: request.query.len(),
            link: Some(it.link),
            since: it.now.mono,
            acked: false,
            held: None,
        };
        let calls = &mut self.state.calls;
        if calls.back().is_none_or(|last| last.msg_id < it.msg_id) {
            calls.push_back(running);
        } else {
            let at = calls.partition_point(|call| call.msg_id < it.msg_id);
            calls.insert(at, running);
        }
        if self.state.calls_due.is_none() {
            let delay = Duration::from_millis(ACK_DELAY_MS_SERVER);
            self.state.calls_due = Some(it.now.mono + delay);
        }
        out.push(Effect::Call {
            msg_id: it.msg_id,
            request,
        });
    }

    /// Answers a call that is not handed out by an `rpc_error`.
    pub(super) fn refuse_call(&mut self, it: Received, code: i32, message: &str) {
        self.answer_error(it.msg_id, Some(it.link), code, message);
        self.note_failed(it.msg_id);
    }

    /// Queues the answer to a call, and appends the calls that have waited for it. Returns `false` if the call doesn't
    /// run.
    pub(crate) fn reply(&mut self, to: MsgId, answer: Prepared, released: &mut Vec<Call>) -> bool {
        let Some(call) = self.take_call(to) else {
            return false;
        };
        let Prepared { result, is_error } = answer;
        self.outbox.push(call.link, Content::Result { to, result });
        if is_error {
            self.on_failed(to);
        } else {
            self.on_succeeded(to, released);
        }
        true
    }

    /// Has the answer to a call sent to another link.
    pub(super) fn redirect(&mut self, id: MsgId, link: LinkId) {
        let running = self
            .position_of(id)
            .and_then(|at| self.state.calls.get_mut(at));
        if let Some(call) = running {
            call.link = Some(link);
        } else {
            self.outbox.redirect_answer(id, link);
        }
    }

    /// Returns where a call's answer goes to, while that is there.
    pub(crate) fn link_of_call(&self, id: MsgId) -> Option<LinkId> {
        self.state.calls.get(self.position_of(id)?)?.link
    }

    /// Takes a call out of those that run.
    pub(super) fn take_call(&mut self, id: MsgId) -> Option<Running> {
        let at = self.position_of(id)?;
        let calls = &mut self.state.calls;
        let call = if at == 0 {
            calls.pop_front()
        } else {
            calls.remove(at)
        }?;
        self.state.calls_bytes = self.state.calls_bytes.saturating_sub(call.bytes);
        if calls.is_empty() {
            self.state.calls_due = None;
        }
        if call.held.is_some() {
            self.on_unheld();
        }
        Some(call)
    }

    pub(super) fn position_of(&self, id: MsgId) -> Option<usize> {
        self.state
            .calls
            .binary_search_by_key(&id, |call| call.msg_id)
            .ok()
    }
}
