//! When something is due: one entry for each session and link that waits for a time.

use std::collections::BTreeSet;

use crate::cx::Mono;
use crate::ids::{AuthKeyId, Identity, LinkId, SessionId};

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Identity(Identity),
    Session(Identity, SessionId),
    Link(LinkId),
    Moved(AuthKeyId),
}

/// All that wait, ordered by time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Mono, Timer)>,
}

impl Timers {
    /// Arms a timer no later than `at`. `armed` is where its owner keeps what it is armed for. An earlier time is
    /// left alone: when it comes the owner finds nothing due and arms anew, which is cheaper than to move the entry
    /// at every message.
    pub(super) fn arm_by(&mut self, timer: Timer, armed: &mut Option<Mono>, at: Mono) {
        if armed.is_some_and(|armed| armed <= at) {
            return;
        }
        self.disarm(timer, armed);
        self.due.insert((at, timer));
        *armed = Some(at);
    }

    /// Removes a timer.
    pub(super) fn disarm(&mut self, timer: Timer, armed: &mut Option<Mono>) {
        if let Some(at) = armed.take() {
            self.due.remove(&(at, timer));
        }
    }

    /// Takes out one that is due.
    pub(super) fn pop(&mut self, now: Mono) -> Option<Timer> {
        let &(at, _) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first().map(|(_, timer)| timer)
    }

    /// Returns when the first is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.due.first().map(|&(at, _)| at)
    }
}
