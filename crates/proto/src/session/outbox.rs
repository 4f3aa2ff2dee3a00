//! What a session has to send, and what it has sent that is not acknowledged.
//!
//! ```text
//!  push ──> queue ──drain──> wire
//!             │      └──> unacked ──acknowledge──> gone
//!             └─ ids and sequence numbers are given at drain, so wire order is the order of ids
//! ```
//!
//! A link that is gone gives its unacknowledged messages back: they are sent again in a container, with their first
//! identifiers, by which the receiver tells a second copy. How that is done is in [`again`]; [`drain`] writes.

mod again;
mod answers;
mod client;
mod drain;
mod updates;
mod wire;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::cx::{Mono, Now};
use crate::ids::{LinkId, MsgId, SeqNo};
use crate::limits::UNACKED_AGE_S_MAX;
use crate::session::content::Content;
use crate::session::msg_id::Generator;
use crate::session::outbox::again::Again;
pub(crate) use crate::session::outbox::answers::Answer;
use crate::session::outbox::updates::Updates;
use crate::session::role::habits;
use crate::side::Side;

/// The sending half of a session.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    ids: Generator,
    content_count: u32,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    unacked: VecDeque<Sent>,
    /// Without updates: these have limits of their own.
    unacked_bytes: usize,
    /// How many of `unacked` are to be sent again.
    to_resend: usize,
    /// How much of all this is pushed updates.
    updates: Updates,
}

/// Something that waits for its link.
#[derive(Debug)]
struct Queued {
    /// `None`: whichever is the session's current one.
    link: Option<LinkId>,
    content: Content,
}

/// Something that was sent and asks for an acknowledgement. Ordered by identifier.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) msg_id: MsgId,
    pub(crate) seqno: SeqNo,
    /// The container that carried it last, zero if none did.
    pub(crate) container: MsgId,
    /// How often it was sent.
    pub(crate) copies: u8,
    pub(crate) content: Content,
    /// The first time: a copy that a captured request has drawn is none that its receiver got.
    sent_at: Mono,
    link: Option<LinkId>,
    again: Again,
    /// An answer that was given up to make room: an error has taken its place, and goes out as a message of its own.
    is_lost: bool,
}

/// A message with its numbers.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) msg_id: MsgId,
    pub(crate) seqno: SeqNo,
    pub(crate) body: Bytes,
}

impl Outbox {
    /// Queues something for a link, or for the session's current one.
    pub(crate) fn push(&mut self, link: Option<LinkId>, content: Content) {
        let content = match self.queue.back_mut() {
            Some(last) if last.link == link => {
                let before = last.content.len();
                let Some(content) = last.content.absorb(content) else {
                    self.queued_bytes += last.content.len().saturating_sub(before);
                    return;
                };
                content
            }
            _ => content,
        };
        self.queued_bytes += content.len();
        self.queue.push_back(Queued { link, content });
    }

    /// Queues something before all that waits.
    pub(crate) fn push_front(&mut self, link: Option<LinkId>, content: Content) {
        self.queued_bytes += content.len();
        self.queue.push_front(Queued { link, content });
    }

    /// Lets what waits for a link go to any other.
    pub(crate) fn release(&mut self, link: LinkId) {
        for queued in &mut self.queue {
            queued.link = queued.link.filter(|&it| it != link);
        }
    }

    /// Tells whether anything waits for a link.
    pub(crate) fn wants(&self, link: LinkId, is_current: bool) -> bool {
        self.queue
            .iter()
            .any(|it| is_for(it.link, link, is_current))
            || (self.to_resend > 0
                && self
                    .unacked
                    .iter()
                    .any(|it| it.again != Again::No && is_for(it.link, link, is_current)))
    }

    /// Keeps a message until it is acknowledged.
    fn keep<S: Side>(
        &mut self,
        (msg_id, seqno): (MsgId, SeqNo),
        content: Content,
        link: LinkId,
        now: Now,
    ) {
        if content.is_update() {
            self.updates.sent(content.len());
        } else {
            self.unacked_bytes += content.len();
        }
        self.unacked.push_back(Sent {
            msg_id,
            seqno,
            container: MsgId(0),
            copies: 1,
            content,
            sent_at: now.mono,
            link: Some(link),
            again: Again::No,
            is_lost: false,
        });
        if habits::<S>().ack_frees {
            self.enforce_limits();
            self.forget_updates_over_limits();
        }
    }

    fn seqno(&mut self, content_related: bool) -> SeqNo {
        let SeqNo(seqno) = self.service_seqno();
        self.content_count = self.content_count.wrapping_add(u32::from(content_related));
        SeqNo(seqno | i32::from(content_related))
    }

    /// Returns the sequence number of a message that is not content-related.
    pub(crate) const fn service_seqno(&self) -> SeqNo {
        SeqNo((self.content_count.wrapping_mul(2) & MASK_31).cast_signed())
    }

    fn forget(&mut self, sent: &Sent) {
        if sent.content.is_update() {
            self.updates.gone(sent.content.len());
        } else {
            self.unacked_bytes = self.unacked_bytes.saturating_sub(sent.content.len());
        }
        if sent.again != Again::No {
            self.to_resend = self.to_resend.saturating_sub(1);
        }
    }

    /// Takes note that the peer has a message. A client's call is kept all the same, until it is answered.
    pub(crate) fn acknowledge<S: Side>(&mut self, id: MsgId) {
        if habits::<S>().ack_frees {
            self.take(id);
        }
    }

    /// Forgets that there is a new session to be announced.
    pub(crate) fn forget_news(&mut self) {
        let is_news = |content: &Content| matches!(content, Content::NewSession { .. });
        let sent = self.unacked.iter().filter(|it| is_news(&it.content));
        for id in sent.map(|it| it.msg_id).collect::<Vec<_>>() {
            self.take(id);
        }
        let bytes = &mut self.queued_bytes;
        self.queue.retain(|it| {
            if is_news(&it.content) {
                *bytes = bytes.saturating_sub(it.content.len());
            }
            !is_news(&it.content)
        });
    }

    /// Takes over what another outbox of the same session has to send, and what it has sent. What was counted by both is
    /// counted together: the peer has seen all of it in one session.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self {
            ids,
            content_count,
            queue,
            queued_bytes,
            unacked,
            unacked_bytes,
            to_resend,
            updates,
        } = other;
        self.ids.raise_to(ids.last());
        self.content_count = self.content_count.wrapping_add(content_count);
        self.queue.extend(queue);
        self.queued_bytes += queued_bytes;
        self.unacked.extend(unacked);
        self.unacked.make_contiguous().sort_by_key(|it| it.msg_id);
        self.unacked_bytes += unacked_bytes;
        self.to_resend += to_resend;
        self.enforce_limits();
        if updates.is_any() {
            // Two orders of updates make none.
            self.give_up_updates();
        }
    }

    /// Takes out a message that is not needed any more, whatever the peer has said.
    pub(crate) fn take(&mut self, id: MsgId) -> Option<Content> {
        let sent = self.unacked.remove(self.find(id)?)?;
        self.forget(&sent);
        Some(sent.content)
    }

    fn find(&self, id: MsgId) -> Option<usize> {
        self.unacked.binary_search_by_key(&id, |it| it.msg_id).ok()
    }

    /// Returns the unacknowledged messages.
    pub(crate) fn unacked(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.unacked.iter()
    }

    /// Drops what nobody has acknowledged for too long, and gives back the room of what is gone.
    pub(crate) fn tidy(&mut self, now: Mono) {
        while let Some(oldest) = self.unacked.front()
            && now.since(oldest.sent_at).as_secs() > UNACKED_AGE_S_MAX
        {
            if let Some(oldest) = self.unacked.pop_front() {
                self.forget(&oldest);
                self.updates.is_incomplete |= oldest.content.is_update();
            }
        }
        self.unacked.shrink_to_fit();
        self.queue.shrink_to_fit();
    }

    /// Returns how many messages wait to be acknowledged, and their bytes.
    pub(crate) fn unacked_size(&self) -> (usize, usize) {
        (self.unacked.len(), self.unacked_bytes)
    }

    /// Returns how many messages wait for a link.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Returns how many bytes wait for a link.
    pub(crate) const fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Tells whether nothing waits and everything is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.unacked.is_empty()
    }

    /// Returns the highest identifier that was given.
    pub(crate) const fn last_id(&self) -> MsgId {
        self.ids.last()
    }

    /// Returns how many messages other than updates are kept until they are acknowledged.
    fn unacked_others(&self) -> usize {
        self.unacked.len().saturating_sub(self.updates.unacked())
    }

    /// Makes all later identifiers greater than `id`.
    pub(crate) fn raise_ids_to(&mut self, id: MsgId) {
        self.ids.raise_to(id);
    }
}

fn is_for(target: Option<LinkId>, link: LinkId, is_current: bool) -> bool {
    target.map_or(is_current, |target| target == link)
}

const MASK_31: u32 = 0x7fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::acks::Acks;
    use crate::side::Client;

    #[test]
    fn sequence_numbers_are_given_as_the_vectors_say() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../testdata/vectors/msg_id_seqno.json"
        );
        let vectors: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut outbox = Outbox::default();
        for case in vectors["seqno_sequence"].as_array().unwrap() {
            let seqno = outbox.seqno(case["content_related"].as_bool().unwrap());
            assert_eq!(
                Some(i64::from(seqno.0)),
                case["seqno"].as_i64(),
                "{}",
                case["message"]
            );
        }
    }

    #[test]
    fn a_call_that_is_never_answered_keeps_no_room_for_those_that_are() {
        let (mut outbox, mut acks) = (Outbox::default(), Acks::default());
        for call in 0..5000 {
            let body = Bytes::from_static(&[0; 4]);
            outbox.push(None, Content::plain_call(call, body));
            let mut sent = MsgId(0);
            let emit = &mut |it: Numbered| {
                sent = it.msg_id;
                true
            };
            outbox.drain::<Client>(LinkId(0), true, &mut acks, Now::default(), emit);
            if call > 0 {
                assert!(outbox.take(sent).is_some());
            }
        }
        assert_eq!(outbox.unacked.len(), 1);
    }
}
