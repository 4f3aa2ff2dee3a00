//! The server's side of a session: what is refused and how, calls that run, answers that are kept.
//!
//! ```text
//!  message ─┬─ fails a check ──────> bad_msg_notification, bad_server_salt
//!           ├─ was received before ─> its kept answer, or an acknowledgement; never a second execution
//!           └─ is new ─> service message: answered here
//!                        call: Effect::Call, later `reply`
//! ```

use std::collections::VecDeque;

use core::time::Duration;

use bytes::Bytes;
use heliogram_tl::mtproto as tl;
use heliogram_tl::{Deserialize, Serialize};

use crate::cx::{Mono, Now};
use crate::envelope::Header;
use crate::ids::{LinkId, MsgId, Salt, SeqNo, SessionId};
use crate::limits::ACK_DELAY_MS_SERVER;
use crate::session::bad_msg::BadMsg;
use crate::session::content::Content;
use crate::session::inbox::Known;
use crate::session::incoming::{Contents, Item, Object};
use crate::session::on_http_wait::Hold;
use crate::session::on_states::{ACKED, RUNS_OR_DONE};
use crate::session::order::{Held, Order};
use crate::session::outbox::{Answer, Numbered};
use crate::session::request::Request;
use crate::session::salts::{SaltSource, Salts};
use crate::session::{Malformed, Outgoing, Received, Session, Tally};
use crate::side::Server;

/// What only a server keeps of a session.
#[derive(Debug)]
pub struct State {
    /// Names this incarnation of the session to its client.
    pub(super) unique_id: i64,
    /// Incarnations that were united with this one, and may have calls that run.
    pub(super) merged: Vec<i64>,
    /// The smallest identifier that the client was told of.
    pub(super) first: Option<MsgId>,
    /// Nothing is sent yet, nor is the client told of `first`.
    pub(super) is_silent: bool,
    /// Ordered by identifier.
    pub(super) calls: VecDeque<Running>,
    /// Of all of `calls`.
    pub(super) calls_bytes: usize,
    /// When to look for calls that have run for long without an acknowledgement.
    pub(super) calls_due: Option<Mono>,
    /// Which calls wait for others. Most sessions never need it.
    pub(super) order: Option<Box<Order>>,
    /// It gets what is pushed to its user or key.
    pub(super) wants_updates: bool,
}

/// A call that the backend has not answered.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) msg_id: MsgId,
    /// Of its query, which the backend may hold until it answers.
    pub(super) bytes: usize,
    /// Where it came from, while that is there.
    pub(super) link: Option<LinkId>,
    pub(super) since: Mono,
    pub(super) acked: bool,
    /// It waits for other calls, and was not handed out yet.
    pub(super) held: Option<Box<Held>>,
}

/// What a server's session wants of its host.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Run this call; it is new.
    Call { msg_id: MsgId, request: Request },
    /// The client does not want this call's answer any more.
    Cancel { msg_id: MsgId },
    /// Destroy the key that this session belongs to, then tell the client.
    DestroyKey { asked_by: LinkId },
    /// Destroy another session of the same identity, then tell through `destroyed`.
    Destroy {
        session_id: SessionId,
        asked_by: LinkId,
    },
    /// Hold the response for so long, if the connection speaks HTTP.
    Hold(Hold),
    /// Close the connection unless it asks again within this time.
    DisconnectAfter { delay: Duration },
}

/// What became of an outer message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is new and was handled.
    Accepted,
    /// It was received before.
    Duplicate,
    /// It broke a rule; the client is told.
    Refused,
}

/// What a server's session needs to handle a message.
pub(crate) struct Turn<'a> {
    pub(crate) link: LinkId,
    pub(crate) now: Now,
    pub(crate) salts: &'a Salts,
    pub(crate) source: &'a SaltSource,
    /// Future salts were asked for in this frame: they are costly to derive.
    pub(crate) salts_given: bool,
    /// What is refused or received again is counted here.
    pub(crate) tally: &'a mut Tally,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Session<Server> {
    /// Makes a session. Messages at or below `floor` are refused; `unique_id` is random.
    pub(crate) fn new(id: SessionId, floor: MsgId, unique_id: i64) -> Self {
        let state = State {
            unique_id,
            merged: Vec::new(),
            first: None,
            is_silent: false,
            calls: VecDeque::new(),
            calls_bytes: 0,
            calls_due: None,
            order: None,
            wants_updates: false,
        };
        Self::with_state(id, floor, state)
    }

    /// Names this incarnation of the session.
    pub(crate) const fn unique_id(&self) -> i64 {
        self.state.unique_id
    }

    /// Handles an outer message whose id, age and salt have been found good.
    pub(crate) fn handle(
        &mut self,
        header: &Header,
        contents: Contents,
        turn: &mut Turn<'_>,
    ) -> Result<Outcome, Malformed> {
        let it = Received {
            msg_id: header.msg_id,
            seqno: header.seqno,
            link: turn.link,
            in_new_container: false,
            now: turn.now,
        };
        match contents {
            Contents::One(object) => self.on_message(object, it, turn),
            Contents::Container(items) => self.on_container(items, it, turn),
            Contents::Undecodable => {
                let error = match self.inbox.known(it.msg_id) {
                    Known::New => BadMsg::Container,
                    Known::Received(_) => BadMsg::ContainerIdSeen,
                    Known::Forgotten => BadMsg::IdForgotten,
                };
                Ok(self.refuse(error, it, turn))
            }
        }
    }

    /// Queues the refusal of a message.
    pub(crate) fn refuse_outer(
        &mut self,
        error: BadMsg,
        header: &Header,
        salt: Salt,
        link: LinkId,
    ) {
        let body = refusal(error, header.msg_id, header.seqno, salt);
        self.outbox.push(
            Some(link),
            Content::Object {
                body,
                is_answer: true,
            },
        );
    }

    fn on_container(
        &mut self,
        items: Vec<Item>,
        it: Received,
        turn: &mut Turn<'_>,
    ) -> Result<Outcome, Malformed> {
        let checked = match self.inbox.known(it.msg_id) {
            Known::Received(_) => Err(BadMsg::ContainerIdSeen),
            Known::Forgotten => Err(BadMsg::IdForgotten),
            Known::New => self.inbox.check_seqno(it.msg_id, it.seqno),
        };
        let odd = if it.seqno.is_content_related() {
            Err(BadMsg::SeqNoOdd)
        } else {
            Ok(())
        };
        if let Err(error) = checked.and(odd) {
            return Ok(self.refuse(error, it, turn));
        }
        let new = items.iter().map(|item| item.msg_id);
        let lowest = new.filter(|&id| self.inbox.known(id) == Known::New).min();
        self.announce(lowest.unwrap_or(it.msg_id), it, turn.salts.current());
        // First, so that a captured copy doesn't go on where this one breaks off.
        self.inbox.insert(it.msg_id, it.seqno);
        for item in items {
            let inner = Received {
                msg_id: item.msg_id,
                seqno: item.seqno,
                in_new_container: true,
                ..it
            };
            if super::msg_id::check_low_bits::<Server>(item.msg_id).is_err() {
                self.refuse(BadMsg::IdLowBits, inner, turn);
                continue;
            }
            self.on_message(item.object, inner, turn)?;
        }
        Ok(Outcome::Accepted)
    }

    /// Handles one message, alone or out of a container.
    fn on_message(
        &mut self,
        object: Object,
        it: Received,
        turn: &mut Turn<'_>,
    ) -> Result<Outcome, Malformed> {
        match self.inbox.known(it.msg_id) {
            Known::New => {}
            Known::Received(_) => return Ok(self.on_copy(it, turn)),
            Known::Forgotten if self.remembers_call(it.msg_id) => {
                return Ok(self.on_copy(it, turn));
            }
            Known::Forgotten => return Ok(self.refuse(BadMsg::IdForgotten, it, turn)),
        }
        let checked = self.inbox.check_seqno(it.msg_id, it.seqno);
        if let Err(error) = checked.and(check_parity(&object, it.seqno)) {
            return Ok(self.refuse(error, it, turn));
        }
        self.inbox.insert(it.msg_id, it.seqno);
        self.announce(it.msg_id, it, turn.salts.current());
        let body = match object {
            Object::Request(request) => {
                self.subscribe(&request);
                self.on_request(request, it, turn.effects);
                return Ok(Outcome::Accepted);
            }
            Object::BadRequest(why) => {
                self.refuse_call(it, 400, why);
                return Ok(Outcome::Accepted);
            }
            Object::Service(kind, body) => (kind, body),
            // Only clients read these.
            Object::Result(..) | Object::Unreadable | Object::Update(_) => return Err(Malformed),
        };
        if it.seqno.is_content_related() {
            self.acks.push(it.msg_id, it.now.mono);
        }
        let (kind, body) = body;
        if !self.on_service(kind, &body, it)? {
            self.on_clients_message(kind, &body, it, turn)?;
        }
        Ok(Outcome::Accepted)
    }

    /// Handles a service message that only clients send.
    fn on_clients_message(
        &mut self,
        kind: u32,
        body: &[u8],
        it: Received,
        turn: &mut Turn<'_>,
    ) -> Result<(), Malformed> {
        match kind {
            tl::DestroyAuthKey::ID => turn.effects.push(Effect::DestroyKey { asked_by: it.link }),
            tl::DestroySession::ID => {
                let message = tl::DestroySession::from_bytes(body)?;
                self.on_destroy_session(&message, it, turn.effects);
            }
            tl::GetFutureSalts::ID => {
                let message = tl::GetFutureSalts::from_bytes(body)?;
                self.on_get_future_salts(&message, it, turn);
            }
            tl::PingDelayDisconnect::ID => {
                let message = tl::PingDelayDisconnect::from_bytes(body)?;
                self.on_ping_delay_disconnect(&message, it, turn.effects);
            }
            tl::RpcDropAnswer::ID => {
                let message = tl::RpcDropAnswer::from_bytes(body)?;
                self.on_rpc_drop_answer(&message, it, turn.effects);
            }
            tl::HttpWait::ID => Self::on_http_wait(&tl::HttpWait::from_bytes(body)?, turn.effects),
            // All others answer something that a server never asks: nobody waits for them.
            _ => {}
        }
        Ok(())
    }

    /// Tells the client where this session begins for us, once for each new minimum.
    fn announce(&mut self, lowest: MsgId, it: Received, salt: Salt) {
        if self.state.first.is_some_and(|first| first <= lowest) {
            return;
        }
        self.state.first = Some(lowest);
        if self.state.is_silent {
            return;
        }
        let unique_id = self.state.unique_id;
        self.outbox.push(
            Some(it.link),
            Content::NewSession {
                first: lowest,
                unique_id,
                salt,
            },
        );
    }

    /// A second copy: the answer again if it is kept, else an acknowledgement.
    ///
    /// A client that has reconnected sends its calls again in a new container: then the answer will go there. A message
    /// alone may be a captured one, and draws no answer away that was not sent yet.
    pub(super) fn on_duplicate(&mut self, it: Received) -> Outcome {
        let answer = self.outbox.answer_to(it.msg_id);
        if let Some(Answer::Sent(answer)) = answer {
            self.outbox.bring::<Server>(answer, it.link);
        } else if it.in_new_container {
            self.redirect(it.msg_id, it.link);
        }
        if answer.is_none() && it.seqno.is_content_related() {
            self.outbox
                .push(Some(it.link), Content::Acks(vec![it.msg_id]));
        }
        Outcome::Duplicate
    }

    /// Tells whether a message is known to be a call though its identifier is forgotten.
    pub(super) fn remembers_call(&self, id: MsgId) -> bool {
        self.position_of(id).is_some() || self.outbox.answer_to(id).is_some()
    }

    /// A second copy that its sender sent.
    fn on_copy(&mut self, it: Received, turn: &mut Turn<'_>) -> Outcome {
        turn.tally.duplicates += 1;
        self.on_duplicate(it)
    }

    fn refuse(&mut self, error: BadMsg, it: Received, turn: &mut Turn<'_>) -> Outcome {
        turn.tally.refuse(error);
        let body = refusal(error, it.msg_id, it.seqno, Salt(0));
        self.outbox.push(
            Some(it.link),
            Content::Object {
                body,
                is_answer: true,
            },
        );
        Outcome::Refused
    }

    /// Queues an `rpc_error`.
    pub(super) fn answer_error(
        &mut self,
        to: MsgId,
        link: Option<LinkId>,
        code: i32,
        message: &str,
    ) {
        self.outbox.push(
            link,
            Content::Result {
                to,
                result: rpc_error(code, message),
            },
        );
    }

    /// Returns when [`Session::handle_deadline`] wants to be called.
    /// What is due already waits for its link to be drained, not for a time.
    pub(crate) fn next_deadline(&self, now: Mono) -> Option<Mono> {
        let acks = self.acks.deadline::<Server>().filter(|&at| at > now);
        let due = [acks, self.state.calls_due, self.waits_end()];
        due.into_iter().flatten().min()
    }

    /// Acknowledges calls that have run for long, and ends those that have waited for too long. What is due is then
    /// ready to be drained.
    pub(crate) fn handle_deadline(&mut self, now: Mono) {
        self.end_waits(now);
        if self.state.calls_due.is_none_or(|at| at > now) {
            return;
        }
        let delay = Duration::from_millis(ACK_DELAY_MS_SERVER);
        let mut next: Option<Mono> = None;
        for call in self.state.calls.iter_mut().filter(|call| !call.acked) {
            let due = call.since + delay;
            if due <= now {
                call.acked = true;
                self.acks.push_due(call.msg_id);
            } else {
                next = Some(next.map_or(due, |at| at.min(due)));
            }
        }
        self.state.calls_due = next;
    }

    /// Takes note that a link is gone.
    pub(crate) fn detach(&mut self, link: LinkId) {
        self.outbox.detach::<Server>(link);
        for call in self
            .state
            .calls
            .iter_mut()
            .filter(|call| call.link == Some(link))
        {
            call.link = None;
        }
    }

    /// Takes note that a link that speaks HTTP has had its response: what was meant for it goes to whichever link
    /// brings the next request.
    pub(crate) fn release(&mut self, link: LinkId) {
        self.outbox.release(link);
        for call in &mut self.state.calls {
            call.link = call.link.filter(|&it| it != link);
        }
    }

    /// Makes a container without messages: the response to an HTTP request when nothing waits.
    pub(crate) fn write_nothing(&mut self, salt: Salt, now: Now) -> Outgoing {
        let Numbered {
            msg_id,
            seqno,
            body,
        } = self.outbox.write_nothing::<Server>(now);
        let session_id = self.id;
        let header = Header {
            salt,
            session_id,
            msg_id,
            seqno,
        };
        Outgoing { header, body }
    }

    /// Takes note of a link that is new to the session.
    pub(crate) fn attach(&mut self, now: Mono) {
        self.outbox.attach::<Server>(now);
    }

    /// Drops what is too old to matter, and gives back the room of what is gone.
    pub(crate) fn tidy(&mut self, now: Now) {
        self.inbox.tidy(now.unix.seconds());
        self.outbox.tidy(now.mono);
        self.tidy_order(now.unix.seconds());
        self.state.calls.shrink_to_fit();
        if self.state.calls.is_empty() {
            self.state.merged = Vec::new();
        }
    }

    /// Tells whether [`Session::tidy`] would find nothing, now or later.
    pub(crate) fn is_tidy(&self) -> bool {
        self.inbox.len() == 0
            && self.outbox.is_empty()
            && self.state.calls.is_empty()
            && self.state.order.is_none()
    }

    /// Returns the highest identifier received: below it a later session with this id accepts nothing.
    pub(crate) fn floor(&self) -> MsgId {
        self.inbox.highest()
    }

    /// Returns the calls that run; those that wait for others were not handed out.
    pub(crate) fn running_calls(&self) -> impl Iterator<Item = MsgId> {
        let calls = self.state.calls.iter();
        calls
            .filter(|call| call.held.is_none())
            .map(|call| call.msg_id)
    }

    /// Returns how many identifiers are remembered.
    pub(crate) fn received_ids(&self) -> usize {
        self.inbox.len()
    }

    /// Returns how many messages wait to be acknowledged, and their bytes.
    pub(crate) fn unacked(&self) -> (usize, usize) {
        self.outbox.unacked_size()
    }

    /// Tells how many messages wait for a connection.
    pub(crate) fn queued(&self) -> usize {
        self.outbox.queued()
    }

    /// Returns the highest identifier that was sent.
    pub(crate) const fn last_sent(&self) -> MsgId {
        self.outbox.last_id()
    }

    /// Returns the sequence number that the next message has if nobody acknowledges it.
    pub(crate) fn next_service_seqno(&self) -> SeqNo {
        self.outbox.service_seqno()
    }

    /// Makes all later identifiers greater than `id`.
    pub(crate) fn raise_ids_to(&mut self, id: MsgId) {
        self.outbox.raise_ids_to(id);
    }
}

impl State {
    /// Returns the bits that say that a received call runs, and whether it was acknowledged.
    pub(super) fn state_of_call(&self, id: MsgId) -> Option<u8> {
        let at = self.calls.binary_search_by_key(&id, |call| call.msg_id);
        let call = self.calls.get(at.ok()?)?;
        Some(RUNS_OR_DONE | if call.acked { ACKED } else { 0 })
    }
}

/// Checks that a call's sequence number asks for an acknowledgement. What else asks for one is the client's affair.
fn check_parity(object: &Object, seqno: SeqNo) -> Result<(), BadMsg> {
    match object {
        Object::BadRequest(_) | Object::Request(_) if !seqno.is_content_related() => {
            Err(BadMsg::SeqNoEven)
        }
        Object::BadRequest(_)
        | Object::Request(_)
        | Object::Service(..)
        | Object::Result(..)
        | Object::Unreadable
        | Object::Update(_) => Ok(()),
    }
}

/// Writes the refusal of a message.
pub(crate) fn refusal(error: BadMsg, msg_id: MsgId, seqno: SeqNo, salt: Salt) -> Bytes {
    let (bad_msg_id, bad_msg_seqno, error_code) = (msg_id.0, seqno.0, error.code());
    if error == BadMsg::Salt {
        let new_server_salt = salt.0;
        let message = tl::BadServerSalt {
            bad_msg_id,
            bad_msg_seqno,
            error_code,
            new_server_salt,
        };
        return Bytes::from(message.to_bytes());
    }
    Bytes::from(
        tl::BadMsgNotification {
            bad_msg_id,
            bad_msg_seqno,
            error_code,
        }
        .to_bytes(),
    )
}

/// Writes an `rpc_error`.
pub(crate) fn rpc_error(code: i32, message: &str) -> Bytes {
    let error = tl::RpcError {
        error_code: code,
        error_message: message.as_bytes(),
    };
    Bytes::from(error.to_bytes())
}
