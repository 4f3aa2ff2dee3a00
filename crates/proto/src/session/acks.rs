//! Acknowledgements that wait for company: a batch is full, a delay is over, or anything else is sent.

use crate::crossing::crosses;
use crate::cx::Mono;
use crate::ids::MsgId;
use crate::limits::{ACKS_WAITING_MAX, MSG_IDS_MAX};
use crate::session::role::habits;
use crate::side::Side;

/// What is to be acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    waiting: Vec<MsgId>,
    since: Mono,
    is_late: bool,
}

impl Acks {
    /// Adds a message that has been received.
    pub(crate) fn push(&mut self, id: MsgId, now: Mono) {
        if self.waiting.is_empty() {
            self.since = now;
        }
        self.waiting.push(id);
    }

    /// Adds a message whose acknowledgement has waited long enough.
    pub(crate) fn push_due(&mut self, id: MsgId) {
        self.waiting.push(id);
        self.is_late = true;
    }

    /// Takes over what another session has to acknowledge.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self {
            waiting,
            since,
            is_late,
        } = other;
        if self.waiting.is_empty() || (!waiting.is_empty() && since < self.since) {
            self.since = since;
        }
        self.waiting.extend(waiting);
        self.is_late |= is_late;
    }

    /// Returns when what waits is to be sent at the latest.
    pub(crate) fn deadline<S: Side>(&self) -> Option<Mono> {
        (!self.waiting.is_empty()).then(|| self.since + habits::<S>().ack_delay)
    }

    /// Tells whether they wait no longer.
    pub(crate) fn is_due<S: Side>(&self, now: Mono) -> bool {
        self.is_late
            || self.waiting.len() >= ACKS_WAITING_MAX
            || self.deadline::<S>().is_some_and(|at| at <= now)
    }

    /// Returns the messages that wait to be acknowledged, in order.
    pub(crate) fn sorted(&self) -> Vec<MsgId> {
        let mut waiting = self.waiting.clone();
        waiting.sort_unstable();
        waiting
    }

    /// Returns how many the next `msgs_ack` holds.
    pub(crate) fn len_next(&self) -> usize {
        self.waiting.len().min(MSG_IDS_MAX)
    }

    /// Takes out what the next `msgs_ack` holds.
    pub(crate) fn take_next(&mut self) -> Vec<MsgId> {
        self.is_late = self.is_late && self.waiting.len() > MSG_IDS_MAX;
        if self.waiting.len() <= MSG_IDS_MAX {
            return core::mem::take(&mut self.waiting);
        }
        let later = self.waiting.split_off(MSG_IDS_MAX);
        core::mem::replace(&mut self.waiting, later)
    }

    /// Returns the bytes of a `msgs_ack` with so many identifiers.
    pub(crate) const fn body_len(ids: usize) -> usize {
        12 + 8 * ids
    }

    /// Forgets everything: the session begins anew.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.is_late = false;
    }
}

crosses!(Acks {
    waiting,
    since,
    is_late
});
