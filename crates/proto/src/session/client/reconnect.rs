//! What a client does about calls that are not answered: after a new connection, and after a while on the same.
//!
//! ```text
//!  reconnected ──> few bytes, all young ──> sent again at once, each under its own identifier, in a container
//!             └──> many, or old ──> msgs_state_req ──> not there: sent again; there: waited for
//!                                              └──> no answer in 5 s: sent again
//! ```
//!
//! A message is never given another identifier because a connection broke: by the old one the server tells a second
//! copy, and does not run it.

use core::time::Duration;

use bytes::Bytes;
use heliogram_tl::{Serialize, mtproto as tl};

use crate::cx::{Cx, Mono, Now};
use crate::ids::MsgId;
use crate::limits::{CALL_CHECK_S, MSG_AGE_S_MAX, MSG_IDS_MAX, RESEND_BYTES_MAX, STATES_WAIT_S};
use crate::session::client::{Ask, Event, LINK};
use crate::session::content::Content;
use crate::session::{Session, msg_id};
use crate::side::Client;

impl Session<Client> {
    /// Takes note of a new connection: what was not answered goes out again, under its own identifiers. If that is
    /// much, or old, the server is asked first what became of it.
    pub fn reconnected(&mut self, cx: &mut Cx<'_, Event>) {
        self.end_all_left(cx.out);
        self.take_unanswered_question();
        for content in self.outbox.take_asks(|_| true) {
            if let Content::Ask { ask, .. } = &content
                && ask.outlives_link()
            {
                self.outbox.push(None, content);
            }
        }
        self.outbox.detach::<Client>(LINK);
        let now = self.state.clock.now(cx.now);
        if self.should_ask_first(now) {
            self.ask_for_states(true, now.mono);
            self.outbox.hold(LINK);
        }
    }

    /// Queues a question to the server what became of the calls that are not answered. Those that it does not have are
    /// sent again. A session asks by itself after half a minute.
    pub fn probe(&mut self, cx: &mut Cx<'_, Event>) {
        self.ask_for_states(false, cx.now.mono);
    }

    /// Queues a wish to have the answers again to all calls that are not answered.
    pub fn ask_for_answers(&mut self) {
        let calls = self.sent_calls();
        self.want_answers(&calls);
    }

    /// Queues word of which of the server's last messages have arrived, at most `count`: an acknowledgement that says
    /// more.
    pub fn tell_states(&mut self, count: usize) {
        let ids = self.inbox.last(count.min(MSG_IDS_MAX));
        let known = self.standing();
        let info: Vec<u8> = ids.iter().map(|&id| self.state_of(id, &known)).collect();
        let msg_ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        self.push_service(&tl::MsgsAllInfo {
            msg_ids: msg_ids.as_slice().into(),
            info: &info,
        });
    }

    /// Takes note that calls are on their way.
    pub(super) fn start_checking(&mut self, now: Mono) {
        if self.state.check_at.is_none() && self.outbox.sent_calls().next().is_some() {
            self.state.check_at = Some(now + Duration::from_secs(CALL_CHECK_S));
        }
    }

    /// Looks for calls that have waited long.
    pub(super) fn check_calls(&mut self, now: Mono) {
        if self.state.check_at.is_none_or(|at| at > now) {
            return;
        }
        self.state.check_at = None;
        if let Some(calls) = self.take_unanswered_question() {
            for id in calls {
                self.outbox.resend(id, None);
            }
        }
        let check = Duration::from_secs(CALL_CHECK_S);
        let is_old = |at: Mono| now.since(at) >= check;
        if self.outbox.sent_calls().any(|it| is_old(it.sent_at())) {
            self.ask_for_states(false, now);
        } else {
            self.start_checking(now);
        }
    }

    /// Queues `msg_resend_ans_req`.
    pub(in crate::session) fn want_answers(&mut self, calls: &[MsgId]) {
        if calls.is_empty() {
            return;
        }
        let msg_ids: Vec<i64> = calls.iter().take(MSG_IDS_MAX).map(|id| id.0).collect();
        let request = tl::MsgResendAnsReq {
            msg_ids: msg_ids.as_slice().into(),
        };
        self.push_service(&request);
    }

    fn ask_for_states(&mut self, is_held: bool, now: Mono) {
        let calls = self.sent_calls();
        if calls.is_empty() {
            return;
        }
        let msg_ids: Vec<i64> = calls.iter().map(|id| id.0).collect();
        let request = tl::MsgsStateReq {
            msg_ids: msg_ids.as_slice().into(),
        };
        let body = Bytes::from(request.to_bytes());
        let ask = Ask::States { calls, is_held };
        self.outbox.push(None, Content::Ask { ask, body });
        let wait = if is_held { STATES_WAIT_S } else { CALL_CHECK_S };
        self.state.check_at = Some(now + Duration::from_secs(wait));
    }

    /// Takes out a question for states that is not answered. Returns the calls that were held back for its answer.
    fn take_unanswered_question(&mut self) -> Option<Vec<MsgId>> {
        let mut held = None;
        let is_question = |it: &Content| {
            matches!(
                it,
                Content::Ask {
                    ask: Ask::States { .. },
                    ..
                }
            )
        };
        let unsent = self.outbox.take_waiting(is_question);
        let sent = self.outbox.take_asks(|it| matches!(it, Ask::States { .. }));
        for content in sent.into_iter().chain(unsent) {
            if let Content::Ask {
                ask:
                    Ask::States {
                        calls,
                        is_held: true,
                    },
                ..
            } = content
            {
                held = Some(calls);
            }
        }
        held
    }

    fn sent_calls(&self) -> Vec<MsgId> {
        let calls = self.outbox.sent_calls().take(MSG_IDS_MAX);
        calls.map(|it| it.msg_id).collect()
    }

    fn should_ask_first(&self, now: Now) -> bool {
        let bytes: usize = self.outbox.sent_calls().map(|it| it.content.len()).sum();
        let oldest = self.outbox.sent_calls().next().map(|it| it.msg_id);
        bytes > RESEND_BYTES_MAX
            || oldest.is_some_and(|id| {
                msg_id::seconds(id).saturating_add(MSG_AGE_S_MAX) < now.unix.seconds()
            })
    }
}
