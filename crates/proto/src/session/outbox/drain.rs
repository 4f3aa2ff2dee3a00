//! Writes what waits: one message alone, several in a container.

use bytes::{Buf, Bytes};

use crate::cx::Now;
use crate::ids::{LinkId, MsgId, SeqNo};
use crate::limits::{CONTAINER_BYTES_SENT_MAX, CONTAINER_MESSAGES_SENT_MAX};
use crate::session::acks::Acks;
use crate::session::content::Content;
use crate::session::incoming::CONTAINER;
use crate::session::outbox::again::Again;
use crate::session::outbox::{Numbered, Outbox, Sent, is_for};
use crate::session::role::habits;
use crate::side::Side;

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
    /// Drains everything that `link` can carry, with the acknowledgements that wait, until `emit` returns `false`.
    /// Returns how many messages of it were sent before.
    pub(crate) fn drain<S: Side>(
        &mut self,
        link: LinkId,
        is_current: bool,
        acks: &mut Acks,
        now: Now,
        emit: &mut dyn FnMut(Numbered) -> bool,
    ) -> usize {
        if !self.wants(link, is_current) && !acks.is_due::<S>(now.mono) {
            return 0;
        }
        let mut resent = 0;
        loop {
            let batch = self.plan(link, is_current, acks);
            resent += batch.resends + batch.anew;
            if batch.messages() == 0 || !emit(self.write::<S>(&batch, link, is_current, acks, now))
            {
                return resent;
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
        mut content: Content,
        link: LinkId,
        now: Now,
        out: &mut Vec<u8>,
    ) -> (MsgId, SeqNo) {
        self.name_earlier(&mut content);
        let msg_id = self.ids.next(now.unix, content.low_bits::<S>());
        let seqno = self.seqno(content.is_content_related());
        write_message(msg_id, seqno, &content, out);
        if content.is_kept() {
            self.keep::<S>((msg_id, seqno), content, link, now);
        }
        (msg_id, seqno)
    }

    pub(super) fn take_queued(&mut self, link: LinkId, is_current: bool) -> Option<Content> {
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
