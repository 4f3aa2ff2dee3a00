//! `bad_server_salt` and `bad_msg_notification`: the server ignored a message, and says why.
//!
//! Believed only of a message that was sent in this session and waits for its answer.
//!
//! Source: <https://core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message>.

use heliogram_tl::mtproto as tl;
use rand_core::CryptoRng;

use crate::cx::Now;
use crate::ids::{MsgId, Salt};
use crate::limits::REFUSALS_IN_A_ROW_MAX;
use crate::session::bad_msg::BadMsg;
use crate::session::client::Event;
use crate::session::content::Content;
use crate::session::{Received, Session};
use crate::side::Client;

impl Session<Client> {
    pub(super) fn on_bad_server_salt(&mut self, message: &tl::BadServerSalt, out: &mut Vec<Event>) {
        let refused = MsgId(message.bad_msg_id);
        if !self.was_sent(refused) || self.gives_up(refused, out) {
            return;
        }
        self.set_salt(Salt(message.new_server_salt));
        self.send_anew(|it| it.msg_id == refused || it.container == refused);
    }

    pub(super) fn on_bad_msg_notification(
        &mut self,
        message: &tl::BadMsgNotification,
        it: Received,
        local: Now,
        rng: &mut dyn CryptoRng,
        out: &mut Vec<Event>,
    ) {
        let refused = MsgId(message.bad_msg_id);
        if !self.was_sent(refused) || self.gives_up(refused, out) {
            return;
        }
        match BadMsg::from_code(message.error_code) {
            Some(BadMsg::IdTooLow) => {
                self.set_clock(it.msg_id, local);
                self.send_anew(|it| it.msg_id == refused || it.container == refused);
            }
            Some(BadMsg::IdTooHigh) => {
                // Identifiers must not go backwards within a session.
                self.set_clock(it.msg_id, local);
                self.restart(rng, out);
            }
            Some(BadMsg::IdForgotten) => self.on_forgotten(refused, out),
            Some(_) => self.restart(rng, out),
            None => {}
        }
    }

    /// The server can't say whether it has executed the calls; neither can we.
    fn on_forgotten(&mut self, refused: MsgId, out: &mut Vec<Event>) {
        let of = |it: &&super::outbox::Sent| it.msg_id == refused || it.container == refused;
        let ids: Vec<_> = self
            .outbox
            .unacked()
            .filter(of)
            .map(|it| it.msg_id)
            .collect();
        for id in ids {
            if let Some(Content::Call { call, .. }) = self.outbox.take(id) {
                out.push(Event::Uncertain { call });
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
