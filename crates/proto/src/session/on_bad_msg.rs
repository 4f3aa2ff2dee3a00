//! `bad_server_salt` and `bad_msg_notification`: the server ignored a message, and says why.
//!
//! Believed only of a message that was sent in this session and waits for its answer.
//!
//! | code | reaction |
//! | --- | --- |
//! | 16 | set the clock, send again |
//! | 17 | set the clock, go on in a new session: identifiers must not fall |
//! | 19 | the same messages in another container |
//! | 20 | nobody can say whether it was executed |
//! | 32 | greater sequence numbers, send again |
//! | 33, 64 | send again |
//! | 48 | the salt that is named, send again |
//! | others | a mistake of ours: go on in a new session |
//!
//! Source: <https://core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message>.

use heliogram_tl::mtproto as tl;

use crate::cx::Cx;
use crate::ids::{MsgId, Salt};
use crate::limits::REFUSALS_IN_A_ROW_MAX;
use crate::session::bad_msg::BadMsg;
use crate::session::client::Event;
use crate::session::outbox::Sent;
use crate::session::{Received, Session};
use crate::side::Client;

impl Session<Client> {
    pub(super) fn on_bad_server_salt(&mut self, message: &tl::BadServerSalt, out: &mut Vec<Event>) {
        let refused = MsgId(message.bad_msg_id);
        if !self.was_sent(refused) || self.gives_up(refused, out) {
            return;
        }
        self.state.salts.replace(Salt(message.new_server_salt));
        self.send_again(|sent| was_outer(sent, refused), refused, out);
    }

    pub(super) fn on_bad_msg_notification(
        &mut self,
        message: &tl::BadMsgNotification,
        it: Received,
        cx: &mut Cx<'_, Event>,
    ) {
        let refused = MsgId(message.bad_msg_id);
        if !self.was_sent(refused) || self.gives_up(refused, cx.out) {
            return;
        }
        // An earlier copy of what was sent twice may have been executed.
        let is_certain = |sent: &Sent| is_of(sent, refused) && sent.copies == 1;
        match BadMsg::from_code(message.error_code) {
            Some(BadMsg::IdTooLow) => {
                self.set_time(it.msg_id, cx.now);
                self.send_again(|sent| was_outer(sent, refused), refused, cx.out);
            }
            Some(BadMsg::IdTooHigh) => {
                self.set_time(it.msg_id, cx.now);
                self.restart(is_certain, cx.rng, cx.out);
            }
            Some(BadMsg::ContainerIdSeen) => {
                // It may be a copy of the very container, brought by somebody else: its messages keep their identifiers.
                self.outbox.resend_where(None, |sent| is_of(sent, refused));
            }
            Some(BadMsg::IdForgotten) => self.on_forgotten(refused, cx.out),
            Some(BadMsg::SeqNoTooLow) => {
                self.outbox.skip_seqnos(SEQNO_REPAIR);
                self.send_again(|sent| is_of(sent, refused), refused, cx.out);
            }
            Some(BadMsg::SeqNoTooHigh) => {
                self.send_again(|sent| is_of(sent, refused), refused, cx.out);
            }
            Some(BadMsg::Container | BadMsg::Salt) => {
                self.send_again(|sent| was_outer(sent, refused), refused, cx.out);
            }
            Some(BadMsg::IdLowBits | BadMsg::SeqNoEven | BadMsg::SeqNoOdd) | None => {
                self.restart(is_certain, cx.rng, cx.out);
            }
        }
    }

    /// Sends again what a refused message carried: what was sent but once, in new messages. Of the rest, an earlier copy
    /// may have been executed. If only the container was refused, the same goes into another; if the message itself was,
    /// nobody can say.
    fn send_again(&mut self, of: impl Fn(&Sent) -> bool, refused: MsgId, out: &mut Vec<Event>) {
        let sent: Vec<_> = self
            .outbox
            .unacked()
            .filter(|sent| of(sent))
            .map(|sent| (sent.msg_id, sent.copies, sent.content.call()))
            .collect();
        for (id, copies, call) in sent {
            if copies > 1 && id != refused {
                self.outbox.resend(id, None);
            } else if let Some(content) = self.outbox.take(id) {
                match call {
                    Some(call) if copies > 1 => self.end_call(Event::Uncertain { call }, out),
                    _ => self.call_anew(content, out),
                }
            }
        }
    }

    /// Sends in new messages what the server has no memory of.
    pub(super) fn send_anew(&mut self, which: impl Fn(&Sent) -> bool, out: &mut Vec<Event>) {
        let lost = self.outbox.unacked().filter(|it| which(it));
        let ids: Vec<_> = lost.map(|it| it.msg_id).collect();
        for id in ids {
            if let Some(content) = self.outbox.take(id) {
                self.call_anew(content, out);
            }
        }
    }

    /// The server can't say whether it has executed the calls; neither can we.
    fn on_forgotten(&mut self, refused: MsgId, out: &mut Vec<Event>) {
        let of = self.outbox.unacked().filter(|it| is_of(it, refused));
        let ids: Vec<_> = of.map(|it| it.msg_id).collect();
        for id in ids {
            let Some(content) = self.outbox.take(id) else {
                continue;
            };
            match content.call() {
                Some(call) => self.end_call(Event::Uncertain { call }, out),
                None => self.call_anew(content, out),
            }
        }
    }

    /// Counts refusals that no answer has come between. What was on its way at the last one counts no more: it went
    /// without what was learned from that.
    fn gives_up(&mut self, refused: MsgId, out: &mut Vec<Event>) -> bool {
        if refused > self.state.refused_until {
            self.state.refused_until = self.outbox.last_id();
            self.state.refusals = self.state.refusals.saturating_add(1);
            if self.state.refusals == REFUSALS_IN_A_ROW_MAX.saturating_add(1) {
                out.push(Event::GaveUp);
            }
        }
        self.state.refusals > REFUSALS_IN_A_ROW_MAX
    }
}

fn is_of(sent: &Sent, refused: MsgId) -> bool {
    sent.msg_id == refused || sent.container == refused
}

/// Tells whether the last copy of a message stands or falls with a refused outer message. The refusal of a copy that went
/// alone says nothing of one that went in a container after it.
fn was_outer(sent: &Sent, refused: MsgId) -> bool {
    sent.container == refused || (sent.msg_id == refused && sent.container == MsgId(0))
}

/// Content-related messages to skip when the server has seen greater sequence numbers: 64 in numbers.
const SEQNO_REPAIR: u32 = 32;
