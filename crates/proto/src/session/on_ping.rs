//! `ping`: answered by a bare `pong` on the same connection. Either side may ping.

use core::time::Duration;

use heliogram_tl::mtproto as tl;

use crate::ids::MsgId;
use crate::limits::{DISCONNECT_DELAY_S_MAX, DISCONNECT_DELAY_S_MIN};
use crate::session::client::{Ask, Event};
use crate::session::content::Content;
use crate::session::server::Effect;
use crate::session::{Received, Role, Session};
use crate::side::{Client, Server};

impl<S: Role> Session<S> {
    pub(super) fn on_ping(&mut self, message: &tl::Ping, it: Received) {
        self.pong(message.ping_id, it);
    }

    pub(super) fn pong(&mut self, ping_id: i64, it: Received) {
        self.outbox.push(
            Some(it.link),
            Content::Pong {
                to: it.msg_id,
                ping_id,
            },
        );
    }
}

impl Session<Client> {
    /// Told also of a ping that is forgotten here: its owner knows which it has sent.
    pub(super) fn on_pong(&mut self, message: &tl::Pong, out: &mut Vec<Event>) {
        let id = MsgId(message.msg_id);
        self.outbox.take_asked(id, |ask| *ask == Ask::Ping);
        self.state.refusals = 0;
        let ping_id = message.ping_id;
        out.push(Event::Pong { ping_id });
    }
}

impl Session<Server> {
    /// `ping_delay_disconnect`: a ping that also sets, or sets anew, the time at which the connection is closed.
    pub(super) fn on_ping_delay_disconnect(
        &mut self,
        message: &tl::PingDelayDisconnect,
        it: Received,
        out: &mut Vec<Effect>,
    ) {
        self.pong(message.ping_id, it);
        let clamped = message
            .disconnect_delay
            .clamp(DISCONNECT_DELAY_S_MIN, DISCONNECT_DELAY_S_MAX);
        let delay = Duration::from_secs(u64::from(clamped.unsigned_abs()));
        out.push(Effect::DisconnectAfter { delay });
    }
}
