//! What is for other owners, and finds no way to them now: offered again for a while, in order.
//!
//! Only what no link waits for, so that nobody would ask for it again: answers of calls that were handed over, users,
//! revocations, and word that sessions have arrived.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use heliogram_ports::Owners;
use heliogram_proto::cx::Mono;
use heliogram_proto::host::Input;
use heliogram_proto::ids::Identity;
use heliogram_proto::ring::Partition;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::{OFFER_PAUSE, UNDELIVERED_MAX, UNDELIVERED_TIME_MAX};
use crate::local::Inner;

/// What waits.
#[derive(Default)]
pub(crate) struct Undelivered {
    waiting: Mutex<VecDeque<Waiting>>,
    /// How many there are, those too that are being offered.
    count: AtomicUsize,
    some: Notify,
}

struct Waiting {
    to: Identity,
    input: Box<Input>,
    until: Mono,
}

impl Undelivered {
    /// Tells whether nothing waits: then what comes may go at once, and overtakes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Keeps an input; gives it back if there are too many.
    fn keep(&self, to: Identity, input: Box<Input>, now: Mono) -> Result<(), Box<Input>> {
        let mut waiting = self.waiting.lock();
        if self.count.load(Ordering::Acquire) >= UNDELIVERED_MAX {
            return Err(input);
        }
        self.count.fetch_add(1, Ordering::AcqRel);
        let until = now + UNDELIVERED_TIME_MAX;
        waiting.push_back(Waiting { to, input, until });
        self.some.notify_one();
        Ok(())
    }
}

impl Inner {
    /// Sends an input to its owner in another process, now or later. What can't wait is lost.
    pub(crate) fn send(&self, owners: &dyn Owners, to: Identity, input: Input) {
        let now = self.clock.now().mono;
        let kept = if !may_wait(&input) {
            owners.send(to, input)
        } else if self.undelivered.is_empty() {
            let sent = owners.send(to, input);
            sent.or_else(|input| self.undelivered.keep(to, input, now))
        } else {
            self.undelivered.keep(to, Box::new(input), now)
        };
        if let Err(input) = kept {
            self.lose(&input);
        }
    }

    /// Offers what waits, again and again, until it is dropped.
    pub(crate) async fn offer_undelivered(self: &Arc<Self>) {
        let Some(owners) = &self.owners else {
            return std::future::pending().await;
        };
        loop {
            if self.undelivered.is_empty() {
                self.undelivered.some.notified().await;
            }
            tokio::time::sleep(OFFER_PAUSE).await;
            self.offer_all(&**owners);
        }
    }

    fn offer_all(self: &Arc<Self>, owners: &dyn Owners) {
        let waiting = std::mem::take(&mut *self.undelivered.waiting.lock());
        let now = self.clock.now();
        let (mut left, before) = (VecDeque::new(), waiting.len());
        for Waiting { to, input, until } in waiting {
            let is_same = |it: &Waiting| Partition::of(it.to) == Partition::of(to);
            if until <= now.mono {
                self.lose(&input);
            } else if left.iter().any(is_same) {
                // Not before what could not go.
                left.push_back(Waiting { to, input, until });
            } else if self.owns(self.shard_of(to)) {
                self.tell_owner(to, *input, now, None);
            } else if let Err(input) = owners.send(to, *input) {
                left.push_back(Waiting { to, input, until });
            }
        }
        let mut waiting = self.undelivered.waiting.lock();
        let gone = before - left.len();
        self.undelivered.count.fetch_sub(gone, Ordering::AcqRel);
        left.append(&mut waiting);
        *waiting = left;
    }
}

/// Tells whether nobody would ask for it again.
const fn may_wait(input: &Input) -> bool {
    match input {
        Input::Answer { .. }
        | Input::Revoked { .. }
        | Input::TakenOver { .. }
        | Input::User { .. } => true,
        Input::Attach(_)
        | Input::Bound { .. }
        | Input::Destroyed { .. }
        | Input::Detach { .. }
        | Input::Frame(_)
        | Input::Push(_)
        | Input::TakeOver(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use heliogram_proto::ids::AuthKeyId;

    use super::*;

    #[test]
    fn as_many_inputs_wait_as_may_and_one_more_does_not() {
        let undelivered = Undelivered::default();
        let input = || Box::new(Input::TakenOver { key: AuthKeyId(1) });
        let to = Identity(AuthKeyId(1));
        for _ in 0..UNDELIVERED_MAX {
            assert!(undelivered.keep(to, input(), Mono(0)).is_ok());
        }
        assert!(undelivered.keep(to, input(), Mono(0)).is_err());
        assert_eq!(undelivered.waiting.lock().len(), UNDELIVERED_MAX);
    }
}
