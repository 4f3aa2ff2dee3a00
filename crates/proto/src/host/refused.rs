//! Messages that were refused because their time, or their salt's, had not come.
//!
//! Their client was told, and has sent the same under other identifiers. When the time comes a captured copy would pass
//! every check: it must not run then.

use core::time::Duration;

use crate::crossing::crosses;
use crate::cx::{Mono, Now};
use crate::ids::{MsgId, SessionId};
use crate::limits::{FUTURE_SALTS_MAX, MSG_AGE_S_MAX, REFUSED_EARLY_MAX, SALT_SLOT_S};
use crate::session::msg_id;

/// Which messages were refused too early, by session and identifier.
#[derive(Debug, Default)]
pub(super) struct RefusedEarly {
    /// Ordered by session and identifier.
    ranges: Vec<Range>,
}

/// One message; more of them once there are too many.
#[derive(Clone, Copy, Debug)]
struct Range {
    session_id: SessionId,
    /// It stands for any session.
    is_any: bool,
    low: MsgId,
    high: MsgId,
    until: Mono,
}

impl RefusedEarly {
    /// Remembers a message until it is too old.
    pub(super) fn insert(&mut self, session_id: SessionId, id: MsgId, now: Now) {
        self.is_over(now.mono);
        if self.contains(session_id, id) {
            return;
        }
        let ahead_s = ahead_s(id, now);
        let at = self
            .ranges
            .partition_point(|it| (it.session_id, it.low) < (session_id, id));
        let range = Range {
            session_id,
            is_any: false,
            low: id,
            high: id,
            until: now.mono + Duration::from_secs(ahead_s + MSG_AGE_S_MAX + 1),
        };
        self.ranges.insert(at, range);
        if self.ranges.len() > REFUSED_EARLY_MAX {
            self.merge_nearest();
        }
    }

    /// Tells whether a message was refused.
    pub(super) fn contains(&self, session_id: SessionId, id: MsgId) -> bool {
        let mut ranges = self.ranges.iter();
        ranges.any(|it| {
            (it.is_any || it.session_id == session_id) && (it.low..=it.high).contains(&id)
        })
    }

    /// Remembers, too, what another host has refused of the same sessions.
    pub(super) fn absorb(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
        self.ranges.sort_by_key(|it| (it.session_id, it.low));
        while self.ranges.len() > REFUSED_EARLY_MAX {
            self.merge_nearest();
        }
    }

    /// Forgets what is too old by itself; returns whether nothing is left.
    pub(super) fn is_over(&mut self, now: Mono) -> bool {
        self.ranges.retain(|it| it.until > now);
        self.ranges.is_empty()
    }

    /// Returns when the last may be forgotten.
    pub(super) fn over_at(&self) -> Option<Mono> {
        self.ranges.iter().map(|it| it.until).max()
    }

    /// Makes one of the two that are nearest to each other, of one session if there are such: it refuses more than
    /// it must, never less.
    fn merge_nearest(&mut self) {
        let distance = |pair: &[Range]| match pair {
            [a, b] => (a.session_id != b.session_id, b.low.0.abs_diff(a.high.0)),
            _ => (true, u64::MAX),
        };
        let pairs = self.ranges.windows(2).enumerate();
        let nearest = pairs.min_by_key(|(_, pair)| distance(pair));
        let Some((at, _)) = nearest else {
            return;
        };
        let second = self.ranges.remove(at + 1);
        if let Some(first) = self.ranges.get_mut(at) {
            first.is_any |= second.is_any || first.session_id != second.session_id;
            first.low = first.low.min(second.low);
            first.high = first.high.max(second.high);
            first.until = first.until.max(second.until);
        }
    }
}

crosses!(RefusedEarly { ranges } where |it: &RefusedEarly| it.ranges.len() <= REFUSED_EARLY_MAX);
crosses!(Range {
    session_id,
    is_any,
    low,
    high,
    until
});

/// Tells whether a message outlives every salt that its client can have: it needs not be remembered.
pub(super) fn dies_of_its_salt(id: MsgId, now: Now) -> bool {
    ahead_s(id, now) > LAST_SALT_S
}

fn ahead_s(id: MsgId, now: Now) -> u64 {
    msg_id::seconds(id).saturating_sub(now.unix.seconds())
}

/// Seconds after which no salt is good that was announced now.
const LAST_SALT_S: u64 = (FUTURE_SALTS_MAX + 2) * SALT_SLOT_S;
