//! What clients want: calls of every kind, everything that the protocol itself can be asked, connections.

use bytes::Bytes;
use heliogram_proto::cx::Cx;
use heliogram_proto::ids::{MsgId, SessionId};
use heliogram_proto::session::Session;
use heliogram_proto::session::client::Cancelled;
use heliogram_tl::{Serialize, api};

use crate::body::Query;
use crate::queue::Event;
use crate::world::World;

impl World {
    /// Has a client want something, and again after a pause.
    pub(crate) fn act(&mut self, client: usize) {
        if self.now > self.busy_until {
            return;
        }
        let (low, high) = self.plan.pause_ms;
        let pause = self.dice.millis(low, high);
        self.queue.push(self.now + pause, Event::Act { client });
        if !self.clients[client].is_bound() {
            return self.flush_client(client);
        }
        self.look_after_key(client);
        match self.dice.below(100) {
            0..45 => {
                for _ in 0..self.dice.pick(&[1, 1, 1, 3, 20], 1) {
                    self.wish(client);
                }
            }
            45..50 => self.clients[client].session.ping(1, None),
            50..54 => self.clients[client].session.ask_for_salts(4),
            54..58 if self.clients[client].may_add_connection() => {
                self.coverage.fault("second connection of a session");
                self.dial(client);
            }
            58..60 => self.hang_up(client),
            60..66 => self.cancel(client),
            66..70 => self.step_client(client, Session::probe),
            70..74 => self.clients[client].session.ask_for_answers(),
            74..78 => self.clients[client].session.tell_states(20),
            78..82 => self.clients[client].session.http_wait(0, 0, 1_000),
            82..86 => self.destroy_session(client),
            86..92 => self.clients[client].session.want_again(2),
            92..94 => self.send_copy(client),
            94..98 if self.plan.keys_end => self.clients[client].session.destroy_key(),
            98 if !self.plan.is_calm() => self.step_client(client, Session::renew),
            _ => {}
        }
        self.flush_client(client);
    }

    /// Has a client make a call.
    fn wish(&mut self, client: usize) {
        self.tokens += 1;
        let token = self.tokens;
        let answer_bytes = match self.dice.below(1000) {
            0..700 => self.dice.between(0, 64),
            700..950 => self.dice.between(64, 4_000),
            950..998 => self.dice.between(4_000, 100_000),
            _ => self.dice.between(100_000, 600_000),
        };
        let after = self.any_waiting(client);
        let query = Query {
            token,
            answer_bytes: u32::try_from(answer_bytes).unwrap_or(0),
            wants_error: self.dice.chance(30),
            after: after.filter(|_| self.dice.chance(150)),
        };
        let filler = if self.dice.chance(50) { 2_000 } else { 0 };
        let words = self.dice.index(filler + 8);
        let (body, is_quiet) = self.wrap(&query, words);
        let due = self.now + self.dice.millis(500, 30_000);
        let is_hasty = self.dice.chance(50);
        let state = &mut self.clients[client];
        let identity = state.identity();
        let call = if is_hasty {
            state.session.call_until(Bytes::from(body), due)
        } else {
            state.session.call(Bytes::from(body))
        };
        let Ok(call) = call else {
            return self.coverage.fault("too many calls wait");
        };
        if is_quiet {
            state.quiet.insert(token);
        }
        state.wishes.insert(call, token);
        self.checks.tokens.issued(token, client, identity);
    }

    /// Puts wrappers around a call; tells whether it then wants no updates.
    fn wrap(&mut self, query: &Query, words: usize) -> (Vec<u8>, bool) {
        let mut body = query.write(words);
        let is_quiet = self.dice.chance(60);
        if is_quiet {
            body = api::InvokeWithoutUpdates { query: &body }.to_bytes();
        }
        if self.dice.chance(60) {
            body = introduced(&body);
        }
        if self.dice.chance(60) {
            body = api::InvokeWithLayer {
                layer: 200,
                query: &body,
            }
            .to_bytes();
        }
        let wraps = self.dice.below(20);
        if wraps == 0 {
            let range = api::MessageRange {
                min_id: 1,
                max_id: 9,
            };
            body = api::InvokeWithMessagesRange {
                range,
                query: &body,
            }
            .to_bytes();
        } else if wraps == 1 {
            body = api::InvokeWithTakeout {
                takeout_id: 7,
                query: &body,
            }
            .to_bytes();
        }
        if let Some(MsgId(msg_id)) = query.after {
            let query = &body;
            body = if self.dice.chance(500) {
                api::InvokeAfterMsg { msg_id, query }.to_bytes()
            } else {
                let msg_ids = [msg_id];
                let msg_ids = msg_ids.as_slice().into();
                api::InvokeAfterMsgs { msg_ids, query }.to_bytes()
            };
        }
        (body, is_quiet)
    }

    /// Returns the message of a call that waits, if any does.
    fn any_waiting(&mut self, client: usize) -> Option<MsgId> {
        let state = &self.clients[client];
        let at = self.dice.index(state.wishes.len());
        let (&call, _) = state.wishes.iter().nth(at)?;
        state.session.message_of(call)
    }

    fn any_call(&mut self, client: usize) -> Option<u64> {
        let wishes = &self.clients[client].wishes;
        let at = self.dice.index(wishes.len());
        wishes.keys().nth(at).copied()
    }

    fn cancel(&mut self, client: usize) {
        let Some(call) = self.any_call(client) else {
            return;
        };
        let state = &mut self.clients[client];
        self.coverage.fault(match state.session.cancel(call) {
            Cancelled::NotSent => "call cancelled before it was sent",
            Cancelled::Sent => "call cancelled after it was sent",
            Cancelled::Unknown => "call to cancel not found",
        });
        if let Some(token) = state.wishes.remove(&call) {
            self.checks.tokens.given_up(token);
        }
    }

    /// Destroys a session of the same key that was there once, or none.
    fn destroy_session(&mut self, client: usize) {
        let other = SessionId(i64::try_from(self.dice.below(3)).unwrap_or(0) + 1);
        let state = &mut self.clients[client];
        let other = state.former.pop().unwrap_or(other);
        state.session.destroy_session(other);
    }

    /// Sends a second copy of a call within a `msg_copy`.
    fn send_copy(&mut self, client: usize) {
        let Some(call) = self.any_call(client) else {
            return;
        };
        // What was queued before must not be overtaken.
        self.flush_client(client);
        let now = self.clock(self.clients[client].skew_ns);
        let mut out = Vec::new();
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut out,
        };
        if self.clients[client].is_online()
            && self.clients[client].session.drain_copy(call, &mut cx)
        {
            self.client_sends(client, out);
        }
    }

    fn hang_up(&mut self, client: usize) {
        let conns = &self.clients[client].conns;
        let Some(conn) = conns.get(self.dice.index(conns.len())).map(|it| it.id) else {
            return;
        };
        self.coverage.fault("client hangs up");
        self.client_leaves(client, conn);
    }
}

fn introduced(query: &[u8]) -> Vec<u8> {
    api::InitConnection {
        api_id: 1,
        device_model: b"simulated",
        system_version: b"1",
        app_version: b"1",
        system_lang_code: b"en",
        lang_pack: b"",
        lang_code: b"en",
        proxy: None,
        params: None,
        query,
    }
    .to_bytes()
}
