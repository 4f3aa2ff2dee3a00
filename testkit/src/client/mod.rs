//! A client: the real session, the real transport, and connections that come and go.

pub(crate) mod act;
pub(crate) mod pfs;

use std::collections::{BTreeMap, BTreeSet};

use heliogram_crypto::AuthKey;
use heliogram_proto::cx::{Cx, Mono};
use heliogram_proto::envelope::{self, Message};
use heliogram_proto::ids::{Identity, SessionId, Term};
use heliogram_proto::port::Target;
use heliogram_proto::session::client::{Event as Told, Fate, KeyDestruction};
use heliogram_proto::session::{Outgoing, Session};
use heliogram_proto::side::Client as ClientSide;
use heliogram_proto::transport::client::{Config, Incoming, Transport};

use self::pfs::{Binding, Pfs};
use crate::body::Update;
use crate::messages::describe;
use crate::net::{ConnId, End, Who};
use crate::queue::Event;
use crate::ring::Ownership;
use crate::world::World;

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: AuthKey,
    /// `key` is a temporary one, and this the one behind it.
    pub(crate) pfs: Option<Pfs>,
    pub(crate) session: Session<ClientSide>,
    /// The wall clock's error, in nanoseconds.
    pub(crate) skew_ns: i64,
    pub(crate) transport: Config,
    pub(crate) conns: Vec<ClientConn>,
    /// The token of each call that waits.
    pub(crate) wishes: BTreeMap<u64, u64>,
    pub(crate) is_dialing: bool,
    /// It wants nothing any more, not even a connection.
    pub(crate) is_retired: bool,
    /// The server has told of its incarnation of this session.
    is_known: bool,
    /// The term of the host that has answered a call of this session which wants updates.
    subscribed: Option<Term>,
    /// Sessions that it has left.
    pub(crate) former: Vec<SessionId>,
    last_session: Option<SessionId>,
    /// The session of the message that is handled.
    hears_of: SessionId,
    /// Tokens of calls that want no updates.
    pub(crate) quiet: BTreeSet<u64>,
    next_ping: Mono,
    armed: Option<Mono>,
}

/// A connection at its client.
#[derive(Debug)]
pub(crate) struct ClientConn {
    pub(crate) id: ConnId,
    transport: Transport,
    last_heard: Mono,
    /// Quick acks that are hoped for.
    tokens: BTreeSet<u32>,
    /// The last outer message that came.
    last_id: i64,
}

impl Client {
    pub(crate) const fn new(
        key: AuthKey,
        session: Session<ClientSide>,
        skew_ns: i64,
        transport: Config,
    ) -> Self {
        Self {
            key,
            pfs: None,
            last_session: Some(session.id()),
            hears_of: session.id(),
            session,
            skew_ns,
            transport,
            conns: Vec::new(),
            wishes: BTreeMap::new(),
            is_dialing: false,
            is_retired: false,
            is_known: false,
            subscribed: None,
            former: Vec::new(),
            quiet: BTreeSet::new(),
            next_ping: Mono(0),
            armed: None,
        }
    }

    /// Tells whether the owner of this client's session is known to have it, and to send it what goes to this target.
    pub(crate) fn is_sure_of(&self, target: Target, owner: Ownership) -> bool {
        match target {
            Target::Session { .. } | Target::Key(_) => self.subscribed == Some(owner.term()),
            // Its login may not be known yet.
            Target::User(_) => false,
        }
    }

    /// Tells whether it can send anything.
    pub(crate) fn is_online(&self) -> bool {
        self.conns.iter().any(|it| it.transport.is_ready())
    }

    pub(crate) fn may_add_connection(&self) -> bool {
        self.is_known && self.conns.len() < CONNS_MAX
    }

    /// Tells whether it may call.
    pub(crate) fn is_bound(&self) -> bool {
        let pfs = self.pfs.as_ref();
        pfs.is_none_or(|it| it.state == Binding::Bound)
    }

    fn is_binding(&self, call: u64) -> bool {
        let pfs = self.pfs.as_ref();
        pfs.is_some_and(|it| it.state == Binding::Asked(call))
    }

    pub(crate) fn identity(&self) -> Identity {
        let perm = self.pfs.as_ref().map(|it| it.perm.id());
        Identity(perm.unwrap_or_else(|| self.key.id()))
    }
}

impl World {
    /// Connects a client to any edge.
    pub(crate) fn dial(&mut self, client: usize) {
        self.clients[client].is_dialing = false;
        let edge = self.dice.index(self.edges.len());
        if self.clients[client].is_retired {
            return;
        }
        if !self.edges[edge].is_up {
            return self.dial_later(client);
        }
        let (id, link) = self.net.open(Who::Client(client), edge);
        self.accept(edge, link);
        let mut hello = Vec::new();
        let state = &mut self.clients[client];
        let Ok(transport) = Transport::new(&state.transport, &mut self.entropy, &mut hello) else {
            return;
        };
        state.conns.push(ClientConn {
            id,
            transport,
            last_heard: self.now,
            tokens: BTreeSet::new(),
            last_id: 0,
        });
        self.send(id, End::Edge, &hello);
        self.flush_client(client);
    }

    /// Has a client connect after a pause.
    pub(crate) fn dial_later(&mut self, client: usize) {
        if !std::mem::replace(&mut self.clients[client].is_dialing, true) {
            let pause = self.dice.millis(0, 2_000);
            self.queue.push(self.now + pause, Event::Dial { client });
        }
    }

    /// Takes note that a connection is of no more use to its client.
    pub(crate) fn client_leaves(&mut self, client: usize, conn: ConnId) {
        let state = &mut self.clients[client];
        let Some(at) = state.conns.iter().position(|it| it.id == conn) else {
            return;
        };
        state.conns.remove(at);
        if state.is_bound() {
            self.step_client(client, Session::reconnected);
        } else {
            self.forget_binding(client);
        }
        self.with_weather(|net, weather| net.close(conn, End::Client, weather));
        if self.clients[client].conns.is_empty() {
            self.dial_later(client);
        } else {
            self.flush_client(client);
        }
    }

    /// Takes bytes from an edge.
    pub(crate) fn client_receives(&mut self, client: usize, conn: ConnId, mut bytes: Vec<u8>) {
        let state = &mut self.clients[client];
        let Some(at) = state.conns.iter().position(|it| it.id == conn) else {
            return;
        };
        let (mut out, mut got) = (Vec::new(), Vec::new());
        let here = &mut state.conns[at];
        here.last_heard = self.now;
        let decoded = here
            .transport
            .decode(&mut bytes, &mut self.entropy, &mut out, &mut |item| {
                got.push(match item {
                    Incoming::Payload(payload) => Got::Payload(payload.bytes().to_vec()),
                    Incoming::QuickAck { token } => Got::QuickAck(token),
                    Incoming::Error { code } => Got::Error(code),
                });
            });
        self.send(conn, End::Edge, &out);
        if let Err(error) = decoded {
            self.checks
                .fail("a server's bytes can be decoded", format!("{error:?}"));
        }
        let mut is_good = true;
        for item in got {
            // What came before it may have made the client leave.
            if !self.clients[client].conns.iter().any(|it| it.id == conn) {
                return;
            }
            is_good &= match item {
                Got::Payload(payload) => self.client_opens(client, conn, payload),
                Got::QuickAck(token) => self.client_is_acked(client, conn, token),
                Got::Error(code) => self.client_is_refused(client, code),
            };
        }
        if is_good {
            self.flush_client(client);
        } else {
            self.client_leaves(client, conn);
        }
    }

    fn client_is_acked(&mut self, client: usize, conn: ConnId, token: u32) -> bool {
        let state = &mut self.clients[client];
        let here = state.conns.iter_mut().find(|it| it.id == conn);
        if here.is_some_and(|it| !it.tokens.contains(&token)) {
            self.checks
                .fail("c: a quick ack was asked for", format!("{token:08x}"));
        }
        self.coverage.fault("quick ack received");
        true
    }

    fn client_is_refused(&mut self, client: usize, code: i32) -> bool {
        let id = self.clients[client].key.id();
        self.coverage.fault("transport error received");
        if code == -404 && self.is_good(id) {
            let detail = format!("client {client} {id:?}");
            self.checks
                .fail("f: -404 is said only of a key that is absent", detail);
        } else if code == -404 {
            let perm = self.clients[client].pfs.as_ref().map(|it| it.perm.id());
            if perm.is_some_and(|perm| self.is_good(perm)) {
                self.coverage.fault("temporary key ended");
                self.renew_key(client);
            } else {
                self.take_new_key(client);
            }
        }
        false
    }

    /// Opens an envelope; `false` if the connection is to be closed.
    fn client_opens(&mut self, client: usize, conn: ConnId, mut payload: Vec<u8>) -> bool {
        let now = self.clock(self.clients[client].skew_ns);
        let state = &mut self.clients[client];
        let opened = match envelope::open::<ClientSide>(&state.key, &mut payload) {
            Ok(opened) => opened,
            Err(error) => {
                let detail = format!("client {client}: {error}");
                self.checks
                    .fail("e: what reaches a client is sealed for it", detail);
                return false;
            }
        };
        let (header, body) = (opened.message.header, opened.message.body);
        self.coverage.received_by_client(body);
        if self.is_traced {
            let said = describe(&header, body);
            eprintln!("{:?} client {client} <- {conn:?} {said}", self.now);
        }
        if let Some(here) = state.conns.iter_mut().find(|it| it.id == conn)
            && header.session_id == state.session.id()
        {
            if header.msg_id.0 <= here.last_id && self.checks.is_calm {
                let detail = format!("{header:?} after {}", here.last_id);
                self.checks
                    .fail("wire order is the order of identifiers", detail);
            }
            here.last_id = header.msg_id.0;
        }
        let mut events = Vec::new();
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut events,
        };
        state.hears_of = header.session_id;
        let handled = state.session.handle(opened.message, &mut cx);
        for event in events {
            self.client_is_told(client, event);
        }
        if let Err(error) = handled {
            self.coverage.fault("client refused a server's message");
            if self.checks.is_calm {
                let detail = format!("client {client} {header:?}: {error:?}");
                self.checks
                    .fail("a client accepts what its server says", detail);
            }
            return false;
        }
        true
    }

    /// Lets a client's session take a step, and does what it says.
    pub(crate) fn step_client(
        &mut self,
        client: usize,
        step: impl FnOnce(&mut Session<ClientSide>, &mut Cx<'_, Told>),
    ) {
        let now = self.clock(self.clients[client].skew_ns);
        let mut events = Vec::new();
        let mut cx = Cx {
            now,
            rng: &mut self.entropy,
            out: &mut events,
        };
        step(&mut self.clients[client].session, &mut cx);
        for event in events {
            self.client_is_told(client, event);
        }
    }

    pub(crate) fn client_is_told(&mut self, client: usize, event: Told) {
        let state = &mut self.clients[client];
        match event {
            Told::Answer { call, reply } if state.is_binding(call) => {
                self.on_bind_answer(client, call, &reply);
            }
            Told::Refused { call } | Told::Uncertain { call } | Told::TimedOut { call }
                if state.is_binding(call) =>
            {
                self.on_bind_lost(client, call);
            }
            Told::Answer { call, reply } => match state.wishes.remove(&call) {
                Some(token) => {
                    if !state.quiet.remove(&token) && state.is_known {
                        state.subscribed = self.checks.tokens.term_of(token);
                    }
                    self.checks.tokens.answered(token, &reply);
                }
                None => self
                    .checks
                    .fail("a call is answered once", format!("{call} {reply:?}")),
            },
            Told::GaveUp => {
                self.coverage.fault("client gave up on its session");
                self.client_begins_anew(client, "GaveUp");
                self.step_client(client, Session::renew);
            }
            Told::NewSession => {
                state.subscribed = None;
                self.checks.pushes.asks(client);
                // Before it is bound, a key's host knows nothing of its sessions.
                if std::mem::replace(&mut state.is_known, true) && state.is_bound() {
                    self.client_begins_anew(client, "NewSession");
                }
            }
            Told::Restarted { .. } => {
                state
                    .former
                    .extend(state.last_session.replace(state.session.id()));
                state.is_known = false;
                state.subscribed = None;
                self.checks.pushes.asks(client);
                self.coverage.fault("client began a new session");
                self.client_begins_anew(client, "Restarted");
            }
            Told::Uncertain { call } => {
                self.coverage.fault("call uncertain");
                if let Some(token) = state.wishes.remove(&call) {
                    self.checks.tokens.uncertain(token);
                }
            }
            Told::TimedOut { call } => {
                self.coverage.fault("call timed out");
                if let Some(token) = state.wishes.remove(&call) {
                    self.checks.tokens.given_up(token);
                }
            }
            Told::Dropped { fate, .. } => self.count_fate(fate),
            Told::SessionDestroyed { was_there, .. } => self.coverage.fault(if was_there {
                "session destroyed"
            } else {
                "session to destroy not found"
            }),
            Told::Missed => {
                self.coverage.fault("client may have missed updates");
                self.checks.pushes.asks(client);
            }
            Told::Update(body) => self.on_update(client, &body),
            Told::KeyDestroyed { outcome } => self.on_key_destroyed(client, outcome),
            Told::Pong { .. } | Told::Refused { .. } => {}
        }
    }

    fn count_fate(&mut self, fate: Fate) {
        self.coverage.fault(match fate {
            Fate::Answered => "dropped answer: had been answered",
            Fate::Running => "dropped answer: runs",
            Fate::Unknown => "dropped answer: unknown",
        });
    }

    fn on_update(&mut self, client: usize, body: &[u8]) {
        if let Some(number) = Update::read(body) {
            let session = self.clients[client].hears_of;
            self.checks.pushes.told(client, session, number);
        } else {
            self.coverage.fault("client is to ask for what it missed");
            self.checks.pushes.asks(client);
        }
    }

    fn on_key_destroyed(&mut self, client: usize, outcome: KeyDestruction) {
        self.coverage.fault(match outcome {
            KeyDestruction::Destroyed => "key destroyed",
            KeyDestruction::Failed => "key not destroyed",
            KeyDestruction::Unknown => "key to destroy not found",
        });
        if outcome == KeyDestruction::Destroyed {
            let identity = self.clients[client].identity();
            self.checks.tokens.destroyed(identity);
            self.take_new_key(client);
        }
    }

    /// Begins anew with a new key, as if installed again.
    pub(crate) fn take_new_key(&mut self, client: usize) {
        let fresh = self.any_client();
        let old = std::mem::replace(&mut self.clients[client], fresh);
        for token in old.wishes.into_values() {
            self.checks.tokens.given_up(token);
        }
        self.checks.pushes.asks(client);
        if old.pfs.is_some() {
            self.hide_key(client);
        }
        let state = &mut self.clients[client];
        (state.is_dialing, state.armed) = (old.is_dialing, old.armed);
        for conn in old.conns {
            let id = conn.id;
            self.with_weather(|net, weather| net.close(id, End::Client, weather));
        }
        self.dial_later(client);
    }

    /// Takes note that calls without an answer are sent anew, as new calls.
    fn client_begins_anew(&mut self, client: usize, why: &str) {
        let Identity(key) = self.clients[client].identity();
        if self.checks.is_calm && self.is_good(key) {
            let detail = format!("client {client}: {why} at {:?}", self.now);
            self.checks
                .fail("without crashes no client begins anew", detail);
        }
        self.checks.tokens.disrupt(|of, _| of == client);
    }

    /// Sends what a client has to say.
    pub(crate) fn flush_client(&mut self, client: usize) {
        if !self.clients[client].is_online() {
            return;
        }
        if !self.clients[client].is_bound() {
            self.bind_key(client);
            return self.arm_client(client);
        }
        let now = self.clock(self.clients[client].skew_ns);
        let mut out = Vec::new();
        self.clients[client].session.drain(&mut Cx {
            now,
            rng: &mut self.entropy,
            out: &mut out,
        });
        self.client_sends(client, out);
        self.arm_client(client);
    }

    /// Seals messages and sends them over any of a client's connections.
    pub(crate) fn client_sends(&mut self, client: usize, out: Vec<Outgoing>) {
        let state = &mut self.clients[client];
        let ready: Vec<_> = (0..state.conns.len())
            .filter(|&at| state.conns[at].transport.is_ready())
            .collect();
        // Messages that overtake a session's first would make the server say that those before are lost.
        let choices = if state.is_known { ready.len() } else { 1 };
        let Some(&at) = ready.get(self.dice.index(choices)) else {
            return;
        };
        let (here, mut bytes) = (&mut state.conns[at], Vec::new());
        for Outgoing { header, body } in out {
            self.checks.wire.client_said(&header, &body);
            if self.is_traced {
                let said = describe(&header, &body);
                eprintln!("{:?} client {client} -> {:?} {said}", self.now, here.id);
            }
            let message = Message {
                header,
                body: &body,
            };
            let mut sealed = Vec::new();
            let Ok(token) =
                envelope::seal::<ClientSide>(&state.key, &message, &mut sealed, &mut self.entropy)
            else {
                continue;
            };
            let wants_quick_ack = self.dice.chance(100);
            if wants_quick_ack {
                here.tokens.insert(token);
            }
            self.stranger.captures(&sealed, &mut self.dice);
            let encoded =
                here.transport
                    .encode(&sealed, wants_quick_ack, &mut self.entropy, &mut bytes);
            if let Err(error) = encoded {
                let detail = format!("{error:?}");
                self.checks
                    .fail("what a client says can be encoded", detail);
            }
        }
        let conn = here.id;
        self.send(conn, End::Edge, &bytes);
    }

    /// Does what is due at a client.
    pub(crate) fn client_tick(&mut self, client: usize) {
        let state = &mut self.clients[client];
        state.armed = None;
        if state.is_retired {
            return;
        }
        let is_waiting = !state.wishes.is_empty();
        let silent = state.conns.iter().find(|it| {
            let silence = self.now.since(it.last_heard).as_secs();
            silence > if is_waiting { 30 } else { 90 }
        });
        if let Some(conn) = silent.map(|it| it.id) {
            self.coverage.fault("client found its connection silent");
            self.client_leaves(client, conn);
        }
        let state = &mut self.clients[client];
        if !state.conns.is_empty() && state.next_ping <= self.now && state.is_bound() {
            state.next_ping = self.now + PULSE;
            state.session.ping(0, Some(75));
        }
        self.step_client(client, Session::handle_deadline);
        self.flush_client(client);
        self.arm_client(client);
    }

    fn arm_client(&mut self, client: usize) {
        let state = &mut self.clients[client];
        let due = state.session.next_deadline().filter(|_| state.is_bound());
        let due = due.unwrap_or(Mono(u64::MAX));
        let pulse = self.now + PULSE;
        let at = due.min(pulse).max(self.now + TICK_MIN);
        if state.armed.is_none_or(|armed| armed > at) {
            state.armed = Some(at);
            self.queue.push(at, Event::ClientTick { client });
        }
    }
}

enum Got {
    Error(i32),
    Payload(Vec<u8>),
    QuickAck(u32),
}

/// Connections that one session uses at once.
const CONNS_MAX: usize = 3;
/// Between two looks at whether a connection still lives.
const PULSE: core::time::Duration = core::time::Duration::from_secs(20);
/// What is due at once is sent with the next bytes anyway.
const TICK_MIN: core::time::Duration = core::time::Duration::from_millis(1);
