//! One connection of a server: transport, unencrypted messages and envelopes. It lives with its socket.
//!
//! ```text
//!  bytes --decode--> payload --+-- key id 0 ------> Effect::Exchange --> (table) --> Input::Answer --+
//!                              |                                                                     |
//!                              +-- a key at hand -> open --> Effect::Frame --> (host)                |
//!                              |                                               |                     |
//!                              +-- another -------> Effect::LoadKey,           v                     v
//!                                                   waits for Input::Key     send: seal --encode--> bytes
//! ```
//!
//! Pure: no socket, clock or store. What it wants is an [`Effect`]; what it writes is appended to the caller's
//! buffer, at once and in order, because the codec counts every byte. Which session a message belongs to, and
//! whether it is a repeat, is the host's affair.
//!
//! A peer is told `-404` only for an invalid message or when the store has said that its key is absent. While the
//! store can't say, frames wait in order; then the link closes without a word.
//!
//! Source: <https://core.telegram.org/mtproto/description>. Open points: `docs/adr/0005-error-reaction.md`.

mod deadlines;
mod few;
mod io;
mod keys;
mod seal;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use heliogram_tl::mtproto;

use crate::cx::{Cx, Mono};
use crate::edge::keys::KeyOutcome;
use crate::envelope::{self, Header, Message, Opened, Sealed, Undecryptable};
use crate::exchange::plain;
use crate::ids::{AuthKeyId, LinkId, MsgId};
use crate::limits;
use crate::port::{Frame, KeyFacts, KeyRecord};
use crate::side::Server;
use crate::transport::server::Transport;
use crate::transport::{self, Framing, Payload, Reaction};

pub use self::io::{Cause, Effect, Input, Limits};
pub use self::seal::Scratch;

use self::deadlines::Deadlines;
use self::few::Few;
use self::keys::{Keys, Lookup, Waiting};

/// One connection of a server.
#[derive(Debug)]
pub struct Link {
    id: LinkId,
    peer: SocketAddr,
    /// `peer` is what a proxy has announced.
    is_announced: bool,
    transport: Transport,
    keys: Keys,
    deadlines: Deadlines,
    /// Exchange messages without an answer yet.
    exchanging: usize,
    last_plain_id: Option<MsgId>,
    is_closed: bool,
}

impl Link {
    /// Makes a link for a connection that starts now.
    #[must_use]
    pub fn new(
        id: LinkId,
        peer: SocketAddr,
        transport: Transport,
        limits: Limits,
        now: Mono,
    ) -> Self {
        Self {
            id,
            peer,
            is_announced: false,
            transport,
            keys: Keys::new(limits.key_wait_max),
            deadlines: Deadlines::new(limits, now),
            exchanging: 0,
            last_plain_id: None,
            is_closed: false,
        }
    }

    /// Takes what the socket brought; overwrites it.
    pub fn receive(&mut self, input: &mut [u8], write: &mut Vec<u8>, cx: &mut Cx<'_, Effect>) {
        if self.is_closed {
            return;
        }
        let mut payloads = Few::new();
        let decoded = self
            .transport
            .decode(input, write, &mut |payload| payloads.push(payload));
        if !self.is_announced
            && let Some(peer) = self.transport.announced_peer()
        {
            self.is_announced = true;
            self.peer = peer;
            cx.out.push(Effect::Peer(peer));
        }
        let is_partial = self.transport.has_partial_frame();
        self.deadlines.received(
            self.transport.is_detecting(),
            !payloads.is_empty(),
            is_partial,
            cx.now.mono,
        );
        if !self.take_payloads(payloads, write, cx) {
            return;
        }
        match decoded {
            Ok(()) => self.load_claimed_key(write, cx),
            Err(error) => self.give_up(error, write, cx),
        }
    }

    /// Takes one input of another kind.
    pub fn handle(&mut self, input: Input, write: &mut Vec<u8>, cx: &mut Cx<'_, Effect>) {
        if self.is_closed {
            return;
        }
        match input {
            Input::Answer(body) => self.answer(&body, write, cx),
            Input::Key { id, outcome } => self.key_found(id, outcome, write, cx),
            Input::Doubted { id } => self.keys.doubt(id),
            Input::Revoked { id } => self.keys.revoke(id),
            Input::Said(said) => self.send(&mut vec![*said], &mut Scratch::default(), write, cx),
            Input::Sealed(envelope) => {
                let encoded = self.transport.encode(&envelope, cx.rng, write);
                debug_assert!(encoded.is_ok(), "a host's messages fit every framing");
            }
            Input::Refuse { code } => self.close(code, Cause::Exchange, write, cx),
        }
    }

    /// Closes the link if something is overdue.
    pub fn handle_deadline(&mut self, write: &mut Vec<u8>, cx: &mut Cx<'_, Effect>) {
        if self.is_closed {
            return;
        }
        if let Some(cause) = self
            .keys
            .overdue(cx.now.mono)
            .or_else(|| self.deadlines.overdue(cx.now.mono))
        {
            self.close(None, cause, write, cx);
        }
    }

    /// Returns when [`Self::handle_deadline`] is to be called; it is never early to do so.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.is_closed {
            return None;
        }
        [self.keys.next_deadline(), self.deadlines.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Tells whether more input is welcome. It is not while frames wait for a key: the socket holds them as well.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_closed && !self.keys.is_crowded() && self.transport.claimed_key().is_none()
    }

    /// Returns the keys that this link holds.
    pub fn held_keys(&self) -> impl Iterator<Item = AuthKeyId> {
        self.keys.held()
    }

    /// Returns the keys that this link waits for.
    pub fn awaited_keys(&self) -> impl Iterator<Item = AuthKeyId> {
        self.keys.awaited()
    }

    /// Opens the payloads of keys at hand as one batch, and sorts the others. `false` once the link is closed.
    fn take_payloads(
        &mut self,
        mut payloads: Few<Payload<'_>>,
        write: &mut Vec<u8>,
        cx: &mut Cx<'_, Effect>,
    ) -> bool {
        let mut frames = Few::new();
        let mut sorted = Ok(());
        for payload in payloads.iter_mut() {
            let quick_ack = payload.wants_quick_ack();
            sorted = self.sort(payload.bytes_mut(), quick_ack, &mut frames, cx);
            if sorted.is_err() {
                break;
            }
        }
        // What came before a bad frame is good.
        match self.open(frames, cx).and(sorted) {
            Ok(()) => true,
            Err(refusal) => {
                self.close(refusal.code, refusal.cause, write, cx);
                false
            }
        }
    }

    /// Finds out whose a payload is. One of a key at hand goes to `frames`.
    fn sort<'a>(
        &mut self,
        payload: &'a mut [u8],
        quick_ack: bool,
        frames: &mut Few<ToOpen<'a>>,
        cx: &mut Cx<'_, Effect>,
    ) -> Result<(), Refusal> {
        let id = payload.first_chunk::<8>().ok_or(Refusal::INVALID)?;
        let id = AuthKeyId(i64::from_le_bytes(*id));
        if id.0 == 0 {
            return self.take_plain(payload, cx);
        }
        match self.keys.find(id) {
            Lookup::Held(record) if record.facts.is_expired(cx.now.unix.seconds()) => {
                Err(Refusal::KEY_ABSENT)
            }
            Lookup::Revoked => Err(Refusal::KEY_ABSENT),
            Lookup::Held(record) => {
                frames.push(ToOpen {
                    record: Arc::clone(record),
                    envelope: payload,
                    quick_ack,
                });
                Ok(())
            }
            Lookup::Loading => self.keys.wait(
                id,
                Waiting {
                    envelope: payload.to_vec(),
                    quick_ack,
                },
            ),
            Lookup::Doubted | Lookup::Unknown => {
                self.keys.load(id, cx.now.mono)?;
                cx.out.push(Effect::LoadKey { id });
                self.keys.wait(
                    id,
                    Waiting {
                        envelope: payload.to_vec(),
                        quick_ack,
                    },
                )
            }
        }
    }

    /// Hands an unencrypted message to the exchange.
    fn take_plain(&mut self, payload: &[u8], cx: &mut Cx<'_, Effect>) -> Result<(), Refusal> {
        let message = plain::parse(payload).map_err(|_| Refusal::INVALID)?;
        let id = message.body.first_chunk::<4>().ok_or(Refusal::INVALID)?;
        let id = u32::from_le_bytes(*id);
        if id == mtproto::MsgsAck::ID {
            // Some clients acknowledge the answers of an exchange. Nothing follows from it.
            return Ok(());
        }
        if self.exchanging >= limits::EXCHANGE_MESSAGES_MAX {
            return Err(Refusal::TOO_MUCH);
        }
        self.exchanging += 1;
        let starts = id == mtproto::ReqPq::ID || id == mtproto::ReqPqMulti::ID;
        if starts {
            self.deadlines.exchange_begins(cx.now.mono);
        }
        cx.out.push(Effect::Exchange {
            body: message.body.to_vec(),
            starts,
        });
        Ok(())
    }

    /// Opens frames in order; the first that is not sealed with its key ends it.
    fn open(
        &mut self,
        mut frames: Few<ToOpen<'_>>,
        cx: &mut Cx<'_, Effect>,
    ) -> Result<(), Refusal> {
        if let Some(ToOpen {
            record,
            envelope,
            quick_ack,
        }) = frames.single()
        {
            let opened = envelope::open::<Server>(&record.key, envelope);
            return self.deliver(record.facts, *quick_ack, opened, cx);
        }
        let facts: Vec<_> = frames
            .iter()
            .map(|frame| (frame.record.facts, frame.quick_ack))
            .collect();
        let mut opened = Vec::with_capacity(facts.len());
        let sealed = frames.iter_mut().map(
            |ToOpen {
                 record, envelope, ..
             }| Sealed {
                key: &record.key,
                envelope,
            },
        );
        envelope::open_batch::<Server>(sealed, &mut opened);
        facts
            .into_iter()
            .zip(opened)
            .try_for_each(|((facts, quick_ack), opened)| self.deliver(facts, quick_ack, opened, cx))
    }

    /// Hands an opened frame to the host, and trusts its sender from now on.
    fn deliver(
        &mut self,
        key: KeyFacts,
        wants_quick_ack: bool,
        opened: Result<Opened<'_>, Undecryptable>,
        cx: &mut Cx<'_, Effect>,
    ) -> Result<(), Refusal> {
        let opened = opened.map_err(|_| Refusal::INVALID)?;
        self.transport.trust();
        self.deadlines.key_shown();
        cx.out
            .push(Effect::Frame(self.frame(key, wants_quick_ack, opened)));
        Ok(())
    }

    fn frame(&self, key: KeyFacts, wants_quick_ack: bool, opened: Opened<'_>) -> Frame {
        let Opened { message, quick_ack } = opened;
        let Message { header, body } = message.into_inner();
        let Header {
            salt,
            session_id,
            msg_id,
            seqno,
        } = header;
        Frame {
            link: self.id,
            key,
            peer: self.peer,
            salt,
            session_id,
            msg_id,
            seqno,
            body: Bytes::copy_from_slice(body),
            quick_ack: wants_quick_ack.then_some(quick_ack),
            is_http: self.transport.framing() == Some(Framing::Http),
            term: None,
            trace: None,
        }
    }

    fn key_found(
        &mut self,
        id: AuthKeyId,
        outcome: KeyOutcome,
        write: &mut Vec<u8>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let (code, cause) = match outcome {
            KeyOutcome::Present(record) => return self.key_present(id, &record, write, cx),
            KeyOutcome::Absent => (NOT_FOUND, Cause::KeyAbsent),
            KeyOutcome::Unavailable => (None, Cause::KeyUnavailable),
        };
        self.keys.give_up(id);
        self.close(code, cause, write, cx);
    }

    fn key_present(
        &mut self,
        id: AuthKeyId,
        record: &Arc<KeyRecord>,
        write: &mut Vec<u8>,
        cx: &mut Cx<'_, Effect>,
    ) {
        let Some(mut waiting) = self.keys.hold(id, record) else {
            return;
        };
        if record.facts.is_expired(cx.now.unix.seconds()) {
            return self.close(NOT_FOUND, Cause::KeyAbsent, write, cx);
        }
        let frames = waiting
            .iter_mut()
            .map(
                |Waiting {
                     envelope,
                     quick_ack,
                 }| {
                    let (record, quick_ack) = (Arc::clone(record), *quick_ack);
                    ToOpen {
                        record,
                        envelope,
                        quick_ack,
                    }
                },
            )
            .collect();
        // Asked first: who shows a key is trusted, and then claims none.
        let is_claimed = self.transport.claimed_key() == Some(id);
        if let Err(refusal) = self.open(frames, cx) {
            return self.close(refusal.code, refusal.cause, write, cx);
        }
        if is_claimed {
            // The key exists, which is as much as a stranger can show before a large frame has come whole.
            self.transport.trust();
            self.receive(&mut [], write, cx);
        }
    }

    /// Looks for the key that a large frame names before it is taken.
    fn load_claimed_key(&mut self, write: &mut Vec<u8>, cx: &mut Cx<'_, Effect>) {
        let Some(id) = self.transport.claimed_key() else {
            return;
        };
        match self.keys.find(id) {
            Lookup::Held(_) => {
                self.transport.trust();
                self.receive(&mut [], write, cx);
            }
            Lookup::Loading => {}
            Lookup::Revoked => self.close(NOT_FOUND, Cause::KeyAbsent, write, cx),
            Lookup::Doubted | Lookup::Unknown => match self.keys.load(id, cx.now.mono) {
                Ok(()) => cx.out.push(Effect::LoadKey { id }),
                Err(refusal) => self.close(refusal.code, refusal.cause, write, cx),
            },
        }
    }

    fn answer(&mut self, body: &[u8], write: &mut Vec<u8>, cx: &mut Cx<'_, Effect>) {
        self.exchanging = self.exchanging.saturating_sub(1);
        if body.first_chunk::<4>() == Some(&mtproto::DhGenOk::ID.to_le_bytes()) {
            self.deadlines.key_made();
        }
        let msg_id = plain::answer_id(cx.now.unix, self.last_plain_id);
        self.last_plain_id = Some(msg_id);
        let encoded = self
            .transport
            .encode(&plain::build(msg_id, body), cx.rng, write);
        debug_assert!(encoded.is_ok(), "an answer fits every framing");
    }

    fn give_up(&mut self, error: transport::Error, write: &mut Vec<u8>, cx: &mut Cx<'_, Effect>) {
        let code = match error.reaction() {
            Reaction::Close | Reaction::CloseAfterFlush => None,
            Reaction::Refuse { code } => Some(code),
        };
        self.close(code, Cause::Transport(error), write, cx);
    }

    fn close(
        &mut self,
        code: Option<i32>,
        cause: Cause,
        write: &mut Vec<u8>,
        cx: &mut Cx<'_, Effect>,
    ) {
        if let Some(code) = code {
            self.transport.encode_error(code, cx.rng, write);
        }
        self.is_closed = true;
        cx.out.push(Effect::Close { cause, code });
    }
}

/// A frame whose key is at hand.
struct ToOpen<'a> {
    record: Arc<KeyRecord>,
    envelope: &'a mut [u8],
    quick_ack: bool,
}

/// Why a frame ends the link, and the code that its sender gets.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    code: Option<i32>,
    cause: Cause,
}

impl Refusal {
    const INVALID: Self = Self {
        code: NOT_FOUND,
        cause: Cause::InvalidMessage,
    };
    const KEY_ABSENT: Self = Self {
        code: NOT_FOUND,
        cause: Cause::KeyAbsent,
    };
    const TOO_MUCH: Self = Self {
        code: FLOOD,
        cause: Cause::TooMuch,
    };
    const WAITS_TOO_MUCH: Self = Self {
        code: None,
        cause: Cause::KeyUnavailable,
    };
}

/// "Auth key not found", which is also the answer to all that is invalid.
const NOT_FOUND: Option<i32> = Some(-404);

/// "Transport flood".
const FLOOD: Option<i32> = Some(-429);
