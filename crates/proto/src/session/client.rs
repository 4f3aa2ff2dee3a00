//! The client's side of a session: calls that wait for answers, the server's clock and salts.
//!
//! ```text
//!  call ──> queue ──> sent ──┬─ rpc_result ─────────────> Event::Answer
//!             ^        │ ^   ├─ time is over ───────────> Event::TimedOut, rpc_drop_answer
//!             │        │ └───┤  connection lost: the same message again
//!             └────────│─────┤  refused, or lost with the server's memory: in a new message
//!                      └─────┴─ nobody can say ─────────> Event::Uncertain
//! ```
//!
//! A call is kept until it is answered. What may have been executed is never sent under another identifier, except where
//! the server says that it has forgotten everything.

mod ask;
mod bind;
mod calls;
mod clock;
mod copies;
mod event;
mod left;
mod reconnect;
mod salts;
mod saved;

use std::collections::VecDeque;

use bytes::Bytes;
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Deserialize, Serialize};

pub(crate) use ask::Ask;
pub use bind::Binding;
pub use event::{Cancelled, Event, Fate, KeyDestruction, TooManyCalls, Unacceptable};
pub use salts::{FutureSalt, KnownSalts};
pub use saved::{SAVED_BYTES, SavedSession};

use crate::cx::{Cx, Mono};
use crate::envelope::{Authentic, Message};
use crate::ids::{LinkId, MsgId, Salt, SessionId};
use crate::limits::CONTAINER_MESSAGES_SENT_MAX;
use crate::session::client::clock::ServerClock;
use crate::session::client::left::Left;
use crate::session::content::Content;
use crate::session::inbox::Known;
use crate::session::incoming::{self, Contents, Item, Object};
use crate::session::{Malformed, Outgoing, Received, Session, msg_id};
use crate::side::Client;

/// What only a client keeps of a session.
#[derive(Debug)]
pub struct State {
    pub(super) salts: KnownSalts,
    clock: ServerClock,
    next_call: u64,
    waiting: usize,
    /// No call is to be answered before this time.
    earliest_due: Option<Mono>,
    /// When to look for calls that are not answered.
    check_at: Option<Mono>,
    /// The server's name for its incarnation of this session.
    pub(super) incarnation: Option<i64>,
    /// Refusals since the last answer.
    pub(super) refusals: u8,
    /// The last identifier that was sent when the last refusal came.
    pub(super) refused_until: MsgId,
    /// Identifiers of outer messages that were sent last.
    sent: VecDeque<MsgId>,
    left: VecDeque<Left>,
}

impl Session<Client> {
    /// Makes a session. `id` is random and not zero, `salt` the last one known for the key, and `clock_offset_ns` the
    /// server's clock minus ours, as the key exchange or an earlier session found it.
    #[must_use]
    pub fn new(id: SessionId, salt: Salt, clock_offset_ns: i64) -> Self {
        let state = State {
            salts: KnownSalts::new(salt),
            clock: ServerClock::new(clock_offset_ns),
            next_call: 0,
            waiting: 0,
            earliest_due: None,
            check_at: None,
            incarnation: None,
            refusals: 0,
            refused_until: MsgId(0),
            sent: VecDeque::new(),
            left: VecDeque::new(),
        };
        Self::with_state(id, MsgId(i64::MIN), state)
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
        let session = header.session_id;
        if session != self.id && !self.has_left(session) {
            return Err(Unacceptable::ForeignSession);
        }
        check_low_bits(header.msg_id)?;
        self.state.clock.raise(header.msg_id, cx.now);
        let now_s = self.state.clock.now(cx.now).unix.seconds();
        let is_stale = msg_id::check_age(header.msg_id, now_s).is_err();
        let body = Bytes::copy_from_slice(body);
        match incoming::read::<Client>(header.msg_id, header.seqno, body) {
            // A clock that is far ahead learns from the very message that looks old.
            Contents::One(object) if !is_stale || is_about_time(&object) => {
                let (msg_id, seqno) = (header.msg_id, header.seqno);
                let item = Item {
                    msg_id,
                    seqno,
                    object,
                };
                Ok(self.on_item(session, item, cx)?)
            }
            Contents::Container(mut items) if !is_stale => {
                for item in &items {
                    check_low_bits(item.msg_id)?;
                }
                // Updates are told in the order in which they were made.
                items.sort_by_key(|item| item.msg_id);
                for item in items {
                    self.on_item(session, item, cx)?;
                }
                Ok(())
            }
            Contents::One(_) | Contents::Container(_) => Err(Unacceptable::Stale),
            Contents::Undecodable => Err(Unacceptable::Malformed),
        }
    }

    /// Appends everything that waits, as messages to seal in this order.
    pub fn drain(&mut self, cx: &mut Cx<'_, Outgoing>) {
        self.drain_within(usize::MAX, cx);
    }

    /// Appends what waits, until the messages have `bytes_max` bytes or more: the last may be beyond.
    pub fn drain_within(&mut self, bytes_max: usize, cx: &mut Cx<'_, Outgoing>) {
        let now = self.state.clock.now(cx.now);
        if self.wants(LINK, true, now.mono) {
            self.ask_for_salts_ahead(now.mono);
        }
        let salt = self.state.salts.current(now.unix.seconds());
        let (before, out) = (cx.out.len(), &mut *cx.out);
        let mut bytes = 0;
        self.drain_to(LINK, true, salt, now, &mut |outgoing| {
            bytes += outgoing.body.len();
            out.push(outgoing);
            bytes < bytes_max
        });
        for outgoing in cx.out.iter().skip(before) {
            self.note_sent(outgoing.header.msg_id);
        }
        self.start_checking(now.mono);
    }

    /// Remembers the identifier of an outer message.
    fn note_sent(&mut self, id: MsgId) {
        self.state.sent.push_back(id);
        if self.state.sent.len() > SENT_REMEMBERED {
            self.state.sent.pop_front();
        }
    }

    /// Does what is due: ends calls whose time is over, asks what became of others.
    pub fn handle_deadline(&mut self, cx: &mut Cx<'_, Event>) {
        self.end_overdue(cx.now.mono, cx.out);
        self.check_calls(cx.now.mono);
    }

    /// Tells whether [`Session::drain`] would append anything now.
    #[must_use]
    pub fn has_output(&self, now: Mono) -> bool {
        self.wants(LINK, true, now)
    }

    /// Returns when [`Session::handle_deadline`] and then [`Session::drain`] are to be called, if not earlier. A time
    /// that is past waits for a drain: for a connection, if there is none.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let times = [
            self.acks.deadline::<Client>(),
            self.state.earliest_due,
            self.state.check_at,
        ];
        times.into_iter().flatten().min()
    }

    /// Returns when the next call's time is over, at which [`Session::handle_deadline`] is to be called even while there
    /// is no connection.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Mono> {
        self.state.earliest_due
    }

    /// Returns how many calls wait for their answers.
    #[must_use]
    pub const fn calls_waiting(&self) -> usize {
        self.state.waiting
    }

    /// Returns the salts that are known, for keeping with the key.
    #[must_use]
    pub const fn salts(&self) -> &KnownSalts {
        &self.state.salts
    }

    /// Returns the salt that was used last, for keeping with the key.
    #[must_use]
    pub const fn salt(&self) -> Salt {
        self.state.salts.last_used()
    }

    /// Goes on with the salt of another key: the first of a temporary one, from its exchange.
    pub fn set_salt(&mut self, salt: Salt) {
        self.state.salts.replace(salt);
    }

    /// Returns the server's clock minus ours in nanoseconds, for keeping with the key.
    #[must_use]
    pub const fn clock_offset_ns(&self) -> i64 {
        self.state.clock.offset_ns()
    }

    pub(super) fn push_service(&mut self, object: &impl Serialize) {
        let body = Bytes::from(object.to_bytes());
        self.outbox.push(
            None,
            Content::Object {
                body,
                is_answer: false,
            },
        );
    }

    fn on_item(
        &mut self,
        session: SessionId,
        item: Item,
        cx: &mut Cx<'_, Event>,
    ) -> Result<(), Malformed> {
        // The message before it in a container may have ended the session.
        if session != self.id {
            return self.on_left_item(session, item, cx.out);
        }
        let it = Received {
            msg_id: item.msg_id,
            seqno: item.seqno,
            link: LINK,
            in_new_container: false,
            now: self.state.clock.now(cx.now),
        };
        self.on_message(item.object, it, cx)
    }

    fn on_message(
        &mut self,
        object: Object,
        it: Received,
        cx: &mut Cx<'_, Event>,
    ) -> Result<(), Malformed> {
        if it.seqno.is_content_related() {
            // A second copy is acknowledged again: the first acknowledgement may be what was lost.
            self.acks.push(it.msg_id, it.now.mono);
        }
        match (self.inbox.known(it.msg_id), &object) {
            (Known::New, _) => self.inbox.insert(it.msg_id, it.seqno),
            // A call waits for one answer only: a second copy finds nobody.
            (Known::Forgotten, Object::Result(..)) => {}
            (Known::Forgotten, Object::Update(_)) => {
                cx.out.push(Event::Missed);
                return Ok(());
            }
            (Known::Received(_) | Known::Forgotten, _) => return Ok(()),
        }
        match object {
            Object::Result(to, result) => self.on_rpc_result(to, result, it, cx),
            Object::Service(tl::MsgDetailedInfo::ID, body) => {
                self.on_answer_announced(&tl::MsgDetailedInfo::from_bytes(&body)?, it);
                Ok(())
            }
            Object::Service(kind, body) => {
                if self.on_service(kind, &body, it)? {
                    return Ok(());
                }
                self.on_servers_message(kind, &body, it, cx)
            }
            Object::Update(body) => {
                cx.out.push(Event::Update(body));
                Ok(())
            }
            Object::Unreadable => Ok(()),
            // Only servers read these.
            Object::BadRequest(_) | Object::Request(_) => Err(Malformed),
        }
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
                self.on_bad_msg_notification(&message, it, cx);
            }
            tl::BadServerSalt::ID => {
                self.on_bad_server_salt(&tl::BadServerSalt::from_bytes(body)?, cx.out);
            }
            tl::DestroyAuthKeyFail::ID | tl::DestroyAuthKeyNone::ID | tl::DestroyAuthKeyOk::ID => {
                self.on_key_destroyed(kind, cx.out);
            }
            tl::DestroySessionNone::ID => {
                let session_id = tl::DestroySessionNone::from_bytes(body)?.session_id;
                self.on_session_destroyed(session_id, false, cx.out);
            }
            tl::DestroySessionOk::ID => {
                let session_id = tl::DestroySessionOk::from_bytes(body)?.session_id;
                self.on_session_destroyed(session_id, true, cx.out);
            }
            tl::FutureSalts::ID => self.on_future_salts(&tl::FutureSalts::from_bytes(body)?),
            tl::MsgsStateInfo::ID => {
                self.on_msgs_state_info(&tl::MsgsStateInfo::from_bytes(body)?)?;
            }
            tl::NewSessionCreated::ID => {
                let message = tl::NewSessionCreated::from_bytes(body)?;
                self.on_new_session_created(&message, cx.out);
            }
            tl::Pong::ID => self.on_pong(&tl::Pong::from_bytes(body)?, cx.out),
            // Requests that only clients make.
            _ => {}
        }
        Ok(())
    }

    /// Tells whether an identifier is of a message that was sent lately, in this session.
    pub(super) fn was_sent(&self, id: MsgId) -> bool {
        self.state.sent.contains(&id)
            || self
                .outbox
                .unacked()
                .any(|it| it.msg_id == id || it.container == id)
    }
}

fn check_low_bits(id: MsgId) -> Result<(), Unacceptable> {
    msg_id::check_low_bits::<Client>(id).map_err(|_| Unacceptable::IdLowBits)
}

fn is_about_time(object: &Object) -> bool {
    matches!(object, Object::Service(tl::BadMsgNotification::ID, _))
}

/// A client uses one connection at a time; to the queues it always has the same name.
const LINK: LinkId = LinkId(0);

/// Outer identifiers that are remembered to check a server's notices against.
const SENT_REMEMBERED: usize = CONTAINER_MESSAGES_SENT_MAX;
