//! Updates that a backend has pushed: what is kept of them, and what stands for those that are not kept.
//!
//! ```text
//!  push ──> queue ──drain──> unacked ──acknowledge──> gone
//!             │ too many        │ too many, too old: forgotten
//!             v                 v     then the connection is lost:
//!        all give way to one updatesTooLong, which is kept like an update
//! ```
//!
//! `updatesTooLong` makes the client ask its backend for the difference, which closes every gap. While one waits, what
//! is pushed is dropped: the difference is asked for later.
//!
//! Source: <https://core.telegram.org/api/updates>.

use bytes::Bytes;
use heliogram_tl::api::UpdatesTooLong;

use crate::cx::Now;
use crate::ids::LinkId;
use crate::limits::{
    PUSHES_QUEUED_BYTES_MAX, PUSHES_QUEUED_MAX, PUSHES_UNACKED_BYTES_MAX, PUSHES_UNACKED_MAX,
};
use crate::session::content::Content;
use crate::session::outbox::{Numbered, Outbox, is_for};
use crate::side::Side;

/// How much of an outbox is updates.
#[derive(Debug, Default)]
pub(super) struct Updates {
    queued: u32,
    queued_bytes: u32,
    unacked: u32,
    unacked_bytes: u32,
    /// The only update that waits is `updatesTooLong`.
    is_too_long: bool,
    /// Some were forgotten that nobody has acknowledged.
    pub(super) is_incomplete: bool,
}

impl Updates {
    /// Returns how many are kept until they are acknowledged.
    pub(super) fn unacked(&self) -> usize {
        usize::try_from(self.unacked).unwrap_or(usize::MAX)
    }

    /// Tells whether any waits, is kept, or was forgotten.
    pub(super) const fn is_any(&self) -> bool {
        self.queued > 0 || self.unacked > 0 || self.is_incomplete
    }

    /// Tells whether one more fits into the queue.
    fn takes(&self, bytes: usize) -> bool {
        self.queued < count(PUSHES_QUEUED_MAX)
            && self.queued_bytes.saturating_add(count(bytes)) <= count(PUSHES_QUEUED_BYTES_MAX)
    }

    fn is_over_limits(&self) -> bool {
        self.unacked > count(PUSHES_UNACKED_MAX)
            || self.unacked_bytes > count(PUSHES_UNACKED_BYTES_MAX)
    }

    pub(super) const fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// Takes note of whether the only update that waits is `updatesTooLong`; `false` if that can't be.
    pub(super) const fn set_too_long(&mut self, is_too_long: bool) -> bool {
        self.is_too_long = is_too_long;
        !is_too_long || self.queued == 1
    }

    pub(super) fn queued(&mut self, bytes: usize) {
        self.queued += 1;
        self.queued_bytes += count(bytes);
    }

    /// One that waited is sent, or dropped.
    pub(super) fn left_queue(&mut self, bytes: usize) {
        self.queued = self.queued.saturating_sub(1);
        self.queued_bytes = self.queued_bytes.saturating_sub(count(bytes));
        self.is_too_long = false;
    }

    /// One is kept until it is acknowledged.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.unacked += 1;
        self.unacked_bytes += count(bytes);
    }

    /// One is not kept any more.
    pub(super) fn gone(&mut self, bytes: usize) {
        self.unacked = self.unacked.saturating_sub(1);
        self.unacked_bytes = self.unacked_bytes.saturating_sub(count(bytes));
    }
}

impl Outbox {
    /// Queues an update for the session's current link, whichever that will be; `false` if it is dropped, and
    /// `updatesTooLong` stands for it.
    pub(crate) fn push_update(&mut self, body: Bytes) -> bool {
        if self.updates.is_too_long {
            return false;
        }
        if !self.updates.takes(body.len()) {
            self.give_up_updates();
            return false;
        }
        self.updates.queued(body.len());
        self.push(None, Content::Update { body });
        true
    }

    /// Lets one `updatesTooLong` stand for every update that nobody has acknowledged.
    pub(crate) fn give_up_updates(&mut self) {
        let mut sent = core::mem::take(&mut self.unacked);
        sent.retain(|it| {
            let stays = !it.content.is_update();
            if !stays {
                self.forget(it);
            }
            stays
        });
        self.unacked = sent;
        let (mut queue, mut bytes) = (core::mem::take(&mut self.queue), 0);
        queue.retain(|it| {
            let stays = !it.content.is_update();
            bytes += if stays { it.content.len() } else { 0 };
            stays
        });
        (self.queue, self.queued_bytes) = (queue, bytes);
        self.updates = Updates::default();
        self.updates.queued(TOO_LONG.len());
        self.updates.is_too_long = true;
        let body = Bytes::from_static(&TOO_LONG);
        self.push(None, Content::Update { body });
    }

    /// A connection is lost or new: what was forgotten in the hope of an acknowledgement may not have arrived.
    pub(super) fn make_up_for_forgotten_updates(&mut self) {
        if self.updates.is_incomplete {
            self.give_up_updates();
        }
    }

    /// Forgets the oldest that were sent until the others are within the limits.
    pub(super) fn forget_updates_over_limits(&mut self) {
        while self.updates.is_over_limits() {
            let oldest = self.unacked.iter().position(|it| it.content.is_update());
            let Some(oldest) = oldest.and_then(|at| self.unacked.remove(at)) else {
                return;
            };
            self.forget(&oldest);
            self.updates.is_incomplete = true;
        }
    }

    /// Takes the next update for a link, if that is what comes next.
    pub(super) fn take_next_update(&mut self, link: LinkId, is_current: bool) -> Option<Bytes> {
        let next = self
            .queue
            .iter()
            .find(|it| is_for(it.link, link, is_current))?;
        if !next.content.is_update() {
            return None;
        }
        let Content::Update { body } = self.take_queued(link, is_current)? else {
            return None;
        };
        Some(body)
    }

    /// Gives an update its numbers. Its body is not copied: many sessions may be sent the same.
    pub(super) fn number_update<S: Side>(
        &mut self,
        body: Bytes,
        link: LinkId,
        now: Now,
    ) -> Numbered {
        let content = Content::Update { body: body.clone() };
        let msg_id = self.ids.next(now.unix, content.low_bits::<S>());
        let seqno = self.seqno(true);
        self.keep::<S>((msg_id, seqno), content, link, now);
        Numbered {
            msg_id,
            seqno,
            body,
        }
    }
}

/// A count that is within its limit.
fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

const TOO_LONG: [u8; 4] = UpdatesTooLong::ID.to_le_bytes();
