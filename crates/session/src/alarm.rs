//! When the next deadline of any shard is due, and who waits for it.
//!
//! Shards change their deadline with every message, so this takes no lock; the waiter is disturbed only when a
//! deadline becomes earlier than the one that it sleeps towards.

use std::sync::atomic::{AtomicU64, Ordering};

use heliogram_ports::clock::Clock;
use heliogram_proto::cx::Mono;
use tokio::sync::Notify;

/// The deadlines of all shards.
pub(crate) struct Alarm {
    /// Per shard, nanoseconds of monotonic time; [`NEVER`] if there is none.
    due: Box<[AtomicU64]>,
    /// What the waiter sleeps towards.
    armed: AtomicU64,
    earlier: Notify,
}

impl Alarm {
    /// Makes an alarm on which nothing is due.
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            due: std::iter::repeat_with(|| AtomicU64::new(NEVER))
                .take(shards)
                .collect(),
            armed: AtomicU64::new(NEVER),
            earlier: Notify::new(),
        }
    }

    /// Sets a shard's deadline. The caller holds the shard's lock, so that an older deadline never comes last.
    pub(crate) fn set(&self, shard: usize, deadline: Option<Mono>) {
        let Some(due) = self.due.get(shard) else {
            return;
        };
        let deadline = deadline.map_or(NEVER, |deadline| deadline.0);
        // Both orders are sequentially consistent: either the waiter sees this deadline, or this sees what it armed.
        if due.swap(deadline, Ordering::SeqCst) != deadline
            && deadline < self.armed.load(Ordering::SeqCst)
        {
            self.earlier.notify_one();
        }
    }

    /// Waits until a deadline is due; returns the shards whose deadline is.
    pub(crate) async fn wait(&self, clock: Clock) -> Vec<usize> {
        loop {
            let earliest = self.earliest();
            self.armed.store(earliest, Ordering::SeqCst);
            if self.earliest() < earliest {
                continue;
            }
            if earliest == NEVER {
                self.earlier.notified().await;
                continue;
            }
            let at = clock.instant(Mono(earliest)).into();
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    let now = clock.now().mono;
                    let due = self.due_at(now);
                    if !due.is_empty() {
                        return due;
                    }
                }
                () = self.earlier.notified() => {}
            }
        }
    }

    fn earliest(&self) -> u64 {
        self.due
            .iter()
            .map(|due| due.load(Ordering::SeqCst))
            .min()
            .unwrap_or(NEVER)
    }

    fn due_at(&self, now: Mono) -> Vec<usize> {
        let is_due = |due: &AtomicU64| due.load(Ordering::SeqCst) <= now.0;
        self.due
            .iter()
            .enumerate()
            .filter(|(_, due)| is_due(due))
            .map(|(shard, _)| shard)
            .collect()
    }
}

const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const NOT_IN_THIS_TEST: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn the_shards_that_are_due_are_named_and_no_others() {
        let (alarm, clock) = (Alarm::new(3), Clock::start());
        let now = clock.now().mono;
        alarm.set(0, Some(now + SOON));
        alarm.set(1, Some(now + NOT_IN_THIS_TEST));
        alarm.set(2, Some(now));

        let first = alarm.wait(clock).await;
        alarm.set(2, None);
        let second = alarm.wait(clock).await;

        assert_eq!((first, second), (vec![2], vec![0]));
        assert!(clock.now().mono >= now + SOON);
    }

    #[tokio::test]
    async fn a_deadline_that_becomes_earlier_disturbs_the_waiter() {
        let (alarm, clock) = (Alarm::new(2), Clock::start());
        alarm.set(0, Some(clock.now().mono + NOT_IN_THIS_TEST));

        let (due, ()) = tokio::join!(alarm.wait(clock), async {
            tokio::time::sleep(SOON).await;
            alarm.set(1, Some(clock.now().mono));
        });

        assert_eq!(due, [1]);
    }

    #[tokio::test]
    async fn a_deadline_that_was_called_off_does_not_come() {
        let (alarm, clock) = (Alarm::new(1), Clock::start());
        alarm.set(0, Some(clock.now().mono + SOON));

        let waiting = tokio::time::timeout(SOON * 3, async {
            tokio::join!(alarm.wait(clock), async { alarm.set(0, None) })
        });

        assert!(waiting.await.is_err());
    }
}
