//! What the rest of the process holds of a connection: its mailbox, and how to wake its task.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::Waker;

use heliogram_ports::Wake;
use heliogram_proto::edge::mailbox::Mailbox;
use heliogram_proto::ids::LinkId;
use heliogram_proto::link::Input;
use parking_lot::Mutex;

use crate::edge::Phase;

/// The outside of a connection.
#[derive(Default)]
pub(crate) struct Handle {
    inner: Mutex<Inner>,
    /// The phase in which the last turn began.
    settled: AtomicU8,
    /// The connection is to close as soon as nothing is asked of it.
    leaves: AtomicBool,
}

#[derive(Default)]
struct Inner {
    mailbox: Mailbox,
    /// Set while the task sleeps, so that what a turn brings about itself does not wake it.
    waker: Option<Waker>,
    /// The socket can take more than it has.
    takes_more: bool,
}

/// The sole right to drain the host for a connection that sleeps. Dropped, it hands in what was drained and wakes the
/// connection: a panic meanwhile keeps no connection from its own drains.
pub(crate) struct Claim {
    handle: Arc<Handle>,
    pub(crate) drained: Vec<Input>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let drained = &mut self.drained;
        self.handle.change(|mailbox| mailbox.hand_in(drained));
    }
}

impl Handle {
    pub(crate) fn post(&self, mail: Input) {
        self.change(|mailbox| mailbox.post(mail));
    }

    /// Begins a turn: takes all mail, and tells whether the host has something to drain.
    pub(crate) fn take(&self, out: &mut Vec<Input>) -> bool {
        let mut inner = self.inner.lock();
        inner.waker = None;
        inner.mailbox.take(out)
    }

    /// Takes all mail before the turn drains the host; `false` while somebody else drains: the task is woken then.
    pub(crate) fn take_to_drain(&self, out: &mut Vec<Input>) -> bool {
        self.inner.lock().mailbox.take_to_drain(out)
    }

    /// Tells whether somebody else drains the host.
    pub(crate) fn is_claimed(&self) -> bool {
        self.inner.lock().mailbox.is_claimed()
    }

    /// Claims the right to drain the host, if the task sleeps, nothing waits for it and its socket takes more.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let mut inner = self.inner.lock();
        let may = inner.waker.is_some() && inner.takes_more && inner.mailbox.claim();
        may.then(|| Claim {
            handle: Arc::clone(self),
            drained: Vec::new(),
        })
    }

    /// Notes that a turn is over which began in `phase`.
    pub(crate) fn settle(&self, phase: Phase) {
        self.settled.store(phase.into(), Ordering::Release);
    }

    /// Has the connection close as soon as nothing is asked of it.
    pub(crate) fn leave(&self) {
        self.leaves.store(true, Ordering::Release);
        self.wake();
    }

    /// Tells whether the connection is to close as soon as nothing is asked of it.
    pub(crate) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Acquire)
    }

    /// Ends the turns: from now on mail wakes the task. `false` if there is some already.
    ///
    /// `takes_more`: whatever may be drained meanwhile can be written.
    pub(crate) fn sleep(&self, waker: &Waker, takes_more: bool) -> bool {
        let mut inner = self.inner.lock();
        inner.takes_more = takes_more;
        let is_empty = inner.mailbox.is_empty();
        if is_empty {
            inner.waker = Some(waker.clone());
        }
        is_empty
    }

    fn change(&self, change: impl FnOnce(&mut Mailbox) -> bool) {
        let mut inner = self.inner.lock();
        let waker = if change(&mut inner.mailbox) {
            inner.waker.take()
        } else {
            None
        };
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wake for Handle {
    fn wake(&self) {
        self.change(Mailbox::post_drain);
    }
}

/// All connections, by link.
pub(crate) struct Links {
    shards: Vec<Mutex<HashMap<LinkId, Arc<Handle>>>>,
}

impl Links {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    pub(crate) fn insert(&self, link: LinkId, handle: Arc<Handle>) {
        if let Some(shard) = self.shard(link) {
            shard.lock().insert(link, handle);
        }
    }

    pub(crate) fn remove(&self, link: LinkId) {
        if let Some(shard) = self.shard(link) {
            shard.lock().remove(&link);
        }
    }

    /// Puts mail into a link's mailbox; nothing if it is gone.
    pub(crate) fn post(&self, link: LinkId, mail: Input) {
        if let Some(handle) = self.find(link) {
            handle.post(mail);
        }
    }

    /// Finds a link.
    pub(crate) fn find(&self, link: LinkId) -> Option<Arc<Handle>> {
        self.shard(link)?.lock().get(&link).cloned()
    }

    /// Returns all, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Handle>> {
        let mut handles = Vec::new();
        for shard in &self.shards {
            handles.extend(shard.lock().values().cloned());
        }
        handles
    }

    /// Makes every connection take a turn.
    pub(crate) fn wake_all(&self) {
        self.all().iter().for_each(|handle| handle.wake());
    }

    /// Tells whether no turn is going on that began before `phase`.
    pub(crate) fn have_settled(&self, phase: Phase) -> bool {
        let is_settled =
            |handle: &Arc<Handle>| handle.settled.load(Ordering::Acquire) >= u8::from(phase);
        self.shards
            .iter()
            .all(|shard| shard.lock().values().all(is_settled))
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().is_empty())
    }

    fn shard(&self, link: LinkId) -> Option<&Mutex<HashMap<LinkId, Arc<Handle>>>> {
        self.shards
            .get(usize::try_from(link.0 % SHARDS).unwrap_or(0))
    }
}

/// Links are numbered in order, so neighbours lie in different shards.
const SHARDS: u64 = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake as TaskWake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl TaskWake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_a_connection_that_sleeps_and_takes_more_is_drained_by_others() {
        let (handle, waker) = (Arc::new(Handle::default()), Waker::noop());
        assert!(handle.claim().is_none(), "in a turn");

        assert!(handle.sleep(waker, false));
        assert!(handle.claim().is_none(), "its reader is slow");

        assert!(handle.sleep(waker, true));
        let claim = handle.claim();
        assert!(claim.is_some() && handle.claim().is_none(), "one at a time");
        assert!(!handle.take_to_drain(&mut Vec::new()));

        drop(claim);
        assert!(handle.claim().is_none(), "it has mail");
        assert!(handle.take_to_drain(&mut Vec::new()));
    }

    #[test]
    fn the_end_of_a_claim_wakes_the_connection_however_it_ends() {
        let handle = Arc::new(Handle::default());
        let count = Arc::new(Count::default());
        assert!(handle.sleep(&Waker::from(Arc::clone(&count)), true));

        let claim_and_panic = || {
            let _claim = handle.claim();
            std::panic::resume_unwind(Box::new("as the test wants it"));
        };
        let panicking = std::panic::catch_unwind(std::panic::AssertUnwindSafe(claim_and_panic));

        assert!(panicking.is_err());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(
            handle.take(&mut Vec::new()),
            "there may be something to drain"
        );
    }
}
