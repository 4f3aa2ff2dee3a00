//! What a session has to send, and what it has sent that is not acknowledged.
//!
//! ```text
//!  push ──> queue ──drain──> wire
//!             │      └──> unacked ──acknowledge──> gone
//!             └─ ids and sequence numbers are given at drain, so wire order is the order of ids
//! ```
//!
//! A link that is gone gives its unacknowledged messages back: they are sent again in a container, with their first
//! identifiers, by which the receiver tells a second copy. How that is done is in [`again`].

mod again;

mod client;
mod updates;

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::cx::{Mono, Now};
use crate::ids::{LinkId, MsgId, SeqNo};
use crate::limits::{CONTAINER_BYTES_SENT_MAX, CONTAINER_MESSAGES_SENT_MAX, UNACKED_AGE_S_MAX};
use crate::session::acks::Acks;
use crate::session::content::Content;
use crate::session::incoming::CONTAINER;
use crate::session::msg_id::Generator;
use crate::session::outbox::again::Again;
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

/// How much of what fits into the next outer message.
#[derive(Default)]
struct Batch {
    resends: usize,
    anew: usize,
    queued: usize,
    acks: usize,
    /// Of all messages with their headers.
    bytes: usize,
}

impl Batch {
    const fn messages(&self) -> usize {
        self.resends + self.anew + self.queued + if self.acks > 0 { 1 } else { 0 }
    }

    /// Makes room for one more message; `false` if the container is full.
    const fn takes(&mut self, body_bytes: usize) -> bool {
        let bytes = self.bytes + MESSAGE_HEADER_BYTES + body_bytes;
        let fits =
            bytes <= CONTAINER_BYTES_SENT_MAX && self.messages() < CONTAINER_MESSAGES_SENT_MAX;
        if fits || self.messages() == 0 {
            self.bytes = bytes;
            return true;
        }
        false
    }
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

    /// Drains everything that `link` can carry, with the acknowledgements that wait, until `emit` returns `false`.
    pub(crate) fn drain<S: Side>(
        &mut self,
        link: LinkId,
        is_current: bool,
        acks: &mut Acks,
        now: Now,
        emit: &mut dyn FnMut(Numbered) -> bool,
    ) {
        if !self.wants(link, is_current) && !acks.is_due::<S>(now.mono) {
            return;
        }
        loop {
            let batch = self.plan(link, is_current, acks);
            if batch.messages() == 0 || !emit(self.write::<S>(&batch, link, is_current, acks, now))
            {
                return;
            }
        }
    }

    /// Makes a container without messages.
    pub(crate) fn write_nothing<S: Side>(&mut self, now: Now) -> Numbered {
        let mut body = Vec::with_capacity(CONTAINER_HEADER_BYTES);
        body.extend_from_slice(&CONTAINER.to_le_bytes());
        body.extend_from_slice(&0_u32.to_le_bytes());
        Numbered {
            msg_id: self.ids.next(now.unix, habits::<S>().low_bits_of_own),
            seqno: self.seqno(false),
            body: Bytes::from(body),
        }
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

    fn plan(&self, link: LinkId, is_current: bool, acks: &Acks) -> Batch {
        let mut batch = Batch::default();
        if self.to_resend > 0 {
            for sent in &self.unacked {
                if sent.again != Again::No && is_for(sent.link, link, is_current) {
                    if !batch.takes(sent.len_again()) {
                        return batch;
                    }
                    match sent.again {
                        Again::Anew => batch.anew += 1,
                        Again::No | Again::Whole => batch.resends += 1,
                    }
                }
            }
        }
        for queued in &self.queue {
            if is_for(queued.link, link, is_current) {
                if !batch.takes(queued.content.len()) {
                    return batch;
                }
                batch.queued += 1;
            }
        }
        let waiting = if is_current { acks.len_next() } else { 0 };
        if waiting > 0 && batch.takes(Acks::body_len(waiting)) {
            batch.acks = waiting;
        }
        batch
    }

    /// Writes one outer message. Room for a container's beginning and the first header is always left, so that the
    /// buffer is made once and a lone message is cut out of it.
    fn write<S: Side>(
        &mut self,
        batch: &Batch,
        link: LinkId,
        is_current: bool,
        acks: &mut Acks,
        now: Now,
    ) -> Numbered {
        if batch.messages() == 1
            && batch.queued == 1
            && let Some(update) = self.take_next_update(link, is_current)
        {
            return self.number_update::<S>(update, link, now);
        }
        let mut out = Vec::with_capacity(CONTAINER_HEADER_BYTES + batch.bytes);
        let count = u32::try_from(batch.messages()).unwrap_or(0);
        out.extend_from_slice(&CONTAINER.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        self.write_resends(batch.resends, link, is_current, &mut out);
        let kept_before = self.unacked.len();
        let mut last = (MsgId(0), SeqNo(0));
        for _ in 0..batch.anew {
            let Some(content) = self.take_anew(link, is_current) else {
                break;
            };
            last = self.write_new::<S>(content, link, now, &mut out);
        }
        for _ in 0..batch.queued {
            let Some(content) = self.take_queued(link, is_current) else {
                break;
            };
            last = self.write_new::<S>(content, link, now, &mut out);
        }
        if batch.acks > 0 {
            let ids = acks.take_next();
            last = self.write_new::<S>(Content::Acks(ids), link, now, &mut out);
        }
        if batch.messages() == 1 && batch.resends == 0 {
            let (msg_id, seqno) = last;
            let mut body = Bytes::from(out);
            body.advance((CONTAINER_HEADER_BYTES + MESSAGE_HEADER_BYTES).min(body.len()));
            return Numbered {
                msg_id,
                seqno,
                body,
            };
        }
        let msg_id = self.ids.next(now.unix, habits::<S>().low_bits_of_own);
        // A refusal may name the container only.
        for sent in self.unacked.iter_mut().skip(kept_before) {
            sent.container = msg_id;
        }
        if batch.resends > 0 {
            for sent in self.unacked.iter_mut().filter(|it| it.container == UNKNOWN) {
                sent.container = msg_id;
            }
        }
        Numbered {
            msg_id,
            seqno: self.seqno(false),
            body: Bytes::from(out),
        }
    }

    fn write_resends(&mut self, count: usize, link: LinkId, is_current: bool, out: &mut Vec<u8>) {
        let chosen = |it: &&mut Sent| it.again == Again::Whole && is_for(it.link, link, is_current);
        for sent in self.unacked.iter_mut().filter(chosen).take(count) {
            write_message(sent.msg_id, sent.seqno, &sent.content, out);
            sent.again = Again::No;
            sent.copies = sent.copies.saturating_add(1);
            sent.container = UNKNOWN;
            sent.link = Some(link);
            self.to_resend = self.to_resend.saturating_sub(1);
        }
    }

    /// Gives a message its numbers, writes it and keeps it if it asks for an acknowledgement.
    fn write_new<S: Side>(
        &mut self,
        content: Content,
        link: LinkId,
        now: Now,
        out: &mut Vec<u8>,
    ) -> (MsgId, SeqNo) {
        let msg_id = self.ids.next(now.unix, content.low_bits::<S>());
        let seqno = self.seqno(content.is_content_related());
        write_message(msg_id, seqno, &content, out);
        if content.is_kept() {
            self.keep::<S>((msg_id, seqno), content, link, now);
        }
        (msg_id, seqno)
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

    fn take_queued(&mut self, link: LinkId, is_current: bool) -> Option<Content> {
        let at = self
            .queue
            .iter()
            .position(|it| is_for(it.link, link, is_current))?;
        let queued = if at == 0 {
            self.queue.pop_front()
        } else {
            self.queue.remove(at)
        }?;
        self.queued_bytes = self.queued_bytes.saturating_sub(queued.content.len());
        if queued.content.is_update() {
            self.updates.left_queue(queued.content.len());
        }
        Some(queued.content)
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

    /// Returns the answer to a request, if it waits to be sent or acknowledged.
    pub(crate) fn answer_to(&self, request: MsgId) -> Option<Answer> {
        let sent = self
            .unacked()
            .find(|it| it.content.answers() == Some(request));
        if let Some(sent) = sent {
            return Some(Answer::Sent(sent.msg_id));
        }
        let queued = self
            .queue
            .iter()
            .any(|it| it.content.answers() == Some(request));
        queued.then_some(Answer::Queued)
    }

    /// Returns the requests whose answers wait to be sent or acknowledged, in order.
    pub(crate) fn answered(&self) -> Vec<MsgId> {
        let queued = self.queue.iter().map(|it| &it.content);
        let contents = self.unacked().map(|it| &it.content).chain(queued);
        let mut requests: Vec<_> = contents.filter_map(Content::answers).collect();
        requests.sort_unstable();
        requests
    }

    /// Has the answer to a request, if it was not sent yet, sent to another link.
    pub(crate) fn redirect_answer(&mut self, request: MsgId, link: LinkId) {
        let answer = self
            .queue
            .iter_mut()
            .find(|it| it.content.answers() == Some(request));
        if let Some(answer) = answer {
            answer.link = Some(link);
        }
    }

    /// Takes back the answer to a request that was not sent yet.
    pub(crate) fn take_back_answer(&mut self, request: MsgId) -> Option<Content> {
        let at = self
            .queue
            .iter()
            .position(|it| it.content.answers() == Some(request))?;
        let queued = self.queue.remove(at)?;
        self.queued_bytes = self.queued_bytes.saturating_sub(queued.content.len());
        Some(queued.content)
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

/// What is known of the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It waits for a link.
    Queued,
    /// It was sent under this identifier, and is not acknowledged.
    Sent(MsgId),
}

fn is_for(target: Option<LinkId>, link: LinkId, is_current: bool) -> bool {
    target.map_or(is_current, |target| target == link)
}

fn write_message(msg_id: MsgId, seqno: SeqNo, content: &Content, out: &mut Vec<u8>) {
    let len = u32::try_from(content.len()).unwrap_or(0);
    out.extend_from_slice(&msg_id.0.to_le_bytes());
    out.extend_from_slice(&seqno.0.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    content.write(out);
}

/// Stands for the identifier of a container that is being written.
const UNKNOWN: MsgId = MsgId(-1);

const CONTAINER_HEADER_BYTES: usize = 8;
const MESSAGE_HEADER_BYTES: usize = 16;
const MASK_31: u32 = 0x7fff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
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
