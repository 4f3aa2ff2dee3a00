//! What has been counted of the sessions of a host since it was made: for its operator.
//!
//! Counts only grow. What there is *now* is in [`Census`](crate::host::Census) and in the host's getters.

use crate::session::BadMsg;

/// What a host has counted of its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Outer messages that came.
    pub frames: u64,
    /// Messages, alone or in containers, that were received before.
    pub duplicates: u64,
    /// Messages that were refused, by reason in the order of [`BadMsg::ALL`].
    pub refused: [u64; BadMsg::ALL.len()],
    /// Outer messages that were sent.
    pub sent: u64,
    /// Messages that were sent again because nobody had acknowledged them.
    pub resent: u64,
    /// Updates that were put into a session's queue: one push to a hundred sessions counts a hundred.
    pub updates: u64,
    /// Updates that did not fit into a session's queue: `updatesTooLong` stands for them.
    pub updates_dropped: u64,
    /// Sessions that were begun.
    pub sessions: u64,
}

impl Tally {
    /// Counts a refusal.
    pub(crate) fn refuse(&mut self, error: BadMsg) {
        let at = BadMsg::ALL.iter().position(|it| *it == error);
        if let Some(count) = at.and_then(|at| self.refused.get_mut(at)) {
            *count += 1;
        }
    }

    /// Counts an update that reached a session.
    pub(crate) const fn update(&mut self, is_kept: bool) {
        if is_kept {
            self.updates += 1;
        } else {
            self.updates_dropped += 1;
        }
    }
}

impl core::ops::AddAssign for Tally {
    /// Adds what another host has counted.
    fn add_assign(&mut self, other: Self) {
        let Self {
            frames,
            duplicates,
            refused,
            sent,
            resent,
            updates,
            updates_dropped,
            sessions,
        } = other;
        self.frames += frames;
        self.duplicates += duplicates;
        for (count, more) in self.refused.iter_mut().zip(refused) {
            *count += more;
        }
        self.sent += sent;
        self.resent += resent;
        self.updates += updates;
        self.updates_dropped += updates_dropped;
        self.sessions += sessions;
    }
}
