//! The client's side of a session: calls that wait for answers, the server's clock and salts.
//!
//! A call is kept until it is answered. It is sent again under its own identifier on a new connection, and under a
//! new one when the server has refused or forgotten it.

use std::collections::VecDeque;

use bytes::Bytes;
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Deserialize, Serialize};
use rand_core::CryptoRng;

use crate::cx::{Cx, Mono, Now, Unix};
use crate::envelope::{Authentic, Message};
use crate::ids::{LinkId, MsgId, Salt, SessionId};
use crate::limits::{CALLS_RUNNING_MAX, CONTAINER_MESSAGES_SENT_MAX};
use crate::port::Reply;
use crate::session::content::Content;
use crate::session::inbox::{Inbox, Known};
use crate::session::incoming::{self, Contents, Object};
use crate::session::outbox::Sent;
use crate::session::{Malformed, Outgoing, Received, Session, msg_id};
use crate::side::Client;

/// What only a client keeps of a session.
#[derive(Debug)]
pub struct State {
    salt: Salt,
    pub(super) future_salts: VecDeque<FutureSalt>,
    /// The server's clock minus ours, in nanoseconds.
    clock_offset_ns: i64,
    next_call: u64,
    waiting: usize,
    /// The server's name for its incarnation of this session.
    pub(super) incarnation: Option<i64>,
    /// Refusals since the last answer.
    pub(super) refusals: u8,
    /// The last identifier that was sent when the last refusal came.
    pub(super) refused_until: MsgId,
    /// Identifiers of outer messages that were sent last.
    sent: VecDeque<MsgId>,
}

/// A salt to be used from a moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct FutureSalt {
    pub(super) since_s: u64,
    pub(super) salt: Salt,
}

/// What a client's session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new event must break every driver at compile time"
)]
pub enum Event {
    /// A call was answered.
    Answer {
        /// The number that [`Session::call`] gave.
        call: u64,
        /// The answer.
        reply: Reply,
    },
    /// The server refuses whatever is sent: [`Session::renew`] the session, perhaps with a new key.
    GaveUp,
    /// The server has begun this session anew; updates may have been lost.
    NewSession,
    /// A ping came back.
    Pong {
        /// The number that was given to [`Session::ping`].
        ping_id: i64,
    },
    /// The session goes on under this identifier.
    Restarted {
        /// The new one.
        session_id: SessionId,
    },
    /// Nobody can say whether a call was executed: its owner decides whether to call again.
    Uncertain {
        /// The number that [`Session::call`] gave.
        call: u64,
    },
    /// An object that nobody asked for: one boxed object, unpacked.
    Update(Bytes),
}

/// A server's message can't be accepted: the connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unacceptable {
    /// It is of another session.
    ForeignSession,
    /// Its identifier is not a server's.
    IdLowBits,
    /// It can't be read.
    Malformed,
    /// It is too old.
    Stale,
}

impl core::fmt::Display for Unacceptable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ForeignSession => "the message is of another session",
            Self::IdLowBits => "the message's identifier is not a server's",
            Self::Malformed => "the message can't be read",
            Self::Stale => "the message is too old",
        })
    }
}

impl core::error::Error for Unacceptable {}

impl From<Malformed> for Unacceptable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// More calls wait than the session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "says all")]
pub struct TooManyCalls;

impl core::fmt::Display for TooManyCalls {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("too many calls wait for their answers")
    }
}

impl core::error::Error for TooManyCalls {}

impl Session<Client> {
    /// Makes a session. `id` is random and not zero, `salt` the last one known for the key, and `clock_offset_ns` the
    /// server's clock minus ours, as the key exchange or an earlier session found it.
    #[must_use]
    pub fn new(id: SessionId, salt: Salt, clock_offset_ns: i64) -> Self {
        let state = State {
            salt,
            future_salts: VecDeque::new(),
            clock_offset_ns,
            next_call: 0,
            waiting: 0,
            incarnation: None,
            refusals: 0,
            refused_until: MsgId(0),
            sent: VecDeque::new(),
        };
        Self::with_state(id, MsgId(i64::MIN), state)
    }

    /// Queues a call: one boxed method, whose length is a multiple of four. Returns the number by which its answer
    /// will be known.
    ///
    /// # Errors
    ///
    /// [`TooManyCalls`] when [`CALLS_RUNNING_MAX`] calls wait for their answers.
    pub fn call(&mut self, body: Bytes) -> Result<u64, TooManyCalls> {
        if self.state.waiting >= CALLS_RUNNING_MAX {
            return Err(TooManyCalls);
        }
        self.state.waiting += 1;
        let call = self.state.next_call;
        self.state.next_call += 1;
        self.outbox.push(None, Content::Call { call, body });
        Ok(call)
    }

    /// Queues a ping. With a delay, in seconds, the server closes the connection after it unless another one comes.
    pub fn ping(&mut self, ping_id: i64, disconnect_delay: Option<i32>) {
        match disconnect_delay {
            Some(disconnect_delay) => {
                self.push_service(&tl::PingDelayDisconnect {
                    ping_id,
                    disconnect_delay,
                });
            }
            None => self.push_service(&tl::Ping { ping_id }),
        }
    }

    /// Queues a request for the salts of the hours to come.
    pub fn ask_for_salts(&mut self, count: i32) {
        self.push_service(&tl::GetFutureSalts { num: count });
    }

    /// Handles a message from the server.
    ///
    /// # Errors
    ///
    /// [`Unacceptable`] when the message is not one for this session. Close the connection and call
    /// [`Session::reconnected`] on the next: nothing is lost.
    pub fn handle(
        &mut self,
        message: Authentic<Message<'_>>,
        cx: &mut Cx<'_, Event>,
    ) -> Result<(), Unacceptable> {
        let Message { header, body } = message.into_inner();
        if header.session_id != self.id {
            return Err(Unacceptable::ForeignSession);
        }
        msg_id::check_low_bits::<Client>(header.msg_id).map_err(|_| Unacceptable::IdLowBits)?;
        self.raise_clock(header.msg_id, cx.now);
        let now = self.server_now(cx.now);
        let is_stale = msg_id::check_age(header.msg_id, now.unix.seconds()).is_err();
        let it = Received {
            msg_id: header.msg_id,
            seqno: header.seqno,
            link: LINK,
            in_new_container: false,
            now,
        };
        let body = Bytes::copy_from_slice(body);
        match incoming::read::<Client>(header.msg_id, header.seqno, body) {
            // A clock that is far ahead learns from the very message that looks old.
            Contents::One(object) if is_stale && !is_about_time(&object) => {
                Err(Unacceptable::Stale)
            }
            Contents::Container(_) if is_stale => Err(Unacceptable::Stale),
            Contents::One(object) => Ok(self.on_message(object, it, cx)?),
            Contents::Container(items) => {
                for item in items {
                    let inner = Received {
                        msg_id: item.msg_id,
                        seqno: item.seqno,
                        ..it
                    };
                    self.on_message(item.object, inner, cx)?;
                }
                Ok(())
            }
            Contents::Undecodable => Err(Unacceptable::Malformed),
        }
    }

    /// Appends everything that waits, as messages to seal in this order.
    pub fn drain(&mut self, cx: &mut Cx<'_, Outgoing>) {
        let now = self.server_now(cx.now);
        while let Some(next) = self.state.future_salts.front()
            && next.since_s <= now.unix.seconds()
        {
            self.state.salt = next.salt;
            self.state.future_salts.pop_front();
        }
        let (salt, out) = (self.state.salt, &mut *cx.out);
        let before = out.len();
        self.drain_to(LINK, true, salt, now, &mut |outgoing| out.push(outgoing));
        for outgoing in cx.out.iter().skip(before) {
            self.state.sent.push_back(outgoing.header.msg_id);
        }
        while self.state.sent.len() > SENT_REMEMBERED {
            self.state.sent.pop_front();
        }
    }

    /// Takes note of a new connection: what was not answered goes out again, under its own identifiers.
    pub fn reconnected(&mut self) {
        self.outbox.detach(LINK);
    }

    /// Goes on in a new session, with everything that was not answered: after [`Event::GaveUp`], perhaps with a new key.
    pub fn renew(&mut self, cx: &mut Cx<'_, Event>) {
        self.state.refusals = 0;
        self.restart(cx.rng, cx.out);
    }

    /// Tells whether [`Session::drain`] would append anything now.
    #[must_use]
    pub fn has_output(&self, now: Mono) -> bool {
        self.wants(LINK, true, now)
    }

    /// Returns when something is to be drained that need not go yet.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.acks.deadline::<Client>()
    }

    /// Returns how many calls wait for their answers.
    #[must_use]
    pub const fn calls_waiting(&self) -> usize {
        self.state.waiting
    }

    /// Returns the salt that is used now, for keeping with the key.
    #[must_use]
    pub const fn salt(&self) -> Salt {
        self.state.salt
    }

    /// Returns the server's clock minus ours in nanoseconds, for keeping with the key.
    #[must_use]
    pub const fn clock_offset_ns(&self) -> i64 {
        self.state.clock_offset_ns
    }

    fn push_service(&mut self, object: &impl Serialize) {
        let body = Bytes::from(object.to_bytes());
        self.outbox.push(
            None,
            Content::Object {
                body,
                is_answer: false,
            },
        );
    }

    fn on_message(
        &mut self,
        object: Object,
        it: Received,
        cx: &mut Cx<'_, Event>,
    ) -> Result<(), Malformed> {
        let is_new = self.inbox.known(it.msg_id) == Known::New;
        if it.seqno.is_content_related() {
            // A second copy is acknowledged again: the first acknowledgement may be what was lost.
            self.acks.push(it.msg_id, it.now.mono);
        }
        if !is_new {
            return Ok(());
        }
        self.inbox.insert(it.msg_id, it.seqno);
        let answers_before = cx.out.len();
        match object {
            Object::Result(to, result) => self.on_rpc_result(to, result, cx.out),
            Object::Service(kind, body) => {
                if !self.on_service(kind, &body, it)? {
                    self.on_servers_message(kind, &body, it, cx)?;
                }
            }
            Object::Update(body) => cx.out.push(Event::Update(body)),
            Object::Unreadable => {}
            // Only servers read these.
            Object::BadRequest(_) | Object::Request(_) => return Err(Malformed),
        }
        let ended = cx
            .out
            .iter()
            .skip(answers_before)
            .filter(|event| ends_call(event))
            .count();
        self.state.waiting = self.state.waiting.saturating_sub(ended);
        Ok(())
    }

    /// Handles a service message that only servers send.
    fn on_servers_message(
        &mut self,
        kind: u32,
        body: &[u8],
        it: Received,
        cx: &mut Cx<'_, Event>,
    ) -> Result<(), Malformed> {
        match kind {
            tl::BadMsgNotification::ID => {
                let message = tl::BadMsgNotification::from_bytes(body)?;
                self.on_bad_msg_notification(&message, it, cx.now, cx.rng, cx.out);
            }
            tl::BadServerSalt::ID => {
                self.on_bad_server_salt(&tl::BadServerSalt::from_bytes(body)?, cx.out);
            }
            tl::FutureSalts::ID => self.on_future_salts(&tl::FutureSalts::from_bytes(body)?),
            tl::NewSessionCreated::ID => {
                let message = tl::NewSessionCreated::from_bytes(body)?;
                self.on_new_session_created(&message, cx.out);
            }
            tl::Pong::ID => {
                let message = tl::Pong::from_bytes(body)?;
                self.state.refusals = 0;
                cx.out.push(Event::Pong {
                    ping_id: message.ping_id,
                });
            }
            // Answers to what this client never asks, and requests that only clients make.
            _ => {}
        }
        Ok(())
    }

    /// Sends calls again under new identifiers.
    pub(super) fn send_anew(&mut self, which: impl Fn(&Sent) -> bool) {
        let ids: Vec<_> = self
            .outbox
            .unacked()
            .filter(|it| which(it))
            .map(|it| it.msg_id)
            .collect();
        for id in ids {
            if let Some(content) = self.outbox.take(id) {
                self.outbox.push(None, content);
            }
        }
    }

    /// Goes on in a new session with everything that was not answered.
    pub(super) fn restart(&mut self, rng: &mut dyn CryptoRng, out: &mut Vec<Event>) {
        let mut id = [0; 8];
        rng.fill_bytes(&mut id);
        // A session's identifier is not zero.
        self.id = SessionId(i64::from_le_bytes(id) | 1);
        self.inbox = Inbox::new(MsgId(i64::MIN));
        self.acks.clear();
        self.state.sent.clear();
        self.state.incarnation = None;
        self.state.refused_until = MsgId(0);
        for content in self.outbox.restart() {
            if !matches!(content, Content::Acks(_)) {
                self.outbox.push(None, content);
            }
        }
        out.push(Event::Restarted {
            session_id: self.id,
        });
    }

    /// Tells whether an identifier is of a message that was sent lately, in this session.
    pub(super) fn was_sent(&self, id: MsgId) -> bool {
        self.state.sent.contains(&id)
            || self
                .outbox
                .unacked()
                .any(|it| it.msg_id == id || it.container == id)
    }

    pub(super) fn set_salt(&mut self, salt: Salt) {
        self.state.salt = salt;
        self.state.future_salts.clear();
    }

    /// Takes the server's time from an identifier, forwards and backwards.
    pub(super) fn set_clock(&mut self, id: MsgId, local: Now) {
        self.state.clock_offset_ns = nanos_between(local.unix, id);
    }

    /// Follows a server that is ahead of what we think.
    fn raise_clock(&mut self, id: MsgId, local: Now) {
        let offset = nanos_between(local.unix, id);
        self.state.clock_offset_ns = self.state.clock_offset_ns.max(offset);
    }

    /// Returns the time with the server's wall clock.
    fn server_now(&self, local: Now) -> Now {
        let unix = Unix(
            local
                .unix
                .0
                .saturating_add_signed(self.state.clock_offset_ns),
        );
        Now {
            mono: local.mono,
            unix,
        }
    }
}

/// Returns the time of an identifier minus a time, in nanoseconds.
fn nanos_between(local: Unix, id: MsgId) -> i64 {
    let fraction_ns = (id.0.cast_unsigned() & 0xffff_ffff) >> 2;
    let server_ns = i128::from(msg_id::seconds(id)) * 1_000_000_000 + i128::from(fraction_ns);
    i64::try_from(server_ns - i128::from(local.0)).unwrap_or(0)
}

fn is_about_time(object: &Object) -> bool {
    matches!(object, Object::Service(tl::BadMsgNotification::ID, _))
}

const fn ends_call(event: &Event) -> bool {
    matches!(event, Event::Answer { .. } | Event::Uncertain { .. })
}

/// A client uses one connection at a time; to the queues it always has the same name.
const LINK: LinkId = LinkId(0);

/// Outer identifiers that are remembered to check a server's notices against.
const SENT_REMEMBERED: usize = CONTAINER_MESSAGES_SENT_MAX;
