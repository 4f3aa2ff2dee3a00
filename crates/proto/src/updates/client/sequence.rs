//! One sequence: what is next is applied, what was before is left out, what is later waits.

use core::time::Duration;
use std::collections::VecDeque;

use crate::cx::Mono;
use crate::limits::{GAP_WAIT_MS, POSTPONED_UPDATES_MAX};

/// A sequence of events that are numbered without holes.
#[derive(Clone, Debug)]
pub(super) struct Sequence<P> {
    /// The number of the last event that was applied; zero if nobody knows.
    local: i32,
    /// Ordered by the number before each.
    postponed: VecDeque<Event<P>>,
    gap_until: Option<Mono>,
}

/// One or several events of a sequence, that come together.
#[derive(Clone, Debug)]
pub(super) struct Event<P> {
    /// Number of the last of them.
    pub(super) last: i32,
    pub(super) count: i32,
    pub(super) payload: P,
}

impl<P> Event<P> {
    const fn before(&self) -> i32 {
        self.last.saturating_sub(self.count)
    }
}

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is missing that was not missing before.
    Settled,
    /// Something before it is missing; it is the first sign of that.
    Gap,
    /// Something before it is missing, and too much waits: do not wait any longer.
    Full,
}

impl<P> Sequence<P> {
    pub(super) const fn new(local: i32) -> Self {
        Self {
            local,
            postponed: VecDeque::new(),
            gap_until: None,
        }
    }

    pub(super) const fn local(&self) -> i32 {
        self.local
    }

    /// Takes the number that the server has named. What waits is looked at by [`Sequence::settle`].
    pub(super) const fn set(&mut self, local: i32) {
        self.local = local;
    }

    /// Offers an event. What is to be applied goes to `apply`, in order. While a difference is awaited, everything waits.
    pub(super) fn offer(
        &mut self,
        event: Event<P>,
        is_paused: bool,
        now: Mono,
        apply: &mut impl FnMut(P),
    ) -> Verdict {
        if self.local == 0 && !is_paused {
            self.local = event.before();
        }
        let at = self
            .postponed
            .partition_point(|it| it.before() <= event.before());
        self.postponed.insert(at, event);
        let was_waiting = self.gap_until.is_some();
        if !is_paused {
            self.settle(now, apply);
        }
        if self.postponed.len() > POSTPONED_UPDATES_MAX {
            self.give_up_last();
            return Verdict::Full;
        }
        if self.gap_until.is_some() && !was_waiting {
            Verdict::Gap
        } else {
            Verdict::Settled
        }
    }

    /// Applies what waits no longer; what is left waits for a gap to be closed.
    pub(super) fn settle(&mut self, now: Mono, apply: &mut impl FnMut(P)) {
        while let Some(next) = self.postponed.front() {
            if next.before() > self.local {
                let end = now + Duration::from_millis(GAP_WAIT_MS);
                self.gap_until.get_or_insert(end);
                return;
            }
            let Some(next) = self.postponed.pop_front() else {
                return;
            };
            if next.before() == self.local {
                self.local = next.last;
                apply(next.payload);
            }
        }
        self.gap_until = None;
    }

    /// Returns what waits and is still to come, in order: nothing will close the gaps.
    pub(super) fn into_postponed(self) -> impl Iterator<Item = P> {
        let local = self.local;
        let later = self.postponed.into_iter();
        let later = later.filter(move |it| it.before() >= local);
        later.map(|it| it.payload)
    }

    /// Returns how many wait.
    pub(super) fn postponed(&self) -> usize {
        self.postponed.len()
    }

    /// Gives up the last that waits: a difference will tell it.
    pub(super) fn give_up_last(&mut self) {
        self.postponed.pop_back();
    }

    /// Stops waiting: a difference is asked for.
    pub(super) const fn pause(&mut self) {
        self.gap_until = None;
    }

    /// Returns when the gap is not waited for any longer.
    pub(super) const fn gap_until(&self) -> Option<Mono> {
        self.gap_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_next_is_applied_what_was_before_is_not_and_what_is_later_waits() {
        let mut sequence = Sequence::new(10);
        assert_eq!(offer(&mut sequence, 11, 1), (Verdict::Settled, vec![11]));
        assert_eq!(offer(&mut sequence, 11, 1), (Verdict::Settled, vec![]));
        assert_eq!(offer(&mut sequence, 14, 1), (Verdict::Gap, vec![]));
        assert_eq!(
            offer(&mut sequence, 13, 2),
            (Verdict::Settled, vec![13, 14])
        );
        assert_eq!(sequence.local(), 14);
    }

    #[test]
    fn an_event_that_counts_nothing_is_applied_at_its_number_only() {
        let mut sequence = Sequence::new(10);
        assert_eq!(offer(&mut sequence, 10, 0), (Verdict::Settled, vec![10]));
        assert_eq!(offer(&mut sequence, 9, 0), (Verdict::Settled, vec![]));
        assert_eq!(offer(&mut sequence, 11, 0), (Verdict::Gap, vec![]));
        assert_eq!(
            offer(&mut sequence, 11, 1),
            (Verdict::Settled, vec![11, 11])
        );
        assert_eq!(sequence.local(), 11);
    }

    #[test]
    fn the_first_event_of_an_unknown_sequence_is_its_beginning() {
        let mut sequence = Sequence::new(0);
        assert_eq!(offer(&mut sequence, 500, 2), (Verdict::Settled, vec![500]));
        assert_eq!(sequence.local(), 500);
    }

    #[test]
    fn a_gap_is_waited_for_half_a_second_from_its_first_sign() {
        let mut sequence = Sequence::new(10);
        let mut offer = |last, now| {
            let event = Event {
                last,
                count: 1,
                payload: last,
            };
            sequence.offer(event, false, Mono(now), &mut |_| {});
            sequence.gap_until()
        };
        assert_eq!(offer(12, 1000), Some(Mono(500_001_000)));
        assert_eq!(offer(13, 2000), Some(Mono(500_001_000)));
        assert_eq!(offer(11, 3000), None);
    }

    #[test]
    fn as_many_wait_as_may_and_one_more_is_too_many() {
        let mut sequence = Sequence::new(10);
        for at in 0..1000 {
            assert_ne!(offer(&mut sequence, 20 + at, 1).0, Verdict::Full);
        }
        assert_eq!(offer(&mut sequence, 2000, 1).0, Verdict::Full);
        assert_eq!(sequence.postponed.len(), 1000);
    }

    fn offer(sequence: &mut Sequence<i32>, last: i32, count: i32) -> (Verdict, Vec<i32>) {
        let mut applied = Vec::new();
        let event = Event {
            last,
            count,
            payload: last,
        };
        let verdict = sequence.offer(event, false, Mono(0), &mut |it| applied.push(it));
        (verdict, applied)
    }
}
