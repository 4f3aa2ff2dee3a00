//! What the rest of the process holds of a connection: its mailbox, and how to wake its task.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use heliogram_ports::Wake;
use heliogram_proto::edge::mailbox::{Mail, Mailbox};
use heliogram_proto::ids::LinkId;
use parking_lot::Mutex;

/// The outside of a connection.
#[derive(Default)]
pub(crate) struct Handle {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    mailbox: Mailbox,
    /// Set while the task sleeps, so that what a turn brings about itself does not wake it.
    waker: Option<Waker>,
}

impl Handle {
    pub(crate) fn post(&self, mail: Mail) {
        self.change(|mailbox| mailbox.post(mail));
    }

    /// Makes the task look around.
    pub(crate) fn nudge(&self) {
        self.change(|_| true);
    }

    /// Begins a turn: takes all mail, and tells whether the host has something to drain.
    pub(crate) fn take(&self, out: &mut Vec<Mail>) -> bool {
        let mut inner = self.inner.lock();
        inner.waker = None;
        inner.mailbox.take(out)
    }

    /// Ends the turns: from now on mail wakes the task. `false` if there is some already.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let mut inner = self.inner.lock();
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
    pub(crate) fn post(&self, link: LinkId, mail: Mail) {
        let handle = self
            .shard(link)
            .and_then(|shard| shard.lock().get(&link).cloned());
        if let Some(handle) = handle {
            handle.post(mail);
        }
    }

    pub(crate) fn nudge_all(&self) {
        for shard in &self.shards {
            let mut handles = Vec::new();
            handles.extend(shard.lock().values().cloned());
            for handle in handles {
                handle.nudge();
            }
        }
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
