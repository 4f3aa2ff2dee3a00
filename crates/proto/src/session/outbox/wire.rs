//! The byte form of what a server's session has to send, and has sent. Sums are made anew from what they are sums of.

use std::collections::VecDeque;

use crate::crossing::{Cross, In, Malformed, Out, crosses, ensure, rise};
use crate::ids::LinkId;
use crate::session::content::Content;
use crate::session::outbox::again::Again;
use crate::session::outbox::{Outbox, Queued, Sent};

impl Cross for Outbox {
    fn write(&self, out: &mut Out) {
        let Self {
            ids,
            content_count,
            queue,
            queued_bytes: _,
            unacked,
            unacked_bytes: _,
            to_resend: _,
            updates,
        } = self;
        ids.write(out);
        content_count.write(out);
        queue.write(out);
        unacked.write(out);
        updates.is_too_long().write(out);
        updates.is_incomplete.write(out);
    }

    fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
        let mut it = Self {
            ids: Cross::read(from)?,
            content_count: Cross::read(from)?,
            queue: VecDeque::<Queued>::read(from)?,
            unacked: VecDeque::<Sent>::read(from)?,
            ..Self::default()
        };
        ensure(rise(it.unacked.iter().map(|it| it.msg_id)))?;
        for Queued { link: _, content } in &it.queue {
            it.queued_bytes += content.len();
            if content.is_update() {
                it.updates.queued(content.len());
            }
        }
        for Sent { content, again, .. } in &it.unacked {
            if content.is_update() {
                it.updates.sent(content.len());
            } else {
                it.unacked_bytes += content.len();
            }
            it.to_resend += usize::from(*again != Again::No);
        }
        ensure(it.updates.set_too_long(Cross::read(from)?))?;
        it.updates.is_incomplete = Cross::read(from)?;
        Ok(it)
    }
}

crosses!(Queued { link, content } where |it: &Queued| {
    // Whatever is sealed is of whole words.
    it.content.len().is_multiple_of(4)
});
crosses!(Sent {
    msg_id,
    seqno,
    container,
    copies,
    content,
    sent_at,
    link,
    again,
    is_lost
} where |it: &Sent| it.content.len().is_multiple_of(4));
crosses!(enum Again {
    0 = No,
    1 = Anew,
    2 = Whole,
});

impl Outbox {
    /// Visits where everything goes, or went.
    pub(crate) fn each_link(&mut self, visit: &mut dyn FnMut(&mut Option<LinkId>)) {
        for queued in &mut self.queue {
            visit(&mut queued.link);
        }
        for sent in &mut self.unacked {
            visit(&mut sent.link);
        }
    }
}

crosses!(enum Content {
    0 = Acks(ids),
    1 = Announced { to, answer, bytes },
    2 = NewSession { first, unique_id, salt },
    3 = Object { body, is_answer },
    4 = Pong { to, ping_id },
    5 = Result { to, result },
    6 = Wanted(ids),
    7 = Update { body };
    Ask, Call,
});
