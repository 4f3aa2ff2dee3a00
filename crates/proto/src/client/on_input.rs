//! What a connection brings, and what becomes due.

use crate::client::line::{Line, Up};
use crate::client::{Effect, Engine, Event, Failure, Input};
use crate::cx::{Cx, Unix};
use crate::envelope::{self, Message};
use crate::exchange::plain;
use crate::ids::AuthKeyId;
use crate::session::client;
use crate::side::Client;
use crate::transport::client::{Incoming, Transport};

impl Engine {
    pub(super) fn on_input(&mut self, input: Input<'_>, cx: &mut Cx<'_, Effect>) {
        match input {
            Input::Connected => self.on_connected(cx),
            Input::Bytes(bytes) => self.on_bytes(bytes, cx),
            Input::Disconnected => self.lose(cx),
            Input::Worked(worked) => self.on_worked(worked, cx),
        }
    }

    fn on_connected(&mut self, cx: &mut Cx<'_, Effect>) {
        if !matches!(self.line, Line::Dialling { .. }) {
            return;
        }
        if let Some(disguise) = &mut self.config.transport.disguise {
            let offset_ns = self.session.clock_offset_ns();
            let server_clock = Unix(cx.now.unix.0.saturating_add_signed(offset_ns));
            disguise.unix_s = u32::try_from(server_clock.seconds()).unwrap_or(u32::MAX);
        }
        let mut out = Vec::new();
        let Ok(transport) = Transport::new(&self.config.transport, cx.rng, &mut out) else {
            return self.hang_up(cx);
        };
        if !out.is_empty() {
            cx.out.push(Effect::Send(out));
        }
        self.line = Line::Up(Box::new(Up {
            transport,
            heard: cx.now.mono,
            pinged: cx.now.mono,
            last_query: None,
        }));
        let mut events = Vec::new();
        self.session.reconnected(&mut Cx {
            now: cx.now,
            rng: cx.rng,
            out: &mut events,
        });
        self.on_events(events, cx);
        if self.keys.is_ready() {
            // A server sends updates to connections that it has heard of, and tells of a session that it has lost.
            self.ping(cx);
            cx.out.push(Effect::Tell(Event::Ready { introduce: false }));
        }
    }

    fn on_bytes(&mut self, bytes: &mut [u8], cx: &mut Cx<'_, Effect>) {
        let Line::Up(up) = &mut self.line else {
            return;
        };
        up.heard = cx.now.mono;
        let (mut incoming, mut out) = (Vec::new(), Vec::new());
        let outcome = up.transport.decode(bytes, cx.rng, &mut out, &mut |it| {
            incoming.push(it);
        });
        if !out.is_empty() {
            cx.out.push(Effect::Send(out));
        }
        for it in incoming {
            // What stands before it may have ended the connection.
            if !matches!(self.line, Line::Up(_)) {
                return;
            }
            match it {
                Incoming::Payload(mut payload) => self.on_payload(payload.bytes_mut(), cx),
                // Nobody here asks for one.
                Incoming::QuickAck { .. } => {}
                Incoming::Error { code } => self.on_transport_error(code, cx),
            }
        }
        if outcome.is_err() {
            self.hang_up(cx);
        }
    }

    fn on_payload(&mut self, payload: &mut [u8], cx: &mut Cx<'_, Effect>) {
        if !plain::is_plain(payload) {
            return self.on_envelope(payload, cx);
        }
        match plain::parse(payload) {
            Ok(message) => self.on_exchange_answer(message.body, cx),
            Err(_) => self.hang_up(cx),
        }
    }

    fn on_envelope(&mut self, envelope: &mut [u8], cx: &mut Cx<'_, Effect>) {
        let named = envelope
            .first_chunk()
            .map(|id| AuthKeyId(i64::from_le_bytes(*id)));
        let Some(key) = named.and_then(|id| self.keys.opening(id)) else {
            return self.hang_up(cx);
        };
        let Ok(opened) = envelope::open::<Client>(key, envelope) else {
            return self.hang_up(cx);
        };
        let mut events = Vec::new();
        let outcome = self.session.handle(
            opened.message,
            &mut Cx {
                now: cx.now,
                rng: cx.rng,
                out: &mut events,
            },
        );
        self.attempts.succeed();
        self.refusals_of_key = 0;
        self.refusals_of_dc = 0;
        self.has_met = true;
        self.on_events(events, cx);
        if outcome.is_err() {
            self.hang_up(cx);
        }
    }

    fn on_events(&mut self, events: Vec<client::Event>, cx: &mut Cx<'_, Effect>) {
        for event in events {
            self.on_event(event, cx);
        }
    }

    fn on_event(&mut self, event: client::Event, cx: &mut Cx<'_, Effect>) {
        use client::Event::{Answer, GaveUp, Refused, Uncertain};
        if let Answer { call, reply } = &event
            && self.keys.is_binding(*call)
        {
            return self.on_binding_answer(reply, cx);
        }
        if let Refused { call } | Uncertain { call } = &event
            && self.keys.is_binding(*call)
        {
            return self.on_binding_refused();
        }
        if event == GaveUp {
            self.renew_session(cx);
            return self.hang_up(cx);
        }
        cx.out.push(Effect::Tell(Event::Session(event)));
    }

    /// Goes on in a new session with everything that was not answered.
    pub(super) fn renew_session(&mut self, cx: &mut Cx<'_, Effect>) {
        let mut events = Vec::new();
        self.session.renew(&mut Cx {
            now: cx.now,
            rng: cx.rng,
            out: &mut events,
        });
        self.on_events(events, cx);
        self.forget_binding();
    }

    pub(super) fn on_deadline(&mut self, cx: &mut Cx<'_, Effect>) {
        let now = cx.now.mono;
        match &mut self.line {
            Line::Down { dial_at } if dial_at.is_some_and(|at| at <= now) => self.dial(cx),
            Line::Dialling { since } if *since + self.config.connect_max <= now => self.hang_up(cx),
            Line::Up(up) if up.silent_at(&self.config) <= now => self.hang_up(cx),
            Line::Up(up) if up.ping_at(&self.config) <= now => {
                up.pinged = now;
                self.ping(cx);
            }
            Line::Down { .. } | Line::Dialling { .. } | Line::Up(_) => {}
        }
        self.on_keys_deadline(cx);
        self.on_exchange_deadline(cx);
        self.on_renewal_deadline(cx);
        let mut events = Vec::new();
        self.session.handle_deadline(&mut Cx {
            now: cx.now,
            rng: cx.rng,
            out: &mut events,
        });
        self.on_events(events, cx);
    }

    fn ping(&mut self, cx: &mut Cx<'_, Effect>) {
        let mut id = [0; 8];
        cx.rng.fill_bytes(&mut id);
        // A server closes what is silent; that it does tells us of a connection that only one side believes in.
        let silence_s = super::line::silence_max(&self.config).as_secs();
        let delay_s = i32::try_from(silence_s).unwrap_or(i32::MAX);
        self.session
            .ping(i64::from_le_bytes(id), Some(delay_s.max(1)));
    }

    /// Opens a connection.
    pub(super) fn dial(&mut self, cx: &mut Cx<'_, Effect>) {
        self.line = Line::Dialling { since: cx.now.mono };
        cx.out.push(Effect::Dial);
    }

    /// Closes the connection, and dials again in time.
    pub(super) fn hang_up(&mut self, cx: &mut Cx<'_, Effect>) {
        if matches!(self.line, Line::Down { .. }) {
            return;
        }
        cx.out.push(Effect::HangUp);
        self.lose(cx);
    }

    /// Closes the connection, and dials again after a time that is not the policy's. One that is not open is dialled
    /// when it would have been.
    pub(super) fn hang_up_for(&mut self, wait: core::time::Duration, cx: &mut Cx<'_, Effect>) {
        if matches!(self.line, Line::Down { .. }) {
            return;
        }
        self.come_down(cx);
        self.dial_after(wait, cx);
    }

    /// Closes the connection, if there is one, and dials no other.
    pub(super) fn come_down(&mut self, cx: &mut Cx<'_, Effect>) {
        if !matches!(self.line, Line::Down { .. }) {
            cx.out.push(Effect::HangUp);
        }
        self.forget_connection();
    }

    fn forget_connection(&mut self) {
        self.line = Line::Down { dial_at: None };
        if let Some(exchange) = &mut self.exchange {
            exchange.disconnected();
        }
        self.forget_binding();
    }

    /// Takes note that the connection is gone.
    fn lose(&mut self, cx: &mut Cx<'_, Effect>) {
        if matches!(self.line, Line::Down { .. }) {
            return;
        }
        self.forget_connection();
        let Some(wait) = self.attempts.next_pause(cx.rng) else {
            return self.fail(Failure::Unreachable, cx);
        };
        self.dial_after(wait, cx);
    }

    /// Stays down for a while.
    fn dial_after(&mut self, wait: core::time::Duration, cx: &mut Cx<'_, Effect>) {
        let dial_at = Some(cx.now.mono + wait);
        self.line = Line::Down { dial_at };
        cx.out.push(Effect::Tell(Event::Lost { retry_in: wait }));
    }

    /// Stays down until it is started again.
    pub(super) fn fail(&mut self, why: Failure, cx: &mut Cx<'_, Effect>) {
        self.come_down(cx);
        self.exchange = None;
        self.attempts.succeed();
        cx.out.push(Effect::Tell(Event::Failed(why)));
    }

    /// Brings out whatever can go: queries, a binding, the session's messages.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_, Effect>) {
        if !matches!(&self.line, Line::Up(up) if up.transport.is_ready()) {
            return;
        }
        self.go_on_with_keys(cx);
        if self.is_ready() && self.room > 0 && self.session.has_output(cx.now.mono) {
            self.send_waiting(self.room, cx);
        }
    }

    /// Seals and sends what the session has and `room` holds, if there is a key and a connection.
    pub(super) fn send_waiting(&mut self, room: usize, cx: &mut Cx<'_, Effect>) {
        let (Line::Up(up), Some(key)) = (&mut self.line, self.keys.sealing()) else {
            return;
        };
        let mut messages = Vec::new();
        let mut draining = Cx {
            now: cx.now,
            rng: cx.rng,
            out: &mut messages,
        };
        self.session.drain_within(room, &mut draining);
        let to_seal: Vec<_> = messages
            .iter()
            .map(|it| envelope::ToSeal {
                key,
                message: Message {
                    header: it.header,
                    body: &it.body,
                },
            })
            .collect();
        let (mut envelopes, mut ends, mut out) = (Vec::new(), Vec::new(), Vec::new());
        // A session makes whole words only.
        if envelope::seal_batch::<Client>(&to_seal, &mut envelopes, &mut ends, cx.rng).is_err() {
            return;
        }
        let mut start = 0;
        for end in ends {
            if let Some(sealed) = envelopes.get(start..end) {
                // The transport is ready, and takes whatever an envelope may be.
                let _ = up.transport.encode(sealed, false, cx.rng, &mut out);
            }
            start = end;
        }
        if !out.is_empty() {
            self.room = self.room.saturating_sub(out.len());
            cx.out.push(Effect::Send(out));
        }
    }
}
