//! Keys that their owner sees for the first time in its term: looked up in the store, and revoked if they are not there.
//!
//! What an owner knew of destroyed keys has ended with its term. A gateway doubts what it has cached when an owner changes; this
//! does not rely on it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Weak};

use heliogram_ports::{AuthKeys, Unavailable};
use heliogram_proto::ids::{AuthKeyId, Identity, Term};
use parking_lot::Mutex;

use crate::limits::{
    KEY_CHECK_TIME_MAX, KEYS_CHECKED_AT_ONCE_MAX, KEYS_SEEN_MAX, KEYS_UNCHECKED_MAX, RETRY_PAUSE,
};
use crate::local::Inner;

/// The keys that one owner has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashSet<AuthKeyId>);

impl Seen {
    /// Takes note of a key; tells whether it is new.
    pub(crate) fn insert(&mut self, key: AuthKeyId) -> bool {
        if self.0.contains(&key) {
            return false;
        }
        if self.0.len() >= KEYS_SEEN_MAX {
            self.0.clear();
        }
        self.0.insert(key)
    }

    /// Forgets a key: it will be new again.
    pub(crate) fn forget(&mut self, key: AuthKeyId) {
        self.0.remove(&key);
    }
}

/// A key that is to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) key: AuthKeyId,
    pub(crate) identity: Identity,
    /// Of the owner that has seen it. One of a later term sees it for itself.
    pub(crate) term: Term,
}

/// The keys that are being looked up, and those that wait for it.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: VecDeque<Check>,
}

/// What becomes of a key that is to be looked up.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// It is looked up now.
    Now,
    /// It waits.
    Later,
    /// Too many wait.
    Full,
}

impl Checks {
    fn begin(&self, check: Check) -> Begin {
        let mut state = self.state.lock();
        if state.running < KEYS_CHECKED_AT_ONCE_MAX {
            state.running += 1;
            return Begin::Now;
        }
        if state.waiting.len() >= KEYS_UNCHECKED_MAX {
            return Begin::Full;
        }
        state.waiting.push_back(check);
        Begin::Later
    }

    /// Ends one; returns the next.
    fn end(&self) -> Option<Check> {
        let mut state = self.state.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.running -= 1;
        }
        next
    }
}

impl Inner {
    /// Looks up a key that its owner has not seen before.
    pub(crate) fn check_key(self: &Arc<Self>, check: Check) {
        match self.checks.begin(check) {
            Begin::Now => {
                let (inner, keys) = (Arc::downgrade(self), Arc::clone(&self.keys));
                self.runtime.spawn(look_up_all(inner, keys, check));
            }
            Begin::Later => {}
            Begin::Full => {
                if let Some(shard) = self.shards.get(self.shard_of(check.identity)) {
                    shard.forget_seen(check.key);
                }
            }
        }
    }

    fn still_owns(&self, check: &Check) -> bool {
        let shard = self.shards.get(self.shard_of(check.identity));
        shard.and_then(|shard| shard.term()) == Some(check.term)
    }
}

/// Looks up a key, and others for as long as any wait. Holds the port only while it has something to tell it.
async fn look_up_all(inner: Weak<Inner>, keys: Arc<dyn AuthKeys>, first: Check) {
    let mut next = Some(first);
    while let Some(check) = next {
        let is_absent = is_absent(&inner, &*keys, &check).await;
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if is_absent {
            inner.revoke(check.identity, &[check.key]);
        }
        next = inner.checks.end();
    }
}

/// Asks the store until it answers, or the answer is of no use.
async fn is_absent(inner: &Weak<Inner>, keys: &dyn AuthKeys, check: &Check) -> bool {
    while inner.upgrade().is_some_and(|it| it.still_owns(check)) {
        let found = tokio::time::timeout(KEY_CHECK_TIME_MAX, keys.find(check.key));
        match found.await.unwrap_or(Err(Unavailable)) {
            Ok(found) => return found.is_none(),
            Err(Unavailable) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_keys_are_remembered_as_may_and_with_one_more_all_are_new_again() {
        let mut seen = Seen::default();
        let count = i64::try_from(KEYS_SEEN_MAX).unwrap();
        assert!((0..count).all(|id| seen.insert(AuthKeyId(id))));
        assert!(!seen.insert(AuthKeyId(0)));

        assert!(seen.insert(AuthKeyId(count)));

        assert!(seen.insert(AuthKeyId(0)));
        seen.forget(AuthKeyId(0));
        assert!(seen.insert(AuthKeyId(0)));
    }

    #[test]
    fn so_many_keys_are_looked_up_at_once_and_so_many_wait_and_no_more() {
        let checks = Checks::default();
        let check = Check {
            key: AuthKeyId(1),
            identity: Identity(AuthKeyId(1)),
            term: Term(1),
        };
        for _ in 0..KEYS_CHECKED_AT_ONCE_MAX {
            assert_eq!(checks.begin(check), Begin::Now);
        }
        for _ in 0..KEYS_UNCHECKED_MAX {
            assert_eq!(checks.begin(check), Begin::Later);
        }
        assert_eq!(checks.begin(check), Begin::Full);
        assert_eq!(checks.end(), Some(check));
        assert_eq!(checks.begin(check), Begin::Later);
    }
}
